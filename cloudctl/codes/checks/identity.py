"""Checks of single values: ids, coordinates, numbers and words in their ranges."""

from collections.abc import Iterator, Sequence
from math import isfinite

from ..citycode import CityCodeError, check
from ..findings import Finding, fault
from ..model import (
    ALIAS_KINDS,
    CONFLICTS,
    CONTROLS,
    DEVICE_KINDS,
    GROUP_KINDS,
    ROLES,
    SHOWN,
    TURNS,
    USES,
    ZONE_KINDS,
    Connection,
    Device,
    IntersectionCode,
    Lane,
    Link,
    Node,
)
from ..rule import CLASSES, RULE_KINDS
from ..strict_json import nearest
from .rules import VALUE_LIMITS

MAX_SPEED = VALUE_LIMITS["speed_max"][1]  # m/s
LANE_WIDTHS_CM = (50, 1000)  # cm, of lanes
CROSSWALK_WIDTHS_CM = (100, 2500)  # cm


def value_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of values that need nothing else to be judged."""
    yield from _head(code)
    yield from _words(code)
    yield from _numbers(code)
    yield from _phases(code)


def _head(code: IntersectionCode) -> Iterator[Finding]:
    try:
        check(code.id)
    except CityCodeError as error:
        yield fault(
            entity="code",
            field="id",
            value=code.id,
            rule=str(error),
            remedy="take the code from the registry, or import anew",
        )

    if not _on_globe(code.ref_lat_e7, code.ref_lon_e7):
        yield fault(
            entity="code",
            field="ref_lat_e7, ref_lon_e7",
            value=f"{code.ref_lat_e7}, {code.ref_lon_e7}",
            rule="must be 1e-7 degree, latitude within 88",
            remedy="check order and unit",
        )

    if not 1 <= code.revision < 2**32:
        yield fault(
            entity="code",
            field="revision",
            value=code.revision,
            rule="must be 1 .. 4294967295",
            remedy="count revisions from 1",
        )

    if code.valid_from is not None and code.valid_to is not None and code.valid_to <= code.valid_from:
        yield fault(
            entity="code",
            field="valid_to",
            value=code.valid_to,
            rule="must be after valid_from",
            remedy="correct the interval",
        )

    if not 1 <= code.accuracy_cm <= 1000:
        yield fault(
            entity="code",
            field="accuracy_cm",
            value=code.accuracy_cm,
            rule="must be 1 .. 1000 cm",
            remedy="give the survey's accuracy",
        )


def _on_globe(lat: int, lon: int) -> bool:
    return abs(lat) < 880_000_000 and abs(lon) <= 1_800_000_000


def _words(code: IntersectionCode) -> Iterator[Finding]:
    rows: list[tuple[object, str, str, Sequence[str]]] = [("code", "control", code.control, CONTROLS)]
    rows += [(node.id, "control", node.control, CONTROLS) for node in code.nodes]
    rows += [(link.id, "role", link.role, ROLES) for link in code.links]
    rows += [(lane.id, "use", use, USES) for lane in code.lanes for use in (lane.use, *lane.shared)]
    rows += [(connection.id, "turn", connection.turn, TURNS) for connection in code.connections]
    rows += [(f"{connection.a}/{connection.b}", "kind", connection.kind, CONFLICTS) for connection in code.conflicts]
    rows += [(f"group {group.id}", "kind", group.kind, GROUP_KINDS) for group in code.signal_groups]
    rows += [(zone.id, "kind", zone.kind, ZONE_KINDS) for zone in code.zones]
    rows += [(device.id, "kind", device.kind, DEVICE_KINDS) for device in code.devices]
    rows += [(rule.id, "kind", rule.kind, RULE_KINDS) for rule in code.rules]
    rows += [
        (rule.id, "classes", name, CLASSES) for rule in code.rules for name in (*rule.classes, *rule.except_classes)
    ]

    named: list[IntersectionCode | Node | Link | Lane | Connection] = [
        code,
        *code.nodes,
        *code.links,
        *code.lanes,
        *code.connections,
    ]

    rows += [(aliased.id, "alias.kind", alias.kind, ALIAS_KINDS) for aliased in named for alias in aliased.alias]
    for entity, field, value, allowed in rows:
        if value not in allowed:
            yield fault(
                entity=str(entity),
                field=field,
                value=value,
                rule=f"must be one of {', '.join(allowed)}",
                remedy=f"did you mean {nearest(value, list(allowed), [])!r}? Take one of these words",
            )


def _numbers(code: IntersectionCode) -> Iterator[Finding]:
    """Yield widths, speeds, numbers and positions outside their range."""
    yield from _lane_numbers(code)

    for connection in code.connections:
        yield from _speed(connection.id, connection.speed)

    for crosswalk in code.crosswalks:
        yield from _width("crosswalk", crosswalk.id, crosswalk.width_cm, CROSSWALK_WIDTHS_CM)

    for group in code.signal_groups:
        # a signal group is one byte in MAP and SPaT, and 0 stands for none
        if not 1 <= group.id <= 255:
            yield fault(
                entity=f"group {group.id}",
                field="id",
                value=group.id,
                rule="must be 1 .. 255",
                remedy="number groups from 1",
            )

    located_items: list[Node | Device] = [*code.nodes, *code.devices]
    for located in located_items:
        if not _on_globe(located.lat_e7, located.lon_e7):
            yield fault(
                entity=located.id,
                field="lat_e7, lon_e7",
                value=f"{located.lat_e7}, {located.lon_e7}",
                rule="must be 1e-7 degree, latitude within 88",
                remedy="check order and unit",
            )


def _lane_numbers(code: IntersectionCode) -> Iterator[Finding]:
    for lane in code.lanes:
        yield from _width("lane", lane.id, lane.width_cm, LANE_WIDTHS_CM)
        yield from _speed(lane.id, lane.speed)

        if lane.number < 1:
            yield fault(
                entity=lane.id,
                field="number",
                value=lane.number,
                rule="lanes are numbered from 1 at the left",
                remedy="number the link's lanes anew",
            )


def _width(noun: str, entity: str, width_cm: int, bounds: tuple[int, int]) -> Iterator[Finding]:
    narrowest, widest = bounds
    if not narrowest <= width_cm <= widest:
        yield fault(
            entity=entity,
            field="width_cm",
            value=width_cm,
            rule=f"a {noun} is {narrowest} .. {widest} cm wide",
            remedy="give cm, not m",
        )


def _speed(entity: str, speed: float) -> Iterator[Finding]:
    if not (isfinite(speed) and 0.0 < speed <= MAX_SPEED):
        yield fault(
            entity=entity,
            field="speed",
            value=speed,
            rule=f"must be above 0, up to {MAX_SPEED:.0f} m/s",
            remedy="give m/s, not km/h",
        )


def _phases(code: IntersectionCode) -> Iterator[Finding]:
    for plan in code.plans:
        for number, phase in enumerate(plan.phases):
            name = f"plan {plan.id} phase {number}"
            if len(phase.shows) != len(code.signal_groups):
                yield fault(
                    entity=name,
                    field="shows",
                    value=phase.shows,
                    rule=f"must have a letter for each of the {len(code.signal_groups)} signal groups",
                    remedy="correct it",
                )
            elif set(phase.shows) - set(SHOWN):
                yield fault(
                    entity=name, field="shows", value=phase.shows, rule=f"letters are of {SHOWN}", remedy="correct it"
                )

            low, high = (
                phase.min_ms if phase.min_ms is not None else phase.ms,
                phase.max_ms if phase.max_ms is not None else phase.ms,
            )
            if phase.ms <= 0 or not 0 <= low <= high:
                yield fault(
                    entity=name,
                    field="ms",
                    value=f"{low}, {phase.ms}, {high}",
                    rule="a phase lasts longer than 0 ms, and min_ms <= max_ms",
                    remedy="correct the durations",
                )
