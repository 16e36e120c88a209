"""Intersection collision and left turn across path: two vehicles whose windows at a conflict point of the digital code are likely to meet.

For tracks a, b whose likely movements the conflict matrix says cross or merge, t_in and t_out are the predicted times the front reaches
and the rear leaves the conflict point; their standard deviation is that of the prediction along the path over the speed. TTC = max(t_in); PET =
the gap between the windows. The chance that they meet is Phi((APART - PET) / sigma) times the chances of both movements; meetings of less than LIKELY are left out.

The one that must yield is told of the first one it would meet: at a TTC of SOON while it neither brakes nor waits, and wherever it comes too late to stop before
the conflict point at LATE (`candidate`); the one with priority is told then as well. Who stands across the way must be yielded to. A cyclist counts if his straight way leads to the conflict point, within AIM. Pedestrians are `pedestrian`'s.
"""

from math import erf, sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...forecast.following import Following
from ...forecast.prediction import DIVERGE, MOTOR, SIGMA_A, SLOWEST, Prediction, arrival, point, spread
from ...schema import AdvisoryKind, ObjectClass, SignalState
from ...world import World
from ..candidate import LATE, SHARE, Candidate, brakes_too_late, severity_of

TTC = 5.0  # s (ETSI TS 101 539-1)
SOON = 4.5  # s
APART = 0.5  # s between the windows within which they are taken to meet: two who are predicted 2 s apart mostly stay so
LIKELY = 0.5  # a chance of meeting below which nobody is warned
AIM = 1.5  # m by which a cyclist who is to cross the conflict point may miss it
CLEAR = 1.0  # m before the conflict point at which who gives way stops
NEAREST = 1.0  # m before that; nearer, he is there
IN_THE_WAY = 1.0  # m past the conflict point, where the paths come near each other; whose front stands there surely is in the way
EASE = 0.3  # m/s^2 of braking that it takes to stop before the conflict point, below which there is time to tell
STANDING, SETS_OFF = 1.5, 0.8  # m/s, m/s^2: who is slower, and does not gain speed so, waits
APPROACH = 60.0  # m before the stop line at which a vehicle counts as entering
PAIR = np.dtype(
    [
        ("a", "i8"),
        ("b", "i8"),
        ("ttc", "f8"),
        ("pet", "f8"),
        ("chance", "f8"),
        ("a_far", "f8"),
        ("b_far", "f8"),
        ("a_yields", "?"),
    ]
)  # ttc and pet in s; a_far and b_far in m from each front to the conflict point
TOLD = np.dtype(
    [("own", "i8"), ("other", "i8"), ("pair", "i8"), ("yields", "?")]
)  # whom to warn of whom, as who must yield or as who need not
RIDES = MOTOR | (np.arange(256) == ObjectClass.BICYCLE)
STOPS = np.isin(np.arange(256), (SignalState.UNKNOWN, SignalState.RED, SignalState.RED_FLASH))


@njit(cache=True)
def _enter(
    path: Any, s: Any, to_stop: Any, length: Any, rides: Any, movement: Any, n_lanes: int, conn_group: Any, state: Any, stops: Any, at: Any,
    head: Any, after: Any,
) -> int:  # fmt: skip
    """List, by connection, the vehicles (`rides`) that are on it or may drive onto it (row * WAYS + way); `at`: where along it (m, middle)."""
    n, ways = 0, movement.shape[1]
    for i in range(len(path)):
        inside = path[i] >= n_lanes
        if not rides[i] or not ((inside and to_stop[i] < 0.0) or 0.0 < to_stop[i] < APPROACH):
            continue
        at[i] = s[i] if inside else -to_stop[i] - 0.5 * length[i]
        for m in range(ways):
            k = movement[i, m]
            if k < 0 or (not inside and conn_group[k] >= 0 and stops[state[conn_group[k]]]):
                continue
            after[i * ways + m], head[k] = head[k], i * ways + m
            n += 1
    return n


@njit(cache=True)
def window(distance: float, length: float, speed: float, accel: float, top: float, out: Any) -> None:
    """Fill in s until the front is `distance` m on, and until the rear is."""
    out[0] = arrival(distance, speed, accel, top)
    out[1] = arrival(distance + length, speed, accel, top)


