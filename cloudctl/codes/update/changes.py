"""What a person would say has changed from one code to another: grouped, in words and units; nothing that differs is left out.

Both codes are first brought to the same ids by what is what on the road (`match`), so two codes that were imported apart are compared as
well as two revisions of one. Every field that differs is in a line: what has no words of its own is listed with its values.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from cloudctl.geo import Origin

from ..canon import dump
from ..compile import local_lines
from ..lines import M_PER_E7, distance
from ..model import Conflict, IntersectionCode
from ..rule import VALUED, Rule, Target
from .likeness import SAME_SHIFT, shifted
from .match import Matches, match
from .merge import repeats_lanes
from .rename import TABLES, Numbering, applied, named_rules
from .settle import oriented, pair, same_points
from .shapes import shape
from .words import Names, direction, listed, metres, motion, value

WORDS = {"nodes": "node", "links": "link", "lanes": "lane", "connections": "movement", "crosswalks": "crosswalk", "zones": "zone", "devices": "device"}
NEW = "*"  # behind the id of something new that has the id of something else in the earlier code


def changes(before: IntersectionCode, after: IntersectionCode) -> list[str]:
    """Return a line for each change, an empty list where the codes are the same."""
    if dump(before) == dump(after):
        return []
    return list(_Changes(before, after).lines()) or ["only the order of entries differs"]


class _Changes:
    def __init__(self, before: IntersectionCode, after: IntersectionCode) -> None:
        matches = match(before, after, ids_count=True)
        self.renumbered = _renumbered(matches)
        after = _same_names(before, after, matches)
        self.shift = _whole_shift(before, after)
        self.unshifted = before
        self.a, self.b = (shifted(before, self.shift) if self.shift else before), after
        self.origin = Origin(before.ref_lat_e7 / 1e7, before.ref_lon_e7 / 1e7)
        self.names_a, self.names_b = Names(self.a, self.origin), Names(self.b, self.origin)
        self.rows = {table: _rows(self.a, self.b, table) for table in TABLES}
        self.lane_gone, self.lane_new = _gone(self.rows["lanes"]), _gone(self.rows["lanes"], 1)
        self.bent = self._redrawn("lanes")
        self.paths = self._redrawn("connections")

    def _redrawn(self, table: str) -> list[str]:
        """Return whose line differs; where everything has moved, only those that lie otherwise than it."""
        found = [name for name, (x, y) in self.rows[table].items() if x and y and x.points != y.points]
        if not self.shift:
            return found
        return [name for name in found if not same_points(self.origin, self.rows[table][name][0].points, self.rows[table][name][1].points)]

    def lines(self) -> Iterator[str]:
        """Yield the changes, what weighs most first."""
        yield from self._whole()
        yield from self._roads()
        yield from self._geometry()
        yield from self._limits()
        yield from self._movements()
        yield from self._stops()
        yield from self._conflicts()
        yield from self._signals()
        yield from self._rules()
        yield from self._others()
        yield from self._fields()
        if self.renumbered:
            yield f"ids given otherwise: {listed(self.renumbered)} (an import into the folder of the earlier code keeps them)"

    def _whole(self) -> Iterator[str]:
        for field in ("id", "name", "control", "revision", "valid_from", "valid_to", "accuracy_cm", "format"):
            was, now = getattr(self.a, field), getattr(self.b, field)
            if was != now:
                yield f"code.{field}: {_text(was)} -> {_text(now)}"
        if self.shift:
            north, east = self.shift[0] * M_PER_E7, self.shift[1] * M_PER_E7 * float(np.cos(np.radians(self.a.ref_lat_e7 / 1e7)))
            yield f"everything moved {metres(float(np.hypot(north, east)))} to the {direction(np.array([east, north]))}"
        was, now = ((code.ref_lat_e7, code.ref_lon_e7) for code in (self.unshifted, self.b))
        if was != now:
            yield f"reference point moved {metres(distance(was, now))}"
        yield from self._aliases("the intersection", {"": (self.a, self.b)})

    def _roads(self) -> Iterator[str]:
        """Yield links and lanes that came and went, and how the lanes beside them are numbered now."""
        moved_links = {x.link for x, y in self.rows["lanes"].values() if x and not y} | {y.link for x, y in self.rows["lanes"].values() if y and not x}
        for names, gone, word, side in ((self.names_a, _gone(self.rows["links"]), "removed", 0), (self.names_b, _gone(self.rows["links"], 1), "added", 1)):
            for name in gone:
                lanes = [row[side].id for row in self.rows["lanes"].values() if row[side] and row[side].link == name]
                yield f"{names.links[name]} {word}: link {name}, lanes {listed(lanes) or 'none'}"
            lanes_gone = self.lane_gone if side == 0 else self.lane_new
            for lane in lanes_gone:
                row = self.rows["lanes"][lane][side]
                if row.link not in gone:
                    yield f"{names.lanes[lane]} {word}{self._what(lane, side)}"
        numbered = [
            f"{name} {x.number} -> {y.number}" for name, (x, y) in self.rows["lanes"].items() if x and y and x.number != y.number and y.link in moved_links
        ]
        if numbered:
            yield f"lanes beside are counted anew from the left: {listed(numbered)}"
        self.counted = moved_links

    def _what(self, lane: str, side: int) -> str:
        """Return what came or went with a lane."""
        moves = [row[side].id for row in self.rows["connections"].values() if row[side] and lane in (row[side].from_lane, row[side].to_lane) and not row[1 - side]]
        return f", with movements {listed(moves)}" if moves else ""

    def _geometry(self) -> Iterator[str]:
        drawn = []
        for name in self.bent:
            moved = motion(self.names_a.shapes[name], self.names_b.shapes[name]) if name in self.names_a.shapes and name in self.names_b.shapes else "drawn anew"
            if moved:
                yield f"{self.names_b.lanes[name]} {moved}"
            else:
                drawn.append(name)
        if drawn:
            yield f"drawn anew within {metres(0.03)}: lanes {listed(drawn)}"
        follow, drawn = [], []
        for name in self.paths:
            x, y = self.rows["connections"][name]
            if {x.from_lane, x.to_lane} & set(self.bent):
                follow.append(name)
                continue
            moved = motion(*(shape(xy) for xy in local_lines(self.origin, [x.points, y.points])))
            if moved:
                yield f"path of {self.names_b.moves[name]} {moved}"
            else:
                drawn.append(name)
        if follow:
            yield f"paths of movements {listed(follow)} follow their lanes"
        if drawn:
            yield f"drawn anew within {metres(0.03)}: paths of movements {listed(drawn)}"

    def _limits(self) -> Iterator[str]:
        speeds: dict[tuple[float, float], tuple[list[str], list[str]]] = {}
        for k, table in enumerate(("lanes", "connections")):
            for name, (x, y) in self.rows[table].items():
                if x and y and x.speed != y.speed:
                    speeds.setdefault((x.speed, y.speed), ([], []))[k].append(name)
        for (was, now), (lanes, moves) in sorted(speeds.items()):
            where = [f"{what} {listed(found)}" for what, found in (("lanes", lanes), ("movements", moves)) if found]
            yield f"limit {value(was)} -> {value(now)} m/s on {' and '.join(where)}"

    def _movements(self) -> Iterator[str]:
        gone_lanes, new_lanes = set(self.lane_gone), set(self.lane_new)
        for name, (x, y) in self.rows["connections"].items():
            if x and not y and not {x.from_lane, x.to_lane} & gone_lanes:
                yield f"{self.names_a.moves[name]} removed: {x.from_lane} -> {x.to_lane}"
            if y and not x and not {y.from_lane, y.to_lane} & new_lanes:
                yield f"{self.names_b.moves[name]} added: {y.from_lane} -> {y.to_lane}"
        links_gone, links_new = set(_gone(self.rows["links"])), set(_gone(self.rows["links"], 1))
        for names, word, side, known in (("a", "removed", 0, links_gone), ("b", "added", 1, links_new)):
            hidden = {lane for lane in (self.lane_gone if names == "a" else self.lane_new) if self.rows["lanes"][lane][side].link in known}
            ids = [n for n, row in self.rows["connections"].items() if row[side] and not row[1 - side] and {row[side].from_lane, row[side].to_lane} & hidden]
            if ids:
                yield f"movements {word} with these roads: {listed(ids)}"

    def _stops(self) -> Iterator[str]:
        old, new = ({line.lane: line for line in code.stop_lines} for code in (self.a, self.b))
        follow = []
        for lane in {**old, **new}:
            x, y = old.get(lane), new.get(lane)
            if x and y and x.s != y.s:
                at_end = all(abs(names.shapes[lane].size - line.s) < 0.1 for names, line in ((self.names_a, x), (self.names_b, y)) if lane in names.shapes)
                if lane in self.bent and at_end:
                    follow.append(lane)
                else:
                    yield f"stop line on {self.names_b.lanes.get(lane, lane)} moved from {value(x.s)} to {value(y.s)} m along it"
            elif x and not y and lane not in self.lane_gone:
                yield f"stop line on {self.names_a.lanes.get(lane, lane)} removed"
            elif y and not x and lane not in self.lane_new:
                yield f"stop line on {self.names_b.lanes.get(lane, lane)} added, {value(y.s)} m along it"
        if follow:
            yield f"stop lines at the end of lanes {listed(follow)} follow them"

    def _conflicts(self) -> Iterator[str]:
        old, new = ({pair(c): c for c in code.conflicts} for code in (self.a, self.b))
        gone, fresh = set(_gone(self.rows["connections"])), set(_gone(self.rows["connections"], 1))
        moved, far = 0, 0.0
        for key in {**old, **new}:
            x, y = old.get(key), new.get(key)
            if x is None or y is None:
                if not set(key) & (gone | fresh):
                    yield f"conflict {key[0]}/{key[1]} ({(x or y).kind if (x or y) else ''}) {'removed' if y is None else 'added'}"
                continue
            y = oriented(y, x)
            if (x.s_a, x.s_b) != (y.s_a, y.s_b):
                if set(key) & set(self.paths):
                    moved, far = moved + 1, max(far, abs(x.s_a - y.s_a), abs(x.s_b - y.s_b))
                else:
                    yield f"conflict {x.a}/{x.b}: point moved from {value(x.s_a)} / {value(x.s_b)} to {value(y.s_a)} / {value(y.s_b)} m along"
            yield from _yielding(x, y)
        if moved:
            yield f"{moved} conflict point(s) move with these paths, up to {metres(far)}"

    def _signals(self) -> Iterator[str]:
        old, new = ({g.id: g for g in code.signal_groups} for code in (self.a, self.b))
        for name in {**old, **new}:
            x, y = old.get(name), new.get(name)
            if x is None or y is None:
                yield f"signal group {name} ({(x or y).kind if (x or y) else ''}) {'removed' if y is None else 'added'}"
            elif x.kind != y.kind:
                yield f"signal group {name}: {x.kind} -> {y.kind}"
        wired = [f"{name}: {_text(x.channels)} -> {_text(new[name].channels)}" for name, x in old.items() if name in new and x.channels != new[name].channels]
        if wired:
            yield f"channels of signal groups: {listed(wired)}"
        groups: dict[tuple[int, int], list[str]] = {}
        for table in ("connections", "crosswalks"):
            for name, (a, b) in self.rows[table].items():
                if a and b and a.group != b.group:
                    groups.setdefault((a.group, b.group), []).append(name)
        for (was, now), found in groups.items():
            yield f"signal group {was or 'none'} -> {now or 'none'} for {listed(found)}"
        yield from self._plans()
        kept = {pair(e): e for e in self.a.signal_exceptions}
        now_kept = {pair(e): e for e in self.b.signal_exceptions}
        for key in {**kept, **now_kept}:
            if kept.get(key) != now_kept.get(key):
                word = "removed" if key not in now_kept else "added" if key not in kept else "changed"
                yield f"signal exception {key[0]}/{key[1]} {word}: {_text((now_kept.get(key) or kept[key]).reason)}"

    def _plans(self) -> Iterator[str]:
        old, new = ({plan.id: plan for plan in code.plans} for code in (self.a, self.b))
        both = {g.id for g in self.a.signal_groups} & {g.id for g in self.b.signal_groups}
        for name in {**old, **new}:
            x, y = old.get(name), new.get(name)
            if x is None or y is None:
                yield f"plan {name} {'removed' if y is None else 'added'}"
                continue
            if x.offset_ms != y.offset_ms:
                yield f"plan {name}: offset {x.offset_ms / 1000:g} -> {y.offset_ms / 1000:g} s"
            if x.actuated != y.actuated:
                yield f"plan {name}: {'actuated' if y.actuated else 'fixed-time'} now"
            cycles = [sum(phase.ms for phase in plan.phases) / 1000 for plan in (x, y)]
            times = [[(phase.ms, phase.min_ms, phase.max_ms) for phase in plan.phases] for plan in (x, y)]
            if times[0] != times[1]:
                yield f"plan {name}: {len(x.phases)} phases of {cycles[0]:g} s -> {len(y.phases)} of {cycles[1]:g} s{_phase_times(times)}"
            if _shown(self.a, x, both) != _shown(self.b, y, both):
                yield f"plan {name}: shows other colours for signal groups {listed(_recoloured(self.a, x, self.b, y, both))}"

    def _rules(self) -> Iterator[str]:
        old = {rule.id: rule for rule in self.a.rules}
        new = {rule.id: rule for rule in self.b.rules}
        follow = []
        entities = _entities(self.b)
        for name in {**old, **new}:
            x, y = old.get(name), new.get(name)
            if x == y:
                continue
            if (x is None or repeats_lanes(self.a, x)) and (y is None or repeats_lanes(self.b, y)):
                follow.append(name)
            elif x is None and y is not None:
                yield f"{_rule(y)} added: {_terms(y)}"
            elif x is not None and y is None:
                lost = all(target.entity not in entities for target in x.targets)
                why = f"lost its place: {_targets(x.targets)} {'is' if len(x.targets) == 1 else 'are'} gone" if lost else f"removed: it was {_terms(x)}"
                yield f"{_rule(x)} {why}"
            elif x is not None and y is not None:
                yield from _rule_changes(x, y, entities)
        if follow:
            yield f"rules that repeat the lanes' limits and uses follow: {listed(follow)}"

    def _others(self) -> Iterator[str]:
        """Yield what came and went of the other tables, and what moved."""
        for table in ("nodes", "crosswalks", "zones", "devices"):
            stayed = {row.id: row for row in getattr(self.unshifted, table)}
            for name, (x, y) in self.rows[table].items():
                called = f"{WORDS[table]} {name}" + (f" ({(y or x).kind})" if table in ("zones", "devices") else "")
                if x is None or y is None:
                    yield f"{called} {'removed' if y is None else 'added'}"
                    continue
                old = _places(stayed[name])
                if _places(y) != old and (not self.shift or (_farthest(_places(x), _places(y)) or 1.0) > SAME_SHIFT):
                    far = _farthest(old, _places(y))
                    yield f"{called} moved {metres(far)}" if far is not None and far > 0 else f"{called}: its outline changed"

    def _fields(self) -> Iterator[str]:
        """Yield every other field that differs, the same change of many things in one line."""
        told = {"id", "alias", "points", "speed", "group", "axis", "polygon", "lat_e7", "lon_e7"}
        found: dict[tuple[str, str, str, str], list[str]] = {}
        for table in TABLES:
            for name, (x, y) in self.rows[table].items():
                if not (x and y):
                    continue
                for field in x.__struct_fields__:
                    was, now = getattr(x, field), getattr(y, field)
                    if was == now or field in told or (field == "number" and y.link in self.counted):
                        continue
                    found.setdefault((WORDS[table], field, _text(was), _text(now)), []).append(name)
            yield from self._aliases(WORDS[table], self.rows[table])
        for (word, field, was, now), names in found.items():
            yield f"{word} {listed(names)}: {field} {was} -> {now}"

    def _aliases(self, word: str, rows: dict[str, tuple[Any, Any]]) -> Iterator[str]:
        found = []
        for name, (x, y) in rows.items():
            if x and y and x.alias != y.alias:
                was = [f"{alias.kind} {alias.value}" for alias in x.alias if alias not in y.alias]
                now = [f"{alias.kind} {alias.value}" for alias in y.alias if alias not in x.alias]
                found.append(f"{name + ' ' if name else ''}{', '.join(was) or 'none'} -> {', '.join(now) or 'none'}")
        if found:
            yield f"called otherwise: {word} {listed(found)}"


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
        names[table] = {item.id: known.get(item.id) or (item.id + NEW if item.id in used else item.id) for item in getattr(after, table)}
    used_groups = {group.id for group in before.signal_groups}
    groups = {
        group.id: matches.groups.get(group.id) or (group.id + 1000 if group.id in used_groups else group.id) for group in after.signal_groups
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


def _gone(rows: dict[str, tuple[Any, Any]], side: int = 0) -> list[str]:
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
    if len(steps) < 4:
        return None
    table = np.array(steps, float)
    middle = np.median(table, axis=0)
    near = np.abs(table - middle).max(axis=1) * M_PER_E7 <= SAME_SHIFT / 2
    if near.mean() < 0.8 or float(np.hypot(*middle)) * M_PER_E7 < SAME_SHIFT:
        return None
    return round(float(middle[0])), round(float(middle[1]))


def _places(row: Any) -> tuple[Any, ...]:
    """Return every point of an entity."""
    if hasattr(row, "lat_e7"):
        return ((row.lat_e7, row.lon_e7),)
    return (*getattr(row, "axis", ()), *row.polygon)


def _farthest(a: tuple[Any, ...], b: tuple[Any, ...]) -> float | None:
    """Return the farthest that a point has moved, m; None where there are more or fewer now."""
    return max((distance(p, q) for p, q in zip(a, b, strict=True)), default=0.0) if len(a) == len(b) else None


def _text(item: object) -> str:
    return msgspec.json.encode(item).decode()


def _yielding(x: Conflict, y: Conflict) -> Iterator[str]:
    if x.kind != y.kind:
        yield f"conflict {x.a}/{x.b}: {x.kind} -> {y.kind}"
    for who, whom, was, now in ((x.a, x.b, x.a_yields, y.a_yields), (x.b, x.a, x.b_yields, y.b_yields)):
        if was != now:
            yield f"{who} {'yields to' if now else 'no longer yields to'} {whom}"


def _phase_times(times: list[list[Any]]) -> str:
    if len(times[0]) != len(times[1]):
        return ""
    different = [f"phase {k} {a[0] / 1000:g} -> {b[0] / 1000:g} s" if a[0] != b[0] else f"phase {k} bounds" for k, (a, b) in enumerate(zip(*times, strict=True), 1) if a != b]
    return f" ({listed(different)})"


def _shown(code: IntersectionCode, plan: Any, groups: set[int]) -> list[list[tuple[int, str]]]:
    order = [group.id for group in code.signal_groups]
    return [sorted((g, letter) for g, letter in zip(order, phase.shows, strict=False) if g in groups) for phase in plan.phases]


def _recoloured(a: IntersectionCode, x: Any, b: IntersectionCode, y: Any, groups: set[int]) -> list[str]:
    def letters(code: IntersectionCode, plan: Any) -> dict[int, str]:
        rows = _shown(code, plan, groups)
        return {g: "".join(dict(row).get(g, "") for row in rows) for g in groups}

    old, new = letters(a, x), letters(b, y)
    return [str(g) for g in sorted(groups) if old[g] != new[g]]


def _entities(code: IntersectionCode) -> set[str]:
    return {"code"} | {row.id for table in ("links", "lanes", "connections", "zones", "crosswalks") for row in getattr(code, table)}


def _rule(rule: Rule) -> str:
    return f"rule {rule.id} ({rule.kind})"


def _targets(targets: tuple[Target, ...]) -> str:
    return listed(_target(target) for target in targets)


def _target(target: Target) -> str:
    if target.s_from is None and target.s_to is None:
        return target.entity
    return f"{target.entity} from {value(target.s_from or 0)} m to {'its end' if target.s_to is None else value(target.s_to) + ' m'}"


def _terms(rule: Rule) -> str:
    words = [f"on {_targets(rule.targets)}"]
    if rule.value is not None:
        words.insert(0, f"{value(rule.value)} {VALUED.get(rule.kind, '')}".strip())
    if rule.classes:
        words.append("for " + ", ".join(rule.classes))
    if rule.calendar is not None:
        words.append("at times")
    return ", ".join(words) + (f' "{rule.text}"' if rule.text else "")


def _rule_changes(x: Rule, y: Rule, entities: set[str]) -> Iterator[str]:
    for field in x.__struct_fields__:
        was, now = getattr(x, field), getattr(y, field)
        if was == now:
            continue
        if field == "targets":
            gone = [target for target in was if target not in now]
            lost = [target for target in gone if target.entity not in entities]
            left = [target for target in gone if target not in lost]
            fresh = [target for target in now if target not in was]
            if lost:
                yield f"{_rule(y)} holds no longer on {_targets(tuple(lost))}, which {'is' if len(lost) == 1 else 'are'} gone"
            if left or fresh:
                words = [f"no longer on {_targets(tuple(left))}"] if left else []
                words += [f"also on {_targets(tuple(fresh))}"] if fresh else []
                yield f"{_rule(y)} holds {', '.join(words)}"
            if not gone and not fresh:
                yield f"{_rule(y)}: its places stand in another order"
        elif field == "value":
            unit = VALUED.get(y.kind, "")
            yield f"{_rule(y)}: {_number(was)} -> {_number(now)} {unit}".rstrip()
        else:
            yield f"{_rule(y)}: {field} {_text(was)} -> {_text(now)}"


def _number(number: float | None) -> str:
    return "none" if number is None else value(number)
