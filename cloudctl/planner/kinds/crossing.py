"""Warns crossing traffic of a vehicle that runs a red: where their time windows at a conflict point of the digital code
are likely to meet.

A violator is past stopping before its line, or over it and driving on. For each movement it may take and each connected
vehicle that moves by a movement which crosses or joins it there, t_in and t_out are the predicted times at which the
front reaches and the rear leaves the conflict point: by measured acceleration up to the movement's own speed, and
slowing down to that by the line where the movement turns. PET is the gap between the two windows, sigma what is not
known of it; the chance that they come within MAX_PET of each other is Phi((MAX_PET - PET) / sigma), times the chances
of both movements. A vehicle that is there before the violator is concerned only where their windows meet
(MAX_PET_FIRST): it can do nothing but drive on.

Not warned is a vehicle that its own red holds, that stands or comes behind one that does, that brakes for the conflict
point already, or that has passed it.
"""

from math import erf, sqrt
from typing import Any, NamedTuple

import numpy as np

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import conflicts_at, moves_at
from ...codes.model import TURNS
from ...driving import BRAKING_SHARE
from ...forecast.following import Following
from ...forecast.prediction import DIVERGE, Prediction, arrival
from ...kernels import njit
from ...schema import AdvisoryKind, vehicle_target
from ...signals.colours import IS_RED
from ...world import Connected, Users, World
from ..candidate import SLOW_DOWN, Candidate, severity_of
from .collision import CLEARANCE, deviation, is_waiting

KIND = AdvisoryKind.RED_LIGHT_CROSSING
MAX_PET = 1.0  # s between two windows below which they conflict
MAX_PET_FIRST = 0.0  # s; the same, of a vehicle that is there first
MIN_CHANCE = 0.3  # of a conflict
HORIZON = 5.0  # s until the later of two is there (ETSI TS 101 539-1)
MIN_TIME = 0.3  # s; a vehicle that is there sooner can do nothing any more
MIN_SPEED = 1.0  # m/s; the driver of a stationary vehicle sees what crosses
MIN_BRAKING = 1.0  # m/s^2; less is no braking, within what tracks are sure to
STRAIGHT = TURNS.index("straight")
REASON_BEFORE_LINE = (
    "a vehicle {distance:.0f} m before its red light is not stopping and will cross your path in {arrival:.1f} s"
)
REASON_OVER_LINE = (
    "a vehicle over the line of its red light is not stopping and will cross your path in {arrival:.1f} s"
)

# Rows of tracks; s until the violator is there.
CROSSING = np.dtype([("violator", "i8"), ("own", "i8"), ("time", "f8"), ("chance", "f8")])


class _Crossing(NamedTuple):
    """Which vehicle to warn of which violator, as a row of CROSSING."""

    violator: int
    own: int
    time: float
    chance: float


@njit(cache=True)
def _arrival(distance: float, to_line: float, speed: float, accel: float, top_speed: float, turns: bool) -> float:
    """Return s until a place `distance` m on; a vehicle that turns is down to the speed of its movement (`top_speed`,
    m/s) by the line."""
    if not turns or speed <= top_speed or distance <= 0.0:
        return arrival(distance, speed, accel, top_speed)
    if to_line <= 0.0:
        return distance / top_speed

    slowing = 2.0 / (speed + top_speed)  # s/m of a steady deceleration up to the line
    return to_line * slowing + (distance - to_line) / top_speed if distance > to_line else distance * slowing


@njit(cache=True)
def _window(
    distance: float, length: float, to_line: float, speed: float, accel: float, top_speed: float, turns: bool, times:
    Any
) -> None:  # fmt: skip
    """Fill in s until the front is `distance` m on, and until the rear is."""
    for end in range(2):
        times[end] = _arrival(distance + end * length, to_line, speed, accel, top_speed, turns)


@njit(cache=True)
def _meet(
    v: int, v_conn: int, r: int, r_conn: int, tracks: Any, to_stop: Any, speed: Any, accel: Any, leader: Any, gap: Any,
    conf_start: Any, conf_other: Any, conf_s: Any, conf_s_other: Any, conf_type: Any, conn_speed: Any, turn: Any,
    meeting: Any,
) -> None:  # fmt: skip
    """Fill in the chance that a violator and another vehicle conflict where their movements cross, and s until the
    violator is there; 0 where they do not."""
    v_window, r_window = np.empty(2), np.empty(2)
    meeting[0] = meeting[1] = 0.0
    for c in range(conf_start[v_conn], conf_start[v_conn + 1]):
        if conf_other[c] != r_conn or conf_type[c] == DIVERGE:
            continue

        v_far, r_far = to_stop[v] + conf_s[c], to_stop[r] + conf_s_other[c]
        v_length, r_length = tracks[v]["length"], tracks[r]["length"]
        v_speed, r_speed = max(speed[v], 0.0), max(speed[r], 0.0)
        _window(v_far, v_length, to_stop[v], v_speed, accel[v], conn_speed[v_conn], turn[v_conn] != STRAIGHT, v_window)
        _window(r_far, r_length, to_stop[r], r_speed, accel[r], conn_speed[r_conn], turn[r_conn] != STRAIGHT, r_window)

        if v_window[1] <= 0.0 or r_window[0] < MIN_TIME or max(v_window[0], r_window[0]) > HORIZON:
            continue

        # Not a vehicle that waits, or brakes for it already.
        stop_distance = max(r_far - CLEARANCE, 0.5)
        needed = speed[r] * speed[r] / (2.0 * stop_distance)
        is_braking = -accel[r] > max(BRAKING_SHARE * needed, MIN_BRAKING)

        if is_waiting(r, stop_distance, speed, accel, leader, gap) or is_braking:
            continue

        pet = max(v_window[0], r_window[0]) - min(v_window[1], r_window[1])
        sigma = sqrt(
            deviation(tracks[v], speed[v], v_window[0]) ** 2 + deviation(tracks[r], speed[r], r_window[0]) ** 2
        )
        max_pet = MAX_PET_FIRST if r_window[0] < v_window[0] else MAX_PET
        chance = 0.5 + 0.5 * erf((max_pet - pet) / (sqrt(2.0) * max(sigma, 1e-3)))

        if chance > meeting[0]:
            meeting[0], meeting[1] = chance, max(v_window[0], 0.0)


