"""The limit that holds for a class at a place of a lane, asked of the rules: what an export is compared by, apart from
what its writer lists."""

from math import inf
from typing import NamedTuple

from ..model import IntersectionCode
from ..rule import Rule
from ..rules import SPEED_CAP_KINDS, RulePlacement, Vehicle, binds


class HeldLimits(NamedTuple):
    """Limits at a place, m/s: `usual` holds by the rules that hold at all times, `lowest` and `greatest` are those of
    any time."""

    usual: float
    lowest: float
    greatest: float


def limits_held(
    code: IntersectionCode, placements: list[RulePlacement], speed: float, kind: str, s: float
) -> HeldLimits:
    """Return the limit for a class at `s` m; `placements` are the lane's rules in the order in which they decide,
    `speed` is the lane's own."""
    vehicle = Vehicle("car", automated=True) if kind == "automated" else Vehicle(kind)
    usual: dict[str, float] = {}
    lowest, at_times = inf, dict[str, list[float]]()

    for placement in placements:
        rule = code.rules[placement.rule]
        if (
            rule.kind not in SPEED_CAP_KINDS
            or rule.value is None
            or not rule.mandatory
            or not placement.s_from <= s <= placement.s_to
        ):
            continue

        is_bound = binds(rule, vehicle)
        if is_bound and _is_timeless(rule):
            usual.setdefault(rule.kind, rule.value)
        elif is_bound is not False:
            lowest = min(lowest, rule.value)
            if rule.kind not in usual:  # it decides for its kind while it holds, also where it allows more
                at_times.setdefault(rule.kind, []).append(rule.value)

    usual.setdefault("speed_max", speed)
    greatest = min(max([value, *at_times.get(name, ())]) for name, value in usual.items())
    plain = min(usual.values())
    return HeldLimits(usual=plain, lowest=min(plain, lowest), greatest=greatest)


def highest_plain_limit(code: IntersectionCode, placements: list[RulePlacement], speed: float) -> float:
    """Return the highest limit for everyone at all times that a lane has on any part, its own speed among them."""
    rules = [code.rules[placement.rule] for placement in placements]
    return max(
        [
            speed,
            *(
                rule.value
                for rule in rules
                if rule.kind == "speed_max"
                and rule.value is not None
                and not rule.classes
                and rule.mandatory
                and _is_timeless(rule)
            ),
        ]
    )


def _is_timeless(rule: Rule) -> bool:
    return rule.calendar is None and rule.valid_from is None and rule.valid_to is None
