"""What is wrong in one part of a message takes no other part with it: signal groups, sensors of a health message,
movements of a report.
"""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scene import Scene
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.codes.citycode import make, sub_code
from cloudctl.engine import Engine, Output
from cloudctl.rates import Repeats
from cloudctl.schema import Health, Hello, RawMessage, Reject, Sensor, SensorHealth, SignalState, VehicleState
from cloudctl.settings import EngineConfig
from cloudctl.world import ELSEWHERE, UNKNOWN

T = 1_767_225_600 * SECOND
RED = int(SignalState.RED)
encode = msgspec.msgpack.encode
BAD = (
    st.text(max_size=5)
    | st.floats(allow_nan=True)
    | st.integers(2**63, 2**64 - 3)
    | st.integers(-(2**63), -1)
    | st.lists(st.integers(-5, 5), max_size=2)
)  # of no field of a group


def running(code: CompiledCode) -> Engine:
    return Engine([code.code], EngineConfig({"g": {"r0": code.code.id, "r1": code.code.id}}), debug=True)


def rejects(out: Output) -> list[Reject]:
    return [body for _, kind, body in out.replies if kind == "reject"]


def groups_of(code: CompiledCode, t: int) -> list[dict[str, Any]]:
    return [
        {"g": int(g), "s": RED, "mn": t + SECOND, "mx": t + 9 * SECOND, "lk": t + 5 * SECOND} for g in code.group_ids
    ]


def signal(code: CompiledCode, groups: object, seq: int, t: int) -> RawMessage:
    body = {"v": 1, "r": "r0", "i": code.code.id, "rev": code.code.revision, "q": seq, "t": t, "g": groups}
    return RawMessage("signal", "g", encode(body))


@settings(max_examples=60)
@given(which=st.integers(0, 30), field=st.sampled_from(["g", "s", "mn", "mx", "lk", "ng", "nd"]), value=BAD)
def test_a_bad_group_loses_only_itself_and_is_named(code: CompiledCode, which: int, field: str, value: object) -> None:
    engine = running(code)
    groups = groups_of(code, T)
    k = which % len(groups)
    groups[k][field] = value
    out = engine.step(T, [signal(code, groups, 0, T)])

    (published,) = out.signals
    others = {int(g) for g in code.group_ids} - {int(code.group_ids[k])}
    assert {g.group for g in published.groups} >= others
    assert all(g.max_end == T + 9 * SECOND for g in published.groups if g.group in others)
    unknown_group = field == "g" and isinstance(value, int) and not isinstance(value, bool)
    assert unknown_group or any(why.field.startswith(f"g[{k}]") and why.rule and why.remedy for why in rejects(out))
    assert engine.metrics.counted("accept.signal", "g") == 1


def test_ends_out_of_order_leave_the_state_and_promise_nothing(code: CompiledCode) -> None:
    engine = running(code)
    groups = groups_of(code, T)
    groups[0]["mn"] = T + 60 * SECOND
    out = engine.step(T, [signal(code, groups, 0, T)])
    first = out.signals[0].groups[0]
    assert (first.state, first.min_end, first.likely_end, first.max_end) == (SignalState.RED, None, None, None)
    assert [fault.check for fault in out.faults] == ["end_order"]
    (why,) = rejects(out)
    assert f"group {groups[0]['g']}" in why.rule


def test_the_same_fault_is_answered_once_in_ten_seconds_and_counted_each_time(code: CompiledCode) -> None:
    engine = running(code)
    answered = []
    for k in range(250):
        t = T + k * 100 * MS
        groups = groups_of(code, t)
        groups[0]["mx"] = 0
        answered += rejects(engine.step(t, [signal(code, groups, k, t)]))
    assert [why.value for why in answered] == ["0"] * 3
    assert engine.metrics.counted("reject.signal_part", "r0") == 250


@pytest.mark.parametrize("same", [True, False], ids=["the same bytes", "other bytes"])
def test_a_fault_stands_as_long_as_messages_repeat_it(code: CompiledCode, same: bool) -> None:
    engine = running(code)
    for k in range(60):
        t = T + k * 100 * MS
        groups = groups_of(code, T + 20 * SECOND + (0 if same else k))
        groups[0]["mn"] = groups[0]["mx"] + 1
        engine.step(t, [signal(code, groups, k, t)])
        quality = engine.intersections[code.code.id].quality
        assert quality.doubted(t) == {groups[0]["g"]: "times"}


