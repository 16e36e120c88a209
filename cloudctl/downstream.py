"""Which signal comes after this one: how the exit lanes of one digital code go on in another, and when that signal lets
a vehicle through.

Two codes overlap along the road between their intersections: a point of an exit lane of the first, matched to the lanes
of the second, shows how far the second's stop line is.
"""

from collections.abc import Iterable
from math import isnan
from typing import Any, NamedTuple

import numpy as np

from .codes import CompiledCode
from .driving import SATURATION_HEADWAY
from .forecast.stop_line import UNKNOWN_TIME, forecast_stop_lines
from .fusion import TRACK
from .intersection import IntersectionState
from .matching import match
from .signals.states import MAX_AGE
from .world import NextSignal, Report, World, declare

EGRESS, MOTOR_LANE = 2, 0  # role and use of an exit lane for vehicles
FIRST_PROBE = 5.0  # m along an exit lane
PROBE_FRACTIONS = (0.5, 1.0)  # of its length: where it is looked at besides
PROBE_STEP = 2.0  # m back from a probe, for the direction of the lane there
PROBE_SPEED = 10.0  # m/s of a made-up vehicle there, so that its direction counts


class DownstreamLink(NamedTuple):
    """Where an exit lane goes on: the intersection, and m from the lane's beginning to the stop line there."""

    place: IntersectionState
    distance: float


def exit_links(place: IntersectionState, others: Iterable[IntersectionState]) -> dict[int, DownstreamLink]:
    """Return where the exit lanes of an intersection lead to another's stop line, by lane; of several, the nearest."""
    code = place.code
    is_exit = (code.lane_role == EGRESS) & (code.lane_use == MOTOR_LANE)
    exit_lanes = np.flatnonzero(is_exit).tolist()

    links: dict[int, DownstreamLink] = {}
    others = [other for other in others if other is not place]

    if not exit_lanes or not others:
        return links

    probes = _probes(code, exit_lanes)
    for other in others:
        for lane, distance in zip(exit_lanes, _distances(probes, other.code), strict=True):
            if not isnan(distance) and (lane not in links or distance < links[lane].distance):
                links[lane] = DownstreamLink(other, distance)

    return links


class Probes(NamedTuple):
    """Where exit lanes are looked at: one row per lane, one column per probe, nearest first."""

    s: Any  # m along the lane
    lat: Any  # of each probe, then of the point PROBE_STEP before it: degrees
    lon: Any


def _probes(code: CompiledCode, lanes: list[int]) -> Probes:
    length = code.path_length[lanes]
    s = np.stack([np.minimum(FIRST_PROBE, length), *(fraction * length for fraction in PROBE_FRACTIONS)], axis=1)
    points = [
        _points(code, lane, along)
        for lane, along in zip(lanes, np.concatenate([s, np.maximum(s - PROBE_STEP, 0.0)], axis=1), strict=True)
    ]
    east, north = np.swapaxes(np.array(points), 0, 1)
    lat, lon = code.origin.to_geodetic(east, north)

    return Probes(s, lat, lon)


def _points(code: CompiledCode, lane: int, s: Any) -> tuple[Any, Any]:
    """Return x, y (m) of the points `s` m along a lane."""
    begin, end = int(code.path_start[lane]), int(code.path_start[lane + 1])
    arc, xy = code.path_s[begin:end], code.path_xy[begin:end]
    return np.interp(s, arc, xy[:, 0]), np.interp(s, arc, xy[:, 1])


def _distances(probes: Probes, other: CompiledCode) -> list[float]:
    """Return m from the beginning of each exit lane to the stop line of another code that it leads to; nan
    where it leads to none."""
    # A vehicle that drives along the lane at each probe, in the frame of the other code.
    x, y = other.origin.to_local(probes.lat, probes.lon)
    count = probes.s.shape[1]
    dx, dy = x[:, :count] - x[:, count:], y[:, :count] - y[:, count:]
    step = np.maximum(np.hypot(dx, dy), 1e-6)
    tracks = np.zeros(probes.s.size, TRACK)
    tracks["x"], tracks["y"] = x[:, :count].ravel(), y[:, :count].ravel()
    tracks["vx"], tracks["vy"] = (PROBE_SPEED * dx / step).ravel(), (PROBE_SPEED * dy / step).ravel()

    # The first probe that is on a lane before a stop line tells the distance.
    matched = match(other, tracks, np.full((len(tracks), 3), -1, np.int64))
    is_approach = (matched.path >= 0) & (matched.path < other.n_lanes) & (matched.to_stop > 0.0)
    distance = np.where(is_approach, probes.s.ravel() + matched.to_stop, np.nan).reshape(-1, count)
    first = is_approach.reshape(-1, count).argmax(axis=1)

    return [float(row[probe]) for row, probe in zip(distance, first, strict=True)]


def next_signal(
    t: int, place: IntersectionState, report: Report, lanes: dict[int, DownstreamLink]
) -> NextSignal | None:
    """Return when the signal after this one lets a vehicle through, for the movement it declared there; None where that
    is not known.

    `lanes`: the links of the intersection's exit lanes, as `exit_links` returns them.
    """
    code, movements = place.code, report.state.movements
    if report.connection < 0 or movements is None or len(movements) < 2:
        return None

    link = lanes.get(int(code.conn_to[report.connection]))
    if link is None or not link.place.in_force:
        return None

    snapshot = link.place.latest
    if snapshot is None or not _is_trustworthy(snapshot, t):
        return None

    next_code = link.place.code
    movement = next((k for name in movements[1:] if (k := next_code.connection(name)) >= 0), -1)
    group = int(next_code.conn_group[movement]) if movement >= 0 else -1

    if group < 0:
        return None

    # The other intersection's times count from its own snapshot.
    windows, since = forecast_stop_lines(snapshot).windows, (t - snapshot.t) / 1e9
    opens, duration = float(windows.next_start[group]), float(windows.next_duration[group])
    if opens >= UNKNOWN_TIME:
        return None

    green_left = float(windows.time_left[group]) if windows.is_green[group] else 0.0
    return NextSignal(
        distance=float(code.path_length[code.n_lanes + report.connection]) + link.distance,
        closes=green_left - since,
        opens=opens - since + _queue_discharge(next_code, snapshot, movement),
        ends=opens - since + duration,
    )


def _is_trustworthy(snapshot: World, t: int) -> bool:
    """Return whether the signals of another intersection's newest snapshot are known at `t` ns."""
    if t - snapshot.t > MAX_AGE:
        return False  # its own messages have ended: what it promised then may no longer hold
    signals = snapshot.signals
    return not snapshot.signal_trouble and signals.t > 0 and signals.revision == snapshot.code.code.revision


def _queue_discharge(code: CompiledCode, snapshot: World, movement: int) -> float:
    """Return s that the vehicles before a movement's stop line take to leave, on the lane with the fewest."""
    approach_lanes = {int(code.conn_from[path - code.n_lanes]) for path in declare(code, movement) if path >= 0}
    queues = [int(np.sum((snapshot.to_stop > 0.0) & (snapshot.path == lane))) for lane in approach_lanes]
    return min(queues, default=0) * SATURATION_HEADWAY
