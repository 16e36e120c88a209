"""Traffic of an intersection in real time, from fused tracks: per lane and movement flow, speed, density, queue, delay,
level of service, arrivals on green; and stationary vehicles that nothing holds.

Flow and delay are of the vehicles that passed the stop line within WINDOW; speed, density and queue are means over the
last REPORT_INTERVAL. Control delay is the time from first sight to the stop line over what the limit allows (at least
0). Arrivals on green are vehicles whose signal showed green when they would have come at the limit. The level of
service is that of HCM 6th ed., exhibit 19-8, signalised intersections.
"""

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from math import isnan
from statistics import fmean
from typing import NamedTuple

import numpy as np

from .clock import SECOND
from .codes import CompiledCode
from .driving import STANDING_SPEED
from .forecast.stop_line import forecast_stop_lines
from .matching import Floats
from .road_users import IS_MOTOR_VEHICLE
from .signals.colours import IS_GREEN
from .traffic_messages import Incident, LaneTraffic, MovementTraffic, Traffic
from .world import World

OBSERVATION_INTERVAL = SECOND
REPORT_INTERVAL = 10 * SECOND
WINDOW = 300 * SECOND  # over which passages are counted
MAX_DISTANCE = 150.0  # m before the stop line that density and speed are of; of a shorter lane, all of it
MAX_UNSEEN = 3 * SECOND  # a track unseen for so long is gone
MIN_STOP = 20 * SECOND  # standing so long with nothing ahead and no red is an incident
MAX_STATIONARY_SPEED = 0.5  # m/s
LEVEL_BOUNDS = (10.0, 20.0, 35.0, 55.0, 80.0)  # s per vehicle; A up to the first, F beyond the last
MIN_DENSITY_LENGTH = 1.0  # m that a density is taken over


@dataclass(kw_only=True)
class Approach:
    """One vehicle on its way to a stop line. Times are ns."""

    first_seen: int
    last_seen: int
    unhindered_passage: int  # when it would pass at the limit
    lane: int
    connection: int  # -1 not known
    on_green: bool | None = None  # None: its unhindered passage is still to come
    still_since: int | None = None


class Passage(NamedTuple):
    """One vehicle that passed a stop line."""

    t: int  # ns
    lane: int
    connection: int
    delay: float  # s
    on_green: bool


@dataclass
class LaneObservations:
    """What was observed of one lane since the last report, one entry per observation (`speeds`: per vehicle)."""

    counts: list[int] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    queues: list[tuple[float, int]] = field(default_factory=list)  # m from the stop line to the tail; standing vehicles


class PassageFigures(NamedTuple):
    """What some passages come to, rounded as they are reported."""

    flow: float  # vehicles/h
    delay: float | None  # s, control delay
    level: str | None  # of service
    on_green: float | None  # share of arrivals on green


def level(delay: float) -> str:
    """Return the level of service, A to F, of a control delay in s."""
    return "ABCDEF"[bisect_left(LEVEL_BOUNDS, delay)]


def looked_at(code: CompiledCode, lane: int) -> float:
    """Return the m of a lane within which its vehicles are counted: what of it lies within MAX_DISTANCE before the stop
    line it leads to."""
    stop, beyond = float(code.lane_stop_s[lane]), float(code.lane_to_stop[lane])
    length = float(code.path_length[lane]) if isnan(stop) else stop
    to_line = 0.0 if isnan(beyond) else beyond
    return max(min(length, MAX_DISTANCE - to_line), MIN_DENSITY_LENGTH)


