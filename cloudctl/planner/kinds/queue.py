"""Queue ahead: the tail of a standing queue, for who comes too late to stop behind it at ease and does not brake (T/CSAE 53
traffic jam warning)."""

from typing import Any

import numpy as np
from numba import njit

from ...forecast.stop_line import StopLineForecast
from ...schema import AdvisoryKind
from ...world import World
from ..candidate import SHARE, Candidate, brakes_too_late, severity_of

YIELDING = 2.0  # m/s^2; drivers who have seen a queue have begun to brake before it takes more
SLOWEST = 4.0  # m/s; a slower vehicle is part of the queue


@njit(cache=True)
def _hurried(
    rows: Any,
    path: Any,
    connection: Any,
    to_stop: Any,
    speed: Any,
    accel: Any,
    n_lanes: int,
    conn_from: Any,
    tail: Any,
    found: Any,
    gaps: Any,
) -> int:
    """List which of `rows` come too fast upon the queue of their lane, and how far its tail is (m)."""
    n = 0
    for k in range(len(rows)):
        i = rows[k]
        lane = conn_from[connection[i]] if connection[i] >= 0 else path[i]
        if speed[i] < SLOWEST or not 0 <= lane < n_lanes or tail[lane] <= 0.0 or not to_stop[i] > tail[lane]:
            continue
        gap = to_stop[i] - tail[lane]
        if brakes_too_late(speed[i], gap, -accel[i], YIELDING, SHARE):
            found[n], gaps[n] = k, gap
            n += 1
    return n


def plan(world: World, passing: StopLineForecast) -> list[Candidate]:
    """Return a candidate for each connected vehicle that comes too fast upon its lane's queue."""
    out = []
    found, gaps = np.empty(len(world.rows), np.int64), np.empty(len(world.rows))
    n = _hurried(
        world.rows, world.path, world.connection, world.to_stop, world.speed, world.accel, world.code.n_lanes, world.code.conn_from,
        passing.tail, found, gaps,
    )  # fmt: skip
    for k, gap in zip(found[:n].tolist(), gaps[:n].tolist(), strict=True):
        row = int(world.rows[k])
        out.append(
            Candidate(
                AdvisoryKind.QUEUE,
                f"vehicle:{world.vehicles[k].id}",
                severity_of(gap / float(world.speed[row])),
                0.9,
                "standing queue {gap:.0f} m ahead, its tail {tail:.0f} m before the stop line",
                {"gap": gap, "tail": float(world.to_stop[row]) - gap},
                (int(world.tracks["id"][row]),),
                None,
                gap,
                "slow_down",
            )
        )
    return out
