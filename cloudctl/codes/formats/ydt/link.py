"""Roads of a YD/T 3709 MAP, and the ids that nodes and lanes have in it."""

from typing import Any

from ...model import Point
from ..importing.accounting import JsonRecord
from ..messages.names import OFFSET_CHOICES
from ..messages.speed_limits import read_limits

Tree = dict[str, Any]


def list_items(tree: Any, name: str) -> list[Tree]:
    """Return a list however it is written: bare, under its type's name, or as its only element."""
    if isinstance(tree, dict) and name in tree:
        tree = tree[name]
    if tree is None:
        return []
    if isinstance(tree, dict):
        return [tree]

    return list(tree)


def unique_key(names: set[str], upstream: str, node: str, number: int) -> str:
    """Return a name of its own for a lane, which is its alias, too: its road's nodes, its number, and which of these it
    is."""
    count, base = 1, f"{upstream}>{node}.{number}"
    while (key := base if count == 1 else f"{base}/{count}") in names:
        count += 1
    names.add(key)
    return key


def node_key(value: JsonRecord) -> str:
    return f"{round(value.number('region', 0))}/{round(value.number('id'))}"


def position_of(value: JsonRecord) -> Point:
    return round(value.number("lat")), round(value.number("long"))


class MessageLink:
    """A road of the message: what all its lanes share."""

    def __init__(self, row: JsonRecord, node: str, ref: Point) -> None:
        self.row, self.node, self.ref = row, node, ref
        self.upstream = node_key(row.child("upstreamNodeId"))
        self.lanes = row.rows("lanes")
        self.limits = read_limits(row.rows("speedLimits"))
        self.name = str(row.get("name") or f"{self.upstream}>{node}")
        self.width = round(row.number("linkWidth", 0))
        self.phases: dict[str, int] = {}
        # Those that no lane has taken yet, by the node they lead to
        self.movements: dict[str, JsonRecord] = {}

        for movement in row.rows("movements"):
            remote_node, phase = node_key(movement.child("remoteIntersection")), round(movement.number("phaseId", 0))
            self.movements.setdefault(remote_node, movement)

            if self.phases.setdefault(remote_node, phase) != phase:
                movement.unknown(
                    "phaseId",
                    phase,
                    f"the road's movement to node {remote_node} keeps phase {self.phases[remote_node]}",
                )

    def points(self, row: JsonRecord) -> list[Point]:
        """Return the points of a lane, or of the road. Raises CodeError for an offset of no known kind."""
        points = []
        for point in row.rows("points"):
            name, value = point.child("posOffset").child("offsetLL").one()
            if name not in OFFSET_CHOICES or not isinstance(value, JsonRecord):
                raise point.refuse(
                    "offsetLL", name, f"must be one of {', '.join(OFFSET_CHOICES)}", "correct the sender"
                )

            lat, lon = position_of(value)
            points.append((lat, lon) if name == "position-LatLon" else (self.ref[0] + lat, self.ref[1] + lon))

        return points
