"""Conflicts between vehicles as SUMO's device.ssm logs them, down to those whose paths cross or merge, each pair once.

Thresholds are the device's own: TTC 3 s, PET 2 s, DRAC 3 m/s^2. Most raw records are queue following, and each pair is
logged by both.
The device holds every pair in range in memory while either drives: its cost grows with the square of the run; more
short seeds beat a long one.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

TTC, PET, DRAC = 3.0, 2.0, 3.0  # s, s, m/s^2: a conflict
SERIOUS_TTC, SERIOUS_PET = 1.5, 1.0  # s: a serious one (FHWA-HRT-08-051: 1.5 s for TTC)
# Encounter types of crossing, merging, oncoming; not of following
MEETING = frozenset((*range(5, 18), 19, 20, 111))
FOLLOWING = "1 2 3 4 18"  # left out of the log
SAME = 10.0  # s; records of a pair closer than this are of one conflict
ARGUMENTS = (
    *("--device.ssm.probability", "1", "--device.ssm.measures", "TTC PET DRAC"),
    *("--device.ssm.thresholds", f"{TTC:g} {PET:g} {DRAC:g}", "--device.ssm.range", "50"),
    *("--device.ssm.extratime", "3", "--device.ssm.trajectories", "true"),
    *("--device.ssm.exclude-conflict-types", FOLLOWING),
)


@dataclass(frozen=True)
class Conflict:
    """Two road users that came too near in time, or one (`b` empty) that ran a red or braked hard.

    Times in s of SUMO: `crossed` when a measure first passed its threshold, `worst` when it was worst. A measure that
    was not
    passed is inf (TTC, PET) or 0 (DRAC).
    """

    kind: str  # vehicles, waited, vru, red_light, over_line, queue, hard_brake
    a: str
    b: str
    crossed: float
    worst: float
    ttc: float = np.inf
    pet: float = np.inf
    drac: float = 0.0

    @property
    def serious(self) -> bool:
        """Whether it is as near as a serious conflict."""
        return self.ttc < SERIOUS_TTC or self.pet < SERIOUS_PET


def read(file: Path) -> list[Conflict]:
    """Return the conflicts of an SSM log written with ARGUMENTS, by time."""
    conflicts: list[Conflict] = []
    for _, node in ET.iterparse(file):
        if node.tag != "conflict":
            continue
        conflict = _conflict(node)
        if conflict is not None:
            conflicts.append(conflict)
        node.clear()

    return merged(conflicts)


def merged(conflicts: list[Conflict]) -> list[Conflict]:
    """Return conflicts with those of one pair within SAME s of each other made one."""
    return merge(conflicts, SAME, lambda conflict: (min(conflict.a, conflict.b), max(conflict.a, conflict.b)))


def merge(conflicts: list[Conflict], gap: float, key: Callable[[Conflict], Hashable]) -> list[Conflict]:
    """Return conflicts by time, those of one key less than `gap` s apart made one: first crossing, worst measures."""
    merged: list[Conflict] = []
    newest: dict[Hashable, int] = {}

    for conflict in sorted(conflicts, key=lambda conflict: conflict.crossed):
        index = newest.get(key(conflict))
        if index is not None and conflict.crossed - max(merged[index].crossed, merged[index].worst) < gap:
            merged[index] = _joined(merged[index], conflict)
        else:
            newest[key(conflict)] = len(merged)
            merged.append(conflict)

    return merged


def _joined(first: Conflict, second: Conflict) -> Conflict:
    is_worse = min(second.ttc, second.pet) < min(first.ttc, first.pet)
    return replace(
        first,
        worst=second.worst if is_worse else first.worst,
        ttc=min(first.ttc, second.ttc),
        pet=min(first.pet, second.pet),
        drac=max(first.drac, second.drac),
    )


def _conflict(node: ET.Element) -> Conflict | None:
    """Return the conflict of one record without its moments of following; None where no measure passes its
    threshold.
    """
    times, types = _values(node, "timeSpan"), _values(node, "typeSpan")
    meeting = np.isin(types, list(MEETING))
    ttc, drac = _values(node, "TTCSpan"), _values(node, "DRACSpan")
    count = len(times)
    ttc = np.where(meeting & np.isfinite(ttc), ttc, np.inf) if len(ttc) == count else np.full(count, np.inf)
    drac = np.where(meeting & np.isfinite(drac), drac, 0.0) if len(drac) == count else np.zeros(count)

    # (when a threshold is passed first, when the measure is worst)
    moments = []
    if (ttc < TTC).any():
        moments.append((times[np.argmax(ttc < TTC)], times[np.argmin(ttc)]))
    if (drac > DRAC).any():
        moments.append((times[np.argmax(drac > DRAC)], times[np.argmax(drac)]))

    element = node.find("PET")
    pet = np.inf

    if element is not None and element.get("value", "NA") != "NA" and int(element.attrib["type"]) in MEETING:
        pet = float(element.attrib["value"])
        if pet < PET:
            moments.append((float(element.attrib["time"]), float(element.attrib["time"])))

    if not moments:
        return None

    crossed, worst = min(moments, key=lambda moment: moment[0])
    min_ttc = float(ttc.min(initial=np.inf))

    return Conflict(
        kind="vehicles",
        a=node.attrib["ego"],
        b=node.attrib["foe"],
        crossed=float(crossed),
        worst=float(worst),
        ttc=min_ttc if min_ttc < TTC else np.inf,
        pet=pet if pet < PET else np.inf,
        drac=float(drac.max(initial=0.0)),
    )


def _values(node: ET.Element, tag: str) -> np.ndarray:
    element = node.find(tag)
    text = element.get("values", "") if element is not None else ""
    return np.array([np.nan if word == "NA" else float(word) for word in text.split()])
