"""What strangers send, under as many names as they like: every plan comes out, and nothing grows without bound."""

import gc
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scene import Scene
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.codes.compiled.rules import RuleTable
from cloudctl.codes.rule import CLASSES, VEHICLE_CLASSES
from cloudctl.codes.rules import Vehicle
from cloudctl.engine import Engine
from cloudctl.metrics import MAX_SOURCES, OTHERS, Metrics
from cloudctl.rates import OncePer
from cloudctl.schema import MAX_NAME, Hello, RawMessage, VehicleState
from cloudctl.settings import EngineConfig
from cloudctl.vehicles import MAX_REPORTS, MAX_VEHICLES

T = 1_767_225_600 * SECOND


def engine_of(code: CompiledCode) -> Engine:
    return Engine(
        [code.code], EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}, "h": {"other": code.code.id}})
    )


def with_kind(scene: Scene, kind: str, seconds: float) -> tuple[Engine, list[str]]:
    """Return the engine and the kinds of advisories of a run in which the connected vehicle calls itself `kind`."""
    engine, kinds = engine_of(scene.code), []
    for t, batch in scene.run(seconds):
        changed = []
        for datum in batch:
            if datum.kind == "state":
                body = msgspec.structs.replace(msgspec.json.decode(datum.body, type=VehicleState), kind=kind)
                datum = RawMessage("state", "car", msgspec.json.encode(body))
            changed.append(datum)
        kinds += [a.kind for a in engine.step(t, changed).advisories if a.target == "vehicle:car"]
    return engine, kinds


@settings(max_examples=40)
@given(
    st.one_of(
        st.text(max_size=200),
        st.sampled_from(["van", "motorcycle", "", "automated", "CAR", "{kind}", "car\0", *CLASSES]),
    )
)
def test_any_word_for_its_kind_gets_the_plan_of_a_car_or_of_its_class(code: CompiledCode, kind: str) -> None:
    if "\ud800" <= max(kind, default="") <= "\udfff":
        return
    engine, kinds = with_kind(Scene(code, 12), kind, 2.0)
    _, of_a_car = with_kind(Scene(code, 12), "car", 2.0)
    assert of_a_car
    if kind in VEHICLE_CLASSES:
        assert engine.metrics.total("vehicle.kind_unknown") == 0
    else:
        assert kinds == of_a_car
        assert engine.metrics.total("vehicle.kind_unknown") == 1, "once, however often it is sent"


@given(st.text(max_size=20), st.booleans())
@settings(max_examples=50)
def test_the_rules_hold_for_a_kind_they_do_not_know_as_for_a_car(
    code: CompiledCode, kind: str, automated: bool
) -> None:
    table, path = RuleTable(code.code), code.lane_ids[0]
    expected = "car" if kind not in VEHICLE_CLASSES else kind
    assert table.explain(path, Vehicle(kind, automated), T) == table.explain(path, Vehicle(expected, automated), T)
    answers = [table.effective(*_one(T), fleet=[Vehicle(word, automated)]) for word in (kind, expected)]
    assert all((a == b).all() for a, b in zip(*answers, strict=True))


def _one(t: int) -> tuple:
    import numpy as np

    return np.zeros(1, np.int64), np.zeros(1, np.int64), np.full(1, t)


