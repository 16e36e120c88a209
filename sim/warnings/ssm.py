"""Conflicts between vehicles as SUMO's device.ssm logs them, down to those whose paths cross or merge, each pair once.

Thresholds are the device's own: TTC 3 s, PET 2 s, DRAC 3 m/s^2. Most raw records are queue following, and each pair is logged by both.
The device holds every pair in range in memory while either drives: its cost grows with the square of the run; more short seeds beat a long one.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TTC, PET, DRAC = 3.0, 2.0, 3.0  # s, s, m/s^2: a conflict
SERIOUS_TTC, SERIOUS_PET = 1.5, 1.0  # s: a serious one (FHWA-HRT-08-051: 1.5 s for TTC)
MEETING = frozenset((*range(5, 18), 19, 20, 111))  # encounter types of crossing, merging, oncoming; not of following
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
    """Two road users who came too near in time.

    Times in s of SUMO: `crossed` when a measure first passed its threshold, `worst` when it was worst. A measure that was not
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
        return self.ttc < SERIOUS_TTC or self.pet < SERIOUS_PET


def read(file: Path) -> list[Conflict]:
    """Return the conflicts of an SSM log written with ARGUMENTS, by time."""
    found: list[Conflict] = []
    for _, node in ET.iterparse(file):
        if node.tag != "conflict":
            continue
        conflict = _conflict(node)
        if conflict is not None:
            found.append(conflict)
        node.clear()
    return merged(found)


def merged(conflicts: list[Conflict]) -> list[Conflict]:
    """Return conflicts with those of one pair within SAME s of each other made one: first crossing, worst measures."""
    out: list[Conflict] = []
    last: dict[tuple[str, str], int] = {}
    for c in sorted(conflicts, key=lambda c: c.crossed):
        pair = (min(c.a, c.b), max(c.a, c.b))
        k = last.get(pair, -1)
        if k >= 0 and c.crossed - max(out[k].crossed, out[k].worst) < SAME:
            o = out[k]
            worst = c.worst if min(c.ttc, c.pet) < min(o.ttc, o.pet) else o.worst
            out[k] = Conflict(
                o.kind, o.a, o.b, o.crossed, worst, min(o.ttc, c.ttc), min(o.pet, c.pet), max(o.drac, c.drac)
            )
        else:
            last[pair] = len(out)
            out.append(c)
    return out


def _conflict(node: ET.Element) -> Conflict | None:
    """Return what is left of one record once following is taken out; None where nothing passes a threshold."""
    times, types = _values(node, "timeSpan"), _values(node, "typeSpan")
    meeting = np.isin(types, list(MEETING))
    ttc, drac = _values(node, "TTCSpan"), _values(node, "DRACSpan")
    n = len(times)
    ttc = np.where(meeting & np.isfinite(ttc), ttc, np.inf) if len(ttc) == n else np.full(n, np.inf)
    drac = np.where(meeting & np.isfinite(drac), drac, 0.0) if len(drac) == n else np.zeros(n)
    moments = []  # (when a threshold is passed first, when the measure is worst)
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
    crossed, worst = min(m[0] for m in moments), min(moments, key=lambda m: m[0])[1]
    least = float(ttc.min(initial=np.inf))
    return Conflict(
        "vehicles",
        node.attrib["ego"],
        node.attrib["foe"],
        float(crossed),
        float(worst),
        least if least < TTC else np.inf,
        pet if pet < PET else np.inf,
        float(drac.max(initial=0.0)),
    )


def _values(node: ET.Element, tag: str) -> np.ndarray:
    found = node.find(tag)
    text = found.get("values", "") if found is not None else ""
    return np.array([np.nan if word == "NA" else float(word) for word in text.split()])
