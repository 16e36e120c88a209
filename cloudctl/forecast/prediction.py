"""Where every road user will be: likely movements with their chances, and a short path with its variance. Computed once
per plan, for all advisory kinds.

Movements. A declared movement is certain, and so is the one that a track is on. Of the other movements of a lane, each
has as prior the share of vehicles that took it (`World.share`), times how well the speed fits: a vehicle that will turn
slows down at EASY_BRAKING in time for the turn's own speed v_t, so above sqrt(v_t^2 + 2 EASY_BRAKING d), d m before the
line, the movement is less likely, as a normal tail of SPEED_SPREAD. A movement less likely than MIN_CHANCE is left out.

Paths. A vehicle on a lane or movement follows it: s(t) = v t + a t^2 / 2 for as long as its acceleration is believed
(`acceleration_time`), then at the speed reached, never backwards. Every other road user goes straight on. Along the
path the variance is var_s + var_v t^2 + (SIGMA_A t^2 / 2)^2; across it var_y growing by SWAY m/s, up to half a lane.
Source: constant-acceleration prediction along lane centre lines as in Lefevre, Vasquez and Laugier, A survey on motion
prediction and risk assessment for intelligent vehicles (2014), section 4.
"""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..codes.compiled.addresses import inner_kernel
from ..codes.compiled.arrays import lanes_at, links_at, moves_at, paths_at
from ..codes.model import CONFLICTS
from ..kernels import njit
from ..matching import Floats, Ints
from ..road_users import FOLLOWS_LANE
from ..world import Users, World

MAX_MOVEMENTS = 3  # movements predicted per track
STEP = 0.5  # s
STEPS = 8
EASY_BRAKING = 2.0  # m/s^2 towards a turn
SPEED_SPREAD = 1.5  # m/s, 1 sigma of drivers' speeds before a turn
MIN_CHANCE = 0.05  # of a movement
MIN_SPEED = 1.0  # m/s; a stationary vehicle may set off
BELIEVED_TIME = 1.0  # s for which a measured acceleration is believed
# s for which a measured gain of speed is believed where its end is known: after a green begins, vehicles gain speed
# until
# they have the movement's own
MAX_GAINING_TIME = 3.0
# m/s^2 by ObjectClass: unmodelled acceleration, 1 sigma
SIGMA_A = np.array([0.8, 0.8, 0.6, 0.6, 1.0, 0.6, 0.4, 0.0])
SWAY = 0.25  # m/s by which a road user may leave its path
HALF_LANE = 1.2  # m; a vehicle that keeps to the lane is no further off
DIVERGE = CONFLICTS.index("diverge")  # type of a conflict of two movements that only begin together


NO_PATHS = np.empty((0, STEPS, 2))


class Prediction(NamedTuple):
    """What every track will do, one row per track."""

    # Int64[n, MAX_MOVEMENTS]: connections, the likeliest first, -1 where there are fewer
    movement: Ints
    # Float64[n, MAX_MOVEMENTS]: of each; they add up to 1, or to less where others were left out
    chance: Floats
    # Float64[n, STEPS, 2]: m, at STEP, 2 STEP, ... from now, along the likeliest movement
    xy: Floats
    var: Floats  # float64[n, STEPS, 2]: m^2 along and across that path


