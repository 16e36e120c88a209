"""Roads of OpenDRIVE (ASAM, 1.4 to 1.8): reference lines, lanes as polylines in metres of the map, what leads where.

Along a road `s` runs on its reference line and `t` to the left of it. Lanes with negative ids lie on the right and are driven along
`s`, positive ones on the left against it (the other way about under rule="LHT"). Line, arc, spiral, poly3 and paramPoly3 are read.
A lane ends at its width beside the next inner lane, or at its border, which counts from the reference line.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...polylines import F8, arc
from ..importing.accounting import XmlRecord
from .lane import LaneRecords, Stretch, read_records, speed_of, stretches

STEP = 1.0  # m between points of a curve
FINE = 0.1  # m between points of the integral along a spiral
LARGEST, LONGEST = 1e9, 100_000.0  # of any number; m of a road
DEFAULT_SPEED = 13.89  # m/s
USUAL = {  # limits by type of road, m/s, where none is given: those of towns, which are the lower
    "unknown": 13.89, "rural": 19.44, "motorway": 27.78, "town": 13.89, "lowSpeed": 8.33, "pedestrian": 1.94, "bicycle": 5.56, "townExpressway": 19.44,
    "townCollector": 13.89, "townArterial": 13.89, "townPrivate": 8.33, "townLocal": 8.33, "townPlayStreet": 1.94,
}  # fmt: skip
TYPES = {name: name for name in ["none", "driving", "stop", "shoulder", "biking", "sidewalk", "walking", "border", "restricted", "parking", "bidirectional", "median", "curb", "special1", "special2", "special3", "roadWorks", "tram", "rail", "entry", "exit", "offRamp", "onRamp", "connectingRamp", "bus", "taxi", "HOV", "mwyEntry", "mwyExit", "slipLane", "shared"]}  # fmt: skip
DIRECTIONS = {name: name for name in ("standard", "reversed", "both")}
SHAPES = ("line", "arc", "spiral", "poly3", "paramPoly3")
KEEP = 0.02  # m that a point left out may be off the line


def number(element: XmlRecord, name: str, default: float | None = 0.0) -> float:
    """Return an attribute as a number. Raises CodeError for what is none, or beyond every map."""
    found = element.number(name, default)
    if not abs(found) < LARGEST:
        raise element.refuse(name, found, f"must be less than {LARGEST:.0e}", "correct the map, or export it again")
    return found


@dataclass(frozen=True)
class Cubic:
    """a + b ds + c ds^2 + d ds^3 from `s` on."""

    s: float
    coefficients: tuple[float, float, float, float]

    @classmethod
    def of(cls, element: XmlRecord, start: float = 0.0, at: str = "s") -> "Cubic":
        a, b, c, d = (number(element, k) for k in "abcd")
        return cls(start + number(element, at), (a, b, c, d))


def value(pieces: list[Cubic], s: F8) -> F8:
    """Return a piecewise cubic at `s`, 0 where there is none."""
    out = np.zeros_like(s)
    for piece in pieces:
        here = s >= piece.s - 1e-9
        out[here] = np.polyval(piece.coefficients[::-1], s[here] - piece.s)
    return out


@dataclass
class RoadLane:
    """One lane of one section."""

    id: int
    kind: str
    widths: list[Cubic]
    borders: list[Cubic]  # t of the outer edge, in place of widths
    records: LaneRecords
    before: int | None  # lane of the section, or road, before it along s
    after: int | None
    direction: str = "standard"  # of OpenDRIVE 1.8: standard, reversed, both


@dataclass
class Section:
    """The lanes between two places of a road."""

    start: float
    end: float
    lanes: dict[int, RoadLane] = field(default_factory=dict)


Chain = list[tuple[Section, RoadLane]]  # a lane through the sections of its road, in order of s


@dataclass
class Road:
    """One road."""

    id: str
    length: float
    junction: str  # "-1" for none
    left_hand: bool
    element: XmlRecord
    links: dict[str, tuple[str, str, str]]  # predecessor, successor -> kind, id, contact point
    planview: list[XmlRecord]
    sections: list[Section]
    offsets: list[Cubic]
    speeds: list[tuple[float, float | None]]  # (s, m/s) of the road's type records; None: no limit given
    usual: float  # limit of roads of its type where none is given, m/s

    def link(self, which: str) -> tuple[str, str, str]:
        """Return (kind, id, contact point) of what comes before or after: which is predecessor or successor."""
        return self.links.get(which, ("", "", ""))

    @cached_property
    def reference(self) -> tuple[F8, F8]:
        """The reference line: s float64[n], and x, y, heading float64[n, 3]."""
        parts = [_piece(g) for g in self.planview]
        return np.concatenate([s for s, _ in parts]), np.concatenate([xyh for _, xyh in parts])

    def place(self, s: F8, t: F8) -> F8:
        """Return x, y of places on the road, float64[n, 2]."""
        along, xyh = self.reference
        x, y, h = (np.interp(s, along, column) for column in (xyh[:, 0], xyh[:, 1], np.unwrap(xyh[:, 2])))
        return np.stack([x - t * np.sin(h), y + t * np.cos(h)], axis=1)

    def meets_at_end(self, stated: str, point: F8) -> bool:
        """Return whether the road meets something at its end: as it is stated, else at the end that is nearer to the point."""
        if stated in ("start", "end"):
            return stated == "end"
        near, far = np.hypot(*(self.place(np.array([0.0, self.length]), np.zeros(2)) - point).T)
        return bool(far < near)

    def heading(self, s: float) -> float:
        """Return the direction of the reference line, rad."""
        along, xyh = self.reference
        return float(np.interp(s, along, np.unwrap(xyh[:, 2])))

    @cached_property
    def _reversed(self) -> frozenset[int]:
        return frozenset(
            lane.id for section in self.sections for lane in section.lanes.values() if lane.direction == "reversed"
        )

    def forward(self, lane: int) -> bool:
        """Return whether a lane is driven along s."""
        return ((lane < 0) != self.left_hand) != (lane in self._reversed)

    def chain(self, lane: int, from_end: bool) -> list[tuple[Section, RoadLane]]:
        """Return a lane through the sections of the road, in order of s, begun at one end."""
        out: list[tuple[Section, RoadLane]] = []
        wanted: int | None = lane
        for section in reversed(self.sections) if from_end else self.sections:
            if wanted is None or wanted not in section.lanes:
                break
            found = section.lanes[wanted]
            out.append((section, found))
            wanted = (
                (found.before if found.before is not None else wanted)
                if from_end
                else (found.after if found.after is not None else wanted)
            )
        return out[::-1] if from_end else out

    def line(self, chain: list[tuple[Section, RoadLane]]) -> F8:
        """Return the middle of a lane in driving direction, float64[n, 2]."""
        xy = thinned(np.concatenate([self._middles(section, lane) for section, lane in chain]))
        return xy if self.forward(chain[0][1].id) else xy[::-1].copy()

    def width(self, section: Section, lane: RoadLane, s: float) -> float:
        """Return the width of a lane, m; below 0 where its border lies on the wrong side of the one before."""
        inner, outer = self.edges(section, lane, np.array([s]))
        return float(outer[0] - inner[0]) * (-1 if lane.id < 0 else 1)

    def edges(self, section: Section, lane: RoadLane, s: F8) -> tuple[F8, F8]:
        """Return t of the inner and of the outer edge of a lane."""
        side = -1 if lane.id < 0 else 1
        within = np.minimum(s, section.end - 1e-6)
        inner = outer = value(self.offsets, s)
        for k in sorted((k for k in section.lanes if 0 < side * k <= side * lane.id), key=abs):
            found, inner = section.lanes[k], outer
            outer = (
                value(found.borders, within)
                if found.borders and not found.widths
                else inner + side * value(found.widths, within)
            )
        return inner, outer

    def stretches(self, chain: list[tuple[Section, RoadLane]]) -> list[Stretch]:
        """Return where limits and permissions of a lane hold, m along its line in driving direction."""
        stations = np.concatenate([self._stations(section) for section, _ in chain])
        along = arc(np.concatenate([self._middles(section, lane) for section, lane in chain]))
        rows = [
            row
            for section, lane in chain
            for row in stretches(lane.kind, lane.records, self.speeds, section.start, section.end)
        ]

        def measured(s: float) -> float:
            m = float(np.interp(s, stations, along))
            return m if self.forward(chain[0][1].id) else float(along[-1]) - m

        placed = [(min(measured(a), measured(b)), max(measured(a), measured(b)), state) for a, b, state in rows]
        return [Stretch(a, b, state) for a, b, state in sorted(placed, key=lambda row: row[0])]

    def along(self, chain: list[tuple[Section, RoadLane]], s: float) -> float:
        """Return m along a lane's line, in driving direction, of a place `s` on the road."""
        stations = np.concatenate([self._stations(section) for section, _ in chain])
        whole = arc(np.concatenate([self._middles(section, lane) for section, lane in chain]))
        m = float(np.interp(s, stations, whole))
        return m if self.forward(chain[0][1].id) else float(whole[-1]) - m

    def _stations(self, section: Section) -> F8:
        along = self.reference[0]
        inside = along[(along > section.start) & (along < section.end)]
        steps = np.linspace(section.start, section.end, max(int((section.end - section.start) / STEP), 1) + 1)
        return np.asarray(np.unique(np.concatenate([steps, inside])))

    def _middles(self, section: Section, lane: RoadLane) -> F8:
        """Return the middle of a lane at each station of a section, along s."""
        s = self._stations(section)
        inner, outer = self.edges(section, lane, s)
        return self.place(s, (inner + outer) / 2)


