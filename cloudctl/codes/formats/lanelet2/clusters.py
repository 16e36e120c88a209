"""Which lanelets belong to one intersection: those that cross, fork or merge at one place."""

import numpy as np

from ..importing.clusters import connected_components, lines_cross
from .lanelet import Lanelet, LaneletMap


def intersection_clusters(lanelet_map: LaneletMap) -> list[list[Lanelet]]:
    """Return the lanelets through each place where some of different roads cross."""
    crossings_of = _crossings(lanelet_map.lanelets)
    candidates = [
        lanelet
        for index, lanelet in enumerate(lanelet_map.lanelets)
        if lanelet.before and lanelet.after and (_forks_or_merges(lanelet) or crossings_of[index])
    ]

    index_of_candidate = {id(lanelet): index for index, lanelet in enumerate(candidates)}
    index_in_map = {id(lanelet): index for index, lanelet in enumerate(lanelet_map.lanelets)}
    first_of_id: dict[str, int] = {}  # the two directions of one lanelet
    pairs: list[tuple[int, int]] = []

    for index, lanelet in enumerate(candidates):
        # Lanelets that fork, merge or cross belong together
        related = (
            [other for preceding in lanelet.before for other in preceding.after]
            + [other for following in lanelet.after for other in following.before]
            + [lanelet_map.lanelets[row] for row in crossings_of[index_in_map[id(lanelet)]]]
        )

        pairs += [(index, index_of_candidate[id(other)]) for other in related if id(other) in index_of_candidate]
        pairs.append((index, first_of_id.setdefault(lanelet.id, index)))

    clusters = [[candidates[index] for index in rows] for rows in connected_components(len(candidates), pairs)]
    # Lanelets that only fork or merge are a road that widens, and no intersection
    return [group for group in clusters if any(crossings_of[index_in_map[id(lanelet)]] for lanelet in group)]


def _crossings(lanelets: list[Lanelet]) -> list[list[int]]:
    """Return which lanelets each one crosses: the middles meet between their ends, and they neither begin nor end
    together."""
    crossings_of: list[list[int]] = [[] for _ in lanelets]
    south_west, north_east = (
        np.array([extreme(lanelet.middle, axis=0) for lanelet in lanelets]).reshape(-1, 2)
        for extreme in (np.min, np.max)
    )

    for index, lanelet in enumerate(lanelets):
        overlapping = (
            np.flatnonzero(
                (south_west[index + 1 :] <= north_east[index]).all(axis=1)
                & (north_east[index + 1 :] >= south_west[index]).all(axis=1)
            )
            + index
            + 1
        )
        for row in overlapping.tolist():
            other = lanelets[row]
            if (
                lanelet.id != other.id
                and _have_separate_ends(lanelet, other)
                and lines_cross(lanelet.middle, other.middle)
            ):
                crossings_of[index].append(row)
                crossings_of[row].append(index)

    return crossings_of


def _forks_or_merges(lanelet: Lanelet) -> bool:
    return any(len(preceding.after) > 1 for preceding in lanelet.before) or any(
        len(following.before) > 1 for following in lanelet.after
    )


def _have_separate_ends(first: Lanelet, second: Lanelet) -> bool:
    """Return whether two lanelets neither begin nor end together."""
    return not (
        {id(lanelet) for lanelet in first.before} & {id(lanelet) for lanelet in second.before}
        or {id(lanelet) for lanelet in first.after} & {id(lanelet) for lanelet in second.after}
    )
