"""A recording -> the same engine, as fast as it can; and the proof that it says the same."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from .clock import SECOND, EventClock, stopwatch
from .codes.canon import parse
from .engine import Engine, Output
from .faults import Fault, Faults
from .io.recording.reader import Recording, RecordingError
from .metrics import Metrics
from .payloads import encode_all
from .schema import RawMessage
from .settings import EngineConfig


@dataclass
class Replay:
    """What a replay did. `difference` is None when every advisory was byte-identical to the recorded one."""

    steps: int = 0
    messages: int = 0
    advisories: int = 0
    recorded: int = 0
    span_s: float = 0.0  # of recorded time
    took_s: float = 0.0
    difference: str | None = None
    fault: str | None = None  # of the file
    notes: list[str] = field(default_factory=list)  # what of the run is not recorded
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)  # of the node: (place, cause) -> how often
    tracebacks: dict[tuple[str, str], str] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def speed(self) -> float:
        """Times real time."""
        return self.span_s / self.took_s if self.took_s else 0.0


def replay(
    path: Path,
    progress: Callable[[Replay], None] | None = None,
    said: list[bytes] | None = None,
    debug: bool = False,
) -> Replay:
    """Drive an engine with a recording and compare what it says; `said`, where given, collects the advisories.

    `path` is any file of the run, or its folder. A fault of the node's own is noted, and the replay goes on as the node did; with `debug`, the
    first one is raised. Raises RecordingError when there is no run.
    """
    recording = Recording(path)
    engine = engine_of(recording, debug)
    result = Replay(metrics=engine.metrics)
    faults = Faults(engine.metrics, debug)
    clock = EventClock()
    start = stopwatch()
    first = None
    for step in recording.steps():
        clock.advance(step.t)
        first = first or clock.now()
        out = _step(engine, clock.now(), step.batch, faults, result)
        if said is not None:
            said += out
        result.steps += 1
        result.messages += len(step.batch)
        result.advisories += len(out)
        result.recorded += len(step.advisories)
        result.span_s = (step.t - first) / SECOND
        if tuple(out) != step.advisories and result.difference is None:
            result.difference = _difference(result.steps, step.t, step.advisories, out)
        if progress and result.steps % 1000 == 0:
            progress(result)
    result.took_s = (stopwatch() - start) / SECOND
    result.fault, result.notes = recording.fault, recording.notes
    return result


def _step(engine: Engine, t: int, batch: tuple[RawMessage, ...], faults: Faults, result: Replay) -> list[bytes]:
    """Take one step as the node did, and return the advisories it sent."""
    try:
        out = engine.step(t, batch)
    except Exception as error:
        faults.note("step", "", error)
        out = Output()
    payloads = [payload for _, payload in encode_all(out.advisories, faults)]
    _note(result, [*out.errors, *faults.take()])
    return payloads


def _note(result: Replay, faults: list[Fault]) -> None:
    for fault in faults:
        result.faults[fault.place, fault.cause] += 1
        if fault.text:
            result.tracebacks[fault.place, fault.cause] = fault.text


def engine_of(recording: Recording, debug: bool = False) -> Engine:
    """Return a fresh engine of a recording's own codes and configuration. Raises RecordingError when it holds none."""
    config, loaded = None, []
    for name, data in recording.meta:
        if name == "config":
            config = msgspec.json.decode(data, type=EngineConfig)
        elif name == "code":
            loaded.append(
                parse(data, str(recording.path))
            )  # it was checked when the run was made, by the rules of that time
    if config is None:
        raise RecordingError(
            f"{recording.path} holds no run that can be replayed. "
            + (recording.fault or "Record one with [record] path = ...")
        )
    return Engine(loaded, config, debug=debug)


def _difference(step: int, t: int, recorded: tuple[bytes, ...], said: list[bytes]) -> str:
    if len(recorded) != len(said):
        return f"step {step} (t = {t}): recorded {len(recorded)} advisories, replay said {len(said)}"
    k = next(i for i, (a, b) in enumerate(zip(recorded, said, strict=True)) if a != b)
    at = next(
        (i for i, (a, b) in enumerate(zip(recorded[k], said[k], strict=False)) if a != b),
        min(len(recorded[k]), len(said[k])),
    )
    around = slice(max(at - 40, 0), at + 40)
    return f"step {step} (t = {t}), advisory {k}, byte {at}: recorded ...{recorded[k][around]!r}... replay ...{said[k][around]!r}..."
