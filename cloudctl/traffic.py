"""Traffic of an intersection in real time, from fused tracks: per lane and movement flow, speed, density, queue, delay,
level of service, arrivals on green; and stationary vehicles that nothing holds.

Flow and delay are of the vehicles that passed the stop line within WINDOW; speed, density and queue are means over the
last REPORT_INTERVAL. Control delay is the time from first sight to the stop line over what the limit allows (at least
0). Arrivals on green are vehicles whose signal showed green when they would have come at the limit. The level of
service is that of HCM 6th ed., exhibit 19-8, signalised intersections.
"""

from bisect import bisect_left
from collections import Counter, deque
from math import isnan
from statistics import fmean
from typing import NamedTuple

import numpy as np

from .approaches import (
    CONNECTION,
    LANE,
    MAX_DISTANCE,
    NEVER,
    NO_APPROACHES,
    ON_GREEN,
    STILL_SINCE,
    TRACK,
    UNHINDERED,
    LaneTotals,
    no_totals,
    observe,
)
from .clock import SECOND
from .codes import CompiledCode
from .matching import Floats, Ints
from .traffic_messages import Incident, LaneTraffic, MovementTraffic, Traffic
from .world import World

OBSERVATION_INTERVAL = SECOND
REPORT_INTERVAL = 10 * SECOND
WINDOW = 300 * SECOND  # over which passages are counted
MIN_STOP = 20 * SECOND  # standing so long with nothing ahead and no red is an incident
LEVEL_BOUNDS = (10.0, 20.0, 35.0, 55.0, 80.0)  # s per vehicle; A up to the first, F beyond the last
MIN_DENSITY_LENGTH = 1.0  # m that a density is taken over


class Passage(NamedTuple):
    """One vehicle that passed a stop line."""

    t: int  # ns
    lane: int
    connection: int
    delay: float  # s
    on_green: bool


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
        self._approaches = NO_APPROACHES
        self._passages: deque[Passage] = deque()
        self._taken: Counter[int] = Counter()  # how many of `_passages` took each movement
        self._shares: Floats | None = None  # made when first asked for after an observation
        self._oldest_stop = NEVER  # ns: since when, of those that stand, the first has stood
        self._first_observation = self._last_observation = self._last_report = 0  # ns

        # Since the last report.
        self._speeds: list[tuple[Ints, Floats]] = []  # of each observation: lanes, and m/s of a vehicle on each
        self._totals: LaneTotals | None = None

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
        self._totals, self._speeds = None, []

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
        if t - self._oldest_stop < MIN_STOP:
            return ()
        return tuple(self._approaches[t - self._approaches[:, STILL_SINCE] >= MIN_STOP, TRACK].tolist())

    # --- observation ---

    def _observe(self, world: World) -> None:
        if self._totals is None:
            self._totals = no_totals(world.code.n_lanes)

        observed = observe(world, self._approaches, self._totals)
        self._speeds.append((observed.lane, observed.speed))
        self._approaches, self._oldest_stop = observed.approaches, observed.oldest_stop

        if len(observed.passed):
            for approach in observed.passed.tolist():
                self._pass(world.t, approach)

        while self._passages and self._passages[0].t < world.t - WINDOW:
            self._taken[self._passages.popleft().connection] -= 1
        self._shares = None

    def _pass(self, t: int, approach: list[int]) -> None:
        passage = Passage(
            t=t,
            lane=approach[LANE],
            connection=approach[CONNECTION],
            delay=max(t - approach[UNHINDERED], 0) / SECOND,
            on_green=approach[ON_GREEN] != 0,  # one that came sooner than at the limit met green
        )
        self._passages.append(passage)
        self._taken[passage.connection] += 1

    # --- report ---

    def _report(self, world: World) -> Traffic:
        code = world.code
        observed = world.t - self._first_observation
        hours = min(max(observed, REPORT_INTERVAL), WINDOW) / SECOND / 3600.0
        assert self._totals is not None
        observed_lanes = np.flatnonzero(self._totals.is_observed).tolist()
        lanes = sorted({*observed_lanes, *(passage.lane for passage in self._passages)})
        speeds = self._speeds_by_lane()
        movements = sorted({passage.connection for passage in self._passages if passage.connection >= 0})

        return Traffic(
            code.code.id,
            code.code.revision,
            world.t,
            tuple(self._lane_traffic(code, lane, hours, self._totals, speeds.get(lane)) for lane in lanes),
            tuple(self._movement_traffic(code, connection, hours) for connection in movements),
            tuple(self._incidents(world)),
        )

    def _speeds_by_lane(self) -> dict[int, list[float]]:
        """Return the speeds (m/s) of the vehicles that were observed on each lane since the last report."""
        speeds: dict[int, list[float]] = {}
        for lanes, lane_speeds in self._speeds:
            for lane, speed in zip(lanes.tolist(), lane_speeds.tolist(), strict=True):
                speeds.setdefault(lane, []).append(speed)
        return speeds

    def _lane_traffic(
        self, code: CompiledCode, lane: int, hours: float, totals: LaneTotals, speeds: list[float] | None
    ) -> LaneTraffic:
        figures = _figures([passage for passage in self._passages if passage.lane == lane], hours)
        vehicles = int(totals.vehicles[lane]) / len(self._speeds)
        queue_tail = float(totals.queue_tail[lane]) if totals.is_observed[lane] else 0.0

        return LaneTraffic(
            lane=code.lane_ids[lane],
            flow=figures.flow,
            delay=figures.delay,
            level=figures.level,
            on_green=figures.on_green,
            speed=round(fmean(speeds), 2) if speeds else None,
            density=round(vehicles / (looked_at(code, lane) / 1000.0), 1),
            queue_m=round(queue_tail, 1),
            queue=int(totals.standing[lane]),
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
        approaches = {approach[TRACK]: approach for approach in self._approaches.tolist()}
        incidents = []
        for track in self.stopped(world.t):
            row = rows.get(track)
            if row is None:
                continue

            approach = approaches[track]
            lat, lon = world.code.origin.to_geodetic(float(world.tracks["x"][row]), float(world.tracks["y"][row]))

            incidents.append(
                Incident(
                    kind="stopped_vehicle",
                    lane=world.code.lane_ids[approach[LANE]],
                    distance=round(float(world.to_stop[row]), 1),
                    since=approach[STILL_SINCE],
                    track=track,
                    lat=float(lat),
                    lon=float(lon),
                )
            )

        return incidents


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
