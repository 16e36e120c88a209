"""Checks of signals: groups control something, kinds fit, no plan shows two conflicting protected greens."""

from collections.abc import Iterator, Mapping

from ..findings import Finding, Severity, fault
from ..model import Conflict, IntersectionCode
from ..terms import NON_MOTOR_USES, Control


def signal_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of signal groups and plans; references must hold."""
    used_groups = {connection.group for connection in code.connections} | {
        crosswalk.group for crosswalk in code.crosswalks
    }
    channels: dict[int, int] = {}

    for group in code.signal_groups:
        name = f"group {group.id}"
        if group.id not in used_groups:
            yield fault(
                entity=name,
                field="id",
                value=group.id,
                rule="controls nothing",
                severity=Severity.WARNING,
                remedy="drop it, or bind it to its movements",
            )

        for channel in group.channels:
            if channel in channels:
                yield fault(
                    entity=name,
                    field="channels",
                    value=channel,
                    rule=f"is a channel of group {channels[channel]} too",
                    remedy="give each channel one group",
                )

            channels[channel] = group.id

    kinds = {group.id: group.kind for group in code.signal_groups}
    for crosswalk in code.crosswalks:
        if crosswalk.group and kinds[crosswalk.group] not in NON_MOTOR_USES:
            yield fault(
                entity=crosswalk.id,
                field="group",
                value=crosswalk.group,
                rule=f"is a group for {kinds[crosswalk.group]}s",
                remedy="bind the crosswalk to a group for pedestrians",
            )

    if code.control == Control.SIGNAL and not code.signal_groups:
        yield fault(
            entity="code",
            field="signal_groups",
            value="none",
            rule="an intersection with signals has signal groups",
            remedy="add them, or correct control",
        )

    conflicting = _conflicting(code)
    yield from _exceptions(code, conflicting)
    yield from _plans(code, conflicting)


def _exceptions(code: IntersectionCode, conflicting: Mapping[tuple[int, int], Conflict]) -> Iterator[Finding]:
    """Yield the faults of listed exceptions: a pair of two groups, once, that conflicts, with its reason.
    `conflicting`: as `_conflicting` returns it."""
    listed_pairs: set[tuple[int, int]] = set()

    for exception in code.signal_exceptions:
        name, pair = (
            f"exception {exception.a}/{exception.b}",
            (min(exception.a, exception.b), max(exception.a, exception.b)),
        )
        if exception.a == exception.b or pair in listed_pairs:
            rule = "a group is never compared with itself" if exception.a == exception.b else "the pair is listed twice"
            yield fault(
                entity=name,
                field="b",
                value=exception.b,
                rule=rule,
                remedy="list each pair of two groups once",
            )
        elif pair not in conflicting:
            yield fault(
                entity=name,
                field="a",
                value=exception.a,
                rule="no movements of the two groups cross or merge",
                severity=Severity.WARNING,
                remedy="drop the exception, or correct its groups",
            )

        listed_pairs.add(pair)
        if not exception.reason.strip():
            yield fault(
                entity=name,
                field="reason",
                value=repr(exception.reason),
                rule="an exception says why",
                remedy="give the reason in words",
            )


def _conflicting(code: IntersectionCode) -> dict[tuple[int, int], Conflict]:
    """Return the pairs of groups whose movements cross or merge, lower id first, each with one such conflict."""
    group_of = {conflict.id: conflict.group for conflict in code.connections}
    return {
        (min(group_of[conflict.a], group_of[conflict.b]), max(group_of[conflict.a], group_of[conflict.b])): conflict
        for conflict in code.conflicts
        if group_of[conflict.a]
        and group_of[conflict.b]
        and group_of[conflict.a] != group_of[conflict.b]
        and conflict.kind != "diverge"
    }


def _plans(code: IntersectionCode, conflicting: Mapping[tuple[int, int], Conflict]) -> Iterator[Finding]:
    index_of_group = {group.id: index for index, group in enumerate(code.signal_groups)}
    excepted_pairs = {
        (min(exception.a, exception.b), max(exception.a, exception.b)) for exception in code.signal_exceptions
    }
    # Exceptions state why two groups may show green together all the same
    conflicting_pairs = {pair: conflict for pair, conflict in conflicting.items() if pair not in excepted_pairs}

    for plan in code.plans:
        if not plan.phases:
            yield fault(
                entity=f"plan {plan.id}",
                field="phases",
                value="none",
                rule="a plan has phases",
                remedy="add them, or drop the plan",
            )

        for number, phase in enumerate(plan.phases):
            for (first_group, second_group), conflict in conflicting_pairs.items():
                if phase.shows[index_of_group[first_group]] == "G" and phase.shows[index_of_group[second_group]] == "G":
                    yield fault(
                        entity=f"plan {plan.id} phase {number}",
                        field="shows",
                        value=phase.shows,
                        rule=f"groups {first_group} and {second_group} show protected green, but {conflict.a} and "
                        f"{conflict.b} conflict",
                        remedy="separate them, or make the one that yields permissive (g)",
                    )

        for group in code.signal_groups:
            if plan.phases and not any(phase.shows[index_of_group[group.id]] in "GgyOFD" for phase in plan.phases):
                yield fault(
                    entity=f"plan {plan.id}",
                    field="phases",
                    value=f"group {group.id}",
                    rule="the group never shows green",
                    severity=Severity.WARNING,
                    remedy="give it a phase, or drop the group",
                )
