"""Hazard ahead: what a gateway reported on a lane or in a polygon, for the connected vehicles that come to it (YD/T
3709 RSI), with a lane to change to.

A vehicle is warned of one at a time: the highest `priority`, then the nearest. A hazard that closes the lane (CLOSING)
comes with advice to change lanes where a lane beside leads the same way (`lanes.change`).
"""

from typing import Any, NamedTuple

import numpy as np

from ...forecast import lanes
from ...kernels import njit
from ...lane_stretches import Coverage, covered
from ...schema import AdvisoryKind, Hazard, vehicle_target
from ...world import World
from ..candidate import INFORMATION, SLOW_DOWN, Candidate
from .ahead import distance_to, open_lanes

KIND = AdvisoryKind.HAZARD
RANGE = 300.0  # m
CLOSING = ("closure", "works", "construction", "accident", "obstacle", "stopped_vehicle", "lane_closed")
CONFIDENCE = 0.9
REASON_AHEAD = "{kind} {ahead:.0f} m ahead on your lane. {text}"
REASON_HERE = "{kind} where you are. {text}"


class Nearest(NamedTuple):
    """The hazard that a vehicle is warned of, the path on which it comes to it, and m to there."""

    hazard: Hazard
    path: int
    ahead: float

    @property
    def rank(self) -> tuple[int, float]:
        """What orders the hazards ahead of one vehicle, the first one first."""
        return -self.hazard.priority, self.ahead


@njit(cache=True)
def _list_approaching(
    rows: Any, stretches: Any, path: Any, s: Any, length: Any, connection: Any, to_stop: Any, n_lanes: int,
    conn_from: Any, conn_to: Any, lane_stop_s: Any, path_length: Any, approaching: Any, ahead: Any,
) -> int:  # fmt: skip
    """List in `approaching` (int64[n, 2]) which of `rows` have a stretch within RANGE on their way, or are within one,
    and the nearest stretch; in `ahead` how far that is (m)."""
    n = 0
    for k in range(len(rows)):
        row, nearest, nearest_stretch = rows[k], RANGE, -1
        for m in range(len(stretches)):
            target = int(stretches[m, 0])
            distance = distance_to(
                target, stretches[m, 1], row, path, s, length, connection, to_stop, n_lanes, conn_from, conn_to,
                lane_stop_s, path_length,
            )  # fmt: skip
            if distance <= 0.0:
                # It is within the stretch until its rear has left it.
                end = distance_to(
                    target, stretches[m, 2], row, path, s, length, connection, to_stop, n_lanes, conn_from, conn_to,
                    lane_stop_s, path_length,
                )  # fmt: skip
                distance = 0.0 if end + length[row] > 0.0 else -1.0

            if 0.0 <= distance < nearest:
                nearest, nearest_stretch = distance, m

        if nearest_stretch >= 0:
            approaching[n, 0], approaching[n, 1], ahead[n] = k, nearest_stretch, nearest
            n += 1

    return n


def plan(world: World) -> list[Candidate]:
    """Return a warning to each connected vehicle with a hazard ahead on its way, or around it."""
    code = world.code
    if not world.hazards or not world.vehicles:
        return []

    present = [(hazard, covered(code, hazard)) for hazard in world.hazards if hazard.start <= world.t < hazard.end]
    nearest: dict[int, Nearest] = {}  # by connected vehicle
    for hazard, coverage in present:
        for k, found in _approaching(world, hazard, coverage):
            if k not in nearest or found.rank < nearest[k].rank:
                nearest[k] = found

    if not nearest:
        return []

    is_free = np.ones(code.n_lanes, np.bool_)
    for hazard, coverage in present:
        if hazard.kind in CLOSING:
            is_free &= ~coverage.marked[: code.n_lanes]

    return [_warning(world, k, nearest[k], is_free) for k in sorted(nearest)]


def _approaching(world: World, hazard: Hazard, coverage: Coverage) -> list[tuple[int, Nearest]]:
    """Return the connected vehicles that come to a hazard, or are within it, and where they meet it first."""
    code, n = world.code, len(world.vehicles)
    approaching, ahead = np.empty((n, 2), np.int64), np.empty(n)
    count = _list_approaching(
        world.rows, coverage.stretches, world.path, world.s, world.tracks["length"], world.connection, world.to_stop,
        code.n_lanes, code.conn_from, code.conn_to, code.lane_stop_s, code.path_length, approaching, ahead,
    )  # fmt: skip

    return [
        (k, Nearest(hazard, int(coverage.stretches[stretch, 0]), distance))
        for (k, stretch), distance in zip(approaching[:count].tolist(), ahead[:count].tolist(), strict=True)
    ]


def _warning(world: World, k: int, nearest: Nearest, is_free: np.ndarray) -> Candidate:
    hazard, path, ahead = nearest
    row = int(world.rows[k])
    behaviour = None

    if hazard.kind in CLOSING and world.path[row] == path:
        behaviour = lanes.change(world, row, is_free & open_lanes(world, k))

    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[k].id),
        severity=INFORMATION,
        confidence=CONFIDENCE,
        reason=REASON_AHEAD if ahead > 0.0 else REASON_HERE,
        facts={"kind": hazard.kind, "ahead": ahead, "text": hazard.text},
        tracks=(int(world.tracks["id"][row]),),
        distance=ahead,
        behaviour=behaviour or SLOW_DOWN,
    )
