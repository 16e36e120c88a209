"""A digital code as flat arrays in metres: what planners and lane matching read."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geo import Origin
from .model import Connection, IntersectionCode, Lane, Point, content_hash

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]
Flags = NDArray[np.bool_]

USES = ("vehicle", "bike", "pedestrian", "bus")
ROLES = ("ingress", "upstream", "egress")
TURNS = ("straight", "left", "right", "u")
KINDS = ("cross", "merge", "diverge")
GROUP_KINDS = ("vehicle", "pedestrian", "bike")
CELL = 4.0  # m
CORRIDOR = 4.0  # m from a path within which a cell lists it


@dataclass(frozen=True)
class CompiledCode:
    """Arrays of one intersection, metres east-north of `origin`. Paths are lanes first, then connections, in CSR."""

    code: IntersectionCode
    origin: Origin
    hash: str
    n_lanes: int
    n_conns: int
    lane_ids: tuple[str, ...]
    conn_ids: tuple[str, ...]
    lane_alias: dict[str, int]  # id or alias -> index
    conn_alias: dict[str, int]
    path_start: I4
    path_xy: F8
    path_s: F8
    path_length: F8
    lane_width: F8
    lane_speed: F8
    lane_use: U1
    lane_role: U1
    lane_stop_s: F8  # of the stop line, nan where none
    lane_to_stop: F8  # m from the lane's end to the stop line it leads to; nan where it leads to none
    lane_link: I4
    lane_ingress: I4  # the ingress link it leads to, -1
    conn_from: I4
    conn_to: I4
    conn_group: I4  # index into group_ids, -1
    conn_turn: U1
    conn_speed: F8
    conn_inner: Flags
    group_ids: I4
    group_kind: U1
    conf_start: I4
    conf_other: I4
    conf_s: F8
    conf_s_other: F8
    conf_type: U1
    conf_yield: Flags
    cross_ids: tuple[str, ...]
    cross_group: I4
    cross_axis: F8  # float64[n, 4]
    cross_width: F8
    cw_start: I4
    cw_cross: I4
    cw_s_in: F8
    cw_s_out: F8
    bounds: tuple[float, float, float, float]
    cell_m: float
    nx: int
    ny: int
    cell_start: I4
    cell_path: I4


def compile_code(code: IntersectionCode) -> CompiledCode:
    """Return the arrays of a valid code."""
    origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
    items: list[Lane | Connection] = [*code.lanes, *code.connections]
    lines = [_local(origin, item.points) for item in items]
    lanes, conns = _index(code.lanes), _index(code.connections)
    links = {link.id: k for k, link in enumerate(code.links)}
    groups = {group.id: k for k, group in enumerate(code.signal_groups)}
    start = np.cumsum([0, *map(len, lines)]).astype(np.int32)
    arcs = [_arc(line) for line in lines]
    stop = np.full(len(code.lanes), np.nan)
    for line in code.stop_lines:
        stop[lanes[line.lane]] = line.s
    roles = {link.id: ROLES.index(link.role) for link in code.links}
    lane_role = np.array([roles[lane.link] for lane in code.lanes], np.uint8)
    conn_from = np.array([lanes[c.from_lane] for c in code.connections], np.int32)
    conn_to = np.array([lanes[c.to_lane] for c in code.connections], np.int32)
    inner = np.array([c.inner for c in code.connections], np.bool_)
    lane_link = np.array([links[lane.link] for lane in code.lanes], np.int32)
    length = np.array([arc[-1] for arc in arcs])
    to_stop, ingress = _leads(lane_role, lane_link, conn_from, conn_to, inner, length, stop)
    conflicts = _conflicts(code, conns)
    crossings = [_local(origin, c.axis) for c in code.crosswalks]
    axis = np.array([[*line[0], *line[-1]] for line in crossings]).reshape(-1, 4)
    width = np.array([c.width_cm / 100 for c in code.crosswalks])
    walked = _walked(lines, arcs, len(code.lanes), conn_from, conn_to, inner, axis, width)
    xy = np.concatenate(lines)
    bounds, nx, ny, cell_start, cell_path = _grid(lines)
    return CompiledCode(
        code,
        origin,
        content_hash(code),
        len(code.lanes),
        len(code.connections),
        tuple(x.id for x in code.lanes),
        tuple(x.id for x in code.connections),
        _aliases(code.lanes),
        _aliases(code.connections),
        start,
        xy,
        np.concatenate(arcs),
        length,
        np.array([lane.width_cm / 100 for lane in code.lanes]),
        np.array([lane.speed for lane in code.lanes]),
        np.array([USES.index(lane.use) for lane in code.lanes], np.uint8),
        lane_role,
        stop,
        to_stop,
        lane_link,
        ingress,
        conn_from,
        conn_to,
        np.array([groups.get(c.group, -1) for c in code.connections], np.int32),
        np.array([TURNS.index(c.turn) for c in code.connections], np.uint8),
        np.array([c.speed for c in code.connections]),
        inner,
        np.array([g.id for g in code.signal_groups], np.int32),
        np.array([GROUP_KINDS.index(g.kind) for g in code.signal_groups], np.uint8),
        *conflicts,
        tuple(c.id for c in code.crosswalks),
        np.array([groups.get(c.group, -1) for c in code.crosswalks], np.int32),
        axis,
        width,
        *walked,
        bounds,
        CELL,
        nx,
        ny,
        cell_start,
        cell_path,
    )


def _index(items: Iterable[Lane | Connection]) -> dict[str, int]:
    return {item.id: k for k, item in enumerate(items)}


def _aliases(items: Iterable[Lane | Connection]) -> dict[str, int]:
    return {name: k for k, item in enumerate(items) for name in (item.id, *(alias.value for alias in item.alias))}


def _local(origin: Origin, points: tuple[Point, ...]) -> F8:
    table = np.array(points, float) / 1e7
    return np.stack(origin.to_local(table[:, 0], table[:, 1]), axis=1)


def _arc(line: F8) -> F8:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def _leads(role: U1, link: I4, conn_from: I4, conn_to: I4, inner: Flags, length: F8, stop: F8) -> tuple[F8, I4]:
    """Return m from each lane's end to the stop line it leads to, and that stop line's link: Dijkstra's idea on a small tree."""
    to_stop = np.full(len(role), np.nan)
    ingress = np.full(len(role), -1, np.int32)
    for lane in np.flatnonzero(role == 0):
        to_stop[lane] = 0.0
        ingress[lane] = link[lane]
    for _ in range(len(role)):
        changed = False
        for k in np.flatnonzero(~inner):
            ahead, behind = conn_to[k], conn_from[k]
            if ingress[ahead] < 0 or role[behind] != 1:
                continue
            end = stop[ahead] if not np.isnan(stop[ahead]) else length[ahead]
            far = length[len(role) + k] + end + to_stop[ahead]
            if ingress[behind] < 0 or far < to_stop[behind] - 1e-9:
                to_stop[behind], ingress[behind], changed = far, ingress[ahead], True
        if not changed:
            break
    return to_stop, ingress


