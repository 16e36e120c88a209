"""Warns crossing traffic of a vehicle that runs a red: where their windows at a conflict point of the digital code are likely to meet.

A violator is past stopping before its line, or over it and driving on. For each movement it may take and each connected vehicle that moves by a movement
which crosses or joins it there, t_in and t_out are the predicted times the front reaches and the rear leaves the conflict point: by measured acceleration up to the
movement's own speed, and slowing down to that by the line where the movement turns. PET is the gap between the two windows, sigma what is not known of it; the
chance that they come within APART of each other is Phi((APART - PET) / sigma), times the chances of both movements. A vehicle that is ahead of the violator is
concerned only where their windows meet (AHEAD): it can do nothing but drive on.

Not warned is a vehicle that its own red holds, that stands or comes behind one that does, that brakes for the conflict point already, or that has passed it.
"""

from math import erf, sqrt
from typing import Any

import numpy as np
from numba import njit

from ...codes.model import TURNS
from ...forecast.following import Following
from ...forecast.prediction import DIVERGE, SIGMA_A, Prediction, arrival
from ...schema import AdvisoryKind
from ...signals.states import IS_RED
from ...world import World
from ..candidate import SHARE, Candidate, severity_of
from .collision import CLEAR, deviation, waits

APART = 1.0  # s between two windows below which they conflict (PET)
AHEAD = 0.0  # s; the same, of a vehicle that is there first
LIKELY = 0.3  # a chance below which nobody is warned
HORIZON = 5.0  # s until the later of two is there (ETSI TS 101 539-1)
MIN_TIME = 0.3  # s; a vehicle that is there sooner can do nothing any more
MOVING = 1.0  # m/s; a stationary vehicle sees what crosses
MIN_BRAKING = 1.0  # m/s^2; less is no braking, within what tracks are sure to
STRAIGHT = TURNS.index("straight")
CROSSING = np.dtype(
    [("violator", "i8"), ("own", "i8"), ("time", "f8"), ("chance", "f8")]
)  # rows of tracks; s until the violator is there


@njit(cache=True)
def _arrival(distance: float, to_line: float, speed: float, accel: float, top: float, turns: bool) -> float:
    """Return s until a place `distance` m on; a vehicle that turns is down to the speed of its movement (`top`, m/s) by the line."""
    if not turns or speed <= top or distance <= 0.0:
        return arrival(distance, speed, accel, top)
    if to_line <= 0.0:
        return distance / top
    slowing = 2.0 / (speed + top)  # s/m of a steady deceleration up to the line
    return to_line * slowing + (distance - to_line) / top if distance > to_line else distance * slowing


@njit(cache=True)
def _meeting(
    v: int, v_conn: int, r: int, r_conn: int, tracks: Any, to_stop: Any, speed: Any, accel: Any, leader: Any, gap: Any, conf_start: Any,
    conf_other: Any, conf_s: Any, conf_s_other: Any, conf_type: Any, conn_speed: Any, turns: Any, sigma_a: Any, out: Any,
) -> None:  # fmt: skip
    """Fill in the chance that a violator and another vehicle conflict where their movements cross, and s until the violator is there; 0 where they do not."""
    first, second = np.empty(2), np.empty(2)
    out[0] = out[1] = 0.0
    for k in range(conf_start[v_conn], conf_start[v_conn + 1]):
        if conf_other[k] != r_conn or conf_type[k] == DIVERGE:
            continue
        v_far, r_far = to_stop[v] + conf_s[k], to_stop[r] + conf_s_other[k]
        for n in range(2):  # front, rear
            first[n] = _arrival(
                v_far + n * tracks[v]["length"],
                to_stop[v],
                max(speed[v], 0.0),
                accel[v],
                conn_speed[v_conn],
                turns[v_conn],
            )
            second[n] = _arrival(
                r_far + n * tracks[r]["length"],
                to_stop[r],
                max(speed[r], 0.0),
                accel[r],
                conn_speed[r_conn],
                turns[r_conn],
            )
        if first[1] <= 0.0 or second[0] < MIN_TIME or max(first[0], second[0]) > HORIZON:
            continue
        before = max(r_far - CLEAR, 0.5)  # m in which the other one can stop
        needed = speed[r] * speed[r] / (2.0 * before)
        if waits(r, before, speed, accel, leader, gap) or -accel[r] > max(SHARE * needed, MIN_BRAKING):
            continue

        pet = max(first[0], second[0]) - min(first[1], second[1])
        sigma = sqrt(
            deviation(tracks[v], speed[v], first[0], sigma_a) ** 2
            + deviation(tracks[r], speed[r], second[0], sigma_a) ** 2
        )
        apart = AHEAD if second[0] < first[0] else APART
        chance = 0.5 + 0.5 * erf((apart - pet) / (sqrt(2.0) * max(sigma, 1e-3)))
        if chance > out[0]:
            out[0], out[1] = chance, max(first[0], 0.0)


