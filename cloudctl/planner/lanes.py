"""Which lane to change to: the nearest one of the same road that leads the same way, is open to the vehicle's class, and has nobody standing on it."""

import numpy as np

from ..matching import tables
from ..world import World
from .passing import STANDING

CLEAR = 100.0  # m ahead within which the other lane must be free of what stands


def change(world: World, row: int, open_to: np.ndarray) -> str | None:
    """Return change_left, change_right, or None where there is no lane to change to. `open_to`: bool[n_lanes], by the rules."""
    code, lane, connection = world.code, int(world.path[row]), int(world.connection[row])
    if not 0 <= lane < code.n_lanes:
        return None
    beside = np.flatnonzero((code.lane_link == code.lane_link[lane]) & open_to & (code.lane_use == 0))
    number = np.array([code.code.lanes[k].number for k in beside.tolist()], np.int64)
    own = code.code.lanes[lane].number
    found = [(abs(n - own), n, k) for n, k in zip(number.tolist(), beside.tolist(), strict=True) if abs(n - own) == 1]
    for _, n, other in sorted(found):
        turns = tables(code).turns[other, connection] if connection >= 0 else other
        leads = connection < 0 or code.conn_from[turns] == other
        standing = (world.path == other) & (world.speed < STANDING) & (world.s > world.s[row]) & (world.s < world.s[row] + CLEAR)
        if leads and not standing.any():
            return "change_left" if n < own else "change_right"
    return None
