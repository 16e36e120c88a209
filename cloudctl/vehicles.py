"""The connected vehicles of a node: the number each goes by, and which intersections it is in."""

from collections.abc import Callable, Iterable
from math import cos, floor, sin

import numpy as np

from . import world
from .clock import SECOND
from .codes import CompiledCode
from .codes.citycode import CityCodeError, make, parse_code
from .fusion import TRACK
from .ingest.rejections import RejectedMessage
from .intersection import IntersectionState
from .matching import match
from .metrics import Metrics
from .rates import OncePer
from .schema import ObjectClass, VehicleState

REMEMBERED = 20 * SECOND  # after its last report; a vehicle that comes back later is a new one
MOST = 100_000  # vehicles, of some 200 bytes each; beyond that the longest silent is forgotten
MAX_REPORTS = (
    1024  # vehicles of one intersection; beyond that no new one is taken in until one has left or fallen silent
)
CELL = 0.01  # degrees; the index of intersections by position
NEAR = (0, -1, 1)  # cells around a vehicle's own in which an intersection is near: its own first, where it mostly is
ELSEWHERE_INTERVAL = 60 * SECOND  # between two answers to a vehicle that is near no intersection
MAX_ELSEWHERE = 10_000  # of those vehicles that are remembered as answered
CLASS_OF_KIND = {
    "bus": ObjectClass.BUS,
    "coach": ObjectClass.BUS,
    "motorcycle": ObjectClass.MOTORCYCLE,
    "truck": ObjectClass.TRUCK,
    "bicycle": ObjectClass.BICYCLE,
    "pedestrian": ObjectClass.PEDESTRIAN,
}


class VehicleRegistry:
    """Who is known, and where the intersections lie that he may be in."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or Metrics()
        self._handles: dict[
            str, tuple[int, int]
        ] = {}  # of vehicles, the longest silent first: the number, and ns of its last report
        self._numbered = 0
        self._in: dict[
            str, tuple[IntersectionState, ...]
        ] = {}  # the intersections each vehicle last reported from within
        self._where: dict[tuple[int, int], list[IntersectionState]] = {}
        self._elsewhere = OncePer(ELSEWHERE_INTERVAL, MAX_ELSEWHERE)
        self._ids: dict[str, IntersectionState] = {}  # by city code
        self._names: set[str] = set()  # of movements, of all intersections; asked, never walked

    def index(self, places: Iterable[IntersectionState]) -> None:
        """Take in where the intersections lie; call it again when one's code changes."""
        self._where.clear()
        self._names.clear()
        self._ids = {place.code.code.id: place for place in places}
        for place in self._ids.values():
            self._names.update(place.code.conn_alias)
            for cell in _cells(place.code):
                self._where.setdefault(cell, []).append(place)

    def around(self, place: IntersectionState) -> list[IntersectionState]:
        """Return the intersections whose codes may overlap one's."""
        return list({id(other): other for cell in _cells(place.code) for other in self._where.get(cell, ())}.values())

    def unused(self, t: int, vehicle: str, state: VehicleState) -> RejectedMessage | None:
        """Return why a report received at `t` ns, or a movement it declares, cannot be used, where the vehicle was not answered so before; None where it can."""
        row, column = floor(state.lat / CELL), floor(state.lon / CELL)
        if not any((row + i, column + j) in self._where for i in NEAR for j in NEAR):
            self._metrics.count("vehicle.elsewhere")
            rule = f"lies in no intersection of this node, nor near one ({len(self._ids)} of them)"
            remedy = "check the order (lat, lon) and the datum (WGS-84 / CGCS2000), or ask for the node that serves this place"
            return (
                RejectedMessage("lat, lon", f"{state.lat}, {state.lon}", rule, remedy)
                if self._elsewhere.allow(vehicle, t)
                else None
            )
        return self._unknown_movement(vehicle, state)

    def _unknown_movement(self, vehicle: str, state: VehicleState) -> RejectedMessage | None:
        for place in self._in.get(vehicle, ()):
            last = place.reports.get(self._number(vehicle))
            if last is not None and last.state.movements == state.movements:
                return None
        for k, movement in enumerate(state.movements or ()):
            if not self._knows(movement):
                rule = "is no movement of a digital code that this node has in force; the vehicle's way is taken as not known"
                remedy = "send ids of the code's connections, next first, or whole city codes; null where the way is not known, [] where it leaves the road"
                return RejectedMessage(f"movements[{k}]", movement, rule, remedy)
        return None

    def reported(self, vehicle: str, state: VehicleState) -> list[tuple[IntersectionState, tuple[float, ...]]]:
        """Return the detection (a row of DETECTION) that a report is to each intersection it lies in; those it has left let go of the vehicle."""
        out = []
        for place, x, y in self._places(state.lat, state.lon):
            if len(place.reports) >= MAX_REPORTS and self._number(vehicle) not in place.reports:
                self._metrics.count("drop.report", place.code.code.id)
                continue
            handle = self._handle(vehicle, state.t)
            place.reports[handle] = declared(place, vehicle, handle, state, self._knows)
            out.append((place, _detection(state, x, y, handle)))
        for place in self._in.get(vehicle, ()):
            if all(place is not here for here, _ in out):
                place.reports.pop(self._number(vehicle), None)
        self._in[vehicle] = tuple(place for place, _ in out)
        if not out:
            del self._in[vehicle]
        return out

    def declared_kind(self, vehicle: str, place: IntersectionState) -> str | None:
        """Return the class that a vehicle last gave itself in an intersection; None where it is not there."""
        report = place.reports.get(self._number(vehicle))
        return None if report is None else report.state.kind

    def on_lane(self, lat: float, lon: float, heading: float) -> bool | None:
        """Return whether a position (degrees), driven through in that direction (rad), is on a lane; None where it is in no intersection."""
        places = self._places(lat, lon)
        for place, x, y in places:
            track = np.zeros(1, TRACK)
            track["x"], track["y"], track["vx"], track["vy"] = x, y, 5.0 * cos(heading), 5.0 * sin(heading)
            if match(place.code, track, np.full((1, 3), -1, np.int64)).path[0] >= 0:
                return True
        return False if places else None

    def _knows(self, movement: str) -> bool:
        """Return whether a declared movement may be one: of an intersection here, by id or whole city code, or of another node's by its city code."""
        try:
            whole = parse_code(movement)
        except CityCodeError:
            return movement in self._names
        place = self._ids.get(make(*whole._replace(sub="")))
        return place is None or place.code.connection(movement) >= 0

    def _places(self, lat: float, lon: float) -> list[tuple[IntersectionState, float, float]]:
        """Return the intersections that a position lies in, and where in their frames (m)."""
        out = []
        for place in self._where.get((floor(lat / CELL), floor(lon / CELL)), ()):
            x, y = (float(v) for v in place.code.origin.to_local(lat, lon))
            x0, y0, x1, y1 = place.code.bounds
            if x0 <= x <= x1 and y0 <= y <= y1:
                out.append((place, x, y))
        return out

    def _number(self, vehicle: str) -> int:
        return self._handles.get(vehicle, (0, 0))[0]

    def _handle(self, vehicle: str, t: int) -> int:
        """Return the number of a vehicle that reports at `t` ns: those of the last REMEMBERED are known, MOST at the most; no number is given twice."""
        handle, _ = self._handles.pop(vehicle, (0, 0))
        if handle == 0:
            self._numbered += 1
            handle = self._numbered
        self._handles[vehicle] = (handle, t)
        oldest, (_, silent_since) = next(iter(self._handles.items()))
        while silent_since < t - REMEMBERED or len(self._handles) > MOST:
            del self._handles[oldest]
            self._in.pop(oldest, None)
            oldest, (_, silent_since) = next(iter(self._handles.items()))
        return handle


