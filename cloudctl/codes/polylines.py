"""Geometry of polylines in local metres (float64[n, 2]), and of short distances on the globe."""

from collections.abc import Iterable
from itertools import accumulate, pairwise
from math import cos, hypot, radians

import numpy as np
from numpy.typing import NDArray

from .model import Point

F8 = NDArray[np.float64]
M_PER_E7 = 0.0111319491  # m of 1e-7 degree of a meridian, to 0.5 %


def distance(first: Point, second: Point) -> float:
    """Return m between two points a short way apart, to 1 %."""
    return M_PER_E7 * hypot(first[0] - second[0], (first[1] - second[1]) * cos(radians(first[0] / 1e7)))


def length(points: tuple[Point, ...]) -> float:
    """Return m along a line, to 1 %."""
    return sum(distance(start, end) for start, end in pairwise(points))


def arc_lengths(line: F8) -> F8:
    """Return m along the line at each of its points."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def arc_lengths_of_all(lines: list[F8]) -> list[F8]:
    """Return `arc_lengths` of each of many lines, at once."""
    if not lines:
        return []

    points, counts = np.concatenate(lines), [len(line) for line in lines]
    steps = np.concatenate([[0.0], np.hypot(*np.diff(points, axis=0).T)])
    steps[np.cumsum(counts)[:-1]] = 0.0

    return [part - part[0] for part in parts_of(np.cumsum(steps), counts)]


def parts_of(rows: F8, counts: Iterable[int]) -> list[F8]:
    """Return the rows of each of some lines that lie one after the other: so many of the first, of the second, ..."""
    return [rows[first:last] for first, last in pairwise(accumulate(counts, initial=0))]


def middles(lines: list[F8]) -> F8:
    """Return the point halfway along each of some lines, float64[lines, 2]."""
    points, along = np.concatenate(lines), arc_lengths_of_all(lines)

    # Laid end to end, a metre apart, all are found at once.
    lengths = np.array([arc[-1] for arc in along])
    begins = np.cumsum(lengths + 1.0) - (lengths + 1.0)
    laid = np.concatenate(along) + np.repeat(begins, [len(line) for line in lines])
    return points_along(points, laid, begins + lengths / 2)


def points_along(line: F8, arc_length_of: F8, s: F8 | float) -> F8:
    """Return the points `s` m along a line, float64[..., 2]."""
    return np.stack([np.interp(s, arc_length_of, line[:, 0]), np.interp(s, arc_length_of, line[:, 1])], axis=-1)


def band(axis: F8, width: float) -> F8:
    """Return the outline of a straight band, float64[4, 2], about a line `width` m wide."""
    first, last = axis[0], axis[-1]
    ahead = (last - first) / max(float(np.hypot(*(last - first))), 1e-9)
    side = np.array([-ahead[1], ahead[0]]) * width / 2
    return np.array([first + side, last + side, last - side, first - side])


def _sampled_distances(first: F8, second: F8, step: float) -> tuple[F8, F8, F8]:
    """Return points of both lines every `step` m, as s along each, and the distances between them."""
    lengths = arc_lengths(first), arc_lengths(second)
    s_a, s_b = (np.linspace(0, along_line[-1], max(int(along_line[-1] / step), 1) + 1) for along_line in lengths)
    points_a, points_b = points_along(first, lengths[0], s_a), points_along(second, lengths[1], s_b)
    return s_a, s_b, np.hypot(points_a[:, None, 0] - points_b[None, :, 0], points_a[:, None, 1] - points_b[None, :, 1])


def _first_crossing(first: F8, second: F8) -> tuple[float, float] | None:
    """Return m along each of two lines where they cross, on the first segment of `second` that is crossed; None where
    none is."""
    steps_a, steps_b = np.diff(first, axis=0)[:, None], np.diff(second, axis=0)[None]
    offset = second[None, :-1] - first[:-1, None]

    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = steps_a[..., 1] * steps_b[..., 0] - steps_a[..., 0] * steps_b[..., 1]
        share_a = (offset[..., 1] * steps_b[..., 0] - offset[..., 0] * steps_b[..., 1]) / determinant
        share_b = (steps_a[..., 0] * offset[..., 1] - steps_a[..., 1] * offset[..., 0]) / determinant
        pieces_b, pieces_a = np.nonzero(((share_a >= 0) & (share_a < 1) & (share_b >= 0) & (share_b <= 1)).T)

    if not len(pieces_a):
        return None

    along_a, along_b = arc_lengths(first), arc_lengths(second)
    s = float(
        along_a[pieces_a[0]] + share_a[pieces_a[0], pieces_b[0]] * (along_a[pieces_a[0] + 1] - along_a[pieces_a[0]])
    )
    return s, float(along_b[pieces_b[0]] + np.hypot(*(points_along(first, along_a, s) - second[pieces_b[0]])))


def meeting_point(first: F8, second: F8, merge: bool, max_gap: float = 2.5) -> tuple[str, float, float, float]:
    """Return (kind, m along a, m along b, m between) of where two paths meet.

    A merge begins where the paths come within `max_gap` m and stay so to their common end. Other paths meet where they
    cross, or else where they are nearest.
    """
    if merge:
        s_a, s_b, distances = _sampled_distances(first, second, step=0.5)
        beyond = np.flatnonzero(distances.min(axis=1) > max_gap)
        index = min(int(beyond[-1]) + 1, len(s_a) - 1) if len(beyond) else 0
        other_index = int(distances[index].argmin())
        return "merge", float(s_a[index]), float(s_b[other_index]), float(distances[index, other_index])

    crossing = _first_crossing(first, second)
    if crossing is not None:
        return "cross", *crossing, 0.0

    s_a, s_b, distances = _sampled_distances(first, second, step=0.5)
    index, other_index = divmod(int(distances.argmin()), distances.shape[1])
    return "cross", float(s_a[index]), float(s_b[other_index]), float(distances[index, other_index])
