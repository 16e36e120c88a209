"""Where every road user will be: likely movements with their chances, and a short path with its variance. Once a tick, for all planners.

Movements. Who declared one takes it; who is on one is on it. Of the movements of a lane, each has as prior the share of vehicles that took it
(`World.share`), times how well the speed fits: who will turn slows down at EASY in time for the turn's own speed v_t, so above
sqrt(v_t^2 + 2 EASY d) it is less likely, as a normal tail of SPREAD m/s. A movement that may cost less than LEAST is left out.

Paths. A vehicle on a lane or movement follows it: s(t) = v t + a t^2 / 2 for as long as its acceleration is believed (`believed`),
then at the speed reached, never backwards; anybody else goes straight on. Along it the variance is var_s + var_v t^2 + (SIGMA_A t^2 / 2)^2,
across it var_y growing by SWAY m a second up to half a lane. Source: constant-acceleration prediction along lane centre lines as
in Lefevre, Vasquez and Laugier, A survey on motion prediction and risk assessment (2014), section 4.
"""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..codes import CompiledCode
from ..codes.model import CONFLICTS, TURNS
from ..matching import Floats, Ints
from ..schema import ObjectClass
from ..world import World

WAYS = 3  # movements kept of each track
STEP = 0.5  # s
STEPS = 8
EASY = 2.0  # m/s^2 of braking towards a turn
SPREAD = 1.5  # m/s
LEAST = 0.05  # a less likely movement is left out
SLOWEST = 1.0  # m/s; who stands may set off
BELIEVED = 1.0  # s for which a measured acceleration is believed
GAINS = 3.0  # s for which a gain of speed is, where its end is known: who sets off at a green goes on until the way's own speed
SIGMA_A = np.array([0.8, 0.8, 0.6, 0.6, 1.0, 0.6, 0.4, 0.0])  # m/s^2 by class: what nobody told of the next seconds
SWAY = 0.25  # m/s by which a path may be left
DIVERGE = CONFLICTS.index("diverge")  # type of a conflict of two movements that only begin together
HALF_LANE = 1.2  # m; a driver who keeps to his lane is no further off
MOTOR = np.isin(
    np.arange(256), (ObjectClass.UNKNOWN, ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS, ObjectClass.MOTORCYCLE)
)


class Prediction(NamedTuple):
    """One row a track."""

    movement: Ints  # int64[n, WAYS]: connections, the likeliest first, -1 where there are fewer
    chance: Floats  # float64[n, WAYS]: of each; they add up to 1, or to less where others were left out
    xy: Floats  # float64[n, STEPS, 2]: m, at STEP, 2 STEP, ... from now, along the likeliest movement
    var: Floats  # float64[n, STEPS, 2]: m^2 along and across that path


@njit(cache=True)
def _likely(
    connection: Any, path: Any, to_stop: Any, speed: Any, n_lanes: int, lane_start: Any, lane_conn: Any, conn_speed: Any, share: Any,
    movement: Any, chance: Any,
) -> None:  # fmt: skip
    for i in range(len(path)):
        if connection[i] >= 0:
            movement[i, 0], chance[i, 0] = connection[i], 1.0
            continue
        if not 0 <= path[i] < n_lanes or not to_stop[i] > -1.0:
            continue
        total = 0.0
        far = max(to_stop[i], 0.0)
        for c in range(lane_start[path[i]], lane_start[path[i] + 1]):
            k = lane_conn[c]
            over = speed[i] - (conn_speed[k] ** 2 + 2.0 * EASY * far) ** 0.5
            weight = share[k] * (np.exp(-0.5 * (over / SPREAD) ** 2) if over > 0.0 else 1.0)
            total += weight
            at = WAYS
            while at > 0 and weight > chance[i, at - 1]:
                at -= 1
            for m in range(WAYS - 1, at, -1):
                movement[i, m], chance[i, m] = movement[i, m - 1], chance[i, m - 1]
            if at < WAYS:
                movement[i, at], chance[i, at] = k, weight
        for m in range(WAYS):
            chance[i, m] = chance[i, m] / total if total > 0.0 else 0.0
            if chance[i, m] < LEAST:
                movement[i, m], chance[i, m] = -1, 0.0


