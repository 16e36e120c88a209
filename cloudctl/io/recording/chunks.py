"""A recorded run by its index: steps from any time on, without reading what comes before.

A part that was closed has an index at its end; one that was cut off, or is still written, is indexed by the heads of
its chunks. A chunk holds whole
steps, so that reading may begin at any of them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import NamedTuple

import msgspec
from mcap.data_stream import ReadDataStream
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, Message
from mcap.stream_reader import breakup_chunk

from ...schema import RawMessage
from .container import CHUNK, MAGIC
from .parts import UNREADABLE, RecordingError, parts_of
from .reader import Step, StepAssembler, raw_message_of

RECORD_HEAD = 9  # bytes: opcode, length
TIMES = 16  # bytes: the first and last log time of a chunk


class ChunkPlace(NamedTuple):
    """Where one chunk is, and what it holds. Times are ns."""

    path: Path
    offset: int
    length: int  # bytes of the record, with its head
    first: int
    last: int
    topics: frozenset[str] | None  # None: not known without reading it


class IndexedRun:
    """One run, given any file of it or its folder. `begin` and `end` (ns) are its first and last step's. Raises
    RecordingError where there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: str | None = None  # what is wrong with a file, if anything was met
        self.meta: list[tuple[str, bytes]] = []  # configuration and codes, as the first part begins with them
        self._topics: dict[Path, dict[int, str]] = {}  # of the channels of each part, by number
        self.parts, missing = parts_of(path)
        self.notes = [missing] if missing else []
        self._chunks = [chunk for part in self.parts for chunk in self._index(part)]
        self._read_meta()
        self._timed = [chunk for chunk in self._chunks if chunk.last > 0]
        if not self._timed:
            raise RecordingError(f"{path} holds no step. {self.fault or 'Record one with [record] path = ...'}")
        self._ends: list[int] = []  # of the chunks, made to run forwards: a clock may have been set back
        for chunk in self._timed:
            self._ends.append(max(chunk.last, self._ends[-1] if self._ends else 0))
        self.begin = next((step.t for step in self._assemble(self._timed)), self._timed[0].last)
        self.end = self._ends[-1]

    def steps(self, t: int = 0) -> Iterator[Step]:
        """Yield the steps, from those of the chunk that holds `t` ns on: some may be before it."""
        first = min(bisect_left(self._ends, t), len(self._timed) - 1) if t > self.begin else 0
        yield from self._assemble(self._timed[first:])

    def earlier(self, kinds: Iterable[str], t: int, limit: int) -> list[tuple[int, list[RawMessage]]]:
        """Return what was received of some kinds before the chunk that holds `t` ns, by step; of the newest `limit`
        chunks that hold any.
        """
        wanted = {f"in/{kind}" for kind in kinds}
        before = self._timed[: min(bisect_left(self._ends, t), len(self._timed) - 1)]
        holding = [chunk for chunk in before if chunk.topics is None or chunk.topics & wanted][-limit:]
        found: list[tuple[int, list[RawMessage]]] = []
        for chunk in holding:
            for topic, message in self._messages(chunk):
                if topic not in wanted:
                    continue
                if not found or found[-1][0] != message.log_time:
                    found.append((message.log_time, []))
                found[-1][1].append(raw_message_of(topic, message.data))
        return found

    # --- chunks ---

    def _index(self, path: Path) -> list[ChunkPlace]:
        try:
            with path.open("rb") as file:
                chunks, self._topics[path] = _by_summary(path, file)
                return chunks or _by_heads(path, file)
        except OSError as error:
            self._note(f"{path}: {error.strerror}")
            return []

    def _read_meta(self) -> None:
        for chunk in self._chunks:
            if chunk.first > 0 or chunk.path != self._chunks[0].path:
                break
            for topic, message in self._messages(chunk):
                if topic == "meta":
                    name, data = msgspec.msgpack.decode(message.data, type=tuple[str, bytes])
                    if name != "run":
                        self.meta.append((name, data))

    def _messages(self, chunk: ChunkPlace) -> Iterator[tuple[str, Message]]:
        """Yield what a chunk holds; nothing of one that is damaged, which is noted."""
        topics = self._topics.setdefault(chunk.path, {})
        try:
            with chunk.path.open("rb") as file:
                file.seek(chunk.offset + RECORD_HEAD)
                body = file.read(chunk.length - RECORD_HEAD)
            records = breakup_chunk(Chunk.read(ReadDataStream(BytesIO(body))), validate_crc=True)
        except UNREADABLE as error:
            self._note(
                f"{chunk.path} is damaged at byte {chunk.offset} ({error or type(error).__name__}); what is whole is"
                " used"
            )
            return
        for record in records:
            if isinstance(record, Channel):
                topics[record.id] = record.topic
            elif isinstance(record, Message) and record.channel_id in topics:
                yield topics[record.channel_id], record

    def _note(self, fault: str) -> None:
        if self.fault is None:
            self.fault = fault

    def _assemble(self, chunks: list[ChunkPlace]) -> Iterator[Step]:
        """Yield whole steps. Files of other makers may end a chunk within a step: it goes on in the next one."""
        assembler = StepAssembler()
        for chunk in chunks:
            for topic, message in self._messages(chunk):
                if step := assembler.add(topic, message):
                    yield step
        if step := assembler.last():
            yield step


def _by_summary(path: Path, file: BufferedReader) -> tuple[list[ChunkPlace], dict[int, str]]:
    """Return the chunks by the index at a file's end, and the topics of its channels; nothing where it has none that
    can be used.
    """
    try:
        summary = SeekingReader(file).get_summary()
        if summary is None:
            return [], {}
        topics = {number: channel.topic for number, channel in summary.channels.items()}
        chunks = [
            ChunkPlace(
                path=path,
                offset=index.chunk_start_offset,
                length=index.chunk_length,
                first=index.message_start_time,
                last=index.message_end_time,
                topics=frozenset(topics.get(number, "") for number in index.message_index_offsets),
            )
            for index in sorted(summary.chunk_indexes, key=lambda index: index.chunk_start_offset)
        ]
    except UNREADABLE:
        return [], {}
    return chunks, topics


def _by_heads(path: Path, file: BufferedReader) -> list[ChunkPlace]:
    """Return the whole chunks of a file without an index, by walking from record to record."""
    found = []
    size = file.seek(0, 2)
    offset = len(MAGIC)
    while offset + RECORD_HEAD + TIMES <= size:
        file.seek(offset)
        head = file.read(RECORD_HEAD + TIMES)
        length = RECORD_HEAD + int.from_bytes(head[1:RECORD_HEAD], "little")
        if offset + length > size:
            break  # the last record was cut off
        if head[0] == CHUNK:
            first, last = (int.from_bytes(head[at : at + 8], "little") for at in (RECORD_HEAD, RECORD_HEAD + 8))
            found.append(ChunkPlace(path=path, offset=offset, length=length, first=first, last=last, topics=None))
        offset += length
    return found
