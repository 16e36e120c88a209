"""Hazard ahead: what a gateway reported on a lane or in a polygon, for the connected vehicles that come to it (YD/T 3709 RSI), with a lane to change to.

A vehicle is warned of one at a time: the highest `priority`, then the nearest. A hazard that ends the lane (CLOSING) comes with
advice to change lanes where a lane beside leads the same way (`lanes.change`).
"""

import numpy as np

from ...forecast import lanes
from ...lane_stretches import Stretch, covered
from ...schema import AdvisoryKind, Hazard
from ...world import World
from ..candidate import Candidate
from .ahead import concerned, distance, open_lanes

RANGE = 300.0  # m
CLOSING = ("closure", "works", "construction", "accident", "obstacle", "stopped_vehicle", "lane_closed")


def plan(world: World) -> list[Candidate]:
    """Return a warning to each connected vehicle with a hazard before it on its way, or around it."""
    code = world.code
    if not world.hazards or not world.vehicles:
        return []
    places = [(h, covered(code, h)) for h in world.hazards if h.start <= world.t < h.end]
    nearest: dict[int, tuple[Hazard, Stretch, float]] = {}  # by connected vehicle
    for hazard, found in places:
        for k in concerned(world, found.marked):
            row = int(world.rows[k])
            before = [(_before(world, row, stretch), stretch) for stretch in found.stretches]
            ahead, stretch = min(
                ((m, stretch) for m, stretch in before if 0.0 <= m < RANGE), default=(RANGE, found.stretches[0])
            )
            best = nearest.get(k)
            if ahead < RANGE and (best is None or (-hazard.priority, ahead) < (-best[0].priority, best[2])):
                nearest[k] = (hazard, stretch, ahead)
    if not nearest:
        return []

    left_open = np.ones(code.n_lanes, np.bool_)
    for hazard, found in places:
        if hazard.kind in CLOSING:
            left_open &= ~found.marked[: code.n_lanes]
    return [_warning(world, k, *nearest[k], left_open) for k in sorted(nearest)]


def _before(world: World, row: int, stretch: Stretch) -> float:
    """Return m from a vehicle's front to a stretch, 0 within it; -1 behind it, nan where it does not lead there."""
    ahead = distance(world, row, stretch.path, stretch.s_from)
    if ahead <= 0.0:
        length = float(world.tracks["length"][row])
        return 0.0 if distance(world, row, stretch.path, stretch.s_to) + length > 0.0 else -1.0
    return ahead


def _warning(world: World, k: int, hazard: Hazard, stretch: Stretch, ahead: float, left_open: np.ndarray) -> Candidate:
    vehicle, row = world.vehicles[k], int(world.rows[k])
    closing = hazard.kind in CLOSING and world.path[row] == stretch.path
    behaviour = lanes.change(world, row, left_open & open_lanes(world, k)) if closing else None
    return Candidate(
        AdvisoryKind.HAZARD,
        f"vehicle:{vehicle.id}",
        2,
        0.9,
        "{kind} {ahead:.0f} m ahead on your lane. {text}" if ahead > 0.0 else "{kind} where you are. {text}",
        {"kind": hazard.kind, "ahead": ahead, "text": hazard.text},
        (int(world.tracks["id"][row]),),
        None,
        ahead,
        behaviour or "slow_down",
    )
