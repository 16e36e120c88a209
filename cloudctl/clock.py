"""The one place that reads time. Integer nanoseconds since the Unix epoch, UTC."""

import time  # noqa: TID251
from typing import Protocol

MS = 1_000_000
SECOND = 1_000_000_000


class Clock(Protocol):
    """Anything that can say what time it is."""

    def now(self) -> int:
        """Return ns since the Unix epoch."""
        ...


class WallClock:
    """The machine's clock, made strictly increasing so that a time names one batch."""

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> int:
        self._last = max(time.time_ns(), self._last + 1)
        return self._last


class EventClock:
    """A clock that stands where the last event put it: replay and in-process runs."""

    def __init__(self, t: int = 0) -> None:
        self._t = t

    def now(self) -> int:
        return self._t

    def advance(self, t: int) -> None:
        """Move to `t` ns; never backwards."""
        self._t = max(self._t, t)


def sleep_until(t: int) -> None:
    """Block until the machine's clock shows `t` ns (returns at once when it is past)."""
    left = t - time.time_ns()
    if left > 0:
        time.sleep(left / SECOND)


def stopwatch() -> int:
    """Return a monotonic count of ns, for measuring durations only."""
    return time.perf_counter_ns()


def cpu() -> int:
    """Return the ns of processor time this process has used, for measuring work on a machine that others use too."""
    return time.process_time_ns()
