"""Warnings against what happened: precision, recall, lead time, false warnings per vehicle-hour, by kind and threshold.

A warning is an episode: the messages of one kind that one vehicle receives without a pause of more than PAUSE. It is
right when its vehicle is in a
conflict of that kind that begins no later than HORIZON s after it ends, and is not over before it starts. A conflict is
warned of when
one of its vehicles is warned before the worst moment. Lead time is from the arrival of the warning to the moment a
measure
of truth first passes its threshold; negative when the warning came between that and the worst. Some conflicts are
warned of under another name
(a driver about to run a red is warned of that): `recall_any` counts a conflict as found by a warning of any kind.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .seed_run import ReceivedWarning
from .ssm import Conflict

PAUSE = 1.0  # s
HORIZON = 5.0  # s; ETSI TS 101 539-1 warns at a TTC of up to 5 s
MATCHES = {  # kind of warning: (conflicts it should find, conflicts that make it right)
    "red_light": (("red_light",), ("red_light", "over_line", "hard_brake")),
    "red_light_crossing": (("violator",), ("violator",)),
    "collision": (("vehicles", "violator"), ("vehicles", "waited", "violator", "vru", "hard_brake")),
    "pedestrian": (("vru",), ("vru", "hard_brake")),
    "queue": (("queue",), ("queue", "hard_brake")),
}
THRESHOLDS = tuple(np.round(np.arange(0.0, 1.0, 0.05), 2).tolist())
MAX_FALSE_RATE = 0.5  # per vehicle-hour, which a driver is taken to bear
Z = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Episode:
    """One warning as a driver knows it, s."""

    vehicle: str
    start: float
    end: float
    slowed: bool = False  # as its first message was


@dataclass(frozen=True)
class Run:
    """One seed of the bench, as `seed_run.run` returned it."""

    warnings: tuple[ReceivedWarning, ...]
    truth: tuple[tuple[Conflict, bool], ...]  # and whether it could be seen early
    connected: frozenset[str]
    hours: float

    @cached_property
    def warnings_by_vehicle(self) -> dict[str, list[Episode]]:
        """The warnings of any kind, by vehicle."""
        return by_vehicle(
            episode
            for kind in MATCHES
            for episode in episodes(warning for warning in self.warnings if warning.kind == kind)
        )


def episodes(received: Iterable[ReceivedWarning]) -> list[Episode]:
    """Return warnings of one kind joined into episodes."""
    rows: list[Episode] = []
    last: dict[str, int] = {}

    for warning in sorted(received, key=lambda warning: warning.arrived):
        previous = last.get(warning.vehicle, -1)
        if previous >= 0 and warning.arrived <= rows[previous].end + PAUSE:
            rows[previous] = replace(rows[previous], end=max(rows[previous].end, warning.until))
        else:
            last[warning.vehicle] = len(rows)
            rows.append(
                Episode(vehicle=warning.vehicle, start=warning.arrived, end=warning.until, slowed=warning.slowed)
            )

    return rows


def by_vehicle(warnings: Iterable[Episode]) -> dict[str, list[Episode]]:
    """Return warnings by the vehicle that received them."""
    grouped: dict[str, list[Episode]] = {}
    for episode in warnings:
        grouped.setdefault(episode.vehicle, []).append(episode)
    return grouped


def concerns(episode: Episode, conflict: Conflict) -> bool:
    """Return whether an episode is about the time of a conflict of its vehicle."""
    return (
        episode.vehicle in (conflict.a, conflict.b)
        and episode.start <= max(conflict.worst, conflict.crossed)
        and conflict.crossed <= episode.end + HORIZON
    )


def score(runs: Sequence[Run], kind: str, keep: Callable[[ReceivedWarning], bool] = lambda _: True) -> dict[str, Any]:
    """Return the figures of one kind over runs, of the warnings that `keep` lets through."""
    to_find, justifying = MATCHES[kind]
    counts: Counter[str] = Counter()
    leads: list[float] = []

    for run in runs:
        warnings = episodes(warning for warning in run.warnings if warning.kind == kind and keep(warning))
        of_vehicle = by_vehicle(warnings)

        # precision: which warnings have a conflict that makes them right
        justified = [conflict for conflict, _ in run.truth if conflict.kind in justifying]
        right = {episode for conflict in justified for episode in _warnings_of(conflict, of_vehicle)}
        counts["right"] += len(right)
        counts["slowed"] += sum(episode.slowed for episode in warnings if episode not in right)
        counts["warnings"] += len(warnings)

        # recall: which conflicts were warned of, of those in which someone could be warned
        for conflict, visible in run.truth:
            if conflict.kind not in to_find or not {conflict.a, conflict.b} & run.connected:
                continue

            starts = [episode.start for episode in _warnings_of(conflict, of_vehicle)]
            was_warned = bool(starts)
            counts["events"] += 1
            counts["found"] += was_warned
            counts["found_by_any"] += bool(_warnings_of(conflict, run.warnings_by_vehicle))
            counts["serious"] += conflict.serious
            counts["serious_found"] += was_warned and conflict.serious
            counts["visible"] += visible
            counts["visible_found"] += was_warned and visible
            if was_warned and visible:
                leads.append(conflict.crossed - min(starts))

    hours = sum(run.hours for run in runs)
    false = counts["warnings"] - counts["right"]

    return {
        "events": counts["events"],
        "warnings": counts["warnings"],
        "right": counts["right"],
        "precision": share(counts["right"], counts["warnings"]),
        "recall": share(counts["found"], counts["events"]),
        "recall_any": share(counts["found_by_any"], counts["events"]),
        "recall_serious": share(counts["serious_found"], counts["serious"]),
        "recall_visible": share(counts["visible_found"], counts["visible"]),
        "false_per_hour": false / hours if hours else None,
        "false_slowed": share(counts["slowed"], false),
        "hours": hours,
        "leads": sorted(leads),
        "lead_median": float(np.median(leads)) if leads else None,
    }


def _warnings_of(conflict: Conflict, of_vehicle: Mapping[str, Sequence[Episode]]) -> list[Episode]:
    """Return the warnings that either vehicle of a conflict received about it."""
    return [
        episode
        for vehicle in (conflict.a, conflict.b)
        for episode in of_vehicle.get(vehicle, ())
        if concerns(episode, conflict)
    ]


def share(hits: int, count: int) -> dict[str, Any]:
    """Return k of n as a share with Wilson's 95 % interval; the share is None of nothing."""
    if not count:
        return {"k": 0, "n": 0, "value": None, "low": None, "high": None}

    ratio, z2 = hits / count, Z * Z
    middle, half = (
        (ratio + z2 / (2 * count)) / (1 + z2 / count),
        Z / (1 + z2 / count) * (ratio * (1 - ratio) / count + z2 / (4 * count * count)) ** 0.5,
    )
    return {"k": hits, "n": count, "value": ratio, "low": max(middle - half, 0.0), "high": min(middle + half, 1.0)}


