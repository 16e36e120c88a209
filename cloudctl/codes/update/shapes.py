"""How lines lie to each other: distances, overlaps and places along them, in metres of a local frame."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..polylines import F8, arc_lengths, points_along

FAR_AWAY = 1e9  # m
SAMPLE_COUNT = 16  # points of a line that are compared with another


class Shape(NamedTuple):
    """A line, m along it at its points, and points spread evenly over it."""

    xy: F8
    along: F8
    samples: F8

    @property
    def size(self) -> float:
        """Return the length, m."""
        return float(self.along[-1])


class Projection(NamedTuple):
    """Points laid on a line: m along it, distance, and the signed distance, positive to the left."""

    s: F8
    distance: F8
    left: F8


class Nearness(NamedTuple):
    """How two lines lie: mean distance where they lie beside each other (m), and for how far (m; 0 where they run
    against each other)."""

    distance: float
    overlap: float


def shape_of(xy: F8) -> Shape:
    """Return a line with what is needed to compare it. One without a length (a code that has an error) is a point;
    without points it lies nowhere near."""
    if len(xy) < 2:
        xy = np.repeat(xy if len(xy) else np.full((1, 2), FAR_AWAY), 2, axis=0)
    along = arc_lengths(xy)
    return Shape(xy, along, points_along(xy, along, np.linspace(0.0, along[-1], SAMPLE_COUNT)))


def project(points: F8, line: Shape) -> Projection:
    """Lay points, float64[n, 2], on the nearest places of a line."""
    steps = np.diff(line.xy, axis=0)
    lengths = np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)
    gap = points[:, None] - line.xy[None, :-1]
    share = np.clip((gap * steps).sum(axis=2) / lengths**2, 0.0, 1.0)
    gap = gap - share[..., None] * steps
    distance = np.hypot(gap[..., 0], gap[..., 1])
    nearest = distance.argmin(axis=1)
    index = np.arange(len(points))
    direction, offset = steps[nearest], gap[index, nearest]
    left = direction[:, 0] * offset[:, 1] - direction[:, 1] * offset[:, 0]
    nearest_distance = distance[index, nearest]

    return Projection(
        line.along[nearest] + share[index, nearest] * lengths[nearest],
        nearest_distance,
        np.copysign(nearest_distance, left),
    )


def compare(first: Shape, second: Shape) -> Nearness:
    """Return how two lines lie to each other; the shorter may lie along a part of the longer."""
    on_a, on_b = project(second.samples, first), project(first.samples, second)
    overlap = min(float(on_a.s[-1] - on_a.s[0]), float(on_b.s[-1] - on_b.s[0]))
    return Nearness(min(float(on_a.distance.mean()), float(on_b.distance.mean())), max(overlap, 0.0))


def same_line(first: Shape, second: Shape, tolerance: float) -> bool:
    """Return whether two lines are the same within `tolerance` m, however their points are spread."""
    if float(np.hypot(*(first.xy[[0, -1]] - second.xy[[0, -1]]).T).max()) > tolerance:
        return False
    max_distance = max(float(project(second.xy, first).distance.max()), float(project(first.xy, second).distance.max()))
    return max_distance <= tolerance and abs(first.size - second.size) <= 2 * tolerance + 0.001 * first.size


def boxes(shapes: list[Shape]) -> F8:
    """Return the bounding box of each line, float64[n, 4]: west, south, east, north."""
    return np.array([[*shape.xy.min(axis=0), *shape.xy.max(axis=0)] for shape in shapes]).reshape(-1, 4)


def near_boxes(first: F8, second: F8, reach: float) -> NDArray[np.bool_]:
    """Return bool[n, m]: which boxes of `first` and `second` come within `reach` m."""
    gaps = np.maximum(first[:, None, :2] - second[None, :, 2:], second[None, :, :2] - first[:, None, 2:]).max(axis=2)
    return np.asarray(gaps <= reach)
