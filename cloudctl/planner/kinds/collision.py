"""Intersection collision and left turn across path: two vehicles whose time windows at a conflict point of the digital
code are likely to meet.

For tracks a, b whose likely movements the conflict matrix says cross or merge, t_in and t_out are the predicted times
at which the front reaches and the rear leaves the conflict point; their standard deviation is that of the prediction
along the path over the speed. TTC = max(t_in); PET = the gap between the windows. The chance that they meet is
Phi((MAX_PET - PET) / sigma) times the chances of both movements; meetings less likely than MIN_CHANCE are left out.

The vehicle that must yield is warned of the first one it would meet: at a TTC of YIELDING_TTC while it neither brakes
nor waits, and at any TTC once stopping before the conflict point takes more than LATE_BRAKING (`braking`). In the
second
case the vehicle with priority is warned as well. To a stationary vehicle across the way the other one must yield. A
cyclist counts
if its straight way leads to the conflict point, within MAX_MISS. Pedestrians are the subject of `pedestrian`.
"""

from math import erf, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import conflicts_at, lanes_at, moves_at, paths_at
from ...driving import BRAKING_SHARE, LATE_BRAKING
from ...forecast.following import Following
from ...forecast.prediction import DIVERGE, MIN_SPEED, SIGMA_A, Prediction, arrival, point, position_variance
from ...kernels import njit
from ...road_users import FOLLOWS_LANE, RIDES
from ...schema import AdvisoryKind, vehicle_target
from ...signals.colours import IS_CLOSED
from ...world import Connected, Users, World
from ..braking import brakes_too_late
from ..candidate import SLOW_DOWN, SOON, Candidate, severity_of

KIND = AdvisoryKind.COLLISION
MAX_TTC = 5.0  # s (ETSI TS 101 539-1)
YIELDING_TTC = 4.5  # s
# s between the two windows, below which the vehicles are taken to meet: two that are predicted 2 s apart mostly stay so
MAX_PET = 0.5
MIN_CHANCE = 0.5  # of meeting
MAX_MISS = 1.5  # m by which a cyclist that is to cross the conflict point may miss it
CLEARANCE = 1.0  # m before the conflict point at which a vehicle that yields stops
MIN_DISTANCE = 1.0  # m before that place; nearer, it is there
# m past the conflict point: a stationary vehicle whose front is there surely is in the way of the other
IN_THE_WAY = 1.0
NOTICEABLE_BRAKING = 0.3  # m/s^2 that it takes to stop before the conflict point, below which there is time to warn
STANDING_SPEED = 1.5  # m/s; a slower vehicle waits, unless it sets off
STARTING_ACCELERATION = 0.8  # m/s^2; a slow vehicle that gains speed faster than this sets off
APPROACH_RANGE = 60.0  # m before the stop line within which a vehicle counts as entering
MAX_PAIRS = 8  # per entering vehicle, on average

REASON_YIELD = "give way to a vehicle whose path you cross in {ttc:.1f} s, {pet:.1f} s apart"
REASON_PRIORITY = "be ready to brake for a vehicle whose path you cross in {ttc:.1f} s, {pet:.1f} s apart"

# Two vehicles (rows of tracks) that are likely to meet. ttc and pet in s; a_distance and b_distance in m from each
# front to the
# conflict point.
PAIR = np.dtype(
    [
        ("a", "i8"),
        ("b", "i8"),
        ("ttc", "f8"),
        ("pet", "f8"),
        ("chance", "f8"),
        ("a_distance", "f8"),
        ("b_distance", "f8"),
        ("a_yields", "?"),
    ]
)
WARNING = np.dtype([("own", "i8"), ("other", "i8"), ("pair", "i8"), ("yields", "?")])


class _Warning(NamedTuple):
    """Which vehicle to warn of which, as a row of WARNING."""

    own: int  # row of its track
    other: int
    pair: int  # index
    yields: bool  # as the one that must yield


