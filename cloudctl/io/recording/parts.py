"""The files that one run is recorded in: their names, the part of the run each holds, which belong together, which may
be deleted.

A run begun at [record] path = "runs/today.mcap" goes into `today.mcap`, or, where that exists, `today-<UTC
start>-1.mcap`; further parts are `today-<UTC start>-<n>.mcap`, n = 2, 3, ... No file is ever written over. Each part's
first message, on topic `meta`, is its `Part`.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

import msgspec
from mcap.exceptions import McapError
from mcap.records import Channel, Message
from mcap.stream_reader import StreamReader
from msgspec import Struct

from ...clock import SECOND
from ...errors import CloudctlError
from ...settings import MiB, RecordingLimits

DAY = 86_400 * SECOND
MAX_NAMES = 1000  # tried for one part, where files of its name exist
MAX_LISTED = 20  # names or numbers in a sentence
# All that reading a damaged file can raise, in the mcap library and in ours.
UNREADABLE = (
    McapError,
    RuntimeError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    OSError,
    MemoryError,
    OverflowError,
    struct.error,
    msgspec.DecodeError,
)


class RecordingError(CloudctlError, RuntimeError):
    """A recording that cannot be written or read; the text names the remedy."""


class BoundedFile:
    """A file as the mcap library reads it, which never asks for more than is there: a damaged length would have it
    reserve memory for bytes that do not exist."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        here = file.tell()
        self._size = file.seek(0, os.SEEK_END)
        file.seek(here)

    def read(self, length: int = -1) -> bytes:
        left = max(self._size - self._file.tell(), 0)
        return self._file.read(left if length < 0 else min(length, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def bounded(file: BinaryIO) -> IO[bytes]:
    """Return a file for the mcap library to read."""
    return cast("IO[bytes]", BoundedFile(file))


class Lost(Struct, frozen=True):
    """A gap in a recording before a part: the number of messages, the time they span (ns), and why they are missing."""

    messages: int
    first: int
    last: int
    why: str

    def __str__(self) -> str:
        return (
            f"{self.messages} messages from {utc(self.first)} to {utc(self.last)} are not in the recording ({self.why})"
        )


class Part(Struct, frozen=True):
    """The description at the head of a part: its run, which part of it, when (ns) the run and the part began, the gaps
    before it, and the software that has made it, "" where it is not known."""

    run: str
    part: int
    begun: int
    opened: int
    lost: tuple[Lost, ...] = ()
    software: str = ""


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
    """Create the file of a part, readable by its owner only, and lock it; return its path and descriptor. Raises
    OSError."""
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

    raise FileExistsError(errno.EEXIST, "too many files of that name exist", str(path))


def _names(path: Path, begun: int, part: int) -> Iterator[Path]:
    if part == 1:
        yield path
    for attempt in range(MAX_NAMES):
        suffix = f".{attempt}" if attempt else ""
        yield path.with_name(f"{path.stem}-{stamp(begun)}{suffix}-{part}{path.suffix}")


def unused(path: Path, t: int) -> Path:
    """Return the name that a run begun at a path at `t` ns would be recorded under first."""
    return next(name for name in _names(path, t, 1) if not name.exists())


def head(path: Path) -> Part | None:
    """Return the description at the head of a file; None where it has none."""
    topics: dict[int, str] = {}
    try:
        with path.open("rb") as file:
            for record in StreamReader(bounded(file)).records:
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
    """Return the files of the run that a file is of, in order, and what of the run is missing. A folder stands for the
    one run in it.

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

    others = [(part, other) for other, part in _heads(path.parent, path.suffix) if part.run == own.run]
    copies = [other for part, other in others if part.part == own.part and other != path]
    return _in_order([(part, other) for part, other in others if other not in copies])


def _only_run(folder: Path) -> tuple[list[Path], str | None]:
    runs: dict[str, list[tuple[Part, Path]]] = {}
    for path, part in _heads(folder, ".mcap"):
        if ".truth" not in path.name:  # what a simulator knew, beside its run
            runs.setdefault(part.run, []).append((part, path))

    if len(runs) != 1:
        firsts = [min(found, key=lambda item: item[0].part)[1].name for found in runs.values()]
        listed = ", ".join(sorted(firsts)[:MAX_LISTED]) or "none"
        raise RecordingError(
            f"{folder} holds {len(runs)} recorded runs ({listed}). Name one file of the run that you mean"
        )

    return _in_order(next(iter(runs.values())))


def _heads(folder: Path, suffix: str) -> Iterator[tuple[Path, Part]]:
    for path in sorted(folder.glob(f"*{suffix}")):
        part = head(path) if path.is_file() else None
        if part is not None:
            yield path, part


def _in_order(parts: list[tuple[Part, Path]]) -> tuple[list[Path], str | None]:
    """Return the files of one run in order, and a sentence on the parts that are missing."""
    by_number = {part.part: path for part, path in sorted(parts, key=lambda item: (item[0].part, item[1].name))}
    last = max(by_number)
    missing = [number for number in range(1, last + 1) if number not in by_number]

    if not missing:
        return list(by_number.values()), None

    listed = ", ".join(map(str, missing[:MAX_LISTED]))
    return list(by_number.values()), (
        f"part {listed} of this run is not there: deleted, or moved elsewhere. The engine's memory of it is missing, "
        "so that advisories may differ"
    )


class Folder:
    """Deletes the oldest closed recordings of one path's own naming, until the folder keeps to its limits."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._name = re.compile(rf"{re.escape(path.stem)}(-\d{{8}}T\d{{6}}Z(\.\d+)?-\d+)?{re.escape(path.suffix)}")
        self._known: dict[tuple[str, int], Part | None] = {}  # (name, inode) -> the description at its head

    def tidy(self, limits: RecordingLimits, now: int, writing: Path | None) -> list[str]:
        """Delete what is over the limits at `now` ns; return a line for each file deleted, or that could not be."""
        if limits.keep_bytes is None and limits.keep_ns is None:
            return []

        files = self._own_files()
        total_bytes = sum(file.status.st_size for file in files)
        lines = []

        for file in files:
            if file.path == writing:
                continue

            reason = None
            if limits.keep_ns is not None and now - file.status.st_mtime_ns > limits.keep_ns:
                reason = f"it is older than keep_days = {limits.keep_ns / DAY:g}"
            elif limits.keep_bytes is not None and total_bytes > limits.keep_bytes:
                reason = f"the folder's recordings exceed keep_mb = {limits.keep_bytes / MiB:g}"

            if reason and _delete(file.path):
                total_bytes -= file.status.st_size
                lines.append(f"recording {file.path} was deleted: {reason}")

        return lines

    def _own_files(self) -> list["_PartFile"]:
        """Return the files that a recorder of this path made, the oldest first."""
        files, known = [], {}
        for entry in os.scandir(self._folder):
            if not self._name.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                continue

            path, status = self._folder / entry.name, entry.stat(follow_symlinks=False)
            key = (entry.name, status.st_ino)
            known[key] = part = self._known[key] if self._known.get(key) else head(path)

            if part is not None:
                files.append(_PartFile(path, status, part))

        self._known = known
        return sorted(files, key=lambda file: (file.part.opened, file.part.part, file.path.name))


class _PartFile(NamedTuple):
    """A file of the folder, and the description at its head."""

    path: Path
    status: os.stat_result
    part: Part


def _delete(path: Path) -> bool:
    """Delete a file that no process writes to; return False where one does, or it cannot be deleted."""
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
