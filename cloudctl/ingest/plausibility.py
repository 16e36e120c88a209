"""Whether a connected vehicle's reports can be right: its heading and its speed against its motion, its position
against the lanes, its clock against the node's.

A report is never refused for one contradiction: noise, reversing and car parks make some. Contradictions that go on are
an event, then the vehicle's reports are refused until one agrees.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import atan2, cos, degrees, hypot, pi, radians, remainder, sin

from ..clock import MS, SECOND
from ..datums import MISTAKEN, undone
from ..events import Events
from ..metrics import Metrics
from ..schema import VehicleState
from .rejections import RejectedMessage

MEMORY = 20 * SECOND  # of a vehicle after its last report
MAX_VEHICLES = 20_000  # that are watched; beyond it the longest silent is forgotten
METRES_PER_DEGREE = 111_320.0  # of latitude, and of longitude at the equator

MIN_WAY = 5.0  # m between two reports that heading is compared with
MIN_WAY_SIGMA = 5.0  # of the vehicle's own accuracy, where that is more
MAX_PAUSE = 10 * SECOND  # between those two
MIN_SPEED = 1.0  # m/s; a slower vehicle's heading and motion differ by noise
MAX_BEND = radians(30)  # of heading between the two: on a tighter curve the chord is no direction
MAX_ERROR = radians(45)  # of heading against the motion
REVERSING = radians(150)  # an error of more is reversing, up to MAX_REVERSE_SPEED
MAX_REVERSE_SPEED = 5.0  # m/s
MAX_CONTRADICTIONS = 5  # in a row before reports are refused

# The way between two reports is compared with the speeds reported meanwhile: they contradict as soon as they differ by
# more than noise explains, and agree where they do not over a way on which they would.
SPEED_WAY = 25.0  # m, by either, from which they are compared
AGREEING_WAY = 8.0  # times the noise, from which they agree: half the speed would stand out
MIN_SPEED_TIME = SECOND
MAX_SPEED_TIME = 15 * SECOND  # beyond it they are compared anew
MAX_SPEED_GAP = 3 * SECOND  # between two reports, of which one a second may be lost, beyond which nothing is known
# Some receivers give a position once a second, and the vehicle repeats it: the way is then off by what it drives in it.
MAX_REPEATED = SECOND
MIN_STEP = 0.3  # share of the way by the speeds that a position moves where it is a new one
MAX_SPEED_BEND = radians(60)  # of heading meanwhile: on a tighter curve the chord is much shorter than the way
MAX_SPEED_CONTRADICTIONS = 3  # in a row before reports are refused
MAX_SPEED_ERROR = 0.25  # share of the longer of the two; km/h and mph differ by more

# A clock that is behind makes reports look old: the tracker then takes the vehicle to have driven on since.
CLOCK_REPORTS = 5  # in a row; the fastest of them did not take long on its way
MAX_DELAY = 300 * MS  # of the fastest; TS 101 539-1: from a sensor to a vehicle

LANE_INTERVAL = 2 * SECOND  # between two checks of which lane a position is on
MIN_LANE_SPEED = 3.0  # m/s; slower vehicles may park
MAX_OFF_LANE = 5  # checks in a row at which another datum explains a position, before reports are refused

OnLane = Callable[[float, float, float], bool | None]  # (lat, lon, heading) -> on a lane; None: in no intersection


@dataclass(slots=True)
class Watched:
    """The memory of one vehicle; its motion is measured from the report `anchor`."""

    anchor: VehicleState
    last_report: int  # ns
    contradictions: int = 0  # of heading, in a row
    last_lane_check: int = 0  # ns
    off_lane: int = 0  # checks in a row
    datum: str = ""  # that explains them

    speed_from: VehicleState | None = None  # the report from which the way is compared with the speeds; None: the next
    newest: VehicleState | None = None
    ages: deque[int] = field(default_factory=lambda: deque(maxlen=CLOCK_REPORTS))  # ns, of the newest reports
    is_late: bool = False  # all of them are, which the vehicle was notified of
    driven: float = 0.0  # m since that report, by the speeds
    moved: int = 0  # ns; the last report whose position was a new one
    repeated: int = 0  # ns; the longest that a position was repeated since
    speed_contradictions: int = 0  # in a row

    def compare_speed_from(self, state: VehicleState) -> None:
        """Begin the comparison of way and speeds anew with a report."""
        self.speed_from, self.driven, self.moved, self.repeated = state, 0.0, state.t, 0


class Plausibility:
    """The check of one node's vehicles."""

    def __init__(self, on_lane: OnLane, metrics: Metrics, events: Events) -> None:
        self._on_lane = on_lane
        self._metrics = metrics
        self._events = events
        self._vehicles: OrderedDict[str, Watched] = OrderedDict()  # the longest silent first

    def __len__(self) -> int:
        return len(self._vehicles)

    def check(self, t: int, vehicle: str, state: VehicleState) -> RejectedMessage | None:
        """Compare a report received at `t` ns with those before; return what the vehicle is to be notified of though
        the report is used. Raises RejectedMessage for one of a vehicle that goes on contradicting them."""
        self._forget_silent(t)
        watched = self._vehicles.get(vehicle)
        if watched is None:
            self._watch(t, vehicle, state)
            return None

        self._vehicles.move_to_end(vehicle)
        watched.last_report = t
        self._check_heading(t, vehicle, watched, state)
        self._check_speed(t, vehicle, watched, state)

        # Lanes are matched by heading, so with a wrong heading the position cannot be checked.
        lane_check_due = state.t - watched.last_lane_check >= LANE_INTERVAL

        if watched.contradictions == 0 and lane_check_due and state.speed >= MIN_LANE_SPEED:
            watched.last_lane_check = state.t
            self._check_position(t, vehicle, watched, state)

        if watched.contradictions >= MAX_CONTRADICTIONS:
            raise RejectedMessage(
                field="heading",
                value=state.heading,
                rule=f"contradicted the way the vehicle drove {watched.contradictions} times in a row",
                remedy="send radians counter-clockwise from east: (90 - degrees clockwise from north) x pi / 180",
            )

        if watched.speed_contradictions >= MAX_SPEED_CONTRADICTIONS:
            raise RejectedMessage(
                field="speed",
                value=state.speed,
                rule=f"contradicted the way the vehicle drove {watched.speed_contradictions} times in a row",
                remedy="send m/s (not km/h, mph or a figure that means 'not available'), with the newest position",
            )

        if watched.datum and watched.off_lane >= MAX_OFF_LANE:
            raise RejectedMessage(
                field="lat, lon",
                value=f"{state.lat}, {state.lon}",
                rule=f"lies on no lane, and would by the offset of {watched.datum}",
                remedy=f"send WGS-84 / CGCS2000, not {watched.datum}",
            )

        return self._late_clock(t, vehicle, watched, state)

    def _forget_silent(self, t: int) -> None:
        while self._vehicles and next(iter(self._vehicles.values())).last_report < t - MEMORY:
            self._vehicles.popitem(last=False)

    def _watch(self, t: int, vehicle: str, state: VehicleState) -> None:
        if len(self._vehicles) >= MAX_VEHICLES:
            self._vehicles.popitem(last=False)
            self._metrics.count("drop.plausibility")
        self._vehicles[vehicle] = Watched(anchor=state, last_report=t)
        self._vehicles[vehicle].ages.append(t - state.t)

    # --- the checks ---

    def _late_clock(self, t: int, vehicle: str, watched: Watched, state: VehicleState) -> RejectedMessage | None:
        """Return what a vehicle is to be notified of whose reports all come late: once, until one is in time."""
        watched.ages.append(t - state.t)
        least = min(watched.ages)
        if least <= MAX_DELAY or len(watched.ages) < CLOCK_REPORTS:
            watched.is_late = watched.is_late and least > MAX_DELAY
            return None

        self._metrics.count("vehicle.clock_behind", vehicle)
        if watched.is_late:
            return None

        watched.is_late = True
        rule = (
            f"is {least / SECOND:.1f} s old at the least with each of the last {CLOCK_REPORTS} reports: the vehicle's "
            "clock is so far behind, or its link takes so long; they are used"
        )
        text = f"vehicle {vehicle}: t {rule}. Its clock is to be set by GNSS or NTP"
        self._events.notice(t, "vehicle.clock", vehicle, text)
        remedy = "set the clock by GNSS or NTP, and send at once; with t too early you are taken to be farther on"

        return RejectedMessage("t", state.t, rule, remedy)

    def _check_heading(self, t: int, vehicle: str, watched: Watched, state: VehicleState) -> None:
        """Compare the heading of a report with the motion since the anchor."""
        anchor = watched.anchor
        pause = state.t - anchor.t
        if pause <= 0:
            return

        east, north = _way(anchor, state)
        if hypot(east, north) < max(MIN_WAY, MIN_WAY_SIGMA * state.accuracy) and pause <= MAX_PAUSE:
            return

        watched.anchor = state
        bend = remainder(state.heading - anchor.heading, 2 * pi)
        if pause > MAX_PAUSE or abs(bend) > MAX_BEND or min(state.speed, anchor.speed) < MIN_SPEED:
            return

        # on a curve, the chord points half-way between the headings at its ends
        error = abs(remainder(atan2(north, east) - anchor.heading - 0.5 * bend, 2 * pi))
        if error > REVERSING and state.speed < MAX_REVERSE_SPEED:
            return

        if error <= MAX_ERROR:
            watched.contradictions = 0
            return

        watched.contradictions += 1
        self._metrics.count("vehicle.heading_contradicts", vehicle)
        if watched.contradictions == MAX_CONTRADICTIONS:
            text = (
                f"vehicle {vehicle}: its heading is {degrees(error):.0f} degrees off the way it drives, "
                f"{MAX_CONTRADICTIONS} times in a row: "
                "its reports are refused until they agree. Headings are radians counter-clockwise from east"
            )
            self._events.notice(t, "vehicle.heading_refused", vehicle, text)

    def _check_speed(self, t: int, vehicle: str, watched: Watched, state: VehicleState) -> None:
        """Compare the way since a report some time ago with the speeds reported meanwhile."""
        newest, begin = watched.newest, watched.speed_from
        gap = 0 if newest is None else state.t - newest.t
        if newest is not None and gap <= 0:
            return

        watched.newest = state
        is_bent = begin is not None and abs(remainder(state.heading - begin.heading, 2 * pi)) > MAX_SPEED_BEND
        # A position that goes back has jumped, or the vehicle reverses: neither tells the speed.
        is_unclear = gap > MAX_SPEED_GAP or is_bent or (newest is not None and _goes_back(newest, state))

        if newest is None or begin is None or is_unclear or state.t - begin.t > MAX_SPEED_TIME:
            watched.compare_speed_from(state)
            return

        step = 0.5 * (newest.speed + state.speed) * gap / SECOND
        watched.driven += step
        if hypot(*_way(newest, state)) >= MIN_STEP * step:
            watched.moved = state.t
        else:
            watched.repeated = min(max(watched.repeated, state.t - watched.moved), MAX_REPEATED)

        way, time = hypot(*_way(begin, state)), state.t - begin.t
        longer = max(way, watched.driven)
        if longer < SPEED_WAY or time < MIN_SPEED_TIME:
            return

        difference = abs(way - watched.driven)
        noise = max(MIN_WAY, MIN_WAY_SIGMA * state.accuracy) + way * watched.repeated / time
        contradicts = difference > noise + MAX_SPEED_ERROR * longer

        if not contradicts and longer < AGREEING_WAY * noise:
            return

        watched.compare_speed_from(state)
        if not contradicts or self._on_lane(state.lat, state.lon, state.heading) is None:  # outside nobody is advised
            watched.speed_contradictions = 0
            return

        watched.speed_contradictions += 1
        self._metrics.count("vehicle.speed_contradicts", vehicle)
        if watched.speed_contradictions == MAX_SPEED_CONTRADICTIONS:
            text = (
                f"vehicle {vehicle}: its speed is {difference:.0f} m off over the {way:.0f} m that it drove, "
                f"{MAX_SPEED_CONTRADICTIONS} times in a row: its reports are refused until they agree. Speeds are m/s"
            )
            self._events.notice(t, "vehicle.speed_refused", vehicle, text)

    def _check_position(self, t: int, vehicle: str, watched: Watched, state: VehicleState) -> None:
        """Compare the position of a report with the lanes, as it is and with the offset of another datum taken off."""
        on_lane = self._on_lane(state.lat, state.lon, state.heading)
        datum = "" if on_lane else self._explaining_datum(state)
        outside = on_lane is None and not datum  # this node knows no lanes there

        if on_lane or outside:
            watched.off_lane, watched.datum = 0, ""
            return

        if datum != watched.datum:
            watched.off_lane, watched.datum = 0, datum

        watched.off_lane += 1
        self._metrics.count("vehicle.datum" if datum else "vehicle.off_lane", vehicle)
        if watched.off_lane == MAX_OFF_LANE:
            reason = "no other datum explains it"
            if datum:
                reason = f"by the offset of {datum} it would: its reports are refused until it does"
            text = f"vehicle {vehicle}: where it drives lies on no lane; {reason}. Positions are WGS-84 / CGCS2000"
            self._events.notice(t, "vehicle.misplaced", vehicle, text)

    def _explaining_datum(self, state: VehicleState) -> str:
        """Return the datum whose offset, taken off a position, puts it on a lane; "" where none does."""
        for name in MISTAKEN:
            if self._on_lane(*undone(name, state.lat, state.lon), state.heading):
                return name
        return ""


def _way(begin: VehicleState, end: VehicleState) -> tuple[float, float]:
    """Return m east and north from one report to another."""
    east = (end.lon - begin.lon) * METRES_PER_DEGREE * cos(radians(end.lat))
    return east, (end.lat - begin.lat) * METRES_PER_DEGREE


def _goes_back(begin: VehicleState, end: VehicleState) -> bool:
    """Return whether a vehicle moved against its heading from one report to another, by more than noise."""
    east, north = _way(begin, end)
    forwards = east * cos(end.heading) + north * sin(end.heading)
    return forwards < -max(MIN_WAY, MIN_WAY_SIGMA * end.accuracy)
