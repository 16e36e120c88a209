"""Rules from one revision to the next: those of the source follow the source, those written by hand follow their place
on the road.

A rule's place is a lane, link, movement, zone or the whole intersection, and may be a part of it by metres. When a road
is split or joined the place is the same stretch of road: a rule then names every lane that lies along what it named.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
from msgspec.structs import replace

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..model import IntersectionCode
from ..polylines import F8, points_along
from ..rule import Rule, Target
from .shapes import Shape, project, shape_of

MAX_BESIDE = 1.0  # m from a lane within which another is the same stretch of road
MIN_STRETCH = 2.0  # m; a shorter part is an end that was cut otherwise
MAX_SHIFT = 3.0  # m by which a place on a lane may move with it
LENGTH_TOLERANCE = 0.01  # m


class MergeNotes(Protocol):
    """Takes the notes of what is lost and what is kept."""

    def lost(self, name: str, detail: str) -> None: ...

    def kept(self, name: str, detail: str) -> None: ...


class Relocation:
    """Where places of one revision lie in the next."""

    def __init__(self, before: IntersectionCode, after: IntersectionCode) -> None:
        self.before, self.after = before, after
        origin = Origin(before.ref_lat_e7 / 1e7, before.ref_lon_e7 / 1e7)
        self.old, self.new = _shapes(origin, before.lanes), _shapes(origin, after.lanes)
        self.old_paths, self.new_paths = _shapes(origin, before.connections), _shapes(origin, after.connections)
        self.links_old = {link.id for link in before.links}
        self.links_new = {link.id for link in after.links}
        self.others = {"code"} | {item.id for table in (after.zones, after.crosswalks) for item in table}
        self.added = [name for name in self.new if name not in self.old]

    @classmethod
    def between(cls, before: IntersectionCode, after: IntersectionCode) -> "Relocation":
        """Return the places of `before` in `after`; what both have under one id is the same."""
        return cls(before, after)

    def along(self, lane: str, s: float) -> float | None:
        """Return m along a lane as it is now of the place `s` m along it as it was; None where it is gone or far
        off."""
        if lane not in self.old or lane not in self.new:
            return None
        if _unchanged(self.old[lane], self.new[lane]):
            return s

        return _moved(self.old[lane], self.new[lane], s)

    def of(self, target: Target) -> list[Target]:
        """Return where a place lies now, as targets; an empty list where it is gone."""
        name = target.entity
        if name in self.others:
            return [target]
        if name in self.old_paths:
            return self._on_path(target)
        if name in self.old:
            return self._on_lane(target)
        if name in self.links_old:
            return self._on_link(target)

        return []

    def _on_path(self, target: Target) -> list[Target]:
        if target.entity not in self.new_paths:
            return []
        new_span = _span(self.old_paths[target.entity], self.new_paths[target.entity], target)
        return [new_span] if new_span is not None else []

    def _on_lane(self, target: Target) -> list[Target]:
        old, name = self.old[target.entity], target.entity
        first, last = target.s_from or 0.0, old.size if target.s_to is None else target.s_to
        if name not in self.new:
            return [piece for other in self.new for piece in self._part_along(old, first, last, other)]
        if _unchanged(old, self.new[name]):
            return [target]

        own_part: Target | None
        if target.s_from is None and target.s_to is None:
            own_part = self._whole_lane_now(target)
        else:
            own_part = _span(old, self.new[name], target)

        return ([own_part] if own_part is not None else []) + [
            piece for other in self.added for piece in self._part_along(old, first, last, other)
        ]

    def _whole_lane_now(self, target: Target) -> Target:
        """Return a whole lane as a place: whole still, but for what it took over from a lane that is gone."""
        old, new = self.old[target.entity], self.new[target.entity]
        removed_lanes = [self.old[name] for name in self.old if name not in self.new]
        projected_ends = project(old.xy[[0, -1]], new)

        if float(projected_ends.distance.max()) > MAX_SHIFT:
            return target

        first, last = (float(s) for s in projected_ends.s)
        head_point, tail_point = (
            points_along(new.xy, new.along, np.array([s])) for s in (first / 2, (last + new.size) / 2)
        )
        s_from = first if first > MIN_STRETCH and _lies_on_any(head_point, removed_lanes) else None
        s_to = last if new.size - last > MIN_STRETCH and _lies_on_any(tail_point, removed_lanes) else None

        return replace(target, s_from=_rounded(s_from), s_to=_rounded(s_to))

    def _part_along(self, old: Shape, first: float, last: float, other: str) -> list[Target]:
        """Return the part of a lane that lies along the stretch `first` .. `last` of a lane as it was."""
        line = self.new[other]
        projected = project(line.samples, old)
        inside = (
            (projected.distance <= MAX_BESIDE)
            & (projected.s >= first - LENGTH_TOLERANCE)
            & (projected.s <= last + LENGTH_TOLERANCE)
        )

        if projected.s[-1] - projected.s[0] > MIN_STRETCH and inside.all():
            return [Target(other)]

        stretch = points_along(old.xy, old.along, np.linspace(first, last, max(int(last - first), 4)))
        projection = project(stretch, line)
        is_near = projection.distance <= MAX_BESIDE

        if not is_near.any():
            return []

        s = projection.s[is_near]
        if float(s[-1] - s[0]) < MIN_STRETCH:
            return []

        s_from, s_to = float(s[0]), float(s[-1])
        return [
            Target(
                other,
                _rounded(s_from if s_from > MIN_STRETCH else None),
                _rounded(s_to if line.size - s_to > MIN_STRETCH else None),
            )
        ]

    def _on_link(self, target: Target) -> list[Target]:
        targets = [target] if target.entity in self.links_new else []
        lanes = [lane.id for lane in self.before.lanes if lane.link == target.entity]
        link_of = {lane.id: lane.link for lane in self.after.lanes}

        for name in lanes:
            parts = self._on_lane(Target(name))
            for piece in parts:
                link = link_of[piece.entity]
                if link == target.entity or Target(link) in targets:
                    continue

                if link not in self.links_old and piece.s_from is None and piece.s_to is None:
                    targets.append(Target(link))
                elif piece.entity in self.added or target.entity not in self.links_new:
                    targets.append(piece)

        return list(dict.fromkeys(targets))

    @staticmethod
    def covered(code: IntersectionCode) -> set[str]:
        """Return the zones in which a lane or a path lies."""
        if not code.zones:
            return set()

        origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
        lines = [*_shapes(origin, code.lanes).values(), *_shapes(origin, code.connections).values()]
        points = np.concatenate([_dense_points(line) for line in lines]) if lines else np.empty((0, 2))
        rings = local_lines(origin, [zone.polygon for zone in code.zones if zone.polygon])
        zones = [zone.id for zone in code.zones if zone.polygon]

        return {name for name, ring in zip(zones, rings, strict=True) if bool(_points_inside(points, ring).any())}


def _shapes(origin: Origin, rows: Sequence[Any]) -> dict[str, Shape]:
    return {
        row.id: shape_of(xy) for row, xy in zip(rows, local_lines(origin, [row.points for row in rows]), strict=True)
    }


def _unchanged(first: Shape, second: Shape) -> bool:
    return first.xy.shape == second.xy.shape and bool((first.xy == second.xy).all())


def _rounded(s: float | None) -> float | None:
    return None if s is None else round(s, 2)


def _moved(old: Shape, new: Shape, s: float) -> float | None:
    projected = project(points_along(old.xy, old.along, np.array([min(s, old.size)])), new)
    return round(float(projected.s[0]), 2) if float(projected.distance[0]) <= MAX_SHIFT else None


def _span(old: Shape, new: Shape, target: Target) -> Target | None:
    """Return a stretch of a line on the line as it is now; None where nothing of it is left."""
    if _unchanged(old, new) or (target.s_from is None and target.s_to is None):
        return target

    first, last = target.s_from or 0.0, old.size if target.s_to is None else target.s_to
    stretch = project(points_along(old.xy, old.along, np.linspace(first, last, max(int(last - first), 4))), new)
    s = stretch.s[stretch.distance <= MAX_SHIFT]

    if not len(s) or float(s[-1] - s[0]) < min(MIN_STRETCH, (last - first) / 2):
        return None

    return Target(
        target.entity,
        None if target.s_from is None else _rounded(float(s[0])),
        None if target.s_to is None else _rounded(float(s[-1])),
    )


def _lies_on_any(point: F8, lines: Iterable[Shape]) -> bool:
    return any(float(project(point, line).distance[0]) <= MAX_BESIDE for line in lines)


def _dense_points(line: Shape) -> F8:
    return points_along(line.xy, line.along, np.linspace(0.0, line.size, int(line.size / 2) + 2))


def _points_inside(points: F8, ring: F8) -> Any:
    """Return which points lie within an outline: how often a ray to the east crosses it."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(np.roll(ring, 1, axis=0), ring, strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
        inside ^= crosses & (points[:, 0] < (x1 - x0) * (points[:, 1] - y0) / (y1 - y0) + x0)

    return inside


