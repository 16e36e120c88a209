"""Passing order where no signal decides: which vehicle goes first, and when each connected one should come, so that
none need stop for nothing.

Vehicles are taken in the order of their predicted arrival, one that must yield after those it must yield to whose time
at the conflict point would meet its own (conflict matrix of the digital code). Each passes when it can arrive and every
conflicting one before it is GAP past the point where their paths meet. First come, first served with rules of priority:
Dresner and Stone, A multiagent approach to autonomous intersection management (2008), without reservations of space:
vehicles that are not connected keep their place in the order.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import conflicts_at, lanes_at, moves_at
from ...forecast.prediction import DIVERGE, Prediction
from ...forecast.stop_line import earliest
from ...kernels import njit
from ...schema import AdvisoryKind, vehicle_target
from ...signals.colours import IS_UNCONTROLLED
from ...world import Connected, Users, World
from ..candidate import GIVE_WAY, INFORMATION, SLOW_DOWN, Candidate
from ..policy import policy_of
from .glosa import MIN_ADVISED_SPEED, advised_speed

KIND = AdvisoryKind.PASSING_ORDER
RANGE = 100.0  # m before the line
NEAREST = 3.0  # m
GAP = 1.5  # s between two at the point where their paths meet
HORIZON = 20.0  # s
MIN_ARRIVAL_SPEED = 0.5  # m/s by which an arrival is reckoned at the least
MIN_CROSSING_SPEED = 3.0  # m/s at which a vehicle crosses at the least
REASON = (
    "you are number {place} in the passing order: pass the line in {time:.0f} s, after the vehicle whose path you cross"
)


@njit(cache=True)
def conflict_between(own: int, other: int, conf_start: Any, conf_other: Any, conf_type: Any) -> int:
    """Return where two movements meet, as an index of the conflict table; -1 where they do not."""
    for c in range(conf_start[own], conf_start[own + 1]):
        if conf_other[c] == other and conf_type[c] != DIVERGE:
            return c
    return -1


@njit(cache=True)
def _must_wait(
    a: int, rows: Any, movement: Any, to_stop: Any, length: Any, conf_start: Any, conf_other: Any, conf_s: Any,
    conf_s_other: Any, conf_type: Any, conf_yield: Any, arrival: Any, pace: Any, is_placed: Any,
) -> bool:  # fmt: skip
    """Return whether a vehicle must yield to one that has no place in the order yet, and would meet it."""
    if to_stop[rows[a]] <= 0.0:
        return False  # it is inside already

    for b in range(len(rows)):
        if b == a or is_placed[b]:
            continue

        c = conflict_between(movement[rows[a], 0], movement[rows[b], 0], conf_start, conf_other, conf_type)
        if c < 0 or not conf_yield[c]:
            continue

        own_time, other_time = arrival[a] + conf_s[c] / pace[a], arrival[b] + conf_s_other[c] / pace[b]
        if other_time < own_time + GAP + length[rows[a]] / pace[a]:
            return True

    return False


@njit(cache=True)
def _next_in_order(
    rows: Any, movement: Any, to_stop: Any, length: Any, conf_start: Any, conf_other: Any, conf_s: Any, conf_s_other:
    Any, conf_type: Any, conf_yield: Any, arrival: Any, pace: Any, is_placed: Any,
) -> int:  # fmt: skip
    """Return the first vehicle to arrive, of those without a place, that need not wait for another; where each must,
    the first of all."""
    chosen = -1
    for a in range(len(rows)):
        if is_placed[a] or (chosen >= 0 and arrival[a] >= arrival[chosen]):
            continue

        if not _must_wait(
            a, rows, movement, to_stop, length, conf_start, conf_other, conf_s, conf_s_other, conf_type, conf_yield,
            arrival, pace, is_placed
        ):  # fmt: skip
            chosen = a

    if chosen >= 0:
        return chosen

    for a in range(len(rows)):
        if not is_placed[a] and (chosen < 0 or arrival[a] < arrival[chosen]):
            chosen = a

    return chosen


@njit(cache=True)
def assign_order(
    rows: Any, movement: Any, to_stop: Any, speed: Any, length: Any, limit: Any, conf_start: Any, conf_other: Any,
    conf_s: Any, conf_s_other: Any, conf_type: Any, conf_yield: Any, time: Any, place: Any, after: Any,
) -> None:  # fmt: skip
    """Fill in, for each of `rows`: when it passes its line (s), its place in the order, and the one it waits for (-1
    none)."""
    n = len(rows)
    arrival, pace = np.empty(n), np.empty(n)
    for a in range(n):
        i = rows[a]
        arrival[a] = 0.0
        if to_stop[i] > 0.0:
            arrival[a] = earliest(max(to_stop[i], 0.0), max(speed[i], MIN_ARRIVAL_SPEED), limit[a])
        pace[a] = max(speed[i], MIN_CROSSING_SPEED)

    is_placed = np.zeros(n, np.bool_)
    for number in range(n):
        chosen = _next_in_order(
            rows, movement, to_stop, length, conf_start, conf_other, conf_s, conf_s_other, conf_type, conf_yield,
            arrival, pace, is_placed
        )  # fmt: skip

        # It passes when every conflicting vehicle before it has cleared the point where their paths meet.
        t = arrival[chosen]
        for b in range(n):
            if not is_placed[b]:
                continue

            c = conflict_between(movement[rows[chosen], 0], movement[rows[b], 0], conf_start, conf_other, conf_type)
            if c < 0:
                continue

            clear = time[b] + (conf_s_other[c] + length[rows[b]]) / pace[b] + GAP - conf_s[c] / pace[chosen]
            if clear > t:
                t, after[chosen] = clear, b

        time[chosen], place[chosen], is_placed[chosen] = t, number, True


@inner_kernel
def screen(users: Users, connected: Connected, state: Any, code: Any, prediction: Prediction) -> bool:
    """Return whether a connected vehicle has a place in the order after another."""
    lanes, moves, conflicts = lanes_at(code), moves_at(code), conflicts_at(code)
    movement = prediction.movement
    rows, n, n_connected = np.empty(len(users.path), np.int64), 0, 0

    for i in range(len(users.path)):
        if movement[i, 0] < 0 or not users.to_stop[i] < RANGE:
            continue

        group = moves.group[movement[i, 0]]
        if len(state) > 0 and group >= 0 and not IS_UNCONTROLLED[state[group]]:
            continue

        if users.to_stop[i] > 0.0 or users.path[i] >= len(lanes.speed):
            rows[n] = i
            n += 1
            n_connected += connected.report[i] >= 0

    if n < 2 or n_connected == 0:
        return False

    rows = rows[:n]
    limit, time, place, after = np.empty(n), np.zeros(n), np.zeros(n, np.int64), np.full(n, -1, np.int64)
    for k in range(n):
        limit[k] = max(moves.speed[movement[rows[k], 0]], 1.0)

    assign_order(
        rows, movement, users.to_stop, users.speed, users.tracks["length"], limit, conflicts.start, conflicts.other,
        conflicts.s, conflicts.s_other, conflicts.type, conflicts.must_yield, time, place, after,
    )  # fmt: skip
    for k in range(n):
        if (
            after[k] >= 0
            and connected.report[rows[k]] >= 0
            and users.to_stop[rows[k]] >= NEAREST
            and time[k] <= HORIZON
        ):
            return True

    return False


def plan(world: World, prediction: Prediction) -> list[Candidate]:
    """Return its place in the order to each connected vehicle that comes to an intersection, or a movement, that no
    signal controls."""
    code = world.code
    if not code.n_conns or not len(world.vehicles):
        return []

    movement = prediction.movement[:, 0]
    rows = _uncontrolled(world, movement)
    if len(rows) < 2 or not (world.report[rows] >= 0).any():
        return []

    n = len(rows)
    limit = np.maximum(code.conn_speed[movement[rows]], 1.0)
    time, place, after = np.zeros(n), np.zeros(n, np.int64), np.full(n, -1, np.int64)
    assign_order(
        rows, prediction.movement, world.to_stop, world.speed, world.tracks["length"], limit, code.conf_start,
        code.conf_other, code.conf_s, code.conf_s_other, code.conf_type, code.conf_yield, time, place, after,
    )  # fmt: skip

    candidates = []

    for k in np.flatnonzero(after >= 0).tolist():
        row = int(rows[k])
        if world.report[row] < 0 or float(world.to_stop[row]) < NEAREST or time[k] > HORIZON:
            continue
        first = int(rows[after[k]])
        confidence = float(min(world.tracks["existence"][row], prediction.chance[first, 0]))
        candidates.append(_advice(world, row, first, int(place[k]) + 1, float(time[k]), float(limit[k]), confidence))

    return candidates


def _uncontrolled(world: World, movement: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the tracks near the intersection or inside whose movement no signal controls: rows."""
    code = world.code
    group = np.where(movement >= 0, code.conn_group[movement], 0)
    state = world.signals.state[group] if len(world.signals.state) else np.zeros(len(group), np.uint8)
    is_off = IS_UNCONTROLLED[state] if code.code.signal_groups else True
    is_uncontrolled = (movement >= 0) & ((group < 0) | is_off)
    is_near = (world.to_stop < RANGE) & ((world.to_stop > 0.0) | (world.path >= code.n_lanes))

    return (is_uncontrolled & is_near).nonzero()[0]


def _advice(world: World, row: int, first: int, place: int, time: float, limit: float, confidence: float) -> Candidate:
    """Return the advice to a connected vehicle that passes its line after `time` s, after the track `first`."""
    vehicle, ids = world.vehicles[int(world.report[row])], world.tracks["id"]
    distance, speed = float(world.to_stop[row]), max(float(world.speed[row]), 0.0)
    pace, comfort = min(max(speed, MIN_ADVISED_SPEED), limit), policy_of(vehicle.state).comfort
    advised = advised_speed(distance, pace, time, limit, comfort)
    is_possible = advised >= MIN_ADVISED_SPEED

    return Candidate(
        kind=KIND,
        target=vehicle_target(vehicle.id),
        severity=INFORMATION,
        confidence=confidence,
        reason=REASON,
        facts={"place": place, "time": time},
        tracks=(int(ids[row]), int(ids[first])),
        speed=advised if is_possible else None,
        distance=distance,
        behaviour=SLOW_DOWN if is_possible else GIVE_WAY,
    )
