"""When each vehicle on an approach can pass its stop line: the queue, the signal and the discharge in one sweep.

Vehicles of a lane are taken from the stop line backwards. Each passes when it can arrive, when the one ahead has passed by a headway, and when its
signal is green; the first passes OPENS s after a green begins, the others every HEADWAY s. How long that takes is not known so well: who may yet pass in the
green that shows is left in doubt rather than held for the next one, which would cost him a whole cycle. Shared by GLOSA and the queue planner.
"""

from math import sqrt
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..matching import Floats, Ints, tables
from ..signals.states import GREEN, IS_RED, NEVER, YELLOW
from ..world import World

SATURATION_HEADWAY = 1.6  # s between vehicles of a discharging queue
BRISK = 1.2  # s between them at the least; with it, who comes near the end of green is in doubt, and is not held back
GRACE = (
    2.0  # s after the earliest end of green (yellow, mostly) in which a vehicle may still pass, as its driver sees fit
)
STARTUP_LOST_TIME = 1.0  # s after a green begins that its first vehicle passes: from a stand, or rolling up to the light at the pace it can still stop from
MARGIN = 0.5  # s kept from the end of green
GAIN = 2.5  # m/s^2 at which drivers gain speed
GAP = 15.0  # m between standing vehicles of one queue at the most
STANDING = 1.4  # m/s (5 km/h): below it a vehicle stands in a queue
FAR = 1e9  # s
IS_GREEN = np.isin(np.arange(256), GREEN)
IS_YELLOW = np.isin(np.arange(256), YELLOW)


class Windows(NamedTuple):
    """One row a signal group, times in s from now. What is not known promises nothing: `left` is then 0, the others FAR."""

    green: NDArray[np.bool_]  # it shows green now
    left: Floats  # until that ends, at the earliest; 0 where it may end at once, or nobody knows
    start: Floats  # until the next green begins, at the latest; never negative
    duration: Floats  # how long that is likely to last


class StopLineForecast(NamedTuple):
    """One row a track: `time` s from now it will pass its stop line (inf unknown), vehicles `ahead` and `behind`, whether it meets green."""

    time: Floats
    ahead: Ints
    behind: Ints  # vehicles behind it on its lane
    now: Any  # bool[n]: it passes in the green that shows now
    doubt: Any  # bool[n]: it comes so near the end of that green that nobody can say
    tail: Floats  # float64[n_lanes]: m from the stop line to the tail of the standing queue of each ingress lane
    windows: Windows


@njit(cache=True)
def _windows(
    t: int, state: Any, min_end: Any, max_end: Any, next_green: Any, next_duration: Any, is_green: Any, is_red: Any,
    green: Any, left: Any, start: Any, duration: Any,
) -> None:  # fmt: skip
    for g in range(len(state)):
        green[g] = is_green[state[g]]
        left[g] = 0.0
        if green[g] and min_end[g] != NEVER:
            left[g] = max((min_end[g] - t) / 1e9, 0.0)

        opens = next_green[g]
        if is_red[state[g]] and max_end[g] != NEVER:
            opens = max_end[g] if opens == NEVER else max(opens, max_end[g])
        start[g] = FAR if opens == NEVER else max((opens - t) / 1e9, 0.0)
        duration[g] = FAR if next_duration[g] == NEVER else next_duration[g] / 1e9


@njit(cache=True)
def earliest(distance: float, speed: float, limit: float) -> float:
    """Return s to cover `distance` m from `speed` m/s, gaining GAIN m/s^2 up to `limit`; who is faster stays so."""
    if speed >= limit:
        return distance / speed
    if speed * speed + 2.0 * GAIN * distance < limit * limit:
        return (sqrt(speed * speed + 2.0 * GAIN * distance) - speed) / GAIN
    return distance / limit + (limit - speed) ** 2 / (2.0 * GAIN * limit)


