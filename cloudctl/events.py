"""What somebody should put right, in words: counted each time, reported when it begins, and no more often than is
read."""

from .clock import SECOND
from .metrics import Metrics
from .rates import OncePer

EVENT_INTERVAL = 10 * SECOND  # between two reported events of one kind; all are counted
MAX_KINDS = 100


class Events:
    """The events of one node, until they are taken."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._once = OncePer(EVENT_INTERVAL, MAX_KINDS)
        self._texts: list[str] = []

    def notice(self, t: int, kind: str, source: str, text: str) -> None:
        """Count an event of a kind and source, and keep what is to be said of it."""
        self._metrics.count(kind, source)
        if self._once.allow(kind, t):
            self._texts.append(text)

    def take(self) -> list[str]:
        """Return what is to be said, and forget it."""
        texts, self._texts = self._texts, []
        return texts
