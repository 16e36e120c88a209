"""Checks of values that are possible as numbers and cannot be meant: a time in 1970, latitude and longitude swapped,
km/h written as m/s.

Each names what was probably meant. What needs nothing but the values themselves is checked first (`meaning`), what
needs the references after (`plausibility`)."""

from collections.abc import Iterable, Iterator
from math import cos, radians

from ..citycode import CityCodeError, parse_code
from ..findings import Finding, Severity, fault
from ..grid import grid_decode
from ..model import Connection, IntersectionCode, Lane, Point
from ..polygons import inside_spans
from ..polylines import M_PER_E7, distance, length
from ..terms import KMH_PER_MPS

# ns: 1990 and 2200, within which codes, rules and devices have their times
FIRST_TIME, LAST_TIME = 631_152_000_000_000_000, 7_258_118_400_000_000_000
OTHER_TIME_UNITS = (("seconds", 10**9), ("milliseconds", 10**6), ("microseconds", 10**3))
# m from the reference point: what is surveyed at the intersection, nodes beside it, zones as large as a city
MAX_SITE_DISTANCE, MAX_NODE_DISTANCE, MAX_ZONE_DISTANCE = 5_000.0, 50_000.0, 200_000.0
# m that a reference point may lie from the cell of its city code: a code stays when its geometry is corrected
MAX_REFERENCE_SHIFT = 20_000.0
# m/s: 72, 108 and 144 km/h, which no sign shows; as km/h each is common
ROUND_SPEEDS = (20.0, 30.0, 40.0)
# ms; a programme that is always the same has one phase of a day
MIN_PHASE_MS, MAX_PHASE_MS = 500, 86_400_000
MIN_AREA = 0.5  # m^2 of a zone
MAX_STOP_TO_END = 100.0  # m from a stop line to the end of its lane
MAX_CROSSWALK_LENGTH = 100.0  # m; the widest avenues have some 80 m from kerb to kerb
MAX_CORNERS = 400  # of an outline whose crossings are looked for


def meaning_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield times and places that cannot be meant."""
    yield from _times(
        [
            ("code", "valid_from", code.valid_from),
            ("code", "valid_to", code.valid_to),
            *((device.id, "installed", device.installed) for device in code.devices),
        ]
    )

    yield from _cell(code)
    for entity, field, points, reach in _located(code):
        yield from _too_far(code, entity, field, points, reach)

    for device in code.devices:
        if device.heading_deg is not None and not 0.0 <= device.heading_deg <= 360.0:
            yield fault(
                entity=device.id,
                field="heading_deg",
                value=device.heading_deg,
                rule="must be 0 .. 360 degrees clockwise from north",
                remedy="give degrees, not radians, and none below 0",
            )

        if not -5_000 <= device.height_cm <= 20_000:
            yield fault(
                entity=device.id,
                field="height_cm",
                value=device.height_cm,
                rule="must be -5,000 .. 20,000 cm above the road",
                remedy="give cm above the road, not above the sea",
            )


def plausibility_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield speeds, phases and zones that cannot be meant; references must hold."""
    yield from _times(
        [
            (rule.id, field, time_ns)
            for rule in code.rules
            for field, time_ns in (("valid_from", rule.valid_from), ("valid_to", rule.valid_to))
        ]
    )

    items: list[Lane | Connection] = [*code.lanes, *code.connections]
    for entity in items:
        yield from _round_speed(entity.id, "speed", entity.speed)

    for rule in code.rules:
        if rule.kind in ("speed_max", "speed_min") and rule.value is not None:
            yield from _round_speed(rule.id, "value", rule.value)

    for plan in code.plans:
        for number, phase in enumerate(plan.phases):
            if not MIN_PHASE_MS <= phase.ms <= MAX_PHASE_MS:
                yield fault(
                    entity=f"plan {plan.id} phase {number}",
                    field="ms",
                    value=phase.ms,
                    rule=f"a phase lasts {MIN_PHASE_MS} .. {MAX_PHASE_MS} ms",
                    remedy="give milliseconds, not seconds",
                    severity=Severity.WARNING,
                )

    yield from _zones(code)
    yield from _misplaced(code)


