"""The limits of each lane of a code by part, as a message lists them: what holds at times only is taken as at all times, at its lowest."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from .lines import length
from .model import Connection, IntersectionCode, Lane
from .rule import Rule
from .rules import Place, places
from .speed_limits import CAR, written_kind

SLOW_CLASSES = frozenset(("emergency", "sanitation", "logistics_robot", "bicycle", "pedestrian"))  # whose own limits bind nobody who reads a MAP
SHORTEST = 0.02  # m; parts below are none
SCHOOL, WORKS = "maxSpeedInSchoolZone", "maxSpeedInConstructionZone"


class Part(NamedTuple):
    """Limits by type (m/s) between two places of a lane, m along it."""

    s_from: float
    s_to: float
    limits: dict[str, float]


def limit_parts(code: IntersectionCode) -> dict[str, list[Part]]:
    """Return the parts of each lane and connection, from its beginning; those that follow one another differ."""
    found = places(code)
    paths: list[Lane | Connection] = [*code.lanes, *code.connections]
    return {path.id: _parts(code, path, found[path.id]) for path in paths}


def _parts(code: IntersectionCode, lane: Lane | Connection, found: Sequence[Place]) -> list[Part]:
    whole = length(lane.points)
    cuts = sorted({0.0, whole, *(min(max(s, 0.0), whole) for place in found for s in (place.s_from, place.s_to) if code.rules[place.rule].value is not None)})
    cuts = [0.0, *(s for s, after in pairwise(cuts[1:]) if after - s > SHORTEST and s > SHORTEST), whole]
    out: list[Part] = []
    for begin, end in pairwise(cuts):
        middle = (begin + end) / 2
        limits = _limits(lane, [code.rules[p.rule] for p in found if p.s_from <= middle <= p.s_to])
        if out and out[-1].limits == limits:
            out[-1] = Part(out[-1].s_from, end, limits)
        else:
            out.append(Part(begin, end, limits))
    return out


def _limits(lane: Lane | Connection, rules: list[Rule]) -> dict[str, float]:
    """Return the lowest limits at a place: of all, and of each kind that a message knows."""
    limits = {CAR: lane.speed}
    for rule in rules:
        name = _listed_as(rule)
        if not name or rule.value is None:
            continue
        lower = max if "Min" in name else min
        limits[name] = lower(limits.get(name, rule.value), rule.value)
    return limits


def _listed_as(rule: Rule) -> str:
    """Return the type that a rule is listed under; one that no type stands for enters the limit of all."""
    exact = written_kind(rule)
    if exact or not rule.mandatory:
        return exact
    if rule.kind == "school_zone":
        return SCHOOL
    if rule.kind == "construction":
        return WORKS
    if rule.kind != "speed_max" or (rule.classes and SLOW_CLASSES.issuperset(rule.classes)):
        return ""
    return "truckMaxSpeed" if rule.classes == ("truck",) and not rule.except_classes else CAR


def whole_lane_only(parts: list[Part]) -> list[Part]:
    """Return parts without lowest speeds that hold on some of them only: a message cannot end one."""
    names = {name for part in parts for name in part.limits if "MinSpeed" in name}
    gone = {name for name in names if any(part.limits.get(name) != parts[0].limits.get(name) for part in parts)}
    return [part._replace(limits={name: value for name, value in part.limits.items() if name not in gone}) for part in parts]


def lowest(parts: list[Part]) -> dict[str, float]:
    """Return one set of limits for a whole lane: the lowest of each type; lowest speeds only where all of it has them."""
    out: dict[str, float] = {}
    for part in whole_lane_only(parts):
        for name, value in part.limits.items():
            out[name] = value if "MinSpeed" in name else min(out.get(name, value), value)
    return out
