"""Cuts a part out of a recording: by time, by intersection, by topic.

A step keeps its time, and is in the result whole or not at all. A cut that begins after the run does starts with what
still counts long after it came (the newest hello of each gateway, revisions of codes, changes of the configuration),
at the times it came. Nothing else of the engine's memory is in a recording, so that such a cut does not replay to the
bytes of the run; one that keeps every input from the beginning does.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..clock import SECOND
from ..io.recording.chunks import IndexedRun, RecordedMessage
from ..io.recording.container import own_kind
from ..io.recording.parts import MAX_LISTED, Part, RecordingError, utc
from ..io.recording.setup import setup_of
from ..settings import EngineConfig
from .rewriting import (
    META,
    TICK,
    Dropped,
    Origin,
    RunWriter,
    Written,
    derived_name,
    faults_of,
    gaps_of,
    run_name,
    software_of,
)
from .selection import Selection, reduced

STANDING = (
    "in/hello",
    "in/code",
    "in/config",
    "in/add",
    "in/drop",
    "in/neighbour",
)  # topics of what still counts long after it came
OUTSIDE = "outside of the time asked for"
ADVISORIES = "out/advisories"
NOTHING_TO_COMPARE = (
    "every input from the beginning is in it, so that a replay gives the advisories of the run; the recorded ones were "
    "left out, so that there is nothing to compare them with"
)
FOREVER = 2**63 - 1


class CutRequest(NamedTuple):
    """What is to be kept: steps from `first` up to and with `last` (ns; None: no limit), of some intersections and
    topics (patterns; none: all)."""

    first: int | None = None
    last: int | None = None
    intersections: Sequence[str] = ()
    topics: Sequence[str] = ()


def cut(source: Path, out: Path, request: CutRequest) -> Written:
    """Write to `out` what is asked for of the run that `source` is of. Raises RecordingError where nothing is left, or
    `out` exists."""
    run = IndexedRun(source)
    first = run.begin if request.first is None else request.first
    last = FOREVER if request.last is None else request.last

    if first > last:
        raise RecordingError(f"--from {utc(first)} is after --to {utc(last)}. Give them in order")
    if first > run.end or last < run.begin:
        raise RecordingError(f"{source} is from {utc(run.begin)} to {utc(run.end)}: nothing of it is within the cut")

    config, codes = setup_of(run)
    selection = Selection(config, codes, request.intersections) if request.intersections else None
    filter_ = _Filter(selection, request.topics)

    with RunWriter(out) as writer:
        standing = _standing(run, first) if first > run.begin else []
        writer.begin(_part(run, request, last), _meta(run, config, selection, filter_))
        for message in (*standing, *run.messages(first, last)):
            kept = None if message.channel.topic == META else filter_.kept(message)
            if kept is not None:
                writer.add(kept)

        made_ticks = sum(message.channel.topic == TICK for message in standing)
        notes = [*faults_of(run), *filter_.unmatched(run)]
        if writer.kept[TICK] == made_ticks:
            raise RecordingError(f"the cut holds no step of {source}. Give a longer time, or leave --from and --to out")

        if first > run.begin or last < run.end:
            kept_messages = writer.kept - Counter({TICK: made_ticks})
            _count_outside(run, first, last, kept_messages, filter_.dropped)

        writer.add_origin(Origin("cut", (run_name(run),), _by_reason(filter_.dropped)))

    is_prefix = first <= run.begin and not filter_.has_lost_inputs and not run.damaged_chunks
    if not is_prefix:
        notes.append(_cannot_repeat(run, first, filter_))
    elif filter_.has_lost_advisories:
        is_prefix = False
        notes.append(NOTHING_TO_COMPARE)

    return Written(out, dict(writer.kept), filter_.dropped.lines(), notes, is_prefix)


class _Filter:
    """Decides on each message, and counts those that are left out."""

    def __init__(self, selection: Selection | None, topics: Sequence[str]) -> None:
        self.dropped = Dropped()
        self.has_lost_inputs = self.has_lost_advisories = False
        self._selection, self._topics = selection, topics
        self._unmatched = dict.fromkeys(topics)  # patterns that no topic of the run has fitted yet
        self._seen: dict[str, bool] = {}  # topics, and whether they are asked for

    def kept(self, message: RecordedMessage) -> RecordedMessage | None:
        """Return a message as it is to be written; None where it is left out. A tick always stays: it closes a step."""
        topic = message.channel.topic
        if topic == TICK:
            return message

        reason = None
        if self._topics and not self._is_asked_for(topic):
            reason = "not of the topics asked for"
        elif self._selection is not None:
            reason = self._selection.reason(topic, message.data)

        if reason is not None:
            self.dropped.add(topic, reason)
            self.has_lost_inputs |= topic.startswith("in/")
            self.has_lost_advisories |= topic == ADVISORIES
            return None

        if topic == "in/config" and self._selection is not None:
            return self._reduced(message)

        return message

    def unmatched(self, run: IndexedRun) -> list[str]:
        """Return a line for each pattern that fits no topic of the whole run. Raises RecordingError where none fits: a
        result of a misspelled one would look like a run in which nothing came."""
        if not self._unmatched:
            return []

        counts = run.counts() or Counter(message.channel.topic for message in run.messages())
        topics = sorted(counts.keys() - {META})
        unmatched = [pattern for pattern in self._unmatched if not any(fnmatchcase(topic, pattern) for topic in topics)]
        listed = ", ".join(topics[:MAX_LISTED]) + (" ..." if len(topics) > MAX_LISTED else "")
        lines = [f"--topic {pattern!r} fits no topic of the recording. It has: {listed}" for pattern in unmatched]

        if len(unmatched) == len(set(self._topics)):
            raise RecordingError("\n".join(lines))

        return lines

    def _is_asked_for(self, topic: str) -> bool:
        """Return whether a pattern fits a topic; note which do."""
        if topic not in self._seen:
            fitting = [pattern for pattern in self._topics if fnmatchcase(topic, pattern)]
            for pattern in fitting:
                self._unmatched.pop(pattern, None)
            self._seen[topic] = bool(fitting)
        return self._seen[topic]

    def wants(self, name: str, data: bytes) -> bool:
        """Return whether an entry of `meta` is wanted."""
        if name != "code" or self._selection is None:
            return True
        body = msgspec.msgpack.encode(("operator", data))
        return self._selection.reason("in/code", body) is None

    def _reduced(self, message: RecordedMessage) -> RecordedMessage:
        """Return a change of the configuration with the roadside units that are wanted only."""
        assert self._selection is not None
        sender, body, *rest = msgspec.msgpack.decode(message.data)
        try:
            config = reduced(msgspec.json.decode(body, type=EngineConfig), self._selection.wanted)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return message  # it was refused when it came, and will be again

        body = msgspec.json.encode(config)
        return message._replace(data=msgspec.msgpack.encode((sender, body, *rest)))


def _meta(
    run: IndexedRun, config: EngineConfig, selection: Selection | None, filter_: _Filter
) -> Iterator[tuple[str, bytes]]:
    """Yield what the run began with, as the cut is to begin with it."""
    for name, data in run.meta:
        if name == "config" and selection is not None:
            yield name, msgspec.json.encode(reduced(config, selection.wanted))
        elif name != "origin" and filter_.wants(name, data):
            yield name, data


def _standing(run: IndexedRun, first: int) -> list[RecordedMessage]:
    """Return what came before `first` ns and still counts, each in a step of its own at the time it came: of a
    gateway's hellos the newest."""
    messages = list(run.messages_of(STANDING, first - 1))
    newest: dict[str, int] = {}
    for place, message in enumerate(messages):
        if message.channel.topic == "in/hello":
            newest[msgspec.msgpack.decode(message.data)[0]] = place

    hellos = set(newest.values())
    kept = [m for place, m in enumerate(messages) if m.channel.topic != "in/hello" or place in hellos]
    return list(_closed(kept))


