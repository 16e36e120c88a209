"""Green light optimal speed advice: the speed at which a vehicle passes its stop line without stopping.

Each connected vehicle is given the slot that the sweep of `passing` found for it, behind the queue it will meet, later in the same green where the signal
after this one would stop it all the same; and the speed that brings it there, faster at the end: T(v) is the sum of `travel`, solved for v by bisection.
It is to coast to that speed, or to brake where coasting brings it there too early even at V_MIN; to stop where braking does as well.
Whoever drives as advised can still stop when the green is due, and SLACK s later, when it is known whether it came (`safe_speed`): no red is approached on a promise.
Formula and gates: SUMO's GLOSA device, ISO/TS 19091 AdvisorySpeed (ecoDrive); never above the limit.

Who does more harm than good by going slowly is told nothing: who must let others go first before the stop line (he would lose his place), and who has
somebody close behind that leaves the road before the signal or passes in a green of his own.
"""

from math import sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...codes.compiled.rules import InForce
from ...forecast.following import Following, holding_up
from ...forecast.prediction import ways
from ...forecast.stop_line import FAR, SATURATION_HEADWAY, StopLineForecast, earliest
from ...schema import AdvisoryKind
from ...signals.states import NEVER
from ...world import ELSEWHERE, NextSignal, World
from ..candidate import Candidate, stopping_distance
from ..policy import policy_of
from .signal_stop import SLACK

RANGE = 500.0  # m
NEAREST = 3.0  # m; closer than this it is too late to advise
V_MIN = 2.2  # m/s; slower than this is advised as a stop
GAIN = 2.0  # m/s^2 of acceleration towards the stop line
RAMP = 8.0  # m/s gained at most on the way to it
HEARD = 0.5  # s from a plan to a vehicle that acts on it
EARLY = 0.5  # s; who comes no earlier than that need not slow down
HELD = 1.5  # s later for the signal after this one, below which nobody is held
SPARE = 1.0  # s left of green at arrival, below which a driver slower than the limit is told to drive at it
SLOWER = 0.5  # m/s below the limit; nearer to it nothing is gained
SOON = 0.5  # s to a green below which no number is given
NEARLY = 0.3  # m/s below the limit; nearer to it nothing is advised
MIN_CONFIDENCE = 0.5
MOST = 8.0  # s that a vehicle passes later for the signal after this one
PACE = 5.0  # m/s at which it goes on to that
MAX_SPREAD = 5.0  # s between least and greatest end of the present state, beyond which nothing is advised


@njit(cache=True)
def travel(low: float, distance: float, speed: float, limit: float, rate: float, ramp: float) -> float:
    """Return s to cover `distance` m by changing from `speed` to `low` (m/s; slowing down by `rate` m/s^2), cruising, and gaining at most `ramp`
    m/s in time for the line, never beyond `limit`."""
    accel = -rate if speed > low else GAIN
    change = (low - speed) / accel
    rest = distance - 0.5 * (speed + low) * change
    if rest <= 0.0:
        return (sqrt(max(speed * speed + 2.0 * accel * distance, 0.0)) - speed) / accel
    top = max(min(limit, low + ramp), low)
    gaining = (top * top - low * low) / (2.0 * GAIN)
    if gaining >= rest:
        return change + (sqrt(low * low + 2.0 * GAIN * rest) - low) / GAIN
    return change + (rest - gaining) / low + (top - low) / GAIN


@njit(cache=True)
def advised_speed(distance: float, speed: float, time: float, limit: float, rate: float) -> float:
    """Return the speed (m/s) to slow down to, by `rate` m/s^2, so as to pass after `time` s, `distance` m on, faster than that by up to RAMP;
    `limit` where nothing need be done, negative where even V_MIN is too fast."""
    if earliest(distance, speed, limit) >= time - EARLY:
        return limit
    if travel(V_MIN, distance, speed, limit, rate, RAMP) < time:
        return V_MIN if travel(V_MIN, distance, speed, limit, rate, 0.0) >= time else -1.0
    low, high = V_MIN, limit
    for _ in range(20):
        middle = 0.5 * (low + high)
        if travel(middle, distance, speed, limit, rate, RAMP) < time:
            high = middle
        else:
            low = middle
    return low


