"""The last import, the code as it stands, and the new import become one code: what was written by hand stays, what the source changed changes.

Field by field, all three in the same ids: where the source says what it said before, the code as it stands is right; where the code as
it stands is what the source said before, the new word of the source is. Where both changed, the hand's word stays, and a line says so.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from ..findings import Loss
from ..model import Alias, IntersectionCode, Plan, SignalGroup
from ..rule import Rule
from ..rules import inside_spans
from .rules import Relocation, merged_rules, written
from .settle import oriented, pair

Key = Hashable
OWN_WAY = frozenset(
    ("id", "revision", "alias", "rules", "plans", "stop_lines", "conflicts", "signal_exceptions")
)  # fields that have a way of their own here
SILENT = ("number",)  # fields that follow from other changes: a hand's word about them is not worth a line


class Notes(list[Loss]):
    """What has lost its place, and what both changed."""

    def lost(self, name: str, detail: str) -> None:
        """Say that something written by hand is no longer in the code."""
        self.append(Loss("dropped", name, detail))

    def kept(self, name: str, detail: str) -> None:
        """Say that something written by hand stays although the source says otherwise."""
        self.append(Loss("differs", name, detail))


class Three(NamedTuple):
    """The last import, the code as it stands, the new import."""

    base: IntersectionCode
    prev: IntersectionCode
    new: IntersectionCode


def merged(three: Three, name_rule: Callable[[], str]) -> tuple[IntersectionCode, list[Loss]]:
    """Return the code, and what is to be said of it: hand-written parts that lost their place, and words that stand against the source's."""
    notes = Notes()
    by_id = _id_of
    tables: dict[str, Any] = {}
    for field in three.prev.__struct_fields__:
        values = [getattr(code, field) for code in three]
        if field in OWN_WAY:
            continue
        rows = [row for value in values if isinstance(value, tuple) for row in value]
        if rows and all(hasattr(row, "id") for row in rows):
            tables[field] = _table(notes, three, field, by_id, field.rstrip("s").replace("_", " "))
        else:
            tables[field] = _field(notes, "code", field, *values)
    tables["stop_lines"] = _table(
        notes, _along_lanes(three, tables["lanes"]), "stop_lines", lambda row: row.lane, "stop line"
    )
    tables["conflicts"] = _table(notes, _turned(three), "conflicts", pair, "conflict")
    tables["signal_exceptions"] = _table(notes, three, "signal_exceptions", pair, "signal exception")
    tables["plans"] = _table(notes, _lettered(notes, three, tables["signal_groups"]), "plans", by_id, "plan")
    code = replace(three.prev, **tables, alias=_aliases(*(code.alias for code in three)))
    code = _whole(notes, code)
    relocation = Relocation.between(three.prev, code)
    code = replace(
        code, rules=merged_rules(notes, three.base.rules, three.prev.rules, three.new.rules, relocation, name_rule)
    )
    _empty_zones(notes, three.prev, code)
    return _without_empty_zones(notes, code), notes


def _id_of(row: Any) -> Key:
    return str(row.id)


def _table(notes: Notes, three: Three, table: str, key: Callable[[Any], Key], kind: str) -> tuple[Any, ...]:
    """Return one table, in the order it had, what is new at the end."""
    base, prev, new = ({key(row): row for row in getattr(code, table)} for code in three)
    out = []
    for name, row in prev.items():
        said = f"{kind} {_text(name)}"
        if name in new:
            out.append(_row(notes, said, base.get(name), row, new[name]))
        elif name not in base:
            out.append(row)  # written by hand
        elif base[name] != row and kind != "conflict":
            fields = ", ".join(f for f in row.__struct_fields__ if getattr(row, f) != getattr(base[name], f))
            notes.lost(said, f"is no longer in the source; what was written by hand goes with it: {fields}")
    for name, row in new.items():
        if name not in prev and name in base:
            if base[name] != row:
                notes.kept(
                    f"{kind} {_text(name)}", "was taken out by hand and stays out, though the source has changed it"
                )
        elif name not in prev:
            out.append(row)
    return tuple(out)


def _text(name: Key) -> str:
    return "/".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _row(notes: Notes, name: str, base: Any, prev: Any, new: Any) -> Any:
    if base is None:  # written by hand, and now the source has it too
        if prev != new:
            notes.kept(name, "was written by hand; the source has it now too, otherwise: the hand's stays")
        return prev
    if base == new or prev == new:
        return prev
    changes = {}
    for field in prev.__struct_fields__:
        before, mine, theirs = getattr(base, field), getattr(prev, field), getattr(new, field)
        value = _aliases(before, mine, theirs) if field == "alias" else _field(notes, name, field, before, mine, theirs)
        if value != mine:
            changes[field] = value
    return replace(prev, **changes) if changes else prev


