"""Pedestrian crossing: a pedestrian or cyclist who is likely to be where a connected vehicle is about to cross.

Each crosswalk the vehicle's movement runs over comes from the digital code; where and when the walker crosses the vehicle's path there, from a
straight prediction. The chance that they meet is that of the walker crossing no more than BESIDE beside the crosswalk, times that of the
windows of the two at that place being no further than PET apart: Phi of each margin over its standard deviation (`prediction`).
Warned at TTC < 2.5 s and a chance of LIKELY, once the vehicle comes too late to stop before the crosswalk at ease and brakes less than that
takes. Who stands beside the road before a red is taken to wait, and who hardly moves as well, unless he stands in the way.
"""

from math import erf, hypot, sqrt
from operator import itemgetter
from typing import Any

import numpy as np
from numba import njit

from ...forecast.prediction import SIGMA_A, arrival, point, spread
from ...schema import AdvisoryKind, ObjectClass
from ...signals.states import IS_RED
from ...world import World
from ..candidate import NAMES, Candidate, brakes_too_late, severity_of

TTC = 2.5  # s until the later of the two is there
PET = 2.0  # s
LIKELY = 0.7  # a chance of meeting below which nobody is warned
HORIZON = 4.0  # s of straight walking that are believed
HALF_WIDTH = 1.3  # m either side of the vehicle's path that the two of them need
BESIDE = 1.5  # m beside a crosswalk that people still walk
IN_THE_WAY = 1.2  # m from the middle of the vehicle's path within which somebody who stands is in it
WALKING = 0.5  # m/s; slower is standing, within what tracks tell
EASE = 1.25  # m/s^2; drivers who mean to stop before a crosswalk have begun to brake before it takes more
ACROSS = 0.8  # cosine between a walker's way and the vehicle's beyond which they go along each other
SLOWEST = 1.5  # m/s
APPROACH = 60.0  # m
MEETING = np.dtype(
    [("k", "i8"), ("walker", "i8"), ("ttc", "f8"), ("pet", "f8"), ("chance", "f8"), ("far", "f8")]
)  # ttc and pet in s; far in m from the vehicle's front to the crosswalk
WALKS = np.isin(np.arange(256), (ObjectClass.PEDESTRIAN, ObjectClass.BICYCLE))


@njit(cache=True)
def _below(value: float, limit: float, sigma: float) -> float:
    """Return the chance that something normal around `value` is below `limit`."""
    return 0.5 + 0.5 * erf((limit - value) / (sqrt(2.0) * max(sigma, 1e-3)))


@njit(cache=True)
def _waits(track: Any, axis: Any) -> bool:
    """Return whether a walker is beside the road, beyond the ends of a crosswalk."""
    dx, dy = axis[2] - axis[0], axis[3] - axis[1]
    length = max(hypot(dx, dy), 1e-6)
    along = ((track["x"] - axis[0]) * dx + (track["y"] - axis[1]) * dy) / length
    return bool(along < 0.0 or along > length)


@njit(cache=True)
def _meets(track: Any, spot: Any, half: float, sigma_a: Any, out: Any) -> None:
    """Fill in when a walker comes within HALF_WIDTH of the vehicle's path on a crosswalk and is beyond it again (s), how far behind the middle
    of the crosswalk (m, along the path), the chance of that (0: never), and the standard deviation of the time (s).

    The path is straight there: through (spot[0], spot[1]) along (spot[2], spot[3]).
    """
    x, y, vx, vy = track["x"] - spot[0], track["y"] - spot[1], float(track["vx"]), float(track["vy"])
    aside, along = spot[2] * y - spot[3] * x, spot[2] * x + spot[3] * y
    across, onward = spot[2] * vy - spot[3] * vx, spot[2] * vx + spot[3] * vy
    pace = hypot(vx, vy)
    out[3] = out[4] = 0.0
    sigma = sigma_a[min(track["class"], len(sigma_a) - 1)]
    place, velocity = 0.5 * (track["var_x"] + track["var_y"]), 0.5 * (track["var_vx"] + track["var_vy"])
    if pace >= WALKING and abs(onward) >= ACROSS * pace:
        return  # goes along the vehicle's own path
    if abs(aside) < (IN_THE_WAY if pace < WALKING else HALF_WIDTH) and abs(along) < half + BESIDE:
        out[0], out[2], out[3] = 0.0, along, 1.0
        out[1] = (HALF_WIDTH - aside * (1.0 if across > 0.0 else -1.0)) / max(abs(across), WALKING)
        out[4] = sqrt(place) / max(abs(across), WALKING)
        return
    if pace < WALKING or aside * across >= 0.0:
        return  # stands beside it, or goes away from it
    t = abs(aside / across)
    if t >= HORIZON:
        return
    there = sqrt(spread(place, velocity, sigma, t))
    out[0], out[1] = t - HALF_WIDTH / abs(across), t + HALF_WIDTH / abs(across)
    out[2], out[4] = along + onward * t, there / abs(across)
    out[3] = _below(abs(out[2]), half + BESIDE, there)


