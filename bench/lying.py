"""A signal controller that lies, and drivers who do exactly as advised: the closed loop in process, through wire bytes.

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

    def group(self, number: int, now: float, t: int) -> Group:
        """Return what is sent of it at `now` s, that is `t` ns."""

        def at(seconds: float) -> int:
            return t + round((seconds - now) * SECOND)

        end = self.promised
        ends: dict[str, dict[str, int]] = {
            "firm": {"min_end": at(end), "max_end": at(end), "likely_end": at(end)},
            "bounds": {"min_end": at(end - 4.0), "max_end": at(end), "likely_end": at(end - 2.0)},
            "none": {},
            "now": {"min_end": t},
            "now with end": {"min_end": t, "max_end": max(at(end), t)},
            "likely": {"likely_end": at(end)},
            "sliding": {name: at(now + 0.5 + (end - self.begin) % 5.0) for name in ("min_end", "max_end")},
            "next green": {"next_green": at(end)} if self.state in REDS else {"min_end": at(end)},
        }
        return Group(number, self.state, **ends[self.style])


def script(random: Random, seconds: float) -> list[Lamp]:
    """Return what one group shows for so long."""
    out, t, state = [], 0.0, random.choice((*REDS, *GREENS, S.RED))
    while t < seconds:
        lasts = (
            random.uniform(2.0, 5.0)
            if state == S.YELLOW_PROTECTED
            else random.choice((random.uniform(0.3, 8.0), random.uniform(3.0, 60.0)))
        )
        lie = 0.0 if random.random() < 0.4 else random.uniform(-20.0, 60.0)
        out.append(Lamp(state, t, t + lasts, max(t + lasts - lie, t + 0.2), random.choice(STYLES)))
        t += lasts
        if random.random() < 0.1:
            state = random.choice(ODD)
        elif state in GREENS:
            state = S.RED if random.random() < 0.3 else S.YELLOW_PROTECTED
        else:
            state = (
                random.choice(GREENS) if state in (S.RED, S.PRE_MOVEMENT) else random.choice((S.RED, S.RED, *GREENS))
            )
    return out


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
    if random.random() < 0.5:
        return Faults([], [], {}, 0.0, random.choice((0, 50 * MS)))
    jumps = [(a, b, random.choice((-3600.0, -2.0, -0.3, 0.09, 0.3, 60.0))) for a, b in spans(random, 1, seconds)]
    vanishes = {g: spans(random, 1, seconds) for g in range(1, groups + 1) if random.random() < 0.2}
    return Faults(
        spans(random, 1, seconds),
        jumps,
        vanishes,
        random.choice((0.0, 0.0, 0.3)),
        random.choice((0, 50, 150, 300)) * MS,
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
    could_stop: float | None = None  # s; the last moment at which it could, with the present red known to the node
    passed: bool = False
    violation: str | None = None

    @property
    def left(self) -> float:
        """Return m to the stop line."""
        return self.line - self.s

    def take(self, now: float, advisory: Advisory) -> None:
        self.advice[advisory.kind] = advisory
        if advisory.behaviour == "stop" and self.stop_since is None:
            self.stop_since = now
        elif advisory.kind == "glosa" and advisory.behaviour != "stop" and not self._stops(advisory.t):
            self.stop_since = None

    def _stops(self, t: int) -> bool:
        return any(a.behaviour == "stop" and t < a.valid_until for a in self.advice.values())

    def move(self, t: int, dt: float) -> None:
        """Drive on for `dt` s as advised."""
        speed_advice = self.advice.get("glosa")
        accel = 0.0
        if self._stops(t):
            if self.left > 0.0:
                needed = self.speed**2 / (2.0 * max(self.left - 0.3, 0.05))
                accel = -min(needed, FIRMEST) if needed > 1.0 or self.left < 5.0 else 0.0
                if self.speed < ROLLS:
                    accel = -self.speed / dt
        elif speed_advice is not None and t < speed_advice.valid_until and speed_advice.speed is not None:
            wish = speed_advice.speed - self.speed
            accel = (
                min(GAINS, wish / dt) if wish > 0.0 else max(-EASE.get(speed_advice.behaviour or "", 2.5), wish / dt)
            )
        self.speed = max(self.speed + accel * dt, 0.0)
        self.s += self.speed * dt

    def judge(self, t: int, now: float, shows: SignalState, known: SignalState | None) -> None:
        """Note whether it could stop, and whether it has just passed at a red that it could have stopped for."""
        if not self._stops(t):
            self.stop_since = None
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
        self.lamps = {int(code.group_ids[g]): script(random, seconds + 80.0) for g in range(groups)}
        if random.random() < 0.2:  # programmes swapped
            a, b = random.sample(sorted(self.lamps), 2)
            at = random.uniform(5.0, seconds)
            ours, theirs = self.lamps[a], self.lamps[b]
            self.lamps[a] = [lamp for lamp in ours if lamp.begin < at] + [lamp for lamp in theirs if lamp.begin >= at]
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
            f"v{lane}", lane, connection, random.random() < 0.85, int(code.conn_group[connection]), begin, speed, line
        )

    def lamp(self, number: int, now: float) -> Lamp:
        return next((lamp for lamp in reversed(self.lamps[number]) if lamp.begin <= now), self.lamps[number][0])

    def run(self) -> list[str]:
        """Drive until everybody has passed or time is up; return the violations."""
        code = self.code
        engine = Engine([code.code], EngineConfig({"g": {"r": code.code.id}}))
        known: dict[int, SignalState] = {}
        waiting: list[tuple[int, RawMessage]] = []
        for step in range(int(self.seconds * SECOND / STEP)):
            now, t = step * STEP / SECOND, T + step * STEP
            message = self._signal(now, t)
            if message is not None:
                waiting.append((t + self.faults.delay, message))
            batch = [datum for due, datum in waiting if due <= t]
            waiting = [(due, datum) for due, datum in waiting if due > t]
            batch += [self._report(drive, t) for drive in self.drives]

            out = engine.step(t, batch)
            for accepted in out.signals:
                known |= {group.group: SignalState(group.state) for group in accepted.groups}
            by_name = {f"vehicle:{drive.name}": drive for drive in self.drives}
            for advisory in out.advisories:
                drive = by_name.get(advisory.target)
                if drive is not None:
                    drive.take(now, msgspec.json.decode(encode(advisory), type=Advisory))
            for drive in self.drives:
                if drive.group >= 0:
                    number = int(code.group_ids[drive.group])
                    drive.judge(t, now, self.lamp(number, now).state, known.get(number))
                drive.move(t, STEP / SECOND)
            if all(drive.passed for drive in self.drives):
                break
        return [drive.violation for drive in self.drives if drive.violation]

    def _signal(self, now: float, t: int) -> RawMessage | None:
        lies = self.faults
        if any(a <= now < b for a, b in lies.freezes) or self.random.random() < lies.loss:
            return None
        stamp = t + sum(round(by * SECOND) for a, b, by in lies.jumps if a <= now < b)
        groups = tuple(
            self.lamp(number, now).group(number, now, t)
            for number in self.lamps
            if not any(a <= now < b for a, b in lies.vanishes.get(number, ()))
        )
        self.messages += 1
        body = Signal(VERSION, "r", self.code.code.id, self.code.code.revision, self.messages, stamp, groups)
        return RawMessage("signal", "g", msgspec.msgpack.encode(body))

    def _report(self, drive: Drive, t: int) -> RawMessage:
        code, spot = self.code, np.empty(4)
        middle = drive.s - 2.4
        path, at = drive.lane, middle
        if middle > drive.line:
            path, at = code.n_lanes + drive.connection, middle - drive.line
        point(path, at, code.path_start, code.path_xy, code.path_s, spot)
        lat, lon = (float(v) for v in code.origin.to_geodetic(spot[0], spot[1]))
        movements = (code.conn_ids[drive.connection],) if drive.declares else None
        state = VehicleState(
            t, lat, lon, drive.speed, float(np.arctan2(spot[3], spot[2])), accuracy=0.3, movements=movements
        )
        return RawMessage("state", drive.name, msgspec.json.encode(state))
