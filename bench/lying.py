"""A signal controller that lies, and drivers that do exactly as advised: the closed loop in process, through wire
bytes.

Lamps follow a script of states. What the controller sends of them shows the same states, but promises ends that are
wrong by -20 to +60 s, or none, or "now" in every message, or ends that slide; groups vanish, messages freeze, come
late, are stamped in another time, and programmes are swapped. A driver takes the newest valid advice: it holds the
advised speed, stops when advised to stop or warned, and otherwise holds the speed it has.

The property (`Drive.violation`): no driver passes a line at a displayed red that had reached the node while the vehicle
could still stop (3 m/s^2 after 1 s), unless it had been advised to stop, or warned, by then.
"""

from dataclasses import dataclass, field
from random import Random

import msgspec
import numpy as np

from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine, encode
from cloudctl.forecast.prediction import point
from cloudctl.planner.braking import stopping_distance
from cloudctl.schema import VERSION, Advisory, Group, RawMessage, Signal, SignalState, VehicleState
from cloudctl.settings import EngineConfig

T = 1_767_225_600 * SECOND
STEP = 100 * MS
S = SignalState
REDS, GREENS = (S.RED, S.RED_FLASH), (S.GREEN_PROTECTED, S.GREEN_PERMISSIVE)
ODD = (S.DARK, S.YELLOW_FLASH, S.UNKNOWN, S.PRE_MOVEMENT, S.RED_FLASH)
STYLES = ("firm", "bounds", "none", "now", "now with end", "likely", "sliding", "next green")
EASE = {"coast": 0.7, "slow_down": 2.5}  # m/s^2
GAINS, FIRMEST = 2.0, 8.0  # m/s^2
ROLLS = 1.0  # m/s; a driver advised to stop brings a slower vehicle to a stand at once


@dataclass
class Lamp:
    """What one group shows, from when, until when, and what is promised of that end."""

    state: SignalState
    begin: float  # s
    end: float  # s
    promised: float  # s
    style: str

    def group(self, number: int, now: float, time_ns: int) -> Group:
        """Return what is sent of it at `now` s, that is `time_ns`."""

        def at(seconds: float) -> int:
            return time_ns + round((seconds - now) * SECOND)

        end = self.promised

        ends: dict[str, dict[str, int]] = {
            "firm": {"min_end": at(end), "max_end": at(end), "likely_end": at(end)},
            "bounds": {"min_end": at(end - 4.0), "max_end": at(end), "likely_end": at(end - 2.0)},
            "none": {},
            "now": {"min_end": time_ns},
            "now with end": {"min_end": time_ns, "max_end": max(at(end), time_ns)},
            "likely": {"likely_end": at(end)},
            "sliding": {name: at(now + 0.5 + (end - self.begin) % 5.0) for name in ("min_end", "max_end")},
            "next green": {"next_green": at(end)} if self.state in REDS else {"min_end": at(end)},
        }

        return Group(number, self.state, **ends[self.style])


def script(random: Random, seconds: float) -> list[Lamp]:
    """Return what one group shows for so long."""
    lamps, begin_s, state = [], 0.0, random.choice((*REDS, *GREENS, S.RED))
    while begin_s < seconds:
        if state == S.YELLOW_PROTECTED:
            lasts = random.uniform(2.0, 5.0)
        else:
            lasts = random.choice((random.uniform(0.3, 8.0), random.uniform(3.0, 60.0)))

        lie = 0.0 if random.random() < 0.4 else random.uniform(-20.0, 60.0)
        lamps.append(
            Lamp(
                state=state,
                begin=begin_s,
                end=begin_s + lasts,
                promised=max(begin_s + lasts - lie, begin_s + 0.2),
                style=random.choice(STYLES),
            )
        )

        begin_s += lasts
        if random.random() < 0.1:
            state = random.choice(ODD)
        elif state in GREENS:
            state = S.RED if random.random() < 0.3 else S.YELLOW_PROTECTED
        else:
            state = (
                random.choice(GREENS) if state in (S.RED, S.PRE_MOVEMENT) else random.choice((S.RED, S.RED, *GREENS))
            )

    return lamps


@dataclass
class Faults:
    """What is wrong with the messages as a whole: spans (s) in which they freeze or are stamped wrongly, groups that
    vanish, and chance."""

    freezes: list[tuple[float, float]]
    jumps: list[tuple[float, float, float]]  # from, to, by how much (s)
    vanishes: dict[int, list[tuple[float, float]]]
    loss: float
    delay: int  # ns


def spans(random: Random, most: int, seconds: float) -> list[tuple[float, float]]:
    """Return some spans within so many seconds."""
    begins = [random.uniform(0.0, seconds) for _ in range(random.randrange(most + 1))]
    return [(begin, begin + random.choice((random.uniform(0.2, 2.0), random.uniform(2.0, 30.0)))) for begin in begins]


