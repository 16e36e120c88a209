"""One plan of one intersection, without an engine: what it adds to the output, and what it does where it fails."""

import pytest
from stage import GREEN, Stage
from stage import T as STAGE_T

from bench.scene import Scene
from cloudctl import signal_priority
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.events import Events
from cloudctl.faults import Faults
from cloudctl.ingest.gateways import Gateway, Gateways
from cloudctl.intersection import MAX_VEHICLE_SILENCE, IntersectionState
from cloudctl.intersection_factory import make_intersection
from cloudctl.metrics import Metrics
from cloudctl.output import Output
from cloudctl.plan_runner import PlanRunner
from cloudctl.planner import PriorityRequestServer
from cloudctl.schema import AdvisoryKind, Broadcast, VehicleRequest
from cloudctl.settings import EngineConfig
from cloudctl.vehicles import VehicleRegistry


class Rig:
    """A runner of plans, and an intersection with 2 s of traffic on it."""

    def __init__(self, code: CompiledCode) -> None:
        rsus = {f"r{k}": code.code.id for k in range(3)}
        engine = Engine([code.code], EngineConfig({"g": rsus}))
        batches = Scene(code, 30).run(2.0)
        for t, batch in batches:
            engine.step(t, batch)
        self.t = batches[-1][0]
        self.intersection: IntersectionState = engine.intersections[code.code.id]
        self.gateways = Gateways({"g": Gateway(rsus), "h": Gateway(rsus)})
        self.metrics = Metrics()
        self.faults = Faults(self.metrics)
        self.runner = PlanRunner(
            vehicle_registry=VehicleRegistry(self.metrics),
            neighbours=engine.neighbours,
            gateways=self.gateways,
            events=Events(self.metrics),
            metrics=self.metrics,
            faults=self.faults,
            days=engine.config.days,
        )

    def plan(self, t: int) -> Output:
        output = Output()
        self.runner.run(t, [self.intersection], output)
        return output


@pytest.fixture
def rig(code: CompiledCode) -> Rig:
    rig = Rig(code)
    rig.intersection.advisory_filter.forget()  # so that what was sent before is sent again
    return rig


def test_a_plan_gives_advisories_and_the_same_to_each_gateway_of_the_intersection(rig: Rig) -> None:
    rig.intersection.gateways = ("g", "h")
    output = rig.plan(rig.t)
    assert output.advisories
    broadcasts = [(gateway, body) for gateway, kind, body in output.replies if kind == "broadcast"]
    assert [gateway for gateway, _ in broadcasts] == ["g", "h"]
    for _, body in broadcasts:
        assert isinstance(body, Broadcast)
        assert body.advisories == tuple(output.advisories)
    assert rig.metrics.total("advisory") == len(output.advisories)
    assert rig.intersection.latest is not None
    assert rig.intersection.latest.t == rig.t


@pytest.mark.parametrize("ahead", [7 * SECOND, -3 * MS])
def test_a_broadcast_carries_times_of_its_gateways_clock(rig: Rig, ahead: int) -> None:
    rig.gateways["h"].offset = ahead
    rig.intersection.gateways = ("g", "h")
    output = rig.plan(rig.t)
    (_, _, by_g), (_, _, by_h) = [reply for reply in output.replies if reply[1] == "broadcast"]
    assert isinstance(by_g, Broadcast)
    assert isinstance(by_h, Broadcast)
    assert (by_g.t, by_h.t) == (rig.t, rig.t + ahead)

    assert by_g.advisories == tuple(output.advisories)
    for own, local in zip(output.advisories, by_h.advisories, strict=True):
        assert (local.id, local.t, local.valid_until) == (own.id, own.t + ahead, own.valid_until + ahead)
        for name in ("t_sensor", "t_rx"):
            t = getattr(own.inputs, name)
            assert getattr(local.inputs, name) == (t + ahead if t else 0)


def test_no_advisory_outlives_its_revision(rig: Rig) -> None:
    rig.intersection.in_force_until = rig.t + 50 * MS
    output = rig.plan(rig.t)
    assert output.advisories
    assert all(advisory.valid_until <= rig.intersection.in_force_until for advisory in output.advisories)


def test_an_intersection_whose_code_is_not_in_force_is_not_advised_and_counted(rig: Rig) -> None:
    rig.intersection.in_force = False
    output = rig.plan(rig.t)
    assert (output.advisories, output.replies) == ([], [])
    assert rig.metrics.total("code.none_in_force") == 1


def test_a_vehicle_that_fell_silent_is_forgotten_by_the_next_plan(rig: Rig) -> None:
    newest = max(report.t for report in rig.intersection.reports.values())
    rig.plan(newest + MAX_VEHICLE_SILENCE)
    assert rig.intersection.reports
    rig.plan(newest + MAX_VEHICLE_SILENCE + 1)
    assert not rig.intersection.reports


def test_a_request_to_the_controller_carries_times_of_each_gateways_clock(stage: Stage) -> None:
    code = stage.code
    movement = next(
        k
        for k in range(code.n_conns)
        if code.conn_inner[k] and code.conn_turn[k] == 0 and code.lane_use[code.conn_from[k]] == 0
    )
    stage.state, stage.left = GREEN, 4.0
    stage.put(int(code.conn_from[movement]), 80.0, 12.0, "bus", movement)
    metrics = Metrics()
    intersection = make_intersection(
        code, EngineConfig({"g": {"r0": code.code.id}, "h": {"r1": code.code.id}}), metrics
    )
    intersection.priority = PriorityRequestServer()  # believes every vehicle's class
    request = VehicleRequest(STAGE_T, "q", code.code.id, code.conn_ids[movement], STAGE_T + 8 * SECOND)
    signal_priority.request(STAGE_T, intersection, "v1", request, declared_kind=None)

    ahead = 7 * SECOND
    gateways = Gateways({"g": Gateway({}), "h": Gateway({}, offset=ahead)})
    candidates, replies = signal_priority.answer_requests(stage.world(), intersection, gateways, metrics)
    assert [candidate.target for candidate in candidates] == ["vehicle:v1"]
    (_, _, by_g), (_, _, by_h) = replies
    assert [(gateway, kind) for gateway, kind, _ in replies] == [("g", "priority"), ("h", "priority")]
    assert (by_h.t - by_g.t, by_h.at - by_g.at) == (ahead, ahead)
    assert metrics.total("priority.extend") == 1


@pytest.mark.parametrize("part", ["cloudctl.plan_runner.build_all", "cloudctl.planner.Plans"])
def test_a_plan_that_fails_is_noted_and_vehicles_are_advised_of_no_advice(
    rig: Rig, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyError("made to fail")

    monkeypatch.setattr(part, fails)
    output = rig.plan(rig.t)
    assert [advisory.kind for advisory in output.advisories] == [AdvisoryKind.DEGRADED]
    assert [(fault.place, fault.source) for fault in rig.faults.take()] == [("plan", rig.intersection.code.code.id)]

    monkeypatch.setattr("cloudctl.planner.AdvisoryFilter.choose", fails)
    assert rig.plan(rig.t + SECOND).advisories == []
    assert [fault.place for fault in rig.faults.take()] == ["plan", "degraded"]
