"""Which lane to change to: one beside, of the same road, that leads the same way, is open to the vehicle's class, and has nobody standing on it."""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit

from ..codes import CompiledCode
from ..matching import tables
from ..world import World
from .stop_line import STANDING

CLEAR = 100.0  # m ahead within which the other lane must be free of what stands
_CODES: dict[str, CompiledCode] = {}


@njit(cache=True)
def _occupied(lane: int, s: float, reach: float, path: Any, at: Any, speed: Any, standing: float) -> bool:
    """Return whether somebody stands on a lane within `reach` m ahead of `s`."""
    n = 0
    for i in range(len(path)):
        n += path[i] == lane and speed[i] < standing and s < at[i] < s + reach
    return n > 0


def change(world: World, row: int, open_to: np.ndarray) -> str | None:
    """Return change_left, change_right, or None where there is no lane to change to. `open_to`: bool[n_lanes], by the rules."""
    code, lane = world.code, int(world.path[row])
    if not 0 <= lane < code.n_lanes:
        return None
    for other, behaviour in adjacent_lanes(code, lane, int(world.connection[row])):
        if open_to[other] and not _occupied(
            other, float(world.s[row]), CLEAR, world.path, world.s, world.speed, STANDING
        ):
            return behaviour
    return None


def adjacent_lanes(code: CompiledCode, lane: int, connection: int) -> tuple[tuple[int, str], ...]:
    """Return (lane, "change_left" or "change_right") of those beside one that lead the same way by `connection` (-1: any), the left one first."""
    _CODES.setdefault(code.hash, code)
    return _adjacent_lanes(code.hash, lane, connection)


@lru_cache(maxsize=8192)
def _adjacent_lanes(key: str, lane: int, connection: int) -> tuple[tuple[int, str], ...]:
    code = _CODES[key]
    own, out = code.code.lanes[lane].number, []
    for other in np.flatnonzero((code.lane_link == code.lane_link[lane]) & (code.lane_use == 0)).tolist():
        number = code.code.lanes[other].number
        leads = connection < 0 or code.conn_from[tables(code).turns[other, connection]] == other
        if abs(number - own) == 1 and leads:
            out.append((number, other, "change_left" if number < own else "change_right"))
    return tuple((other, behaviour) for _, other, behaviour in sorted(out))
