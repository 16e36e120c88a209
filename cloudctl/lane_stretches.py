"""Which stretches of an intersection's lanes and connections something covers: a lane, a part of one, or a polygon."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .codes import CompiledCode
from .geo import Floats
from .schema import Hazard

MAX_KNOWN = 4096  # answers that are remembered


class Stretch(NamedTuple):
    """A part of one path (lanes first, then connections), m along it."""

    path: int
    s_from: float
    s_to: float


class Covered(NamedTuple):
    """What something covers: the stretches in order, the same as float64[n, 3], and which paths have one (bool[n_paths])."""

    stretches: tuple[Stretch, ...]
    table: Floats
    marked: NDArray[np.bool_]


_known: dict[tuple[object, ...], Covered] = {}


def path_of(code: CompiledCode, name: str) -> int:
    """Return the path of a lane or connection by id or alias; -1 where there is none."""
    lane = code.lane_alias.get(name, -1)
    if lane >= 0:
        return lane
    connection = code.connection(name)
    return code.n_lanes + connection if connection >= 0 else -1


def covered(code: CompiledCode, hazard: Hazard) -> Covered:
    """Return what a hazard covers: its stretch of a lane, and every stretch whose centreline lies in its polygon."""
    key = (code.hash, hazard.lane, hazard.s, hazard.polygon)
    found = _known.get(key)
    if found is None:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        stretches = tuple(sorted(_stretches(code, hazard)))
        marked = np.zeros(code.n_lanes + code.n_conns, np.bool_)
        marked[[stretch.path for stretch in stretches]] = True
        found = _known[key] = Covered(stretches, np.array(stretches, float).reshape(-1, 3), marked)
    return found


def _stretches(code: CompiledCode, hazard: Hazard) -> list[Stretch]:
    out = []
    path = path_of(code, hazard.lane) if hazard.lane is not None else -1
    if path >= 0:
        low, high = hazard.s or (0.0, float(code.path_length[path]))
        out.append(Stretch(path, low, high))
    if hazard.polygon:
        degrees = np.array(hazard.polygon, float)
        outline = np.stack(code.origin.to_local(degrees[:, 0], degrees[:, 1]), axis=1)
        for k in range(code.n_lanes + code.n_conns):
            points = slice(code.path_start[k], code.path_start[k + 1])
            out += [Stretch(k, low, high) for low, high in inside(code.path_xy[points], code.path_s[points], outline)]
    return out


def inside(line: Floats, along: Floats, outline: Floats) -> list[tuple[float, float]]:
    """Return the stretches (m by `along`) of a polyline float64[n, 2] that lie in a polygon float64[m, 2], to the crossing itself.

    The line is cut where it crosses the outline, and each piece is in where its middle is (even-odd rule).
    """
    if (line.max(axis=0) < outline.min(axis=0)).any() or (line.min(axis=0) > outline.max(axis=0)).any():
        return []
    a, b = line[:-1, None], line[1:, None]
    c, d = outline[None], np.roll(outline, -1, axis=0)[None]
    u, v, w = b - a, d - c, c - a
    cross = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (w[..., 0] * v[..., 1] - w[..., 1] * v[..., 0]) / cross  # of the line's piece
        other = (w[..., 0] * u[..., 1] - w[..., 1] * u[..., 0]) / cross  # of the outline's
    piece, edge = np.nonzero((share >= 0) & (share <= 1) & (other >= 0) & (other <= 1))
    cuts = along[piece] + share[piece, edge] * (along[piece + 1] - along[piece])
    ends = np.unique(np.concatenate([along[[0, -1]], cuts]))
    out: list[tuple[float, float]] = []
    for low, high in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        middle = 0.5 * (low + high)
        point = (float(np.interp(middle, along, line[:, 0])), float(np.interp(middle, along, line[:, 1])))
        if _holds(outline, point):
            if out and out[-1][1] == low:
                low = out.pop()[0]
            out.append((low, high))
    return out


def _holds(outline: Sequence[Sequence[float]] | Floats, point: tuple[float, float]) -> bool:
    """Return whether a point is inside a polygon: a ray to the east crosses its outline an odd number of times."""
    x, y = point
    odd = False
    for (x0, y0), (x1, y1) in zip(outline, np.roll(np.asarray(outline), -1, axis=0), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            odd = not odd
    return odd
