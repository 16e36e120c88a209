"""Waiting in tests: always for something that can be asked, and never without an end."""

import asyncio
from collections.abc import Callable
from typing import Any

from cloudctl.clock import SECOND, WallClock, sleep_until, stopwatch

INTERVAL = 0.02  # s between two looks


def until(done: Callable[[], Any], seconds: float = 20.0, what: str = "it") -> Any:
    """Return what `done` returns once that is true; fails when `seconds` go by first."""
    clock = WallClock()
    begin = stopwatch()
    while stopwatch() - begin < seconds * SECOND:
        if result := done():
            return result
        sleep_until(clock.now() + int(INTERVAL * SECOND))
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


async def when(done: Callable[[], object], seconds: float = 20.0, what: str = "it") -> float:
    """Return after how many s `done` was true, the event loop running meanwhile; fails when it was not within
    `seconds`.
    """
    begin = stopwatch()
    while not done():
        assert stopwatch() - begin < seconds * SECOND, f"{what} did not happen within {seconds:.0f} s"
        await asyncio.sleep(INTERVAL)
    return (stopwatch() - begin) / SECOND


async def when_past(t: int) -> None:
    """Return as soon as the wall clock is past `t`, ns: for what ends at a time of its own."""
    while (left := t - WallClock().now()) >= 0:
        await asyncio.sleep(left / SECOND + INTERVAL)
