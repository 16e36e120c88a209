"""Wrong-way driver: a vehicle that moves against the direction of the only lane it can be on, told to it and to who meets it.

Lanes are matched as for everyone; who is on none of them, and on one when turned about, is on that one the wrong way.
"""

import numpy as np

from ..matching import match
from ..schema import AdvisoryKind, ObjectClass
from ..world import World
from .candidate import Candidate

FASTEST_REVERSE = 4.0  # m/s; slower may be backing into a place
OFF = 1.2  # m beside the middle of the lane at most
SURE = 0.9  # existence of the track
RANGE = 250.0  # m
INGRESS = 0  # the role of lanes that end at the intersection
MOTOR = (ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS, ObjectClass.MOTORCYCLE)


def plan(world: World) -> list[Candidate]:
    """Return candidates for the wrong-way driver, where connected, and for connected vehicles it is driving at."""
    tracks = world.tracks
    speed = np.hypot(tracks["vx"], tracks["vy"])
    odd = np.flatnonzero(
        (world.path < 0) & (speed > FASTEST_REVERSE) & (tracks["existence"] > SURE) & np.isin(tracks["class"], MOTOR)
    )
    if not len(odd):
        return []
    turned = tracks[odd].copy()
    turned["vx"], turned["vy"] = -turned["vx"], -turned["vy"]
    on = match(world.code, turned, np.full((len(odd), 3), -1, np.int64))
    out: dict[str, Candidate] = {}
    for k in np.flatnonzero((on.path >= 0) & (on.path < world.code.n_lanes) & (on.lateral < OFF)):
        lane, s, driver = int(on.path[k]), float(on.s[k]), int(odd[k])
        if world.code.lane_use[lane] or world.code.lane_role[lane] != INGRESS:
            continue  # further away, the opposite lanes may not be in the code, and who drives there is no wrong-way driver
        name = {"lane": world.code.code.lanes[lane].id}
        for vehicle, row in zip(world.vehicles, world.rows, strict=True):
            target = f"vehicle:{vehicle.id}"
            ids = (int(tracks["id"][row]), int(tracks["id"][driver]))
            gap = s - float(world.s[row])
            if row == driver:
                words = "you drive against the direction of lane {lane}: stop and turn round"
                out[target] = Candidate(AdvisoryKind.WRONG_WAY, target, 0, 0.9, words, {**name}, ids[:1], 0.0, None, "stop")
            elif world.path[row] == lane and 0.0 < gap < RANGE:
                words, facts = "a vehicle comes towards you on lane {lane}, {gap:.0f} m ahead", {**name, "gap": gap}
                out[target] = Candidate(AdvisoryKind.WRONG_WAY, target, 0, 0.9, words, facts, ids, None, gap, "slow_down")
    return list(out.values())
