"""The sensors of one intersection: which are dead, late, slow or misplaced, by what their gateways say of them and by what they send.

What is wrong with one is published as `degraded`; one that is dead, or whose clock is wrong, proves nothing by what it does not see.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from .clock import MS, SECOND
from .datums import MISTAKEN
from .events import Events
from .fusion import Fusion, SourceConfig
from .fusion_settings import MAX_PLACE
from .geo import Origin
from .ingest.rejections import RejectedMessage
from .ingest.sources import Source
from .matching import match
from .metrics import Metrics
from .schema import Health, ObjectClass, Sensor, SensorHealth
from .world import World

LOOK_INTERVAL = SECOND
SILENT_PERIODS, SILENT_MARGIN = (
    3,
    SECOND,
)  # without a frame for so many of its periods and so long more, a sensor is silent
WINDOW = 5 * SECOND  # over which the rate of a sensor is measured
MIN_RATE = 0.5  # of the declared one
MAX_AGE = 300 * MS  # of frames when they are received, on average: what the planner still believes
MAX_CLOCK_OFFSET = 500 * MS  # of a sensor's clock from its gateway's
HEALTH_VALID = 60 * SECOND  # a health message is believed for so long
MIN_SPEED = 2.0  # m/s; what stands may be parked beside the road
FADE = 0.9  # of what was counted, from one look to the next
MIN_WEIGHT = 5.0  # moving vehicles, looks together, before their places say anything of a sensor
MAX_OFF_LANE = 0.5  # share of them on no lane
MIN_EXPLAINED = 0.7  # share of them that another datum would put on lanes
HEALTH_LIMITS = (("hz", 0.0, 1000.0), ("temperature", -100.0, 200.0))  # of a sensor's health
VEHICLES = (ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS, ObjectClass.MOTORCYCLE)


@dataclass
class SensorState:
    """One sensor: what is known of it. Times are ns of the node's clock."""

    rsu: str
    sensor: str
    source: Source
    since: int  # when it was declared, or first seen
    last: int = 0  # when its newest frame was received
    frames: int = 0  # within the window that began at `begun`
    begun: int = 0
    ages: int = 0  # ns; of those frames together, when they were received
    rate: float | None = None  # Hz, over the last whole window
    age: int | None = None  # ns; of a frame when it was received, its mean over the last whole window
    health: SensorHealth | None = None
    health_t: int = 0
    moving: float = 0.0  # vehicles it saw move, faded
    off_lane: float = 0.0  # of those, on no lane
    misplaced: str = ""  # how most of what it sees lies, where that is on no lane
    datum: str = ""  # that explains it
    trouble: str = ""  # that vehicles should know of
    noticed: str = ""  # what was last reported of it, trouble or misplaced

    @property
    def name(self) -> str:
        return f"{self.rsu}/{self.sensor}"


