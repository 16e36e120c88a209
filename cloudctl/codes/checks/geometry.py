"""Checks of places: lines have a length, lanes meet, stop lines and conflict points lie on their lines, crosswalks are
areas."""

from collections.abc import Iterator
from itertools import pairwise
from math import hypot

import numpy as np

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..findings import Finding, Severity, fault
from ..model import Connection, Crosswalk, IntersectionCode, Lane, Zone
from ..polylines import F8, arc_lengths, arc_lengths_of_all

MAX_GAP = 3.0  # m between a lane's end and the path that leaves it
MAX_REACH = 5000.0  # m from the reference point
# m a stop line may lie beyond the end of its lane, or a conflict point beyond the end of its path
MAX_OVERRUN = 0.5
MAX_CONFLICT_GAP = 12.0  # m between the places of one conflict point on its two paths
# m by which a lane must lie on the wrong side of its neighbour: half of one
MIN_WRONG_SIDE_OFFSET = 1.5
MIN_DIRECTED_LENGTH = 5.0  # m
FOLD_COSINE = 0.94  # rad from a full turn back (cosine below -0.94) between two segments of a line


def geometry_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of lines and places; references must hold."""
    origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
    items: list[Lane | Connection] = [*code.lanes, *code.connections]

    degenerate_lines = [entity for entity in items if len(entity.points) < 2]
    for entity in degenerate_lines:
        yield fault(
            entity=entity.id,
            field="points",
            value=f"{len(entity.points)} points",
            rule="a line has two points at least",
            remedy="survey it anew",
        )

    degenerate_walks = [crosswalk for crosswalk in code.crosswalks if len(crosswalk.axis) < 2]
    for crosswalk in degenerate_walks:
        yield fault(
            entity=crosswalk.id,
            field="axis",
            value=f"{len(crosswalk.axis)} points",
            rule="an axis has two points at least",
            remedy="survey it anew",
        )

    if degenerate_lines or degenerate_walks:
        return

    lines = dict(
        zip((entity.id for entity in items), local_lines(origin, [entity.points for entity in items]), strict=True)
    )
    along = dict(zip(lines, arc_lengths_of_all(list(lines.values())), strict=True))
    yield from _line_faults(lines, along)
    yield from _joints(code, lines)
    yield from _sides(code, lines, along)
    yield from _stop_lines(code, along)
    yield from _conflicts(code, lines, along)
    yield from _areas(code, origin)


def _line_faults(lines: dict[str, F8], arc_lengths_of_all: dict[str, F8]) -> Iterator[Finding]:
    all_within_reach = bool(lines) and float(np.abs(np.concatenate(list(lines.values()))).max()) <= MAX_REACH
    folded = folded_lines(list(lines.values()))
    for number, (name, line) in enumerate(lines.items()):
        farthest = 0.0 if all_within_reach else float(np.abs(line).max())
        if farthest > MAX_REACH:
            yield fault(
                entity=name,
                field="points",
                value=f"{farthest:.0f} m away",
                rule=f"must lie within {MAX_REACH:.0f} m of the reference point",
                remedy="check the order (lat, lon) and the datum",
            )
        elif arc_lengths_of_all[name][-1] < 0.01:
            yield fault(
                entity=name,
                field="points",
                value=f"{arc_lengths_of_all[name][-1]:.3f} m long",
                rule="a line has a length",
                remedy="survey it anew",
            )
        elif number in folded:
            yield fault(
                entity=name,
                field="points",
                value="turns back",
                rule="a line runs in driving direction",
                remedy="put its points in driving order",
                severity=Severity.WARNING,
            )


def folded_lines(lines: list[F8]) -> set[int]:
    """Return the numbers of the lines that turn back on themselves: two of their segments, one after the other but for
    segments too short to have a direction."""
    if not lines:
        return set()
    line_of_point = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    steps = np.diff(np.concatenate(lines), axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    has_direction = (lengths > 1.0) & (line_of_point[1:] == line_of_point[:-1])

    directions = steps[has_direction] / lengths[has_direction, None]
    line_of_step = line_of_point[1:][has_direction]
    turns_back = (directions[1:] * directions[:-1]).sum(axis=1) < -FOLD_COSINE
    return set(line_of_step[1:][turns_back & (line_of_step[1:] == line_of_step[:-1])].tolist())


def _joints(code: IntersectionCode, lines: dict[str, F8]) -> Iterator[Finding]:
    for connection in code.connections:
        for field, lane, end, point in (
            ("from_lane", connection.from_lane, -1, lines[connection.id][0]),
            ("to_lane", connection.to_lane, 0, lines[connection.id][-1]),
        ):
            (x, y), (px, py) = lines[lane][end].tolist(), point.tolist()
            gap = hypot(x - px, y - py)
            if gap > MAX_GAP:
                yield fault(
                    entity=connection.id,
                    field=field,
                    value=lane,
                    rule=f"its path is {gap:.1f} m off the lane, more than {MAX_GAP:.0f} m",
                    remedy="let the path begin and end at its lanes, and lanes run in driving direction",
                )


def _sides(code: IntersectionCode, lines: dict[str, F8], arc_lengths_of_all: dict[str, F8]) -> Iterator[Finding]:
    """Yield lanes that lie to the left of the one numbered before them: advice to change left would lead to the right.

    Both ends must lie there by more than ASIDE: lanes that cross over, or lie one above the other, are no wrong
    numbering. A lane shorter than MIN_DIRECTED has no direction that would make a left and a right."""
    by_link: dict[str, list[Lane]] = {}
    for lane in code.lanes:
        by_link.setdefault(lane.link, []).append(lane)

    for lanes in by_link.values():
        lanes = sorted(
            (lane for lane in lanes if arc_lengths_of_all[lane.id][-1] > MIN_DIRECTED_LENGTH),
            key=lambda lane: lane.number,
        )
        for left, right in pairwise(lanes):
            if (
                min(
                    _offset_to_left(lines[left.id], lines[right.id], first=0, second=1),
                    _offset_to_left(lines[left.id], lines[right.id], first=-2, second=-1),
                )
                > MIN_WRONG_SIDE_OFFSET
            ):
                rule = (
                    f"lies to the left of {left.id}, whose number is {left.number}: lanes are numbered from the left, "
                    "whichever side traffic keeps"
                )
                yield fault(
                    entity=right.id,
                    field="number",
                    value=right.number,
                    rule=rule,
                    remedy="number the link's lanes from the left in driving direction",
                )


def _offset_to_left(a: F8, b: F8, first: int, second: int) -> float:
    """Return m by which line `b` lies to the left of line `a`, at its first or its last segment."""
    (x0, y0), (x1, y1) = a[first].tolist(), a[second].tolist()
    end = 0 if first == 0 else -1
    (x, y), (px, py) = a[end].tolist(), b[end].tolist()
    segment_length = hypot(x1 - x0, y1 - y0)
    if segment_length <= 0.01:
        return 0.0

    return float(((x1 - x0) * (py - y) - (y1 - y0) * (px - x)) / segment_length)


def _stop_lines(code: IntersectionCode, arc_lengths_of_all: dict[str, F8]) -> Iterator[Finding]:
    for line in code.stop_lines:
        lane_length = float(arc_lengths_of_all[line.lane][-1])
        if not 0.0 <= line.s <= lane_length + MAX_OVERRUN:
            yield fault(
                entity=f"stop line {line.lane}",
                field="s",
                value=line.s,
                rule=f"must lie on its lane, 0 .. {lane_length:.1f} m",
                remedy="measure it along the lane",
            )


def _conflicts(code: IntersectionCode, lines: dict[str, F8], arc_lengths_of_all: dict[str, F8]) -> Iterator[Finding]:
    if not code.conflicts:
        return
    order = {name: index for index, name in enumerate(arc_lengths_of_all)}
    paths = np.array([(order[conflict.a], order[conflict.b]) for conflict in code.conflicts])
    s = np.array([(conflict.s_a, conflict.s_b) for conflict in code.conflicts], float)
    path_lengths = np.array([along[-1] for along in arc_lengths_of_all.values()])
    is_beyond = ~((s >= -MAX_OVERRUN) & (s <= path_lengths[paths] + MAX_OVERRUN))

    # All lines are laid end to end, to find the places on all of them at once.
    begins = np.cumsum([0.0, *(path_lengths[:-1] + 1.0)])
    along_all = np.concatenate(
        [along + begin for along, begin in zip(arc_lengths_of_all.values(), begins, strict=True)]
    )
    points = np.concatenate(list(lines.values()))
    positions = begins[paths] + np.clip(s, 0.0, path_lengths[paths])
    x, y = (np.interp(positions, along_all, points[:, axis]) for axis in (0, 1))
    gaps = np.hypot(x[:, 0] - x[:, 1], y[:, 0] - y[:, 1])

    for index in np.flatnonzero(is_beyond.any(axis=1) | (gaps > MAX_CONFLICT_GAP)).tolist():
        conflict = code.conflicts[index]
        for side, field, path in ((0, "s_a", conflict.a), (1, "s_b", conflict.b)):
            if is_beyond[index, side]:
                yield fault(
                    entity=f"{conflict.a}/{conflict.b}",
                    field=field,
                    value=(conflict.s_a, conflict.s_b)[side],
                    rule=f"must lie on the path of {path}, 0 .. {path_lengths[paths[index, side]]:.1f} m",
                    remedy="compute conflict points anew",
                )
        if gaps[index] > MAX_CONFLICT_GAP:
            yield fault(
                entity=f"{conflict.a}/{conflict.b}",
                field="s_a, s_b",
                value=f"{conflict.s_a}, {conflict.s_b}",
                rule=f"the two places are {gaps[index]:.1f} m apart, more than {MAX_CONFLICT_GAP:.0f} m",
                remedy="compute conflict points anew",
            )


def _areas(code: IntersectionCode, origin: Origin) -> Iterator[Finding]:
    for name, line in zip(
        (crosswalk.id for crosswalk in code.crosswalks),
        local_lines(origin, [crosswalk.axis for crosswalk in code.crosswalks]),
        strict=True,
    ):
        if not 0.5 <= arc_lengths(line)[-1] <= 100.0:
            yield fault(
                entity=name,
                field="axis",
                value=f"{arc_lengths(line)[-1]:.1f} m long",
                rule="a crosswalk is 0.5 .. 100 m long",
                remedy="survey it anew",
            )

    areas: list[Crosswalk | Zone] = [*(crosswalk for crosswalk in code.crosswalks if crosswalk.polygon), *code.zones]
    for area in areas:
        if len(area.polygon) < 3:
            yield fault(
                entity=area.id,
                field="polygon",
                value=f"{len(area.polygon)} points",
                rule="an area has three corners at least",
                remedy="draw its outline",
            )