def read_road(element: XmlRecord) -> Road:
    """Return a road from its element. Raises CodeError for numbers that are none."""
    list(element.children("link", "lanes", "planView", "objects", "signals"))  # they may be empty
    length = number(element, "length", None)
    if not 0 <= length <= LONGEST:
        raise element.refuse("length", length, f"must be 0 .. {LONGEST:.0f} m", "correct the map, or export it again")
    types = sorted(element.children("type"), key=lambda e: number(e, "s"))
    found = sorted(element.iterfind("lanes/laneSection"), key=lambda e: number(e, "s"))
    planview = sorted(element.iterfind("planView/geometry"), key=lambda g: number(g, "s"))
    if not planview or not found:
        raise element.refuse(
            "planView, lanes", "none", "a road has a geometry and a lane section", "correct the map, or export it again"
        )
    starts = [number(e, "s") for e in found]
    sections = []
    for start, end, item in zip(starts, [*starts[1:], length], found, strict=True):
        section = Section(start, end)
        list(item.children("left", "center", "right"))
        item.flag("singleSide")
        for centre in item.iterfind("center/lane"):  # it has no width: nobody drives on it
            list(centre.children("link"))
            centre.choice("type", TYPES, "none")
            number(centre, "id", None)
        for lane in (*item.iterfind("left/lane"), *item.iterfind("right/lane")):
            read = _lane(lane, start)
            section.lanes[read.id] = read
        sections.append(section)
    road = Road(
        id=element.get("id"),
        length=length,
        junction=element.get("junction") or "-1",
        left_hand=element.choice("rule", {"RHT": False, "LHT": True}, False),
        element=element,
        links={tag: _link(e) for tag in ("predecessor", "successor") if (e := element.find(f"link/{tag}")) is not None},
        planview=planview,
        sections=sections,
        offsets=[Cubic.of(e) for e in element.iterfind("lanes/laneOffset")],
        speeds=[(number(e, "s"), speed_of(e.find("speed"))) for e in types],
        usual=min((e.choice("type", USUAL, DEFAULT_SPEED) for e in types), default=DEFAULT_SPEED),
    )
    road.reference  # noqa: B018 - a geometry that cannot be read is found here
    return road


