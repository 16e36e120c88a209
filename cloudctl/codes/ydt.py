"""MAP of YD/T 3709 / T/CSAE 53 in JSON -> digital codes.

Two ways of writing are read: the ASN.1 names with numbers, choices as one-key objects and bit strings as text of 0 and 1; and
what XER converters make of it (`{"Node": [...]}` about each list, a list of one as its only element, numbers as text).
The standard lists roads that lead in only: outgoing lanes are the beginnings of the next node's incoming roads where the
message has them, and else are drawn beside the incoming road from that node, which is a guess and is told as one.
"""

from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np

from cloudctl.geo import Origin

from .build import NO_ADM, RawCode, RawLane, RawMove, build
from .findings import refuse
from .lines import F8
from .model import Alias, Point
from .report import Imported, Loss

USES = {"vehicle": "vehicle", "bikeLane": "bike", "sidewalk": "pedestrian", "trackedVehicle": "vehicle"}
TURNS = ("straight", "left", "right", "u")  # first four bits of a maneuver
REVOCABLE, BUS = 0, 3  # bits of a vehicle lane
SPEED = 0.02  # m/s
DEFAULT_SPEED, DEFAULT_WIDTH = 13.89, 350
Tree = dict[str, Any]


def import_ydt(tree: Tree, *, adm: str = NO_ADM) -> Imported:
    """Return the codes of a MAP: one for each node whose lanes lead somewhere. Raises CodeError naming the field."""
    tree = tree.get("mapFrame", tree)
    try:
        nodes = {_id(node["id"]): node for node in rows(tree.get("nodes"), "Node")}
        crossed = [name for name, node in nodes.items() if any(_joins(lane) for link in _links(node) for lane in _lanes(link))]
        raws = [_code(nodes, name) for name in crossed]
    except (KeyError, OverflowError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise refuse("YD/T 3709 MAP", "MAP", "fields", f"{error!r}", "a MAP has nodes, each with id, refPos and inLinks with lanes", "correct the sender") from None
    if not raws:
        raise refuse("YD/T 3709 MAP", "MAP", "nodes", len(nodes), "no lane has a connection (connectsTo)", "send the connections: without them there is no movement")
    codes = [build(raw, adm, k) for k, raw in enumerate(raws, 1)]
    return Imported(codes, "YD/T 3709 MAP", [loss for raw in raws for loss in raw.losses])


def rows(tree: Any, name: str) -> list[Tree]:
    """Return a list however it is written: bare, under its type's name, or as its only element."""
    if isinstance(tree, dict) and name in tree:
        tree = tree[name]
    return [] if tree is None else [tree] if isinstance(tree, dict) else list(tree)


def bits(value: Any, size: int) -> list[bool]:
    """Return a bit string given as text of 0 and 1, as hex text, or as (number, size)."""
    if value is None:
        return [False] * size
    if isinstance(value, list | tuple):
        text = f"{int(value[0]):0{size}b}"
    else:
        text = value if len(value) == size and set(value) <= {"0", "1"} else f"{int(value, 16):0{len(value) * 4}b}"
    return [text[k:k + 1] == "1" for k in range(size)]


def _id(value: Tree) -> str:
    return f"{int(value.get('region') or 0)}/{int(value['id'])}"


def _links(node: Tree) -> list[Tree]:
    return rows(node.get("inLinks"), "Link")


def _lanes(link: Tree) -> list[Tree]:
    return rows(link["lanes"], "Lane")


def _joins(lane: Tree) -> list[Tree]:
    return rows(lane.get("connectsTo"), "Connection")


def _position(value: Tree) -> Point:
    return int(value["lat"]), int(value["long"] if "long" in value else value["lon"])


def _points(tree: Any, ref: Point) -> list[Point]:
    out = []
    for row in rows(tree, "RoadPoint"):
        ((name, value),) = row["posOffset"]["offsetLL"].items()
        lat, lon = int(value["lat"]), int(value["lon"])
        out.append((lat, lon) if name.replace("_", "-") == "position-LatLon" else (ref[0] + lat, ref[1] + lon))
    return out


def _code(nodes: dict[str, Tree], name: str) -> RawCode:
    node = nodes[name]
    ref = _position(node["refPos"])
    raw = RawCode(str(node.get("name") or name), ref, alias=(Alias("ydt3709", name),))
    for k, link in enumerate(_links(node)):
        _link(raw, link, f"in {k}", ref, "ingress", name)
    for other, further in nodes.items():
        for k, link in enumerate(_links(further)):
            if other != name and _id(link["upstreamNodeId"]) == name:
                _link(raw, link, f"out {other} {k}", _position(further["refPos"]), "egress", other)
    for k, link in enumerate(_links(node)):
        for lane in _lanes(link):
            for join in _joins(lane):
                raw.moves += _move(raw, node, f"in {k} {int(lane['laneID'])}", join)
    return raw


def _link(raw: RawCode, link: Tree, approach: str, ref: Point, role: str, node: str) -> None:
    origin, lanes = Origin(raw.ref[0] / 1e7, raw.ref[1] / 1e7), _lanes(link)
    speed = _speed(link)
    if speed is None:
        raw.losses.add(Loss("guessed", raw.name, f"road {link.get('name') or approach} has no vehicleMaxSpeed: 50 km/h"))
    for lane in lanes:
        number = int(lane["laneID"])
        points = _points(lane.get("points"), ref)
        if len(points) < 2:
            points = _points(link.get("points"), ref)
            raw.losses.add(Loss("guessed", raw.name, f"road {link.get('name') or approach}, lane {number} has no points: its road's are taken"))
        if len(points) < 2:
            raw.losses.add(Loss("dropped", raw.name, f"road {link.get('name') or approach}, lane {number}: neither it nor its road has points"))
            continue
        table = np.array(points, float) / 1e7
        xy = np.stack(origin.to_local(table[:, 0], table[:, 1]), axis=1)
        width = int(lane.get("laneWidth") or round(int(link.get("linkWidth") or DEFAULT_WIDTH * len(lanes)) / len(lanes)))
        ((kind, flags),) = lane["laneAttributes"]["laneType"].items()
        if kind == "crosswalk":
            group = next((int(join.get("phaseId") or 0) for join in _joins(lane)), 0)
            raw.walks.append((xy[[0, -1]], width, group, ()))
            continue
        if kind not in USES:
            raw.losses.add(Loss("dropped", raw.name, f"road {link.get('name') or approach}, lane {number}: {kind} is no lane to travel on"))
            continue
        flag = bits(flags, 8) if kind == "vehicle" else [False] * 8
        own = _speed(lane) or speed or DEFAULT_SPEED
        key = f"{approach} {number}" if role == "ingress" else f"out {node} {number}"
        raw.lanes.append(RawLane(key, xy, role, approach, "bus" if flag[BUS] else USES[kind], width, own, flag[REVOCABLE], inf))


def _speed(row: Tree) -> float | None:
    for limit in rows(row.get("speedLimits"), "RegulatorySpeedLimit"):
        kind = limit["type"]
        if (next(iter(kind)) if isinstance(kind, dict) else kind) == "vehicleMaxSpeed":
            return round(int(limit["speed"]) * SPEED, 2)
    return None


def _move(raw: RawCode, node: Tree, start: str, join: Tree) -> Iterator[RawMove]:
    if not any(lane.key == start for lane in raw.lanes):
        return
    there, to = _id(join["remoteIntersection"]), join.get("connectingLane") or {}
    end = f"out {there} {int(to.get('lane') or 1)}"
    if not any(lane.key == end for lane in raw.lanes) and not _beside(raw, node, there, end, int(to.get("lane") or 1)):
        raw.losses.add(Loss("dropped", raw.name, f"lane {start} leads to node {there}, of which the message says nothing"))
        return
    turns = [turn for turn, said in zip(TURNS, bits(to.get("maneuver"), 12), strict=False) if said]
    yield RawMove(start, end, int(join.get("phaseId") or 0), turns[0] if len(turns) == 1 else "")


def _beside(raw: RawCode, node: Tree, there: str, key: str, number: int) -> bool:
    """Draw the outgoing lane `number` to a node beside the road that comes from it (traffic keeps right); False without one."""
    found = [k for k, link in enumerate(_links(node)) if _id(link["upstreamNodeId"]) == there]
    lanes = [lane for k in found for lane in raw.lanes if lane.approach == f"in {k}" and lane.role == "ingress"]
    if not lanes:
        return False
    first = lanes[0]
    width = first.width_cm / 100
    raw.losses.add(Loss("guessed", raw.name, f"lanes to node {there} are drawn beside the road that comes from it: the message has none"))
    raw.lanes.append(RawLane(key, _shifted(first.xy, width * number)[::-1].copy(), "egress", f"out {there}", "vehicle", first.width_cm, first.speed))
    return True


def _shifted(line: F8, left: float) -> F8:
    ahead = np.gradient(line, axis=0)
    ahead /= np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None]
    return np.asarray(line + left * np.stack([-ahead[:, 1], ahead[:, 0]], axis=1))