@settings(max_examples=40)
@given(
    field=st.sampled_from(["id", "alive", "hz", "temperature", "clock_offset"]),
    value=st.text(max_size=4) | st.floats(-1e9, -1e3) | st.just(float("nan")),
)
def test_a_bad_sensor_of_a_health_message_loses_only_itself(code: CompiledCode, field: str, value: object) -> None:
    engine = running(code)
    engine.step(T, [RawMessage("hello", "g", encode(Hello(1, "g", ("r0",), (Sensor("a"), Sensor("b")), "1")))])
    sensors = [
        msgspec.to_builtins(SensorHealth("a", False)),
        {**msgspec.to_builtins(SensorHealth("b", True)), field: value},
    ]
    out = engine.step(T, [RawMessage("health", "g", encode({**msgspec.to_builtins(Health(1, "r0", T)), "s": sensors}))])
    assert any(why.field.startswith("s[1]") for why in rejects(out))
    table = engine.intersections[code.code.id].sensing.table()
    assert table["r0/a"]["alive"] is False


def test_a_gateway_that_is_back_without_its_sensors_has_none_that_are_slow(code: CompiledCode, scene: Scene) -> None:
    engine = running(code)
    engine.step(T, [RawMessage("hello", "g", encode(Hello(1, "g", ("r0",), (Sensor("old", hz=10.0),), "1")))])
    engine.step(T + MS, [RawMessage("hello", "g", encode(Hello(1, "g", ("r0",), (), "2")))])
    events = []
    for k in range(150):
        t = T + (k + 1) * 100 * MS
        events += engine.step(
            t,
            [
                RawMessage("perception", "g", scene.perception("r0", k, t)),
                RawMessage("signal", "g", scene.signal("r0", k, t)),
            ],
        ).events
    assert not [event for event in events if "old" in event]


def report(code: CompiledCode, movements: tuple[str, ...] | None, t: int) -> RawMessage:
    lat, lon = (float(v) for v in code.origin.to_geodetic(*code.path_xy[code.path_start[0]]))
    return RawMessage("state", "c", msgspec.json.encode(VehicleState(t, lat, lon, 5.0, 0.0, movements=movements)))


FAR = make("110000", "IX", "N50J572077A237", 9)  # of another node


@pytest.mark.parametrize(
    ("movements", "paths", "refused"),
    [
        ((), ELSEWHERE, False),
        (None, UNKNOWN, False),
        ((sub_code(FAR, "C1"),), ELSEWHERE, False),
        (("C999",), UNKNOWN, True),
        ((sub_code(FAR, "C1")[:-1],), UNKNOWN, True),
        ((sub_code(FAR, "C1"), "east-left"), UNKNOWN, True),
    ],
)
def test_a_movement_nobody_knows_is_refused_and_taken_for_no_way_off_the_road(
    code: CompiledCode, movements: tuple[str, ...] | None, paths: tuple[int, int, int], refused: bool
) -> None:
    engine = running(code)
    out = engine.step(T, [report(code, movements, T)])
    (kept,) = engine.intersections[code.code.id].reports.values()
    assert kept.paths == paths
    assert [why.field.split("[")[0] for _, why in out.rejects] == (["movements"] if refused else [])
    again = engine.step(T + SECOND, [report(code, movements, T + SECOND)])
    assert not again.rejects, "the same declaration is answered once"


def test_a_mistyped_part_of_this_intersection_is_refused_too(code: CompiledCode) -> None:
    engine = running(code)
    out = engine.step(T, [report(code, (sub_code(code.code.id, "C999"),), T)])
    assert [why.field for _, why in out.rejects] == ["movements[0]"]


def test_a_vehicle_near_no_intersection_is_answered_once_a_minute(code: CompiledCode) -> None:
    engine = running(code)
    answers = []
    for k in range(150):
        t = T + k * SECOND
        state = VehicleState(t, 31.2, 121.4, 5.0, 0.0)
        answers += engine.step(t, [RawMessage("state", "c", msgspec.json.encode(state))]).rejects
    assert [why.field for _, why in answers] == ["lat, lon"] * 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=40))
def test_repeated_lines_are_let_through_once_in_an_interval_and_the_others_counted(
    events: list[tuple[str, int]],
) -> None:
    repeats, t, through, held = Repeats(20, 8), 0, dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)
    last: dict[str, int] = {}
    for name, pause in events:
        t += pause
        count = repeats.again(name, t)
        if count is None:
            held[name] += 1
            assert t - last[name] < 20
        else:
            through[name] += 1
            held[name] -= count
            assert held[name] == 0
            last[name] = t
