"""Checks of rules: values and units, calendars, spans, and contradictions that precedence does not settle."""

from collections.abc import Iterator
from itertools import combinations
from math import isfinite

from ..canon import FORMAT_2_DEFAULTS
from ..findings import Finding
from ..model import IntersectionCode
from ..polylines import length
from ..rule import FUELS, VALUED, Rule
from .binding import binding_faults
from .calendars import calendar_faults
from .tidal import tidal_faults

VALUE_LIMITS = {
    "speed_max": (0.5, 42.0),
    "speed_min": (0.5, 33.4),
    "school_zone": (0.5, 16.7),  # 60 km/h: GB 5768.4 has 30 km/h, none is above 60
    "construction": (0.5, 27.8),  # 100 km/h: works on a motorway, GB 5768.4 has 80 at the most
    "height_max": (1.0, 7.0),  # vehicles are 4 m high (GB 1589), the highest gauges beside overhead lines below 7 m
    "width_max": (1.0, 10.0),
    "mass_max": (0.5, 100.0),  # articulated vehicles have 49 t (GB 1589), signs for special transports below 100 t
    "axle_max": (0.5, 30.0),
    "toll": (0.0, 10_000.0),
    "emission_zone": (1.0, 7.0),
}


def rule_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of rules; references must hold."""
    length_of = {lane.id: length(lane.points) for lane in code.lanes} | {
        connection.id: length(connection.points) for connection in code.connections
    }
    has_sound_tidal_rules = True
    for rule in code.rules:
        faults = [
            *_value_faults(rule),
            *_class_faults(rule),
            *binding_faults(code, rule),
            *_span_faults(rule, length_of),
            *calendar_faults(code, rule),
        ]
        yield from faults
        has_sound_tidal_rules &= rule.kind != "tidal_lane" or not any(fault.severity == "error" for fault in faults)

        if rule.valid_from is not None and rule.valid_to is not None and rule.valid_to <= rule.valid_from:
            yield _error(rule, "valid_to", rule.valid_to, "must be after valid_from", "correct the interval")

    yield from _targets_without_lanes(code)
    yield from _format_faults(code)
    yield from _contradictions(code)

    if has_sound_tidal_rules:
        yield from tidal_faults(code)


def _error(rule: Rule, field: str, value: object, broken: str, remedy: str, severity: str = "error") -> Finding:
    return Finding(entity=rule.id, field=field, value=str(value), rule=broken, severity=severity, remedy=remedy)


def _value_faults(rule: Rule) -> Iterator[Finding]:
    if not rule.targets:
        yield _error(
            rule,
            "targets",
            "none",
            "a rule holds somewhere",
            "name its links, lanes, connections or zones, or `code` for all",
        )

    if rule.kind not in VALUED:
        if rule.value is not None:
            yield _error(rule, "value", rule.value, f"{rule.kind} has no value", "drop it", "warning")
        return

    low, high = VALUE_LIMITS[rule.kind]
    if rule.value is None and rule.kind in ("school_zone", "construction"):
        yield _error(
            rule,
            "value",
            "none",
            f"{rule.kind} without a value bounds no speed",
            f"give the limit in {VALUED[rule.kind]}",
            "warning",
        )
        return

    if rule.value is None or not (isfinite(rule.value) and low <= rule.value <= high):
        yield _error(
            rule,
            "value",
            rule.value,
            f"{rule.kind} must be {low:g} .. {high:g} {VALUED[rule.kind]}",
            f"give it in {VALUED[rule.kind]}"
            + (
                f": {rule.value:g} km/h is {rule.value / 3.6:.2f} m/s"
                if VALUED[rule.kind] == "m/s" and rule.value and 0 < rule.value < 1_000
                else ""
            ),
        )
    elif rule.kind == "emission_zone" and rule.value != int(rule.value):
        yield _error(rule, "value", rule.value, "emission stages are whole numbers", "China VI and Euro 6 are 6")


def _class_faults(rule: Rule) -> Iterator[Finding]:
    """Yield the faults of whom a rule binds."""
    if rule.kind == "lane_use" and not rule.classes:
        yield _error(
            rule,
            "classes",
            "none",
            "lane_use names who may use the lane: without classes it is closed to everybody",
            "name the classes, or make it a closure",
        )

    if rule.classes and set(rule.classes) <= set(rule.except_classes):
        yield _error(
            rule,
            "except_classes",
            ", ".join(rule.except_classes),
            "excepts everybody whom the rule names: it binds nobody",
            "correct classes or except_classes",
        )

    for digit in rule.plates:
        if not 0 <= digit <= 9:
            yield _error(
                rule,
                "plates",
                digit,
                "plates are the last digits of number plates, 0 .. 9",
                "give single digits, as [1, 6]",
            )

    for field, names in (("fuels", rule.fuels), ("except_fuels", rule.except_fuels)):
        for name in names:
            if name not in FUELS:
                yield _error(rule, field, name, f"must be one of {', '.join(FUELS)}", "take one of these words")

    if rule.fuels and set(rule.fuels) <= set(rule.except_fuels):
        yield _error(
            rule,
            "except_fuels",
            ", ".join(rule.except_fuels),
            "excepts every fuel that the rule names: it binds nobody",
            "correct fuels or except_fuels",
        )

    for field in ("classes", "except_classes", "plates", "fuels", "except_fuels"):
        if len(set(getattr(rule, field))) < len(getattr(rule, field)):
            yield _error(rule, field, getattr(rule, field), "names something twice", "name each once", "warning")


def _targets_without_lanes(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the targets of rules that no lane and no movement lies in."""
    links_with_lanes, crosswalk_ids = (
        {lane.link for lane in code.lanes},
        {crosswalk.id for crosswalk in code.crosswalks},
    )
    link_ids = {link.id for link in code.links}
    for rule in code.rules:
        names = [target.entity for target in rule.targets]
        for name in names:
            if name in crosswalk_ids or (name in link_ids and name not in links_with_lanes):
                yield _error(
                    rule,
                    "targets",
                    name,
                    "has no lanes: the rule holds nowhere there",
                    "name the lanes, links or zones where it holds",
                )

        if len(set(rule.targets)) < len(names):
            yield _error(rule, "targets", ", ".join(names), "names a place twice", "name each once", "warning")


