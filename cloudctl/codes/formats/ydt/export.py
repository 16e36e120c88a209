"""Digital codes -> MAP of YD/T 3709 / T/CSAE 53 in JSON. What does not fit is an error naming field and limit, never a
cut.

The profile that goes there and back: incoming and outgoing lanes, their use, sharing, width and limits (steps of 0.02
m/s), connections with turn and signal group, crosswalks. A lane that leads out stands, as the standard wants it, under
the node it leads to; so does one that leads out and in again, a second time. Limits of parts of a lane hold on all of
it, at their lowest."""

from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cloudctl.geo import Origin

from ...compiled.code import local_lines
from ...findings import Finding, Severity
from ...model import IntersectionCode, Lane, Link, Point
from ...polylines import F8, arc_lengths, points_along
from ...terms import LaneUse, LinkRole
from ..importing.build import to_points
from ..messages.export_limits import limit_error
from ..messages.kept_out import refused_classes
from ..messages.lane_types import standing_rules, write_use
from ..messages.limit_profile import limit_parts, lowest
from ..messages.names import LANE_TYPES, SHARING_FLAGS
from ..messages.speed_limits import CAR_LIMIT, MAX_STEPS, speed_steps
from ..messages.thinning import thinned
from ..messages.tree import is_plain_name
from .link import unique_key

# 1e-7 degree
OFFSET_FORMS = (
    (1 << 11, "position-LL1"),
    (1 << 13, "position-LL2"),
    (1 << 15, "position-LL3"),
    (1 << 17, "position-LL4"),
    (1 << 21, "position-LL5"),
    (1 << 23, "position-LL6"),
)
TURN_BITS = {"straight": 0, "left": 1, "right": 2, "u": 3}
MAX_NODES, MAX_LINKS, MAX_LANES, MAX_CONNECTIONS_PER_LANE, MAX_POINTS, MAX_TEST_ID = 32, 32, 32, 8, 31, 255
WALKING_SPEED = 1.4  # m/s, the limit that the road of the crosswalks is given
MAX_STOP_TO_END = 0.02  # m; a stop line nearer than this to the end of its lane is at its end
Tree = dict[str, Any]

_limit = partial(limit_error, "YD/T 3709 MAP")


class _Road(NamedTuple):
    """A link as it is written: its lanes in order, and the node it leads to."""

    link: Link
    lanes: list[Lane]
    node: Tree


def number_losses(code: IntersectionCode) -> list[Finding]:
    """Return a line about roads that lead to nodes without a number: test numbers stand for them."""
    links_without_number = [
        link.id for link in code.links if link.role == LinkRole.EGRESS and _ydt_number(code, link.downstream) is None
    ]
    if links_without_number:
        return [
            Finding(
                entity="code",
                field="nodes.alias",
                value=", ".join(links_without_number),
                rule="the nodes these roads lead to have no ydt3709 number: test numbers "
                f"(region 0, id up to {MAX_TEST_ID}) stand for them",
                severity=Severity.WARNING,
                remedy="give those nodes an alias, as ydt3709 10/12",
            )
        ]

    return []


def write_ydt_map(code: IntersectionCode, node: int, *, region: int = 0) -> bytes:
    """Return a MAP in JSON; `node` and `region` are the registry's 16-bit numbers. Raises CodeError naming field and
    limit."""
    return msgspec.json.encode(ydt_tree(code, node, region))


def ydt_tree(code: IntersectionCode, node: int, region: int = 0) -> Tree:
    """Return the MAP as a tree. Raises CodeError."""
    return YdtWriter(code, node, region).tree()


