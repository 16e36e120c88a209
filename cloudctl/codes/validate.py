"""Validation that explains: one finding for each fault, with the rule and what to do."""

import itertools
from collections.abc import Iterator
from math import cos, hypot, radians
from pathlib import Path

from .citycode import CityCodeError, check
from .compile import ROLES, TURNS, USES
from .model import CodeError, Connection, Finding, IntersectionCode, Lane, Point, parse, read

MAX_GAP = 3.0  # m between a lane's end and the path that leaves it
MAX_REACH = 5000.0  # m from the reference point


def validate(code: IntersectionCode) -> list[Finding]:
    """Return every fault of a code; an empty list when there is none."""
    if references := list(_references(code)):
        return references
    return [*_identity(code), *_geometry(code), *_signals(code)]


def check_code(code: IntersectionCode, where: str) -> IntersectionCode:
    """Return the code. Raises CodeError when it has an error (warnings pass)."""
    errors = [finding for finding in validate(code) if finding.severity == "error"]
    if errors:
        raise CodeError(where, errors)
    return code


def load(path: Path | str) -> IntersectionCode:
    """Return a checked code from a file. Raises CodeError."""
    file = Path(path)
    return check_code(parse(read(file), str(file)), str(file))


def loads(data: bytes) -> IntersectionCode:
    """Return a checked code from canonical JSON. Raises CodeError."""
    return check_code(parse(data, "code"), "code")


def _identity(code: IntersectionCode) -> Iterator[Finding]:
    try:
        check(code.id)
    except CityCodeError as error:
        yield Finding("code", "id", code.id, str(error), "take the code from the registry, or import anew")
    if not (abs(code.ref_lat_e7) < 880_000_000 and abs(code.ref_lon_e7) <= 1_800_000_000):
        yield Finding(
            "code",
            "ref",
            f"{code.ref_lat_e7}, {code.ref_lon_e7}",
            "must be 1e-7 degrees within latitude 88",
            "check order and unit",
        )
    if code.revision < 1:
        yield Finding("code", "revision", str(code.revision), "must be 1 or more", "count revisions from 1")
    if code.valid_from is not None and code.valid_to is not None and code.valid_to <= code.valid_from:
        yield Finding("code", "valid_to", str(code.valid_to), "must be after valid_from", "correct the interval")


def _references(code: IntersectionCode) -> Iterator[Finding]:
    known = {"link": set(), "lane": set(), "connection": set(), "group": {0}}  # type: dict[str, set[object]]
    for kind, items in (
        ("link", code.links),
        ("lane", code.lanes),
        ("connection", code.connections),
        ("group", code.signal_groups),
    ):
        for item in items:  # type: ignore[attr-defined]
            if item.id in known[kind]:
                yield Finding(
                    str(item.id), "id", str(item.id), f"stands twice among {kind}s", "give each an id of its own"
                )
            known[kind].add(item.id)
    wanted = [(lane.id, "link", lane.link, "link") for lane in code.lanes]
    wanted += [(c.id, name, getattr(c, name), "lane") for c in code.connections for name in ("from_lane", "to_lane")]
    wanted += [(line.lane, "stop_line.lane", line.lane, "lane") for line in code.stop_lines]
    wanted += [(rule.id, "lane", rule.lane, "lane") for rule in code.rules]
    wanted += [(f"{c.a}/{c.b}", name, getattr(c, name), "connection") for c in code.conflicts for name in ("a", "b")]
    wanted += [(c.id, "group", c.group, "group") for c in code.connections]  # type: ignore[misc]
    wanted += [(x.id, "group", x.group, "group") for x in code.crosswalks]  # type: ignore[misc]
    for entity, name, value, kind in wanted:
        if value not in known[kind]:
            yield Finding(str(entity), name, str(value), f"there is no such {kind}", f"name one of the code's {kind}s")
    for link in code.links:
        if link.role not in ROLES:
            yield Finding(link.id, "role", link.role, f"must be one of {', '.join(ROLES)}", "correct it")
    for lane in code.lanes:
        if lane.use not in USES:
            yield Finding(lane.id, "use", lane.use, f"must be one of {', '.join(USES)}", "correct it")
    for connection in code.connections:
        if connection.turn not in TURNS:
            yield Finding(connection.id, "turn", connection.turn, f"must be one of {', '.join(TURNS)}", "correct it")