@njit(cache=True)
def _concerned(
    violators: Any, rows: Any, tracks: Any, to_stop: Any, speed: Any, accel: Any, movement: Any, chance: Any, leader: Any, gap: Any, state: Any,
    is_red: Any, conn_group: Any, conf_start: Any, conf_other: Any, conf_s: Any, conf_s_other: Any, conf_type: Any, conn_speed: Any,
    turns: Any, sigma_a: Any, found: Any,
) -> int:  # fmt: skip
    """List whom to warn of which violator, the likeliest one of each."""
    n, ways = 0, movement.shape[1]
    met = np.empty(2)
    for r in rows:
        best, own = 0.0, n
        if speed[r] < MOVING:
            continue
        for v in violators:
            if r == v:
                best = 0.0
                break
            likely, time = 0.0, HORIZON
            for a in range(ways):
                for b in range(ways):
                    v_conn, r_conn = movement[v, a], movement[r, b]
                    if v_conn < 0 or r_conn < 0:
                        continue
                    group = conn_group[r_conn]
                    held = to_stop[r] > 0.0 and group >= 0 and is_red[state[group]]
                    if held or (group >= 0 and group == conn_group[v_conn]):
                        continue
                    _meeting(
                        v, v_conn, r, r_conn, tracks, to_stop, speed, accel, leader, gap, conf_start, conf_other, conf_s, conf_s_other,
                        conf_type, conn_speed, turns, sigma_a, met,
                    )  # fmt: skip
                    if met[0] > 0.0:
                        likely += met[0] * chance[v, a] * chance[r, b]
                        time = min(time, met[1])
            if likely >= LIKELY and likely > best:
                best = likely
                found[own]["violator"], found[own]["own"], found[own]["time"], found[own]["chance"] = v, r, time, likely
        if best > 0.0:
            n += 1
    return n


def plan(world: World, violators: list[int], ahead: Prediction, behind: Following) -> list[Candidate]:
    """Return warnings to the connected vehicles that `violators` (rows of tracks) are likely to conflict with."""
    code, found = world.code, np.empty(len(world.rows), CROSSING)
    if not violators or not len(found):
        return []
    n = _concerned(
        np.array(violators, np.int64), world.rows, world.tracks, world.to_stop, world.speed, world.accel, ahead.movement, ahead.chance, *behind,
        world.signals.state, IS_RED, code.conn_group, code.conf_start, code.conf_other, code.conf_s, code.conf_s_other, code.conf_type,
        code.conn_speed, code.conn_turn != STRAIGHT, SIGMA_A, found,
    )  # fmt: skip
    return [_warning(world, *row) for row in found[:n].tolist()]


def _warning(world: World, violator: int, own: int, time: float, chance: float) -> Candidate:
    tracks = world.tracks
    distance = float(world.to_stop[violator])
    where = "{distance:.0f} m before its red light" if distance > 0.0 else "over the line of its red light"
    return Candidate(
        AdvisoryKind.RED_LIGHT_CROSSING,
        f"vehicle:{world.vehicles[int(world.report[own])].id}",
        severity_of(time),
        float(min(tracks["existence"][violator], tracks["existence"][own])) * chance,
        f"a vehicle {where} is not stopping and will cross your path in {{arrival:.1f}} s",
        {"distance": distance, "arrival": time},
        (int(tracks["id"][violator]), int(tracks["id"][own])),
        None,
        max(float(world.to_stop[own]), 0.0),
        "slow_down",
    )
