"""Which intersection of an earlier import is which of a new one: by where its lanes reach it, and by what it is
called."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from ..model import Alias, IntersectionCode, Point
from ..polylines import F8, M_PER_E7, distance
from ..terms import LinkRole
from .match import BARRED_COST, assign

# m between two reference points beyond which only the name shows that they are one intersection's
MAX_PAIR_DISTANCE = 150.0
MAX_END_SHIFT = 1.5  # m by which a lane's end at the intersection may have moved
MIN_LIKENESS = 0.5  # share of lanes' ends that must agree in two versions of a map
# the share that is needed by (of one map or one official number, called the same): names as "J0" stand in many maps
REQUIRED_LIKENESS = {(True, True): 0.2, (True, False): MIN_LIKENESS, (False, True): 0.5, (False, False): 0.8}
# m between reference points that suffice where both are called the same
MAX_SAME_NAME_DISTANCE = 30.0
NAMING_ALIAS_KINDS = ("sumo_tl", "sumo", "lanelet2", "opendrive", "j2735", "ydt3709", "ga1049")
# Numbers that an authority gave: another number is another intersection
OFFICIAL_KINDS = ("j2735", "ydt3709")
MAX_SHIFT_DIFFERENCE = 0.03  # m by which lanes of a map that moved as a whole may differ in how far


def lane_ends_at_intersection(code: IntersectionCode) -> F8:
    """Return where lanes reach and leave the intersection, float64[n, 3]: latitude, longitude (1e-7 degree), 1 for a
    way in."""
    role_of_link = {link.id: link.role for link in code.links}
    rows = [
        (
            *(lane.points[-1] if role_of_link.get(lane.link) == LinkRole.INGRESS else lane.points[0]),
            float(role_of_link.get(lane.link) == LinkRole.INGRESS),
        )
        for lane in code.lanes
        if role_of_link.get(lane.link) in (LinkRole.INGRESS, LinkRole.EGRESS) and lane.points
    ]

    return np.array(rows, float).reshape(-1, 3)


def likeness(first: F8, second: F8) -> float:
    """Return the share of lanes' ends (`lane_ends_at_intersection`) of the intersection with fewer that the other has
    too."""
    if not len(first) or not len(second):
        return 0.0

    fewer, more = (first, second) if len(first) <= len(second) else (second, first)
    gap = fewer[:, None, :2] - more[None, :, :2]
    gap = gap * [M_PER_E7, M_PER_E7 * np.cos(np.radians(fewer[0, 0] / 1e7))]
    agree = (np.hypot(gap[..., 0], gap[..., 1]) <= MAX_END_SHIFT) & (fewer[:, None, 2] == more[None, :, 2])

    return float(agree.any(axis=1).mean())


def names_elsewhere(code: IntersectionCode) -> set[Alias]:
    """Return what an intersection is called elsewhere."""
    return {alias for alias in code.alias if alias.kind in NAMING_ALIAS_KINDS}


def pair_up(
    before: Sequence[IntersectionCode], after: Sequence[IntersectionCode], same_source: Sequence[bool]
) -> dict[int, int]:
    """Return, for each new code that was there before, its place among the earlier ones. `same_source` of each earlier
    one: of this very map.

    Of two files, or called otherwise, two are one intersection only where their lanes lie on each other.
    """
    if not before or not after:
        return {}

    ends_before, ends_after = (
        [lane_ends_at_intersection(code) for code in before],
        [lane_ends_at_intersection(code) for code in after],
    )
    names_before, names_after = [names_elsewhere(code) for code in before], [names_elsewhere(code) for code in after]
    distances = _apart(before, after)
    # A name counts in full only within one source, or where an authority gave it; else lanes must lie on each other
    cost = np.full((len(before), len(after)), BARRED_COST)

    for index, other in _candidates(distances, names_before, names_after):
        shares_name = bool(names_before[index] & names_after[other])
        alike = likeness(ends_before[index], ends_after[other])
        certain = same_source[index] or any(
            alias.kind in OFFICIAL_KINDS for alias in names_before[index] & names_after[other]
        )
        required = REQUIRED_LIKENESS[certain, shares_name]
        if alike >= required or (shares_name and certain and distances[index, other] <= MAX_SAME_NAME_DISTANCE):
            cost[index, other] = -alike - 0.5 * shares_name

    return {other: index for index, other in assign(cost)}


def same_intersection(first: IntersectionCode, second: IntersectionCode) -> bool:
    """Return whether two codes of one city code are of one intersection: they share a name elsewhere, or their lanes
    reach it at the same places.

    Where both have a name of one kind and it is another, only the lanes decide; else one name and a place near by are
    enough."""
    names_a, names_b = names_elsewhere(first), names_elsewhere(second)
    if (
        names_a & names_b
        or likeness(lane_ends_at_intersection(first), lane_ends_at_intersection(second)) >= MIN_LIKENESS
    ):
        return True

    if {alias.kind for alias in names_a} & {alias.kind for alias in names_b}:
        return False

    return (
        first.name == second.name
        and distance((first.ref_lat_e7, first.ref_lon_e7), (second.ref_lat_e7, second.ref_lon_e7))
        <= MAX_SAME_NAME_DISTANCE
    )


def _apart(before: Sequence[IntersectionCode], after: Sequence[IntersectionCode]) -> F8:
    """Return m between the reference points, float64[n, m]."""
    first, second = (
        np.array([(code.ref_lat_e7, code.ref_lon_e7) for code in codes], float) for codes in (before, after)
    )
    gap = (first[:, None] - second[None]) * M_PER_E7
    return np.asarray(np.hypot(gap[..., 0], gap[..., 1] * np.cos(np.radians(first[:, None, 0] / 1e7))))


def _candidates(distances: F8, old: Sequence[set[Alias]], new: Sequence[set[Alias]]) -> list[tuple[int, int]]:
    """Return the pairs that are near each other or called the same."""
    pairs = {(int(row), int(column)) for row, column in zip(*np.nonzero(distances <= MAX_PAIR_DISTANCE), strict=True)}
    indices_of_alias: dict[Alias, list[int]] = {}

    for row, names in enumerate(old):
        for alias in names:
            indices_of_alias.setdefault(alias, []).append(row)

    pairs |= {
        (row, column) for column, names in enumerate(new) for alias in names for row in indices_of_alias.get(alias, ())
    }
    return sorted(pairs)


def common_shift(before: Sequence[IntersectionCode], after: Sequence[IntersectionCode]) -> Point | None:
    """Return by how much (1e-7 degree) most lanes of the same name have moved, all alike; None where they have not."""
    lane_of_alias = {alias: lane for code in before for lane in code.lanes for alias in lane.alias}
    steps = [
        (new[0] - old[0], new[1] - old[1])
        for code in after
        for lane in code.lanes
        for alias in lane.alias
        if alias in lane_of_alias and len(lane_of_alias[alias].points) == len(lane.points)
        for old, new in zip(lane_of_alias[alias].points, lane.points, strict=True)
    ]

    if not steps:
        return None

    step_table = np.array(steps, float)
    median = np.median(step_table, axis=0)
    agrees = np.abs(step_table - median).max(axis=1) * M_PER_E7 <= MAX_SHIFT_DIFFERENCE

    if agrees.mean() < 0.5 or np.abs(median).max() * M_PER_E7 < MAX_SHIFT_DIFFERENCE:
        return None

    return round(float(median[0])), round(float(median[1]))


def shifted(code: IntersectionCode, step: Point) -> IntersectionCode:
    """Return a code with everything moved by `step` (1e-7 degree)."""

    def shifted_line(points: tuple[Point, ...]) -> tuple[Point, ...]:
        return tuple((lat + step[0], lon + step[1]) for lat, lon in points)

    changes: dict[str, object] = {"ref_lat_e7": code.ref_lat_e7 + step[0], "ref_lon_e7": code.ref_lon_e7 + step[1]}
    for table in ("lanes", "connections"):
        changes[table] = tuple(replace(row, points=shifted_line(row.points)) for row in getattr(code, table))

    changes["crosswalks"] = tuple(
        replace(crosswalk, axis=shifted_line(crosswalk.axis), polygon=shifted_line(crosswalk.polygon))
        for crosswalk in code.crosswalks
    )
    changes["zones"] = tuple(replace(zone, polygon=shifted_line(zone.polygon)) for zone in code.zones)

    for table in ("nodes", "devices"):
        changes[table] = tuple(
            replace(row, lat_e7=row.lat_e7 + step[0], lon_e7=row.lon_e7 + step[1]) for row in getattr(code, table)
        )

    return replace(code, **changes)
