"""An MCAP file that is only appended to, in whole chunks (lz4), each of which can be read without those before it.

What was appended is whole on its own: a file that is cut off after any chunk loses nothing before it, and a chunk that
could not be written to one file can be appended to the next. Format: https://mcap.dev/spec, records in the order of its
sections. The run's own bodies describe themselves and have no schema; what is added for other viewers has.
"""

import os
import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import lz4.frame

MAGIC = b"\x89MCAP0\r\n"
LIBRARY = "cloudctl"
COMPRESSION_LEVEL = 0  # lz4's fastest: a recorder must not hold up the node

# Opcodes of the records.
HEADER = 1
FOOTER = 2
SCHEMA = 3
CHANNEL = 4
MESSAGE = 5
CHUNK = 6
MESSAGE_INDEX = 7
CHUNK_INDEX = 8
STATISTICS = 11
DATA_END = 15

MESSAGE_HEAD = struct.Struct("<BQHIQQ")  # opcode, length; channel, sequence, log time, publish time
RECORD_HEAD_BYTES = 9  # of any record: opcode, length
CHUNK_FIXED_BYTES = 28 + 7 + 8  # of a Chunk record before its data: times, size, CRC; "lz4"; the data's length


class MessageSchema(NamedTuple):
    """What the messages of a channel look like, for readers that do not know it."""

    name: str
    encoding: str
    data: bytes


class ChannelKind(NamedTuple):
    """What a channel is."""

    topic: str
    encoding: str  # of its messages
    schema: MessageSchema | None = None


class Chunk(NamedTuple):
    """A chunk of messages that can be appended to any file."""

    record: bytes  # the Chunk record
    indexes: tuple[tuple[int, bytes], ...]  # (channel, MessageIndex record)
    counts: dict[int, int]  # messages by channel
    channels: tuple[bytes, ...]  # the Channel records of those
    schemas: tuple[bytes, ...]  # the Schema records of these
    first: int  # ns, log time
    last: int
    size: int  # bytes of its records, uncompressed

    @property
    def messages(self) -> int:
        return sum(self.counts.values())

    @property
    def length(self) -> int:
        """Bytes on disk."""
        return len(self.record) + sum(len(data) for _, data in self.indexes)


