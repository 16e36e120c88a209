"""Advisories that came and wait to be taken: each is given once, and none is kept for ever."""

import asyncio
from collections import deque
from typing import NamedTuple

from ..schema import Advisory

MAX_WAITING = 256  # advisories waiting to be taken; the oldest go first
# Advisory ids, so that one sent again is given once; those no longer valid go first
MAX_REMEMBERED = 1024


class Waiting(NamedTuple):
    """An advisory, and until when (ns, by the vehicle's clock) it may be given."""

    until: int
    advisory: Advisory


class AdvisoryQueue:
    """Advisories in the order in which they came; `filled` is set while there may be one."""

    def __init__(self) -> None:
        self.filled = asyncio.Event()
        self._waiting: deque[Waiting] = deque()
        self._valid_until: dict[str, int] = {}  # of the advisories that came, by id

    def knows(self, advisory: Advisory) -> bool:
        """Return whether an advisory came before."""
        return advisory.id in self._valid_until

    def remember(self, advisory: Advisory, now: int) -> None:
        """Remember that an advisory came; make room by those that are no longer valid, else by the oldest."""
        if len(self._valid_until) >= MAX_REMEMBERED:
            self._valid_until = {name: until for name, until in self._valid_until.items() if until > now}
        if len(self._valid_until) >= MAX_REMEMBERED:
            del self._valid_until[next(iter(self._valid_until))]
        self._valid_until[advisory.id] = advisory.valid_until

    def put(self, advisory: Advisory, until: int) -> int:
        """Let an advisory wait until it is taken; return how many had to go for it."""
        dropped = len(self._waiting) >= MAX_WAITING
        if dropped:
            self._waiting.popleft()

        self._waiting.append(Waiting(until, advisory))
        self.filled.set()
        return int(dropped)

    def take(self) -> Waiting | None:
        """Return the advisory that waits longest, None where none does."""
        return self._waiting.popleft() if self._waiting else None
