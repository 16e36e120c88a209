"""What vehicles did with the advisories they were sent: by kind, and only by those who were sent them."""

from collections import OrderedDict

from .metrics import Metrics
from .schema import Ack, Advisory

MAX_SENT = 20_000  # newest advisories that an acknowledgement is matched with


class Acknowledgements:
    """The newest advisories of a node, and the count of what became of them: `ack.<outcome>` by kind, `ack.unknown`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sent: OrderedDict[str, Advisory] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sent)

    def sent(self, advisories: list[Advisory]) -> None:
        """Take in what is sent now."""
        for advisory in advisories:
            self._sent[advisory.id] = advisory
        while len(self._sent) > MAX_SENT:
            self._sent.popitem(last=False)

    def take(self, vehicle: str, ack: Ack) -> None:
        """Count what a vehicle did with an advisory; one that was not sent to it is none of its business."""
        self._metrics.count("vehicle.ack", ack.outcome)
        advisory = self._sent.get(ack.advisory)
        if advisory is None or (advisory.target.startswith("vehicle:") and advisory.target != f"vehicle:{vehicle}"):
            self._metrics.count("ack.unknown", vehicle)
        else:
            self._metrics.count(f"ack.{ack.outcome}", advisory.kind)
