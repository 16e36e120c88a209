"""Who drives behind whom: the road user ahead of each track on its way (lane, likely movement, exit lane). Once a tick, for all planners."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..matching import Floats, Ints
from ..world import World
from .prediction import Prediction, onward, ways

REACH = 150.0  # m ahead at the most
NEAR, PRESSING = 10.0, 2.0  # m, and s at its own speed: who is no further behind is close


class Following(NamedTuple):
    """One row a track."""

    leader: Ints  # the row of the one ahead, -1 where nobody is within REACH
    gap: Floats  # m from the front to its rear; inf where nobody is; never negative


@njit(cache=True)
def _follow(
    path: Any, s: Any, length: Any, movement: Any, order: Any, n_lanes: int, n_paths: int, path_length: Any, conn_from: Any,
    conn_to: Any, joint_start: Any, joint: Any, leader: Any, gap: Any,
) -> None:  # fmt: skip
    first = np.full(n_paths, -1, np.int64)  # of each path, who is furthest back
    for j in range(len(order) - 1, -1, -1):
        if path[order[j]] >= 0:
            first[path[order[j]]] = order[j]
    for j in range(len(order)):
        i = order[j]
        p = path[i]
        if p < 0:
            continue
        ahead, base = -1, 0.0
        if j + 1 < len(order) and path[order[j + 1]] == p:
            ahead = order[j + 1]
        else:
            while ahead < 0 and base - s[i] < REACH:
                base += path_length[p]
                p = onward(p, movement[i, 0], n_lanes, conn_from, conn_to, joint_start, joint)
                if p < 0:
                    break
                ahead = first[p]
        if ahead >= 0 and ahead != i:
            free = base + s[ahead] - s[i] - 0.5 * (length[i] + length[ahead])
            if free < REACH:
                leader[i], gap[i] = ahead, max(free, 0.0)


def follow(world: World, prediction: Prediction) -> Following:
    """Find the one ahead of every track; O(n log n)."""
    code, n = world.code, len(world.tracks)
    out = Following(np.full(n, -1, np.int64), np.full(n, np.inf))
    if n:
        order = np.lexsort((world.s, world.path))
        _follow(
            world.path, world.s, world.tracks["length"], prediction.movement, order, code.n_lanes, code.n_lanes + code.n_conns,
            code.path_length, code.conn_from, code.conn_to, *ways(code)[2:4], *out,
        )  # fmt: skip
    return out


@njit(cache=True)
def _pressed(leader: Any, gap: Any, speed: Any, free: Any, out: Any) -> None:
    for i in range(len(leader)):
        at = i
        while free[i] and leader[at] >= 0 and gap[at] < NEAR + PRESSING * max(speed[at], 0.0):
            at = leader[at]
            if out[at]:
                break
            out[at] = True


def holding_up(world: World, behind: Following, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return who has somebody close behind him, or behind those behind him, that nothing but them holds up (`free`, bool[n]): bool[n]."""
    out = np.zeros(len(world.tracks), np.bool_)
    _pressed(behind.leader, behind.gap, world.speed, free, out)
    return out
