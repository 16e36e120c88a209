"""Which edges and connections of a SUMO network belong to an intersection: its junctions, and the roads that lead to
them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ...findings import Loss, LossKind
from ...polylines import F8
from ...terms import Control, LinkRole
from ..importing.clusters import lines_cross
from .access import RAIL_VCLASSES
from .network import Net, NetConnection, NetEdge, NetLane

MIN_ARMS = 3  # roads that meet at an intersection; two are a bend, or a road that changes its lanes
MIN_PATH_LENGTH = 0.05  # m; a path that is shorter is a joint of no length


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
class IntersectionArea:
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
        # inner edge and lane -> what follows
        self._chains: dict[tuple[str, int], NetConnection] = {}
        # id of a connection -> its row in the junction's requests
        self._row_of: dict[int, int] = {}
        # Id of a connection -> its path, limit and inner lanes: it is in the codes of several intersections
        self._paths: dict[int, tuple[F8, float, tuple[NetLane, ...]]] = {}
        # junctions without a signal that are intersections
        self.unsignalised_intersections: set[str] = set()

        for connection in net.connections:
            if connection.from_edge.startswith(":"):
                self._chains[connection.from_edge, connection.from_lane] = connection
            elif connection.from_edge in net.edges and connection.to_edge in net.edges:
                junction = net.edges[connection.from_edge].end
                self.leaving.setdefault(junction, []).append(connection)
                self.entering.setdefault(connection.to_edge, []).append(connection)
                if connection.tl:
                    self.signals.setdefault(connection.tl, set()).add(junction)

        self._length = {edge.id: _length(edge) for edge in net.edges.values()}

    def area(self, signal: str, name: str, control: str, junctions: list[str], radius_m: float) -> IntersectionArea:
        """Return an intersection with its approaches up to `radius_m` along the road."""
        area = IntersectionArea(signal=signal, name=name, control=control)
        connections_through = [connection for junction in junctions for connection in self.leaving.get(junction, ())]
        area.roles = dict.fromkeys((connection.from_edge for connection in connections_through), LinkRole.INGRESS)

        for connection in connections_through:
            area.roles.setdefault(connection.to_edge, LinkRole.EGRESS)

        area.movements = [self._movement(connection, inner=True) for connection in connections_through]
        self._add_upstream(area, radius_m)
        return area

    def is_intersection(self, junction: str) -> bool:
        """Return whether a junction without a signal is an intersection: three roads or more, and movements that cross
        or merge."""
        movements = self.leaving.get(junction, [])
        arms = {self.net.edges[connection.from_edge].start for connection in movements} | {
            self.net.edges[connection.to_edge].end for connection in movements
        }
        if len(arms) < MIN_ARMS:
            return False

        requests = self.net.requests.get(junction, {})
        index = {self.request_row(connection): connection for connection in movements}
        for request_row, connection in index.items():
            foes = requests.get(request_row, {}).get("foes", "")[::-1]
            if any(
                bit == "1" and bit_index in index and index[bit_index].from_edge != connection.from_edge
                for bit_index, bit in enumerate(foes)
            ):
                return True

        return not requests and any(self._crosses(first, second) for first, second in combinations(movements, 2))

    def _crosses(self, first: NetConnection, second: NetConnection) -> bool:
        """Return whether two movements of different roads cross or merge, where the network has no requests that decide
        it."""
        if first.from_edge == second.from_edge:
            return False
        merge = (first.to_edge, first.to_lane) == (second.to_edge, second.to_lane)
        return merge or lines_cross(self._movement(first, inner=True).shape, self._movement(second, inner=True).shape)

    def of_rails_only(self, junctions: set[str]) -> bool:
        """Return whether no road vehicle, bicycle or pedestrian may use any movement of some junctions."""
        movements = [connection for name in junctions for connection in self.leaving.get(name, ())]
        return not any(
            self.net.edges[connection.from_edge].lanes[connection.from_lane].may - RAIL_VCLASSES
            for connection in movements
        )

    def request_row(self, connection: NetConnection) -> int:
        """Return a connection's row in its junction's requests; -1 where it cannot be known.

        Inner edges are numbered by their first lane's row. Without inner edges the rows are counted as netconvert does:
        by the incoming lanes of the junction in their order, and the connections of each in theirs."""
        edge, _, lane = connection.via.rpartition("_")
        number = edge.rpartition("_")[2]
        if number.isdecimal() and lane.isdecimal():
            return int(number) + int(lane)

        junction = self.net.edges[connection.from_edge].end
        if id(connection) not in self._row_of:
            self._count_rows(junction)

        if len(self.net.requests.get(junction, ())) >= len(self.leaving[junction]):
            return self._row_of[id(connection)]

        return -1

    def _count_rows(self, junction: str) -> None:
        lane_order = {lane: number for number, lane in enumerate(self.net.junctions[junction].incoming)}
        in_order = sorted(
            self.leaving[junction],
            key=lambda connection: lane_order.get(f"{connection.from_edge}_{connection.from_lane}", len(lane_order)),
        )
        self._row_of.update((id(connection), number) for number, connection in enumerate(in_order))

    def _add_upstream(self, area: IntersectionArea, radius_m: float) -> None:
        """Add the edges that lead to the ingresses, back to `radius_m`. A junction with a signal of its own ends the
        search; where this intersection has no signal itself, any other intersection does: its approaches begin
        there."""
        distance_back = {edge: self._length[edge] for edge, role in area.roles.items() if role == LinkRole.INGRESS}
        pending = sorted(distance_back)
        while pending:
            edge = pending.pop(0)
            entering = self.entering.get(edge, [])
            if distance_back[edge] >= radius_m or any(connection.tl for connection in entering):
                continue
            if not area.signal and self.net.edges[edge].start in self.unsignalised_intersections:
                continue

            for connection in entering:
                edge_before = self.net.edges[connection.from_edge]
                if (
                    area.roles.get(connection.from_edge) == LinkRole.INGRESS
                    or edge_before.end == edge_before.start
                    or edge_before.start == self.net.edges[edge].end
                ):
                    continue  # a loop, or the way back

                area.movements.append(self._movement(connection, inner=False))
                if connection.from_edge not in distance_back:
                    area.roles[connection.from_edge] = "upstream"
                    distance_back[connection.from_edge] = distance_back[edge] + self._length[connection.from_edge]
                    pending.append(connection.from_edge)

    def _movement(self, connection: NetConnection, inner: bool) -> Movement:
        net = self.net
        start, end = (
            net.edges[connection.from_edge].lanes[connection.from_lane],
            net.edges[connection.to_edge].lanes[connection.to_lane],
        )
        path = self._paths.get(id(connection))
        if path is None:
            path = self._paths[id(connection)] = self._path(connection, start, end)
        return Movement(
            connection,
            start.id,
            end.id,
            net.edges[connection.from_edge].end,
            self.request_row(connection),
            *path,
            inner,
        )

    def _path(self, connection: NetConnection, start: NetLane, end: NetLane) -> tuple[F8, float, tuple[NetLane, ...]]:
        """Return the path of a connection, from lane to lane over its inner lanes, the lowest limit on it, and these
        lanes."""
        net, via = self.net, connection.via
        pieces, speed = [start.shape[-1:]], min(start.speed, connection.speed)

        inner_lanes: dict[str, NetLane] = {}
        while via in net.inner and via not in inner_lanes:
            inner_lanes[via] = net.inner[via]
            pieces.append(net.inner[via].shape)
            speed = min(speed, net.inner[via].speed)
            edge, _, lane = via.rpartition("_")
            following = self._chains.get((edge, int(lane) if lane.isdecimal() else -1))
            via = "" if following is None else following.via

        if len(pieces) == 1 and np.hypot(*(end.shape[0] - start.shape[-1])) > MIN_PATH_LENGTH:
            net.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity="network",
                    detail="has no inner lanes: paths are straight lines from lane to lane",
                )
            )

        pieces.append(end.shape[:1])
        return without_repeated_points(np.concatenate(pieces), start.shape), speed, tuple(inner_lanes.values())


def intersections_of(net: Net, radius_m: float, unsignalised: bool | None) -> Iterator[tuple[int, IntersectionArea]]:
    """Yield the intersections, each with their number in all: those with a signal by its id, then the others by their
    junction's."""
    roads = Roads(net)
    signals = _road_signals(roads)
    without_signal = _unsignalised(roads)

    # Without a word about them, junctions without a signal are codes only in a network that has no signals
    if unsignalised is False or (unsignalised is None and signals):
        for name in without_signal:
            net.accounts.enter(
                LossKind.DROPPED,
                "junction",
                "an intersection without a signal: import these, too, with --unsignalised",
                name,
            )

        without_signal = []

    total = len(signals) + len(without_signal)
    for signal in signals:
        yield total, roads.area(signal, signal, Control.SIGNAL, sorted(roads.signals[signal]), radius_m)

    for name in without_signal:
        yield total, roads.area("", name, net.junctions[name].control, [name], radius_m)