class ChunkBuilder:
    """Gathers messages into chunks; channels keep their numbers from one chunk, and one file, to the next."""

    def __init__(self) -> None:
        self._channels: dict[str, NumberedChannel] = {}  # by topic
        self._schemas: dict[MessageSchema, tuple[int, bytes]] = {}  # number, Schema record
        self._sequence = 0
        self._begin()

    def _begin(self) -> None:
        self._data = bytearray()
        self._index: dict[int, list[int]] = {}  # channel -> log time and offset, by turns
        self._first = self._last = -1

    @property
    def size(self) -> int:
        """Bytes gathered, uncompressed."""
        return len(self._data)

    def add(
        self, topic: str, data: bytes, t: int, published: int | None = None, kind: ChannelKind | None = None
    ) -> None:
        """Add a message logged at `t` ns and published at that time too, or at `published`. `kind`: what its channel
        is, where it is not one of the run's own.

        Raises OverflowError or struct.error for a time that is not of 64 bits.
        """
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channels[topic] = self._channel(kind or own_kind(topic))

        length = MESSAGE_HEAD.size - RECORD_HEAD_BYTES + len(data)
        sequence = self._sequence & 0xFFFFFFFF
        head = MESSAGE_HEAD.pack(MESSAGE, length, channel.number, sequence, t, t if published is None else published)
        index = self._index.get(channel.number)

        if index is None:
            self._data += channel.schema + channel.record
            index = self._index[channel.number] = []

        index += (t, len(self._data))
        self._data += head
        self._data += data
        self._sequence += 1
        self._first = t if self._first < 0 else min(self._first, t)
        self._last = max(self._last, t)

    def finish(self) -> Chunk | None:
        """Return the messages gathered as a chunk, and begin the next; None where there are none."""
        if not self._data:
            return None

        data = bytes(self._data)
        packed = lz4.frame.compress(data, compression_level=COMPRESSION_LEVEL)
        head = struct.pack("<QQQI", self._first, self._last, len(data), zlib.crc32(data))
        indexes = tuple((number, _index(number, entries)) for number, entries in self._index.items())
        used = [channel for channel in self._channels.values() if channel.number in self._index]

        chunk = Chunk(
            record=_record(CHUNK, head + _text("lz4") + struct.pack("<Q", len(packed)) + packed),
            indexes=indexes,
            counts={number: len(entries) // 2 for number, entries in self._index.items()},
            channels=tuple(channel.record for channel in used),
            schemas=tuple(dict.fromkeys(channel.schema for channel in used if channel.schema)),
            first=self._first,
            last=self._last,
            size=len(data),
        )
        self._begin()
        return chunk

    def _channel(self, kind: ChannelKind) -> "NumberedChannel":
        schema_number, schema = 0, b""
        if kind.schema is not None:
            known = self._schemas.get(kind.schema)
            if known is None:
                known = self._schemas[kind.schema] = _schema_record(len(self._schemas) + 1, kind.schema)
            schema_number, schema = known

        number = len(self._channels) + 1
        body = struct.pack("<HH", number, schema_number) + _text(kind.topic) + _text(kind.encoding)
        return NumberedChannel(number, _record(CHANNEL, body + struct.pack("<I", 0)), schema)


class NumberedChannel(NamedTuple):
    """A channel as files have it."""

    number: int
    record: bytes
    schema: bytes  # the Schema record, b"" where it has none


def own_kind(topic: str) -> ChannelKind:
    """Return what a channel of the run's own is."""
    return ChannelKind(topic, "json" if topic.startswith("out/") else "msgpack")


def _schema_record(number: int, schema: MessageSchema) -> tuple[int, bytes]:
    data = struct.pack("<I", len(schema.data)) + schema.data
    return number, _record(SCHEMA, struct.pack("<H", number) + _text(schema.name) + _text(schema.encoding) + data)


class McapFile:
    """One file, by its descriptor. After an OSError it holds what was whole before."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._end = 0  # bytes that are whole
        self._crc = 0  # of those
        self._chunk_indexes: list[bytes] = []
        self._channels: dict[bytes, None] = {}
        self._schemas: dict[bytes, None] = {}
        self._counts: dict[int, int] = {}
        self._span = (2**63 - 1, 0)  # ns, log times
        self._write(MAGIC + _record(HEADER, _text("") + _text(LIBRARY)))

    @property
    def size(self) -> int:
        return self._end

    def append(self, chunk: Chunk) -> None:
        """Append a chunk, whole or not at all. Raises OSError."""
        start = self._end
        index_offsets, offset = [], start + len(chunk.record)
        for number, data in chunk.indexes:
            index_offsets.append(struct.pack("<HQ", number, offset))
            offset += len(data)

        self._write(b"".join((chunk.record, *(data for _, data in chunk.indexes))))

        index_bytes = offset - start - len(chunk.record)
        compressed_bytes = len(chunk.record) - RECORD_HEAD_BYTES - CHUNK_FIXED_BYTES

        body = (
            struct.pack("<QQQQ", chunk.first, chunk.last, start, len(chunk.record))
            + _map(index_offsets)
            + struct.pack("<Q", index_bytes)
            + _text("lz4")
            + struct.pack("<QQ", compressed_bytes, chunk.size)
        )
        self._chunk_indexes.append(_record(CHUNK_INDEX, body))
        self._channels.update(dict.fromkeys(chunk.channels))
        self._schemas.update(dict.fromkeys(chunk.schemas))

        for number, count in chunk.counts.items():
            self._counts[number] = self._counts.get(number, 0) + count

        self._span = min(self._span[0], chunk.first), max(self._span[1], chunk.last)

    def close(self) -> None:
        """Append the summary, so that the file is complete. Raises OSError; the file holds all its chunks even then."""
        data_end = _record(DATA_END, struct.pack("<I", self._crc))
        summary = b"".join((*self._schemas, *self._channels, self._statistics(), *self._chunk_indexes))
        summary_start = self._end + len(data_end)

        # the CRC is of the summary and of the footer up to the CRC itself
        footer = struct.pack("<BQQQ", FOOTER, 20, summary_start, 0)
        crc = struct.pack("<I", zlib.crc32(footer, zlib.crc32(summary)))
        self._write(data_end + summary + footer + crc + MAGIC)

    def _statistics(self) -> bytes:
        first, last = self._span
        head = struct.pack(
            "<QHIIIIQQ",
            sum(self._counts.values()),  # messages
            len(self._schemas),
            len(self._channels),
            0,  # attachments
            0,  # metadata
            len(self._chunk_indexes),
            min(first, last),
            last,
        )

        counts = _map(struct.pack("<HQ", number, count) for number, count in self._counts.items())
        return _record(STATISTICS, head + counts)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._cut()
            raise

        self._end += len(data)
        self._crc = zlib.crc32(data, self._crc)

    def _cut(self) -> None:
        """Remove what was written of a record that did not fit."""
        try:
            os.ftruncate(self._descriptor, self._end)
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
        except OSError:
            pass  # a device or a pipe: there is nothing to take back


def _record(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def _map(entries: Iterable[bytes]) -> bytes:
    data = b"".join(entries)
    return struct.pack("<I", len(data)) + data


def _index(number: int, entries: list[int]) -> bytes:
    return _record(
        MESSAGE_INDEX, struct.pack("<HI", number, len(entries) * 8) + struct.pack(f"<{len(entries)}Q", *entries)
    )
