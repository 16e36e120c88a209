"""Merges recordings by time into one.

Steps keep their times and their order within each recording; of several recordings they come in the order of their
times, at the same time in the order in which the recordings were named. Steps of the very same time become one: that is
how the cuts of one run fit together again. What contradicts is refused, all of it at once.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise, zip_longest
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ..clock import SECOND
from ..codes import IntersectionCode, content_hash, dump
from ..io.recording.chunks import IndexedRun, RecordedMessage
from ..io.recording.container import own_kind
from ..io.recording.parts import Part, RecordingError, utc
from ..io.recording.setup import setup_of
from ..settings import EngineConfig
from .rewriting import META, TICK, Dropped, Origin, RunWriter, Written, derived_name, faults_of, run_name, software_of

STREAM_TOPICS = ("in/perception", "in/signal", "in/health")  # whose sequence two recordings must not both have
VEHICLE_TOPICS = ("in/state", "in/requests", "in/acks")
DUPLICATE_WITHIN = 5 * SECOND  # a vehicle's message that two nodes received, each at its own time
MAX_RECENT = 200_000  # messages of vehicles that are remembered for that


class OfStream(Struct):
    """The part of a gateway's message that names its stream."""

    r: str = ""
    s: msgspec.Raw = msgspec.Raw(b"")


class OfVehicle(Struct):
    """The part of a vehicle's message that says when it was made."""

    t: int


class Block(NamedTuple):
    """The messages of one step, or of one time without a step."""

    t: int  # ns, made to run forwards: a clock may have been set back
    number: int  # of the recording
    messages: list[RecordedMessage]


class Source(NamedTuple):
    """One recording that is to be merged."""

    run: IndexedRun
    config: EngineConfig
    codes: Sequence[IntersectionCode]


def merge(sources: Sequence[Path], out: Path) -> Written:
    """Write the runs that some files are of to `out`. Raises RecordingError where they contradict each other, or `out`
    exists."""
    if not sources:
        raise RecordingError("no recording to merge. Name two or more")

    runs = [Source(run, *setup_of(run)) for run in map(IndexedRun, sources)]
    contradictions = [*_same_files(runs), *_settings(runs), *_units(runs), *_codes(runs)]
    if not contradictions:
        contradictions = _streams(runs)

    if contradictions:
        raise RecordingError("these recordings contradict each other:\n  " + "\n  ".join(contradictions))

    dropped = Dropped()
    with RunWriter(out) as writer:
        writer.begin(_part(runs), _meta(runs))
        for message in _in_order(runs, dropped):
            writer.add(message)
        names = tuple(run_name(source.run) for source in runs)
        lost = {f"{topic}: {reason}": count for (topic, reason), count in sorted(dropped.counts.items())}
        writer.add_origin(Origin("merge", names, lost))

    notes = [line for source in runs for line in faults_of(source.run)]
    is_prefix = len(runs) == 1 and not runs[0].run.damaged_chunks
    if not is_prefix and len(runs) > 1:
        notes.append(
            "each node had a memory of its own: a replay drives one engine with all inputs, so that its advisories may "
            "differ from the recorded ones (--check says whether they do)"
        )

    return Written(out, dict(writer.kept), dropped.lines(), notes, is_prefix)


def _in_order(runs: Sequence[Source], dropped: Dropped) -> Iterator[RecordedMessage]:
    """Yield all messages, by time."""
    recent = _RecentMessages()
    blocks = heapq.merge(*(_blocks(number, source.run) for number, source in enumerate(runs)), key=lambda b: b[:2])
    for _, same_time in groupby(blocks, key=lambda block: block.t):
        of_recording: dict[int, list[Block]] = {}
        for block in same_time:
            of_recording.setdefault(block.number, []).append(block)
        _drop_repeated(of_recording, dropped)
        for steps in zip_longest(*of_recording.values()):
            yield from _joined([step for step in steps if step is not None], recent, dropped)


