"""Signal priority between vehicles, an intersection's requests and the gateways of its controller."""

import msgspec

from . import planner, world
from .ingest.messages import Ingest
from .intersection import IntersectionState
from .metrics import Metrics
from .schema import Priority, VehicleRequest


def request(
    t: int, place: IntersectionState | None, vehicle: str, body: VehicleRequest, declared: str | None, metrics: Metrics
) -> None:
    """Take a vehicle's request or cancellation; `declared` is the class it gives itself, None where the intersection does not know it."""
    metrics.count("vehicle.request" if place else "vehicle.request_elsewhere", body.action)
    if place:
        place.priority.take(t, vehicle, body, place.code, declared)


def work(
    snapshot: world.World, place: IntersectionState, ingest: Ingest, metrics: Metrics
) -> tuple[list[planner.Candidate], list[tuple[str, str, Priority]]]:
    """Return what the vehicles are advised of their requests, and what each gateway is asked: (gateway, kind, body)."""
    if not place.priority.busy:
        return [], []
    trouble, _ = planner.gate(snapshot)
    advised, asked = place.priority.work(snapshot, planner.passing(snapshot), trouble)
    replies = []
    for body in asked:
        metrics.count(f"priority.{body.action}", place.code.code.id)
        for gateway in place.gateways:  # its times are put on the gateway's clock
            offset = ingest.gateways[gateway].offset
            replies.append((gateway, "priority", msgspec.structs.replace(body, t=body.t + offset, at=body.at + offset)))
    return advised, replies
