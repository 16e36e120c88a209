"""Writes one run, in parts. What goes in is raw: a replay decodes what the node decoded.

Topics: `meta` (what the part is, configuration, codes), `in/<kind>` (`[sender, body]`, msgpack; `[sender, body, size]` where more than MAX_BODY bytes
were cut off; `in/unknown`: `[sender, body, size, kind]`), `tick` (closes each batch that the engine was given; its time is the step's),
`out/advisories` (JSON, as sent), `truth` (from the simulator, when it drives). A chunk holds whole steps.

Trouble with the disk ends no run: whole chunks wait in memory, up to MAX_WAITING, until a new part can be begun; what finds no room is counted, and
the next part says what is missing. Everything is readable by the owner only.
"""

import contextlib
import errno
import os
from collections import deque
from pathlib import Path

import msgspec

from ...clock import SECOND, Clock, WallClock, stopwatch
from ...metrics import Metrics
from ...schema import MAX_BODY, RawMessage
from ...settings import MiB, RecordingLimits
from ...topics import OPERATOR, TOPICS
from .container import Chunk, ChunkBuilder, McapFile
from .parts import Folder, Lost, Part, RecordingError, create

CHUNK = 256 * 1024  # bytes, uncompressed
MAX_WAITING = 16 * MiB  # compressed, for a disk that is full or gone
RETRY = SECOND  # between attempts to begin a new part
FOR_NOW = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)  # of a path that can be written to at other times
TIDY = 10 * SECOND  # between two looks at the folder


