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

from math import isnan, sqrt
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import lanes_at, links_at, moves_at
from ...driving import SATURATION_HEADWAY
from ...forecast.following import Following, mark_holding_up
from ...forecast.stop_line import UNKNOWN_TIME, StopLineForecast, Windows, earliest
from ...kernels import njit
from ...schema import AdvisoryKind, Behaviour, vehicle_target
from ...signals.packed import SignalArrays
from ...signals.states import NEVER
from ...world import Connected, NextSignal, Users, World
from ..braking import stopping_distance
from ..candidate import INFORMATION, SPEED_STEP, Candidate
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
REASON_NEXT_ELSEWHERE = REASON_NEXT_SIGNAL + " (vehicles that may wait there are not known here)"
REASON_STOP = "group {group} is red for {opens:.0f} s, {ahead} ahead of you: stop smoothly in {distance:.0f} m"
REASON_STOP_SHORTLY = "group {group} is about to turn green, {ahead} ahead of you: stop smoothly in {distance:.0f} m"
REASONS = (REASON_GREEN, REASON_PASS, REASON_NEXT_SIGNAL, REASON_STOP, REASON_STOP_SHORTLY)
GREEN, PASS, NEXT_SIGNAL, AT_STOP, AT_STOP_SHORTLY = range(5)  # indices of REASONS


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


KEEP, COAST, SLOW_DOWN, STOP, SPEED_UP = 0, 1, 2, 3, 4  # indices of BEHAVIOURS
BEHAVIOURS = (Behaviour.KEEP, Behaviour.COAST, Behaviour.SLOW_DOWN, Behaviour.STOP, Behaviour.SPEED_UP)


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


@njit(cache=True)
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


class Approach(NamedTuple):
    """One connected vehicle that comes to a signal which is known well enough."""

    vehicle: int  # index into `World.vehicles`
    row: int
    group: Any  # index, int64
    distance: float  # m to the line
    speed: float  # m/s, not negative
    time: float  # s until it passes, by the forecast
    now: bool  # in the present green
    behind: int  # vehicles behind it on its lane
    limit: float  # m/s, where it is


class Advice(Struct, frozen=True, gc=False):
    """What one vehicle is advised, as a row of ADVICE; times in s from now, 0 where they are not spoken of."""

    vehicle: int  # index into `World.vehicles`
    row: int
    group: int
    reason: int  # index of REASONS
    behaviour: int  # index of BEHAVIOURS
    ahead: int
    distance: float  # m to the line
    time: float  # of its passage
    left: float  # of the present green
    opens: float  # until the green it is to pass in, here or at the next signal
    next: float  # m to the next signal
    speed: float  # m/s; nan of a stop


ADVICE = np.dtype([(name, "i8" if kind is int else "f8") for name, kind in Advice.__annotations__.items()])


@inner_kernel
def _approach(
    k: int, users: Users, connected: Connected, signals: SignalArrays, code: Any, forecast: StopLineForecast,
    limit: float,
) -> Approach:  # fmt: skip
    """Return how the connected vehicle `k` comes to its signal, where that is known well enough and the vehicle need
    not give way before it; else with group -1. `limit`: m/s, by the rules in force."""
    lanes, moves, links = lanes_at(code), moves_at(code), links_at(code)
    i, none = connected.rows[k], Approach(k, 0, -1, 0.0, 0.0, 0.0, False, 0, 0.0)
    movement, distance = users.connection[i], users.to_stop[i]
    on_lane = users.path[i] < len(lanes.speed)
    if movement < 0 or not NEAREST < distance < RANGE or forecast.in_doubt[i]:
        return none
    if on_lane and links.minor[users.path[i]]:
        return none

    group = moves.group[movement]
    if group < 0 or signals.confidence[group] < MIN_CONFIDENCE:
        return none
    least, greatest = signals.min_end[group], signals.max_end[group]
    if least < NEVER and greatest < NEVER and greatest - least > MAX_SPREAD * 1e9:
        return none

    limit = min(limit, lanes.speed[users.path[i]] if on_lane else moves.speed[movement])
    return Approach(
        k, i, np.int64(group), distance, max(users.speed[i], 0.0), forecast.time[i], forecast.in_present_green[i],
        forecast.behind[i], limit,
    )  # fmt: skip


@inner_kernel
def _time_for_next(approach: Approach, windows: Windows, limit: float, next_signal: NextSignal) -> float:
    """Return when (s) a vehicle is to pass its line, with regard to the signal after this one."""
    group = approach.group
    closes = windows.next_start[group] + windows.next_duration[group]
    if approach.now:
        closes = windows.time_left[group]
    if closes >= UNKNOWN_TIME:
        return approach.time
    return later(approach.time, limit, closes - approach.behind * SATURATION_HEADWAY, next_signal)


@njit(cache=True)
def _on_green(distance: float, speed: float, limit: float, time_left: float) -> int:
    """Return how to go on a green that is met: faster where the present speed would come too late, or barely in
    time."""
    is_tight = distance > max(speed, 1.0) * (time_left - GREEN_RESERVE)
    return SPEED_UP if is_tight and speed < limit - MIN_SPEED_UP else KEEP


