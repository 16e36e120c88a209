"""What happened, as the page lists it. Times are ms since 1970 (UTC)."""

from msgspec import Struct

from ..clock import MS
from ..schema import Advisory


class AdvisoryEvent(Struct, frozen=True, tag="advisory", tag_field="type"):
    """An advisory that was given."""

    t: float
    index: int  # of the intersection
    id: str
    kind: str
    target: str
    severity: int
    reason: str
    valid_until: float
    speed: float | None
    distance: float | None
    behaviour: str | None
    tracks: tuple[int, ...]
    sensor_to_node: float | None  # ms
    node_to_advisory: float | None  # ms


class RejectEvent(Struct, frozen=True, tag="reject", tag_field="type"):
    """A message that was refused, and why."""

    t: float
    sender: str
    kind: str
    seq: int | None
    field: str
    value: str
    rule: str
    remedy: str


class NoticeEvent(Struct, frozen=True, tag="notice", tag_field="type"):
    """Something that is to be put right: `of` is signal, notice or fault."""

    t: float
    of: str
    text: str
    intersection: str = ""


def advisory_event(index: int, advisory: Advisory) -> AdvisoryEvent:
    """Return the event of an advisory of the intersection of that number."""
    inputs = advisory.inputs
    sensed = inputs.t_sensor > 0

    return AdvisoryEvent(
        t=advisory.t / MS,
        index=index,
        id=advisory.id,
        kind=advisory.kind,
        target=advisory.target,
        severity=advisory.severity,
        reason=advisory.reason,
        valid_until=advisory.valid_until / MS,
        speed=advisory.speed,
        distance=advisory.distance,
        behaviour=advisory.behaviour,
        tracks=inputs.tracks,
        sensor_to_node=(inputs.t_rx - inputs.t_sensor) / MS if sensed else None,
        node_to_advisory=(advisory.t - inputs.t_rx) / MS if sensed else None,
    )
