"""The sensors of one intersection: which are dead, late, slow or misplaced, by their gateways' health messages and by
the frames they send.

The trouble of each is published as `degraded`. A sensor that is dead, or whose clock is wrong, does not prove by an
empty frame that there is nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot, isfinite
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from .clock import MS, SECOND
from .datums import MISTAKEN
from .events import Events
from .fusion import Fusion, SourceConfig
from .fusion_settings import MAX_PLACE, MAX_SOURCES
from .geo import Origin
from .ingest.rejections import RejectedMessage
from .ingest.sources import Source
from .kernels import njit
from .matching import match
from .road_users import IS_MOTOR_VEHICLE
from .schema import Health, Sensor, SensorHealth
from .world import World

CHECK_INTERVAL = SECOND
SILENT_PERIODS = 3  # of the declared rate without a frame, and SILENT_MARGIN more, before a sensor is silent
SILENT_MARGIN = SECOND
RATE_WINDOW = 5 * SECOND  # over which the rate of a sensor is measured
MIN_RATE = 0.5  # of the declared rate
MIN_DECLARED_RATE = 0.01  # Hz; a sensor that declares less, or 0, sends on events
MAX_FRAME_AGE = 300 * MS  # on average when received: older perception is not planned on
MAX_CLOCK_OFFSET = 500 * MS  # of a sensor's clock from its gateway's
HEALTH_VALID = 60 * SECOND  # of a health message
MIN_SPEED = 2.0  # m/s; a slower vehicle may be parked beside the road
FADE = 0.9  # of the counts of vehicles, from one check to the next
MIN_WEIGHT = 5.0  # moving vehicles counted, before their positions are evidence on a sensor
MAX_OFF_LANE = 0.5  # share of them on no lane
MIN_EXPLAINED = 0.7  # share of them that another datum would put on lanes
MIN_DATUM_OFFSET = 1.0  # m; a datum that differs by less here explains nothing
MAX_LISTED = 3  # sensors named in one sentence
MATCH_ANY = (-1, -1, -1)  # paths of a track without a declared movement
HEALTH_BOUNDS = (("hz", 0.0, 1000.0), ("temperature", -100.0, 200.0))  # of a sensor's health


@dataclass
class SensorState:
    """The state of one sensor. Times are ns of the node's clock."""

    rsu: str
    sensor: str
    source: Source
    since: int  # when it was declared, or first seen
    last: int = 0  # when its newest frame was received
    begun: int = 0  # the window of the rate
    frames: int = 0  # within it
    ages: int = 0  # ns; the sum of their ages when they were received
    rate: float | None = None  # Hz, over the last whole window
    age: int | None = None  # ns; of a frame when it was received, its mean over the last whole window
    health: SensorHealth | None = None
    health_t: int = 0
    moving: float = 0.0  # moving vehicles it saw, faded
    off_lane: float = 0.0  # of those, on no lane
    misplaced: str = ""  # a sentence, where most of them are on no lane
    datum: str = ""  # that explains it
    trouble: str = ""  # that vehicles should know of, a sentence
    last_event: str = ""  # the trouble or misplacement last reported

    @property
    def name(self) -> str:
        return f"{self.rsu}/{self.sensor}"


