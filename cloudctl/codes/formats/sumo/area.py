"""Which edges and connections of a SUMO network belong to an intersection: its junctions, and the roads that lead to them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ...findings import Loss
from ...polylines import F8
from ..importing.clusters import crossing
from .access import RAILS
from .network import Net, NetConnection, NetEdge, NetLane

MIN_ARMS = 3  # roads that meet at an intersection; two are a bend, or a road that changes its lanes
POINT = 0.05  # m; a path that is shorter is a joint of no length


@dataclass
class Movement:
    """A connection of the network on its way into the code."""

    raw: NetConnection
    from_lane: str
    to_lane: str
    junction: str
    index: int  # in the junction's requests; -1 not known
    shape: F8
    speed: float
    over: tuple[NetLane, ...]  # its inner lanes
    inner: bool


@dataclass
class Area:
    """One intersection being made. `signal` is its tlLogic, "" where none; `name` that, or its junction."""

    signal: str
    name: str
    control: str
    movements: list[Movement] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)  # edge -> role


class Roads:
    """The connections of a network by where they leave from and lead to, found once for all its intersections."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.leaving: dict[str, list[NetConnection]] = {}  # junction -> connections through it
        self.entering: dict[str, list[NetConnection]] = {}  # edge -> connections into it
        self.signals: dict[str, set[str]] = {}  # tl -> junctions
        self._chains: dict[tuple[str, int], NetConnection] = {}  # inner edge and lane -> what follows
        self._counted: dict[int, int] = {}  # id of a connection -> its row in the junction's requests
        self._paths: dict[
            int, tuple[F8, float, tuple[NetLane, ...]]
        ] = {}  # id of a connection -> its path, limit and inner lanes: it is in the codes of several intersections
        self.others: set[str] = set()  # junctions without a signal that are intersections
        for c in net.connections:
            if c.from_edge.startswith(":"):
                self._chains[c.from_edge, c.from_lane] = c
            elif c.from_edge in net.edges and c.to_edge in net.edges:
                junction = net.edges[c.from_edge].end
                self.leaving.setdefault(junction, []).append(c)
                self.entering.setdefault(c.to_edge, []).append(c)
                if c.tl:
                    self.signals.setdefault(c.tl, set()).add(junction)
        self._length = {edge.id: _length(edge) for edge in net.edges.values()}

    def area(self, signal: str, name: str, control: str, junctions: list[str], radius_m: float) -> Area:
        """Return an intersection with its approaches up to `radius_m` along the road."""
        area = Area(signal, name, control)
        inner = [c for n in junctions for c in self.leaving.get(n, ())]
        area.roles = dict.fromkeys((c.from_edge for c in inner), "ingress")
        for c in inner:
            area.roles.setdefault(c.to_edge, "egress")
        area.movements = [self._movement(c, True) for c in inner]
        self._upstream(area, radius_m)
        return area

    def meets(self, junction: str) -> bool:
        """Return whether a junction without a signal is an intersection: three roads or more, and movements that cross or merge."""
        movements = self.leaving.get(junction, [])
        arms = {self.net.edges[c.from_edge].start for c in movements} | {
            self.net.edges[c.to_edge].end for c in movements
        }
        if len(arms) < MIN_ARMS:
            return False
        rows = self.net.requests.get(junction, {})
        index = {self.row(c): c for c in movements}
        for row, c in index.items():
            foes = rows.get(row, {}).get("foes", "")[::-1]
            if any(bit == "1" and k in index and index[k].from_edge != c.from_edge for k, bit in enumerate(foes)):
                return True
        return not rows and any(self._crosses(a, b) for a, b in combinations(movements, 2))

    def _crosses(self, a: NetConnection, b: NetConnection) -> bool:
        """Return whether two movements of different roads cross or merge, where the network has no requests that say so."""
        if a.from_edge == b.from_edge:
            return False
        merge = (a.to_edge, a.to_lane) == (b.to_edge, b.to_lane)
        return merge or crossing(self._movement(a, True).shape, self._movement(b, True).shape)

    def of_rails_only(self, junctions: set[str]) -> bool:
        """Return whether no road vehicle, bicycle or pedestrian may use any movement of some junctions."""
        movements = [c for name in junctions for c in self.leaving.get(name, ())]
        return not any(self.net.edges[c.from_edge].lanes[c.from_lane].may - RAILS for c in movements)

    def row(self, c: NetConnection) -> int:
        """Return a connection's row in its junction's requests; -1 where it cannot be known.

        Inner edges are numbered by their first lane's row. Without inner edges the rows are counted as netconvert does: by the incoming
        lanes of the junction in their order, and the connections of each in theirs.
        """
        edge, _, lane = c.via.rpartition("_")
        number = edge.rpartition("_")[2]
        if number.isdecimal() and lane.isdecimal():
            return int(number) + int(lane)
        junction = self.net.edges[c.from_edge].end
        if id(c) not in self._counted:
            self._count(junction)
        return self._counted[id(c)] if len(self.net.requests.get(junction, ())) >= len(self.leaving[junction]) else -1

    def _count(self, junction: str) -> None:
        order = {lane: k for k, lane in enumerate(self.net.junctions[junction].incoming)}
        rows = sorted(self.leaving[junction], key=lambda c: order.get(f"{c.from_edge}_{c.from_lane}", len(order)))
        self._counted.update((id(c), k) for k, c in enumerate(rows))

    def _upstream(self, area: Area, radius_m: float) -> None:
        """Add the edges that lead to the ingresses, back to `radius_m`. A junction with a signal of its own ends the search; where this
        intersection has no signal itself, any other intersection does: its approaches begin there."""
        reach = {edge: self._length[edge] for edge, role in area.roles.items() if role == "ingress"}
        waiting = sorted(reach)
        while waiting:
            edge = waiting.pop(0)
            before = self.entering.get(edge, [])
            if reach[edge] >= radius_m or any(c.tl for c in before):
                continue
            if not area.signal and self.net.edges[edge].start in self.others:
                continue
            for c in before:
                start = self.net.edges[c.from_edge]
                if (
                    area.roles.get(c.from_edge) == "ingress"
                    or start.end == start.start
                    or start.start == self.net.edges[edge].end
                ):
                    continue  # a loop, or the way back
                area.movements.append(self._movement(c, False))
                if c.from_edge not in reach:
                    area.roles[c.from_edge] = "upstream"
                    reach[c.from_edge] = reach[edge] + self._length[c.from_edge]
                    waiting.append(c.from_edge)

    def _movement(self, c: NetConnection, inner: bool) -> Movement:
        net = self.net
        start, end = net.edges[c.from_edge].lanes[c.from_lane], net.edges[c.to_edge].lanes[c.to_lane]
        path = self._paths.get(id(c))
        if path is None:
            path = self._paths[id(c)] = self._path(c, start, end)
        return Movement(c, start.id, end.id, net.edges[c.from_edge].end, self.row(c), *path, inner)

    def _path(self, c: NetConnection, start: NetLane, end: NetLane) -> tuple[F8, float, tuple[NetLane, ...]]:
        """Return the path of a connection, from lane to lane over its inner lanes, the lowest limit on it, and these lanes."""
        net, via = self.net, c.via
        pieces, speed = [start.shape[-1:]], min(start.speed, c.speed)
        over: dict[str, NetLane] = {}
        while via in net.inner and via not in over:
            over[via] = net.inner[via]
            pieces.append(net.inner[via].shape)
            speed = min(speed, net.inner[via].speed)
            edge, _, lane = via.rpartition("_")
            following = self._chains.get((edge, int(lane) if lane.isdecimal() else -1))
            via = "" if following is None else following.via
        if len(pieces) == 1 and np.hypot(*(end.shape[0] - start.shape[-1])) > POINT:
            net.losses.add(Loss("guessed", "network", "has no inner lanes: paths are straight lines from lane to lane"))
        pieces.append(end.shape[:1])
        return joined(np.concatenate(pieces), start.shape), speed, tuple(over.values())


