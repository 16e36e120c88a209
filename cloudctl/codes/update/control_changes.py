"""What has changed of signals, plans and rules, in words."""

from collections.abc import Iterator
from typing import Any

from ..model import IntersectionCode
from ..rule import VALUED, Calendar, Rule, Target
from .compared import Compared
from .merge import repeats_lanes
from .settle import pair
from .words import listed, text, value


def signals(two: Compared) -> Iterator[str]:
    """Yield changes of signal groups, of who obeys them, of plans and of exceptions."""
    yield from _groups(two)

    obeyed: dict[tuple[int, int], list[str]] = {}
    for table in ("connections", "crosswalks"):
        for name, (a, b) in two.rows[table].items():
            if a and b and a.group != b.group:
                obeyed.setdefault((a.group, b.group), []).append(name)
    for (was, now), users in obeyed.items():
        yield f"signal group {was or 'none'} -> {now or 'none'} for {listed(users)}"

    yield from _plans(two)

    exceptions_a, exceptions_b = ({pair(e): e for e in code.signal_exceptions} for code in (two.a, two.b))
    for key in {**exceptions_a, **exceptions_b}:
        before, after = exceptions_a.get(key), exceptions_b.get(key)
        if before != after:
            word = "removed" if after is None else "added" if before is None else "changed"
            yield f"signal exception {key[0]}/{key[1]} {word}: {text((after or exceptions_a[key]).reason)}"


def _groups(two: Compared) -> Iterator[str]:
    old, new = ({g.id: g for g in code.signal_groups} for code in (two.a, two.b))
    wired = []
    for number in {**old, **new}:
        x, y = old.get(number), new.get(number)
        if x is None or y is None:
            kind = (x or new[number]).kind
            yield f"signal group {number} ({kind}) {'removed' if y is None else 'added'}"
            continue
        if x.kind != y.kind:
            yield f"signal group {number}: {x.kind} -> {y.kind}"
        if x.channels != y.channels:
            wired.append(f"{number}: {text(x.channels)} -> {text(y.channels)}")
    if wired:
        yield f"channels of signal groups: {listed(wired)}"


def _plans(two: Compared) -> Iterator[str]:
    old, new = ({plan.id: plan for plan in code.plans} for code in (two.a, two.b))
    both = {g.id for g in two.a.signal_groups} & {g.id for g in two.b.signal_groups}
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
        if _shown(two.a, x, both) != _shown(two.b, y, both):
            yield f"plan {name}: shows other colours for signal groups {listed(_recoloured(two.a, x, two.b, y, both))}"


def rules(two: Compared) -> Iterator[str]:
    """Yield rules that came, went, lost their place or changed."""
    old = {rule.id: rule for rule in two.a.rules}
    new = {rule.id: rule for rule in two.b.rules}
    follow = []
    entities = _entities(two.b)
    for name in {**old, **new}:
        x, y = old.get(name), new.get(name)
        if x == y:
            continue
        if (x is None or repeats_lanes(two.a, x)) and (y is None or repeats_lanes(two.b, y)):
            follow.append(name)
        elif x is None and y is not None:
            yield f"{_rule(y)} added: {_terms(y)}"
        elif x is not None and y is None:
            lost = all(target.entity not in entities for target in x.targets)
            why = (
                f"lost its place: {_targets(x.targets)} {'is' if len(x.targets) == 1 else 'are'} gone"
                if lost
                else f"removed: it was {_terms(x)}"
            )
            yield f"{_rule(x)} {why}"
        elif x is not None and y is not None:
            yield from _rule_changes(x, y, entities)
    if follow:
        yield f"rules that repeat the lanes' limits and uses follow: {listed(follow)}"


def _phase_times(times: list[list[Any]]) -> str:
    if len(times[0]) != len(times[1]):
        return ""
    different = [
        f"phase {k} {a[0] / 1000:g} -> {b[0] / 1000:g} s" if a[0] != b[0] else f"phase {k} bounds"
        for k, (a, b) in enumerate(zip(*times, strict=True), 1)
        if a != b
    ]
    return f" ({listed(different)})"


def _shown(code: IntersectionCode, plan: Any, groups: set[int]) -> list[list[tuple[int, str]]]:
    order = [group.id for group in code.signal_groups]
    return [
        sorted((g, letter) for g, letter in zip(order, phase.shows, strict=False) if g in groups)
        for phase in plan.phases
    ]


def _recoloured(a: IntersectionCode, x: Any, b: IntersectionCode, y: Any, groups: set[int]) -> list[str]:
    def letters(code: IntersectionCode, plan: Any) -> dict[int, str]:
        rows = _shown(code, plan, groups)
        return {g: "".join(dict(row).get(g, "") for row in rows) for g in groups}

    old, new = letters(a, x), letters(b, y)
    return [str(g) for g in sorted(groups) if old[g] != new[g]]


def _entities(code: IntersectionCode) -> set[str]:
    return {"code"} | {
        row.id for table in ("links", "lanes", "connections", "zones", "crosswalks") for row in getattr(code, table)
    }


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
        elif field == "calendar":
            yield from _calendar_changes(_rule(y), was, now)
        elif field == "value":
            unit = VALUED.get(y.kind, "")
            yield f"{_rule(y)}: {_number(was)} -> {_number(now)} {unit}".rstrip()
        else:
            yield f"{_rule(y)}: {field} {text(was)} -> {text(now)}"


def _calendar_changes(name: str, was: Calendar | None, now: Calendar | None) -> Iterator[str]:
    """Yield a line for each field of a calendar that differs; of a calendar that came or went, what it says."""
    if was is None or now is None:
        said = was or now or Calendar()
        fields = ", ".join(
            f"{field} {text(getattr(said, field))}"
            for field in said.__struct_fields__
            if getattr(said, field) != getattr(Calendar(), field)
        )
        yield f"{name} holds {'always' if now is None else 'by a calendar'} now: {'it was' if now is None else 'it is'} {fields or 'every day'}"
        return
    for field in now.__struct_fields__:
        if getattr(was, field) != getattr(now, field):
            yield f"{name}: calendar {field} {text(getattr(was, field))} -> {text(getattr(now, field))}"


def _number(number: float | None) -> str:
    return "none" if number is None else value(number)
