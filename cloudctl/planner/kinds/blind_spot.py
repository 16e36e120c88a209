"""Blind spot from occlusion: a road user that soon crosses a connected vehicle's path, and that its driver cannot see
because another vehicle is between (the purpose of collective perception, ETSI TS 103 324; YD/T 3709 case "blind spot").
One that waits before a red is no surprise.

Two meet where their outlines are predicted within MAX_APART at one moment; the chance is Phi((MAX_APART - d) / sigma)
with the variances of both predictions, and so at least a half. Hidden is a road user behind the outline of a car or
anything larger, seen from the vehicle's front.
"""

from math import cos, erf, sin, sqrt
from typing import Any, NamedTuple

import numpy as np

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import moves_at
from ...forecast.prediction import STEP, STEPS, Prediction, predict_path_in
from ...fusion import SEEN_LATELY
from ...kernels import njit
from ...road_users import BLOCKS_VIEW
from ...schema import AdvisoryKind, ObjectClass, vehicle_target
from ...signals.colours import IS_GREEN, IS_YELLOW
from ...world import Connected, Users, World
from ..candidate import NAMES, SLOW_DOWN, SOON, Candidate, severity_of

KIND = AdvisoryKind.BLIND_SPOT
MAX_APART = 1.0  # m between the outlines of the two
RANGE = 50.0  # m
MIN_SPEED = 2.5  # m/s of the vehicle that is warned
MIN_HIDDEN_SPEED = 0.5  # m/s of the hidden road user; a standing one is no surprise
ALONG_COSINE = 0.8  # between the two ways: beyond it they go along each other
MIN_HEIGHT = 1.3  # m; a lower vehicle hides nothing
MIN_HEADING_SPEED = 1.0  # m/s; the velocity of a slower track tells no heading
MIN_EXISTENCE = 0.8  # of the hidden road user, and of the vehicle that hides it
STATIC = int(ObjectClass.STATIC)
IS_PASSABLE = IS_GREEN | IS_YELLOW  # by state: a signal that lets in what comes
REASON = "a {who} you cannot see, {far:.0f} m away behind another vehicle, crosses your path in {when:.1f} s"


class Sighting(NamedTuple):
    """A hidden road user that a connected vehicle will meet, as a row of SIGHTING."""

    vehicle: int  # index into `World.vehicles`
    hidden: int  # row of its track
    when: float  # s
    chance: float


SIGHTING = np.dtype([("vehicle", "i8"), ("hidden", "i8"), ("when", "f8"), ("chance", "f8")])


@njit(cache=True)
def hides(x: float, y: float, to_x: float, to_y: float, track: Any) -> bool:
    """Return whether the outline of a track lies on the line between two points (m)."""
    if track["vx"] ** 2 + track["vy"] ** 2 > MIN_HEADING_SPEED**2:
        angle = np.arctan2(track["vy"], track["vx"])
    else:
        angle = track["heading"] if track["heading"] == track["heading"] else 0.0

    # Both points in the frame of the track, where its outline is a box: what is left of the line within both slabs.
    c, s = cos(angle), sin(angle)
    x0, y0 = c * (x - track["x"]) + s * (y - track["y"]), c * (y - track["y"]) - s * (x - track["x"])
    x1, y1 = c * (to_x - track["x"]) + s * (to_y - track["y"]), c * (to_y - track["y"]) - s * (to_x - track["x"])
    low, high = 0.0, 1.0

    for a, b, half in ((x0, x1, 0.5 * track["length"]), (y0, y1, 0.5 * track["width"])):
        d = b - a
        if abs(d) < 1e-9:
            if abs(a) > half:
                return False
            continue

        first, last = (-half - a) / d, (half - a) / d
        low, high = max(low, min(first, last)), min(high, max(first, last))

    return bool(low < high)


@njit(cache=True)
def _is_held(to_stop: float, movement: int, conn_group: Any, is_passable: Any) -> bool:
    """Return whether a road user is before a stop line whose signal does not let it go."""
    if movement < 0 or not to_stop > 0.0:
        return False
    group = conn_group[movement]
    return bool(0 <= group < len(is_passable) and not is_passable[group])


@njit(cache=True)
def _list_moving(
    tracks: Any, to_stop: Any, movement: Any, conn_group: Any, is_passable: Any, order: Any, is_held: Any, others: Any,
) -> int:  # fmt: skip
    """List the road users that may be met, in order of x, and fill in which tracks their signal holds."""
    n = 0
    for i in order:
        track = tracks[i]
        is_held[i] = _is_held(to_stop[i], movement[i, 0], conn_group, is_passable)
        moves = track["vx"] ** 2 + track["vy"] ** 2 >= MIN_HIDDEN_SPEED**2
        is_sure = track["existence"] >= MIN_EXISTENCE and track["status"] == SEEN_LATELY

        if moves and is_sure and track["class"] != STATIC and not is_held[i]:
            others[n] = i
            n += 1

    return n


@njit(cache=True)
def _meeting(
    i: int, j: int, is_held: bool, line: float, speed: float, limit: float, tracks: Any, xy: Any, var: Any, meeting: Any
) -> bool:
    """Return whether two tracks are predicted to meet before `limit` s; fill in when (s), and the chance.

    `is_held`: the first is held by its signal, `line` m ahead.
    """
    reach = MAX_APART + 0.5 * max(tracks[i]["width"], 1.0) + 0.5 * max(tracks[j]["width"], 0.5)
    for step in range(STEPS):
        t = (step + 1) * STEP
        if t >= limit or (is_held and speed * t > line):
            return False

        dx, dy = xy[i, step, 0] - xy[j, step, 0], xy[i, step, 1] - xy[j, step, 1]
        squared = dx * dx + dy * dy
        if squared > reach * reach:
            continue

        sigma = sqrt(var[i, step, 0] + var[j, step, 0])
        likely = 0.5 + 0.5 * erf((reach - sqrt(squared)) / (sqrt(2.0) * max(sigma, 0.1)))
        meeting[0], meeting[1] = t, likely * tracks[j]["existence"]

        return True

    return False


