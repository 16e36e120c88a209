"""When each vehicle on an approach can pass its stop line: queue, signal and discharge in one sweep.

The vehicles of a lane are taken from the stop line backwards. Each passes

* when it can arrive, and
* a headway after the vehicle ahead of it, and
* when its signal is green: the first vehicle STARTUP_LOST_TIME after a green begins, the others every
  SATURATION_HEADWAY.

The headway is an average. A vehicle that may yet pass in the present green, with MIN_HEADWAY and until
YELLOW_ALLOWANCE after its end, is therefore left in doubt rather than held for the next green: that would cost it a
whole cycle. GLOSA, queue warnings, signal priority and traffic share this forecast.
"""

from math import sqrt
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from ..codes.compiled.arrays import lanes_at, moves_at, tables_at
from ..driving import ACCELERATION, MIN_HEADWAY, SATURATION_HEADWAY, STANDING_SPEED, STARTUP_LOST_TIME
from ..kernels import njit
from ..matching import Floats, Ints
from ..signals.colours import IS_GREEN, IS_RED
from ..signals.packed import SignalArrays
from ..signals.states import NEVER
from ..world import Users, World

# s after the earliest end of green in which a driver may still decide to pass
YELLOW_ALLOWANCE = 2.0
GREEN_END_MARGIN = 0.5  # s before the end of green after which no passage is forecast
MAX_QUEUE_GAP = 15.0  # m between standing vehicles of one queue
# m past the stop line within which a vehicle still counts as before it: within what tracks are sure to
LINE_TOLERANCE = 0.5
UNKNOWN_TIME = 1e9  # s; a time that is not known


class Windows(NamedTuple):
    """What each signal group lets through, one row per group; times in s from now.

    What is not known promises nothing: `time_left` is 0 then, the other times are UNKNOWN_TIME.
    """

    is_green: NDArray[np.bool_]
    time_left: Floats  # of that green, at the least
    next_start: Floats  # until the next green begins, at the latest; never negative
    next_duration: Floats  # of that green, most likely


class StopLineForecast(NamedTuple):
    """When vehicles pass their stop lines, one row per track."""

    # s from now; inf where the track comes to no stop line, UNKNOWN_TIME where its signal's next green is not known
    time: Floats
    ahead: Ints  # vehicles before it on its lane
    behind: Ints  # vehicles behind it on its lane
    in_present_green: NDArray[np.bool_]
    # It comes so near the end of the present green that it may pass or not
    in_doubt: NDArray[np.bool_]
    # float64[n_lanes]: m from the stop line to the tail of each lane's standing queue, 0 where there is none
    queue_tail: Floats
    windows: Windows


@njit(cache=True)
def _windows(
    time_ns: int, state: Any, min_end: Any, max_end: Any, next_green: Any, next_green_duration: Any, is_green: Any,
    time_left: Any, next_start: Any, next_duration: Any,
) -> None:  # fmt: skip
    for group in range(len(state)):
        is_green[group] = IS_GREEN[state[group]]

        # An earliest end that is not known may be now.
        time_left[group] = 0.0
        if is_green[group] and min_end[group] != NEVER:
            time_left[group] = max((min_end[group] - time_ns) / 1e9, 0.0)

        # Of a red, both its end and the next green are promised: the later of the two counts.
        start = next_green[group]
        if IS_RED[state[group]] and max_end[group] != NEVER:
            start = max_end[group] if start == NEVER else max(start, max_end[group])

        next_start[group] = UNKNOWN_TIME if start == NEVER else max((start - time_ns) / 1e9, 0.0)

        duration = next_green_duration[group]
        next_duration[group] = UNKNOWN_TIME if duration == NEVER else duration / 1e9