@njit(cache=True)
def safe_speed(distance: float, speed: float, opens: float, limit: float, rate: float) -> float:
    """Return the greatest speed (m/s, up to `limit`) to slow down to, by `rate` m/s^2, from which the vehicle can still stop before a place `distance` m on
    after `opens` s; negative where there is none of V_MIN or more."""
    low, high = V_MIN, limit
    if not _can_stop(low, distance, speed, opens, rate):
        return -1.0
    if _can_stop(high, distance, speed, opens, rate):
        return limit
    for _ in range(16):
        middle = 0.5 * (low + high)
        if _can_stop(middle, distance, speed, opens, rate):
            low = middle
        else:
            high = middle
    return low


@njit(cache=True)
def _can_stop(low: float, distance: float, speed: float, time: float, rate: float) -> bool:
    """Return whether, `time` s on, it can still stop before a place `distance` m on, slowing down to `low` m/s by `rate` m/s^2."""
    braking = min(max(speed - low, 0.0) / rate, time)
    then = max(speed - rate * braking, low)
    covered = 0.5 * (max(speed, low) + then) * braking + then * (time - braking)
    return bool(distance - covered >= stopping_distance(then))


KEEP, COAST, SLOW_DOWN, STOP = 0, 1, 2, 3
BEHAVIOURS = ("keep", "coast", "slow_down", "stop")


@njit(cache=True)
def slowing(
    distance: float, speed: float, time: float, limit: float, coasting: float, comfort: float, opens: float
) -> tuple[int, float]:
    """Return how to go (an index of BEHAVIOURS) so as to pass after `time` s, `distance` m on, and at what speed (m/s): as gently as brings the vehicle there
    no sooner, by `coasting` or `comfort` m/s^2, able to stop until it is known whether the signal opens, in `opens` s (negative: it is open)."""
    for behaviour, rate in ((COAST, coasting), (SLOW_DOWN, comfort)):
        advised = advised_speed(distance, speed, time, limit, rate)
        if opens >= 0.0:
            advised = min(advised, safe_speed(distance, speed, opens, limit, rate))
        if advised >= limit - NEARLY:
            return KEEP, limit
        if advised >= V_MIN:
            return behaviour, advised
    return STOP, 0.0


def later(time: float, limit: float, closes: float, beyond: NextSignal) -> float:
    """Return when (s) to pass this line, no sooner than `time`, so as to come to the signal after it at PACE or faster when that lets the vehicle through;
    within the first half of what is left of this green, which `closes` for the last one behind: others may come yet. `time` where the signal after it
    lets it through anyway, or nobody knows when it does."""
    arrives = time + beyond.distance / max(limit, 1.0)
    if arrives <= beyond.closes or beyond.opens <= arrives:
        return time
    return max(min(beyond.opens - beyond.distance / PACE, time + 0.5 * (closes - time), time + MOST), time)


