"""The last import, the code as it stands, and the new import become one code: what was written by hand stays, what the
source changed changes.

Field by field, all three in the same ids: where the source gives what it gave before, the value of the code as it
stands
is taken; where the code as it stands has what the source gave before, the source's new value. Where both changed, the
value written by hand stays, with a line in the report."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from ..findings import Loss, LossKind
from ..model import Alias, IntersectionCode, Plan, SignalGroup
from ..polygons import inside_spans
from .assumed import ids_of
from .rules import Relocation, merge_rules, rule_text
from .settle import oriented, pair

Key = Hashable
# Fields of the code that are not merged by `_merged_table` or `_merged_value` alone.
FIELDS_MERGED_APART = frozenset(
    ("id", "revision", "alias", "rules", "plans", "stop_lines", "conflicts", "signal_exceptions")
)
# They follow from other changes: no line in the report where both changed them
FIELDS_WITHOUT_NOTE = ("number",)


class Notes(list[Loss]):
    """What has lost its place, and what both changed."""

    def lost(self, name: str, detail: str) -> None:
        """Note that something written by hand is no longer in the code."""
        self.append(Loss(what=LossKind.DROPPED, entity=name, detail=detail))

    def kept(self, name: str, detail: str) -> None:
        """Note that something written by hand stays although the source gives another value."""
        self.append(Loss(what=LossKind.DIFFERS, entity=name, detail=detail))


class MergeInputs(NamedTuple):
    """The three codes that become one, in the same ids."""

    last_import: IntersectionCode
    # The code as it stands: the last import, and what was changed by hand since
    current: IntersectionCode
    new_import: IntersectionCode


def merged(inputs: MergeInputs, name_rule: Callable[[], str]) -> tuple[IntersectionCode, list[Loss]]:
    """Return the merged code, and the notes for the report: parts written by hand that lost their place, and values
    written by hand that stay against the source's."""
    notes = Notes()
    row_id = _id_of
    tables: dict[str, Any] = {}

    for field in inputs.current.__struct_fields__:
        values = [getattr(code, field) for code in inputs]
        if field in FIELDS_MERGED_APART:
            continue

        rows = [row for value in values if isinstance(value, tuple) for row in value]
        if rows and all(hasattr(row, "id") for row in rows):
            tables[field] = _merged_table(notes, inputs, field, row_id, field.rstrip("s").replace("_", " "))
        else:
            last_import, current, new_import = values
            tables[field] = _merged_value(
                notes, "code", field, last_import=last_import, current=current, new_import=new_import
            )

    tables["stop_lines"] = _merged_table(
        notes, _with_stop_lines_moved(inputs, tables["lanes"]), "stop_lines", lambda row: row.lane, "stop line"
    )
    tables["conflicts"] = _merged_table(notes, _with_conflicts_oriented(inputs), "conflicts", pair, "conflict")
    tables["signal_exceptions"] = _merged_table(notes, inputs, "signal_exceptions", pair, "signal exception")
    tables["plans"] = _merged_table(
        notes, _with_phases_for_groups(notes, inputs, tables["signal_groups"]), "plans", row_id, "plan"
    )
    code = replace(inputs.current, **tables, alias=_merged_aliases(*(code.alias for code in inputs)))
    code = _without_dangling(notes, code)
    relocation = Relocation.between(inputs.current, code)

    code = replace(
        code,
        rules=merge_rules(
            notes=notes,
            last_import=inputs.last_import.rules,
            current=inputs.current.rules,
            new_import=inputs.new_import.rules,
            relocation=relocation,
            name_rule=name_rule,
        ),
    )

    _note_empty_zones(notes, inputs.current, code)
    return _without_empty_zones(notes, code), notes


def _id_of(row: Any) -> Key:
    return str(row.id)


