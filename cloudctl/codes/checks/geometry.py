"""Checks of places: lines have a length, lanes meet, stop lines and conflict points lie on their lines, crosswalks are areas."""

from collections.abc import Iterator
from itertools import pairwise
from math import hypot

import numpy as np

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..findings import Finding
from ..model import Connection, Crosswalk, IntersectionCode, Lane, Zone
from ..polylines import F8, arc, arcs

MAX_GAP = 3.0  # m between a lane's end and the path that leaves it
MAX_REACH = 5000.0  # m from the reference point
SLACK = 0.5  # m a stop line may lie beyond the end of its lane, or a conflict point beyond the end of its path
MAX_APART = 12.0  # m between the places of one conflict point on its two paths
ASIDE = 1.5  # m by which a lane must lie on the wrong side of its neighbour: half of one
MIN_DIRECTED = 5.0  # m
FOLD = 0.94  # rad from a full turn back (cosine below -0.94) between two segments of a line


def geometry(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of lines and places; references must hold."""
    origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
    items: list[Lane | Connection] = [*code.lanes, *code.connections]
    short = [item for item in items if len(item.points) < 2]
    for item in short:
        yield _error(
            item.id, "points", f"{len(item.points)} points", "a line has two points at least", "survey it anew"
        )
    flat = [walk for walk in code.crosswalks if len(walk.axis) < 2]
    for walk in flat:
        yield _error(walk.id, "axis", f"{len(walk.axis)} points", "an axis has two points at least", "survey it anew")
    if short or flat:
        return
    lines = dict(zip((item.id for item in items), local_lines(origin, [item.points for item in items]), strict=True))
    along = dict(zip(lines, arcs(list(lines.values())), strict=True))
    yield from _lines(lines, along)
    yield from _joints(code, lines)
    yield from _sides(code, lines, along)
    yield from _stops(code, along)
    yield from _conflicts(code, lines, along)
    yield from _areas(code, origin)


def _error(entity: str, field: str, value: object, rule: str, remedy: str, severity: str = "error") -> Finding:
    return Finding(entity, field, str(value), rule, severity, remedy)


def _lines(lines: dict[str, F8], arcs: dict[str, F8]) -> Iterator[Finding]:
    near = bool(lines) and float(np.abs(np.concatenate(list(lines.values()))).max()) <= MAX_REACH
    for name, line in lines.items():
        far = 0.0 if near else float(np.abs(line).max())
        if far > MAX_REACH:
            yield _error(
                name,
                "points",
                f"{far:.0f} m away",
                f"must lie within {MAX_REACH:.0f} m of the reference point",
                "check the order (lat, lon) and the datum",
            )
        elif arcs[name][-1] < 0.01:
            yield _error(name, "points", f"{arcs[name][-1]:.3f} m long", "a line has a length", "survey it anew")
        elif len(line) > 2:
            yield from _folded(name, line)


def _folded(name: str, line: F8) -> Iterator[Finding]:
    ahead = np.diff(line, axis=0)
    long = np.hypot(ahead[:, 0], ahead[:, 1])
    ahead = ahead[long > 1.0] / long[long > 1.0, None]
    if len(ahead) > 1 and float((ahead[1:] * ahead[:-1]).sum(axis=1).min()) < -FOLD:
        yield _error(
            name,
            "points",
            "turns back",
            "a line runs in driving direction",
            "put its points in driving order",
            "warning",
        )


def _joints(code: IntersectionCode, lines: dict[str, F8]) -> Iterator[Finding]:
    for c in code.connections:
        for field, lane, end, point in (
            ("from_lane", c.from_lane, -1, lines[c.id][0]),
            ("to_lane", c.to_lane, 0, lines[c.id][-1]),
        ):
            (x, y), (px, py) = lines[lane][end].tolist(), point.tolist()
            gap = hypot(x - px, y - py)
            if gap > MAX_GAP:
                yield _error(
                    c.id,
                    field,
                    lane,
                    f"its path is {gap:.1f} m off the lane, more than {MAX_GAP:.0f} m",
                    "let the path begin and end at its lanes, and lanes run in driving direction",
                )


def _sides(code: IntersectionCode, lines: dict[str, F8], arcs: dict[str, F8]) -> Iterator[Finding]:
    """Yield lanes that lie to the left of the one numbered before them: advice to change left would lead to the right.

    Both ends must lie there by more than ASIDE: lanes that cross over, or lie one above the other, are no wrong numbering. A lane shorter
    than MIN_DIRECTED has no direction to tell left from right by.
    """
    by_link: dict[str, list[Lane]] = {}
    for lane in code.lanes:
        by_link.setdefault(lane.link, []).append(lane)
    for lanes in by_link.values():
        lanes = sorted((lane for lane in lanes if arcs[lane.id][-1] > MIN_DIRECTED), key=lambda lane: lane.number)
        for a, b in pairwise(lanes):
            if min(_aside(lines[a.id], lines[b.id], 0, 1), _aside(lines[a.id], lines[b.id], -2, -1)) > ASIDE:
                rule = f"lies to the left of {a.id}, whose number is {a.number}: lanes are numbered from the left, whichever side traffic keeps"
                yield _error(
                    b.id, "number", b.number, rule, "number the link's lanes from the left in driving direction"
                )


def _aside(a: F8, b: F8, first: int, second: int) -> float:
    """Return m by which line `b` lies to the left of line `a`, at its first or its last segment."""
    (x0, y0), (x1, y1) = a[first].tolist(), a[second].tolist()
    end = 0 if first == 0 else -1
    (x, y), (px, py) = a[end].tolist(), b[end].tolist()
    whole = hypot(x1 - x0, y1 - y0)
    return ((x1 - x0) * (py - y) - (y1 - y0) * (px - x)) / whole if whole > 0.01 else 0.0


def _stops(code: IntersectionCode, arcs: dict[str, F8]) -> Iterator[Finding]:
    for line in code.stop_lines:
        whole = float(arcs[line.lane][-1])
        if not 0.0 <= line.s <= whole + SLACK:
            yield _error(
                f"stop line {line.lane}",
                "s",
                line.s,
                f"must lie on its lane, 0 .. {whole:.1f} m",
                "measure it along the lane",
            )


def _conflicts(code: IntersectionCode, lines: dict[str, F8], arcs: dict[str, F8]) -> Iterator[Finding]:
    places, wholes = _places(code, lines, arcs), {name: float(along[-1]) for name, along in arcs.items()}
    for k, c in enumerate(code.conflicts):
        for field, s, path in (("s_a", c.s_a, c.a), ("s_b", c.s_b, c.b)):
            whole = wholes[path]
            if not -SLACK <= s <= whole + SLACK:
                yield _error(
                    f"{c.a}/{c.b}",
                    field,
                    s,
                    f"must lie on the path of {path}, 0 .. {whole:.1f} m",
                    "compute conflict points anew",
                )
        apart = hypot(*(places[2 * k] - places[2 * k + 1]).tolist())
        if apart > MAX_APART:
            yield _error(
                f"{c.a}/{c.b}",
                "s_a, s_b",
                f"{c.s_a}, {c.s_b}",
                f"the two places are {apart:.1f} m apart, more than {MAX_APART:.0f} m",
                "compute conflict points anew",
            )


def _places(code: IntersectionCode, lines: dict[str, F8], arcs: dict[str, F8]) -> F8:
    """Return where the conflict points lie, on a then on b: float64[2 n, 2]; all lines are laid end to end to find them at once."""
    if not code.conflicts:
        return np.empty((0, 2))
    base = dict(
        zip(arcs, np.cumsum([0.0, *(float(along[-1]) + 1.0 for along in arcs.values())]).tolist(), strict=False)
    )
    whole = np.concatenate([along + base[name] for name, along in arcs.items()])
    xy = np.concatenate(list(lines.values()))
    wanted = [
        base[path] + min(max(s, 0.0), float(arcs[path][-1]))
        for c in code.conflicts
        for path, s in ((c.a, c.s_a), (c.b, c.s_b))
    ]
    return np.stack([np.interp(wanted, whole, xy[:, 0]), np.interp(wanted, whole, xy[:, 1])], axis=1)


def _areas(code: IntersectionCode, origin: Origin) -> Iterator[Finding]:
    for name, line in zip(
        (w.id for w in code.crosswalks), local_lines(origin, [w.axis for w in code.crosswalks]), strict=True
    ):
        if not 0.5 <= arc(line)[-1] <= 100.0:
            yield _error(
                name, "axis", f"{arc(line)[-1]:.1f} m long", "a crosswalk is 0.5 .. 100 m long", "survey it anew"
            )
    areas: list[Crosswalk | Zone] = [*(w for w in code.crosswalks if w.polygon), *code.zones]
    for item in areas:
        if len(item.polygon) < 3:
            yield _error(
                item.id,
                "polygon",
                f"{len(item.polygon)} points",
                "an area has three corners at least",
                "draw its outline",
            )
