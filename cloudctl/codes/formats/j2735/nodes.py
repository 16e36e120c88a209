"""The node lists of a MAP: points, stop line, limits and width of a lane, or of a path through the intersection."""

from typing import Any, NamedTuple

import numpy as np

from cloudctl.geo import Origin

from ...polylines import F8
from ..importing.build import to_points
from .fields import MAX_NODE_DISTANCE, WIDTH_DIFFERENCES, delta_of, limit_error, limit_rows

MAX_NODES = 63  # of a list


class Nodes(NamedTuple):
    """A lane as it is written: m of the reference point from the intersection outwards, m along the lane, and which is
    the stop line."""

    xy: F8
    s: F8
    stop: int | None


def node_list(
    origin: Origin, name: str, nodes: Nodes, width_difference: int, limits: dict[int, dict[str, float]]
) -> tuple[str, list[dict[str, Any]]]:
    """Return the node list: whole cm, each from the one before, so that rounding does not add up; a first node far
    off in degrees."""
    if not 2 <= len(nodes.xy) <= MAX_NODES:
        raise limit_error(
            f"{name}.points",
            len(nodes.xy),
            f"a MAP holds 2 .. {MAX_NODES} nodes a lane, also without those within 2 cm of the line through the others",
        )

    if not WIDTH_DIFFERENCES[0] <= width_difference <= WIDTH_DIFFERENCES[1]:
        raise limit_error(f"{name}.width_cm", width_difference, "a MAP holds widths within 5.11 m of the common one")

    first, counted_from = _first_node(origin, nodes.xy[0])
    deltas = [
        first,
        *(
            delta_of(*step)
            for step in np.diff(np.rint((nodes.xy - counted_from) * 100).astype(np.int64), axis=0).tolist()
        ),
    ]

    rows = []

    for index, delta in enumerate(deltas):
        attributes: dict[str, Any] = {}
        if index == nodes.stop:
            attributes["localNode"] = ["stopLine"]

        if index in limits:
            attributes["data"] = [("speedLimits", limit_rows(limits[index]))]

        if index == 0 and width_difference:
            attributes["dWidth"] = width_difference

        rows.append({"delta": delta} | ({"attributes": attributes} if attributes else {}))

    return "nodes", rows


def _first_node(origin: Origin, xy: F8) -> tuple[tuple[str, dict[str, int]], F8]:
    """Return the first node, and the place from which the steps to the others are counted, m of the reference
    point."""
    if float(np.abs(xy).max()) < MAX_NODE_DISTANCE:
        x, y = np.rint(xy * 100).astype(np.int64).tolist()
        return delta_of(x, y), np.zeros(2)

    ((lat, lon),) = to_points(origin, xy[None])
    return ("node-LatLon", {"lon": lon, "lat": lat}), np.array(
        [float(value) for value in origin.to_local(lat / 1e7, lon / 1e7)]
    )