def _merged_table(
    notes: Notes, inputs: MergeInputs, table: str, key: Callable[[Any], Key], kind: str
) -> tuple[Any, ...]:
    """Return the merged rows of one table: in the order of the code as it stands, new ones at the end."""
    last_import, current, new_import = ({key(row): row for row in getattr(code, table)} for code in inputs)
    rows = []

    for name, row in current.items():
        title = f"{kind} {_text(name)}"
        if name in new_import:
            rows.append(_merged_row(notes, title, last_import.get(name), row, new_import[name]))
        elif name not in last_import:
            rows.append(row)  # written by hand
        # Conflicts are computed: none is written by hand
        elif last_import[name] != row and kind != "conflict":
            fields = ", ".join(
                name_of_field
                for name_of_field in row.__struct_fields__
                if getattr(row, name_of_field) != getattr(last_import[name], name_of_field)
            )
            notes.lost(title, f"is no longer in the source; what was written by hand goes with it: {fields}")

    for name, row in new_import.items():
        # Deletion by hand is an edit, too
        if name not in current and name in last_import:
            if last_import[name] != row:
                notes.kept(
                    f"{kind} {_text(name)}", "was taken out by hand and stays out, though the source has changed it"
                )
        elif name not in current:
            rows.append(row)

    return tuple(rows)


def _text(name: Key) -> str:
    return "/".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _merged_row(notes: Notes, name: str, last_import: Any, current: Any, new_import: Any) -> Any:
    """Return one row of a table, field by field; `last_import` is None for a row written by hand that the source has
    now too."""
    if last_import is None:
        if current != new_import:
            notes.kept(name, "was written by hand; the source has it now too, otherwise: the hand's stays")
        return current

    if last_import == new_import or current == new_import:
        return current

    changes = {}
    for field in current.__struct_fields__:
        before, by_hand, by_source = getattr(last_import, field), getattr(current, field), getattr(new_import, field)
        value = (
            _merged_aliases(before, by_hand, by_source)
            if field == "alias"
            else _merged_value(notes, name, field, last_import=before, current=by_hand, new_import=by_source)
        )

        if value != by_hand:
            changes[field] = value

    return replace(current, **changes) if changes else current


def _merged_value(notes: Notes, name: str, field: str, *, last_import: Any, current: Any, new_import: Any) -> Any:
    """Return the value of one field; a value changed both by hand and in the source is noted."""
    if new_import in (last_import, current):
        return current

    if current != last_import and field not in FIELDS_WITHOUT_NOTE:
        is_drawing = field in ("points", "axis", "polygon", "phases")
        values = "" if is_drawing else f": {current} stays, the source had {last_import} and has {new_import} now"
        notes.kept(
            f"{name}.{field}", f"was changed by hand and in the source{values or ': as written by hand it stays'}"
        )
        return current

    return new_import


def _merged_aliases(
    last_import: Sequence[Alias], current: Sequence[Alias], new_import: Sequence[Alias]
) -> tuple[Alias, ...]:
    """Return the source's aliases, without those taken out by hand, and those added by hand."""
    if tuple(last_import) == tuple(new_import):
        return tuple(current)

    removed = [alias for alias in last_import if alias not in current]
    added = [alias for alias in current if alias not in last_import and alias not in new_import]
    return (*(alias for alias in new_import if alias not in removed), *added)


def _with_stop_lines_moved(inputs: MergeInputs, lanes: tuple[Any, ...]) -> MergeInputs:
    """Return the three codes with stop lines that were placed by hand laid on the lanes as they are now: at the same
    place on
    the road."""
    relocation = Relocation.between(inputs.current, replace(inputs.current, lanes=lanes))
    last_import, new_import = (
        {line.lane: line for line in code.stop_lines} for code in (inputs.last_import, inputs.new_import)
    )
    rows = []
    moved = []

    for line in inputs.current.stop_lines:
        old = last_import.get(line.lane)
        s = relocation.along(line.lane, line.s)
        if old is None or old == line or s is None:
            rows.append(line if old is not None or s is None else replace(line, s=s))
            continue

        rows.append(replace(line, s=s))
        if line.lane in new_import:
            moved.append(line.lane)

    # Where the line was placed by hand, that place on the road counts, and no change that the source makes.
    settled = tuple(last_import[line.lane] if line.lane in moved else line for line in inputs.new_import.stop_lines)
    return inputs._replace(
        current=replace(inputs.current, stop_lines=tuple(rows)),
        new_import=replace(inputs.new_import, stop_lines=settled),
    )


