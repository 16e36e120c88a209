"""One compiled call that finds, for many intersections, which advisory kinds have something to propose.

Each intersection is looked at by itself, on its slice of arrays that hold all of them: the result for one never depends
on which others share the call. What is common to the kinds is computed first (`forecast`, the rules in force), then
each kind's `screen` says whether its `plan` could return a candidate; of the kinds that propose something most of the
time, `list_...` gives the proposals themselves. Kinds without a proposal cost no Python.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ..codes.compiled.addresses import inner_kernel
from ..codes.compiled.rule_kernels import RuleArrays, fill_in_force, rules_at
from ..forecast.following import follow_in
from ..forecast.prediction import movements_in
from ..forecast.stop_line import forecast_in
from ..world import Connected, SignalArrays, Users
from .kinds import (
    ahead,
    blind_spot,
    collision,
    forward,
    glosa,
    keep_clear,
    passing_order,
    pedestrian,
    queue,
    red_light,
    rules,
    signal_stop,
    wrong_way,
)

# Columns of `Findings.wanted`, in the order in which the kinds are asked.
GLOSA, COLLISION, KEEP_CLEAR, PASSING_ORDER, SIGNAL_STOP, RED_LIGHT, PEDESTRIAN, QUEUE = range(8)
WRONG_WAY, FORWARD, BLIND_SPOT, STOPPED, HAZARD, EMERGENCY, RULES, AHEAD = range(8, 16)
SCREENS = 16


class Gates(NamedTuple):
    """Of each intersection, whether what advice may rest on is there: bool[n] each."""

    has_signal_times: Any
    has_signal_states: Any
    has_perception: Any


class Places(NamedTuple):
    """What the call reads of each intersection."""

    t: Any  # int64[n], ns
    gates: Gates
    codes: Any  # rows of `CompiledCode.addresses`
    rules: Any  # rows of `RuleTable.addresses`
    has_hazards: Any  # bool[n]
    has_stopped: Any  # bool[n]: vehicles that stand while nothing holds them


class Bounds(NamedTuple):
    """Which rows of arrays that hold all intersections are of each: int64[n, 2], the first and one beyond the last."""

    users: Any
    vehicle_rows: Any  # of `Columns.connected`
    vehicles: Any  # of every other array that has a row per vehicle
    groups: Any
    moves: Any
    paths: Any
    rules: Any


class Columns(NamedTuple):
    """Arrays that hold the rows of all intersections."""

    users: Users
    connected: Connected  # `rows`, `report`: within their intersection
    signals: SignalArrays
    share: Any  # by movement
    closed: Any  # by path: a tidal lane that runs the other way now
    marked: Any  # by path: rules begin there that are named ahead (`ahead.places`)
    is_holding: Any  # by rule: its calendar holds now
    vehicles: Any  # VEHICLE
    bits: Any  # of vehicles, as rules ask of them
    sizes: Any
    next_signals: Any  # float64[n, 4] of vehicles: columns of NextSignal, nan where none is known


class Findings(NamedTuple):
    """What the call finds."""

    wanted: Any  # bool[n, SCREENS]
    is_restricted: Any  # bool[n]: a vehicle's policy or poor position withholds advice from it
    advices: Any  # ADVICE, by vehicle: those of an intersection from its first vehicle's row on
    n_advices: Any  # int64[n]
    stops: Any  # int64[vehicles, 5], columns of `signal_stop.Stop`, likewise
    n_stops: Any  # int64[n]
    sightings: Any  # SIGHTING, likewise
    n_sightings: Any  # int64[n]
    limit: Any  # m/s, by vehicle: the rules in force
    decided: Any  # int32[3, vehicles]: the capping, the refusing, the undecided rule


@njit(cache=True, nogil=True)
def screen_all(places: Places, bounds: Bounds, columns: Columns, findings: Findings) -> None:
    """Fill in `findings`, intersection by intersection."""
    for p in range(len(places.t)):
        code, rule_arrays = places.codes[p], rules_at(places.rules[p])
        users = _users_of(columns.users, bounds.users[p])
        connected = _connected_of(columns.connected, bounds.vehicle_rows[p], bounds.users[p])
        signals = _signals_of(columns.signals, bounds.groups[p])
        first, last, paths = bounds.vehicles[p, 0], bounds.vehicles[p, 1], bounds.paths[p]
        closed, marked = columns.closed[paths[0] : paths[1]], columns.marked[paths[0] : paths[1]]
        limit, vehicles = findings.limit[first:last], columns.vehicles[first:last]
        is_holding = columns.is_holding[bounds.rules[p, 0] : bounds.rules[p, 1]]
        _fill_rules(
            places.t[p], users, connected, rule_arrays, is_holding, columns.bits[first:last],
            columns.sizes[first:last], limit, findings.decided[:, first:last],
        )  # fmt: skip
        findings.is_restricted[p] = _is_restricted(users, connected, vehicles)

        wanted = findings.wanted[p]
        wanted[RULES] = rules.screen(users, connected, limit, findings.decided[:, first:last])
        wanted[AHEAD] = ahead.screen(users, connected, marked, code)
        wanted[HAZARD] = places.has_hazards[p]
        for k in range(len(vehicles)):
            wanted[EMERGENCY] |= vehicles[k]["is_emergency"] > 0.0

        findings.n_advices[p], findings.n_stops[p], findings.n_sightings[p] = _screen_moving(
            p, places, users, connected, signals, code, columns.share[bounds.moves[p, 0] : bounds.moves[p, 1]],
            closed, vehicles, limit, columns.next_signals[first:last],
            wanted, findings.advices[first:last], findings.stops[first:last], findings.sightings[first:last],
        )  # fmt: skip


@inner_kernel
def _users_of(users: Users, part: Any) -> Users:
    first, last = part[0], part[1]
    return Users(
        users.tracks[first:last], users.path[first:last], users.s[first:last], users.lateral[first:last],
        users.speed[first:last], users.accel[first:last], users.to_stop[first:last], users.connection[first:last],
    )  # fmt: skip


@inner_kernel
def _connected_of(connected: Connected, vehicles: Any, users: Any) -> Connected:
    return Connected(
        connected.rows[vehicles[0] : vehicles[1]], connected.reported[vehicles[0] : vehicles[1]],
        connected.report[users[0] : users[1]],
    )  # fmt: skip


@inner_kernel
def _signals_of(signals: SignalArrays, part: Any) -> SignalArrays:
    first, last = part[0], part[1]
    return SignalArrays(
        signals.state[first:last], signals.min_end[first:last], signals.max_end[first:last],
        signals.next_green[first:last], signals.next_duration[first:last], signals.confidence[first:last],
        signals.seen[first:last],
    )  # fmt: skip


@inner_kernel
def _fill_rules(
    t: int, users: Users, connected: Connected, rules: RuleArrays, is_holding: Any, bits: Any, sizes: Any, limit: Any,
    decided: Any,
) -> None:  # fmt: skip
    """Fill in which rules hold for each connected vehicle where it is."""
    if len(rules.kind) == 0:
        limit[:], decided[:, :] = np.inf, -1
        return
    fill_in_force(
        connected.rows, users.path, users.s, np.arange(len(connected.rows)), t, bits, sizes, rules.start, rules.rule,
        rules.span, rules.kind, rules.value, rules.class_bits, rules.valid, is_holding, rules.area[0], limit, decided,
    )  # fmt: skip


@inner_kernel
def _is_restricted(users: Users, connected: Connected, vehicles: Any) -> bool:
    """Return whether a vehicle's class is not given every kind, or its position is too poor for some."""
    for k in range(len(vehicles)):
        track = users.tracks[connected.rows[k]]
        deviation = np.sqrt(max(track["var_x"], track["var_y"]))
        if vehicles[k]["suppresses"] > 0.0 or deviation > vehicles[k]["position"]:
            return True
    return False


