"""The grid that lane matching looks up: which paths are near a cell."""

from math import hypot
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...kernels import njit
from ..polylines import F8

MIN_CELL_SIZE = 4.0  # m; larger where an intersection's roads reach so far that the grid would outgrow its budget
MAX_CELLS = 12_000  # 48 KiB
MAX_MARK_BYTES = 4_000_000  # bytes of the table that finds distinct numbers
SAMPLE_STEP = 2.0  # m between the points of a path, and between the places about each, that are looked at
NEAR_DISTANCE = 4.0  # m from a path within which a cell lists it


class Grid(NamedTuple):
    """Paths near each cell (row-major, from `bounds`), in CSR."""

    bounds: tuple[float, float, float, float]  # x0, y0, x1, y1 in m
    cell_m: float
    nx: int
    ny: int
    start: NDArray[np.int32]
    path: NDArray[np.int32]


class Lattice(NamedTuple):
    """The cells: where the first begins (m), their size (m) and number."""

    west: float
    south: float
    cell_size: float
    columns: int
    rows: int


def grid(xy: F8, path_start: NDArray[np.int32]) -> Grid:
    """Return the grid of paths given in CSR: a path is listed in every cell that has a point within about `NEAR` m of
    it."""
    west, south = (float(value) for value in xy.min(axis=0) - NEAR_DISTANCE)
    east, north = (float(value) for value in xy.max(axis=0) + NEAR_DISTANCE)
    cell_size = max(MIN_CELL_SIZE, float(np.ceil(np.sqrt((east - west) * (north - south) / MAX_CELLS) * 2) / 2))
    columns, rows = int((east - west) // cell_size) + 1, int((north - south) // cell_size) + 1
    offsets = np.arange(-NEAR_DISTANCE, NEAR_DISTANCE + 1, SAMPLE_STEP)
    disc = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2)
    disc = disc[np.hypot(disc[:, 0], disc[:, 1]) <= NEAR_DISTANCE]
    paths = len(path_start) - 1
    lattice = Lattice(west, south, cell_size, columns, rows)
    pairs = _distinct(_near_cells(xy, path_start, disc, lattice), columns * rows * paths)
    counts = np.bincount(pairs // paths, minlength=columns * rows)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)

    return Grid(
        bounds=(west, south, east, north),
        cell_m=cell_size,
        nx=columns,
        ny=rows,
        start=start,
        path=(pairs % paths).astype(np.int32),
    )


def _distinct(numbers: NDArray[np.int64], bound: int) -> NDArray[np.int64]:
    """Return the different numbers in order, all below `bound`."""
    if bound > MAX_MARK_BYTES:
        return np.unique(numbers)
    marks = np.zeros(bound, np.bool_)
    marks[numbers] = True
    return np.flatnonzero(marks)


@njit(cache=True)
def _near_cells(xy: Any, path_start: Any, disc: Any, lattice: Lattice) -> Any:
    """Return cell * paths + path for every place of a disc about every point, SAMPLE_STEP m apart, of every path."""
    paths, n = len(path_start) - 1, 0
    found = np.empty(1024 * len(disc), np.int64)
    for path in range(paths):
        for k in range(path_start[path], path_start[path + 1] - 1):
            step_x, step_y = xy[k + 1, 0] - xy[k, 0], xy[k + 1, 1] - xy[k, 1]
            samples = int(np.ceil(hypot(step_x, step_y) / SAMPLE_STEP)) + 1
            while n + samples * len(disc) > len(found):
                found = np.concatenate((found, np.empty_like(found)))
            for i in range(samples):
                share = i / max(samples - 1, 1)
                x, y = xy[k, 0] + share * step_x, xy[k, 1] + share * step_y
                for j in range(len(disc)):
                    column = int((x - lattice.west + disc[j, 0]) / lattice.cell_size)
                    row = int((y - lattice.south + disc[j, 1]) / lattice.cell_size)
                    column, row = min(max(column, 0), lattice.columns - 1), min(max(row, 0), lattice.rows - 1)
                    found[n] = (row * lattice.columns + column) * paths + path
                    n += 1
    return found[:n]
