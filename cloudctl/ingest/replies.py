"""Rejects as they are sent: every refusal is counted, and a sender that goes on gets no more of them than it can
read."""

from collections import Counter
from collections.abc import Sequence

from ..clock import SECOND
from ..metrics import Metrics
from ..rates import OncePer
from ..schema import VERSION, Reject
from .batch import Batch
from .rejections import RejectedMessage

# rejects to one gateway in one second: of one field of one kind of message, and in all. A gateway whose messages are
# all refused, as when the node is overloaded, has the reason by the first; to make and send one costs as much as to
# accept some messages.
MAX_REPLIES_OF_A_FIELD = 32
MAX_REPLIES = 128
REJECT_INTERVAL = SECOND  # between two rejects to one vehicle
PART_INTERVAL = 10 * SECOND  # between two rejects of the same part of a roadside unit's messages
MAX_REMEMBERED = 10_000  # vehicles, and parts of messages, whose last reject is remembered


class RejectSender:
    """Makes rejects of refusals, limited in rate; counts every refusal and every reject that was held back."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._vehicles = OncePer(REJECT_INTERVAL, MAX_REMEMBERED)
        self._parts = OncePer(PART_INTERVAL, MAX_REMEMBERED)
        self._second = 0  # that the rejects to gateways below are of
        self._sent: Counter[str] = Counter()  # rejects by gateway
        self._sent_of_fields: Counter[tuple[str, str, str]] = Counter()  # by gateway, kind of message and field

    def to_vehicle(
        self, t_rx: int, vehicle: str, kind: str, rejection: RejectedMessage, *, part: bool
    ) -> list[tuple[str, Reject]]:
        """Count the refusal at `t_rx` ns of a vehicle's message, or of a `part` of one that is used without it; return
        the rejects to send, one or none."""
        counter = f"reject.{kind}_part" if part else f"reject.{kind}"
        self._metrics.count(counter, vehicle)
        if not self._vehicles.allow(vehicle, t_rx):
            self._metrics.count("drop.reject", vehicle)
            return []

        return [(vehicle, make_reject(kind, None, rejection))]

    def begin(self, t_rx: int) -> None:
        """Begin a batch that was received at `t_rx` ns."""
        second = t_rx // SECOND
        if second != self._second:
            self._second = second
            self._sent.clear()
            self._sent_of_fields.clear()

    def to_gateway(self, gateway: str, kind: str, seq: int | None, rejection: RejectedMessage, batch: Batch) -> None:
        """Add a reject to the replies of a batch, where its gateway has not had too many of them in this second."""
        if self._sent[gateway] >= MAX_REPLIES:
            self._metrics.count("drop.reject", gateway)
            return

        field = (gateway, kind, rejection.field)
        if self._sent_of_fields[field] >= MAX_REPLIES_OF_A_FIELD:
            self._metrics.count("drop.reject", gateway)
            return

        self._sent[gateway] += 1
        self._sent_of_fields[field] += 1
        batch.replies.append((gateway, "reject", make_reject(kind, seq, rejection)))

    def parts_to_gateway(
        self,
        *,
        t_rx: int,
        gateway: str,
        kind: str,
        rsu: str,
        seq: int | None,
        rejections: Sequence[RejectedMessage],
        batch: Batch,
    ) -> None:
        """Count what is refused of a message that is used without it, received at `t_rx` ns; add a reject of each part
        once in PART_INTERVAL."""
        if rejections:
            self._metrics.count(f"reject.{kind}_part", rsu, len(rejections))

        for rejection in rejections:
            if self._parts.allow(f"{rsu} {kind} {rejection.field}", t_rx):
                self.to_gateway(gateway, kind, seq, rejection, batch)


def make_reject(kind: str, seq: int | None, rejection: RejectedMessage) -> Reject:
    """Return a refusal as it is sent."""
    return Reject(
        version=VERSION,
        kind=kind,
        seq=seq,
        field=rejection.field,
        value=rejection.value,
        rule=rejection.rule,
        remedy=rejection.remedy,
    )