def _conflicts(code: IntersectionCode, conns: dict[str, int]) -> tuple[I4, I4, F8, F8, U1, Flags]:
    both = [(conns[c.a], conns[c.b], c.s_a, c.s_b, KINDS.index(c.kind), c.a_yields) for c in code.conflicts]
    both += [(conns[c.b], conns[c.a], c.s_b, c.s_a, KINDS.index(c.kind), c.b_yields) for c in code.conflicts]
    both.sort(key=lambda row: row[:2])
    counts = (
        np.bincount([row[0] for row in both], minlength=len(code.connections))
        if both
        else np.zeros(len(code.connections), int)
    )
    columns = list(zip(*both, strict=True)) if both else [()] * 6
    return (
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        np.array(columns[1], np.int32),
        np.array(columns[2], float),
        np.array(columns[3], float),
        np.array(columns[4], np.uint8),
        np.array(columns[5], np.bool_),
    )


def _walked(
    lines: list[F8], arcs: list[F8], n_lanes: int, conn_from: I4, conn_to: I4, inner: Flags, axis: F8, width: F8
) -> tuple[I4, I4, F8, F8]:
    """Return, for each connection, the crosswalks that it or the lanes it joins run over, and the span (m along it; negative before it)."""
    start, cross, s_in, s_out = [0], [], [], []
    for k in range(len(conn_from)):
        if inner[k]:
            before, path, after = lines[conn_from[k]], lines[n_lanes + k], lines[conn_to[k]]
            offset = arcs[conn_from[k]][-1]
            whole = np.concatenate([before, path[1:], after[1:]])
            arc = _arc(whole) - offset
            for c in range(len(axis)):
                at = crossing(whole, arc, axis[c])
                if at is not None and -15.0 < at < arcs[n_lanes + k][-1] + 15.0:
                    cross.append(c)
                    s_in.append(at - width[c] / 2)
                    s_out.append(at + width[c] / 2)
        start.append(len(cross))
    return np.array(start, np.int32), np.array(cross, np.int32), np.array(s_in, float), np.array(s_out, float)


def crossing(line: F8, arc: F8, axis: F8) -> float | None:
    """Return where along a polyline (m) it first crosses the segment `axis` (x0, y0, x1, y1); None where it does not."""
    a, d = line[:-1], np.diff(line, axis=0)
    p, e = axis[:2], axis[2:] - axis[:2]
    det = d[:, 0] * -e[1] + d[:, 1] * e[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        w = p - a
        u = (w[:, 0] * -e[1] + w[:, 1] * e[0]) / det
        v = (d[:, 0] * w[:, 1] - d[:, 1] * w[:, 0]) / det
    hits = np.flatnonzero((u >= 0) & (u <= 1) & (v >= 0) & (v <= 1))
    return None if not len(hits) else float(arc[hits[0]] + u[hits[0]] * (arc[hits[0] + 1] - arc[hits[0]]))


def _grid(lines: list[F8]) -> tuple[tuple[float, float, float, float], int, int, I4, I4]:
    xy = np.concatenate(lines)
    x0, y0 = (float(v) for v in xy.min(axis=0) - CORRIDOR)
    x1, y1 = (float(v) for v in xy.max(axis=0) + CORRIDOR)
    nx, ny = int((x1 - x0) // CELL) + 1, int((y1 - y0) // CELL) + 1
    cells: dict[int, list[int]] = {}
    reach = int(CORRIDOR // CELL)
    for path, line in enumerate(lines):
        seen: set[int] = set()
        for a, b in itertools.pairwise(line):
            steps = max(int(np.hypot(*(b - a)) / (CELL / 2)) + 1, 2)
            for x, y in a + np.linspace(0, 1, steps)[:, None] * (b - a):
                cx, cy = int((x - x0) // CELL), int((y - y0) // CELL)
                seen.update(
                    j * nx + i
                    for i in range(max(cx - reach, 0), min(cx + reach + 1, nx))
                    for j in range(max(cy - reach, 0), min(cy + reach + 1, ny))
                )
        for cell in sorted(seen):
            cells.setdefault(cell, []).append(path)
    counts = np.zeros(nx * ny, np.int32)
    for cell, paths in cells.items():
        counts[cell] = len(paths)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    flat = np.array([path for cell in sorted(cells) for path in cells[cell]], np.int32)
    return (x0, y0, x1, y1), nx, ny, start, flat
