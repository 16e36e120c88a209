"""SUMO networks -> digital codes: one for each signal, with the roads that lead to it.

Traps heeded: lane 0 is the right-most; `request` bit strings read from the right, signal states from the left; `foes` is geometric
conflict, `response` who must yield; a movement's path may be a chain of internal lanes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .citycode import grid_encode, make
from .compile import crossing
from .model import Alias, Conflict, Connection, Crosswalk, IntersectionCode, Lane, Link, Rule, SignalGroup, StopLine
from .sumo_net import Net, NetEdge, read_net

TURN = {"s": "straight", "l": "left", "L": "left", "r": "right", "R": "right", "t": "u", "T": "u"}
NEAR = 2.5  # m; two paths of foes that never cross meet where they come this near


@dataclass
class _Movement:
    """A connection of the network on its way into the code."""

    raw: dict[str, str]
    from_lane: str
    to_lane: str
    junction: str
    index: int  # in the junction's requests
    shape: NDArray[np.float64]
    speed: float
    inner: bool
    id: str = ""


@dataclass
class _Draft:
    """One intersection being made."""

    net: Net
    signal: str
    movements: list[_Movement] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)  # edge -> role


def import_sumo(
    path: Path | str, *, radius_m: float = 500.0, additional: Iterable[Path] = (), adm: str = "000000"
) -> list[IntersectionCode]:
    """Return a digital code for each signal of a network, with its approaches up to `radius_m` along the road.

    `additional` files may hold further signal programmes; heads share a group only when they agree in all. Raises CodeError.
    """
    net = read_net(Path(path), additional)
    chains = {(c["from"], c["fromLane"]): c for c in net.connections if c["from"].startswith(":")}
    signals = sorted({c["tl"] for c in net.connections if "tl" in c and not c["from"].startswith(":")})
    serials: dict[str, int] = {}
    return [_code(_draft(net, signal, chains, radius_m), adm, serials) for signal in signals]


def _draft(net: Net, signal: str, chains: dict[tuple[str, str], dict[str, str]], radius_m: float) -> _Draft:
    draft = _Draft(net, signal)
    own = [c for c in net.connections if c.get("tl") == signal and c["from"] in net.edges]
    nodes = {net.edges[c["from"]].end for c in own}
    inner = [
        c
        for c in net.connections
        if c["from"] in net.edges and net.edges[c["from"]].end in nodes and c["to"] in net.edges
    ]
    for c in inner:
        draft.roles[c["from"]] = "ingress"
    for c in inner:
        draft.roles.setdefault(c["to"], "egress")
    draft.movements = [_movement(net, c, chains, True) for c in inner]
    _upstream(draft, chains, radius_m)
    return draft


def _upstream(draft: _Draft, chains: dict[tuple[str, str], dict[str, str]], radius_m: float) -> None:
    net = draft.net
    reach = {edge: _length(net.edges[edge]) for edge, role in draft.roles.items() if role == "ingress"}
    waiting = sorted(reach)
    while waiting:
        edge = waiting.pop(0)
        if reach[edge] >= radius_m:
            continue
        before = [c for c in net.connections if c["to"] == edge and c["from"] in net.edges]
        if any("tl" in c for c in before):
            continue
        for c in before:
            if draft.roles.get(c["from"]) == "ingress" or net.edges[c["from"]].end == net.edges[c["from"]].start:
                continue
            draft.movements.append(_movement(net, c, chains, False))
            if c["from"] not in reach:
                draft.roles[c["from"]] = "upstream"
                reach[c["from"]] = reach[edge] + _length(net.edges[c["from"]])
                waiting.append(c["from"])


def _length(edge: NetEdge) -> float:
    return float(np.hypot(*np.diff(edge.lanes[0].shape, axis=0).T).sum())


def _movement(net: Net, c: dict[str, str], chains: dict[tuple[str, str], dict[str, str]], inner: bool) -> _Movement:
    start, end = net.edges[c["from"]].lanes[int(c["fromLane"])], net.edges[c["to"]].lanes[int(c["toLane"])]
    pieces, speed, via = [start.shape[-1:]], start.speed, c.get("via")
    index = -1
    if via:
        number, _, lane = via.rpartition("_")
        index = int(number.rpartition("_")[2]) + int(lane) if number.rpartition("_")[2].isdigit() else -1
    while via and via in net.inner:
        pieces.append(net.inner[via].shape)
        speed = min(speed, net.inner[via].speed)
        edge, _, lane = via.rpartition("_")
        via = chains.get((edge, lane), {}).get("via")
    pieces.append(end.shape[:1])
    return _Movement(
        c, start.id, end.id, net.edges[c["from"]].end, index, _distinct(np.concatenate(pieces)), speed, inner
    )


def _distinct(line: NDArray[np.float64]) -> NDArray[np.float64]:
    keep = np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 0.05])
    keep[-1] = True
    line = line[keep]
    if len(line) > 2 and np.hypot(*(line[-1] - line[-2])) <= 0.05:
        line = np.delete(line, -2, axis=0)
    if len(line) == 1 or (np.hypot(*(line[-1] - line[0])) < 1e-6 and len(line) == 2):
        line = np.concatenate([line[:1], [*line[:1], 0.05, 0.0]])
    return line


def _code(draft: _Draft, adm: str, serials: dict[str, int]) -> IntersectionCode:
    net = draft.net
    nodes = sorted({m.junction for m in draft.movements if m.inner})
    middle = np.mean([[float(net.junctions[n]["x"]), float(net.junctions[n]["y"])] for n in nodes], axis=0)
    ((lat, lon),) = net.points(middle[None])
    grid = grid_encode(f"{lat / 1e7:.7f}", f"{lon / 1e7:.7f}", 7)
    serials[grid] = serials.get(grid, 0) + 1
    edges = sorted(draft.roles)
    links = tuple(Link(f"K{k}", draft.roles[edge], (Alias("sumo", edge),)) for k, edge in enumerate(edges, 1))
    link_of = dict(zip(edges, links, strict=True))
    lane_ids: dict[str, str] = {}
    lanes: list[Lane] = []
    for edge in edges:
        for number, lane in enumerate(reversed(net.edges[edge].lanes), 1):
            lane_ids[lane.id] = f"L{len(lanes) + 1}"
            lanes.append(
                Lane(
                    lane_ids[lane.id],
                    link_of[edge].id,
                    number,
                    round(lane.width * 100),
                    round(lane.speed, 2),
                    net.points(_distinct(lane.shape)),
                    lane.use,
                    (Alias("sumo", lane.id),),
                )
            )
    groups, group_of = _groups(draft)
    connections = []
    for k, m in enumerate(draft.movements, 1):
        m.id = f"C{k}"
        column = int(m.raw["linkIndex"]) if m.raw.get("tl") == draft.signal else -1
        connections.append(
            Connection(
                m.id,
                lane_ids[m.from_lane],
                lane_ids[m.to_lane],
                TURN.get(m.raw.get("dir", "s"), "straight"),
                net.points(m.shape),
                group_of.get(column, 0),
                round(m.speed, 2),
                m.inner,
                (Alias("sumo", f"{m.from_lane}>{m.to_lane}"),),
            )
        )
    stops = tuple(
        StopLine(lane.id, _metres(net, lane))
        for lane in lanes
        if draft.roles[_edge_of(lane)] == "ingress" and lane.use != "pedestrian"
    )
    rules = tuple(Rule(f"R{k}", "speed_max", lane.id, lane.speed) for k, lane in enumerate(lanes, 1))
    return IntersectionCode(
        make(adm, "IX", grid, serials[grid]),
        draft.signal,
        lat,
        lon,
        links,
        tuple(lanes),
        tuple(connections),
        tuple(_conflicts(draft)),
        groups,
        stops,
        tuple(_crosswalks(draft, nodes, group_of)),
        (),
        rules,
        (Alias("sumo_tl", draft.signal), *(Alias("sumo", node) for node in nodes)),
    )


def _edge_of(lane: Lane) -> str:
    return lane.alias[0].value.rpartition("_")[0]


def _metres(net: Net, lane: Lane) -> float:
    """Return the length of a lane (m), rounded down so that a stop line at its end lies on it."""
    edge, _, index = lane.alias[0].value.rpartition("_")
    shape = net.edges[edge].lanes[int(index)].shape
    return float(np.floor(np.hypot(*np.diff(shape, axis=0).T).sum() * 0.999 * 100) / 100)


def _groups(draft: _Draft) -> tuple[tuple[SignalGroup, ...], dict[int, int]]:
    """Group the controller's columns that always show the same to the same kind of user."""
    kinds: dict[int, str] = {}
    for c in draft.net.connections:
        if c.get("tl") == draft.signal and "linkIndex" in c:
            walker = c["to"] not in draft.net.edges
            lane = (
                None
                if walker or c["from"] not in draft.net.edges
                else draft.net.edges[c["from"]].lanes[int(c["fromLane"])]
            )
            kinds[int(c["linkIndex"])] = "pedestrian" if lane is None else "bike" if lane.use == "bike" else "vehicle"
    states = [state for program in draft.net.programs.get(draft.signal, []) for state in program]
    found: dict[tuple[str, str], list[int]] = {}
    for column in sorted(kinds):
        shown = "".join(state[column] if column < len(state) else "-" for state in states)
        found.setdefault((kinds[column], shown), []).append(column)
    groups = tuple(SignalGroup(k, kind, tuple(columns)) for k, ((kind, _), columns) in enumerate(found.items(), 1))
    return groups, {column: group.id for group in groups for column in group.channels}


