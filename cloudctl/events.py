"""Events for the operator to act on, in words: each is counted, and reported when it begins, at a limited rate."""

from .clock import SECOND
from .metrics import Metrics
from .rates import OncePer

EVENT_INTERVAL = 10 * SECOND  # between two reported events of one kind; all are counted
MAX_KINDS = 100  # whose last event is remembered


class Events:
    """The events of one node, until they are taken."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._once = OncePer(EVENT_INTERVAL, MAX_KINDS)
        self._texts: list[str] = []

    def notice(self, t: int, kind: str, source: str, text: str) -> None:
        """Count an event of `t` ns; its text is reported where its kind had none reported within EVENT_INTERVAL."""
        self._metrics.count(kind, source)
        if self._once.allow(kind, t):
            self._texts.append(text)

    def take(self) -> list[str]:
        """Return the texts to report since the last call."""
        texts, self._texts = self._texts, []
        return texts