@njit(cache=True)
def _list_movements(
    connection: Any, path: Any, to_stop: Any, speed: Any, n_lanes: int, lane_start: Any, lane_conn: Any, conn_speed:
    Any, share: Any, movement: Any, chance: Any,
) -> None:  # fmt: skip
    """Fill in the likely movements of each track and their chances."""
    for index in range(len(path)):
        if connection[index] >= 0:
            movement[index, 0], chance[index, 0] = connection[index], 1.0
            continue

        if not 0 <= path[index] < n_lanes or not to_stop[index] > -1.0:
            continue

        total = 0.0
        distance = max(to_stop[index], 0.0)

        for c in range(lane_start[path[index]], lane_start[path[index] + 1]):
            candidate = lane_conn[c]
            excess = speed[index] - (conn_speed[candidate] ** 2 + 2.0 * EASY_BRAKING * distance) ** 0.5
            weight = share[candidate] * (np.exp(-0.5 * (excess / SPEED_SPREAD) ** 2) if excess > 0.0 else 1.0)
            total += weight

            # Insert it among the MAX_MOVEMENTS likeliest so far.
            rank = MAX_MOVEMENTS

            while rank > 0 and weight > chance[index, rank - 1]:
                rank -= 1

            for slot in range(MAX_MOVEMENTS - 1, rank, -1):
                movement[index, slot], chance[index, slot] = movement[index, slot - 1], chance[index, slot - 1]

            if rank < MAX_MOVEMENTS:
                movement[index, rank], chance[index, rank] = candidate, weight

        for slot in range(MAX_MOVEMENTS):
            chance[index, slot] = chance[index, slot] / total if total > 0.0 else 0.0
            if chance[index, slot] < MIN_CHANCE:
                movement[index, slot], chance[index, slot] = -1, 0.0


@njit(cache=True)
def acceleration_time(speed: float, accel: float, top_speed: float) -> float:
    """Return how long (s) a measured acceleration (m/s^2) is believed.

    A gain of speed is believed until it has led to `top_speed` m/s, but no longer than MAX_GAINING_TIME."""
    if accel <= 0.0:
        return BELIEVED_TIME
    return min(max((top_speed - speed) / accel, BELIEVED_TIME), MAX_GAINING_TIME)


@njit(cache=True)
def distance_covered(speed: float, accel: float, seconds: float, top_speed: float = 0.0) -> float:
    """Return m covered in `seconds`: `accel` m/s^2 for as long as it is believed, then constant speed, never
    backwards."""
    accelerated = min(seconds, acceleration_time(speed, accel, top_speed))
    if accel < 0.0 and speed + accel * accelerated < 0.0:
        return 0.5 * speed * speed / -accel
    return speed * seconds + accel * accelerated * (seconds - 0.5 * accelerated)


@njit(cache=True)
def position_variance(variance: float, speed_variance: float, sigma_a: float, seconds: float) -> float:
    """Return the variance (m^2) along the path of a position predicted `seconds` ahead."""
    return variance + speed_variance * seconds * seconds + (0.5 * sigma_a * seconds * seconds) ** 2


@njit(cache=True)
def arrival(distance: float, speed: float, accel: float, top_speed: float = 0.0) -> float:
    """Return when (s from now) a road user is `distance` m on, predicted as by `distance_covered`; negative where it is
    past that already."""
    if distance <= 0.0:
        return distance / max(speed, MIN_SPEED)

    # While it accelerates, or after that at constant speed.
    accelerated = acceleration_time(speed, accel, top_speed)
    reached = distance_covered(speed, accel, accelerated, top_speed)
    if reached >= distance:
        if abs(accel) < 1e-3:
            return distance / speed
        return (sqrt(speed * speed + 2.0 * accel * distance) - speed) / accel

    return accelerated + (distance - reached) / max(speed + accel * accelerated, MIN_SPEED)


@njit(cache=True)
def point(path: int, s: float, start: Any, xy: Any, arc: Any, spot: Any) -> None:
    """Fill in x, y (m) and the direction `s` m along a path, continued straight beyond its ends."""
    piece = start[path]
    while piece < start[path + 1] - 2 and arc[piece + 1] < s:
        piece += 1
    length = max(arc[piece + 1] - arc[piece], 1e-9)
    spot[2], spot[3] = (xy[piece + 1, 0] - xy[piece, 0]) / length, (xy[piece + 1, 1] - xy[piece, 1]) / length
    spot[0], spot[1] = xy[piece, 0] + spot[2] * (s - arc[piece]), xy[piece, 1] + spot[3] * (s - arc[piece])


