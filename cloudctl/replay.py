"""A recording -> the same engine, as fast as it can, and the proof that its advisories are the same bytes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .clock import SECOND, EventClock, stopwatch
from .engine import Engine, Output
from .faults import Fault, Faults
from .io.recording.parts import head
from .io.recording.reader import Recording, RecordingError
from .io.recording.setup import setup_of
from .io.recording.software import other_software
from .metrics import Metrics
from .payloads import encode_all
from .schema import RawMessage

PROGRESS_STEPS = 1000  # between two calls of `progress`
EXCERPT_BYTES = 40  # of an advisory, shown before and after the first byte that differs


class Difference(NamedTuple):
    """The first step whose advisories are not the recorded ones."""

    step: int  # counted from 1
    t: int  # ns
    recorded: tuple[bytes, ...]  # the advisories of that step
    replayed: tuple[bytes, ...]

    def __str__(self) -> str:
        step = f"step {self.step} (t = {self.t})"
        if len(self.recorded) != len(self.replayed):
            return f"{step}: {len(self.recorded)} advisories were recorded, the replay gave {len(self.replayed)}"

        for number, (recorded, replayed) in enumerate(zip(self.recorded, self.replayed, strict=True)):
            if recorded != replayed:
                byte = _first_difference(recorded, replayed)
                excerpt = slice(max(byte - EXCERPT_BYTES, 0), byte + EXCERPT_BYTES)
                return (
                    f"{step}, advisory {number}, byte {byte}: "
                    f"recorded ...{recorded[excerpt]!r}... replay ...{replayed[excerpt]!r}..."
                )

        return f"{step}: none"


def _first_difference(recorded: bytes, replayed: bytes) -> int:
    """Return the index of the first byte in which two texts differ; the length of the shorter one where it begins the
    other."""
    for index, (one, other) in enumerate(zip(recorded, replayed, strict=False)):
        if one != other:
            return index
    return min(len(recorded), len(replayed))


@dataclass(kw_only=True)
class Replay:
    """The result of a replay."""

    steps: int = 0
    messages: int = 0
    advisories: int = 0
    recorded: int = 0  # advisories
    span_s: float = 0.0  # of recorded time
    took_s: float = 0.0
    difference: Difference | None = None
    fault: str | None = None  # of the file
    other_software: str | None = None  # that another version has recorded it
    notes: list[str] = field(default_factory=list)  # what of the run is not recorded
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)  # of the node: (place, cause) -> how often
    tracebacks: dict[tuple[str, str], str] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def identical(self) -> bool:
        """Return whether every advisory had the bytes of the recorded one, as far as the file could be read."""
        return self.difference is None

    @property
    def speed(self) -> float:
        """Return how many times faster than real time the replay was."""
        return self.span_s / self.took_s if self.took_s else 0.0

    def add_faults(self, faults: list[Fault]) -> None:
        """Count faults of the node's own; the traceback of each cause is kept once."""
        for fault in faults:
            self.faults[fault.place, fault.cause] += 1
            if fault.text:
                self.tracebacks[fault.place, fault.cause] = fault.text


def replay(path: Path, progress: Callable[[Replay], None] | None = None, debug: bool = False) -> Replay:
    """Drive an engine with a recording and compare its advisories with the recorded ones.

    `path` is any file of the run, or its folder. A fault of the node's own is noted, and the replay goes on as the node
    did; with `debug`, the first one is raised. Raises RecordingError when there is no run.
    """
    recording = Recording(path)
    engine = engine_of(recording, debug)
    result = Replay(metrics=engine.metrics)
    faults = Faults(engine.metrics, debug)
    clock = EventClock()  # the engine gets its time from the recording alone
    start = stopwatch()
    begin = None

    for step in recording.steps():
        clock.advance(step.t)
        begin = begin or clock.now()
        advisories = _step(engine, clock.now(), step.batch, faults, result)

        result.steps += 1
        result.messages += len(step.batch)
        result.advisories += len(advisories)
        result.recorded += len(step.advisories)
        result.span_s = (step.t - begin) / SECOND

        if advisories != step.advisories and result.difference is None:
            result.difference = Difference(result.steps, step.t, step.advisories, advisories)

        if progress and result.steps % PROGRESS_STEPS == 0:
            progress(result)

    result.took_s = (stopwatch() - start) / SECOND
    result.fault = recording.fault
    result.notes = recording.notes
    first = head(recording.parts[0])
    result.other_software = other_software(first.software if first is not None else "")

    return result


def _step(engine: Engine, t: int, batch: tuple[RawMessage, ...], faults: Faults, result: Replay) -> tuple[bytes, ...]:
    """Take one step as the node did, and return the bytes of its advisories."""
    try:
        output = engine.step(t, batch)
    except Exception as error:
        faults.note("step", "", error)
        output = Output()

    payloads = tuple(payload for _, payload in encode_all(output.advisories, faults))
    result.add_faults([*output.errors, *faults.take()])
    return payloads


def engine_of(recording: Recording, debug: bool = False) -> Engine:
    """Return a fresh engine of a recording's own codes and configuration. Raises RecordingError when it holds none."""
    config, codes = setup_of(recording, with_added=False)  # these are inputs of its first step
    try:
        return Engine(codes, config, debug=debug)
    except ValueError as error:
        raise RecordingError(
            f"{recording.path}: configuration and codes of the run do not fit one another ({error}). "
            f"{recording.fault or 'It was put together of files that do not belong together'}"
        ) from error
