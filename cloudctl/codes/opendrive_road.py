"""Roads of OpenDRIVE (ASAM, 1.4 to 1.8): reference lines, lanes as polylines in metres of the map, what leads where.

Along a road `s` runs on its reference line and `t` to the left of it. Lanes with negative ids lie on the right and are driven along
`s`, positive ones on the left against it (the other way about under rule="LHT"). Line, arc, spiral, poly3 and paramPoly3 are read.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .lines import F8

STEP = 1.0  # m between points of a curve
FINE = 0.1  # m between points of the integral along a spiral
LARGEST, LONGEST = 1e9, 100_000.0  # of any number; m of a road
KEEP = 0.02  # m that a point left out may be off the line


def number(element: ET.Element, name: str, default: float = 0.0) -> float:
    """Return an attribute as a number. Raises ValueError for what is none, or beyond every map."""
    text = element.get(name)
    found = default if text is None else float(text)
    if not abs(found) < LARGEST:  # also nan
        raise ValueError(f"{name} = {text} in <{element.tag}> is no number of a map")
    return found


@dataclass(frozen=True)
class Cubic:
    """a + b ds + c ds^2 + d ds^3 from `s` on."""

    s: float
    coefficients: tuple[float, float, float, float]

    @classmethod
    def of(cls, element: ET.Element, start: float = 0.0, at: str = "s") -> "Cubic":
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
    speed: float | None
    before: int | None  # lane of the section, or road, before it along s
    after: int | None


@dataclass
class Section:
    """The lanes between two places of a road."""

    start: float
    end: float
    lanes: dict[int, RoadLane] = field(default_factory=dict)


@dataclass
class Road:
    """One road."""

    id: str
    length: float
    junction: str  # "-1" for none
    left_hand: bool
    element: ET.Element
    sections: list[Section]
    offsets: list[Cubic]
    speed: float | None

    def link(self, which: str) -> tuple[str, str, str]:
        """Return (kind, id, contact point) of what comes before or after: which is predecessor or successor."""
        found = self.element.find(f"link/{which}")
        return ("", "", "") if found is None else (found.get("elementType", ""), found.get("elementId", ""), found.get("contactPoint", ""))

    @cached_property
    def reference(self) -> tuple[F8, F8]:
        """The reference line: s float64[n], and x, y, heading float64[n, 3]."""
        parts = [_piece(g) for g in sorted(self.element.iterfind("planView/geometry"), key=lambda g: number(g, "s"))]
        return np.concatenate([s for s, _ in parts]), np.concatenate([xyh for _, xyh in parts])

    def place(self, s: F8, t: F8) -> F8:
        """Return x, y of places on the road, float64[n, 2]."""
        along, xyh = self.reference
        x, y, h = (np.interp(s, along, column) for column in (xyh[:, 0], xyh[:, 1], np.unwrap(xyh[:, 2])))
        return np.stack([x - t * np.sin(h), y + t * np.cos(h)], axis=1)

    def heading(self, s: float) -> float:
        """Return the direction of the reference line, rad."""
        along, xyh = self.reference
        return float(np.interp(s, along, np.unwrap(xyh[:, 2])))

    def forward(self, lane: int) -> bool:
        """Return whether a lane is driven along s."""
        return (lane < 0) != self.left_hand

    def chain(self, lane: int, from_end: bool) -> list[tuple[Section, RoadLane]]:
        """Return a lane through the sections of the road, in order of s, begun at one end."""
        out: list[tuple[Section, RoadLane]] = []
        wanted: int | None = lane
        for section in reversed(self.sections) if from_end else self.sections:
            if wanted is None or wanted not in section.lanes:
                break
            found = section.lanes[wanted]
            out.append((section, found))
            wanted = (found.before if found.before is not None else wanted) if from_end else (found.after if found.after is not None else wanted)
        return out[::-1] if from_end else out

    def line(self, chain: list[tuple[Section, RoadLane]]) -> F8:
        """Return the middle of a lane in driving direction, float64[n, 2]."""
        xy = np.concatenate([self.place(s, self._middle(section, lane, s)) for section, lane in chain for s in [self._stations(section)]])
        xy = thinned(xy)
        return xy if self.forward(chain[0][1].id) else xy[::-1].copy()

    def width(self, section: Section, lane: RoadLane, s: float) -> float:
        """Return the width of a lane, m."""
        return float(value(lane.widths, np.array([s]))[0])

    def _stations(self, section: Section) -> F8:
        along = self.reference[0]
        inside = along[(along > section.start) & (along < section.end)]
        steps = np.linspace(section.start, section.end, max(int((section.end - section.start) / STEP), 1) + 1)
        return np.asarray(np.unique(np.concatenate([steps, inside])))

    def _middle(self, section: Section, lane: RoadLane, s: F8) -> F8:
        side = -1 if lane.id < 0 else 1
        within = np.minimum(s, section.end - 1e-6)
        inner = sum((value(section.lanes[k].widths, within) for k in range(side, lane.id, side) if k in section.lanes), np.zeros_like(s))
        return np.asarray(value(self.offsets, s) + side * (inner + value(lane.widths, within) / 2))


def read_road(element: ET.Element) -> Road:
    """Return a road from its element. Raises ValueError for numbers that are none."""
    length = number(element, "length")
    if not 0 <= length <= LONGEST:
        raise ValueError(f"road {element.get('id')} is {length} m long; at most {LONGEST:.0f} m is read")
    found = sorted(element.iterfind("lanes/laneSection"), key=lambda e: number(e, "s"))
    starts = [number(e, "s") for e in found]
    sections = []
    for start, end, item in zip(starts, [*starts[1:], length], found, strict=True):
        section = Section(start, end)
        for lane in (*item.iterfind("left/lane"), *item.iterfind("right/lane")):
            links = {tag: (None if (link := lane.find(f"link/{tag}")) is None else int(number(link, "id"))) for tag in ("predecessor", "successor")}
            k = int(number(lane, "id"))
            section.lanes[k] = RoadLane(k, lane.get("type", "none"), [Cubic.of(w, start, "sOffset") for w in lane.iterfind("width")],
                                        _speed(lane.find("speed")), links["predecessor"], links["successor"])
        sections.append(section)
    return Road(element.get("id", ""), length, element.get("junction", "-1"), element.get("rule", "RHT") == "LHT", element, sections,
                [Cubic.of(e) for e in element.iterfind("lanes/laneOffset")], _speed(element.find("type/speed")))


def _speed(element: ET.Element | None) -> float | None:
    try:
        most = None if element is None else float(element.get("max", ""))
    except ValueError:  # "no limit", "undefined"
        return None
    unit = "m/s" if element is None else element.get("unit", "m/s")
    return None if most is None or most <= 0 else round(most / {"m/s": 1.0, "km/h": 3.6, "mph": 2.236936}[unit], 2)


def _piece(g: ET.Element) -> tuple[F8, F8]:
    """Return s and x, y, heading along one geometry."""
    s0, x, y, h, length = (number(g, k) for k in ("s", "x", "y", "hdg", "length"))
    shape = next(iter(g), None)
    if shape is None or not 0 <= length <= LONGEST:
        raise ValueError(f"<geometry> of {length} m: must have a shape, and a length up to {LONGEST:.0f} m")
    ds = np.linspace(0, length, 2 if shape.tag == "line" else max(int(length / STEP), 2) + 1)
    u, v, turn = _local(shape, ds, length)
    xyh = np.stack([x + u * np.cos(h) - v * np.sin(h), y + u * np.sin(h) + v * np.cos(h), h + turn], axis=1)
    return s0 + ds, xyh


def _local(shape: ET.Element, ds: F8, length: float) -> tuple[F8, F8, F8]:
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
        p = ds if shape.get("pRange") == "arcLength" else ds / max(length, 1e-9)
        cu, cv = (np.array([number(shape, k + side) for k in "dcba"]) for side in "UV")
        return _cubic(cu, p), _cubic(cv, p), np.arctan2(_cubic(np.polyder(cv), p), _cubic(np.polyder(cu), p))
    raise ValueError(f"geometry <{shape.tag}> is not known")


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
        inner = line[a + 1:b] - line[a]
        off = np.abs(d[0] * inner[:, 1] - d[1] * inner[:, 0]) / max(float(np.hypot(*d)), 1e-9) if np.hypot(*d) > 1e-6 else np.hypot(*inner.T)
        k = int(off.argmax())
        if off[k] > KEEP:
            keep[a + 1 + k] = True
            spans += [(a, a + 1 + k), (a + 1 + k, b)]
    return line[keep]