def _closed(messages: Iterable[RecordedMessage]) -> Iterator[RecordedMessage]:
    """Yield messages with a tick after those of each time."""
    last: int | None = None
    for message in messages:
        if last is not None and message.t != last:
            yield RecordedMessage(own_kind(TICK), last, last, b"")
        last = message.t
        yield message

    if last is not None:
        yield RecordedMessage(own_kind(TICK), last, last, b"")


def _part(run: IndexedRun, request: CutRequest, last: int) -> Part:
    """Return the description of the cut; its id follows from what was asked for, so that the same cut is the same
    bytes."""
    first = run.begin if request.first is None else request.first
    words = [str(first), str(request.last), *request.intersections, *request.topics]
    return Part(
        run=derived_name("cut", [run_name(run), *words]),
        part=1,
        begun=first,
        opened=first,
        lost=gaps_of(run, first, last),
        software=software_of([run]),
    )


def _count_outside(run: IndexedRun, first: int, last: int, kept: Counter[str], dropped: Dropped) -> None:
    """Count what is outside of the cut: by the files' summaries, where all have one; else by reading all."""
    totals = run.counts()
    if totals is None:
        for message in run.messages():
            if message.channel.topic != META and not first <= message.t <= last:
                dropped.add(message.channel.topic, OUTSIDE)
        return

    filtered: dict[str, int] = {}
    for (topic, _), count in dropped.counts.items():
        filtered[topic] = filtered.get(topic, 0) + count

    for topic, total in totals.items():
        if topic != META:
            dropped.add(topic, OUTSIDE, total - kept[topic] - filtered.get(topic, 0))


def _by_reason(dropped: Dropped) -> dict[str, int]:
    return {f"{topic}: {reason}": count for (topic, reason), count in sorted(dropped.counts.items())}


def _cannot_repeat(run: IndexedRun, first: int, filter_: _Filter) -> str:
    """Return what a replay of the cut cannot repeat."""
    reasons = []
    if first > run.begin:
        seconds = (first - run.begin) / SECOND
        reasons.append(
            f"the {seconds:,.1f} s before it are missing: tracks, signal states, vehicles and clock offsets are taken "
            "up anew, and tracks and advisories get other numbers"
        )

    if filter_.has_lost_inputs:
        reasons.append("inputs were left out, and what the engine made of them with them")

    if run.damaged_chunks:
        reasons.append("damaged chunks are missing")

    advisories = "" if filter_.has_lost_advisories else ". The advisories in it are those that were sent"
    return f"a replay of it does not give the recorded bytes: {'; '.join(reasons)}{advisories}"
