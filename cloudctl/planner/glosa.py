"""Green light optimal speed advice: the speed at which a vehicle passes its stop line without stopping.

Each connected vehicle is given the slot that the sweep of `passing` found for it, behind the queue it will meet, and the
constant speed that brings it there, later in the same green where the signal after this one would stop it: with deceleration b, T(v) = d/v - (v0-v)^2/(2 b v), solved for v in closed form.
Formula and gates: SUMO's GLOSA device, ISO/TS 19091 AdvisorySpeed (ecoDrive); never above the limit.
"""

from math import sqrt

from numba import njit

from ..schema import AdvisoryKind
from ..world import Beyond, World
from .candidate import Candidate
from .passing import FAR, Passing, earliest
from .policy import policy_of
from .rules import InForce

RANGE = 500.0  # m
NEAREST = 3.0  # m; closer than this it is too late to advise
V_MIN = 2.8  # m/s; slower than this is advised as a stop
GAIN = 2.0  # m/s^2 of acceleration towards the stop line
RAMP = 5.0  # m/s gained at most on the way to it
EARLY = 1.5  # s; who comes no earlier than that need not slow down
SPARE = 1.0  # s left of green at arrival, below which a driver slower than the limit is told to drive at it
SLOWER = 0.5  # m/s below the limit; nearer to it nothing is gained
MIN_CONFIDENCE = 0.5
MOST = 8.0  # s that a vehicle passes later for the signal after this one
KEPT = 2.0  # s before the end of green by which it passes all the same
MAX_SPREAD = 5.0  # s between least and greatest end of the present state, beyond which nothing is advised


@njit(cache=True)
def approach(low: float, distance: float, speed: float, time: float, limit: float, comfort: float) -> float:
    """Return m covered in `time` s by braking with `comfort` m/s^2 to `low` m/s, cruising, and at the end gaining at most RAMP m/s; more than
    `distance` where even the changes of speed take longer than there is."""
    top = max(min(limit, low + RAMP), low)
    change = abs(speed - low) / comfort
    gain = (top - low) / GAIN
    cruise = time - change - gain
    if cruise < 0.0:
        return distance + 1.0
    return 0.5 * (speed + low) * change + low * cruise + 0.5 * (low + top) * gain


@njit(cache=True)
def advised_speed(distance: float, speed: float, time: float, limit: float, comfort: float) -> float:
    """Return the speed (m/s) to slow down to so as to pass after `time` s, `distance` m on, faster than that by up to RAMP;
    `limit` where nothing need be done, negative where even V_MIN is too fast."""
    if earliest(distance, speed, limit) >= time - EARLY:
        return limit
    if approach(V_MIN, distance, speed, time, limit, comfort) > distance:
        flat = speed - comfort * time
        inside = flat * flat - speed * speed + 2.0 * comfort * distance
        constant = flat + sqrt(inside) if inside >= 0.0 else -1.0
        return constant if constant >= V_MIN else -1.0
    low, high = V_MIN, limit
    for _ in range(20):
        middle = 0.5 * (low + high)
        if approach(middle, distance, speed, time, limit, comfort) > distance:
            high = middle
        else:
            low = middle
    return low


def later(time: float, distance: float, limit: float, closes: float, beyond: Beyond) -> float:
    """Return when (s) to pass this line, no sooner than `time` and before it `closes`, so that one even speed brings the vehicle through
    the signal after it as well; `time` where that signal lets it through anyway, or nobody knows when it does."""
    arrives = time + beyond.distance / max(limit, 1.0)
    if arrives <= beyond.closes or beyond.opens <= arrives:
        return time
    even = distance * beyond.opens / (distance + beyond.distance)
    return max(min(even, closes - KEPT, time + MOST), time)


def plan(world: World, passing: Passing, rules: InForce) -> list[Candidate]:
    """Return one candidate for each connected vehicle on an approach whose signal is known well enough."""
    code, signals = world.code, world.signals
    windows = passing.windows
    out = []
    for k, (vehicle, row) in enumerate(zip(world.vehicles, world.rows, strict=True)):
        distance, connection = float(world.to_stop[row]), int(world.connection[row])
        if not NEAREST < distance < RANGE or connection < 0 or passing.doubt[row]:
            continue
        group = int(code.conn_group[connection])
        if group < 0 or signals.confidence[group] < MIN_CONFIDENCE or _spread(world, group) > MAX_SPREAD:
            continue
        limit = (
            float(code.lane_speed[world.path[row]])
            if world.path[row] < code.n_lanes
            else float(code.conn_speed[connection])
        )
        policy = policy_of(vehicle.state)
        limit = min(limit, float(rules.limit[k]), policy.top)
        time, speed = float(passing.time[row]), max(float(world.speed[row]), 0.0)
        facts: dict[str, object] = {
            "group": int(code.group_ids[group]),
            "distance": distance,
            "ahead": int(passing.ahead[row]),
            "time": time,
        }
        track = (int(world.tracks["id"][row]),)
        target = f"vehicle:{vehicle.id}"
        after = world.beyond.get(vehicle.handle)
        if after is not None and time < FAR:
            closes = float(windows.left[group] if passing.now[row] else windows.start[group] + windows.duration[group])
            further = later(time, distance, limit, closes, after) if closes < FAR else time
        else:
            further = time
        held = further > time + EARLY
        if passing.now[row] and not held:
            left = facts["left"] = float(windows.left[group])
            tight = distance > max(speed, 1.0) * (left - SPARE)  # at the speed it has it would come too late, or barely in time
            out.append(
                Candidate(
                    AdvisoryKind.GLOSA,
                    target,
                    2,
                    float(signals.confidence[group]),
                    "group {group} stays green for {left:.0f} s at least: drive on, {distance:.0f} m to go",
                    facts,
                    track,
                    limit,
                    distance,
                    "speed_up" if tight and speed < limit - SLOWER else "keep",
                )
            )
            continue
        if time >= FAR:
            continue
        facts["opens"], facts["time"] = float(windows.start[group]), further
        advised = advised_speed(distance, min(max(speed, V_MIN), limit), further, limit, policy.comfort)
        words = "group {group} turns green in {opens:.0f} s, {ahead} ahead of you: pass in {time:.0f} s"
        if held and after is not None:
            facts["next"], facts["opens"] = distance + after.distance, after.opens
            words = "the next signal, {next:.0f} m ahead, lets you through in {opens:.0f} s: pass this one in {time:.0f} s"
        if advised >= limit - 0.3:
            behaviour, advised = "keep", limit
        elif advised >= V_MIN:
            behaviour = "slow_down"
        else:
            behaviour, words = (
                "stop",
                "group {group} is red for {opens:.0f} s, {ahead} ahead of you: stop smoothly in {distance:.0f} m",
            )
        out.append(
            Candidate(
                AdvisoryKind.GLOSA,
                target,
                2,
                float(signals.confidence[group]),
                words,
                facts,
                track,
                None if behaviour == "stop" else advised,
                distance,
                behaviour,
            )
        )
    return out


def _spread(world: World, group: int) -> float:
    """Return s between the least and the greatest end of the group's present state; 0 where only one is known."""
    low, high = int(world.signals.min_end[group]), int(world.signals.max_end[group])
    return (high - low) / 1e9 if high < 2**61 and low < 2**61 else 0.0
