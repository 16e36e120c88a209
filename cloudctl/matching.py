"""Lane matching: which lane or connection each track is on, where along it, and which stop line it comes to.

A track is matched to the path, of those whose corridor covers its cell, with the least cost: squared lateral offset in
half lane widths, plus disagreement of heading, plus a penalty for lanes of other uses, less a bonus for the paths that
its vehicle declared.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .codes import CompiledCode
from .codes.compiled.addresses import inner_kernel, row_at
from .codes.compiled.arrays import CODE_ARRAYS, cells_at, lanes_at, links_at, moves_at, paths_at, tables_at
from .kernels import njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_OFFSET = 3.0  # m; a track further than this from every path is on none
MIN_HEADING_SPEED = 1.0  # m/s; the velocity of a slower track tells no heading
MIN_HEADING_COSINE = 0.3  # between motion and path: within about 70 degrees
DECLARED_BONUS = 1.5  # cost taken off the paths that a vehicle declared
HEADING_PENALTY = 6.0  # cost of motion across the path
CLOSED_PENALTY = 4.0  # cost of a tidal lane that runs the other way now: only a track that moves against that is on it
# Before the stop line of a lane from which the declared movement cannot be made: a vehicle that has not changed lane by
# then takes a movement of this lane, whatever was declared. Advice to stop comes 2 s before the last moment to stop
# with 3 m/s^2 after 1 s: 6.7 s before the line at 22 m/s.
CHANGE_TIME = 7.0  # s
MIN_CHANGE_DISTANCE = 20.0  # m
LEAVES = -2  # declared movement of a vehicle that takes none of this intersection


class Matched(NamedTuple):
    """Where tracks are, one row per track. `path` counts lanes first, then connections; -1 where there is none."""

    path: Ints
    s: Floats  # m along the path
    lateral: Floats  # m off it
    along: Floats  # m/s in its direction
    connection: Ints  # the movement through the intersection it is on or will take, -1 not known
    to_stop: Floats  # m from the front to the stop line; negative inside; nan where the path leads to none


@inner_kernel
def _project(path: int, x: float, y: float, start: Any, xy: Any, arc: Any) -> tuple[float, float, float, float]:
    """Return (s, distance, ux, uy): m along one polyline to its nearest point, m to that, and the direction there."""
    nearest, nearest_s, ux, uy = 1e18, 0.0, 1.0, 0.0
    for k in range(start[path], start[path + 1] - 1):
        dx, dy = xy[k + 1, 0] - xy[k, 0], xy[k + 1, 1] - xy[k, 1]
        length = arc[k + 1] - arc[k]
        if length <= 0.0:
            continue

        along = ((x - xy[k, 0]) * dx + (y - xy[k, 1]) * dy) / length
        along = min(max(along, 0.0), length)
        ex, ey = x - xy[k, 0] - dx * along / length, y - xy[k, 1] - dy * along / length
        squared = ex * ex + ey * ey

        if squared < nearest:
            nearest, nearest_s, ux, uy = squared, arc[k] + along, dx / length, dy / length

    return nearest_s, nearest**0.5, ux, uy


@inner_kernel
def _connection(
    path: int, declared: int, to_stop: float, speed: float, n_lanes: int, only: Any, turns: Any, ingress: Any,
    conn_from: Any, inner: Any, lane_start: Any,
) -> int:  # fmt: skip
    """Return the movement of a track on `path`, `to_stop` m before its line, whose vehicle declared movement `declared`
    (-1: none; LEAVES: it takes none of this intersection)."""
    if path < 0 or (path < n_lanes and declared == LEAVES):
        return -1

    if path >= n_lanes:
        movement = path - n_lanes
    elif declared >= 0 and ingress[path] == ingress[conn_from[declared]]:
        movement = turns[path, declared]
        is_last_lane = lane_start[path + 1] > lane_start[path]  # no joint follows that may lead there
        is_near = to_stop < max(MIN_CHANGE_DISTANCE, CHANGE_TIME * speed)
        if is_last_lane and is_near and conn_from[movement] != path:
            movement = only[path]
    else:
        movement = only[path]

    return movement if movement >= 0 and inner[movement] else -1


@njit(inline="always")
def _corridors_at(x: float, y: float, cells: Any) -> tuple[int, int]:
    """Return where the list of the paths whose corridors cover a position's cell begins and ends."""
    x0, y0, cell_m, nx, ny = cells.figures[0], cells.figures[1], cells.figures[4], cells.figures[5], cells.figures[6]
    column, row = int((x - x0) // cell_m), int((y - y0) // cell_m)
    if not (0 <= column < nx and 0 <= row < ny):
        return 0, 0

    cell = row * int(nx) + column
    return cells.start[cell], cells.start[cell + 1]


@njit(inline="always")
def _cheapest(
    x: float, y: float, vx: float, vy: float, first: int, last: int, declared: Any, paths: Any, cells: Any, width: Any,
    use_penalty: Any,
) -> tuple[int, float, float, float]:  # fmt: skip
    """Return the cheapest path of those listed from `first` to `last` (-1: none), and there s, lateral and along of
    `Matched`. `declared`: paths that cost less."""
    best, least_cost, best_s, lateral, along = -1, 1e18, 0.0, 0.0, 0.0
    speed = (vx * vx + vy * vy) ** 0.5
    for k in range(first, last):
        candidate = cells.path[k]
        s, distance, ux, uy = _project(candidate, x, y, paths.start, paths.xy, paths.s)
        cosine = (vx * ux + vy * uy) / speed if speed > MIN_HEADING_SPEED else 1.0

        if distance > MAX_OFFSET or cosine < MIN_HEADING_COSINE:
            continue

        cost = (2.0 * distance / width[candidate]) ** 2 + HEADING_PENALTY * (1.0 - cosine) + use_penalty[candidate]
        for m in range(len(declared)):
            if declared[m] == candidate:
                cost -= DECLARED_BONUS

        if cost < least_cost:
            least_cost, best = cost, candidate
            best_s, lateral, along = s, distance, vx * ux + vy * uy

    return best, best_s, lateral, along


@njit(cache=True)
def match_in(tracks: Any, declared: Any, use_penalty: Any, code: Any, matched: Matched) -> None:
    """Fill in where the tracks of one intersection are: `match`, compiled. `use_penalty`: the cost of each path."""
    paths, lanes, moves, cells, tables = paths_at(code), lanes_at(code), moves_at(code), cells_at(code), tables_at(code)
    lane_start, n_lanes = links_at(code).start, len(lanes.speed)

    # Looked up for all tracks before any is matched: what must come from memory is waited for once, not by each.
    corridors = np.empty((len(tracks), 2), np.int64)
    for i in range(len(tracks)):
        corridors[i] = _corridors_at(tracks[i]["x"], tracks[i]["y"], cells)

    for i in range(len(tracks)):
        track = tracks[i]
        best, s, lateral, along = _cheapest(
            track["x"], track["y"], float(track["vx"]), float(track["vy"]), corridors[i, 0], corridors[i, 1],
            declared[i], paths, cells, tables.width, use_penalty,
        )  # fmt: skip
        matched.path[i], matched.s[i], matched.lateral[i], matched.along[i] = best, s, lateral, along
        half_length = 0.5 * float(track["length"])

        # To the stop line: of its lane, or of the lane that a joint of the road leads to; negative inside.
        to_stop = np.nan
        if 0 <= best < n_lanes:
            to_stop = tables.stop[best] - s + lanes.to_stop[best] - half_length
        elif best >= n_lanes and moves.inner[best - n_lanes]:
            to_stop = -s - half_length
        elif best >= n_lanes:
            lane = moves.exit[best - n_lanes]
            to_stop = paths.length[best] - s + tables.stop[lane] + lanes.to_stop[lane] - half_length

        matched.to_stop[i] = to_stop
        declared_movement = declared[i, 0] - n_lanes if declared[i, 0] >= 0 else declared[i, 0]
        matched.connection[i] = _connection(
            best, declared_movement, to_stop, along, n_lanes, tables.only, tables.turns, lanes.ingress, moves.origin,
            moves.inner, lane_start,
        )  # fmt: skip


@njit(cache=True)
def _path_at(address: int, x: float, y: float, vx: float, vy: float) -> int:
    code = row_at(address, CODE_ARRAYS)
    cells, tables, undeclared = cells_at(code), tables_at(code), np.empty(0, np.int64)
    first, last = _corridors_at(x, y, cells)
    east, north = float(np.float32(vx)), float(np.float32(vy))  # as precise as tracks have it
    return _cheapest(
        x, y, east, north, first, last, undeclared, paths_at(code), cells, tables.width, tables.use_penalty
    )[0]


def path_at(code: CompiledCode, x: float, y: float, vx: float, vy: float) -> int:
    """Return the path of a code that something at x, y m, moving at vx, vy m/s, is on; -1 where it is on none."""
    return int(_path_at(code.address, x, y, vx, vy))


def match(code: CompiledCode, tracks: NDArray[Any], declared: Ints, closed: NDArray[np.bool_] | None = None) -> Matched:
    """Return where tracks (ndarray[TRACK]) are on the paths of a code.

    `declared`: int64[n, 3], the paths that each track's vehicle declared, -1 where none, LEAVES first where it leaves
    the road before. `closed`: bool[n_paths], the tidal lanes that run the other way now.
    """
    n, use_penalty = len(tracks), code.lane_tables.use_penalty
    if closed is not None:
        use_penalty = use_penalty + CLOSED_PENALTY * closed

    matched = Matched(
        path=np.empty(n, np.int64),
        s=np.zeros(n),
        lateral=np.zeros(n),
        along=np.zeros(n),
        connection=np.empty(n, np.int64),
        to_stop=np.empty(n),
    )
    match_in(tracks, declared, use_penalty, code.addresses, matched)
    return matched
