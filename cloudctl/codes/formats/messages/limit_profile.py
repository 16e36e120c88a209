"""The limits of each lane of a code by part, as a message lists them: what holds at times only is taken as at all
times, at its lowest.

At each place the deciding one of the plain limits holds (`rules.places`), and the lane's own `speed` where no plain
limit does: importers give a lane of parts the lowest of them, or the highest, so that its `speed` shows nothing of a
part that has a rule. One that is lower than all of them caps them."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from ...model import Connection, IntersectionCode, Lane
from ...polylines import length
from ...rule import Rule
from ...rules import RulePlacement, rule_placements
from .kept_out import CLASSES_OF_USE
from .speed_limits import CAR_LIMIT, message_limit_type, narrowing_fields

# Own limits of these bind no reader of a MAP
SPECIAL_CLASSES = frozenset(("emergency", "sanitation", "logistics_robot", "bicycle", "pedestrian"))
MIN_PART_LENGTH = 0.02  # m; parts below are none
SCHOOL_LIMIT, CONSTRUCTION_LIMIT = "maxSpeedInSchoolZone", "maxSpeedInConstructionZone"


class Part(NamedTuple):
    """Limits by type (m/s) between two places of a lane, m along it."""

    s_from: float
    s_to: float
    limits: dict[str, float]


def limit_parts(code: IntersectionCode) -> dict[str, list[Part]]:
    """Return the parts of each lane and connection, from its beginning; those that follow one another differ."""
    placements = rule_placements(code)
    paths: list[Lane | Connection] = [*code.lanes, *code.connections]
    return {path.id: _parts(code, path, placements[path.id]) for path in paths}


def _parts(code: IntersectionCode, lane: Lane | Connection, placements: Sequence[RulePlacement]) -> list[Part]:
    path_length = length(lane.points)
    boundaries = sorted(
        {
            0.0,
            path_length,
            *(
                min(max(s, 0.0), path_length)
                for placement in placements
                for s in (placement.s_from, placement.s_to)
                if code.rules[placement.rule].value is not None
            ),
        }
    )

    # Shorter parts come from rounding of the placements, and would cost nodes, of which a MAP has few
    boundaries = [
        0.0,
        *(s for s, after in pairwise(boundaries[1:]) if after - s > MIN_PART_LENGTH and s > MIN_PART_LENGTH),
        path_length,
    ]

    spans = list(pairwise(boundaries))
    rules_of_span = [
        [
            code.rules[placement.rule]
            for placement in placements
            if placement.s_from <= (start + end) / 2 <= placement.s_to
        ]
        for start, end in spans
    ]

    # Importers give a lane of several limits the lowest or the highest of them as its speed: it counts only where it is
    # below all of them
    plain_limits = [_deciding(rules, lane.speed) for rules in rules_of_span]
    cap = lane.speed if lane.speed < min(plain_limits) else inf

    parts: list[Part] = []

    for (start, end), rules, value in zip(spans, rules_of_span, plain_limits, strict=True):
        limits = _limits(min(value, cap), lane.use if isinstance(lane, Lane) else "vehicle", rules)
        if parts and parts[-1].limits == limits:
            parts[-1] = Part(parts[-1].s_from, end, limits)
        else:
            parts.append(Part(start, end, limits))

    return parts


def _deciding(rules: list[Rule], speed: float) -> float:
    """Return the plain limit that decides, of rules in the order in which they do; `speed` without one."""
    return next((rule.value for rule in rules if rule.value is not None and is_plain_limit(rule)), speed)


def _limits(plain: float, use: str, rules: list[Rule]) -> dict[str, float]:
    """Return the lowest limits at a place of a lane of a use: of all, and of each kind that a message knows, beside the
    plain one that decides there."""
    limits = {CAR_LIMIT: plain}
    for rule in rules:
        limit_type = _listed_as(rule, use)
        if not limit_type or rule.value is None or is_plain_limit(rule):
            continue
        stricter = max if "Min" in limit_type else min
        limits[limit_type] = stricter(limits.get(limit_type, rule.value), rule.value)

    return limits


def is_plain_limit(rule: Rule) -> bool:
    """Return whether a rule is a limit for everyone at all times."""
    return (
        rule.kind == "speed_max"
        and rule.mandatory
        and not (rule.classes or rule.except_classes or rule.calendar or narrowing_fields(rule))
    )


def _listed_as(rule: Rule, use: str) -> str:
    """Return the type that a rule is listed under on a lane of a use; one that no type stands for enters the limit of
    all."""
    exact = message_limit_type(rule)
    if exact or not rule.mandatory:
        return exact
    if rule.kind == "school_zone":
        return SCHOOL_LIMIT
    if rule.kind == "construction":
        return CONSTRUCTION_LIMIT

    # On a lane of their own their limit is the lane's
    slow = SPECIAL_CLASSES.difference(CLASSES_OF_USE[use])
    if rule.kind != "speed_max" or (rule.classes and slow.issuperset(rule.classes)):
        return ""

    return "truckMaxSpeed" if rule.classes == ("truck",) and not rule.except_classes else CAR_LIMIT


def whole_lane_only(parts: list[Part]) -> list[Part]:
    """Return parts without lowest speeds that hold on some of them only: a message cannot end one."""
    minimum_types = {name for part in parts for name in part.limits if "MinSpeed" in name}
    dropped_types = {
        name for name in minimum_types if any(part.limits.get(name) != parts[0].limits.get(name) for part in parts)
    }
    return [
        part._replace(limits={name: value for name, value in part.limits.items() if name not in dropped_types})
        for part in parts
    ]


def lowest(parts: list[Part]) -> dict[str, float]:
    """Return one set of limits for a whole lane: the lowest of each type; lowest speeds only where all of it has
    them."""
    limits: dict[str, float] = {}
    for part in whole_lane_only(parts):
        for name, value in part.limits.items():
            limits[name] = value if "MinSpeed" in name else min(limits.get(name, value), value)

    return limits
