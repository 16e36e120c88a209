"""The connected vehicles of a node: the number each goes by, and which intersections it is in."""

from collections.abc import Callable, Iterable
from math import cos, floor, nan, sin
from typing import NamedTuple

import numpy as np

from . import world
from .clock import SECOND
from .codes import CompiledCode
from .codes.citycode import CityCodeError, make, parse_code
from .ingest.rejections import RejectedMessage
from .intersection import IntersectionState
from .matching import path_at
from .metrics import Metrics
from .rates import OncePer
from .schema import ObjectClass, VehicleState

MAX_SILENCE = 20 * SECOND  # of a vehicle; one that comes back later is a new one
MAX_VEHICLES = 100_000  # of some 200 bytes each; beyond that the vehicle that has been silent longest is forgotten
MAX_REPORTS = 1024  # vehicles per intersection; beyond that no new one is taken in until one has left or fallen silent
CELL_SIZE = 0.01  # degrees, of the index of intersections by position
MARGIN = 1.0  # m around an intersection, within which a position is looked at exactly
# cells around a vehicle's own in which an intersection is near: its own first, which is the usual case
NEIGHBOURS = (0, -1, 1)
ELSEWHERE_INTERVAL = 60 * SECOND  # between two answers to a vehicle that is near no intersection
MAX_ELSEWHERE = 10_000  # of those vehicles that are remembered as answered
PROBE_SPEED = 5.0  # m/s of a made-up vehicle, so that its direction counts
CLASS_OF_KIND = {
    "bus": ObjectClass.BUS,
    "coach": ObjectClass.BUS,
    "motorcycle": ObjectClass.MOTORCYCLE,
    "truck": ObjectClass.TRUCK,
    "bicycle": ObjectClass.BICYCLE,
    "pedestrian": ObjectClass.PEDESTRIAN,
}


class Registered(NamedTuple):
    """A vehicle's number, and when it last reported (ns)."""

    handle: int
    t: int


class Located(NamedTuple):
    """An intersection, and degrees outside of which no position lies in it."""

    place: IntersectionState
    south: float
    west: float
    north: float
    east: float


class LocalPosition(NamedTuple):
    """A position in the frame of an intersection that it lies in, m."""

    place: IntersectionState
    x: float
    y: float


UNREGISTERED = Registered(0, 0)


