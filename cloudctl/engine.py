"""The product on one page: `step(t, batch)` -> Output. No I/O, no clock; the same for live, replay and simulation.

Intersections share nothing but the time they are given: each is an `IntersectionState` with its code, tracker, signals,
vehicles and the advisories it sent. What is done with each kind of message is in `handlers`, when to plan in
`scheduling`, one plan in `plan_runner`, which revision of a digital code is in force in `revisions`.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec

from .acknowledgements import Acknowledgements
from .clock import MS
from .codes import CompiledCode, IntersectionCode
from .codes.days import check_days
from .codes.findings import CodeError
from .events import Events
from .faults import Faults
from .handlers.gateway import GatewayHandler, examine
from .handlers.operator import OperatorHandler, split_operator_inputs
from .handlers.perception import PerceptionHandler
from .handlers.vehicle import VehicleHandler
from .ingest.batch import Batch
from .ingest.messages import Ingest
from .ingest.plausibility import Plausibility
from .intersection import NEVER, IntersectionState
from .intersection_factory import gateways_of, make_intersection
from .metrics import Metrics
from .neighbours import Neighbours
from .output import Answer, Output
from .ownership_messages import AddIntersection
from .payloads import encode
from .plan_runner import PlanRunner
from .revisions import NOTICE, Revisions, check_bound, restart
from .scans import Scans
from .scheduling import PlanScheduler
from .schema import RawMessage
from .served import ServedIntersections, bindings, without_guests
from .settings import EngineConfig
from .vehicles import VehicleRegistry

__all__ = ["NOTICE", "Answer", "Engine", "Output", "encode"]


def _no_stage(_: str) -> None:
    return


class Engine:
    """All intersections of a node, each with every known revision of its code.

    `on_stage`, where given, is called with "decoded", "fused" and "planned" as a step passes them.
    """

    def __init__(
        self,
        codes: Iterable[IntersectionCode],
        config: EngineConfig,
        metrics: Metrics | None = None,
        debug: bool = False,
    ) -> None:
        """`debug`: an unexpected exception goes through, instead of being confined to the message or plan it came
        from."""
        self.config = config
        self.metrics = metrics or Metrics()
        self.faults = Faults(self.metrics, debug)
        self.events = Events(self.metrics)
        self._t: int | None = None  # of the last step

        self.revisions = Revisions(codes)
        self.versions = self.revisions.versions
        self.intersections = self.revisions.begin(self._make_intersection)
        self._check_bound(config)

        self.vehicle_registry = VehicleRegistry(self.metrics)
        self.vehicle_registry.shared = config.shared
        self.vehicle_registry.index(self.intersections.values())
        self.plausibility = Plausibility(self.vehicle_registry.on_lane, self.metrics, self.events)

        self.ingest = Ingest(
            gateways=bindings(config, self.intersections),
            origins={name: intersection.code.origin for name, intersection in self.intersections.items()},
            metrics=self.metrics,
            examine=partial(examine, self.intersections),
            plausible=self.plausibility.check,
            faults=self.faults,
        )
        self.acks = Acknowledgements(self.metrics)
        self.scheduler = PlanScheduler(config.period_ms * MS)

        self.served = ServedIntersections(
            intersections=self.intersections,
            revisions=self.revisions,
            ingest=self.ingest,
            scheduler=self.scheduler,
            make=self._make_intersection,
            reindex=self._reindex,
        )
        self.neighbours = Neighbours(self._make_neighbour, self.intersections, self.metrics, self.faults)
        self._operator = OperatorHandler(
            announce=self.announce, reconfigure=self.reconfigure, add=self.add, drop=self.drop, faults=self.faults
        )

        self._gateway_messages = GatewayHandler(
            intersections=self.intersections,
            ingest=self.ingest,
            scheduler=self.scheduler,
            metrics=self.metrics,
            faults=self.faults,
        )
        self._perception = PerceptionHandler(
            intersections=self.intersections, sources=self.ingest.sources, scheduler=self.scheduler
        )

        self._vehicle_messages = VehicleHandler(
            intersections=self.intersections,
            vehicle_registry=self.vehicle_registry,
            acknowledgements=self.acks,
            ingest=self.ingest,
            scheduler=self.scheduler,
            metrics=self.metrics,
        )
        self._plan_runner = PlanRunner(
            vehicle_registry=self.vehicle_registry,
            neighbours=self.neighbours,
            gateways=self.ingest.gateways,
            events=self.events,
            metrics=self.metrics,
            faults=self.faults,
            days=config.days,
        )

    def step(self, t: int, batch: Sequence[RawMessage], on_stage: Callable[[str], None] = _no_stage) -> Output:
        """Take in what was received at `t` ns, plan what is due, and return what is to be sent, published and
        logged."""
        output = Output()
        self._begin_run(t)

        operator_inputs, messages = split_operator_inputs(batch)
        output.answers += self._operator.handle(t, self.neighbours.take(t, operator_inputs))
        output.changed += self.served.settle(self.config)
        output.changed += [name for name in self._activate_revisions(t) if name not in output.changed]

        received = self.ingest.receive(t, messages)
        on_stage("decoded")

        self._gateway_messages.handle(t, received, output)
        with_frames = self._update_tracks(t, received)
        output.replies += received.replies
        output.rejects += received.rejects
        on_stage("fused")

        self._plan_runner.run(t, self.scheduler.due(t, with_frames, self.intersections), output)
        without_guests(output, self.served.guests)
        self.acks.sent(output.advisories)
        output.events = self.events.take()
        on_stage("planned")

        output.errors += self.faults.take()

        return output

    def next_plan(self) -> int | None:
        """Return when (ns) `step` must be called next although nothing was received: for a plan, or a change of a code;
        None where nothing is due."""
        due = min(self.scheduler.next, self.revisions.next_change)
        return due if due < NEVER else None

    def announce(self, code: IntersectionCode, t: int) -> None:
        """Accept, at `t` ns, a revision that takes effect at its `valid_from`. Raises CodeError."""
        self.revisions.announce(code, t, self.intersections)

    def add(self, addition: AddIntersection, t: int) -> None:
        """Serve an intersection from `t` ns on; its gateways are those that the configuration binds to it. Raises
        CodeError, and changes nothing then."""
        self.served.add(addition, t)

    def drop(self, name: str) -> None:
        """Serve an intersection no longer. Raises ValueError, and changes nothing then."""
        self.served.drop(name, self.config)

    def reconfigure(self, config: EngineConfig) -> None:
        """Replace the configuration while running. Raises ValueError, and changes nothing then.

        `max_tracks` is that of the trackers made from now on; every other setting holds from the next step.
        """
        self._check_bound(config)
        if findings := check_days(config.days):
            raise CodeError("calendar", findings)

        self.config = config
        self.scheduler.period = config.period_ms * MS
        self._plan_runner.days = config.days
        self.vehicle_registry.shared = config.shared
        self.ingest.rebind(bindings(config, self.intersections))

        for name, intersection in self.intersections.items():
            intersection.gateways = gateways_of(config, name)
            intersection.advisory_filter.refresh = config.refresh
            intersection.priority.settings = config.priority

    # --- the parts of a step ---

    def _begin_run(self, t: int) -> None:
        """Begin a run at its first step, and again where time went back: the caller lets that happen only when the
        machine's clock was set back.

        What was noted at a later time cannot be compared with what comes now: tracks, signals and the advisories sent
        are
        dropped. Roadside units keep their sequence numbers, and ids go on counting.
        """
        previous = self._t
        self._t = t

        if previous is None:
            for intersection in self.intersections.values():
                intersection.advisory_filter.begin(t)
        elif t < previous:
            for intersection in self.intersections.values():
                restart(intersection, self._make_intersection(intersection.code), self.ingest)
            self.neighbours.restart()
            self.metrics.count("clock.restart")
            self.scheduler.clear()
            self.revisions.next_change = -NEVER

    def _activate_revisions(self, t: int) -> list[str]:
        """Bring into force the revisions that begin by `t`; return the intersections whose code changed."""
        if t < self.revisions.next_change:
            return []
        changed = self.revisions.activate(t, self.intersections, self.ingest, self._make_intersection, self.faults)
        if changed:
            self._reindex()
        return changed

    def _reindex(self) -> None:
        """Take in anew where intersections are, and where their exit lanes lead."""
        self._plan_runner.forget_links()
        self.vehicle_registry.index(self.intersections.values())

    def _check_bound(self, config: EngineConfig) -> None:
        if not config.shared:
            check_bound(config.gateways, self.intersections)

    def _update_tracks(self, t: int, received: Batch) -> list[IntersectionState]:
        """Update every tracker by one call, with the frames of sensors and the reports of vehicles; return the
        intersections with frames."""
        scans = Scans(received.frames)
        with_frames = self._perception.handle(t, received.frames, scans)
        self._vehicle_messages.handle(t, received, scans)
        scans.fold(self.faults)
        return with_frames

    def _make_intersection(self, code: CompiledCode) -> IntersectionState:
        return make_intersection(code, self.config, self.metrics)

    def _make_neighbour(self, code: CompiledCode) -> IntersectionState:
        # its road users are another node's
        return make_intersection(code, msgspec.structs.replace(self.config, max_tracks=1), self.metrics)