@njit(cache=True)
def believed(speed: float, accel: float, top: float) -> float:
    """Return for how many s a measured acceleration (m/s^2) is believed: BELIEVED, and of who gains speed until `top` m/s, up to GAINS."""
    return min(max((top - speed) / accel, BELIEVED), GAINS) if accel > 0.0 else BELIEVED


@njit(cache=True)
def covered(speed: float, accel: float, t: float, top: float = 0.0) -> float:
    """Return m covered in `t` s by who keeps `accel` m/s^2 for as long as it is believed, then his speed, and never backs up."""
    part = min(t, believed(speed, accel, top))
    if accel < 0.0 and speed + accel * part < 0.0:
        return 0.5 * speed * speed / -accel
    return speed * t + accel * part * (t - 0.5 * part)


@njit(cache=True)
def spread(variance: float, variance_v: float, sigma_a: float, t: float) -> float:
    """Return the variance (m^2) along the path of who is predicted `t` s ahead."""
    return variance + variance_v * t * t + (0.5 * sigma_a * t * t) ** 2


@njit(cache=True)
def arrival(distance: float, speed: float, accel: float, top: float = 0.0) -> float:
    """Return s until somebody is `distance` m on, predicted as `covered` does; negative where he is past it already."""
    if distance <= 0.0:
        return distance / max(speed, SLOWEST)
    part = believed(speed, accel, top)
    there = covered(speed, accel, part, top)
    if there >= distance:
        if abs(accel) < 1e-3:
            return distance / speed
        return (sqrt(speed * speed + 2.0 * accel * distance) - speed) / accel
    return part + (distance - there) / max(speed + accel * part, SLOWEST)


@njit(cache=True)
def point(path: int, s: float, start: Any, xy: Any, arc: Any, out: Any) -> None:
    """Fill in x, y (m) and the direction `s` m along a path, continued straight beyond its ends."""
    k = start[path]
    while k < start[path + 1] - 2 and arc[k + 1] < s:
        k += 1
    length = max(arc[k + 1] - arc[k], 1e-9)
    out[2], out[3] = (xy[k + 1, 0] - xy[k, 0]) / length, (xy[k + 1, 1] - xy[k, 1]) / length
    out[0], out[1] = xy[k, 0] + out[2] * (s - arc[k]), xy[k, 1] + out[3] * (s - arc[k])


@njit(cache=True)
def onward(path: int, movement: int, n_lanes: int, conn_from: Any, conn_to: Any, joint_start: Any, joint: Any) -> int:
    """Return the path that follows one, for who will take a movement (-1: not known): itself, the joint of the road that leads to its lane,
    or the lane a connection leads to; -1 where the code ends, or the road forks and nobody knows which way he takes."""
    lane = conn_from[path - n_lanes] if path >= n_lanes else path
    fork = joint_start[lane + 1] - joint_start[lane] > 1
    if path < n_lanes and movement >= 0 and conn_from[movement] == path:
        return n_lanes + movement
    for c in range(joint_start[lane], joint_start[lane + 1]):
        leads = not fork or (movement >= 0 and conn_to[joint[c]] == conn_from[movement])
        if path < n_lanes and leads:
            return n_lanes + int(joint[c])
        if path == n_lanes + joint[c]:
            return int(conn_to[joint[c]]) if leads else -1
    return int(conn_to[path - n_lanes]) if path >= n_lanes else -1


@njit(cache=True)
def _paths(
    tracks: Any, path: Any, s: Any, speed: Any, accel: Any, movement: Any, n_lanes: int, start: Any, xy: Any, arc: Any,
    length: Any, conn_from: Any, conn_to: Any, joint_start: Any, joint: Any, motor: Any, sigma_a: Any, out: Any, var: Any,
) -> None:  # fmt: skip
    for i in range(len(tracks)):
        track = tracks[i]
        sigma = sigma_a[min(track["class"], len(sigma_a) - 1)]
        position, velocity = 0.5 * (track["var_x"] + track["var_y"]), 0.5 * (track["var_vx"] + track["var_vy"])
        follows = path[i] >= 0 and motor[track["class"]]
        p, base, k = path[i], 0.0, 0
        if follows:
            k = start[p]
        for step in range(STEPS):
            t = (step + 1) * STEP
            var[i, step, 0] = spread(position, velocity, sigma, t)
            var[i, step, 1] = position + (SWAY * t) ** 2
            if not follows:
                out[i, step, 0] = track["x"] + track["vx"] * t
                out[i, step, 1] = track["y"] + track["vy"] * t
                var[i, step, 1] = var[i, step, 0]
                continue
            var[i, step, 1] = min(var[i, step, 1], position + HALF_LANE**2)
            at = s[i] + covered(max(speed[i], 0.0), accel[i], t) - base
            while at > length[p]:
                following = onward(p, movement[i, 0], n_lanes, conn_from, conn_to, joint_start, joint)
                if following < 0:
                    break
                at -= length[p]
                base += length[p]
                p, k = following, start[following]
            while k < start[p + 1] - 2 and arc[k + 1] < at:
                k += 1
            part = max(arc[k + 1] - arc[k], 1e-9)
            share = (at - arc[k]) / part
            out[i, step, 0] = xy[k, 0] + share * (xy[k + 1, 0] - xy[k, 0])
            out[i, step, 1] = xy[k, 1] + share * (xy[k + 1, 1] - xy[k, 1])


