"""OpenDRIVE maps -> digital codes: one for each junction whose movements cross.

Movements are the connecting roads of the junction; lanes are those of the roads beside it, that road long. A light (dynamic signal)
is one signal group: the format does not say which lights always show the same.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pyproj

from cloudctl.geo import Origin

from .build import NO_ADM, RawCode, RawLane, RawMove, build
from .clusters import approaches, crossing, unit
from .findings import CodeError, refuse
from .lines import F8
from .model import Alias, Point
from .opendrive_road import Road, number, read_road
from .report import Imported, Loss
from .sumo_net import E_TOWN

USES = {**dict.fromkeys(("driving", "entry", "exit", "onRamp", "offRamp", "connectingRamp", "slipLane", "bidirectional", "taxi", "HOV"), "vehicle"),
        "bus": "bus", "biking": "bike"}
ARROWS = {"10": ("left",), "20": ("right",), "30": ("straight",), "40": ("straight", "left"), "50": ("straight", "right")}  # of lights with arrows
SPEED, LEAST, NEAR = 13.89, 0.3, 60.0  # m/s, m, m
Place = Callable[[F8], F8]


def import_opendrive(data: bytes, *, adm: str = NO_ADM, zero: Point | None = None) -> Imported:
    """Return the codes of a map; `zero` is where its 0, 0 lies, for a map without geoReference. Raises CodeError."""
    try:
        root = ET.fromstring(data)
        roads = {road.id: road for road in map(read_road, root.iter("road"))}
        losses: set[Loss] = set()
        place = _place(root, zero, losses)
        found = [_Junction(j, roads, place) for j in root.iter("junction")]
        raws = [raw for junction in found for raw in junction.code(root)]
    except CodeError:
        raise
    except (ET.ParseError, IndexError, KeyError, OverflowError, ValueError, TypeError, StopIteration, pyproj.exceptions.CRSError) as error:
        raise refuse("OpenDRIVE", "file", "elements", f"{error!r}", "must be OpenDRIVE of 1.4 to 1.8", "export the map again, and check it with its own tool") from None
    for junction in found:
        losses |= junction.losses
    if not raws:
        raise refuse("OpenDRIVE", "file", "junction", len(found), "has no junction whose movements cross", "give a map with a junction; roads alone make no intersection")
    codes = [build(raw, adm, k) for k, raw in enumerate(raws, 1)]
    return Imported(codes, "OpenDRIVE", losses.union(*(raw.losses for raw in raws)))


def _place(root: ET.Element, zero: Point | None, losses: set[Loss]) -> Place:
    """Return what makes degrees (lat, lon) of the map's x, y."""
    text = (root.findtext("header/geoReference") or "").strip()
    offset = root.find("header/offset")
    move = np.zeros(2) if offset is None else np.array([number(offset, "x"), number(offset, "y")])
    if text and zero is None:
        projection = pyproj.Transformer.from_crs(pyproj.CRS(text), "EPSG:4326", always_xy=True)

        def on_globe(xy: F8) -> F8:
            lon, lat = projection.transform(*(xy + move).T)
            return np.stack([lat, lon], axis=1)

        return on_globe
    if zero is None:
        losses.add(Loss("guessed", "map", f"has no geoReference: laid at {E_TOWN.lat}, {E_TOWN.lon}; say where it is with --at"))
    origin = E_TOWN if zero is None else Origin(zero[0] / 1e7, zero[1] / 1e7)
    return lambda xy: np.stack(origin.to_geodetic(xy[:, 0], xy[:, 1]), axis=1)


