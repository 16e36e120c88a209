"""What other nodes have advised and is still valid, by copies over MQTT: a node that takes an intersection over goes on
from there, and does not say everything again."""

from collections.abc import Sequence

import msgspec

from ..clock import Clock
from ..metrics import Metrics
from ..schema import Advisory

MAX_COPIES = 1024  # kept of one intersection; the oldest go first
MAX_INTERSECTIONS = 10_000  # of which copies are kept


class Copies:
    """The advisories of other nodes that are still valid."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock, self._metrics = clock, metrics
        self._copies: dict[str, list[Advisory]] = {}
        self._decode = msgspec.json.Decoder(Advisory).decode

    def put(self, payload: bytes) -> None:
        """Keep a copy; one that cannot be read is counted."""
        try:
            advisory = self._decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._metrics.count("drop.copy", "unreadable")
            return

        kept = self._copies.get(advisory.intersection)
        if kept is None:
            if len(self._copies) >= MAX_INTERSECTIONS:
                self._metrics.count("drop.copy", "intersections")
                return
            kept = self._copies[advisory.intersection] = []

        kept.append(advisory)
        if len(kept) > MAX_COPIES:
            self._copies[advisory.intersection] = self._valid(kept)[-MAX_COPIES:]

    def valid(self, intersection: str) -> Sequence[Advisory]:
        """Return what was advised at an intersection and is still valid, the newest last."""
        kept = self._valid(self._copies.get(intersection, []))
        self._copies[intersection] = kept
        return kept

    def _valid(self, advisories: list[Advisory]) -> list[Advisory]:
        now = self._clock.now()
        return [advisory for advisory in advisories if advisory.valid_until > now]
