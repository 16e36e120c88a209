"""Green light optimal speed advice: the speed at which a vehicle passes its stop line without stopping.

Each connected vehicle is given the passage that the stop-line forecast found for it, behind the queue it will meet,
later in the same green where the signal after this one would stop it all the same; and the speed that brings it there,
faster at the end: T(v) is the sum of `travel`, solved for v by bisection. It is advised to coast to that speed, or to
brake where coasting brings it there too early even at MIN_ADVISED_SPEED; to stop where braking does as well. A driver
who follows the advice can still stop when the green is due, and BROKEN_PROMISE_TIME later, when it is known whether it
came (`safe_speed`): no red is approached on a promise. Formula and gates: SUMO's GLOSA device, ISO/TS 19091
AdvisorySpeed (ecoDrive); never above the limit.

No slow-down advice where it would do harm: to a vehicle that must give way before the stop line (it would lose its
place), and where it would hold up a close follower that leaves the road before the signal or passes in a green of its
own.
"""

from collections.abc import Iterable
from math import sqrt
from typing import Any

import numpy as np
from msgspec import Struct
from numba import njit
from numpy.typing import NDArray

from ...codes.compiled.rules import InForce
from ...driving import SATURATION_HEADWAY
from ...forecast.following import Following, holding_up
from ...forecast.stop_line import UNKNOWN_TIME, StopLineForecast, earliest
from ...schema import VEHICLE_TARGET, AdvisoryKind, Behaviour, vehicle_target
from ...signals.states import NEVER
from ...world import ELSEWHERE, NextSignal, World
from ..braking import stopping_distance
from ..candidate import INFORMATION, Candidate
from ..policy import policy_of
from .signal_stop import BROKEN_PROMISE_TIME

KIND = AdvisoryKind.GLOSA
RANGE = 500.0  # m
NEAREST = 3.0  # m; nearer to the line it is too late to advise a speed
MIN_ADVISED_SPEED = 2.2  # m/s; slower than this is advised as a stop
ACCELERATION = 2.0  # m/s^2 towards the stop line
MAX_SPEED_GAIN = 8.0  # m/s on the way to it
LATENCY = 0.5  # s from a plan to a vehicle that acts on it
MAX_EARLINESS = 0.5  # s; a vehicle that comes no earlier than that need not slow down
MIN_LATER = 1.5  # s later for the signal after this one, below which no vehicle is held back for it
MAX_LATER = 8.0  # s that a vehicle passes later for the signal after this one
ONWARD_SPEED = 5.0  # m/s at which it goes on to that signal
GREEN_RESERVE = 1.0  # s left of green at arrival, below which a driver slower than the limit is advised to drive at it
MIN_SPEED_UP = 0.5  # m/s below the limit; nearer to it nothing is gained
MIN_SLOW_DOWN = 0.3  # m/s below the limit; nearer to it nothing is advised
MIN_COUNTDOWN = 0.5  # s to a green below which the reason gives no number
MIN_CONFIDENCE = 0.5  # of the end times
MAX_SPREAD = 5.0  # s between least and greatest end of the present state, beyond which nothing is advised
SPEED_STEPS, SAFE_SPEED_STEPS = 20, 16  # of bisection

REASON_GREEN = "group {group} stays green for {left:.0f} s at least: drive on, {distance:.0f} m to go"
REASON_PASS = "group {group} turns green in {opens:.0f} s, {ahead} ahead of you: pass in {time:.0f} s"
REASON_NEXT_SIGNAL = (
    "the next signal, {next:.0f} m ahead, lets you through in {opens:.0f} s: pass this one in {time:.0f} s"
)
REASON_STOP = "group {group} is red for {opens:.0f} s, {ahead} ahead of you: stop smoothly in {distance:.0f} m"
REASON_STOP_SHORTLY = "group {group} is about to turn green, {ahead} ahead of you: stop smoothly in {distance:.0f} m"


