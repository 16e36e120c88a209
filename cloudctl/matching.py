"""Lane matching: which lane or connection each track is on, where along it, and which stop line it comes to.

A track is matched to the path (of those whose corridor covers its cell) with the least cost: squared lateral offset in
half lane widths, plus disagreement of heading, less a bonus for the paths its vehicle said it would take.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .codes import CompiledCode

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REACH = 3.0  # m; a track further than this from every path is on none
MOVING = 1.0  # m/s; below it a velocity says nothing of heading
ALONG = 0.3  # least cosine between motion and path: within about 70 degrees
DECLARED = 1.5  # cost taken off the paths a vehicle said it would take
TURNING = 6.0  # cost of motion across the path
LEAVES = -2  # declared by who takes no movement of this intersection
SHY = np.array([0.0, 0.5, 2.0, 0.2, 1.0])  # cost of a lane for vehicles, bicycles, pedestrians, buses, trams
CLOSED = 4.0  # cost of a tidal lane that runs the other way now: it is taken only by who moves against that


class Tables(NamedTuple):
    """What matching reads of one code, beside its own arrays; made once."""

    width: Floats  # of each path; a connection has its lane's
    use_penalty: Floats
    only: Ints  # of each lane: the one connection it leads to, -1 when there are several or none
    turns: Ints  # int64[n_lanes, n_conns]: the connection that lane leads to which makes the same turn; itself where there is none
    stop: Floats  # m along each lane to where it ends for a vehicle: its stop line, else its end
    group: Ints  # of each lane: the signal group of its first movement, -1 none


class Matched(NamedTuple):
    """One row a track. `path` counts lanes first, then connections; -1 where there is none."""

    path: Ints
    s: Floats  # m along the path
    lateral: Floats  # m off it
    along: Floats  # m/s in its direction
    connection: Ints  # the movement through the intersection it is on or will take, -1 not known
    to_stop: Floats  # m from the front to the stop line; negative inside; nan where the path leads to none


_KNOWN: dict[str, Tables] = {}


def tables(code: CompiledCode) -> Tables:
    """Return the tables of a code, made once for each content."""
    table = _KNOWN.get(code.hash)
    if table is None:
        table = _KNOWN[code.hash] = _tables(code)
    return table


def _tables(code: CompiledCode) -> Tables:
    owner = np.concatenate([np.arange(code.n_lanes), code.conn_from]).astype(np.int64)
    joint = np.where(np.arange(len(owner)) < code.n_lanes, 0.0, 0.1)
    leads = [_leads(code, lane) for lane in range(code.n_lanes)]
    only = np.array([found[0] if len(found) == 1 else -1 for found in leads], np.int64)
    turns = np.tile(np.arange(code.n_conns), (code.n_lanes, 1))
    from_link, to_link = code.lane_link[code.conn_from], code.lane_link[code.conn_to]
    for lane, found in enumerate(leads):
        for k in reversed(found):
            turns[lane, (from_link == from_link[k]) & (to_link == to_link[k])] = k
        turns[lane, found] = found
    stop = np.where(np.isnan(code.lane_stop_s), code.path_length[: code.n_lanes], code.lane_stop_s)
    group = np.full(code.n_lanes, -1, np.int64)
    signalled = np.flatnonzero(code.conn_group >= 0)[::-1]
    group[code.conn_from[signalled]] = code.conn_group[signalled]
    width = np.maximum(code.lane_width[owner], 1.0)
    return Tables(width, SHY[code.lane_use[owner]] + joint, only, turns, stop, group)


def _leads(code: CompiledCode, lane: int) -> list[int]:
    """Return the connections through the intersection that a lane leads to, over the joints of its road."""
    found, seen, ahead = [], set[int](), [lane]
    while ahead:
        here = ahead.pop(0)
        if here in seen:
            continue
        seen.add(here)
        for k in np.flatnonzero(code.conn_from == here).tolist():
            if code.conn_inner[k]:
                found.append(k)
            else:
                ahead.append(int(code.conn_to[k]))
    return found


@njit(cache=True)
def _project(path: int, x: float, y: float, start: Any, xy: Any, arc: Any) -> tuple[float, float, float, float]:
    """Return (s, distance, ux, uy): the nearest point of one polyline, and the direction there."""
    best, best_s, ux, uy = 1e18, 0.0, 1.0, 0.0
    for k in range(start[path], start[path + 1] - 1):
        dx, dy = xy[k + 1, 0] - xy[k, 0], xy[k + 1, 1] - xy[k, 1]
        length = arc[k + 1] - arc[k]
        if length <= 0.0:
            continue
        along = ((x - xy[k, 0]) * dx + (y - xy[k, 1]) * dy) / length
        along = min(max(along, 0.0), length)
        ex, ey = x - xy[k, 0] - dx * along / length, y - xy[k, 1] - dy * along / length
        d = ex * ex + ey * ey
        if d < best:
            best, best_s, ux, uy = d, arc[k] + along, dx / length, dy / length
    return best_s, best**0.5, ux, uy


@njit(cache=True)
def _connection(
    path: int, said: int, n_lanes: int, only: Any, turns: Any, ingress: Any, conn_from: Any, inner: Any
) -> int:
    """Return the movement of a track on `path` whose vehicle said movement `said` (-1: nothing; LEAVES: none of this intersection)."""
    if path < 0 or (path < n_lanes and said == LEAVES):
        return -1
    if path >= n_lanes:
        found = path - n_lanes
    elif said >= 0 and ingress[path] == ingress[conn_from[said]]:
        found = turns[path, said]
    else:
        found = only[path]
    return found if found >= 0 and inner[found] else -1


@njit(cache=True)
def _match(
    tracks: Any, declared: Any, n_lanes: int, start: Any, xy: Any, arc: Any, path_length: Any, width: Any, use_penalty: Any, only: Any,
    turns: Any, stop: Any, lead: Any, ingress: Any, conn_from: Any, conn_to: Any, inner: Any, cell_start: Any, cell_path: Any,
    x0: float, y0: float, cell_m: float, nx: int, ny: int,
    path: Any, s: Any, lateral: Any, along: Any, connection: Any, to_stop: Any,
) -> None:  # fmt: skip
    for i in range(len(tracks)):
        x, y, vx, vy = tracks[i]["x"], tracks[i]["y"], float(tracks[i]["vx"]), float(tracks[i]["vy"])
        half = 0.5 * float(tracks[i]["length"])
        cx, cy = int((x - x0) // cell_m), int((y - y0) // cell_m)
        best, least = -1, 1e18
        speed = (vx * vx + vy * vy) ** 0.5
        if 0 <= cx < nx and 0 <= cy < ny:
            for k in range(cell_start[cy * nx + cx], cell_start[cy * nx + cx + 1]):
                p = cell_path[k]
                at, d, ux, uy = _project(p, x, y, start, xy, arc)
                cos = (vx * ux + vy * uy) / speed if speed > MOVING else 1.0
                if d > REACH or cos < ALONG:
                    continue
                cost = (2.0 * d / width[p]) ** 2 + TURNING * (1.0 - cos) + use_penalty[p]
                for m in range(declared.shape[1]):
                    if declared[i, m] == p:
                        cost -= DECLARED
                if cost < least:
                    least, best = cost, p
                    s[i], lateral[i], along[i] = at, d, vx * ux + vy * uy
        path[i] = best
        said = declared[i, 0] - n_lanes if declared[i, 0] >= 0 else declared[i, 0]
        connection[i] = _connection(best, said, n_lanes, only, turns, ingress, conn_from, inner)
        to_stop[i] = np.nan
        if 0 <= best < n_lanes:
            to_stop[i] = stop[best] - s[i] + lead[best] - half
        elif best >= n_lanes and inner[best - n_lanes]:
            to_stop[i] = -s[i] - half
        elif best >= n_lanes:
            to = conn_to[best - n_lanes]
            to_stop[i] = path_length[best] - s[i] + stop[to] + lead[to] - half


def match(code: CompiledCode, tracks: NDArray[Any], declared: Ints, closed: NDArray[np.bool_] | None = None) -> Matched:
    """Match tracks (ndarray[TRACK]) to paths; `declared`: int64[n, 3], paths each track's vehicle said it would use, -1 where none, LEAVES
    first where it leaves the road before; `closed`: bool[n_paths], the tidal lanes that run the other way now."""
    n, table = len(tracks), tables(code)
    if closed is not None:
        table = table._replace(use_penalty=table.use_penalty + CLOSED * closed)
    out = Matched(np.empty(n, np.int64), np.zeros(n), np.zeros(n), np.zeros(n), np.empty(n, np.int64), np.empty(n))
    _match(
        tracks, declared, code.n_lanes, code.path_start, code.path_xy, code.path_s, code.path_length, *table[:-1], code.lane_to_stop,
        code.lane_ingress, code.conn_from, code.conn_to, code.conn_inner, code.cell_start, code.cell_path, code.bounds[0],
        code.bounds[1], code.cell_m, code.nx, code.ny, *out,
    )  # fmt: skip
    return out
