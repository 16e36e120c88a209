"""Writes one run, in parts. Messages are recorded as received: a replay decodes what the node decoded.

Topics: `meta` (what the part is, configuration, codes), `in/<kind>` (`[sender, body]`, msgpack; `[sender, body, size]`
where more than MAX_BODY bytes were cut off; `in/unknown`: `[sender, body, size, kind]`), `tick` (closes each batch that
the engine was given; its time is the step's), `out/advisories` (JSON, as sent), `truth` (from the simulator, when it
drives). A chunk holds whole steps.

A disk that is full or gone ends no run: whole chunks wait in memory, up to MAX_WAITING, until a new part can be begun;
the messages that find no room are counted, and the next part names what is missing. Every file is readable by its owner
only.
"""

import contextlib
import errno
import os
from collections import deque
from pathlib import Path
from typing import NamedTuple

import msgspec

from ...clock import SECOND, Clock, WallClock, stopwatch
from ...metrics import Metrics
from ...schema import MAX_BODY, RawMessage
from ...settings import MiB, RecordingLimits
from ...topics import OPERATOR, TOPICS
from .container import ChannelKind, Chunk, ChunkBuilder, McapFile
from .parts import Folder, Lost, Part, RecordingError, create
from .software import software

CHUNK_BYTES = 256 * 1024  # uncompressed
MAX_WAITING = 16 * MiB  # bytes of compressed chunks, for a disk that is full or gone
RETRY_INTERVAL = SECOND  # between attempts to begin a new part
TIDY_INTERVAL = 10 * SECOND  # between deletions of old recordings
# Errors of a path that can be written to at other times.
TEMPORARY = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


