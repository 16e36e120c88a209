"""Digital codes -> MAP of YD/T 3709 / T/CSAE 53 in JSON. What does not fit is an error naming field and limit, never a cut.

The profile that goes there and back: incoming and outgoing lanes, their use, sharing, width and limits (steps of 0.02 m/s), connections with
turn and signal group, crosswalks. A lane that leads out stands, as the standard wants it, under the node it leads to; so does one that
leads out and in again, a second time. Limits of parts of a lane hold on all of it, at their lowest.
"""

from typing import Any, NamedTuple

import msgspec
import numpy as np

from cloudctl.geo import Origin

from ...compiled.code import local_lines
from ...findings import CodeError, Finding, refuse
from ...model import IntersectionCode, Lane, Link, Point
from ...polylines import F8, arc, at
from ..importing.build import globe
from ..messages.kept_out import kept_out
from ..messages.lane_types import standing_rules, write_use
from ..messages.limit_profile import limit_parts, lowest
from ..messages.speed_limits import CAR, MAX_STEPS, steps
from ..messages.thinning import thinned
from ..messages.tree import LANE_TYPES, SHARING, is_plain_name
from .importer import unique_key

STEPS = (
    (1 << 11, "position-LL1"),
    (1 << 13, "position-LL2"),
    (1 << 15, "position-LL3"),
    (1 << 17, "position-LL4"),
    (1 << 21, "position-LL5"),
    (1 << 23, "position-LL6"),
)  # 1e-7 degree
TURN_BITS = {"straight": 0, "left": 1, "right": 2, "u": 3}
NODES, LINKS, LANES, JOINS, POINTS, TEST_IDS = 32, 32, 32, 8, 31, 255
WALKING = 1.4  # m/s, the limit that the road of the crosswalks is given
END = 0.02  # m; a stop line nearer than this to the end of its lane is at its end
Tree = dict[str, Any]


class _Road(NamedTuple):
    """A link as it is written: its lanes in order, and the node it leads to."""

    link: Link
    lanes: list[Lane]
    node: Tree


def number_losses(code: IntersectionCode) -> list[Finding]:
    """Return a line about roads that lead to nodes without a number: test numbers stand for them."""
    unknown = [link.id for link in code.links if link.role == "egress" and _alias(code, link.downstream) is None]
    return (
        [
            Finding(
                "code",
                "nodes.alias",
                ", ".join(unknown),
                "the nodes these roads lead to have no ydt3709 number: test numbers "
                f"(region 0, id up to {TEST_IDS}) stand for them",
                "warning",
                "give those nodes an alias, as ydt3709 10/12",
            )
        ]
        if unknown
        else []
    )


def write_ydt_map(code: IntersectionCode, node: int, *, region: int = 0) -> bytes:
    """Return a MAP in JSON; `node` and `region` are the registry's 16-bit numbers. Raises CodeError naming field and limit."""
    return msgspec.json.encode(ydt_tree(code, node, region))


def ydt_tree(code: IntersectionCode, node: int, region: int = 0) -> Tree:
    """Return the MAP as a tree. Raises CodeError."""
    return YdtWriter(code, node, region).tree()


