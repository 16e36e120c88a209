"""The last import, the code as it stands, and the new import become one code: what was written by hand stays, what the
source changed changes.

Field by field, all three in the same ids: where the source says what it said before, the code as it stands is right;
where the code as it stands is what the source said before, the new word of the source is. Where both changed, the
hand's word stays, and a line says so."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from ..findings import Loss
from ..model import Alias, IntersectionCode, Plan, SignalGroup
from ..rule import Rule
from ..rules import inside_spans
from .rules import Relocation, merge_rules, rule_text
from .settle import oriented, pair

Key = Hashable
# Fields that have a way of their own here
FIELDS_MERGED_APART = frozenset(
    ("id", "revision", "alias", "rules", "plans", "stop_lines", "conflicts", "signal_exceptions")
)
FIELDS_WITHOUT_NOTE = ("number",)  # fields that follow from other changes: a hand's word about them is not worth a line


class Notes(list[Loss]):
    """What has lost its place, and what both changed."""

    def lost(self, name: str, detail: str) -> None:
        """Say that something written by hand is no longer in the code."""
        self.append(Loss(what="dropped", entity=name, detail=detail))

    def kept(self, name: str, detail: str) -> None:
        """Say that something written by hand stays although the source says otherwise."""
        self.append(Loss(what="differs", entity=name, detail=detail))


class MergeInputs(NamedTuple):
    """The last import, the code as it stands, the new import."""

    base: IntersectionCode
    prev: IntersectionCode
    new: IntersectionCode


def merged(inputs: MergeInputs, name_rule: Callable[[], str]) -> tuple[IntersectionCode, list[Loss]]:
    """Return the code, and what is to be said of it: hand-written parts that lost their place, and words that stand
    against the source's."""
    notes = Notes()
    row_id = _id_of
    tables: dict[str, Any] = {}

    for field in inputs.prev.__struct_fields__:
        values = [getattr(code, field) for code in inputs]
        if field in FIELDS_MERGED_APART:
            continue

        rows = [row for value in values if isinstance(value, tuple) for row in value]
        if rows and all(hasattr(row, "id") for row in rows):
            tables[field] = _table(notes, inputs, field, row_id, field.rstrip("s").replace("_", " "))
        else:
            tables[field] = _field(notes, "code", field, *values)

    tables["stop_lines"] = _table(
        notes, _with_stop_lines_moved(inputs, tables["lanes"]), "stop_lines", lambda row: row.lane, "stop line"
    )
    tables["conflicts"] = _table(notes, _with_conflicts_oriented(inputs), "conflicts", pair, "conflict")
    tables["signal_exceptions"] = _table(notes, inputs, "signal_exceptions", pair, "signal exception")
    tables["plans"] = _table(notes, _with_letters(notes, inputs, tables["signal_groups"]), "plans", row_id, "plan")
    code = replace(inputs.prev, **tables, alias=_aliases(*(code.alias for code in inputs)))
    code = _without_dangling(notes, code)
    relocation = Relocation.between(inputs.prev, code)

    code = replace(
        code,
        rules=merge_rules(
            notes=notes,
            base=inputs.base.rules,
            prev=inputs.prev.rules,
            new=inputs.new.rules,
            relocation=relocation,
            name_rule=name_rule,
        ),
    )
    _empty_zones(notes, inputs.prev, code)
    return _without_empty_zones(notes, code), notes


def _id_of(row: Any) -> Key:
    return str(row.id)


def _table(notes: Notes, inputs: MergeInputs, table: str, key: Callable[[Any], Key], kind: str) -> tuple[Any, ...]:
    """Return one table, in the order it had, what is new at the end."""
    base, prev, new = ({key(row): row for row in getattr(code, table)} for code in inputs)
    rows = []
    for name, row in prev.items():
        title = f"{kind} {_text(name)}"
        if name in new:
            rows.append(_row(notes, title, base.get(name), row, new[name]))
        elif name not in base:
            rows.append(row)  # written by hand
        elif base[name] != row and kind != "conflict":
            fields = ", ".join(
                name_of_field
                for name_of_field in row.__struct_fields__
                if getattr(row, name_of_field) != getattr(base[name], name_of_field)
            )
            notes.lost(title, f"is no longer in the source; what was written by hand goes with it: {fields}")

    for name, row in new.items():
        if name not in prev and name in base:
            if base[name] != row:
                notes.kept(
                    f"{kind} {_text(name)}", "was taken out by hand and stays out, though the source has changed it"
                )
        elif name not in prev:
            rows.append(row)

    return tuple(rows)


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
        before, by_hand, by_source = getattr(base, field), getattr(prev, field), getattr(new, field)
        value = (
            _aliases(before, by_hand, by_source)
            if field == "alias"
            else _field(notes=notes, name=name, field=field, base=before, prev=by_hand, new=by_source)
        )

        if value != by_hand:
            changes[field] = value

    return replace(prev, **changes) if changes else prev


