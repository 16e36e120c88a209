"""Which edges and connections of a SUMO network belong to a signal: its junctions, and the roads that lead to them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .lines import F8
from .report import Loss
from .sumo_net import Net, NetEdge


@dataclass
class Movement:
    """A connection of the network on its way into the code."""

    raw: dict[str, str]
    from_lane: str
    to_lane: str
    junction: str
    index: int  # in the junction's requests; -1 not known
    shape: F8
    speed: float
    inner: bool


@dataclass
class Area:
    """One intersection being made."""

    signal: str
    movements: list[Movement] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)  # edge -> role


def areas(net: Net, radius_m: float) -> Iterator[Area]:
    """Yield the area of each road signal, by its id."""
    chains = {(c["from"], c["fromLane"]): c for c in net.connections if c["from"].startswith(":")}
    leaving: dict[str, list[dict[str, str]]] = {}
    entering: dict[str, list[dict[str, str]]] = {}
    signals: dict[str, set[str]] = {}
    for c in net.connections:
        if c["from"] in net.edges and c["to"] in net.edges:
            leaving.setdefault(net.edges[c["from"]].end, []).append(c)
            entering.setdefault(c["to"], []).append(c)
            if "tl" in c:
                signals.setdefault(c["tl"], set()).add(net.edges[c["from"]].end)
    for signal in sorted(signals):
        kinds = {net.junctions[n]["type"] for n in signals[signal]}
        if all(kind.startswith("rail") for kind in kinds):
            net.losses.add(Loss("dropped", signal, "a rail signal is no road intersection"))
            continue
        area = Area(signal)
        inner = [c for n in sorted(signals[signal]) for c in leaving[n]]
        area.roles = dict.fromkeys((c["from"] for c in inner), "ingress")
        for c in inner:
            area.roles.setdefault(c["to"], "egress")
        area.movements = [_movement(net, c, chains, True) for c in inner]
        _upstream(net, area, entering, chains, radius_m)
        yield area


def _upstream(
    net: Net,
    area: Area,
    entering: dict[str, list[dict[str, str]]],
    chains: dict[tuple[str, str], dict[str, str]],
    radius_m: float,
) -> None:
    """Add the edges that lead to the ingresses, back to `radius_m`; a junction with a signal of its own ends the search."""
    reach = {edge: _length(net.edges[edge]) for edge, role in area.roles.items() if role == "ingress"}
    waiting = sorted(reach)
    while waiting:
        edge = waiting.pop(0)
        before = entering.get(edge, [])
        if reach[edge] >= radius_m or any("tl" in c for c in before):
            continue
        for c in before:
            start = net.edges[c["from"]]
            if area.roles.get(c["from"]) == "ingress" or start.end == start.start or start.start == net.edges[edge].end:
                continue  # a loop, or the way back
            area.movements.append(_movement(net, c, chains, False))
            if c["from"] not in reach:
                area.roles[c["from"]] = "upstream"
                reach[c["from"]] = reach[edge] + _length(start)
                waiting.append(c["from"])


def _length(edge: NetEdge) -> float:
    return float(np.hypot(*np.diff(edge.lanes[0].shape, axis=0).T).sum())


def _movement(net: Net, c: dict[str, str], chains: dict[tuple[str, str], dict[str, str]], inner: bool) -> Movement:
    start, end = net.edges[c["from"]].lanes[int(c["fromLane"])], net.edges[c["to"]].lanes[int(c["toLane"])]
    pieces, speed, via = [start.shape[-1:]], start.speed, c.get("via")
    index = _request_index(via)
    while via and via in net.inner:
        pieces.append(net.inner[via].shape)
        speed = min(speed, net.inner[via].speed)
        edge, _, lane = via.rpartition("_")
        via = chains.get((edge, lane), {}).get("via")
    pieces.append(end.shape[:1])
    return Movement(c, start.id, end.id, net.edges[c["from"]].end, index, np.concatenate(pieces), speed, inner)


def _request_index(via: str | None) -> int:
    """Return a movement's row in its junction's requests: internal edges are numbered by their first lane's row."""
    edge, _, lane = (via or "").rpartition("_")
    number = edge.rpartition("_")[2]
    return int(number) + int(lane) if number.isdigit() and lane.isdigit() else -1
