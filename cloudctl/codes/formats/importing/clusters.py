"""What importers of lane graphs share: which movements belong to one intersection, which lanes to one approach."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np

from ...polylines import F8

T = TypeVar("T")
BESIDE, ASKEW, BEFORE = 6.0, 0.6, 15.0  # m across, rad and m along between neighbouring lanes of one approach


def groups(items: Sequence[T], together: Callable[[T, T], bool]) -> list[list[T]]:
    """Return items in classes: those that `together` says belong together, directly or by way of others; in order."""
    found = components(len(items), combinations(range(len(items)), 2), lambda i, j: together(items[i], items[j]))
    return [[items[k] for k in one] for one in found]


def components(
    n: int, pairs: Iterable[tuple[int, int]], joins: Callable[[int, int], bool] = lambda *_: True
) -> list[list[int]]:
    """Return 0 .. n - 1 in classes: those that pairs join, directly or by way of others; in order. `joins` is asked of pairs that are not together yet."""
    root = list(range(n))

    def find(k: int) -> int:
        while root[k] != k:
            root[k] = root[root[k]]
            k = root[k]
        return k

    for i, j in pairs:
        a, b = find(i), find(j)
        if a != b and joins(i, j):
            root[max(a, b)] = min(a, b)
    out: dict[int, list[int]] = {}
    for k in range(n):
        out.setdefault(find(k), []).append(k)
    return list(out.values())


def crossing(a: F8, b: F8) -> bool:
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
    """Return the approach of each lane by its key: lanes side by side are one. Each comes as (key, end, direction there)."""

    def beside(a: tuple[str, F8, F8], b: tuple[str, F8, F8]) -> bool:
        between = b[1] - a[1]
        angle = abs(float(np.arctan2(a[2][0] * b[2][1] - a[2][1] * b[2][0], a[2] @ b[2])))
        across = abs(float(a[2][0] * between[1] - a[2][1] * between[0]))
        return angle < ASKEW and across < BESIDE and abs(float(a[2] @ between)) < BEFORE

    return {key: f"{k}" for k, found in enumerate(groups(list(ends), beside), 1) for key, _, _ in found}


def unit(v: F8) -> F8:
    """Return a vector of length 1."""
    return np.asarray(v / max(float(np.hypot(*v)), 1e-9))