class Sensing:
    """What is known of an intersection's sensors. `look` every plan; `trouble` is what vehicles should know of."""

    def __init__(self) -> None:
        self._states: dict[int, SensorState] = {}  # by number in the tracker
        self._looked = 0
        self.trouble: str | None = None

    def renew(self) -> None:
        """Forget where what was seen lies: the lanes, or the tracker, are others."""
        for state in self._states.values():
            state.moving = state.off_lane = 0.0

    def begin(self, t: int, rsu: str) -> None:
        """Take in that a unit's gateway begins anew: nothing it said or delivered before counts."""
        for state in self._states.values():
            if state.rsu == rsu:
                state.since, state.begun, state.frames, state.ages, state.last = t, t, 0, 0, 0
                state.rate, state.age, state.health = None, None, None

    def declare(self, t: int, rsu: str, sensor: Sensor, source: Source, fusion: Fusion, origin: Origin) -> None:
        """Take in a sensor that a hello declares, and tell the tracker of it."""
        state = self._states.setdefault(source.index, SensorState(rsu, sensor.id, source, t))
        state.since = state.begun = t
        register_sensor_pose(source, fusion, origin)

    def frame(self, t: int, sensed: int, index: int, sources: Iterable[tuple[tuple[str, str], Source]]) -> None:
        """Take in that a sensor's frame of `sensed` was received at `t`; `sources`: where it is looked up when it is new."""
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
        for k, sensor in enumerate(body.sensors):
            if sensor.id not in known:
                names = ", ".join(sorted(known)) or "none"
                remedy = "declare it in hello, or send its perception first"
                refused.append(
                    RejectedMessage(f"s[{k}].id", sensor.id, f"is no sensor of {body.rsu} (known: {names})", remedy)
                )
                continue

            left_out: dict[str, None] = {}
            for name, low, high in HEALTH_LIMITS:
                value = getattr(sensor, name)
                if value is not None and not (isfinite(value) and low <= value <= high):
                    rule = f"must be within {low:g} .. {high:g}; it is not used"
                    refused.append(RejectedMessage(f"s[{k}].{name}", value, rule, "leave out what is not measured"))
                    left_out[name] = None
            used.append(replace(sensor, **left_out) if left_out else sensor)
        return (replace(body, sensors=tuple(used)), refused) if refused else (body, [])

    def health(self, t: int, body: Health) -> None:
        """Take in a health message that was checked."""
        by_name = {state.sensor: state for state in self._states.values() if state.rsu == body.rsu}
        for told in body.sensors:
            if told.id in by_name:
                by_name[told.id].health, by_name[told.id].health_t = told, t

    def look(self, world: World, fusion: Fusion, events: Events, metrics: Metrics) -> None:
        """Look at every sensor, once in LOOK_INTERVAL; what begins to be wrong is an event."""
        if world.t - self._looked < LOOK_INTERVAL:
            return
        self._looked = world.t
        self._place(world)
        for index, state in self._states.items():
            self._measure(world.t, state)
            proves_nothing = self._unfit(world.t, state)
            fusion.blind(index, bool(proves_nothing))
            state.trouble = proves_nothing or self._slow(world.t, state) or (state.misplaced if state.datum else "")
            problem = state.trouble or state.misplaced
            notice = problem.partition(":")[0]
            if problem and notice != state.noticed:
                kind = "sensor." + notice.split()[-1]
                events.notice(
                    world.t, kind, state.name, f"intersection {world.code.code.id}: sensor {state.name} {problem}"
                )
            state.noticed = notice
        wrong = [f"sensor {state.name} {state.trouble}" for state in self._states.values() if state.trouble]
        self.trouble = (
            "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "") if wrong else None
        )
        for name, row in self.table().items():
            metrics.tell("sensors", name, row)

    def table(self) -> dict[str, dict[str, object]]:
        """Return what is known of each sensor, as plain values for the node's status."""
        out: dict[str, dict[str, object]] = {}
        for state in self._states.values():
            declared, told = state.source.sensor, state.health
            out[state.name] = {
                "type": declared.type if declared else None,
                "declared_hz": declared.hz if declared else None,
                "hz": None if state.rate is None else round(state.rate, 1),
                "newest_frame": state.last or None,
                "age_s": None if state.age is None else round(state.age / SECOND, 3),
                "alive": told.alive if told else None,
                "temperature": told.temperature if told else None,
                "clock_offset": told.clock_offset if told else None,
                "off_lane": round(state.off_lane / state.moving, 2) if state.moving >= MIN_WEIGHT else None,
                "trouble": state.trouble or state.misplaced or None,
            }
        return out

    # --- what is wrong ---

    def _measure(self, t: int, state: SensorState) -> None:
        if state.last and t - state.begun >= WINDOW:
            state.rate = state.frames * SECOND / (t - state.begun)
            state.age = state.ages // state.frames if state.frames else None
            state.frames, state.ages, state.begun = 0, 0, t

    def _unfit(self, t: int, state: SensorState) -> str:
        """Return why what a sensor does not see proves nothing; "" where it does."""
        told = state.health
        if told is None or t - state.health_t > HEALTH_VALID:
            return ""
        if not told.alive:
            return "is dead: its roadside unit says so"
        if told.clock_offset is not None and abs(told.clock_offset) > MAX_CLOCK_OFFSET:
            return f"has a wrong clock: it is {told.clock_offset / SECOND:.1f} s off its gateway's"
        return ""

    def _slow(self, t: int, state: SensorState) -> str:
        """Return that a sensor is late, or silent or slower than declared where it declared a rate; "" where it is not."""
        late = (
            f"is late: what it sends is {state.age / SECOND:.2f} s old when it comes"
            if state.age is not None and state.age > MAX_AGE
            else ""
        )
        declared = state.source.sensor.hz if state.source.sensor is not None else None
        if not declared:
            return late
        limit = int(SILENT_PERIODS * SECOND / declared) + SILENT_MARGIN
        silent = t - max(state.last, state.since)
        others = [other for other in self._states.values() if other is not state and t - other.last < SECOND]
        if silent > limit and others:
            # a gateway's hello declares its sensors once for all its units: each stands at one of them
            elsewhere = any(
                other.sensor == state.sensor and other.source.gateway == state.source.gateway for other in others
            )
            return "" if state.last == 0 and elsewhere else f"is silent: nothing came for {silent / SECOND:.0f} s"
        told = state.health.hz if state.health is not None and t - state.health_t <= HEALTH_VALID else None
        rate = told if told is not None else state.rate
        if rate is not None and state.last and rate < MIN_RATE * declared:
            return f"is slow: {rate:.1f} Hz of the {declared:g} Hz it declared"
        return late

    def _place(self, world: World) -> None:
        """Count, by sensor, the vehicles that move and those of them on no lane; find out whether another datum explains it."""
        tracks = world.tracks
        moving = np.isin(tracks["class"], VEHICLES) & (np.hypot(tracks["vx"], tracks["vy"]) > MIN_SPEED)
        off = moving & (world.path < 0)
        for index, state in self._states.items():
            seen = (tracks["sources"] >> np.uint32(index)) & 1 == 1
            state.moving = FADE * state.moving + int(np.count_nonzero(seen & moving))
            state.off_lane = FADE * state.off_lane + int(np.count_nonzero(seen & off))
            if state.moving < MIN_WEIGHT:
                continue
            share = state.off_lane / state.moving
            if share <= MAX_OFF_LANE:
                state.misplaced = state.datum = ""
            elif not state.misplaced and (seen & off).any():
                state.datum = _datum(world, seen & off)
                why = f", and would by the offset of {state.datum}" if state.datum else ""
                state.misplaced = f"is misplaced: {share:.0%} of the vehicles it sees move lie on no lane{why}"


