"""Two codes side by side: in the same ids, by what is what on the road, so that what differs is what has changed."""

from typing import Any

import numpy as np
from msgspec.structs import replace

from cloudctl.geo import Origin

from ..model import IntersectionCode
from ..polylines import M_PER_E7
from .likeness import SAME_SHIFT, shifted
from .match import Matches, match
from .rename import TABLES, Numbering, applied, named_rules, unique
from .settle import same_points
from .words import Names

NEW = "*"  # behind the id of something new that has the id of something else in the earlier code
MIN_POINTS = 4  # that must agree for a map to have moved as a whole
MIN_ALIKE = 0.8  # share of them


class Compared:
    """An earlier code `a`, moved along where everything has moved (`shift`), and a later one `b` in its ids; `rows`: each entity of both."""

    def __init__(self, before: IntersectionCode, after: IntersectionCode) -> None:
        (before, _), (after, _) = unique(before), unique(after)
        matches = match(before, after, ids_count=True)
        self.renumbered = _renumbered(matches)
        after = _same_names(before, after, matches)
        self.shift = _whole_shift(before, after)
        self.unshifted = before
        self.a, self.b = (shifted(before, self.shift) if self.shift else before), after
        self.origin = Origin(before.ref_lat_e7 / 1e7, before.ref_lon_e7 / 1e7)
        self.names_a, self.names_b = Names(self.a, self.origin), Names(self.b, self.origin)
        self.rows = {table: _rows(self.a, self.b, table) for table in TABLES}
        self.recounted = {row.link for pair in self.rows["lanes"].values() for row in pair if row and not all(pair)}
        self.bent = self._redrawn("lanes")
        self.paths = self._redrawn("connections")

    def _redrawn(self, table: str) -> list[str]:
        """Return whose line differs; where everything has moved, only those that lie otherwise than it."""
        found = [name for name, (x, y) in self.rows[table].items() if x and y and x.points != y.points]
        if not self.shift:
            return found
        return [
            name
            for name in found
            if not same_points(self.origin, self.rows[table][name][0].points, self.rows[table][name][1].points)
        ]


def _renumbered(matches: Matches) -> list[str]:
    out = []
    for table in (*TABLES, "groups"):
        known: dict[Any, Any] = getattr(matches, table)
        word = "group " if table == "groups" else ""
        out += [f"{word}{old} -> {new}" for new, old in known.items() if new != old]
    return out


def _same_names(before: IntersectionCode, after: IntersectionCode, matches: Matches) -> IntersectionCode:
    """Return the later code in the earlier one's ids; what is new keeps its own, marked where it was another's."""
    names: dict[str, dict[str, str]] = {}
    for table in TABLES:
        used = {item.id for item in getattr(before, table)}
        known: dict[str, str] = getattr(matches, table)
        names[table] = {
            item.id: known.get(item.id) or (item.id + NEW if item.id in used else item.id)
            for item in getattr(after, table)
        }
    used_groups = {group.id for group in before.signal_groups}
    groups = {
        group.id: matches.groups.get(group.id) or (group.id + 1000 if group.id in used_groups else group.id)
        for group in after.signal_groups
    }
    after = applied(after, names, groups)
    same = tuple(rule for rule in after.rules if rule in before.rules)
    kept = {rule.id for rule in same}
    numbering = Numbering()
    numbering.note((before, after))
    rest = tuple(rule for rule in after.rules if rule not in same)
    renamed = named_rules(tuple(rule for rule in before.rules if rule.id not in kept), rest, numbering, own=True)
    return replace(after, rules=(*same, *renamed))


def _rows(a: IntersectionCode, b: IntersectionCode, table: str) -> dict[str, tuple[Any, Any]]:
    old, new = {row.id: row for row in getattr(a, table)}, {row.id: row for row in getattr(b, table)}
    return {name: (old.get(name), new.get(name)) for name in {**old, **new}}


def gone(rows: dict[str, tuple[Any, Any]], side: int = 0) -> list[str]:
    """Return what only the earlier code has (side 0), or only the later one."""
    return [name for name, row in rows.items() if row[side] and not row[1 - side]]


def _whole_shift(a: IntersectionCode, b: IntersectionCode) -> tuple[int, int] | None:
    """Return by how much (1e-7 degree) all lanes and movements have moved alike; None where they have not."""
    steps = [
        (q[0] - p[0], q[1] - p[1])
        for table in ("lanes", "connections")
        for x, y in _rows(a, b, table).values()
        if x and y and len(x.points) == len(y.points)
        for p, q in zip(x.points, y.points, strict=True)
    ]
    if len(steps) < MIN_POINTS:
        return None
    table = np.array(steps, float)
    middle = np.median(table, axis=0)
    near = np.abs(table - middle).max(axis=1) * M_PER_E7 <= SAME_SHIFT / 2
    if near.mean() < MIN_ALIKE or float(np.hypot(*middle)) * M_PER_E7 < SAME_SHIFT:
        return None
    return round(float(middle[0])), round(float(middle[1]))
