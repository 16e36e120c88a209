"""Where the movements of an intersection cross its crosswalks, and how far along its paths their points lie: compiled,
for a node compiles hundreds of codes when it starts."""

from math import hypot
from typing import Any, NamedTuple

import numpy as np

from ...kernels import njit

CROSSWALK_REACH = 15.0  # m before and after a connection within which a crosswalk counts as on its way
MAX_LANE_POINTS = 12  # of the lanes before and after a connection that are looked at
MIN_SINE = 0.5  # of the angle of a crossing: a span grows no longer than at 30 degrees


class Paths(NamedTuple):
    """The lanes, then the connections of a code, in CSR."""

    start: Any  # int32[paths + 1]
    xy: Any  # float64[points, 2]
    length: Any  # float64[paths], m


class Movements(NamedTuple):
    """The connections of a code: the lanes that they lead from and to, and whether through the intersection."""

    origin: Any
    exit: Any
    inner: Any


@njit(cache=True)
def arc_lengths_by_path(start: Any, xy: Any) -> Any:
    """Return m along its path of each point."""
    along = np.zeros(len(xy))
    for path in range(len(start) - 1):
        for k in range(start[path] + 1, start[path + 1]):
            along[k] = along[k - 1] + hypot(xy[k, 0] - xy[k - 1, 0], xy[k, 1] - xy[k - 1, 1])
    return along


@njit(cache=True)
def crossings(line: Any, along: Any, axis: Any) -> Any:
    """Return float64[k, 2]: m along `line` where it crosses the segment `axis` (x0, y0, x1, y1), and the sine of the
    angle. `along`: m along the line of each of its points."""
    found, n = np.empty((len(line), 2)), 0
    axis_x, axis_y = axis[2] - axis[0], axis[3] - axis[1]
    for k in range(len(line) - 1):
        step_x, step_y = line[k + 1, 0] - line[k, 0], line[k + 1, 1] - line[k, 1]
        determinant = step_y * axis_x - step_x * axis_y
        if determinant == 0.0:
            continue  # it runs beside the segment

        offset_x, offset_y = axis[0] - line[k, 0], axis[1] - line[k, 1]
        share = (offset_y * axis_x - offset_x * axis_y) / determinant
        axis_share = (step_x * offset_y - step_y * offset_x) / determinant
        if 0.0 <= share < 1.0 and 0.0 <= axis_share <= 1.0:
            found[n, 0] = along[k] + share * (along[k + 1] - along[k])
            found[n, 1] = abs(determinant) / (hypot(step_x, step_y) * hypot(axis_x, axis_y))
            n += 1
    return found[:n]


@njit(cache=True)
def crosswalk_spans(paths: Paths, movements: Movements, axis: Any, width: Any) -> tuple[Any, Any]:
    """Return how many crosswalks each connection crosses, and of each (crosswalk, first m, last m along the
    connection), nearest first: int64[connections], float64[k, 3].

    `axis`: float64[crosswalks, 4], the ends of the middle line of each; `width`: m.
    """
    n_lanes = len(paths.start) - 1 - len(movements.origin)
    counts, spans = np.zeros(len(movements.origin), np.int64), np.empty((16, 3))
    n = 0
    for connection in range(len(counts)):
        if not movements.inner[connection]:
            continue
        course, before = _course(paths, movements.origin[connection], n_lanes + connection, movements.exit[connection])
        along = _arc_lengths(course)
        along -= along[before]  # s is 0 where the connection begins
        end = paths.length[n_lanes + connection]

        first = n
        for crosswalk in range(len(axis)):
            for s, sine in crossings(course, along, axis[crosswalk]):
                if not -CROSSWALK_REACH < s < end + CROSSWALK_REACH:
                    continue
                if n == len(spans):
                    spans = np.concatenate((spans, np.empty_like(spans)))
                half_width = width[crosswalk] / 2 / max(sine, MIN_SINE)
                spans[n, 0], spans[n, 1], spans[n, 2] = crosswalk, s - half_width, s + half_width
                n += 1
        counts[connection] = n - first
        spans[first:n] = spans[first:n][np.argsort(spans[first:n, 1], kind="mergesort")]
    return counts, spans[:n]


@njit(cache=True)
def _course(paths: Paths, origin: int, path: int, exit_lane: int) -> tuple[Any, int]:
    """Return the points of a connection with those next to it of the lanes before and after, and the index of the
    connection's first."""
    last = paths.start[origin + 1]
    before = paths.xy[max(paths.start[origin], last - MAX_LANE_POINTS) : last]
    first = paths.start[exit_lane]
    after = paths.xy[first : min(paths.start[exit_lane + 1], first + MAX_LANE_POINTS)]
    return np.concatenate((before, paths.xy[paths.start[path] : paths.start[path + 1]], after)), len(before)


@njit(cache=True)
def _arc_lengths(line: Any) -> Any:
    along = np.zeros(len(line))
    for k in range(1, len(line)):
        along[k] = along[k - 1] + hypot(line[k, 0] - line[k - 1, 0], line[k, 1] - line[k - 1, 1])
    return along
