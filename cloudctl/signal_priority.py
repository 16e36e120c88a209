"""Signal priority between vehicles, an intersection's requests and the gateways of its controller."""

import msgspec

from . import planner, world
from .ingest.gateways import Gateways
from .intersection import IntersectionState
from .metrics import Metrics
from .schema import Priority, VehicleRequest


def request(
    t: int, intersection: IntersectionState, vehicle: str, body: VehicleRequest, declared_kind: str | None
) -> None:
    """Take in a vehicle's request or cancellation at `t` ns; `declared_kind` is the class in its newest state, None
    where it has sent none here."""
    intersection.priority.take(t, vehicle, body, intersection.code, declared_kind)


def answer_requests(
    snapshot: world.World, intersection: IntersectionState, gateways: Gateways, metrics: Metrics
) -> tuple[list[planner.Candidate], list[tuple[str, str, Priority]]]:
    """Return the advice to vehicles on their requests, and what each gateway is asked: (gateway, kind, body)."""
    if not intersection.priority.busy:
        return [], []

    signal_trouble, _ = planner.gate(snapshot)
    candidates, requests = intersection.priority.serve(snapshot, planner.forecast_stop_lines(snapshot), signal_trouble)

    replies = []

    for body in requests:
        metrics.count(f"priority.{body.action}", intersection.code.code.id)
        for gateway in intersection.gateways:
            # the controller reads its times by the gateway's clock
            offset = gateways[gateway].offset
            local_body = msgspec.structs.replace(body, t=body.t + offset, at=body.at + offset)
            replies.append((gateway, "priority", local_body))

    return candidates, replies