class YdtWriter:
    """Writes one code; after `tree`, `keys` are the names that our reader gives its lanes, `exits` those of lanes that
    stand a second time."""

    def __init__(self, code: IntersectionCode, node: int, region: int = 0) -> None:
        for field, number in (("id", node), ("region", region)):
            if not 0 <= number <= 65_535:
                raise _limit(f"alias.{field}", number, "is 16 bits wide: 0 .. 65535")

        self.code, self.own = code, {"region": region, "id": node}
        self.origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
        self.stops = {line.lane: line.s for line in code.stop_lines}
        self.limits = {name: lowest(parts) for name, parts in limit_parts(code).items()}
        self.reserved = standing_rules(code)
        self.refused = refused_classes(code)
        self.names: set[str] = set()
        self.keys: dict[str, str] = {}
        self.exits: dict[str, str] = {}
        self.incoming_roads, self.outgoing_roads = self._roads()
        self.lane_numbers: dict[str, int] = {}  # of lanes that connections end on
        lanes_of_node: dict[tuple[int, int], int] = {}

        for road in self.outgoing_roads:
            key = (road.node["region"], road.node["id"])
            for lane in road.lanes:
                lanes_of_node[key] = self.lane_numbers[lane.id] = lanes_of_node.get(key, 0) + 1

    def _roads(self) -> tuple[list[_Road], list[_Road]]:
        """Return the roads that lead in, and those that lead out; one that leads out and in again, or back to an
        approach, is among both."""
        entered_lanes = {connection.to_lane for connection in self.code.connections if connection.inner}
        lanes = {
            link.id: sorted((lane for lane in self.code.lanes if lane.link == link.id), key=lambda lane: lane.number)
            for link in self.code.links
        }
        incoming = [_Road(link, lanes[link.id], self.own) for link in self.code.links if link.role == LinkRole.INGRESS]

        candidates = [
            (
                link,
                lanes[link.id]
                if link.role == LinkRole.EGRESS
                else [lane for lane in lanes[link.id] if lane.id in entered_lanes],
            )
            for link in self.code.links
        ]

        outgoing = [(link, link_lanes) for link, link_lanes in candidates if link_lanes]

        return incoming, [
            _Road(link, link_lanes, number)
            for (link, link_lanes), number in zip(outgoing, self._numbers([link for link, _ in outgoing]), strict=True)
        ]

    def _numbers(self, links: list[Link]) -> list[Tree]:
        """Return the number of the node each outgoing road leads to; test numbers where the code has none, or it leads
        back here."""
        numbers: list[Tree] = []
        number_of_node: dict[str, Tree] = {}
        taken_numbers = {(0, self.own["id"])} if self.own["region"] == 0 else set()

        taken_numbers |= {
            (number["region"], number["id"])
            for node in self.code.nodes
            if (number := _ydt_number(self.code, node.id)) is not None
        }

        free_numbers = (index for index in range(MAX_TEST_ID + 1) if (0, index) not in taken_numbers)
        for link in links:
            number = _ydt_number(self.code, link.downstream) if link.role == LinkRole.EGRESS else None
            # The alias of a road that leads back here: no number of a neighbour
            if number == self.own:
                number = None

            if number is None and link.downstream and link.role == LinkRole.EGRESS:
                number = number_of_node.get(link.downstream)

            if number is None:
                test_number = next(free_numbers, None)
                if test_number is None:
                    raise _limit(
                        "nodes.alias", len(links), f"there are {MAX_TEST_ID + 1} test numbers for nodes without one"
                    )
                number = {"region": 0, "id": test_number}

            numbers.append(number)
            if link.role == LinkRole.EGRESS:
                number_of_node[link.downstream] = number

        return numbers

    def tree(self) -> Tree:
        """Return the MAP as a tree. Raises CodeError."""
        code = self.code
        incoming = [self._link(road, leads_in=True) for road in self.incoming_roads]
        if code.crosswalks:
            incoming.append(self._crosswalks())

        if not 1 <= len(incoming) <= MAX_LINKS:
            raise _limit(
                "links", len(incoming), f"a node has 1 .. {MAX_LINKS} roads that lead in (crosswalks are one of them)"
            )

        reference = {"lat": code.ref_lat_e7, "long": code.ref_lon_e7}
        nodes = [
            _name_entry(code.name) | {"id": self.own, "refPos": reference, "inLinks": incoming},
            *self._neighbours(),
        ]
        if len(nodes) > MAX_NODES:
            raise _limit("nodes", len(nodes), f"a MAP holds {MAX_NODES} nodes")

        return {"msgCnt": (code.revision - 1) % 128, "nodes": nodes}

    def _link(self, road: _Road, *, leads_in: bool) -> Tree:
        """Return one road with its lanes. Its limit, for readers that know no other, is the lowest of its lanes."""
        link, lanes = road.link, road.lanes
        if not 1 <= len(lanes) <= MAX_LANES:
            raise _limit(f"{link.id}.lanes", len(lanes), f"a road has 1 .. {MAX_LANES} lanes")

        common_limits = {
            CAR_LIMIT: min(
                [self.limits[lane.id][CAR_LIMIT] for lane in lanes if lane.use != LaneUse.PEDESTRIAN]
                or [self.limits[lanes[0].id][CAR_LIMIT]]
            )
        }

        upstream = (_ydt_number(self.code, link.upstream) or {"region": 0, "id": 0}) if leads_in else self.own

        return _name_entry(link.id) | {
            "upstreamNodeId": upstream,
            "speedLimits": _limits(common_limits),
            "linkWidth": sum(lane.width_cm for lane in lanes),
            "lanes": [
                self._lane(lane, number, road.node, upstream, common_limits, leads_in=leads_in)
                for number, lane in enumerate(lanes, 1)
            ],
        }

    def _lane(
        self, lane: Lane, position: int, node: Tree, upstream: Tree, common_limits: dict[str, float], *, leads_in: bool
    ) -> Tree:
        number = position if leads_in else self.lane_numbers[lane.id]
        key = unique_key(self.names, _node_text(upstream), _node_text(node), number)

        if leads_in or lane.id not in self.keys:
            self.keys[lane.id] = key
        else:
            self.exits[lane.id] = key

        written = write_use(lane, self.reserved[lane.id], self.refused[lane.id])
        flags, size = LANE_TYPES[written.kind]
        attributes: Tree = {"laneType": {written.kind: _bit_text(written.flags, flags, size)}}

        if written.sharing:
            attributes["shareWith"] = _bit_text(written.sharing, SHARING_FLAGS, size=10)

        row: Tree = {"laneID": number, "laneWidth": lane.width_cm, "laneAttributes": attributes}
        connections = (
            [connection for connection in self.code.connections if connection.inner and connection.from_lane == lane.id]
            if leads_in
            else []
        )
        if len(connections) > MAX_CONNECTIONS_PER_LANE:
            raise _limit(
                f"{lane.id}.connections", len(connections), f"a lane has {MAX_CONNECTIONS_PER_LANE} connections at most"
            )

        if connections:
            row["maneuvers"] = _turn_bits({connection.turn for connection in connections})
            row["connectsTo"] = [
                {
                    "remoteIntersection": self._remote(connection.to_lane),
                    "connectingLane": {
                        "lane": self.lane_numbers[connection.to_lane],
                        "maneuver": _turn_bits({connection.turn}),
                    },
                }
                | ({"phaseId": connection.group} if connection.group else {})
                for connection in connections
            ]

        limits = {
            name: speed
            for name, speed in self.limits[lane.id].items()
            if name not in common_limits or speed_steps(speed) != speed_steps(common_limits[name])
        }
        if limits:
            row["speedLimits"] = _limits(limits)

        points = self._points_to_stop(lane) if leads_in else lane.points
        return row | {"points": self._points(f"{lane.id}.points", points)}

    def _points_to_stop(self, lane: Lane) -> tuple[Point, ...]:
        """Return the lane to its stop line: there the standard's lanes end, what is beyond belongs to the movement."""
        (line,) = local_lines(self.origin, [lane.points])
        lengths, s = arc_lengths(line), self.stops.get(lane.id)
        if s is None or s > lengths[-1] - MAX_STOP_TO_END:
            return lane.points

        shortened: F8 = np.concatenate([line[lengths < s], points_along(line, lengths, s)[None]])
        return to_points(self.origin, shortened)

    def _remote(self, lane: str) -> Tree:
        return next(road.node for road in self.outgoing_roads if any(road_lane.id == lane for road_lane in road.lanes))

    def _points(self, field: str, points: tuple[Point, ...]) -> list[Tree]:
        if len(points) > MAX_POINTS:
            (line,) = local_lines(self.origin, [points])
            points = tuple(points[index] for index in thinned(line, MAX_POINTS))

        if not 2 <= len(points) <= MAX_POINTS:
            raise _limit(
                field,
                len(points),
                f"a line has 2 .. {MAX_POINTS} points, also without those within 2 cm of the line through the others",
            )

        return [{"posOffset": {"offsetLL": self._offset(point)}} for point in points]

    def _offset(self, point: Point) -> Tree:
        lat, lon = point[0] - self.code.ref_lat_e7, point[1] - self.code.ref_lon_e7
        kind = next((name for bound, name in OFFSET_FORMS if -bound <= min(lat, lon) and max(lat, lon) < bound), None)
        return {kind: {"lon": lon, "lat": lat}} if kind else {"position-LatLon": {"lon": point[1], "lat": point[0]}}

    def _crosswalks(self) -> Tree:
        """Return the crosswalks as lanes of a road from the node to itself."""
        if len(self.code.crosswalks) > MAX_LANES:
            raise _limit("crosswalks", len(self.code.crosswalks), f"a road has {MAX_LANES} lanes at most")

        lanes = [
            {
                "laneID": number,
                "laneWidth": crosswalk.width_cm,
                "laneAttributes": {"laneType": {"crosswalk": "0" * 16}},
                "points": self._points(f"{crosswalk.id}.axis", crosswalk.axis),
            }
            | (
                {"connectsTo": [{"remoteIntersection": self.own, "phaseId": crosswalk.group}]}
                if crosswalk.group
                else {}
            )
            for number, crosswalk in enumerate(self.code.crosswalks, 1)
        ]

        return {
            "name": "crosswalks",
            "upstreamNodeId": self.own,
            "speedLimits": _limits({CAR_LIMIT: WALKING_SPEED}),
            "linkWidth": max(crosswalk.width_cm for crosswalk in self.code.crosswalks),
            "lanes": lanes,
        }

    def _neighbours(self) -> list[Tree]:
        """Return the nodes that roads lead to, each with the roads from here; they take this node's reference point."""
        reference = {"lat": self.code.ref_lat_e7, "long": self.code.ref_lon_e7}
        nodes: dict[tuple[int, int], Tree] = {}

        for road in self.outgoing_roads:
            node = nodes.setdefault(
                (road.node["region"], road.node["id"]), {"id": road.node, "refPos": reference, "inLinks": []}
            )
            node["inLinks"].append(self._link(road, leads_in=False))

        return list(nodes.values())


