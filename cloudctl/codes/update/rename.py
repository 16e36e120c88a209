"""Ids of one code for the entities of another: what was there before has the id it had, what is new gets a number that was never given."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from ..findings import refuse
from ..model import IntersectionCode
from ..rule import Rule, Target
from .match import Matches

TABLES = (
    "nodes",
    "links",
    "lanes",
    "connections",
    "crosswalks",
    "zones",
    "devices",
)  # of entities with a letter and a number
LETTERS = {
    "nodes": "N",
    "links": "K",
    "lanes": "L",
    "connections": "C",
    "crosswalks": "X",
    "zones": "Z",
    "devices": "D",
    "rules": "R",
}
GROUPS = "G"
MAX_GROUP = 255  # a signal group has eight bits in MAP and SPAT
SPAN = 0.05  # m along a lane by which a place may be rounded
NUMBERED = re.compile(r"([A-Z]+)(\d+)")


def unique(code: IntersectionCode) -> tuple[IntersectionCode, list[str]]:
    """Return a code with each id once in its table, the first row of each, and the ids that stood twice: an error in a code spoilt by hand."""
    changes: dict[str, Any] = {}
    doubled: list[str] = []
    for field in code.__struct_fields__:
        rows = getattr(code, field)
        if isinstance(rows, tuple) and rows and hasattr(rows[0], "id"):
            first = {row.id: row for row in reversed(rows)}
            count = Counter(row.id for row in rows)
            doubled += [str(name) for name, times in count.items() if times > 1]
            changes[field] = tuple(first[name] for name in count)
    return (replace(code, **changes) if doubled else code), doubled


class Numbering:
    """The highest number ever given of each letter: `highest` is kept with the code, so that no id is given twice."""

    def __init__(self, highest: dict[str, int] | None = None) -> None:
        self.highest = dict(highest or {})

    def note(self, codes: Iterable[IntersectionCode]) -> None:
        """Take into account every id that codes use."""
        for code in codes:
            for table in (*TABLES, "rules"):
                for item in getattr(code, table):
                    found = NUMBERED.fullmatch(item.id)
                    if found:
                        self._raise(found[1], int(found[2]))
            for group in code.signal_groups:
                self._raise(GROUPS, group.id)

    def next(self, letter: str) -> str:
        """Return an id that was never given."""
        self._raise(letter, self.highest.get(letter, 0) + 1)
        return f"{letter}{self.highest[letter]}"

    def _raise(self, letter: str, number: int) -> None:
        self.highest[letter] = max(self.highest.get(letter, 0), number)

    def next_group(self, taken: set[int], where: str) -> int:
        """Return a signal group's number: one that was never given while there is one, then one that is free. Raises CodeError."""
        number = self.highest.get(GROUPS, 0) + 1
        if number > MAX_GROUP:
            free = [k for k in range(1, MAX_GROUP + 1) if k not in taken]
            if not free:
                raise refuse(
                    where,
                    where,
                    "signal_groups",
                    len(taken) + 1,
                    f"an intersection has at most {MAX_GROUP} signal groups",
                    "split the signal in the source",
                )
            return free[0]
        self._raise(GROUPS, number)
        return number


def renamed(
    code: IntersectionCode, matches: Matches, numbering: Numbering, groups_fixed: bool = False
) -> IntersectionCode:
    """Return a code with the ids that its entities had before (`matches`), and new ones for what is new. Rules keep their own ids."""
    names: dict[str, dict[str, str]] = {}
    for table in TABLES:
        known: dict[str, str] = getattr(matches, table)
        names[table] = {item.id: known.get(item.id) or numbering.next(LETTERS[table]) for item in getattr(code, table)}
    groups = _group_numbers(code, matches.groups, numbering, groups_fixed)
    return applied(code, names, groups)


def _group_numbers(code: IntersectionCode, known: dict[int, int], numbering: Numbering, fixed: bool) -> dict[int, int]:
    if fixed:
        return {group.id: group.id for group in code.signal_groups}
    out: dict[int, int] = {}
    taken = set(known.values())
    for group in code.signal_groups:
        out[group.id] = known.get(group.id) or numbering.next_group(taken, code.id)
        taken.add(out[group.id])
    return out


