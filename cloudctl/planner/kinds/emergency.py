"""Emergency vehicle approaching: told to the connected vehicles before it on its road, and to those about to enter the intersection.

An emergency vehicle is a connected one that says so by its class, unless sensors see something else (`looks`). Distances along the road come from the digital code.
"""

from ...schema import AdvisoryKind
from ...world import World
from ..candidate import Candidate
from ..class_evidence import contradicted

BEHIND = 200.0  # m before it on its own road
ENTERING = 80.0  # m to the stop line, of others
ARRIVAL = 15.0  # s to the stop line at which it concerns those others
SLOWEST = 3.0  # m/s; a slower one is not on its way


def plan(world: World) -> list[Candidate]:
    """Return one candidate for each connected vehicle that an emergency vehicle comes upon, or whose intersection it will enter."""
    out: dict[str, Candidate] = {}
    if all(vehicle.state.kind != "emergency" for vehicle in world.vehicles):
        return []
    for caller, at in zip(world.vehicles, world.rows, strict=True):
        distance, speed = float(world.to_stop[at]), float(world.speed[at])
        if caller.state.kind != "emergency" or not distance > 0.0 or speed < SLOWEST:
            continue
        if contradicted(world, int(at), "emergency", caller.proven):
            continue
        road = _road(world, int(at))
        for vehicle, row in zip(world.vehicles, world.rows, strict=True):
            left = float(world.to_stop[row])
            if row == at or vehicle.state.kind == "emergency" or not left > 0.0:
                continue
            gap = distance - left
            facts: dict[str, object] = {"gap": gap, "arrival": distance / speed}
            if _road(world, int(row)) == road and 0.0 < gap < BEHIND:
                words = "an emergency vehicle is {gap:.0f} m behind you: let it pass"
            elif _road(world, int(row)) != road and left < ENTERING and distance < ARRIVAL * speed:
                words = "an emergency vehicle enters the intersection in {arrival:.0f} s: let it pass first"
            else:
                continue
            tracks = (int(world.tracks["id"][row]), int(world.tracks["id"][at]))
            target = f"vehicle:{vehicle.id}"
            out.setdefault(
                target, Candidate(AdvisoryKind.EMERGENCY, target, 1, 0.9, words, facts, tracks, None, left, "give_way")
            )
    return list(out.values())


def _road(world: World, row: int) -> int:
    """Return the road (link) whose stop line a track comes to; -1 where there is none."""
    path = int(world.path[row])
    return int(world.code.lane_ingress[path]) if 0 <= path < world.code.n_lanes else -1
