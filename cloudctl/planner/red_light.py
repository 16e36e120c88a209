"""Red-light violation: warns a driver about to run a red, and those whose path a violator will cross.

A driver is warned once stopping takes more than LATE from this moment on (v^2 / (2 d)) and he does not brake, when the light is
sure to be red at his earliest arrival; severity by a_req = v^2 / (2 (d - v tr - 2 m)) against 3.4 m/s^2 (critical; SUMO's DRAC
threshold). Crossing traffic is warned of who needs more than PAST_STOPPING, harder than road users brake of their own will.
"""

from typing import Any

import numpy as np
from numba import njit

from ..schema import AdvisoryKind, SignalState
from ..world import World
from .candidate import LATE, Candidate, late, required_deceleration, severity_of
from .passing import FAR, Passing

CRITICAL = 3.4  # m/s^2
PAST_STOPPING = 4.5  # m/s^2; harder than road users brake
PAST_LINE = 2.0  # m past the stop line at which a vehicle still stands before everybody's path, within what tracks are sure to
RANGE = 120.0  # m
SLOWEST = 4.0  # m/s
HUMAN, AUTOMATED = 1.0, 0.5  # s of reaction
IS_RED = np.isin(np.arange(256), (SignalState.RED, SignalState.RED_FLASH))
MOVING = 1.0  # m/s; who stands sees what crosses
OVERLAP = 4.0  # s after the violator's arrival at its line within which a crossing vehicle at its own is concerned
CROSSING_RANGE = 80.0  # m; how near a crossing vehicle must be to be warned of a violator


@njit(cache=True)
def _violators(
    t: int, connection: Any, to_stop: Any, speed: Any, accel: Any, conn_group: Any, state: Any, min_end: Any, opens: Any, is_red: Any,
    rows: Any,
) -> int:  # fmt: skip
    """List the tracks that come too late to stop at a light that is sure to be red when they arrive, and do not brake."""
    n = 0
    for i in range(len(connection)):
        if connection[i] < 0 or not 0.0 < to_stop[i] < RANGE or speed[i] < SLOWEST:
            continue
        group = conn_group[connection[i]]
        if group < 0 or not is_red[state[group]] or not late(speed[i], to_stop[i] + PAST_LINE, -accel[i], LATE):
            continue
        least = (min_end[group] - t) / 1e9
        if to_stop[i] / speed[i] < (min(opens[group], least) if least < FAR else opens[group]):
            rows[n] = i
            n += 1
    return n


def plan(world: World, passing: Passing) -> list[Candidate]:
    """Return warnings to violators and, for those that can no longer stop, to the traffic they will cross."""
    code = world.code
    out: list[Candidate] = []
    if not code.n_conns or not len(world.signals.state):
        return out
    rows = np.empty(len(world.tracks), np.int64)
    signals = world.signals
    found = _violators(
        world.t, world.connection, world.to_stop, world.speed, world.accel, code.conn_group, signals.state, signals.min_end,
        passing.windows.start, IS_RED, rows,
    )  # fmt: skip
    for row in rows[:found].tolist():
        connection, distance, speed = int(world.connection[row]), float(world.to_stop[row]), float(world.speed[row])
        group = int(code.conn_group[connection])
        report = int(world.report[row])
        vehicle = world.vehicles[report] if report >= 0 else None
        reaction = AUTOMATED if vehicle is not None and vehicle.state.automated else HUMAN
        needed = required_deceleration(speed, distance, reaction)
        arrival = distance / speed
        facts: dict[str, object] = {
            "group": int(code.group_ids[group]),
            "distance": distance,
            "needed": min(needed, 9.9),
            "arrival": arrival,
        }
        if vehicle is not None:
            out.append(
                Candidate(
                    AdvisoryKind.RED_LIGHT,
                    f"vehicle:{vehicle.id}",
                    0 if needed > CRITICAL else 1,
                    float(world.tracks["existence"][row]),
                    "group {group} is red when you arrive in {arrival:.1f} s: stopping takes {needed:.1f} m/s2",
                    facts,
                    (int(world.tracks["id"][row]),),
                    0.0,
                    distance,
                    "stop",
                )
            )
        if late(speed, distance + PAST_LINE, -float(world.accel[row]), PAST_STOPPING):
            out += _crossing(world, row, connection, arrival)
    return out


@njit(cache=True)
def _concerned(
    violator: int, connection: int, until: float, rows: Any, of: Any, to_stop: Any, speed: Any, conn_group: Any, foes: Any,
    state: Any, is_red: Any, found: Any,
) -> int:  # fmt: skip
    """List which of `rows` (connected vehicles) move towards the path of `connection` in green and are there by `until` s."""
    n = 0
    for k in range(len(rows)):
        row = rows[k]
        own = of[row]
        if row == violator or own < 0 or not -20.0 < to_stop[row] < CROSSING_RANGE or speed[row] < MOVING:
            continue
        group = conn_group[own]
        if group == conn_group[connection] or (to_stop[row] > 0.0 and group >= 0 and is_red[state[group]]):
            continue
        if to_stop[row] / speed[row] > until:
            continue
        for foe in foes:
            if foe == own:
                found[n] = k
                n += 1
                break
    return n


def _crossing(world: World, violator: int, connection: int, arrival: float) -> list[Candidate]:
    code = world.code
    foes = code.conf_other[code.conf_start[connection] : code.conf_start[connection + 1]]
    found = np.empty(len(world.rows), np.int64)
    n = _concerned(
        violator, connection, arrival + OVERLAP, world.rows, world.connection, world.to_stop, world.speed, code.conn_group, foes,
        world.signals.state, IS_RED, found,
    )  # fmt: skip
    out = []
    for k in found[:n].tolist():
        vehicle, row = world.vehicles[k], world.rows[k]
        distance = float(world.to_stop[row])
        out.append(
            Candidate(
                AdvisoryKind.RED_LIGHT_CROSSING,
                f"vehicle:{vehicle.id}",
                severity_of(arrival),
                0.8,
                "a vehicle {distance:.0f} m from its red light is not stopping and will cross your path in {arrival:.1f} s",
                {"distance": float(world.to_stop[violator]), "arrival": arrival},
                (int(world.tracks["id"][violator]), int(world.tracks["id"][row])),
                None,
                distance,
                "slow_down",
            )
        )
    return out
