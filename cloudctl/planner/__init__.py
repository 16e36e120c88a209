"""plan(world) -> candidates: one module per advisory kind in `kinds/`, and the filter that decides what is sent.

What several kinds read is computed once per snapshot: where every road user will be (`forecast.prediction`), which it
follows (`forecast.following`), when it passes its stop line (`forecast.stop_line`), and the rules in force. `catalogue`
is the table of the kinds; `policy` is what differs by class of vehicle.
"""

from collections.abc import Sequence

import numpy as np

from ..clock import MS, SECOND
from ..forecast.stop_line import forecast_stop_lines
from ..schema import AdvisoryKind, Severity, intersection_target, vehicle_target
from ..world import MAX_FRESH_AGE, World
from .candidate import Candidate, Withheld
from .catalogue import DELIVERY
from .filter import AdvisoryFilter
from .policy import policy_of
from .priority import PriorityRequestServer
from .screened import Screened

SIGNAL_AGE = 500 * MS  # T/CSAE 159: SPAT period
PERCEPTION_AGE = 300 * MS  # ETSI TS 101 539-1: end to end

__all__ = [
    "AdvisoryFilter",
    "Candidate",
    "Plans",
    "PriorityRequestServer",
    "Withheld",
    "failed",
    "forecast_stop_lines",
    "gate",
    "plan",
]


def gate(world: World) -> tuple[str | None, str | None]:
    """Return why signal-based and why perception-based advice is withheld; None where it is not."""
    return _signal_gate(world), _perception_gate(world)


def _signal_gate(world: World) -> str | None:
    code = world.code.code
    if not code.signal_groups:
        return None  # there is no signal
    if world.signals.t == 0:
        return "no signal state was received yet"
    if world.signal_age > SIGNAL_AGE:
        return f"signal states are {world.signal_age / SECOND:.1f} s old; at most {SIGNAL_AGE / SECOND:.1f} s is used"

    if world.signals.revision != code.revision:
        return (
            f"signal states refer to code revision {world.signals.revision}, "
            f"the code in force is revision {code.revision}"
        )

    if world.signal_trouble:
        return f"signal states are not to be trusted: {world.signal_trouble}"

    return None


def _perception_gate(world: World) -> str | None:
    if world.t_sensor == 0:
        return "no perception was received yet"
    if world.perception_age > PERCEPTION_AGE:
        return (
            f"perception is {world.perception_age / SECOND:.1f} s old; at most {PERCEPTION_AGE / SECOND:.1f} s is used"
        )
    return None


class Plans:
    """The proposals for each of some intersections at one moment, made when they are asked for.

    All intersections are looked at by one compiled call when the object is made; what it finds for one does not depend
    on the others. Only connected vehicles are proposed anything, beside `degraded`, which names what the gate
    withholds: an intersection without any is not looked at. `filters`: as in `Screened`; without them nothing was sent
    before.
    """

    def __init__(self, worlds: Sequence[World], filters: Sequence[AdvisoryFilter] | None = None) -> None:
        self._worlds = worlds
        filters = [AdvisoryFilter()] * len(worlds) if filters is None else filters
        self._reasons = [gate(world) for world in worlds]
        with_vehicles = [index for index, world in enumerate(worlds) if world.vehicles]
        self._place = {index: place for place, index in enumerate(with_vehicles)}

        if with_vehicles:
            gates = [self._gates(index) for index in with_vehicles]
            self._screened = Screened(
                [worlds[index] for index in with_vehicles], gates, [filters[index] for index in with_vehicles]
            )

    def _gates(self, index: int) -> tuple[bool, bool, bool]:
        """Return whether signal times, signal states and perception are there for an intersection."""
        world, (signal, perception) = self._worlds[index], self._reasons[index]
        has_states = world.signals.t > 0 and world.signals.revision == world.code.code.revision
        return signal is None, has_states, perception is None

    def propose(self, index: int, withheld: list[Withheld] | None = None) -> list[Candidate]:
        """Return every proposal for one of the intersections.

        `withheld`, where given, collects what a vehicle's own policy or position keeps from it, with the reason.
        """
        world, (signal, perception) = self._worlds[index], self._reasons[index]
        place = self._place.get(index)
        candidates = [] if place is None else self._screened.propose(place)

        reasons = [reason for reason in (signal, _doubt(world, signal), perception, world.sensor_trouble) if reason]

        if reasons:
            candidates.append(_degraded(intersection_target(world.code.code.id), "; ".join(reasons)))

        if place is None or not self._screened.is_restricted(place):
            return candidates

        return _deliverable(world, candidates, withheld)


def plan(world: World, withheld: list[Withheld] | None = None) -> list[Candidate]:
    """Return every proposal for one intersection at this moment: `Plans` of it alone."""
    return Plans([world]).propose(0, withheld)


def _doubt(world: World, signal: str | None) -> str | None:
    """Return why single signal groups are not trusted; None where they are, or none is for the reason `signal`."""
    if signal or world.doubt_reason is None:
        return None
    return f"single signal groups are not to be trusted: {world.doubt_reason}"


def _deliverable(world: World, candidates: list[Candidate], withheld: list[Withheld] | None) -> list[Candidate]:
    """Drop what a vehicle's policy suppresses, and what needs a lane where the vehicle's position is too poor to tell
    which."""
    suppressed: dict[str, frozenset[AdvisoryKind]] = {}
    poor: dict[str, str] = {}  # by target: the reason
    silent = set[str]()  # of those, vehicles that have most likely left

    rows = world.rows
    deviations = np.sqrt(np.maximum(world.tracks["var_x"][rows], world.tracks["var_y"][rows])).tolist()

    for vehicle, deviation in zip(world.vehicles, deviations, strict=True):
        policy = policy_of(vehicle.state)
        if policy.suppressed_kinds:
            suppressed[vehicle_target(vehicle.id)] = policy.suppressed_kinds

        if deviation > policy.position:
            target = vehicle_target(vehicle.id)
            poor[target] = (
                f"your position is known to {deviation:.1f} m only; "
                f"advice that needs your lane is withheld beyond {policy.position:.1f} m"
            )
            if world.t - vehicle.t > MAX_FRESH_AGE:
                silent.add(target)

    deliverable = []
    for candidate in candidates:
        if candidate.kind in suppressed.get(candidate.target, ()):
            obstacle = "vehicles of its class are not given advice of this kind"
        elif candidate.target in poor and DELIVERY[candidate.kind].needs_lane:
            obstacle = poor[candidate.target]
        else:
            deliverable.append(candidate)
            continue

        if withheld is not None:
            withheld.append(Withheld(candidate, obstacle))

    return deliverable + [_degraded(target, reason) for target, reason in poor.items() if target not in silent]


def failed(intersection: str) -> Candidate:
    """Return the advice to all vehicles at an intersection whose plan failed for a fault of the node's own."""
    reason = "a fault of the node: no advice is given here until it is mended"
    return _degraded(intersection_target(intersection), reason)


def _degraded(target: str, reason: str) -> Candidate:
    return Candidate(
        kind=AdvisoryKind.DEGRADED,
        target=target,
        severity=Severity.INFORMATION,
        confidence=1.0,
        reason="{why}",
        facts={"why": reason},
    )