def _with_conflicts_oriented(inputs: MergeInputs) -> MergeInputs:
    """Return the three codes with the movements of each conflict in the order in which the code as it stands has
    them.
    """
    conflict_of_pair = {pair(conflict): conflict for conflict in inputs.current.conflicts}

    def with_same_order(code: IntersectionCode) -> IntersectionCode:
        return replace(
            code,
            conflicts=tuple(
                oriented(conflict, conflict_of_pair.get(pair(conflict), conflict)) for conflict in code.conflicts
            ),
        )

    return inputs._replace(
        last_import=with_same_order(inputs.last_import), new_import=with_same_order(inputs.new_import)
    )


def _with_phases_for_groups(notes: Notes, inputs: MergeInputs, groups: tuple[SignalGroup, ...]) -> MergeInputs:
    """Return the three codes with plans whose phases show a state (one letter) of each group of the merged code, in its
    order."""
    group_ids = [group.id for group in groups]
    new_plans = {plan.id: plan for plan in _phases_for_groups(inputs.new_import, group_ids, {})}
    last_plans = {plan.id: plan for plan in _phases_for_groups(inputs.last_import, group_ids, new_plans)}
    added = sorted(set(group_ids) - {group.id for group in inputs.current.signal_groups})
    current_plans = []

    for plan in _phases_for_groups(inputs.current, group_ids, new_plans):
        if added and plan.id not in new_plans and plan.id not in last_plans:
            groups_named = ", ".join(map(str, added))
            notes.kept(
                f"plan {plan.id}",
                f"was written by hand and says nothing of the new signal group(s) {groups_named}: red throughout "
                "until it is edited",
            )

        current_plans.append(plan)

    return MergeInputs(
        last_import=replace(inputs.last_import, plans=tuple(last_plans.values())),
        current=replace(inputs.current, plans=tuple(current_plans)),
        new_import=replace(inputs.new_import, plans=tuple(new_plans.values())),
    )


def _phases_for_groups(code: IntersectionCode, group_ids: list[int], plan_of_id: dict[str, Plan]) -> tuple[Plan, ...]:
    """Return the plans of a code with phases that show a state of each group of `group_ids`. A group that the code does
    not have shows what it shows in the plan of the same id in `plan_of_id`, or red where there is none."""
    index_of_group = {group.id: index for index, group in enumerate(code.signal_groups)}
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
                (
                    phase.shows[index_of_group[group]]
                    if group in index_of_group and index_of_group[group] < len(phase.shows)
                    else default_letters[index]
                )
                for index, group in enumerate(group_ids)
            )

            phases.append(replace(phase, shows=shows))

        plans.append(replace(plan, phases=tuple(phases)))

    return tuple(plans)


def _without_dangling(notes: Notes, code: IntersectionCode) -> IntersectionCode:
    """Return the code without what names something that is gone."""
    nodes, links = ids_of(code.nodes) | {""}, ids_of(code.links)
    lanes = _with_known_parts(notes, "lane", code.lanes, lambda lane: [lane.link], links)
    lane_ids = ids_of(lanes)
    connections = _with_known_parts(
        notes, "connection", code.connections, lambda connection: [connection.from_lane, connection.to_lane], lane_ids
    )
    connection_ids = ids_of(connections)
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
        connections=tuple(_with_known_group(notes, connection, groups) for connection in connections),
        conflicts=tuple(connection for connection in code.conflicts if {connection.a, connection.b} <= connection_ids),
        stop_lines=tuple(line for line in code.stop_lines if line.lane in lane_ids),
        crosswalks=tuple(_with_known_group(notes, walk, groups) for walk in code.crosswalks),
        signal_exceptions=_with_known_parts(
            notes, "signal exception", code.signal_exceptions, lambda exception: [exception.a, exception.b], groups
        ),
    )


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


def _note_empty_zones(notes: Notes, before: IntersectionCode, after: IntersectionCode) -> None:
    """Note each zone that covered a lane of `before` and covers none of `after`."""
    covered_before, covered_after = Relocation.covered(before), Relocation.covered(after)
    for zone in after.zones:
        if zone.id in covered_before and zone.id not in covered_after:
            notes.kept(f"zone {zone.id}", f"({zone.kind}) covers no lane any more: see whether it still has a place")


def _without_empty_zones(notes: Notes, code: IntersectionCode) -> IntersectionCode:
    """Return the code without rules on zones that cover no lane and no movement: a node would refuse it whole."""
    lines = [
        points
        for points in (*(lane.points for lane in code.lanes), *(connection.points for connection in code.connections))
        if points
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
