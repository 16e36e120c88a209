"""Hazard ahead: what a gateway reported on a lane or in a polygon, for the connected vehicles that come to it (YD/T 3709 RSI), with a lane to change to.

A vehicle is warned of one at a time: the highest `priority`, then the nearest. A hazard that ends the lane (CLOSING) comes with
advice to change lanes where a lane beside leads the same way (`lanes.change`).
"""

from typing import Any

import numpy as np
from numba import njit

from ...forecast import lanes
from ...lane_stretches import Stretch, covered
from ...schema import AdvisoryKind, Hazard
from ...world import World
from ..candidate import Candidate
from .ahead import distance_to, open_lanes

RANGE = 300.0  # m
CLOSING = ("closure", "works", "construction", "accident", "obstacle", "stopped_vehicle", "lane_closed")


@njit(cache=True)
def _approaching(
    rows: Any, stretches: Any, path: Any, s: Any, length: Any, connection: Any, to_stop: Any, n_lanes: int, conn_from: Any, conn_to: Any, lane_stop_s: Any,
    path_length: Any, found: Any, ahead: Any,
) -> int:  # fmt: skip
    """List in `found` which of `rows` have a stretch within RANGE on their way, or are within one, and the nearest; in `ahead` how far it is, m."""
    n = 0
    for k in range(len(rows)):
        i, nearest, which = rows[k], RANGE, -1
        for m in range(len(stretches)):
            target = int(stretches[m, 0])
            far = distance_to(
                target, stretches[m, 1], i, path, s, length, connection, to_stop, n_lanes, conn_from, conn_to, lane_stop_s, path_length
            )  # fmt: skip
            if far <= 0.0:
                end = distance_to(
                    target, stretches[m, 2], i, path, s, length, connection, to_stop, n_lanes, conn_from, conn_to, lane_stop_s, path_length
                )  # fmt: skip
                far = 0.0 if end + length[i] > 0.0 else -1.0
            if 0.0 <= far < nearest:
                nearest, which = far, m
        if which >= 0:
            found[n, 0], found[n, 1], ahead[n] = k, which, nearest
            n += 1
    return n


def plan(world: World) -> list[Candidate]:
    """Return a warning to each connected vehicle with a hazard before it on its way, or around it."""
    code = world.code
    if not world.hazards or not world.vehicles:
        return []
    places = [(h, covered(code, h)) for h in world.hazards if h.start <= world.t < h.end]
    nearest: dict[int, tuple[Hazard, Stretch, float]] = {}  # by connected vehicle
    found = np.empty((len(world.vehicles), 2), np.int64), np.empty(len(world.vehicles))
    for hazard, place in places:
        count = _approaching(
            world.rows, place.table, world.path, world.s, world.tracks["length"], world.connection, world.to_stop, code.n_lanes, code.conn_from,
            code.conn_to, code.lane_stop_s, code.path_length, *found,
        )  # fmt: skip
        for (k, stretch), ahead in zip(found[0][:count].tolist(), found[1][:count].tolist(), strict=True):
            best = nearest.get(k)
            if best is None or (-hazard.priority, ahead) < (-best[0].priority, best[2]):
                nearest[k] = (hazard, place.stretches[stretch], ahead)
    if not nearest:
        return []

    left_open = np.ones(code.n_lanes, np.bool_)
    for hazard, place in places:
        if hazard.kind in CLOSING:
            left_open &= ~place.marked[: code.n_lanes]
    return [_warning(world, k, *nearest[k], left_open) for k in sorted(nearest)]


def _warning(world: World, k: int, hazard: Hazard, stretch: Stretch, ahead: float, left_open: np.ndarray) -> Candidate:
    vehicle, row = world.vehicles[k], int(world.rows[k])
    closing = hazard.kind in CLOSING and world.path[row] == stretch.path
    behaviour = lanes.change(world, row, left_open & open_lanes(world, k)) if closing else None
    return Candidate(
        AdvisoryKind.HAZARD,
        f"vehicle:{vehicle.id}",
        2,
        0.9,
        "{kind} {ahead:.0f} m ahead on your lane. {text}" if ahead > 0.0 else "{kind} where you are. {text}",
        {"kind": hazard.kind, "ahead": ahead, "text": hazard.text},
        (int(world.tracks["id"][row]),),
        None,
        ahead,
        behaviour or "slow_down",
    )