def _geometry(code: IntersectionCode) -> Iterator[Finding]:
    ref = (code.ref_lat_e7, code.ref_lon_e7)
    lanes = {lane.id: lane for lane in code.lanes}
    items: list[Lane | Connection] = [*code.lanes, *code.connections]
    for item in items:
        if len(item.points) < 2 or length(item.points) <= 0.0:
            yield Finding(
                item.id,
                "points",
                f"{len(item.points)} points",
                "a line has two different points at least",
                "survey it anew",
            )
        elif max(distance(ref, point) for point in item.points) > MAX_REACH:
            yield Finding(
                item.id,
                "points",
                "far",
                f"must lie within {MAX_REACH:.0f} m of the reference point",
                "check order (lat, lon) and datum",
            )
        if not 0.0 < item.speed <= 70.0:
            yield Finding(item.id, "speed", f"{item.speed}", "must be over 0 and at most 70 m/s", "give m/s")
    for lane in code.lanes:
        if not 30 <= lane.width_cm <= 2000:
            yield Finding(lane.id, "width_cm", str(lane.width_cm), "must be 30 .. 2000 cm", "give centimetres")
    for line in code.stop_lines:
        whole = length(lanes[line.lane].points)
        if not 0.0 <= line.s <= whole + 0.5:
            yield Finding(
                line.lane,
                "stop_line.s",
                f"{line.s}",
                f"must lie on its lane (0 .. {whole:.1f} m)",
                "measure along the lane",
            )
    for c in code.connections:
        if len(c.points) > 1:
            for name, lane_id, end, point in (
                ("from_lane", c.from_lane, -1, c.points[0]),
                ("to_lane", c.to_lane, 0, c.points[-1]),
            ):
                gap = distance(lanes[lane_id].points[end], point)
                if gap > MAX_GAP:
                    yield Finding(
                        c.id,
                        name,
                        lane_id,
                        f"its path is {gap:.1f} m off the lane; at most {MAX_GAP:.0f} m",
                        "let the path begin and end at its lanes",
                    )
    paths = {c.id: length(c.points) for c in code.connections}
    for conflict in code.conflicts:
        for name, s, path in (("s_a", conflict.s_a, conflict.a), ("s_b", conflict.s_b, conflict.b)):
            if not -0.5 <= s <= paths[path] + 1.0:
                yield Finding(
                    f"{conflict.a}/{conflict.b}",
                    name,
                    f"{s}",
                    f"must lie on the path (0 .. {paths[path]:.1f} m)",
                    "compute conflict points anew",
                )


def _signals(code: IntersectionCode) -> Iterator[Finding]:
    used = {c.group for c in code.connections} | {c.group for c in code.crosswalks}
    for group in code.signal_groups:
        if not 1 <= group.id <= 255:
            yield Finding(f"group {group.id}", "id", str(group.id), "must be 1 .. 255", "number groups from 1")
        if group.id not in used:
            yield Finding(
                f"group {group.id}",
                "channels",
                str(group.channels),
                "controls nothing",
                "drop it, or bind it to its movements",
                "warning",
            )
    left = {c.from_lane for c in code.connections}
    roles = {link.id: link.role for link in code.links}
    for lane in code.lanes:
        if roles[lane.link] == "ingress" and lane.use == "vehicle" and lane.id not in left:
            yield Finding(
                lane.id,
                "connections",
                "none",
                "an ingress lane leads somewhere",
                "add its connections, or drop it",
                "warning",
            )


def distance(a: Point, b: Point) -> float:
    """Return m between two points a short way apart."""
    return hypot((a[0] - b[0]) * 0.0111319, (a[1] - b[1]) * 0.0111319 * cos(radians(a[0] / 1e7)))


def length(points: tuple[Point, ...]) -> float:
    """Return m along a line."""
    return sum(distance(a, b) for a, b in itertools.pairwise(points))
