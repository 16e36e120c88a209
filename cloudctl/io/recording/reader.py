"""Reads runs as they were recorded: the MCAP files of one run, one after the other. `writer` lists their topics."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from mcap.exceptions import EndOfFile
from mcap.records import Channel, Message
from mcap.stream_reader import StreamReader

from ...schema import RawMessage
from .envelopes import meta_entry_of, raw_message_of, unreadable
from .parts import UNREADABLE, Part, RecordingError, bounded, parts_of
from .setup import standing_inputs
from .writer import Recorder

__all__ = ["Recorder", "Recording", "RecordingError", "Step", "truths"]


MAX_FAULTS = 8  # of a file that are named


class Step(NamedTuple):
    """One call of the engine as it was recorded: its time, its messages, the advisories it returned."""

    t: int
    batch: tuple[RawMessage, ...]
    advisories: tuple[bytes, ...]


class StepAssembler:
    """Puts the messages of a recording together to steps: a tick closes a batch, the advisories of its step follow it,
    so a step is whole when the next tick comes."""

    def __init__(self) -> None:
        self._t: int | None = None
        self._batch: list[RawMessage] = []
        self._next_batch: list[RawMessage] = []
        self._advisories: list[bytes] = []

    def add(self, topic: str, message: Message) -> Step | None:
        """Take the next message; return the step that it shows to be whole, None where it shows none."""
        if topic == "out/advisories":
            self._advisories.append(message.data)
        elif topic.startswith("in/"):
            self._next_batch.append(raw_message_of(topic, message.data))
        elif topic == "tick":
            step = self.last()
            self._t, self._batch, self._next_batch, self._advisories = message.log_time, self._next_batch, [], []
            return step

        return None

    def last(self) -> Step | None:
        """Return the step of the last tick, with the advisories that have followed it; None before the first."""
        return None if self._t is None else Step(self._t, tuple(self._batch), tuple(self._advisories))


class Recording:
    """Reads one run, in the order it was written, given any file of it or its folder.

    After the end, `fault` is what was wrong with a file, if anything, and `notes` what of the run is missing. Raises
    RecordingError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: str | None = None
        self.meta: list[tuple[str, bytes]] = []
        self.parts, missing = parts_of(path)
        self.notes: list[str] = [missing] if missing else []
        self._steps = self._read()
        self._first = next(self._steps, None)

    def steps(self) -> Iterator[Step]:
        """Yield the steps; once only. Of a later part alone, the first step has what still counted of the earlier ones
        as inputs before its own."""
        if self._first is not None:
            yield self._first._replace(batch=(*standing_inputs(self.meta), *self._first.batch))
            yield from self._steps

    def _read(self) -> Iterator[Step]:
        for number, path in enumerate(self.parts):
            last = number == len(self.parts) - 1
            yield from self._read_part(PartReader(path), first=number == 0, last=last)

    def _read_part(self, reader: "PartReader", first: bool, last: bool) -> Iterator[Step]:
        assembler = StepAssembler()
        for topic, message in reader.messages():
            if topic == "meta":
                self._meta(*meta_entry_of(message.data), first)
            elif step := assembler.add(topic, message):
                yield step

        # an earlier part has no summary where the disk was full: that is no fault
        is_expected = reader.cut_off and not last
        if reader.fault is not None and not is_expected:
            self.fault = reader.fault if self.fault is None else f"{self.fault}; {reader.fault}"

        # the last step of a damaged file may lack advisories: it is left out
        is_whole = reader.is_read_whole or (reader.cut_off and reader.whole_steps)
        if is_whole and (step := assembler.last()):
            yield step

    def _meta(self, name: str, data: bytes, first: bool) -> None:
        if name == "run":
            try:
                self.notes += [str(lost) for lost in msgspec.json.decode(data, type=Part).lost]
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self.notes.append(f"which part of which run a file is cannot be read ({error})")
        elif first:
            self.meta.append((name, data))


class PartReader:
    """Reads one file. After the end: `fault` is what was wrong; `is_read_whole`: it was read to its end; `cut_off`: it
    only ends early; `whole_steps`: each chunk of it holds whole steps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: str | None = None
        self.cut_off = False
        self.whole_steps = False
        self.is_read_whole = True
        self._notes = 0

    def messages(self) -> Iterator[tuple[str, Message]]:
        """Yield (topic, message) as far as the file is whole."""
        topics: dict[int, str] = {}
        count = 0
        with self.path.open("rb") as file:
            try:
                for record in StreamReader(bounded(file), validate_crcs=True).records:
                    if isinstance(record, Channel):
                        topics[record.id] = record.topic
                    elif isinstance(record, Message):
                        count += 1
                        topic = topics[record.channel_id]
                        self.whole_steps |= count == 1 and topic == "meta" and b"run" in record.data[:8]

                        if reason := unreadable(topic, record):
                            self._note(f"{self.path} is damaged: {reason}. It was left out, the rest was used")
                            continue

                        yield topic, record
            except UNREADABLE as error:
                self.cut_off = isinstance(error, EndOfFile)
                self.is_read_whole = False
                reason = str(error) or type(error).__name__
                self._note(
                    f"{self.path} is damaged or cut off after {count} whole messages ({reason}). "
                    "What is whole before that was used"
                )

    def _note(self, fault: str) -> None:
        self._notes += 1
        if self.fault is None:
            self.fault = fault
        elif self._notes <= MAX_FAULTS:
            self.fault = f"{self.fault}; {fault}"


def truths(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (t, data) of every truth record in a file."""
    for part in parts_of(path)[0]:
        for topic, message in PartReader(part).messages():
            if topic == "truth":
                yield message.log_time, message.data
