"""Geometry of polylines in local metres (float64[n, 2]), and of short distances on the globe."""

from itertools import pairwise
from math import cos, hypot, radians

import numpy as np
from numpy.typing import NDArray

from .model import Point

F8 = NDArray[np.float64]
M_PER_E7 = 0.0111319491  # m of 1e-7 degree of a meridian, to 0.5 %


def distance(a: Point, b: Point) -> float:
    """Return m between two points a short way apart, to 1 %."""
    return M_PER_E7 * hypot(a[0] - b[0], (a[1] - b[1]) * cos(radians(a[0] / 1e7)))


def length(points: tuple[Point, ...]) -> float:
    """Return m along a line, to 1 %."""
    return sum(distance(a, b) for a, b in pairwise(points))


def arc(line: F8) -> F8:
    """Return m along the line at each of its points."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def arcs(lines: list[F8]) -> list[F8]:
    """Return `arc` of each of many lines, at once."""
    if not lines:
        return []
    xy, bounds = np.concatenate(lines), np.cumsum([len(line) for line in lines])
    step = np.concatenate([[0.0], np.hypot(*np.diff(xy, axis=0).T)])
    step[bounds[:-1]] = 0.0
    parts = np.split(np.cumsum(step), bounds[:-1])
    return [part - part[0] for part in parts]


def at(line: F8, along: F8, s: F8 | float) -> F8:
    """Return the points `s` m along a line, float64[..., 2]."""
    return np.stack([np.interp(s, along, line[:, 0]), np.interp(s, along, line[:, 1])], axis=-1)


def crossings(line: F8, along: F8, axis: F8) -> F8:
    """Return float64[k, 2]: m along `line` where it crosses the segment `axis` (x0, y0, x1, y1), and the sine of the angle."""
    a, d = line[:-1], np.diff(line, axis=0)
    p, e = axis[:2], axis[2:] - axis[:2]
    det = d[:, 1] * e[0] - d[:, 0] * e[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        w = p - a
        u = (w[:, 1] * e[0] - w[:, 0] * e[1]) / det
        v = (d[:, 0] * w[:, 1] - d[:, 1] * w[:, 0]) / det
        hits = np.flatnonzero((u >= 0) & (u < 1) & (v >= 0) & (v <= 1))
        sine = np.abs(det) / (np.hypot(d[:, 0], d[:, 1]) * np.hypot(*e))
    return np.stack([along[hits] + u[hits] * (along[hits + 1] - along[hits]), sine[hits]], axis=1)


def band(axis: F8, width: float) -> F8:
    """Return the outline of a straight band, float64[4, 2], about a line `width` m wide."""
    first, last = axis[0], axis[-1]
    ahead = (last - first) / max(float(np.hypot(*(last - first))), 1e-9)
    side = np.array([-ahead[1], ahead[0]]) * width / 2
    return np.array([first + side, last + side, last - side, first - side])


def _near(a: F8, b: F8, step: float) -> tuple[F8, F8, F8]:
    """Return points of both lines every `step` m, as s along each, and the distances between them."""
    arcs = arc(a), arc(b)
    s_a, s_b = (np.linspace(0, whole[-1], max(int(whole[-1] / step), 1) + 1) for whole in arcs)
    p, q = at(a, arcs[0], s_a), at(b, arcs[1], s_b)
    return s_a, s_b, np.hypot(p[:, None, 0] - q[None, :, 0], p[:, None, 1] - q[None, :, 1])


def _first_crossing(a: F8, b: F8) -> tuple[float, float] | None:
    """Return m along each of two lines where they cross, on the first segment of `b` that is crossed; None where none is."""
    d, e = np.diff(a, axis=0)[:, None], np.diff(b, axis=0)[None]
    w = b[None, :-1] - a[:-1, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        det = d[..., 1] * e[..., 0] - d[..., 0] * e[..., 1]
        u = (w[..., 1] * e[..., 0] - w[..., 0] * e[..., 1]) / det
        v = (d[..., 0] * w[..., 1] - d[..., 1] * w[..., 0]) / det
        j, i = np.nonzero(((u >= 0) & (u < 1) & (v >= 0) & (v <= 1)).T)
    if not len(i):
        return None
    along_a, along_b = arc(a), arc(b)
    s = float(along_a[i[0]] + u[i[0], j[0]] * (along_a[i[0] + 1] - along_a[i[0]]))
    return s, float(along_b[j[0]] + np.hypot(*(at(a, along_a, s) - b[j[0]])))


def meeting(a: F8, b: F8, merge: bool, near: float = 2.5) -> tuple[str, float, float, float]:
    """Return (kind, m along a, m along b, m between) of where two paths meet.

    A merge begins where the paths come within `near` m and stay so to their common end. Other paths meet where they
    cross, or else where they are nearest.
    """
    if merge:
        s_a, s_b, far = _near(a, b, 0.5)
        apart = np.flatnonzero(far.min(axis=1) > near)
        i = min(int(apart[-1]) + 1, len(s_a) - 1) if len(apart) else 0
        j = int(far[i].argmin())
        return "merge", float(s_a[i]), float(s_b[j]), float(far[i, j])
    hit = _first_crossing(a, b)
    if hit is not None:
        return "cross", *hit, 0.0
    s_a, s_b, far = _near(a, b, 0.5)
    i, j = divmod(int(far.argmin()), far.shape[1])
    return "cross", float(s_a[i]), float(s_b[j]), float(far[i, j])
