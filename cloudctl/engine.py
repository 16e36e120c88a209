"""The product on one page: `step(t, batch)` -> outputs. No I/O, no clock; the same for live, replay and simulation.

Intersections share nothing but the time they are given: each is a `IntersectionState` with its code, tracker, signals,
vehicles and memory of what it said.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NamedTuple, cast

import msgspec
from msgspec import Struct

from . import downstream, planner, signal_priority, world
from .acknowledgements import Acknowledgements
from .clock import MS, SECOND
from .codes import CompiledCode, IntersectionCode, loads
from .codes.days import check_days
from .codes.findings import CodeError
from .events import Events
from .faults import Fault, Faults
from .fusion import MAX_JUMP_MS, VEHICLE_SOURCE, Fusion, FusionConfig, SourceConfig
from .ingest.frames import Frames
from .ingest.messages import Batch, Ingest, TimestampedMessage, Vehicle
from .ingest.plausibility import Plausibility
from .ingest.rejections import RejectedMessage, StaleMessage
from .intersection import NEVER, IntersectionState
from .metrics import Metrics
from .payloads import encode
from .revisions import NOTICE, Revisions, check_bound
from .scans import Scans
from .scheduling import PlanScheduler
from .schema import (
    VERSION,
    Advisory,
    Broadcast,
    Hazard,
    Health,
    Hello,
    RawMessage,
    Reject,
    Signal,
    Signals,
    Traffic,
    VehicleRequest,
    VehicleState,
)
from .sensor_health import register_sensor_pose
from .settings import EngineConfig
from .signals import states
from .signals.faults import SignalFault
from .signals.quality import SignalQuality
from .topics import KIND_OF_BODY, OPERATOR, OPERATOR_KINDS
from .vehicles import VehicleRegistry

FORGET = 5 * SECOND  # a connected vehicle that was silent for so long is forgotten
__all__ = ["NOTICE", "Answer", "Engine", "Output", "encode"]


class Answer(NamedTuple):
    """What became of an operator's input: `name` of the intersection where it is a code; why it was refused, None where
    it was not."""

    datum: RawMessage
    name: str
    refusal: str | None


@dataclass
class Output:
    """What one step says."""

    replies: list[tuple[str, str, Struct]] = field(default_factory=list)  # (gateway, kind, body)
    rejects: list[tuple[str, Reject]] = field(default_factory=list)  # (vehicle, why its message was refused)
    events: list[str] = field(default_factory=list)  # what somebody should put right, in words: once, when it begins
    advisories: list[Advisory] = field(default_factory=list)
    signals: list[Signals] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)
    faults: list[SignalFault] = field(default_factory=list)  # of signal states, that begin with this step
    changed: list[str] = field(default_factory=list)  # intersections whose digital code changed with this step
    answers: list[Answer] = field(default_factory=list)  # to the operator's inputs
    errors: list[Fault] = field(default_factory=list)  # of the node itself, that this step was spared


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
        self.revisions = Revisions(codes)
        self.versions = self.revisions.versions
        self.places = self.revisions.begin(self._place)
        check_bound(config.gateways, self.places)
        origins = {name: place.code.origin for name, place in self.places.items()}
        self.vehicle_registry = VehicleRegistry(self.metrics)
        self.events = Events(self.metrics)
        self.plausibility = Plausibility(self.vehicle_registry.on_lane, self.metrics, self.events)
        self.ingest = Ingest(
            config.gateways, origins, self.metrics, self._examine, self.plausibility.check, self.faults
        )
        self.acks = Acknowledgements(self.metrics)
        self._downstream_links: dict[
            str, dict[int, downstream.DownstreamLink]
        ] = {}  # by intersection: where its exit lanes lead
        self.scheduler = PlanScheduler(config.period_ms * MS)
        self._t: int | None = None  # of the last step
        self._index()

    def announce(self, code: IntersectionCode, t: int) -> None:
        """Take in, at `t` ns, a revision that takes effect at its `valid_from`. Raises CodeError."""
        self.revisions.announce(code, t, self.places)

    def step(self, t: int, batch: Sequence[RawMessage], on_stage: Callable[[str], None] = _no_stage) -> Output:
        """Take what was received at `t` ns, fuse it, plan what is due, and return what is to be said."""
        out = Output()
        if self._t is None or t < self._t:
            self._begin(t)
        self._t = t
        orders = [datum for datum in batch if datum.kind in OPERATOR_KINDS and datum.sender == OPERATOR]
        if orders:
            batch = [datum for datum in batch if datum not in orders]
            out.answers += [self._answer(t, datum) for datum in orders]
        if t >= self.revisions.change:
            out.changed += self.revisions.activate(t, self.places, self.ingest, self._place, self.faults)
            if out.changed:
                self._index()
        got = self.ingest.receive(t, batch)
        on_stage("decoded")
        self._handle(t, got, out)
        fresh = self._update_tracks(t, got)
        out.replies += got.replies
        out.rejects += got.rejects
        on_stage("fused")
        for place in self.scheduler.due(t, fresh, self.places):
            try:
                self._plan(t, place, out)
            except Exception as error:
                self._plan_failed(t, place, error, out)
        self.acks.sent(out.advisories)
        out.events = self.events.take()
        on_stage("planned")
        out.errors += self.faults.take()
        return out

    def next_plan(self) -> int | None:
        """Return when the next plan, or change of a code, is due without further data, or None: the driver must step by
        then."""
        due = min(self.scheduler.next, self.revisions.change)
        return due if due < NEVER else None

    # --- set-up ---

    def _place(self, code: CompiledCode) -> IntersectionState:
        # every stamp was compared with the node's clock when it came in: none is too far ahead
        fusion = Fusion(FusionConfig(max_tracks=self.config.max_tracks, jump_ms=MAX_JUMP_MS))
        fusion.add_source(VEHICLE_SOURCE, SourceConfig(kind="cooperative"))
        groups = {int(g): k for k, g in enumerate(code.group_ids)}
        return IntersectionState(
            code=code,
            fusion=fusion,
            advisory_filter=planner.AdvisoryFilter(self.config.refresh),
            signals=states.Signals.dark(len(groups)),
            gateways=_speaking_for(self.config, code.code.id),
            groups=groups,
            quality=SignalQuality(code.code),
            priority=planner.PriorityRequestServer(settings=self.config.priority, count=self.metrics.count),
        )

    def _index(self) -> None:
        self._downstream_links.clear()
        self.vehicle_registry.index(self.places.values())

    # --- what the operator changes ---

    def _answer(self, t: int, datum: RawMessage) -> Answer:
        """Take in an operator's input: a digital code, or another configuration."""
        try:
            if datum.kind == "code":
                code = loads(datum.body)
                self.announce(code, t)
                return Answer(datum, code.id, None)
            self.reconfigure(msgspec.json.decode(datum.body, type=EngineConfig))
        except (ValueError, msgspec.MsgspecError) as error:
            return Answer(datum, "", str(error))
        except Exception as error:
            self.faults.note("operator", datum.kind, error)
            return Answer(datum, "", "the node could not process it: a fault of the node. Report it with the recording")
        return Answer(datum, "", None)

    def _begin(self, t: int) -> None:
        """Begin a run at `t` ns; also when time went back, which the driver lets happen only when the machine's clock
        was set back.

        Nothing that carries a time of the future can be compared with what comes now: tracks, signals and what was sent
        are let go. Roadside units keep their sequence numbers, and ids go on counting.
        """
        for name, place in self.places.items():
            if self._t is None:
                place.advisory_filter.begin(t)
                continue
            place.restart(self._place(place.code))
            for _, source in self.ingest.sources.of_intersection(name):
                register_sensor_pose(source, place.fusion, place.code.origin)
        if self._t is not None:
            self.metrics.count("clock.restart")
            self.scheduler.clear()
            self.revisions.change = -NEVER

    def reconfigure(self, config: EngineConfig) -> None:
        """Take over another configuration while running: gateways and their units, how often to plan, how often to
        repeat. `max_tracks` is that of the trackers made from now on. Raises ValueError, and changes nothing then."""
        check_bound(config.gateways, self.places)
        if faults := check_days(config.days):
            raise CodeError("calendar", faults)
        self.config = config
        self.scheduler.period = config.period_ms * MS
        self.ingest.rebind(config.gateways)
        for name, place in self.places.items():
            place.gateways = _speaking_for(config, name)
            place.advisory_filter.refresh = config.refresh
            place.priority.settings = config.priority

    # --- what came ---

    def _handle(self, t: int, got: Batch, out: Output) -> None:
        """Act on hellos, refused and accepted signals, hazards: each alone."""
        for gateway, hello in got.hellos:
            try:
                self._register_sensors(t, gateway, hello)
            except Exception as error:
                self.ingest.confine("handle", t, RawMessage("hello", gateway, b""), error, got)
        for intersection, why in got.faults:
            try:
                quality = self.places[intersection].quality
                self._fault(
                    quality.late(t, why.age)
                    if isinstance(why, StaleMessage)
                    else quality.disordered(t, why.group, why.value),
                    out,
                )
            except Exception as error:
                self.faults.note("quality", intersection, error)
        for timed in got.timed:
            try:
                self._handle_timestamped(t, timed, out)
            except Exception as error:
                self.ingest.confine(
                    "handle", t, RawMessage(KIND_OF_BODY[type(timed.body)], timed.gateway, b""), error, got
                )

    def _register_sensors(self, t: int, gateway: str, hello: Hello) -> None:
        about = {
            "calls_itself": hello.gateway,
            "software": hello.software,
            "rsus": len(hello.rsus),
            "sensors": len(hello.sensors),
            "t": t,
        }
        self.metrics.tell("gateways", gateway, about)
        for rsu in hello.rsus:
            place = self.places[self.config.gateways[gateway][rsu]]
            place.sensing.begin(t, rsu)
            for sensor in hello.sensors:
                place.sensing.declare(
                    t, rsu, sensor, self.ingest.sources[rsu, sensor.id], place.fusion, place.code.origin
                )

    def _handle_timestamped(self, t: int, timed: TimestampedMessage, out: Output) -> None:
        body = timed.body
        if isinstance(body, Signal):
            place = self.places[body.intersection]
            if timed.t <= place.signals.t:
                self.metrics.count("signal.late", body.rsu)
                return
            begun = place.quality.observe(t, timed.t, body.revision, body.groups, timed.offset)
            if begun:
                self._fault(begun, out)
            self.scheduler.schedule_plan(t, place, urgent=place.take(timed.t, body, timed.offset))
            out.signals.append(Signals(body.intersection, body.revision, body.seq, timed.t, body.groups, body.lanes))
        elif isinstance(body, Hazard):
            for _ in self.places[timed.intersection].hazards.put(t, timed.gateway, body, timed.offset):
                self.metrics.count("drop.hazard", timed.gateway)
        else:
            self.places[timed.intersection].sensing.health(t, body)

    def _examine(
        self, gateway: str, intersection: str, t: int, offset: int, body: Hazard | Health
    ) -> tuple[Hazard | Health, list[RejectedMessage]]:
        """Return what can be used of a hazard or health message, and why the rest cannot. Raises RejectedMessage where
        nothing can."""
        place = self.places[intersection]
        if isinstance(body, Health):
            return place.sensing.usable(body)
        place.hazards.check(place.code, t, gateway, body, offset)
        return body, []

    def _fault(self, begun: list[SignalFault], out: Output) -> None:
        for fault in begun:
            self.metrics.count(f"signal.{fault.check}", fault.intersection)
        out.faults += begun

    def _update_tracks(self, t: int, got: Batch) -> list[IntersectionState]:
        scans = Scans(got.frames)
        fresh: dict[str, IntersectionState] = {}
        if got.frames is not None:
            self._perceived(t, got.frames, scans.fusions, fresh)
        for vehicle in got.vehicles:
            try:
                self._reported(t, vehicle, scans, got)
            except Exception as error:
                self.ingest.confine(
                    "report", t, RawMessage(KIND_OF_BODY[type(vehicle.body)], vehicle.id, b""), error, got
                )
        scans.fold(self.faults)
        return list(fresh.values())

    def _reported(self, t: int, vehicle: Vehicle, scans: Scans, got: Batch) -> None:
        """Act on a connected vehicle's message."""
        if isinstance(vehicle.body, VehicleState):
            why = self.vehicle_registry.unused(t, vehicle.id, vehicle.body)
            if why is not None:
                got.rejects += self.ingest.reject(t, vehicle.id, "state", why, part=True)
            for place, detection in self.vehicle_registry.reported(vehicle.id, vehicle.body):
                self.scheduler.schedule_plan(t, place)
                scans.report(place.fusion, vehicle.body.t, VEHICLE_SOURCE, detection)
        elif isinstance(vehicle.body, VehicleRequest):
            self._request(t, vehicle.id, vehicle.body)
        else:
            self.acks.take(vehicle.id, vehicle.body)

    def _request(self, t: int, vehicle: str, body: VehicleRequest) -> None:
        place = self.places.get(body.intersection)
        signal_priority.request(
            t,
            place,
            vehicle,
            body,
            self.vehicle_registry.declared_kind(vehicle, place) if place else None,
            self.metrics,
        )
        if place:
            self.scheduler.schedule_plan(t, place)

    def _perceived(self, t: int, frames: Frames, fusions: list[Fusion], fresh: dict[str, IntersectionState]) -> None:
        for name, sensed, index in zip(frames.intersections, frames.t.tolist(), frames.sources.tolist(), strict=True):
            place = self.places[name]
            place.sensing.frame(t, sensed, index, self.ingest.sources.of_intersection(name))
            fusions.append(place.fusion)
            place.t_sensor = max(place.t_sensor, sensed)
            place.t_rx = t
            self.scheduler.schedule_plan(t, place)
            fresh[name] = place

    # --- what is said ---

    def _plan(self, t: int, place: IntersectionState, out: Output) -> None:
        for handle in [h for h, report in place.reports.items() if t - report.t > FORGET]:
            del place.reports[handle]
        if not place.in_force:
            self.metrics.count("code.none_in_force", place.code.code.id)
            return
        snapshot = world.build(
            t,
            place.code,
            place.fusion.tracks(t),
            place.signals,
            place.hazards.now(t),
            place.reports,
            place.t_sensor,
            place.t_rx,
            place.latest,
            place.quality.trouble(t),
            place.traffic.shares(place.code),
            place.traffic.stopped(t),
            self._next_signals(t, place),
            place.doubts(t),
            place.quality.doubt_reason(t),
            place.sensing.trouble,
            place.rule_table(self.config.days),
        )
        place.latest = snapshot
        place.sensing.look(snapshot, place.fusion, self.events, self.metrics)
        if report := place.traffic.observe(snapshot):
            out.traffic.append(report)
        requests, asked = signal_priority.work(snapshot, place, self.ingest, self.metrics)
        out.replies += asked
        said = place.advisory_filter.choose(snapshot, planner.plan(snapshot) + requests)
        if place.until != NEVER:
            said = [msgspec.structs.replace(a, valid_until=min(a.valid_until, place.until)) for a in said]
        self._say(t, place, said, out)

    def _say(self, t: int, place: IntersectionState, said: list[Advisory], out: Output) -> None:
        for advisory in said:
            self.metrics.count("advisory", advisory.kind)
        out.advisories += said
        if said:
            body = Broadcast(VERSION, place.code.code.id, t, tuple(said))
            out.replies += [(gateway, "broadcast", body) for gateway in place.gateways]

    def _plan_failed(self, t: int, place: IntersectionState, error: Exception, out: Output) -> None:
        """Note a fault of the node's own in a plan, and let vehicles know that there is no advice."""
        name = place.code.code.id
        self.faults.note("plan", name, error)
        moment = SimpleNamespace(t=t, code=place.code, signals=place.signals, t_sensor=place.t_sensor, t_rx=place.t_rx)
        try:
            self._say(t, place, place.advisory_filter.choose(cast(world.World, moment), [planner.failed(name)]), out)
        except Exception as again:
            self.faults.note("degraded", name, again)

    def _next_signals(self, t: int, place: IntersectionState) -> dict[int, world.NextSignal]:
        """Return what is known of the signal after this one, by connected vehicle."""
        name = place.code.code.id
        lanes = self._downstream_links.get(name)
        if lanes is None:
            lanes = self._downstream_links[name] = downstream.onward(place, self.vehicle_registry.around(place))
        if not lanes:
            return {}
        found = {handle: downstream.beyond(t, place, report, lanes) for handle, report in place.reports.items()}
        return {handle: after for handle, after in found.items() if after is not None}


def _speaking_for(config: EngineConfig, intersection: str) -> tuple[str, ...]:
    return tuple(name for name, rsus in config.gateways.items() if intersection in rsus.values())
