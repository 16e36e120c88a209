"""A digital code as flat arrays in metres: what planners and lane matching read."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from cloudctl.geo import Origin

from ..canon import content_hash
from ..citycode import sub_code
from ..model import CONFLICTS, GROUP_KINDS, ROLES, TURNS, USES, Connection, Crosswalk, IntersectionCode, Lane, Point
from ..polylines import F8, arc, band, crossings
from .cells import grid

I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]
Flags = NDArray[np.bool_]

BESIDE = 15.0  # m before and after a connection within which a crosswalk counts as on its way


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
    lane_speed: F8  # m/s, the limit for cars
    lane_use: U1  # index into model.USES
    lane_role: U1  # index into model.ROLES
    lane_stop_s: F8  # of the stop line; nan where none
    lane_to_stop: F8  # m from the lane's end to the stop line it leads to; nan where it leads to none
    lane_link: I4
    lane_ingress: I4  # the ingress link it leads to; -1 where none
    conn_from: I4
    conn_to: I4
    conn_group: I4  # index into group_ids; -1 where none
    conn_turn: U1  # index into model.TURNS
    conn_speed: F8
    conn_inner: Flags
    group_ids: I4
    group_kind: U1
    conf_start: I4
    conf_other: I4
    conf_s: F8
    conf_s_other: F8
    conf_type: U1  # index into model.CONFLICTS
    conf_yield: Flags  # own must yield to other, by the conflict matrix
    conf_gives: Flags  # own gives way to other where signals are in use
    cross_ids: tuple[str, ...]
    cross_group: I4
    cross_start: I4  # outlines in CSR
    cross_xy: F8
    cross_axis: F8  # float64[n, 4]: x0, y0, x1, y1
    cross_width: F8
    cw_start: I4  # crosswalks that each connection, or the lanes it joins, runs over
    cw_cross: I4
    cw_s_in: F8  # m along the connection: negative before it, beyond its length after it
    cw_s_out: F8
    bounds: tuple[float, float, float, float]
    cell_m: float
    nx: int
    ny: int
    cell_start: I4
    cell_path: I4

    def connection(self, name: str) -> int:
        """Return the index of a connection by its whole city code (`citycode.sub_code`), its own id, or an alias; -1 where it is none of this."""
        own = f"{self.code.id[:-1]}."
        if not name.startswith(own):
            return self.conn_alias.get(name, -1)
        part = name[len(own) : -1]
        return self.conn_alias.get(part, -1) if sub_code(self.code.id, part) == name else -1


def compile_code(code: IntersectionCode) -> CompiledCode:
    """Return the arrays of a valid code."""
    origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
    n = len(code.lanes)
    lines = local_lines(origin, [*(x.points for x in code.lanes), *(x.points for x in code.connections)])
    arcs = [arc(line) for line in lines]
    start = csr(map(len, lines))
    xy = np.concatenate(lines)
    length = np.array([along[-1] for along in arcs])
    lanes, conns = _index(code.lanes), _index(code.connections)
    links = {link.id: k for k, link in enumerate(code.links)}
    groups = {group.id: k for k, group in enumerate(code.signal_groups)}
    roles = {link.id: ROLES.index(link.role) for link in code.links}
    stop = np.full(n, np.nan)
    for line in code.stop_lines:
        stop[lanes[line.lane]] = line.s
    role = np.array([roles[lane.link] for lane in code.lanes], np.uint8)
    link = np.array([links[lane.link] for lane in code.lanes], np.int32)
    conn_from = np.array([lanes[c.from_lane] for c in code.connections], np.int32)
    conn_to = np.array([lanes[c.to_lane] for c in code.connections], np.int32)
    inner = np.array([c.inner for c in code.connections], np.bool_)
    to_stop, ingress = _leads(role, link, conn_from, conn_to, inner, length, stop)
    cross_start, cross_xy, axis = _crosswalks(origin, code.crosswalks)
    width = np.array([c.width_cm / 100 for c in code.crosswalks])
    cells = grid(xy, start)
    return CompiledCode(
        code,
        origin,
        content_hash(code),
        n,
        len(code.connections),
        tuple(lanes),
        tuple(conns),
        _names(code.lanes),
        _names(code.connections),
        start,
        xy,
        np.concatenate(arcs),
        length,
        np.array([lane.width_cm / 100 for lane in code.lanes]),
        np.array([lane.speed for lane in code.lanes]),
        np.array([USES.index(lane.use) for lane in code.lanes], np.uint8),
        role,
        stop,
        to_stop,
        link,
        ingress,
        conn_from,
        conn_to,
        _groups(groups, code.connections),
        np.array([TURNS.index(c.turn) for c in code.connections], np.uint8),
        np.array([c.speed for c in code.connections], float),
        inner,
        np.array([g.id for g in code.signal_groups], np.int32),
        np.array([GROUP_KINDS.index(g.kind) for g in code.signal_groups], np.uint8),
        *_conflicts(code, conns),
        tuple(c.id for c in code.crosswalks),
        _groups(groups, code.crosswalks),
        cross_start,
        cross_xy,
        axis,
        width,
        *_walked(lines, arcs, n, conn_from, conn_to, inner, axis, width),
        cells.bounds,
        cells.cell_m,
        cells.nx,
        cells.ny,
        cells.start,
        cells.path,
    )


def csr(counts: Iterable[int]) -> I4:
    """Return the bounds of rows of so many items: int32[n + 1]."""
    return np.cumsum([0, *counts]).astype(np.int32)


def local_lines(origin: Origin, lines: list[tuple[Point, ...]]) -> list[F8]:
    """Return lines in metres of `origin`, each float64[n, 2]."""
    if not lines:
        return []
    table = np.array([point for line in lines for point in line], float) / 1e7
    xy = np.stack(origin.to_local(table[:, 0], table[:, 1]), axis=1)
    return np.split(xy, np.cumsum([len(line) for line in lines])[:-1])


def _index(items: Iterable[Lane | Connection]) -> dict[str, int]:
    return {item.id: k for k, item in enumerate(items)}


def _names(items: Iterable[Lane | Connection]) -> dict[str, int]:
    return {name: k for k, item in enumerate(items) for name in (*(alias.value for alias in item.alias), item.id)}


def _groups(groups: dict[int, int], items: Iterable[Connection | Crosswalk]) -> I4:
    return np.array([groups.get(item.group, -1) for item in items], np.int32)


def _leads(role: U1, link: I4, conn_from: I4, conn_to: I4, inner: Flags, length: F8, stop: F8) -> tuple[F8, I4]:
    """Return m from each lane's end to the nearest stop line it leads to, and that line's link: Dijkstra, backwards."""
    to_stop, ingress = np.full(len(role), np.nan), np.full(len(role), -1, np.int32)
    before: dict[int, list[int]] = {}
    for k in np.flatnonzero(~inner).tolist():
        before.setdefault(int(conn_to[k]), []).append(k)
    queue = [(0.0, int(lane), int(link[lane])) for lane in np.flatnonzero(role == 0)]
    while queue:
        far, lane, target = heappop(queue)
        if ingress[lane] >= 0:
            continue
        to_stop[lane], ingress[lane] = far, target
        end = length[lane] if np.isnan(stop[lane]) else stop[lane]
        for k in before.get(lane, ()):
            if role[conn_from[k]] == 1:
                heappush(queue, (far + float(end + length[len(role) + k]), int(conn_from[k]), target))
    return to_stop, ingress


def _conflicts(code: IntersectionCode, conns: dict[str, int]) -> tuple[I4, I4, F8, F8, U1, Flags, Flags]:
    rows = [(conns[c.a], conns[c.b], c.s_a, c.s_b, CONFLICTS.index(c.kind), c.a_yields) for c in code.conflicts]
    rows += [(conns[c.b], conns[c.a], c.s_b, c.s_a, CONFLICTS.index(c.kind), c.b_yields) for c in code.conflicts]
    rows.sort(key=lambda row: row[:2])
    table = np.array(rows, float).reshape(-1, 6)
    counts = np.bincount(table[:, 0].astype(np.int64), minlength=len(code.connections))
    return (
        csr(counts.tolist()),
        table[:, 1].astype(np.int32),
        table[:, 2].copy(),
        table[:, 3].copy(),
        table[:, 4].astype(np.uint8),
        table[:, 5].astype(np.bool_),
        np.array(
            [_gives_way(code.connections[own], code.connections[other], yields) for own, other, *_, yields in rows],
            np.bool_,
        ),
    )


def _gives_way(own: Connection, other: Connection, yields: bool) -> bool:
    """Return whether one movement gives way to another where signals are in use: of two that signals let in, who may wait inside for a gap does. The
    matrix is the rule for where no signal decides: SUMO's `response` even lets straight on yield to a left turn of another phase."""
    return own.waits if own.group and other.group and own.waits != other.waits else yields