def _link(element: XmlRecord) -> tuple[str, str, str]:
    kind = element.choice("elementType", {"road": "road", "junction": "junction"}, "")
    return kind, element.get("elementId"), element.choice("contactPoint", {"start": "start", "end": "end"}, "")


def _lane(element: XmlRecord, start: float) -> RoadLane:
    list(element.children("link"))  # it may be empty
    links = {
        tag: (None if (link := element.find(f"link/{tag}")) is None else int(number(link, "id", None)))
        for tag in ("predecessor", "successor")
    }
    widths, borders = ([Cubic.of(w, start, "sOffset") for w in element.children(tag)] for tag in ("width", "border"))
    return RoadLane(
        id=int(number(element, "id", None)),
        kind=element.choice("type", TYPES, "none"),
        widths=sorted(widths, key=lambda piece: piece.s),
        borders=sorted(borders, key=lambda piece: piece.s),
        records=read_records(element, start),
        before=links["predecessor"],
        after=links["successor"],
        direction=element.choice("direction", DIRECTIONS, "standard"),
    )


def _piece(g: XmlRecord) -> tuple[F8, F8]:
    """Return s and x, y, heading along one geometry."""
    s0, x, y, h, length = (number(g, k) for k in ("s", "x", "y", "hdg", "length"))
    shape = next(g.children(*SHAPES), None)
    if shape is None or not 0 <= length <= LONGEST:
        raise g.refuse(
            "length, shape",
            f"{length} m, {'none' if shape is None else shape.tag}",
            f"must have a shape ({', '.join(SHAPES)}), and a length up to {LONGEST:.0f} m",
            "export the map again",
        )
    ds = np.linspace(0, length, 2 if shape.tag == "line" else max(int(length / STEP), 2) + 1)
    u, v, turn = _local(shape, ds, length)
    xyh = np.stack([x + u * np.cos(h) - v * np.sin(h), y + u * np.sin(h) + v * np.cos(h), h + turn], axis=1)
    return s0 + ds, xyh