@njit(cache=True)
def _meetings(
    rows: Any, tracks: Any, walkers: Any, path: Any, s: Any, to_stop: Any, connection: Any, speed: Any, accel: Any, n_lanes: int,
    start: Any, xy: Any, arc: Any, cw_start: Any, cw_cross: Any, cw_in: Any, cw_out: Any, cross_group: Any, cross_axis: Any, state: Any,
    is_red: Any, sigma_a: Any, out: Any,
) -> int:  # fmt: skip
    """List who of `walkers` each of `rows` may meet on a crosswalk of its movement within TTC."""
    n, spot, walk = 0, np.empty(4), np.empty(5)
    for k in range(len(rows)):
        i = rows[k]
        c = connection[i]
        if c < 0 or speed[i] < SLOWEST or not to_stop[i] < APPROACH:
            continue
        length = float(tracks[i]["length"])
        at = s[i] if path[i] >= n_lanes else -to_stop[i] - 0.5 * length
        position, velocity = (
            0.5 * (tracks[i]["var_x"] + tracks[i]["var_y"]),
            0.5 * (tracks[i]["var_vx"] + tracks[i]["var_vy"]),
        )
        for w in range(cw_start[c], cw_start[c + 1]):
            far, half = cw_in[w] - at - 0.5 * length, 0.5 * (cw_out[w] - cw_in[w])
            if cw_out[w] - at + 0.5 * length < 0.0 or arrival(far, speed[i], accel[i]) > TTC:
                continue
            point(n_lanes + c, 0.5 * (cw_in[w] + cw_out[w]), start, xy, arc, spot)
            group = cross_group[cw_cross[w]]
            held = group >= 0 and is_red[state[group]]
            for j in walkers:
                track = tracks[j]
                if j == i or (held and _waits(track, cross_axis[cw_cross[w]])):
                    continue
                _meets(track, spot, half, sigma_a, walk)
                if walk[3] == 0.0:
                    continue
                front = far + half + walk[2]
                enter, leave = arrival(front, speed[i], accel[i]), arrival(front + length, speed[i], accel[i])
                ttc, pet = max(enter, walk[0], 0.0), max(enter, walk[0]) - min(leave, walk[1])
                if front <= 0.0 or ttc >= TTC or n >= len(out):
                    continue
                own = sqrt(spread(position, velocity, sigma_a[1], max(enter, 0.0))) / speed[i]
                chance = walk[3] * _below(pet, PET, sqrt(own * own + walk[4] * walk[4]))
                if chance < LIKELY:
                    continue
                out[n]["k"], out[n]["walker"], out[n]["ttc"], out[n]["pet"] = k, j, ttc, max(pet, 0.0)
                out[n]["chance"], out[n]["far"] = chance, far if far > 0.0 else front
                n += 1
    return n


def meetings(world: World) -> np.ndarray:
    """Return whom each connected vehicle is likely to meet: MEETING[n], `k` an index into `world.vehicles`."""
    code, walkers = world.code, np.flatnonzero(WALKS[world.tracks["class"]])
    out = np.zeros(8 * len(world.rows) + len(walkers), MEETING)
    if not len(walkers) or not code.n_conns:
        return out[:0]
    state = world.signals.state if len(world.signals.state) else np.zeros(1, np.uint8)
    found = _meetings(
        world.rows, world.tracks, walkers, world.path, world.s, world.to_stop, world.connection, world.speed, world.accel, code.n_lanes,
        code.path_start, code.path_xy, code.path_s, code.cw_start, code.cw_cross, code.cw_s_in, code.cw_s_out, code.cross_group,
        code.cross_axis, state, IS_RED, SIGMA_A, out,
    )  # fmt: skip
    return out[:found]


def plan(world: World) -> list[Candidate]:
    """Return a warning to each connected vehicle about to share a crosswalk with a walker."""
    out: dict[str, Candidate] = {}
    for k, walker, ttc, pet, chance, far in sorted(meetings(world).tolist(), key=itemgetter(2)):
        row, vehicle = int(world.rows[k]), world.vehicles[k]
        target = f"vehicle:{vehicle.id}"
        if target in out or not brakes_too_late(float(world.speed[row]), far, -float(world.accel[row]), EASE, 1.0):
            continue
        out[target] = Candidate(
            AdvisoryKind.PEDESTRIAN,
            target,
            severity_of(ttc),
            float(world.tracks["existence"][walker] * chance),
            "{who} on the crosswalk {distance:.0f} m ahead, in your path in {ttc:.1f} s",
            {"who": NAMES[int(world.tracks["class"][walker])], "distance": far, "ttc": ttc, "pet": pet},
            (int(world.tracks["id"][row]), int(world.tracks["id"][walker])),
            None,
            far,
            "slow_down",
        )
    return list(out.values())