class TrafficState:
    """The traffic of one intersection. `observe` every snapshot; it returns a report when one is due."""

    def __init__(self) -> None:
        self._approaches: dict[int, Approach] = {}  # by track
        self._passages: deque[Passage] = deque()
        self._taken: Counter[int] = Counter()  # how many of `_passages` took each movement
        self._shares: Floats | None = None  # made when first asked for after an observation
        self._oldest_stop: int | None = None  # ns: since when, of those that stand, the first has stood
        self._lanes: dict[int, LaneObservations] = {}
        self._first_observation = self._last_observation = self._last_report = 0  # ns
        self._observations = 0  # since the last report

    def is_due(self, t: int) -> bool:
        """Return whether a snapshot at `t` ns is used."""
        return t - self._last_observation >= OBSERVATION_INTERVAL

    def observe(self, world: World) -> Traffic | None:
        """Take in a snapshot (one per OBSERVATION_INTERVAL is used); return the report that is due every
        REPORT_INTERVAL, else None."""
        if not self.is_due(world.t):
            return None

        self._last_observation = world.t
        self._first_observation = self._first_observation or world.t
        self._last_report = self._last_report or world.t
        self._observe(world)

        if world.t - self._last_report < REPORT_INTERVAL:
            return None

        self._last_report = world.t
        report = self._report(world)
        self._lanes, self._observations = {}, 0

        return report

    def shares(self, code: CompiledCode) -> Floats:
        """Return float64[n_conns]: vehicles that took each movement within WINDOW, and one more of each. Not to be
        changed: until the next observation it is the same array."""
        if self._shares is None:
            self._shares = np.ones(code.n_conns)
            for connection, count in self._taken.items():
                if connection >= 0:
                    self._shares[connection] += count

        return self._shares

    def stopped(self, t: int) -> tuple[int, ...]:
        """Return the ids of tracks that have stood MIN_STOP with nothing ahead of them and no red."""
        if self._oldest_stop is None or t - self._oldest_stop < MIN_STOP:
            return ()

        return tuple(
            track
            for track, approach in sorted(self._approaches.items())
            if approach.still_since is not None and t - approach.still_since >= MIN_STOP
        )

    # --- observation ---

    def _observe(self, world: World) -> None:
        code = world.code
        speeds: dict[int, list[float]] = {}  # of the vehicles on each lane within MAX_DISTANCE
        standing: dict[int, int] = {}  # vehicles before each lane's stop line
        blocked: set[int] = set()  # lanes with a stationary vehicle nearer to the stop line

        # Columns as lists: Python reads those faster.
        paths, connections, distances = world.path.tolist(), world.connection.tolist(), world.to_stop.tolist()
        all_speeds, tracks = world.speed.tolist(), world.tracks["id"].tolist()

        for row in _by_distance(world, distances):
            path, connection, distance = paths[row], connections[row], distances[row]
            lane = int(code.conn_from[connection]) if connection >= 0 else path
            if path < 0 or not 0 <= lane < code.n_lanes:
                continue

            speed, track = all_speeds[row], tracks[row]

            if distance <= 0.0:
                if track in self._approaches:
                    self._pass(world.t, self._approaches.pop(track), connection)
                continue

            self._approach(world, track, lane, connection, distance, speed, lane in blocked)
            if speed < MAX_STATIONARY_SPEED:
                blocked.add(lane)

            if distance < MAX_DISTANCE:
                if path < code.n_lanes:  # density is of the lane it is on, whichever its movement leaves from
                    speeds.setdefault(path, []).append(max(speed, 0.0))
                standing[lane] = standing.get(lane, 0) + (speed < STANDING_SPEED)

        self._observations += 1
        self._note_lanes(speeds, standing, forecast_stop_lines(world).queue_tail)
        self._forget(world.t)
        self._shares = None
        stops = [approach.still_since for approach in self._approaches.values() if approach.still_since is not None]
        self._oldest_stop = min(stops, default=None)

    def _note_lanes(self, speeds: dict[int, list[float]], standing: dict[int, int], queue_tail: Floats) -> None:
        for lane in sorted({*speeds, *standing, *self._lanes}):
            observations = self._lanes.setdefault(lane, LaneObservations())
            lane_speeds = speeds.get(lane, [])
            observations.counts.append(len(lane_speeds))
            observations.speeds += lane_speeds
            observations.queues.append((float(queue_tail[lane]), standing.get(lane, 0)))

    def _forget(self, t: int) -> None:
        """Forget tracks that are gone, and passages before WINDOW."""
        gone = [track for track, approach in self._approaches.items() if t - approach.last_seen > MAX_UNSEEN]
        for track in gone:
            del self._approaches[track]
        while self._passages and self._passages[0].t < t - WINDOW:
            self._taken[self._passages.popleft().connection] -= 1

    def _approach(
        self, world: World, track: int, lane: int, connection: int, distance: float, speed: float, is_blocked: bool
    ) -> None:
        """Note a vehicle `distance` m before its stop line; `is_blocked`: another stands between it and the line."""
        approach = self._approaches.get(track)
        if approach is None:
            limit = max(float(world.code.lane_speed[lane]), 1.0)
            approach = self._approaches[track] = Approach(
                first_seen=world.t,
                last_seen=world.t,
                unhindered_passage=world.t + int(distance / limit * SECOND),
                lane=lane,
                connection=connection,
            )

        approach.last_seen, approach.lane = world.t, lane
        if connection >= 0:
            approach.connection = connection

        group = int(world.code.conn_group[approach.connection]) if approach.connection >= 0 else -1
        is_green = group < 0 or bool(IS_GREEN[world.signals.state[group]])
        if approach.on_green is None and world.t >= approach.unhindered_passage:
            approach.on_green = is_green

        # The time that it stands counts from when nothing holds it any more.
        if speed >= MAX_STATIONARY_SPEED:
            approach.still_since = None
        elif is_blocked or not is_green or approach.still_since is None:
            approach.still_since = world.t

    def _pass(self, t: int, approach: Approach, connection: int) -> None:
        if connection < 0:
            connection = approach.connection

        passage = Passage(
            t=t,
            lane=approach.lane,
            connection=connection,
            delay=max(t - approach.unhindered_passage, 0) / SECOND,
            on_green=approach.on_green is not False,  # one that came sooner than at the limit met green
        )
        self._passages.append(passage)
        self._taken[connection] += 1

    # --- report ---

    def _report(self, world: World) -> Traffic:
        code = world.code
        observed = world.t - self._first_observation
        hours = min(max(observed, REPORT_INTERVAL), WINDOW) / SECOND / 3600.0
        lanes = sorted({*self._lanes, *(passage.lane for passage in self._passages)})
        movements = sorted({passage.connection for passage in self._passages if passage.connection >= 0})

        return Traffic(
            code.code.id,
            code.code.revision,
            world.t,
            tuple(self._lane_traffic(code, lane, hours) for lane in lanes),
            tuple(self._movement_traffic(code, connection, hours) for connection in movements),
            tuple(self._incidents(world)),
        )

    def _lane_traffic(self, code: CompiledCode, lane: int, hours: float) -> LaneTraffic:
        observations = self._lanes.get(lane, LaneObservations())
        figures = _figures([passage for passage in self._passages if passage.lane == lane], hours)
        vehicles = sum(observations.counts) / max(self._observations, 1)

        return LaneTraffic(
            lane=code.lane_ids[lane],
            flow=figures.flow,
            delay=figures.delay,
            level=figures.level,
            on_green=figures.on_green,
            speed=round(fmean(observations.speeds), 2) if observations.speeds else None,
            density=round(vehicles / (looked_at(code, lane) / 1000.0), 1),
            queue_m=round(max((tail for tail, _ in observations.queues), default=0.0), 1),
            queue=max((standing for _, standing in observations.queues), default=0),
        )

    def _movement_traffic(self, code: CompiledCode, connection: int, hours: float) -> MovementTraffic:
        figures = _figures([passage for passage in self._passages if passage.connection == connection], hours)
        return MovementTraffic(
            connection=code.conn_ids[connection],
            flow=figures.flow,
            delay=figures.delay,
            level=figures.level,
            on_green=figures.on_green,
        )

    def _incidents(self, world: World) -> list[Incident]:
        rows = {int(track): row for row, track in enumerate(world.tracks["id"])}
        incidents = []
        for track in self.stopped(world.t):
            row = rows.get(track)
            if row is None:
                continue

            approach = self._approaches[track]
            lat, lon = world.code.origin.to_geodetic(float(world.tracks["x"][row]), float(world.tracks["y"][row]))

            incidents.append(
                Incident(
                    kind="stopped_vehicle",
                    lane=world.code.lane_ids[approach.lane],
                    distance=round(float(world.to_stop[row]), 1),
                    since=approach.still_since or world.t,
                    track=track,
                    lat=float(lat),
                    lon=float(lon),
                )
            )

        return incidents


def _by_distance(world: World, distances: list[float]) -> list[int]:
    """Return the motor vehicles that come to a stop line or have just passed one, the nearest first. `distances`: m to
    it, by track."""
    rows = [
        row
        for row, is_motor_vehicle in enumerate(IS_MOTOR_VEHICLE[world.tracks["class"]].tolist())
        if is_motor_vehicle and not isnan(distances[row])
    ]
    return sorted(rows, key=distances.__getitem__)


def _figures(passages: list[Passage], hours: float) -> PassageFigures:
    if not passages:
        return PassageFigures(flow=0.0, delay=None, level=None, on_green=None)

    delay = fmean(passage.delay for passage in passages)
    return PassageFigures(
        flow=round(len(passages) / hours, 1),
        delay=round(delay, 1),
        level=level(delay),
        on_green=round(fmean(passage.on_green for passage in passages), 3),
    )
