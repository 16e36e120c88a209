"""The grid that lane matching looks up: which paths are near a cell."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..polylines import F8

MIN_CELL_SIZE = 4.0  # m; larger where an intersection's roads reach so far that the grid would outgrow its budget
MAX_CELLS = 12_000  # 48 KiB
MAX_MARK_BYTES = 4_000_000  # bytes of the table that finds distinct numbers
NEAR_DISTANCE = 4.0  # m from a path within which a cell lists it


class Grid(NamedTuple):
    """Paths near each cell (row-major, from `bounds`), in CSR."""

    bounds: tuple[float, float, float, float]  # x0, y0, x1, y1 in m
    cell_m: float
    nx: int
    ny: int
    start: NDArray[np.int32]
    path: NDArray[np.int32]


def grid(xy: F8, path_start: NDArray[np.int32]) -> Grid:
    """Return the grid of paths given in CSR: a path is listed in every cell that has a point within about `NEAR` m of
    it."""
    west, south = (float(value) for value in xy.min(axis=0) - NEAR_DISTANCE)
    east, north = (float(value) for value in xy.max(axis=0) + NEAR_DISTANCE)
    cell_size = max(MIN_CELL_SIZE, float(np.ceil(np.sqrt((east - west) * (north - south) / MAX_CELLS) * 2) / 2))
    columns, rows = int((east - west) // cell_size) + 1, int((north - south) // cell_size) + 1
    points, path_of_point = _sampled_points(xy, path_start, 2.0)
    offsets = np.arange(-NEAR_DISTANCE, NEAR_DISTANCE + 1, 2.0)
    disc = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2)
    disc = disc[np.hypot(disc[:, 0], disc[:, 1]) <= NEAR_DISTANCE]
    column = np.clip(((points[:, :1] - west + disc[:, 0]) / cell_size).astype(np.int64), 0, columns - 1)
    row = np.clip(((points[:, 1:] - south + disc[:, 1]) / cell_size).astype(np.int64), 0, rows - 1)
    paths = len(path_start) - 1
    pairs = _distinct(((row * columns + column) * paths + path_of_point[:, None]).ravel(), columns * rows * paths)
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


def _sampled_points(xy: F8, path_start: NDArray[np.int32], step: float) -> tuple[F8, NDArray[np.int64]]:
    """Return points every `step` m of every path, and the path of each."""
    path_of_point = np.repeat(np.arange(len(path_start) - 1), np.diff(path_start))
    segments = np.flatnonzero(path_of_point[:-1] == path_of_point[1:])  # segments that do not jump to the next path
    steps = xy[segments + 1] - xy[segments]
    sample_counts = np.ceil(np.hypot(steps[:, 0], steps[:, 1]) / step).astype(np.int64) + 1
    segment_of_sample = np.repeat(np.arange(len(segments)), sample_counts)
    index_in_segment = np.arange(len(segment_of_sample)) - np.repeat(
        np.cumsum(sample_counts) - sample_counts, sample_counts
    )
    share = index_in_segment / np.maximum(sample_counts - 1, 1)[segment_of_sample]

    return xy[segments][segment_of_sample] + share[:, None] * steps[segment_of_sample], path_of_point[segments][
        segment_of_sample
    ]
