"""What importers of lane graphs share: which movements belong to one intersection, which lanes to one approach."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np

from ...polylines import F8

T = TypeVar("T")
# m across, rad and m along between neighbouring lanes of one approach
MAX_LATERAL_GAP, MAX_ANGLE, MAX_ALONG_GAP = 6.0, 0.6, 15.0


def connected_groups(items: Sequence[T], are_together: Callable[[T, T], bool]) -> list[list[T]]:
    """Return items in classes: those that `are_together` joins, directly or by way of others; in
    order."""
    classes = connected_components(
        len(items), combinations(range(len(items)), 2), lambda index, other: are_together(items[index], items[other])
    )
    return [[items[member] for member in members] for members in classes]


def connected_components(
    count: int, pairs: Iterable[tuple[int, int]], may_join: Callable[[int, int], bool] = lambda *_: True
) -> list[list[int]]:
    """Return 0 .. n - 1 in classes: those that pairs join, directly or by way of others; in order. `may_join` is asked
    of pairs that are not together yet."""
    root = list(range(count))

    def find_root(index: int) -> int:
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    for one, other in pairs:
        first, second = find_root(one), find_root(other)
        if first != second and may_join(one, other):
            root[max(first, second)] = min(first, second)

    members_of_root: dict[int, list[int]] = {}
    for index in range(count):
        members_of_root.setdefault(find_root(index), []).append(index)

    return list(members_of_root.values())


def lines_cross(first: F8, second: F8) -> bool:
    """Return whether two lines cross between their ends."""
    start_a, start_b = first[:-1, None], second[None, :-1]
    step_a, step_b = np.diff(first, axis=0)[:, None], np.diff(second, axis=0)[None]
    det = step_a[..., 0] * step_b[..., 1] - step_a[..., 1] * step_b[..., 0]
    offset = start_b - start_a

    with np.errstate(divide="ignore", invalid="ignore"):
        share_a = (offset[..., 0] * step_b[..., 1] - offset[..., 1] * step_b[..., 0]) / det
        share_b = (offset[..., 0] * step_a[..., 1] - offset[..., 1] * step_a[..., 0]) / det

    return bool(((share_a > 1e-6) & (share_a < 1 - 1e-6) & (share_b > 1e-6) & (share_b < 1 - 1e-6)).any())


def approaches(ends: Iterable[tuple[str, F8, F8]]) -> dict[str, str]:
    """Return the approach of each lane by its key: lanes side by side are one. Each comes as (key, end, direction
    there)."""

    def beside(first: tuple[str, F8, F8], second: tuple[str, F8, F8]) -> bool:
        offset = second[1] - first[1]
        angle = abs(float(np.arctan2(first[2][0] * second[2][1] - first[2][1] * second[2][0], first[2] @ second[2])))
        across = abs(float(first[2][0] * offset[1] - first[2][1] * offset[0]))
        return angle < MAX_ANGLE and across < MAX_LATERAL_GAP and abs(float(first[2] @ offset)) < MAX_ALONG_GAP

    return {
        key: f"{number}"
        for number, members in enumerate(connected_groups(list(ends), beside), 1)
        for key, _, _ in members
    }


def unit_vector(vector: F8) -> F8:
    """Return a vector of length 1."""
    return np.asarray(vector / max(float(np.hypot(*vector)), 1e-9))