@inner_kernel
def _advise(
    approach: Approach, windows: Windows, policy: Any, next_signal: NextSignal, ahead: int, holds_up: bool, advice: Any
) -> bool:
    """Fill in the advice for one approach; False where it would not help. `policy`: a row of VEHICLE."""
    group, distance, speed = approach.group, approach.distance, approach.speed
    limit = min(approach.limit, policy["top"])
    time = approach.time
    if next_signal.distance == next_signal.distance and time < UNKNOWN_TIME:
        time = _time_for_next(approach, windows, limit, next_signal)
    is_held = time > approach.time + MIN_LATER

    advice["vehicle"], advice["row"], advice["group"], advice["ahead"] = approach.vehicle, approach.row, group, ahead
    advice["distance"], advice["time"], advice["left"], advice["next"] = distance, time, 0.0, 0.0
    if approach.now and not is_held:
        advice["left"], advice["reason"], advice["speed"] = windows.time_left[group], GREEN, limit
        advice["behaviour"] = _on_green(distance, speed, limit, windows.time_left[group])
        return True
    if approach.time >= UNKNOWN_TIME or holds_up:
        return False

    # The vehicle acts a moment after this plan. A green that shows need not be waited for.
    opens = windows.next_start[group]
    pace = min(max(speed, MIN_ADVISED_SPEED), limit)
    rest = max(distance - pace * LATENCY, 0.5)
    known = -1.0 if approach.now else max(opens - LATENCY, 0.0) + BROKEN_PROMISE_TIME
    how, advised = slowing(rest, pace, time - LATENCY, limit, policy["coasting"], policy["comfort"], known)

    advice["reason"], advice["opens"], advice["behaviour"], advice["speed"] = PASS, opens, how, advised
    if is_held:
        advice["next"], advice["opens"] = distance + next_signal.distance, next_signal.opens
        advice["reason"] = NEXT_SIGNAL
    if how == STOP:
        advice["speed"] = np.nan
        advice["reason"] = AT_STOP_SHORTLY if opens < MIN_COUNTDOWN else AT_STOP
    return True


@inner_kernel
def list_advice(
    users: Users, connected: Connected, signals: SignalArrays, code: Any, forecast: StopLineForecast,
    following: Following, limit: Any, vehicles: Any, next_signals: Any, advice: Any,
) -> int:  # fmt: skip
    """List in `advice` (ADVICE[n]) what connected vehicles are advised. `limit`: m/s, by the rules in force;
    `vehicles`: VEHICLE[n]; `next_signals`: float64[n, 4], columns of NextSignal, nan where none is known."""
    moves = moves_at(code)
    n = 0
    if len(moves.group) == 0 or len(signals.state) == 0:
        return 0
    is_free, holds_up = np.zeros(len(users.path), np.bool_), np.zeros(len(users.path), np.bool_)
    for i in range(len(is_free)):
        is_free[i] = forecast.in_present_green[i] and users.to_stop[i] > 0.0 and users.connection[i] >= 0
    for k in range(len(connected.rows)):
        is_free[connected.rows[k]] |= vehicles[k]["leaves"] > 0.0
    mark_holding_up(following.leader, following.gap, users.speed, is_free, holds_up)

    for k in range(len(connected.rows)):
        approach = _approach(k, users, connected, signals, code, forecast, limit[k])
        if approach.group < 0:
            continue
        coming = next_signals[k]
        next_signal = NextSignal(coming[0], coming[1], coming[2], coming[3])
        ahead, is_in_the_way = forecast.ahead[approach.row], holds_up[approach.row]
        if _advise(approach, forecast.windows, vehicles[k], next_signal, ahead, is_in_the_way, advice[n]):
            n += 1
    return n


@inner_kernel
def without_settled(t: int, min_left: int, settled: Any, advices: Any, count: int) -> int:
    """Move the advices that their vehicles do not have already to the front of the first `count` of `advices`; return
    how many these are. `settled`: SETTLED[n]; `min_left`: `AdvisoryFilter.settled_time_left`."""
    kept = 0
    for k in range(count):
        advice = advices[k]
        last = settled[advice["vehicle"]]
        is_same = last["behaviour"] == advice["behaviour"] and not abs(advice["speed"] - last["speed"]) >= SPEED_STEP
        if is_same and last["valid_until"] - t >= min_left:
            continue
        advices[kept] = advice
        kept += 1
    return kept


def plan(world: World, advices: list[Advice]) -> list[Candidate]:
    """Return a candidate for each connected vehicle on an approach whose signal is known well enough, and that advice
    helps."""
    ids = world.tracks["id"]  # looked up once: a column of records costs as much as half a candidate
    return [_candidate(world, advice, int(ids[advice.row])) for advice in advices]


def _candidate(world: World, advice: Advice, track: int) -> Candidate:
    facts: dict[str, object] = {
        "group": int(world.code.group_ids[advice.group]),
        "distance": advice.distance,
        "ahead": advice.ahead,
        "time": advice.time,
    }
    if advice.reason == GREEN:
        facts["left"] = advice.left
    else:
        facts["opens"] = advice.opens
    if advice.next > 0.0:
        facts["next"] = advice.next

    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[advice.vehicle].id),
        severity=INFORMATION,
        confidence=float(world.signals.confidence[advice.group]),
        reason=_reason(world, advice),
        facts=facts,
        tracks=(track,),
        speed=None if isnan(advice.speed) else advice.speed,
        distance=advice.distance,
        behaviour=BEHAVIOURS[advice.behaviour],
    )


def _reason(world: World, advice: Advice) -> str:
    if advice.reason == NEXT_SIGNAL:
        next_signal = world.next_signals.get(world.vehicles[advice.vehicle].handle)
        if next_signal is not None and not next_signal.is_queue_known:
            return REASON_NEXT_ELSEWHERE
    return REASONS[advice.reason]
