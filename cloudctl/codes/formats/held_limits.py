"""The limit that holds for a class at a place of a lane, asked of the rules: what an export is compared by, apart from what its writer lists."""

from math import inf
from typing import NamedTuple

from ..model import IntersectionCode
from ..rule import Rule
from ..rules import CAPS, IntersectionState, Vehicle, binds


class Held(NamedTuple):
    """Limits at a place, m/s: `usual` holds by the rules that hold at all times, `lowest` and `greatest` are those of any time."""

    usual: float
    lowest: float
    greatest: float


def held(code: IntersectionCode, found: list[IntersectionState], speed: float, kind: str, s: float) -> Held:
    """Return the limit for a class at `s` m; `found` are the lane's rules in the order in which they decide, `speed` is the lane's own."""
    vehicle = Vehicle("car", automated=True) if kind == "automated" else Vehicle(kind)
    usual: dict[str, float] = {}
    lowest, at_times = inf, list[float]()
    for place in found:
        rule = code.rules[place.rule]
        if rule.kind not in CAPS or rule.value is None or not rule.mandatory or not place.s_from <= s <= place.s_to:
            continue
        bound = binds(rule, vehicle)
        if bound and _is_timeless(rule):
            usual.setdefault(rule.kind, rule.value)
        elif bound is not False:
            lowest = min(lowest, rule.value)
            if (
                rule.kind == "speed_max" and rule.kind not in usual
            ):  # it decides while it holds, also where it allows more
                at_times.append(rule.value)
    plain = usual.get("speed_max", speed)
    capped = min((value for name, value in usual.items() if name != "speed_max"), default=inf)
    return Held(min(plain, capped), min(plain, capped, lowest), min(max([plain, *at_times]), capped))


def highest(code: IntersectionCode, found: list[IntersectionState], speed: float) -> float:
    """Return the highest limit for everyone at all times that a lane has on any part, its own speed among them."""
    rules = [code.rules[place.rule] for place in found]
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
