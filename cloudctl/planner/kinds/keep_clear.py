"""Do not block the intersection: a vehicle that could enter it but finds no room beyond is advised to wait before the
stop line.

Room is what standing vehicles leave at the beginning of the exit lane, less what those vehicles take that are inside on
their way there (GB 5768.3 keep-clear marking; PRC traffic law, article 53).
"""

from typing import Any, NamedTuple

import numpy as np

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import lanes_at, moves_at
from ...driving import STANDING_SPEED
from ...forecast.prediction import Prediction
from ...schema import AdvisoryKind, vehicle_target
from ...signals.colours import IS_GREEN
from ...world import Connected, Users, World
from ..candidate import INFORMATION, STOP, Candidate

KIND = AdvisoryKind.KEEP_CLEAR
RANGE = 60.0  # m before the stop line
MAX_BRAKING = 2.5  # m/s^2; a vehicle that must brake harder to stop at the line is not advised to
STANDING_GAP = 2.0  # m between standing vehicles
EXIT_RANGE = 60.0  # m of the exit lane that are looked at
INSIDE_RANGE = 40.0  # m past the line within which a vehicle is on its way to the exit lane
INGRESS = 0  # role of lanes that end at the intersection
REASON = (
    "no room on lane {lane} beyond the intersection, {free:.0f} m are free: "
    "wait before the stop line, {distance:.0f} m to go"
)


class Tail(NamedTuple):
    """The standing vehicle nearest to the beginning of an exit lane: its track's row, and m free before it."""

    free: float
    row: int


def plan(world: World, prediction: Prediction) -> list[Candidate]:
    """Return a candidate for each connected vehicle that is first at its stop line, has green, and no room beyond."""
    code = world.code
    if not code.n_conns or not len(world.vehicles):
        return []

    tails = _tails(world)
    if not tails:
        return []

    candidates = []
    for k, row in enumerate(world.rows.tolist()):
        if not _may_enter(world, row):
            continue

        exit_lane = int(code.conn_to[int(world.connection[row])])
        tail = tails.get(exit_lane)
        if tail is None:
            continue

        free = tail.free - _taken(world, prediction, exit_lane, row)
        if free < float(world.tracks["length"][row]) + STANDING_GAP:
            candidates.append(_advice(world, k, exit_lane, free, tail.row))

    return candidates


@inner_kernel
def screen(users: Users, connected: Connected, state: Any, code: Any) -> bool:
    """Return whether a connected vehicle may enter, and vehicles stand on its exit lane."""
    lanes, moves = lanes_at(code), moves_at(code)
    n_lanes, has_tail, n = len(lanes.role), np.zeros(len(lanes.role), np.bool_), 0
    for i in range(len(users.path)):
        lane = users.path[i]
        is_standing = 0 <= lane < n_lanes and users.speed[i] < STANDING_SPEED and users.s[i] < EXIT_RANGE
        if is_standing and lanes.role[lane] != INGRESS:
            has_tail[lane] = True
            n += 1

    if n == 0:
        return False

    for i in connected.rows:
        movement = users.connection[i]
        if movement < 0 or not 0.0 < users.to_stop[i] < RANGE or not has_tail[moves.exit[movement]]:
            continue

        group = moves.group[movement]
        is_let_in = group < 0 or IS_GREEN[state[group]]
        if is_let_in and users.speed[i] * users.speed[i] <= 2.0 * MAX_BRAKING * users.to_stop[i]:
            return True

    return False


def _may_enter(world: World, row: int) -> bool:
    """Return whether a vehicle comes to its stop line on green, and can still stop before it."""
    connection, distance, speed = int(world.connection[row]), float(world.to_stop[row]), float(world.speed[row])
    if connection < 0 or not 0.0 < distance < RANGE:
        return False
    group = int(world.code.conn_group[connection])
    is_let_in = group < 0 or bool(IS_GREEN[world.signals.state[group]])
    return is_let_in and speed * speed <= 2.0 * MAX_BRAKING * distance


def _tails(world: World) -> dict[int, Tail]:
    """Return the nearest standing vehicle of each exit lane."""
    code = world.code
    tails: dict[int, Tail] = {}
    on_lane = (world.path >= 0) & (world.path < code.n_lanes)
    standing = on_lane & (world.speed < STANDING_SPEED) & (world.s < EXIT_RANGE)

    for row in standing.nonzero()[0].tolist():
        lane = int(world.path[row])
        if code.lane_role[lane] == INGRESS:
            continue  # it waits for its own signal
        free = float(world.s[row]) - 0.5 * float(world.tracks["length"][row])
        if lane not in tails or free < tails[lane].free:
            tails[lane] = Tail(free, row)

    return tails


def _taken(world: World, prediction: Prediction, lane: int, row: int) -> float:
    """Return m taken by the vehicles that are inside, or nearer to the line than a track, and will leave by `lane`."""
    movement = prediction.movement[:, 0]
    is_before = (movement >= 0) & (world.to_stop < world.to_stop[row]) & (world.to_stop > -INSIDE_RANGE)
    rows = is_before.nonzero()[0]
    rows = rows[world.code.conn_to[movement[rows]] == lane]
    return float((world.tracks["length"][rows] + STANDING_GAP).sum())


def _advice(world: World, k: int, exit_lane: int, free: float, blocker: int) -> Candidate:
    row, ids = int(world.rows[k]), world.tracks["id"]
    distance = float(world.to_stop[row])

    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[k].id),
        severity=INFORMATION,
        confidence=float(world.tracks["existence"][blocker]),
        reason=REASON,
        facts={"lane": world.code.lane_ids[exit_lane], "free": max(free, 0.0), "distance": distance},
        tracks=(int(ids[row]), int(ids[blocker])),
        distance=distance,
        behaviour=STOP,
    )