def _drop_repeated(of_recording: dict[int, list[Block]], dropped: Dropped) -> None:
    """Take out of the steps of one time what an earlier recording has too, and the steps that hold nothing else: what
    still counts after it came stands at the beginning of a cut, and in the part before it."""
    if len(of_recording) == 1:
        return

    first_of: dict[tuple[str, bytes], int] = {}
    for number, blocks in of_recording.items():
        kept = []
        for block in blocks:
            inputs = [message for message in block.messages if message.channel.topic.startswith("in/")]
            own = [m for m in inputs if first_of.setdefault((m.channel.topic, m.data), number) == number]
            for topic, count in Counter(message.channel.topic for message in inputs).items():
                left = sum(message.channel.topic == topic for message in own)
                dropped.add(topic, "the same message at the same time is in another of the recordings", count - left)

            others = [message for message in block.messages if not message.channel.topic.startswith("in/")]
            is_empty = bool(inputs) and not own and all(message.channel.topic == TICK for message in others)
            if not is_empty:
                kept.append(Block(block.t, number, [*own, *others]))

        of_recording[number] = kept


def _blocks(number: int, run: IndexedRun) -> Iterator[Block]:
    """Yield the steps of a run. A tick ends the inputs of a step, its advisories follow; so that a step is whole when
    something else than those comes, or another time."""
    t = last = 0
    block: list[RecordedMessage] = []
    is_closed = False

    for message in run.messages():
        topic = message.channel.topic
        if topic == META:
            continue

        begins_another = is_closed and (topic == TICK or topic.startswith("in/"))
        if block and (message.t != t or begins_another):
            last = max(last, t)
            yield Block(last, number, block)
            block, is_closed = [], False

        t = message.t
        block.append(message)
        is_closed |= topic == TICK

    if block:
        yield Block(max(last, t), number, block)


def _joined(blocks: Sequence[Block], recent: "_RecentMessages", dropped: Dropped) -> Iterator[RecordedMessage]:
    """Yield the messages of steps of the same time as one step."""
    messages = [(block, message) for block in blocks for message in block.messages]
    inputs = [(block, message) for block, message in messages if message.channel.topic.startswith("in/")]
    tick = next((message for _, message in messages if message.channel.topic == TICK), None)

    for block, message in inputs:
        if recent.is_duplicate(block, message):
            dropped.add(message.channel.topic, "a vehicle's message that another of the recordings has")
        else:
            yield message

    if tick is None and inputs:
        yield RecordedMessage(own_kind(TICK), inputs[0][1].t, inputs[0][1].t, b"")
    elif tick is not None:
        yield tick

    for _, message in messages:
        if not message.channel.topic.startswith("in/") and message.channel.topic != TICK:
            yield message


class _RecentMessages:
    """Knows the messages of vehicles of the last seconds: what two nodes received is one message."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(OfVehicle).decode
        self._recording_of: dict[tuple[str, bytes], int] = {}
        self._order: deque[tuple[int, tuple[str, bytes]]] = deque()

    def is_duplicate(self, block: Block, message: RecordedMessage) -> bool:
        """Return whether another recording has a vehicle's message already; take it as had."""
        if message.channel.topic not in VEHICLE_TOPICS or not self._has_time(message.data):
            return False

        while self._order and (self._order[0][0] < block.t - DUPLICATE_WITHIN or len(self._order) >= MAX_RECENT):
            self._recording_of.pop(self._order.popleft()[1], None)

        key = (message.channel.topic, message.data)
        owner = self._recording_of.get(key)
        if owner is None:
            self._recording_of[key] = block.number
            self._order.append((block.t, key))
            return False

        return owner != block.number

    def _has_time(self, data: bytes) -> bool:
        """Return whether a message says when it was made: two alike without that may be two."""
        try:
            self._decode(msgspec.msgpack.decode(data)[1])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return True


# --- what contradicts ---


def _same_files(runs: Sequence[Source]) -> list[str]:
    seen: dict[Path, Path] = {}
    contradictions = []
    for source in runs:
        for part in source.run.parts:
            file = part.resolve()
            if file in seen:
                contradictions.append(
                    f"{part} is named twice, by {seen[file]} and {source.run.path}: name each run once"
                )
                break

            seen[file] = source.run.path

    return contradictions


def _settings(runs: Sequence[Source]) -> list[str]:
    """Return which settings of the engine differ, but for its gateways."""
    contradictions = []
    first = runs[0]
    for source in runs[1:]:
        for name in EngineConfig.__struct_fields__:
            one, other = getattr(first.config, name), getattr(source.config, name)
            if name != "gateways" and one != other:
                shown = f"{one!r:.60} in {first.run.path}, {other!r:.60} in {source.run.path}"
                contradictions.append(f"{name} is {shown}: one engine cannot have both")

    return contradictions