def areas(net: Net, radius_m: float, unsignalised: bool | None) -> Iterator[tuple[int, Area]]:
    """Yield the intersections, each with how many there are in all: those with a signal by its id, then the others by their junction's."""
    roads = Roads(net)
    signalled = {junction for junctions in roads.signals.values() for junction in junctions}
    own = []
    for signal in sorted(roads.signals):
        if roads.of_rails_only(roads.signals[signal]):
            net.accounts.enter("dropped", "tlLogic", "a signal of railway tracks only: no road intersection", signal)
        else:
            own.append(signal)
    met = []
    for name in sorted(roads.leaving):
        if name in signalled or net.junctions[name].control == "end":
            continue
        if roads.of_rails_only({name}):
            net.accounts.enter("dropped", "junction", "a junction of railway tracks only: no road intersection", name)
        elif roads.meets(name):
            met.append(name)
            roads.others.add(name)
        else:
            net.accounts.enter(
                "dropped",
                "junction",
                "no intersection: fewer than three roads, or no two movements cross or merge",
                name,
            )
    if unsignalised is False or (unsignalised is None and own):
        for name in met:
            net.accounts.enter(
                "dropped", "junction", "an intersection without a signal: import these, too, with --unsignalised", name
            )
        met = []
    whole = len(own) + len(met)
    for signal in own:
        yield whole, roads.area(signal, signal, "signal", sorted(roads.signals[signal]), radius_m)
    for name in met:
        yield whole, roads.area("", name, net.junctions[name].control, [name], radius_m)


def joined(path: F8, before: F8) -> F8:
    """Return a path without points that repeat the one before (closer than 5 cm); both ends are kept.

    A joint of no length becomes 5 cm in the direction of the lane before it, `before`: a line must have one.
    """
    keep = np.concatenate([[True], np.hypot(*np.diff(path, axis=0).T) > POINT])
    keep[-1] = True
    path = path[keep]
    if len(path) > 2 and np.hypot(*(path[-1] - path[-2])) <= POINT:
        path = np.delete(path, -2, axis=0)
    if len(path) == 2 and np.hypot(*(path[1] - path[0])) < POINT:
        steps = np.diff(before, axis=0)
        long = np.hypot(*steps.T) > 1e-6
        ahead = steps[long][-1] / np.hypot(*steps[long][-1]) if long.any() else np.array([1.0, 0.0])
        path = np.array([path[0], path[0] + ahead * POINT])
    return np.asarray(path)


def _length(edge: NetEdge) -> float:
    return float(np.hypot(*np.diff(edge.lanes[0].shape, axis=0).T).sum())