def _field(notes: Notes, name: str, field: str, base: Any, prev: Any, new: Any) -> Any:
    if new == base or prev == new:
        return prev
    if prev != base and field not in SILENT:
        drawn = field in ("points", "axis", "polygon", "phases")
        values = "" if drawn else f": {prev} stays, the source had {base} and has {new} now"
        notes.kept(
            f"{name}.{field}", f"was changed by hand and in the source{values or ': as written by hand it stays'}"
        )
        return prev
    return new


def _aliases(base: Sequence[Alias], prev: Sequence[Alias], new: Sequence[Alias]) -> tuple[Alias, ...]:
    """Return the source's aliases, without those taken out by hand, and those added by hand."""
    if tuple(base) == tuple(new):
        return tuple(prev)
    removed = [alias for alias in base if alias not in prev]
    added = [alias for alias in prev if alias not in base and alias not in new]
    return (*(alias for alias in new if alias not in removed), *added)


def _along_lanes(three: Three, lanes: tuple[Any, ...]) -> Three:
    """Return the three with stop lines that were placed by hand laid on the lanes as they are now: at the same place on the road."""
    relocation = Relocation.between(three.prev, replace(three.prev, lanes=lanes))
    base, new = ({line.lane: line for line in code.stop_lines} for code in (three.base, three.new))
    rows = []
    moved = []
    for line in three.prev.stop_lines:
        old = base.get(line.lane)
        s = relocation.along(line.lane, line.s)
        if old is None or old == line or s is None:
            rows.append(line if old is not None or s is None else replace(line, s=s))
            continue
        rows.append(replace(line, s=s))
        if line.lane in new:
            moved.append(line.lane)
    # where the hand placed it, the source's own word does not count as a change: the place on the road does
    settled = tuple(base[line.lane] if line.lane in moved else line for line in three.new.stop_lines)
    return three._replace(prev=replace(three.prev, stop_lines=tuple(rows)), new=replace(three.new, stop_lines=settled))


def _turned(three: Three) -> Three:
    """Return the three with the movements of each conflict in the order in which the code as it stands has them."""
    like = {pair(c): c for c in three.prev.conflicts}

    def same(code: IntersectionCode) -> IntersectionCode:
        return replace(code, conflicts=tuple(oriented(c, like.get(pair(c), c)) for c in code.conflicts))

    return three._replace(base=same(three.base), new=same(three.new))


def _lettered(notes: Notes, three: Three, groups: tuple[SignalGroup, ...]) -> Three:
    """Return the three with plans whose phases have a letter for each group of the merged code, in its order."""
    order = [group.id for group in groups]
    new = {plan.id: plan for plan in _spread(three.new, order, {})}
    base = _spread(three.base, order, new)
    old = {plan.id: plan for plan in base}
    prev = []
    for plan in _spread(three.prev, order, new):
        added = sorted(set(order) - {group.id for group in three.prev.signal_groups})
        if added and plan.id not in new and plan.id not in old:
            groups_named = ", ".join(map(str, added))
            notes.kept(
                f"plan {plan.id}",
                f"was written by hand and says nothing of the new signal group(s) {groups_named}: red throughout until it is edited",
            )
        prev.append(plan)
    return Three(
        replace(three.base, plans=base),
        replace(three.prev, plans=tuple(prev)),
        replace(three.new, plans=tuple(new.values())),
    )


def _spread(code: IntersectionCode, order: list[int], like: dict[str, Plan]) -> tuple[Plan, ...]:
    """Return plans with a letter for each group of `order`; for a group they do not know, that of the plan `like` them, or red."""
    place = {group.id: k for k, group in enumerate(code.signal_groups)}
    out = []
    for plan in code.plans:
        other = like.get(plan.id)
        phases = []
        for n, phase in enumerate(plan.phases):
            beside = (
                other.phases[n].shows
                if other is not None and len(other.phases) == len(plan.phases)
                else "R" * len(order)
            )
            shows = "".join(
                phase.shows[place[g]] if g in place and place[g] < len(phase.shows) else beside[k]
                for k, g in enumerate(order)
            )
            phases.append(replace(phase, shows=shows))
        out.append(replace(plan, phases=tuple(phases)))
    return tuple(out)


def _whole(notes: Notes, code: IntersectionCode) -> IntersectionCode:
    """Return the code without what names something that is gone."""
    nodes, links = _ids(code.nodes) | {""}, _ids(code.links)
    lanes = _kept(notes, "lane", code.lanes, lambda lane: [lane.link], links)
    known = _ids(lanes)
    connections = _kept(notes, "connection", code.connections, lambda c: [c.from_lane, c.to_lane], known)
    moves = _ids(connections)
    groups = {group.id for group in code.signal_groups} | {0}
    return replace(
        code,
        links=tuple(
            replace(link, upstream=_in(link.upstream, nodes), downstream=_in(link.downstream, nodes))
            for link in code.links
        ),
        lanes=lanes,
        connections=tuple(_grouped(notes, c, groups) for c in connections),
        conflicts=tuple(c for c in code.conflicts if {c.a, c.b} <= moves),
        stop_lines=tuple(line for line in code.stop_lines if line.lane in known),
        crosswalks=tuple(_grouped(notes, walk, groups) for walk in code.crosswalks),
        signal_exceptions=_kept(notes, "signal exception", code.signal_exceptions, lambda e: [e.a, e.b], groups),
    )


