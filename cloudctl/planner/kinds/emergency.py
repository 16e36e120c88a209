"""Emergency vehicle approaching: advice to the connected vehicles before it on its road, and to those about to enter
the intersection.

An emergency vehicle is a connected one that declares this class, unless sensors see something else (`class_evidence`).
Distances along the road come from the digital code.
"""

from ...schema import AdvisoryKind, vehicle_target
from ...world import World
from ..candidate import GIVE_WAY, SOON, Candidate
from ..class_evidence import contradicted
from ..policy import EMERGENCY

KIND = AdvisoryKind.EMERGENCY
MAX_BEHIND = 200.0  # m before it on its own road
MAX_ENTERING = 80.0  # m to the stop line, of vehicles on other roads
MAX_ARRIVAL = 15.0  # s to the stop line at which it concerns those
MIN_SPEED = 3.0  # m/s; a slower emergency vehicle is not on its way
CONFIDENCE = 0.9

REASON_BEHIND = "an emergency vehicle is {gap:.0f} m behind you: let it pass"
REASON_ENTERING = "an emergency vehicle enters the intersection in {arrival:.0f} s: let it pass first"


def plan(world: World) -> list[Candidate]:
    """Return one candidate for each connected vehicle that an emergency vehicle approaches, or whose intersection it
    will enter."""
    candidates: dict[str, Candidate] = {}
    if all(vehicle.state.kind != EMERGENCY for vehicle in world.vehicles):
        return []

    for vehicle, row in zip(world.vehicles, world.rows.tolist(), strict=True):
        is_on_way = float(world.to_stop[row]) > 0.0 and float(world.speed[row]) >= MIN_SPEED
        if vehicle.state.kind != EMERGENCY or not is_on_way or contradicted(world, row, EMERGENCY, vehicle.proven):
            continue
        for candidate in _warnings(world, row):
            candidates.setdefault(candidate.target, candidate)

    return list(candidates.values())


def _warnings(world: World, emergency_row: int) -> list[Candidate]:
    """Return the candidates for the vehicles that one emergency vehicle concerns."""
    distance, speed = float(world.to_stop[emergency_row]), float(world.speed[emergency_row])
    road = _road(world, emergency_row)
    candidates = []

    for vehicle, row in zip(world.vehicles, world.rows.tolist(), strict=True):
        own_distance = float(world.to_stop[row])
        if row == emergency_row or vehicle.state.kind == EMERGENCY or not own_distance > 0.0:
            continue

        gap, on_same_road = distance - own_distance, _road(world, row) == road
        if on_same_road and 0.0 < gap < MAX_BEHIND:
            reason = REASON_BEHIND
        elif not on_same_road and own_distance < MAX_ENTERING and distance < MAX_ARRIVAL * speed:
            reason = REASON_ENTERING
        else:
            continue

        candidates.append(
            Candidate(
                kind=KIND,
                target=vehicle_target(vehicle.id),
                severity=SOON,
                confidence=CONFIDENCE,
                reason=reason,
                facts={"gap": gap, "arrival": distance / speed},
                tracks=(int(world.tracks["id"][row]), int(world.tracks["id"][emergency_row])),
                distance=own_distance,
                behaviour=GIVE_WAY,
            )
        )

    return candidates


def _road(world: World, row: int) -> int:
    """Return the road (link) whose stop line a track comes to; -1 where there is none."""
    path = int(world.path[row])
    return int(world.code.lane_ingress[path]) if 0 <= path < world.code.n_lanes else -1