def plan(world: World, passing: StopLineForecast, rules: InForce, behind: Following) -> list[Candidate]:
    """Return one candidate for each connected vehicle on an approach whose signal is known well enough, and that advice helps."""
    out = []
    leaves = np.zeros(len(world.tracks), np.bool_)
    leaves[world.rows] = [vehicle.paths == ELSEWHERE for vehicle in world.vehicles]
    holds_up = holding_up(world, behind, leaves | passing.now & (world.to_stop > 0.0) & (world.connection >= 0))
    ids, certain, names = (
        world.tracks["id"][world.rows].tolist(),
        world.signals.confidence.tolist(),
        world.code.group_ids.tolist(),
    )
    ends, starts, lasts = (column.tolist() for column in passing.windows[1:])
    advised: float | None
    for k, row, group, distance, speed, time, ahead, after_it, now, limit in approaching(
        world, passing, rules
    ).tolist():
        vehicle = world.vehicles[k]
        policy = policy_of(vehicle.state)
        limit = min(limit, policy.top)
        after, further = world.beyond.get(vehicle.handle), time
        if after is not None and time < FAR:
            closes = ends[group] if now else starts[group] + lasts[group]
            further = later(time, limit, closes - after_it * SATURATION_HEADWAY, after) if closes < FAR else time
        held = further > time + HELD
        facts: dict[str, object] = {"group": names[group], "distance": distance, "ahead": ahead, "time": further}
        if now and not held:
            left = facts["left"] = ends[group]
            tight = distance > max(speed, 1.0) * (
                left - SPARE
            )  # at the speed it has it would come too late, or barely in time
            words = "group {group} stays green for {left:.0f} s at least: drive on, {distance:.0f} m to go"
            behaviour, advised = "speed_up" if tight and speed < limit - SLOWER else "keep", limit
        elif time >= FAR or holds_up[row]:
            continue
        else:
            facts["opens"] = starts[group]
            pace = min(max(speed, V_MIN), limit)
            rest, known = max(distance - pace * HEARD, 0.5), -1.0 if now else max(starts[group] - HEARD, 0.0) + SLACK
            how, advised = slowing(rest, pace, further - HEARD, limit, policy.coasting, policy.comfort, known)
            behaviour = BEHAVIOURS[how]
            words = "group {group} turns green in {opens:.0f} s, {ahead} ahead of you: pass in {time:.0f} s"
            if held and after is not None:
                facts["next"], facts["opens"] = distance + after.distance, after.opens
                words = "the next signal, {next:.0f} m ahead, lets you through in {opens:.0f} s: pass this one in {time:.0f} s"
            if how == STOP:
                advised = None
                words = (
                    "group {group} is red for {opens:.0f} s, {ahead} ahead of you: stop smoothly in {distance:.0f} m"
                )
                if starts[group] < SOON:
                    words = (
                        "group {group} is about to turn green, {ahead} ahead of you: stop smoothly in {distance:.0f} m"
                    )
        out.append(
            Candidate(
                AdvisoryKind.GLOSA,
                f"vehicle:{vehicle.id}",
                2,
                certain[group],
                words,
                facts,
                (ids[k],),
                advised,
                distance,
                behaviour,
            )
        )
    return out


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
)  # one connected vehicle that may be advised: m, m/s, s; `limit` where it is


@njit(cache=True)
def _approaching(
    rows: Any, to_stop: Any, connection: Any, path: Any, speed: Any, time: Any, ahead: Any, behind: Any, now: Any, doubt: Any,
    n_lanes: int, minor: Any, conn_group: Any, lane_speed: Any, conn_speed: Any, confidence: Any, min_end: Any, max_end: Any, limit: Any, never: int,
    out: Any,
) -> int:  # fmt: skip
    """List who comes to a signal that is known well enough, and need not let others go first before that."""
    n = 0
    for k in range(len(rows)):
        i = rows[k]
        c = connection[i]
        if c < 0 or not NEAREST < to_stop[i] < RANGE or doubt[i] or (path[i] < n_lanes and minor[path[i]]):
            continue
        g = conn_group[c]
        if g < 0 or confidence[g] < MIN_CONFIDENCE:
            continue
        known = min_end[g] < never and max_end[g] < never
        if known and max_end[g] - min_end[g] > MAX_SPREAD * 1e9:
            continue
        out[n]["vehicle"], out[n]["row"], out[n]["group"], out[n]["distance"] = k, i, g, to_stop[i]
        out[n]["speed"], out[n]["time"], out[n]["now"] = max(speed[i], 0.0), time[i], now[i]
        out[n]["ahead"], out[n]["behind"] = ahead[i], behind[i]
        out[n]["limit"] = min(limit[k], lane_speed[path[i]] if path[i] < n_lanes else conn_speed[c])
        n += 1
    return n


def approaching(world: World, passing: StopLineForecast, rules: InForce) -> NDArray[Any]:
    """Return who comes to a signal that is known well enough: APPROACH[n]."""
    code, signals, out = world.code, world.signals, np.zeros(len(world.rows), APPROACH)
    if not len(out) or not code.n_conns or not len(signals.state):
        return out[:0]
    found = _approaching(
        world.rows, world.to_stop, world.connection, world.path, world.speed, passing.time, passing.ahead, passing.behind, passing.now,
        passing.doubt, code.n_lanes, ways(code).minor, code.conn_group, code.lane_speed, code.conn_speed, signals.confidence, signals.min_end, signals.max_end, rules.limit, int(NEVER), out,
    )  # fmt: skip
    return out[:found]
