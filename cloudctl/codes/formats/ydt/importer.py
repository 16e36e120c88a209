"""MAP of YD/T 3709 / T/CSAE 53 in JSON or XML -> digital codes.

Two ways of writing are read: the ASN.1 names with numbers, choices as one-key objects and bit strings as text of 0 and
1; and what XER converters make of it (`{"Node": [...]}` about each list, a list of one as its only element, numbers as
text). The standard lists roads that lead in only: outgoing lanes are the beginnings of the next node's incoming roads
where the message has them, and else are drawn beside the incoming road from that node, which is a guess and is named as
one. Lane types, sharing and limits become uses and rules (`lane_types.py`, `speed_limits.py`). What is met and not used
is reported."""

from math import inf

import numpy as np

from cloudctl.geo import Origin

from ...findings import CodeError, Loss, LossKind, refuse
from ...model import Alias, Point
from ...polylines import F8
from ...report import Imported
from ...rule import Rule, Target
from ...terms import DEFAULT_SPEED, LaneUse, LinkRole
from ..importing.accounting import Accounts, JsonRecord
from ..importing.build import DEFAULT_ADM, build
from ..importing.raw import RawCode, RawLane, RawMove
from ..messages.lane_types import USE_OF_LANE_TYPE, read_lane_type, read_turns, read_use
from ..messages.limit_rules import limit_rule
from ..messages.names import NO_TRAFFIC
from ..messages.speed_limits import CAR_LIMIT, read_limits
from ..messages.tree import MALFORMED, plain_map, unwrapped
from .link import MessageLink, Tree, node_key, position_of, unique_key

DEFAULT_WIDTH = 350  # cm
IGNORED = NO_TRAFFIC | {
    "@msgCnt": "counts the sender's messages",
}


def import_ydt(tree: Tree, *, adm: str = DEFAULT_ADM) -> Imported:
    """Return the codes of a MAP: one for each node whose lanes lead somewhere. Raises CodeError naming the field."""
    with Accounts("YD/T 3709 MAP", IGNORED) as accounts:
        unwrapped_map = unwrapped(tree)
        for beside in unwrapped_map.beside if unwrapped_map else ():
            accounts.json(beside, "envelope")

        record = accounts.json(plain_map(unwrapped_map.tree if unwrapped_map else {}), "MAP")
        try:
            message = _Message(record, accounts)
            raws = [message.code(name) for name in message.nodes_with_movements()]
        except CodeError:
            raise
        except MALFORMED as error:
            raise refuse(
                where="YD/T 3709 MAP",
                entity="MAP",
                field="fields",
                value=f"{error!r}",
                rule="a MAP has nodes, each with id, refPos and inLinks with lanes",
                remedy="correct the sender",
            ) from None

        if not raws:
            raise refuse(
                where="YD/T 3709 MAP",
                entity="MAP",
                field="nodes",
                value=len(message.nodes),
                rule="no lane has a connection (connectsTo)",
                remedy="send the connections: without them there is no movement",
            )

        return accounts.imported([build(raw, adm, number) for number, raw in enumerate(raws, 1)])


class _Message:
    """A MAP on its way to raw codes. Roads between two nodes of it are read once for each of them."""

    def __init__(self, record: JsonRecord, accounts: Accounts) -> None:
        self.accounts = accounts
        self.nodes: dict[str, JsonRecord] = {}

        for node in record.rows("nodes"):
            name = node_key(node.child("id"))
            if name in self.nodes:
                node.leave_out(f"left out: node {name} stands twice")
                continue
            self.nodes[name] = node

        self.links = {
            name: [MessageLink(row, name, position_of(node.child("refPos"))) for row in node.rows("inLinks")]
            for name, node in self.nodes.items()
        }

    def nodes_with_movements(self) -> list[str]:
        """Return the nodes that lanes lead through."""
        return [
            name
            for name, links in self.links.items()
            if any(lane.rows("connectsTo") for link in links for lane in link.lanes)
        ]

    def code(self, name: str) -> RawCode:
        """Return the raw code of one node."""
        node = self.nodes[name]
        raw = RawCode(
            str(node.get("name") or name),
            position_of(node.child("refPos")),
            alias=(Alias("ydt3709", name),),
            losses=self.accounts.losses,
        )

        return _NodeCode(self, name, raw).read()


