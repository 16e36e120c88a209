"""What a recording holds, by its index: without reading it, where its files are whole."""

from collections import Counter
from pathlib import Path

import msgspec
from msgspec import Struct

from ..clock import SECOND
from ..io.recording.chunks import IndexedRun
from ..io.recording.parts import RecordingError, utc
from ..io.recording.setup import setup_of
from ..io.recording.summary import SummaryState
from .rewriting import META, TICK, Origin, faults_of, run_name, software_of


class TopicInfo(Struct, frozen=True):
    """One topic of a recording. `hz` is its rate over the whole run."""

    topic: str
    messages: int
    hz: float
    encoding: str
    schema: str | None


class PartInfo(Struct, frozen=True):
    """One file of a recording."""

    path: str
    bytes: int
    summary: str  # a `SummaryState`


class RecordingInfo(Struct, frozen=True):
    """What a recording holds. Times are ns."""

    run: str
    software: str  # that recorded it; "": not known
    begin: int
    end: int
    parts: tuple[PartInfo, ...]
    chunks: int
    steps: int
    topics: tuple[TopicInfo, ...]
    intersections: tuple[str, ...]  # "id revision n"
    units: dict[str, str]  # roadside unit -> intersection
    origin: Origin | None  # what it was made of, where it was cut or merged
    trouble: tuple[str, ...]
    is_read: bool  # every chunk was read and its CRC checked

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is wrong with its files."""
        return not self.trouble


def info(path: Path, check: bool = False) -> RecordingInfo:
    """Return what the run of a file holds. With `check`, or where a file has no summary, every chunk is read. Raises
    RecordingError."""
    run = IndexedRun(path)
    counts = run.counts()
    is_read = check or counts is None
    kinds = {kind.topic: kind for kind in run.kinds()}

    if is_read:
        counted: Counter[str] = Counter()
        for message in run.messages():
            counted[message.channel.topic] += 1
            kinds[message.channel.topic] = message.channel
        counts = dict(counted)

    assert counts is not None

    intersections, units = _setup(run)
    seconds = max((run.end - run.begin) / SECOND, 1e-9)

    return RecordingInfo(
        run=run_name(run),
        software=software_of([run]),
        begin=run.begin,
        end=run.end,
        parts=tuple(
            PartInfo(str(part), part.stat().st_size, run.summaries.get(part, SummaryState.ABSENT)) for part in run.parts
        ),
        chunks=run.chunks,
        steps=counts.get(TICK, 0),
        topics=tuple(
            TopicInfo(
                topic=topic,
                messages=count,
                hz=round(count / seconds, 3),
                encoding=kinds[topic].encoding if topic in kinds else "",
                schema=schema.name if topic in kinds and (schema := kinds[topic].schema) else None,
            )
            for topic, count in sorted(counts.items())
        ),
        intersections=intersections,
        units=units,
        origin=_origin(run),
        trouble=tuple(faults_of(run)),
        is_read=is_read,
    )


def _setup(run: IndexedRun) -> tuple[tuple[str, ...], dict[str, str]]:
    try:
        config, codes = setup_of(run)
    except RecordingError:
        return (), {}  # no run of ours, or without its beginning: the rest is listed all the same
    names = tuple(f"{code.id} revision {code.revision}" for code in codes)
    return names, {unit: place for units in config.gateways.values() for unit, place in units.items()}


def _origin(run: IndexedRun) -> Origin | None:
    for name, data in run.last_meta():
        if name == "origin":
            return msgspec.json.decode(data, type=Origin)
    return None


def lines_of(found: RecordingInfo) -> list[str]:
    """Return what a recording holds, as lines for people."""
    seconds = (found.end - found.begin) / SECOND
    size = sum(part.bytes for part in found.parts)

    lines = [
        f"run {found.run}: {utc(found.begin)} to {utc(found.end)}, {seconds:,.1f} s, {found.steps:,} steps",
        f"{len(found.parts)} file(s), {size:,} bytes, {found.chunks:,} chunks"
        + (", every CRC checked" if found.is_read else ", by their summaries (--check reads everything)"),
    ]
    lines.append(f"recorded by {found.software or 'a version that does not name itself'}")
    lines += [f"  {part.path}: {part.bytes:,} bytes, summary {part.summary}" for part in found.parts]
    lines.append("topics:")

    for topic in found.topics:
        if topic.topic != META:
            schema = f", schema {topic.schema}" if topic.schema else ""
            lines.append(f"  {topic.topic}: {topic.messages:,} ({topic.hz:g}/s, {topic.encoding}{schema})")

    lines += [f"intersection {name}" for name in found.intersections]
    lines += [f"roadside unit {unit} at {place}" for unit, place in found.units.items()]
    if found.origin is not None:
        lines.append(f"made by {found.origin.command} of {', '.join(found.origin.runs)}")
        lines += [f"  without {count:,} of {what}" for what, count in found.origin.dropped.items()]

    return [*lines, *(f"note: {text}" for text in found.trouble)]
