"""The handlers of messages, each alone on one intersection, without an engine."""

from functools import partial

import msgspec
import pytest
from made_advisory import advisory

from bench.scene import Scene
from cloudctl import codes
from cloudctl.acknowledgements import Acknowledgements
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode, IntersectionCode
from cloudctl.faults import Faults
from cloudctl.handlers.gateway import GatewayHandler, examine
from cloudctl.handlers.operator import NODE_FAULT, OperatorHandler, split_operator_inputs
from cloudctl.handlers.perception import PerceptionHandler
from cloudctl.handlers.vehicle import VehicleHandler
from cloudctl.ingest.messages import Ingest
from cloudctl.intersection_factory import make_intersection
from cloudctl.metrics import Metrics
from cloudctl.output import Output
from cloudctl.ownership_messages import AddIntersection
from cloudctl.scans import Scans
from cloudctl.scheduling import PlanScheduler
from cloudctl.schema import (
    Ack,
    Group,
    Hazard,
    Health,
    Hello,
    RawMessage,
    Sensor,
    SensorHealth,
    Signal,
    SignalState,
    VehicleRequest,
    VehicleState,
)
from cloudctl.settings import EngineConfig
from cloudctl.topics import NEIGHBOUR_KINDS, OPERATOR, OPERATOR_KINDS
from cloudctl.vehicles import VehicleRegistry

T = 1_767_225_600 * SECOND
encode = msgspec.msgpack.encode


class Bench:
    """One intersection with what its handlers need, and nothing else."""

    def __init__(self, code: CompiledCode) -> None:
        self.name = code.code.id
        self.config = EngineConfig({"g": {"r0": self.name}})
        self.metrics = Metrics()
        self.faults = Faults(self.metrics)
        self.intersection = make_intersection(code, self.config, self.metrics)
        self.intersections = {self.name: self.intersection}
        self.scheduler = PlanScheduler(100 * MS)
        self.registry = VehicleRegistry(self.metrics)
        self.registry.index(self.intersections.values())
        self.acks = Acknowledgements(self.metrics)
        self.ingest = Ingest(
            self.config.gateways,
            {self.name: code.origin},
            self.metrics,
            examine=partial(examine, self.intersections),
            faults=self.faults,
        )
        self.gateway = GatewayHandler(
            intersections=self.intersections,
            ingest=self.ingest,
            scheduler=self.scheduler,
            metrics=self.metrics,
            faults=self.faults,
        )
        self.perception = PerceptionHandler(
            intersections=self.intersections, sources=self.ingest.sources, scheduler=self.scheduler
        )
        self.vehicle = VehicleHandler(
            intersections=self.intersections,
            vehicle_registry=self.registry,
            acknowledgements=self.acks,
            ingest=self.ingest,
            scheduler=self.scheduler,
            metrics=self.metrics,
        )

    def from_gateway(self, t: int, kind: str, body: msgspec.Struct) -> Output:
        output = Output()
        received = self.ingest.receive(t, [RawMessage(kind, "g", encode(body))])
        assert received.replies == []
        self.gateway.handle(t, received, output)
        return output

    def from_vehicle(self, t: int, kind: str, body: msgspec.Struct) -> Scans:
        received = self.ingest.receive(t, [RawMessage(kind, "car", msgspec.json.encode(body))])
        assert received.rejects == []
        scans = Scans(None)
        self.vehicle.handle(t, received, scans)
        assert received.rejects == []
        return scans


@pytest.fixture
def bench(code: CompiledCode) -> Bench:
    return Bench(code)


def signal(bench: Bench, seq: int, t: int, state: SignalState) -> Signal:
    group = int(bench.intersection.code.group_ids[0])
    return Signal(1, "r0", bench.name, 1, seq, t, (Group(group, state),))


# --- roadside units ---


def test_a_hello_declares_its_sensors_to_the_intersection(bench: Bench) -> None:
    bench.from_gateway(T, "hello", Hello(1, "north", ("r0",), (Sensor("cam", hz=10.0),), "7.1"))
    assert bench.intersection.sensing.table()["r0/cam"]["declared_hz"] == 10.0
    assert bench.metrics.newest["gateways"]["g"]["software"] == "7.1"


def test_signal_states_reach_the_vehicles_and_a_change_is_urgent(bench: Bench) -> None:
    output = bench.from_gateway(T, "signal", signal(bench, 0, T, SignalState.RED))
    assert [(s.seq, s.t) for s in output.signals] == [(0, T)]
    assert bench.scheduler.due(T, [], bench.intersections) == [bench.intersection]

    t = T + 100 * MS
    bench.intersection.planned = t
    bench.from_gateway(t, "signal", signal(bench, 1, t, SignalState.RED))
    assert bench.scheduler.due(t, [], bench.intersections) == [], "the same state is not urgent"


