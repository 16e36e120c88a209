"""Wrong-way driver: a vehicle that moves against the direction of the only lane it can be on, told to it and to who meets it.

Lanes are matched as for everyone; who is on none of them, and on one when turned about, is on that one the wrong way. A tidal lane that runs the other
way now is no lane for this.
"""

from typing import Any

import numpy as np
from numba import njit

from ...matching import match
from ...schema import AdvisoryKind, ObjectClass
from ...world import World
from ..candidate import Candidate

FASTEST_REVERSE = 4.0  # m/s; slower may be backing into a place
OFF = 1.2  # m beside the middle of the lane at most
SURE = 0.9  # existence of the track
RANGE = 250.0  # m
INGRESS = 0  # the role of lanes that end at the intersection
MOTOR = np.isin(np.arange(256), (ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS, ObjectClass.MOTORCYCLE))


@njit(cache=True)
def _odd(tracks: Any, path: Any, motor: Any, x0: float, y0: float, x1: float, y1: float, rows: Any) -> int:
    """List the motor vehicles within the code's bounds that move and are on no lane."""
    n = 0
    for i in range(len(tracks)):
        track = tracks[i]
        if path[i] >= 0 or not motor[track["class"]] or track["existence"] <= SURE:
            continue
        if (
            track["vx"] ** 2 + track["vy"] ** 2 > FASTEST_REVERSE**2
            and x0 <= track["x"] <= x1
            and y0 <= track["y"] <= y1
        ):
            rows[n] = i
            n += 1
    return n


def plan(world: World) -> list[Candidate]:
    """Return candidates for the wrong-way driver, where connected, and for connected vehicles it is driving at."""
    tracks, closed = world.tracks, world.rules.closed(world.t)
    rows = np.empty(len(tracks), np.int64)
    path = world.path if closed is None else np.where((world.path >= 0) & closed[world.path], -1, world.path)
    odd = rows[: _odd(tracks, path, MOTOR, *world.code.bounds, rows)]
    if not len(odd):
        return []
    turned = tracks[odd]
    turned["vx"], turned["vy"] = -turned["vx"], -turned["vy"]
    on = match(world.code, turned, np.full((len(odd), 3), -1, np.int64), closed)
    out: dict[str, Candidate] = {}
    for k in np.flatnonzero((on.path >= 0) & (on.path < world.code.n_lanes) & (on.lateral < OFF)):
        lane, s, driver = int(on.path[k]), float(on.s[k]), int(odd[k])
        tidal = (
            world.path[driver] >= 0
        )  # on a lane of its own direction that is closed now, because the strip of road runs the other way
        if (
            world.code.lane_use[lane]
            or (world.code.lane_role[lane] != INGRESS and not tidal)
            or (closed is not None and closed[lane])
        ):
            continue  # further away, the opposite lanes may not be in the code, and who drives there is no wrong-way driver
        name = {"lane": world.code.code.lanes[lane].id}
        for vehicle, row in zip(world.vehicles, world.rows, strict=True):
            target = f"vehicle:{vehicle.id}"
            ids = (int(tracks["id"][row]), int(tracks["id"][driver]))
            gap = s - float(world.s[row])
            if row == driver:
                words = "you drive against the direction of lane {lane}: stop and turn round"
                out[target] = Candidate(
                    AdvisoryKind.WRONG_WAY, target, 0, 0.9, words, {**name}, ids[:1], 0.0, None, "stop"
                )
            elif world.path[row] == lane and 0.0 < gap < RANGE:
                words, facts = "a vehicle comes towards you on lane {lane}, {gap:.0f} m ahead", {**name, "gap": gap}
                out[target] = Candidate(
                    AdvisoryKind.WRONG_WAY, target, 0, 0.9, words, facts, ids, None, gap, "slow_down"
                )
    return list(out.values())