def _units(runs: Sequence[Source]) -> list[str]:
    """Return the roadside units that stand at different intersections."""
    places: dict[str, tuple[str, Path]] = {}
    contradictions = []
    for source in runs:
        for units in source.config.gateways.values():
            for unit, intersection in units.items():
                other, path = places.setdefault(unit, (intersection, source.run.path))
                if other != intersection:
                    contradictions.append(
                        f"roadside unit {unit!r} is at {other} in {path}, and at {intersection} in {source.run.path}"
                    )

    return list(dict.fromkeys(contradictions))


def _codes(runs: Sequence[Source]) -> list[str]:
    """Return the revisions of codes whose content differs."""
    known: dict[tuple[str, int], tuple[str, Path]] = {}
    contradictions = []
    for source in runs:
        for code in source.codes:
            content, path = known.setdefault((code.id, code.revision), (content_hash(code), source.run.path))
            if content != content_hash(code):
                contradictions.append(
                    f"revision {code.revision} of {code.id} is one code in {path}, and another in {source.run.path}"
                )

    return contradictions


def _streams(runs: Sequence[Source]) -> list[str]:
    """Return the streams of roadside units that two recordings have at the same time. Only recordings that share a
    unit are read for it."""
    units = [{unit for rsus in source.config.gateways.values() for unit in rsus} for source in runs]
    spans: dict[tuple[str, str, bytes], list[tuple[int, int, Path]]] = {}
    for number, source in enumerate(runs):
        shared = {unit for other, rsus in enumerate(units) if other != number for unit in rsus if unit in units[number]}
        if shared:
            for key, (first, last) in _spans(source.run, shared).items():
                spans.setdefault(key, []).append((first, last, source.run.path))

    contradictions = []
    for (topic, unit, sensor), found in spans.items():
        found.sort(key=lambda span: span[:2])
        for one, other in pairwise(found):
            if other[0] <= one[1]:
                stream = f"{topic.removeprefix('in/')} of {unit}" + (f"/{_shown(sensor)}" if sensor else "")
                contradictions.append(
                    f"{stream} is in {one[2]} and in {other[2]} from {utc(other[0])} to {utc(min(one[1], other[1]))}: "
                    "its sequence would run backwards. Cut one of them first"
                )

    return contradictions


def _spans(run: IndexedRun, units: set[str]) -> dict[tuple[str, str, bytes], tuple[int, int]]:
    """Return from when to when (ns) a run has each stream of some roadside units."""
    decode = msgspec.msgpack.Decoder(OfStream).decode
    spans: dict[tuple[str, str, bytes], tuple[int, int]] = {}
    for message in run.messages_of(STREAM_TOPICS, 2**63 - 1):
        try:
            stream = decode(msgspec.msgpack.decode(message.data)[1])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # refused when it came, whatever it was

        if stream.r in units:
            sensor = bytes(stream.s) if message.channel.topic == "in/perception" else b""
            key = (message.channel.topic, stream.r, sensor)
            first, last = spans.get(key, (message.t, message.t))
            spans[key] = min(first, message.t), max(last, message.t)

    return spans


def _shown(sensor: bytes) -> str:
    try:
        return str(msgspec.msgpack.decode(sensor))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "?"


# --- what the result begins with ---


def _meta(runs: Sequence[Source]) -> list[tuple[str, bytes]]:
    """Return the configuration with the gateways of all runs, and each revision of a code once."""
    if len(runs) == 1:
        return [entry for entry in runs[0].run.meta if entry[0] != "origin"]

    gateways: dict[str, dict[str, str]] = {}
    for source in runs:
        for gateway, units in source.config.gateways.items():
            gateways.setdefault(gateway, {}).update(units)

    config = msgspec.structs.replace(runs[0].config, gateways=gateways)
    codes = {content_hash(code): code for source in runs for code in source.codes}
    return [("config", msgspec.json.encode(config)), *(("code", dump(code)) for code in codes.values())]


def _part(runs: Sequence[Source]) -> Part:
    """Return the description of the result: its id follows from those of its sources."""
    begin = min(source.run.begin for source in runs)
    lost = tuple(gap for source in runs for gap in source.run.gaps())
    return Part(
        run=derived_name("merge", [run_name(source.run) for source in runs]),
        part=1,
        begun=begin,
        opened=begin,
        lost=lost,
        software=software_of(source.run for source in runs),
    )
