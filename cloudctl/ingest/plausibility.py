"""Whether what a connected vehicle says of itself can be: its heading against its motion, its position against the lanes.

A report is never refused for one contradiction: noise, reversing and car parks make some. Those that go on are an event, then refused, until one agrees.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, pi, radians, remainder

from ..clock import SECOND
from ..datums import MISTAKEN, undone
from ..events import Events
from ..metrics import Metrics
from ..schema import VehicleState
from .rejections import RejectedMessage

REMEMBERED = 20 * SECOND  # after its last report
MAX_VEHICLES = 20_000  # that are watched; beyond it the longest silent is forgotten
MIN_WAY = 5.0  # m between two reports that heading is compared with
MIN_WAY_SIGMA = 5.0  # of the vehicle's own accuracy, where that is more
MAX_PAUSE = 10 * SECOND  # between those
MIN_SPEED = 1.0  # m/s; below it a heading says nothing of the way driven
MAX_BEND = radians(30)  # of heading between the two: on a tighter curve the way between says little
MAX_ERROR = radians(45)  # of heading against the way
REVERSING = radians(150)  # and more is reversing, up to MAX_REVERSE m/s
MAX_REVERSE = 5.0
MAX_CONTRADICTIONS = 5  # in a row before reports are refused
LANE_INTERVAL = 2 * SECOND  # between two looks at which lane a position is on
MIN_LANE_SPEED = 3.0  # m/s; slower vehicles may park
MAX_OFF_LANE = 5  # looks in a row at which another datum explains a position before it is refused

OnLane = Callable[[float, float, float], bool | None]  # (lat, lon, heading) -> on a lane; None: in no intersection


@dataclass(slots=True)
class Watched:
    """What is remembered of one vehicle; the anchor is the report its way is measured from."""

    anchor: VehicleState
    seen: int  # ns; when it last reported
    contradictions: int = 0
    looked: int = 0  # ns; when its position was last held against the lanes
    off_lane: int = 0  # looks in a row
    datum: str = ""  # that explains them


class Plausibility:
    """The check of one node's vehicles."""

    def __init__(self, on_lane: OnLane, metrics: Metrics, events: Events) -> None:
        self._on_lane, self._metrics, self._events = on_lane, metrics, events
        self._vehicles: OrderedDict[str, Watched] = OrderedDict()  # the longest silent first

    def __len__(self) -> int:
        return len(self._vehicles)

    def check(self, t: int, vehicle: str, state: VehicleState) -> None:
        """Take in a report received at `t` ns. Raises RejectedMessage for one that goes on contradicting what is known."""
        while self._vehicles and next(iter(self._vehicles.values())).seen < t - REMEMBERED:
            self._vehicles.popitem(last=False)
        watched = self._vehicles.get(vehicle)
        if watched is None:
            if len(self._vehicles) >= MAX_VEHICLES:
                self._vehicles.popitem(last=False)
                self._metrics.count("drop.plausibility")
            self._vehicles[vehicle] = Watched(state, t)
            return
        self._vehicles.move_to_end(vehicle)
        watched.seen = t
        self._heading(t, vehicle, watched, state)
        if (
            watched.contradictions == 0 and state.t - watched.looked >= LANE_INTERVAL and state.speed >= MIN_LANE_SPEED
        ):  # lanes are matched by heading
            watched.looked = state.t
            self._position(t, vehicle, watched, state)
        if watched.contradictions >= MAX_CONTRADICTIONS:
            raise RejectedMessage(
                "heading", state.heading, f"contradicted the way the vehicle drove {watched.contradictions} times in a row",
                "send radians counter-clockwise from east: (90 - degrees clockwise from north) x pi / 180",
            )  # fmt: skip
        if watched.datum and watched.off_lane >= MAX_OFF_LANE:
            raise RejectedMessage(
                "lat, lon", f"{state.lat}, {state.lon}", f"lies on no lane, and would by the offset of {watched.datum}",
                f"send WGS-84 / CGCS2000, not {watched.datum}",
            )  # fmt: skip

    # --- the two checks ---

    def _heading(self, t: int, vehicle: str, watched: Watched, state: VehicleState) -> None:
        """Hold the heading of a report against the way since the anchor."""
        anchor = watched.anchor
        if state.t <= anchor.t:
            return
        east = (state.lon - anchor.lon) * 111_320.0 * cos(radians(state.lat))
        north = (state.lat - anchor.lat) * 111_320.0
        way = hypot(east, north)
        if way < max(MIN_WAY, MIN_WAY_SIGMA * state.accuracy) and state.t - anchor.t <= MAX_PAUSE:
            return
        watched.anchor = state
        bend = remainder(state.heading - anchor.heading, 2 * pi)
        if state.t - anchor.t > MAX_PAUSE or abs(bend) > MAX_BEND or min(state.speed, anchor.speed) < MIN_SPEED:
            return
        error = abs(remainder(atan2(north, east) - anchor.heading - 0.5 * bend, 2 * pi))
        if error > REVERSING and state.speed < MAX_REVERSE:
            return
        if error <= MAX_ERROR:
            watched.contradictions = 0
            return
        watched.contradictions += 1
        self._metrics.count("vehicle.heading_contradicts", vehicle)
        if watched.contradictions == MAX_CONTRADICTIONS:
            text = (
                f"vehicle {vehicle}: its heading is {degrees(error):.0f} degrees off the way it drives, {MAX_CONTRADICTIONS} times in a row: "
                "its reports are refused until they agree. Headings are radians counter-clockwise from east"
            )
            self._events.notice(t, "vehicle.heading_refused", vehicle, text)

    def _position(self, t: int, vehicle: str, watched: Watched, state: VehicleState) -> None:
        """Hold the position of a report against the lanes, as it is and with the offset of another datum taken off."""
        here = self._on_lane(state.lat, state.lon, state.heading)
        explained = ""
        if not here:
            explained = next(
                (name for name in MISTAKEN if self._on_lane(*undone(name, state.lat, state.lon), state.heading)), ""
            )
        if here or (here is None and not explained):
            watched.off_lane, watched.datum = 0, ""  # on a lane, or where this node knows none
            return
        if explained != watched.datum:
            watched.off_lane, watched.datum = 0, explained
        watched.off_lane += 1
        self._metrics.count("vehicle.datum" if explained else "vehicle.off_lane", vehicle)
        if watched.off_lane == MAX_OFF_LANE:
            why = (
                f"by the offset of {explained} it would: its reports are refused until it does"
                if explained
                else "no other datum explains it"
            )
            text = f"vehicle {vehicle}: where it drives lies on no lane; {why}. Positions are WGS-84 / CGCS2000"
            self._events.notice(t, "vehicle.misplaced", vehicle, text)