class _Junction:
    def __init__(self, element: ET.Element, roads: dict[str, Road], place: Place) -> None:
        self.element, self.roads, self.place = element, roads, place
        self.name: str = element.get("name") or element.get("id") or "junction"
        self.losses: set[Loss] = set()
        self.ends: dict[str, tuple[Road, int, F8, str, float, float | None, bool]] = {}  # key -> road, lane, line, use, width, speed, ingress
        self.moves: list[tuple[str, str, F8, str, Road, int]] = []  # start, end, line, turn, connecting road, lane

    def code(self, root: ET.Element) -> Iterator[RawCode]:
        """Yield the code, if the junction's movements cross."""
        for connection in self.element.iterfind("connection"):
            for link in connection.iterfind("laneLink"):
                self._move(connection, int(number(link, "from")), int(number(link, "to")))
        if not any(crossing(a[2], b[2]) for a, b in combinations(self.moves, 2) if a[0] != b[0] and a[1] != b[1]):
            self.losses.add(Loss("dropped", f"junction {self.name}", "no two movements cross: a fork or a merge, no intersection"))
            return
        middle = np.mean([m[2].mean(axis=0) for m in self.moves], axis=0)
        (lat, lon), = self.place(middle[None])
        ref = round(lat * 1e7), round(lon * 1e7)
        origin = Origin(ref[0] / 1e7, ref[1] / 1e7)

        def local(xy: F8) -> F8:
            table = self.place(xy)
            return np.stack(origin.to_local(table[:, 0], table[:, 1]), axis=1)

        raw = RawCode(self.name, ref, alias=(Alias("opendrive", self.element.get("id", "")),))
        self._lanes(raw, local)
        groups = _Groups(self, raw)
        for start, end, line, turn, road, lane in self.moves:
            raw.moves.append(RawMove(start, end, groups.of(start, turn, road, lane), turn, local(line), alias=(Alias("opendrive", f"{road.id}/{lane}"),)))
        self._walks(raw, root, local, middle)
        if self.element.find("priority") is not None:
            raw.losses.add(Loss("dropped", raw.name, "junction priorities are not read: who yields follows the turns"))
        yield raw

    def _move(self, connection: ET.Element, start: int, to: int) -> None:
        incoming, through = (self.roads.get(connection.get(key, "")) for key in ("incomingRoad", "connectingRoad"))
        if incoming is None or through is None:
            self.losses.add(Loss("dropped", f"junction {self.name}", f"connection {connection.get('id')} names a road that is not there"))
            return
        at_start = connection.get("contactPoint", "start") == "start"
        chain = through.chain(to, not at_start)
        kind, there, contact = through.link("successor" if at_start else "predecessor")
        if not chain or kind != "road" or there not in self.roads:
            self.losses.add(Loss("dropped", f"junction {self.name}", f"connecting road {through.id} leads to no road"))
            return
        last = (chain[-1] if at_start else chain[0])[1]
        onto = last.after if at_start else last.before
        if last.kind not in USES:
            self.losses.add(Loss("dropped", f"junction {self.name}", f"lanes of type {last.kind} are no lanes to drive on"))
            return
        if not any(number(w, "a") for lane in through.element.iter("lane") for w in lane.iterfind("width")):
            self.losses.add(Loss("guessed", f"junction {self.name}", f"connecting road {through.id} has lanes without width"))
        begin = self._end(incoming, start, incoming.forward(start), True)
        end = self._end(self.roads[there], onto if onto is not None else to, contact == "end", False)
        if begin is None or end is None:
            self.losses.add(Loss("dropped", f"junction {self.name}", f"connecting road {through.id}, lane {to}: the lane before or after it is not there"))
            return
        line = through.line(chain)
        if through.forward(to) != at_start:
            line = line[::-1].copy()
        self.moves.append((begin, end, line, _turn(line), through, to))

    def _end(self, road: Road, lane: int, at_end: bool, ingress: bool) -> str | None:
        """Return the key of a road's lane, taken in from one end of the road."""
        key = f"{'in' if ingress else 'out'} {road.id}/{lane}"
        if key not in self.ends:
            chain = road.chain(lane, at_end)
            if not chain or chain[-1 if at_end else 0][1].kind not in USES:
                return None
            section, found = chain[-1 if at_end else 0]
            width = road.width(section, found, section.end - 1e-6 if at_end else section.start)
            line = road.line(chain)
            if ingress != (road.forward(lane) == at_end):
                line = line[::-1].copy()
            if width < LEAST or len(line) < 2:
                return None
            self.ends[key] = (road, lane, line, USES[found.kind], width, found.speed or road.speed, ingress)
        return key

    def _lanes(self, raw: RawCode, local: Callable[[F8], F8]) -> None:
        lines = {key: local(row[2]) for key, row in self.ends.items()}
        of: dict[str, str] = {}
        for ingress in (True, False):
            tips = [(key, *((lines[key][-1], unit(lines[key][-1] - lines[key][-2])) if ingress else (lines[key][0], unit(lines[key][1] - lines[key][0]))))
                    for key, row in self.ends.items() if row[6] is ingress]
            of |= approaches(tips)
        for key, (road, lane, _, use, width, speed, ingress) in self.ends.items():
            if speed is None:
                raw.losses.add(Loss("guessed", raw.name, f"road {road.id} has no speed limit: 50 km/h"))
            raw.lanes.append(RawLane(key, lines[key], "ingress" if ingress else "egress", of[key], use, round(width * 100), speed or SPEED,
                                     alias=(Alias("opendrive", f"{road.id}/{lane}"),)))

    def _walks(self, raw: RawCode, root: ET.Element, local: Callable[[F8], F8], middle: F8) -> None:
        for element in root.iter("road"):
            for item in element.iterfind("objects/object"):
                if item.get("type") != "crosswalk":
                    continue
                corners = _outline(self.roads[element.get("id", "")], item)
                if len(corners) < 3:
                    raw.losses.add(Loss("dropped", raw.name, f"crosswalk {item.get('id')} has no outline"))
                elif np.hypot(*(corners.mean(axis=0) - middle)) < NEAR:
                    centre = corners.mean(axis=0)
                    axis = np.linalg.svd(corners - centre)[2][0]
                    along, across = (corners - centre) @ axis, (corners - centre) @ np.array([-axis[1], axis[0]])
                    raw.walks.append((local(np.array([centre + axis * along.min(), centre + axis * along.max()])), round(float(np.ptp(across)) * 100), 0,
                                      (Alias("opendrive", item.get("id", "")),)))
        if raw.walks:
            raw.losses.add(Loss("guessed", raw.name, "crosswalks have no signal group: the map says of none"))


