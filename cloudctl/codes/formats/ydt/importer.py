"""MAP of YD/T 3709 / T/CSAE 53 in JSON or XML -> digital codes.

Two ways of writing are read: the ASN.1 names with numbers, choices as one-key objects and bit strings as text of 0 and 1; and
what XER converters make of it (`{"Node": [...]}` about each list, a list of one as its only element, numbers as text).
The standard lists roads that lead in only: outgoing lanes are the beginnings of the next node's incoming roads where the
message has them, and else are drawn beside the incoming road from that node, which is a guess and is named as one.
Lane types, sharing and limits become uses and rules (`lane_types.py`, `speed_limits.py`). What is met and not used is reported.
"""

from math import inf
from typing import Any

import numpy as np

from cloudctl.geo import Origin

from ...findings import CodeError, Loss, refuse
from ...model import Alias, Point
from ...polylines import F8
from ...report import Imported
from ...rule import Rule, Target
from ..importing.accounting import Accounts, JsonRecord
from ..importing.build import NO_ADM, RawCode, RawLane, RawMove, build
from ..messages.lane_types import TRAVELLED, read_lane_type, read_turns, read_use
from ..messages.limit_rules import limit_rule
from ..messages.speed_limits import CAR, DEFAULT_SPEED, read_limits
from ..messages.tree import MALFORMED, NO_TRAFFIC, OFFSETS, opened, plain_map

DEFAULT_WIDTH = 350  # cm
IGNORED = NO_TRAFFIC | {
    "@msgCnt": "counts the sender's messages",
}
Tree = dict[str, Any]


def import_ydt(tree: Tree, *, adm: str = NO_ADM) -> Imported:
    """Return the codes of a MAP: one for each node whose lanes lead somewhere. Raises CodeError naming the field."""
    with Accounts("YD/T 3709 MAP", IGNORED) as accounts:
        found = opened(tree)
        for beside in found.beside if found else ():
            accounts.json(beside, "envelope")
        record = accounts.json(plain_map(found.tree if found else {}), "MAP")
        try:
            message = _Message(record, accounts)
            raws = [message.code(name) for name in message.crossed()]
        except CodeError:
            raise
        except MALFORMED as error:
            raise refuse(
                "YD/T 3709 MAP",
                "MAP",
                "fields",
                f"{error!r}",
                "a MAP has nodes, each with id, refPos and inLinks with lanes",
                "correct the sender",
            ) from None
        if not raws:
            raise refuse(
                "YD/T 3709 MAP",
                "MAP",
                "nodes",
                len(message.nodes),
                "no lane has a connection (connectsTo)",
                "send the connections: without them there is no movement",
            )
        return accounts.imported([build(raw, adm, k) for k, raw in enumerate(raws, 1)])


def rows(tree: Any, name: str) -> list[Tree]:
    """Return a list however it is written: bare, under its type's name, or as its only element."""
    if isinstance(tree, dict) and name in tree:
        tree = tree[name]
    return [] if tree is None else [tree] if isinstance(tree, dict) else list(tree)


def unique_key(names: set[str], upstream: str, node: str, number: int) -> str:
    """Return a name of its own for a lane, which is its alias, too: its road's nodes, its number, and which of these it is."""
    count, base = 1, f"{upstream}>{node}.{number}"
    while (key := base if count == 1 else f"{base}/{count}") in names:
        count += 1
    names.add(key)
    return key


def _id(value: JsonRecord) -> str:
    return f"{round(value.number('region', 0))}/{round(value.number('id'))}"


def _position(value: JsonRecord) -> Point:
    return round(value.number("lat")), round(value.number("long"))


class _Link:
    """A road of the message: what all its lanes share."""

    def __init__(self, row: JsonRecord, node: str, ref: Point) -> None:
        self.row, self.node, self.ref = row, node, ref
        self.upstream = _id(row.child("upstreamNodeId"))
        self.lanes = row.rows("lanes")
        self.limits = read_limits(row.rows("speedLimits"))
        self.name = str(row.get("name") or f"{self.upstream}>{node}")
        self.width = round(row.number("linkWidth", 0))
        self.phases: dict[str, int] = {}
        self.movements: dict[str, JsonRecord] = {}  # those that no lane has taken yet, by the node they lead to
        for movement in row.rows("movements"):
            there, phase = _id(movement.child("remoteIntersection")), round(movement.number("phaseId", 0))
            self.movements.setdefault(there, movement)
            if self.phases.setdefault(there, phase) != phase:
                movement.unknown(
                    "phaseId", phase, f"the road's movement to node {there} keeps phase {self.phases[there]}"
                )

    def points(self, row: JsonRecord) -> list[Point]:
        """Return the points of a lane, or of the road. Raises CodeError for an offset of no known kind."""
        out = []
        for point in row.rows("points"):
            name, value = point.child("posOffset").child("offsetLL").one()
            if name not in OFFSETS or not isinstance(value, JsonRecord):
                raise point.refuse("offsetLL", name, f"must be one of {', '.join(OFFSETS)}", "correct the sender")
            lat, lon = _position(value)
            out.append((lat, lon) if name == "position-LatLon" else (self.ref[0] + lat, self.ref[1] + lon))
        return out


