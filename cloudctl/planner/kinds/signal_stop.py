"""Stop at the signal ahead: for each connected vehicle that will soon be too near to stop, at a signal of which nothing
well founded says that it may pass.

A vehicle d m before its stop line at v m/s can stop while d >= S(v) = v REACTION_TIME + v^2 / (2 FIRM_BRAKING). It is
advised to stop NOTICE before it comes to S(v) when its signal

* shows red, and the end that is promised, if one is believed, leaves the vehicle nearer than S(v) when it falls due
  (BROKEN_PROMISE_TIME later, for the message that shows whether the promise was kept);
* shows yellow, and it can still stop;
* is in a state that is not known, though it was before: it may be red.

Of a vehicle whose movement is not known, each that its lane leads to counts. A vehicle that comes to the end of a queue
before is not advised. A vehicle that brakes for the signal already is not, unless because it was: advice to stop is
renewed while it holds. This rests on the state that is displayed, on no promise: where times are wrong, it is what is
left of speed advice. A vehicle that GLOSA slows down at the same time is given less notice: it is about to be safe.
"""

from typing import Any, NamedTuple

import numpy as np

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import lanes_at, links_at, moves_at
from ...forecast.stop_line import UNKNOWN_TIME, StopLineForecast
from ...kernels import njit
from ...schema import AdvisoryKind, SignalState, vehicle_target
from ...signals.colours import IS_RED, IS_YELLOW
from ...signals.packed import SignalArrays
from ...world import Connected, Users, World
from ..braking import stopping_distance
from ..candidate import SOON, STOP, Candidate

KIND = AdvisoryKind.SIGNAL_STOP
NOTICE = 2.0  # s before the last moment to stop
SLOWING_NOTICE = 0.6  # s; of a vehicle that is advised to slow down for the same signal
BROKEN_PROMISE_TIME = 0.5  # s after a promised green until it is known to be broken
MIN_SPEED = 0.5  # m/s; a slower vehicle is stationary, within what tracks are sure to
RANGE = 300.0  # m
MAX_PAST_LINE = 1.0  # m past the line up to which a vehicle is advised
# of the braking that stopping takes: a driver who brakes so hard has seen the signal, or was advised to
BRAKING_SHARE = 0.7

NONE, AT_RED, AT_YELLOW, AT_UNKNOWN = 0, 1, 2, 3
CAUSE = np.zeros(256, np.int64)  # by state: why a vehicle must be able to stop
CAUSE[IS_RED], CAUSE[IS_YELLOW], CAUSE[SignalState.UNKNOWN] = AT_RED, AT_YELLOW, AT_UNKNOWN
REASONS = {
    AT_RED: (
        "group {group} shows red and is not sure to turn green before you arrive: "
        "stop at the line, {distance:.0f} m ahead"
    ),
    AT_YELLOW: "group {group} shows yellow, and you can still stop: stop at the line, {distance:.0f} m ahead",
    AT_UNKNOWN: ("the state of group {group} is not known: be ready to stop at the line, {distance:.0f} m ahead"),
}
IF_OWN = ", if it is your signal: your lane has several movements, and yours is not known"


class Stop(NamedTuple):
    """One vehicle to advise, as `list_stops` lists it."""

    vehicle: int  # index into `World.vehicles`
    cause: int
    group: int
    is_own: int  # the group is surely that of its movement
    is_braking: int  # it brakes for the signal already


@njit(cache=True)
def _cause(group: int, distance: float, speed: float, notice: float, state: Any, seen: Any, next_start: Any) -> int:
    """Return why a vehicle `distance` m before a line must now be advised to stop at it, NONE where it need not."""
    if group < 0 or (CAUSE[state[group]] == AT_UNKNOWN and seen[group] == 0):
        return NONE  # no signal, or one that was never known

    cause = int(CAUSE[state[group]])
    margin = distance - stopping_distance(speed)
    if margin > speed * notice or (cause == AT_YELLOW and margin < 0.0):
        return NONE

    if (
        cause == AT_RED
        and next_start[group] < UNKNOWN_TIME
        and margin >= speed * (next_start[group] + BROKEN_PROMISE_TIME)
    ):
        return NONE  # it can still stop when it is known whether the green came

    return cause


