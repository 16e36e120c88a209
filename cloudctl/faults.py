"""A fault inside one message, one plan or one task is confined to it: counted, described once with its traceback, and
the rest goes on.

`Faults` is for code that does no I/O (the engine): what it notes is given out with the step. `FaultReport` makes the
lines an operator reads.
"""

import traceback
from typing import NamedTuple

from .clock import SECOND
from .metrics import Metrics

MAX_TEXT = 6000  # characters of a traceback; its end tells most
MAX_PENDING = 256  # faults of one step that are given out; all are counted
REPEAT = 60 * SECOND  # between two lines on the same cause


class Fault(NamedTuple):
    """One unexpected exception: in which guarded place, of whose work, its cause, and its traceback where the cause is
    new."""

    place: str  # ingest, fuse, plan, report, ...
    source: str  # the kind of message or the intersection that it concerns
    cause: str  # "KeyError at policy.py:41"
    text: str


class Faults:
    """Notes unexpected exceptions. `debug`: raises them again instead, so that the first one stops everything."""

    def __init__(self, metrics: Metrics, debug: bool = False) -> None:
        self._metrics, self.debug = metrics, debug
        self._described: set[tuple[str, str]] = set()  # asked, never walked; bounded by the lines of the program
        self._pending: list[Fault] = []

    def note(self, place: str, source: str, error: Exception) -> None:
        """Count one, and keep it until it is taken. Raises it again in debugging."""
        if self.debug:
            raise error
        self._metrics.count(f"fault.{place}", source)
        cause = _cause(error)
        text = ""
        if (place, cause) not in self._described:
            self._described.add((place, cause))
            text = "".join(traceback.format_exception(error))[-MAX_TEXT:].rstrip()
        if text or len(self._pending) < MAX_PENDING:
            self._pending.append(Fault(place, source, cause, text))

    def take(self) -> list[Fault]:
        """Return what was noted since the last call."""
        taken, self._pending = self._pending, []
        return taken


class FaultReport:
    """Turns faults into lines: each cause once with its traceback, its repetitions counted and named once a minute at
    most."""

    def __init__(self) -> None:
        self._repeated: dict[
            tuple[str, str], tuple[int, int]
        ] = {}  # (place, cause) -> (ns of the last line, repetitions since)

    def lines(self, t: int, faults: list[Fault]) -> list[str]:
        """Return what an operator is to read at `t` ns (of a clock that only runs forward) of these faults."""
        out = []
        for fault in faults:
            key = (fault.place, fault.cause)
            last = self._repeated.get(key)
            if last is None:
                self._repeated[key] = (t, 0)
                remedy = "The rest goes on. Please report it with the recording"
                out.append(f"fault in {fault.place} ({fault.source}): {fault.cause}. {remedy}\n{fault.text}".rstrip())
            else:
                self._repeated[key] = (last[0], last[1] + 1)
        return out + self._again(t)

    def _again(self, t: int) -> list[str]:
        out = []
        for (place, cause), (last, count) in self._repeated.items():
            if count and t - last >= REPEAT:
                out.append(f"fault in {place} again, {count} times in {(t - last) / SECOND:.0f} s: {cause}")
                self._repeated[place, cause] = (t, 0)
        return out


def _cause(error: Exception) -> str:
    """Return the type of an exception, and the file and line that raised it."""
    where, step = "unknown", error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename.rpartition("/")[2]
        where, step = f"{name}:{step.tb_lineno}", step.tb_next
    return f"{type(error).__name__} at {where}"
