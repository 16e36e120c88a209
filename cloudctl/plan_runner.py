"""One plan of one intersection: a snapshot of it, what the planner proposes, what of that is sent."""

from types import SimpleNamespace
from typing import cast

import msgspec

from . import downstream, planner, signal_priority, world
from .clock import SECOND
from .codes.days import DayCalendar
from .events import Events
from .faults import Faults
from .ingest.gateways import Gateways
from .intersection import NEVER, IntersectionState
from .metrics import Metrics
from .output import Output
from .schema import VERSION, Advisory, Broadcast
from .vehicles import VehicleRegistry

MAX_VEHICLE_SILENCE = 5 * SECOND  # of a connected vehicle's newest state; after it the vehicle is no longer advised


class PlanRunner:
    """Plans intersections. `days` are the holidays and make-up working days that rules ask for; they may be replaced at
    any time."""

    def __init__(
        self,
        *,
        vehicle_registry: VehicleRegistry,
        gateways: Gateways,
        events: Events,
        metrics: Metrics,
        faults: Faults,
        days: DayCalendar,
    ) -> None:
        self.days = days
        self._vehicle_registry = vehicle_registry
        self._gateways = gateways
        self._events = events
        self._metrics = metrics
        self._faults = faults
        # By intersection and exit lane: the stop line that the lane leads to.
        self._downstream_links: dict[str, dict[int, downstream.DownstreamLink]] = {}

    def forget_links(self) -> None:
        """Drop the links of exit lanes, which are then made anew; to be called when a digital code has changed."""
        self._downstream_links.clear()

    def run(self, t: int, intersection: IntersectionState, output: Output) -> None:
        """Plan an intersection at `t` ns: `output` gets its advisories, broadcasts, requests to controllers and
        traffic.

        Where the node itself fails, vehicles are advised that there is no advice.
        """
        try:
            self._plan(t, intersection, output)
        except Exception as error:
            self._report_failure(t, intersection, error, output)

    def _plan(self, t: int, intersection: IntersectionState, output: Output) -> None:
        _forget_silent_vehicles(t, intersection)
        if not intersection.in_force:
            self._metrics.count("code.none_in_force", intersection.code.code.id)
            return

        snapshot = self._snapshot(t, intersection)
        intersection.latest = snapshot
        intersection.sensing.observe(snapshot, intersection.fusion, self._events, self._metrics)
        traffic = intersection.traffic.observe(snapshot)
        if traffic:
            output.traffic.append(traffic)

        priority_candidates, requests = signal_priority.answer_requests(
            snapshot, intersection, self._gateways, self._metrics
        )
        output.replies += requests
        candidates = planner.plan(snapshot, intersection.withheld) + priority_candidates
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

    def _snapshot(self, t: int, intersection: IntersectionState) -> world.World:
        return world.build(
            t=t,
            code=intersection.code,
            tracks=intersection.fusion.tracks(t),
            signals=intersection.signals,
            hazards=intersection.hazards.now(t),
            reports=intersection.reports,
            t_sensor=intersection.t_sensor,
            t_rx=intersection.t_rx,
            previous=intersection.latest,
            signal_trouble=intersection.quality.trouble(t),
            share=intersection.traffic.shares(intersection.code),
            stopped=intersection.traffic.stopped(t),
            next_signals=self._next_signals(t, intersection),
            doubts=intersection.doubts(t),
            doubt_reason=intersection.quality.doubt_reason(t),
            sensor_trouble=intersection.sensing.trouble,
            rules=intersection.rule_table(self.days),
        )

    def _next_signals(self, t: int, intersection: IntersectionState) -> dict[int, world.NextSignal]:
        """Return the signal that each connected vehicle comes to after this intersection, where it is known; by
        handle."""
        name = intersection.code.code.id
        links = self._downstream_links.get(name)
        if links is None:
            links = downstream.exit_links(intersection, self._vehicle_registry.around(intersection))
            self._downstream_links[name] = links
        if not links:
            return {}

        signals = {}
        for handle, report in intersection.reports.items():
            next_signal = downstream.next_signal(t, intersection, report, links)
            if next_signal is not None:
                signals[handle] = next_signal
        return signals

    def _add_advisories(
        self, t: int, intersection: IntersectionState, advisories: list[Advisory], output: Output
    ) -> None:
        """Add advisories to the output, and a broadcast of them for each gateway of the intersection."""
        if not advisories:
            return
        for advisory in advisories:
            self._metrics.count("advisory", advisory.kind)
        output.advisories += advisories

        broadcast = Broadcast(VERSION, intersection.code.code.id, t, tuple(advisories))
        output.replies += [(gateway, "broadcast", broadcast) for gateway in intersection.gateways]

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


def _forget_silent_vehicles(t: int, intersection: IntersectionState) -> None:
    reports = intersection.reports
    for handle in [handle for handle, report in reports.items() if t - report.t > MAX_VEHICLE_SILENCE]:
        del reports[handle]
