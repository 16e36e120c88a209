"""Which intersection of an earlier import is which of a new one: by where its lanes reach it, and by what it is called."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from ..model import Alias, IntersectionCode, Point
from ..polylines import F8, M_PER_E7, distance
from .match import BARRED, assign

REACH = 150.0  # m between two reference points beyond which only the name can tell that they are one intersection's
MOUTH = 1.5  # m by which a lane's end at the intersection may have moved
MIN_LIKE = 0.5  # share of lanes' ends that must agree in two versions of a map
# the share that is needed by (of one map or one official number, called the same): names as "J0" stand in many maps
NEEDED = {(True, True): 0.2, (True, False): MIN_LIKE, (False, True): 0.5, (False, False): 0.8}
NEAR = 30.0  # m between reference points that suffice where both are called the same
NAMES = ("sumo_tl", "sumo", "lanelet2", "opendrive", "j2735", "ydt3709", "ga1049")
OFFICIAL = ("j2735", "ydt3709")  # numbers that an authority gave: another number is another intersection
SAME_SHIFT = 0.03  # m by which lanes of a map that moved as a whole may differ in how far


def mouths(code: IntersectionCode) -> F8:
    """Return where lanes reach and leave the intersection, float64[n, 3]: latitude, longitude (1e-7 degree), 1 for a way in."""
    role = {link.id: link.role for link in code.links}
    rows = [
        (
            *(lane.points[-1] if role.get(lane.link) == "ingress" else lane.points[0]),
            float(role.get(lane.link) == "ingress"),
        )
        for lane in code.lanes
        if role.get(lane.link) in ("ingress", "egress") and lane.points
    ]
    return np.array(rows, float).reshape(-1, 3)


def likeness(a: F8, b: F8) -> float:
    """Return the share of lanes' ends (`mouths`) of the intersection with fewer that the other has too."""
    if not len(a) or not len(b):
        return 0.0
    few, many = (a, b) if len(a) <= len(b) else (b, a)
    gap = few[:, None, :2] - many[None, :, :2]
    gap = gap * [M_PER_E7, M_PER_E7 * np.cos(np.radians(few[0, 0] / 1e7))]
    near = (np.hypot(gap[..., 0], gap[..., 1]) <= MOUTH) & (few[:, None, 2] == many[None, :, 2])
    return float(near.any(axis=1).mean())


def names(code: IntersectionCode) -> set[Alias]:
    """Return what an intersection is called elsewhere."""
    return {alias for alias in code.alias if alias.kind in NAMES}


def pair_up(
    before: Sequence[IntersectionCode], after: Sequence[IntersectionCode], same_source: Sequence[bool]
) -> dict[int, int]:
    """Return, for each new code that was there before, its place among the earlier ones. `same_source` of each earlier one: of this very map.

    Of two files, or called otherwise, two are one intersection only where their lanes lie on each other.
    """
    if not before or not after:
        return {}
    old, new = [mouths(code) for code in before], [mouths(code) for code in after]
    called_old, called_new = [names(code) for code in before], [names(code) for code in after]
    apart = _apart(before, after)
    cost = np.full((len(before), len(after)), BARRED)
    for i, j in _candidates(apart, called_old, called_new):
        named = bool(called_old[i] & called_new[j])
        like = likeness(old[i], new[j])
        certain = same_source[i] or any(alias.kind in OFFICIAL for alias in called_old[i] & called_new[j])
        needed = NEEDED[certain, named]
        if like >= needed or (named and certain and apart[i, j] <= NEAR):
            cost[i, j] = -like - 0.5 * named
    return {j: i for i, j in assign(cost)}


def same_intersection(a: IntersectionCode, b: IntersectionCode) -> bool:
    """Return whether two codes of one city code are of one intersection: they share a name elsewhere, or their lanes reach it at the same places.

    Where both have a name of one kind and it is another, only the lanes tell; else one name and a place near by are enough.
    """
    called, other = names(a), names(b)
    if called & other or likeness(mouths(a), mouths(b)) >= MIN_LIKE:
        return True
    if {alias.kind for alias in called} & {alias.kind for alias in other}:
        return False
    return a.name == b.name and distance((a.ref_lat_e7, a.ref_lon_e7), (b.ref_lat_e7, b.ref_lon_e7)) <= NEAR


def _apart(before: Sequence[IntersectionCode], after: Sequence[IntersectionCode]) -> F8:
    """Return m between the reference points, float64[n, m]."""
    a, b = (np.array([(code.ref_lat_e7, code.ref_lon_e7) for code in codes], float) for codes in (before, after))
    gap = (a[:, None] - b[None]) * M_PER_E7
    return np.asarray(np.hypot(gap[..., 0], gap[..., 1] * np.cos(np.radians(a[:, None, 0] / 1e7))))


def _candidates(apart: F8, old: Sequence[set[Alias]], new: Sequence[set[Alias]]) -> list[tuple[int, int]]:
    """Return the pairs that are near each other or called the same."""
    found = {(int(i), int(j)) for i, j in zip(*np.nonzero(apart <= REACH), strict=True)}
    where: dict[Alias, list[int]] = {}
    for i, called in enumerate(old):
        for alias in called:
            where.setdefault(alias, []).append(i)
    found |= {(i, j) for j, called in enumerate(new) for alias in called for i in where.get(alias, ())}
    return sorted(found)


def common_shift(before: Sequence[IntersectionCode], after: Sequence[IntersectionCode]) -> Point | None:
    """Return by how much (1e-7 degree) most lanes of the same name have moved, all alike; None where they have not."""
    known = {alias: lane for code in before for lane in code.lanes for alias in lane.alias}
    steps = [
        (new[0] - old[0], new[1] - old[1])
        for code in after
        for lane in code.lanes
        for alias in lane.alias
        if alias in known and len(known[alias].points) == len(lane.points)
        for old, new in zip(known[alias].points, lane.points, strict=True)
    ]
    if not steps:
        return None
    table = np.array(steps, float)
    middle = np.median(table, axis=0)
    alike = np.abs(table - middle).max(axis=1) * M_PER_E7 <= SAME_SHIFT
    if alike.mean() < 0.5 or np.abs(middle).max() * M_PER_E7 < SAME_SHIFT:
        return None
    return round(float(middle[0])), round(float(middle[1]))


def shifted(code: IntersectionCode, by: Point) -> IntersectionCode:
    """Return a code with everything moved by `by` (1e-7 degree)."""

    def line(points: tuple[Point, ...]) -> tuple[Point, ...]:
        return tuple((lat + by[0], lon + by[1]) for lat, lon in points)

    changes: dict[str, object] = {"ref_lat_e7": code.ref_lat_e7 + by[0], "ref_lon_e7": code.ref_lon_e7 + by[1]}
    for table in ("lanes", "connections"):
        changes[table] = tuple(replace(row, points=line(row.points)) for row in getattr(code, table))
    changes["crosswalks"] = tuple(
        replace(walk, axis=line(walk.axis), polygon=line(walk.polygon)) for walk in code.crosswalks
    )
    changes["zones"] = tuple(replace(zone, polygon=line(zone.polygon)) for zone in code.zones)
    for table in ("nodes", "devices"):
        changes[table] = tuple(
            replace(row, lat_e7=row.lat_e7 + by[0], lon_e7=row.lon_e7 + by[1]) for row in getattr(code, table)
        )
    return replace(code, **changes)