class Recorder:
    """Records at a path. `failure` is the present trouble, for the operator; `notices()` the events so far.

    Raises RecordingError where nothing can be written at that path; a disk that is full is no such reason.
    """

    def __init__(
        self,
        path: Path,
        limits: RecordingLimits | None = None,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.path = path  # of the part that is written, or was last
        self.first = path  # of the run's first part
        self.limits = limits or RecordingLimits()
        self.failure: str | None = None
        self._base = path
        self._metrics = metrics or Metrics()
        self._clock = clock or WallClock()
        self._folder = Folder(path)
        self._notices: list[str] = []
        self._encode = msgspec.msgpack.Encoder().encode

        # the run, and the part that is written
        self._begun = self._clock.now()
        self._run = f"{self._begun:x}-{os.urandom(4).hex()}"
        self._part_number = 0
        self._preamble: list[_Meta] = []  # first in each part: configuration and codes as they are now
        self._file: McapFile | None = None
        self._descriptor = -1
        self._in_part = _Span()

        # chunks on their way to it
        self._builder = ChunkBuilder()
        self._waiting: deque[Chunk] = deque()
        self._waiting_bytes = 0
        self._lost = _Span()  # messages that found no room, after all that waits
        self._gaps: list[Lost] = []  # that the next part is to name as missing before it
        self._disk_error = ""

        # by the stopwatch, ns
        self._opened = self._last_write = self._last_tidy = -TIDY_INTERVAL

        try:
            self._open()
        except OSError as error:
            if error.errno not in TEMPORARY:
                raise RecordingError(
                    f"cannot record to {path}: {error.strerror}. Choose another path under [record], "
                    "or give the node's user the right to write there"
                ) from None
            self._fail(error)

        self.first = self.path

    # --- messages in ---

    def meta(self, name: str, data: bytes, intersection: str = "") -> None:
        """Record what a replay needs before the first step, here and in each later part: `name` is "config" or
        "code", which is of an `intersection`."""
        self.remember(name, data, intersection)
        self._builder.add("meta", self._encode((name, data)), 0)

    def remember(self, name: str, data: bytes, intersection: str = "") -> None:
        """Keep what came into use with a step, for the beginning of later parts: a configuration, a code, an
        intersection that was added, the code of a neighbour; forget an intersection that was dropped, and a neighbour
        without `data`."""
        if name == "config":
            self._preamble = [meta for meta in self._preamble if meta.name != "config"]
        elif name in ("add", "drop"):
            self._preamble = [meta for meta in self._preamble if meta.intersection != intersection]
        elif name == "neighbour":
            self._preamble = [meta for meta in self._preamble if (meta.name, meta.intersection) != (name, intersection)]

        if name != "drop" and data:
            self._preamble.append(_Meta(name, data, intersection))

    def step(self, t: int, batch: tuple[RawMessage, ...] | list[RawMessage], advisories: list[bytes]) -> None:
        """Record one step, all of it or nothing: its messages, the tick that closes it, the advisories sent."""
        records = [record for raw in batch if (record := self._record(raw)) is not None]
        records.append(("tick", b""))
        records += [("out/advisories", advisory) for advisory in advisories]
        for topic, data in records:
            self._builder.add(topic, data, t)
        self._write_full_chunk()

    def view(self, t: int, kind: ChannelKind, data: bytes, shown: int) -> None:
        """Record a message for other viewers, made in the step at `t` ns of what was so at `shown` ns; a replay passes
        over it."""
        self._builder.add(kind.topic, data, t, shown, kind)

    def truth(self, t: int, data: bytes) -> None:
        """Record the truth of the simulator at `t` ns."""
        self._builder.add("truth", data, t)
        self._write_full_chunk()

    def _record(self, raw: RawMessage) -> tuple[str, bytes] | None:
        """Return the topic and bytes that a message is recorded as; None for a kind that is not recorded."""
        body = raw.body
        if len(body) > MAX_BODY and raw.sender != OPERATOR:
            # It was refused for its length. The recorded length is enough to refuse it again.
            body = body[:MAX_BODY]

        topic = TOPICS.get(raw.kind)
        if topic is None:
            return "in/unknown", self._encode((raw.sender, body, len(raw.body), raw.kind))
        if not topic.logged:
            return None
        if body is raw.body:
            return f"in/{raw.kind}", self._encode((raw.sender, body))

        return f"in/{raw.kind}", self._encode((raw.sender, body, len(raw.body)))

    def _write_full_chunk(self) -> None:
        if self._builder.size >= CHUNK_BYTES:
            self._seal()
            self._write()

    # --- chunks out ---

    def flush(self) -> None:
        """Write what was recorded so far, so that a process that is killed loses nothing of it; delete old recordings.
        To be called every half second."""
        self._seal()
        self._check_removal()
        self._write()

        now = stopwatch()

        if now - self._last_tidy >= TIDY_INTERVAL:
            self._last_tidy = now
            self._tidy()

    @property
    def waiting_bytes(self) -> int:
        """Return how many bytes wait for room on the disk."""
        return self._waiting_bytes

    def notices(self) -> list[str]:
        """Return the events since the last call, a line each: files deleted, messages lost."""
        taken, self._notices = self._notices, []
        return taken

    def close(self) -> None:
        """Write the rest and complete the file. Messages that cannot be written are lost, and named in `notices()`."""
        self._seal()
        self._last_write = -TIDY_INTERVAL  # no waiting for the next attempt: this is the last
        self._write()

        if self._gaps:
            self._close_gap()

        while self._waiting:
            self._lose(self._waiting.popleft())

        if self._lost.messages:
            self._notices.append(
                f"recording: {self._lost.lost(self._disk_error)}: the node ended before there was room"
            )

        self._end_part()

    def _close_gap(self) -> None:
        """End the run with a part that names the messages lost before it."""
        try:
            if self._file is None:
                self._open()
            self._settle()
        except OSError as error:
            self._fail(error)

    def _seal(self) -> None:
        """Close the chunk that is gathered, and let it wait to be written."""
        chunk = self._builder.finish()
        if chunk is None:
            return

        # Once a chunk was lost, all are until there is room again: one gap is easier to work with than many.
        full = bool(self._waiting) and self._waiting_bytes + chunk.length > MAX_WAITING
        if self._lost.messages or full:
            self._lose(chunk)
        else:
            self._waiting.append(chunk)
            self._waiting_bytes += chunk.length

    def _lose(self, chunk: Chunk) -> None:
        if not self._lost.messages:
            self._notices.append(
                "recording: no more room for what waits to be written; messages are being lost from now on"
            )
        self._lost.add(chunk)
        self._metrics.count("record.lost", "", chunk.messages)

    def _write(self) -> None:
        """Write the chunks that wait; where messages were lost after them, go on in a part that names those."""
        now = stopwatch()
        if self.failure is not None and now - self._last_write < RETRY_INTERVAL:
            return

        self._last_write = now

        try:
            while self._waiting:
                self._append(self._waiting[0])
                self._waiting_bytes -= self._waiting.popleft().length
        except OSError as error:
            self._fail(error)
            return

        if self._lost.messages:
            self._gaps.append(self._lost.lost(self._disk_error))
            self._lost = _Span()
            self._end_part()

    def _append(self, chunk: Chunk) -> None:
        if self._file is None:
            self._open()

        assert self._file is not None
        self._file.append(chunk)
        if self._in_part.messages == 0:
            self._settle()

        self._in_part.add(chunk)

        is_full = self._file.size >= self.limits.part_bytes
        is_old = stopwatch() - self._opened >= self.limits.part_ns

        if is_full or is_old:
            self._end_part()

    def _open(self) -> None:
        """Begin the next part. Raises OSError, and leaves nothing behind then."""
        number = self._part_number + 1
        path, descriptor = create(self._base, self._begun, number)
        part = Part(
            run=self._run,
            part=number,
            begun=self._begun,
            opened=self._clock.now(),
            lost=tuple(self._gaps),
            software=software(),
        )

        try:
            file = McapFile(descriptor)
            # the part's own description is a chunk of its own: it can be read without the preamble
            for entries in ([_Meta("run", msgspec.json.encode(part), "")], self._preamble):
                builder = ChunkBuilder()
                for entry in entries:
                    builder.add("meta", self._encode((entry.name, entry.data)), 0)
                chunk = builder.finish()
                if chunk is not None:
                    file.append(chunk)
        except OSError:
            os.close(descriptor)
            if path.is_file():
                path.unlink()
            raise

        self.path, self._descriptor, self._file = path, descriptor, file
        self._part_number = number
        self._opened = stopwatch()
        self._in_part = _Span()
        self._tidy()

    def _settle(self) -> None:
        """Count a part, now that it holds messages or names lost ones; until then it is deleted where it cannot be
        written."""
        self._metrics.count("record.parts")
        if self._gaps or self.failure is not None:
            notice = f"recording goes on in {self.path}"
            if self._gaps:
                notice += f"; {'; '.join(map(str, self._gaps))}"
            elif not self._lost.messages:
                notice += "; nothing was lost"
            self._notices.append(notice)

        self.failure = None
        self._gaps = []

    def _end_part(self) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # without its summary a file is read from its beginning
            self._file.close()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._file = None

    def _fail(self, error: OSError) -> None:
        self._disk_error = error.strerror or type(error).__name__
        self._metrics.count("record.failed")

        self.failure = (
            f"recording to {self.path} has stopped: {self._disk_error}. The node goes on, and keeps "
            f"{MAX_WAITING // MiB} MiB of messages until there is room. "
            "Free some space, or set keep_mb under [record]; a new file is begun by itself"
        )
        self._last_write = stopwatch()

        # a part without messages is of no use, and its number is free again
        if self._file is not None and self._in_part.messages == 0 and self.path.is_file():
            with contextlib.suppress(OSError):
                self.path.unlink()
            self._part_number -= 1

        self._end_part()

    def _check_removal(self) -> None:
        """Go on in a new part where the file was deleted under the recorder: more written to it could not be read by
        anyone."""
        if self._file is None:
            return

        try:
            is_removed = os.fstat(self._descriptor).st_nlink == 0
        except OSError:
            is_removed = True

        if not is_removed:
            return

        removal = f"{self.path} was removed while it was written"
        if self._in_part.messages:
            self._gaps.append(self._in_part.lost(removal))
            self._metrics.count("record.lost", "", self._in_part.messages)

        self._notices.append(f"recording {removal}")
        self._end_part()
        try:
            self._open()
        except OSError as error:
            self._fail(error)

    def _tidy(self) -> None:
        try:
            lines = self._folder.tidy(self.limits, self._clock.now(), self.path if self._file else None)
        except OSError:
            return  # the folder is gone; it is made again with the next part
        if lines:
            self._metrics.count("record.deleted", "", len(lines))
            self._notices += lines


class _Meta(NamedTuple):
    """One message on the topic `meta`; `intersection`: that it is of, "" where it is of none."""

    name: str
    data: bytes
    intersection: str


class _Span:
    """The number of messages in some chunks, and the time they span (ns)."""

    def __init__(self) -> None:
        self.messages = 0
        self._first = 2**63 - 1
        self._last = 0

    def add(self, chunk: Chunk) -> None:
        self.messages += chunk.messages
        self._first = min(self._first, chunk.first)
        self._last = max(self._last, chunk.last)

    def lost(self, why: str) -> Lost:
        return Lost(messages=self.messages, first=self._first, last=self._last, why=why)