def _road_signals(roads: Roads) -> list[str]:
    """Return the signals, without those of railway tracks only, which are reported."""
    signals = []
    for signal in sorted(roads.signals):
        if roads.of_rails_only(roads.signals[signal]):
            roads.net.accounts.enter(
                LossKind.DROPPED, "tlLogic", "a signal of railway tracks only: no road intersection", signal
            )
        else:
            signals.append(signal)

    return signals


def _unsignalised(roads: Roads) -> list[str]:
    """Return the junctions without a signal that are intersections; the others are reported."""
    net = roads.net
    signalled = {junction for junctions in roads.signals.values() for junction in junctions}
    without_signal = []

    for name in sorted(roads.leaving):
        if name in signalled or net.junctions[name].control == "end":
            continue

        if roads.of_rails_only({name}):
            net.accounts.enter(
                LossKind.DROPPED, "junction", "a junction of railway tracks only: no road intersection", name
            )
        elif roads.is_intersection(name):
            without_signal.append(name)
            roads.unsignalised_intersections.add(name)
        else:
            net.accounts.enter(
                LossKind.DROPPED,
                "junction",
                "no intersection: fewer than three roads, or no two movements cross or merge",
                name,
            )

    return without_signal


def without_repeated_points(path: F8, lane_before: F8) -> F8:
    """Return a path without points that repeat the one before (closer than 5 cm); both ends are kept.

    A joint of no length becomes 5 cm in the direction of the lane before it, `lane_before`: a line must have one.
    """
    is_kept = np.concatenate([[True], np.hypot(*np.diff(path, axis=0).T) > MIN_PATH_LENGTH])
    is_kept[-1] = True
    path = path[is_kept]

    if len(path) > 2 and np.hypot(*(path[-1] - path[-2])) <= MIN_PATH_LENGTH:
        path = np.delete(path, -2, axis=0)

    if len(path) == 2 and np.hypot(*(path[1] - path[0])) < MIN_PATH_LENGTH:
        steps = np.diff(lane_before, axis=0)
        has_length = np.hypot(*steps.T) > 1e-6
        direction = (
            steps[has_length][-1] / np.hypot(*steps[has_length][-1]) if has_length.any() else np.array([1.0, 0.0])
        )
        path = np.array([path[0], path[0] + direction * MIN_PATH_LENGTH])

    return np.asarray(path)


def _length(edge: NetEdge) -> float:
    return float(np.hypot(*np.diff(edge.lanes[0].shape, axis=0).T).sum())