def test_signal_states_older_than_the_last_ones_are_counted_and_dropped(bench: Bench) -> None:
    bench.from_gateway(T, "signal", signal(bench, 0, T, SignalState.RED))
    output = bench.from_gateway(T + 1, "signal", signal(bench, 1, T - 1, SignalState.GREEN_PROTECTED))
    assert output.signals == []
    assert bench.metrics.counters["signal.late", "r0"] == 1
    assert bench.intersection.signals.t == T


def test_a_stale_signal_message_is_a_fault_of_its_controller(bench: Bench) -> None:
    output = Output()
    stale = RawMessage("signal", "g", encode(signal(bench, 0, T, SignalState.RED)))
    received = bench.ingest.receive(T + SECOND, [stale])
    bench.gateway.handle(T + SECOND, received, output)
    assert [fault.intersection for fault in output.faults] == [bench.name]
    assert bench.metrics.total(f"signal.{output.faults[0].check}") == 1


def test_a_hazard_is_held_by_its_intersection_and_the_ones_too_many_are_counted(bench: Bench) -> None:
    lane = bench.intersection.code.lane_ids[0]
    for number in range(70):
        t = T + number * MS
        hazard = Hazard(1, "r0", f"h{number}", "works", t, t, t + 60 * SECOND, lane=lane)
        bench.from_gateway(t, "hazard", hazard)
    assert len(bench.intersection.hazards) == 64
    assert bench.metrics.counters["drop.hazard", "g"] == 6


def test_health_reaches_the_sensor_it_is_of(bench: Bench) -> None:
    bench.from_gateway(T, "hello", Hello(1, "north", ("r0",), (Sensor("cam"),)))
    bench.from_gateway(T, "health", Health(1, "r0", T, (SensorHealth("cam", alive=False),)))
    assert bench.intersection.sensing.table()["r0/cam"]["alive"] is False


def test_a_message_that_the_node_fails_on_is_refused_and_the_next_one_is_handled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    works = bench.intersection.hazards.put

    def fails_once(*args: object) -> list[Hazard]:
        calls.append(args)
        if len(calls) == 1:
            raise KeyError("made to fail")
        return works(*args)

    monkeypatch.setattr(bench.intersection.hazards, "put", fails_once)
    lane = bench.intersection.code.lane_ids[0]
    hazards = [Hazard(1, "r0", name, "works", T, T, T + 60 * SECOND, lane=lane) for name in ("a", "b")]
    received = bench.ingest.receive(T, [RawMessage("hazard", "g", encode(hazard)) for hazard in hazards])
    bench.gateway.handle(T, received, Output())
    assert len(bench.intersection.hazards) == 1
    assert [kind for _, kind, _ in received.replies] == ["reject"]
    assert [fault.place for fault in bench.faults.take()] == ["handle"]


def test_frames_go_to_the_tracker_of_their_intersection(bench: Bench, code: CompiledCode) -> None:
    scene = Scene(code, 30)
    for k in range(5):
        t = T + 100 * k * MS
        received = bench.ingest.receive(t + 40 * MS, [RawMessage("perception", "g", scene.perception("r0", k, t))])
        scans = Scans(received.frames)
        with_frames = bench.perception.handle(t + 40 * MS, received.frames, scans)
        assert with_frames == [bench.intersection]
        assert scans.fusions == [bench.intersection.fusion]
        assert (bench.intersection.t_sensor, bench.intersection.t_rx) == (t, t + 40 * MS)
        scans.fold(bench.faults)
    assert bench.faults.take() == []
    assert len(bench.intersection.fusion.tracks(t)) > 20


def test_a_batch_without_frames_is_no_perception(bench: Bench) -> None:
    assert bench.perception.handle(T, None, Scans(None)) == []
    assert bench.intersection.t_rx == 0


# --- vehicles ---


def test_a_vehicle_state_is_a_detection_and_a_plan(bench: Bench, code: CompiledCode) -> None:
    scans = bench.from_vehicle(T, "state", Scene(code, 30).state(T))
    assert [scan.fusion for scan in scans.reports] == [bench.intersection.fusion]
    assert [report.id for report in bench.intersection.reports.values()] == ["car"]
    assert bench.intersection.plan_scheduled


def test_a_vehicle_far_from_every_intersection_is_answered_so(bench: Bench) -> None:
    far = VehicleState(T, 10.0, 10.0, 5.0, 0.0)
    received = bench.ingest.receive(T, [RawMessage("state", "car", msgspec.json.encode(far))])
    scans = Scans(None)
    bench.vehicle.handle(T, received, scans)
    assert [(vehicle, reject.field) for vehicle, reject in received.rejects] == [("car", "lat, lon")]
    assert scans.reports == []


