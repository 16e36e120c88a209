"""Geometry of OpenDRIVE roads: reference lines from their pieces, and piecewise cubics along them."""

from dataclasses import dataclass

import numpy as np

from ...polylines import F8
from ..importing.accounting import XmlRecord

CURVE_STEP = 1.0  # m between points of a curve
SPIRAL_STEP = 0.1  # m between points of the integral along a spiral
MAX_NUMBER, MAX_ROAD_LENGTH = 1e9, 100_000.0  # of any number; m of a road
GEOMETRY_SHAPES = ("line", "arc", "spiral", "poly3", "paramPoly3")
MAX_POINT_OFFSET = 0.02  # m that a point left out may be off the line


def number(element: XmlRecord, name: str, default: float | None = 0.0) -> float:
    """Return an attribute as a number. Raises CodeError for what is none, or beyond every map."""
    number = element.number(name, default)
    if not abs(number) < MAX_NUMBER:
        raise element.refuse(name, number, f"must be less than {MAX_NUMBER:.0e}", "correct the map, or export it again")
    return number


@dataclass(frozen=True)
class Cubic:
    """a + b ds + c ds^2 + d ds^3 from `s` on."""

    s: float
    coefficients: tuple[float, float, float, float]

    @classmethod
    def of(cls, element: XmlRecord, start: float = 0.0, at: str = "s") -> "Cubic":
        a, b, c, d = (number(element, name_) for name_ in "abcd")
        return cls(start + number(element, at), (a, b, c, d))


def piecewise_value(pieces: list[Cubic], s: F8) -> F8:
    """Return a piecewise cubic at `s`, 0 where there is none."""
    values = np.zeros_like(s)
    for piece in pieces:
        in_force = s >= piece.s - 1e-9
        values[in_force] = np.polyval(piece.coefficients[::-1], s[in_force] - piece.s)
    return values


def geometry_points(geometry: XmlRecord) -> tuple[F8, F8]:
    """Return s and x, y, heading along one geometry."""
    start, x, y, heading, length = (number(geometry, key) for key in ("s", "x", "y", "hdg", "length"))
    shape = next(geometry.children(*GEOMETRY_SHAPES), None)
    if shape is None or not 0 <= length <= MAX_ROAD_LENGTH:
        raise geometry.refuse(
            "length, shape",
            f"{length} m, {'none' if shape is None else shape.tag}",
            f"must have a shape ({', '.join(GEOMETRY_SHAPES)}), and a length up to {MAX_ROAD_LENGTH:.0f} m",
            "export the map again",
        )

    steps = np.linspace(0, length, 2 if shape.tag == "line" else max(int(length / CURVE_STEP), 2) + 1)
    u, v, heading_change = _local_points(shape, steps, length)

    poses = np.stack(
        [
            x + u * np.cos(heading) - v * np.sin(heading),
            y + u * np.sin(heading) + v * np.cos(heading),
            heading + heading_change,
        ],
        axis=1,
    )

    return start + steps, poses


def _local_points(shape: XmlRecord, steps: F8, length: float) -> tuple[F8, F8, F8]:
    """Return u, v and the change of heading along a geometry that begins at 0, 0 eastwards."""
    if shape.tag == "line":
        return steps, np.zeros_like(steps), np.zeros_like(steps)

    if shape.tag in ("arc", "spiral"):
        first = number(shape, "curvature") if shape.tag == "arc" else number(shape, "curvStart")
        last = first if shape.tag == "arc" else number(shape, "curvEnd")
        fine_steps = np.linspace(0, length, max(int(length / SPIRAL_STEP), 8) + 1)
        heading_change = first * fine_steps + (last - first) / max(length, 1e-9) * fine_steps**2 / 2
        mid_heading = (heading_change[:-1] + heading_change[1:]) / 2
        u, v = (
            np.concatenate([[0.0], np.cumsum(function(mid_heading) * np.diff(fine_steps))])
            for function in (np.cos, np.sin)
        )

        return (
            np.interp(steps, fine_steps, u),
            np.interp(steps, fine_steps, v),
            np.interp(steps, fine_steps, heading_change),
        )

    if shape.tag == "poly3":
        cubic = np.array([number(shape, key) for key in "dcba"])
        return steps, _cubic(cubic, steps), np.arctan(_cubic(np.polyder(cubic), steps))

    if shape.tag == "paramPoly3":
        if shape.choice("pRange", {"arcLength": True, "normalized": False}, False):
            parameter = steps
        else:
            parameter = steps / max(length, 1e-9)

        cubic_u, cubic_v = (np.array([number(shape, key + side) for key in "dcba"]) for side in "UV")
        return (
            _cubic(cubic_u, parameter),
            _cubic(cubic_v, parameter),
            np.arctan2(_cubic(np.polyder(cubic_v), parameter), _cubic(np.polyder(cubic_u), parameter)),
        )

    raise shape.refuse("shape", shape.tag, f"must be one of {', '.join(GEOMETRY_SHAPES)}", "export the map again")


def _cubic(coefficients: F8, at: F8) -> F8:
    return np.asarray(np.polyval(coefficients, at), float)


def without_redundant_points(line: F8) -> F8:
    """Return a line without the points that lie within KEEP of it without them (Douglas and Peucker)."""
    is_kept = np.zeros(len(line), bool)
    is_kept[[0, -1]] = True

    pending = [(0, len(line) - 1)]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue

        chord = line[last] - line[first]
        between = line[first + 1 : last] - line[first]

        if np.hypot(*chord) > 1e-6:
            offsets = np.abs(chord[0] * between[:, 1] - chord[1] * between[:, 0]) / max(float(np.hypot(*chord)), 1e-9)
        else:
            offsets = np.hypot(*between.T)

        farthest = int(offsets.argmax())
        if offsets[farthest] > MAX_POINT_OFFSET:
            is_kept[first + 1 + farthest] = True
            pending += [(first, first + 1 + farthest), (first + 1 + farthest, last)]

    return line[is_kept]