def at_least(threshold: float) -> Callable[[ReceivedWarning], bool]:
    """Return the choice of warnings of some confidence."""
    return lambda warning: warning.confidence >= threshold


def curve(runs: Sequence[Run], kind: str) -> list[dict[str, Any]]:
    """Return the figures of a kind over THRESHOLDS of confidence."""
    return [{"threshold": x, **score(runs, kind, at_least(x))} for x in THRESHOLDS]


def best(points: Sequence[Mapping[str, Any]]) -> float:
    """Return the threshold of most recall at MAX_FALSE_RATE or fewer; where none has, that of fewest false warnings."""
    warned = [point for point in points if point["warnings"]] or list(points)
    bearable = [
        point
        for point in points
        if point["warnings"] and point["false_per_hour"] is not None and point["false_per_hour"] <= MAX_FALSE_RATE
    ]
    if bearable:
        chosen = max(bearable, key=lambda point: (point["recall"]["value"] or 0.0, point["threshold"]))
    else:
        chosen = min(warned, key=lambda point: (point["false_per_hour"] or 0.0, -point["threshold"]))

    return float(chosen["threshold"])


def with_violators(truth: Sequence[tuple[Conflict, bool]]) -> list[tuple[Conflict, bool]]:
    """Return truth with conflicts of a vehicle that runs a red as `violator`: those are what crossing traffic is warned
    of.
    """
    reds_run: defaultdict[str, list[float]] = defaultdict(list)
    for conflict, _ in truth:
        if conflict.kind == "red_light":
            reds_run[conflict.a].append(conflict.crossed)

    renamed = []
    for conflict, early in truth:
        times = [*reds_run.get(conflict.a, ()), *reds_run.get(conflict.b, ())]
        if conflict.kind == "vehicles" and any(abs(time - conflict.crossed) < HORIZON for time in times):
            conflict = replace(conflict, kind="violator")
        renamed.append((conflict, early))

    return renamed
