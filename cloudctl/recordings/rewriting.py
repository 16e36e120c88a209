"""Writes a recording made of others. It appears under its name only when it is whole, and never over another file."""

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ..io.recording.chunks import IndexedRun, RecordedMessage
from ..io.recording.container import ChunkBuilder, McapFile
from ..io.recording.parts import Lost, Part, RecordingError
from ..io.recording.writer import CHUNK_BYTES

UNFINISHED = ".unfinished"  # what the name of a file ends with until it is whole
META = "meta"
TICK = "tick"


class Origin(Struct, frozen=True):
    """What a recording was made of: entry `origin` of its `meta`."""

    command: str
    runs: tuple[str, ...]  # their ids, or the names of files without one
    dropped: dict[str, int]  # messages, by "topic: reason"


class Dropped:
    """Counts the messages that were left out, by topic and reason."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, topic: str, reason: str, count: int = 1) -> None:
        """Count some."""
        if count > 0:
            self.counts[topic, reason] += count

    def lines(self) -> list[str]:
        """Return a line for each topic and reason."""
        return [f"dropped {count:,} of {topic}: {reason}" for (topic, reason), count in sorted(self.counts.items())]


class Written(NamedTuple):
    """What a command wrote, and what it left out."""

    path: Path
    kept: dict[str, int]  # messages by topic
    dropped: list[str]  # a line each
    notes: list[str]  # what the result cannot do, and what was wrong with its sources
    is_prefix: bool  # every input from the run's beginning is in it, so that it replays to the same bytes


class RunWriter:
    """One recording, by the names of what it begins with. Use it as a context: an error leaves no file behind."""

    def __init__(self, path: Path) -> None:
        """Raises RecordingError where a file of that name exists, or none can be made."""
        self.path = path
        self.kept: Counter[str] = Counter()
        self._unfinished = path.with_name(path.name + UNFINISHED)
        self._builder = ChunkBuilder()
        self._encode = msgspec.msgpack.Encoder().encode
        self._last: int | None = None

        if path.exists():
            raise RecordingError(f"{path} exists: nothing is written over. Give another name, or delete it")

        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise RecordingError(f"cannot write {path}: {error.strerror}. Give a place that you may write to") from None

        self._file = McapFile(self._descriptor)

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                self._seal()
                self._file.close()
                os.fsync(self._descriptor)
        except OSError as failure:
            self._discard()
            raise RecordingError(f"cannot write {self.path}: {failure.strerror}. Free some space") from None

        if kind is not None:
            self._discard()
            if isinstance(error, OSError):
                raise RecordingError(f"cannot write {self.path}: {error.strerror}. Free some space") from None
            return

        os.close(self._descriptor)
        os.replace(self._unfinished, self.path)

    def begin(self, part: Part, meta: Iterable[tuple[str, bytes]]) -> None:
        """Write what the recording is, and configuration and codes: before anything else."""
        for entries in ([("run", msgspec.json.encode(part))], meta):
            for entry in entries:
                self._builder.add(META, self._encode(entry), 0)
            self._seal()

    def add(self, message: RecordedMessage) -> None:
        """Write a message. Those of one step come one after the other: they stay in one chunk."""
        if message.t != self._last and self._builder.size >= CHUNK_BYTES:
            self._seal()
        self._last = message.t
        self._builder.add(message.channel.topic, message.data, message.t, message.published, message.channel)
        self.kept[message.channel.topic] += 1

    def add_origin(self, origin: Origin) -> None:
        """Write what the recording was made of: at its end, when it is known what was left out."""
        self._seal()
        self._builder.add(META, self._encode(("origin", msgspec.json.encode(origin))), 0)
        self._seal()

    def _seal(self) -> None:
        chunk = self._builder.finish()
        if chunk is not None:
            self._file.append(chunk)

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        with contextlib.suppress(OSError):
            self._unfinished.unlink()


def derived_name(command: str, words: Iterable[str]) -> str:
    """Return the id of a run made of others: it follows from what was asked for, so that the same again is the same
    bytes."""
    return f"{command}-{hashlib.sha256(chr(0).join(words).encode()).hexdigest()[:16]}"


def run_name(run: IndexedRun) -> str:
    """Return the id of a run; the name of its file where it has none."""
    first = run.heads()[0]
    return run.path.name if first is None else first.run


def software_of(runs: Iterable[IndexedRun]) -> str:
    """Return the software that has made some runs; "" where it is not known, or not the same of all."""
    names = {"" if part is None else part.software for run in runs for part in run.heads()}
    return names.pop() if len(names) == 1 else ""


def gaps_of(run: IndexedRun, first: int, last: int) -> tuple[Lost, ...]:
    """Return the gaps that a run names within some time (ns)."""
    return tuple(lost for lost in run.gaps() if lost.last >= first and lost.first <= last)


def faults_of(run: IndexedRun) -> list[str]:
    """Return what was wrong with a run's files, and how much of them could not be read."""
    lines = [*run.notes, *map(str, run.gaps())]
    if run.fault is not None:
        lines.append(run.fault)
    if run.damaged_chunks or run.lost_bytes:
        lines.append(f"{run.path}: {run.damaged_chunks} damaged chunks; {run.lost_bytes:,} bytes could not be read")
    return lines
