"""Rounding is no change: what a new import gives within a tolerance of what the last one gave is taken as the last one
gave it.

Importers work in metres about a middle that moves when a lane is added, so the same lane comes back a centimetre off,
or with its points spread otherwise. The tolerance is compared with the values that are kept, not with the last ones
seen: small steps do not add up unseen."""

from math import inf
from typing import Any

from msgspec.structs import replace

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..model import Conflict, IntersectionCode, Point
from ..polylines import distance
from .shapes import same_line, shape_of

MAX_LINE_SHIFT = 0.02  # m; two roundings to 1e-7 degree, north and east
MAX_WIDTH_CHANGE_CM = 1  # cm
MAX_STOP_SHIFT = 0.03  # m along a lane
# m along a path: where unchanged paths come near without crossing, several places are as near (found in steps of 0.5 m)
MAX_CONFLICT_SHIFT = 1.5
# m by which the middle of the lanes may move and the reference point stays: tracks go on where the origin stays
MAX_REFERENCE_SHIFT = 10.0
KINDS_WITH_NUMBERS = ("j2735", "ydt3709")  # formats whose reference point is given, not computed


def settled(base: IntersectionCode, new: IntersectionCode) -> IntersectionCode:
    """Return `new` with the values of `base` where the two agree within tolerance; both name the same things the
    same."""
    origin = Origin(base.ref_lat_e7 / 1e7, base.ref_lon_e7 / 1e7)
    new = _reference(base, new)

    for table, line_field in (
        ("lanes", "points"),
        ("connections", "points"),
        ("crosswalks", "axis"),
        ("zones", "polygon"),
    ):
        row_of_id = {entity.id: entity for entity in getattr(base, table)}
        rows = tuple(
            _line(origin, row_of_id[entity.id], entity, line_field) if entity.id in row_of_id else entity
            for entity in getattr(new, table)
        )
        new = replace(new, **{table: rows})

    for table in ("nodes", "devices"):
        row_of_id = {entity.id: entity for entity in getattr(base, table)}
        rows = tuple(
            _place(row_of_id[entity.id], entity, MAX_LINE_SHIFT) if entity.id in row_of_id else entity
            for entity in getattr(new, table)
        )
        new = replace(new, **{table: rows})

    for table in ("nodes", "links", "lanes", "connections", "crosswalks", "zones", "devices"):
        row_of_id = {entity.id: entity for entity in getattr(base, table)}
        rows = tuple(
            _in_order(row_of_id[entity.id], entity) if entity.id in row_of_id else entity
            for entity in getattr(new, table)
        )
        new = replace(new, **{table: rows})

    new = _in_order(base, new)
    stop_line_of_lane = {line.lane: line for line in base.stop_lines}

    lines = tuple(
        stop_line_of_lane[line.lane]
        if line.lane in stop_line_of_lane and abs(stop_line_of_lane[line.lane].s - line.s) <= MAX_STOP_SHIFT
        else line
        for line in new.stop_lines
    )

    return replace(new, stop_lines=lines, conflicts=_conflicts(base, new))


def numbers_are_given(code: IntersectionCode) -> bool:
    """Return whether a code comes from a message that gives numbers and reference point itself."""
    return any(alias.kind in KINDS_WITH_NUMBERS for alias in code.alias)


def _reference(base: IntersectionCode, new: IntersectionCode) -> IntersectionCode:
    """Keep the reference point where it was, and the intersection's own node with it where it stands there."""
    old, reference = (base.ref_lat_e7, base.ref_lon_e7), (new.ref_lat_e7, new.ref_lon_e7)
    if old == reference or distance(old, reference) > (
        MAX_LINE_SHIFT if numbers_are_given(new) else MAX_REFERENCE_SHIFT
    ):
        return new

    node_of_id = {node.id: node for node in base.nodes}
    nodes = tuple(
        replace(node, lat_e7=node_of_id[node.id].lat_e7, lon_e7=node_of_id[node.id].lon_e7)
        if (node.lat_e7, node.lon_e7) == reference and node.id in node_of_id
        else node
        for node in new.nodes
    )

    return replace(new, ref_lat_e7=old[0], ref_lon_e7=old[1], nodes=nodes)


