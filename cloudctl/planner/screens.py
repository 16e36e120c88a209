"""One compiled call that finds, for many intersections, which advisory kinds have something to propose.

Each intersection is looked at by itself, on its slice of arrays that hold all of them: the result for one never depends
on which others share the call. What is common to the kinds is computed first (`forecast`, the rules in force), then
each kind's `screen` says whether its `plan` could return a candidate; of the kinds that propose something most of the
time, `list_...` gives the proposals themselves. Kinds without a proposal cost no Python.
"""

from typing import Any, NamedTuple

import numpy as np

from ..codes.compiled.addresses import flags, inner_kernel, row_at
from ..codes.compiled.arrays import CODE_ARRAYS
from ..codes.compiled.rule_kernels import RULE_ARRAYS, RuleArrays, fill_in_force, rules_at
from ..forecast.following import follow_in
from ..forecast.prediction import movements_in
from ..forecast.stop_line import forecast_in
from ..kernels import njit
from ..signals.packed import ENTRY_COLUMNS, SignalArrays, signals_at
from ..world import (
    ACCEL,
    CONNECTION,
    LATERAL,
    PATH,
    REPORT,
    SPEED,
    TO_STOP,
    Connected,
    S,
    Users,
)
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


RESTRICTED = SCREENS  # one more column: a vehicle's policy or poor position withholds advice from it

# Columns of what the call reads of each intersection: ns; whether signal times, signal states and perception are there,
# hazards, vehicles that stand while nothing holds them, and dynamic lanes; how long (ns) speed advice that is not
# repeated must be valid; the addresses of `CompiledCode.addresses` and `RuleTable.addresses`; the first row and one
# beyond the last of its tracks and connected vehicles in the block; how many movements and paths it has; the addresses
# of bool[paths]: the tidal lanes that run the other way now (0: none does), and those on which rules begin that are
# named ahead (`ahead.places`); of bool[rules]: whose calendars hold now, and how many these are; and `Signals.entry`.
T, HAS_TIMES, HAS_STATES, HAS_PERCEPTION, HAS_HAZARDS, HAS_STOPPED, HAS_DYNAMIC, SETTLED_LEFT = range(8)
CODE, RULE_TABLE, USERS, VEHICLES = 8, 9, 10, 12
MOVES, PATHS, CLOSED, MARKED, HOLDING, RULES_HELD, SIGNALS = range(14, 21)
PLACE_COLUMNS = SIGNALS + ENTRY_COLUMNS


class Columns(NamedTuple):
    """Arrays that hold the rows of all intersections."""

    tracks: Any
    longs: Any  # as in `Block`, like those up to `signals`
    floats: Any
    rows: Any  # within their intersection
    reported: Any
    share: Any  # by movement
    vehicles: Any  # VEHICLE
    settled: Any  # SETTLED, by vehicle
    bits: Any  # of vehicles, as rules ask of them
    sizes: Any
    next_signals: Any  # float64[n, 4] of vehicles: columns of NextSignal, nan where none is known


class Findings(NamedTuple):
    """What the call finds."""

    wanted: Any  # bool[n, SCREENS + 1]
    counts: Any  # int64[n, 3]: of `advices`, `stops` and `sightings`, from the row of its first vehicle on
    advices: Any  # ADVICE, by vehicle
    stops: Any  # int64[vehicles, 5], columns of `signal_stop.Stop`
    sightings: Any  # SIGHTING
    limit: Any  # m/s, by vehicle: the rules in force
    decided: Any  # int32[3, vehicles]: the capping, the refusing, the undecided rule


@inner_kernel
def _users_of(columns: Columns, place: Any) -> Users:
    first, last, longs, floats = place[USERS], place[USERS + 1], columns.longs, columns.floats
    return Users(
        columns.tracks[first:last], longs[PATH][first:last], floats[S][first:last],
        floats[LATERAL][first:last], floats[SPEED][first:last], floats[ACCEL][first:last],
        floats[TO_STOP][first:last], longs[CONNECTION][first:last],
    )  # fmt: skip


