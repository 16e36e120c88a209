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
from .candidate import Candidate, late, required_deceleration, severity_of
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
def _facing(connection: Any, to_stop: Any, speed: Any, conn_group: Any, state: Any, is_red: Any, rows: Any) -> int:
    n = 0
    for i in range(len(connection)):
        if connection[i] >= 0 and 0.0 < to_stop[i] < RANGE and speed[i] >= SLOWEST:
            group = conn_group[connection[i]]
            if group >= 0 and is_red[state[group]]:
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
    found = _facing(world.connection, world.to_stop, world.speed, code.conn_group, world.signals.state, IS_RED, rows)
    for row in rows[:found].tolist():
        connection, distance, speed = int(world.connection[row]), float(world.to_stop[row]), float(world.speed[row])
        group = int(code.conn_group[connection])
        if not _red_at(world, group, float(passing.windows.start[group]), distance / speed):
            continue
        report = int(world.report[row])
        vehicle = world.vehicles[report] if report >= 0 else None
        reaction = AUTOMATED if vehicle is not None and vehicle.state.automated else HUMAN
        needed = required_deceleration(speed, distance, reaction)
        braking = -float(world.accel[row])
        if not late(speed, distance + PAST_LINE, braking):
            continue
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
        if late(speed, distance + PAST_LINE, braking, PAST_STOPPING):
            out += _crossing(world, row, connection, arrival)
    return out


def _red_at(world: World, group: int, opens: float, arrival: float) -> bool:
    """Return whether the group is sure to be red `arrival` s from now."""
    least = float(world.signals.min_end[group] - world.t) / 1e9
    return arrival < min(opens, least) if least < FAR else arrival < opens


def _crossing(world: World, violator: int, connection: int, arrival: float) -> list[Candidate]:
    code = world.code
    foes = code.conf_other[code.conf_start[connection] : code.conf_start[connection + 1]]
    out = []
    for vehicle, row in zip(world.vehicles, world.rows, strict=True):
        distance = float(world.to_stop[row])
        if row == violator or world.connection[row] not in foes or not -20.0 < distance < CROSSING_RANGE:
            continue
        group = int(code.conn_group[world.connection[row]])
        if group == int(code.conn_group[connection]) or (distance > 0.0 and group >= 0 and IS_RED[world.signals.state[group]]):
            continue
        if world.speed[row] < MOVING or distance / float(world.speed[row]) > arrival + OVERLAP:
            continue
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
