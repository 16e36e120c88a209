"""Checks of signals: groups control something, kinds fit, no plan shows two conflicting protected greens."""

from collections.abc import Iterator

from .findings import Finding
from .model import IntersectionCode


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
    yield from _plans(code)


def _plans(code: IntersectionCode) -> Iterator[Finding]:
    group = {c.id: c.group for c in code.connections}
    place = {g.id: k for k, g in enumerate(code.signal_groups)}
    pairs = {
        (min(group[c.a], group[c.b]), max(group[c.a], group[c.b])): c
        for c in code.conflicts
        if group[c.a] and group[c.b] and group[c.a] != group[c.b] and c.kind != "diverge"
    }
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
