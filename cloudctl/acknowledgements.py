"""Counts what vehicles did with their advisories, by kind; only of vehicles that an advisory was sent to."""

from collections import OrderedDict

from .metrics import Metrics
from .schema import VEHICLE_TARGET, Ack, Advisory, vehicle_target

MAX_SENT = 20_000  # newest advisories that an acknowledgement is matched with


class Acknowledgements:
    """The newest advisories of a node, and the counts of their outcomes: `ack.<outcome>` by kind, `ack.unknown`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sent: OrderedDict[str, Advisory] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sent)

    def sent(self, advisories: list[Advisory]) -> None:
        """Remember advisories that are sent now."""
        for advisory in advisories:
            self._sent[advisory.id] = advisory
        while len(self._sent) > MAX_SENT:
            self._sent.popitem(last=False)

    def take(self, vehicle: str, ack: Ack) -> None:
        """Count the outcome of an advisory for a vehicle; one that was not sent to it counts as `ack.unknown`."""
        self._metrics.count("vehicle.ack", ack.outcome)
        advisory = self._sent.get(ack.advisory)
        is_for_vehicles = advisory is not None and advisory.target.startswith(VEHICLE_TARGET)
        if advisory is None or (is_for_vehicles and advisory.target != vehicle_target(vehicle)):
            self._metrics.count("ack.unknown", vehicle)
        else:
            self._metrics.count(f"ack.{ack.outcome}", advisory.kind)
