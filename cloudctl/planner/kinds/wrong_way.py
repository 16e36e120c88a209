"""Wrong-way driver: a vehicle that moves against the direction of the only lane it can be on: advice to it, and to the
vehicles that meet it.

Lanes are matched as for every track. A vehicle that is on none of them, and on one when turned about, drives on that
one the wrong way. A tidal lane that runs the other way now is no lane for this.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import cells_at
from ...kernels import njit
from ...matching import Matched, match
from ...road_users import IS_MOTOR_VEHICLE
from ...schema import AdvisoryKind, vehicle_target
from ...world import Users, World
from ..candidate import ACT_NOW, SLOW_DOWN, STOP, Candidate

KIND = AdvisoryKind.WRONG_WAY
MIN_SPEED = 4.0  # m/s; a slower vehicle may be reversing into a parking space
MAX_LATERAL = 1.2  # m beside the middle of the lane
MIN_EXISTENCE = 0.9  # of the track
RANGE = 250.0  # m
INGRESS = 0  # role of lanes that end at the intersection
CONFIDENCE = 0.9
REASON_DRIVER = "you drive against the direction of lane {lane}: stop and turn round"
REASON_ONCOMING = "a vehicle comes towards you on lane {lane}, {gap:.0f} m ahead"


@njit(cache=True)
def _list_off_lanes(tracks: Any, path: Any, x0: float, y0: float, x1: float, y1: float, rows: Any) -> int:
    """List the motor vehicles within the code's bounds that move and are on no lane."""
    n = 0
    for i in range(len(tracks)):
        track = tracks[i]
        if path[i] >= 0 or not IS_MOTOR_VEHICLE[track["class"]] or track["existence"] <= MIN_EXISTENCE:
            continue

        moves = track["vx"] ** 2 + track["vy"] ** 2 > MIN_SPEED**2
        if moves and x0 <= track["x"] <= x1 and y0 <= track["y"] <= y1:
            rows[n] = i
            n += 1

    return n


@inner_kernel
def screen(users: Users, closed: Any, code: Any) -> bool:
    """Return whether a vehicle moves and is on no lane that is open in its direction. `closed`: bool[n_paths]."""
    cells = cells_at(code)
    path = users.path.copy()
    for i in range(len(path)):
        if path[i] >= 0 and closed[path[i]]:
            path[i] = -1

    bounds, rows = cells.figures, np.empty(len(path), np.int64)
    return _list_off_lanes(users.tracks, path, bounds[0], bounds[1], bounds[2], bounds[3], rows) > 0


def plan(world: World) -> list[Candidate]:
    """Return candidates for the wrong-way driver, where connected, and for the connected vehicles it drives towards."""
    closed = world.rules.closed(world.t)
    rows = _off_lanes(world, closed)
    if not len(rows):
        return []

    turned = world.tracks[rows]
    turned["vx"], turned["vy"] = -turned["vx"], -turned["vy"]
    matched = match(world.code, turned, np.full((len(rows), 3), -1, np.int64), closed)

    candidates: dict[str, Candidate] = {}

    for k in np.flatnonzero(_is_wrong_way(world, rows, matched, closed)).tolist():
        for candidate in _warnings(world, int(rows[k]), int(matched.path[k]), float(matched.s[k])):
            candidates[candidate.target] = candidate

    return list(candidates.values())


def _off_lanes(world: World, closed: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Return the moving motor vehicles that are on no lane of their own direction: rows of tracks."""
    path = world.path
    if closed is not None:
        path = np.where((path >= 0) & closed[path], -1, path)
    rows = np.empty(len(world.tracks), np.int64)
    x0, y0, x1, y1 = world.code.bounds
    return rows[: _list_off_lanes(world.tracks, path, x0, y0, x1, y1, rows)]


def _is_wrong_way(
    world: World, rows: NDArray[np.int64], matched: Matched, closed: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Return which of `rows` drive the wrong way on the lane that they are `matched` to when turned about."""
    code = world.code
    is_on_lane = (matched.path >= 0) & (matched.path < code.n_lanes) & (matched.lateral < MAX_LATERAL)
    if not is_on_lane.any():
        return np.asarray(is_on_lane)

    lane = np.where(is_on_lane, matched.path, 0)

    # Further away than the approach lanes, the lanes of the other direction may not be in the code: a vehicle there is
    # no wrong-way driver. One that is on a lane of its own direction which is closed now, because the strip of road
    # runs the other way, is.
    is_certain = (code.lane_role[lane] == INGRESS) | (world.path[rows] >= 0)
    is_wrong = is_on_lane & (code.lane_use[lane] == 0) & is_certain

    if closed is not None:
        is_wrong &= ~closed[lane]

    return np.asarray(is_wrong)


def _warnings(world: World, driver: int, lane: int, s: float) -> list[Candidate]:
    """Return what connected vehicles are advised of a wrong-way driver (row of its track) `s` m along a lane."""
    ids, name = world.tracks["id"], world.code.code.lanes[lane].id
    candidates = []
    for vehicle, row in zip(world.vehicles, world.rows.tolist(), strict=True):
        target, gap = vehicle_target(vehicle.id), s - float(world.s[row])
        if row == driver:
            candidates.append(
                Candidate(
                    kind=KIND,
                    target=target,
                    severity=ACT_NOW,
                    confidence=CONFIDENCE,
                    reason=REASON_DRIVER,
                    facts={"lane": name},
                    tracks=(int(ids[row]),),
                    speed=0.0,
                    behaviour=STOP,
                )
            )
        elif world.path[row] == lane and 0.0 < gap < RANGE:
            candidates.append(
                Candidate(
                    kind=KIND,
                    target=target,
                    severity=ACT_NOW,
                    confidence=CONFIDENCE,
                    reason=REASON_ONCOMING,
                    facts={"lane": name, "gap": gap},
                    tracks=(int(ids[row]), int(ids[driver])),
                    distance=gap,
                    behaviour=SLOW_DOWN,
                )
            )

    return candidates