@inner_kernel
def _rows_by_x(tracks: Any) -> Any:
    x = np.empty(len(tracks))
    for i in range(len(x)):
        x[i] = tracks[i]["x"]
    return np.argsort(x, kind="mergesort")


@inner_kernel
def list_hidden(
    users: Users, connected: Connected, state: Any, code: Any, prediction: Prediction, sightings: Any
) -> int:
    """List in `sightings` (SIGHTING[n]) the first hidden road user that each connected vehicle will meet; the paths of
    `prediction` are filled in where they are asked for."""
    rows, tracks, path, to_stop, n_sightings = connected.rows, users.tracks, users.path, users.to_stop, 0
    if len(path) < 3:
        return 0

    is_passable = np.empty(len(state), np.bool_)
    for group in range(len(state)):
        is_passable[group] = IS_PASSABLE[state[group]]

    order, has_path = _rows_by_x(tracks), np.zeros(len(path), np.bool_)
    others, is_held = np.empty(len(order), np.int64), np.empty(len(order), np.bool_)
    n = _list_moving(
        tracks, to_stop, prediction.movement, moves_at(code).group, is_passable, order, is_held, others
    )  # fmt: skip
    others = others[:n]
    other_x, sorted_x = tracks["x"][others], tracks["x"][order]
    other_y, other_vx, other_vy = tracks["y"][others], tracks["vx"][others], tracks["vy"][others]
    other_path = path[others]
    meeting = np.empty(2)

    for k in range(len(rows)):
        i = rows[k]
        track = tracks[i]
        speed = sqrt(track["vx"] ** 2 + track["vy"] ** 2)

        if speed < MIN_SPEED or path[i] < 0:
            continue

        front_x = track["x"] + 0.5 * track["length"] * track["vx"] / speed
        front_y = track["y"] + 0.5 * track["length"] * track["vy"] / speed

        soonest, sighting = STEP * STEPS + 1.0, sightings[n_sightings]
        begin = np.searchsorted(sorted_x, track["x"] - RANGE)

        for o in range(np.searchsorted(other_x, track["x"] - RANGE), n):
            dx, dy = other_x[o] - track["x"], other_y[o] - track["y"]
            if dx > RANGE:
                break
            if abs(dy) > RANGE or dx * track["vx"] + dy * track["vy"] <= 0.0 or other_path[o] == path[i]:
                continue  # far, behind, or on the same path

            pace = sqrt(other_vx[o] ** 2 + other_vy[o] ** 2)
            if abs(other_vx[o] * track["vx"] + other_vy[o] * track["vy"]) > ALONG_COSINE * pace * speed:
                continue
            if dx * dx + dy * dy > ((speed + pace) * STEP * STEPS + 10.0) ** 2:
                continue  # too far to meet within the prediction

            j = others[o]
            for each in (i, j):
                if not has_path[each]:
                    predict_path_in(each, users, code, prediction)
                    has_path[each] = True

            is_met = _meeting(
                i, j, is_held[i], to_stop[i], speed, soonest, tracks, prediction.xy, prediction.var, meeting
            )
            if is_met and _is_behind_another(i, j, front_x, front_y, tracks, order, begin):
                soonest = meeting[0]
                sighting["vehicle"], sighting["hidden"], sighting["when"], sighting["chance"] = (
                    k, j, meeting[0], meeting[1]
                )  # fmt: skip

        n_sightings += soonest <= STEP * STEPS

    return n_sightings


@njit(cache=True)
def _is_behind_another(i: int, j: int, x: float, y: float, tracks: Any, order: Any, begin: int) -> bool:
    """Return whether a large vehicle is on the line from x, y to track `j`, seen from track `i`."""
    for o in range(begin, len(order)):
        k = order[o]
        if tracks[k]["x"] > x + 2.0 * RANGE:
            return False
        if k in (i, j) or not BLOCKS_VIEW[tracks[k]["class"]]:
            continue
        if tracks[k]["existence"] < MIN_EXISTENCE or tracks[k]["height"] < MIN_HEIGHT:
            continue
        if hides(x, y, tracks[j]["x"], tracks[j]["y"], tracks[k]):
            return True

    return False


def plan(world: World, sightings: list[Sighting]) -> list[Candidate]:
    """Return a warning to each connected vehicle that will meet a road user its driver cannot see."""
    return [_warning(world, sighting) for sighting in sightings]


def _warning(world: World, sighting: Sighting) -> Candidate:
    k, hidden, when, chance = sighting
    row, tracks = int(world.rows[k]), world.tracks
    distance = float(np.hypot(tracks["x"][hidden] - tracks["x"][row], tracks["y"][hidden] - tracks["y"][row]))

    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[k].id),
        severity=max(severity_of(when), SOON),
        confidence=chance,
        reason=REASON,
        facts={"who": NAMES[int(tracks["class"][hidden])], "far": distance, "when": when},
        tracks=(int(tracks["id"][row]), int(tracks["id"][hidden])),
        distance=distance,
        behaviour=SLOW_DOWN,
    )