def merge_rules(
    notes: MergeNotes,
    last_import: tuple[Rule, ...],
    current: tuple[Rule, ...],
    new_import: tuple[Rule, ...],
    relocation: Relocation,
    name_rule: Callable[[], str],
) -> tuple[Rule, ...]:
    """Return the rules of the next revision. The three tables as in `merge.MergeInputs`; `name_rule` gives an id
    never given."""
    imported_before, imported_now = {rule.id: rule for rule in last_import}, {rule.id: rule for rule in new_import}
    rules: list[Rule] = []

    for rule in current:
        if rule.id not in imported_before:
            rules += relocated(notes, rule, relocation)
        elif rule.id in imported_now:
            rules += _three_way(notes, imported_before[rule.id], rule, imported_now[rule.id], relocation)
        elif _edited(rule, imported_before[rule.id]):
            moved = relocated(notes, rule, relocation)
            if moved:
                notes.kept(
                    f"rule {rule.id}", "was changed by hand, and the source no longer gives it: it stays as it is"
                )
            rules += moved

    # A rule that was deleted by hand stays deleted, but for places that the source has added since
    rule_ids = {rule.id for rule in current}
    for rule in new_import:
        if rule.id not in rule_ids and rule.id in imported_before:
            new_targets = tuple(target for target in rule.targets if target not in imported_before[rule.id].targets)
            if new_targets:
                rules.append(replace(rule, id=name_rule(), targets=new_targets))
        elif rule.id not in rule_ids:
            rules.append(rule)

    return tuple(rule for rule in rules if rule.targets)


