"""Whether the event loop of a node turns, and how late it comes round."""

from collections.abc import Callable

from ..clock import SECOND, stopwatch
from ..metrics import Metrics

MAX_AGE = 10.0  # s without a beat; the loop hangs, or what runs in the background has ended


class Pulse:
    """Beats at every round of what a node does in the background, every `interval` s where nothing is late."""

    def __init__(self, metrics: Metrics, interval: float, now: Callable[[], int] = stopwatch) -> None:
        self._metrics, self._interval, self._now = metrics, interval, now
        self._begun = self._last = now()

    def beat(self) -> None:
        """Note that the loop has come round, `interval` s after the last time or later."""
        now = self._now()
        delay = (now - self._last) / 1000 - self._interval * 1e6
        self._metrics.time("loop_delay", max(delay, 0.0))
        self._last = now

    def rest(self) -> None:
        """Begin to wait: what was done since the last beat is no delay of the loop's."""
        self._last = self._now()

    @property
    def age(self) -> float:
        """Return s since the last beat or rest."""
        return (self._now() - self._last) / SECOND

    @property
    def uptime(self) -> float:
        """Return s since the node began."""
        return (self._now() - self._begun) / SECOND

    @property
    def is_alive(self) -> bool:
        """Return whether the loop still comes round."""
        return self.age <= MAX_AGE
