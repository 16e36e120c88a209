"""Which lane to change to: one beside, of the same road, that leads the same way, is open to the vehicle's class, and
has no vehicle standing on it."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..codes import CompiledCode
from ..driving import STANDING_SPEED
from ..kernels import njit
from ..schema import Behaviour
from ..world import World

CLEAR_DISTANCE = 100.0  # m ahead within which no vehicle may stand on the other lane
MAX_REMEMBERED = 8192  # lanes and connections
_CODES: dict[str, CompiledCode] = {}  # by content: what `_lanes_beside` remembers its answers by


class LaneChange(NamedTuple):
    """A lane to change to, and the change."""

    lane: int
    behaviour: Behaviour


@njit(cache=True)
def _is_occupied(lane: int, s: float, path: Any, other_s: Any, speed: Any) -> bool:
    """Return whether a vehicle stands on a lane within CLEAR_DISTANCE ahead of `s` m."""
    count = 0
    for index in range(len(path)):
        count += path[index] == lane and speed[index] < STANDING_SPEED and s < other_s[index] < s + CLEAR_DISTANCE
    return count > 0


def change(world: World, row: int, is_open: np.ndarray) -> Behaviour | None:
    """Return the lane change that a track can make, None where there is none. `is_open`: bool[n_lanes], by the
    rules."""
    code, lane = world.code, int(world.path[row])
    if not 0 <= lane < code.n_lanes:
        return None

    for target_lane, behaviour in adjacent_lanes(code, lane, int(world.connection[row])):
        if is_open[target_lane] and not _is_occupied(
            target_lane, float(world.s[row]), world.path, world.s, world.speed
        ):
            return behaviour

    return None


def adjacent_lanes(code: CompiledCode, lane: int, connection: int) -> tuple[LaneChange, ...]:
    """Return the changes to the lanes beside one that lead the same way, the left one first. `connection`: -1
    unknown."""
    _CODES.setdefault(code.hash, code)
    return _lanes_beside(code.hash, lane, connection)


@lru_cache(maxsize=MAX_REMEMBERED)
def _lanes_beside(code_hash: str, lane: int, connection: int) -> tuple[LaneChange, ...]:
    code = _CODES[code_hash]
    turns = code.lane_tables.turns
    own_number = code.code.lanes[lane].number

    changes = []

    same_road = (code.lane_link == code.lane_link[lane]) & (code.lane_use == 0)

    for other_lane in np.flatnonzero(same_road).tolist():
        number = code.code.lanes[other_lane].number
        leads_there = connection < 0 or code.conn_from[turns[other_lane, connection]] == other_lane
        if abs(number - own_number) == 1 and leads_there:
            behaviour = Behaviour.CHANGE_LEFT if number < own_number else Behaviour.CHANGE_RIGHT
            changes.append((number, LaneChange(other_lane, behaviour)))

    return tuple(lane_change for _, lane_change in sorted(changes))
