"""Queue ahead: the tail of a standing queue, for a vehicle that comes too late to stop behind it comfortably and does
not brake (T/CSAE 53, traffic jam warning)."""

from typing import Any

import numpy as np

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import lanes_at, moves_at
from ...driving import BRAKING_SHARE
from ...forecast.stop_line import StopLineForecast
from ...kernels import njit
from ...schema import AdvisoryKind, vehicle_target
from ...world import Connected, Users, World
from ..braking import brakes_too_late
from ..candidate import SLOW_DOWN, Candidate, severity_of

KIND = AdvisoryKind.QUEUE
LATE_BRAKING = 2.0  # m/s^2; drivers who have seen a queue have begun to brake before it takes more
MIN_SPEED = 4.0  # m/s; a slower vehicle is part of the queue
CONFIDENCE = 0.9
REASON = "standing queue {gap:.0f} m ahead, its tail {tail:.0f} m before the stop line"


@njit(cache=True)
def _list_late(
    rows: Any, path: Any, connection: Any, to_stop: Any, speed: Any, accel: Any, n_lanes: int, conn_from: Any,
    queue_tail: Any, late: Any, gaps: Any,
) -> int:  # fmt: skip
    """List which of `rows` come too fast upon the queue of their lane, and how far its tail is (m)."""
    n = 0
    for k in range(len(rows)):
        i = rows[k]
        lane = conn_from[connection[i]] if connection[i] >= 0 else path[i]
        if speed[i] < MIN_SPEED or not 0 <= lane < n_lanes:
            continue
        if queue_tail[lane] <= 0.0 or not to_stop[i] > queue_tail[lane]:
            continue

        gap = to_stop[i] - queue_tail[lane]
        if brakes_too_late(speed[i], gap, -accel[i], LATE_BRAKING, BRAKING_SHARE):
            late[n], gaps[n] = k, gap
            n += 1

    return n


@inner_kernel
def screen(users: Users, connected: Connected, code: Any, queue_tail: Any) -> bool:
    """Return whether a connected vehicle comes too fast upon its lane's queue."""
    lanes, moves = lanes_at(code), moves_at(code)
    late, gaps = np.empty(len(connected.rows), np.int64), np.empty(len(connected.rows))
    n = _list_late(
        connected.rows, users.path, users.connection, users.to_stop, users.speed, users.accel, len(lanes.speed),
        moves.origin, queue_tail, late, gaps,
    )  # fmt: skip

    return n > 0


def plan(world: World, forecast: StopLineForecast) -> list[Candidate]:
    """Return a candidate for each connected vehicle that comes too fast upon its lane's queue."""
    late, gaps = np.empty(len(world.rows), np.int64), np.empty(len(world.rows))
    n = _list_late(
        world.rows, world.path, world.connection, world.to_stop, world.speed, world.accel, world.code.n_lanes,
        world.code.conn_from, forecast.queue_tail, late, gaps,
    )  # fmt: skip
    return [_warning(world, k, gap) for k, gap in zip(late[:n].tolist(), gaps[:n].tolist(), strict=True)]


def _warning(world: World, k: int, gap: float) -> Candidate:
    row = int(world.rows[k])
    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[k].id),
        severity=severity_of(gap / float(world.speed[row])),
        confidence=CONFIDENCE,
        reason=REASON,
        facts={"gap": gap, "tail": float(world.to_stop[row]) - gap},
        tracks=(int(world.tracks["id"][row]),),
        distance=gap,
        behaviour=SLOW_DOWN,
    )