def _ids(rows: Iterable[Any]) -> set[str]:
    return {row.id for row in rows}


def _in(name: str, known: set[str]) -> str:
    return name if name in known else ""


def _kept(
    notes: Notes, kind: str, rows: Sequence[Any], needs: Callable[[Any], list[Any]], known: set[Any]
) -> tuple[Any, ...]:
    out = []
    for row in rows:
        gone = [str(name) for name in needs(row) if name not in known]
        if gone:
            notes.lost(
                f"{kind} {getattr(row, 'id', _text(pair(row)) if kind == 'signal exception' else '')}",
                f"lost its place: {', '.join(gone)} is gone",
            )
        else:
            out.append(row)
    return tuple(out)


def _grouped(notes: Notes, row: Any, groups: set[int]) -> Any:
    if row.group in groups:
        return row
    notes.lost(row.id, f"signal group {row.group} is gone: left without a group")
    return replace(row, group=0)


def _empty_zones(notes: Notes, before: IntersectionCode, after: IntersectionCode) -> None:
    """Say which zones covered a lane before and cover none now."""
    had, has = Relocation.covered(before), Relocation.covered(after)
    for zone in after.zones:
        if zone.id in had and zone.id not in has:
            notes.kept(f"zone {zone.id}", f"({zone.kind}) covers no lane any more: see whether it still has a place")


def _without_empty_zones(notes: Notes, code: IntersectionCode) -> IntersectionCode:
    """Return the code without rules on zones that cover no lane and no movement: a node would refuse it whole."""
    lines = [
        points for points in (*(lane.points for lane in code.lanes), *(c.points for c in code.connections)) if points
    ]
    ruled = {target.entity for rule in code.rules for target in rule.targets}
    empty = {
        zone.id
        for zone in code.zones
        if zone.id in ruled and zone.polygon and not any(next(inside_spans(line, zone.polygon), None) for line in lines)
    }
    rules = []
    for rule in code.rules:
        targets = tuple(target for target in rule.targets if target.entity not in empty)
        if targets:
            rules.append(replace(rule, targets=targets))
        if len(targets) < len(rule.targets):
            gone = ", ".join(sorted(empty & {target.entity for target in rule.targets}))
            notes.lost(
                f"rule {rule.id}",
                f"({rule.kind}) lost its place: {gone} covers no lane any more; "
                + (f"it stays on the rest; it was {written(rule)}" if targets else f"it was {written(rule)}"),
            )
    return replace(code, rules=tuple(rules)) if empty else code


def assumed_base(prev: IntersectionCode, new: IntersectionCode) -> IntersectionCode:
    """Return what the last import may have given, where that was not kept: `prev` without what only a hand writes.

    These are rules that do more than repeat the lanes' limits and uses, zones and devices, signal exceptions, plans that the source does
    not name, aliases of kinds that it does not give, and the interval in which the revision holds.
    """
    kinds = {alias.kind for alias in new.alias}
    kinds |= {
        alias.kind
        for table in ("nodes", "links", "lanes", "connections", "crosswalks")
        for row in getattr(new, table)
        for alias in row.alias
    }
    named = {plan.id for plan in new.plans}
    zones, devices = _ids(new.zones), _ids(new.devices)
    return replace(
        prev,
        alias=tuple(alias for alias in prev.alias if alias.kind in kinds),
        plans=tuple(plan for plan in prev.plans if plan.id in named),
        zones=tuple(zone for zone in prev.zones if zone.id in zones),
        devices=tuple(device for device in prev.devices if device.id in devices),
        signal_exceptions=tuple(e for e in prev.signal_exceptions if e in new.signal_exceptions),
        rules=tuple(rule for rule in prev.rules if repeats_lanes(prev, rule)),
        valid_from=new.valid_from,
        valid_to=new.valid_to,
        accuracy_cm=new.accuracy_cm,
    )


def repeats_lanes(code: IntersectionCode, rule: Rule) -> bool:
    """Return whether a rule says no more than the lanes it names: their limit, or that they are bus lanes."""
    if rule != Rule(rule.id, rule.kind, rule.targets, rule.value) or any(
        t.s_from is not None or t.s_to is not None for t in rule.targets
    ):
        return False
    names = {target.entity for target in rule.targets}
    lanes = [lane for lane in code.lanes if (lane.id in names or lane.link in names) and lane.use != "pedestrian"]
    if rule.kind == "speed_max":
        return bool(lanes) and all(lane.speed == rule.value for lane in lanes)
    return rule.kind == "bus_lane" and bool(lanes) and all(lane.use == "bus" for lane in lanes)
