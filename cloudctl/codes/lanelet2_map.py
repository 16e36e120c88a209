"""Reading a Lanelet2 map in OSM XML: lanelets with their middle lines in metres, regulatory elements, stop lines, crosswalks."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import numpy as np

from cloudctl.geo import Origin

from .findings import refuse
from .lines import F8, arc, at
from .model import Point
from .report import Loss
from .sumo_net import E_TOWN

USES = {"road": "vehicle", "highway": "vehicle", "bus_lane": "bus", "bicycle_lane": "bike", "play_street": "vehicle", "": "vehicle"}
JOINED = 0.8  # m between the ends of two lanelets that follow each other
UNPLACED = 0.5  # degrees about 0, 0 within which a map is taken not to be placed on the globe
SIDE_BY_SIDE = 9.0  # m between the two edges of a crosswalk
KMH = re.compile(r"(\d+(?:\.\d+)?)\s*(km/?h|mph|m/?s)?", re.IGNORECASE)
UNIT = {"": 3.6, "kmh": 3.6, "km/h": 3.6, "mph": 2.236936, "ms": 1.0, "m/s": 1.0}


@dataclass
class Lanelet:
    """One lanelet, bounds and middle in driving direction, metres of the map's origin."""

    id: str
    name: str
    subtype: str
    left: F8
    right: F8
    middle: F8
    width_m: float
    speed: float | None
    rules: list[str]  # regulatory elements it names
    before: list["Lanelet"] = field(default_factory=list)
    after: list["Lanelet"] = field(default_factory=list)


@dataclass
class Lights:
    """A traffic light element: its stop lines, and the names of its heads."""

    id: str
    names: list[str]
    lines: list[F8]


@dataclass
class LaneletMap:
    """What a map holds."""

    origin: Origin
    lanelets: list[Lanelet]
    walks: list[tuple[str, F8, float]]  # id, axis, width m
    lights: list[Lights]
    stop_lines: list[F8]
    losses: set[Loss]


def read_lanelet2(data: bytes, zero: Point | None) -> LaneletMap:
    """Return a map; `zero` is where its 0, 0 lies, for a map that is not placed. Raises CodeError."""
    try:
        root = ET.fromstring(data)
        nodes = {n.get("id", ""): (float(n.get("lat", "nan")), float(n.get("lon", "nan"))) for n in root.iter("node")}
    except (ET.ParseError, ValueError) as error:
        raise refuse("Lanelet2", "file", "XML", f"{len(data)} bytes", f"cannot be read ({error})", "export the map again") from None
    for name, (lat, lon) in nodes.items():
        if not (abs(lat) < 88 and abs(lon) <= 180):  # also what is no number
            raise refuse("Lanelet2", f"node {name}", "lat, lon", f"{lat}, {lon}", "must be degrees, within 88 of latitude and 180 of longitude", "correct the map")
    if not nodes:
        raise refuse("Lanelet2", "file", "nodes", 0, "holds no node", "export the map with its points")
    losses: set[Loss] = set()
    origin, place = _origin(nodes, zero, losses)
    table = np.array(list(nodes.values()))
    xy = dict(zip(nodes, np.stack(origin.to_local(table[:, 0], table[:, 1]), axis=1), strict=True))
    ways, tags = {}, {}
    for way in root.iter("way"):
        points = [xy[n.get("ref", "")] for n in way.iter("nd") if n.get("ref") in xy]
        if len(points) > 1:
            ways[way.get("id", "")], tags[way.get("id", "")] = np.array(points), _tags(way)
    out = LaneletMap(place, [], [], [], [ways[k] for k in ways if tags[k].get("type") == "stop_line"], losses)
    speeds: dict[str, float] = {}
    for relation in root.iter("relation"):
        _element(out, relation, ways, tags, speeds)
    for relation in root.iter("relation"):
        if _tags(relation).get("type") == "lanelet":
            _lanelet(out, relation, ways, speeds)
    _zebras(out, {k: ways[k] for k in ways if tags[k].get("type") == "zebra"})
    _join(out.lanelets)
    _turned(out)
    return out