def _misplaced(code: IntersectionCode) -> Iterator[Finding]:
    """Yield stop lines far before the intersection, crosswalks longer than any road is wide, devices below the road."""
    length_of = {lane.id: length(lane.points) for lane in code.lanes}
    for line in code.stop_lines:
        if length_of[line.lane] - line.s > MAX_STOP_TO_END:
            yield fault(
                entity=f"stop line {line.lane}",
                field="s",
                value=line.s,
                rule=f"is {length_of[line.lane] - line.s:.0f} m before the end of its lane",
                remedy="measure s from the beginning of the lane, in driving direction",
                severity=Severity.WARNING,
            )

    for crosswalk in code.crosswalks:
        if (crosswalk_length := length(crosswalk.axis)) > MAX_CROSSWALK_LENGTH:
            yield fault(
                entity=crosswalk.id,
                field="axis",
                value=f"{crosswalk_length:.0f} m",
                rule=f"is longer than {MAX_CROSSWALK_LENGTH:.0f} m, wider than any road",
                remedy="draw it from kerb to kerb",
                severity=Severity.WARNING,
            )

    for device in code.devices:
        if device.height_cm < 0:
            yield fault(
                entity=device.id,
                field="height_cm",
                value=device.height_cm,
                rule="lies below the road",
                remedy="give cm above the road; 0 where it is not known",
                severity=Severity.WARNING,
            )


def _times(rows: list[tuple[str, str, int | None]]) -> Iterator[Finding]:
    for entity, field, time_ns in rows:
        if time_ns is not None and not FIRST_TIME <= time_ns <= LAST_TIME:
            remedy = next(
                (
                    f"it reads as {name}: multiply by {factor}"
                    for name, factor in OTHER_TIME_UNITS
                    if FIRST_TIME <= time_ns * factor <= LAST_TIME
                ),
                "give ns since 1970 (UTC), or leave it out",
            )

            yield fault(
                entity=entity,
                field=field,
                value=time_ns,
                rule="is no time from 1990 to 2200 in ns since 1970 (UTC)",
                remedy=remedy,
            )


def _cell(code: IntersectionCode) -> Iterator[Finding]:
    try:
        south, west, north, east = grid_decode(parse_code(code.id).grid)
    except (CityCodeError, ValueError):
        return  # reported with the id

    reference, cell_centre = (
        (code.ref_lat_e7, code.ref_lon_e7),
        (round((south + north) * 5_000_000), round((west + east) * 5_000_000)),
    )
    shift = distance(reference, cell_centre)
    if shift > MAX_REFERENCE_SHIFT:
        swapped = distance((reference[1], reference[0]), cell_centre) < MAX_REFERENCE_SHIFT
        if swapped:
            remedy = "latitude and longitude are swapped"
        else:
            remedy = "check order, unit and datum, or take a city code of this place"

        yield fault(
            entity="code",
            field="ref_lat_e7, ref_lon_e7",
            value=f"{reference[0]}, {reference[1]}",
            rule=f"is {shift / 1000:.0f} km from the place that the city code was issued for",
            remedy=remedy,
        )


def _located(code: IntersectionCode) -> Iterator[tuple[str, str, Iterable[Point], float]]:
    """Yield what has a place: entity, field, points, and how far from the reference point they may lie."""
    items: list[Lane | Connection] = [*code.lanes, *code.connections]
    for entity in items:
        # The rest of a line is measured with its geometry
        yield entity.id, "points", entity.points[:1], MAX_SITE_DISTANCE

    for crosswalk in code.crosswalks:
        yield crosswalk.id, "axis", crosswalk.axis, MAX_SITE_DISTANCE
        yield crosswalk.id, "polygon", crosswalk.polygon, MAX_SITE_DISTANCE

    for zone in code.zones:
        yield zone.id, "polygon", zone.polygon, MAX_ZONE_DISTANCE

    for device in code.devices:
        yield device.id, "lat_e7, lon_e7", ((device.lat_e7, device.lon_e7),), MAX_SITE_DISTANCE

    for node in code.nodes:
        yield node.id, "lat_e7, lon_e7", ((node.lat_e7, node.lon_e7),), MAX_NODE_DISTANCE


