"""Queue ahead: the tail of a standing queue, for who comes too late to stop behind it at ease and does not brake (T/CSAE 53
traffic jam warning)."""

import numpy as np

from ..schema import AdvisoryKind
from ..world import World
from .candidate import SHARE, Candidate, late, severity_of
from .passing import Passing

YIELDING = 2.0  # m/s^2; drivers who have seen a queue have begun to brake before it takes more
SLOWEST = 4.0  # m/s; a slower vehicle is part of the queue


def plan(world: World, passing: Passing) -> list[Candidate]:
    """Return a candidate for each connected vehicle that comes too fast upon its lane's queue."""
    out = []
    rows, code = world.rows, world.code
    connection, speeds = world.connection[rows], world.speed[rows]
    lane = np.where(connection >= 0, code.conn_from[connection], world.path[rows]) if code.n_conns else world.path[rows]
    tails = np.where((lane >= 0) & (lane < code.n_lanes), passing.tail[np.clip(lane, 0, code.n_lanes - 1)], 0.0)
    gaps = world.to_stop[rows] - tails
    for k in np.flatnonzero((tails > 0.0) & (gaps > 0.0) & (speeds >= SLOWEST)).tolist():
        vehicle, row, speed, gap, tail = world.vehicles[k], rows[k], float(speeds[k]), float(gaps[k]), float(tails[k])
        if late(speed, gap, -float(world.accel[row]), YIELDING, SHARE):
            out.append(
                Candidate(
                    AdvisoryKind.QUEUE,
                    f"vehicle:{vehicle.id}",
                    severity_of(gap / speed),
                    0.9,
                    "standing queue {gap:.0f} m ahead, its tail {tail:.0f} m before the stop line",
                    {"gap": gap, "tail": tail},
                    (int(world.tracks["id"][row]),),
                    None,
                    gap,
                    "slow_down",
                )
            )
    return out