@njit(cache=True)
def earliest(distance: float, speed: float, limit: float) -> float:
    """Return s to cover `distance` m from `speed` m/s, gaining ACCELERATION up to `limit` m/s; a faster vehicle keeps
    its speed."""
    if speed >= limit:
        return distance / speed
    if speed * speed + 2.0 * ACCELERATION * distance < limit * limit:
        return (sqrt(speed * speed + 2.0 * ACCELERATION * distance) - speed) / ACCELERATION

    return distance / limit + (limit - speed) ** 2 / (2.0 * ACCELERATION * limit)


@njit(cache=True)
def _list_approaching(
    path: Any, connection: Any, to_stop: Any, n_lanes: int, conn_from: Any, lane: Any, key: Any, lane_count: Any
) -> None:
    """Fill in the approach lane of each track (-1 none), a key that sorts by lane and distance, and the number of
    vehicles per lane."""
    for index in range(len(path)):
        if path[index] < 0 or not to_stop[index] > -LINE_TOLERANCE:
            continue
        lane[index] = conn_from[connection[index]] if connection[index] >= 0 else path[index]
        if lane[index] < n_lanes:
            key[index] = lane[index] * 1e5 + to_stop[index]  # no lane is 100 km long
            lane_count[lane[index]] += 1


@njit(cache=True)
def _next_green_passage(arrival: float, start: float, duration: float) -> float:
    """Return when a vehicle passes in the next green (s): UNKNOWN_TIME where that is not known, or too short for it."""
    if start >= UNKNOWN_TIME:
        return UNKNOWN_TIME

    passage = max(arrival, start + STARTUP_LOST_TIME)
    if duration < UNKNOWN_TIME and passage > start + duration - GREEN_END_MARGIN:
        return UNKNOWN_TIME

    return passage


@njit(cache=True)
def _sweep(
    tracks: Any, path: Any, connection: Any, to_stop: Any, speed: Any, n_lanes: int, conn_from: Any, conn_group: Any,
    lane_group: Any, lane_speed: Any, is_green: Any, time_left: Any, next_start: Any, next_duration: Any,
    time: Any, ahead: Any, behind: Any, in_present_green: Any, in_doubt: Any, queue_tail: Any,
) -> None:  # fmt: skip
    """Fill in the columns of `StopLineForecast`, lane by lane, from the stop line backwards."""
    user_count = len(tracks)
    lane, key, lane_count = np.full(user_count, -1, np.int64), np.full(user_count, 1e18), np.zeros(n_lanes, np.int64)
    _list_approaching(path, connection, to_stop, n_lanes, conn_from, lane, key, lane_count)

    present_lane, last_passage, last_soonest, count, in_queue = -1, -UNKNOWN_TIME, -UNKNOWN_TIME, 0, True

    for index in np.argsort(key):
        if key[index] >= 1e18:
            break  # the rest approaches nothing

        if lane[index] != present_lane:
            present_lane, last_passage, last_soonest, count, in_queue = (
                lane[index],
                -UNKNOWN_TIME,
                -UNKNOWN_TIME,
                0,
                True,
            )

        ahead[index] = count
        count += 1
        behind[index] = lane_count[lane[index]] - count

        # The standing queue reaches back to the first vehicle that moves, or stands far behind the one ahead.
        if in_queue and speed[index] < STANDING_SPEED and to_stop[index] < queue_tail[lane[index]] + MAX_QUEUE_GAP:
            queue_tail[lane[index]] = to_stop[index] + tracks[index]["length"]
        else:
            in_queue = False

        # Arrival behind the vehicle ahead; at the earliest, and by one that keeps the limit from now on.
        limit = max(lane_speed[lane[index]], 1.0)
        unhindered = earliest(max(to_stop[index], 0.0), max(speed[index], 0.0), limit)
        arrival = max(unhindered, last_passage + SATURATION_HEADWAY)
        last_soonest = max(unhindered, last_soonest + MIN_HEADWAY)
        lawful_arrival = max(arrival, to_stop[index] / limit)

        # The green in which it passes.
        group = conn_group[connection[index]] if connection[index] >= 0 else lane_group[lane[index]]
        in_present_green[index] = group < 0 or (
            is_green[group] and lawful_arrival <= time_left[group] - GREEN_END_MARGIN
        )
        in_doubt[index] = (
            not in_present_green[index] and is_green[group] and last_soonest <= time_left[group] + YELLOW_ALLOWANCE
        )

        if not in_present_green[index] and not in_doubt[index]:
            arrival = _next_green_passage(arrival, next_start[group], next_duration[group])

        time[index] = last_passage = arrival


