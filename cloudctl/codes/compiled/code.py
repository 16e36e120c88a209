"""A digital code as flat arrays in metres: what planners and lane matching read."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from cloudctl.geo import Origin

from ..canon import content_hash
from ..citycode import sub_code
from ..model import CONFLICTS, GROUP_KINDS, ROLES, TURNS, USES, Connection, Crosswalk, IntersectionCode, Lane, Point
from ..polylines import F8, band, parts_of
from .addresses import Addresses
from .arrays import code_addresses
from .cells import grid
from .crosswalk_spans import Movements, Paths, arc_lengths_by_path, crosswalk_spans
from .lane_links import LaneLinks, lane_links
from .lane_tables import LaneTables, lane_tables
from .rules import RuleTable

I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]
Flags = NDArray[np.bool_]


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

    @cached_property
    def rule_table(self) -> RuleTable:
        """The compiled rules of the code, for a place without a calendar: no day is a holiday."""
        return RuleTable(self.code)

    @cached_property
    def lane_links(self) -> LaneLinks:
        """Where each lane leads."""
        return lane_links(self.n_lanes, self.conn_from, self.conn_to, self.conn_turn, self.conn_inner)

    @cached_property
    def addresses(self) -> Addresses:
        """The row of a table of codes, which `arrays.paths_at` and its like read."""
        row, arrays = code_addresses(self)
        object.__setattr__(self, "_addressed", arrays)  # kept alive as long as their addresses
        return row

    @cached_property
    def address(self) -> int:
        """Where that row is in memory."""
        return self.addresses.ctypes.data

    @cached_property
    def lane_tables(self) -> LaneTables:
        """What lane matching reads beside the arrays here."""
        return lane_tables(self)

    def connection(self, name: str) -> int:
        """Return the index of a connection by its whole city code (`citycode.sub_code`), its own id, or an alias; -1
        where it is none of this."""
        own_prefix = f"{self.code.id[:-1]}."
        if not name.startswith(own_prefix):
            return self.conn_alias.get(name, -1)
        part = name[len(own_prefix) : -1]
        return self.conn_alias.get(part, -1) if sub_code(self.code.id, part) == name else -1


def compile_code(code: IntersectionCode) -> CompiledCode:
    """Return the arrays of a valid code."""
    origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
    n_lanes = len(code.lanes)
    lines = local_lines(origin, [*(item.points for item in code.lanes), *(item.points for item in code.connections)])
    path_start = csr(map(len, lines))
    path_xy = np.concatenate(lines)
    path_s = arc_lengths_by_path(path_start, path_xy)
    path_length = path_s[path_start[1:] - 1]
    lane_index, conn_index = _index(code.lanes), _index(code.connections)
    link_index = {lane_link.id: k for k, lane_link in enumerate(code.links)}
    group_index = {group.id: k for k, group in enumerate(code.signal_groups)}
    role_of_link = {lane_link.id: ROLES.index(lane_link.role) for lane_link in code.links}
    lane_stop_s = np.full(n_lanes, np.nan)

    for stop_line in code.stop_lines:
        lane_stop_s[lane_index[stop_line.lane]] = stop_line.s

    lane_role = np.array([role_of_link[lane.link] for lane in code.lanes], np.uint8)
    lane_link = np.array([link_index[lane.link] for lane in code.lanes], np.int32)
    conn_from = np.array([lane_index[connection.from_lane] for connection in code.connections], np.int32)
    conn_to = np.array([lane_index[connection.to_lane] for connection in code.connections], np.int32)
    conn_inner = np.array([connection.inner for connection in code.connections], np.bool_)
    lane_to_stop, lane_ingress = _distances_to_stop(
        lane_role=lane_role,
        lane_link=lane_link,
        conn_from=conn_from,
        conn_to=conn_to,
        conn_inner=conn_inner,
        path_length=path_length,
        lane_stop_s=lane_stop_s,
    )
    cross_start, cross_xy, cross_axis = _crosswalks(origin, code.crosswalks)
    cross_width = np.array([connection.width_cm / 100 for connection in code.crosswalks])
    crossed_counts, spans = crosswalk_spans(
        Paths(path_start, path_xy, path_length), Movements(conn_from, conn_to, conn_inner), cross_axis, cross_width
    )
    cells = grid(path_xy, path_start)

    return CompiledCode(
        code,
        origin,
        content_hash(code),
        n_lanes,
        len(code.connections),
        tuple(lane_index),
        tuple(conn_index),
        _index_with_aliases(code.lanes),
        _index_with_aliases(code.connections),
        path_start,
        path_xy,
        path_s,
        path_length,
        np.array([lane.width_cm / 100 for lane in code.lanes]),
        np.array([lane.speed for lane in code.lanes]),
        np.array([USES.index(lane.use) for lane in code.lanes], np.uint8),
        lane_role,
        lane_stop_s,
        lane_to_stop,
        lane_link,
        lane_ingress,
        conn_from,
        conn_to,
        _groups(group_index, code.connections),
        np.array([TURNS.index(connection.turn) for connection in code.connections], np.uint8),
        np.array([connection.speed for connection in code.connections], float),
        conn_inner,
        np.array([group.id for group in code.signal_groups], np.int32),
        np.array([GROUP_KINDS.index(group.kind) for group in code.signal_groups], np.uint8),
        *_conflicts(code, conn_index),
        tuple(connection.id for connection in code.crosswalks),
        _groups(group_index, code.crosswalks),
        cross_start,
        cross_xy,
        cross_axis,
        cross_width,
        csr(crossed_counts),
        spans[:, 0].astype(np.int32),
        spans[:, 1].copy(),
        spans[:, 2].copy(),
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
    return parts_of(xy, map(len, lines))


def _index(items: Iterable[Lane | Connection]) -> dict[str, int]:
    return {item.id: k for k, item in enumerate(items)}


def _index_with_aliases(items: Iterable[Lane | Connection]) -> dict[str, int]:
    return {name: k for k, item in enumerate(items) for name in (*(alias.value for alias in item.alias), item.id)}


def _groups(groups: dict[int, int], items: Iterable[Connection | Crosswalk]) -> I4:
    return np.array([groups.get(item.group, -1) for item in items], np.int32)


def _distances_to_stop(
    lane_role: U1, lane_link: I4, conn_from: I4, conn_to: I4, conn_inner: Flags, path_length: F8, lane_stop_s: F8
) -> tuple[F8, I4]:
    """Return m from each lane's end to the nearest stop line it leads to, and that line's link: Dijkstra, backwards."""
    to_stop, ingress = np.full(len(lane_role), np.nan), np.full(len(lane_role), -1, np.int32)
    joints_into: dict[int, list[int]] = {}
    for k in np.flatnonzero(~conn_inner).tolist():
        joints_into.setdefault(int(conn_to[k]), []).append(k)

    queue = [(0.0, int(lane), int(lane_link[lane])) for lane in np.flatnonzero(lane_role == 0)]
    while queue:
        distance, lane, ingress_link = heappop(queue)
        if ingress[lane] >= 0:
            continue

        to_stop[lane], ingress[lane] = distance, ingress_link
        end = path_length[lane] if np.isnan(lane_stop_s[lane]) else lane_stop_s[lane]
        for k in joints_into.get(lane, ()):
            if lane_role[conn_from[k]] == 1:
                heappush(
                    queue, (distance + float(end + path_length[len(lane_role) + k]), int(conn_from[k]), ingress_link)
                )

    return to_stop, ingress


def _conflicts(code: IntersectionCode, conn_index: dict[str, int]) -> tuple[I4, I4, F8, F8, U1, Flags, Flags]:
    rows = [
        (
            conn_index[conflict.a],
            conn_index[conflict.b],
            conflict.s_a,
            conflict.s_b,
            CONFLICTS.index(conflict.kind),
            conflict.a_yields,
        )
        for conflict in code.conflicts
    ]
    rows += [
        (
            conn_index[conflict.b],
            conn_index[conflict.a],
            conflict.s_b,
            conflict.s_a,
            CONFLICTS.index(conflict.kind),
            conflict.b_yields,
        )
        for conflict in code.conflicts
    ]
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
    """Return whether one movement gives way to another where signals are in use: of two that signals let in, the
    one that may wait inside for a gap does. The matrix is the rule for where no signal
    decides: SUMO's `response` even lets straight on yield to a left turn of another phase."""
    return own.waits if own.group and other.group and own.waits != other.waits else yields


def _crosswalks(origin: Origin, crosswalks: tuple[Crosswalk, ...]) -> tuple[I4, F8, F8]:
    axes = local_lines(origin, [crosswalk.axis for crosswalk in crosswalks])
    given_outlines = local_lines(origin, [crosswalk.polygon for crosswalk in crosswalks if crosswalk.polygon])
    outlines = [
        given_outlines.pop(0) if crosswalk.polygon else band(line, crosswalk.width_cm / 100)
        for crosswalk, line in zip(crosswalks, axes, strict=True)
    ]
    axis = np.array([[*line[0], *line[-1]] for line in axes]).reshape(-1, 4)
    return csr(map(len, outlines)), np.concatenate([np.empty((0, 2)), *outlines]), axis
