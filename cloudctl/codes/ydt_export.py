"""Digital codes -> MAP of YD/T 3709 / T/CSAE 53 in JSON. What does not fit is an error naming field and limit, never a cut.

The profile that goes there and back: incoming and outgoing lanes, their use, width and limit (steps of 0.02 m/s), connections with
turn and signal group, crosswalks. A lane that leads out stands, as the standard wants it, under the node it leads to.
"""

from typing import Any

import msgspec
import numpy as np

from cloudctl.geo import Origin

from .build import globe
from .compile import local_lines
from .findings import Finding, refuse
from .lines import F8, arc, at
from .model import IntersectionCode, Lane, Link, Point

STEPS = ((1 << 11, "position-LL1"), (1 << 13, "position-LL2"), (1 << 15, "position-LL3"), (1 << 17, "position-LL4"),
         (1 << 21, "position-LL5"), (1 << 23, "position-LL6"))  # 1e-7 degree
TURN_BITS = {"straight": 0, "left": 1, "right": 2, "u": 3}
KINDS = {"vehicle": "vehicle", "bus": "vehicle", "bike": "bikeLane", "pedestrian": "sidewalk"}
NODES, LINKS, LANES, JOINS, POINTS, NAME, TEST_IDS = 32, 32, 32, 8, 31, 63, 255
Tree = dict[str, Any]


def map_losses(code: IntersectionCode) -> list[Finding]:
    """Return what such a MAP cannot carry of a code: nothing that an export would refuse, but what a reader will miss."""
    missed = {"conflicts": len(code.conflicts), "plans": len(code.plans), "signal_exceptions": len(code.signal_exceptions), "zones": len(code.zones), "devices": len(code.devices),
              "connections.points": sum(c.inner for c in code.connections), "rules": sum(r.kind != "speed_max" for r in code.rules),
              "links": sum(link.role == "upstream" for link in code.links), "revision": int(code.revision != 1),
              "crosswalks.polygon": sum(bool(walk.polygon) for walk in code.crosswalks)}
    found = [Finding("code", field, str(n), "a MAP of YD/T 3709 has no place for it", "warning", "publish the digital code itself beside the MAP")
             for field, n in missed.items() if n]
    unknown = [link.id for link in code.links if link.role == "egress" and _alias(code, link.downstream) is None]
    if unknown:
        found.append(Finding("code", "nodes.alias", ", ".join(unknown), "the nodes these roads lead to have no ydt3709 number: test numbers "
                             f"(region 0, id up to {TEST_IDS}) stand for them", "warning", "give those nodes an alias, as ydt3709 10/12"))
    return found


def write_ydt_map(code: IntersectionCode, node: int, *, region: int = 0) -> bytes:
    """Return a MAP in JSON; `node` and `region` are the registry's 16-bit numbers. Raises CodeError naming field and limit."""
    return msgspec.json.encode(ydt_tree(code, node, region))


def ydt_tree(code: IntersectionCode, node: int, region: int = 0) -> Tree:
    """Return the MAP as a tree. Raises CodeError."""
    for field, number in (("id", node), ("region", region)):
        if not 0 <= number <= 65_535:
            raise _limit(f"alias.{field}", number, "is 16 bits wide: 0 .. 65535")
    writer = _Writer(code, {"region": region, "id": node})
    inner = [writer.link(link, [lane for lane in code.lanes if lane.link == link.id]) for link in code.links if link.role == "ingress"]
    if code.crosswalks:
        inner.append(writer.crosswalks())
    if not 1 <= len(inner) <= LINKS:
        raise _limit("links", len(inner), f"a node has 1 .. {LINKS} roads that lead in (crosswalks are one of them)")
    ref = {"lat": code.ref_lat_e7, "long": code.ref_lon_e7}
    nodes = [{"name": _name(code.name), "id": writer.own, "refPos": ref, "inLinks": inner}, *writer.neighbours()]
    if len(nodes) > NODES:
        raise _limit("nodes", len(nodes), f"a MAP holds {NODES} nodes")
    return {"msgCnt": (code.revision - 1) % 128, "nodes": nodes}


