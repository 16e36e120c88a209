"""The vehicles on their way to a stop line, followed from one observation of a snapshot to the next, compiled: since
when each stands, when it would pass at the limit, whether its signal is green then."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .clock import SECOND
from .codes.compiled.addresses import row_at
from .codes.compiled.arrays import CODE_ARRAYS, lanes_at, moves_at
from .driving import STANDING_SPEED
from .forecast.stop_line import forecast_in
from .kernels import njit
from .road_users import IS_MOTOR_VEHICLE
from .signals.colours import IS_GREEN
from .signals.packed import signals_at
from .world import Users, World

MAX_DISTANCE = 150.0  # m before the stop line that density and speed are of; of a shorter lane, all of it
MAX_UNSEEN = 3 * SECOND  # a track unseen for so long is gone
MAX_STATIONARY_SPEED = 0.5  # m/s
NEVER = 2**62  # ns

# Columns of an approach: the track, when it was last seen and when it would pass at the limit (ns), its lane and
# connection (-1 not known), whether its signal shows green then (UNKNOWN: that is still to come), and since when it
# stands (ns; NEVER: it moves).
TRACK, LAST_SEEN, UNHINDERED, LANE, CONNECTION, ON_GREEN, STILL_SINCE = range(7)
COLUMNS = 7
UNKNOWN = -1

NO_APPROACHES = np.empty((0, COLUMNS), np.int64)


class LaneTotals(NamedTuple):
    """What observations of lanes come to, by lane."""

    is_observed: NDArray[np.bool_]  # a vehicle was on it, or came to its stop line
    vehicles: NDArray[np.int64]  # within MAX_DISTANCE, of all observations together
    standing: NDArray[np.int64]  # before its stop line, at the most
    queue_tail: NDArray[np.float64]  # m from the stop line to the tail of its queue, at the most


class Observed(NamedTuple):
    """What one observation found."""

    approaches: NDArray[np.int64]  # int64[n, COLUMNS], in order of their tracks
    passed: NDArray[np.int64]  # the same of the vehicles that have passed their stop line since the one before
    oldest_stop: int  # ns: since when, of those that stand, the first has stood; NEVER where none does
    lane: NDArray[np.int64]  # of each vehicle within MAX_DISTANCE of the stop line
    speed: NDArray[np.float64]  # m/s of each of them


def no_totals(n_lanes: int) -> LaneTotals:
    """Return totals to which nothing was added yet."""
    return LaneTotals(
        is_observed=np.zeros(n_lanes, np.bool_),
        vehicles=np.zeros(n_lanes, np.int64),
        standing=np.zeros(n_lanes, np.int64),
        queue_tail=np.full(n_lanes, -np.inf),
    )


def observe(world: World, approaches: NDArray[np.int64], totals: LaneTotals) -> Observed:
    """Follow the vehicles of a snapshot from the `approaches` of the observation before; add to `totals`."""
    users = Users(
        world.tracks, world.path, world.s, world.lateral, world.speed, world.accel, world.to_stop, world.connection
    )
    return Observed(*_observe(world.t, users, world.signals.entry, world.code.address, approaches, totals))


@njit(cache=True)
def _observe(
    t: int, users: Users, signals: Any, address: int, before: Any, totals: LaneTotals
) -> tuple[Any, Any, int, Any, Any]:
    """Return the fields of `Observed`. `signals`: `Signals.entry`; `address`: of `CompiledCode.addresses`."""
    code, shown = row_at(address, CODE_ARRAYS), signals_at(signals)
    lanes, moves = lanes_at(code), moves_at(code)
    n_lanes, count = len(lanes.speed), len(users.path)
    approaches, is_approaching = _continued(users.tracks, before)

    passed, n_passed = np.empty((count, COLUMNS), np.int64), 0
    own_lane, own_speed, n_speeds = np.empty(count, np.int64), np.empty(count), 0
    is_blocked, standing = np.zeros(n_lanes, np.bool_), np.zeros(n_lanes, np.int64)

    for i in _by_distance(users):
        path, connection, distance, speed = users.path[i], users.connection[i], users.to_stop[i], users.speed[i]
        lane = moves.origin[connection] if connection >= 0 else path
        if path < 0 or not 0 <= lane < n_lanes:
            continue

        approach = approaches[i]
        if distance <= 0.0:
            if is_approaching[i]:
                if connection >= 0:
                    approach[CONNECTION] = connection
                passed[n_passed] = approach
                n_passed += 1
                is_approaching[i] = False
            continue

        if not is_approaching[i]:
            is_approaching[i] = True
            limit = max(lanes.speed[lane], 1.0)
            approach[UNHINDERED] = t + int(distance / limit * SECOND)
            approach[CONNECTION], approach[ON_GREEN], approach[STILL_SINCE] = connection, UNKNOWN, NEVER

        approach[LAST_SEEN], approach[LANE] = t, lane
        if connection >= 0:
            approach[CONNECTION] = connection
        group = moves.group[approach[CONNECTION]] if approach[CONNECTION] >= 0 else -1
        _note_stop(t, group < 0 or IS_GREEN[shown.state[group]], speed, is_blocked[lane], approach)

        is_blocked[lane] |= speed < MAX_STATIONARY_SPEED
        if distance < MAX_DISTANCE:
            totals.is_observed[lane] = True
            standing[lane] += speed < STANDING_SPEED
            if path < n_lanes:  # density is of the lane it is on, whichever its movement leaves from
                totals.is_observed[path] = True
                totals.vehicles[path] += 1
                own_lane[n_speeds], own_speed[n_speeds] = path, max(speed, 0.0)
                n_speeds += 1

    queue_tail = forecast_in(t, users, shown, code).queue_tail
    for lane in range(n_lanes):
        if totals.is_observed[lane]:
            totals.standing[lane] = max(totals.standing[lane], standing[lane])
            totals.queue_tail[lane] = max(totals.queue_tail[lane], queue_tail[lane])

    kept, oldest_stop = _kept(t, before, approaches, is_approaching)
    return kept, passed[:n_passed].copy(), oldest_stop, own_lane[:n_speeds].copy(), own_speed[:n_speeds].copy()


@njit(cache=True)
def _continued(tracks: Any, before: Any) -> tuple[Any, Any]:
    """Return the approaches by track (int64[n, COLUMNS]), and which tracks had one before; both are in order of id."""
    approaches, is_approaching = np.empty((len(tracks), COLUMNS), np.int64), np.zeros(len(tracks), np.bool_)
    j = 0
    for i in range(len(tracks)):
        track = np.int64(tracks[i]["id"])
        while j < len(before) and before[j, TRACK] < track:
            j += 1
        is_approaching[i] = j < len(before) and before[j, TRACK] == track
        if is_approaching[i]:
            approaches[i] = before[j]
        approaches[i, TRACK] = track

    return approaches, is_approaching


@njit(cache=True)
def _by_distance(users: Users) -> Any:
    """Return the motor vehicles that come to a stop line or have just passed one, the nearest first."""
    rows, count = np.empty(len(users.path), np.int64), 0
    for i in range(len(users.path)):
        if IS_MOTOR_VEHICLE[users.tracks[i]["class"]] and not np.isnan(users.to_stop[i]):
            rows[count] = i
            count += 1

    rows = rows[:count]
    return rows[np.argsort(users.to_stop[rows], kind="mergesort")]  # which keeps the order of equal ones


@njit(cache=True)
def _note_stop(t: int, is_green: bool, speed: float, is_blocked: bool, approach: Any) -> None:
    """Note whether a vehicle's signal is green when it would pass at the limit, and since when it stands: the time
    counts from when nothing holds it any more. `is_blocked`: another stands between it and its stop line."""
    if approach[ON_GREEN] == UNKNOWN and t >= approach[UNHINDERED]:
        approach[ON_GREEN] = is_green

    if speed >= MAX_STATIONARY_SPEED:
        approach[STILL_SINCE] = NEVER
    elif is_blocked or not is_green or approach[STILL_SINCE] == NEVER:
        approach[STILL_SINCE] = t


@njit(cache=True)
def _kept(t: int, before: Any, approaches: Any, is_approaching: Any) -> tuple[Any, int]:
    """Return the approaches without those unseen for too long, and since when the first of them has stood."""
    kept = np.empty((len(before) + len(approaches), COLUMNS), np.int64)
    count, oldest_stop, i, j = 0, NEVER, 0, 0
    while i < len(approaches) or j < len(before):
        if j < len(before) and (i == len(approaches) or before[j, TRACK] < approaches[i, TRACK]):
            approach, is_left = before[j], False  # its track is not seen now
            j += 1
        else:
            j += j < len(before) and before[j, TRACK] == approaches[i, TRACK]
            approach, is_left = approaches[i], not is_approaching[i]
            i += 1

        if is_left or t - approach[LAST_SEEN] > MAX_UNSEEN:
            continue
        kept[count] = approach
        count += 1
        oldest_stop = min(oldest_stop, approach[STILL_SINCE])

    return kept[:count].copy(), oldest_stop
