"""Pedestrian crossing: a pedestrian or cyclist who is likely to be where a connected vehicle is about to cross.

Each crosswalk that the vehicle's movement runs over comes from the digital code; where and when the walker crosses the
vehicle's path there, from a straight prediction. The chance that they meet is that of the walker crossing no more than
BESIDE beside the crosswalk, times that of the time windows of the two at that place being no further than MAX_PET
apart: Phi of each margin over its standard deviation (`forecast.prediction`). Warned at a TTC below MAX_TTC and a
chance of MIN_CHANCE, once the vehicle comes too late to stop before the crosswalk comfortably and brakes less than that
takes. A pedestrian waiting at the kerb before a red is taken to stay there, and so is one who hardly moves, unless in
the way.
"""

from math import erf, hypot, sqrt
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import crosswalks_at, lanes_at, paths_at
from ...forecast.prediction import SIGMA_A, arrival, point, position_variance
from ...kernels import njit
from ...road_users import USES_CROSSWALK
from ...schema import AdvisoryKind, ObjectClass, vehicle_target
from ...signals.colours import IS_RED
from ...world import Connected, Users, World
from ..braking import brakes_too_late
from ..candidate import NAMES, SLOW_DOWN, Candidate, severity_of

KIND = AdvisoryKind.PEDESTRIAN
MAX_TTC = 2.5  # s until the later of the two is there
MAX_PET = 2.0  # s
MIN_CHANCE = 0.7  # of meeting
HORIZON = 4.0  # s of straight walking that are believed
HALF_WIDTH = 1.3  # m either side of the vehicle's path that the two of them need
BESIDE = 1.5  # m beside a crosswalk that people still walk
IN_THE_WAY = 1.2  # m from the middle of the vehicle's path within which a standing pedestrian is in it
MIN_WALKING_SPEED = 0.5  # m/s; slower is standing, within what tracks are sure to
LATE_BRAKING = 1.25  # m/s^2; drivers who mean to stop before a crosswalk have begun to brake before it takes more
ALONG_COSINE = 0.8  # between a walker's way and the vehicle's: beyond it they go along each other
MIN_SPEED = 1.5  # m/s of the vehicle
APPROACH_RANGE = 60.0  # m before the stop line
MAX_MEETINGS = 8  # per connected vehicle, on average
OWN_CLASS = int(ObjectClass.CAR)  # by which the vehicle's own prediction spreads
WHOLE_BRAKING = 1.0  # share of the braking it takes: a driver who brakes less is warned
REASON = "{who} on the crosswalk {distance:.0f} m ahead, in your path in {ttc:.1f} s"

MEETING = np.dtype([("k", "i8"), ("walker", "i8"), ("ttc", "f8"), ("pet", "f8"), ("chance", "f8"), ("far", "f8")])


class Meeting(NamedTuple):
    """A connected vehicle and a walker that are likely to meet, as a row of MEETING."""

    k: int  # index into `World.vehicles`
    walker: int  # row of its track
    ttc: float  # s
    pet: float  # s
    chance: float
    far: float  # m from the vehicle's front to the crosswalk


@njit(cache=True)
def _chance_below(value: float, limit: float, sigma: float) -> float:
    """Return the chance that a normal quantity around `value` is below `limit`."""
    return 0.5 + 0.5 * erf((limit - value) / (sqrt(2.0) * max(sigma, 1e-3)))


@njit(cache=True)
def _is_at_kerb(track: Any, axis: Any) -> bool:
    """Return whether a walker is beside the road, beyond the ends of a crosswalk."""
    dx, dy = axis[2] - axis[0], axis[3] - axis[1]
    length = max(hypot(dx, dy), 1e-6)
    along = ((track["x"] - axis[0]) * dx + (track["y"] - axis[1]) * dy) / length
    return bool(along < 0.0 or along > length)


