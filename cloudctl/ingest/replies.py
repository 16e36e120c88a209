"""Rejects as they are sent: every refusal is counted, and a sender that goes on gets no more of them than it can
read."""

from collections.abc import Sequence

from ..clock import SECOND
from ..metrics import Metrics
from ..rates import OncePer
from ..schema import VERSION, Reject
from .batch import Batch
from .rejections import RejectedMessage

MAX_REPLIES = 32  # rejects to one gateway for one batch
REJECT_INTERVAL = SECOND  # between two rejects to one vehicle
PART_INTERVAL = 10 * SECOND  # between two rejects of the same part of a roadside unit's messages
MAX_REMEMBERED = 10_000  # vehicles, and parts of messages, whose last reject is remembered


class RejectSender:
    """Makes rejects of refusals, limited in rate; counts every refusal and every reject that was held back."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._vehicles = OncePer(REJECT_INTERVAL, MAX_REMEMBERED)
        self._parts = OncePer(PART_INTERVAL, MAX_REMEMBERED)

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

    def to_gateway(self, gateway: str, kind: str, seq: int | None, rejection: RejectedMessage, batch: Batch) -> None:
        """Add a reject to the replies of a batch, where its gateway has not had MAX_REPLIES of them."""
        if batch.reject_counts[gateway] < MAX_REPLIES:
            batch.reject_counts[gateway] += 1
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
