"""Rules from one revision to the next: those of the source follow the source, those written by hand follow their place on the road.

A rule's place is a lane, link, movement, zone or the whole intersection, and may be a part of it by metres. When a road is split or joined
the place is the same stretch of road: a rule then names every lane that lies along what it named.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
from msgspec.structs import replace

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..model import IntersectionCode
from ..polylines import F8, at
from ..rule import Rule, Target
from .shapes import Shape, project, shape

BESIDE = 1.0  # m from a lane within which another is the same stretch of road
MIN_STRETCH = 2.0  # m; a shorter part is an end that was cut otherwise
NEAR = 3.0  # m by which a place on a lane may move with it
SAME = 0.01  # m


class Says(Protocol):
    """Where what is lost and what is kept is said."""

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
        """Return m along a lane as it is now of the place `s` m along it as it was; None where it is gone or far off."""
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
        spanned = _span(self.old_paths[target.entity], self.new_paths[target.entity], target)
        return [spanned] if spanned is not None else []

    def _on_lane(self, target: Target) -> list[Target]:
        old, name = self.old[target.entity], target.entity
        first, last = target.s_from or 0.0, old.size if target.s_to is None else target.s_to
        if name not in self.new:
            return [piece for other in self.new for piece in self._piece(old, first, last, other)]
        if _unchanged(old, self.new[name]):
            return [target]
        kept = (
            self._stretched(target)
            if target.s_from is None and target.s_to is None
            else _span(old, self.new[name], target)
        )
        return ([kept] if kept is not None else []) + [
            piece for other in self.added for piece in self._piece(old, first, last, other)
        ]

    def _stretched(self, target: Target) -> Target:
        """Return a whole lane as a place: whole still, but for what it took over from a lane that is gone."""
        old, new = self.old[target.entity], self.new[target.entity]
        gone = [self.old[name] for name in self.old if name not in self.new]
        ends = project(old.xy[[0, -1]], new)
        if float(ends.distance.max()) > NEAR:
            return target
        first, last = (float(s) for s in ends.s)
        head, tail = (at(new.xy, new.along, np.array([s])) for s in (first / 2, (last + new.size) / 2))
        s_from = first if first > MIN_STRETCH and _on_any(head, gone) else None
        s_to = last if new.size - last > MIN_STRETCH and _on_any(tail, gone) else None
        return replace(target, s_from=_rounded(s_from), s_to=_rounded(s_to))

    def _piece(self, old: Shape, first: float, last: float, other: str) -> list[Target]:
        """Return the part of a lane that lies along the stretch `first` .. `last` of a lane as it was."""
        line = self.new[other]
        laid = project(line.samples, old)
        within = (laid.distance <= BESIDE) & (laid.s >= first - SAME) & (laid.s <= last + SAME)
        if laid.s[-1] - laid.s[0] > MIN_STRETCH and within.all():
            return [Target(other)]
        stretch = at(old.xy, old.along, np.linspace(first, last, max(int(last - first), 4)))
        on = project(stretch, line)
        near = on.distance <= BESIDE
        if not near.any():
            return []
        s = on.s[near]
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
        out = [target] if target.entity in self.links_new else []
        lanes = [lane.id for lane in self.before.lanes if lane.link == target.entity]
        link_of = {lane.id: lane.link for lane in self.after.lanes}
        for name in lanes:
            whole = self._on_lane(Target(name))
            for piece in whole:
                link = link_of[piece.entity]
                if link == target.entity or Target(link) in out:
                    continue
                if link not in self.links_old and piece.s_from is None and piece.s_to is None:
                    out.append(Target(link))
                elif piece.entity in self.added or target.entity not in self.links_new:
                    out.append(piece)
        return list(dict.fromkeys(out))

    @staticmethod
    def covered(code: IntersectionCode) -> set[str]:
        """Return the zones in which a lane or a path lies."""
        if not code.zones:
            return set()
        origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
        lines = [*_shapes(origin, code.lanes).values(), *_shapes(origin, code.connections).values()]
        points = np.concatenate([_dense(line) for line in lines]) if lines else np.empty((0, 2))
        rings = local_lines(origin, [zone.polygon for zone in code.zones if zone.polygon])
        zones = [zone.id for zone in code.zones if zone.polygon]
        return {name for name, ring in zip(zones, rings, strict=True) if bool(_inside(points, ring).any())}


def _shapes(origin: Origin, rows: Sequence[Any]) -> dict[str, Shape]:
    return {row.id: shape(xy) for row, xy in zip(rows, local_lines(origin, [row.points for row in rows]), strict=True)}


def _unchanged(a: Shape, b: Shape) -> bool:
    return a.xy.shape == b.xy.shape and bool((a.xy == b.xy).all())


def _rounded(s: float | None) -> float | None:
    return None if s is None else round(s, 2)


def _moved(old: Shape, new: Shape, s: float) -> float | None:
    laid = project(at(old.xy, old.along, np.array([min(s, old.size)])), new)
    return round(float(laid.s[0]), 2) if float(laid.distance[0]) <= NEAR else None


def _span(old: Shape, new: Shape, target: Target) -> Target | None:
    """Return a stretch of a line on the line as it is now; None where nothing of it is left."""
    if _unchanged(old, new) or (target.s_from is None and target.s_to is None):
        return target
    first, last = target.s_from or 0.0, old.size if target.s_to is None else target.s_to
    stretch = project(at(old.xy, old.along, np.linspace(first, last, max(int(last - first), 4))), new)
    s = stretch.s[stretch.distance <= NEAR]
    if not len(s) or float(s[-1] - s[0]) < min(MIN_STRETCH, (last - first) / 2):
        return None
    return Target(
        target.entity,
        None if target.s_from is None else _rounded(float(s[0])),
        None if target.s_to is None else _rounded(float(s[-1])),
    )


def _on_any(point: F8, lines: Iterable[Shape]) -> bool:
    return any(float(project(point, line).distance[0]) <= BESIDE for line in lines)


def _dense(line: Shape) -> F8:
    return at(line.xy, line.along, np.linspace(0.0, line.size, int(line.size / 2) + 2))


def _inside(points: F8, ring: F8) -> Any:
    """Return which points lie within an outline: how often a ray to the east crosses it."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(np.roll(ring, 1, axis=0), ring, strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
        inside ^= crosses & (points[:, 0] < (x1 - x0) * (points[:, 1] - y0) / (y1 - y0) + x0)
    return inside