@njit(cache=True)
def _walk_window(track: Any, spot: Any, half: float, walk: Any) -> None:
    """Fill in when a walker comes within HALF_WIDTH of the vehicle's path on a crosswalk and is beyond it again (s),
    how far behind the middle of the crosswalk (m, along the path), the chance of that (0: never), and the standard
    deviation of the time (s).

    The path is straight there: through (spot[0], spot[1]) along (spot[2], spot[3]). `half`: m, half the width of the
    crosswalk.
    """
    # The walker's position and velocity, across the path and along it.
    x, y, vx, vy = track["x"] - spot[0], track["y"] - spot[1], float(track["vx"]), float(track["vy"])
    aside, along = spot[2] * y - spot[3] * x, spot[2] * x + spot[3] * y
    across_speed, along_speed = spot[2] * vy - spot[3] * vx, spot[2] * vx + spot[3] * vy
    pace = hypot(vx, vy)
    walk[3] = walk[4] = 0.0
    sigma = SIGMA_A[min(track["class"], len(SIGMA_A) - 1)]
    variance, speed_variance = 0.5 * (track["var_x"] + track["var_y"]), 0.5 * (track["var_vx"] + track["var_vy"])

    if pace >= MIN_WALKING_SPEED and abs(along_speed) >= ALONG_COSINE * pace:
        return  # goes along the vehicle's own path

    # In the path already.
    width = IN_THE_WAY if pace < MIN_WALKING_SPEED else HALF_WIDTH
    if abs(aside) < width and abs(along) < half + BESIDE:
        walk[0], walk[2], walk[3] = 0.0, along, 1.0
        walk[1] = (HALF_WIDTH - aside * (1.0 if across_speed > 0.0 else -1.0)) / max(
            abs(across_speed), MIN_WALKING_SPEED
        )
        walk[4] = sqrt(variance) / max(abs(across_speed), MIN_WALKING_SPEED)
        return

    # On the way to it.
    if pace < MIN_WALKING_SPEED or aside * across_speed >= 0.0:
        return  # stands beside it, or goes away from it

    t = abs(aside / across_speed)
    if t >= HORIZON:
        return

    deviation = sqrt(position_variance(variance, speed_variance, sigma, t))
    walk[0], walk[1] = t - HALF_WIDTH / abs(across_speed), t + HALF_WIDTH / abs(across_speed)
    walk[2], walk[4] = along + along_speed * t, deviation / abs(across_speed)
    walk[3] = _chance_below(abs(walk[2]), half + BESIDE, deviation)


@njit(cache=True)
def _list_meetings(
    rows: Any, tracks: Any, walkers: Any, path: Any, s: Any, to_stop: Any, connection: Any, speed: Any, accel: Any,
    n_lanes: int, start: Any, xy: Any, arc: Any, cw_start: Any, cw_cross: Any, cw_in: Any, cw_out: Any, cross_group:
    Any, cross_axis: Any, state: Any, meetings: Any,
) -> int:  # fmt: skip
    """List which of `walkers` each of `rows` may meet on a crosswalk of its movement within MAX_TTC."""
    n, spot, walk = 0, np.empty(4), np.empty(5)
    for k in range(len(rows)):
        i = rows[k]
        movement = connection[i]
        if movement < 0 or speed[i] < MIN_SPEED or not to_stop[i] < APPROACH_RANGE:
            continue

        length = float(tracks[i]["length"])
        along = s[i] if path[i] >= n_lanes else -to_stop[i] - 0.5 * length  # m along the movement, of its middle
        variance = 0.5 * (tracks[i]["var_x"] + tracks[i]["var_y"])
        speed_variance = 0.5 * (tracks[i]["var_vx"] + tracks[i]["var_vy"])

        for w in range(cw_start[movement], cw_start[movement + 1]):
            distance, half = cw_in[w] - along - 0.5 * length, 0.5 * (cw_out[w] - cw_in[w])
            has_left = cw_out[w] - along + 0.5 * length < 0.0
            if has_left or arrival(distance, speed[i], accel[i]) > MAX_TTC:
                continue

            point(n_lanes + movement, 0.5 * (cw_in[w] + cw_out[w]), start, xy, arc, spot)
            group = cross_group[cw_cross[w]]
            is_held = group >= 0 and IS_RED[state[group]]

            for j in walkers:
                if j == i or (is_held and _is_at_kerb(tracks[j], cross_axis[cw_cross[w]])):
                    continue

                _walk_window(tracks[j], spot, half, walk)
                if walk[3] == 0.0:
                    continue

                # The vehicle's own window at the place where the walker crosses its path.
                front = distance + half + walk[2]
                enter, leave = arrival(front, speed[i], accel[i]), arrival(front + length, speed[i], accel[i])
                ttc, pet = max(enter, walk[0], 0.0), max(enter, walk[0]) - min(leave, walk[1])

                if front <= 0.0 or ttc >= MAX_TTC or n >= len(meetings):
                    continue

                deviation = (
                    sqrt(position_variance(variance, speed_variance, SIGMA_A[OWN_CLASS], max(enter, 0.0))) / speed[i]
                )
                chance = walk[3] * _chance_below(pet, MAX_PET, sqrt(deviation * deviation + walk[4] * walk[4]))
                if chance < MIN_CHANCE:
                    continue

                meeting = meetings[n]
                meeting["k"], meeting["walker"], meeting["ttc"], meeting["pet"] = k, j, ttc, max(pet, 0.0)
                meeting["chance"], meeting["far"] = chance, distance if distance > 0.0 else front
                n += 1

    return n


