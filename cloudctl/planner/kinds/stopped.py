"""Stopped vehicle ahead (T/CSAE 53: AVW): one that has stood for long with nothing ahead of it and no red, told to who comes up behind,
with a lane to change to. Who stands is found by `traffic`."""

from typing import Any

import numpy as np
from numba import njit

from ...forecast import lanes
from ...schema import AdvisoryKind
from ...world import World
from ..candidate import Candidate
from .ahead import open_lanes

RANGE = 200.0  # m
MOVING = 3.0  # m/s; a slower one is part of the queue behind it
PASSED = 5.0  # m before it within which whoever comes has long seen it


@njit(cache=True)
def _approaching(
    ids: Any, stopped: Any, rows: Any, path: Any, s: Any, speed: Any, length: Any, nearest: Any, gaps: Any
) -> None:
    """Fill in, for each of `rows`, the nearest stopped vehicle before it on its lane (row of its track, -1 none) and the gap to it (m)."""
    for j in range(len(ids)):
        if path[j] < 0 or ids[j] not in stopped:
            continue
        for k in range(len(rows)):
            i = rows[k]
            gap = s[j] - s[i] - 0.5 * (length[j] + length[i])
            if path[i] == path[j] and PASSED < gap < RANGE and speed[i] >= MOVING and (nearest[k] < 0 or gap < gaps[k]):
                nearest[k], gaps[k] = j, gap


def plan(world: World) -> list[Candidate]:
    """Return a candidate for each connected vehicle with a stopped vehicle before it on its lane."""
    n = len(world.rows)
    if not world.stopped or not n:
        return []
    ids, nearest, gaps = world.tracks["id"], np.full(n, -1, np.int64), np.empty(n)
    _approaching(
        ids, np.array(world.stopped, np.int64), world.rows, world.path, world.s, world.speed, world.tracks["length"], nearest, gaps
    )  # fmt: skip
    out = []
    for k in np.flatnonzero(nearest >= 0).tolist():
        row, there, gap = int(world.rows[k]), int(nearest[k]), float(gaps[k])
        out.append(
            Candidate(
                AdvisoryKind.STOPPED_VEHICLE,
                f"vehicle:{world.vehicles[k].id}",
                2,
                float(world.tracks["existence"][there]),
                "a vehicle stands on your lane {gap:.0f} m ahead, and nothing holds it",
                {"gap": gap},
                (int(ids[row]), int(ids[there])),
                None,
                gap,
                lanes.change(world, row, open_lanes(world, k)) or "slow_down",
            )
        )
    return out
