"""Stopped vehicle ahead (T/CSAE 53: AVW): one that has stood for long with nothing ahead of it and no red, for the
vehicles that come up behind it, with a lane to change to. Which vehicles have stopped is found by `traffic`."""

from typing import Any

import numpy as np

from ...forecast import lanes
from ...kernels import njit
from ...schema import AdvisoryKind, vehicle_target
from ...world import World
from ..candidate import INFORMATION, SLOW_DOWN, Candidate
from .ahead import open_lanes

KIND = AdvisoryKind.STOPPED_VEHICLE
RANGE = 200.0  # m
MIN_SPEED = 3.0  # m/s; a slower vehicle is part of the queue behind it
MIN_GAP = 5.0  # m; nearer, the driver has long seen it
REASON = "a stopped vehicle blocks your lane {gap:.0f} m ahead"


@njit(cache=True)
def _find_nearest(
    ids: Any, stopped: Any, rows: Any, path: Any, s: Any, speed: Any, length: Any, nearest: Any, gaps: Any
) -> None:
    """Fill in, for each of `rows`, the nearest stopped vehicle ahead on its lane (row of its track, -1 none) and the
    gap to it (m)."""
    for j in range(len(ids)):
        if path[j] < 0 or ids[j] not in stopped:
            continue

        for k in range(len(rows)):
            i = rows[k]
            if path[i] != path[j] or speed[i] < MIN_SPEED:
                continue
            gap = s[j] - s[i] - 0.5 * (length[j] + length[i])
            if MIN_GAP < gap < RANGE and (nearest[k] < 0 or gap < gaps[k]):
                nearest[k], gaps[k] = j, gap


def plan(world: World) -> list[Candidate]:
    """Return a candidate for each connected vehicle with a stopped vehicle ahead on its lane."""
    n = len(world.rows)
    if not world.stopped or not n:
        return []

    nearest, gaps = np.full(n, -1, np.int64), np.empty(n)
    stopped = np.array(world.stopped, np.int64)
    tracks = world.tracks
    _find_nearest(tracks["id"], stopped, world.rows, world.path, world.s, world.speed, tracks["length"], nearest, gaps)

    return [_warning(world, k, int(nearest[k]), float(gaps[k])) for k in (nearest >= 0).nonzero()[0].tolist()]


def _warning(world: World, k: int, stopped_row: int, gap: float) -> Candidate:
    row, ids = int(world.rows[k]), world.tracks["id"]
    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[k].id),
        severity=INFORMATION,
        confidence=float(world.tracks["existence"][stopped_row]),
        reason=REASON,
        facts={"gap": gap},
        tracks=(int(ids[row]), int(ids[stopped_row])),
        distance=gap,
        behaviour=lanes.change(world, row, open_lanes(world, k)) or SLOW_DOWN,
    )