@njit(cache=True)
def _sweep(
    tracks: Any, path: Any, connection: Any, to_stop: Any, speed: Any, n_lanes: int, conn_from: Any, conn_group: Any,
    lane_group: Any, lane_speed: Any, green: Any, left: Any, start: Any, duration: Any,
    time: Any, ahead: Any, behind: Any, now: Any, doubt: Any, tail: Any,
) -> None:  # fmt: skip
    n = len(tracks)
    lane, key, on_lane = np.full(n, -1, np.int64), np.full(n, 1e18), np.zeros(n_lanes, np.int64)
    for i in range(n):
        if path[i] >= 0 and to_stop[i] > -0.5:
            lane[i] = conn_from[connection[i]] if connection[i] >= 0 else path[i]
            if lane[i] < n_lanes:
                key[i] = lane[i] * 1e5 + to_stop[i]
                on_lane[lane[i]] += 1
    last_lane, last_time, soonest, count, standing = -1, -FAR, -FAR, 0, True
    for i in np.argsort(key):
        if key[i] >= 1e18:
            break
        if lane[i] != last_lane:
            last_lane, last_time, soonest, count, standing = lane[i], -FAR, -FAR, 0, True
        ahead[i] = count
        count += 1
        behind[i] = on_lane[lane[i]] - count
        if standing and speed[i] < STANDING and to_stop[i] < tail[lane[i]] + GAP:
            tail[lane[i]] = to_stop[i] + tracks[i]["length"]
        else:
            standing = False
        limit = max(lane_speed[lane[i]], 1.0)
        alone = earliest(max(to_stop[i], 0.0), max(speed[i], 0.0), limit)
        arrive, soonest = max(alone, last_time + SATURATION_HEADWAY), max(alone, soonest + BRISK)
        lawful = max(arrive, to_stop[i] / limit)
        g = conn_group[connection[i]] if connection[i] >= 0 else lane_group[lane[i]]
        now[i] = g < 0 or (green[g] and lawful <= left[g] - MARGIN)
        doubt[i] = not now[i] and green[g] and soonest <= left[g] + GRACE
        if not now[i] and not doubt[i]:
            if start[g] >= FAR:
                arrive = FAR
            else:
                arrive = max(arrive, start[g] + STARTUP_LOST_TIME)
                if duration[g] < FAR and arrive > start[g] + duration[g] - MARGIN:
                    arrive = FAR
        time[i] = arrive
        last_time = arrive


_NEWEST: dict[
    str, tuple[ref[World], StopLineForecast]
] = {}  # by code: of the snapshot asked for last, which it does not keep alive


def passing(world: World) -> StopLineForecast:
    """Sweep every ingress lane once; O(n log n) in the tracks. Reckoned once a snapshot, whoever asks."""
    known = _NEWEST.get(world.code.hash)
    if known is None or known[0]() is not world:
        known = _NEWEST[world.code.hash] = ref(world), _passing(world)
    return known[1]


def _passing(world: World) -> StopLineForecast:
    code, n = world.code, len(world.tracks)
    out = StopLineForecast(
        np.full(n, np.inf),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.bool_),
        np.zeros(n, np.bool_),
        np.zeros(code.n_lanes),
        green_windows(world),
    )
    if code.n_conns:
        _sweep(
            world.tracks, world.path, world.connection, world.to_stop, world.speed, code.n_lanes, code.conn_from, code.conn_group,
            tables(code).group, code.lane_speed, *out.windows, *out[:6],
        )  # fmt: skip
    return out


def green_windows(world: World) -> Windows:
    """Return what each signal group lets through, now and next."""
    signals, n = world.signals, len(world.signals.state)
    out = Windows(np.zeros(n, np.bool_), np.zeros(n), np.zeros(n), np.zeros(n))
    _windows(
        world.t, signals.state, signals.min_end, signals.max_end, signals.next_green, signals.next_duration, IS_GREEN, IS_RED, *out,
    )  # fmt: skip
    return out