class VehicleRegistry:
    """The vehicles that report, and where the intersections are that they may be in."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.shared = False  # whether other nodes serve what is elsewhere
        self._metrics = metrics or Metrics()
        self._vehicles: dict[str, Registered] = {}  # the vehicle that has been silent longest first
        self._last_handle = 0
        # the intersections each vehicle last reported from
        self._present: dict[str, tuple[IntersectionState, ...]] = {}
        self._by_cell: dict[tuple[int, int], list[Located]] = {}
        # of the position asked for last: a report's is asked for by several checks
        self._last_position, self._last_places = (nan, nan), list[LocalPosition]()
        self._by_city_code: dict[str, IntersectionState] = {}
        self._movement_names: set[str] = set()  # of all intersections; asked, never iterated
        self._answered_elsewhere = OncePer(ELSEWHERE_INTERVAL, MAX_ELSEWHERE)

    def index(self, places: Iterable[IntersectionState]) -> None:
        """Take in where the intersections are; call it again when a code changes."""
        self._by_cell.clear()
        self._last_position = (nan, nan)
        self._movement_names.clear()
        self._by_city_code = {place.code.code.id: place for place in places}

        for place in self._by_city_code.values():
            self._movement_names.update(place.code.conn_alias)
            located = Located(place, *_degrees(place.code))
            for cell in _cells(place.code):
                self._by_cell.setdefault(cell, []).append(located)

    def count(self, t: int) -> int:
        """Return how many vehicles are known at `t` ns: those that reported within MAX_SILENCE of the newest report,
        none where that is older itself. Nothing is forgotten by asking: only a step does that."""
        newest = next(reversed(self._vehicles.values()), UNREGISTERED)
        return len(self._vehicles) if t - newest.t <= MAX_SILENCE else 0

    def around(self, place: IntersectionState) -> list[IntersectionState]:
        """Return the intersections whose codes may overlap one's, that one among them."""
        nearby = [other for cell in _cells(place.code) for other, *_ in self._by_cell.get(cell, ())]
        return list({id(other): other for other in nearby}.values())

    def unused(self, t: int, vehicle: str, state: VehicleState) -> RejectedMessage | None:
        """Return why a report received at `t` ns, or a movement it declares, cannot be used; None where it can, or the
        vehicle was answered so before."""
        if self._is_near(state.lat, state.lon):
            # what this node does not know may be a movement of another node's
            return None if self.shared else self._unknown_movement(vehicle, state)

        self._metrics.count("vehicle.elsewhere")
        if self.shared or not self._answered_elsewhere.allow(vehicle, t):
            return None

        rule = f"lies in no intersection of this node, nor near one ({len(self._by_city_code)} of them)"
        remedy = (
            "check the order (lat, lon) and the datum (WGS-84 / CGCS2000), or ask for the node that serves this place"
        )
        return RejectedMessage("lat, lon", f"{state.lat}, {state.lon}", rule, remedy)

    def _is_near(self, lat: float, lon: float) -> bool:
        """Return whether an intersection is in the cell of a position, or in one beside it."""
        row, column = floor(lat / CELL_SIZE), floor(lon / CELL_SIZE)
        if (row, column) in self._by_cell:
            return True
        return any((row + i, column + j) in self._by_cell for i in NEIGHBOURS for j in NEIGHBOURS)

    def _unknown_movement(self, vehicle: str, state: VehicleState) -> RejectedMessage | None:
        # A declaration that repeats the newest one was answered with that.
        for place in self._present.get(vehicle, ()):
            newest = place.reports.get(self._handle_of(vehicle))
            if newest is not None and newest.state.movements == state.movements:
                return None

        for number, movement in enumerate(state.movements or ()):
            if not self._may_be_movement(movement):
                rule = (
                    "is no movement of a digital code that this node has in force; "
                    "the vehicle's way is taken as not known"
                )
                remedy = (
                    "send ids of the code's connections, next first, or whole city codes; "
                    "null where the way is not known, [] where it leaves the road"
                )
                return RejectedMessage(f"movements[{number}]", movement, rule, remedy)

        return None

    def reported(self, vehicle: str, state: VehicleState) -> list[tuple[IntersectionState, tuple[float, ...]]]:
        """Return the detection (a row of DETECTION) that a report is to each intersection it lies in; those that the
        vehicle has left forget it."""
        detections = []
        for place, x, y in self._places(state.lat, state.lon):
            if len(place.reports) >= MAX_REPORTS and self._handle_of(vehicle) not in place.reports:
                self._metrics.count("drop.report", place.code.code.id)
                continue
            handle = self._register(vehicle, state.t)
            place.keep_report(declared(place, vehicle, handle, state, self._may_be_movement))
            detections.append((place, _detection(state, x, y, handle)))

        present = tuple(place for place, _ in detections)
        for place in self._present.get(vehicle, ()):
            if all(place is not here for here in present):
                place.reports.pop(self._handle_of(vehicle), None)

        self._present[vehicle] = present
        if not present:
            del self._present[vehicle]

        return detections

    def declared_kind(self, vehicle: str, place: IntersectionState) -> str | None:
        """Return the class in a vehicle's newest state in an intersection; None where it is not there."""
        report = place.reports.get(self._handle_of(vehicle))
        return None if report is None else report.state.kind

    def on_lane(self, lat: float, lon: float, heading: float) -> bool | None:
        """Return whether a position (degrees), passed in that direction (rad), is on a lane; None where it is in no
        intersection."""
        positions = self._places(lat, lon)
        for place, x, y in positions:
            if path_at(place.code, x, y, PROBE_SPEED * cos(heading), PROBE_SPEED * sin(heading)) >= 0:
                return True

        return False if positions else None

    def _may_be_movement(self, movement: str) -> bool:
        """Return whether a declared movement may be one: of an intersection here, by id or whole city code, or of
        another node's by its city code."""
        try:
            city_code = parse_code(movement)
        except CityCodeError:
            return movement in self._movement_names

        place = self._by_city_code.get(make(*city_code._replace(sub="")))
        return place is None or place.code.connection(movement) >= 0

    def _places(self, lat: float, lon: float) -> list[LocalPosition]:
        """Return the intersections that a position (degrees) lies in, and where in their frames."""
        if self._last_position == (lat, lon):
            return self._last_places

        positions = []
        for place, south, west, north, east in self._by_cell.get((floor(lat / CELL_SIZE), floor(lon / CELL_SIZE)), ()):
            if not (south <= lat <= north and west <= lon <= east):
                continue
            x0, y0, x1, y1 = place.code.bounds
            x, y = place.code.origin.to_local_point(lat, lon)
            if x0 <= x <= x1 and y0 <= y <= y1:
                positions.append(LocalPosition(place, x, y))

        self._last_position, self._last_places = (lat, lon), positions
        return positions

    def _handle_of(self, vehicle: str) -> int:
        return self._vehicles.get(vehicle, UNREGISTERED).handle

    def _register(self, vehicle: str, t: int) -> int:
        """Return the number of a vehicle that reports at `t` ns. Vehicles silent for MAX_SILENCE are forgotten, and
        those beyond MAX_VEHICLES; no number is given twice."""
        handle = self._vehicles.pop(vehicle, UNREGISTERED).handle
        if handle == 0:
            self._last_handle += 1
            handle = self._last_handle

        self._vehicles[vehicle] = Registered(handle, t)

        oldest = next(iter(self._vehicles))
        while self._vehicles[oldest].t < t - MAX_SILENCE or len(self._vehicles) > MAX_VEHICLES:
            del self._vehicles[oldest]
            self._present.pop(oldest, None)
            oldest = next(iter(self._vehicles))

        return handle