def declared(
    place: IntersectionState,
    name: str,
    handle: int,
    state: VehicleState,
    knows: Callable[[str], bool] = lambda _: False,
) -> world.Report:
    """Return a vehicle's report as an intersection keeps it, with the movement it declared there; `knows`: whether a movement is one of any intersection's."""
    proven = place.priority.settings.listed(name) == state.kind
    last = place.reports.get(handle)
    if last is not None and last.state.movements == state.movements:
        return world.Report(name, handle, state, state.t, last.connection, last.paths, proven)
    code = place.code
    for movement in state.movements or ():
        k = code.connection(movement)
        if k >= 0 and code.conn_inner[k]:
            return world.Report(name, handle, state, state.t, k, world.declare(code, k), proven)
    leaves = state.movements is not None and all(knows(movement) for movement in state.movements)
    return world.Report(name, handle, state, state.t, -1, world.ELSEWHERE if leaves else world.UNKNOWN, proven)


def _detection(state: VehicleState, x: float, y: float, handle: int) -> tuple[float, ...]:
    """Return what a vehicle says of itself, at x, y m of the place, as a row of DETECTION."""
    vx, vy, var = state.speed * cos(state.heading), state.speed * sin(state.heading), state.accuracy**2
    kind = CLASS_OF_KIND.get(state.kind, ObjectClass.CAR)
    return (x, y, vx, vy, state.heading, state.length, state.width, np.nan, var, var, 0.0, 1.0, handle, handle, kind)


def _cells(code: CompiledCode) -> list[tuple[int, int]]:
    """Return the cells of the index that a code's bounds touch."""
    x0, y0, x1, y1 = code.bounds
    lat, lon = code.origin.to_geodetic(np.array([x0, x1]), np.array([y0, y1]))
    across = range(floor(lon[0] / CELL), floor(lon[1] / CELL) + 1)
    return [(i, j) for i in range(floor(lat[0] / CELL), floor(lat[1] / CELL) + 1) for j in across]
