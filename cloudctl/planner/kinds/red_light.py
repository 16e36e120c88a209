"""Red-light violation: warns a driver about to run a red, and the vehicles whose path a violator will cross.

A driver is warned once stopping takes more than LATE_BRAKING from this moment on (v^2 / (2 d)) and is not begun, unless
green at the arrival is well founded: the signal shows red and no believed end of that comes before the vehicle, or
yellow that ends before. Within NEAR_LINE of the line a driver is also warned once stopping takes more than
GAINING_LATE_BRAKING while the vehicle gains speed, or more than OVERRUN_BRAKING while it brakes too weakly, and once it
sets off at the line. The reason gives a_req = v^2 / (2 (d - v t_r - 2 m)).
Crossing traffic is warned (`crossing`) of a vehicle that needs more than CRITICAL_BRAKING from this moment on, or
drives on over the line.
"""

from typing import Any

import numpy as np

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import moves_at
from ...driving import BRAKING_SHARE, LATE_BRAKING
from ...forecast.following import Following
from ...forecast.prediction import Prediction
from ...forecast.stop_line import StopLineForecast
from ...fusion import SEEN_LATELY
from ...kernels import njit
from ...schema import AdvisoryKind, ObjectClass, vehicle_target
from ...signals.colours import IS_STOP, IS_YELLOW
from ...signals.packed import SignalArrays
from ...signals.states import NEVER
from ...world import MAX_FRESH_AGE, Connected, Users, World
from ..braking import brakes_too_late, required_deceleration
from ..candidate import ACT_NOW, SOON, STOP, Candidate
from ..policy import policy_of
from . import crossing

KIND = AdvisoryKind.RED_LIGHT
MOTORCYCLE = int(ObjectClass.MOTORCYCLE)
# m/s^2 that stopping takes, beyond which no driver who means to stop gains speed near the line
GAINING_LATE_BRAKING = 2.5
# m/s^2 that stopping takes, beyond which a driver near the line overruns it while braking less than OVERRUN_SHARE of
# that
OVERRUN_BRAKING = 5.0
OVERRUN_SHARE = 0.7
# m before the line within which these show; further off, drivers still gain speed and brake late, or have just begun
NEAR_LINE = 7.0
CRITICAL_BRAKING = 6.0  # m/s^2; a car from which stopping takes more no longer stops before the line
MOTORCYCLE_CRITICAL_BRAKING = 10.0  # m/s^2; the same of a motorcycle
# m past the stop line at which a vehicle still stops before all crossing paths, within the accuracy of tracks
PAST_LINE = 2.0
RANGE = 120.0  # m before the line
MIN_SPEED = 4.0  # m/s; a slower vehicle is warned only when it sets off

# A vehicle that stood before a red sets off once it is this near the line, and is faster and gains speed more than
# this.
LINE_RANGE = 1.2  # m
STARTING_SPEED = 0.7  # m/s
STARTING_ACCELERATION = 0.8  # m/s^2

OVER_LINE_RANGE = 6.0  # m past the line up to which a vehicle is warned
MAX_SHOWN_DECELERATION = 9.9  # m/s^2 in the reason
REASON = "group {group} is red when you arrive in {arrival:.1f} s: stop, braking with {needed:.1f} m/s²"


@njit(cache=True)
def _is_violating(distance: float, speed: float, accel: float) -> bool:
    """Return whether a vehicle `distance` m before a stop line at red (negative: past it) comes too late to stop,
    overruns it, or sets off."""
    gains_speed = accel > STARTING_ACCELERATION
    if distance < LINE_RANGE and STARTING_SPEED < speed < MIN_SPEED and gains_speed:
        return True  # sets off
    if speed < MIN_SPEED or distance <= 0.0:
        return False

    is_near = distance < NEAR_LINE
    limit = GAINING_LATE_BRAKING if is_near and gains_speed else LATE_BRAKING
    if brakes_too_late(speed, distance + PAST_LINE, -accel, limit, BRAKING_SHARE):
        return True

    return is_near and brakes_too_late(speed, distance + PAST_LINE, -accel, OVERRUN_BRAKING, OVERRUN_SHARE)


