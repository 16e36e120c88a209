"""Do not block the box: who could enter the intersection but finds no room beyond it is told to wait before the stop line.

Room is what standing vehicles leave at the beginning of the exit lane, less what those take who are inside on their way there
(GB 5768.3 keep-clear marking; PRC traffic law, article 53).
"""

from ...forecast.prediction import Prediction
from ...forecast.stop_line import IS_GREEN, STANDING
from ...schema import AdvisoryKind
from ...world import World
from ..candidate import Candidate

RANGE = 60.0  # m before the stop line
EASY = 2.5  # m/s^2; who can no longer stop at the line with that is not told to
MARGIN = 2.0  # m between standing vehicles
REACH = 60.0  # m of the exit lane that are looked at


def plan(world: World, prediction: Prediction) -> list[Candidate]:
    """Return a candidate for each connected vehicle that is first at its stop line, has green, and no room beyond."""
    code = world.code
    out: list[Candidate] = []
    if not code.n_conns or not len(world.vehicles):
        return out
    tails = _tails(world)
    if not tails:
        return out
    for vehicle, row in zip(world.vehicles, world.rows.tolist(), strict=True):
        connection, distance, speed = int(world.connection[row]), float(world.to_stop[row]), float(world.speed[row])
        if (
            connection < 0
            or not 0.0 < distance < RANGE
            or not _open(world, connection)
            or speed * speed > 2.0 * EASY * distance
        ):
            continue
        exit_lane = int(code.conn_to[connection])
        if exit_lane not in tails:
            continue
        room, blocker = tails[exit_lane]
        between = _going_there(world, prediction, exit_lane, row)
        free = room - between
        if free < float(world.tracks["length"][row]) + MARGIN:
            out.append(
                Candidate(
                    AdvisoryKind.KEEP_CLEAR,
                    f"vehicle:{vehicle.id}",
                    2,
                    float(world.tracks["existence"][blocker]),
                    "no room on lane {lane} beyond the intersection, {free:.0f} m are free: wait before the stop line, {distance:.0f} m to go",
                    {"lane": code.lane_ids[exit_lane], "free": max(free, 0.0), "distance": distance},
                    (int(world.tracks["id"][row]), int(world.tracks["id"][blocker])),
                    None,
                    distance,
                    "stop",
                )
            )
    return out


def _tails(world: World) -> dict[int, tuple[float, int]]:
    """Return (m free from the lane's beginning to the rear of who stands nearest to it, that track) by exit lane."""
    code = world.code
    out: dict[int, tuple[float, int]] = {}
    standing = (world.path >= 0) & (world.path < code.n_lanes) & (world.speed < STANDING) & (world.s < REACH)
    for row in standing.nonzero()[0].tolist():
        lane = int(world.path[row])
        if code.lane_role[lane] == 0:
            continue  # who stands on an approach waits for its signal
        free = float(world.s[row]) - 0.5 * float(world.tracks["length"][row])
        if lane not in out or free < out[lane][0]:
            out[lane] = (free, row)
    return out


def _going_there(world: World, prediction: Prediction, lane: int, row: int) -> float:
    """Return m that those take up who are inside, or nearer to the line, and will leave by `lane`."""
    code = world.code
    movement = prediction.movement[:, 0]
    nearer = (movement >= 0) & (world.to_stop < world.to_stop[row]) & (world.to_stop > -40.0)
    rows = nearer.nonzero()[0]
    rows = rows[code.conn_to[movement[rows]] == lane]
    return float((world.tracks["length"][rows] + MARGIN).sum())


def _open(world: World, connection: int) -> bool:
    group = int(world.code.conn_group[connection])
    return group < 0 or bool(IS_GREEN[world.signals.state[group]])
