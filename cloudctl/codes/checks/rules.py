"""Checks of rules: values and units, calendars, spans, and contradictions that precedence does not settle."""

from collections.abc import Iterator
from itertools import combinations
from math import isfinite

from ..canon import FORMAT_2_DEFAULTS
from ..findings import Finding, Severity, fault
from ..model import Connection, IntersectionCode, Lane
from ..polylines import length
from ..rule import FUELS, VALUED, Rule
from ..terms import KMH_PER_MPS
from .binding import binding_faults
from .calendars import calendar_faults
from .tidal import tidal_faults

VALUE_LIMITS = {
    "speed_max": (0.5, 42.0),
    "speed_min": (0.5, 33.4),
    "school_zone": (0.5, 16.7),  # 60 km/h: GB 5768.4 has 30 km/h, none is above 60
    "construction": (0.5, 27.8),  # 100 km/h: works on a motorway, GB 5768.4 has 80 at the most
    # Vehicles are 4 m high (GB 1589), the highest gauges beside overhead lines below 7 m
    "height_max": (1.0, 7.0),
    "width_max": (1.0, 10.0),
    # Articulated vehicles have 49 t (GB 1589), signs for special transports below 100 t
    "mass_max": (0.5, 100.0),
    "axle_max": (0.5, 30.0),
    "toll": (0.0, 10_000.0),
    "emission_zone": (1.0, 7.0),
}


def rule_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of rules; references must hold."""
    ruled = {target.entity for rule in code.rules for target in rule.targets}
    paths: list[Lane | Connection] = [*code.lanes, *code.connections]
    length_of = {path.id: length(path.points) for path in paths if path.id in ruled}
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
        has_sound_tidal_rules &= rule.kind != "tidal_lane" or not any(
            fault.severity == Severity.ERROR for fault in faults
        )

        if rule.valid_from is not None and rule.valid_to is not None and rule.valid_to <= rule.valid_from:
            yield fault(
                entity=rule.id,
                field="valid_to",
                value=rule.valid_to,
                rule="must be after valid_from",
                remedy="correct the interval",
            )

    yield from _targets_without_lanes(code)
    yield from _format_faults(code)
    yield from _contradictions(code)

    if has_sound_tidal_rules:
        yield from tidal_faults(code)


def _value_faults(rule: Rule) -> Iterator[Finding]:
    if not rule.targets:
        yield fault(
            entity=rule.id,
            field="targets",
            value="none",
            rule="a rule holds somewhere",
            remedy="name its links, lanes, connections or zones, or `code` for all",
        )

    if rule.kind not in VALUED:
        if rule.value is not None:
            yield fault(
                entity=rule.id,
                field="value",
                value=rule.value,
                rule=f"{rule.kind} has no value",
                remedy="drop it",
                # JSON has no infinite number: such a value would be lost where the code is written.
                severity=Severity.WARNING if isfinite(rule.value) else Severity.ERROR,
            )

        return

    low, high = VALUE_LIMITS[rule.kind]
    if rule.value is None and rule.kind in ("school_zone", "construction"):
        yield fault(
            entity=rule.id,
            field="value",
            value="none",
            rule=f"{rule.kind} without a value bounds no speed",
            remedy=f"give the limit in {VALUED[rule.kind]}",
            severity=Severity.WARNING,
        )

        return

    if rule.value is None or not (isfinite(rule.value) and low <= rule.value <= high):
        yield fault(
            entity=rule.id,
            field="value",
            value=rule.value,
            rule=f"{rule.kind} must be {low:g} .. {high:g} {VALUED[rule.kind]}",
            remedy=f"give it in {VALUED[rule.kind]}"
            + (
                f": {rule.value:g} km/h is {rule.value / KMH_PER_MPS:.2f} m/s"
                if VALUED[rule.kind] == "m/s" and rule.value and 0 < rule.value < 1_000
                else ""
            ),
        )
    elif rule.kind == "emission_zone" and rule.value != int(rule.value):
        yield fault(
            entity=rule.id,
            field="value",
            value=rule.value,
            rule="emission stages are whole numbers",
            remedy="China VI and Euro 6 are 6",
        )


def _class_faults(rule: Rule) -> Iterator[Finding]:
    """Yield the faults of the users that a rule binds."""
    if rule.kind == "lane_use" and not rule.classes:
        yield fault(
            entity=rule.id,
            field="classes",
            value="none",
            rule="lane_use names the classes that may use the lane: without classes it is closed to everybody",
            remedy="name the classes, or make it a closure",
        )

    if rule.classes and set(rule.classes) <= set(rule.except_classes):
        yield fault(
            entity=rule.id,
            field="except_classes",
            value=", ".join(rule.except_classes),
            rule="excepts everybody whom the rule names: it binds nobody",
            remedy="correct classes or except_classes",
        )

    for digit in rule.plates:
        if not 0 <= digit <= 9:
            yield fault(
                entity=rule.id,
                field="plates",
                value=digit,
                rule="plates are the last digits of number plates, 0 .. 9",
                remedy="give single digits, as [1, 6]",
            )

    for field, names in (("fuels", rule.fuels), ("except_fuels", rule.except_fuels)):
        for name in names:
            if name not in FUELS:
                yield fault(
                    entity=rule.id,
                    field=field,
                    value=name,
                    rule=f"must be one of {', '.join(FUELS)}",
                    remedy="take one of these words",
                )

    if rule.fuels and set(rule.fuels) <= set(rule.except_fuels):
        yield fault(
            entity=rule.id,
            field="except_fuels",
            value=", ".join(rule.except_fuels),
            rule="excepts every fuel that the rule names: it binds nobody",
            remedy="correct fuels or except_fuels",
        )

    for field in ("classes", "except_classes", "plates", "fuels", "except_fuels"):
        if len(set(getattr(rule, field))) < len(getattr(rule, field)):
            yield fault(
                entity=rule.id,
                field=field,
                value=getattr(rule, field),
                rule="names something twice",
                remedy="name each once",
                severity=Severity.WARNING,
            )


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
                yield fault(
                    entity=rule.id,
                    field="targets",
                    value=name,
                    rule="has no lanes: the rule holds nowhere there",
                    remedy="name the lanes, links or zones where it holds",
                )

        if len(set(rule.targets)) < len(names):
            yield fault(
                entity=rule.id,
                field="targets",
                value=", ".join(names),
                rule="names a place twice",
                remedy="name each once",
                severity=Severity.WARNING,
            )


def _format_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the rules of a code of format 1 that use what only format 2 has: a reader of format 1 would pass over it,
    and ban every vehicle."""
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
                yield fault(
                    entity=rule.id,
                    field=prefix + used[0],
                    value=getattr(owner, used[0]),
                    rule="is of format 2, and the code says format 1",
                    remedy='write "format": 2',
                )