def _tags(element: ET.Element) -> dict[str, str]:
    return {tag.get("k", ""): tag.get("v", "") for tag in element.findall("tag")}


def _origin(nodes: dict[str, tuple[float, float]], zero: Point | None, losses: set[Loss]) -> tuple[Origin, Origin]:
    """Return the origin of the map's own coordinates, and where it lies."""
    lat, lon = np.array(list(nodes.values())).T
    if zero is None and max(abs(lat).max(), abs(lon).max()) > UNPLACED:
        middle = Origin(round(float(lat.mean()), 7), round(float(lon.mean()), 7))
        return middle, middle
    if zero is None:
        losses.add(Loss("guessed", "map", f"lies about latitude and longitude 0: laid at {E_TOWN.lat}, {E_TOWN.lon}; say where it is with --at"))
    return Origin(0.0, 0.0), E_TOWN if zero is None else Origin(zero[0] / 1e7, zero[1] / 1e7)


def _members(relation: ET.Element, role: str) -> list[str]:
    return [m.get("ref", "") for m in relation.findall("member") if m.get("role") == role]


def _element(out: LaneletMap, relation: ET.Element, ways: dict[str, F8], tags: dict[str, dict[str, str]], speeds: dict[str, float]) -> None:
    said, name = _tags(relation), relation.get("id", "")
    if said.get("type") != "regulatory_element":
        return
    if said.get("subtype") == "traffic_light":
        heads = [tags[k].get("name", k) for k in _members(relation, "refers") if k in tags]
        out.lights.append(Lights(name, heads, [ways[k] for k in _members(relation, "ref_line") if k in ways]))
    elif said.get("subtype") == "speed_limit":
        sign = said.get("sign_type", "")
        speed = _speed(sign.rpartition("-")[2] if "-" in sign else sign)
        if speed is not None:
            speeds[name] = speed
    elif said.get("subtype") != "right_of_way":
        out.losses.add(Loss("dropped", f"element {name}", f"regulatory element {said.get('subtype') or 'without subtype'} is not read"))
    else:
        out.losses.add(Loss("dropped", f"element {name}", "right of way is not read: who yields follows the turns"))


def _speed(text: str) -> float | None:
    found = KMH.fullmatch(text.strip())
    return round(float(found[1]) / UNIT[(found[2] or "").lower()], 2) if found else None


def _lanelet(out: LaneletMap, relation: ET.Element, ways: dict[str, F8], speeds: dict[str, float]) -> None:
    said, name = _tags(relation), relation.get("id", "")
    bounds = [[ways[k] for k in _members(relation, side) if k in ways] for side in ("left", "right")]
    if not all(bounds):
        out.losses.add(Loss("dropped", f"lanelet {said.get('name') or name}", "has no left or no right bound"))
        return
    left, right = _along(_whole(bounds[0]), _whole(bounds[1]))
    n = max(len(left), len(right), 12)
    a, b = (at(line, arc(line), np.linspace(0, arc(line)[-1], n)) for line in (left, right))
    middle, width = (a + b) / 2, float(np.median(np.hypot(*(a - b).T)))
    if said.get("subtype") == "crosswalk":
        out.walks.append((said.get("name") or name, middle[[0, -1]], width))
        return
    if said.get("subtype", "") not in USES:
        out.losses.add(Loss("dropped", f"lanelet {said.get('name') or name}", f"{said['subtype']} is no lane to drive on"))
        return
    rules = _members(relation, "regulatory_element")
    speed = _speed(said.get("speed_limit", "")) or next((speeds[r] for r in rules if r in speeds), None)
    out.lanelets.append(Lanelet(name, said.get("name") or name, said.get("subtype", ""), left, right, middle, width, speed, rules))


def _whole(lines: list[F8]) -> F8:
    """Return lines that follow each other as one, turned so that they join."""
    out = lines[0]
    for line in lines[1:]:
        ends = [np.hypot(*(p - q)) for p, q in ((out[-1], line[0]), (out[-1], line[-1]), (out[0], line[0]), (out[0], line[-1]))]
        k = int(np.argmin(ends))
        out = out[::-1] if k > 1 else out
        out = np.concatenate([out, (line[::-1] if k % 2 else line)[1:]])
    return out