class _Groups:
    """Signal groups of a junction: one a light; a movement has the light on its own road, or that of its lane and turn."""

    def __init__(self, junction: _Junction, raw: RawCode) -> None:
        self.junction, self.raw, self.numbers = junction, raw, dict[str, int]()
        self.lights = {s.get("id", ""): s for road in junction.roads.values() for s in road.element.iterfind("signals/signal") if s.get("dynamic") == "yes"}

    def of(self, start: str, turn: str, road: Road, lane: int) -> int:
        """Return the group of a movement, 0 for none."""
        before, before_lane = self.junction.ends[start][:2]
        found = self._on(road, lane) or self._on(before, before_lane)
        fits = [s for s in found if turn in ARROWS.get(s.get("subtype", ""), (turn,))]
        if not fits:
            return 0
        if len(fits) > 1:
            self.raw.losses.add(Loss("guessed", self.raw.name, f"lane {before.id}/{before_lane} has several lights for {turn}: the first is taken"))
        name = fits[0].get("id", "")
        if name not in self.numbers:
            said = re.search(r"(\d+)\s*$", name)
            wanted = int(said[1]) + 1 if said and int(said[1]) < 255 else 0
            self.numbers[name] = wanted if wanted and wanted not in self.numbers.values() else next(k for k in range(1, 1000) if k not in self.numbers.values())
            self.raw.losses.add(Loss("guessed", self.raw.name, "each light is a signal group of its own: the format does not say which always show the same"))
        return self.numbers[name]

    def _on(self, road: Road, lane: int) -> list[ET.Element]:
        out = []
        for item in (*road.element.iterfind("signals/signal"), *road.element.iterfind("signals/signalReference")):
            light = self.lights.get(item.get("id", ""))
            valid = [(int(number(v, "fromLane")), int(number(v, "toLane"))) for v in item.iterfind("validity")]
            along = item.get("orientation", "none")
            if light is None or (along in "+-" and (along == "+") != road.forward(lane)):
                continue
            if not valid or any(min(span) <= lane <= max(span) for span in valid):
                out.append(light)
        return out


def _outline(road: Road, item: ET.Element) -> F8:
    """Return the corners of an object in the map's x, y."""
    s, t, turn = number(item, "s"), number(item, "t"), number(item, "hdg")
    local = [(number(c, "u"), number(c, "v")) for c in item.iter("cornerLocal")]
    if local:
        h = road.heading(s) + turn
        u, v = np.array(local).T
        return np.asarray(road.place(np.array([s]), np.array([t])) + np.stack([u * np.cos(h) - v * np.sin(h), u * np.sin(h) + v * np.cos(h)], axis=1))
    corners = np.array([(number(c, "s"), number(c, "t")) for c in item.iter("cornerRoad")]).reshape(-1, 2)
    return road.place(corners[:, 0], corners[:, 1])


def _turn(line: F8) -> str:
    out, into = unit(line[1] - line[0]), unit(line[-1] - line[-2])
    angle = float(np.degrees(np.arctan2(out[0] * into[1] - out[1] * into[0], out @ into)))
    return "straight" if abs(angle) < 35 else "u" if abs(angle) > 150 else "left" if angle > 0 else "right"
