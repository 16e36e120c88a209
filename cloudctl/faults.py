"""An exception inside one message, one plan or one task is confined to it: it is counted, described once, and the
rest goes on.

`Faults` is for code that does no I/O (the engine): the faults it notes are returned with the step. `FaultReport` makes
the lines that an operator reads.
"""

import traceback
from typing import NamedTuple

from .clock import SECOND
from .metrics import Metrics

MAX_TEXT = 6000  # characters of a traceback, from its end, where the cause is
MAX_PENDING = 256  # faults of one step that are returned; all are counted
REPEAT = 60 * SECOND  # between two lines on the same cause


class Fault(NamedTuple):
    """One unexpected exception."""

    place: str  # the guarded part it came from: ingest, fuse, plan, report, ...
    source: str  # the kind of message or the intersection that it concerns
    cause: str  # "KeyError at policy.py:41"
    text: str  # its traceback where the cause is new, else ""


class Faults:
    """Notes unexpected exceptions. `debug`: raises them again instead, so that the first one stops everything."""

    def __init__(self, metrics: Metrics, debug: bool = False) -> None:
        self.debug = debug
        self._metrics = metrics
        self._described: set[tuple[str, str]] = set()  # only asked for; bounded by the lines of the program
        self._pending: list[Fault] = []

    def note(self, place: str, source: str, error: Exception) -> None:
        """Count a fault, and keep it until it is taken. Raises it again in debugging."""
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
        """Return the faults noted since the last call."""
        pending, self._pending = self._pending, []
        return pending


class FaultReport:
    """Turns faults into lines: each cause once with its traceback; its repetitions are counted, with a line a minute
    at most."""

    def __init__(self) -> None:
        # by (place, cause): ns of the last line, and repetitions since
        self._repetitions: dict[tuple[str, str], tuple[int, int]] = {}

    def lines(self, t: int, faults: list[Fault]) -> list[str]:
        """Return the lines to print at `t` ns, of a clock that only runs forward."""
        lines = []
        for fault in faults:
            key = (fault.place, fault.cause)
            known = self._repetitions.get(key)
            if known is None:
                self._repetitions[key] = (t, 0)
                remedy = "The rest goes on. Please report it with the recording"
                line = f"fault in {fault.place} ({fault.source}): {fault.cause}. {remedy}\n{fault.text}"
                lines.append(line.rstrip())
            else:
                last_line, count = known
                self._repetitions[key] = (last_line, count + 1)

        return lines + self._repetition_lines(t)

    def _repetition_lines(self, t: int) -> list[str]:
        lines = []
        for (place, cause), (last_line, count) in self._repetitions.items():
            if count and t - last_line >= REPEAT:
                seconds = (t - last_line) / SECOND
                lines.append(f"fault in {place} again, {count} times in {seconds:.0f} s: {cause}")
                self._repetitions[place, cause] = (t, 0)
        return lines


def _cause(error: Exception) -> str:
    """Return the type of an exception, and the file and line that raised it."""
    location = "unknown"
    step = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename.rpartition("/")[2]
        location = f"{name}:{step.tb_lineno}"
        step = step.tb_next

    return f"{type(error).__name__} at {location}"
