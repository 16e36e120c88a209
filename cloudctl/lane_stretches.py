"""Which stretches of an intersection's lanes and connections a hazard covers: a lane, a part of one, or a polygon."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .codes import CompiledCode
from .geo import Floats
from .schema import Hazard

MAX_REMEMBERED = 4096  # coverages


class Coverage(NamedTuple):
    """What a hazard covers: parts of paths (lanes first, then connections)."""

    stretches: Floats  # float64[n, 3], in order: the path, and from where to where along it (m)
    marked: NDArray[np.bool_]  # bool[n_paths]: the path has one


_COVERAGES: dict[tuple[object, ...], Coverage] = {}


def path_of(code: CompiledCode, name: str) -> int:
    """Return the path of a lane or connection by id or alias; -1 where there is none."""
    lane = code.lane_alias.get(name, -1)
    if lane >= 0:
        return lane
    connection = code.connection(name)
    return code.n_lanes + connection if connection >= 0 else -1


def covered(code: CompiledCode, hazard: Hazard) -> Coverage:
    """Return what a hazard covers: its stretch of a lane, and every stretch whose centreline lies in its polygon."""
    key = (code.hash, hazard.lane, hazard.s, hazard.polygon)
    coverage = _COVERAGES.get(key)
    if coverage is not None:
        return coverage

    if len(_COVERAGES) >= MAX_REMEMBERED:
        _COVERAGES.clear()

    stretches = sorted(_stretches(code, hazard))
    marked = np.zeros(code.n_lanes + code.n_conns, np.bool_)
    marked[[path for path, _, _ in stretches]] = True
    coverage = _COVERAGES[key] = Coverage(np.array(stretches, float).reshape(-1, 3), marked)

    return coverage


def _stretches(code: CompiledCode, hazard: Hazard) -> list[tuple[int, float, float]]:
    stretches = []
    path = path_of(code, hazard.lane) if hazard.lane is not None else -1
    if path >= 0:
        s_from, s_to = hazard.s or (0.0, float(code.path_length[path]))
        stretches.append((path, s_from, s_to))

    if hazard.polygon:
        degrees = np.array(hazard.polygon, float)
        outline = np.stack(code.origin.to_local(degrees[:, 0], degrees[:, 1]), axis=1)
        for k in range(code.n_lanes + code.n_conns):
            points = slice(code.path_start[k], code.path_start[k + 1])
            within = inside(code.path_xy[points], code.path_s[points], outline)
            stretches += [(k, s_from, s_to) for s_from, s_to in within]

    return stretches


def inside(line: Floats, along: Floats, outline: Floats) -> list[tuple[float, float]]:
    """Return the stretches (m by `along`) of a polyline float64[n, 2] that lie in a polygon float64[m, 2], to the
    crossing itself.

    The line is cut where it crosses the outline; each piece is inside where its middle is (even-odd rule).
    """
    if (line.max(axis=0) < outline.min(axis=0)).any() or (line.min(axis=0) > outline.max(axis=0)).any():
        return []

    stretches: list[tuple[float, float]] = []
    ends = _cuts(line, along, outline)
    for low, high in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        middle = 0.5 * (low + high)
        x, y = float(np.interp(middle, along, line[:, 0])), float(np.interp(middle, along, line[:, 1]))
        if not _contains(outline, x, y):
            continue

        if stretches and stretches[-1][1] == low:
            low = stretches.pop()[0]  # the piece before it is inside as well: one stretch

        stretches.append((low, high))

    return stretches


def _cuts(line: Floats, along: Floats, outline: Floats) -> Floats:
    """Return where a polyline is cut by an outline, m by `along` in order, its two ends included."""
    # Each piece a-b of the line against each edge c-d of the outline: the fractions of both at which they cross.
    a, b = line[:-1, None], line[1:, None]
    c, d = outline[None], np.roll(outline, -1, axis=0)[None]
    u, v, w = b - a, d - c, c - a
    cross = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]

    with np.errstate(divide="ignore", invalid="ignore"):
        line_fraction = (w[..., 0] * v[..., 1] - w[..., 1] * v[..., 0]) / cross
        edge_fraction = (w[..., 0] * u[..., 1] - w[..., 1] * u[..., 0]) / cross

    crosses = (line_fraction >= 0) & (line_fraction <= 1) & (edge_fraction >= 0) & (edge_fraction <= 1)
    piece, edge = np.nonzero(crosses)
    cuts = along[piece] + line_fraction[piece, edge] * (along[piece + 1] - along[piece])

    return np.unique(np.concatenate([along[[0, -1]], cuts]))


def _contains(outline: Floats, x: float, y: float) -> bool:
    """Return whether a point is inside a polygon: a ray to the east crosses its outline an odd number of times."""
    is_odd = False
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            is_odd = not is_odd
    return is_odd
