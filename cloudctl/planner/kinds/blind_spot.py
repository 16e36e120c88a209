"""Blind spot from occlusion: somebody whose way a connected vehicle's crosses soon, and whom it cannot see because another vehicle stands
between (ETSI TS 103 324 collective perception's reason to be; YD/T 3709 case "blind spot"). Who waits before a red is nobody's surprise.

Two meet where their outlines are predicted within CLOSE at one moment; the chance is Phi((CLOSE - d) / sigma) with the variances of both
predictions, and so at least a half. Hidden is who lies behind the outline of a car or anything larger, seen from the vehicle's front.
"""

from math import cos, erf, sin, sqrt
from typing import Any

import numpy as np
from numba import njit

from ...forecast.prediction import STEP, STEPS, Prediction
from ...forecast.stop_line import IS_GREEN, IS_YELLOW
from ...fusion import SEEN_LATELY
from ...schema import AdvisoryKind, ObjectClass
from ...world import World
from ..candidate import NAMES, Candidate, severity_of

CLOSE = 1.0  # m between the outlines of the two
RANGE = 50.0  # m
SLOWEST = 2.5  # m/s of the vehicle told
MOVES = 0.5  # m/s of who is hidden; whoever stands is no surprise
ACROSS = 0.8  # cosine between the two ways beyond which they go along each other
LOW = 1.3  # m; a lower vehicle hides nobody
SURE = 0.8  # existence of who is hidden, and of what hides him
MOTOR = np.isin(np.arange(256), (ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS))
STATIC = int(ObjectClass.STATIC)
PASSABLE = IS_GREEN | IS_YELLOW  # by state, of a signal that lets who comes go


@njit(cache=True)
def hides(x: float, y: float, to_x: float, to_y: float, track: Any) -> bool:
    """Return whether the outline of a track lies on the line between two points (m)."""
    if track["vx"] ** 2 + track["vy"] ** 2 > 1.0:
        angle = np.arctan2(track["vy"], track["vx"])
    else:
        angle = track["heading"] if track["heading"] == track["heading"] else 0.0
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
def _held(to_stop: float, movement: int, conn_group: Any, passable: Any) -> bool:
    """Return whether somebody is before a stop line whose signal does not let them go."""
    if movement < 0 or not to_stop > 0.0:
        return False
    group = conn_group[movement]
    return bool(0 <= group < len(passable) and not passable[group])