def _line(origin: Origin, old: Any, entity: Any, field: str) -> Any:
    changes: dict[str, Any] = {}
    before, after = getattr(old, field), getattr(entity, field)
    if before != after and same_points(origin, before, after):
        changes[field] = before
    if hasattr(old, "width_cm") and abs(old.width_cm - entity.width_cm) <= MAX_WIDTH_CHANGE_CM:
        changes["width_cm"] = old.width_cm
    return replace(entity, **changes) if changes else entity


def same_points(origin: Origin, before: tuple[Point, ...], after: tuple[Point, ...]) -> bool:
    """Return whether two lines on the globe are the same within the tolerance."""
    if min(len(before), len(after)) < 2:
        return before == after
    first, second = local_lines(origin, [before, after])
    return same_line(shape_of(first), shape_of(second), MAX_LINE_SHIFT)


def _in_order(old: Any, entity: Any) -> Any:
    """Return an entity with its aliases and further uses in the order they had, where they are the same."""
    changes = {}
    for field in ("alias", "shared"):
        before, after = getattr(old, field, ()), getattr(entity, field, ())
        if before != after and sorted(before) == sorted(after):
            changes[field] = before

    return replace(entity, **changes) if changes else entity


def _place(old: Any, entity: Any, tolerance: float) -> Any:
    if distance((old.lat_e7, old.lon_e7), (entity.lat_e7, entity.lon_e7)) > tolerance:
        return entity
    return replace(entity, lat_e7=old.lat_e7, lon_e7=old.lon_e7)


def _conflicts(base: IntersectionCode, new: IntersectionCode) -> tuple[Conflict, ...]:
    """Return the conflicts in the direction that they were written in; where both paths stayed, or moved alike, and the
    kind stayed, so do the points."""
    conflict_of_pair = {pair(conflict): conflict for conflict in base.conflicts}
    points_of_path = {conflict.id: conflict.points for conflict in base.connections}
    steps = {
        conflict.id: _step(points_of_path[conflict.id], conflict.points)
        for conflict in new.connections
        if conflict.id in points_of_path
    }

    conflicts = []
    for conflict in new.conflicts:
        old = conflict_of_pair.get(pair(conflict))
        if old is not None:
            tolerance = 2 * MAX_LINE_SHIFT
            if _alike(steps.get(conflict.a), steps.get(conflict.b)):
                # of two paths that cross twice, the one that stands first decides which crossing is given
                tolerance = MAX_CONFLICT_SHIFT if conflict.a == old.a else inf

            conflict = oriented(conflict, old)
            if conflict.kind == old.kind and max(abs(conflict.s_a - old.s_a), abs(conflict.s_b - old.s_b)) <= tolerance:
                conflict = replace(conflict, s_a=old.s_a, s_b=old.s_b)

        conflicts.append(conflict)

    return tuple(conflicts)


def _step(before: tuple[Point, ...], after: tuple[Point, ...]) -> Point | None:
    """Return by how much (1e-7 degree) a line has moved as a whole; None where it is another line."""
    if len(before) != len(after):
        return None

    step = (after[0][0] - before[0][0], after[0][1] - before[0][1])
    is_uniform = all(
        _alike(step, (second[0] - first[0], second[1] - first[1])) for first, second in zip(before, after, strict=True)
    )
    return step if is_uniform else None


def _alike(first: Point | None, second: Point | None) -> bool:
    """Return whether two steps are the same but for rounding."""
    return first is not None and second is not None and max(abs(first[0] - second[0]), abs(first[1] - second[1])) <= 2


def pair(row: Any) -> tuple[Any, Any]:
    """Return what a conflict or an exception is known by, whichever of the two stands first."""
    return (row.a, row.b) if row.a <= row.b else (row.b, row.a)


def oriented(conflict: Conflict, like: Conflict) -> Conflict:
    """Return a conflict with the same movement first as in `like`."""
    if conflict.a == like.a:
        return conflict

    return Conflict(
        a=conflict.b,
        b=conflict.a,
        kind=conflict.kind,
        s_a=conflict.s_b,
        s_b=conflict.s_a,
        a_yields=conflict.b_yields,
        b_yields=conflict.a_yields,
    )