@njit(cache=True)
def travel(low: float, distance: float, speed: float, limit: float, rate: float, max_gain: float) -> float:
    """Return s to cover `distance` m by changing from `speed` to `low` (m/s; slowing down by `rate` m/s^2), cruising,
    and gaining at most `max_gain` m/s in time for the line, never beyond `limit`."""
    accel = -rate if speed > low else ACCELERATION
    change_time = (low - speed) / accel
    rest = distance - 0.5 * (speed + low) * change_time
    if rest <= 0.0:
        return (sqrt(max(speed * speed + 2.0 * accel * distance, 0.0)) - speed) / accel

    top = max(min(limit, low + max_gain), low)
    gaining_distance = (top * top - low * low) / (2.0 * ACCELERATION)
    if gaining_distance >= rest:
        return change_time + (sqrt(low * low + 2.0 * ACCELERATION * rest) - low) / ACCELERATION
    return change_time + (rest - gaining_distance) / low + (top - low) / ACCELERATION


@njit(cache=True)
def advised_speed(distance: float, speed: float, time: float, limit: float, rate: float) -> float:
    """Return the speed (m/s) to slow down to, by `rate` m/s^2, so as to pass after `time` s, `distance` m on, faster
    than that by up to MAX_SPEED_GAIN; `limit` where nothing need be done, negative where even MIN_ADVISED_SPEED is too
    fast."""
    if earliest(distance, speed, limit) >= time - MAX_EARLINESS:
        return limit
    if travel(MIN_ADVISED_SPEED, distance, speed, limit, rate, MAX_SPEED_GAIN) < time:
        # Too early with a gain of speed at the end: perhaps without.
        return MIN_ADVISED_SPEED if travel(MIN_ADVISED_SPEED, distance, speed, limit, rate, 0.0) >= time else -1.0

    low, high = MIN_ADVISED_SPEED, limit
    for _ in range(SPEED_STEPS):
        middle = 0.5 * (low + high)
        if travel(middle, distance, speed, limit, rate, MAX_SPEED_GAIN) < time:
            high = middle
        else:
            low = middle
    return low


@njit(cache=True)
def safe_speed(distance: float, speed: float, opens: float, limit: float, rate: float) -> float:
    """Return the greatest speed (m/s, up to `limit`) to slow down to, by `rate` m/s^2, from which the vehicle can still
    stop before a place `distance` m on after `opens` s; negative where there is none of MIN_ADVISED_SPEED or more."""
    low, high = MIN_ADVISED_SPEED, limit
    if not _can_stop(low, distance, speed, opens, rate):
        return -1.0
    if _can_stop(high, distance, speed, opens, rate):
        return limit
    for _ in range(SAFE_SPEED_STEPS):
        middle = 0.5 * (low + high)
        if _can_stop(middle, distance, speed, opens, rate):
            low = middle
        else:
            high = middle
    return low


@njit(cache=True)
def _can_stop(low: float, distance: float, speed: float, time: float, rate: float) -> bool:
    """Return whether, `time` s on, it can still stop before a place `distance` m on, slowing down to `low` m/s by
    `rate` m/s^2."""
    braking_time = min(max(speed - low, 0.0) / rate, time)
    later_speed = max(speed - rate * braking_time, low)
    covered = 0.5 * (max(speed, low) + later_speed) * braking_time + later_speed * (time - braking_time)
    return bool(distance - covered >= stopping_distance(later_speed))


KEEP, COAST, SLOW_DOWN, STOP = 0, 1, 2, 3  # indices of BEHAVIOURS
KEEPS_SPEED = KEEP_SPEED, SPEED_UP = (Behaviour.KEEP, Behaviour.SPEED_UP)
BEHAVIOURS = (Behaviour.KEEP, Behaviour.COAST, Behaviour.SLOW_DOWN, Behaviour.STOP)


@njit(cache=True)
def slowing(
    distance: float, speed: float, time: float, limit: float, coasting: float, comfort: float, opens: float
) -> tuple[int, float]:
    """Return how to go (an index of BEHAVIOURS) so as to pass after `time` s, `distance` m on, and at what speed (m/s).

    As gently as brings the vehicle there no sooner, by `coasting` or `comfort` m/s^2, able to stop until it is known
    whether the signal opens, in `opens` s (negative: it is open).
    """
    for behaviour, rate in ((COAST, coasting), (SLOW_DOWN, comfort)):
        advised = advised_speed(distance, speed, time, limit, rate)
        if opens >= 0.0:
            advised = min(advised, safe_speed(distance, speed, opens, limit, rate))
        if advised >= limit - MIN_SLOW_DOWN:
            return KEEP, limit
        if advised >= MIN_ADVISED_SPEED:
            return behaviour, advised
    return STOP, 0.0