class _Writer:
    def __init__(self, code: IntersectionCode, own: Tree) -> None:
        self.code, self.own = code, own
        self.origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
        self.stops = {line.lane: line.s for line in code.stop_lines}
        self.out = [link for link in code.links if link.role == "egress"]
        self.numbers = self._numbers()
        self.lane_numbers: dict[str, int] = {}
        used: dict[tuple[int, int], int] = {}
        for link in code.links:
            key = (self.numbers[link.id]["region"], self.numbers[link.id]["id"]) if link.role == "egress" else (-1, len(self.lane_numbers))
            for lane in sorted((x for x in code.lanes if x.link == link.id), key=lambda x: x.number):
                used[key] = self.lane_numbers[lane.id] = used.get(key, 0) + 1

    def _numbers(self) -> dict[str, Tree]:
        """Return the number of the node each outgoing road leads to; test numbers where the code has none."""
        out: dict[str, Tree] = {}
        of_node: dict[str, Tree] = {}
        free = (k for k in range(TEST_IDS + 1) if (0, k) != (self.own["region"], self.own["id"]))
        for link in self.out:
            known = _alias(self.code, link.downstream)
            if known is None and link.downstream and link.downstream in of_node:
                known = of_node[link.downstream]
            out[link.id] = known or {"region": 0, "id": next(free)}
            of_node[link.downstream] = out[link.id]
        return out

    def link(self, link: Link, lanes: list[Lane]) -> Tree:
        """Return one road with its lanes."""
        if not 1 <= len(lanes) <= LANES:
            raise _limit(f"{link.id}.lanes", len(lanes), f"a road has 1 .. {LANES} lanes")
        lanes = sorted(lanes, key=lambda lane: lane.number)
        speeds = [lane.speed for lane in lanes if lane.use != "pedestrian"] or [lanes[0].speed]
        fastest = max(speeds)
        upstream = self.own if link.role == "egress" else (_alias(self.code, link.upstream) or {"region": 0, "id": 0})
        return {"name": _name(link.id), "upstreamNodeId": upstream, "speedLimits": _limits(fastest),
                "linkWidth": sum(lane.width_cm for lane in lanes), "lanes": [self._lane(lane, link, fastest) for lane in lanes]}

    def _lane(self, lane: Lane, link: Link, fastest: float) -> Tree:
        bits = ["0"] * 8
        if lane.revocable:
            bits[0] = "1"
        if lane.use == "bus":
            bits[3] = "1"
        out: Tree = {"laneID": self.lane_numbers[lane.id], "laneWidth": lane.width_cm,
                     "laneAttributes": {"laneType": {KINDS[lane.use]: "".join(bits) if KINDS[lane.use] == "vehicle" else "0" * 16}}}
        joins = [c for c in self.code.connections if c.inner and c.from_lane == lane.id]
        if len(joins) > JOINS:
            raise _limit(f"{lane.id}.connections", len(joins), f"a lane has {JOINS} connections at most")
        if joins:
            out["maneuvers"] = _turns({c.turn for c in joins})
            out["connectsTo"] = [{"remoteIntersection": self._remote(c.to_lane),
                                  "connectingLane": {"lane": self.lane_numbers[c.to_lane], "maneuver": _turns({c.turn})}}
                                 | ({"phaseId": c.group} if c.group else {}) for c in joins]
        if lane.speed != fastest:
            out["speedLimits"] = _limits(lane.speed)
        points = self._to_stop(lane) if link.role == "ingress" else lane.points
        return out | {"points": self._points(f"{lane.id}.points", points)}

    def _to_stop(self, lane: Lane) -> tuple[Point, ...]:
        """Return the lane to its stop line: there the standard's lanes end, what is beyond belongs to the movement."""
        (line,) = local_lines(self.origin, [lane.points])
        along, s = arc(line), self.stops.get(lane.id)
        if s is None or s > along[-1] - 0.02:
            return lane.points
        short: F8 = np.concatenate([line[along < s], at(line, along, s)[None]])
        return globe(self.origin, short)

    def _remote(self, lane: str) -> Tree:
        link = next(x.link for x in self.code.lanes if x.id == lane)
        return self.numbers.get(link, self.own)

    def _points(self, field: str, points: tuple[Point, ...]) -> list[Tree]:
        if not 2 <= len(points) <= POINTS:
            raise _limit(field, len(points), f"a line has 2 .. {POINTS} points")
        return [{"posOffset": {"offsetLL": self._offset(point)}} for point in points]

    def _offset(self, point: Point) -> Tree:
        lat, lon = point[0] - self.code.ref_lat_e7, point[1] - self.code.ref_lon_e7
        kind = next((name for bound, name in STEPS if -bound <= min(lat, lon) and max(lat, lon) < bound), None)
        return {kind: {"lon": lon, "lat": lat}} if kind else {"position-LatLon": {"lon": point[1], "lat": point[0]}}

    def crosswalks(self) -> Tree:
        """Return the crosswalks as lanes of a road from the node to itself."""
        if len(self.code.crosswalks) > LANES:
            raise _limit("crosswalks", len(self.code.crosswalks), f"a road has {LANES} lanes at most")
        lanes = [{"laneID": k, "laneWidth": walk.width_cm, "laneAttributes": {"laneType": {"crosswalk": "0" * 16}},
                  "points": self._points(f"{walk.id}.axis", walk.axis)}
                 | ({"connectsTo": [{"remoteIntersection": self.own, "phaseId": walk.group}]} if walk.group else {})
                 for k, walk in enumerate(self.code.crosswalks, 1)]
        return {"name": "crosswalks", "upstreamNodeId": self.own, "speedLimits": _limits(1.4), "linkWidth": max(w.width_cm for w in self.code.crosswalks), "lanes": lanes}

    def neighbours(self) -> list[Tree]:
        """Return the nodes that roads lead to, each with the road from here; they take this node's reference point."""
        ref = {"lat": self.code.ref_lat_e7, "long": self.code.ref_lon_e7}
        nodes: dict[tuple[int, int], Tree] = {}
        for link in self.out:
            number = self.numbers[link.id]
            node = nodes.setdefault((number["region"], number["id"]), {"id": number, "refPos": ref, "inLinks": []})
            node["inLinks"].append(self.link(link, [lane for lane in self.code.lanes if lane.link == link.id]))
        return list(nodes.values())


def _alias(code: IntersectionCode, node: str) -> Tree | None:
    value = next((a.value for n in code.nodes if n.id == node for a in n.alias if a.kind == "ydt3709"), None)
    if value is None:
        return None
    region, _, number = value.partition("/")
    return {"region": int(region), "id": int(number)}


def _limits(speed: float) -> list[Tree]:
    return [{"type": "vehicleMaxSpeed", "speed": round(speed / 0.02)}]


def _turns(turns: set[str]) -> str:
    return "".join("1" if any(TURN_BITS[turn] == k for turn in turns) else "0" for k in range(12))


def _name(text: str) -> str:
    plain = text.encode("ascii", "replace").decode()
    if len(plain) > NAME:
        raise _limit("name", len(plain), f"a name has {NAME} characters at most")
    return plain or "-"


def _limit(field: str, value: object, rule: str) -> Exception:
    return refuse("YD/T 3709 MAP", "code", field, value, rule, "split the intersection, or publish the digital code itself")
