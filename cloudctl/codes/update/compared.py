"""Two codes side by side: in the same ids, by what is what on the road, so that what differs is what has changed."""

from typing import Any

import numpy as np
from msgspec.structs import replace

from cloudctl.geo import Origin

from ..model import IntersectionCode
from ..polylines import M_PER_E7
from .likeness import MAX_SHIFT_DIFFERENCE, shifted
from .match import Matches, match
from .rename import ID_TABLES, Numbering, named_rules, with_ids, with_unique_ids
from .settle import same_points
from .words import Names

# Behind the id of something new that has the id of something else in the earlier code
NEW_ID_MARK = "*"
MIN_POINTS = 4  # that must agree for a map to have moved as a whole
MIN_SHARE_ALIKE = 0.8  # share of them


class Compared:
    """An earlier code `a`, moved along where everything has moved (`shift`), and a later one `b` in its ids; `rows`:
    each entity of both."""

    def __init__(self, before: IntersectionCode, after: IntersectionCode) -> None:
        (before, _), (after, _) = with_unique_ids(before), with_unique_ids(after)
        matches = match(before, after, ids_count=True)
        self.renumbered = _renumbered(matches)
        after = _same_names(before, after, matches)
        self.shift = _whole_shift(before, after)
        self.unshifted = before
        self.a, self.b = (shifted(before, self.shift) if self.shift else before), after
        self.origin = Origin(before.ref_lat_e7 / 1e7, before.ref_lon_e7 / 1e7)
        self.names_a, self.names_b = Names(self.a, self.origin), Names(self.b, self.origin)
        self.rows = {table: _rows(self.a, self.b, table) for table in ID_TABLES}
        self.recounted = {row.link for pair in self.rows["lanes"].values() for row in pair if row and not all(pair)}
        self.bent = self._redrawn("lanes")
        self.paths = self._redrawn("connections")

    def _redrawn(self, table: str) -> list[str]:
        """Return whose line differs; where everything has moved, only those that lie otherwise than it."""
        names = [name for name, (x, y) in self.rows[table].items() if x and y and x.points != y.points]
        if not self.shift:
            return names

        return [
            name
            for name in names
            if not same_points(self.origin, self.rows[table][name][0].points, self.rows[table][name][1].points)
        ]


def _renumbered(matches: Matches) -> list[str]:
    renumberings = []
    for table in (*ID_TABLES, "groups"):
        old_id_of: dict[Any, Any] = getattr(matches, table)
        word = "group " if table == "groups" else ""
        renumberings += [f"{word}{old} -> {new}" for new, old in old_id_of.items() if new != old]
    return renumberings


def _same_names(before: IntersectionCode, after: IntersectionCode, matches: Matches) -> IntersectionCode:
    """Return the later code in the earlier one's ids; what is new keeps its own, marked where it was another's."""
    names: dict[str, dict[str, str]] = {}
    for table in ID_TABLES:
        used_ids = {entity.id for entity in getattr(before, table)}
        old_id_of: dict[str, str] = getattr(matches, table)
        names[table] = {
            entity.id: old_id_of.get(entity.id) or (entity.id + NEW_ID_MARK if entity.id in used_ids else entity.id)
            for entity in getattr(after, table)
        }

    used_groups = {group.id for group in before.signal_groups}
    groups = {
        group.id: matches.groups.get(group.id) or (group.id + 1000 if group.id in used_groups else group.id)
        for group in after.signal_groups
    }
    after = with_ids(after, names, groups)
    # Equal rules are matched first, so that those with other values are matched among the rest
    unchanged_rules = tuple(rule for rule in after.rules if rule in before.rules)
    kept_ids = {rule.id for rule in unchanged_rules}
    numbering = Numbering()
    numbering.note((before, after))
    other_rules = tuple(rule for rule in after.rules if rule not in unchanged_rules)
    renamed = named_rules(
        tuple(rule for rule in before.rules if rule.id not in kept_ids), other_rules, numbering, keep_own_ids=True
    )

    return replace(after, rules=(*unchanged_rules, *renamed))


def _rows(first: IntersectionCode, second: IntersectionCode, table: str) -> dict[str, tuple[Any, Any]]:
    old, new = {row.id: row for row in getattr(first, table)}, {row.id: row for row in getattr(second, table)}
    return {name: (old.get(name), new.get(name)) for name in {**old, **new}}


def only_on_side(rows: dict[str, tuple[Any, Any]], side: int = 0) -> list[str]:
    """Return what only the earlier code has (side 0), or only the later one."""
    return [name for name, row in rows.items() if row[side] and not row[1 - side]]


def _whole_shift(first: IntersectionCode, second: IntersectionCode) -> tuple[int, int] | None:
    """Return by how much (1e-7 degree) all lanes and movements have moved alike; None where they have not."""
    steps = [
        (moved[0] - point[0], moved[1] - point[1])
        for step_table in ("lanes", "connections")
        for x, y in _rows(first, second, step_table).values()
        if x and y and len(x.points) == len(y.points)
        for point, moved in zip(x.points, y.points, strict=True)
    ]
    if len(steps) < MIN_POINTS:
        return None

    step_table = np.array(steps, float)
    median = np.median(step_table, axis=0)
    agrees = np.abs(step_table - median).max(axis=1) * M_PER_E7 <= MAX_SHIFT_DIFFERENCE / 2

    if agrees.mean() < MIN_SHARE_ALIKE or float(np.hypot(*median)) * M_PER_E7 < MAX_SHIFT_DIFFERENCE:
        return None

    return round(float(median[0])), round(float(median[1]))
