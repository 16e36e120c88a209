"""Hazard ahead: what a gateway reported on a lane, for the connected vehicles that come to it (YD/T 3709 RSI), with a lane to change to.

A hazard that ends the lane (CLOSING) comes with advice to change lanes where a lane beside leads the same way (`lanes.change`).
"""

import numpy as np

from ..schema import AdvisoryKind
from ..world import World
from . import lanes
from .ahead import concerned, distance, open_lanes
from .candidate import Candidate

RANGE = 300.0  # m
CLOSING = ("closure", "works", "construction", "accident", "obstacle", "stopped_vehicle", "lane_closed")


def plan(world: World) -> list[Candidate]:
    """Return a warning to each connected vehicle with a hazard before it on its way."""
    out = []
    left_open, paths = np.ones(world.code.n_lanes, np.bool_), np.arange(world.code.n_lanes + world.code.n_conns)
    for hazard in world.hazards:
        lane = world.code.lane_alias.get(hazard.lane or "", -1)
        if lane >= 0 and hazard.kind in CLOSING:
            left_open[lane] = False
    for hazard in world.hazards:
        lane = world.code.lane_alias.get(hazard.lane or "", -1)
        for k in concerned(world, paths == lane):
            vehicle, row = world.vehicles[k], int(world.rows[k])
            ahead = distance(world, row, lane, hazard.s[0] if hazard.s else 0.0)
            if not 0.0 < ahead < RANGE:
                continue
            closing = hazard.kind in CLOSING and world.path[row] == lane
            behaviour = (lanes.change(world, row, left_open & open_lanes(world, k)) if closing else None) or "slow_down"
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
                    behaviour,
                )
            )
    return out
