"""Which entity of one code is which of another code of the same intersection: by geometry and alias, whatever their
ids.

Lanes are assigned all at once, least cost first to last (Kuhn-Munkres). The cost of a pair is in metres: the mean
distance where the two lie beside each other, and penalties for what differs. A lane that was renumbered because its
neighbour went lies where it lay (0 m and one penalty), its neighbour's number lies a lane's width away: geometry wins.
Where geometry does not decide (half a lane's width to either side), the alias decides. Links follow their lanes,
movements are pairs of lanes, signal groups follow their movements."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..model import Alias, Connection, Crosswalk, IntersectionCode, Lane, Point
from ..polylines import F8, distance
from ..terms import LinkRole
from .shapes import Shape, boxes, compare, near_boxes, shape_of

# m a lane may have moved to be the same without its alias: less than the narrowest lane beside another
MAX_LANE_OFFSET = 2.2
MAX_MOVED = 30.0  # m a lane may have moved to be the same by its alias
MIN_OVERLAP = 0.5  # of the shorter of two lanes that must lie beside the other
ALIAS_COST = ID_COST = 1.0  # m; another alias, another id (where ids count)
# m; other turns, use, role; one is a part of the other
TURN_COST, USE_COST, ROLE_COST, PARTIAL_COST = 1.0, 1.0, 3.0, 0.5
# m within which two are the same without an alias
MAX_NODE_SHIFT, MAX_CROSSWALK_SHIFT, MAX_ZONE_SHIFT, MAX_DEVICE_SHIFT = (
    15.0,
    4.0,
    5.0,
    1.0,
)
BARRED_COST = 1e6  # cost of a pair that cannot be the same


class Matches(NamedTuple):
    """For each table: the id in the earlier code of each entity of the later code that was there before."""

    nodes: dict[str, str]
    links: dict[str, str]
    lanes: dict[str, str]
    connections: dict[str, str]
    groups: dict[int, int]
    crosswalks: dict[str, str]
    zones: dict[str, str]
    devices: dict[str, str]


def match(
    before: IntersectionCode, after: IntersectionCode, *, ids_count: bool = False, groups_fixed: bool = False
) -> Matches:
    """Return what is what. `ids_count`: both give out ids that were kept; `groups_fixed`: signal groups are the same by
    their numbers."""
    id_cost = ID_COST if ids_count else 0.0
    origin = Origin(before.ref_lat_e7 / 1e7, before.ref_lon_e7 / 1e7)
    lanes = _lanes(before, after, origin, id_cost)
    links = _links(before, after, lanes)
    connections = _connections(before, after, lanes)

    crosswalks = _items(
        before.crosswalks,
        after.crosswalks,
        lambda first, second: _apart_either_way(first.axis, second.axis),
        MAX_CROSSWALK_SHIFT,
        id_cost,
    )

    if groups_fixed:
        known_groups = {group.id for group in before.signal_groups}
        groups = {group.id: group.id for group in after.signal_groups if group.id in known_groups}
    else:
        groups = _groups(before, after, connections, crosswalks)

    return Matches(
        nodes=_nodes(before, after, id_cost),
        links=links,
        lanes=lanes,
        connections=connections,
        groups=groups,
        crosswalks=crosswalks,
        zones=_items(before.zones, after.zones, _zones_apart, MAX_ZONE_SHIFT, id_cost),
        devices=_items(before.devices, after.devices, _devices_apart, MAX_DEVICE_SHIFT, id_cost),
    )


def alias_cost(first: Sequence[Alias], second: Sequence[Alias]) -> float:
    """Return 0 where two share an alias or have none of one kind, ALIAS_COST where they are called otherwise in the
    same words."""
    if set(first) & set(second):
        return 0.0
    return ALIAS_COST if {alias.kind for alias in first} & {alias.kind for alias in second} else 0.0


def assign(cost: F8) -> list[tuple[int, int]]:
    """Return the (row, column) pairs of least cost in all, without those that are barred."""
    if not cost.size:
        return []

    rows, columns = linear_sum_assignment(cost)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if cost[row, column] < BARRED_COST
    ]


def lane_shapes(code: IntersectionCode, origin: Origin) -> list[Shape]:
    """Return the lines of a code's lanes in metres of `origin`."""
    return [shape_of(xy) for xy in local_lines(origin, [lane.points for lane in code.lanes])]