def test_a_priority_request_reaches_its_intersection_or_is_counted_and_answered_as_of_another(bench: Bench) -> None:
    movement = bench.intersection.code.conn_ids[0]
    bench.from_vehicle(T, "requests", VehicleRequest(T, "q", bench.name, movement, T + 10 * SECOND))
    assert bench.intersection.priority.busy
    assert bench.intersection.plan_scheduled
    elsewhere = VehicleRequest(T, "q", "elsewhere", movement, T + 10 * SECOND)
    received = bench.ingest.receive(T, [RawMessage("requests", "car", msgspec.json.encode(elsewhere))])
    bench.vehicle.handle(T, received, Scans(None))
    assert [(vehicle, reject.field) for vehicle, reject in received.rejects] == [("car", "intersection")]
    assert bench.metrics.total("vehicle.request") == 1
    assert bench.metrics.total("vehicle.request_elsewhere") == 1


def test_an_acknowledgement_is_counted(bench: Bench) -> None:
    bench.from_vehicle(T, "acks", Ack(T, "never sent", "applied"))
    assert bench.metrics.total("ack.unknown") == 1


def test_an_acknowledgement_is_matched_with_advisories_of_the_last_minute(bench: Bench) -> None:
    for second in range(0, 101, 20):
        made = advisory(f"at {second}", vehicle="car")
        bench.acks.sent([msgspec.structs.replace(made, t=T + second * SECOND)])
    assert len(bench.acks) == 4, "those of 40 s and later"

    bench.acks.take("car", Ack(T, "at 20", "applied"))
    bench.acks.take("car", Ack(T, "at 40", "applied"))
    assert (bench.metrics.total("ack.unknown"), bench.metrics.total("ack.applied")) == (1, 1)


# --- the operator ---


class Recipient:
    """Notes what the operator's inputs ask for, and fails where it is made to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.announced: list[tuple[str, int]] = []
        self.configs: list[EngineConfig] = []
        self.error = error
        self.faults = Faults(Metrics())
        self.served: list[str] = []
        self.handler = OperatorHandler(
            announce=self.announce, reconfigure=self.reconfigure, add=self.add, drop=self.drop, faults=self.faults
        )

    def announce(self, code: IntersectionCode, t: int) -> None:
        if self.error:
            raise self.error
        self.announced.append((code.id, t))

    def reconfigure(self, config: EngineConfig) -> None:
        if self.error:
            raise self.error
        self.configs.append(config)

    def add(self, addition: AddIntersection, t: int) -> None:
        if self.error:
            raise self.error
        self.served.append(addition.intersection)

    def drop(self, intersection: str) -> None:
        if self.error:
            raise self.error
        self.served.remove(intersection)


def test_operator_inputs_are_told_apart_from_messages_of_the_same_kind_by_others() -> None:
    own = RawMessage("code", OPERATOR, b"{}")
    foreign = RawMessage("code", "g", b"{}")
    message = RawMessage("signal", OPERATOR, b"")
    assert split_operator_inputs([foreign, own, message]) == ([own], [foreign, message])
    assert split_operator_inputs([foreign]) == ([], [foreign])


def test_a_code_is_announced_and_a_configuration_taken_over(code: CompiledCode) -> None:
    recipient = Recipient()
    config = EngineConfig({"g": {"r0": code.code.id}}, period_ms=200)
    inputs = [
        RawMessage("code", OPERATOR, codes.dump(code.code)),
        RawMessage("config", OPERATOR, msgspec.json.encode(config)),
    ]
    answers = recipient.handler.handle(T, inputs)
    assert [(answer.name, answer.refusal) for answer in answers] == [(code.code.id, None), ("", None)]
    assert recipient.announced == [(code.code.id, T)]
    assert recipient.configs == [config]


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"gateways": 1}', b'{"gateways": {}, "unknown": 1}'])
def test_an_input_that_cannot_be_read_is_answered_with_why(body: bytes) -> None:
    recipient = Recipient()
    kinds = sorted(OPERATOR_KINDS - NEIGHBOUR_KINDS)
    answers = recipient.handler.handle(T, [RawMessage(kind, OPERATOR, body) for kind in kinds])
    assert all(answer.refusal for answer in answers)
    assert recipient.announced == recipient.configs == recipient.served == []
    assert recipient.faults.take() == []


def test_a_refused_input_is_answered_and_a_fault_of_the_node_is_noted_as_one(code: CompiledCode) -> None:
    body = codes.dump(code.code)
    refused = Recipient(ValueError("valid_from is in the past"))
    assert refused.handler.handle(T, [RawMessage("code", OPERATOR, body)])[0].refusal == "valid_from is in the past"
    assert refused.faults.take() == []

    failing = Recipient(KeyError("a mistake of ours"))
    assert failing.handler.handle(T, [RawMessage("code", OPERATOR, body)])[0].refusal == NODE_FAULT
    assert [fault.place for fault in failing.faults.take()] == ["operator"]