def _edited(rule: Rule, last_import: Rule) -> bool:
    return rule != last_import


def relocated(notes: MergeNotes, rule: Rule, relocation: Relocation) -> list[Rule]:
    """Return a rule written by hand at its place now, or an empty list and a note where it has none."""
    targets: list[Target] = []
    lost_places = []

    for target in rule.targets:
        targets_now = relocation.of(target)
        targets += targets_now
        if not targets_now:
            lost_places.append(_place(target))

    if not targets:
        notes.lost(
            f"rule {rule.id}",
            f"({rule.kind}) lost its place: {', '.join(lost_places)} is gone; it was {rule_text(rule)}",
        )
        return []

    if lost_places:
        notes.lost(
            f"rule {rule.id}",
            f"({rule.kind}) holds no longer on {', '.join(lost_places)}, which is gone; it stays on the rest",
        )

    return [replace(rule, targets=tuple(dict.fromkeys(targets)))]


def rule_text(rule: Rule) -> str:
    """Return a rule as JSON, to be written into the code again, without fields that have their default."""
    tree = msgspec.to_builtins(rule)
    tree["targets"] = [{key: value for key, value in target.items() if value is not None} for target in tree["targets"]]
    defaults = msgspec.to_builtins(Rule(id=rule.id, kind=rule.kind, targets=()))

    return msgspec.json.encode(
        {
            key: value
            for key, value in tree.items()
            if key not in defaults or value != defaults[key] or key in ("id", "kind")
        }
    ).decode()


def _place(target: Target) -> str:
    if target.s_from is None and target.s_to is None:
        return target.entity
    return f"{target.entity} {target.s_from or 0:g} .. {'its end' if target.s_to is None else f'{target.s_to:g} m'}"


def _three_way(
    notes: MergeNotes, last_import: Rule, current: Rule, new_import: Rule, relocation: Relocation
) -> list[Rule]:
    """Return a rule of the source with what was changed by hand: places added and taken out, and other fields."""
    if current == last_import:
        return [new_import]

    added = [target for target in current.targets if target not in last_import.targets]
    removed = [target for target in last_import.targets if target not in current.targets]
    targets = [target for target in new_import.targets if target not in removed]

    for target in added:
        targets_now = relocation.of(target)
        if not targets_now:
            notes.lost(f"rule {current.id}", f"({current.kind}) holds no longer on {_place(target)}, which is gone")
        targets += [place for place in targets_now if place not in targets]

    changes: dict[str, Any] = {"targets": tuple(targets)}
    for field in current.__struct_fields__:
        by_hand, before, by_source = getattr(current, field), getattr(last_import, field), getattr(new_import, field)
        if field in ("id", "targets") or by_source in (before, by_hand):
            continue

        if by_hand != before:
            notes.kept(
                f"rule {current.id}.{field}",
                f"was changed by hand and in the source: {by_hand} stays, the source had {before} and has "
                f"{by_source} now",
            )
        else:
            changes[field] = by_source

    return [replace(current, **changes)]
