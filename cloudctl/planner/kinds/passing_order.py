"""Passing order where no signal decides: who goes first, and when each connected vehicle should come, so that none need stop for nothing.

Vehicles are taken in the order of their predicted arrival, one that must yield after those it must yield to whose time at the conflict
point would meet its own (conflict matrix of the digital code). Each passes when it can arrive and every conflicting one before it is
GAP s past the point where their paths meet. First come, first served with rules of priority: Dresner and Stone, A multiagent approach to
autonomous intersection management (2008), without reservations of space: vehicles that are not connected keep their place in the order.
"""

from typing import Any

import numpy as np
from numba import njit

from ...forecast.prediction import DIVERGE, Prediction
from ...forecast.stop_line import earliest
from ...schema import AdvisoryKind, SignalState
from ...world import World
from ..candidate import Candidate
from ..policy import policy_of
from .glosa import V_MIN, advised_speed

RANGE = 100.0  # m before the line
NEAREST = 3.0  # m
GAP = 1.5  # s between two at the point where their paths meet
HORIZON = 20.0  # s
UNCONTROLLED = np.isin(np.arange(256), (SignalState.DARK, SignalState.YELLOW_FLASH))


@njit(cache=True)
def assign_order(
    rows: Any, movement: Any, to_stop: Any, speed: Any, length: Any, limit: Any, conf_start: Any, conf_other: Any, conf_s: Any,
    conf_s_other: Any, conf_type: Any, conf_yield: Any, time: Any, place: Any, after: Any,
) -> None:  # fmt: skip
    """Fill in, for each of `rows`: when it passes its line (s), its place in the order, and the one it waits for (-1 nobody)."""
    n = len(rows)
    come, pace = np.empty(n), np.empty(n)
    for a in range(n):
        i = rows[a]
        come[a] = earliest(max(to_stop[i], 0.0), max(speed[i], 0.5), limit[a]) if to_stop[i] > 0.0 else 0.0
        pace[a] = max(speed[i], 3.0)
    done = np.zeros(n, np.bool_)
    for k in range(n):
        chosen = -1
        for a in range(n):
            if done[a] or (chosen >= 0 and come[a] >= come[chosen]):
                continue
            free = True
            for b in range(n):
                if b == a or done[b]:
                    continue
                c = conflict_between(movement[rows[a], 0], movement[rows[b], 0], conf_start, conf_other, conf_type)
                if c < 0 or not conf_yield[c] or to_stop[rows[a]] <= 0.0:
                    continue
                own, others = come[a] + conf_s[c] / pace[a], come[b] + conf_s_other[c] / pace[b]
                if others < own + GAP + length[rows[a]] / pace[a]:
                    free = False
            if free:
                chosen = a
        if chosen < 0:  # each must yield to another: the first to arrive goes
            for a in range(n):
                if not done[a] and (chosen < 0 or come[a] < come[chosen]):
                    chosen = a
        t = come[chosen]
        for b in range(n):
            if not done[b]:
                continue
            c = conflict_between(movement[rows[chosen], 0], movement[rows[b], 0], conf_start, conf_other, conf_type)
            if c < 0:
                continue
            clear = time[b] + (conf_s_other[c] + length[rows[b]]) / pace[b] + GAP - conf_s[c] / pace[chosen]
            if clear > t:
                t, after[chosen] = clear, b
        time[chosen], place[chosen], done[chosen] = t, k, True


@njit(cache=True)
def conflict_between(own: int, other: int, conf_start: Any, conf_other: Any, conf_type: Any) -> int:
    """Return where two movements meet, as an index of the conflict table; -1 where they do not."""
    for c in range(conf_start[own], conf_start[own + 1]):
        if conf_other[c] == other and conf_type[c] != DIVERGE:
            return c
    return -1


def plan(world: World, prediction: Prediction) -> list[Candidate]:
    """Return its place in the order to each connected vehicle that comes to an intersection, or a movement, without a signal that rules it."""
    code = world.code
    if not code.n_conns or not len(world.vehicles):
        return []
    movement = prediction.movement[:, 0]
    group = np.where(movement >= 0, code.conn_group[movement], 0)
    state = world.signals.state[group] if len(world.signals.state) else np.zeros(len(group), np.uint8)
    unruled = (movement >= 0) & ((group < 0) | (UNCONTROLLED[state] if code.code.signal_groups else True))
    near = unruled & (world.to_stop < RANGE) & ((world.to_stop > 0.0) | (world.path >= code.n_lanes))
    rows = np.flatnonzero(near)
    if len(rows) < 2 or not (world.report[rows] >= 0).any():
        return []
    limit = np.maximum(code.conn_speed[movement[rows]], 1.0)
    time, place, after = np.zeros(len(rows)), np.zeros(len(rows), np.int64), np.full(len(rows), -1, np.int64)
    assign_order(
        rows, prediction.movement, world.to_stop, world.speed, world.tracks["length"], limit, code.conf_start, code.conf_other, code.conf_s,
        code.conf_s_other, code.conf_type, code.conf_yield, time, place, after,
    )  # fmt: skip
    out = []
    for k in np.flatnonzero(after >= 0).tolist():
        row, distance = int(rows[k]), float(world.to_stop[rows[k]])
        if world.report[row] < 0 or distance < NEAREST or time[k] > HORIZON:
            continue
        vehicle = world.vehicles[int(world.report[row])]
        speed = max(float(world.speed[row]), 0.0)
        advised = advised_speed(
            distance,
            min(max(speed, V_MIN), limit[k]),
            float(time[k]),
            float(limit[k]),
            policy_of(vehicle.state).comfort,
        )
        first = int(rows[after[k]])
        out.append(
            Candidate(
                AdvisoryKind.PASSING_ORDER,
                f"vehicle:{vehicle.id}",
                2,
                float(min(world.tracks["existence"][row], prediction.chance[first, 0])),
                "you are number {place} in the passing order: pass the line in {time:.0f} s, after the vehicle whose path you cross",
                {"place": int(place[k]) + 1, "time": float(time[k])},
                (int(world.tracks["id"][row]), int(world.tracks["id"][first])),
                advised if advised >= V_MIN else None,
                distance,
                "slow_down" if advised >= V_MIN else "give_way",
            )
        )
    return out