class Recorder:
    """Records at a path. `failure` says what is wrong at the moment, for the operator; `notices()` what happened.

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
        self._base, self._metrics, self._clock = path, metrics or Metrics(), clock or WallClock()
        self._folder = Folder(path)
        self._begun = self._clock.now()
        self._run = f"{self._begun:x}-{os.urandom(4).hex()}"
        self._number = 0
        self._file: McapFile | None = None
        self._descriptor = -1
        self._opened = self._tried = self._tidied = -TIDY  # by the stopwatch
        self._in_part = _Span()
        self._lost = _Span()  # what found no room, after all that waits
        self._gaps: list[Lost] = []  # what the next part is to name as missing before it
        self._why = ""
        self._notices: list[str] = []
        self._builder = ChunkBuilder()
        self._waiting: deque[Chunk] = deque()
        self._waiting_bytes = 0
        self._head: list[tuple[str, bytes]] = []  # what each part says first: configuration and codes as they are now
        self._encode = msgspec.msgpack.Encoder().encode
        try:
            self._open()
        except OSError as error:
            if error.errno not in FOR_NOW:
                raise RecordingError(
                    f"cannot record to {path}: {error.strerror}. Choose another path under [record], "
                    "or give the node's user the right to write there"
                ) from None
            self._fail(error)
        self.first = self.path

    # --- what is recorded ---

    def meta(self, name: str, data: bytes) -> None:
        """Record what a replay needs to know before the first step, here and in each later part: `name` is "config" or "code"."""
        self.remember(name, data)
        self._builder.add("meta", self._encode((name, data)), 0)

    def remember(self, name: str, data: bytes) -> None:
        """Keep a configuration or code that came into use with a step, for the beginning of later parts."""
        if name == "config":
            self._head = [item for item in self._head if item[0] != "config"]
        self._head.append((name, data))

    def step(self, t: int, batch: tuple[RawMessage, ...] | list[RawMessage], advisories: list[bytes]) -> None:
        """Record one step, all of it or nothing: its data, the tick that closes it, what was sent."""
        rows = [row for datum in batch if (row := self._row(datum)) is not None]
        rows.append(("tick", b""))
        rows += [("out/advisories", advisory) for advisory in advisories]
        for topic, data in rows:
            self._builder.add(topic, data, t)
        if self._builder.size >= CHUNK:
            self._seal()
            self._write()

    def truth(self, t: int, data: bytes) -> None:
        """Record what the simulator knows to be so at `t`."""
        self._builder.add("truth", data, t)
        if self._builder.size >= CHUNK:
            self._seal()
            self._write()

    def _row(self, datum: RawMessage) -> tuple[str, bytes] | None:
        body = datum.body
        if len(body) > MAX_BODY and datum.sender != OPERATOR:
            body = body[:MAX_BODY]  # it was refused for its length, by which it is refused again
        topic = TOPICS.get(datum.kind)
        if topic is None:
            return "in/unknown", self._encode((datum.sender, body, len(datum.body), datum.kind))
        if not topic.logged:
            return None
        row = (datum.sender, body) if body is datum.body else (datum.sender, body, len(datum.body))
        return f"in/{datum.kind}", self._encode(row)

    # --- what becomes of it ---

    def flush(self) -> None:
        """Write what was recorded so far, so that a process that is killed loses nothing of it; look after the folder. Call it every half second."""
        self._seal()
        self._notice_removal()
        self._write()
        now = stopwatch()
        if now - self._tidied >= TIDY:
            self._tidied = now
            self._tidy()

    def notices(self) -> list[str]:
        """Return what happened since the last call, a line each: files deleted, messages lost."""
        taken, self._notices = self._notices, []
        return taken

    def close(self) -> None:
        """Write the rest and complete the file. What cannot be written is lost, and named in `notices()`."""
        self._seal()
        self._tried = -TIDY
        self._write()
        if self._gaps:
            self._close_gap()
        while self._waiting:
            self._lose(self._waiting.popleft())
        if self._lost.messages:
            self._notices.append(f"recording: {self._lost.lost(self._why)}: the node ended before there was room")
        self._end_part()

    def _close_gap(self) -> None:
        """End the run with a part that names what was lost before it."""
        try:
            if self._file is None:
                self._open()
            self._settle()
        except OSError as error:
            self._fail(error)

    def _seal(self) -> None:
        chunk = self._builder.finish()
        if chunk is None:
            return
        # Once something was lost, all is until there is room again: one gap is easier to work with than many.
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
        """Write what waits, then go on in a part that names what was lost after it."""
        now = stopwatch()
        if self.failure is not None and now - self._tried < RETRY:
            return
        self._tried = now
        try:
            while self._waiting:
                self._append(self._waiting[0])
                self._waiting_bytes -= self._waiting.popleft().length
        except OSError as error:
            self._fail(error)
            return
        if self._lost.messages:
            self._gaps.append(self._lost.lost(self._why))
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
        if self._file.size >= self.limits.part_bytes or stopwatch() - self._opened >= self.limits.part_ns:
            self._end_part()

    def _open(self) -> None:
        """Begin the next part. Raises OSError, and leaves nothing behind then."""
        path, descriptor = create(self._base, self._begun, self._number + 1)
        part = Part(self._run, self._number + 1, self._begun, self._clock.now(), tuple(self._gaps))
        try:
            file = McapFile(descriptor)
            for entries in ([("run", msgspec.json.encode(part))], self._head):
                builder = ChunkBuilder()
                for entry in entries:
                    builder.add("meta", self._encode(entry), 0)
                chunk = builder.finish()
                if chunk is not None:
                    file.append(chunk)
        except OSError:
            os.close(descriptor)
            if path.is_file():
                path.unlink()
            raise
        self.path, self._descriptor, self._file = path, descriptor, file
        self._number += 1
        self._opened = stopwatch()
        self._in_part = _Span()
        self._tidy()

    def _settle(self) -> None:
        """Take a part that was begun for good, now that it holds something."""
        self._metrics.count("record.parts")
        if self._gaps or self.failure is not None:
            nothing = "" if self._lost.messages else "; nothing was lost"
            lost = "; ".join(map(str, self._gaps))
            self._notices.append(f"recording goes on in {self.path}" + (f"; {lost}" if lost else nothing))
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
        self._why = error.strerror or type(error).__name__
        self._metrics.count("record.failed")
        self.failure = (
            f"recording to {self.path} has stopped: {self._why}. The node goes on, and keeps {MAX_WAITING // MiB} MiB of messages until there is room. "
            "Free some space, or set keep_mb under [record]; a new file is begun by itself"
        )
        self._tried = stopwatch()
        if self._file is not None and self._in_part.messages == 0 and self.path.is_file():
            with contextlib.suppress(OSError):
                self.path.unlink()  # it says only what it was meant to be part of
            self._number -= 1
        self._end_part()

    def _notice_removal(self) -> None:
        """Go on in a new part where the file was deleted under the recorder: what is written to it now, nobody can read."""
        if self._file is None:
            return
        try:
            gone = os.fstat(self._descriptor).st_nlink == 0
        except OSError:
            gone = True
        if gone:
            if self._in_part.messages:
                self._gaps.append(self._in_part.lost(f"{self.path} was removed while it was written"))
                self._metrics.count("record.lost", "", self._in_part.messages)
            self._notices.append(f"recording {self.path} was removed while it was written")
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


class _Span:
    """How many messages, of which time."""

    def __init__(self) -> None:
        self.messages = self._last = 0
        self._first = 2**63 - 1

    def add(self, chunk: Chunk) -> None:
        self.messages += chunk.messages
        self._first, self._last = min(self._first, chunk.first), max(self._last, chunk.last)

    def lost(self, why: str) -> Lost:
        return Lost(self.messages, self._first, self._last, why)
