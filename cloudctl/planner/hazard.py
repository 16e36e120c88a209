"""Hazard ahead: what a gateway reported on a lane, for the connected vehicles that come to it (YD/T 3709 RSI)."""

from ..schema import AdvisoryKind
from ..world import World
from .candidate import Candidate

RANGE = 300.0  # m


def plan(world: World) -> list[Candidate]:
    """Return a warning to each connected vehicle with a hazard before it on its lane."""
    out = []
    for hazard in world.hazards:
        lane = world.code.lane_alias.get(hazard.lane or "", -1)
        for vehicle, row in zip(world.vehicles, world.rows, strict=True):
            ahead = (hazard.s[0] if hazard.s else 0.0) - float(world.s[row])
            if lane >= 0 and world.path[row] == lane and 0.0 < ahead < RANGE:
                out.append(
                    Candidate(
                        AdvisoryKind.HAZARD,
                        f"vehicle:{vehicle.id}",
                        2,
                        0.9,
                        "{kind} {ahead:.0f} m ahead on your lane. {text}",
                        {"kind": hazard.kind, "ahead": ahead, "text": hazard.text},
                        (int(world.tracks["id"][row]),),
                        None,
                        ahead,
                        "slow_down",
                    )
                )
    return out