def _crosswalks(origin: Origin, crosswalks: tuple[Crosswalk, ...]) -> tuple[I4, F8, F8]:
    axes = local_lines(origin, [c.axis for c in crosswalks])
    drawn = local_lines(origin, [c.polygon for c in crosswalks if c.polygon])
    outlines = [
        drawn.pop(0) if c.polygon else band(line, c.width_cm / 100) for c, line in zip(crosswalks, axes, strict=True)
    ]
    axis = np.array([[*line[0], *line[-1]] for line in axes]).reshape(-1, 4)
    return csr(map(len, outlines)), np.concatenate([np.empty((0, 2)), *outlines]), axis


def _walked(
    lines: list[F8], arcs: list[F8], n_lanes: int, conn_from: I4, conn_to: I4, inner: Flags, axis: F8, width: F8
) -> tuple[I4, I4, F8, F8]:
    counts, found = [], []
    for k in range(len(conn_from)):
        rows: list[tuple[int, float, float]] = []
        if inner[k] and len(axis):
            before, path, after = lines[conn_from[k]], lines[n_lanes + k], lines[conn_to[k]]
            whole = np.concatenate([before[-12:], path, after[:12]])
            along = arc(whole) - arc(before[-12:])[-1] - np.hypot(*(path[0] - before[-1]))
            low, high = whole.min(axis=0), whole.max(axis=0)
            ends = axis.reshape(-1, 2, 2)
            for c in np.flatnonzero(((ends.max(axis=1) >= low) & (ends.min(axis=1) <= high)).all(axis=1)).tolist():
                for s, sine in crossings(whole, along, axis[c]):
                    if -BESIDE < s < arcs[n_lanes + k][-1] + BESIDE:
                        half = width[c] / 2 / max(sine, 0.5)
                        rows.append((c, s - half, s + half))
        counts.append(len(rows))
        found += sorted(rows, key=lambda row: row[1])
    table = np.array(found, float).reshape(-1, 3)
    return csr(counts), table[:, 0].astype(np.int32), table[:, 1].copy(), table[:, 2].copy()