def applied(code: IntersectionCode, names: dict[str, dict[str, str]], groups: dict[int, int]) -> IntersectionCode:
    """Return a code with other ids, table by table, wherever they stand; an id that is not in the table stays."""

    def name(table: str, known: str) -> str:
        return names[table].get(known, known)

    def group(number: int) -> int:
        return groups.get(number, number)

    wired = all(
        g.channels == (g.id,) for g in code.signal_groups
    )  # the source knows no columns: the channel is the group's number
    entity = {old: new for table in TABLES for old, new in names[table].items()}
    return replace(
        code,
        nodes=tuple(replace(n, id=name("nodes", n.id)) for n in code.nodes),
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
                c,
                id=name("connections", c.id),
                from_lane=name("lanes", c.from_lane),
                to_lane=name("lanes", c.to_lane),
                group=group(c.group),
            )
            for c in code.connections
        ),
        conflicts=tuple(replace(c, a=name("connections", c.a), b=name("connections", c.b)) for c in code.conflicts),
        signal_groups=tuple(
            replace(g, id=group(g.id), channels=(group(g.id),) if wired else g.channels) for g in code.signal_groups
        ),
        stop_lines=tuple(replace(line, lane=name("lanes", line.lane)) for line in code.stop_lines),
        crosswalks=tuple(replace(w, id=name("crosswalks", w.id), group=group(w.group)) for w in code.crosswalks),
        zones=tuple(replace(z, id=name("zones", z.id)) for z in code.zones),
        devices=tuple(replace(d, id=name("devices", d.id)) for d in code.devices),
        rules=tuple(_aimed(rule, entity) for rule in code.rules),
        signal_exceptions=tuple(replace(e, a=group(e.a), b=group(e.b)) for e in code.signal_exceptions),
    )


def _aimed(rule: Rule, entity: dict[str, str]) -> Rule:
    return replace(rule, targets=tuple(_target(target, entity) for target in rule.targets))


def _target(target: Target, entity: dict[str, str]) -> Target:
    return replace(target, entity=entity.get(target.entity, target.entity))


def named_rules(
    before: tuple[Rule, ...], after: tuple[Rule, ...], numbering: Numbering, own: bool = False
) -> tuple[Rule, ...]:
    """Return the rules of a later import with the ids they had in an earlier one, both in the same entities' ids.

    A rule is the same where all but its places is the same, or else where kind and most of its places are (its value changed). `own`: ids
    were kept, so one id is one rule too where nothing else tells, and what is new keeps its own.
    """
    left = {rule.id: rule for rule in before}
    out: dict[int, str] = {}
    for same in (_same_terms, _same_kind, *([_same_id] if own else [])):
        pairs = [
            (_common(old, rule), old.id, k)
            for k, rule in enumerate(after)
            if k not in out
            for old in left.values()
            if same(old, rule)
        ]
        for _, name, k in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
            if name in left and k not in out:
                out[k] = name
                del left[name]
    used = {rule.id for rule in before}
    own_ids = {k: rule.id for k, rule in enumerate(after) if own and rule.id not in used}
    terms = {rule.id: rule for rule in before}
    rows = [
        replace(rule, id=out.get(k) or own_ids.get(k) or numbering.next(LETTERS["rules"]))
        for k, rule in enumerate(after)
    ]
    return tuple(
        replace(rule, targets=_in_order(terms[rule.id].targets, rule.targets)) if rule.id in terms else rule
        for rule in rows
    )


def _in_order(before: tuple[Target, ...], after: tuple[Target, ...]) -> tuple[Target, ...]:
    """Return places in the order they had, what is new at the end, and as they were where only rounding differs: neither is a change."""
    of: dict[str, list[Target]] = {}
    for target in before:
        of.setdefault(target.entity, []).append(target)
    settled = [next((old for old in of.get(target.entity, ()) if _same_span(old, target)), target) for target in after]
    place = {target: k for k, target in enumerate(before)}
    return tuple(sorted(settled, key=lambda target: place.get(target, len(place))))


def _same_span(a: Target, b: Target) -> bool:
    ends = ((a.s_from, b.s_from), (a.s_to, b.s_to))
    return all(x == y or (x is not None and y is not None and abs(x - y) <= SPAN) for x, y in ends)


def _terms(rule: Rule) -> Any:
    return replace(rule, id="", targets=())


def _same_terms(a: Rule, b: Rule) -> bool:
    return bool(_terms(a) == _terms(b))


def _same_kind(a: Rule, b: Rule) -> bool:
    return bool(_terms(replace(a, value=None)) == _terms(replace(b, value=None))) and _common(a, b) > 0


def _same_id(a: Rule, b: Rule) -> bool:
    return a.id == b.id


def _common(a: Rule, b: Rule) -> int:
    return len({target.entity for target in a.targets} & {target.entity for target in b.targets})
