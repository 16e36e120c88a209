"""Signals of an OpenDRIVE map: which lights concern which lanes, which of them show the same, where lanes stop, what
signs show.

A signal, or a reference to one, concerns the lanes of its `validity`; lane 0 is none: the pole stands there, and
references elsewhere name its lanes. Without a validity it concerns the lanes that are driven in its orientation. Where
a validity names lanes of one side, these lanes have one direction, and the orientation adds nothing: exporters differ
in what they write there. Numbers of types are those of the OpenDRIVE catalogue (lights) and of the German one (signs),
which most maps use."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...findings import LossKind
from ...polylines import F8
from ..importing.accounting import XmlRecord
from .geometry import number
from .lane import speed_of
from .road import Road

FIRST_LIGHT, LAST_LIGHT = 1_000_001, 1_000_999  # types of the OpenDRIVE catalogue that are lights
# The others are for vehicles
USERS_OF_LIGHT = {
    "1000002": ("pedestrian",),
    "1000007": ("pedestrian", "bike"),
    "1000013": ("bike",),
}
KNOWN_LIGHTS = {"1000001", "1000008", "1000009", "1000010", "1000011", "1000012", "1000020", *USERS_OF_LIGHT}
ARROW_LIGHTS = {"1000008", "1000010", "1000011", "1000012"}
TURNS_OF_ARROW = {
    "10": ("left", "u"),
    "20": ("right",),
    "30": ("straight",),
    "40": ("straight", "left"),
    "50": ("straight", "right"),
}
STOP_LINE = "294"
# How exporters write that there is none
NO_SUBTYPE = {"-1": True, "": True, "none": True, "0": True}
STOP_SIGN, YIELD_SIGN, SPEED_SIGN = "206", "205", "274"
GERMAN_OF_MUTCD = {"R1-1": STOP_SIGN, "R1-2": YIELD_SIGN, "R2-1": SPEED_SIGN}  # MUTCD
STOP_OBJECT = re.compile(r"(?:stop|signal)[\s_-]?line", re.IGNORECASE)
# m before a junction within which a light on the road to it is one of the junction, not of a crossing before it
MAX_SIGNAL_DISTANCE = 60.0
# m that a lane's middle may lie beyond the end of a stop line that is drawn
MAX_BESIDE_STOP_LINE = 0.5
MIN_STOP_LENGTH = 1.0  # m of a stop line that is drawn without a length


class Light(NamedTuple):
    """One light: its users, the turns its arrows allow (none: any), and where it stands."""

    id: str
    name: str
    uses: tuple[str, ...]
    turns: tuple[str, ...]
    road: str
    s: float
    t: float


class Reach(NamedTuple):
    """Which lanes of its road something concerns: spans of lane numbers (None: no validity), its orientation."""

    spans: tuple[tuple[int, int], ...] | None
    orientation: str

    def covers(self, road: Road, lane: int) -> bool:
        """Return whether a lane is concerned."""
        runs_along = self.orientation not in ("+", "-") or (self.orientation == "+") == road.forward(lane)
        if self.spans is None:
            return runs_along
        return any(first <= lane <= last and (runs_along or first > 0 or last < 0) for first, last in self.spans)


class StopMark(NamedTuple):
    """A stop line at s of a road; `reach` None: it crosses the lanes between two t."""

    id: str
    s: float
    reach: Reach | None
    t_from: float
    t_to: float


class Sign(NamedTuple):
    """A stop, yield or speed sign at s of a road: its kind (type number), its lanes, its limit in m/s."""

    id: str
    kind: str
    reach: Reach
    s: float
    limit: float | None


class Signals:
    """All signals of a map."""

    def __init__(self, root: XmlRecord, roads: dict[str, Road]) -> None:
        self.accounts = root.accounts
        self.lights: dict[str, Light] = {}
        self.used: set[str] = set()  # lights that a movement or crosswalk has
        # road -> light, which of its lanes, s
        self.reaches: dict[str, list[tuple[str, Reach, float]]] = {}
        # Stop lines and signs that some lane of a code has: kind, id
        self.placed: set[tuple[str, str]] = set()
        self.stops: dict[str, list[StopMark]] = {}
        self.signs: dict[str, list[Sign]] = {}
        # light -> id and name of its controllers
        self.controllers: dict[str, list[tuple[str, str]]] = {}

        for road in roads.values():
            for element in road.element.iterfind("signals/signal"):
                self._signal(road, element)

        for road in roads.values():
            for element in road.element.iterfind("signals/signalReference"):
                self._reference(road, element)
            for element in road.element.iterfind("objects/object"):
                if is_stop_line(element):
                    self.stops.setdefault(road.id, []).append(_drawn_stop_line(road, element))

        for element in root.children("controller"):
            self._controller(element)

    def _signal(self, road: Road, element: XmlRecord) -> None:
        signal_type, name = _signal_type(element), element.get("id")
        reach, s = _reach(element), number(element, "s")
        light = _is_light(signal_type, element)
        number(element, "t")

        if signal_type == STOP_LINE:
            element.choice("subtype", NO_SUBTYPE, True)
            self.stops.setdefault(road.id, []).append(StopMark(id=name, s=s, reach=reach, t_from=0.0, t_to=0.0))
        elif GERMAN_OF_MUTCD.get(signal_type, signal_type) in (STOP_SIGN, YIELD_SIGN, SPEED_SIGN):
            unit, signal_type = (
                "mph" if signal_type in GERMAN_OF_MUTCD else "km/h",
                GERMAN_OF_MUTCD.get(signal_type, signal_type),
            )
            limit = _limit(element, unit) if signal_type == SPEED_SIGN else None
            if signal_type != SPEED_SIGN:
                element.choice("subtype", NO_SUBTYPE, True)
            self.signs.setdefault(road.id, []).append(Sign(id=name, kind=signal_type, reach=reach, s=s, limit=limit))
        elif light:
            self._light(
                road,
                element,
                signal_type,
                Light(
                    id=name,
                    name=element.get("name"),
                    uses=USERS_OF_LIGHT.get(signal_type, ("vehicle",)),
                    turns=_turns(signal_type, element),
                    road=road.id,
                    s=s,
                    t=number(element, "t"),
                ),
            )

            self.reaches.setdefault(road.id, []).append((name, reach, s))
        else:
            element.leave_out(
                f"signs of type {signal_type or 'none'} are not read"
                + (", though they change" if element.flag("dynamic") else "")
            )

    def _light(self, road: Road, element: XmlRecord, kind: str, light: Light) -> None:
        if kind not in KNOWN_LIGHTS:
            element.unknown("type", kind, "taken as a light for vehicles")
        if light.id in self.lights:
            element.unknown("id", light.id, "another light has the same: the last is taken")
        self.lights[light.id] = light

    def _reference(self, road: Road, element: XmlRecord) -> None:
        name, reach = element.get("id"), _reach(element)
        stop_marks = [mark for rows in self.stops.values() for mark in rows if mark.id == name]
        signs = [sign for rows in self.signs.values() for sign in rows if sign.id == name]

        if name in self.lights:
            self.reaches.setdefault(road.id, []).append((name, reach, number(element, "s")))
        elif stop_marks:
            self.stops.setdefault(road.id, []).append(
                StopMark(id=name, s=number(element, "s"), reach=reach, t_from=0.0, t_to=0.0)
            )
        elif signs:
            self.signs.setdefault(road.id, []).append(signs[0]._replace(reach=reach, s=number(element, "s")))
        else:
            element.leave_out("refers to a signal that is not read")

    def _controller(self, element: XmlRecord) -> None:
        controller = (element.get("id"), element.get("name"))
        for control in element.children("control"):
            name = control.get("signalId")
            if name not in self.lights:
                control.unknown("signalId", name, "no light that is read: left out")
            controllers = self.controllers.setdefault(name, [])
            if controller not in controllers:
                controllers.append(controller)

    def report_unused(self) -> None:
        """Report the lights that no movement and no crosswalk has, and the stop lines and signs that no lane of a code
        has."""
        rows = [("stop line", mark.id, road) for road, marks in self.stops.items() for mark in marks]
        rows += [("sign", sign.id, road) for road, signs in self.signs.items() for sign in signs]
        for description, name, road in rows:
            if (description, name) not in self.placed:
                self.accounts.enter(
                    LossKind.DROPPED,
                    "signals, objects",
                    f"{description}s on no lane that leads to or from a junction of which a code is made",
                    f"{name} of road {road}",
                )

        for name, light in self.lights.items():
            if name not in self.used:
                lane_spans = [
                    span
                    for rows in self.reaches.values()
                    for other, reach, _ in rows
                    if other == name
                    for span in reach.spans or ((-1, -1),)
                ]

                if all(span == (0, 0) for span in lane_spans):
                    cause = "valid for lane 0 alone, and no reference says for which lanes"
                else:
                    cause = "on no lane that leads into a junction of which a code is made"

                self.accounts.enter(
                    LossKind.DROPPED,
                    "signals/signal",
                    f"a light for {' and '.join(light.uses)} that no movement has: {cause}",
                    f"signal {name} of road {light.road}",
                )

    def lights_on(self, road: Road, lane: int, end: float | None = None, distance_after: float = 0.0) -> list[Light]:
        """Return the lights of a lane, in the order of the file, each once; with `end`, those within
        `MAX_SIGNAL_DISTANCE` of a junction `distance_after` m after that s."""
        candidates = [
            (name, reach)
            for name, reach, s in self.reaches.get(road.id, [])
            if end is None or abs(s - end) + distance_after <= MAX_SIGNAL_DISTANCE
        ]

        names = [name for name, reach in candidates if reach.covers(road, lane)]
        if not names and road.junction not in ("", "-1"):
            # A connecting road leads one way: what stands on it without lanes concerns it, whatever its orientation.
            names = [name for name, reach in candidates if reach.spans is None]

        return [self.lights[name] for name in dict.fromkeys(names)]

    def stops_on(self, road: Road, lane: int) -> Iterator[StopMark]:
        """Yield the stop lines of a lane."""
        for mark in self.stops.get(road.id, []):
            if mark.reach.covers(road, lane) if mark.reach is not None else _lies_across(road, lane, mark):
                self.placed.add(("stop line", mark.id))
                yield mark

    def signs_on(self, road: Road, lane: int, kind: str) -> list[tuple[float, float | None]]:
        """Return s and limit of the signs of a kind that concern a lane."""
        signs = [sign for sign in self.signs.get(road.id, []) if sign.kind == kind and sign.reach.covers(road, lane)]
        self.placed.update(("sign", sign.id) for sign in signs)
        return [(sign.s, sign.limit) for sign in signs]


def is_stop_line(element: XmlRecord) -> bool:
    """Return whether an object is a stop line, by its type, sub-type or name."""
    return any(STOP_OBJECT.search(element.get(key)) for key in ("type", "subtype", "name"))


def _signal_type(element: XmlRecord) -> str:
    """Return the type of a signal, without the dots that some catalogues write."""
    return element.get("type").replace(".", "").strip()


def _is_light(kind: str, element: XmlRecord) -> bool:
    changes = element.flag("dynamic")
    if kind.isdecimal() and int(kind) > 0:
        return FIRST_LIGHT <= int(kind) <= LAST_LIGHT
    return changes or "light" in kind.lower()


def _turns(kind: str, element: XmlRecord) -> tuple[str, ...]:
    """Return the turns that the arrows of a light allow; none: any."""
    element.choice("value", NO_SUBTYPE, True)
    if kind in ARROW_LIGHTS:
        return element.choice("subtype", {**TURNS_OF_ARROW, "-1": (), "": ()}, ())

    element.choice(
        "subtype",
        {**NO_SUBTYPE, "10": True, "20": True, "30": True, "40": True} if kind in KNOWN_LIGHTS else NO_SUBTYPE,
        True,
    )

    return ()


def _limit(element: XmlRecord, unit: str) -> float | None:
    """Return the limit a speed sign shows: its value, or its sub-type, which some exporters write instead."""
    by_value, by_subtype = (
        speed_of(element, "value", unit, tuple(NO_SUBTYPE)),
        speed_of(element, "subtype", unit, tuple(NO_SUBTYPE)),
    )
    return by_value if by_value is not None else by_subtype


def _reach(element: XmlRecord) -> Reach:
    spans = [
        (int(number(validity, "fromLane")), int(number(validity, "toLane")))
        for validity in element.children("validity")
    ]
    orientation = element.choice("orientation", {word: word for word in ("+", "-", "none")}, "none")
    return Reach(tuple((min(span), max(span)) for span in spans) if spans else None, orientation)


def _drawn_stop_line(road: Road, element: XmlRecord) -> StopMark:
    """Return a stop line that is drawn as an object: its lanes are those it lies across, or those of its validity."""
    s, offset, reach = number(element, "s"), number(element, "t"), _reach(element)
    # Of its corners; without them it lies across the road
    number(element, "hdg")

    corners = object_corners(element)
    if len(corners):
        s = float(corners[:, 0].mean())
        t_from, t_to = float(corners[:, 1].min()), float(corners[:, 1].max())
    else:
        half_length = max(number(element, "length"), number(element, "width"), MIN_STOP_LENGTH) / 2
        t_from, t_to = offset - half_length, offset + half_length

    return StopMark(id=element.get("id"), s=s, reach=reach if reach.spans else None, t_from=t_from, t_to=t_to)


def object_corners(element: XmlRecord) -> F8:
    """Return the corners of an object as s, t of its road, float64[n, 2]; none where it has no outline."""
    outline_element = next(
        (element_of_path for path in ("outlines/outline", "outline") for element_of_path in element.iterfind(path)),
        None,
    )
    if outline_element is None:
        return np.empty((0, 2))

    s, offset, heading = number(element, "s"), number(element, "t"), number(element, "hdg")
    corners = [(number(corner, "s"), number(corner, "t")) for corner in outline_element.children("cornerRoad")]

    for corner in outline_element.children("cornerLocal"):
        u, v = number(corner, "u"), number(corner, "v")
        corners.append(
            (s + u * np.cos(heading) - v * np.sin(heading), offset + u * np.sin(heading) + v * np.cos(heading))
        )

    return np.array(corners, float).reshape(-1, 2)


def _lies_across(road: Road, lane: int, mark: StopMark) -> bool:
    section = next((candidate for candidate in reversed(road.sections) if candidate.start <= mark.s), None)
    if section is None or lane not in section.lanes:
        return False
    inner, outer = road.edges(section, section.lanes[lane], np.array([mark.s]))
    lane_middle = float(inner[0] + outer[0]) / 2
    return mark.t_from - MAX_BESIDE_STOP_LINE <= lane_middle <= mark.t_to + MAX_BESIDE_STOP_LINE
