"""Queue ahead: the tail of a standing queue, for who comes too late to stop behind it at ease and does not brake (T/CSAE 53
traffic jam warning)."""

from ..schema import AdvisoryKind
from ..world import World
from .candidate import Candidate, late, severity_of
from .passing import Passing

YIELDING = 2.0  # m/s^2; drivers who have seen a queue have begun to brake before it takes more
SLOWEST = 4.0  # m/s; a slower vehicle is part of the queue


def plan(world: World, passing: Passing) -> list[Candidate]:
    """Return a candidate for each connected vehicle that comes too fast upon its lane's queue."""
    out = []
    for vehicle, row in zip(world.vehicles, world.rows, strict=True):
        connection, speed = int(world.connection[row]), float(world.speed[row])
        lane = int(world.code.conn_from[connection]) if connection >= 0 else int(world.path[row])
        if not 0 <= lane < world.code.n_lanes or speed < SLOWEST:
            continue
        tail = float(passing.tail[lane])
        gap = float(world.to_stop[row]) - tail
        if tail <= 0.0 or not gap > 0.0:
            continue
        if late(speed, gap, -float(world.accel[row]), YIELDING):
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
