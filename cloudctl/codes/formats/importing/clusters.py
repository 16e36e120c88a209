"""What importers of lane graphs share: which movements belong to one intersection, which lanes to one approach."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np

from ...polylines import F8

T = TypeVar("T")
# m across, rad and m along between neighbouring lanes of one approach
MAX_LATERAL_GAP, MAX_ANGLE, MAX_ALONG_GAP = (
    6.0,
    0.6,
    15.0,
)


def connected_groups(items: Sequence[T], are_together: Callable[[T, T], bool]) -> list[list[T]]:
    """Return items in classes: those that `are_together` says belong together, directly or by way of others; in
    order."""
    classes = connected_components(
        len(items), combinations(range(len(items)), 2), lambda i, j: are_together(items[i], items[j])
    )
    return [[items[k] for k in members] for members in classes]


def connected_components(
    n: int, pairs: Iterable[tuple[int, int]], may_join: Callable[[int, int], bool] = lambda *_: True
) -> list[list[int]]:
    """Return 0 .. n - 1 in classes: those that pairs join, directly or by way of others; in order. `may_join` is asked
    of pairs that are not together yet."""
    root = list(range(n))

    def find_root(k: int) -> int:
        while root[k] != k:
            root[k] = root[root[k]]
            k = root[k]
        return k

    for i, j in pairs:
        a, b = find_root(i), find_root(j)
        if a != b and may_join(i, j):
            root[max(a, b)] = min(a, b)

    members_of_root: dict[int, list[int]] = {}
    for k in range(n):
        members_of_root.setdefault(find_root(k), []).append(k)

    return list(members_of_root.values())


def lines_cross(a: F8, b: F8) -> bool:
    """Return whether two lines cross between their ends."""
    p, q = a[:-1, None], b[None, :-1]
    d, e = np.diff(a, axis=0)[:, None], np.diff(b, axis=0)[None]
    det = d[..., 0] * e[..., 1] - d[..., 1] * e[..., 0]
    w = q - p

    with np.errstate(divide="ignore", invalid="ignore"):
        u = (w[..., 0] * e[..., 1] - w[..., 1] * e[..., 0]) / det
        v = (w[..., 0] * d[..., 1] - w[..., 1] * d[..., 0]) / det

    return bool(((u > 1e-6) & (u < 1 - 1e-6) & (v > 1e-6) & (v < 1 - 1e-6)).any())


def approaches(ends: Iterable[tuple[str, F8, F8]]) -> dict[str, str]:
    """Return the approach of each lane by its key: lanes side by side are one. Each comes as (key, end, direction
    there)."""

    def beside(a: tuple[str, F8, F8], b: tuple[str, F8, F8]) -> bool:
        offset = b[1] - a[1]
        angle = abs(float(np.arctan2(a[2][0] * b[2][1] - a[2][1] * b[2][0], a[2] @ b[2])))
        across = abs(float(a[2][0] * offset[1] - a[2][1] * offset[0]))
        return angle < MAX_ANGLE and across < MAX_LATERAL_GAP and abs(float(a[2] @ offset)) < MAX_ALONG_GAP

    return {key: f"{k}" for k, members in enumerate(connected_groups(list(ends), beside), 1) for key, _, _ in members}


def unit_vector(vector: F8) -> F8:
    """Return a vector of length 1."""
    return np.asarray(vector / max(float(np.hypot(*vector)), 1e-9))
