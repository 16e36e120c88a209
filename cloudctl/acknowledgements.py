"""Counts what vehicles did with their advisories, by kind; only of vehicles that an advisory was sent to."""

from collections import OrderedDict
from typing import NamedTuple

from .clock import SECOND
from .metrics import Metrics
from .schema import VEHICLE_TARGET, Ack, Advisory, AdvisoryKind, vehicle_target

MAX_AGE = 60 * SECOND  # of an advisory that an acknowledgement is matched with: the longest are valid for less
MAX_SENT = 20_000  # of those, the newest


class Sent(NamedTuple):
    """What is remembered of an advisory."""

    target: str
    kind: AdvisoryKind
    t: int  # ns


class Acknowledgements:
    """The newest advisories of a node, and the counts of their outcomes: `ack.<outcome>` by kind, `ack.unknown`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sent: OrderedDict[str, Sent] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sent)

    def sent(self, advisories: list[Advisory]) -> None:
        """Remember advisories that are sent now."""
        for advisory in advisories:
            self._sent[advisory.id] = Sent(advisory.target, advisory.kind, advisory.t)
            while self._has_outdated(advisory.t):
                self._sent.popitem(last=False)

    def _has_outdated(self, t: int) -> bool:
        oldest = next(iter(self._sent.values()))
        return t - oldest.t > MAX_AGE or len(self._sent) > MAX_SENT

    def take(self, vehicle: str, ack: Ack) -> None:
        """Count the outcome of an advisory for a vehicle; one that was not sent to it counts as `ack.unknown`."""
        self._metrics.count("vehicle.ack", ack.outcome)
        sent = self._sent.get(ack.advisory)
        is_for_vehicles = sent is not None and sent.target.startswith(VEHICLE_TARGET)

        if sent is None or (is_for_vehicles and sent.target != vehicle_target(vehicle)):
            self._metrics.count("ack.unknown", vehicle)
        else:
            self._metrics.count(f"ack.{ack.outcome}", sent.kind)