def _lanes(before: IntersectionCode, after: IntersectionCode, origin: Origin, id_cost: float) -> dict[str, str]:
    shapes_before, shapes_after = lane_shapes(before, origin), lane_shapes(after, origin)
    boxes_near = near_boxes(boxes(shapes_before), boxes(shapes_after), MAX_LANE_OFFSET)
    turns_old, turns_new = _turns(before), _turns(after)
    roles_old, roles_new = _roles(before), _roles(after)
    cost = np.full((len(shapes_before), len(shapes_after)), BARRED_COST)

    for row, lane in enumerate(before.lanes):
        for column, other_lane in enumerate(after.lanes):
            shares_name = bool(set(lane.alias) & set(other_lane.alias)) or (id_cost > 0 and lane.id == other_lane.id)
            if not (boxes_near[row, column] or shares_name):
                continue

            nearness = compare(shapes_before[row], shapes_after[column])
            max_distance = MAX_MOVED if shares_name else MAX_LANE_OFFSET
            if nearness.distance > max_distance or nearness.overlap < MIN_OVERLAP * min(
                shapes_before[row].size, shapes_after[column].size
            ):
                continue

            cost[row, column] = (
                nearness.distance + _lane_penalty(lane, other_lane) + id_cost * (lane.id != other_lane.id)
            )
            cost[row, column] += ROLE_COST * (roles_old[lane.id] != roles_new[other_lane.id])
            cost[row, column] += TURN_COST * _unlikeness(
                turns_old.get(lane.id, set()), turns_new.get(other_lane.id, set())
            )
            cost[row, column] += PARTIAL_COST * (
                1.0 - nearness.overlap / max(shapes_before[row].size, shapes_after[column].size, 1e-9)
            )

    return {after.lanes[column].id: before.lanes[row].id for row, column in assign(cost)}


def _lane_penalty(first: Lane, second: Lane) -> float:
    return alias_cost(first.alias, second.alias) + USE_COST * (first.use != second.use)


def _roles(code: IntersectionCode) -> dict[str, str]:
    role = {link.id: link.role for link in code.links}
    return {lane.id: role.get(lane.link, "") for lane in code.lanes}


def _turns(code: IntersectionCode) -> dict[str, set[str]]:
    """Return the turns that lead from a lane, and into it."""
    turns_of_lane: dict[str, set[str]] = {}
    for connection in code.connections:
        turns_of_lane.setdefault(connection.from_lane, set()).add("from " + connection.turn)
        turns_of_lane.setdefault(connection.to_lane, set()).add("to " + connection.turn)
    return turns_of_lane


def _unlikeness(first: set[str], second: set[str]) -> float:
    return 1.0 - len(first & second) / len(first | second) if first | second else 0.0


def _links(before: IntersectionCode, after: IntersectionCode, lanes: dict[str, str]) -> dict[str, str]:
    """Return the link that most of a link's lanes were of; a link without such a lane is the same by alias and role."""
    link_of = {lane.id: lane.link for lane in before.lanes}
    votes = Counter((link_of[lanes[lane.id]], lane.link) for lane in after.lanes if lane.id in lanes)
    index_before, index_after = (
        {link.id: index for index, link in enumerate(before.links)},
        {link.id: index for index, link in enumerate(after.links)},
    )
    cost = np.full((len(index_before), len(index_after)), BARRED_COST)

    for (old, new), count in votes.items():
        if old in index_before and new in index_after:
            cost[index_before[old], index_after[new]] = -float(count)

    for link, old_row in zip(before.links, index_before.values(), strict=True):
        for other, new_row in zip(after.links, index_after.values(), strict=True):
            if set(link.alias) & set(other.alias) and link.role == other.role:
                cost[old_row, new_row] = min(cost[old_row, new_row], 0.0) - 0.5
            elif cost[old_row, new_row] < BARRED_COST and link.role == other.role:
                cost[old_row, new_row] -= 0.25

    return {after.links[new_row].id: before.links[old_row].id for old_row, new_row in assign(cost)}


