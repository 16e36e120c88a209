"""A car that drives up to the shipped intersection, again and again: where it is depends on the clock alone, so that
the gateway sees what the vehicle reports.
"""

from math import atan2
from typing import NamedTuple

import numpy as np

from cloudctl import codes, maps
from cloudctl.geo import Origin

CODE = codes.load(maps.path("intersection.json"))
ORIGIN = Origin(CODE.ref_lat_e7 / 1e7, CODE.ref_lon_e7 / 1e7)
SPEED = 12.0  # m/s
BEGIN, END = 170.0, 50.0  # m before the stop line
NANOSECONDS = 1_000_000_000


class Pose(NamedTuple):
    """Where the car is: m east and north of the intersection's reference point, degrees, rad counter-clockwise from
    east.
    """

    x: float
    y: float
    lat: float
    lon: float
    heading: float


def _approach() -> np.ndarray:
    """Return the line of the first lane for vehicles that has a stop line, in driving direction, up to that line:
    float64[n, 2], m.
    """
    lanes = {lane.id: lane for lane in CODE.lanes if lane.use == "vehicle"}
    stop = next(stop for stop in CODE.stop_lines if stop.lane in lanes)
    lat_e7, lon_e7 = np.array(lanes[stop.lane].points, float).T
    return np.column_stack(ORIGIN.to_local(lat_e7 / 1e7, lon_e7 / 1e7))


LINE = _approach()


def pose(t_ns: int) -> Pose:
    """Return where the car is at a time, ns since 1970."""
    steps = np.hypot(*np.diff(LINE, axis=0).T)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    driven = (t_ns / NANOSECONDS * SPEED) % (BEGIN - END)
    s = arc[-1] - BEGIN + driven

    x, y = np.interp(s, arc, LINE[:, 0]), np.interp(s, arc, LINE[:, 1])
    ahead = np.array([np.interp(s + 1.0, arc, LINE[:, 0]) - x, np.interp(s + 1.0, arc, LINE[:, 1]) - y])
    lat, lon = ORIGIN.to_geodetic(x, y)
    return Pose(float(x), float(y), float(lat), float(lon), atan2(ahead[1], ahead[0]))