@njit(cache=True)
def _list_entering(
    path: Any, s: Any, to_stop: Any, length: Any, user_class: Any, movement: Any, n_lanes: int, conn_group: Any,
    state: Any, along: Any, head: Any, after: Any,
) -> int:  # fmt: skip
    """List, by connection, the vehicles that are on it or may drive onto it (row * MAX_MOVEMENTS + rank), as
    linked
    lists; `along`: where along it (m, of the middle)."""
    n, ways = 0, movement.shape[1]
    for i in range(len(path)):
        is_inside = path[i] >= n_lanes
        if not RIDES[user_class[i]] or not ((is_inside and to_stop[i] < 0.0) or 0.0 < to_stop[i] < APPROACH_RANGE):
            continue

        along[i] = s[i] if is_inside else -to_stop[i] - 0.5 * length[i]
        for m in range(ways):
            k = movement[i, m]
            if k < 0 or (not is_inside and conn_group[k] >= 0 and IS_CLOSED[state[conn_group[k]]]):
                continue
            after[i * ways + m], head[k] = head[k], i * ways + m
            n += 1

    return n


@njit(cache=True)
def window(distance: float, length: float, speed: float, accel: float, top_speed: float, times: Any) -> None:
    """Fill in the window of a vehicle at a point `distance` m ahead of its front: when (s from now) its front reaches
    the
    point, and when its rear leaves it."""
    times[0] = arrival(distance, speed, accel, top_speed)
    times[1] = arrival(distance + length, speed, accel, top_speed)


@njit(cache=True)
def deviation(track: Any, speed: float, t: float) -> float:
    """Return the standard deviation (s) of an arrival predicted in `t` s."""
    variance, speed_variance = 0.5 * (track["var_x"] + track["var_y"]), 0.5 * (track["var_vx"] + track["var_vy"])
    sigma = SIGMA_A[min(track["class"], len(SIGMA_A) - 1)]
    return sqrt(position_variance(variance, speed_variance, sigma, max(t, 0.0))) / max(speed, MIN_SPEED)


@njit(cache=True)
def _both_cross(a: Any, b: Any, path: int, along: float, start: Any, xy: Any, arc: Any) -> bool:
    """Return whether two are to cross the point `along` m along a path: a vehicle that follows lanes is, a cyclist if
    its straight way leads there."""
    spot = np.empty(4)
    point(path, along, start, xy, arc, spot)
    for track in (a, b):
        vx, vy = float(track["vx"]), float(track["vy"])
        miss = abs((spot[0] - track["x"]) * vy - (spot[1] - track["y"]) * vx)  # m, times the speed
        if not FOLLOWS_LANE[track["class"]] and not miss < MAX_MISS * sqrt(vx * vx + vy * vy):
            return False

    return True


@njit(cache=True)
def _list_pairs(
    tracks: Any, speed: Any, accel: Any, chance: Any, along: Any, head: Any, after: Any, n_lanes: int, start: Any, xy:
    Any, arc: Any, conf_start: Any, conf_other: Any, conf_s: Any, conf_s_other: Any, conf_type: Any, conf_gives: Any,
    conn_speed: Any, pairs: Any,
) -> int:  # fmt: skip
    """List the pairs of vehicles whose windows at a conflict point are likely to meet: each pair of movements once."""
    n, ways = 0, chance.shape[1]
    a_window, b_window = np.empty(2), np.empty(2)
    for a_conn in range(len(head)):
        for c in range(conf_start[a_conn], conf_start[a_conn + 1]):
            b_conn = conf_other[c]
            if conf_type[c] == DIVERGE or b_conn < a_conn or head[b_conn] < 0:
                continue

            a_way = head[a_conn]
            while a_way >= 0:
                a = a_way // ways
                length = tracks[a]["length"]
                a_distance = conf_s[c] - along[a] - 0.5 * length
                window(a_distance, length, max(speed[a], 0.0), accel[a], conn_speed[a_conn], a_window)

                b_way = head[b_conn]

                while b_way >= 0 and a_window[1] > 0.0:
                    b = b_way // ways
                    length = tracks[b]["length"]
                    b_distance = conf_s_other[c] - along[b] - 0.5 * length
                    window(b_distance, length, max(speed[b], 0.0), accel[b], conn_speed[b_conn], b_window)
                    ttc = max(a_window[0], b_window[0])

                    if b != a and b_window[1] > 0.0 and ttc < MAX_TTC:
                        pet = ttc - min(a_window[1], b_window[1])
                        sigma = sqrt(
                            deviation(tracks[a], speed[a], a_window[0]) ** 2
                            + deviation(tracks[b], speed[b], b_window[0]) ** 2
                        )
                        meets = 0.5 + 0.5 * erf((MAX_PET - pet) / (sqrt(2.0) * max(sigma, 1e-3)))
                        meets *= chance[a, a_way - a * ways] * chance[b, b_way - b * ways]
                        is_likely = meets >= MIN_CHANCE and n < len(pairs)

                        if is_likely and _both_cross(tracks[a], tracks[b], n_lanes + a_conn, conf_s[c], start, xy, arc):
                            pair = pairs[n]
                            pair["a"], pair["b"], pair["ttc"], pair["pet"] = a, b, max(ttc, 0.0), max(pet, 0.0)
                            pair["a_distance"], pair["b_distance"], pair["chance"] = a_distance, b_distance, meets
                            pair["a_yields"] = conf_gives[c]
                            n += 1

                    b_way = after[b_way]

                a_way = after[a_way]

    return n


