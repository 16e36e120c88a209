"""Signal priority: who may have it, how much of it one may ask for, and who gives way when there is no room."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from priority_scene import request, straight, work
from stage import GREEN, Stage, T

from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.node.config import ConfigError, load
from cloudctl.planner.class_evidence import contradicted
from cloudctl.planner.priority import LEVEL, MAX_OPEN, MAX_REQUESTS, PriorityRequestServer
from cloudctl.schema import AdvisoryKind, ObjectClass
from cloudctl.settings import EngineConfig, PrioritySettings

SEEN = {"sources": 0b11, "class_p": 0.97}


def asking(stage: Stage, kind: str, desk: PriorityRequestServer, **track: float) -> tuple[dict[str, str], list]:
    lane, k = straight(stage)
    stage.state, stage.left = GREEN, 4.0
    stage.put(lane, 60.0, 12.0, kind, k, **track)
    desk.take(T, "v1", request(stage, k), stage.code, kind)
    return work(desk, stage.world())


def test_a_class_nobody_vouches_for_is_rejected_before_a_controller_is_asked(stage: Stage) -> None:
    told, asked = asking(stage, "emergency", PriorityRequestServer(settings=PrioritySettings()))
    assert told["vehicle:v1"].startswith("rejected")
    assert "[priority] vehicles" in told["vehicle:v1"]
    assert not asked
    assert EngineConfig({}).priority == PrioritySettings(), "that is the default"


@pytest.mark.parametrize("vehicles", [{"v1": "bus"}, {"v*": "bus"}, {"x*": "truck", "v?": "truck", "v*": "bus"}])
def test_a_listed_vehicle_has_the_class_it_is_listed_with(stage: Stage, vehicles: dict[str, str]) -> None:
    told, (asked,) = asking(stage, "car", PriorityRequestServer(settings=PrioritySettings(vehicles)))
    assert told["vehicle:v1"].startswith("granted")
    assert asked.kind == "bus"


def test_a_declared_class_that_sensors_contradict_is_refused_and_counted_once(stage: Stage) -> None:
    counted: list[tuple[str, str]] = []
    desk = PriorityRequestServer(count=lambda what, who: counted.append((what, who)))
    told, asked = asking(stage, "emergency", desk, **SEEN)
    assert told["vehicle:v1"].startswith("processing")
    assert "sensors see a car" in told["vehicle:v1"]
    told, asked = work(desk, stage.world(T + SECOND))
    assert told["vehicle:v1"].startswith("rejected")
    assert not asked
    assert counted == [("priority.contradicted", "v1")]


@pytest.mark.parametrize(
    ("track", "kind", "proven", "seen"),
    [
        (SEEN, "emergency", False, "car"), (SEEN, "emergency", True, ""), (SEEN, "bus", True, "car"), (SEEN, "car", False, ""),  # noqa: E501
        ({**SEEN, "class": ObjectClass.TRUCK}, "emergency", False, ""), ({**SEEN, "class": ObjectClass.TRUCK}, "bus", False, ""),  # noqa: E501
        ({**SEEN, "class_p": 0.7}, "emergency", False, ""), ({**SEEN, "sources": 1 << 31}, "emergency", False, ""),
        ({**SEEN, "class": ObjectClass.PEDESTRIAN}, "emergency", True, "pedestrian"), ({**SEEN, "class": ObjectClass.BICYCLE}, "truck", False, "bicycle"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_contradicts_a_class(stage: Stage, track: dict[str, float], kind: str, proven: bool, seen: str) -> None:
    stage.put(stage.ingress[0], 60.0, 12.0, kind, **track)
    assert contradicted(stage.world(), 0, kind, proven) == seen


def test_who_is_seen_to_be_a_car_makes_nobody_give_way_unless_the_operator_vouches(stage: Stage) -> None:
    lane, _ = straight(stage)
    for track, proven, warned in ((SEEN, False, False), (SEEN, True, True), ({}, False, True)):
        stage.clear()
        stage.put(lane, 120.0, 12.0, "emergency", **track)
        stage.put(lane, 60.0, 10.0)
        handle = 1
        old = stage.reports[handle]
        stage.reports[handle] = type(old)(
            *[getattr(old, name) for name in ("id", "handle", "state", "t", "connection", "paths")], proven
        )
        assert bool(stage.said(AdvisoryKind.EMERGENCY)) is warned, (track, proven)


def test_a_vehicle_has_four_requests_open_and_hears_of_the_fifth(stage: Stage) -> None:
    lane, k = straight(stage)
    stage.put(lane, 60.0, 12.0, "bus", k)
    desk = PriorityRequestServer()
    for n in range(200):
        desk.take(T, "v1", request(stage, k, f"q{n}"), stage.code, "bus")
    assert len(desk.requests) == MAX_OPEN
    told, _ = desk.serve(stage.world(), _passing(stage), None)
    assert [c for c in told if c.status == "rejected" and "4 requests open already" in str(c.facts["why"])]
    desk.take(T, "v1", request(stage, k, "q0", action="cancel"), stage.code, "bus")
    desk.take(T, "v1", request(stage, k, "new"), stage.code, "bus")
    assert ("v1", "new") in desk.requests


def _passing(stage: Stage):
    from cloudctl.forecast.stop_line import forecast_stop_lines

    return forecast_stop_lines(stage.world())


def test_requests_without_number_do_not_push_out_a_granted_ambulance(stage: Stage) -> None:
    desk = PriorityRequestServer()
    told, _ = asking(stage, "emergency", desk)
    assert told["vehicle:v1"].startswith("granted")
    _, k = straight(stage)
    for n in range(5000):
        desk.take(T + n, f"x{n % 500}", request(stage, k, f"q{n}"), stage.code, ("bus", "emergency", "car")[n % 3])
    assert desk.requests["v1", "q1"].status == "granted"
    assert len(desk.requests) <= MAX_REQUESTS
    told, _ = work(desk, stage.world(T + 100 * MS))
    assert told["vehicle:v1"].startswith("granted")


def test_who_is_put_out_for_a_higher_class_hears_so_and_its_controller_is_released(stage: Stage) -> None:
    desk = PriorityRequestServer()
    told, (asked,) = asking(stage, "bus", desk)
    assert told["vehicle:v1"].startswith("granted")
    _, k = straight(stage)
    for n in range(MAX_REQUESTS):
        desk.take(T, f"x{n}", request(stage, k), stage.code, "emergency")
    assert ("v1", "q1") not in desk.requests
    told, asked = work(desk, stage.world(T + 100 * MS))
    assert "vehicles of a higher class ask" in told["vehicle:v1"]
    assert [a.action for a in asked if a.request == "q1" and a.kind == "bus"] == ["release"]


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.integers(0, 9), st.sampled_from([*LEVEL, "car", "van"]), st.booleans()),
        max_size=400,
    )
)
def test_whoever_asks_the_table_is_bounded_and_no_lower_class_stands_where_a_higher_one_was_put_out(
    code: CompiledCode, asked: list
) -> None:
    stage, desk = Stage(code), PriorityRequestServer()
    _, k = straight(stage)
    for n, (vehicle, number, kind, back) in enumerate(asked):
        before = {key: r.level for key, r in desk.requests.items() if r.ended is None}
        desk.take(
            T + n, f"v{vehicle}", request(stage, k, f"q{number}", action="cancel" if back else "request"), code, kind
        )
        gone = [level for key, level in before.items() if key not in desk.requests]
        assert len(gone) <= 1
        if gone:
            assert gone[0] == min(before.values())
        open_ = [r for r in desk.requests.values() if r.ended is None]
        assert len(desk.requests) <= MAX_REQUESTS
        assert all(sum(r.vehicle == one.vehicle for r in open_) <= MAX_OPEN for one in open_)


def test_the_nodes_file_lists_who_has_priority(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        '[broker]\nopen = true\n[node]\ncurve = false\n[priority]\nvehicles = { "bus-*" = "bus", "ambulance-1" ='
        ' "emergency" }\n'
    )
    settings = load(file).engine.priority
    assert [settings.listed(name) for name in ("bus-12", "ambulance-1", "car-1")] == ["bus", "emergency", None]
    assert msgspec.json.decode(msgspec.json.encode(load(file).engine), type=EngineConfig) == load(file).engine, (
        "recorded, and so replayed"
    )
    file.write_text('[broker]\nopen = true\n[node]\ncurve = false\n[priority]\nvehicles = { "x" = "limousine" }\n')
    with pytest.raises(ConfigError, match="limousine"):
        load(file)
    file.write_text("[node]\ncurve = false\n[priority]\ntrust_declard = true\n")
    with pytest.raises(ConfigError, match="trust_declared"):
        load(file)


def test_an_rsu_stands_at_one_intersection(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        '[broker]\nopen = true\n[node]\ncurve = false\n[[gateway]]\nname = "a"\nrsus = { r = "one" }\n[[gateway]]\nname'
        ' = "a"\nrsus = { r = "two" }\n'
    )
    with pytest.raises(ConfigError, match="RSU 'r' of 'a' is at 'one' and at 'two'"):
        load(file)
