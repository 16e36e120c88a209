"""The limits of each lane of a code by part, as a message lists them: what holds at times only is taken as at all times, at its lowest.

At each place the deciding one of the plain limits holds (`rules.places`), and the lane's own `speed` where no plain limit does: importers give a lane of
parts the lowest of them, or the highest, so that its `speed` says nothing of a part that has a rule. One that is lower than all of them caps them.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from ...model import Connection, IntersectionCode, Lane
from ...polylines import length
from ...rule import Rule
from ...rules import IntersectionState, places
from .kept_out import USED_BY
from .speed_limits import CAR, narrowed, written_kind

SLOW_CLASSES = frozenset(
    ("emergency", "sanitation", "logistics_robot", "bicycle", "pedestrian")
)  # whose own limits bind nobody who reads a MAP
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


def _parts(code: IntersectionCode, lane: Lane | Connection, found: Sequence[IntersectionState]) -> list[Part]:
    whole = length(lane.points)
    cuts = sorted(
        {
            0.0,
            whole,
            *(
                min(max(s, 0.0), whole)
                for place in found
                for s in (place.s_from, place.s_to)
                if code.rules[place.rule].value is not None
            ),
        }
    )
    cuts = [0.0, *(s for s, after in pairwise(cuts[1:]) if after - s > SHORTEST and s > SHORTEST), whole]
    spans = list(pairwise(cuts))
    ruled = [[code.rules[p.rule] for p in found if p.s_from <= (begin + end) / 2 <= p.s_to] for begin, end in spans]
    plain = [_deciding(rules, lane.speed) for rules in ruled]
    top = lane.speed if lane.speed < min(plain) else inf

    out: list[Part] = []
    for (begin, end), rules, value in zip(spans, ruled, plain, strict=True):
        limits = _limits(min(value, top), lane.use if isinstance(lane, Lane) else "vehicle", rules)
        if out and out[-1].limits == limits:
            out[-1] = Part(out[-1].s_from, end, limits)
        else:
            out.append(Part(begin, end, limits))
    return out


def _deciding(rules: list[Rule], speed: float) -> float:
    """Return the plain limit that decides, of rules in the order in which they do; `speed` without one."""
    return next((rule.value for rule in rules if rule.value is not None and is_plain_limit(rule)), speed)


def _limits(plain: float, use: str, rules: list[Rule]) -> dict[str, float]:
    """Return the lowest limits at a place of a lane of a use: of all, and of each kind that a message knows, beside the plain one that decides there."""
    limits = {CAR: plain}
    for rule in rules:
        name = _listed_as(rule, use)
        if not name or rule.value is None or is_plain_limit(rule):
            continue
        lower = max if "Min" in name else min
        limits[name] = lower(limits.get(name, rule.value), rule.value)
    return limits


def is_plain_limit(rule: Rule) -> bool:
    """Return whether a rule is a limit for everyone at all times."""
    return (
        rule.kind == "speed_max"
        and rule.mandatory
        and not (rule.classes or rule.except_classes or rule.calendar or narrowed(rule))
    )


def _listed_as(rule: Rule, use: str) -> str:
    """Return the type that a rule is listed under on a lane of a use; one that no type stands for enters the limit of all."""
    exact = written_kind(rule)
    if exact or not rule.mandatory:
        return exact
    if rule.kind == "school_zone":
        return SCHOOL
    if rule.kind == "construction":
        return WORKS
    slow = SLOW_CLASSES.difference(USED_BY[use])  # on a lane of their own their limit is the lane's
    if rule.kind != "speed_max" or (rule.classes and slow.issuperset(rule.classes)):
        return ""
    return "truckMaxSpeed" if rule.classes == ("truck",) and not rule.except_classes else CAR


def whole_lane_only(parts: list[Part]) -> list[Part]:
    """Return parts without lowest speeds that hold on some of them only: a message cannot end one."""
    names = {name for part in parts for name in part.limits if "MinSpeed" in name}
    gone = {name for name in names if any(part.limits.get(name) != parts[0].limits.get(name) for part in parts)}
    return [
        part._replace(limits={name: value for name, value in part.limits.items() if name not in gone}) for part in parts
    ]


def lowest(parts: list[Part]) -> dict[str, float]:
    """Return one set of limits for a whole lane: the lowest of each type; lowest speeds only where all of it has them."""
    out: dict[str, float] = {}
    for part in whole_lane_only(parts):
        for name, value in part.limits.items():
            out[name] = value if "MinSpeed" in name else min(out.get(name, value), value)
    return out