def later(time: float, limit: float, closes: float, next_signal: NextSignal) -> float:
    """Return when (s) to pass this line, no sooner than `time`, so as to come to the next signal at ONWARD_SPEED or
    faster when that lets the vehicle through.

    Within the first half of what is left of this green, which `closes` for the last vehicle behind: others may come
    yet. `time` where the next signal lets it through anyway, or when that does so is not known.
    """
    arrival = time + next_signal.distance / max(limit, 1.0)
    if arrival <= next_signal.closes or next_signal.opens <= arrival:
        return time
    in_time_for_it = next_signal.opens - next_signal.distance / ONWARD_SPEED
    return max(min(in_time_for_it, time + 0.5 * (closes - time), time + MAX_LATER), time)


def plan(world: World, forecast: StopLineForecast, rules: InForce, following: Following) -> list[Candidate]:
    """Return one candidate for each connected vehicle on an approach whose signal is known well enough, and that advice
    helps."""
    leaves_road = np.zeros(len(world.tracks), np.bool_)
    leaves_road[world.rows] = [vehicle.paths == ELSEWHERE for vehicle in world.vehicles]
    has_green = forecast.in_present_green & (world.to_stop > 0.0) & (world.connection >= 0)
    holds_up = holding_up(world, following, leaves_road | has_green).tolist()

    approaches = approaching(world, forecast, rules)
    if not len(approaches):
        return []
    columns = _Columns(world, forecast)
    candidates = []
    for approach in approaches.tolist():
        candidate = _candidate(world, columns, _Approach(*approach), holds_up)
        if candidate is not None:
            candidates.append(candidate)
    return candidates


class _Columns:
    """Arrays of a snapshot as lists: Python reads those faster."""

    def __init__(self, world: World, forecast: StopLineForecast) -> None:
        self.track_ids = world.tracks["id"][world.rows].tolist()
        self.confidence = world.signals.confidence.tolist()
        self.group_ids = world.code.group_ids.tolist()
        windows = forecast.windows
        self.time_left = windows.time_left.tolist()
        self.next_start, self.next_duration = windows.next_start.tolist(), windows.next_duration.tolist()


def _candidate(world: World, columns: _Columns, approach: "_Approach", holds_up: list[bool]) -> Candidate | None:
    """Return the advice for one approach; None where it would not help."""
    group, distance, speed = approach.group, approach.distance, approach.speed
    vehicle = world.vehicles[approach.vehicle]
    policy = policy_of(vehicle.state)
    limit = min(approach.limit, policy.top)
    next_signal = world.next_signals.get(vehicle.handle)
    time = approach.time
    if next_signal is not None and time < UNKNOWN_TIME:
        time = _time_for_next(columns, approach, limit, next_signal)
    is_held = time > approach.time + MIN_LATER

    advised: float | None
    facts: dict[str, object] = {
        "group": columns.group_ids[group],
        "distance": distance,
        "ahead": approach.ahead,
        "time": time,
    }
    if approach.now and not is_held:
        facts["left"] = columns.time_left[group]
        reason, advised = REASON_GREEN, limit
        behaviour = _on_green(distance, speed, limit, columns.time_left[group])
    elif approach.time >= UNKNOWN_TIME or holds_up[approach.row]:
        return None
    else:
        opens = columns.next_start[group]
        facts["opens"] = opens

        # The vehicle acts a moment after this plan. A green that shows need not be waited for.
        pace = min(max(speed, MIN_ADVISED_SPEED), limit)
        rest = max(distance - pace * LATENCY, 0.5)
        known = -1.0 if approach.now else max(opens - LATENCY, 0.0) + BROKEN_PROMISE_TIME
        how, advised = slowing(rest, pace, time - LATENCY, limit, policy.coasting, policy.comfort, known)
        behaviour = BEHAVIOURS[how]
        reason = REASON_PASS
        if is_held and next_signal is not None:
            facts["next"], facts["opens"] = distance + next_signal.distance, next_signal.opens
            reason = REASON_NEXT_SIGNAL
        if how == STOP:
            advised = None
            reason = REASON_STOP_SHORTLY if opens < MIN_COUNTDOWN else REASON_STOP

    return Candidate(
        kind=KIND,
        target=vehicle_target(vehicle.id),
        severity=INFORMATION,
        confidence=columns.confidence[group],
        reason=reason,
        facts=facts,
        tracks=(columns.track_ids[approach.vehicle],),
        speed=advised,
        distance=distance,
        behaviour=behaviour,
    )


