"""Stopped vehicle ahead (T/CSAE 53: AVW): one that has stood for long with nothing ahead of it and no red, told to who comes up behind,
with a lane to change to. Who stands is found by `traffic`."""

import numpy as np

from ..schema import AdvisoryKind
from ..world import World
from . import lanes
from .ahead import open_lanes
from .candidate import Candidate

RANGE = 200.0  # m
MOVING = 3.0  # m/s; a slower one is part of the queue behind it
PASSED = 5.0  # m before it within which whoever comes has long seen it


def plan(world: World) -> list[Candidate]:
    """Return a candidate for each connected vehicle with a stopped vehicle before it on its lane."""
    out: list[Candidate] = []
    if not world.stopped:
        return out
    stands = np.flatnonzero(np.isin(world.tracks["id"], world.stopped))
    for k, (vehicle, row) in enumerate(zip(world.vehicles, world.rows.tolist(), strict=True)):
        if world.speed[row] < MOVING:
            continue
        for there in stands.tolist():
            lane = int(world.path[there])
            gap = float(world.s[there] - world.s[row]) - 0.5 * float(world.tracks["length"][there] + world.tracks["length"][row])
            if lane < 0 or world.path[row] != lane or there == row or not PASSED < gap < RANGE:
                continue
            out.append(
                Candidate(
                    AdvisoryKind.STOPPED_VEHICLE,
                    f"vehicle:{vehicle.id}",
                    2,
                    float(world.tracks["existence"][there]),
                    "a vehicle stands on your lane {gap:.0f} m ahead, and nothing holds it",
                    {"gap": gap},
                    (int(world.tracks["id"][row]), int(world.tracks["id"][there])),
                    None,
                    gap,
                    lanes.change(world, row, open_lanes(world, k)) or "slow_down",
                )
            )
            break
    return out
