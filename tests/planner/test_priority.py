"""Signal priority: what a request becomes, what the controller is asked, and that no clearance is cut."""

import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from priority_scene import request, straight, work
from stage import GREEN, RED, Stage, T

from bench.scene import Scene
from cloudctl import codes, maps
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.planner.priority import EXTENSION, MAX_DELAY, RESERVICE_INTERVAL, PriorityRequestServer
from cloudctl.planner.priority_need import (
    CLEARANCE,
    MIN_GREEN,
    MIN_WALK,
    WALKING_SPEED,
    crossing_groups,
    crosswalk_length,
)
from cloudctl.schema import RawMessage, SignalState, VehicleRequest
from cloudctl.settings import EngineConfig, PrioritySettings


def seen_for(stage: Stage, desk: PriorityRequestServer, seconds: float, shown: dict[int, int] | None = None) -> None:
    """Let the desk see what is shown for so long before T."""
    stage.shown = shown or {}
    snapshot = stage.world()
    desk.watch_signals(dataclasses.replace(snapshot, t=T - int(seconds * SECOND)))


def test_a_green_that_would_end_is_asked_to_last_until_the_bus_is_through(stage: Stage) -> None:
    lane, k = straight(stage)
    stage.state, stage.left = GREEN, 4.0
    stage.put(lane, 80.0, 12.0, "bus", k)
    desk = PriorityRequestServer()
    desk.take(T, "v1", request(stage, k), stage.code)
    told, (asked,) = work(desk, stage.world())
    assert told["vehicle:v1"].startswith("granted")
    assert asked.action == "extend"
    assert asked.group == stage.code.group_ids[stage.code.conn_group[k]]
    assert 80.0 / 14.0 < (asked.at - T) / SECOND < 4.0 + EXTENSION[3]
    assert work(desk, stage.world(T + SECOND // 10))[1] == [], "the controller is not told twice at once"


def test_a_green_that_comes_in_time_asks_for_nothing(stage: Stage) -> None:
    lane, k = straight(stage)
    stage.state, stage.left = GREEN, 20.0
    stage.put(lane, 80.0, 12.0, "bus", k)
    desk = PriorityRequestServer()
    desk.take(T, "v1", request(stage, k), stage.code)
    told, asked = work(desk, stage.world())
    assert told["vehicle:v1"].startswith("granted")
    assert not asked


def test_an_earlier_green_waits_for_minimum_greens_and_for_who_walks(stage: Stage) -> None:
    """What crosses has been green for 2 s: its minimum, then the clearance; and whoever was let onto the crosswalk gets
    across.
    """
    lane, k = straight(stage)
    stage.state, stage.left = RED, 60.0
    own = int(stage.code.conn_group[k])
    others = {g: GREEN for g, _ in crossing_groups(stage.code, k)}
    assert own not in others
    desk = PriorityRequestServer()
    stage.put(lane, 60.0, 12.0, "bus", k)
    seen_for(stage, desk, 2.0, others)
    desk.take(T, "v1", request(stage, k), stage.code)
    told, (asked,) = work(desk, stage.world())
    assert told["vehicle:v1"].startswith("granted")
    assert asked.action == "early"
    longest = max(
        crosswalk_length(stage.code, crosswalk) for _, crosswalk in crossing_groups(stage.code, k) if crosswalk >= 0
    )
    assert (asked.at - T) / SECOND >= max(MIN_GREEN - 2.0 + CLEARANCE, MIN_WALK - 2.0 + longest / WALKING_SPEED) - 1e-6


@settings(max_examples=80)
@given(data=st.data())
def test_no_world_makes_it_cut_a_clearance(code: CompiledCode, data: st.DataObject) -> None:
    stage = Stage(code)
    lane, k = straight(stage)
    crossing = crossing_groups(code, k)
    kind = data.draw(st.sampled_from(["bus", "emergency", "truck", "sanitation"]))
    stage.left = data.draw(st.floats(1.0, 90.0))
    shown = {g: data.draw(st.sampled_from([RED, GREEN, int(SignalState.YELLOW_PROTECTED)])) for g, _ in crossing}
    for_s = data.draw(st.floats(0.0, 30.0))
    stage.put(lane, data.draw(st.floats(1.0, 200.0)), data.draw(st.floats(0.0, 15.0)), kind, k)
    desk = PriorityRequestServer()
    seen_for(stage, desk, for_s, shown)
    desk.take(T, "v1", request(stage, k), code)
    _, asked = work(desk, stage.world())
    for body in asked:
        if body.action == "early":
            for g, crosswalk in crossing:
                least = MIN_WALK if crosswalk >= 0 or code.group_kind[g] == 1 else MIN_GREEN
                clearance = crosswalk_length(code, crosswalk) / WALKING_SPEED if crosswalk >= 0 else CLEARANCE
                if shown[g] == GREEN:
                    assert (body.at - T) / SECOND >= max(least - for_s, 0.0) + clearance - 1e-6
                elif crosswalk >= 0:
                    assert (body.at - T) / SECOND >= clearance - for_s - 1e-6
        if body.action == "extend":
            assert (body.at - T) / SECOND <= stage.left + EXTENSION[4] + 1e-6


def test_who_has_no_priority_or_names_no_movement_hears_why(stage: Stage) -> None:
    lane, k = straight(stage)
    stage.put(lane, 80.0, 12.0, "car", k)
    stage.put(lane, 120.0, 12.0, "bus", k)
    desk = PriorityRequestServer()
    desk.take(T, "v1", request(stage, k), stage.code)
    desk.take(T, "v2", msgspec.structs.replace(request(stage, k), movement="C99"), stage.code)
    told, asked = work(desk, stage.world())
    assert told["vehicle:v1"] == "rejected: request q1 is rejected: vehicles of class car have no priority"
    assert "movement 'C99' is none of this intersection" in told["vehicle:v2"]
    assert not asked


def test_one_is_served_at_a_time_emergency_first_and_the_next_waits_its_turn(stage: Stage) -> None:
    lane, k = straight(stage)
    other = next(x for x in stage.ingress if stage.code.lane_link[x] != stage.code.lane_link[lane])
    stage.state, stage.left = GREEN, 3.0
    stage.put(lane, 70.0, 12.0, "bus", k)
    stage.put(other, 70.0, 12.0, "emergency")
    desk = PriorityRequestServer()
    second = int(np.flatnonzero(stage.code.conn_inner & (stage.code.conn_from == other))[0])
    desk.take(T, "v1", request(stage, k), stage.code)
    desk.take(T, "v2", request(stage, second), stage.code)
    told, asked = work(desk, stage.world())
    assert told["vehicle:v2"].startswith("granted")
    assert told["vehicle:v1"].startswith("processing")
    assert [a.kind for a in asked] == ["emergency"]
    stage.rows.pop()
    stage.on(stage.code.n_lanes + second, 6.0, 10.0, "emergency", second)  # the same vehicle, inside
    told, asked = work(desk, stage.world(T + SECOND))
    assert told["vehicle:v2"].startswith("served")
    assert [a.action for a in asked if a.kind == "emergency"] == ["release"]
    assert told["vehicle:v1"].startswith("reserviceLocked")
    told, _ = work(desk, stage.world(T + SECOND + RESERVICE_INTERVAL - 10 * SECOND))
    assert told["vehicle:v1"].startswith(("reserviceLocked", "maxPresence"))


def test_who_takes_it_back_or_does_not_come_is_let_go(stage: Stage) -> None:
    lane, k = straight(stage)
    stage.state, stage.left = GREEN, 4.0
    stage.put(lane, 80.0, 12.0, "bus", k)
    desk = PriorityRequestServer()
    desk.take(T, "v1", request(stage, k), stage.code)
    work(desk, stage.world())
    desk.take(T, "v1", request(stage, k, action="cancel"), stage.code)
    told, asked = work(desk, stage.world())
    assert told["vehicle:v1"].startswith("cancelled")
    assert [a.action for a in asked] == ["release"]
    desk = PriorityRequestServer()
    desk.take(T, "v1", request(stage, k, eta=5.0), stage.code)
    told, _ = work(desk, stage.world(T + 6 * SECOND + MAX_DELAY))
    assert told["vehicle:v1"].startswith("maxPresence")


def test_stale_signals_grant_nothing(stage: Stage) -> None:
    lane, k = straight(stage)
    stage.put(lane, 80.0, 12.0, "bus", k)
    desk = PriorityRequestServer()
    desk.take(T, "v1", request(stage, k), stage.code)
    told, asked = work(desk, stage.world(), "signal states are 0.9 s old")
    assert told["vehicle:v1"].startswith("processing")
    assert "0.9 s old" in told["vehicle:v1"]
    assert not asked


def test_an_engine_answers_the_vehicle_and_asks_the_gateway(scene: Scene) -> None:
    code = codes.load(maps.path("intersection.json"))
    engine = Engine(
        [code],
        EngineConfig({"g": {"r0": code.id, "r1": code.id, "r2": code.id}}, priority=PrioritySettings({"car": "bus"})),
    )
    advisories, asked = [], []
    for k, (t, batch) in enumerate(scene.run(6.0)):
        states = [d for d in batch if d.kind == "state"]
        if states:
            state = msgspec.json.decode(states[0].body)
            state["kind"] = "bus"
            batch = [d if d.kind != "state" else RawMessage("state", "car", msgspec.json.encode(state)) for d in batch]
        if k == 20:
            body = VehicleRequest(t, "q1", code.id, scene.movement, t + 10 * SECOND)
            batch = [*batch, RawMessage("requests", "car", msgspec.json.encode(body))]
        out = engine.step(t, batch)
        advisories += [a for a in out.advisories if a.kind == "priority"]
        asked += [body for _, kind, body in out.replies if kind == "priority"]
    assert advisories, "the vehicle hears what became of its request"
    assert advisories[0].target == "vehicle:car"
    assert advisories[0].status in ("granted", "processing")
    assert all(body.intersection == code.id for body in asked)
    assert engine.metrics.counters["vehicle.request", "request"] == 1


@pytest.mark.parametrize("kind", ["bus", "emergency", "sanitation", "truck", "logistics_robot"])
def test_every_class_with_priority_can_be_granted(stage: Stage, kind: str) -> None:
    lane, k = straight(stage)
    stage.state, stage.left = GREEN, 4.0
    stage.put(lane, 40.0, 12.0, kind, k)
    desk = PriorityRequestServer()
    desk.take(T, "v1", request(stage, k), stage.code)
    assert work(desk, stage.world())[0]["vehicle:v1"].startswith("granted")


def movements(stage: Stage) -> tuple[int, int, int]:
    """Return a lane's movement straight on, and another movement with a group of its own."""
    lane, k = straight(stage)
    code = stage.code
    other = next(
        j
        for j in range(code.n_conns)
        if code.conn_inner[j] and code.conn_group[j] >= 0 and code.conn_group[j] != code.conn_group[k]
    )
    return lane, k, other


def test_the_same_id_for_another_movement_is_another_request_and_the_controller_is_released(stage: Stage) -> None:
    lane, k, other = movements(stage)
    stage.state, stage.left = GREEN, 4.0
    stage.put(lane, 80.0, 12.0, "bus", k)
    desk = PriorityRequestServer()
    desk.take(T, "v1", request(stage, k), stage.code)
    (first,) = work(desk, stage.world())[1]
    desk.take(T, "v1", request(stage, other), stage.code)
    released, *asked = work(desk, stage.world(T + SECOND // 10))[1]
    assert (released.action, released.group) == ("release", first.group)
    assert all(message.group != first.group for message in asked)
    assert [desk.requests[key].connection for key in desk.requests] == [other]


@pytest.mark.parametrize("is_in_one_step", [True, False])
def test_a_request_that_was_taken_back_may_be_made_again_under_its_id(stage: Stage, is_in_one_step: bool) -> None:
    lane, k = straight(stage)
    stage.state, stage.left = GREEN, 4.0
    stage.put(lane, 80.0, 12.0, "bus", k)
    desk = PriorityRequestServer()
    desk.take(T, "v1", request(stage, k), stage.code)
    assert work(desk, stage.world())[1][0].action == "extend"
    desk.take(T, "v1", request(stage, k, action="cancel"), stage.code)
    actions = []
    if not is_in_one_step:
        actions += [message.action for message in work(desk, stage.world(T + SECOND // 20))[1]]
    desk.take(T, "v1", request(stage, k), stage.code)
    status, asked = work(desk, stage.world(T + SECOND // 10))
    assert status["vehicle:v1"].startswith("granted")
    assert [*actions, *(message.action for message in asked)] == ["release", "extend"]


def test_a_request_repeated_after_it_was_served_stays_served(stage: Stage) -> None:
    lane, k = straight(stage)
    stage.put(lane, -12.0, 12.0, "bus", k)
    desk = PriorityRequestServer()
    for n in range(4):
        desk.take(T, "v1", request(stage, k), stage.code)
        status, _ = work(desk, stage.world(T + n * SECOND))
    before = status["vehicle:v1"]
    desk.take(T, "v1", request(stage, k), stage.code)
    assert work(desk, stage.world(T + 4 * SECOND))[0]["vehicle:v1"] == before


@pytest.mark.parametrize("shared", [True, False])
def test_a_request_for_an_intersection_of_no_node_is_answered(code: CompiledCode, shared: bool) -> None:
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}, shared=shared))
    body = VehicleRequest(T, "q1", "UST1.0", "C1", T + SECOND)
    out = engine.step(T, [RawMessage("requests", "bus-1", msgspec.json.encode(body))])
    assert [(name, reject.kind, reject.field) for name, reject in out.rejects] == (
        [] if shared else [("bus-1", "requests", "intersection")]
    ), "where other nodes share the city, the one that serves it answers"