def _time_for_next(columns: _Columns, approach: "_Approach", limit: float, next_signal: NextSignal) -> float:
    """Return when (s) a vehicle is to pass its line, with regard to the signal after this one."""
    group = approach.group
    closes = columns.next_start[group] + columns.next_duration[group]
    if approach.now:
        closes = columns.time_left[group]
    if closes >= UNKNOWN_TIME:
        return approach.time
    return later(approach.time, limit, closes - approach.behind * SATURATION_HEADWAY, next_signal)


def _on_green(distance: float, speed: float, limit: float, time_left: float) -> Behaviour:
    """Return how to go on a green that is met: faster where the present speed would come too late, or barely in
    time."""
    is_tight = distance > max(speed, 1.0) * (time_left - GREEN_RESERVE)
    return SPEED_UP if is_tight and speed < limit - MIN_SPEED_UP else KEEP_SPEED


def slowed(candidates: Iterable[Candidate]) -> set[str]:
    """Return the ids of the vehicles that speed advice slows down or stops."""
    return {
        candidate.target.removeprefix(VEHICLE_TARGET)
        for candidate in candidates
        if candidate.kind is KIND and candidate.behaviour not in KEEPS_SPEED
    }


class _Approach(Struct, frozen=True, gc=False):
    """One connected vehicle that may be advised, as a row of APPROACH."""

    vehicle: int  # index into `World.vehicles`
    row: int
    group: int
    distance: float  # m to the line
    speed: float  # m/s
    time: float  # s until it passes, by the forecast
    ahead: int
    behind: int
    now: bool  # in the present green
    limit: float  # m/s, where it is


APPROACH = np.dtype(
    [
        ("vehicle", "i8"),
        ("row", "i8"),
        ("group", "i8"),
        ("distance", "f8"),
        ("speed", "f8"),
        ("time", "f8"),
        ("ahead", "i8"),
        ("behind", "i8"),
        ("now", "?"),
        ("limit", "f8"),
    ]
)


@njit(cache=True)
def _approaching(
    rows: Any, to_stop: Any, connection: Any, path: Any, speed: Any, time: Any, ahead: Any, behind: Any, now: Any,
    doubt: Any, n_lanes: int, minor: Any, conn_group: Any, lane_speed: Any, conn_speed: Any, confidence: Any, min_end:
    Any, max_end: Any, limit: Any, never: int, approaches: Any,
) -> int:  # fmt: skip
    """List the vehicles that come to a signal which is known well enough, and need not give way before that."""
    n = 0
    for k in range(len(rows)):
        i = rows[k]
        movement = connection[i]
        on_lane = path[i] < n_lanes
        if movement < 0 or not NEAREST < to_stop[i] < RANGE or doubt[i] or (on_lane and minor[path[i]]):
            continue
        group = conn_group[movement]
        if group < 0 or confidence[group] < MIN_CONFIDENCE:
            continue
        has_bounds = min_end[group] < never and max_end[group] < never
        if has_bounds and max_end[group] - min_end[group] > MAX_SPREAD * 1e9:
            continue

        approach = approaches[n]
        approach["vehicle"], approach["row"], approach["group"], approach["distance"] = k, i, group, to_stop[i]
        approach["speed"], approach["time"], approach["now"] = max(speed[i], 0.0), time[i], now[i]
        approach["ahead"], approach["behind"] = ahead[i], behind[i]
        approach["limit"] = min(limit[k], lane_speed[path[i]] if on_lane else conn_speed[movement])
        n += 1
    return n


def approaching(world: World, forecast: StopLineForecast, rules: InForce) -> NDArray[Any]:
    """Return the connected vehicles that come to a signal which is known well enough: APPROACH[n]."""
    code, signals = world.code, world.signals
    approaches = np.zeros(len(world.rows), APPROACH)
    if not len(approaches) or not code.n_conns or not len(signals.state):
        return approaches[:0]
    n = _approaching(
        world.rows, world.to_stop, world.connection, world.path, world.speed, forecast.time, forecast.ahead,
        forecast.behind, forecast.in_present_green, forecast.in_doubt, code.n_lanes, code.lane_links.minor, code.conn_group,  # noqa: E501
        code.lane_speed, code.conn_speed, signals.confidence, signals.min_end, signals.max_end, rules.limit, int(NEVER),
        approaches,
    )  # fmt: skip
    return approaches[:n]
