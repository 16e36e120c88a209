"""Fields of a J2735 MAP as they are written: node deltas, bit strings, limits, common width."""

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ...polylines import F8
from ..messages.export_limits import limit_error as export_limit_error
from ..messages.limit_profile import Part
from ..messages.speed_limits import MAX_STEPS, speed_steps

# cm
DELTA_FORMS = (
    (512, "node-XY1"),
    (1024, "node-XY2"),
    (2048, "node-XY3"),
    (4096, "node-XY4"),
    (8192, "node-XY5"),
    (32768, "node-XY6"),
)
MAX_NODE_DISTANCE = 327.0  # m between two nodes, by axis
WIDTH_DIFFERENCES = (-512, 511)  # cm by which a lane may differ from the common width

limit_error = partial(export_limit_error, "MAP")


def most_common_width(widths: list[int]) -> int:
    """Return the width that most lanes have, or the nearest to it from which every lane differs by what a MAP can
    hold."""
    most_common = max(set(widths), key=lambda width: (widths.count(width), -width))
    low, high = max(widths) - WIDTH_DIFFERENCES[1], min(widths) - WIDTH_DIFFERENCES[0]
    return min(max(most_common, low), high) if low <= high else most_common


def part_at(parts: list[Part], s: float) -> Part:
    return next((part for part in parts if part.s_from <= s < part.s_to), parts[-1])


def bits_of(names: tuple[str, ...], all_names: tuple[str, ...], size: int) -> int:
    return sum(1 << (size - 1 - all_names.index(name)) for name in names)


def limit_rows(limits: dict[str, float]) -> list[dict[str, Any]]:
    rows = [{"type": name, "speed": speed_steps(speed)} for name, speed in limits.items()]
    for row in rows:
        if not 0 < int(str(row["speed"])) <= MAX_STEPS:
            raise limit_error(
                "speed", limits[str(row["type"])], f"a MAP counts limits in steps of 0.02 m/s, 1 .. {MAX_STEPS}"
            )

    return rows


def with_further_points(values: F8, line: F8 | None = None) -> F8:
    """Return points with further ones where two are farther apart than a node may be; with `line`, values beside its
    points likewise."""
    line = values if line is None else line
    pieces = [values[:1]]

    for index, (start, end) in enumerate(pairwise(line)):
        count = int(np.abs(end - start).max() // MAX_NODE_DISTANCE) + 1
        pieces.append(values[index] + (values[index + 1] - values[index]) * np.arange(1, count + 1)[:, None] / count)

    return np.concatenate(pieces)


def delta_of(x: int, y: int) -> tuple[str, dict[str, int]]:
    """Return a step, cm, in the smallest form that holds it."""
    return next(kind for bound, kind in DELTA_FORMS if -bound <= min(x, y) and max(x, y) < bound), {"x": x, "y": y}


def crosswalk_row(number: int, group: int, nodes: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "laneID": number,
        "laneAttributes": {"directionalUse": (3, 2), "sharedWith": (0, 10), "laneType": ("crosswalk", (0, 16))},
        "nodeList": nodes,
    }
    if group:
        row["connectsTo"] = [{"connectingLane": {"lane": number}, "signalGroup": group}]
    return row
