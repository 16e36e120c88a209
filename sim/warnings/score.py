"""Warnings against what happened: precision, recall, lead time, false warnings per vehicle-hour, by kind and threshold.

A warning is an episode: what one vehicle hears of one kind without a pause of more than PAUSE. It is right when its vehicle is in a
conflict of that kind that begins no later than HORIZON s after it ends, and is not over before it starts. A conflict is warned of when
one of its vehicles hears of it before the worst moment. Lead time is from the arrival of the warning to the moment a measure
of truth first passes its threshold; negative when the warning came between that and the worst. Some conflicts are told of under another name
(who will run a red hears of that): `recall_any` counts a conflict as found by a warning of any kind.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .seed_run import Heard
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
FEWEST_FALSE = 0.5  # a vehicle-hour; what a driver is taken to bear
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
    """One seed of the bench, as `warning_run.run` returned it."""

    heard: tuple[Heard, ...]
    truth: tuple[tuple[Conflict, bool], ...]  # and whether it could be seen early
    connected: frozenset[str]
    hours: float

    @cached_property
    def told(self) -> dict[str, list[Episode]]:
        """The warnings of any kind, by vehicle."""
        return by_vehicle(e for kind in MATCHES for e in episodes(w for w in self.heard if w.kind == kind))


def episodes(heard: Iterable[Heard]) -> list[Episode]:
    """Return warnings of one kind joined into episodes."""
    out: list[Episode] = []
    last: dict[str, int] = {}
    for w in sorted(heard, key=lambda w: w.arrived):
        k = last.get(w.vehicle, -1)
        if k >= 0 and w.arrived <= out[k].end + PAUSE:
            out[k] = replace(out[k], end=max(out[k].end, w.until))
        else:
            last[w.vehicle] = len(out)
            out.append(Episode(w.vehicle, w.arrived, w.until, w.slowed))
    return out


def by_vehicle(spoken: Iterable[Episode]) -> dict[str, list[Episode]]:
    """Return warnings by the vehicle that heard them."""
    out: dict[str, list[Episode]] = {}
    for e in spoken:
        out.setdefault(e.vehicle, []).append(e)
    return out


def concerns(episode: Episode, conflict: Conflict) -> bool:
    """Return whether an episode is about the time of a conflict of its vehicle."""
    return (
        episode.vehicle in (conflict.a, conflict.b)
        and episode.start <= max(conflict.worst, conflict.crossed)
        and conflict.crossed <= episode.end + HORIZON
    )


def score(runs: Sequence[Run], kind: str, keep: Callable[[Heard], bool] = lambda _: True) -> dict[str, Any]:
    """Return the figures of one kind over runs, of the warnings that `keep` lets through."""
    finds, excuses = MATCHES[kind]
    slowed = right = said = found = events = grave = grave_found = early = early_found = found_any = 0
    leads: list[float] = []
    for run in runs:
        spoken = episodes(w for w in run.heard if w.kind == kind and keep(w))
        told = by_vehicle(spoken)
        fitting = [c for c, _ in run.truth if c.kind in excuses]
        good = {e for c in fitting for v in (c.a, c.b) for e in told.get(v, ()) if concerns(e, c)}
        right, slowed = right + len(good), slowed + sum(e.slowed for e in spoken if e not in good)
        said += len(spoken)
        for conflict, visible in run.truth:
            if conflict.kind not in finds or not {conflict.a, conflict.b} & run.connected:
                continue
            starts = [e.start for v in (conflict.a, conflict.b) for e in told.get(v, ()) if concerns(e, conflict)]
            hit = bool(starts)
            events, found = events + 1, found + hit
            found_any += any(concerns(e, conflict) for v in (conflict.a, conflict.b) for e in run.told.get(v, ()))
            grave, grave_found = grave + conflict.serious, grave_found + (hit and conflict.serious)
            early, early_found = early + visible, early_found + (hit and visible)
            if hit and visible:
                leads.append(conflict.crossed - min(starts))
    hours = sum(run.hours for run in runs)
    return {
        "events": events,
        "warnings": said,
        "right": right,
        "precision": share(right, said),
        "recall": share(found, events),
        "recall_any": share(found_any, events),
        "recall_serious": share(grave_found, grave),
        "recall_visible": share(early_found, early),
        "false_per_hour": (said - right) / hours if hours else None,
        "false_slowed": share(slowed, said - right),
        "hours": hours,
        "leads": sorted(leads),
        "lead_median": float(np.median(leads)) if leads else None,
    }


def share(k: int, n: int) -> dict[str, Any]:
    """Return k of n as a share with Wilson's 95 % interval; the share is None of nothing."""
    if not n:
        return {"k": 0, "n": 0, "value": None, "low": None, "high": None}
    p, z2 = k / n, Z * Z
    middle, half = (p + z2 / (2 * n)) / (1 + z2 / n), Z / (1 + z2 / n) * (p * (1 - p) / n + z2 / (4 * n * n)) ** 0.5
    return {"k": k, "n": n, "value": p, "low": max(middle - half, 0.0), "high": min(middle + half, 1.0)}


def at_least(threshold: float) -> Callable[[Heard], bool]:
    """Return the choice of warnings of some confidence."""
    return lambda w: w.confidence >= threshold


def curve(runs: Sequence[Run], kind: str) -> list[dict[str, Any]]:
    """Return the figures of a kind over THRESHOLDS of confidence."""
    return [{"threshold": x, **score(runs, kind, at_least(x))} for x in THRESHOLDS]


def best(points: Sequence[Mapping[str, Any]]) -> float:
    """Return the threshold of most recall at FEWEST_FALSE a vehicle-hour or fewer; where none has, that of fewest false warnings."""
    fit = [
        p for p in points if p["false_per_hour"] is not None and p["false_per_hour"] <= FEWEST_FALSE and p["warnings"]
    ]
    if fit:
        return float(max(fit, key=lambda p: (p["recall"]["value"] or 0.0, p["threshold"]))["threshold"])
    said = [p for p in points if p["warnings"]] or list(points)
    return float(min(said, key=lambda p: (p["false_per_hour"] or 0.0, -p["threshold"]))["threshold"])


def with_violators(truth: Sequence[tuple[Conflict, bool]]) -> list[tuple[Conflict, bool]]:
    """Return truth with conflicts of someone running a red as `violator`: those are what crossing traffic is warned of."""
    ran: defaultdict[str, list[float]] = defaultdict(list)
    for c, _ in truth:
        if c.kind == "red_light":
            ran[c.a].append(c.crossed)
    out = []
    for c, early in truth:
        violated = any(abs(t - c.crossed) < HORIZON for name in (c.a, c.b) for t in ran.get(name, ()))
        kind = "violator" if c.kind == "vehicles" and violated else c.kind
        out.append((Conflict(kind, c.a, c.b, c.crossed, c.worst, c.ttc, c.pet, c.drac), early))
    return out