def merged_rules(
    notes: Says,
    base: tuple[Rule, ...],
    prev: tuple[Rule, ...],
    new: tuple[Rule, ...],
    places: Relocation,
    name_rule: Callable[[], str],
) -> tuple[Rule, ...]:
    """Return the rules of the next revision. `base`, `prev`, `new` as in `merge`, in the same ids; `name_rule` gives an id never given."""
    was, will = {rule.id: rule for rule in base}, {rule.id: rule for rule in new}
    out: list[Rule] = []
    for rule in prev:
        if rule.id not in was:
            out += relocated(notes, rule, places)
        elif rule.id in will:
            out += _three_way(notes, was[rule.id], rule, will[rule.id], places)
        elif _edited(rule, was[rule.id]):
            kept = relocated(notes, rule, places)
            if kept:
                notes.kept(
                    f"rule {rule.id}", "was changed by hand, and the source no longer gives it: it stays as it is"
                )
            out += kept
    present = {rule.id for rule in prev}
    for rule in new:
        if rule.id not in present and rule.id in was:
            fresh = tuple(target for target in rule.targets if target not in was[rule.id].targets)
            if fresh:
                out.append(replace(rule, id=name_rule(), targets=fresh))
        elif rule.id not in present:
            out.append(rule)
    return tuple(rule for rule in out if rule.targets)


def _edited(rule: Rule, base: Rule) -> bool:
    return rule != base


def relocated(notes: Says, rule: Rule, places: Relocation) -> list[Rule]:
    """Return a rule written by hand at its place now, or nothing, and say so, where it has none."""
    targets: list[Target] = []
    gone = []
    for target in rule.targets:
        here = places.of(target)
        targets += here
        if not here:
            gone.append(_place(target))
    if not targets:
        notes.lost(
            f"rule {rule.id}", f"({rule.kind}) lost its place: {', '.join(gone)} is gone; it was {written(rule)}"
        )
        return []
    if gone:
        notes.lost(
            f"rule {rule.id}",
            f"({rule.kind}) holds no longer on {', '.join(gone)}, which is gone; it stays on the rest",
        )
    return [replace(rule, targets=tuple(dict.fromkeys(targets)))]


def written(rule: Rule) -> str:
    """Return a rule as JSON, to be written into the code again, without what says nothing."""
    tree = msgspec.to_builtins(rule)
    tree["targets"] = [{key: value for key, value in target.items() if value is not None} for target in tree["targets"]]
    plain = msgspec.to_builtins(Rule(rule.id, rule.kind, ()))
    return msgspec.json.encode(
        {key: value for key, value in tree.items() if key not in plain or value != plain[key] or key in ("id", "kind")}
    ).decode()


def _place(target: Target) -> str:
    if target.s_from is None and target.s_to is None:
        return target.entity
    return f"{target.entity} {target.s_from or 0:g} .. {'its end' if target.s_to is None else f'{target.s_to:g} m'}"


def _three_way(notes: Says, base: Rule, prev: Rule, new: Rule, places: Relocation) -> list[Rule]:
    """Return a rule of the source with what was changed by hand: places added and taken out, and other fields."""
    if prev == base:
        return [new]
    added = [target for target in prev.targets if target not in base.targets]
    removed = [target for target in base.targets if target not in prev.targets]
    targets = [target for target in new.targets if target not in removed]
    for target in added:
        here = places.of(target)
        if not here:
            notes.lost(f"rule {prev.id}", f"({prev.kind}) holds no longer on {_place(target)}, which is gone")
        targets += [place for place in here if place not in targets]
    changes: dict[str, Any] = {"targets": tuple(targets)}
    for field in prev.__struct_fields__:
        mine, before, theirs = getattr(prev, field), getattr(base, field), getattr(new, field)
        if field in ("id", "targets") or theirs in (before, mine):
            continue
        if mine != before:
            notes.kept(
                f"rule {prev.id}.{field}",
                f"was changed by hand and in the source: {mine} stays, the source had {before} and has {theirs} now",
            )
        else:
            changes[field] = theirs
    return [replace(prev, **changes)]
