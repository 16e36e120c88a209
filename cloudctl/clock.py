"""The one place that reads time. Integer nanoseconds since the Unix epoch, UTC."""

import time  # noqa: TID251
from typing import Protocol

MS = 1_000_000
SECOND = 1_000_000_000


class Clock(Protocol):
    """A source of the present time."""

    def now(self) -> int:
        """Return ns since the Unix epoch."""
        ...


STEP = 250 * MS  # a larger change against the monotonic clock is a step; NTP slews away less than 128 ms


class WallClock:
    """The machine's clock, strictly increasing; where it is set back by STEP or more, that is followed at once."""

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> int:
        t = time.time_ns()
        self._last = self._last + 1 if 0 <= self._last - t < STEP else t
        return self._last


class SteadyClock:
    """UTC, strictly increasing, that does not follow a step of the machine's clock until `follow()` is called.

    A monotonic clock carries it over a step; differences up to STEP are followed at once. `stepped` (ns) is how far the
    machine's clock is ahead since it stepped, 0 while the two agree.
    """

    def __init__(self) -> None:
        self.stepped = 0
        self._base = time.time_ns() - time.monotonic_ns()
        self._last = 0

    def now(self) -> int:
        monotonic = time.monotonic_ns()
        ahead = time.time_ns() - monotonic - self._base
        if -STEP < ahead < STEP:
            self._base += ahead
            self.stepped = 0
        else:
            self.stepped = ahead

        self._last = max(monotonic + self._base, self._last + 1)
        return self._last

    def follow(self) -> int:
        """Set the time to the machine's clock, backwards too; return by how much time moves (ns)."""
        self.now()
        moved = self.stepped
        self._base += moved
        self._last += min(moved, 0)
        self.stepped = 0
        return moved


class EventClock:
    """A clock that shows the time of the last event: for replay and in-process runs."""

    def __init__(self, t: int = 0) -> None:
        self._t = t

    def now(self) -> int:
        return self._t

    def advance(self, t: int) -> None:
        """Move to `t` ns: backwards, too, where the recorded clock was set back."""
        self._t = t


def sleep_until(t: int) -> None:
    """Block until the machine's clock shows `t` ns; return at once when it is past."""
    remaining = t - time.time_ns()
    if remaining > 0:
        time.sleep(remaining / SECOND)


def stopwatch() -> int:
    """Return a monotonic count of ns, for measuring durations only."""
    return time.perf_counter_ns()


def cpu() -> int:
    """Return the ns of processor time this process has used, for measuring work on a machine that others use too."""
    return time.process_time_ns()