class _Message:
    """A MAP on its way to raw codes. Roads between two nodes of it are read once for each of them."""

    def __init__(self, record: JsonRecord, accounts: Accounts) -> None:
        self.accounts = accounts
        self.nodes: dict[str, JsonRecord] = {}
        for node in record.rows("nodes"):
            name = _id(node.child("id"))
            if name in self.nodes:
                node.leave_out(f"left out: node {name} stands twice")
                continue
            self.nodes[name] = node
        self.links = {
            name: [_Link(row, name, _position(node.child("refPos"))) for row in node.rows("inLinks")]
            for name, node in self.nodes.items()
        }

    def crossed(self) -> list[str]:
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
            _position(node.child("refPos")),
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
        self.entrances: list[tuple[_Link, JsonRecord, str]] = []
        self.turns: dict[str, list[str]] = {}  # that a lane's own maneuvers allow, by its key

    def read(self) -> RawCode:
        """Return the raw code, all its tables filled."""
        for k, link in enumerate(self.message.links[self.name]):
            self._link(link, f"in {k}", "ingress")
        for other, links in self.message.links.items():
            for k, link in enumerate(links):
                if other != self.name and link.upstream == self.name:
                    self._link(link, f"out {other} {k}", "egress")
        for link, lane, key in self.entrances:
            for join in lane.rows("connectsTo"):
                try:
                    self._connection(link, round(lane.number("laneID")), join, key)
                except CodeError as error:
                    join.leave_out(f"left out: {error.findings[0]}")
        for link in self.message.links[self.name]:
            for movement in link.movements.values():
                movement.leave_out("left out: no lane of the road has a connection that leads there")
        return self.raw

    def _link(self, link: _Link, approach: str, role: str) -> None:
        for lane in link.lanes:
            if lane.left_out:
                continue
            try:
                self._lane(link, lane, approach, role)
            except CodeError as error:
                lane.leave_out(f"left out: {error.findings[0]}")

    def _lane(self, link: _Link, lane: JsonRecord, approach: str, role: str) -> None:
        raw, number = self.raw, round(lane.number("laneID"))
        points = link.points(lane)
        if len(points) < 2:
            points = link.points(link.row)
            if len(points) < 2:
                lane.leave_out("left out: neither it nor its road has points")
                return
            raw.losses.add(
                Loss("guessed", raw.name, f"road {link.name}, lane {number} has no points: its road's are taken")
            )
        table = np.array(points, float) / 1e7
        xy = np.stack(self.origin.to_local(table[:, 0], table[:, 1]), axis=1)
        width = round(lane.number("laneWidth", 0)) or round(
            (link.width or DEFAULT_WIDTH * len(link.lanes)) / len(link.lanes)
        )
        if "laneAttributes" in lane:
            attributes = lane.child("laneAttributes")
        else:  # which the standard leaves to the sender
            raw.losses.add(
                Loss(
                    "guessed",
                    raw.name,
                    f"road {link.name}, lane {number} has no laneAttributes: taken as one for vehicles",
                )
            )
            attributes = self.message.accounts.json({"laneType": {"vehicle": {}}}, "laneAttributes")
        kind, flags = read_lane_type(attributes)
        if kind == "crosswalk":
            if role == "ingress":
                raw.walks.append((xy, width, self._crosswalk_group(lane), ()))
            return
        if kind not in TRAVELLED:
            lane.leave_out(f"left out: {kind} is no lane to travel on")
            return
        use = read_use(kind, flags, attributes.child("sharedWith"))
        key = unique_key(self.names, link.upstream, link.node, number)
        limits = link.limits | read_limits(lane.rows("speedLimits"))
        if CAR not in limits:
            raw.losses.add(Loss("guessed", raw.name, f"road {link.name} has no vehicleMaxSpeed: 50 km/h"))
        raw.lanes.append(
            RawLane(
                key,
                xy,
                role,
                approach,
                use.use,
                width,
                limits.get(CAR, DEFAULT_SPEED),
                use.revocable,
                inf,
                use.shared,
                alias=(Alias("ydt3709", key),),
            )
        )
        if use.kind:
            raw.rules.append(Rule("", use.kind, (Target(key),), classes=use.classes, text=use.text))
        if use.use != "pedestrian":
            raw.rules += [
                rule
                for name, value in limits.items()
                if name != CAR
                for rule in limit_rule(raw, name, Target(key), value)
            ]
        if role == "ingress":
            self.entrances.append((link, lane, key))
            self.turns[key] = read_turns(lane.child("maneuvers"))
        else:
            self.exits.setdefault((link.node, number), []).append(key)

    def _crosswalk_group(self, lane: JsonRecord) -> int:
        group = 0
        for join in lane.rows("connectsTo"):
            found = round(join.number("phaseId", 0))
            if "remoteIntersection" in join and _id(join.child("remoteIntersection")) != self.name:
                join.unknown(
                    "remoteIntersection", _id(join.child("remoteIntersection")), "a crosswalk leads nowhere but across"
                )
            if group and found not in (0, group):
                join.unknown("phaseId", found, f"the crosswalk keeps phase {group}")
            group = group or found
        return group

    def _connection(self, link: _Link, own_number: int, join: JsonRecord, start: str) -> None:
        raw = self.raw
        there, to = _id(join.child("remoteIntersection")), join.child("connectingLane")
        number = round(to.number("lane")) if "lane" in to else self._fitting(there, own_number)
        if "lane" not in to:
            raw.losses.add(
                Loss(
                    "guessed",
                    raw.name,
                    f"a connection of road {link.name}, lane {own_number} has no connectingLane: led to lane {number} to node {there}",
                )
            )
        ends = self.exits.get((there, number)) or self._beside(there, number)
        turns = read_turns(to.child("maneuver"))
        if turns and self.turns.get(start) and not {*turns} <= {*self.turns[start]}:
            to.unknown(
                "maneuver",
                " ".join(turns),
                f"the lane's own maneuvers allow {' '.join(self.turns[start])} only: that of the connection is kept",
            )
        turns = turns or self.turns.get(start, [])
        link.movements.pop(there, None)
        phase, of_road = round(join.number("phaseId", 0)), link.phases.get(there, 0)
        if phase and of_road and phase != of_road:
            join.unknown(
                "phaseId", phase, f"the road's movement to node {there} has phase {of_road}: that of the lane is kept"
            )
        if not ends:
            join.leave_out(f"left out: leads to node {there}, of which the message says nothing")
            return
        if len(ends) > 1:
            to.unknown("lane", number, f"{len(ends)} lanes to node {there} have this number: the first is taken")
        raw.moves.append(RawMove(start, ends[0], phase or of_road, turns[0] if len(turns) == 1 else ""))

    def _fitting(self, there: str, own_number: int) -> int:
        """Return the lane to a node that a connection without one leads to: that of its own lane's number, or the nearest that there is."""
        numbers = [number for node, number in self.exits if node == there] or [own_number]
        return min(numbers, key=lambda number: (abs(number - own_number), number))

    def _beside(self, there: str, number: int) -> list[str]:
        """Draw the outgoing lane `number` to a node beside the road that comes from it (traffic keeps right); none without one."""
        found = [f"in {k}" for k, link in enumerate(self.message.links[self.name]) if link.upstream == there]
        lanes = [lane for lane in self.raw.lanes if lane.approach in found and lane.role == "ingress"]
        if not lanes:
            return []
        first, key = lanes[0], unique_key(self.names, self.name, there, number)
        self.raw.losses.add(
            Loss(
                "guessed",
                self.raw.name,
                f"lanes to node {there} are drawn beside the road that comes from it: the message has none",
            )
        )
        line = _shifted(first.xy, first.width_cm / 100 * number)[::-1].copy()
        self.raw.lanes.append(RawLane(key, line, "egress", f"out {there}", "vehicle", first.width_cm, first.speed))
        self.exits[there, number] = [key]
        return [key]


def _shifted(line: F8, left: float) -> F8:
    ahead = np.gradient(line, axis=0)
    ahead /= np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None]
    return np.asarray(line + left * np.stack([-ahead[:, 1], ahead[:, 0]], axis=1))