@njit(cache=True)
def _hidden(
    rows: Any, tracks: Any, xy: Any, var: Any, path: Any, to_stop: Any, movement: Any, conn_group: Any, passable: Any, order: Any, motor: Any,
    static: int, seen: int, other: Any, when: Any, chance: Any,
) -> None:  # fmt: skip
    """Fill in, for each of `rows`, who is hidden and will be met (-1 nobody), in how many s, and how likely."""
    there = np.empty(len(order), np.int64)  # who may be met, in order of x
    held = np.empty(len(order), np.bool_)
    n = 0
    for i in order:
        track = tracks[i]
        held[i] = _held(to_stop[i], movement[i, 0], conn_group, passable)
        moves = track["vx"] ** 2 + track["vy"] ** 2 >= MOVES**2
        if (
            moves
            and track["existence"] >= SURE
            and track["class"] != static
            and track["status"] == seen
            and not held[i]
        ):
            there[n] = i
            n += 1
    there = there[:n]
    there_x, sorted_x = tracks["x"][there], tracks["x"][order]
    there_y, there_vx, there_vy, there_path = tracks["y"][there], tracks["vx"][there], tracks["vy"][there], path[there]
    for k in range(len(rows)):
        i = rows[k]
        track = tracks[i]
        speed = sqrt(track["vx"] ** 2 + track["vy"] ** 2)
        if speed < SLOWEST or path[i] < 0:
            continue
        front_x = track["x"] + 0.5 * track["length"] * track["vx"] / speed
        front_y = track["y"] + 0.5 * track["length"] * track["vy"] / speed
        best = STEP * STEPS + 1.0
        begin = np.searchsorted(sorted_x, track["x"] - RANGE)
        for at in range(np.searchsorted(there_x, track["x"] - RANGE), n):
            far_x, far_y = there_x[at] - track["x"], there_y[at] - track["y"]
            if far_x > RANGE:
                break
            if abs(far_y) > RANGE or far_x * track["vx"] + far_y * track["vy"] <= 0.0 or there_path[at] == path[i]:
                continue  # far, behind, or on the same path
            walk = sqrt(there_vx[at] ** 2 + there_vy[at] ** 2)
            if abs(there_vx[at] * track["vx"] + there_vy[at] * track["vy"]) > ACROSS * walk * speed:
                continue
            if far_x * far_x + far_y * far_y > ((speed + walk) * STEP * STEPS + 10.0) ** 2:
                continue
            j = there[at]
            target = tracks[j]
            reach = CLOSE + 0.5 * max(track["width"], 1.0) + 0.5 * max(target["width"], 0.5)
            for step in range(STEPS):
                t = (step + 1) * STEP
                if t >= best or (held[i] and speed * t > to_stop[i]):
                    break
                dx, dy = xy[i, step, 0] - xy[j, step, 0], xy[i, step, 1] - xy[j, step, 1]
                apart = dx * dx + dy * dy
                if apart > reach * reach:
                    continue
                sigma = sqrt(var[i, step, 0] + var[j, step, 0])
                likely = 0.5 + 0.5 * erf((reach - sqrt(apart)) / (sqrt(2.0) * max(sigma, 0.1)))
                if _behind_something(i, j, front_x, front_y, tracks, order, begin, motor):
                    best, other[k], when[k], chance[k] = t, j, t, likely * target["existence"]
                break


@njit(cache=True)
def _behind_something(i: int, j: int, x: float, y: float, tracks: Any, order: Any, begin: int, motor: Any) -> bool:
    for at in range(begin, len(order)):
        k = order[at]
        if tracks[k]["x"] > x + 2.0 * RANGE:
            return False
        if k in (i, j) or not motor[tracks[k]["class"]] or tracks[k]["existence"] < SURE or tracks[k]["height"] < LOW:
            continue
        if hides(x, y, tracks[j]["x"], tracks[j]["y"], tracks[k]):
            return True
    return False


def plan(world: World, prediction: Prediction) -> list[Candidate]:
    """Return a warning to each connected vehicle that will meet somebody it cannot see."""
    n = len(world.rows)
    if not n or len(world.tracks) < 3:
        return []
    other, when, chance = np.full(n, -1, np.int64), np.zeros(n), np.zeros(n)
    order, passable = np.argsort(np.ascontiguousarray(world.tracks["x"]), kind="stable"), PASSABLE[world.signals.state]
    _hidden(
        world.rows, world.tracks, prediction.xy, prediction.var, world.path, world.to_stop, prediction.movement, world.code.conn_group, passable,
        order, MOTOR, STATIC, SEEN_LATELY, other, when, chance,
    )  # fmt: skip
    out = []
    for k in np.flatnonzero(other >= 0).tolist():
        row, hidden = int(world.rows[k]), int(other[k])
        far = float(
            np.hypot(
                world.tracks["x"][hidden] - world.tracks["x"][row], world.tracks["y"][hidden] - world.tracks["y"][row]
            )
        )
        out.append(
            Candidate(
                AdvisoryKind.BLIND_SPOT,
                f"vehicle:{world.vehicles[k].id}",
                max(severity_of(float(when[k])), 1),
                float(chance[k]),
                "a {who} you cannot see, {far:.0f} m away behind another vehicle, crosses your path in {when:.1f} s",
                {"who": NAMES[int(world.tracks["class"][hidden])], "far": far, "when": float(when[k])},
                (int(world.tracks["id"][row]), int(world.tracks["id"][hidden])),
                None,
                far,
                "slow_down",
            )
        )
    return out
