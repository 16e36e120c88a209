"""What has changed of signals, plans and rules, in words."""

from collections.abc import Iterator
from typing import Any

from ..model import IntersectionCode
from ..rule import VALUED, Calendar, Rule, Target
from .assumed import repeats_lanes
from .compared import Compared
from .settle import pair
from .words import listed, text, value


def signal_changes(compared: Compared) -> Iterator[str]:
    """Yield changes of signal groups, of what obeys them, of plans and of exceptions."""
    yield from _groups(compared)

    groups_changed: dict[tuple[int, int], list[str]] = {}

    for table in ("connections", "crosswalks"):
        for name, (a, b) in compared.rows[table].items():
            if a and b and a.group != b.group:
                groups_changed.setdefault((a.group, b.group), []).append(name)

    for (group_before, group_after), users in groups_changed.items():
        yield f"signal group {group_before or 'none'} -> {group_after or 'none'} for {listed(users)}"

    yield from _plans(compared)

    exceptions_a, exceptions_b = (
        {pair(exception): exception for exception in code.signal_exceptions} for code in (compared.a, compared.b)
    )
    for key in {**exceptions_a, **exceptions_b}:
        before, after = exceptions_a.get(key), exceptions_b.get(key)
        if before != after:
            if after is None:
                word = "removed"
            elif before is None:
                word = "added"
            else:
                word = "changed"

            yield f"signal exception {key[0]}/{key[1]} {word}: {text((after or exceptions_a[key]).reason)}"


def _groups(compared: Compared) -> Iterator[str]:
    old, new = ({group.id: group for group in code.signal_groups} for code in (compared.a, compared.b))
    channel_changes = []

    for number in {**old, **new}:
        earlier, later = old.get(number), new.get(number)
        if earlier is None or later is None:
            kind = (earlier or new[number]).kind
            yield f"signal group {number} ({kind}) {'removed' if later is None else 'added'}"
            continue

        if earlier.kind != later.kind:
            yield f"signal group {number}: {earlier.kind} -> {later.kind}"

        if earlier.channels != later.channels:
            channel_changes.append(f"{number}: {text(earlier.channels)} -> {text(later.channels)}")

    if channel_changes:
        yield f"channels of signal groups: {listed(channel_changes)}"


def _plans(compared: Compared) -> Iterator[str]:
    old, new = ({plan.id: plan for plan in code.plans} for code in (compared.a, compared.b))
    common_groups = {group.id for group in compared.a.signal_groups} & {group.id for group in compared.b.signal_groups}

    for name in {**old, **new}:
        earlier, later = old.get(name), new.get(name)
        if earlier is None or later is None:
            yield f"plan {name} {'removed' if later is None else 'added'}"
            continue

        if earlier.offset_ms != later.offset_ms:
            yield f"plan {name}: offset {earlier.offset_ms / 1000:g} -> {later.offset_ms / 1000:g} s"

        if earlier.actuated != later.actuated:
            yield f"plan {name}: {'actuated' if later.actuated else 'fixed-time'} now"

        cycles = [sum(phase.ms for phase in plan.phases) / 1000 for plan in (earlier, later)]
        times = [[(phase.ms, phase.min_ms, phase.max_ms) for phase in plan.phases] for plan in (earlier, later)]
        if times[0] != times[1]:
            yield (
                f"plan {name}: {len(earlier.phases)} phases of {cycles[0]:g} s -> {len(later.phases)} of {cycles[1]:g} "
                f"s{_phase_times(times)}"
            )

        if _shown(compared.a, earlier, common_groups) != _shown(compared.b, later, common_groups):
            yield (
                f"plan {name}: shows other colours for signal groups "
                f"{listed(_recoloured(compared.a, earlier, compared.b, later, common_groups))}"
            )


def rule_changes(compared: Compared) -> Iterator[str]:
    """Yield rules that came, went, lost their place or changed."""
    old = {rule.id: rule for rule in compared.a.rules}
    new = {rule.id: rule for rule in compared.b.rules}
    following = []
    entities = _entities(compared.b)

    for name in {**old, **new}:
        earlier, later = old.get(name), new.get(name)
        if earlier == later:
            continue

        # The change of a lane's speed is listed with the lane: its rule would only repeat it
        if (earlier is None or repeats_lanes(compared.a, earlier)) and (
            later is None or repeats_lanes(compared.b, later)
        ):
            following.append(name)
        elif earlier is None and later is not None:
            yield f"{_rule(later)} added: {_terms(later)}"
        elif earlier is not None and later is None:
            has_lost_place = all(target.entity not in entities for target in earlier.targets)
            if has_lost_place:
                reason = (
                    f"lost its place: {_targets(earlier.targets)} {'is' if len(earlier.targets) == 1 else 'are'} gone"
                )
            else:
                reason = f"removed: it was {_terms(earlier)}"

            yield f"{_rule(earlier)} {reason}"
        elif earlier is not None and later is not None:
            yield from _rule_changes(earlier, later, entities)

    if following:
        yield f"rules that repeat the lanes' limits and uses follow: {listed(following)}"