@inner_kernel
def screen(
    users: Users, connected: Connected, state: Any, code: Any, prediction: Prediction, following: Following
) -> bool:
    """Return whether a connected vehicle is to be warned."""
    paths, lanes, moves, conflicts = paths_at(code), lanes_at(code), moves_at(code), conflicts_at(code)
    n, ways, n_lanes = len(users.path), prediction.movement.shape[1], len(lanes.speed)
    along, head, after = np.zeros(n), np.full(len(moves.group), -1, np.int64), np.full(n * ways, -1, np.int64)
    entering = _list_entering(
        users.path, users.s, users.to_stop, users.tracks["length"], users.tracks["class"], prediction.movement, n_lanes,
        moves.group, state, along, head, after,
    )  # fmt: skip

    if entering < 2:
        return False

    found = np.zeros(MAX_PAIRS * entering, PAIR)
    count = _list_pairs(
        users.tracks, users.speed, users.accel, prediction.chance, along, head, after, n_lanes, paths.start, paths.xy,
        paths.s, conflicts.start, conflicts.other, conflicts.s, conflicts.s_other, conflicts.type, conflicts.gives,
        moves.speed, found,
    )  # fmt: skip

    warnings = np.empty(2 * count, WARNING)
    times = np.empty(count)
    for k in range(count):
        times[k] = found[k]["ttc"]

    count = _list_warnings(
        found, np.argsort(times, kind="mergesort"), users.tracks, users.speed, users.accel, following.leader,
        following.gap, warnings,
    )  # fmt: skip
    is_connected = False
    for k in range(count):
        is_connected |= connected.report[warnings[k]["own"]] >= 0

    return is_connected


def plan(world: World, prediction: Prediction, following: Following) -> list[Candidate]:
    """Return warnings to connected vehicles whose predicted windows at a conflict point meet; linear in relevant
    pairs."""
    return _warnings(world, pairs(world, prediction), following) if len(world.vehicles) else []


def pairs(world: World, prediction: Prediction) -> NDArray[Any]:
    """Return the vehicles whose windows at a conflict point are likely to meet: PAIR[n]."""
    code, n, ways = world.code, len(world.tracks), prediction.movement.shape[1]
    if not code.n_conns:
        return np.zeros(0, PAIR)

    along, head, after = np.zeros(n), np.full(code.n_conns, -1, np.int64), np.full(n * ways, -1, np.int64)
    entering = _list_entering(
        world.path, world.s, world.to_stop, world.tracks["length"], world.tracks["class"], prediction.movement,
        code.n_lanes, code.conn_group, world.signals.state, along, head, after,
    )  # fmt: skip
    if entering < 2:
        return np.zeros(0, PAIR)

    found = np.zeros(MAX_PAIRS * entering, PAIR)
    count = _list_pairs(
        world.tracks, world.speed, world.accel, prediction.chance, along, head, after, code.n_lanes, code.path_start,
        code.path_xy, code.path_s, code.conf_start, code.conf_other, code.conf_s, code.conf_s_other, code.conf_type,
        code.conf_gives, code.conn_speed, found,
    )  # fmt: skip

    return found[:count]


