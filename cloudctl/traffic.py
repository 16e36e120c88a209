"""Traffic of an intersection in real time, from fused tracks: per lane and movement flow, speed, density, queue, delay, level of service,
arrivals on green; and vehicles that stand where nothing makes them.

Flow and delay are of the vehicles that passed the stop line within WINDOW; speed, density and queue are means over the last REPORT.
Control delay is the time from first sight to the stop line over what the limit allows (at least 0); arrivals on green are those whose
signal showed green when they would have come at the limit; the level is HCM 6th ed., exhibit 19-8, signalised intersections.
"""

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from math import isnan
from statistics import fmean

import numpy as np

from .clock import SECOND
from .codes import CompiledCode
from .forecast.stop_line import IS_GREEN, STANDING, passing
from .matching import Floats
from .schema import Incident, LaneTraffic, MovementTraffic, ObjectClass, Traffic
from .world import World

EVERY = SECOND  # between two looks
REPORT = 10 * SECOND  # between two reports
WINDOW = 300 * SECOND  # over which passages are counted
REACH = 150.0  # m before the stop line that density and speed are of, at the most: of a shorter lane, all of it
LOST = 3 * SECOND  # a track not seen for so long is gone
STOPPED = 20 * SECOND  # standing so long with nothing ahead and no red is an incident
STILL = 0.5  # m/s
LEVELS = (10.0, 20.0, 35.0, 55.0, 80.0)  # s a vehicle; A up to the first, F beyond the last
MOTOR = (ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS, ObjectClass.MOTORCYCLE)


@dataclass
class Seen:
    """One vehicle on its way to a stop line."""

    begun: int  # ns; first seen
    free: int  # ns; when it would pass at the limit
    last: int
    lane: int
    connection: int
    on_green: bool | None = None
    still: int | None = None  # ns; since when it stands


@dataclass(frozen=True)
class Passed:
    """One vehicle that passed a stop line."""

    t: int
    lane: int
    connection: int
    delay: float
    on_green: bool


@dataclass
class Lane:
    """What was seen of one lane since the last report."""

    counts: list[int] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    queues: list[tuple[float, int]] = field(default_factory=list)


def level(delay: float) -> str:
    """Return the level of service, A to F, of a control delay in s."""
    return "ABCDEF"[bisect_left(LEVELS, delay)]


def looked_at(code: CompiledCode, lane: int) -> float:
    """Return the m of a lane within which its vehicles are counted: what of it lies within REACH before the stop line it leads to."""
    stop, beyond = float(code.lane_stop_s[lane]), float(code.lane_to_stop[lane])
    length = stop if stop == stop else float(code.path_length[lane])
    return max(min(length, REACH - (beyond if beyond == beyond else 0.0)), 1.0)


