"""Checks of the users that a rule binds and what it can hold on: rules that no vehicle can break, and tidal lanes that
are no whole lanes."""

from collections.abc import Iterator
from itertools import product

from ..findings import Finding, Severity, fault
from ..model import IntersectionCode
from ..rule import FUELS, VEHICLE_CLASSES, Rule
from ..rules import RESERVING_KINDS, SIZE_FIELDS, Vehicle, binds
from ..terms import NON_MOTOR_USES

NARROWING_FIELDS = ("classes", "except_classes", "plates", "fuels", "except_fuels")
# Kinds that are about vehicles on a road
VEHICLE_RULE_KINDS = ("bus_lane", "tidal_lane", "speed_min")


def binding_faults(code: IntersectionCode, rule: Rule) -> Iterator[Finding]:
    """Yield where a rule binds no vehicle, or cannot hold on what it names; words must be known."""
    if rule.kind == "tidal_lane":
        yield from _tidal_faults(code, rule)
    elif any(getattr(rule, field) for field in NARROWING_FIELDS) and not _binds_someone(rule):
        severity = Severity.WARNING if rule.kind in RESERVING_KINDS else Severity.ERROR
        narrowing = ", ".join(field for field in NARROWING_FIELDS if getattr(rule, field))

        yield fault(
            entity=rule.id,
            field=narrowing,
            value=rule.kind,
            rule="binds nobody: no vehicle that it names can break it",
            remedy="correct whom it names, or drop the rule",
            severity=severity,
        )

    if rule.kind in VEHICLE_RULE_KINDS:
        yield from _vehicle_rule_faults(code, rule)


def _tidal_faults(code: IntersectionCode, rule: Rule) -> Iterator[Finding]:
    """Yield what a strip of road that turns its direction cannot be: a part of a lane, a lane for some only."""
    for field in NARROWING_FIELDS:
        if getattr(rule, field):
            yield fault(
                entity=rule.id,
                field=field,
                value=", ".join(map(str, getattr(rule, field))),
                rule="a tidal lane runs one way for everybody",
                remedy="drop it; the classes that may use the lane are a rule of their own, lane_use or no_entry",
            )

    lane_ids, uses_of_link = (
        {lane.id for lane in code.lanes},
        {link.id: [lane.use for lane in code.lanes if lane.link == link.id] for link in code.links},
    )
    for target in rule.targets:
        if target.s_from is not None or target.s_to is not None:
            yield fault(
                entity=rule.id,
                field="targets.s",
                value=target.entity,
                rule="a tidal lane turns its direction as a whole",
                remedy="drop the span; split the lane where only a part of it turns",
            )

        if target.entity in lane_ids:
            continue

        if target.entity not in uses_of_link:
            yield fault(
                entity=rule.id,
                field="targets",
                value=target.entity,
                rule="tidal_lane holds on lanes, or all lanes of a link",
                remedy="name the lanes",
            )
        elif set(uses_of_link[target.entity]) & NON_MOTOR_USES:
            yield fault(
                entity=rule.id,
                field="targets",
                value=target.entity,
                rule="has lanes for pedestrians or bicycles, which the rule would close too",
                remedy="name the lanes that turn their direction",
            )


def _vehicle_rule_faults(code: IntersectionCode, rule: Rule) -> Iterator[Finding]:
    uses_of_lane = {lane.id: (lane.use, *lane.shared) for lane in code.lanes}
    for target in rule.targets:
        if target.entity in uses_of_lane and set(uses_of_lane[target.entity]) <= NON_MOTOR_USES:
            yield fault(
                entity=rule.id,
                field="targets",
                value=target.entity,
                rule=f"is a lane for {' and '.join(uses_of_lane[target.entity])}s: no {rule.kind} is there",
                remedy="name a lane for vehicles",
                severity=Severity.WARNING,
            )


def _binds_someone(rule: Rule) -> bool:
    """Return whether there is a vehicle that a rule binds, and that it can keep out or slow down."""
    plates, fuels = (rule.plates[:1] or (0,)), sorted(set(FUELS) - set(rule.except_fuels)) or FUELS
    for kind, fuel, automated, dangerous in product(sorted(VEHICLE_CLASSES), fuels, (False, True), (False, True)):
        vehicle = Vehicle(kind, automated, plate=plates[0], fuel=fuel, dangerous_goods=dangerous)
        if binds(rule, vehicle) and _can_break(rule, vehicle):
            return True

    return False


def _can_break(rule: Rule, vehicle: Vehicle) -> bool:
    least, greatest = vehicle.between(rule.kind) if rule.kind in (*SIZE_FIELDS, "emission_zone") else (0.0, 0.0)
    if rule.kind == "emission_zone":
        return rule.value is None or least < rule.value
    if rule.kind in SIZE_FIELDS and rule.classes:
        return rule.value is None or greatest > rule.value
    return True
