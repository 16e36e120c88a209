"""The product on one page: `step(t, batch)` -> outputs. No I/O, no clock; the same for live, replay and simulation.

Intersections share nothing but the time they are given: each is a `Place` with its code, tracker, signals, vehicles and memory of what it said.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from . import corridor, planner, world
from .clock import MS, SECOND
from .codes import CompiledCode, IntersectionCode, compile_code
from .codes.findings import refuse
from .codes.quality import SignalFault, SignalQuality
from .codes.versions import Versions
from .fusion import DETECTION, Fusion, FusionConfig, SourceConfig, update_batch
from .ingest import Batch, Frames, Ingest, Timed
from .metrics import Metrics
from .place import NEVER, Place
from .refusals import Untimely
from .roster import Roster, declared
from .schema import (
    VERSION,
    Advisory,
    Broadcast,
    Datum,
    Hazard,
    Sensor,
    Signal,
    Signals,
    Traffic,
    VehicleRequest,
    VehicleState,
)

COOPERATIVE = 31  # the source number of connected vehicles' own reports
IDLE = 2 * SECOND  # an intersection that heard nothing for so long is not planned
FORGET = 5 * SECOND  # a connected vehicle that was silent for so long is forgotten
LEAST = 20 * MS  # between plans that no fresh perception asked for
SLACK = 0.2  # of the period: how much early fresh perception may start a plan, and how much late a plan waits for it
NOTICE = 5 * SECOND  # between the announcement of a revision and its beginning, at least


class EngineConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What an engine needs besides its codes; recorded with every run."""

    gateways: dict[str, dict[str, str]]  # gateway -> RSU -> intersection id
    period_ms: int = 100  # of planning, an intersection
    refresh: float = 0.4  # of an advisory's validity left when it is sent again; 0 sends every proposal of every plan
    max_tracks: int = 512


@dataclass
class Output:
    """What one step says."""

    replies: list[tuple[str, str, Struct]] = field(default_factory=list)  # (gateway, kind, body)
    advisories: list[Advisory] = field(default_factory=list)
    signals: list[Signals] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)
    faults: list[SignalFault] = field(default_factory=list)  # of signal states, that begin with this step
    changed: list[str] = field(default_factory=list)  # intersections whose digital code changed with this step


def _no_lap(_: str) -> None:
    return


