"""Hazard ahead: what a gateway reported on a lane or in a polygon, for the connected vehicles that come to it (YD/T
3709 RSI), with a lane to change to.

A vehicle is warned of one at a time: the highest `priority`, then the nearest. A hazard that closes the lane (CLOSING)
comes with advice to change lanes where a lane beside leads the same way (`lanes.change`).
"""

from typing import NamedTuple

import numpy as np

from ...forecast import lanes
from ...lane_stretches import Coverage, Stretch, covered
from ...schema import AdvisoryKind, Behaviour, Hazard, Severity, vehicle_target
from ...world import World
from ..candidate import Candidate
from .ahead import concerned, distance, open_lanes

RANGE = 300.0  # m
CLOSING = ("closure", "works", "construction", "accident", "obstacle", "stopped_vehicle", "lane_closed")
CONFIDENCE = 0.9
REASON_AHEAD = "{kind} {ahead:.0f} m ahead on your lane. {text}"
REASON_HERE = "{kind} where you are. {text}"


class Nearest(NamedTuple):
    """The hazard that a vehicle is warned of, the stretch of it that it comes to, and m to that."""

    hazard: Hazard
    stretch: Stretch
    ahead: float

    @property
    def rank(self) -> tuple[int, float]:
        """What orders the hazards ahead of one vehicle, the first one first."""
        return -self.hazard.priority, self.ahead


def plan(world: World) -> list[Candidate]:
    """Return a warning to each connected vehicle with a hazard ahead on its way, or around it."""
    code = world.code
    if not world.hazards or not world.vehicles:
        return []
    present = [(hazard, covered(code, hazard)) for hazard in world.hazards if hazard.start <= world.t < hazard.end]
    nearest: dict[int, Nearest] = {}  # by connected vehicle
    for hazard, coverage in present:
        for k in concerned(world, coverage.marked):
            found = _first_stretch(world, int(world.rows[k]), hazard, coverage)
            if found.ahead < RANGE and (k not in nearest or found.rank < nearest[k].rank):
                nearest[k] = found
    if not nearest:
        return []

    is_free = np.ones(code.n_lanes, np.bool_)
    for hazard, coverage in present:
        if hazard.kind in CLOSING:
            is_free &= ~coverage.marked[: code.n_lanes]
    return [_warning(world, k, nearest[k], is_free) for k in sorted(nearest)]


def _first_stretch(world: World, row: int, hazard: Hazard, coverage: Coverage) -> Nearest:
    """Return the first stretch of a hazard on a vehicle's way; RANGE m ahead where none is nearer."""
    ahead, first = min(
        ((m, stretch) for stretch in coverage.stretches if 0.0 <= (m := _distance_to(world, row, stretch)) < RANGE),
        default=(RANGE, coverage.stretches[0]),
    )
    return Nearest(hazard, first, ahead)


def _distance_to(world: World, row: int, stretch: Stretch) -> float:
    """Return m from a vehicle's front to a stretch, 0 within it; -1 past it, nan where its way does not lead there."""
    ahead = distance(world, row, stretch.path, stretch.s_from)
    if ahead <= 0.0:
        length = float(world.tracks["length"][row])
        return 0.0 if distance(world, row, stretch.path, stretch.s_to) + length > 0.0 else -1.0
    return ahead


def _warning(world: World, k: int, nearest: Nearest, is_free: np.ndarray) -> Candidate:
    hazard, stretch, ahead = nearest
    row = int(world.rows[k])
    behaviour = None
    if hazard.kind in CLOSING and world.path[row] == stretch.path:
        behaviour = lanes.change(world, row, is_free & open_lanes(world, k))
    return Candidate(
        kind=AdvisoryKind.HAZARD,
        target=vehicle_target(world.vehicles[k].id),
        severity=Severity.INFORMATION,
        confidence=CONFIDENCE,
        reason=REASON_AHEAD if ahead > 0.0 else REASON_HERE,
        facts={"kind": hazard.kind, "ahead": ahead, "text": hazard.text},
        tracks=(int(world.tracks["id"][row]),),
        distance=ahead,
        behaviour=behaviour or Behaviour.SLOW_DOWN,
    )
