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

from mcap.data_stream import ReadDataStream
from mcap.records import Channel, Chunk, Message, Schema
from mcap.stream_reader import breakup_chunk
from mcap.summary import Summary

from ...schema import RawMessage
from .container import CHUNK, MAGIC, ChannelKind, MessageSchema
from .envelopes import meta_entry_of, raw_message_of, unreadable
from .parts import UNREADABLE, Lost, Part, RecordingError, head, parts_of
from .reader import Step, StepAssembler
from .summary import SummaryState, read_summary

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


class RecordedMessage(NamedTuple):
    """One message of a run as its file has it; times are ns."""

    channel: ChannelKind
    t: int  # log time: that of the step it is of; 0 for `meta`
    published: int
    data: bytes


class IndexedRun:
    """One run, given any file of it or its folder. `begin` and `end` (ns) are its first and last step's.

    `fault` is the first thing that is wrong with a file, `damaged_chunks` and `lost_bytes` how much could not be read
    so far; `summaries` whether each part has its summary. Raises RecordingError where there is no run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: str | None = None  # what is wrong with a file, if anything was met
        self.meta: list[tuple[str, bytes]] = []  # configuration and codes, as the first part begins with them
        self.damaged_chunks = self.lost_bytes = 0
        self.summaries: dict[Path, SummaryState] = {}
        self.statistics: dict[Path, Summary] = {}  # of the parts that have one
        self._damaged: set[tuple[Path, int]] = set()
        self._schemas: dict[Path, dict[int, MessageSchema]] = {}
        self._topics: dict[Path, dict[int, ChannelKind]] = {}  # of the channels of each part, by number
        self.parts, missing = parts_of(path)
        self.notes = [missing] if missing else []
        self._chunks = [chunk for part in self.parts for chunk in self._index(part)]
        self._read_meta()
        self._timed = [chunk for chunk in self._chunks if chunk.last > 0]

        if not self._timed:
            fault = f"{self.fault}. " if self.fault else ""
            raise RecordingError(f"{path} holds no step. {fault}Record one with [record] path = ...")

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

    def messages(self, first: int = 0, last: int = 2**63 - 1) -> Iterator[RecordedMessage]:
        """Yield every message of a log time within `first` .. `last` ns, and of `meta` all, in the order of the files;
        chunks without any are not read."""
        for chunk in self._chunks:
            is_meta = chunk.last == 0
            if not is_meta and (chunk.last < first or chunk.first > last):
                continue
            for channel, message in self._channel_messages(chunk):
                if is_meta or first <= message.log_time <= last:
                    yield RecordedMessage(channel, message.log_time, message.publish_time, message.data)

    def messages_of(self, topics: Iterable[str], last: int) -> Iterator[RecordedMessage]:
        """Yield the messages of some topics up to `last` ns; chunks that hold none, by the index, are not read."""
        wanted = frozenset(topics)
        for chunk in self._timed:
            if chunk.first > last or (chunk.topics is not None and not chunk.topics & wanted):
                continue
            for channel, message in self._channel_messages(chunk):
                if channel.topic in wanted and message.log_time <= last:
                    yield RecordedMessage(channel, message.log_time, message.publish_time, message.data)

    def counts(self) -> dict[str, int] | None:
        """Return how many messages of each topic there are, by the files' summaries; None where one has none."""
        totals: dict[str, int] = {}
        for part in self.parts:
            statistics = self.statistics[part].statistics if part in self.statistics else None
            if statistics is None:
                return None
            for number, count in statistics.channel_message_counts.items():
                topic = self._topics[part][number].topic
                totals[topic] = totals.get(topic, 0) + count

        return totals

    def kinds(self) -> list[ChannelKind]:
        """Return the channels that are known without reading chunks."""
        return [kind for channels in self._topics.values() for kind in channels.values()]

    def last_meta(self) -> list[tuple[str, bytes]]:
        """Return the entries of `meta` in the last chunk of the run, where it holds nothing else."""
        if not self._chunks or self._chunks[-1].last > 0:
            return []
        return [meta_entry_of(message.data) for _, message in self._messages(self._chunks[-1])]

    def heads(self) -> list[Part | None]:
        """Return the description of each part."""
        return [head(path) for path in self.parts]

    def gaps(self) -> list[Lost]:
        """Return the gaps that the parts name."""
        return [lost for part in self.heads() if part is not None for lost in part.lost]

    @property
    def chunks(self) -> int:
        """Return how many chunks the files have."""
        return len(self._chunks)

    # --- chunks ---

    def _index(self, path: Path) -> list[ChunkPlace]:
        try:
            with path.open("rb") as file:
                checked = read_summary(file)
                self.summaries[path] = checked.state
                chunks = []

                if checked.summary is not None:
                    self._schemas[path], self._topics[path] = _kinds_of(checked.summary)
                    self.statistics[path] = checked.summary
                    chunks = _by_summary(path, checked.summary, self._topics[path])
                elif checked.state is SummaryState.DAMAGED:
                    self._note(f"{path}: its summary is damaged; its chunks were found one by one")

                if chunks:
                    return chunks

                chunks, unread = _by_heads(path, file)
                self.lost_bytes += unread
                if unread:
                    self._note(f"{path} is cut off or damaged: its last {unread} bytes cannot be read")

                return chunks
        except OSError as error:
            self._note(f"{path}: {error.strerror}")
            return []

    def _read_meta(self) -> None:
        for chunk in self._chunks:
            if chunk.first > 0 or chunk.path != self._chunks[0].path:
                break

            for topic, message in self._messages(chunk):
                if topic == "meta":
                    name, data = meta_entry_of(message.data)
                    if name != "run":
                        self.meta.append((name, data))

    def _messages(self, chunk: ChunkPlace) -> Iterator[tuple[str, Message]]:
        """Yield what a chunk holds, by topic."""
        for channel, message in self._channel_messages(chunk):
            yield channel.topic, message

    def _channel_messages(self, chunk: ChunkPlace) -> Iterator[tuple[ChannelKind, Message]]:
        """Yield what a chunk holds; nothing of one that is damaged, which is noted and counted."""
        channels = self._topics.setdefault(chunk.path, {})
        schemas = self._schemas.setdefault(chunk.path, {})
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
            if (chunk.path, chunk.offset) not in self._damaged:
                self._damaged.add((chunk.path, chunk.offset))
                self.damaged_chunks += 1
                self.lost_bytes += chunk.length

            return

        for record in records:
            if isinstance(record, Schema):
                schemas[record.id] = MessageSchema(record.name, record.encoding, record.data)
            elif isinstance(record, Channel):
                channels[record.id] = _kind_of(record, schemas)
            elif isinstance(record, Message) and record.channel_id in channels:
                channel = channels[record.channel_id]
                if reason := unreadable(channel.topic, record):
                    self._note(f"{chunk.path}: {reason}; it is left out")
                    continue
                yield channel, record

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


