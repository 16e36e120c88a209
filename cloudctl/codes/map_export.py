"""Digital codes -> MAP of SAE J2735 / ISO 19091 (MAPEM), in UPER. What does not fit is an error naming field and limit, never a cut.

The profile that goes there and back: lanes, their use and width, connections with turn and signal group, crosswalks, one speed limit.
Not carried: paths, conflicts, plans, rules but the limit, stop lines before the end of a lane, and the roads before an approach.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from cloudctl.geo import Origin

from .compile import local_lines
from .findings import Finding, refuse
from .lines import F8
from .model import IntersectionCode, Lane
from .uper import encode, framed, write_pdu
from .versions import wire_revision

STEPS = ((512, "node-XY1"), (1024, "node-XY2"), (2048, "node-XY3"), (4096, "node-XY4"), (8192, "node-XY5"), (32768, "node-XY6"))  # cm
TURN_BITS = {"straight": 0x800, "left": 0x400, "right": 0x200, "u": 0x100}
FARTHEST = 327.0  # m between two nodes, by axis
LANES, NODES, JOINS = 255, 63, 16


def map_losses(code: IntersectionCode) -> list[Finding]:
    """Return what a MAP cannot carry of a code: nothing that an export would refuse, but what a reader will miss."""
    missed = {"conflicts": len(code.conflicts), "plans": len(code.plans), "signal_exceptions": len(code.signal_exceptions), "zones": len(code.zones), "devices": len(code.devices),
              "connections.points": sum(c.inner for c in code.connections), "rules": sum(r.kind != "speed_max" for r in code.rules),
              "links": sum(link.role == "upstream" for link in code.links)}
    return [Finding("code", field, str(n), "a MAP has no place for it", "warning", "publish the digital code itself beside the MAP") for field, n in missed.items() if n]


def write_map(code: IntersectionCode, intersection: int, *, region: int | None = None, frame: bool = False, station: int | None = None) -> bytes:
    """Return a MAP in UPER: bare, in a J2735 frame, or as the MAPEM of a `station`. Raises CodeError naming field and limit.

    `intersection` and `region` are the registry's 16-bit numbers.
    """
    tree = map_tree(code, intersection, region)
    if station is not None:
        return write_pdu("MAPEM", tree, station)
    body = encode("MapData", tree)
    return framed("MapData", body) if frame else body


def map_tree(code: IntersectionCode, intersection: int, region: int | None = None) -> dict[str, Any]:
    """Return the MapData value tree. Raises CodeError."""
    roles = {link.id: link.role for link in code.links}
    lanes = [lane for lane in code.lanes if roles[lane.link] != "upstream"]
    if len(lanes) + len(code.crosswalks) > LANES:
        raise _limit("lanes", len(lanes) + len(code.crosswalks), f"a MAP holds {LANES} lanes and crosswalks")
    numbers = {lane.id: k for k, lane in enumerate(lanes, 1)}
    approaches = {role: {link.id: k for k, link in enumerate((x for x in code.links if x.role == role), 1)} for role in ("ingress", "egress")}
    for role, found in approaches.items():
        if len(found) > 15:
            raise _limit("links", len(found), f"a MAP has 15 approaches at most ({role})")
    origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
    lines = dict(zip(numbers, local_lines(origin, [lane.points for lane in lanes]), strict=True))
    common = _common([lane.width_cm for lane in lanes] + [walk.width_cm for walk in code.crosswalks])
    rows = [_lane(code, lane, numbers, roles[lane.link], approaches[roles[lane.link]][lane.link], lines[lane.id], common) for lane in lanes]
    axes = local_lines(origin, [walk.axis for walk in code.crosswalks])
    rows += [_crosswalk(walk.id, len(lanes) + k, walk.group, axis, walk.width_cm - common)
             for k, (walk, axis) in enumerate(zip(code.crosswalks, axes, strict=True), 1)]
    number = {"id": intersection} if region is None else {"region": region, "id": intersection}
    fastest = max((lane.speed for lane in lanes if lane.use != "pedestrian"), default=13.89)
    row = {"name": code.name.encode("ascii", "replace").decode()[:63] or "-", "id": number, "revision": wire_revision(code),
           "refPoint": {"lat": code.ref_lat_e7, "long": code.ref_lon_e7}, "laneWidth": common,
           "speedLimits": [{"type": "vehicleMaxSpeed", "speed": round(fastest / 0.02)}], "laneSet": rows}
    return {"msgIssueRevision": 0, "layerType": "intersectionData", "layerID": 0, "intersections": [row]}


def _limit(field: str, value: object, rule: str) -> Exception:
    return refuse("MAP", "code", field, value, rule, "split the intersection, or publish the digital code itself")


def _common(widths: list[int]) -> int:
    return max(set(widths), key=lambda width: (widths.count(width), -width))


def _nodes(name: str, line: F8, wider: int) -> tuple[str, list[dict[str, Any]]]:
    """Return the node list: whole cm, each from the one before, so that rounding does not add up; long ways in several steps."""
    line = np.concatenate([line[:1], *(_between(a, b) for a, b in pairwise(line))])
    if not 2 <= len(line) <= NODES:
        raise _limit(f"{name}.points", len(line), f"a MAP holds 2 .. {NODES} nodes a lane")
    if not -512 <= wider <= 511:
        raise _limit(f"{name}.width_cm", wider, "a MAP holds widths within 5.11 m of the common one")
    steps = np.diff(np.rint(line * 100).astype(np.int64), axis=0, prepend=[[0, 0]]).tolist()
    out = []
    for k, (x, y) in enumerate(steps):
        size = next((kind for bound, kind in STEPS if -bound <= min(x, y) and max(x, y) < bound), None)
        if size is None:
            raise _limit(f"{name}.points", f"{x}, {y} cm", "a MAP holds lanes that begin or end within 327.67 m of its reference point")
        out.append({"delta": (size, {"x": x, "y": y})} | ({"attributes": {"dWidth": wider}} if k == 0 and wider else {}))
    return "nodes", out


def _between(a: F8, b: F8) -> F8:
    parts = int(np.abs(b - a).max() // FARTHEST) + 1
    return np.asarray(a + (b - a) * np.arange(1, parts + 1)[:, None] / parts)


def _lane(code: IntersectionCode, lane: Lane, numbers: dict[str, int], role: str, approach: int, line: F8, common: int) -> dict[str, Any]:
    ingress = role == "ingress"
    kind = {"bike": ("bikeLane", (0, 16)), "pedestrian": ("sidewalk", (0, 16))}.get(lane.use)
    bits = (0x80 if lane.revocable else 0) | (0x10 if lane.use == "bus" else 0)
    out: dict[str, Any] = {
        "laneID": numbers[lane.id], "ingressApproach" if ingress else "egressApproach": approach,
        "laneAttributes": {"directionalUse": (2 if ingress else 1, 2), "sharedWith": (0, 10), "laneType": kind or ("vehicle", (bits, 8))},
        "nodeList": _nodes(lane.id, line[::-1] if ingress else line, lane.width_cm - common)}
    joins = [c for c in code.connections if c.inner and c.from_lane == lane.id and c.to_lane in numbers]
    if len(joins) > JOINS:
        raise _limit(f"{lane.id}.connections", len(joins), f"a MAP holds {JOINS} connections a lane")
    if joins:
        out["maneuvers"] = (sum({TURN_BITS[c.turn] for c in joins}), 12)
        out["connectsTo"] = [{"connectingLane": {"lane": numbers[c.to_lane], "maneuver": (TURN_BITS[c.turn], 12)}}
                             | ({"signalGroup": c.group} if c.group else {}) for c in joins]
    return out


def _crosswalk(name: str, number: int, group: int, axis: F8, wider: int) -> dict[str, Any]:
    out: dict[str, Any] = {"laneID": number, "laneAttributes": {"directionalUse": (3, 2), "sharedWith": (0, 10), "laneType": ("crosswalk", (0, 16))},
                           "nodeList": _nodes(name, axis, wider)}
    if group:
        out["connectsTo"] = [{"connectingLane": {"lane": number}, "signalGroup": group}]
    return out