class YdtWriter:
    """Writes one code; after `tree`, `keys` are the names that our reader gives its lanes, `exits` those of lanes that stand a second time."""

    def __init__(self, code: IntersectionCode, node: int, region: int = 0) -> None:
        for field, number in (("id", node), ("region", region)):
            if not 0 <= number <= 65_535:
                raise _limit(f"alias.{field}", number, "is 16 bits wide: 0 .. 65535")
        self.code, self.own = code, {"region": region, "id": node}
        self.origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
        self.stops = {line.lane: line.s for line in code.stop_lines}
        self.limits = {name: lowest(parts) for name, parts in limit_parts(code).items()}
        self.reserved = standing_rules(code)
        self.refused = kept_out(code)
        self.names: set[str] = set()
        self.keys: dict[str, str] = {}
        self.exits: dict[str, str] = {}
        self.inner, self.outer = self._roads()
        self.lane_numbers: dict[str, int] = {}  # of lanes that connections end on
        used: dict[tuple[int, int], int] = {}
        for road in self.outer:
            key = (road.node["region"], road.node["id"])
            for lane in road.lanes:
                used[key] = self.lane_numbers[lane.id] = used.get(key, 0) + 1

    def _roads(self) -> tuple[list[_Road], list[_Road]]:
        """Return the roads that lead in, and those that lead out; one that leads out and in again, or back to an approach, is among both."""
        led = {c.to_lane for c in self.code.connections if c.inner}
        lanes = {
            link.id: sorted((x for x in self.code.lanes if x.link == link.id), key=lambda x: x.number)
            for link in self.code.links
        }
        inner = [_Road(link, lanes[link.id], self.own) for link in self.code.links if link.role == "ingress"]
        out = [
            (link, lanes[link.id] if link.role == "egress" else [x for x in lanes[link.id] if x.id in led])
            for link in self.code.links
        ]
        outer = [(link, found) for link, found in out if found]
        return inner, [
            _Road(link, found, number)
            for (link, found), number in zip(outer, self._numbers([link for link, _ in outer]), strict=True)
        ]

    def _numbers(self, links: list[Link]) -> list[Tree]:
        """Return the number of the node each outgoing road leads to; test numbers where the code has none, or it leads back here."""
        out: list[Tree] = []
        of_node: dict[str, Tree] = {}
        taken = {(0, self.own["id"])} if self.own["region"] == 0 else set()
        taken |= {
            (known["region"], known["id"])
            for node in self.code.nodes
            if (known := _alias(self.code, node.id)) is not None
        }
        free = (k for k in range(TEST_IDS + 1) if (0, k) not in taken)
        for link in links:
            known = _alias(self.code, link.downstream) if link.role == "egress" else None
            if known == self.own:
                known = None
            if known is None and link.downstream and link.role == "egress":
                known = of_node.get(link.downstream)
            if known is None:
                number = next(free, None)
                if number is None:
                    raise _limit(
                        "nodes.alias", len(links), f"there are {TEST_IDS + 1} test numbers for nodes without one"
                    )
                known = {"region": 0, "id": number}
            out.append(known)
            if link.role == "egress":
                of_node[link.downstream] = known
        return out

    def tree(self) -> Tree:
        """Return the MAP as a tree. Raises CodeError."""
        code = self.code
        inner = [self._link(road, leads_in=True) for road in self.inner]
        if code.crosswalks:
            inner.append(self._crosswalks())
        if not 1 <= len(inner) <= LINKS:
            raise _limit(
                "links", len(inner), f"a node has 1 .. {LINKS} roads that lead in (crosswalks are one of them)"
            )
        ref = {"lat": code.ref_lat_e7, "long": code.ref_lon_e7}
        nodes = [_named(code.name) | {"id": self.own, "refPos": ref, "inLinks": inner}, *self._neighbours()]
        if len(nodes) > NODES:
            raise _limit("nodes", len(nodes), f"a MAP holds {NODES} nodes")
        return {"msgCnt": (code.revision - 1) % 128, "nodes": nodes}

    def _link(self, road: _Road, *, leads_in: bool) -> Tree:
        """Return one road with its lanes. Its limit, for readers that know no other, is the lowest of its lanes."""
        link, lanes = road.link, road.lanes
        if not 1 <= len(lanes) <= LANES:
            raise _limit(f"{link.id}.lanes", len(lanes), f"a road has 1 .. {LANES} lanes")
        common = {
            CAR: min(
                [self.limits[lane.id][CAR] for lane in lanes if lane.use != "pedestrian"]
                or [self.limits[lanes[0].id][CAR]]
            )
        }
        upstream = (_alias(self.code, link.upstream) or {"region": 0, "id": 0}) if leads_in else self.own
        return _named(link.id) | {
            "upstreamNodeId": upstream,
            "speedLimits": _limits(common),
            "linkWidth": sum(lane.width_cm for lane in lanes),
            "lanes": [
                self._lane(lane, k, road.node, upstream, common, leads_in=leads_in) for k, lane in enumerate(lanes, 1)
            ],
        }

    def _lane(
        self, lane: Lane, place: int, node: Tree, upstream: Tree, common: dict[str, float], *, leads_in: bool
    ) -> Tree:
        number = place if leads_in else self.lane_numbers[lane.id]
        key = unique_key(self.names, _text(upstream), _text(node), number)
        if leads_in or lane.id not in self.keys:
            self.keys[lane.id] = key
        else:
            self.exits[lane.id] = key
        use = write_use(lane, self.reserved[lane.id], self.refused[lane.id])
        flags, size = LANE_TYPES[use.kind]
        attributes: Tree = {"laneType": {use.kind: _bit_text(use.flags, flags, size)}}
        if use.sharing:
            attributes["shareWith"] = _bit_text(use.sharing, SHARING, 10)
        out: Tree = {"laneID": number, "laneWidth": lane.width_cm, "laneAttributes": attributes}
        joins = [c for c in self.code.connections if c.inner and c.from_lane == lane.id] if leads_in else []
        if len(joins) > JOINS:
            raise _limit(f"{lane.id}.connections", len(joins), f"a lane has {JOINS} connections at most")
        if joins:
            out["maneuvers"] = _turns({c.turn for c in joins})
            out["connectsTo"] = [
                {
                    "remoteIntersection": self._remote(c.to_lane),
                    "connectingLane": {"lane": self.lane_numbers[c.to_lane], "maneuver": _turns({c.turn})},
                }
                | ({"phaseId": c.group} if c.group else {})
                for c in joins
            ]
        limits = {
            name: speed
            for name, speed in self.limits[lane.id].items()
            if name not in common or steps(speed) != steps(common[name])
        }
        if limits:
            out["speedLimits"] = _limits(limits)
        points = self._to_stop(lane) if leads_in else lane.points
        return out | {"points": self._points(f"{lane.id}.points", points)}

    def _to_stop(self, lane: Lane) -> tuple[Point, ...]:
        """Return the lane to its stop line: there the standard's lanes end, what is beyond belongs to the movement."""
        (line,) = local_lines(self.origin, [lane.points])
        along, s = arc(line), self.stops.get(lane.id)
        if s is None or s > along[-1] - END:
            return lane.points
        short: F8 = np.concatenate([line[along < s], at(line, along, s)[None]])
        return globe(self.origin, short)

    def _remote(self, lane: str) -> Tree:
        return next(road.node for road in self.outer if any(x.id == lane for x in road.lanes))

    def _points(self, field: str, points: tuple[Point, ...]) -> list[Tree]:
        if len(points) > POINTS:
            (line,) = local_lines(self.origin, [points])
            points = tuple(points[k] for k in thinned(line, POINTS))
        if not 2 <= len(points) <= POINTS:
            raise _limit(
                field,
                len(points),
                f"a line has 2 .. {POINTS} points, also without those within 2 cm of the line through the others",
            )
        return [{"posOffset": {"offsetLL": self._offset(point)}} for point in points]

    def _offset(self, point: Point) -> Tree:
        lat, lon = point[0] - self.code.ref_lat_e7, point[1] - self.code.ref_lon_e7
        kind = next((name for bound, name in STEPS if -bound <= min(lat, lon) and max(lat, lon) < bound), None)
        return {kind: {"lon": lon, "lat": lat}} if kind else {"position-LatLon": {"lon": point[1], "lat": point[0]}}

    def _crosswalks(self) -> Tree:
        """Return the crosswalks as lanes of a road from the node to itself."""
        if len(self.code.crosswalks) > LANES:
            raise _limit("crosswalks", len(self.code.crosswalks), f"a road has {LANES} lanes at most")
        lanes = [
            {
                "laneID": k,
                "laneWidth": walk.width_cm,
                "laneAttributes": {"laneType": {"crosswalk": "0" * 16}},
                "points": self._points(f"{walk.id}.axis", walk.axis),
            }
            | ({"connectsTo": [{"remoteIntersection": self.own, "phaseId": walk.group}]} if walk.group else {})
            for k, walk in enumerate(self.code.crosswalks, 1)
        ]
        return {
            "name": "crosswalks",
            "upstreamNodeId": self.own,
            "speedLimits": _limits({CAR: WALKING}),
            "linkWidth": max(w.width_cm for w in self.code.crosswalks),
            "lanes": lanes,
        }

    def _neighbours(self) -> list[Tree]:
        """Return the nodes that roads lead to, each with the roads from here; they take this node's reference point."""
        ref = {"lat": self.code.ref_lat_e7, "long": self.code.ref_lon_e7}
        nodes: dict[tuple[int, int], Tree] = {}
        for road in self.outer:
            node = nodes.setdefault(
                (road.node["region"], road.node["id"]), {"id": road.node, "refPos": ref, "inLinks": []}
            )
            node["inLinks"].append(self._link(road, leads_in=False))
        return list(nodes.values())