@njit(cache=True)
def deviation(track: Any, speed: float, t: float, sigma_a: Any) -> float:
    """Return the standard deviation (s) of an arrival predicted in `t` s."""
    position, velocity = 0.5 * (track["var_x"] + track["var_y"]), 0.5 * (track["var_vx"] + track["var_vy"])
    sigma = sigma_a[min(track["class"], len(sigma_a) - 1)]
    return sqrt(spread(position, velocity, sigma, max(t, 0.0))) / max(speed, SLOWEST)


@njit(cache=True)
def _aim(one: Any, two: Any, motor: Any, path: int, at: float, start: Any, xy: Any, arc: Any) -> bool:
    """Return whether two are to cross the point `at` m along a path: who drives by lanes is, a cyclist if his straight way leads there."""
    spot = np.empty(4)
    point(path, at, start, xy, arc, spot)
    for track in (one, two):
        vx, vy = float(track["vx"]), float(track["vy"])
        misses = abs((spot[0] - track["x"]) * vy - (spot[1] - track["y"]) * vx)
        if not motor[track["class"]] and not misses < AIM * sqrt(vx * vx + vy * vy):
            return False
    return True


@njit(cache=True)
def _pairs(
    tracks: Any, along: Any, accel: Any, chance: Any, at: Any, head: Any, after: Any, n_lanes: int, start: Any, xy: Any, arc: Any,
    conf_start: Any, conf_other: Any, conf_s: Any, conf_s_other: Any, conf_type: Any, conf_gives: Any, conn_speed: Any, sigma_a: Any, motor: Any, out: Any,
) -> int:  # fmt: skip
    n, ways = 0, chance.shape[1]
    own, other = np.empty(2), np.empty(2)
    for i in range(len(head)):
        for k in range(conf_start[i], conf_start[i + 1]):
            if conf_type[k] == DIVERGE or conf_other[k] < i or head[conf_other[k]] < 0:
                continue
            first = head[i]
            while first >= 0:
                a = first // ways
                length = tracks[a]["length"]
                a_far = conf_s[k] - at[a] - 0.5 * length
                window(a_far, length, max(along[a], 0.0), accel[a], conn_speed[i], own)
                second = head[conf_other[k]]
                while second >= 0 and own[1] > 0.0:
                    b = second // ways
                    length = tracks[b]["length"]
                    b_far = conf_s_other[k] - at[b] - 0.5 * length
                    window(b_far, length, max(along[b], 0.0), accel[b], conn_speed[conf_other[k]], other)
                    ttc = max(own[0], other[0])
                    if b != a and other[1] > 0.0 and ttc < TTC:
                        pet = ttc - min(own[1], other[1])
                        sigma = sqrt(
                            deviation(tracks[a], along[a], own[0], sigma_a) ** 2
                            + deviation(tracks[b], along[b], other[0], sigma_a) ** 2
                        )
                        meets = 0.5 + 0.5 * erf((APART - pet) / (sqrt(2.0) * max(sigma, 1e-3)))
                        meets *= chance[a, first - a * ways] * chance[b, second - b * ways]
                        likely = meets >= LIKELY and n < len(out)
                        if likely and _aim(tracks[a], tracks[b], motor, n_lanes + i, conf_s[k], start, xy, arc):
                            out[n]["a"], out[n]["b"], out[n]["ttc"], out[n]["pet"] = a, b, max(ttc, 0.0), max(pet, 0.0)
                            out[n]["a_far"], out[n]["b_far"], out[n]["chance"] = a_far, b_far, meets
                            out[n]["a_yields"] = conf_gives[k]
                            n += 1
                    second = after[second]
                first = after[first]
    return n


def plan(world: World, ahead: Prediction, behind: Following) -> list[Candidate]:
    """Return warnings to connected vehicles whose predicted windows at a conflict point meet; linear in relevant pairs."""
    return _warnings(world, pairs(world, ahead), behind) if len(world.vehicles) else []