def test_three_hundred_thousand_invented_ids_leave_memory_and_the_status_as_they_are(code: CompiledCode) -> None:
    """Within the intersection and outside, good and bad, as states, requests and acks, each under a name of its own."""
    engine, ids = engine_of(code), 300_000
    lat, lon = code.origin.lat, code.origin.lon

    def batch(first: int, t: int) -> list[RawMessage]:
        out = []
        for k in range(first, first + 500):
            name = f"invented-{k}"
            inside = k % 3 == 0
            state = {
                "t": t,
                "lat": lat + (k % 97) * 1e-6 if inside else 10.0,
                "lon": lon,
                "speed": 400.0 if k % 2 else 3.0,
                "heading": 0.1,
                "kind": name,
            }
            out.append(RawMessage("state", name, msgspec.json.encode(state)))
            if k % 5 == 0:
                request = {
                    "t": t,
                    "id": name,
                    "intersection": code.code.id if k % 2 else name,
                    "movement": name,
                    "eta": t,
                }
                out.append(RawMessage("requests", name, msgspec.json.encode(request)))
                out.append(
                    RawMessage("acks", name, msgspec.json.encode({"t": t, "advisory": name, "outcome": "applied"}))
                )
        return out

    resident = []
    for step in range(ids // 500):
        t = T + step * 20 * MS
        engine.step(t, batch(step * 500, t))
        if step in (ids // 500 // 2, ids // 500 - 1):
            gc.collect()
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    assert resident[1] - resident[0] < 8_000_000, (
        f"{(resident[1] - resident[0]) / 1e6:.1f} MB more for the second 150,000"
    )
    assert len(msgspec.json.encode(engine.metrics.snapshot())) < 1_000_000
    place = engine.intersections[code.code.id]
    assert len(place.reports) <= MAX_REPORTS
    assert len(place.priority.requests) <= 64
    assert engine.metrics.counters["reject.state", OTHERS] > 100_000
    assert engine.metrics.total("reject.state") == ids // 2
    assert sum(len(sources) for sources in engine.metrics.by_source("").values()) < 12 * (MAX_SOURCES + 1)


def test_reports_under_invented_names_leave_room_for_what_sensors_see(code: CompiledCode) -> None:
    engine, scene = engine_of(code), Scene(code, 30)
    for k in range(30):
        t = T + k * 100 * MS
        states = [
            RawMessage("state", f"x{j}", msgspec.json.encode(VehicleState(t, code.origin.lat + (j % 40 - 20) * 1e-4, code.origin.lon + (j // 40 - 20) * 1e-4, 0.0, 0.0)))  # noqa: E501
            for j in range(900)
        ]  # fmt: skip
        engine.step(
            t,
            [
                *states,
                RawMessage("perception", "g", scene.perception("r0", k, t)),
                RawMessage("perception", "g", scene.perception("r1", k, t)),
            ],
        )
    tracks = engine.intersections[code.code.id].fusion.tracks(T + 29 * 100 * MS)
    seen = sum(int(sources) & ~(1 << 31) != 0 for sources in tracks["sources"])
    assert seen >= 25
    assert engine.intersections[code.code.id].fusion.stats()["full"] > 0


def test_counters_are_bounded_in_number_and_length_and_lose_nothing() -> None:
    metrics = Metrics()
    for k in range(50_000):
        metrics.count("reject.state", f"{k}-" + "x" * 5_000)
        metrics.put_newest("table", f"{k}", k)
    assert metrics.total("reject.state") == 50_000
    assert len(metrics.by_source("reject.state")["reject.state"]) == MAX_SOURCES + 1
    assert metrics.total("drop.newest") == 50_000 - MAX_SOURCES
    assert len(msgspec.json.encode(metrics.snapshot())) < 200_000
    metrics.count("reject.state", "0-" + "x" * 5_000)
    assert metrics.counted("reject.state", "0-" + "x" * 5_000) == 2


def test_names_without_end_are_refused(code: CompiledCode) -> None:
    engine = engine_of(code)
    state = msgspec.json.encode(VehicleState(T, code.origin.lat, code.origin.lon, 1.0, 0.0))
    for name in ("", "x" * (MAX_NAME + 1)):
        ((_, reject),) = engine.step(T, [RawMessage("state", name, state)]).rejects
        assert reject.field == "vehicle"
    for changes in ({"movements": ["C1"] * 33}, {"movements": ["x" * 65]}):
        body = msgspec.json.encode({**msgspec.json.decode(state), **changes})
        assert engine.step(T + SECOND, [RawMessage("state", f"car-{len(str(changes))}", body)]).rejects


def test_a_gateway_that_invents_sensors_leaves_room_for_the_others(code: CompiledCode) -> None:
    engine, scene = engine_of(code), Scene(code, 5)
    replies = []
    for k in range(60):
        body = msgspec.msgpack.decode(scene.perception("r0", 0, T))
        replies += engine.step(
            T, [RawMessage("perception", "g", msgspec.msgpack.encode({**body, "s": f"invented-{k}"}))]
        ).replies
    assert any("at most 31 perception sources" in body.rule for _, kind, body in replies if kind == "reject")
    for k in range(4):
        body = msgspec.msgpack.decode(scene.perception("other", 0, T))
        out = engine.step(T, [RawMessage("perception", "h", msgspec.msgpack.encode({**body, "s": f"cam-{k}"}))])
        assert not [body for _, kind, body in out.replies if kind == "reject"]


def test_a_sensor_called_signal_is_a_sensor(code: CompiledCode) -> None:
    engine, scene = engine_of(code), Scene(code, 5)
    engine.step(T, [RawMessage("signal", "g", scene.signal("r0", 0, T))])
    body = msgspec.msgpack.decode(scene.perception("r0", 0, T))
    engine.step(T, [RawMessage("perception", "g", msgspec.msgpack.encode({**body, "s": "signal"}))])
    assert engine.intersections[code.code.id].fusion.stats()["sources"][0]["detections"] == 5


def test_messages_of_another_version_are_refused(code: CompiledCode) -> None:
    engine = engine_of(code)
    state = msgspec.json.decode(msgspec.json.encode(VehicleState(T, code.origin.lat, code.origin.lon, 1.0, 0.0)))
    ((_, reject),) = engine.step(T, [RawMessage("state", "car", msgspec.json.encode({**state, "version": 2}))]).rejects
    assert reject.field == "version"
    ((_, kind, reject),) = engine.step(
        T, [RawMessage("sync", "g", msgspec.msgpack.encode({"v": 9, "g": "g", "t1": T}))]
    ).replies
    assert (kind, reject.field) == ("reject", "v")


def test_a_hello_says_what_speaks(code: CompiledCode) -> None:
    engine = engine_of(code)
    engine.step(T, [RawMessage("hello", "g", msgspec.msgpack.encode(Hello(1, "north", ("r0",), software="acme 3.2")))])
    assert engine.metrics.newest["gateways"]["g"]["software"] == "acme 3.2"
    assert engine.metrics.newest["gateways"]["g"]["calls_itself"] == "north"


def test_an_acknowledgement_is_counted_by_kind_and_only_from_whom_it_was_sent_to(scene: Scene) -> None:
    engine = engine_of(scene.code)
    advisories = [
        a for t, batch in scene.run(3.0) for a in engine.step(t, batch).advisories if a.target == "vehicle:car"
    ]
    t = T + 3 * SECOND
    for name, advisory in (("car", advisories[0].id), ("thief", advisories[0].id), ("car", "never-sent")):
        engine.step(
            t, [RawMessage("acks", name, msgspec.json.encode({"t": t, "advisory": advisory, "outcome": "applied"}))]
        )
    assert engine.metrics.by_source("ack.") == {
        "ack.applied": {advisories[0].kind: 1},
        "ack.unknown": {"car": 1, "thief": 1},
    }


@pytest.mark.parametrize("steps", [10, 5_000])
def test_once_per_interval_is_bounded_and_forgets_what_is_over(steps: int) -> None:
    once = OncePer(SECOND, 100)
    assert once.allow("a", T)
    assert not once.allow("a", T + SECOND - 1)
    assert once.allow("a", T + SECOND)
    assert once.allow("b", T - 3600 * SECOND), "a clock that was set back silences nobody"
    for k in range(steps):
        once.allow(f"n{k}", T + 2 * SECOND)
    assert len(once) <= 100
    assert once.allow("late", T + 4 * SECOND)
    assert MAX_VEHICLES <= 100_000
