"""Red-light violation: warns a driver about to run a red, and those whose path a violator will cross.

A driver is warned once stopping takes more than LATE from this moment on (v^2 / (2 d)) and is not begun, unless green at
the arrival is well founded: the light shows red and no believed end of that comes before the vehicle, or yellow that ends
before. Within NEAR_LINE of the line it is also warned once stopping takes more than FASTER while it gains speed, or more
than OVERRUN while it brakes too weakly, and once it sets off at the line. The reason gives a_req = v^2 / (2 (d - v tr - 2 m)).
Crossing traffic is warned (`crossing`) of a vehicle that needs more than CRITICAL from this moment on, or drives on over the line.
"""

from typing import Any

import numpy as np
from numba import njit

from ...clock import MS
from ...forecast.following import Following
from ...forecast.prediction import Prediction
from ...forecast.stop_line import IS_YELLOW, StopLineForecast
from ...fusion import SEEN_LATELY
from ...schema import AdvisoryKind, ObjectClass, SignalState
from ...signals.states import NEVER
from ...world import World
from ..candidate import LATE, SHARE, Candidate, brakes_too_late, required_deceleration
from ..policy import PRIVATE, policy_of
from . import crossing

REPORTED = 1500 * MS  # a connected vehicle reports once a second, or more often
FASTER = 2.5  # m/s^2 that stopping takes, beyond which no driver who means to stop gains speed near the line
OVERRUN, OVERRUN_SHARE = (
    5.0,
    0.7,
)  # m/s^2 that stopping takes, and the share of it below which a driver who brakes overruns the line all the same
NEAR_LINE = 7.0  # m before the line within which these show; further off, drivers still gain speed and brake late, or have just begun to brake
CRITICAL = 6.0  # m/s^2; nobody stops before the line any more
TWO_WHEELS = 10.0  # m/s^2; nor does a motorcycle
PAST_LINE = (
    2.0  # m past the stop line at which a vehicle still stands before everybody's path, within what tracks are sure to
)
RANGE = 120.0  # m
SLOWEST = 4.0  # m/s
AT_LINE, SETS_OFF, GAINING = 1.2, 0.7, 0.8  # m, m/s, m/s^2: beyond these, who stood before a red sets off
OVER_LINE = 6.0  # m past the line up to which it is warned
IS_RED = np.isin(np.arange(256), (SignalState.RED, SignalState.RED_FLASH))


@njit(cache=True)
def _violators(
    t: int, connection: Any, to_stop: Any, speed: Any, accel: Any, conn_group: Any, state: Any, max_end: Any, opens: Any,
    never: int, status: Any, report: Any, reported: Any, rows: Any,
) -> int:  # fmt: skip
    """List the tracks of recent sight or report (`reported`: ns, of each connected vehicle) that come too late to stop at a light that nothing well founded says is green when they arrive, and do not brake."""
    n = 0
    for i in range(len(connection)):
        fresh = status[i] == SEEN_LATELY or (report[i] >= 0 and t - reported[report[i]] <= REPORTED)
        if not fresh or connection[i] < 0 or not -OVER_LINE < to_stop[i] < RANGE:
            continue
        sets_off = to_stop[i] < AT_LINE and SETS_OFF < speed[i] < SLOWEST and accel[i] > GAINING
        if not sets_off and (speed[i] < SLOWEST or to_stop[i] <= 0.0):
            continue
        group = conn_group[connection[i]]
        before = to_stop[i] + PAST_LINE
        is_near = to_stop[i] < NEAR_LINE
        limit = FASTER if is_near and accel[i] > GAINING else LATE
        too_late = brakes_too_late(speed[i], before, -accel[i], limit, SHARE)
        overruns = is_near and brakes_too_late(speed[i], before, -accel[i], OVERRUN, OVERRUN_SHARE)
        if group < 0 or not (sets_off or too_late or overruns):
            continue
        arrives = to_stop[i] / speed[i]
        red = IS_RED[state[group]]
        red |= IS_YELLOW[state[group]] and max_end[group] < never and arrives > (max_end[group] - t) / 1e9
        if red and arrives < opens[group]:
            rows[n] = i
            n += 1
    return n


def plan(world: World, passing: StopLineForecast, ahead: Prediction, behind: Following) -> list[Candidate]:
    """Return warnings to violators and, for those that can no longer stop, to the traffic they will cross."""
    code = world.code
    out: list[Candidate] = []
    violators: list[int] = []  # rows of those that stop no more
    if not code.n_conns or not len(world.signals.state):
        return out
    rows, signals = np.empty(len(world.tracks), np.int64), world.signals
    found = _violators(
        world.t, world.connection, world.to_stop, world.speed, world.accel, code.conn_group, signals.state,
        signals.max_end, passing.windows.start, int(NEVER), world.tracks["status"], world.report, world.reported, rows,
    )  # fmt: skip
    for row in rows[:found].tolist():
        connection, distance, speed = (
            int(world.connection[row]),
            max(float(world.to_stop[row]), 0.0),
            float(world.speed[row]),
        )
        group = int(code.conn_group[connection])
        report = int(world.report[row])
        vehicle = world.vehicles[report] if report >= 0 else None
        policy = PRIVATE if vehicle is None else policy_of(vehicle.state)
        needed = required_deceleration(speed, distance, policy.reaction)
        at_once = speed * speed / (2.0 * (distance + PAST_LINE))
        critical = TWO_WHEELS if int(world.tracks["class"][row]) == ObjectClass.MOTORCYCLE else CRITICAL
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
                    0 if at_once > critical or speed < SLOWEST else 1,
                    float(world.tracks["existence"][row]),
                    "group {group} is red when you arrive in {arrival:.1f} s: stopping takes {needed:.1f} m/s2",
                    facts,
                    (int(world.tracks["id"][row]),),
                    0.0,
                    distance,
                    "stop",
                )
            )
        if at_once > critical or world.to_stop[row] < 0.0:
            violators.append(row)
    return out + crossing.plan(world, violators, ahead, behind)