def _phase_times(times: list[list[Any]]) -> str:
    if len(times[0]) != len(times[1]):
        return ""

    different = [
        f"phase {number} {before[0] / 1000:g} -> {after[0] / 1000:g} s"
        if before[0] != after[0]
        else f"phase {number} bounds"
        for number, (before, after) in enumerate(zip(*times, strict=True), 1)
        if before != after
    ]

    return f" ({listed(different)})"


def _shown(code: IntersectionCode, plan: Any, groups: set[int]) -> list[list[tuple[int, str]]]:
    group_ids = [group.id for group in code.signal_groups]
    return [
        sorted((group, letter) for group, letter in zip(group_ids, phase.shows, strict=False) if group in groups)
        for phase in plan.phases
    ]


def _recoloured(first: IntersectionCode, x: Any, second: IntersectionCode, y: Any, groups: set[int]) -> list[str]:
    def letters(code: IntersectionCode, plan: Any) -> dict[int, str]:
        rows = _shown(code, plan, groups)
        return {group: "".join(dict(row).get(group, "") for row in rows) for group in groups}

    old, new = letters(first, x), letters(second, y)
    return [str(group) for group in sorted(groups) if old[group] != new[group]]


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
    return (
        f"{target.entity} from {value(target.s_from or 0)} m to "
        f"{'its end' if target.s_to is None else value(target.s_to) + ' m'}"
    )


def _terms(rule: Rule) -> str:
    parts = [f"on {_targets(rule.targets)}"]
    if rule.value is not None:
        parts.insert(0, f"{value(rule.value)} {VALUED.get(rule.kind, '')}".strip())

    if rule.classes:
        parts.append("for " + ", ".join(rule.classes))

    if rule.calendar is not None:
        parts.append("at times")

    return ", ".join(parts) + (f' "{rule.text}"' if rule.text else "")


def _rule_changes(earlier: Rule, later: Rule, entities: set[str]) -> Iterator[str]:
    for field in earlier.__struct_fields__:
        value_before, value_after = getattr(earlier, field), getattr(later, field)
        if value_before == value_after:
            continue

        if field == "targets":
            removed = [target for target in value_before if target not in value_after]
            without_place = [target for target in removed if target.entity not in entities]
            taken_out = [target for target in removed if target not in without_place]
            added = [target for target in value_after if target not in value_before]

            if without_place:
                yield (
                    f"{_rule(later)} holds no longer on {_targets(tuple(without_place))}, which "
                    f"{'is' if len(without_place) == 1 else 'are'} gone"
                )

            if taken_out or added:
                words = [f"no longer on {_targets(tuple(taken_out))}"] if taken_out else []
                words += [f"also on {_targets(tuple(added))}"] if added else []
                yield f"{_rule(later)} holds {', '.join(words)}"

            if not removed and not added:
                yield f"{_rule(later)}: its places stand in another order"
        elif field == "calendar":
            yield from _calendar_changes(_rule(later), value_before, value_after)
        elif field == "value":
            unit = VALUED.get(later.kind, "")
            yield f"{_rule(later)}: {_number(value_before)} -> {_number(value_after)} {unit}".rstrip()
        else:
            yield f"{_rule(later)}: {field} {text(value_before)} -> {text(value_after)}"


def _calendar_changes(name: str, before: Calendar | None, after: Calendar | None) -> Iterator[str]:
    """Yield a line for each field of a calendar that differs; of a calendar that came or went, its fields."""
    if before is None or after is None:
        calendar = before or after or Calendar()
        fields = ", ".join(
            f"{field} {text(getattr(calendar, field))}"
            for field in calendar.__struct_fields__
            if getattr(calendar, field) != getattr(Calendar(), field)
        )

        yield (
            f"{name} holds {'always' if after is None else 'by a calendar'} now: "
            f"{'it was' if after is None else 'it is'} {fields or 'every day'}"
        )
        return

    for field in after.__struct_fields__:
        if getattr(before, field) != getattr(after, field):
            yield f"{name}: calendar {field} {text(getattr(before, field))} -> {text(getattr(after, field))}"


def _number(number: float | None) -> str:
    return "none" if number is None else value(number)