def _too_far(
    code: IntersectionCode, entity: str, field: str, points: Iterable[Point], reach: float
) -> Iterator[Finding]:
    """Yield the first point of an entity that lies too far away, or where no place is."""
    reference = (code.ref_lat_e7, code.ref_lon_e7)
    reach_e7 = reach / M_PER_E7

    for point in points:
        if abs(point[0] - reference[0]) < reach_e7 / 2 and abs(point[1] - reference[1]) < reach_e7 / 2:
            continue  # near enough, whatever the latitude

        distance_m = distance(reference, point)
        if distance_m <= reach:
            continue

        swapped = distance(reference, (point[1], point[0])) <= reach
        if swapped:
            remedy = "latitude and longitude are swapped: points are [lat_e7, lon_e7]"
        else:
            remedy = "check the order (lat, lon), the unit (1e-7 degree) and the datum"

        if abs(point[0]) > 900_000_000:
            rule = "is no place: latitude is within 90 degrees"
        else:
            rule = f"is {distance_m / 1000:.1f} km from the reference point, more than {reach / 1000:g} km"

        yield fault(entity=entity, field=field, value=f"{point[0]}, {point[1]}", rule=rule, remedy=remedy)
        return


def _round_speed(entity: str, field: str, speed: float) -> Iterator[Finding]:
    if speed in ROUND_SPEEDS:
        yield fault(
            entity=entity,
            field=field,
            value=speed,
            rule=f"is {speed * KMH_PER_MPS:.0f} km/h, which is no limit",
            remedy=f"speeds are m/s: {speed:g} km/h is {speed / KMH_PER_MPS:.2f}",
            severity=Severity.WARNING,
        )


def _zones(code: IntersectionCode) -> Iterator[Finding]:
    lines = [*(lane.points for lane in code.lanes), *(connection.points for connection in code.connections)]
    entities_with_rules = {target.entity for rule in code.rules for target in rule.targets}

    for zone in code.zones:
        if len(zone.polygon) < 3:
            continue  # reported with its outline

        # All sides are compared with one another, n^2 steps: outlines of very many corners are left out
        area = _area(zone.polygon)
        if len(zone.polygon) <= MAX_CORNERS and _crosses_itself(zone.polygon):
            yield fault(
                entity=zone.id,
                field="polygon",
                value=f"{len(zone.polygon)} corners",
                rule="the outline crosses itself",
                remedy="give the corners in order around the area",
                severity=Severity.WARNING,
            )
        elif area < MIN_AREA:
            yield fault(
                entity=zone.id,
                field="polygon",
                value=f"{area:.2f} m2",
                rule="an outline encloses an area",
                remedy="draw it around the area, corner by corner",
            )

        # Swapped or shifted coordinates put a zone beside the road, where it would silently hold for nothing
        if not any(next(inside_spans(line, zone.polygon), None) for line in lines):
            severity = Severity.ERROR if zone.id in entities_with_rules else Severity.WARNING
            if severity == Severity.ERROR:
                remedy = "correct its outline: points are [lat_e7, lon_e7]"
            else:
                remedy = "correct its outline, or drop it"

            yield fault(
                entity=zone.id,
                field="polygon",
                value=f"{len(zone.polygon)} corners",
                rule="covers no lane and no movement"
                + (": the rules on it hold nowhere" if severity == Severity.ERROR else ""),
                remedy=remedy,
                severity=severity,
            )


def _area(polygon: tuple[Point, ...]) -> float:
    """Return m^2 (shoelace)."""
    lat0, lon0 = polygon[0]
    twice = sum(
        (first[1] - lon0) * (second[0] - lat0) - (second[1] - lon0) * (first[0] - lat0)
        for first, second in zip(polygon, (*polygon[1:], polygon[0]), strict=True)
    )
    return abs(twice) / 2 * M_PER_E7**2 * cos(radians(min(abs(lat0) / 1e7, 89.0)))


def _crosses_itself(polygon: tuple[Point, ...]) -> bool:
    sides = list(zip(polygon, (*polygon[1:], polygon[0]), strict=True))
    return any(
        _segments_cross(*sides[index], *sides[other])
        for index in range(len(sides))
        for other in range(index + 2, len(sides))
        if index or other < len(sides) - 1
    )


def _segments_cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Return whether two segments cross (beyond touching)."""
    return _orientation(a, b, c) * _orientation(a, b, d) < 0 and _orientation(c, d, a) * _orientation(c, d, b) < 0


def _orientation(a: Point, b: Point, c: Point) -> int:
    side = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (side > 0) - (side < 0)