class Sensing:
    """The sensors of an intersection. To be checked with every plan; `trouble` is what vehicles should know of."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self._states: dict[int, SensorState] = {}  # by number in the tracker
        self._last_check = 0

    def renew(self) -> None:
        """Forget the counts of vehicles on and off lanes: the lanes, or the tracker, are others."""
        for state in self._states.values():
            state.moving = state.off_lane = 0.0

    def begin(self, t: int, rsu: str) -> None:
        """Begin the sensors of a roadside unit anew: its gateway has started again at `t` ns."""
        for state in self._states.values():
            if state.rsu == rsu:
                state.since = state.begun = t
                state.frames = state.ages = state.last = 0
                state.rate = state.age = state.health = None

    def declare(self, t: int, rsu: str, sensor: Sensor, source: Source, fusion: Fusion, origin: Origin) -> None:
        """Register a sensor that a hello declares at `t` ns, here and in the tracker."""
        state = self._states.setdefault(source.index, SensorState(rsu, sensor.id, source, t))
        state.since = state.begun = t
        register_sensor_pose(source, fusion, origin)

    def counted(self, t: int, sensed: int, index: int) -> bool:
        """Count a frame of a sensor that sent some before; False where it is new, or begins anew: `frame` counts it
        then."""
        state = self._states.get(index)
        if state is None or state.last == 0:
            return False

        state.last = t
        state.frames += 1
        state.ages += t - sensed

        return True

    def frame(self, t: int, sensed: int, index: int, sources: Iterable[tuple[tuple[str, str], Source]]) -> None:
        """Count a frame of a sensor, of `sensed` ns and received at `t` ns; `sources`: where the sensor is looked up
        when it is new."""
        state = self._states.get(index)
        if state is None:
            (rsu, sensor), source = next(item for item in sources if item[1].index == index)
            state = self._states[index] = SensorState(rsu, sensor, source, t, begun=t)

        if state.last == 0:
            state.begun = t

        state.last = t
        state.frames += 1
        state.ages += t - sensed

    def usable(self, body: Health) -> tuple[Health, list[RejectedMessage]]:
        """Return a health message with the sensors and figures that can be used, and why the others cannot."""
        known = {state.sensor for state in self._states.values() if state.rsu == body.rsu}
        refused: list[RejectedMessage] = []
        used = []
        contradicted = _contradicted(body.sensors)

        for k, sensor in enumerate(body.sensors):
            if sensor.id in contradicted:
                rule = "has more than one health in the message, and they differ: none of them is used"
                refused.append(RejectedMessage(f"s[{k}].id", sensor.id, rule, "send the health of each sensor once"))
                continue

            if sensor.id not in known:
                names = ", ".join(sorted(known)) or "none"
                remedy = "declare it in hello, or send its perception first"
                refused.append(
                    RejectedMessage(f"s[{k}].id", sensor.id, f"is no sensor of {body.rsu} (known: {names})", remedy)
                )
                continue

            left_out: dict[str, None] = {}
            for name, low, high in HEALTH_BOUNDS:
                value = getattr(sensor, name)
                if value is not None and not (isfinite(value) and low <= value <= high):
                    rule = f"must be within {low:g} .. {high:g}; it is not used"
                    refused.append(RejectedMessage(f"s[{k}].{name}", value, rule, "leave out what is not measured"))
                    left_out[name] = None

            used.append(replace(sensor, **left_out) if left_out else sensor)

        if not refused:
            return body, []

        return replace(body, sensors=tuple(used)), refused

    def health(self, t: int, body: Health) -> None:
        """Accept a health message that was checked, received at `t` ns."""
        by_name = {state.sensor: state for state in self._states.values() if state.rsu == body.rsu}
        for health in body.sensors:
            state = by_name.get(health.id)
            if state is not None:
                state.health = health
                state.health_t = t

    def is_due(self, t: int) -> bool:
        """Return whether sensors are checked at `t` ns."""
        return t - self._last_check >= CHECK_INTERVAL

    def observe(self, world: World, fusion: Fusion, events: Events) -> None:
        """Check every sensor, once in CHECK_INTERVAL; a trouble that begins is an event."""
        if not self.is_due(world.t):
            return

        self._last_check = world.t
        self._count_off_lane(world)
        for index, state in self._states.items():
            self._measure(world.t, state)
            unfit = self._unfit(world.t, state)
            fusion.blind(index, bool(unfit))

            # An unexplained misplacement may be a fault of the map: it is an event, and no reason to withhold advice.
            explained = state.misplaced if state.datum else ""
            state.trouble = unfit or self._slow(world.t, state) or explained
            self._report(world, state, events)

        self.trouble = self._summary()

    def numbers(self) -> list[tuple[str, int]]:
        """Return each sensor's name and its number in the tracker."""
        return [(state.name, number) for number, state in self._states.items()]

    def _report(self, world: World, state: SensorState, events: Events) -> None:
        """Report the trouble of a sensor as an event, where it is another than last time."""
        problem = state.trouble or state.misplaced
        # "is slow: 3.1 Hz of ...": the figures may differ from check to check, the trouble is the same
        title = problem.partition(":")[0]
        if problem and title != state.last_event:
            kind = "sensor." + title.split()[-1]
            text = f"intersection {world.code.code.id}: sensor {state.name} {problem}"
            events.notice(world.t, kind, state.name, text)

        state.last_event = title

    def _summary(self) -> str | None:
        """Return the trouble of all sensors in one sentence; None where there is none."""
        troubles = [f"sensor {state.name} {state.trouble}" for state in self._states.values() if state.trouble]
        if not troubles:
            return None

        summary = "; ".join(troubles[:MAX_LISTED])
        if len(troubles) > MAX_LISTED:
            summary += f"; and {len(troubles) - MAX_LISTED} more"

        return summary

    def table(self) -> dict[str, dict[str, object]]:
        """Return the state of each sensor, by name, as plain values for the node's status."""
        rows: dict[str, dict[str, object]] = {}
        for state in self._states.values():
            declared, health = state.source.sensor, state.health
            rows[state.name] = {
                "type": declared.type if declared else None,
                "declared_hz": declared.hz if declared else None,
                "hz": None if state.rate is None else round(state.rate, 1),
                "newest_frame": state.last or None,
                "age_s": None if state.age is None else round(state.age / SECOND, 3),
                "alive": health.alive if health else None,
                "temperature": health.temperature if health else None,
                "clock_offset": health.clock_offset if health else None,
                "off_lane": round(state.off_lane / state.moving, 2) if state.moving >= MIN_WEIGHT else None,
                "trouble": state.trouble or state.misplaced or None,
            }

        return rows

    # --- the checks ---

    def _measure(self, t: int, state: SensorState) -> None:
        """Close the window of a sensor's rate where it is over, and begin the next."""
        if state.last and t - state.begun >= RATE_WINDOW:
            state.rate = state.frames * SECOND / (t - state.begun)
            state.age = state.ages // state.frames if state.frames else None
            state.frames = state.ages = 0
            state.begun = t

    def _unfit(self, t: int, state: SensorState) -> str:
        """Return why an empty frame of a sensor does not prove that there is nothing; "" where it does."""
        health = self._valid_health(t, state)
        if health is None:
            return ""
        if not health.alive:
            return "is dead: its roadside unit says so"
        if health.clock_offset is not None and abs(health.clock_offset) > MAX_CLOCK_OFFSET:
            return f"has a wrong clock: it is {health.clock_offset / SECOND:.1f} s off its gateway's"

        return ""

    def _valid_health(self, t: int, state: SensorState) -> SensorHealth | None:
        return state.health if t - state.health_t <= HEALTH_VALID else None

    def _slow(self, t: int, state: SensorState) -> str:
        """Return that a sensor is late, or silent or slower than declared where it declared a rate; "" where it is
        not."""
        late = ""
        if state.age is not None and state.age > MAX_FRAME_AGE:
            late = f"is late: what it sends is {state.age / SECOND:.2f} s old when it comes"

        declared = state.source.sensor.hz if state.source.sensor is not None else None
        if declared is None or declared < MIN_DECLARED_RATE:
            return late

        # Where no other sensor delivers either, it is the line or the node that is at fault.
        silence = t - max(state.last, state.since)
        max_silence = int(SILENT_PERIODS * SECOND / declared) + SILENT_MARGIN
        others = [other for other in self._states.values() if other is not state and t - other.last < SECOND]

        if silence > max_silence and others:
            # a gateway's hello declares its sensors once for all its units: each stands at one of them
            is_elsewhere = any(
                other.sensor == state.sensor and other.source.gateway == state.source.gateway for other in others
            )
            if state.last == 0 and is_elsewhere:
                return ""
            return f"is silent: nothing came for {silence / SECOND:.0f} s"

        health = self._valid_health(t, state)
        rate = health.hz if health is not None and health.hz is not None else state.rate
        if rate is not None and state.last and rate < MIN_RATE * declared:
            return f"is slow: {rate:.1f} Hz of the {declared:g} Hz it declared"

        return late

    def _count_off_lane(self, world: World) -> None:
        """Count, by sensor, the moving vehicles and those of them on no lane; look for a datum that explains them where
        they are most."""
        counts = np.zeros((2, MAX_SOURCES), np.int64)
        count_moving(world.tracks, world.path, IS_MOTOR_VEHICLE, counts[0], counts[1])
        moving, off_lane = counts.tolist()

        for index, state in self._states.items():
            state.moving = FADE * state.moving + moving[index]
            state.off_lane = FADE * state.off_lane + off_lane[index]
            if state.moving < MIN_WEIGHT:
                continue

            share = state.off_lane / state.moving
            if share <= MAX_OFF_LANE:
                state.misplaced = state.datum = ""
            elif not state.misplaced and off_lane[index]:
                state.datum = _explaining_datum(world, _off_lane(world, index))
                why = f", and would by the offset of {state.datum}" if state.datum else ""
                state.misplaced = f"is misplaced: {share:.0%} of the vehicles it sees move lie on no lane{why}"


