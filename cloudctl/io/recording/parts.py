"""The files that one run is recorded in: their names, what each says of its run, which belong together, which may be deleted.

A run begun at [record] path = "runs/today.mcap" goes into `today.mcap`, or, where that exists, `today-<UTC start>-1.mcap`; further parts are
`today-<UTC start>-<n>.mcap`, n = 2, 3, ... No file is ever written over. Each part's first message, on topic `meta`, is its `Part`.
"""

import contextlib
import fcntl
import os
import re
import stat
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from mcap.exceptions import McapError
from mcap.records import Channel, Message
from mcap.stream_reader import StreamReader
from msgspec import Struct

from ...clock import SECOND
from ...errors import CloudctlError
from ...settings import MiB, RecordingLimits

UNREADABLE = (
    McapError,
    RuntimeError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    OSError,
    struct.error,
    msgspec.DecodeError,
)


class RecordingError(CloudctlError, RuntimeError):
    """A recording that cannot be written or read; the text says what to do."""


class Lost(Struct, frozen=True):
    """What is missing in a recording before a part: how many messages, of which time (ns), and why."""

    messages: int
    first: int
    last: int
    why: str

    def __str__(self) -> str:
        return (
            f"{self.messages} messages from {utc(self.first)} to {utc(self.last)} are not in the recording ({self.why})"
        )


class Part(Struct, frozen=True):
    """What a part says of itself: its run, which part of it, when (ns) the run and the part began, and what was lost before it."""

    run: str
    part: int
    begun: int
    opened: int
    lost: tuple[Lost, ...] = ()


def utc(t: int) -> str:
    """Return a time in ns as people read it."""
    try:
        return datetime.fromtimestamp(t / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    except (ValueError, OverflowError, OSError):
        return f"{t} ns"


def stamp(t: int) -> str:
    """Return a time in ns as file names carry it."""
    return datetime.fromtimestamp(t // SECOND, UTC).strftime("%Y%m%dT%H%M%SZ")


def create(path: Path, begun: int, part: int) -> tuple[Path, int]:
    """Create the file of a part, readable by its owner only, and lock it; return its path and descriptor. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _names(path, begun, part):
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if stat.S_ISREG(name.stat().st_mode) or name.is_dir():
                continue
            descriptor = os.open(name, os.O_WRONLY)  # a device or a pipe
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return name, descriptor
    raise FileExistsError(17, "too many files of that name exist", str(path))


def _names(path: Path, begun: int, part: int) -> Iterator[Path]:
    if part == 1:
        yield path
    for again in range(1000):
        more = f".{again}" if again else ""
        yield path.with_name(f"{path.stem}-{stamp(begun)}{more}-{part}{path.suffix}")


def unused(path: Path, t: int) -> Path:
    """Return the name that a run begun at a path at `t` ns would be recorded under first."""
    return next(name for name in _names(path, t, 1) if not name.exists())


def head(path: Path) -> Part | None:
    """Return what a file says of itself as a part of a run; None where it says nothing."""
    topics: dict[int, str] = {}
    try:
        with path.open("rb") as file:
            for record in StreamReader(file).records:
                if isinstance(record, Channel):
                    topics[record.id] = record.topic
                elif isinstance(record, Message):
                    if topics.get(record.channel_id) != "meta":
                        return None
                    name, data = msgspec.msgpack.decode(record.data, type=tuple[str, bytes])
                    return msgspec.json.decode(data, type=Part) if name == "run" else None
    except UNREADABLE:
        pass
    return None


def parts_of(path: Path) -> tuple[list[Path], str | None]:
    """Return the files of the run that a file is of, in order, and what of the run is missing. A folder stands for the one run in it.

    Raises RecordingError where there is no such file, or a folder holds no run or several.
    """
    if path.is_dir():
        return _only_run(path)
    if not path.is_file():
        raise RecordingError(
            f"{path} does not exist. A run is recorded with [record] path = ..., or by: cloudctl sim run --record FILE"
        )
    own = head(path)
    if own is None:
        return [path], None
    return _in_order([(part, other) for other, part in _heads(path.parent, path.suffix) if part.run == own.run])


def _only_run(folder: Path) -> tuple[list[Path], str | None]:
    runs: dict[str, list[tuple[Part, Path]]] = {}
    for path, part in _heads(folder, ".mcap"):
        if ".truth" not in path.name:  # what a simulator knew, beside its run
            runs.setdefault(part.run, []).append((part, path))
    if len(runs) != 1:
        firsts = [min(found, key=lambda item: item[0].part)[1].name for found in runs.values()]
        listed = ", ".join(sorted(firsts)[:20]) or "none"
        raise RecordingError(
            f"{folder} holds {len(runs)} recorded runs ({listed}). Name one file of the run that you mean"
        )
    return _in_order(next(iter(runs.values())))


def _heads(folder: Path, suffix: str) -> Iterator[tuple[Path, Part]]:
    for path in sorted(folder.glob(f"*{suffix}")):
        part = head(path) if path.is_file() else None
        if part is not None:
            yield path, part


def _in_order(found: list[tuple[Part, Path]]) -> tuple[list[Path], str | None]:
    by_number = {part.part: path for part, path in sorted(found, key=lambda item: (item[0].part, item[1].name))}
    numbers = list(by_number)
    missing = [n for n in range(1, numbers[-1] + 1) if n not in by_number]
    if not missing:
        return list(by_number.values()), None
    listed = ", ".join(map(str, missing[:20]))
    return list(by_number.values()), (
        f"part {listed} of this run is not there: deleted, or moved elsewhere. What the engine remembered from it is missing, "
        "so that advisories may differ"
    )


class Folder:
    """Deletes the oldest closed recordings of one path's own naming, until the folder keeps to its limits."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._name = re.compile(rf"{re.escape(path.stem)}(-\d{{8}}T\d{{6}}Z(\.\d+)?-\d+)?{re.escape(path.suffix)}")
        self._known: dict[tuple[str, int], Part | None] = {}  # (name, inode) -> what the file says of itself

    def tidy(self, limits: RecordingLimits, now: int, writing: Path | None) -> list[str]:
        """Delete what is over the limits at `now` ns; return a line for each file deleted, or that could not be."""
        if limits.keep_bytes is None and limits.keep_ns is None:
            return []
        files = self._own(writing)
        total = sum(status.st_size for _, status, _ in files)
        lines = []
        for path, status, _ in files:
            if path == writing:
                continue
            why = None
            if limits.keep_ns is not None and now - status.st_mtime_ns > limits.keep_ns:
                why = f"it is older than keep_days = {limits.keep_ns / (86_400 * SECOND):g}"
            elif limits.keep_bytes is not None and total > limits.keep_bytes:
                why = f"the folder's recordings exceed keep_mb = {limits.keep_bytes / MiB:g}"
            if why and _delete(path):
                total -= status.st_size
                lines.append(f"recording {path} was deleted: {why}")
        return lines

    def _own(self, writing: Path | None) -> list[tuple[Path, os.stat_result, Part]]:
        """Return the files that a recorder of this path made, the oldest first."""
        own, known = [], {}
        for entry in os.scandir(self._folder):
            if not self._name.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                continue
            path, status = self._folder / entry.name, entry.stat(follow_symlinks=False)
            key = (entry.name, status.st_ino)
            known[key] = part = self._known[key] if self._known.get(key) else head(path)
            if part is not None:
                own.append((path, status, part))
        self._known = known
        return sorted(own, key=lambda item: (item[2].opened, item[2].part, item[0].name))


def _delete(path: Path) -> bool:
    """Delete a file that nobody writes to; False where somebody does, or it cannot be deleted."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