class TrafficState:
    """The traffic of one intersection. `observe` every snapshot; it returns a report when one is due."""

    def __init__(self) -> None:
        self._seen: dict[int, Seen] = {}
        self._passed: deque[Passed] = deque()
        self._lanes: dict[int, Lane] = {}
        self._begun = self._looked = self._reported = self._looks = 0
        self._taken: Counter[int] = Counter()  # how many of `_passed` took each movement

    def observe(self, world: World) -> Traffic | None:
        """Take one snapshot in (looked at once in EVERY); return the report that is due every REPORT, else None."""
        if world.t - self._looked < EVERY:
            return None
        self._looked = world.t
        self._begun = self._begun or world.t
        self._reported = self._reported or world.t
        self._look(world)
        if world.t - self._reported < REPORT:
            return None
        self._reported = world.t
        report = self._report(world)
        self._lanes, self._looks = {}, 0
        return report

    def shares(self, code: CompiledCode) -> Floats:
        """Return float64[n_conns]: vehicles that took each movement within WINDOW, and one more of each."""
        out = np.ones(code.n_conns)
        for connection, taken in self._taken.items():
            if connection >= 0:
                out[connection] += taken
        return out

    def stopped(self, t: int) -> tuple[int, ...]:
        """Return the ids of tracks that have stood STOPPED with nothing ahead of them and no red."""
        return tuple(
            n for n, seen in sorted(self._seen.items()) if seen.still is not None and t - seen.still >= STOPPED
        )

    # --- looking ---

    def _look(self, world: World) -> None:
        code, tails = world.code, passing(world).tail
        now: dict[int, list[float]] = {}
        standing: dict[int, int] = {}
        blocked: set[int] = set()  # lanes where somebody who stands was met, going back from the stop line
        motor = [k for k, kind in enumerate(world.tracks["class"].tolist()) if kind in MOTOR]
        for row in sorted((k for k in motor if not isnan(world.to_stop[k])), key=lambda k: world.to_stop[k]):
            path, connection, distance = int(world.path[row]), int(world.connection[row]), float(world.to_stop[row])
            lane = int(code.conn_from[connection]) if connection >= 0 else path
            if path < 0 or not 0 <= lane < code.n_lanes:
                continue
            speed, number = float(world.speed[row]), int(world.tracks["id"][row])
            if distance > 0.0:
                self._approach(world, number, lane, connection, distance, speed, lane in blocked)
                if speed < STILL:
                    blocked.add(lane)
                if distance < REACH:
                    if path < code.n_lanes:  # density is of the lane it is on, whichever its movement leaves from
                        now.setdefault(path, []).append(max(speed, 0.0))
                    standing[lane] = standing.get(lane, 0) + (speed < STANDING)
            elif number in self._seen:
                self._pass(world.t, self._seen.pop(number), connection)
        self._looks += 1
        for lane in sorted({*now, *standing, *self._lanes}):
            known, speeds = self._lanes.setdefault(lane, Lane()), now.get(lane, [])
            known.counts.append(len(speeds))
            known.speeds += speeds
            known.queues.append((float(tails[lane]), standing.get(lane, 0)))
        for number in [n for n, seen in self._seen.items() if world.t - seen.last > LOST]:
            del self._seen[number]
        while self._passed and self._passed[0].t < world.t - WINDOW:
            self._taken[self._passed.popleft().connection] -= 1

    def _approach(
        self, world: World, number: int, lane: int, connection: int, distance: float, speed: float, blocked: bool
    ) -> None:
        seen = self._seen.get(number)
        if seen is None:
            limit = max(float(world.code.lane_speed[lane]), 1.0)
            free = world.t + int(distance / limit * SECOND)
            seen = self._seen[number] = Seen(world.t, free, world.t, lane, connection)
        seen.last, seen.lane = world.t, lane
        seen.connection = connection if connection >= 0 else seen.connection
        group = int(world.code.conn_group[seen.connection]) if seen.connection >= 0 else -1
        green = group < 0 or bool(IS_GREEN[world.signals.state[group]])
        if seen.on_green is None and world.t >= seen.free:
            seen.on_green = green
        held = blocked or not green
        seen.still = None if speed >= STILL else world.t if held or seen.still is None else seen.still

    def _pass(self, t: int, seen: Seen, connection: int) -> None:
        delay = max(t - seen.free, 0) / SECOND
        on_green = seen.on_green if seen.on_green is not None else True
        connection = connection if connection >= 0 else seen.connection
        self._passed.append(Passed(t, seen.lane, connection, delay, on_green))
        self._taken[connection] += 1

    # --- telling ---

    def _report(self, world: World) -> Traffic:
        code = world.code
        hours = min(max(world.t - self._begun, REPORT), WINDOW) / SECOND / 3600.0
        lanes = sorted({*self._lanes, *(p.lane for p in self._passed)})
        movements = sorted({p.connection for p in self._passed if p.connection >= 0})
        return Traffic(
            code.code.id,
            code.code.revision,
            world.t,
            tuple(self._lane(code, k, hours) for k in lanes),
            tuple(
                MovementTraffic(code.conn_ids[k], *_passages([p for p in self._passed if p.connection == k], hours))
                for k in movements
            ),
            tuple(self._incidents(world)),
        )

    def _lane(self, code: CompiledCode, lane: int, hours: float) -> LaneTraffic:
        now = self._lanes.get(lane, Lane())
        speed = round(fmean(now.speeds), 2) if now.speeds else None
        density = round(sum(now.counts) / max(self._looks, 1) / (looked_at(code, lane) / 1000.0), 1)
        queue_m = round(max((m for m, _ in now.queues), default=0.0), 1)
        queue = max((n for _, n in now.queues), default=0)
        passed = _passages([p for p in self._passed if p.lane == lane], hours)
        return LaneTraffic(code.lane_ids[lane], *passed, speed, density, queue_m, queue)

    def _incidents(self, world: World) -> list[Incident]:
        rows = {int(number): row for row, number in enumerate(world.tracks["id"])}
        out = []
        for number in self.stopped(world.t):
            if number not in rows:
                continue
            seen, row = self._seen[number], rows[number]
            since = seen.still or world.t
            lat, lon = world.code.origin.to_geodetic(float(world.tracks["x"][row]), float(world.tracks["y"][row]))
            lane = world.code.lane_ids[seen.lane]
            out.append(
                Incident(
                    "stopped_vehicle", lane, round(float(world.to_stop[row]), 1), since, number, float(lat), float(lon)
                )
            )
        return out


def _passages(passed: list[Passed], hours: float) -> tuple[float, float | None, str | None, float | None]:
    """Return flow (vehicles/h), control delay (s), level of service, share of arrivals on green."""
    if not passed:
        return 0.0, None, None, None
    delay = fmean(p.delay for p in passed)
    return round(len(passed) / hours, 1), round(delay, 1), level(delay), round(fmean(p.on_green for p in passed), 3)
