"""Ids of one code for the entities of another: what was there before has the id it had, what is new gets a number that
was never given."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from ..findings import refuse
from ..model import IntersectionCode
from ..rule import Rule, Target
from .match import Matches

# Of entities with a letter and a number
ID_TABLES = (
    "nodes",
    "links",
    "lanes",
    "connections",
    "crosswalks",
    "zones",
    "devices",
)
LETTER_OF_TABLE = {
    "nodes": "N",
    "links": "K",
    "lanes": "L",
    "connections": "C",
    "crosswalks": "X",
    "zones": "Z",
    "devices": "D",
    "rules": "R",
}
GROUP_LETTER = "G"
MAX_GROUP = 255  # a signal group has eight bits in MAP and SPAT
MAX_SPAN_DIFFERENCE = 0.05  # m along a lane by which a place may be rounded
NUMBERED_ID = re.compile(r"([A-Z]+)(\d+)")


def with_unique_ids(code: IntersectionCode) -> tuple[IntersectionCode, list[str]]:
    """Return a code with each id once in its table, the first row of each, and the ids that stood twice: an error in a
    code spoilt by hand."""
    changes: dict[str, Any] = {}
    repeated_ids: list[str] = []

    for field in code.__struct_fields__:
        rows = getattr(code, field)
        if isinstance(rows, tuple) and rows and hasattr(rows[0], "id"):
            first_row = {row.id: row for row in reversed(rows)}
            count = Counter(row.id for row in rows)
            repeated_ids += [str(name) for name, occurrences in count.items() if occurrences > 1]
            changes[field] = tuple(first_row[name] for name in count)

    return (replace(code, **changes) if repeated_ids else code), repeated_ids


class Numbering:
    """The highest number ever given of each letter: `highest` is kept with the code, so that no id is given twice."""

    def __init__(self, highest: dict[str, int] | None = None) -> None:
        self.highest = dict(highest or {})

    def note(self, codes: Iterable[IntersectionCode]) -> None:
        """Take into account every id that codes use."""
        for code in codes:
            for table in (*ID_TABLES, "rules"):
                for entity in getattr(code, table):
                    match = NUMBERED_ID.fullmatch(entity.id)
                    if match:
                        self._raise(match[1], int(match[2]))

            for group in code.signal_groups:
                self._raise(GROUP_LETTER, group.id)

    def next(self, letter: str) -> str:
        """Return an id that was never given."""
        self._raise(letter, self.highest.get(letter, 0) + 1)
        return f"{letter}{self.highest[letter]}"

    def _raise(self, letter: str, number: int) -> None:
        self.highest[letter] = max(self.highest.get(letter, 0), number)

    def next_group(self, taken_numbers: set[int], where: str) -> int:
        """Return a signal group's number: one that was never given while there is one, then one that is free. Raises
        CodeError."""
        number = self.highest.get(GROUP_LETTER, 0) + 1
        if number > MAX_GROUP:
            free_numbers = [index for index in range(1, MAX_GROUP + 1) if index not in taken_numbers]
            if not free_numbers:
                raise refuse(
                    where=where,
                    entity=where,
                    field="signal_groups",
                    value=len(taken_numbers) + 1,
                    rule=f"an intersection has at most {MAX_GROUP} signal groups",
                    remedy="split the signal in the source",
                )

            return free_numbers[0]

        self._raise(GROUP_LETTER, number)
        return number


def renamed(
    code: IntersectionCode, matches: Matches, numbering: Numbering, groups_fixed: bool = False
) -> IntersectionCode:
    """Return a code with the ids that its entities had before (`matches`), and new ones for what is new. Rules keep
    their own ids."""
    names: dict[str, dict[str, str]] = {}
    for table in ID_TABLES:
        old_id_of: dict[str, str] = getattr(matches, table)
        names[table] = {
            entity.id: old_id_of.get(entity.id) or numbering.next(LETTER_OF_TABLE[table])
            for entity in getattr(code, table)
        }

    groups = _group_numbers(code, matches.groups, numbering, groups_fixed)
    return with_ids(code, names, groups)


def _group_numbers(
    code: IntersectionCode, old_number_of: dict[int, int], numbering: Numbering, fixed: bool
) -> dict[int, int]:
    if fixed:
        return {group.id: group.id for group in code.signal_groups}

    number_of: dict[int, int] = {}
    taken_numbers = set(old_number_of.values())

    for group in code.signal_groups:
        number_of[group.id] = old_number_of.get(group.id) or numbering.next_group(taken_numbers, code.id)
        taken_numbers.add(number_of[group.id])

    return number_of


def with_ids(code: IntersectionCode, names: dict[str, dict[str, str]], groups: dict[int, int]) -> IntersectionCode:
    """Return a code with other ids, table by table, wherever they stand; an id that is not in the table stays."""

    def name(table: str, old: str) -> str:
        return names[table].get(old, old)

    def group(number: int) -> int:
        return groups.get(number, number)

    # The source knows no columns: the channel is the group's number
    channels_follow_ids = all(signal_group.channels == (signal_group.id,) for signal_group in code.signal_groups)
    new_id_of = {old: new for table in ID_TABLES for old, new in names[table].items()}

    return replace(
        code,
        nodes=tuple(replace(node, id=name("nodes", node.id)) for node in code.nodes),
        links=tuple(
            replace(
                link,
                id=name("links", link.id),
                upstream=name("nodes", link.upstream),
                downstream=name("nodes", link.downstream),
            )
            for link in code.links
        ),
        lanes=tuple(replace(lane, id=name("lanes", lane.id), link=name("links", lane.link)) for lane in code.lanes),
        connections=tuple(
            replace(
                connection,
                id=name("connections", connection.id),
                from_lane=name("lanes", connection.from_lane),
                to_lane=name("lanes", connection.to_lane),
                group=group(connection.group),
            )
            for connection in code.connections
        ),
        conflicts=tuple(
            replace(connection, a=name("connections", connection.a), b=name("connections", connection.b))
            for connection in code.conflicts
        ),
        signal_groups=tuple(
            replace(
                signal_group,
                id=group(signal_group.id),
                channels=(group(signal_group.id),) if channels_follow_ids else signal_group.channels,
            )
            for signal_group in code.signal_groups
        ),
        stop_lines=tuple(replace(line, lane=name("lanes", line.lane)) for line in code.stop_lines),
        crosswalks=tuple(
            replace(crosswalk, id=name("crosswalks", crosswalk.id), group=group(crosswalk.group))
            for crosswalk in code.crosswalks
        ),
        zones=tuple(replace(z, id=name("zones", z.id)) for z in code.zones),
        devices=tuple(replace(device, id=name("devices", device.id)) for device in code.devices),
        rules=tuple(_with_targets(rule, new_id_of) for rule in code.rules),
        signal_exceptions=tuple(
            replace(exception, a=group(exception.a), b=group(exception.b)) for exception in code.signal_exceptions
        ),
    )


def _with_targets(rule: Rule, entity: dict[str, str]) -> Rule:
    return replace(rule, targets=tuple(_target(target, entity) for target in rule.targets))


def _target(target: Target, entity: dict[str, str]) -> Target:
    return replace(target, entity=entity.get(target.entity, target.entity))


def named_rules(
    before: tuple[Rule, ...], after: tuple[Rule, ...], numbering: Numbering, keep_own_ids: bool = False
) -> tuple[Rule, ...]:
    """Return the rules of a later import with the ids they had in an earlier one, both in the same entities' ids.

    A rule is the same where all but its places is the same, or else where kind and most of its places are (its value
    changed). `keep_own_ids`: ids were kept, so one id is one rule too where nothing else decides, and what is new keeps
    its own."""
    unassigned = {rule.id: rule for rule in before}
    id_of_index: dict[int, str] = {}

    for same_rule in (_same_terms, _same_kind, *([_same_id] if keep_own_ids else [])):
        pairs = [
            (_common_targets(old, rule), old.id, index)
            for index, rule in enumerate(after)
            if index not in id_of_index
            for old in unassigned.values()
            if same_rule(old, rule)
        ]
        # Most common places first; ids and order break ties, so that the same input always gives the same ids
        for _, name, index in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
            if name in unassigned and index not in id_of_index:
                id_of_index[index] = name
                del unassigned[name]

    used_ids = {rule.id for rule in before}
    own_ids = {index: rule.id for index, rule in enumerate(after) if keep_own_ids and rule.id not in used_ids}
    terms = {rule.id: rule for rule in before}
    rows = [
        replace(rule, id=id_of_index.get(index) or own_ids.get(index) or numbering.next(LETTER_OF_TABLE["rules"]))
        for index, rule in enumerate(after)
    ]

    return tuple(
        replace(rule, targets=_in_order(terms[rule.id].targets, rule.targets)) if rule.id in terms else rule
        for rule in rows
    )


def _in_order(before: tuple[Target, ...], after: tuple[Target, ...]) -> tuple[Target, ...]:
    """Return places in the order they had, what is new at the end, and as they were where only rounding differs:
    neither is a change."""
    targets_of_entity: dict[str, list[Target]] = {}
    for target in before:
        targets_of_entity.setdefault(target.entity, []).append(target)
    settled = [
        next((old for old in targets_of_entity.get(target.entity, ()) if _same_span(old, target)), target)
        for target in after
    ]
    index_of_target = {target: index for index, target in enumerate(before)}
    return tuple(sorted(settled, key=lambda target: index_of_target.get(target, len(index_of_target))))


def _same_span(target: Target, other: Target) -> bool:
    ends = ((target.s_from, other.s_from), (target.s_to, other.s_to))
    return all(
        first == second or (first is not None and second is not None and abs(first - second) <= MAX_SPAN_DIFFERENCE)
        for first, second in ends
    )


def _terms(rule: Rule) -> Any:
    return replace(rule, id="", targets=())


def _same_terms(first: Rule, second: Rule) -> bool:
    return bool(_terms(first) == _terms(second))


def _same_kind(first: Rule, second: Rule) -> bool:
    return (
        bool(_terms(replace(first, value=None)) == _terms(replace(second, value=None)))
        and _common_targets(first, second) > 0
    )


def _same_id(first: Rule, second: Rule) -> bool:
    return first.id == second.id


def _common_targets(first: Rule, second: Rule) -> int:
    return len({target.entity for target in first.targets} & {target.entity for target in second.targets})
