"""Recording and reading runs as MCAP files (lz4). What goes in is raw: a replay decodes what the node decoded.

Topics: `meta` (codes, configuration), `in/<kind>` (`[sender, body]`, msgpack), `tick` (closes each batch that the engine
was given; its time is the step's), `out/advisories` (JSON, as sent), `truth` (from the simulator, when it drives).
"""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import foxglove
import msgspec
from foxglove.mcap import MCAPCompression, MCAPWriteOptions
from mcap.exceptions import McapError
from mcap.records import Channel, Message
from mcap.stream_reader import StreamReader

from .schema import Datum
from .topics import TOPICS

CHUNK = 256 * 1024  # bytes; what a cut-off file can lose of its end


class LogError(RuntimeError):
    """A recording that cannot be written or read; the text says what to do."""


class Step(NamedTuple):
    """One call of the engine as it was recorded: when, what it was given, what it said."""

    t: int
    batch: tuple[Datum, ...]
    advisories: tuple[bytes, ...]


class _Sink:
    """A file that remembers its first failure instead of passing it to a writer that cannot report it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.failure: OSError | None = None
        self._end = 0

    def write(self, data: bytes) -> int:
        self._try(self.file.write, data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def flush(self) -> None:
        self._try(self.file.flush)

    def _try(self, action: Any, *args: Any) -> None:
        if self.failure is None:
            try:
                action(*args)
            except OSError as error:
                self.failure = error


class Recorder:
    """Writes one run. A failure (a full disk) ends the recording, never the node: `failure` says what happened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: str | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("wb", buffering=0)
        except OSError as error:
            raise LogError(
                f"cannot record to {path}: {error.strerror}. Choose another path under [record], "
                "or give the node's user the right to write there"
            ) from None
        self._sink = _Sink(file)
        self._context = foxglove.Context()
        options = MCAPWriteOptions(compression=MCAPCompression.Lz4, chunk_size=CHUNK)
        self._writer = foxglove.open_mcap(self._sink, context=self._context, writer_options=options)  # type: ignore[arg-type]
        self._channels: dict[str, Any] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    def meta(self, name: str, data: bytes) -> None:
        """Record what a replay needs to know before the first step: `name` is "config" or "code"."""
        self._log("meta", self._encode((name, data)), 0)

    def step(self, t: int, batch: tuple[Datum, ...] | list[Datum], advisories: list[bytes]) -> None:
        """Record one step: its data, the tick that closes it, what was said."""
        for datum in batch:
            if TOPICS[datum.kind].logged:
                self._log(f"in/{datum.kind}", self._encode((datum.sender, datum.body)), t)
        self._log("tick", b"", t)
        for advisory in advisories:
            self._log("out/advisories", advisory, t)
        if self._sink.failure is not None and self.failure is None:
            self.failure = (
                f"recording to {self.path} stopped: {self._sink.failure.strerror}. The node runs on without it; "
                "free some space and restart to record again"
            )

    def truth(self, t: int, data: bytes) -> None:
        """Record what the simulator knows to be so at `t`."""
        self._log("truth", data, t)

    def _log(self, topic: str, data: bytes, t: int) -> None:
        if self.failure is None:
            channel = self._channels.get(topic)
            if channel is None:
                encoding = "json" if topic.startswith("out/") else "msgpack"
                schema = foxglove.Schema(name=f"cloudctl/{topic}", encoding="", data=b"")
                channel = foxglove.Channel(topic, message_encoding=encoding, schema=schema, context=self._context)
                self._channels[topic] = channel
            channel.log(data, log_time=t)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._writer.close()
        self._sink.file.close()


class Recording:
    """Reads one run, in the order it was written. After the end, `fault` says what was wrong with the file, if anything."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: str | None = None
        self.meta: list[tuple[str, bytes]] = []
        if not path.is_file():
            raise LogError(
                f"{path} does not exist. A run is recorded with [record] path = ..., or by: cloudctl sim run --record FILE"
            )
        self._steps = self._read()
        self._first = next(self._steps, None)

    def steps(self) -> Iterator[Step]:
        """Yield the steps; can be walked once."""
        if self._first is not None:
            yield self._first
            yield from self._steps

    def _read(self) -> Iterator[Step]:
        t: int | None = None
        batch: list[Datum] = []
        said: list[bytes] = []
        waiting: list[Datum] = []
        for topic, message in self._messages():
            if topic == "meta":
                name, data = msgspec.msgpack.decode(message.data, type=tuple[str, bytes])
                self.meta.append((name, data))
            elif topic == "out/advisories":
                said.append(message.data)
            elif topic == "tick":
                if t is not None:
                    yield Step(t, tuple(batch), tuple(said))
                t, batch, said, waiting = message.log_time, waiting, [], []
            elif topic.startswith("in/"):
                sender, body = msgspec.msgpack.decode(message.data, type=tuple[str, bytes])
                waiting.append(Datum(topic[3:], sender, body))
        if t is not None and self.fault is None:  # of a damaged file the last step may lack advisories: leave it out
            yield Step(t, tuple(batch), tuple(said))

    def _messages(self) -> Iterator[tuple[str, Message]]:
        topics: dict[int, str] = {}
        count = 0
        with self.path.open("rb") as file:
            try:
                for record in StreamReader(file, validate_crcs=True).records:
                    if isinstance(record, Channel):
                        topics[record.id] = record.topic
                    elif isinstance(record, Message):
                        count += 1
                        yield topics[record.channel_id], record
            except (
                McapError,
                RuntimeError,
                ValueError,
                EOFError,
                KeyError,
                struct.error,
                msgspec.DecodeError,
            ) as error:
                reason = str(error) or type(error).__name__
                self.fault = (
                    f"{self.path} is damaged or cut off after {count} whole messages ({reason}). "
                    "What is whole before that was used"
                )


def truths(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (t, data) of every truth record in a file."""
    recording = Recording.__new__(Recording)
    recording.path, recording.fault = path, None
    for topic, message in recording._messages():
        if topic == "truth":
            yield message.log_time, message.data