def pairs(world: World, ahead: Prediction) -> NDArray[Any]:
    """Return whose windows at a conflict point are likely to meet: PAIR[n]."""
    code, n, ways = world.code, len(world.tracks), ahead.movement.shape[1]
    if not code.n_conns:
        return np.zeros(0, PAIR)
    at, head, after = np.zeros(n), np.full(code.n_conns, -1, np.int64), np.full(n * ways, -1, np.int64)
    entering = _enter(
        world.path, world.s, world.to_stop, world.tracks["length"], RIDES[world.tracks["class"]], ahead.movement, code.n_lanes,
        code.conn_group, world.signals.state, STOPS, at, head, after,
    )  # fmt: skip
    if entering < 2:
        return np.zeros(0, PAIR)
    out = np.zeros(8 * entering, PAIR)
    found = _pairs(
        world.tracks, world.speed, world.accel, ahead.chance, at, head, after, code.n_lanes, code.path_start, code.path_xy, code.path_s,
        code.conf_start, code.conf_other, code.conf_s, code.conf_s_other, code.conf_type, code.conf_gives, code.conn_speed, SIGMA_A, MOTOR, out,
    )  # fmt: skip
    return out[:found]


@njit(cache=True)
def waits(row: int, far: float, speed: Any, accel: Any, leader: Any, gap: Any) -> bool:
    """Return whether somebody stands and does not set off, or comes behind one that stands, before a place `far` m ahead."""
    held = leader[row] >= 0 and gap[row] < far and speed[leader[row]] < STANDING
    return bool(held or (speed[row] < STANDING and accel[row] < SETS_OFF))


@njit(cache=True)
def _comes(yields: int, goes: int, speed: Any) -> bool:
    """Return whether two come upon each other: the other moves, or stands in the way of one that does not creep."""
    return bool(speed[goes] > STANDING or speed[yields] > 2.0 * STANDING)


@njit(cache=True)
def _told(
    pairs: Any, order: Any, tracks: Any, speed: Any, accel: Any, leader: Any, gap: Any, motor: Any, out: Any
) -> int:
    """List who is warned of whom, by time; `order`: the pairs by time."""
    n, heeds = 0, np.zeros(len(speed), np.bool_)
    for k in order:
        pair = pairs[k]
        yields, goes, at, other_at = pair["a"], pair["b"], pair["a_far"], pair["b_far"]
        if not pair["a_yields"]:
            yields, goes, at, other_at = goes, yields, other_at, at
        if at < -IN_THE_WAY and speed[yields] < SLOWEST:
            yields, goes, at, other_at = goes, yields, other_at, at
        far = at - CLEAR
        if far < NEAREST or heeds[yields] or waits(yields, far, speed, accel, leader, gap):
            continue
        if other_at > -IN_THE_WAY and waits(goes, other_at - CLEAR, speed, accel, leader, gap):
            continue
        heeds[yields] = True
        holding_up = brakes_too_late(speed[yields], far, -accel[yields], LATE, SHARE)
        soon = pair["ttc"] < SOON and motor[tracks[yields]["class"]] and motor[tracks[goes]["class"]]
        if not holding_up and not (
            soon and brakes_too_late(speed[yields], far, -accel[yields], EASE, SHARE) and _comes(yields, goes, speed)
        ):
            continue
        out[n]["own"], out[n]["other"], out[n]["pair"], out[n]["yields"] = yields, goes, k, True
        n += 1
        if holding_up:
            out[n]["own"], out[n]["other"], out[n]["pair"], out[n]["yields"] = goes, yields, k, False
            n += 1
    return n


def _warnings(world: World, pairs: NDArray[Any], behind: Following) -> list[Candidate]:
    out: dict[str, Candidate] = {}
    told, order = np.empty(2 * len(pairs), TOLD), np.argsort(np.ascontiguousarray(pairs["ttc"]), kind="stable")
    n = _told(pairs, order, world.tracks, world.speed, world.accel, *behind, MOTOR, told)
    for own, other, k, yields in told[:n].tolist():
        report, ttc = int(world.report[own]), float(pairs["ttc"][k])
        if report < 0:
            continue
        target = f"vehicle:{world.vehicles[report].id}"
        if target in out:
            continue
        out[target] = Candidate(
            AdvisoryKind.COLLISION,
            target,
            severity_of(ttc) if yields else max(severity_of(ttc), 1),
            float(min(world.tracks["existence"][own], world.tracks["existence"][other]) * pairs["chance"][k]),
            "{role} a vehicle whose path you cross in {ttc:.1f} s, {pet:.1f} s apart",
            {"role": "give way to" if yields else "be ready to brake for", "ttc": ttc, "pet": float(pairs["pet"][k])},
            (int(world.tracks["id"][own]), int(world.tracks["id"][other])),
            None,
            None,
            "slow_down" if yields else None,
        )
    return list(out.values())
