"""Polygons on the globe: which points and which spans of a line lie inside."""

import itertools
from collections.abc import Iterator
from math import inf

from .model import Point
from .polylines import length


def inside_spans(line: tuple[Point, ...], polygon: tuple[Point, ...]) -> Iterator[tuple[float, float]]:
    """Yield the spans of a line (m) that lie in a polygon, to a metre."""
    if len(line) < 2 or len(polygon) < 3:
        return  # a fault of its own

    # The boxes around the two do not meet
    if any(
        max(point[axis] for point in line) < min(point[axis] for point in polygon)
        or min(point[axis] for point in line) > max(point[axis] for point in polygon)
        for axis in (0, 1)
    ):
        return

    # Sampled each metre: an outline may be concave, so that one segment leaves it and enters it again
    s_segment, s_entered = 0.0, None
    for start, end in itertools.pairwise(line):
        segment_length = length((start, end))
        steps = max(int(segment_length), 1)
        for step in range(steps):
            sample = (
                start[0] + (end[0] - start[0]) * (step + 0.5) / steps,
                start[1] + (end[1] - start[1]) * (step + 0.5) / steps,
            )
            s_here = s_segment + segment_length * step / steps

            if contains(polygon, sample) != (s_entered is not None):
                if s_entered is not None:
                    yield s_entered, s_here
                s_entered = s_here if s_entered is None else None

        s_segment += segment_length

    if s_entered is not None:
        yield s_entered, inf


def contains(polygon: tuple[Point, ...], point: tuple[float, float]) -> bool:
    """Return whether a point (lat_e7, lon_e7) lies in a polygon."""
    inside = False
    for index, (y1, x1) in enumerate(polygon):
        y0, x0 = polygon[index - 1]
        if (y0 > point[0]) != (y1 > point[0]) and point[1] < x0 + (point[0] - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside

    return inside
