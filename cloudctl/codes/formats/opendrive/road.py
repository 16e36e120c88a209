"""Roads of OpenDRIVE (ASAM, 1.4 to 1.8): reference lines, lanes as polylines in metres of the map, what leads where.

Along a road `s` runs on its reference line and `t` to the left of it. Lanes with negative ids lie on the right and are
driven along `s`, positive ones on the left against it (the other way about under rule="LHT"). Line, arc, spiral, poly3
and paramPoly3 are read. A lane ends at its width beside the next inner lane, or at its border, which counts from the
reference line."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...polylines import F8, arc_lengths
from ...terms import DEFAULT_SPEED
from ..importing.accounting import XmlRecord
from .geometry import (
    CURVE_STEP,
    MAX_ROAD_LENGTH,
    Cubic,
    geometry_points,
    number,
    piecewise_value,
    without_redundant_points,
)
from .lane import LaneRecords, Stretch, read_records, speed_of, stretches

# Limits by type of road, m/s, where none is given: those of towns, which are the lower
DEFAULT_LIMITS = {
    "unknown": DEFAULT_SPEED,
    "rural": 19.44,
    "motorway": 27.78,
    "town": DEFAULT_SPEED,
    "lowSpeed": 8.33,
    "pedestrian": 1.94,
    "bicycle": 5.56,
    "townExpressway": 19.44,
    "townCollector": DEFAULT_SPEED,
    "townArterial": DEFAULT_SPEED,
    "townPrivate": 8.33,
    "townLocal": 8.33,
    "townPlayStreet": 1.94,
}
LANE_TYPES = {
    name: name
    for name in [
        "none",
        "driving",
        "stop",
        "shoulder",
        "biking",
        "sidewalk",
        "walking",
        "border",
        "restricted",
        "parking",
        "bidirectional",
        "median",
        "curb",
        "special1",
        "special2",
        "special3",
        "roadWorks",
        "tram",
        "rail",
        "entry",
        "exit",
        "offRamp",
        "onRamp",
        "connectingRamp",
        "bus",
        "taxi",
        "HOV",
        "mwyEntry",
        "mwyExit",
        "slipLane",
        "shared",
    ]
}
DIRECTIONS = {name: name for name in ("standard", "reversed", "both")}


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
    # (s, m/s) of the road's type records; None: no limit given
    speeds: list[tuple[float, float | None]]
    usual: float  # limit of roads of its type where none is given, m/s

    def link(self, which: str) -> tuple[str, str, str]:
        """Return (kind, id, contact point) of what comes before or after: which is predecessor or successor."""
        return self.links.get(which, ("", "", ""))

    @cached_property
    def reference(self) -> tuple[F8, F8]:
        """The reference line: s float64[n], and x, y, heading float64[n, 3]."""
        pieces = [geometry_points(geometry) for geometry in self.planview]
        return np.concatenate([s for s, _ in pieces]), np.concatenate([poses for _, poses in pieces])

    def place(self, s: F8, t: F8) -> F8:
        """Return x, y of places on the road, float64[n, 2]."""
        stations, poses = self.reference
        x, y, heading = (
            np.interp(s, stations, column) for column in (poses[:, 0], poses[:, 1], np.unwrap(poses[:, 2]))
        )
        return np.stack([x - t * np.sin(heading), y + t * np.cos(heading)], axis=1)

    def meets_at_end(self, stated: str, point: F8) -> bool:
        """Return whether the road meets something at its end: as it is stated, else at the end that is nearer to the
        point."""
        if stated in ("start", "end"):
            return stated == "end"
        to_start, to_end = np.hypot(*(self.place(np.array([0.0, self.length]), np.zeros(2)) - point).T)
        return bool(to_end < to_start)

    def heading(self, s: float) -> float:
        """Return the direction of the reference line, rad."""
        stations, poses = self.reference
        return float(np.interp(s, stations, np.unwrap(poses[:, 2])))

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
        chain: list[tuple[Section, RoadLane]] = []
        lane_id: int | None = lane

        for section in reversed(self.sections) if from_end else self.sections:
            if lane_id is None or lane_id not in section.lanes:
                break

            lane_record = section.lanes[lane_id]
            chain.append((section, lane_record))

            # A lane without a link goes on under its number
            linked_lane = lane_record.before if from_end else lane_record.after
            if linked_lane is not None:
                lane_id = linked_lane

        return chain[::-1] if from_end else chain

    def line(self, chain: list[tuple[Section, RoadLane]]) -> F8:
        """Return the middle of a lane in driving direction, float64[n, 2]."""
        xy = without_redundant_points(np.concatenate([self._lane_middles(section, lane) for section, lane in chain]))
        return xy if self.forward(chain[0][1].id) else xy[::-1].copy()

    def width(self, section: Section, lane: RoadLane, s: float) -> float:
        """Return the width of a lane, m; below 0 where its border lies on the wrong side of the one before."""
        inner, outer = self.edges(section, lane, np.array([s]))
        return float(outer[0] - inner[0]) * (-1 if lane.id < 0 else 1)

    def edges(self, section: Section, lane: RoadLane, s: F8) -> tuple[F8, F8]:
        """Return t of the inner and of the outer edge of a lane."""
        side = -1 if lane.id < 0 else 1
        inside = np.minimum(s, section.end - 1e-6)
        inner = outer = piecewise_value(self.offsets, s)

        for lane_id in sorted((lane_id for lane_id in section.lanes if 0 < side * lane_id <= side * lane.id), key=abs):
            inner_lane, inner = section.lanes[lane_id], outer
            if inner_lane.borders and not inner_lane.widths:
                outer = piecewise_value(inner_lane.borders, inside)
            else:
                outer = inner + side * piecewise_value(inner_lane.widths, inside)

        return inner, outer

    def stretches(self, chain: list[tuple[Section, RoadLane]]) -> list[Stretch]:
        """Return where limits and permissions of a lane hold, m along its line in driving direction."""
        stations = np.concatenate([self._stations(section) for section, _ in chain])
        lengths = arc_lengths(np.concatenate([self._lane_middles(section, lane) for section, lane in chain]))

        states = [
            state
            for section, lane in chain
            for state in stretches(lane.kind, lane.records, self.speeds, section.start, section.end)
        ]

        def to_lane_m(s: float) -> float:
            position = float(np.interp(s, stations, lengths))
            return position if self.forward(chain[0][1].id) else float(lengths[-1]) - position

        in_driving_direction = [
            (min(to_lane_m(begin), to_lane_m(finish)), max(to_lane_m(begin), to_lane_m(finish)), state)
            for begin, finish, state in states
        ]
        return [
            Stretch(begin, finish, state)
            for begin, finish, state in sorted(in_driving_direction, key=lambda state: state[0])
        ]

    def along(self, chain: list[tuple[Section, RoadLane]], s: float) -> float:
        """Return m along a lane's line, in driving direction, of a place `s` on the road."""
        stations = np.concatenate([self._stations(section) for section, _ in chain])
        lengths = arc_lengths(np.concatenate([self._lane_middles(section, lane) for section, lane in chain]))
        position = float(np.interp(s, stations, lengths))
        return position if self.forward(chain[0][1].id) else float(lengths[-1]) - position

    def _stations(self, section: Section) -> F8:
        stations = self.reference[0]
        within = stations[(stations > section.start) & (stations < section.end)]
        steps = np.linspace(section.start, section.end, max(int((section.end - section.start) / CURVE_STEP), 1) + 1)
        return np.asarray(np.unique(np.concatenate([steps, within])))

    def _lane_middles(self, section: Section, lane: RoadLane) -> F8:
        """Return the middle of a lane at each station of a section, along s."""
        s = self._stations(section)
        inner, outer = self.edges(section, lane, s)
        return self.place(s, (inner + outer) / 2)