def _span_faults(rule: Rule, length_of: dict[str, float]) -> Iterator[Finding]:
    for target in rule.targets:
        if target.s_from is None and target.s_to is None:
            continue

        if target.entity not in length_of:
            yield fault(
                entity=rule.id,
                field="targets.s",
                value=target.entity,
                rule="only lanes and connections have an s",
                remedy="drop the span, or name the lane",
            )

            continue

        path_length = length_of[target.entity]
        start, stop = target.s_from or 0.0, path_length if target.s_to is None else target.s_to
        if not 0.0 <= start < stop <= path_length * 1.01 + 0.5:
            yield fault(
                entity=rule.id,
                field="targets.s",
                value=f"{target.entity} {start:g} .. {stop:g}",
                rule=f"must be a span within 0 .. {path_length:.1f} m",
                remedy="measure it along the lane",
            )


def _contradictions(code: IntersectionCode) -> Iterator[Finding]:
    """Yield pairs of equal rank that cannot both be kept: a lowest speed above the highest, a bus lane that is closed
    to buses."""
    link_of_lane = {lane.id: lane.link for lane in code.lanes}
    minimum_limits = [rule for rule in code.rules if rule.kind == "speed_min" and rule.value is not None]
    maximum_limits = [rule for rule in code.rules if rule.kind == "speed_max" and rule.value is not None]

    pairs = [
        (first, second)
        for first in minimum_limits
        for second in maximum_limits
        if (first.value or 0) > (second.value or 0)
    ]

    pairs += [
        (first, second)
        for first, second in combinations(code.rules, 2)
        if first.kind == second.kind
        and first.value != second.value
        and first.kind in VALUED
        and first.sign
        and first.sign == second.sign
    ]
    # Of different rank, place or time, one of the two decides, and nothing is contradicted
    for first, second in pairs:
        if (
            _rank(first) == _rank(second)
            and _overlap(first, second, link_of_lane)
            and first.calendar == second.calendar
        ):
            yield fault(
                entity=first.id,
                field="value",
                value=first.value,
                rule=f"contradicts {second.id} ({second.kind} {second.value}) at the same place, time and rank",
                remedy="give one of them a higher priority, or correct its value",
            )


def _rank(rule: Rule) -> tuple[bool, int, tuple[str, ...], tuple[str, ...]]:
    return rule.temporary, rule.priority, rule.classes, rule.except_classes


def _overlap(first: Rule, second: Rule, link_of_lane: dict[str, str]) -> bool:
    entities_a, entities_b = ({target.entity for target in rule.targets} for rule in (first, second))
    links = {link_of_lane.get(name, name) for name in entities_a}, {link_of_lane.get(name, name) for name in entities_b}
    return bool(
        entities_a & entities_b or links[0] & entities_b or entities_a & links[1] or "code" in entities_a | entities_b
    )