@inner_kernel
def screen(users: Users, connected: Connected, state: Any, code: Any) -> bool:
    """Return whether a connected vehicle is likely to meet a walker."""
    paths, lanes, crosswalks = paths_at(code), lanes_at(code), crosswalks_at(code)
    walkers, n = np.empty(len(users.path), np.int64), 0
    for i in range(len(users.path)):
        if USES_CROSSWALK[users.tracks[i]["class"]]:
            walkers[n] = i
            n += 1

    if n == 0:
        return False

    found = np.zeros(MAX_MEETINGS * len(connected.rows) + n, MEETING)
    n = _list_meetings(
        connected.rows, users.tracks, walkers[:n], users.path, users.s, users.to_stop, users.connection, users.speed,
        users.accel, len(lanes.speed), paths.start, paths.xy, paths.s, crosswalks.start, crosswalks.crosswalk,
        crosswalks.s_in, crosswalks.s_out, crosswalks.group, crosswalks.axis, state, found,
    )  # fmt: skip

    return n > 0


def meetings(world: World) -> np.ndarray:
    """Return the walkers that each connected vehicle is likely to meet: MEETING[n]."""
    code, walkers = world.code, USES_CROSSWALK[world.tracks["class"]].nonzero()[0]
    found = np.zeros(MAX_MEETINGS * len(world.rows) + len(walkers), MEETING)
    if not len(walkers) or not code.n_conns:
        return found[:0]

    state = world.signals.state if len(world.signals.state) else np.zeros(1, np.uint8)
    n = _list_meetings(
        world.rows, world.tracks, walkers, world.path, world.s, world.to_stop, world.connection, world.speed,
        world.accel, code.n_lanes, code.path_start, code.path_xy, code.path_s, code.cw_start, code.cw_cross,
        code.cw_s_in, code.cw_s_out, code.cross_group, code.cross_axis, state, found,
    )  # fmt: skip

    return found[:n]


def plan(world: World) -> list[Candidate]:
    """Return a warning to each connected vehicle about to share a crosswalk with a walker: of the first that it would
    meet."""
    candidates: dict[str, Candidate] = {}
    found = [Meeting(*meeting) for meeting in meetings(world).tolist()]
    for meeting in sorted(found, key=attrgetter("ttc")):
        vehicle = world.vehicles[meeting.k].id
        if vehicle in candidates:
            continue

        row = int(world.rows[meeting.k])
        speed, braking = float(world.speed[row]), -float(world.accel[row])
        if brakes_too_late(speed, meeting.far, braking, LATE_BRAKING, WHOLE_BRAKING):
            candidates[vehicle] = _warning(world, meeting)

    return list(candidates.values())


def _warning(world: World, meeting: Meeting) -> Candidate:
    row, tracks = int(world.rows[meeting.k]), world.tracks
    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[meeting.k].id),
        severity=severity_of(meeting.ttc),
        confidence=float(tracks["existence"][meeting.walker] * meeting.chance),
        reason=REASON,
        facts={
            "who": NAMES[int(tracks["class"][meeting.walker])],
            "distance": meeting.far,
            "ttc": meeting.ttc,
            "pet": meeting.pet,
        },
        tracks=(int(tracks["id"][row]), int(tracks["id"][meeting.walker])),
        distance=meeting.far,
        behaviour=SLOW_DOWN,
    )