def faults(random: Random, groups: int, seconds: float) -> Faults:
    """Return the faults of one run, drawn."""
    if random.random() < 0.5:
        return Faults(freezes=[], jumps=[], vanishes={}, loss=0.0, delay=random.choice((0, 50 * MS)))

    jumps = [
        (first, second, random.choice((-3600.0, -2.0, -0.3, 0.09, 0.3, 60.0)))
        for first, second in spans(random, most=1, seconds=seconds)
    ]
    vanishes = {
        index: spans(random, most=1, seconds=seconds) for index in range(1, groups + 1) if random.random() < 0.2
    }

    return Faults(
        freezes=spans(random, most=1, seconds=seconds),
        jumps=jumps,
        vanishes=vanishes,
        loss=random.choice((0.0, 0.0, 0.3)),
        delay=random.choice((0, 50, 150, 300)) * MS,
    )


@dataclass
class Drive:
    """One connected vehicle on one lane: its place, what it was advised, and whether that let it down."""

    name: str
    lane: int
    connection: int
    declares: bool
    group: int  # index; -1: none
    s: float  # m along the lane, of its front
    speed: float
    line: float  # m along the lane
    advice: dict[str, Advisory] = field(default_factory=dict)  # newest, by kind
    stop_since: float | None = None
    # s; the last moment at which it could, with the present red known to the node
    could_stop: float | None = None
    passed: bool = False
    violation: str | None = None

    @property
    def left(self) -> float:
        """Return m to the stop line."""
        return self.line - self.s

    def take(self, now: float, advisory: Advisory) -> None:
        """Take in an advisory, which is obeyed from now on."""
        self.advice[advisory.kind] = advisory
        if advisory.behaviour == "stop" and self.stop_since is None:
            self.stop_since = now
        elif advisory.kind == "glosa" and advisory.behaviour != "stop" and not self._stops(advisory.t):
            self.stop_since = None

    def _stops(self, time_ns: int) -> bool:
        return any(advisory.behaviour == "stop" and time_ns < advisory.valid_until for advisory in self.advice.values())

    def move(self, time_ns: int, dt: float) -> None:
        """Drive on for `dt` s as advised."""
        speed_advice = self.advice.get("glosa")
        accel = 0.0

        if self._stops(time_ns):
            if self.left > 0.0:
                needed = self.speed**2 / (2.0 * max(self.left - 0.3, 0.05))
                accel = -min(needed, FIRMEST) if needed > 1.0 or self.left < 5.0 else 0.0
                if self.speed < ROLLS:
                    accel = -self.speed / dt
        elif speed_advice is not None and time_ns < speed_advice.valid_until and speed_advice.speed is not None:
            wish = speed_advice.speed - self.speed
            accel = (
                min(GAINS, wish / dt) if wish > 0.0 else max(-EASE.get(speed_advice.behaviour or "", 2.5), wish / dt)
            )

        self.speed = max(self.speed + accel * dt, 0.0)
        self.s += self.speed * dt

    def judge(self, time_ns: int, now: float, shows: SignalState, known: SignalState | None) -> None:
        """Note whether it could stop, and whether it has just passed at a red that it could have stopped for."""
        if not self._stops(time_ns):
            self.stop_since = None

        # A red counts as known from when both the lamp and the node show it; the vehicle must then be able to stop
        if shows not in REDS or known not in REDS:
            if not self.passed and (shows not in REDS or known in GREENS):
                self.could_stop = None
        elif self.left >= stopping_distance(self.speed):
            self.could_stop = now

        if self.passed or self.left >= 0.0:
            return

        self.passed = True
        if (
            shows in REDS
            and self.could_stop is not None
            and (self.stop_since is None or self.stop_since > self.could_stop + 1e-6)
        ):
            self.violation = (
                f"{self.name} passed its line at {now:.1f} s, {self.speed:.1f} m/s, "
                f"at a red known while it could stop until {self.could_stop:.1f} s"
            )


