"""Fewer points for a line that has too many for a target: Douglas-Peucker, within 2 cm, never more than is needed."""

from itertools import pairwise

import numpy as np

from ...polylines import F8

TOLERANCES = (
    0.002,
    0.005,
    0.01,
    0.015,
    0.02,
)  # m; the last is the bound: less than what a MAP rounds to and a survey knows


def thinned(line: F8, most: int, keep: frozenset[int] = frozenset()) -> list[int]:
    """Return which points of a line, float64[n, 2], stay for it to have `most` at most, if it can; the ends and `keep` always do."""
    chosen = list(range(len(line)))
    for tolerance in TOLERANCES:
        if len(chosen) <= most:
            break
        chosen = _within(line, tolerance, keep)
    return chosen


def _within(line: F8, tolerance: float, keep: frozenset[int]) -> list[int]:
    """Return the points that stay for every other to be within a tolerance of the line through them."""
    kept = sorted({0, len(line) - 1, *keep})
    waiting = list(pairwise(kept))
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        off = _distances(line[first + 1 : last], line[first], line[last])
        farthest = int(off.argmax())
        if off[farthest] > tolerance:
            middle = first + 1 + farthest
            kept.append(middle)
            waiting += [(first, middle), (middle, last)]
    return sorted(kept)


def _distances(points: F8, a: F8, b: F8) -> F8:
    """Return the distances (m) of points from a segment."""
    ahead = b - a
    along = np.clip((points - a) @ ahead / max(float(ahead @ ahead), 1e-12), 0.0, 1.0)
    return np.asarray(np.hypot(*(points - a - along[:, None] * ahead).T))