def _field(notes: Notes, name: str, field: str, base: Any, prev: Any, new: Any) -> Any:
    if new == base or prev == new:
        return prev

    if prev != base and field not in FIELDS_WITHOUT_NOTE:
        is_drawing = field in ("points", "axis", "polygon", "phases")
        values = "" if is_drawing else f": {prev} stays, the source had {base} and has {new} now"
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


def _with_stop_lines_moved(inputs: MergeInputs, lanes: tuple[Any, ...]) -> MergeInputs:
    """Return the three with stop lines that were placed by hand laid on the lanes as they are now: at the same place on
    the road."""
    relocation = Relocation.between(inputs.prev, replace(inputs.prev, lanes=lanes))
    base, new = ({line.lane: line for line in code.stop_lines} for code in (inputs.base, inputs.new))
    rows = []
    moved = []

    for line in inputs.prev.stop_lines:
        old = base.get(line.lane)
        s = relocation.along(line.lane, line.s)
        if old is None or old == line or s is None:
            rows.append(line if old is not None or s is None else replace(line, s=s))
            continue

        rows.append(replace(line, s=s))
        if line.lane in new:
            moved.append(line.lane)

    # where the hand placed it, the source's own word does not count as a change: the place on the road does
    settled = tuple(base[line.lane] if line.lane in moved else line for line in inputs.new.stop_lines)
    return inputs._replace(
        prev=replace(inputs.prev, stop_lines=tuple(rows)), new=replace(inputs.new, stop_lines=settled)
    )


def _with_conflicts_oriented(inputs: MergeInputs) -> MergeInputs:
    """Return the three with the movements of each conflict in the order in which the code as it stands has them."""
    conflict_of_pair = {pair(conflict): conflict for conflict in inputs.prev.conflicts}

    def with_same_order(code: IntersectionCode) -> IntersectionCode:
        return replace(
            code,
            conflicts=tuple(
                oriented(conflict, conflict_of_pair.get(pair(conflict), conflict)) for conflict in code.conflicts
            ),
        )

    return inputs._replace(base=with_same_order(inputs.base), new=with_same_order(inputs.new))


def _with_letters(notes: Notes, inputs: MergeInputs, groups: tuple[SignalGroup, ...]) -> MergeInputs:
    """Return the three with plans whose phases have a letter for each group of the merged code, in its order."""
    group_ids = [group.id for group in groups]
    new = {plan.id: plan for plan in _phases_for_groups(inputs.new, group_ids, {})}
    base = _phases_for_groups(inputs.base, group_ids, new)
    old = {plan.id: plan for plan in base}
    prev = []

    for plan in _phases_for_groups(inputs.prev, group_ids, new):
        added = sorted(set(group_ids) - {group.id for group in inputs.prev.signal_groups})
        if added and plan.id not in new and plan.id not in old:
            groups_named = ", ".join(map(str, added))
            notes.kept(
                f"plan {plan.id}",
                f"was written by hand and says nothing of the new signal group(s) {groups_named}: red throughout "
                "until it is edited",
            )

        prev.append(plan)

    return MergeInputs(
        replace(inputs.base, plans=base),
        replace(inputs.prev, plans=tuple(prev)),
        replace(inputs.new, plans=tuple(new.values())),
    )


def _phases_for_groups(code: IntersectionCode, group_ids: list[int], plan_of_id: dict[str, Plan]) -> tuple[Plan, ...]:
    """Return plans with a letter for each group of `group_ids`; for a group they do not know, that of the plan
    `plan_of_id` them, or red."""
    index_of_group = {group.id: k for k, group in enumerate(code.signal_groups)}
    plans = []
    for plan in code.plans:
        other = plan_of_id.get(plan.id)
        phases = []
        for number, phase in enumerate(plan.phases):
            default_letters = (
                other.phases[number].shows
                if other is not None and len(other.phases) == len(plan.phases)
                else "R" * len(group_ids)
            )
            shows = "".join(
                phase.shows[index_of_group[group]]
                if group in index_of_group and index_of_group[group] < len(phase.shows)
                else default_letters[k]
                for k, group in enumerate(group_ids)
            )
            phases.append(replace(phase, shows=shows))

        plans.append(replace(plan, phases=tuple(phases)))

    return tuple(plans)


def _without_dangling(notes: Notes, code: IntersectionCode) -> IntersectionCode:
    """Return the code without what names something that is gone."""
    nodes, links = _ids(code.nodes) | {""}, _ids(code.links)
    lanes = _with_known_parts(notes, "lane", code.lanes, lambda lane: [lane.link], links)
    lane_ids = _ids(lanes)
    connections = _with_known_parts(notes, "connection", code.connections, lambda c: [c.from_lane, c.to_lane], lane_ids)
    connection_ids = _ids(connections)
    groups = {group.id for group in code.signal_groups} | {0}

    return replace(
        code,
        links=tuple(
            replace(
                link, upstream=_name_if_known(link.upstream, nodes), downstream=_name_if_known(link.downstream, nodes)
            )
            for link in code.links
        ),
        lanes=lanes,
        connections=tuple(_with_known_group(notes, c, groups) for c in connections),
        conflicts=tuple(c for c in code.conflicts if {c.a, c.b} <= connection_ids),
        stop_lines=tuple(line for line in code.stop_lines if line.lane in lane_ids),
        crosswalks=tuple(_with_known_group(notes, walk, groups) for walk in code.crosswalks),
        signal_exceptions=_with_known_parts(
            notes, "signal exception", code.signal_exceptions, lambda e: [e.a, e.b], groups
        ),
    )