def register_sensor_pose(source: Source, fusion: Fusion, origin: Origin) -> None:
    """Register in a tracker the kind of a sensor, its position and field of view, as its hello declares them."""
    sensor = source.sensor
    kind = "tracks" if sensor is not None and sensor.type == "tracks" else "detections"
    if sensor is not None and sensor.lat is not None and sensor.lon is not None:
        # one declared to be in another country sees nothing here
        x, y = np.clip(origin.to_local(sensor.lat, sensor.lon), -MAX_PLACE, MAX_PLACE)
        view = SourceConfig(
            x=float(x), y=float(y), heading=sensor.heading, fov=sensor.fov, range_m=sensor.range, kind=kind
        )
        fusion.add_source(source.index, view)
    elif kind == "tracks":
        fusion.add_source(source.index, SourceConfig(kind=kind))


@njit(cache=True)
def count_moving(tracks: Any, path: Any, is_motor_vehicle: Any, moving: Any, off_lane: Any) -> None:
    """Add up, by number of the sensor, the moving vehicles that it sees, and those of them on no lane."""
    for i in range(len(tracks)):
        track = tracks[i]
        if not is_motor_vehicle[track["class"]] or hypot(track["vx"], track["vy"]) <= MIN_SPEED:
            continue

        for number in range(len(moving)):
            if track["sources"] >> np.uint32(number) & np.uint32(1):
                moving[number] += 1
                off_lane[number] += path[i] < 0