@njit(cache=True)
def is_waiting(row: int, distance: float, speed: Any, accel: Any, leader: Any, gap: Any) -> bool:
    """Return whether a vehicle will not reach a place `distance` m ahead: it stands and does not set off, or a vehicle
    stands before it on the way there."""
    is_blocked = leader[row] >= 0 and gap[row] < distance and speed[leader[row]] < STANDING_SPEED
    return bool(is_blocked or (speed[row] < STANDING_SPEED and accel[row] < STARTING_ACCELERATION))


@njit(cache=True)
def _approach_each_other(yielding: int, other: int, speed: Any) -> bool:
    """Return whether the other vehicle moves, or stands in the way of one that does more than creep."""
    return bool(speed[other] > STANDING_SPEED or speed[yielding] > 2.0 * STANDING_SPEED)


@njit(cache=True)
def _list_warnings(
    pairs: Any, order: Any, tracks: Any, speed: Any, accel: Any, leader: Any, gap: Any, warnings: Any
) -> int:
    """List which vehicle is warned of which, by time; `order`: the pairs by time."""
    n, has_first = 0, np.zeros(len(speed), np.bool_)
    for k in order:
        pair = pairs[k]
        own, other, own_distance, other_distance = pair["a"], pair["b"], pair["a_distance"], pair["b_distance"]
        if not pair["a_yields"]:
            own, other, own_distance, other_distance = other, own, other_distance, own_distance

        if own_distance < -IN_THE_WAY and speed[own] < MIN_SPEED:
            own, other, own_distance, other_distance = (
                other,
                own,
                other_distance,
                own_distance,
            )  # it stands in the way of the other

        # The first vehicle that it would meet; not where it waits, or the other does.
        distance = own_distance - CLEARANCE
        if distance < MIN_DISTANCE or has_first[own] or is_waiting(own, distance, speed, accel, leader, gap):
            continue
        if other_distance > -IN_THE_WAY and is_waiting(other, other_distance - CLEARANCE, speed, accel, leader, gap):
            continue

        has_first[own] = True

        is_late = brakes_too_late(speed[own], distance, -accel[own], LATE_BRAKING, BRAKING_SHARE)
        is_soon = (
            pair["ttc"] < YIELDING_TTC and FOLLOWS_LANE[tracks[own]["class"]] and FOLLOWS_LANE[tracks[other]["class"]]
        )

        if not is_late:
            if not is_soon or not _approach_each_other(own, other, speed):
                continue
            if not brakes_too_late(speed[own], distance, -accel[own], NOTICEABLE_BRAKING, BRAKING_SHARE):
                continue

        warning = warnings[n]
        warning["own"], warning["other"], warning["pair"], warning["yields"] = own, other, k, True
        n += 1

        if is_late:
            warning = warnings[n]
            warning["own"], warning["other"], warning["pair"], warning["yields"] = other, own, k, False
            n += 1

    return n


def _warnings(world: World, pairs: NDArray[Any], following: Following) -> list[Candidate]:
    warnings = np.empty(2 * len(pairs), WARNING)
    order = np.argsort(np.ascontiguousarray(pairs["ttc"]), kind="stable")
    n = _list_warnings(pairs, order, world.tracks, world.speed, world.accel, following.leader, following.gap, warnings)

    # The first warning of each connected vehicle.
    candidates: dict[str, Candidate] = {}

    for warning in (_Warning(*row) for row in warnings[:n].tolist()):
        report = int(world.report[warning.own])
        if report < 0:
            continue
        target = vehicle_target(world.vehicles[report].id)
        if target not in candidates:
            candidates[target] = _candidate(world, target, warning, pairs[warning.pair])

    return list(candidates.values())


def _candidate(world: World, target: str, warning: _Warning, pair: Any) -> Candidate:
    ttc, existence, ids = float(pair["ttc"]), world.tracks["existence"], world.tracks["id"]
    severity = severity_of(ttc)

    return Candidate(
        kind=KIND,
        target=target,
        severity=severity if warning.yields else max(severity, SOON),
        confidence=float(min(existence[warning.own], existence[warning.other]) * pair["chance"]),
        reason=REASON_YIELD if warning.yields else REASON_PRIORITY,
        facts={"ttc": ttc, "pet": float(pair["pet"])},
        tracks=(int(ids[warning.own]), int(ids[warning.other])),
        behaviour=SLOW_DOWN if warning.yields else None,
    )
