"""Fewer points for a line that has too many for a target: Douglas-Peucker, within 2 cm, never more than is needed."""

from itertools import pairwise

import numpy as np

from ...polylines import F8

# m; the last is the bound: less than what a MAP rounds to and a survey knows
TOLERANCES = (
    0.002,
    0.005,
    0.01,
    0.015,
    0.02,
)


def thinned(line: F8, max_points: int, keep: frozenset[int] = frozenset()) -> list[int]:
    """Return which points of a line, float64[n, 2], stay for it to have `max_points` at most, if it can; the ends and
    `keep` always do."""
    chosen = list(range(len(line)))
    for tolerance in TOLERANCES:
        if len(chosen) <= max_points:
            break
        chosen = _within(line, tolerance, keep)

    return chosen


def _within(line: F8, tolerance: float, keep: frozenset[int]) -> list[int]:
    """Return the points that stay for every other to be within a tolerance of the line through them."""
    chosen = sorted({0, len(line) - 1, *keep})
    pending = list(pairwise(chosen))
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue

        distances = _distances(line[first + 1 : last], line[first], line[last])
        farthest = int(distances.argmax())
        if distances[farthest] > tolerance:
            middle = first + 1 + farthest
            chosen.append(middle)
            pending += [(first, middle), (middle, last)]

    return sorted(chosen)


def _distances(points: F8, start: F8, end: F8) -> F8:
    """Return the distances (m) of points from a segment."""
    step = end - start
    share = np.clip((points - start) @ step / max(float(step @ step), 1e-12), 0.0, 1.0)
    return np.asarray(np.hypot(*(points - start - share[:, None] * step).T))