@njit(cache=True, inline="always")
def forecast_in(time_ns: int, users: Users, signals: SignalArrays, code: Any) -> StopLineForecast:
    """Return the forecast of an intersection at `time_ns`: `forecast_stop_lines`, compiled."""
    lanes, moves, tables = lanes_at(code), moves_at(code), tables_at(code)
    count, n_lanes, n_groups = len(users.path), len(lanes.speed), len(signals.state)
    windows = Windows(np.zeros(n_groups, np.bool_), np.zeros(n_groups), np.zeros(n_groups), np.zeros(n_groups))
    _windows(
        time_ns, signals.state, signals.min_end, signals.max_end, signals.next_green, signals.next_duration,
        windows.is_green, windows.time_left, windows.next_start, windows.next_duration,
    )  # fmt: skip

    forecast = StopLineForecast(
        np.full(count, np.inf), np.zeros(count, np.int64), np.zeros(count, np.int64),
        np.zeros(count, np.bool_), np.zeros(count, np.bool_), np.zeros(n_lanes), windows,
    )  # fmt: skip

    if len(moves.group) > 0:
        _sweep(
            users.tracks, users.path, users.connection, users.to_stop, users.speed, n_lanes, moves.origin,
            moves.group, tables.group, lanes.speed, windows.is_green, windows.time_left,
            windows.next_start, windows.next_duration, forecast.time, forecast.ahead, forecast.behind,
            forecast.in_present_green, forecast.in_doubt, forecast.queue_tail,
        )  # fmt: skip

    return forecast


# By code: the newest snapshot asked for, which is not kept alive by it, and its forecast.
_NEWEST: dict[str, tuple[ref[World], StopLineForecast]] = {}


def forecast_stop_lines(world: World) -> StopLineForecast:
    """Return when the vehicles of a snapshot pass their stop lines; O(n log n) in the tracks. Computed once per
    snapshot."""
    newest = _NEWEST.get(world.code.hash)
    if newest is None or newest[0]() is not world:
        newest = _NEWEST[world.code.hash] = ref(world), _forecast(world)
    return newest[1]


def _forecast(world: World) -> StopLineForecast:
    code, count = world.code, len(world.tracks)
    forecast = StopLineForecast(
        time=np.full(count, np.inf),
        ahead=np.zeros(count, np.int64),
        behind=np.zeros(count, np.int64),
        in_present_green=np.zeros(count, np.bool_),
        in_doubt=np.zeros(count, np.bool_),
        queue_tail=np.zeros(code.n_lanes),
        windows=green_windows(world),
    )

    if not code.n_conns:
        return forecast

    _sweep(
        world.tracks, world.path, world.connection, world.to_stop, world.speed, code.n_lanes, code.conn_from,
        code.conn_group, code.lane_tables.group, code.lane_speed, *forecast.windows, forecast.time, forecast.ahead,
        forecast.behind, forecast.in_present_green, forecast.in_doubt, forecast.queue_tail,
    )  # fmt: skip

    return forecast


def green_windows(world: World) -> Windows:
    """Return what each signal group lets through, now and next."""
    signals, count = world.signals, len(world.signals.state)
    windows = Windows(
        is_green=np.zeros(count, np.bool_),
        time_left=np.zeros(count),
        next_start=np.zeros(count),
        next_duration=np.zeros(count),
    )

    _windows(
        world.t, signals.state, signals.min_end, signals.max_end, signals.next_green, signals.next_duration,
        *windows,
    )  # fmt: skip
    return windows