def _crosswalks(draft: _Draft, nodes: Sequence[str], group_of: dict[int, int]) -> Iterable[Crosswalk]:
    entries = {c["to"]: c for c in draft.net.connections if c.get("tl") == draft.signal and "_c" in c["to"]}
    number = 0
    for name, lane in sorted(draft.net.inner.items()):
        edge = name.rpartition("_")[0]
        node, mark, digits = edge.rpartition("_c")
        if mark and digits.isdigit() and node[1:] in nodes and len(lane.shape) >= 2:
            number += 1
            column = int(entries.get(edge, {}).get("linkIndex", -1))
            yield Crosswalk(
                f"X{number}",
                draft.net.points(lane.shape[[0, -1]]),
                round(lane.width * 100),
                group_of.get(column, 0),
                (Alias("sumo", edge),),
            )


def _conflicts(draft: _Draft) -> Iterable[Conflict]:
    inner = [m for m in draft.movements if m.inner and m.index >= 0]
    for n, a in enumerate(inner):
        response, foes = draft.net.requests.get(a.junction, {}).get(a.index, ("", ""))
        for b in inner[n + 1 :]:
            if a.junction == b.junction and _bit(foes, b.index):
                theirs, _ = draft.net.requests[b.junction].get(b.index, ("", ""))
                kind, s_a, s_b = meeting(a.shape, b.shape, a.to_lane == b.to_lane)
                yield Conflict(
                    a.id, b.id, kind, round(s_a, 2), round(s_b, 2), _bit(response, b.index), _bit(theirs, a.index)
                )


