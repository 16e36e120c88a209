"""Stop at the signal ahead: for each connected vehicle that will soon be too near to stop, at a signal that nothing well founded says it may pass.

A vehicle d m before its stop line at v m/s can stop while d >= S(v) = v REACTION + v^2 / (2 FIRM). It is advised to stop NOTICE s before it comes to
S(v) when its signal

* shows red, and the end that is promised, if one is believed, leaves the vehicle nearer than S(v) when it falls due (SLACK s later, for the message
  that shows whether the promise was kept);
* shows yellow, and it can still stop;
* is in a state that is not known, though it was before: it may be red.

Of a vehicle whose movement nobody knows, each that its lane leads to counts. A vehicle that comes to the end of a queue before is not advised. One that
brakes for the signal already is not, unless because it was: advice to stop is renewed while it holds. This rests on the state that is displayed, on no promise: where times are
wrong, it is what is left of speed advice. A vehicle that GLOSA slows down at the same time is given less NOTICE: it is about to be safe.
"""

from typing import Any

import numpy as np
from numba import njit

from ...forecast.prediction import ways
from ...forecast.stop_line import FAR, IS_YELLOW, StopLineForecast
from ...schema import AdvisoryKind, SignalState
from ...signals.states import IS_RED
from ...world import World
from ..candidate import Candidate, stopping_distance

NOTICE = 2.0  # s before the last moment to stop
SLOWING_NOTICE = 0.6  # s; of a vehicle that is advised to slow down for the same signal
SLACK = 0.5  # s after a promised green until it is known to be broken
MIN_SPEED = 0.5  # m/s; a slower vehicle stands, within what tracks tell
RANGE = 300.0  # m
BRAKES = 0.7  # of the braking that stopping takes: a driver who brakes so hard, or harder, has seen the signal, or was advised to
BEYOND = 1.0  # m past the line up to which a vehicle is advised

NONE, AT_RED, AT_YELLOW, AT_UNKNOWN = 0, 1, 2, 3
WHY = np.zeros(256, np.int64)  # by state: why a vehicle must be able to stop
WHY[IS_RED], WHY[IS_YELLOW], WHY[SignalState.UNKNOWN] = AT_RED, AT_YELLOW, AT_UNKNOWN
WORDS = {
    AT_RED: "group {group} shows red, and nothing sure says that it turns green before you come: stop at the line, {distance:.0f} m ahead",
    AT_YELLOW: "group {group} shows yellow, and you can still stop: stop at the line, {distance:.0f} m ahead",
    AT_UNKNOWN: "what group {group} shows is not known: be ready to stop at the line, {distance:.0f} m ahead",
}

IF_OWN = ", if that group is yours: other ways lead from your lane, and which you take is not known"


@njit(cache=True)
def _reason(group: int, distance: float, speed: float, notice: float, state: Any, seen: Any, start: Any) -> int:
    """Return why a vehicle `distance` m before a line must now be advised to stop at it, NONE where it need not."""
    if group < 0 or (WHY[state[group]] == AT_UNKNOWN and seen[group] == 0):
        return 0  # no signal, or one that was never known
    reason = int(WHY[state[group]])
    margin = distance - stopping_distance(speed)
    if margin > speed * notice or (reason == AT_YELLOW and margin < 0.0):
        return 0
    if reason == AT_RED and start[group] < FAR and margin >= speed * (start[group] + SLACK):
        return 0
    return reason


@njit(cache=True)
def _must_stop(
    rows: Any, path: Any, connection: Any, to_stop: Any, speed: Any, accel: Any, n_lanes: int, conn_group: Any, lane_start: Any, lane_conn: Any,
    tail: Any, state: Any, seen: Any, start: Any, notice: Any, found: Any,
) -> int:  # fmt: skip
    """List in `found` (int64[n, 5]) which of `rows` to advise, why, of which group, whether that is surely its own, and whether it brakes already;
    `notice`: s, of each."""
    n = 0
    for k in range(len(rows)):
        i = rows[k]
        v, d, on = speed[i], to_stop[i], path[i]
        if v < MIN_SPEED or not -BEYOND < d < RANGE or on < 0:
            continue
        if on < n_lanes and 0.0 < tail[on] < d:
            continue  # the end of a queue comes first

        reason, group, sure = 0, -1, True
        if connection[i] >= 0:
            group = conn_group[connection[i]]
            reason = _reason(group, d, v, notice[k], state, seen, start)
        elif on < n_lanes:
            for c in range(
                lane_start[on], lane_start[on + 1]
            ):  # nobody knows its way: the first of its lane that is not open
                if reason == 0:
                    group, sure = conn_group[lane_conn[c]], lane_start[on + 1] - lane_start[on] == 1
                    reason = _reason(group, d, v, notice[k], state, seen, start)
        if reason > 0:
            braking = -accel[i] > BRAKES * v * v / (2.0 * max(d, 0.5))
            found[n, 0], found[n, 1], found[n, 2], found[n, 3], found[n, 4] = k, reason, group, sure, braking
            n += 1
    return n


def plan(world: World, passing: StopLineForecast, slowed: set[str]) -> list[Candidate]:
    """Return advice to stop to each connected vehicle that needs it. `slowed`: ids of those that GLOSA advises to slow down or stop."""
    code, signals, n = world.code, world.signals, len(world.vehicles)
    if not n or not code.n_conns or not len(signals.state) or signals.seen is None:
        return []
    notice = np.array([SLOWING_NOTICE if vehicle.id in slowed else NOTICE for vehicle in world.vehicles])
    found, lanes = np.empty((n, 5), np.int64), ways(code)
    count = _must_stop(
        world.rows, world.path, world.connection, world.to_stop, world.speed, world.accel, code.n_lanes, code.conn_group, lanes.start, lanes.movement,
        passing.tail, signals.state, signals.seen, passing.windows.start, notice, found,
    )  # fmt: skip

    out = []
    for k, reason, group, own, brakes in found[:count].tolist():
        row = int(world.rows[k])
        distance = max(float(world.to_stop[row]), 0.0)
        facts: dict[str, object] = {"group": int(code.group_ids[group]), "distance": distance}
        out.append(
            Candidate(
                AdvisoryKind.SIGNAL_STOP, f"vehicle:{world.vehicles[k].id}", 1, float(world.tracks["existence"][row]), WORDS[reason] + ("" if own else IF_OWN), facts,
                (int(world.tracks["id"][row]),), None, distance, "stop", renewal=bool(brakes),
            )
        )  # fmt: skip
    return out