@njit(cache=True, inline="always")
def _screen_moving(
    p: int, places: Places, users: Users, connected: Connected, signals: SignalArrays, code: Any, share: Any,
    closed: Any, vehicles: Any, limit: Any, next_signals: Any, wanted: Any, advices: Any, stops: Any,
    sightings: Any,
) -> tuple[int, int, int]:  # fmt: skip
    """Fill in what the kinds that look ahead in time want; return the numbers of `advices`, `stops` and
    `sightings`."""
    has_states, has_perception = places.gates.has_signal_states[p], places.gates.has_perception[p]
    has_times, state = places.gates.has_signal_times[p], signals.state
    forecast = forecast_in(places.t[p], users, signals, code)
    prediction = movements_in(users, share, code)
    following = follow_in(users, prediction, code)

    n_advices, n_stops, n_sightings, is_slowed = 0, 0, 0, np.zeros(len(connected.rows), np.bool_)
    if has_times:
        n_advices = glosa.list_advice(
            users, connected, signals, code, forecast, following, limit, vehicles, next_signals, advices
        )
        for k in range(n_advices):
            behaviour = advices[k]["behaviour"]
            is_slowed[advices[k]["vehicle"]] = behaviour != glosa.KEEP and behaviour != glosa.SPEED_UP
        wanted[GLOSA] = n_advices > 0
    if has_times and has_perception:
        wanted[COLLISION] = collision.screen(users, connected, state, code, prediction, following)
        wanted[KEEP_CLEAR] = keep_clear.screen(users, connected, state, code)
        wanted[PASSING_ORDER] = passing_order.screen(users, connected, state, code, prediction)
    if has_states:
        n_stops = signal_stop.list_stops(users, connected, signals, code, forecast, is_slowed, stops)
        wanted[SIGNAL_STOP] = n_stops > 0
        wanted[RED_LIGHT] = red_light.screen(
            places.t[p], users, connected, signals, code, forecast, prediction, following
        )
    if has_perception:
        wanted[PEDESTRIAN] = pedestrian.screen(users, connected, state, code)
        wanted[QUEUE] = queue.screen(users, connected, code, forecast.queue_tail)
        wanted[WRONG_WAY] = wrong_way.screen(users, closed, code)
        wanted[FORWARD] = forward.screen(users, connected, following)
        n_sightings = blind_spot.list_hidden(users, connected, state, code, prediction, sightings)
        wanted[BLIND_SPOT] = n_sightings > 0
        wanted[STOPPED] = places.has_stopped[p]
    return n_advices, n_stops, n_sightings