@njit(cache=True)
def _must_stop(
    rows: Any, path: Any, connection: Any, to_stop: Any, speed: Any, accel: Any, n_lanes: int, conn_group: Any,
    lane_start: Any, lane_conn: Any, queue_tail: Any, state: Any, seen: Any, next_start: Any, notice: Any, stops: Any,
) -> int:  # fmt: skip
    """List in `stops` (int64[n, 5], columns of `Stop`) which of `rows` to advise. `notice`: s, of each."""
    n = 0
    for k in range(len(rows)):
        i = rows[k]
        v, d, here = speed[i], to_stop[i], path[i]
        if v < MIN_SPEED or not -MAX_PAST_LINE < d < RANGE or here < 0:
            continue
        if here < n_lanes and 0.0 < queue_tail[here] < d:
            continue  # the end of a queue comes first

        cause, group, is_own = NONE, -1, True
        if connection[i] >= 0:
            group = conn_group[connection[i]]
            cause = _cause(group, d, v, notice[k], state, seen, next_start)
        elif here < n_lanes:
            # The movement is not known: the first of its lane that is not open.
            for c in range(lane_start[here], lane_start[here + 1]):
                if cause == NONE:
                    group, is_own = conn_group[lane_conn[c]], lane_start[here + 1] - lane_start[here] == 1
                    cause = _cause(group, d, v, notice[k], state, seen, next_start)

        if cause != NONE:
            is_braking = -accel[i] > BRAKING_SHARE * v * v / (2.0 * max(d, 0.5))
            stops[n, 0], stops[n, 1], stops[n, 2], stops[n, 3], stops[n, 4] = k, cause, group, is_own, is_braking
            n += 1

    return n


@inner_kernel
def list_stops(
    users: Users, connected: Connected, signals: SignalArrays, code: Any, forecast: StopLineForecast,
    is_slowed: Any, stops: Any,
) -> int:  # fmt: skip
    """List in `stops` (int64[n, 5], columns of `Stop`) which connected vehicles are advised to stop. `is_slowed`:
    bool[n], those that GLOSA advises to slow down or stop."""
    lanes, moves, links = lanes_at(code), moves_at(code), links_at(code)
    if len(moves.group) == 0 or len(signals.state) == 0:
        return 0

    notice = np.empty(len(connected.rows))
    for k in range(len(notice)):
        notice[k] = SLOWING_NOTICE if is_slowed[k] else NOTICE

    return _must_stop(
        connected.rows, users.path, users.connection, users.to_stop, users.speed, users.accel, len(lanes.speed),
        moves.group, links.start, links.movement, forecast.queue_tail, signals.state, signals.seen,
        forecast.windows.next_start, notice, stops,
    )  # fmt: skip


def plan(world: World, stops: list[Stop]) -> list[Candidate]:
    """Return advice to stop to each connected vehicle that needs it."""
    return [_advice(world, stop) for stop in stops]


def _advice(world: World, stop: Stop) -> Candidate:
    row = int(world.rows[stop.vehicle])
    distance = max(float(world.to_stop[row]), 0.0)
    reason = REASONS[stop.cause]

    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[stop.vehicle].id),
        severity=SOON,
        confidence=float(world.tracks["existence"][row]),
        reason=reason if stop.is_own else reason + IF_OWN,
        facts={"group": int(world.code.group_ids[stop.group]), "distance": distance},
        tracks=(int(world.tracks["id"][row]),),
        distance=distance,
        behaviour=STOP,
        renewal=bool(stop.is_braking),
    )
