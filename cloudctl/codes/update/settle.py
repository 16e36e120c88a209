"""Rounding is no change: what a new import gives within a tolerance of what the last one gave is taken as the last one gave it.

Importers work in metres about a middle that moves when a lane is added, so the same lane comes back a centimetre off, or with its points
spread otherwise. The tolerance is compared with the values that are kept, not with the last ones seen: small steps do not add up unseen.
"""

from math import inf
from typing import Any

from msgspec.structs import replace

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..model import Conflict, IntersectionCode, Point
from ..polylines import distance
from .shapes import same_line, shape

LINE = 0.02  # m; two roundings to 1e-7 degree, north and east
WIDTH = 1  # cm
STOP = 0.03  # m along a lane
MEETING = 1.5  # m along a path: where unchanged paths come near without crossing, several places are as near (found in steps of 0.5 m)
REFERENCE = 10.0  # m by which the middle of the lanes may move and the reference point stays: tracks go on where the origin stays
GIVEN = ("j2735", "ydt3709")  # formats whose reference point is given, not computed


def settled(base: IntersectionCode, new: IntersectionCode) -> IntersectionCode:
    """Return `new` with the values of `base` where the two agree within tolerance; both name the same things the same."""
    origin = Origin(base.ref_lat_e7 / 1e7, base.ref_lon_e7 / 1e7)
    new = _reference(base, new)
    for table, line in (("lanes", "points"), ("connections", "points"), ("crosswalks", "axis"), ("zones", "polygon")):
        known = {item.id: item for item in getattr(base, table)}
        rows = tuple(
            _line(origin, known[item.id], item, line) if item.id in known else item for item in getattr(new, table)
        )
        new = replace(new, **{table: rows})
    for table in ("nodes", "devices"):
        known = {item.id: item for item in getattr(base, table)}
        rows = tuple(_place(known[item.id], item, LINE) if item.id in known else item for item in getattr(new, table))
        new = replace(new, **{table: rows})
    for table in ("nodes", "links", "lanes", "connections", "crosswalks", "zones", "devices"):
        known = {item.id: item for item in getattr(base, table)}
        rows = tuple(_in_order(known[item.id], item) if item.id in known else item for item in getattr(new, table))
        new = replace(new, **{table: rows})
    new = _in_order(base, new)
    stops = {line.lane: line for line in base.stop_lines}
    lines = tuple(
        stops[line.lane] if line.lane in stops and abs(stops[line.lane].s - line.s) <= STOP else line
        for line in new.stop_lines
    )
    return replace(new, stop_lines=lines, conflicts=_conflicts(base, new))


def given(code: IntersectionCode) -> bool:
    """Return whether a code comes from a message that gives numbers and reference point itself."""
    return any(alias.kind in GIVEN for alias in code.alias)


def _reference(base: IntersectionCode, new: IntersectionCode) -> IntersectionCode:
    """Keep the reference point where it was, and the intersection's own node with it where it stands there."""
    old, ref = (base.ref_lat_e7, base.ref_lon_e7), (new.ref_lat_e7, new.ref_lon_e7)
    if old == ref or distance(old, ref) > (LINE if given(new) else REFERENCE):
        return new
    places = {node.id: node for node in base.nodes}
    nodes = tuple(
        replace(node, lat_e7=places[node.id].lat_e7, lon_e7=places[node.id].lon_e7)
        if (node.lat_e7, node.lon_e7) == ref and node.id in places
        else node
        for node in new.nodes
    )
    return replace(new, ref_lat_e7=old[0], ref_lon_e7=old[1], nodes=nodes)


def _line(origin: Origin, old: Any, item: Any, field: str) -> Any:
    changes: dict[str, Any] = {}
    before, after = getattr(old, field), getattr(item, field)
    if before != after and same_points(origin, before, after):
        changes[field] = before
    if hasattr(old, "width_cm") and abs(old.width_cm - item.width_cm) <= WIDTH:
        changes["width_cm"] = old.width_cm
    return replace(item, **changes) if changes else item


def same_points(origin: Origin, a: tuple[Point, ...], b: tuple[Point, ...]) -> bool:
    """Return whether two lines on the globe are the same within the tolerance."""
    if min(len(a), len(b)) < 2:
        return a == b
    first, second = local_lines(origin, [a, b])
    return same_line(shape(first), shape(second), LINE)


def _in_order(old: Any, item: Any) -> Any:
    """Return an entity with its aliases and further uses in the order they had, where they are the same."""
    changes = {}
    for field in ("alias", "shared"):
        was, now = getattr(old, field, ()), getattr(item, field, ())
        if was != now and sorted(was) == sorted(now):
            changes[field] = was
    return replace(item, **changes) if changes else item


def _place(old: Any, item: Any, reach: float) -> Any:
    if distance((old.lat_e7, old.lon_e7), (item.lat_e7, item.lon_e7)) > reach:
        return item
    return replace(item, lat_e7=old.lat_e7, lon_e7=old.lon_e7)


def _conflicts(base: IntersectionCode, new: IntersectionCode) -> tuple[Conflict, ...]:
    """Return the conflicts in the direction that they were written in; where both paths stayed, or moved alike, and the kind stayed, so do the points."""
    known = {pair(c): c for c in base.conflicts}
    paths = {c.id: c.points for c in base.connections}
    steps = {c.id: _step(paths[c.id], c.points) for c in new.connections if c.id in paths}
    out = []
    for c in new.conflicts:
        old = known.get(pair(c))
        if old is not None:
            reach = 2 * LINE
            if _alike(steps.get(c.a), steps.get(c.b)):
                # of two paths that cross twice, the one that stands first decides which crossing is given
                reach = MEETING if c.a == old.a else inf
            c = oriented(c, old)
            if c.kind == old.kind and max(abs(c.s_a - old.s_a), abs(c.s_b - old.s_b)) <= reach:
                c = replace(c, s_a=old.s_a, s_b=old.s_b)
        out.append(c)
    return tuple(out)


def _step(before: tuple[Point, ...], after: tuple[Point, ...]) -> Point | None:
    """Return by how much (1e-7 degree) a line has moved as a whole; None where it is another line."""
    if len(before) != len(after):
        return None
    step = (after[0][0] - before[0][0], after[0][1] - before[0][1])
    even = all(_alike(step, (b[0] - a[0], b[1] - a[1])) for a, b in zip(before, after, strict=True))
    return step if even else None


def _alike(a: Point | None, b: Point | None) -> bool:
    """Return whether two steps are the same but for rounding."""
    return a is not None and b is not None and max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= 2


def pair(c: Any) -> tuple[Any, Any]:
    """Return what a conflict or an exception is known by, whichever of the two stands first."""
    return (c.a, c.b) if c.a <= c.b else (c.b, c.a)


def oriented(c: Conflict, like: Conflict) -> Conflict:
    """Return a conflict with the same movement first as in `like`."""
    if c.a == like.a:
        return c
    return Conflict(c.b, c.a, c.kind, c.s_b, c.s_a, c.b_yields, c.a_yields)