def _bit(text: str, index: int) -> bool:
    return 0 <= index < len(text) and text[-1 - index] == "1"


def meeting(a: NDArray[np.float64], b: NDArray[np.float64], merge: bool) -> tuple[str, float, float]:
    """Return (kind, m along a, m along b) of where two paths meet: their crossing, else where they first come near, else their nearest points."""
    arcs = [np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))]) for line in (a, b)]
    if not merge:
        for k in range(len(b) - 1):
            at = crossing(a, arcs[0], np.array([*b[k], *b[k + 1]]))
            if at is not None:
                point = np.array([np.interp(at, arcs[0], a[:, 0]), np.interp(at, arcs[0], a[:, 1])])
                return "cross", at, float(arcs[1][k] + np.hypot(*(point - b[k])))
    s_a, s_b = (np.linspace(0, arc[-1], max(int(arc[-1] * 2), 2)) for arc in arcs)
    p = np.stack([np.interp(s_a, arcs[0], a[:, 0]), np.interp(s_a, arcs[0], a[:, 1])], axis=1)
    q = np.stack([np.interp(s_b, arcs[1], b[:, 0]), np.interp(s_b, arcs[1], b[:, 1])], axis=1)
    far = np.hypot(p[:, None, 0] - q[None, :, 0], p[:, None, 1] - q[None, :, 1])
    near = np.argwhere(far < NEAR)
    i, j = near[0] if merge and len(near) else np.unravel_index(far.argmin(), far.shape)
    return "merge" if merge else "cross", float(s_a[i]), float(s_b[j])
