"""The plans of the intersections that are due: their snapshots, what the planner proposes for each, what of that is
sent.

Snapshots and proposals are found for all at once. A fault in one intersection's plan is confined to it: where a call
for all fails, each is done alone.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import TypeVar, cast

import msgspec

from . import downstream, planner, signal_priority, world
from .broadcasts import broadcasts
from .clock import SECOND
from .codes.days import DayCalendar
from .events import Events
from .faults import Faults
from .fusion import tracks_batch
from .ingest.gateways import Gateways
from .intersection import NEVER, IntersectionState
from .metrics import Metrics
from .neighbours import Neighbours
from .output import Output
from .schema import Advisory
from .snapshots import build_all, detached
from .vehicles import VehicleRegistry

T = TypeVar("T")
R = TypeVar("R")
Plan = Callable[[list[planner.Withheld] | None], list[planner.Candidate]]

# without input; after it an intersection's snapshot, which may be its last for long, keeps those of others no longer
MAX_SHARED = SECOND


class PlanRunner:
    """Plans intersections. `days` are the holidays and make-up working days that rules ask for; they may be replaced at
    any time."""

    def __init__(
        self,
        *,
        vehicle_registry: VehicleRegistry,
        neighbours: Neighbours,
        gateways: Gateways,
        events: Events,
        metrics: Metrics,
        faults: Faults,
        days: DayCalendar,
    ) -> None:
        self.days = days
        self._vehicle_registry = vehicle_registry
        self._neighbours = neighbours
        self._gateways = gateways
        self._events = events
        self._metrics = metrics
        self._faults = faults
        # By intersection and exit lane: the stop line that the lane leads to.
        self._downstream_links: dict[str, dict[int, downstream.DownstreamLink]] = {}

    def forget_links(self) -> None:
        """Drop the links of exit lanes, which are then made anew; to be called when a digital code has changed."""
        self._downstream_links.clear()

    def run(self, t: int, due: Sequence[IntersectionState], output: Output) -> None:
        """Plan intersections at `t` ns: `output` gets their advisories, broadcasts, requests to controllers and
        traffic.

        Where the node itself fails at one of them, the vehicles there are advised that there is no advice.
        """
        snapshots = self._make_snapshots(t, due)
        made = [
            (snapshot, intersection.advisory_filter)
            for snapshot, intersection in zip(snapshots, due, strict=True)
            if isinstance(snapshot, world.World)
        ]

        plans = _of_each(_plans_of, made)
        for intersection, snapshot in zip(due, snapshots, strict=True):
            if snapshot is None:
                self._metrics.count("code.none_in_force", intersection.code.code.id)
                continue

            try:
                if isinstance(snapshot, Exception):
                    raise snapshot
                plan = next(plans)
                if isinstance(plan, Exception):
                    raise plan
                self._finish(t, intersection, snapshot, plan, output)
            except Exception as error:
                self._report_failure(t, intersection, error, output)

    def _make_snapshots(self, t: int, due: Sequence[IntersectionState]) -> list[world.World | Exception | None]:
        """Return the snapshot of each intersection, or why it could not be made; None where no code is in force."""
        in_force = [intersection for intersection in due if intersection.in_force]
        together = _of_each(lambda some: self._snapshots(t, some), in_force)
        made: dict[int, world.World | Exception] = dict(zip(map(id, in_force), together, strict=True))

        snapshots: list[world.World | Exception | None] = []

        for intersection in due:
            snapshot = made.get(id(intersection))
            if isinstance(snapshot, world.World):
                try:
                    # Those after it in this step see what this one has just found.
                    snapshot = snapshot.with_next_signals(self._next_signals(t, intersection))
                    if t - intersection.last_input >= MAX_SHARED:
                        snapshot = detached(snapshot)
                    intersection.latest = snapshot
                except Exception as error:
                    snapshot = error

            snapshots.append(snapshot)

        return snapshots

    def _snapshots(self, t: int, due: Sequence[IntersectionState]) -> list[world.World]:
        tracks, bounds = tracks_batch([intersection.fusion for intersection in due], t)
        return build_all([self._moment(t, intersection) for intersection in due], tracks, bounds)

    def _moment(self, t: int, intersection: IntersectionState) -> world.Moment:
        intersection.forget_silent_vehicles(t)
        return world.Moment(
            t=t,
            code=intersection.code,
            signals=intersection.signals,
            hazards=intersection.hazards.now(t),
            reports=intersection.reports,
            t_sensor=intersection.t_sensor,
            t_rx=intersection.t_rx,
            previous=intersection.latest,
            signal_trouble=intersection.quality.trouble(t),
            share=intersection.traffic.shares(intersection.code),
            stopped=intersection.traffic.stopped(t),
            doubts=intersection.doubts(t),
            doubt_reason=intersection.quality.doubt_reason(t),
            sensor_trouble=intersection.sensing.trouble,
            rules=intersection.rule_table(self.days),
            is_matched=bool(intersection.reports) or intersection.traffic.is_due(t) or intersection.sensing.is_due(t),
        )

    def _finish(
        self, t: int, intersection: IntersectionState, snapshot: world.World, plan: Plan, output: Output
    ) -> None:
        """Observe traffic and sensors in a snapshot, and send what its plan proposes and the filter chooses."""
        intersection.sensing.observe(snapshot, intersection.fusion, self._events)
        traffic = intersection.traffic.observe(snapshot)
        if traffic:
            output.traffic.append(traffic)

        priority_candidates, requests = signal_priority.answer_requests(
            snapshot, intersection, self._gateways, self._metrics
        )
        output.replies += requests
        candidates = plan(intersection.withheld) + priority_candidates
        advisories = intersection.advisory_filter.choose(snapshot, candidates, intersection.withheld)
        output.planned.append(intersection)

        # What rests on this revision of the code must not outlive it.
        in_force_until = intersection.in_force_until

        if in_force_until != NEVER:
            advisories = [
                msgspec.structs.replace(advisory, valid_until=min(advisory.valid_until, in_force_until))
                for advisory in advisories
            ]

        self._add_advisories(t, intersection, advisories, output)

    def _next_signals(self, t: int, intersection: IntersectionState) -> dict[int, world.NextSignal]:
        """Return the signal that each connected vehicle comes to after this intersection, where it is known; by
        handle."""
        signals = {}
        for handle, report in intersection.reports.items():
            if not report.names_next:
                continue
            next_signal = self._neighbours.next_signal(t, intersection, report, self._links_of(intersection))
            if next_signal is not None:
                signals[handle] = next_signal

        return signals

    def _links_of(self, intersection: IntersectionState) -> dict[int, downstream.DownstreamLink]:
        """Return where the exit lanes of an intersection lead, found when a vehicle first needs it."""
        name = intersection.code.code.id
        links = self._downstream_links.get(name)
        if links is None:
            links = downstream.exit_links(intersection, self._vehicle_registry.around(intersection))
            self._downstream_links[name] = links
        return links

    def _add_advisories(
        self, t: int, intersection: IntersectionState, advisories: list[Advisory], output: Output
    ) -> None:
        """Add advisories to the output, and a broadcast of them for each gateway of the intersection."""
        if not advisories:
            return

        for advisory in advisories:
            self._metrics.count("advisory", advisory.kind)

        output.advisories += advisories

        output.replies += broadcasts(
            t=t,
            intersection=intersection.code.code.id,
            advisories=advisories,
            names=intersection.gateways,
            gateways=self._gateways,
        )

    def _report_failure(self, t: int, intersection: IntersectionState, error: Exception, output: Output) -> None:
        """Note a fault of the node's own in a plan, and advise vehicles that there is no advice."""
        name = intersection.code.code.id
        self._faults.note("plan", name, error)

        # The snapshot may be what failed: the filter gets only what it needs to date an advisory.
        moment = SimpleNamespace(
            t=t,
            code=intersection.code,
            signals=intersection.signals,
            t_sensor=intersection.t_sensor,
            t_rx=intersection.t_rx,
        )
        try:
            advisories = intersection.advisory_filter.choose(cast(world.World, moment), [planner.failed(name)])
            self._add_advisories(t, intersection, advisories, output)
        except Exception as second_error:
            self._faults.note("degraded", name, second_error)


def _plans_of(snapshots: Sequence[tuple[world.World, planner.AdvisoryFilter]]) -> list[Plan]:
    """Return, for each of some intersections, what makes its proposals; it is given with what it has sent."""
    plans = planner.Plans([snapshot for snapshot, _ in snapshots], [sent for _, sent in snapshots])
    return [partial(plans.propose, index) for index in range(len(snapshots))]


def _of_each(function: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]) -> Iterator[R | Exception]:
    """Yield what a function returns for all items at once; where that fails, for each alone, with the exceptions of
    those that fail."""
    if not items:
        return

    try:
        together: Sequence[R] = function(items)
    except Exception:
        yield from [_of_one(function, item) for item in items]
    else:
        yield from together


def _of_one(function: Callable[[Sequence[T]], Sequence[R]], item: T) -> R | Exception:
    try:
        return function([item])[0]
    except Exception as error:
        return error
