"""The grid that lane matching looks up: which paths are near a cell."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..polylines import F8

CELL = 4.0  # m; larger where an intersection's roads reach so far that the grid would outgrow its budget
MAX_CELLS = 12_000  # 48 KiB
MAX_MARKS = 4_000_000  # bytes of the table that finds distinct numbers
NEAR = 4.0  # m from a path within which a cell lists it


class Grid(NamedTuple):
    """Paths near each cell (row-major, from `bounds`), in CSR."""

    bounds: tuple[float, float, float, float]  # x0, y0, x1, y1 in m
    cell_m: float
    nx: int
    ny: int
    start: NDArray[np.int32]
    path: NDArray[np.int32]


def grid(xy: F8, path_start: NDArray[np.int32]) -> Grid:
    """Return the grid of paths given in CSR: a path is listed in every cell that has a point within about `NEAR` m of it."""
    x0, y0 = (float(v) for v in xy.min(axis=0) - NEAR)
    x1, y1 = (float(v) for v in xy.max(axis=0) + NEAR)
    cell = max(CELL, float(np.ceil(np.sqrt((x1 - x0) * (y1 - y0) / MAX_CELLS) * 2) / 2))
    nx, ny = int((x1 - x0) // cell) + 1, int((y1 - y0) // cell) + 1
    points, owner = _sampled(xy, path_start, 2.0)
    offsets = np.arange(-NEAR, NEAR + 1, 2.0)
    around = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2)
    around = around[np.hypot(around[:, 0], around[:, 1]) <= NEAR]
    cx = np.clip(((points[:, :1] - x0 + around[:, 0]) / cell).astype(np.int64), 0, nx - 1)
    cy = np.clip(((points[:, 1:] - y0 + around[:, 1]) / cell).astype(np.int64), 0, ny - 1)
    paths = len(path_start) - 1
    pairs = _distinct(((cy * nx + cx) * paths + owner[:, None]).ravel(), nx * ny * paths)
    counts = np.bincount(pairs // paths, minlength=nx * ny)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return Grid((x0, y0, x1, y1), cell, nx, ny, start, (pairs % paths).astype(np.int32))


def _distinct(numbers: NDArray[np.int64], bound: int) -> NDArray[np.int64]:
    """Return the different numbers in order, all below `bound`."""
    if bound > MAX_MARKS:
        return np.unique(numbers)
    marks = np.zeros(bound, np.bool_)
    marks[numbers] = True
    return np.flatnonzero(marks)


def _sampled(xy: F8, path_start: NDArray[np.int32], step: float) -> tuple[F8, NDArray[np.int64]]:
    """Return points every `step` m of every path, and the path of each."""
    owner = np.repeat(np.arange(len(path_start) - 1), np.diff(path_start))
    inside = np.flatnonzero(owner[:-1] == owner[1:])  # segments that do not jump to the next path
    ahead = xy[inside + 1] - xy[inside]
    many = np.ceil(np.hypot(ahead[:, 0], ahead[:, 1]) / step).astype(np.int64) + 1
    segment = np.repeat(np.arange(len(inside)), many)
    nth = np.arange(len(segment)) - np.repeat(np.cumsum(many) - many, many)
    share = nth / np.maximum(many - 1, 1)[segment]
    return xy[inside][segment] + share[:, None] * ahead[segment], owner[inside][segment]