@njit(cache=True)
def next_path(
    path: int, movement: int, n_lanes: int, conn_from: Any, conn_to: Any, joint_start: Any, joint: Any
) -> int:
    """Return the path that follows one, for a vehicle that will take a movement (-1: not known).

    That is the movement itself, the joint of the road that leads to its lane, or the lane a connection leads to; -1
    where the code ends, or the road forks and the vehicle's branch is not known.
    """
    lane = conn_from[path - n_lanes] if path >= n_lanes else path
    if path < n_lanes and movement >= 0 and conn_from[movement] == path:
        return n_lanes + movement

    # Where the road forks, the branch that leads to the lane of the movement is the one that is driven
    forks = joint_start[lane + 1] - joint_start[lane] > 1
    for index in range(joint_start[lane], joint_start[lane + 1]):
        is_taken = not forks or (movement >= 0 and conn_to[joint[index]] == conn_from[movement])
        if path < n_lanes and is_taken:
            return n_lanes + int(joint[index])
        if path == n_lanes + joint[index]:
            return int(conn_to[joint[index]]) if is_taken else -1

    return int(conn_to[path - n_lanes]) if path >= n_lanes else -1


@njit(cache=True)
def _predict_path(
    user: int, tracks: Any, path: Any, s: Any, speed: Any, accel: Any, movement: Any, n_lanes: int, start: Any, xy: Any,
    arc: Any, length: Any, conn_from: Any, conn_to: Any, joint_start: Any, joint: Any, positions: Any, variances: Any,
) -> None:  # fmt: skip
    """Fill in the predicted positions (m) of track `user` and their variances (m^2) along and across the path."""
    track = tracks[user]
    sigma = SIGMA_A[min(track["class"], len(SIGMA_A) - 1)]
    variance, speed_variance = 0.5 * (track["var_x"] + track["var_y"]), 0.5 * (track["var_vx"] + track["var_vy"])
    is_guided = path[user] >= 0 and FOLLOWS_LANE[track["class"]]

    current_path, path_begin, piece = path[user], 0.0, 0

    if is_guided:
        piece = start[current_path]

    for step in range(STEPS):
        time_ns = (step + 1) * STEP
        variances[user, step, 0] = position_variance(variance, speed_variance, sigma, time_ns)
        variances[user, step, 1] = variance + (SWAY * time_ns) ** 2

        if not is_guided:
            # Straight on, as uncertain across its way as along it.
            positions[user, step, 0] = track["x"] + track["vx"] * time_ns
            positions[user, step, 1] = track["y"] + track["vy"] * time_ns
            variances[user, step, 1] = variances[user, step, 0]
            continue

        variances[user, step, 1] = min(variances[user, step, 1], variance + HALF_LANE**2)

        # The path it will be on, and where along it.
        along = s[user] + distance_covered(max(speed[user], 0.0), accel[user], time_ns) - path_begin
        while along > length[current_path]:
            following = next_path(current_path, movement[user, 0], n_lanes, conn_from, conn_to, joint_start, joint)
            if following < 0:
                break
            along -= length[current_path]
            path_begin += length[current_path]
            current_path, piece = following, start[following]

        # Between two points of that path; beyond its end straight on.
        while piece < start[current_path + 1] - 2 and arc[piece + 1] < along:
            piece += 1

        segment = max(arc[piece + 1] - arc[piece], 1e-9)
        fraction = (along - arc[piece]) / segment
        positions[user, step, 0] = xy[piece, 0] + fraction * (xy[piece + 1, 0] - xy[piece, 0])
        positions[user, step, 1] = xy[piece, 1] + fraction * (xy[piece + 1, 1] - xy[piece, 1])


@njit(cache=True)
def _predict_paths(
    tracks: Any, path: Any, s: Any, speed: Any, accel: Any, movement: Any, n_lanes: int, start: Any, xy: Any, arc: Any,
    length: Any, conn_from: Any, conn_to: Any, joint_start: Any, joint: Any, positions: Any, variances: Any,
) -> None:  # fmt: skip
    """Fill in the predicted positions (m) and their variances (m^2) along and across the path."""
    for index in range(len(tracks)):
        _predict_path(
            index, tracks, path, s, speed, accel, movement, n_lanes, start, xy, arc, length, conn_from, conn_to,
            joint_start, joint, positions, variances,
        )  # fmt: skip