@inner_kernel
def _connected_of(columns: Columns, place: Any) -> Connected:
    first, last = place[VEHICLES], place[VEHICLES + 1]
    return Connected(
        columns.rows[first:last], columns.reported[first:last],
        columns.longs[REPORT][place[USERS] : place[USERS + 1]],
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
    place: Any, users: Users, connected: Connected, signals: SignalArrays, code: Any, share: Any,
    closed: Any, vehicles: Any, limit: Any, next_signals: Any, wanted: Any, advices: Any, stops: Any,
    sightings: Any,
) -> tuple[int, int, int]:  # fmt: skip
    """Fill in what the kinds that look ahead in time want; return the numbers of `advices`, `stops` and
    `sightings`."""
    t, state = place[T], signals.state
    has_times, has_states, has_perception = place[HAS_TIMES] > 0, place[HAS_STATES] > 0, place[HAS_PERCEPTION] > 0
    forecast = forecast_in(t, users, signals, code)
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
        wanted[RED_LIGHT] = red_light.screen(t, users, connected, signals, code, forecast, prediction, following)

    if has_perception:
        wanted[PEDESTRIAN] = pedestrian.screen(users, connected, state, code)
        wanted[QUEUE] = queue.screen(users, connected, code, forecast.queue_tail)
        wanted[WRONG_WAY] = wrong_way.screen(users, closed, code)
        wanted[FORWARD] = forward.screen(users, connected, following)
        n_sightings = blind_spot.list_hidden(users, connected, state, code, prediction, sightings)
        wanted[BLIND_SPOT] = n_sightings > 0
        wanted[STOPPED] = place[HAS_STOPPED] > 0

    return n_advices, n_stops, n_sightings


@njit(cache=True, nogil=True)
def screen_all(places: Any, columns: Columns, findings: Findings) -> None:
    """Fill in `findings`, intersection by intersection. `places`: int64[n, PLACE_COLUMNS].

    Where nothing but speed advice would be proposed, and nothing of it withheld, that which its vehicle has already is
    left out.
    """
    first = move = 0  # where the rows of the intersection begin
    for p in range(len(places)):
        place = places[p]
        code, rule_arrays = row_at(place[CODE], CODE_ARRAYS), rules_at(row_at(place[RULE_TABLE], RULE_ARRAYS))
        users, connected = _users_of(columns, place), _connected_of(columns, place)
        signals = signals_at(place[SIGNALS:])
        last, last_move = first + place[VEHICLES + 1] - place[VEHICLES], move + place[MOVES]
        n_paths, is_holding = place[PATHS], flags((place[HOLDING], place[RULES_HELD]))
        closed = flags((place[CLOSED], n_paths)) if place[CLOSED] != 0 else np.zeros(n_paths, np.bool_)
        limit, decided = findings.limit[first:last], findings.decided[:, first:last]
        vehicles = columns.vehicles[first:last]
        _fill_rules(
            place[T], users, connected, rule_arrays, is_holding, columns.bits[first:last],
            columns.sizes[first:last], limit, decided,
        )  # fmt: skip

        wanted = findings.wanted[p]
        wanted[RESTRICTED] = _is_restricted(users, connected, vehicles)
        wanted[RULES] = rules.screen(users, connected, limit, decided)
        wanted[AHEAD] = place[HAS_DYNAMIC] > 0 or ahead.screen(users, connected, flags((place[MARKED], n_paths)), code)
        wanted[HAZARD] = place[HAS_HAZARDS] > 0

        for k in range(len(vehicles)):
            wanted[EMERGENCY] |= vehicles[k]["is_emergency"] > 0.0

        counts = findings.counts[p]
        counts[0], counts[1], counts[2] = _screen_moving(
            place, users, connected, signals, code, columns.share[move:last_move],
            closed, vehicles, limit, columns.next_signals[first:last],
            wanted, findings.advices[first:last], findings.stops[first:last], findings.sightings[first:last],
        )  # fmt: skip

        if wanted[GLOSA] and np.count_nonzero(wanted) == 1:
            settled, advices = columns.settled[first:last], findings.advices[first:last]
            counts[0] = glosa.without_settled(place[T], place[SETTLED_LEFT], settled, advices, counts[0])
            wanted[GLOSA] = counts[0] > 0

        first, move = last, last_move