def _ids(rows: Iterable[Any]) -> set[str]:
    return {row.id for row in rows}


def _name_if_known(name: str, known_ids: set[str]) -> str:
    return name if name in known_ids else ""


def _with_known_parts(
    notes: Notes, kind: str, rows: Sequence[Any], required_ids: Callable[[Any], list[Any]], known_ids: set[Any]
) -> tuple[Any, ...]:
    rows_kept = []
    for row in rows:
        missing = [str(name) for name in required_ids(row) if name not in known_ids]
        if missing:
            notes.lost(
                f"{kind} {getattr(row, 'id', _text(pair(row)) if kind == 'signal exception' else '')}",
                f"lost its place: {', '.join(missing)} is gone",
            )
        else:
            rows_kept.append(row)

    return tuple(rows_kept)


def _with_known_group(notes: Notes, row: Any, groups: set[int]) -> Any:
    if row.group in groups:
        return row
    notes.lost(row.id, f"signal group {row.group} is gone: left without a group")
    return replace(row, group=0)


def _empty_zones(notes: Notes, before: IntersectionCode, after: IntersectionCode) -> None:
    """Say which zones covered a lane before and cover none now."""
    covered_before, covered_after = Relocation.covered(before), Relocation.covered(after)
    for zone in after.zones:
        if zone.id in covered_before and zone.id not in covered_after:
            notes.kept(f"zone {zone.id}", f"({zone.kind}) covers no lane any more: see whether it still has a place")


def _without_empty_zones(notes: Notes, code: IntersectionCode) -> IntersectionCode:
    """Return the code without rules on zones that cover no lane and no movement: a node would refuse it whole."""
    lines = [
        points for points in (*(lane.points for lane in code.lanes), *(c.points for c in code.connections)) if points
    ]
    zones_with_rules = {target.entity for rule in code.rules for target in rule.targets}

    empty_zones = {
        zone.id
        for zone in code.zones
        if zone.id in zones_with_rules
        and zone.polygon
        and not any(next(inside_spans(line, zone.polygon), None) for line in lines)
    }
    rules = []
    for rule in code.rules:
        targets = tuple(target for target in rule.targets if target.entity not in empty_zones)
        if targets:
            rules.append(replace(rule, targets=targets))

        if len(targets) < len(rule.targets):
            lost_zones = ", ".join(sorted(empty_zones & {target.entity for target in rule.targets}))
            notes.lost(
                f"rule {rule.id}",
                f"({rule.kind}) lost its place: {lost_zones} covers no lane any more; "
                + (f"it stays on the rest; it was {rule_text(rule)}" if targets else f"it was {rule_text(rule)}"),
            )

    return replace(code, rules=tuple(rules)) if empty_zones else code


def assumed_base(prev: IntersectionCode, new: IntersectionCode) -> IntersectionCode:
    """Return what the last import may have given, where that was not kept: `prev` without what only a hand writes.

    These are rules that do more than repeat the lanes' limits and uses, zones and devices, signal exceptions, plans
    that the source does not name, aliases of kinds that it does not give, and the interval in which the revision holds.
    """
    alias_kinds = {alias.kind for alias in new.alias}
    alias_kinds |= {
        alias.kind
        for table in ("nodes", "links", "lanes", "connections", "crosswalks")
        for row in getattr(new, table)
        for alias in row.alias
    }

    plan_ids = {plan.id for plan in new.plans}
    zones, devices = _ids(new.zones), _ids(new.devices)

    return replace(
        prev,
        alias=tuple(alias for alias in prev.alias if alias.kind in alias_kinds),
        plans=tuple(plan for plan in prev.plans if plan.id in plan_ids),
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
    if rule != Rule(id=rule.id, kind=rule.kind, targets=rule.targets, value=rule.value) or any(
        target.s_from is not None or target.s_to is not None for target in rule.targets
    ):
        return False

    target_ids = {target.entity for target in rule.targets}
    lanes = [
        lane for lane in code.lanes if (lane.id in target_ids or lane.link in target_ids) and lane.use != "pedestrian"
    ]
    if rule.kind == "speed_max":
        return bool(lanes) and all(lane.speed == rule.value for lane in lanes)

    return rule.kind == "bus_lane" and bool(lanes) and all(lane.use == "bus" for lane in lanes)