@njit(cache=True, inline="always")
def movements_in(users: Users, share: Any, code: Any) -> Prediction:
    """Return the likely movements of every road user of an intersection: `predict`, compiled, with room for the paths
    that `predict_path_in` fills in."""
    lanes, moves, links = lanes_at(code), moves_at(code), links_at(code)
    count = len(users.path)
    prediction = Prediction(
        np.full((count, MAX_MOVEMENTS), -1, np.int64), np.zeros((count, MAX_MOVEMENTS)), np.empty((count, STEPS, 2)),
        np.empty((count, STEPS, 2)),
    )  # fmt: skip
    _list_movements(
        users.connection, users.path, users.to_stop, users.speed, len(lanes.speed), links.start,
        links.movement, moves.speed, share, prediction.movement, prediction.chance,
    )  # fmt: skip

    return prediction


@inner_kernel
def predict_path_in(user: int, users: Users, code: Any, prediction: Prediction) -> None:
    """Fill in the path of one road user."""
    paths, lanes, moves, links = paths_at(code), lanes_at(code), moves_at(code), links_at(code)
    _predict_path(
        user, users.tracks, users.path, users.s, users.speed, users.accel, prediction.movement, len(lanes.speed),
        paths.start, paths.xy, paths.s, paths.length, moves.origin, moves.exit, links.joint_start, links.joint,
        prediction.xy, prediction.var,
    )  # fmt: skip


def likely_movements(world: World) -> Prediction:
    """Return the prediction of a snapshot without the paths: `xy` and `var` have no rows."""
    count, links = len(world.tracks), world.code.lane_links
    movement, chance = np.full((count, MAX_MOVEMENTS), -1, np.int64), np.zeros((count, MAX_MOVEMENTS))
    _list_movements(
        world.connection, world.path, world.to_stop, world.speed, world.code.n_lanes, links.start, links.movement,
        world.code.conn_speed, world.share, movement, chance,
    )  # fmt: skip

    return Prediction(movement=movement, chance=chance, xy=NO_PATHS, var=NO_PATHS)


def predict(world: World) -> Prediction:
    """Predict every track of the snapshot STEPS x STEP s ahead; O(tracks)."""
    code, count = world.code, len(world.tracks)
    prediction = Prediction(
        movement=np.full((count, MAX_MOVEMENTS), -1, np.int64),
        chance=np.zeros((count, MAX_MOVEMENTS)),
        xy=np.empty((count, STEPS, 2)),
        var=np.empty((count, STEPS, 2)),
    )

    if not count:
        return prediction

    links = code.lane_links
    _list_movements(
        world.connection, world.path, world.to_stop, world.speed, code.n_lanes, links.start, links.movement,
        code.conn_speed, world.share, prediction.movement, prediction.chance,
    )  # fmt: skip

    _predict_paths(
        world.tracks, world.path, world.s, world.speed, world.accel, prediction.movement, code.n_lanes, code.path_start,
        code.path_xy, code.path_s, code.path_length, code.conn_from, code.conn_to, links.joint_start, links.joint,
        prediction.xy, prediction.var,
    )  # fmt: skip

    return prediction


def chance_of(prediction: Prediction, row: int, connection: int) -> float:
    """Return the chance that a track takes a movement."""
    return float(prediction.chance[row][prediction.movement[row] == connection].sum())


def position_at(prediction: Prediction, row: int, seconds: float) -> NDArray[np.float64]:
    """Return x, y (m) of a track `seconds` from now, interpolated between the steps."""
    step = min(max(seconds / STEP - 1.0, 0.0), STEPS - 1.0)
    low = int(step)
    high = min(low + 1, STEPS - 1)
    position: NDArray[np.float64] = prediction.xy[row, low] + (step - low) * (
        prediction.xy[row, high] - prediction.xy[row, low]
    )

    return position