def _local(shape: XmlRecord, ds: F8, length: float) -> tuple[F8, F8, F8]:
    """Return u, v and the change of heading along a geometry that begins at 0, 0 eastwards."""
    if shape.tag == "line":
        return ds, np.zeros_like(ds), np.zeros_like(ds)
    if shape.tag in ("arc", "spiral"):
        first = number(shape, "curvature") if shape.tag == "arc" else number(shape, "curvStart")
        last = first if shape.tag == "arc" else number(shape, "curvEnd")
        fine = np.linspace(0, length, max(int(length / FINE), 8) + 1)
        turn = first * fine + (last - first) / max(length, 1e-9) * fine**2 / 2
        middle = (turn[:-1] + turn[1:]) / 2
        u, v = (np.concatenate([[0.0], np.cumsum(f(middle) * np.diff(fine))]) for f in (np.cos, np.sin))
        return np.interp(ds, fine, u), np.interp(ds, fine, v), np.interp(ds, fine, turn)
    if shape.tag == "poly3":
        cubic = np.array([number(shape, k) for k in "dcba"])
        return ds, _cubic(cubic, ds), np.arctan(_cubic(np.polyder(cubic), ds))
    if shape.tag == "paramPoly3":
        p = ds if shape.choice("pRange", {"arcLength": True, "normalized": False}, False) else ds / max(length, 1e-9)
        cu, cv = (np.array([number(shape, k + side) for k in "dcba"]) for side in "UV")
        return _cubic(cu, p), _cubic(cv, p), np.arctan2(_cubic(np.polyder(cv), p), _cubic(np.polyder(cu), p))
    raise shape.refuse("shape", shape.tag, f"must be one of {', '.join(SHAPES)}", "export the map again")


def _cubic(coefficients: F8, at: F8) -> F8:
    return np.asarray(np.polyval(coefficients, at), float)


def thinned(line: F8) -> F8:
    """Return a line without the points that lie within KEEP of it without them (Douglas and Peucker)."""
    keep = np.zeros(len(line), bool)
    keep[[0, -1]] = True
    spans = [(0, len(line) - 1)]
    while spans:
        a, b = spans.pop()
        if b - a < 2:
            continue
        d = line[b] - line[a]
        inner = line[a + 1 : b] - line[a]
        off = (
            np.abs(d[0] * inner[:, 1] - d[1] * inner[:, 0]) / max(float(np.hypot(*d)), 1e-9)
            if np.hypot(*d) > 1e-6
            else np.hypot(*inner.T)
        )
        k = int(off.argmax())
        if off[k] > KEEP:
            keep[a + 1 + k] = True
            spans += [(a, a + 1 + k), (a + 1 + k, b)]
    return line[keep]
