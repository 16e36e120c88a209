"""Queue ahead: the tail of a standing queue, for who must brake hard to stop behind it (T/CSAE 53 traffic jam warning)."""

from ..schema import AdvisoryKind
from ..world import World
from .candidate import Candidate, required_deceleration, severity_of
from .passing import Passing

NOTIFY, WARN = 1.5, 3.0  # m/s^2 needed to stop behind the tail
SLOWEST = 4.0  # m/s; a slower vehicle is part of the queue


def plan(world: World, passing: Passing) -> list[Candidate]:
    """Return a candidate for each connected vehicle that needs more than NOTIFY to stop behind its lane's queue."""
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
        needed = required_deceleration(speed, gap, reaction=0.5 if vehicle.state.automated else 1.0)
        if needed > NOTIFY:
            out.append(
                Candidate(
                    AdvisoryKind.QUEUE,
                    f"vehicle:{vehicle.id}",
                    severity_of(gap / speed) if needed > WARN else 2,
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