def _connections(before: IntersectionCode, after: IntersectionCode, lanes: dict[str, str]) -> dict[str, str]:
    """Return the movements between the same two lanes."""
    ids_of_pair: dict[tuple[str, str], list[str]] = {}
    for connection in before.connections:
        ids_of_pair.setdefault((connection.from_lane, connection.to_lane), []).append(connection.id)

    old_id_of = {}
    for connection in after.connections:
        pair = (lanes.get(connection.from_lane, ""), lanes.get(connection.to_lane, ""))
        if ids_of_pair.get(pair):
            old_id_of[connection.id] = ids_of_pair[pair].pop(0)

    return old_id_of


def _groups(
    before: IntersectionCode, after: IntersectionCode, connections: dict[str, str], crosswalks: dict[str, str]
) -> dict[int, int]:
    """Return the group that most of a group's movements and crosswalks had."""
    group_before: dict[str, int] = {connection.id: connection.group for connection in before.connections} | {
        crosswalk.id: crosswalk.group for crosswalk in before.crosswalks
    }
    old_id_of = connections | crosswalks
    votes: Counter[tuple[int, int]] = Counter()

    users: list[Connection | Crosswalk] = [*after.connections, *after.crosswalks]
    for user in users:
        if user.group and user.id in old_id_of and group_before[old_id_of[user.id]]:
            votes[group_before[old_id_of[user.id]], user.group] += 1

    index_before, index_after = (
        {signal_group.id: index for index, signal_group in enumerate(before.signal_groups)},
        {signal_group.id: index for index, signal_group in enumerate(after.signal_groups)},
    )
    cost = np.full((len(index_before), len(index_after)), BARRED_COST)

    for (old, new), count in votes.items():
        if old in index_before and new in index_after:
            cost[index_before[old], index_after[new]] = -float(count) - 0.1 * (old == new)

    return {after.signal_groups[new_row].id: before.signal_groups[old_row].id for old_row, new_row in assign(cost)}


def _nodes(before: IntersectionCode, after: IntersectionCode, id_cost: float) -> dict[str, str]:
    """Return the nodes that are the same; the intersection's own, which lanes lead to, is so wherever it lies."""
    own_old, own_new = _own_node(before), _own_node(after)
    old_id_of = {own_new: own_old} if own_old and own_new else {}
    old = [node for node in before.nodes if node.id != own_old or not old_id_of]
    new = [node for node in after.nodes if node.id != own_new or not old_id_of]

    return old_id_of | _items(
        old,
        new,
        lambda first, second: distance((first.lat_e7, first.lon_e7), (second.lat_e7, second.lon_e7)),
        MAX_NODE_SHIFT,
        id_cost,
    )


def _own_node(code: IntersectionCode) -> str:
    return next((link.downstream for link in code.links if link.role == LinkRole.INGRESS), "")


def _items(
    old: Sequence[Any],
    new: Sequence[Any],
    distance_of: Callable[[Any, Any], float],
    max_distance: float,
    id_cost: float,
) -> dict[str, str]:
    """Return which of a few things are the same: near each other, or called the same and not far away."""
    cost = np.full((len(old), len(new)), BARRED_COST)
    for row, earlier in enumerate(old):
        for column, later in enumerate(new):
            shares_name = bool(set(earlier.alias) & set(later.alias)) or (id_cost > 0 and earlier.id == later.id)
            distance_m = distance_of(earlier, later)
            if distance_m <= (max(MAX_MOVED, max_distance) if shares_name else max_distance):
                cost[row, column] = (
                    distance_m + alias_cost(earlier.alias, later.alias) + id_cost * (earlier.id != later.id)
                )

    return {new[column].id: old[row].id for row, column in assign(cost)}


def _apart_either_way(first: Sequence[Point], second: Sequence[Point]) -> float:
    if not (first and second):
        return BARRED_COST
    as_drawn = distance(first[0], second[0]) + distance(first[-1], second[-1])
    reversed_ = distance(first[0], second[-1]) + distance(first[-1], second[0])
    return min(as_drawn, reversed_) / 2


def _zones_apart(first: Any, second: Any) -> float:
    if first.kind == second.kind and first.polygon and second.polygon:
        return distance(_centre(first.polygon), _centre(second.polygon))
    return BARRED_COST


def _devices_apart(first: Any, second: Any) -> float:
    if first.kind == second.kind:
        return distance((first.lat_e7, first.lon_e7), (second.lat_e7, second.lon_e7))
    return BARRED_COST


def _centre(points: Iterable[Point]) -> Point:
    table = np.array(list(points), float)
    lat, lon = np.rint(table.mean(axis=0))
    return int(lat), int(lon)