def read_road(element: XmlRecord) -> Road:
    """Return a road from its element. Raises CodeError for numbers that are none."""
    list(element.children("link", "lanes", "planView", "objects", "signals"))  # they may be empty
    length = number(element, "length", default=None)
    if not 0 <= length <= MAX_ROAD_LENGTH:
        raise element.refuse(
            "length", length, f"must be 0 .. {MAX_ROAD_LENGTH:.0f} m", "correct the map, or export it again"
        )

    types = sorted(element.children("type"), key=lambda element_of: number(element_of, "s"))
    section_elements = sorted(element.iterfind("lanes/laneSection"), key=lambda element_of: number(element_of, "s"))

    planview = sorted(element.iterfind("planView/geometry"), key=lambda geometry: number(geometry, "s"))
    if not planview or not section_elements:
        raise element.refuse(
            "planView, lanes", "none", "a road has a geometry and a lane section", "correct the map, or export it again"
        )

    starts = [number(element_of, "s") for element_of in section_elements]
    sections = []

    for start, end, section_element in zip(starts, [*starts[1:], length], section_elements, strict=True):
        section = Section(start, end)
        list(section_element.children("left", "center", "right"))
        section_element.flag("singleSide")

        # It has no width, and is not driven on
        for centre in section_element.iterfind("center/lane"):
            list(centre.children("link"))
            centre.choice("type", LANE_TYPES, "none")
            number(centre, "id", default=None)

        for lane in (*section_element.iterfind("left/lane"), *section_element.iterfind("right/lane")):
            lane_record = _lane(lane, start)
            section.lanes[lane_record.id] = lane_record

        sections.append(section)

    road = Road(
        id=element.get("id"),
        length=length,
        junction=element.get("junction") or "-1",
        left_hand=element.choice("rule", {"RHT": False, "LHT": True}, False),
        element=element,
        links={
            tag: _link(element_of)
            for tag in ("predecessor", "successor")
            if (element_of := element.find(f"link/{tag}")) is not None
        },
        planview=planview,
        sections=sections,
        offsets=[Cubic.of(element_of) for element_of in element.iterfind("lanes/laneOffset")],
        speeds=[(number(element_of, "s"), speed_of(element_of.find("speed"))) for element_of in types],
        usual=min(
            (element_of.choice("type", DEFAULT_LIMITS, DEFAULT_SPEED) for element_of in types), default=DEFAULT_SPEED
        ),
    )

    road.reference  # noqa: B018 - a geometry that cannot be read is found here
    return road


def _link(element: XmlRecord) -> tuple[str, str, str]:
    kind = element.choice("elementType", {"road": "road", "junction": "junction"}, "")
    return kind, element.get("elementId"), element.choice("contactPoint", {"start": "start", "end": "end"}, "")


def _lane(element: XmlRecord, start: float) -> RoadLane:
    list(element.children("link"))  # it may be empty
    links = {
        tag: (None if (link := element.find(f"link/{tag}")) is None else int(number(link, "id", default=None)))
        for tag in ("predecessor", "successor")
    }
    widths, borders = (
        [Cubic.of(cubic_element, start, "sOffset") for cubic_element in element.children(tag)]
        for tag in ("width", "border")
    )

    return RoadLane(
        id=int(number(element, "id", default=None)),
        kind=element.choice("type", LANE_TYPES, "none"),
        widths=sorted(widths, key=lambda piece: piece.s),
        borders=sorted(borders, key=lambda piece: piece.s),
        records=read_records(element, start),
        before=links["predecessor"],
        after=links["successor"],
        direction=element.choice("direction", DIRECTIONS, "standard"),
    )