def _format_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the rules of a code of format 1 that use what only format 2 has: a reader of format 1 would pass over it,
    and ban everybody."""
    if code.format >= 2:
        return

    for rule in code.rules:
        for prefix, owner in (("", rule), ("calendar.", rule.calendar)):
            used = [
                field
                for field, default in FORMAT_2_DEFAULTS.items()
                if owner is not None and getattr(owner, field, default) != default
            ]
            if used:
                yield _error(
                    rule,
                    prefix + used[0],
                    getattr(owner, used[0]),
                    "is of format 2, and the code says format 1",
                    'write "format": 2',
                )


def _span_faults(rule: Rule, length_of: dict[str, float]) -> Iterator[Finding]:
    for target in rule.targets:
        if target.s_from is None and target.s_to is None:
            continue

        if target.entity not in length_of:
            yield _error(
                rule,
                "targets.s",
                target.entity,
                "only lanes and connections have an s",
                "drop the span, or name the lane",
            )
            continue

        path_length = length_of[target.entity]
        start, stop = target.s_from or 0.0, path_length if target.s_to is None else target.s_to
        if not 0.0 <= start < stop <= path_length * 1.01 + 0.5:
            yield _error(
                rule,
                "targets.s",
                f"{target.entity} {start:g} .. {stop:g}",
                f"must be a span within 0 .. {path_length:.1f} m",
                "measure it along the lane",
            )


def _contradictions(code: IntersectionCode) -> Iterator[Finding]:
    """Yield pairs of equal rank that cannot both be kept: a lowest speed above the highest, a bus lane that is closed
    to buses."""
    link_of_lane = {lane.id: lane.link for lane in code.lanes}
    minimum_limits = [rule for rule in code.rules if rule.kind == "speed_min" and rule.value is not None]
    maximum_limits = [rule for rule in code.rules if rule.kind == "speed_max" and rule.value is not None]
    pairs = [(a, b) for a in minimum_limits for b in maximum_limits if (a.value or 0) > (b.value or 0)]

    pairs += [
        (a, b)
        for a, b in combinations(code.rules, 2)
        if a.kind == b.kind and a.value != b.value and a.kind in VALUED and a.sign and a.sign == b.sign
    ]
    for a, b in pairs:
        if _rank(a) == _rank(b) and _overlap(a, b, link_of_lane) and a.calendar == b.calendar:
            yield _error(
                a,
                "value",
                a.value,
                f"contradicts {b.id} ({b.kind} {b.value}) at the same place, time and rank",
                "give one of them a higher priority, or correct its value",
            )


def _rank(rule: Rule) -> tuple[bool, int, tuple[str, ...], tuple[str, ...]]:
    return rule.temporary, rule.priority, rule.classes, rule.except_classes


def _overlap(a: Rule, b: Rule, link_of_lane: dict[str, str]) -> bool:
    entities_a, entities_b = ({target.entity for target in rule.targets} for rule in (a, b))
    links = {link_of_lane.get(name, name) for name in entities_a}, {link_of_lane.get(name, name) for name in entities_b}
    return bool(
        entities_a & entities_b or links[0] & entities_b or entities_a & links[1] or "code" in entities_a | entities_b
    )