def _kind_of(channel: Channel, schemas: dict[int, MessageSchema]) -> ChannelKind:
    return ChannelKind(channel.topic, channel.message_encoding, schemas.get(channel.schema_id))


def _kinds_of(summary: Summary) -> tuple[dict[int, MessageSchema], dict[int, ChannelKind]]:
    """Return the schemas and channels of a summary, by number."""
    schemas = {
        number: MessageSchema(schema.name, schema.encoding, schema.data) for number, schema in summary.schemas.items()
    }
    return schemas, {number: _kind_of(channel, schemas) for number, channel in summary.channels.items()}


def _by_summary(path: Path, summary: Summary, channels: dict[int, ChannelKind]) -> list[ChunkPlace]:
    """Return the chunks by the index at a file's end."""
    return [
        ChunkPlace(
            path=path,
            offset=index.chunk_start_offset,
            length=index.chunk_length,
            first=index.message_start_time,
            last=index.message_end_time,
            topics=frozenset(
                channels[number].topic if number in channels else "" for number in index.message_index_offsets
            ),
        )
        for index in sorted(summary.chunk_indexes, key=lambda index: index.chunk_start_offset)
    ]


def _by_heads(path: Path, file: BufferedReader) -> tuple[list[ChunkPlace], int]:
    """Return the whole chunks of a file without an index, by walking from record to record, and how many bytes at its
    end are no whole record."""
    found = []
    size = file.seek(0, 2)
    offset = len(MAGIC)

    while offset + RECORD_HEAD <= size:
        file.seek(offset)
        head_bytes = file.read(RECORD_HEAD + TIMES)
        length = RECORD_HEAD + int.from_bytes(head_bytes[1:RECORD_HEAD], "little")

        if head_bytes.startswith(MAGIC) or offset + length > size:
            break  # the end, or a record that was cut off

        if head_bytes[0] == CHUNK and length >= RECORD_HEAD + TIMES:
            first, last = (int.from_bytes(head_bytes[at : at + 8], "little") for at in (RECORD_HEAD, RECORD_HEAD + 8))
            found.append(ChunkPlace(path=path, offset=offset, length=length, first=first, last=last, topics=None))

        offset += length

    unread = size - offset
    is_end = unread == len(MAGIC) and file_end(file) == MAGIC
    return found, 0 if is_end else max(unread, 0)


def file_end(file: BufferedReader) -> bytes:
    """Return the last bytes of a file, where its magic is."""
    file.seek(-len(MAGIC), 2)
    return file.read()