def declared(
    place: IntersectionState,
    name: str,
    handle: int,
    state: VehicleState,
    is_movement: Callable[[str], bool] = lambda _: False,
) -> world.Report:
    """Return a vehicle's report as an intersection keeps it, with the movement it declared there.

    `is_movement`: whether a declared name is a movement of any intersection.
    """
    connection, paths = -1, world.UNKNOWN
    newest = place.reports.get(handle)
    if newest is not None and newest.state.movements == state.movements:
        connection, paths = newest.connection, newest.paths
    else:
        connection = _declared_connection(place.code, state)
        if connection >= 0:
            paths = world.declare(place.code, connection)
        elif state.movements is not None and all(is_movement(movement) for movement in state.movements):
            paths = world.ELSEWHERE

    return world.Report(
        id=name,
        handle=handle,
        state=state,
        t=state.t,
        connection=connection,
        paths=paths,
        proven=place.priority.settings.listed(name) == state.kind,
    )


def _declared_connection(code: CompiledCode, state: VehicleState) -> int:
    """Return the first declared movement that is one through the intersection of a code, -1 where there is none."""
    for movement in state.movements or ():
        connection = code.connection(movement)
        if connection >= 0 and code.conn_inner[connection]:
            return connection
    return -1


def _detection(state: VehicleState, x: float, y: float, handle: int) -> tuple[float, ...]:
    """Return what a vehicle reports of itself, at x, y m of the intersection, as a row of DETECTION."""
    vx, vy = state.speed * cos(state.heading), state.speed * sin(state.heading)
    variance = state.accuracy**2
    kind = CLASS_OF_KIND.get(state.kind, ObjectClass.CAR)

    return (
        x,
        y,
        vx,
        vy,
        state.heading,
        state.length,
        state.width,
        np.nan,  # height: not known
        variance,
        variance,
        0.0,  # covariance of the two
        1.0,  # confidence
        handle,  # of the source's own track
        handle,  # of the vehicle
        kind,
    )


def _degrees(code: CompiledCode) -> tuple[float, float, float, float]:
    """Return the degrees (south, west, north, east) that a code's bounds lie within, with MARGIN around them."""
    x0, y0, x1, y1 = code.bounds
    margin = MARGIN + abs(code.origin.bend) * max(x0 * x0, x1 * x1)  # sides of the bounds are no parallels
    x, y = np.array([x0 - margin, x1 + margin]), np.array([y0 - margin, y1 + margin])
    lat, lon = code.origin.to_geodetic(x[[0, 1, 0, 1]], y[[0, 0, 1, 1]])
    return float(lat.min()), float(lon.min()), float(lat.max()), float(lon.max())


def _cells(code: CompiledCode) -> list[tuple[int, int]]:
    """Return the cells of the index that a code's bounds touch."""
    x0, y0, x1, y1 = code.bounds
    lat, lon = code.origin.to_geodetic(np.array([x0, x1]), np.array([y0, y1]))
    rows = range(floor(lat[0] / CELL_SIZE), floor(lat[1] / CELL_SIZE) + 1)
    columns = range(floor(lon[0] / CELL_SIZE), floor(lon[1] / CELL_SIZE) + 1)
    return [(row, column) for row in rows for column in columns]