def _off_lane(world: World, number: int) -> NDArray[np.bool_]:
    """Return which tracks are the moving vehicles on no lane that the sensor of a number sees."""
    tracks = world.tracks
    is_moving = IS_MOTOR_VEHICLE[tracks["class"]] & (np.hypot(tracks["vx"], tracks["vy"]) > MIN_SPEED)
    is_seen = (tracks["sources"] >> np.uint32(number)) & 1 == 1
    return np.asarray(is_seen & is_moving & (world.path < 0), np.bool_)


def _explaining_datum(world: World, rows: NDArray[np.bool_]) -> str:
    """Return the datum whose offset, taken off, puts most of some tracks on lanes; "" where none does."""
    origin = world.code.origin
    for datum, move in MISTAKEN.items():
        east, north = origin.to_local(*move(origin.lat, origin.lon))
        if abs(east) + abs(north) < MIN_DATUM_OFFSET:
            continue

        tracks = world.tracks[rows].copy()
        tracks["x"] -= east
        tracks["y"] -= north
        path = match(world.code, tracks, np.full((len(tracks), len(MATCH_ANY)), MATCH_ANY, np.int64)).path

        if np.count_nonzero(path >= 0) >= MIN_EXPLAINED * len(tracks):
            return datum

    return ""


def _contradicted(sensors: Iterable[SensorHealth]) -> set[str]:
    """Return the sensors that a message has more than one health of, not all the same."""
    first: dict[str, SensorHealth] = {}
    return {health.id for health in sensors if first.setdefault(health.id, health) != health}