@njit(cache=True)
def _conflict(
    v: int, r: int, tracks: Any, to_stop: Any, speed: Any, accel: Any, movement: Any, chance: Any, leader: Any, gap:
    Any, state: Any, conn_group: Any, conf_start: Any, conf_other: Any, conf_s: Any, conf_s_other: Any,
    conf_type: Any, conn_speed: Any, turn: Any, meeting: Any, conflict: Any,
) -> None:  # fmt: skip
    """Fill in the chance that a violator and another vehicle conflict, over their likely movements, and the soonest s
    until the violator is there."""
    conflict[0], conflict[1] = 0.0, HORIZON
    for a in range(movement.shape[1]):
        for b in range(movement.shape[1]):
            v_conn, r_conn = movement[v, a], movement[r, b]
            if v_conn < 0 or r_conn < 0:
                continue

            group = conn_group[r_conn]
            is_held = to_stop[r] > 0.0 and group >= 0 and IS_RED[state[group]]
            if is_held or (group >= 0 and group == conn_group[v_conn]):
                continue

            _meet(
                v, v_conn, r, r_conn, tracks, to_stop, speed, accel, leader, gap, conf_start, conf_other, conf_s,
                conf_s_other, conf_type, conn_speed, turn, meeting,
            )  # fmt: skip
            if meeting[0] > 0.0:
                conflict[0] += meeting[0] * chance[v, a] * chance[r, b]
                conflict[1] = min(conflict[1], meeting[1])


@njit(cache=True)
def _list_concerned(
    violators: Any, rows: Any, tracks: Any, to_stop: Any, speed: Any, accel: Any, movement: Any, chance: Any, leader:
    Any, gap: Any, state: Any, conn_group: Any, conf_start: Any, conf_other: Any, conf_s: Any,
    conf_s_other: Any, conf_type: Any, conn_speed: Any, turn: Any, crossings: Any,
) -> int:  # fmt: skip
    """List which of `rows` to warn of which violator, the likeliest one of each."""
    n = 0
    meeting, conflict = np.empty(2), np.empty(2)
    for r in rows:
        if speed[r] < MIN_SPEED:
            continue

        best = 0.0
        for v in violators:
            if r == v:
                best = 0.0  # a violator itself is warned as one
                break

            _conflict(
                v, r, tracks, to_stop, speed, accel, movement, chance, leader, gap, state, conn_group,
                conf_start, conf_other, conf_s, conf_s_other, conf_type, conn_speed, turn, meeting, conflict,
            )  # fmt: skip
            if conflict[0] >= MIN_CHANCE and conflict[0] > best:
                best = conflict[0]
                crossings[n]["violator"], crossings[n]["own"] = v, r
                crossings[n]["time"], crossings[n]["chance"] = conflict[1], conflict[0]

        if best > 0.0:
            n += 1

    return n


@inner_kernel
def screen(
    violators: Any, users: Users, connected: Connected, state: Any, code: Any, prediction: Prediction,
    following: Following,
) -> bool:  # fmt: skip
    """Return whether a connected vehicle is to be warned of one of `violators`."""
    moves, conflicts = moves_at(code), conflicts_at(code)
    crossings = np.empty(len(connected.rows), CROSSING)

    n = _list_concerned(
        violators, connected.rows, users.tracks, users.to_stop, users.speed, users.accel, prediction.movement,
        prediction.chance, following.leader, following.gap, state, moves.group, conflicts.start, conflicts.other,
        conflicts.s, conflicts.s_other, conflicts.type, moves.speed, moves.turn, crossings,
    )  # fmt: skip
    return n > 0


def plan(world: World, violators: list[int], prediction: Prediction, following: Following) -> list[Candidate]:
    """Return warnings to the connected vehicles that `violators` (rows of tracks) are likely to conflict with."""
    code, crossings = world.code, np.empty(len(world.rows), CROSSING)
    if not violators or not len(crossings):
        return []

    n = _list_concerned(
        np.array(violators, np.int64), world.rows, world.tracks, world.to_stop, world.speed, world.accel,
        prediction.movement, prediction.chance, following.leader, following.gap, world.signals.state,
        code.conn_group, code.conf_start, code.conf_other, code.conf_s, code.conf_s_other, code.conf_type,
        code.conn_speed, code.conn_turn, crossings,
    )  # fmt: skip
    return [_warning(world, _Crossing(*row)) for row in crossings[:n].tolist()]


def _warning(world: World, crossing: _Crossing) -> Candidate:
    existence, ids = world.tracks["existence"], world.tracks["id"]
    violator, own = crossing.violator, crossing.own
    distance = float(world.to_stop[violator])

    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[int(world.report[own])].id),
        severity=severity_of(crossing.time),
        confidence=float(min(existence[violator], existence[own])) * crossing.chance,
        reason=REASON_BEFORE_LINE if distance > 0.0 else REASON_OVER_LINE,
        facts={"distance": distance, "arrival": crossing.time},
        tracks=(int(ids[violator]), int(ids[own])),
        distance=max(float(world.to_stop[own]), 0.0),
        behaviour=SLOW_DOWN,
    )