class Engine:
    """All intersections of a node, each with every known revision of its code.

    `lap`, where given, is called with "decoded", "fused" and "planned" as a step passes them.
    """

    def __init__(self, codes: Iterable[IntersectionCode], config: EngineConfig, metrics: Metrics | None = None) -> None:
        self.config = config
        self.metrics = metrics or Metrics()
        self.places: dict[str, Place] = {}
        self.versions = Versions()
        for code in codes:
            self.versions.add(code)
        for name in self.versions.ids():
            first = self.versions.first(name)
            place = self.places[name] = self._place(compile_code(first))
            place.in_force, place.until = first.valid_from is None, self.versions.change_of(name, -NEVER) or NEVER
        self._change = self.versions.next_change(-NEVER) or NEVER
        for gateway, rsus in config.gateways.items():
            for rsu, intersection in rsus.items():
                if intersection not in self.places:
                    raise ValueError(
                        f"gateway {gateway}, RSU {rsu}: intersection {intersection!r} has no digital code here. "
                        f"Known: {', '.join(self.places) or 'none'}"
                    )
        self.ingest = Ingest(config.gateways, {k: p.code.origin for k, p in self.places.items()}, self.metrics)
        self.roster = Roster()
        self._onward: dict[str, dict[int, corridor.Onward]] = {}  # by intersection: where its exit lanes lead
        self._plans: list[tuple[int, str]] = []
        self._t: int | None = None  # of the last step
        self._index()

    def announce(self, code: IntersectionCode, t: int) -> None:
        """Take in, at `t` ns, a revision that takes effect at its `valid_from`. Raises CodeError."""
        if code.id not in self.places:
            raise refuse(code.id, "code", "id", code.id, "is no intersection of this node", "add it to the node's file and its gateway, and start the node again")
        if self.versions.knows(code):
            return
        if code.valid_from is None or code.valid_from < t + NOTICE:
            raise refuse(code.id, "code", "valid_from", code.valid_from, f"a running node takes a revision {NOTICE // SECOND} s before it begins, or earlier (it is {t})",
                         "set valid_from to a later time")
        self.versions.add(code)
        self._change = min(self._change, code.valid_from)
        place = self.places[code.id]
        place.until = self.versions.change_of(code.id, t) or NEVER

    def step(self, t: int, batch: Sequence[Datum], lap: Callable[[str], None] = _no_lap) -> Output:
        """Take what was received at `t` ns, fuse it, plan what is due, and return what is to be said."""
        out = Output()
        if self._t is None or t < self._t:
            self._begin(t)
        self._t = t
        if t >= self._change:
            self._turn(t, out)
        got = self.ingest.receive(t, batch)
        out.replies += got.replies
        lap("decoded")
        self._greet(got)
        for intersection, why in got.faults:
            quality = self.places[intersection].quality
            self._fault(quality.late(t, why.age) if isinstance(why, Untimely) else quality.disordered(t, why.group, why.value), out)
        for timed in got.timed:
            self._timed(t, timed, out)
        fresh = self._fuse(t, got)
        lap("fused")
        for place in self._due(t, fresh):
            self._plan(t, place, out)
        lap("planned")
        return out

    def next_plan(self) -> int | None:
        """Return when the next plan, or change of a code, is due without further data, or None: the driver must step by then."""
        due = min(self._plans[0][0] if self._plans else NEVER, self._change)
        return due if due < NEVER else None

    # --- set-up ---

    def _place(self, code: CompiledCode) -> Place:
        fusion = Fusion(FusionConfig(max_tracks=self.config.max_tracks))
        fusion.add_source(COOPERATIVE, SourceConfig(kind="cooperative"))
        gateways = tuple(name for name, rsus in self.config.gateways.items() if code.code.id in rsus.values())
        groups = {int(g): k for k, g in enumerate(code.group_ids)}
        return Place(
            code,
            fusion,
            planner.Discipline(self.config.refresh),
            world.Signals.dark(len(groups)),
            gateways,
            groups,
            SignalQuality(code.code),
        )

    def _index(self) -> None:
        self._onward.clear()
        self.roster.index(self.places.values())

    def _greet(self, got: Batch) -> None:
        for gateway, hello in got.hellos:
            for rsu in hello.rsus:
                place = self.places[self.config.gateways[gateway][rsu]]
                for sensor in hello.sensors:
                    self._stand(place, rsu, sensor)

    def _stand(self, place: Place, rsu: str, sensor: Sensor) -> None:
        """Tell the tracker where a sensor stands."""
        if sensor.lat is not None and sensor.lon is not None:
            x, y = place.code.origin.to_local(sensor.lat, sensor.lon)
            source = self.ingest.sources[rsu, sensor.id]
            view = SourceConfig(x=float(x), y=float(y), heading=sensor.heading, fov=sensor.fov, range_m=sensor.range)
            place.fusion.add_source(source.index, view)

    def _begin(self, t: int) -> None:
        """Begin a run at `t` ns; also when time went back, which the driver lets happen only when the machine's clock was set back.

        Nothing that carries a time of the future can be compared with what comes now: tracks, signals and what was sent are let go.
        Roadside units keep their sequence numbers, and ids go on counting.
        """
        for place in self.places.values():
            if self._t is None:
                place.discipline.begin(t)
            else:
                place.restart(self._place(place.code))
                for (rsu, _), source in self.ingest.sources.items():
                    if source.intersection == place.code.code.id and source.sensor is not None:
                        self._stand(place, rsu, source.sensor)
        if self._t is not None:
            self.metrics.count("clock.restart")
            self._plans.clear()
            self._change = -NEVER

    # --- what changes ---

    def _turn(self, t: int, out: Output) -> None:
        """Bring into force what is in force at `t`."""
        for name, place in self.places.items():
            code = self.versions.current(name, t)
            if place.in_force != (code is not None) or (code is not None and code is not place.code.code):
                out.changed.append(name)
            place.in_force, place.until = code is not None, self.versions.change_of(name, t) or NEVER
            if code is not None and code is not place.code.code:
                self._renew(place, compile_code(code))
        if out.changed:
            self._index()
        self._change = self.versions.next_change(t) or NEVER

    def _renew(self, place: Place, code: CompiledCode) -> None:
        """Put a place on another revision: tracks stay where its origin stays, everything that names lanes or groups begins anew."""
        fresh = self._place(code)
        moved = code.origin != place.code.origin
        place.renew(fresh)
        if moved:
            place.fusion = fresh.fusion
            for rsu, name in self.ingest.move(code.code.id, code.origin):
                sensor = self.ingest.sources[rsu, name].sensor
                if sensor is not None:
                    self._stand(place, rsu, sensor)
        reports, place.reports = place.reports, {}
        place.reports = {handle: declared(place, report.id, handle, report.state) for handle, report in reports.items()}

    # --- what came ---

    def _timed(self, t: int, timed: Timed, out: Output) -> None:
        body = timed.body
        if isinstance(body, Signal):
            place = self.places[body.intersection]
            if timed.t <= place.signals.t:
                self.metrics.count("signal.late", body.rsu)
                return
            begun = place.quality.observe(t, timed.t, body.revision, body.groups, timed.offset)
            if begun:
                self._fault(begun, out)
            if place.said[0] is body.groups and place.said[1] == timed.offset:
                place.signals = world.signals_again(place.signals, timed.t, body.seq, body.revision, body.lanes)
            else:
                place.signals = world.signals_from(
                    place.signals, timed.t, body.seq, body.revision, place.groups, body.groups, timed.offset, body.lanes
                )
                place.said = body.groups, timed.offset
            self._wake(t, place)
            out.signals.append(Signals(body.intersection, body.revision, body.seq, timed.t, body.groups, body.lanes))
        elif isinstance(body, Hazard):
            for place in self._of_rsu(body.rsu):
                place.hazards[body.id] = body

    def _fault(self, begun: list[SignalFault], out: Output) -> None:
        for fault in begun:
            self.metrics.count(f"signal.{fault.check}", fault.intersection)
        out.faults += begun

    def _of_rsu(self, rsu: str) -> list[Place]:
        return [self.places[rsus[rsu]] for rsus in self.config.gateways.values() if rsu in rsus]

    def _fuse(self, t: int, got: Batch) -> list[Place]:
        fusions: list[Fusion] = []
        times: list[int] = []
        sources: list[int] = []
        reports: list[Any] = []
        offsets = [0] if got.frames is None else got.frames.offsets.tolist()
        fresh: dict[str, Place] = {}
        if got.frames is not None:
            self._perceived(t, got.frames, fusions, fresh)
            times, sources = got.frames.t.tolist(), got.frames.sources.tolist()
        for vehicle in got.vehicles:
            if isinstance(vehicle.body, VehicleState):
                for place, detection in self.roster.reported(vehicle.id, vehicle.body):
                    self._wake(t, place)
                    fusions.append(place.fusion)
                    times.append(vehicle.body.t)
                    sources.append(COOPERATIVE)
                    reports.append(detection)
                    offsets.append(offsets[-1] + 1)
            elif isinstance(vehicle.body, VehicleRequest):
                self._request(t, vehicle.id, vehicle.body)
            else:
                self.metrics.count(
                    f"vehicle.{type(vehicle.body).__name__.lower()}", getattr(vehicle.body, "outcome", "")
                )
        if fusions:
            rows = np.zeros(offsets[-1], DETECTION)
            first = offsets[-1] - len(reports)
            if got.frames is not None:
                rows[:first] = got.frames.rows
            for k, report in enumerate(reports, first):
                rows[k] = report
            update_batch(
                fusions, np.array(times, np.int64), np.array(sources, np.int32), rows, np.array(offsets, np.int64)
            )
        return list(fresh.values())

    def _request(self, t: int, vehicle: str, body: VehicleRequest) -> None:
        place = self.places.get(body.intersection)
        self.metrics.count("vehicle.request" if place else "vehicle.request_elsewhere", body.action)
        if place:
            place.priority.take(t, vehicle, body, place.code)
            self._wake(t, place)

    def _perceived(self, t: int, frames: Frames, fusions: list[Fusion], fresh: dict[str, Place]) -> None:
        for name, sensed in zip(frames.intersections, frames.t.tolist(), strict=True):
            place = self.places[name]
            fusions.append(place.fusion)
            place.t_sensor = max(place.t_sensor, sensed)
            place.t_rx = t
            place.fresh = True
            self._wake(t, place)
            fresh[name] = place

    # --- what is said ---

    def _wake(self, t: int, place: Place) -> None:
        place.heard = t
        if not place.waiting:
            place.waiting = True
            heapq.heappush(self._plans, (t + self._grace(), place.code.code.id))

    def _grace(self) -> int:
        return int(self.config.period_ms * MS * SLACK)

    def _due(self, t: int, fresh: list[Place]) -> list[Place]:
        period, grace = self.config.period_ms * MS, self._grace()
        rest = max(period, LEAST) + grace
        due = [place for place in fresh if t >= place.planned + period - grace]
        while self._plans and self._plans[0][0] <= t:
            _, name = heapq.heappop(self._plans)
            place = self.places[name]
            place.waiting = False
            if t >= place.planned + rest and place not in due:
                due.append(place)
            if t - place.heard < IDLE:
                place.waiting = True
                planned = t if place in due else place.planned
                heapq.heappush(self._plans, (planned + rest, name))
        return due

    def _plan(self, t: int, place: Place, out: Output) -> None:
        for handle in [h for h, report in place.reports.items() if t - report.t > FORGET]:
            del place.reports[handle]
        for key in [k for k, hazard in place.hazards.items() if hazard.end < t]:
            del place.hazards[key]
        place.planned, place.fresh = t, False
        if not place.in_force:
            self.metrics.count("code.none_in_force", place.code.code.id)
            return
        snapshot = world.build(
            t,
            place.code,
            place.fusion.tracks(t),
            place.signals,
            tuple(place.hazards.values()),
            place.reports,
            place.t_sensor,
            place.t_rx,
            place.latest,
            place.quality.trouble(t),
            place.traffic.shares(place.code),
            place.traffic.stopped(t),
            self._beyond(t, place),
        )
        place.latest = snapshot
        if report := place.traffic.observe(snapshot):
            out.traffic.append(report)
        said = place.discipline.choose(snapshot, planner.plan(snapshot) + self._priority(snapshot, place, out))
        if place.until != NEVER:
            said = [msgspec.structs.replace(a, valid_until=min(a.valid_until, place.until)) for a in said]
        for advisory in said:
            self.metrics.count("advisory", advisory.kind)
        out.advisories += said
        if said:
            body = Broadcast(VERSION, place.code.code.id, t, tuple(said))
            out.replies += [(gateway, "broadcast", body) for gateway in place.gateways]


    def _beyond(self, t: int, place: Place) -> dict[int, world.Beyond]:
        """Return what is known of the signal after this one, by connected vehicle."""
        name = place.code.code.id
        lanes = self._onward.get(name)
        if lanes is None:
            lanes = self._onward[name] = corridor.onward(place, self.roster.around(place))
        if not lanes:
            return {}
        found = {handle: corridor.beyond(t, place, report, lanes) for handle, report in place.reports.items()}
        return {handle: after for handle, after in found.items() if after is not None}

    def _priority(self, snapshot: world.World, place: Place, out: Output) -> list[planner.Candidate]:
        if not place.priority.requests:
            return []
        trouble, _ = planner.gate(snapshot)
        told, asked = place.priority.work(snapshot, planner.passing(snapshot), trouble)
        for body in asked:
            self.metrics.count(f"priority.{body.action}", place.code.code.id)
            for gateway in place.gateways:  # its times are put on the gateway's clock
                offset = self.ingest.gateways[gateway].offset
                on_its_clock = msgspec.structs.replace(body, t=body.t + offset, at=body.at + offset)
                out.replies.append((gateway, "priority", on_its_clock))
        return told


def encode(advisory: Advisory) -> bytes:
    """Return an advisory as it goes to vehicles and into recordings (JSON)."""
    return msgspec.json.encode(advisory)
