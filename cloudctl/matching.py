"""Lane matching: which lane or connection each track is on, where along it, and which stop line it comes to.

A track is matched to the path, of those whose corridor covers its cell, with the least cost: squared lateral offset in
half lane widths, plus disagreement of heading, plus a penalty for lanes of other uses, less a bonus for the paths that
its vehicle declared.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .codes import CompiledCode
from .codes.compiled.arrays import cells_at, lanes_at, links_at, moves_at, paths_at, tables_at

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


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
def _match(
    tracks: Any, declared: Any, n_lanes: int, start: Any, xy: Any, arc: Any, path_length: Any, width: Any, use_penalty:
    Any, only: Any, turns: Any, stop: Any, to_line: Any, ingress: Any, conn_from: Any, conn_to: Any, inner: Any,
    lane_start: Any, cell_start: Any, cell_path: Any, x0: float, y0: float, cell_m: float, nx: int, ny: int, path: Any,
    s: Any, lateral: Any, along: Any, connection: Any, to_stop: Any,
) -> None:  # fmt: skip
    """Fill in the columns of `Matched`."""
    for i in range(len(tracks)):
        x, y, vx, vy = tracks[i]["x"], tracks[i]["y"], float(tracks[i]["vx"]), float(tracks[i]["vy"])
        half_length = 0.5 * float(tracks[i]["length"])
        speed = (vx * vx + vy * vy) ** 0.5

        # The cheapest of the paths whose corridors cover the track's cell.
        best, least_cost = -1, 1e18
        column, row = int((x - x0) // cell_m), int((y - y0) // cell_m)

        if 0 <= column < nx and 0 <= row < ny:
            for k in range(cell_start[row * nx + column], cell_start[row * nx + column + 1]):
                candidate = cell_path[k]
                candidate_s, distance, ux, uy = _project(candidate, x, y, start, xy, arc)
                cosine = (vx * ux + vy * uy) / speed if speed > MIN_HEADING_SPEED else 1.0

                if distance > MAX_OFFSET or cosine < MIN_HEADING_COSINE:
                    continue

                cost = (
                    (2.0 * distance / width[candidate]) ** 2 + HEADING_PENALTY * (1.0 - cosine) + use_penalty[candidate]
                )
                for m in range(declared.shape[1]):
                    if declared[i, m] == candidate:
                        cost -= DECLARED_BONUS

                if cost < least_cost:
                    least_cost, best = cost, candidate
                    s[i], lateral[i], along[i] = candidate_s, distance, vx * ux + vy * uy

        path[i] = best

        # To the stop line: of its lane, or of the lane that a joint of the road leads to; negative inside.
        to_stop[i] = np.nan
        if 0 <= best < n_lanes:
            to_stop[i] = stop[best] - s[i] + to_line[best] - half_length
        elif best >= n_lanes and inner[best - n_lanes]:
            to_stop[i] = -s[i] - half_length
        elif best >= n_lanes:
            lane = conn_to[best - n_lanes]
            to_stop[i] = path_length[best] - s[i] + stop[lane] + to_line[lane] - half_length

        declared_movement = declared[i, 0] - n_lanes if declared[i, 0] >= 0 else declared[i, 0]
        connection[i] = _connection(
            best, declared_movement, to_stop[i], along[i], n_lanes, only, turns, ingress, conn_from, inner, lane_start,
        )  # fmt: skip


@njit(cache=True, inline="always")
def match_in(tracks: Any, declared: Any, use_penalty: Any, code: Any, matched: Matched) -> None:
    """Fill in where the tracks of one intersection are: `match`, compiled. `use_penalty`: the cost of each path."""
    paths, lanes, moves, cells, tables = paths_at(code), lanes_at(code), moves_at(code), cells_at(code), tables_at(code)
    links = links_at(code)

    _match(
        tracks, declared, len(lanes.speed), paths.start, paths.xy, paths.s, paths.length,
        tables.width, use_penalty, tables.only, tables.turns, tables.stop, lanes.to_stop, lanes.ingress,
        moves.origin, moves.exit, moves.inner, links.start, cells.start, cells.path, cells.figures[0], cells.figures[1],
        cells.figures[4], int(cells.figures[5]), int(cells.figures[6]), matched.path, matched.s, matched.lateral,
        matched.along, matched.connection, matched.to_stop,
    )  # fmt: skip


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