class Case:
    """One run: some drivers on lanes of their own, one controller."""

    def __init__(self, code: CompiledCode, random: Random, seconds: float = 40.0) -> None:
        self.code, self.seconds, self.random = code, seconds, random
        groups = len(code.group_ids)
        self.lamps = {int(code.group_ids[index]): script(random, seconds + 80.0) for index in range(groups)}

        if random.random() < 0.2:  # programmes swapped
            first, second = random.sample(sorted(self.lamps), 2)
            swap_time = random.uniform(5.0, seconds)
            first_lamps, second_lamps = self.lamps[first], self.lamps[second]
            self.lamps[first] = [lamp for lamp in first_lamps if lamp.begin < swap_time] + [
                lamp for lamp in second_lamps if lamp.begin >= swap_time
            ]

        self.faults = faults(random, groups, seconds)
        self.drives = [drive for lane in range(code.n_lanes) if (drive := self._drive(lane)) is not None]
        self.messages = 0

    def _drive(self, lane: int) -> Drive | None:
        code, random = self.code, self.random
        ways = np.flatnonzero(code.conn_inner & (code.conn_from == lane)).tolist()
        if code.lane_role[lane] != 0 or code.lane_use[lane] != 0 or not ways:
            return None

        connection = random.choice(ways)
        stop = float(code.lane_stop_s[lane])
        line = stop if stop == stop else float(code.path_length[lane])
        speed = random.uniform(3.0, 20.0)
        begin = line - random.uniform(min(stopping_distance(speed) + 5.0, line - 10.0), line - 5.0)

        return Drive(
            name=f"v{lane}",
            lane=lane,
            connection=connection,
            declares=random.random() < 0.85,
            group=int(code.conn_group[connection]),
            s=begin,
            speed=speed,
            line=line,
        )

    def lamp(self, number: int, now: float) -> Lamp:
        """Return what the lamp of a group shows at `now` s."""
        return next((lamp for lamp in reversed(self.lamps[number]) if lamp.begin <= now), self.lamps[number][0])

    def run(self) -> list[str]:
        """Drive until all vehicles have passed or time is up; return the violations."""
        code = self.code
        engine = Engine([code.code], EngineConfig({"g": {"r": code.code.id}}))
        known: dict[int, SignalState] = {}
        waiting: list[tuple[int, RawMessage]] = []

        for step in range(int(self.seconds * SECOND / STEP)):
            now, time_ns = step * STEP / SECOND, T + step * STEP
            message = self._signal(now, time_ns)
            if message is not None:
                waiting.append((time_ns + self.faults.delay, message))
            batch = [datum for due, datum in waiting if due <= time_ns]
            waiting = [(due, datum) for due, datum in waiting if due > time_ns]
            batch += [self._report(drive, time_ns) for drive in self.drives]

            output = engine.step(time_ns, batch)
            for accepted in output.signals:
                known |= {group.group: SignalState(group.state) for group in accepted.groups}
            by_name = {f"vehicle:{drive.name}": drive for drive in self.drives}
            for advisory in output.advisories:
                drive = by_name.get(advisory.target)
                if drive is not None:
                    drive.take(now, msgspec.json.decode(encode(advisory), type=Advisory))

            for drive in self.drives:
                if drive.group >= 0:
                    number = int(code.group_ids[drive.group])
                    drive.judge(time_ns, now, self.lamp(number, now).state, known.get(number))
                drive.move(time_ns, STEP / SECOND)

            if all(drive.passed for drive in self.drives):
                break

        return [drive.violation for drive in self.drives if drive.violation]

    def _signal(self, now: float, time_ns: int) -> RawMessage | None:
        lies = self.faults
        if any(begin_s <= now < end_s for begin_s, end_s in lies.freezes) or self.random.random() < lies.loss:
            return None

        stamp = time_ns + sum(round(by * SECOND) for begin_s, end_s, by in lies.jumps if begin_s <= now < end_s)
        groups = tuple(
            self.lamp(number, now).group(number, now, time_ns)
            for number in self.lamps
            if not any(begin_s <= now < end_s for begin_s, end_s in lies.vanishes.get(number, ()))
        )

        self.messages += 1
        body = Signal(
            version=VERSION,
            rsu="r",
            intersection=self.code.code.id,
            revision=self.code.code.revision,
            seq=self.messages,
            t=stamp,
            groups=groups,
        )

        return RawMessage("signal", "g", msgspec.msgpack.encode(body))

    def _report(self, drive: Drive, time_ns: int) -> RawMessage:
        code, spot = self.code, np.empty(4)
        middle = drive.s - 2.4
        path, distance = drive.lane, middle
        if middle > drive.line:
            path, distance = code.n_lanes + drive.connection, middle - drive.line
        point(path, distance, code.path_start, code.path_xy, code.path_s, spot)
        lat, lon = (float(value) for value in code.origin.to_geodetic(spot[0], spot[1]))
        movements = (code.conn_ids[drive.connection],) if drive.declares else None

        state = VehicleState(
            t=time_ns,
            lat=lat,
            lon=lon,
            speed=drive.speed,
            heading=float(np.arctan2(spot[3], spot[2])),
            accuracy=0.3,
            movements=movements,
        )

        return RawMessage("state", drive.name, msgspec.json.encode(state))