class _NodeCode:
    """One node on its way to a raw code. `exits`: keys of outgoing lanes, by the node they lead to and their number."""

    def __init__(self, message: _Message, name: str, raw: RawCode) -> None:
        self.message, self.name, self.raw = message, name, raw
        self.origin = Origin(raw.ref[0] / 1e7, raw.ref[1] / 1e7)
        self.names: set[str] = set()
        self.exits: dict[tuple[str, int], list[str]] = {}
        self.entrances: list[tuple[MessageLink, JsonRecord, str]] = []
        self.turns: dict[str, list[str]] = {}  # that a lane's own maneuvers allow, by its key

    def read(self) -> RawCode:
        """Return the raw code, all its tables filled."""
        for index, link in enumerate(self.message.links[self.name]):
            self._link(link, f"in {index}", LinkRole.INGRESS)

        for other, links in self.message.links.items():
            for index, link in enumerate(links):
                if other != self.name and link.upstream == self.name:
                    self._link(link, f"out {other} {index}", LinkRole.EGRESS)

        for link, lane, key in self.entrances:
            for connection in lane.rows("connectsTo"):
                try:
                    self._connection(link, round(lane.number("laneID")), connection, key)
                except CodeError as error:
                    connection.leave_out(f"left out: {error.findings[0]}")

        for link in self.message.links[self.name]:
            for movement in link.movements.values():
                movement.leave_out("left out: no lane of the road has a connection that leads there")

        return self.raw

    def _link(self, link: MessageLink, approach: str, role: str) -> None:
        for lane in link.lanes:
            if lane.left_out:
                continue
            try:
                self._lane(link, lane, approach, role)
            except CodeError as error:
                lane.leave_out(f"left out: {error.findings[0]}")

    def _lane(self, link: MessageLink, lane: JsonRecord, approach: str, role: str) -> None:
        """Take in a lane of a road, or the crosswalk that it is. Raises CodeError for one that cannot be read."""
        raw, number = self.raw, round(lane.number("laneID"))
        points = self._points_of(link, lane, number)
        if points is None:
            lane.leave_out("left out: neither it nor its road has points")
            return

        degrees = np.array(points, float) / 1e7
        xy = np.stack(self.origin.to_local(degrees[:, 0], degrees[:, 1]), axis=1)
        width = round(lane.number("laneWidth", 0)) or round(
            (link.width or DEFAULT_WIDTH * len(link.lanes)) / len(link.lanes)
        )

        attributes = self._attributes_of(link, lane, number)

        lane_type, flags = read_lane_type(attributes)
        if lane_type == "crosswalk":
            if role == LinkRole.INGRESS:
                raw.walks.append((xy, width, self._crosswalk_group(lane), ()))
            return

        if lane_type not in USE_OF_LANE_TYPE:
            lane.leave_out(f"left out: {lane_type} is no lane to travel on")
            return

        use = read_use(lane_type, flags, attributes.child("sharedWith"))
        key = unique_key(self.names, link.upstream, link.node, number)
        limits = self._limits_of(link, lane)

        raw.lanes.append(
            RawLane(
                key=key,
                xy=xy,
                role=role,
                approach=approach,
                use=use.use,
                width_cm=width,
                speed=limits.get(CAR_LIMIT, DEFAULT_SPEED),
                revocable=use.revocable,
                stop_s=inf,
                shared=use.shared,
                alias=(Alias("ydt3709", key),),
            )
        )

        if use.kind:
            raw.rules.append(Rule(id="", kind=use.kind, targets=(Target(key),), classes=use.classes, text=use.text))

        if use.use != LaneUse.PEDESTRIAN:
            raw.rules += [
                rule
                for name, value in limits.items()
                if name != CAR_LIMIT
                for rule in limit_rule(raw, name, Target(key), value)
            ]

        if role == LinkRole.INGRESS:
            self.entrances.append((link, lane, key))
            self.turns[key] = read_turns(lane.child("maneuvers"))
        else:
            self.exits.setdefault((link.node, number), []).append(key)

    def _limits_of(self, link: MessageLink, lane: JsonRecord) -> dict[str, float]:
        """Return the limits of a lane, m/s by kind: its own, before those of its road."""
        limits = link.limits | read_limits(lane.rows("speedLimits"))
        if CAR_LIMIT not in limits:
            detail = f"road {link.name} has no vehicleMaxSpeed: 50 km/h"
            self.raw.losses.add(Loss(what=LossKind.GUESSED, entity=self.raw.name, detail=detail))
        return limits

    def _points_of(self, link: MessageLink, lane: JsonRecord, number: int) -> list[Point] | None:
        """Return the points of a lane, or those of its road; None where neither has two."""
        points = link.points(lane)
        if len(points) >= 2:
            return points

        points = link.points(link.row)
        if len(points) < 2:
            return None

        self.raw.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity=self.raw.name,
                detail=f"road {link.name}, lane {number} has no points: its road's are taken",
            )
        )

        return points

    def _attributes_of(self, link: MessageLink, lane: JsonRecord, number: int) -> JsonRecord:
        """Return the attributes of a lane, which the standard leaves to the sender."""
        if "laneAttributes" in lane:
            return lane.child("laneAttributes")

        self.raw.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity=self.raw.name,
                detail=f"road {link.name}, lane {number} has no laneAttributes: taken as one for vehicles",
            )
        )

        return self.message.accounts.json({"laneType": {"vehicle": {}}}, "laneAttributes")

    def _crosswalk_group(self, lane: JsonRecord) -> int:
        group = 0
        for connection in lane.rows("connectsTo"):
            own_group = round(connection.number("phaseId", 0))
            if "remoteIntersection" in connection and node_key(connection.child("remoteIntersection")) != self.name:
                connection.unknown(
                    "remoteIntersection",
                    node_key(connection.child("remoteIntersection")),
                    "a crosswalk leads nowhere but across",
                )

            if group and own_group not in (0, group):
                connection.unknown("phaseId", own_group, f"the crosswalk keeps phase {group}")

            group = group or own_group

        return group

    def _connection(self, link: MessageLink, own_number: int, connection: JsonRecord, start: str) -> None:
        raw = self.raw
        remote_node, connecting_lane = (
            node_key(connection.child("remoteIntersection")),
            connection.child("connectingLane"),
        )
        if "lane" in connecting_lane:
            number = round(connecting_lane.number("lane"))
        else:
            number = self._fitting_lane(remote_node, own_number)

        if "lane" not in connecting_lane:
            raw.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=raw.name,
                    detail=(
                        f"a connection of road {link.name}, lane {own_number} has no connectingLane: led to lane "
                        f"{number} to node {remote_node}"
                    ),
                )
            )

        exit_keys = self.exits.get((remote_node, number)) or self._drawn_beside(remote_node, number)
        turns = read_turns(connecting_lane.child("maneuver"))
        if turns and self.turns.get(start) and not {*turns} <= {*self.turns[start]}:
            connecting_lane.unknown(
                "maneuver",
                " ".join(turns),
                f"the lane's own maneuvers allow {' '.join(self.turns[start])} only: that of the connection is kept",
            )

        # The connection's own maneuver is about this movement alone, the lane's about all of them
        turns = turns or self.turns.get(start, [])
        link.movements.pop(remote_node, None)

        phase, road_phase = round(connection.number("phaseId", 0)), link.phases.get(remote_node, 0)
        if phase and road_phase and phase != road_phase:
            connection.unknown(
                "phaseId",
                phase,
                f"the road's movement to node {remote_node} has phase {road_phase}: that of the lane is kept",
            )

        if not exit_keys:
            connection.leave_out(f"left out: leads to node {remote_node}, of which the message says nothing")
            return

        if len(exit_keys) > 1:
            connecting_lane.unknown(
                "lane", number, f"{len(exit_keys)} lanes to node {remote_node} have this number: the first is taken"
            )

        raw.moves.append(
            RawMove(start=start, end=exit_keys[0], group=phase or road_phase, turn=turns[0] if len(turns) == 1 else "")
        )

    def _fitting_lane(self, remote_node: str, own_number: int) -> int:
        """Return the lane to a node that a connection without one leads to: that of its own lane's number, or the
        nearest that there is."""
        numbers = [number for node, number in self.exits if node == remote_node] or [own_number]
        return min(numbers, key=lambda number: (abs(number - own_number), number))

    def _drawn_beside(self, remote_node: str, number: int) -> list[str]:
        """Draw the outgoing lane `number` to a node beside the road that comes from it (traffic keeps right); none
        without one."""
        incoming = [
            f"in {index}" for index, link in enumerate(self.message.links[self.name]) if link.upstream == remote_node
        ]
        lanes = [lane for lane in self.raw.lanes if lane.approach in incoming and lane.role == LinkRole.INGRESS]
        if not lanes:
            return []

        innermost, key = lanes[0], unique_key(self.names, self.name, remote_node, number)
        self.raw.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity=self.raw.name,
                detail=(
                    f"lanes to node {remote_node} are drawn beside the road that comes from it: the message has none"
                ),
            )
        )

        line = _shifted_line(innermost.xy, innermost.width_cm / 100 * number)[::-1].copy()
        self.raw.lanes.append(
            RawLane(
                key=key,
                xy=line,
                role=LinkRole.EGRESS,
                approach=f"out {remote_node}",
                use=LaneUse.VEHICLE,
                width_cm=innermost.width_cm,
                speed=innermost.speed,
            )
        )

        self.exits[remote_node, number] = [key]
        return [key]


def _shifted_line(line: F8, offset: float) -> F8:
    directions = np.gradient(line, axis=0)
    directions /= np.maximum(np.hypot(directions[:, 0], directions[:, 1]), 1e-9)[:, None]
    return np.asarray(line + offset * np.stack([-directions[:, 1], directions[:, 0]], axis=1))