def _ydt_number(code: IntersectionCode, node: str) -> Tree | None:
    value = next(
        (
            alias.value
            for code_node in code.nodes
            if code_node.id == node
            for alias in code_node.alias
            if alias.kind == "ydt3709"
        ),
        None,
    )
    if value is None:
        return None

    region, _, number = value.partition("/")
    return {"region": int(region), "id": int(number)}


def _limits(limits: dict[str, float]) -> list[Tree]:
    rows = [{"type": name, "speed": speed_steps(speed)} for name, speed in limits.items()]
    for row in rows:
        if not 0 < int(str(row["speed"])) <= MAX_STEPS:
            raise _limit("speed", limits[str(row["type"])], f"limits are steps of 0.02 m/s, 1 .. {MAX_STEPS}")
    return rows


def _turn_bits(turns: set[str]) -> str:
    return "".join("1" if any(TURN_BITS[turn] == index for turn in turns) else "0" for index in range(12))


def _bit_text(names: tuple[str, ...], all_names: tuple[str, ...], size: int) -> str:
    return "".join("1" if index < len(all_names) and all_names[index] in names else "0" for index in range(size))


def _node_text(node: Tree) -> str:
    return f"{node['region']}/{node['id']}"


def _name_entry(text: str) -> Tree:
    """Return the name of a node or road as an entry; none where the message cannot carry it, for no name is changed
    into another."""
    return {"name": text} if is_plain_name(text) else {}
