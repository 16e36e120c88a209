"""Waiting in tests: always for something that can be asked, and never without an end.

The end keeps a test from hanging; it is never what a test asserts. A shared machine stands still for seconds at times,
and may be many times slower than the one that a test was written on: how soon something happens is measured by benches.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from cloudctl.clock import SECOND, WallClock, sleep_until, stopwatch

INTERVAL = 0.02  # s between two looks
PATIENCE = 90.0  # s that a wait lasts at least, and that a process is given to end
MAX_PAUSE = 0.5  # s between two looks that count: beyond it, the machine stood still, and what is awaited did too


class Guard:
    """The end of a wait: after `seconds`, or PATIENCE where that is longer, in which the machine has run."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._left = max(seconds, PATIENCE)
        self._last = stopwatch()

    def is_over(self) -> bool:
        """Return whether it is time to give up; to be asked between two looks."""
        now = stopwatch()
        self._left -= min((now - self._last) / SECOND, MAX_PAUSE)
        self._last = now
        return self._left < 0


def until(done: Callable[[], Any], seconds: float = PATIENCE, what: str = "it") -> Any:
    """Return what `done` returns once that is true; fails when the guard's time goes by first."""
    clock, guard = WallClock(), Guard(seconds)
    while not (result := done()):
        assert not guard.is_over(), f"{what} did not happen"
        sleep_until(clock.now() + int(INTERVAL * SECOND))
    return result


async def when(done: Callable[[], object], seconds: float = PATIENCE, what: str = "it") -> None:
    """Return once `done` is true, the event loop running meanwhile; fails when the guard's time goes by first."""
    guard = Guard(seconds)
    while not done():
        assert not guard.is_over(), f"{what} did not happen"
        await asyncio.sleep(INTERVAL)


def stays(holds: Callable[[], object], seconds: float, what: str = "it") -> None:
    """Fail where `holds` is not true at each look for some seconds: for what is not to happen."""
    clock, end = WallClock(), stopwatch() + int(seconds * SECOND)
    while stopwatch() < end:
        assert holds(), f"{what} does not hold any more"
        sleep_until(clock.now() + int(INTERVAL * SECOND))


class Standstill:
    """How long the machine has stood still meanwhile, as a thread notices that is to run every INTERVAL: for what is
    asserted of times."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Standstill":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        last = stopwatch()
        while not self._is_over.wait(INTERVAL):
            now = stopwatch()
            self.seconds += max((now - last) / SECOND - 2 * INTERVAL, 0.0)
            last = now


async def when_past(t: int) -> None:
    """Return as soon as the wall clock is past `t`, ns: for what ends at a time of its own."""
    while (left := t - WallClock().now()) >= 0:
        await asyncio.sleep(left / SECOND + INTERVAL)