def _along(left: F8, right: F8) -> tuple[F8, F8]:
    """Return both bounds in driving direction: alike, with the left one on the left."""
    same = np.hypot(*(left[0] - right[0])) + np.hypot(*(left[-1] - right[-1]))
    if np.hypot(*(left[0] - right[-1])) + np.hypot(*(left[-1] - right[0])) < same:
        right = right[::-1]
    ring = np.concatenate([right, left[::-1]])  # anticlockwise when the left bound is on the left
    x, y = ring.T
    area = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    return (left, right) if area > 0 else (left[::-1], right[::-1])


def _zebras(out: LaneletMap, lines: dict[str, F8]) -> None:
    """Add the crosswalks of closed outlines, and of pairs of edges side by side; an axis runs along the long side."""
    edges = []
    for name, line in lines.items():
        if len(line) > 3 and np.hypot(*(line[0] - line[-1])) < 0.01:
            corners = line[:-1]
            middle = corners.mean(axis=0)
            axis = np.linalg.svd(corners - middle)[2][0]
            along, across = (corners - middle) @ axis, (corners - middle) @ np.array([-axis[1], axis[0]])
            out.walks.append((name, np.array([middle + axis * along.min(), middle + axis * along.max()]), float(np.ptp(across))))
        else:
            edges.append((name, line[[0, -1]]))
    pairs = sorted((far, a, b) for k, a in enumerate(edges) for b in edges[k + 1:] if (far := _between(a[1], b[1])) is not None)
    used: set[str] = set()
    for far, (a, one), (b, other) in pairs:
        if used & {a, b}:
            continue
        used |= {a, b}
        if np.hypot(*(one[0] - other[0])) > np.hypot(*(one[0] - other[1])):
            other = other[::-1]
        out.walks.append((f"{a} {b}", (one + other) / 2, far))
        out.losses.add(Loss("guessed", f"zebra {a}", f"is one edge of a crosswalk: its other edge is {b}"))
    for name, _ in edges:
        if name not in used:
            out.losses.add(Loss("dropped", f"zebra {name}", "is an edge without another beside it"))


def _between(a: F8, b: F8) -> float | None:
    """Return m between two edges that run side by side, None for others."""
    d, e = a[1] - a[0], b[1] - b[0]
    far = float(np.hypot(*(b.mean(axis=0) - a.mean(axis=0))))
    sine = abs(float(d[0] * e[1] - d[1] * e[0])) / max(float(np.hypot(*d) * np.hypot(*e)), 1e-9)
    return far if sine < 0.3 and far < SIDE_BY_SIDE else None


def _turned(out: LaneletMap) -> None:
    """Turn a lanelet whose bounds are exchanged: it joins nothing as it is, and something the other way about."""
    for x in out.lanelets:
        if x.before or x.after:
            continue
        left, right = x.right[::-1], x.left[::-1]
        if any(y is not x and (_meets(left, right, y.left, y.right) or _meets(y.left, y.right, left, right)) for y in out.lanelets):
            x.left, x.right, x.middle = left, right, x.middle[::-1]
            for y in out.lanelets:
                y.before, y.after = [], []
            _join(out.lanelets)
            out.losses.add(Loss("repaired", f"lanelet {x.name}", "left and right bound were exchanged: it joins its neighbours the other way about"))


def _meets(left: F8, right: F8, left_of_next: F8, right_of_next: F8) -> bool:
    return bool(np.hypot(*(left[-1] - left_of_next[0])) < JOINED and np.hypot(*(right[-1] - right_of_next[0])) < JOINED)


def _join(lanelets: list[Lanelet]) -> None:
    """Find which lanelets follow which: both bounds end where both bounds begin."""
    for a in lanelets:
        for b in lanelets:
            if a is not b and _meets(a.left, a.right, b.left, b.right):
                a.after.append(b)
                b.before.append(a)
