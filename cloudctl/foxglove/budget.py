"""How much of the node's time viewers may take: what goes beyond is left out and counted, and nothing waits for it."""

from collections.abc import Callable
from typing import Final

from ..clock import MS, stopwatch

SHARE: Final = 0.1  # of the loop's time, in the long run
BURST: Final = 50 * MS  # ns at once: the drawings of some intersections


class Budget:
    """A bucket of time that fills by SHARE. `begin` before the work, `end` after it."""

    def __init__(self, now: Callable[[], int] = stopwatch) -> None:
        self._now = now
        self._last = now()
        self._left = float(BURST)  # ns
        self._begun = 0

    def begin(self) -> bool:
        """Return whether there is time for more."""
        now = self._begun = self._now()
        self._left = min(self._left + (now - self._last) * SHARE, float(BURST))
        self._last = now
        return self._left > 0.0

    def end(self) -> None:
        """Take off what was spent since `begin`."""
        self._left -= self._now() - self._begun