class Ways(NamedTuple):
    """Where each lane leads, in CSR: movements through the intersection, and joints of the road before it."""

    start: Ints
    movement: Ints
    joint_start: Ints
    joint: Ints
    minor: NDArray[np.bool_]  # of each lane: who is on it must let others go first before it comes to the stop line


_KNOWN: dict[str, Ways] = {}


def ways(code: CompiledCode) -> Ways:
    """Return where the lanes of a code lead, made once."""
    found = _KNOWN.get(code.hash)
    if found is None:
        found = _KNOWN[code.hash] = Ways(
            *_by_lane(code, code.conn_inner), *_by_lane(code, ~code.conn_inner), minor_lanes(code)
        )
    return found


def _by_lane(code: CompiledCode, chosen: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    rows = np.flatnonzero(chosen)
    order = rows[np.argsort(code.conn_from[rows], kind="stable")]
    counts = np.bincount(code.conn_from[order], minlength=code.n_lanes)
    return np.cumsum([0, *counts]).astype(np.int64), order.astype(np.int64)


def minor_lanes(code: CompiledCode) -> NDArray[np.bool_]:
    """Return which lanes lead, over joints alone, to one where they turn into a road that others come straight along."""
    ahead: dict[int, list[tuple[int, bool]]] = {}  # of each lane: the lanes its joints lead to, and whether straight on
    for k in np.flatnonzero(~code.conn_inner).tolist():
        ahead.setdefault(int(code.conn_from[k]), []).append(
            (int(code.conn_to[k]), TURNS[code.conn_turn[k]] == "straight")
        )
    road = {to for leads in ahead.values() for to, straight in leads if straight}
    minor, known = set[int](), -1
    while known < len(minor):
        known = len(minor)
        minor |= {
            lane
            for lane, leads in ahead.items()
            if all(to in minor or (not straight and to in road) for to, straight in leads)
        }
    return np.isin(np.arange(code.n_lanes), list(minor))


def predict(world: World) -> Prediction:
    """Predict every track of the snapshot STEPS x STEP s ahead; O(tracks)."""
    code, n = world.code, len(world.tracks)
    out = Prediction(
        np.full((n, WAYS), -1, np.int64), np.zeros((n, WAYS)), np.empty((n, STEPS, 2)), np.empty((n, STEPS, 2))
    )
    if n:
        table = ways(code)
        _likely(
            world.connection, world.path, world.to_stop, world.speed, code.n_lanes, *table[:2], code.conn_speed, world.share, *out[:2],
        )  # fmt: skip
        _paths(
            world.tracks, world.path, world.s, world.speed, world.accel, out.movement, code.n_lanes, code.path_start,
            code.path_xy, code.path_s, code.path_length, code.conn_from, code.conn_to, *table[2:4], MOTOR, SIGMA_A, *out[2:],
        )  # fmt: skip
    return out


def chance_of(found: Prediction, row: int, connection: int) -> float:
    """Return the chance that a track takes a movement."""
    return float(found.chance[row][found.movement[row] == connection].sum())


def at(found: Prediction, row: int, t: float) -> NDArray[np.float64]:
    """Return x, y (m) of a track `t` s from now, between the steps."""
    k = min(max(t / STEP - 1.0, 0.0), STEPS - 1.0)
    low = int(k)
    high = min(low + 1, STEPS - 1)
    here: NDArray[np.float64] = found.xy[row, low] + (k - low) * (found.xy[row, high] - found.xy[row, low])
    return here
