"""Lane matching: which lane or connection each track is on, and where along it.

A track is matched to the path (of those whose corridor covers its cell) with the least cost: squared lateral offset in
half lane widths, plus disagreement of heading, less a bonus for the path its vehicle said it would take.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .codes import CompiledCode

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REACH = 3.0  # m; a track further than this from every path is on none
MOVING = 1.0  # m/s; below it a velocity says nothing of heading
ALONG = 0.3  # least cosine between motion and path: within about 70 degrees
DECLARED = 1.5  # cost taken off the path a vehicle said it would take


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
def _match(
    x: Any,
    y: Any,
    vx: Any,
    vy: Any,
    declared: Any,
    start: Any,
    xy: Any,
    arc: Any,
    width: Any,
    shy: Any,
    cell_start: Any,
    cell_path: Any,
    x0: float,
    y0: float,
    cell_m: float,
    nx: int,
    ny: int,
    path: Any,
    s: Any,
    lateral: Any,
    along: Any,
) -> None:
    for i in range(len(x)):
        path[i] = -1
        cx, cy = int((x[i] - x0) // cell_m), int((y[i] - y0) // cell_m)
        if cx < 0 or cy < 0 or cx >= nx or cy >= ny:
            continue
        speed = (vx[i] * vx[i] + vy[i] * vy[i]) ** 0.5
        least = 1e18
        for k in range(cell_start[cy * nx + cx], cell_start[cy * nx + cx + 1]):
            p = cell_path[k]
            at, d, ux, uy = _project(p, x[i], y[i], start, xy, arc)
            if d > REACH:
                continue
            cos = 1.0
            if speed > MOVING:
                cos = (vx[i] * ux + vy[i] * uy) / speed
                if cos < ALONG:
                    continue
            cost = (2.0 * d / width[p]) ** 2 + 6.0 * (1.0 - cos) + shy[p]
            for m in range(declared.shape[1]):
                if declared[i, m] == p:
                    cost -= DECLARED
            if cost < least:
                least, path[i], s[i], lateral[i] = cost, p, at, d
                along[i] = vx[i] * ux + vy[i] * uy


def match(code: CompiledCode, tracks: NDArray[Any], declared: Ints) -> tuple[Ints, Floats, Floats, Floats]:
    """Match tracks to paths.

    `declared`: int64[n, 3], path indices each track's vehicle said it would use, -1 where none. Returns path (int64[n], -1
    where none; lanes first, then connections), s (m along it), lateral (m off it), along (m/s, speed in its direction).
    """
    n = len(tracks)
    path, s, lateral, along = np.full(n, -1, np.int64), np.zeros(n), np.zeros(n), np.zeros(n)
    width, shy = path_costs(code)
    _match(
        np.ascontiguousarray(tracks["x"]),
        np.ascontiguousarray(tracks["y"]),
        tracks["vx"].astype(np.float64),
        tracks["vy"].astype(np.float64),
        declared,
        code.path_start,
        code.path_xy,
        code.path_s,
        width,
        shy,
        code.cell_start,
        code.cell_path,
        code.bounds[0],
        code.bounds[1],
        code.cell_m,
        code.nx,
        code.ny,
        path,
        s,
        lateral,
        along,
    )
    return path, s, lateral, along


_COSTS: dict[str, tuple[Floats, Floats]] = {}


def path_costs(code: CompiledCode) -> tuple[Floats, Floats]:
    """Return (width, shyness) per path: connections take their lane's width; those not for vehicles cost a little more."""
    costs = _COSTS.get(code.hash)
    if costs is None:
        width = np.concatenate([code.lane_width, code.lane_width[code.conn_from]]).astype(np.float64)
        use = np.concatenate([code.lane_use, code.lane_use[code.conn_from]])
        shy = np.array([0.0, 0.5, 2.0, 0.2])[use] + np.where(np.arange(len(use)) < code.n_lanes, 0.0, 0.1)
        costs = _COSTS[code.hash] = (np.maximum(width, 1.0), shy)
    return costs