@njit(cache=True)
def _list_violators(
    t: int, connection: Any, to_stop: Any, speed: Any, accel: Any, conn_group: Any, state: Any, max_end: Any,
    next_start: Any, status: Any, report: Any, reported: Any, rows: Any,
) -> int:  # fmt: skip
    """List the tracks seen or reported lately (`reported`: ns, of each connected vehicle) that violate a signal of
    which nothing well founded says that it is green when they arrive."""
    n = 0
    for i in range(len(connection)):
        is_fresh = status[i] == SEEN_LATELY or (report[i] >= 0 and t - reported[report[i]] <= MAX_FRESH_AGE)
        if not is_fresh or connection[i] < 0 or not -OVER_LINE_RANGE < to_stop[i] < RANGE:
            continue

        group = conn_group[connection[i]]
        if group < 0 or not _is_violating(to_stop[i], speed[i], accel[i]):
            continue

        arrival = to_stop[i] / speed[i]
        is_red = IS_STOP[state[group]]
        is_red |= IS_YELLOW[state[group]] and max_end[group] < NEVER and arrival > (max_end[group] - t) / 1e9

        if is_red and arrival < next_start[group]:
            rows[n] = i
            n += 1

    return n


@njit(cache=True)
def _is_critical(row: int, tracks: Any, speed: Any, to_stop: Any) -> bool:
    """Return whether a vehicle can no longer stop before its line."""
    distance = max(to_stop[row], 0.0)
    limit = MOTORCYCLE_CRITICAL_BRAKING if tracks[row]["class"] == MOTORCYCLE else CRITICAL_BRAKING
    return bool(speed[row] * speed[row] / (2.0 * (distance + PAST_LINE)) > limit)


@inner_kernel
def screen(
    t: int, users: Users, connected: Connected, signals: SignalArrays, code: Any, forecast: StopLineForecast,
    prediction: Prediction, following: Following,
) -> bool:  # fmt: skip
    """Return whether a connected vehicle violates a signal, or is to be warned of one that does."""
    moves = moves_at(code)
    rows = np.empty(len(users.path), np.int64)
    n = _list_violators(
        t, users.connection, users.to_stop, users.speed, users.accel, moves.group, signals.state, signals.max_end,
        forecast.windows.next_start, users.tracks["status"], connected.report, connected.reported, rows,
    )  # fmt: skip
    n_critical = 0

    for k in range(n):
        row = rows[k]
        if connected.report[row] >= 0:
            return True
        if users.to_stop[row] < 0.0 or _is_critical(row, users.tracks, users.speed, users.to_stop):
            rows[n_critical] = row
            n_critical += 1

    if n_critical == 0:
        return False

    return crossing.screen(rows[:n_critical], users, connected, signals.state, code, prediction, following)


def plan(world: World, forecast: StopLineForecast, prediction: Prediction, following: Following) -> list[Candidate]:
    """Return warnings to violators and, of those that can no longer stop, to the traffic they will cross."""
    code, signals = world.code, world.signals
    if not code.n_conns or not len(signals.state):
        return []

    rows = np.empty(len(world.tracks), np.int64)
    n = _list_violators(
        world.t, world.connection, world.to_stop, world.speed, world.accel, code.conn_group, signals.state,
        signals.max_end, forecast.windows.next_start, world.tracks["status"], world.report, world.reported,
        rows,
    )  # fmt: skip

    candidates = []
    violators = []  # rows of those that stop no more
    for row in rows[:n].tolist():
        is_critical = _is_critical(row, world.tracks, world.speed, world.to_stop)
        if world.report[row] >= 0:
            candidates.append(_warning(world, row, is_critical))
        if is_critical or world.to_stop[row] < 0.0:
            violators.append(row)

    return candidates + crossing.plan(world, violators, prediction, following)


def _warning(world: World, row: int, is_critical: bool) -> Candidate:
    vehicle = world.vehicles[int(world.report[row])]
    speed, distance = float(world.speed[row]), max(float(world.to_stop[row]), 0.0)
    group = int(world.code.conn_group[int(world.connection[row])])
    needed = required_deceleration(speed, distance, policy_of(vehicle.state).reaction)

    return Candidate(
        kind=KIND,
        target=vehicle_target(vehicle.id),
        severity=ACT_NOW if is_critical or speed < MIN_SPEED else SOON,
        confidence=float(world.tracks["existence"][row]),
        reason=REASON,
        facts={
            "group": int(world.code.group_ids[group]),
            "distance": distance,
            "needed": min(needed, MAX_SHOWN_DECELERATION),
            "arrival": distance / speed,
        },
        tracks=(int(world.tracks["id"][row]),),
        speed=0.0,
        distance=distance,
        behaviour=STOP,
    )
