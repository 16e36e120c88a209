"""Which signal comes after this one: how the exit lanes of one digital code go on in another, and when that lets a vehicle through.

Two codes overlap along the road between them: a point of an exit lane of the first, matched to the lanes of the second, tells how far the
second's stop line is.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .codes import CompiledCode
from .forecast.stop_line import FAR, SATURATION_HEADWAY, passing
from .fusion import TRACK
from .intersection import IntersectionState
from .matching import match
from .signals.states import MAX_AGE
from .world import NextSignal, Report, declare

PROBES = (5.0, 0.5, 1.0)  # where an exit lane is looked at: m along it, then shares of its length
SPEED = 10.0  # m/s; of a made-up vehicle there, so that its direction counts


class DownstreamLink(NamedTuple):
    """Where an exit lane goes on: the place, and m from the lane's beginning to the stop line there."""

    place: IntersectionState
    distance: float


def onward(place: IntersectionState, others: Iterable[IntersectionState]) -> dict[int, DownstreamLink]:
    """Return where the exit lanes of a place lead to another's stop line, by lane."""
    code, out = place.code, dict[int, DownstreamLink]()
    found = [k for k in range(code.n_lanes) if code.lane_role[k] == 2 and code.lane_use[k] == 0]
    for other in others:
        if other is place or not found:
            continue
        for lane in found:
            distance = _distance(code, lane, other.code)
            if distance is not None and (lane not in out or distance < out[lane].distance):
                out[lane] = DownstreamLink(other, distance)
    return out


def _distance(code: CompiledCode, lane: int, other: CompiledCode) -> float | None:
    length = float(code.path_length[lane])
    s = np.array([min(PROBES[0], length), *(share * length for share in PROBES[1:])])
    a, b = int(code.path_start[lane]), int(code.path_start[lane + 1])
    arc, xy = code.path_s[a:b], code.path_xy[a:b]
    here = np.stack([np.interp(s, arc, xy[:, k]) for k in (0, 1)], axis=1)
    before = np.stack([np.interp(np.maximum(s - 2.0, 0.0), arc, xy[:, k]) for k in (0, 1)], axis=1)
    x, y = other.origin.to_local(*code.origin.to_geodetic(here[:, 0], here[:, 1]))
    x0, y0 = other.origin.to_local(*code.origin.to_geodetic(before[:, 0], before[:, 1]))
    tracks = np.zeros(len(s), TRACK)
    tracks["x"], tracks["y"] = x, y
    step = np.maximum(np.hypot(x - x0, y - y0), 1e-6)
    tracks["vx"], tracks["vy"] = SPEED * (x - x0) / step, SPEED * (y - y0) / step
    on = match(other, tracks, np.full((len(s), 3), -1, np.int64))
    good = np.flatnonzero((on.path >= 0) & (on.path < other.n_lanes) & (on.to_stop > 0.0))
    return float(s[good[0]] + on.to_stop[good[0]]) if len(good) else None


def beyond(t: int, place: IntersectionState, report: Report, lanes: dict[int, DownstreamLink]) -> NextSignal | None:
    """Return when the signal after this one lets a vehicle through, for the movement it declared there; None where nobody knows."""
    code, connection, movements = place.code, report.connection, report.state.movements
    if connection < 0 or movements is None or len(movements) < 2:
        return None
    lane = int(code.conn_to[connection])
    there = lanes.get(lane)
    if there is None or there.place.latest is None or not there.place.in_force:
        return None
    next_code, snapshot = there.place.code, there.place.latest
    if t - snapshot.t > MAX_AGE:  # its own messages have ended: what it promised then is not known to be so now
        return None
    turn = next((k for m in movements[1:] if (k := next_code.connection(m)) >= 0), -1)
    group = int(next_code.conn_group[turn]) if turn >= 0 else -1
    if (
        group < 0
        or snapshot.signal_trouble
        or snapshot.signals.t == 0
        or snapshot.signals.revision != next_code.code.revision
    ):
        return None
    known = passing(snapshot)
    windows, since = known.windows, (t - snapshot.t) / 1e9
    from_lanes = {int(next_code.conn_from[p - next_code.n_lanes]) for p in declare(next_code, turn) if p >= 0}
    waiting = [int(np.sum((snapshot.to_stop > 0.0) & (snapshot.path == k))) for k in from_lanes]
    queue = min(waiting, default=0) * SATURATION_HEADWAY
    opens, lasts = float(windows.start[group]), float(windows.duration[group])
    distance = float(code.path_length[code.n_lanes + connection]) + there.distance
    left = float(windows.left[group]) if windows.green[group] else 0.0
    if opens >= FAR:
        return None
    return NextSignal(distance, left - since, opens - since + queue, opens - since + lasts)
