"""Checks of single values: ids, coordinates, numbers and words in their ranges."""

from collections.abc import Iterator, Sequence
from math import isfinite

from ..citycode import CityCodeError, check
from ..findings import Finding
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


def _error(entity: object, field: str, value: object, rule: str, remedy: str) -> Finding:
    return Finding(entity=str(entity), field=field, value=str(value), rule=rule, severity="error", remedy=remedy)


def _head(code: IntersectionCode) -> Iterator[Finding]:
    try:
        check(code.id)
    except CityCodeError as error:
        yield _error("code", "id", code.id, str(error), "take the code from the registry, or import anew")

    if not _on_globe(code.ref_lat_e7, code.ref_lon_e7):
        yield _error(
            "code",
            "ref_lat_e7, ref_lon_e7",
            f"{code.ref_lat_e7}, {code.ref_lon_e7}",
            "must be 1e-7 degree, latitude within 88",
            "check order and unit",
        )

    if not 1 <= code.revision < 2**32:
        yield _error("code", "revision", code.revision, "must be 1 .. 4294967295", "count revisions from 1")

    if code.valid_from is not None and code.valid_to is not None and code.valid_to <= code.valid_from:
        yield _error("code", "valid_to", code.valid_to, "must be after valid_from", "correct the interval")

    if not 1 <= code.accuracy_cm <= 1000:
        yield _error("code", "accuracy_cm", code.accuracy_cm, "must be 1 .. 1000 cm", "give the survey's accuracy")


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
    rows += [(item.id, "alias.kind", alias.kind, ALIAS_KINDS) for item in named for alias in item.alias]
    for entity, field, value, allowed in rows:
        if value not in allowed:
            yield _error(
                entity,
                field,
                value,
                f"must be one of {', '.join(allowed)}",
                f"did you mean {nearest(value, list(allowed), [])!r}? Take one of these words",
            )


def _numbers(code: IntersectionCode) -> Iterator[Finding]:
    for lane in code.lanes:
        if not LANE_WIDTHS_CM[0] <= lane.width_cm <= LANE_WIDTHS_CM[1]:
            yield _error(
                lane.id,
                "width_cm",
                lane.width_cm,
                f"a lane is {LANE_WIDTHS_CM[0]} .. {LANE_WIDTHS_CM[1]} cm wide",
                "give cm, not m",
            )

        if not (isfinite(lane.speed) and 0.0 < lane.speed <= MAX_SPEED):
            yield _error(
                lane.id, "speed", lane.speed, f"must be above 0, up to {MAX_SPEED:.0f} m/s", "give m/s, not km/h"
            )

        if lane.number < 1:
            yield _error(
                lane.id, "number", lane.number, "lanes are numbered from 1 at the left", "number the link's lanes anew"
            )

    for connection in code.connections:
        if not (isfinite(connection.speed) and 0.0 < connection.speed <= MAX_SPEED):
            yield _error(
                connection.id,
                "speed",
                connection.speed,
                f"must be above 0, up to {MAX_SPEED:.0f} m/s",
                "give m/s, not km/h",
            )

    for crosswalk in code.crosswalks:
        if not CROSSWALK_WIDTHS_CM[0] <= crosswalk.width_cm <= CROSSWALK_WIDTHS_CM[1]:
            yield _error(
                crosswalk.id,
                "width_cm",
                crosswalk.width_cm,
                f"a crosswalk is {CROSSWALK_WIDTHS_CM[0]} .. {CROSSWALK_WIDTHS_CM[1]} cm wide",
                "give cm, not m",
            )

    for group in code.signal_groups:
        if not 1 <= group.id <= 255:
            yield _error(f"group {group.id}", "id", group.id, "must be 1 .. 255", "number groups from 1")

    located_items: list[Node | Device] = [*code.nodes, *code.devices]
    for located in located_items:
        if not _on_globe(located.lat_e7, located.lon_e7):
            yield _error(
                located.id,
                "lat_e7, lon_e7",
                f"{located.lat_e7}, {located.lon_e7}",
                "must be 1e-7 degree, latitude within 88",
                "check order and unit",
            )


def _phases(code: IntersectionCode) -> Iterator[Finding]:
    for plan in code.plans:
        for number, phase in enumerate(plan.phases):
            name = f"plan {plan.id} phase {number}"
            if len(phase.shows) != len(code.signal_groups):
                yield _error(
                    name,
                    "shows",
                    phase.shows,
                    f"must have a letter for each of the {len(code.signal_groups)} signal groups",
                    "correct it",
                )
            elif set(phase.shows) - set(SHOWN):
                yield _error(name, "shows", phase.shows, f"letters are of {SHOWN}", "correct it")

            low, high = (
                phase.min_ms if phase.min_ms is not None else phase.ms,
                phase.max_ms if phase.max_ms is not None else phase.ms,
            )
            if phase.ms <= 0 or not 0 <= low <= high:
                yield _error(
                    name,
                    "ms",
                    f"{low}, {phase.ms}, {high}",
                    "a phase lasts longer than 0 ms, and min_ms <= max_ms",
                    "correct the durations",
                )
