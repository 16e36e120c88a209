"""Checks of signals: groups control something, kinds fit, no plan shows two conflicting protected greens."""

from collections.abc import Iterator

from ..findings import Finding
from ..model import Conflict, IntersectionCode


def signals(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of signal groups and plans; references must hold."""
    used = {c.group for c in code.connections} | {walk.group for walk in code.crosswalks}
    channels: dict[int, int] = {}
    for group in code.signal_groups:
        name = f"group {group.id}"
        if group.id not in used:
            yield Finding(
                name, "id", str(group.id), "controls nothing", "warning", "drop it, or bind it to its movements"
            )
        for channel in group.channels:
            if channel in channels:
                yield Finding(
                    name,
                    "channels",
                    str(channel),
                    f"is a channel of group {channels[channel]} too",
                    "error",
                    "give each channel one group",
                )
            channels[channel] = group.id
    kinds = {group.id: group.kind for group in code.signal_groups}
    for walk in code.crosswalks:
        if walk.group and kinds[walk.group] not in ("pedestrian", "bike"):
            yield Finding(
                walk.id,
                "group",
                str(walk.group),
                f"is a group for {kinds[walk.group]}s",
                "error",
                "bind the crosswalk to a group for pedestrians",
            )
    if code.control == "signal" and not code.signal_groups:
        yield Finding(
            "code",
            "signal_groups",
            "none",
            "an intersection with signals has signal groups",
            "error",
            "add them, or correct control",
        )
    yield from _exceptions(code)
    yield from _plans(code)


def _exceptions(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of listed exceptions: a pair of two groups, once, that conflicts, with its reason."""
    conflicting = _conflicting(code)
    listed: set[tuple[int, int]] = set()
    for excepted in code.signal_exceptions:
        name, pair = f"exception {excepted.a}/{excepted.b}", (min(excepted.a, excepted.b), max(excepted.a, excepted.b))
        if excepted.a == excepted.b or pair in listed:
            rule = "a group is never compared with itself" if excepted.a == excepted.b else "the pair is listed twice"
            yield Finding(name, "b", str(excepted.b), rule, "error", "list each pair of two groups once")
        elif pair not in conflicting:
            yield Finding(
                name,
                "a",
                str(excepted.a),
                "no movements of the two groups cross or merge",
                "warning",
                "drop the exception, or correct its groups",
            )
        listed.add(pair)
        if not excepted.reason.strip():
            yield Finding(
                name, "reason", repr(excepted.reason), "an exception says why", "error", "give the reason in words"
            )


def _conflicting(code: IntersectionCode) -> dict[tuple[int, int], Conflict]:
    """Return the pairs of groups whose movements cross or merge, lower id first, each with one such conflict."""
    group = {c.id: c.group for c in code.connections}
    return {
        (min(group[c.a], group[c.b]), max(group[c.a], group[c.b])): c
        for c in code.conflicts
        if group[c.a] and group[c.b] and group[c.a] != group[c.b] and c.kind != "diverge"
    }


def _plans(code: IntersectionCode) -> Iterator[Finding]:
    place = {g.id: k for k, g in enumerate(code.signal_groups)}
    excepted = {(min(e.a, e.b), max(e.a, e.b)) for e in code.signal_exceptions}
    pairs = {pair: met for pair, met in _conflicting(code).items() if pair not in excepted}
    for plan in code.plans:
        if not plan.phases:
            yield Finding(
                f"plan {plan.id}", "phases", "none", "a plan has phases", "error", "add them, or drop the plan"
            )
        for number, phase in enumerate(plan.phases):
            for (a, b), met in pairs.items():
                if phase.shows[place[a]] == "G" and phase.shows[place[b]] == "G":
                    yield Finding(
                        f"plan {plan.id} phase {number}",
                        "shows",
                        phase.shows,
                        f"groups {a} and {b} show protected green, but {met.a} and {met.b} conflict",
                        "error",
                        "separate them, or make the one that yields permissive (g)",
                    )
        for g in code.signal_groups:
            if plan.phases and not any(phase.shows[place[g.id]] in "GgyOFD" for phase in plan.phases):
                yield Finding(
                    f"plan {plan.id}",
                    "phases",
                    f"group {g.id}",
                    "the group never shows green",
                    "warning",
                    "give it a phase, or drop the group",
                )