def register_sensor_pose(source: Source, fusion: Fusion, origin: Origin) -> None:
    """Tell a tracker what a sensor is and where it stands, as its hello says."""
    sensor = source.sensor
    kind = "tracks" if sensor is not None and sensor.type == "tracks" else "detections"
    if sensor is not None and sensor.lat is not None and sensor.lon is not None:
        # one that is said to stand in another country looks at nothing here
        x, y = np.clip(origin.to_local(sensor.lat, sensor.lon), -MAX_PLACE, MAX_PLACE)
        view = SourceConfig(
            x=float(x), y=float(y), heading=sensor.heading, fov=sensor.fov, range_m=sensor.range, kind=kind
        )
        fusion.add_source(source.index, view)
    elif kind == "tracks":
        fusion.add_source(source.index, SourceConfig(kind=kind))


def _datum(world: World, rows: NDArray[np.bool_]) -> str:
    """Return the datum whose offset, taken off, puts most of some tracks on lanes; "" where none does."""
    origin = world.code.origin
    for datum, move in MISTAKEN.items():
        east, north = origin.to_local(*move(origin.lat, origin.lon))
        if abs(east) + abs(north) < 1.0:
            continue
        tracks = world.tracks[rows].copy()
        tracks["x"] -= east
        tracks["y"] -= north
        path = match(world.code, tracks, np.full((len(tracks), 3), -1, np.int64)).path
        if np.count_nonzero(path >= 0) >= MIN_EXPLAINED * len(tracks):
            return datum
    return ""