def _alias(code: IntersectionCode, node: str) -> Tree | None:
    value = next((a.value for n in code.nodes if n.id == node for a in n.alias if a.kind == "ydt3709"), None)
    if value is None:
        return None
    region, _, number = value.partition("/")
    return {"region": int(region), "id": int(number)}


def _limits(limits: dict[str, float]) -> list[Tree]:
    out = [{"type": name, "speed": steps(speed)} for name, speed in limits.items()]
    for row in out:
        if not 0 < int(str(row["speed"])) <= MAX_STEPS:
            raise _limit("speed", limits[str(row["type"])], f"limits are steps of 0.02 m/s, 1 .. {MAX_STEPS}")
    return out


def _turns(turns: set[str]) -> str:
    return "".join("1" if any(TURN_BITS[turn] == k for turn in turns) else "0" for k in range(12))


def _bit_text(names: tuple[str, ...], order: tuple[str, ...], size: int) -> str:
    return "".join("1" if k < len(order) and order[k] in names else "0" for k in range(size))


def _text(node: Tree) -> str:
    return f"{node['region']}/{node['id']}"


def _named(text: str) -> Tree:
    """Return the name of a node or road as an entry; none where the message cannot carry it, for no name is changed into another."""
    return {"name": text} if is_plain_name(text) else {}


def _limit(field: str, value: object, rule: str) -> CodeError:
    return refuse(
        "YD/T 3709 MAP", "code", field, value, rule, "split the intersection, or publish the digital code itself"
    )
