"""When each vehicle on an approach can pass its stop line: the queue, the signal and the discharge in one sweep.

Vehicles of a lane are taken from the stop line backwards. Each passes when it can arrive, when the one ahead has
passed by a headway, and when its signal is green; a queue at the start of green loses LOST s, then discharges one vehicle
every HEADWAY s. Shared by GLOSA and the queue planner; computed once a tick.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..matching import Floats, Ints
from ..world import GREEN, NEVER, YELLOW, World

HEADWAY = 2.0  # s between vehicles of a discharging queue
LOST = 2.0  # s lost at the start of green by the first vehicle of a standing queue
MARGIN = 1.0  # s kept from both ends of green
STANDING = 1.4  # m/s (5 km/h): below it a vehicle stands in a queue
FAR = 1e9  # s
IS_GREEN = np.isin(np.arange(256), GREEN)
IS_YELLOW = np.isin(np.arange(256), YELLOW)


class Windows(NamedTuple):
    """One row a signal group, times in s from now, FAR where not known."""

    green: NDArray[np.bool_]  # it shows green now
    left: Floats  # until that ends, at the earliest
    start: Floats  # until the next green begins, at the latest
    duration: Floats  # how long that is likely to last


class Passing(NamedTuple):
    """One row a track: `time` s from now it will pass its stop line (inf unknown), vehicles `ahead`, whether it meets green."""

    time: Floats
    ahead: Ints
    now: Any  # bool[n]: it passes in the green that shows now
    tail: Floats  # float64[n_lanes]: m from the stop line to the tail of the standing queue of each ingress lane
    windows: Windows


@njit(cache=True)
def _sweep(
    order: Any,
    lane: Any,
    to_stop: Any,
    speed: Any,
    limit: Any,
    length: Any,
    group: Any,
    green: Any,
    left: Any,
    start: Any,
    duration: Any,
    time: Any,
    ahead: Any,
    now: Any,
    tail: Any,
) -> None:
    last_lane, last_time, count, standing = -1, -FAR, 0, True
    for i in order:
        if lane[i] != last_lane:
            last_lane, last_time, count, standing = lane[i], -FAR, 0, True
        ahead[i] = count
        count += 1
        if standing and speed[i] < STANDING and to_stop[i] < tail[lane[i]] + 15.0:
            tail[lane[i]] = to_stop[i] + length[i]
        else:
            standing = False
        arrive = to_stop[i] / max(limit[i], 1.0)
        if speed[i] < limit[i]:
            arrive += (limit[i] - speed[i]) ** 2 / (2.0 * 1.5 * limit[i])
        arrive = max(arrive, last_time + HEADWAY)
        g = group[i]
        if g >= 0:
            now[i] = green[g] and arrive <= left[g] - MARGIN
            if not now[i]:
                opens = start[g]
                if opens >= FAR:
                    arrive = FAR
                else:
                    lost = LOST if speed[i] < STANDING and count == 1 else MARGIN
                    arrive = max(arrive, opens + lost)
                    if duration[g] < FAR and arrive > opens + duration[g] - MARGIN:
                        arrive = FAR
        else:
            now[i] = True
        time[i] = arrive
        last_time = arrive


def passing(world: World) -> Passing:
    """Sweep every ingress lane once; O(n log n) in the tracks."""
    code, n = world.code, len(world.tracks)
    time, ahead, now = np.full(n, np.inf), np.zeros(n, np.int64), np.zeros(n, np.bool_)
    tail, windows = np.zeros(max(code.n_lanes, 1)), green_windows(world)
    on_approach = (world.to_stop > -0.5) & (world.path >= 0)
    lane = np.where(
        world.connection >= 0, code.conn_from[np.maximum(world.connection, 0)] if code.n_conns else -1, world.path
    )
    rows = np.flatnonzero(on_approach & (lane < code.n_lanes))
    if not len(rows):
        return Passing(time, ahead, now, tail, windows)
    order = rows[np.lexsort((world.to_stop[rows], lane[rows]))]
    group = np.where(
        world.connection >= 0,
        code.conn_group[np.maximum(world.connection, 0)] if code.n_conns else -1,
        _group_of_lane(world, lane),
    )
    _sweep(
        order,
        lane,
        world.to_stop,
        world.speed,
        code.lane_speed[np.clip(lane, 0, code.n_lanes - 1)].astype(np.float64),
        world.tracks["length"].astype(np.float64),
        group,
        *windows,
        time,
        ahead,
        now,
        tail,
    )
    return Passing(time, ahead, now, tail, windows)


def green_windows(world: World) -> Windows:
    """Return what each signal group lets through, now and next."""
    signals = world.signals
    state = signals.state
    green = IS_GREEN[state]
    left = np.where(green, seconds(signals.min_end, world.t), 0.0)
    red_ends = np.where(green | IS_YELLOW[state], NEVER, signals.max_end)
    starts = np.where(signals.next_green != NEVER, signals.next_green, red_ends)
    return Windows(
        green,
        left,
        seconds(starts, world.t),
        np.where(signals.next_duration == NEVER, FAR, signals.next_duration / 1e9),
    )


def seconds(at: Ints, t: int) -> Floats:
    """Return s from `t` to each time, FAR where it is not known."""
    return np.where(at == NEVER, FAR, (at - t) / 1e9)


_GROUPS: dict[str, Ints] = {}


def _group_of_lane(world: World, lane: Ints) -> Ints:
    """Return the signal group of each lane's first movement: what a vehicle of unknown movement is taken to obey."""
    code = world.code
    groups = _GROUPS.get(code.hash)
    if groups is None:
        groups = np.full(max(code.n_lanes, 1), -1, np.int64)
        for k in range(code.n_conns - 1, -1, -1):
            if code.conn_group[k] >= 0:
                groups[code.conn_from[k]] = code.conn_group[k]
        _GROUPS[code.hash] = groups
    return groups[np.clip(lane, 0, len(groups) - 1)]
