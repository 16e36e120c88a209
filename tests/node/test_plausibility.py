"""Vehicles: a heading or a position that cannot be is refused, the vehicle hears why, and nobody else does."""

from collections.abc import Callable
from math import atan2, cos, degrees, pi, radians, sin

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scene import Scene
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.datums import to_bd09, to_gcj02
from cloudctl.engine import Engine, Output
from cloudctl.events import Events
from cloudctl.geo import Origin
from cloudctl.ingest.plausibility import CLOCK_REPORTS, MAX_CONTRADICTIONS, MAX_VEHICLES, Plausibility
from cloudctl.ingest.rejections import RejectedMessage
from cloudctl.metrics import Metrics
from cloudctl.schema import RawMessage, Reject, VehicleState
from cloudctl.settings import EngineConfig

T = 1_767_225_600 * SECOND
Way = Callable[[float], tuple[float, float, float, float]]  # s -> x, y, speed, heading


def engine_of(code: CompiledCode) -> Engine:
    return Engine(
        [code.code], EngineConfig({"g": {"r0": code.code.id, "car": code.code.id}, "car": {"r9": code.code.id}})
    )


def lane_way(code: CompiledCode, speed: float = 9.0) -> Way:
    """Return how somebody drives the longest lane of the code."""
    lane = int(np.argmax(code.path_length[: code.n_lanes]))
    points = slice(code.path_start[lane], code.path_start[lane + 1])
    arc, xy = code.path_s[points], code.path_xy[points]

    def at(seconds: float) -> tuple[float, float, float, float]:
        s = (speed * seconds) % (arc[-1] - 2.0)
        (x, y), (x1, y1) = (
            (float(np.interp(v, arc, xy[:, 0])), float(np.interp(v, arc, xy[:, 1]))) for v in (s, s + 1.0)
        )
        return x, y, speed, atan2(y1 - y, x1 - x)

    return at


def drive(engine: Engine, code: CompiledCode, way: Way, seconds: float, change: Callable[[VehicleState], VehicleState] = lambda s: s, begin: int = T,  # noqa: E501
          name: str = "car") -> list[Output]:  # fmt: skip
    outs = []
    for k in range(int(seconds * 5)):
        t = begin + k * 200 * MS
        x, y, speed, heading = way(k * 0.2)
        lat, lon = (float(v) for v in code.origin.to_geodetic(x, y))
        body = change(VehicleState(t, lat, lon, speed, heading))
        outs.append(engine.step(t, [RawMessage("state", name, msgspec.json.encode(body))]))
    return outs


def rejects(outs: list[Output]) -> list[tuple[str, Reject]]:
    return [item for out in outs for item in out.rejects]


def test_a_heading_in_degrees_is_refused_and_the_vehicle_told_how_to_give_it(code: CompiledCode) -> None:
    outs = drive(
        engine_of(code),
        code,
        lane_way(code),
        1.0,
        lambda s: msgspec.structs.replace(s, heading=degrees(s.heading) % 360 + 7),
    )
    (name, reject), *_ = rejects(outs)
    assert (name, reject.field) == ("car", "heading")
    assert "radians counter-clockwise from east" in reject.remedy
    assert not any(kind == "reject" for out in outs for _, kind, _ in out.replies), (
        "the gateway of the same name hears nothing of it"
    )


@pytest.mark.parametrize("speed", [163.83, 655.35, 8191.0, -1.0, float("nan"), 1e9])
def test_a_speed_that_means_not_available_is_refused(code: CompiledCode, speed: float) -> None:
    body = msgspec.json.encode(VehicleState(T, code.origin.lat, code.origin.lon, 1.0, 0.0)).replace(
        b'"speed":1.0', f'"speed":{speed}'.encode()
    )
    engine = engine_of(code)
    ((_, reject),) = rejects([engine.step(T, [RawMessage("state", "car", body)])])
    assert reject.remedy
    assert engine.metrics.by_source("reject.state") == {"reject.state": {"car": 1}}


def test_a_gateways_reject_never_goes_to_the_vehicle_of_its_name(code: CompiledCode) -> None:
    out = engine_of(code).step(T, [RawMessage("perception", "car", b"\xc1")])
    assert [(name, kind) for name, kind, _ in out.replies] == [("car", "reject")]
    assert out.rejects == []


def test_a_vehicle_hears_one_reject_a_second_and_every_refusal_is_counted(code: CompiledCode) -> None:
    engine = engine_of(code)
    for k in range(100):
        drive(engine, code, lane_way(code), 0.2, lambda s: msgspec.structs.replace(s, speed=500.0), T + k * 50 * MS)
    assert engine.metrics.total("reject.state") == 100
    assert engine.metrics.total("drop.reject") == 95


def compass(state: VehicleState) -> VehicleState:
    """Return a state whose heading is radians clockwise from north."""
    return msgspec.structs.replace(state, heading=(pi / 2 - state.heading) % (2 * pi))


@settings(max_examples=25)
@given(st.floats(-pi, pi), st.floats(2.0, 25.0), st.floats(0.1, 1.0), st.integers(0, 2**32))
def test_a_heading_that_contradicts_the_way_is_refused_and_one_that_agrees_never(
    course: float, speed: float, sigma: float, seed: int
) -> None:
    from cloudctl import codes, maps
    from cloudctl.codes import compile_code

    code = compile_code(codes.load(maps.path("intersection.json")))
    rng = np.random.default_rng(seed)

    def way(s: float) -> tuple[float, float, float, float]:
        noise = rng.normal(0.0, sigma, 2)
        far = min(speed * s, 1e9) - 60.0
        return far * cos(course) + noise[0], far * sin(course) + noise[1], speed, course

    right = engine_of(code)
    drive(right, code, way, 30.0, lambda s: msgspec.structs.replace(s, accuracy=sigma))
    assert right.metrics.total("reject.state") == 0
    error = abs((pi / 2 - 2 * course + pi) % (2 * pi) - pi)  # of a compass heading on this course
    if radians(70) < error < radians(145):
        wrong = engine_of(code)
        outs = drive(
            wrong, code, way, 30.0 + 300.0 / speed, lambda s: compass(msgspec.structs.replace(s, accuracy=sigma))
        )
        assert wrong.metrics.total("vehicle.heading_contradicts") >= MAX_CONTRADICTIONS
        assert {reject.field for _, reject in rejects(outs)} == {"heading"}
        assert len([event for out in outs for event in out.events if "heading" in event]) >= 1


MISTAKEN_SPEEDS: dict[str, Callable[[float], float]] = {
    "km/h": lambda speed: 3.6 * speed,
    "mph": lambda speed: 2.237 * speed,
    "half of it": lambda speed: 0.5 * speed,
    "always 0": lambda speed: 0.0,
    "255 km/h, which means not available": lambda speed: 255 / 3.6,
}


def watched(way: Way, seconds: float, change: Callable[[VehicleState], VehicleState]) -> tuple[list[str], list[str]]:
    """Return the fields of the refusals, and the events, of a vehicle that is on some lane."""
    metrics = Metrics()
    events = Events(metrics)
    plausibility = Plausibility(lambda *_: True, metrics, events)
    origin = Origin(39.8, 116.5)
    fields = []
    for k in range(int(seconds * 5)):
        x, y, speed, heading = way(k * 0.2)
        lat, lon = (float(v) for v in origin.to_geodetic(x, y))
        t = T + k * 200 * MS
        try:
            plausibility.check(t, "car", change(VehicleState(t, lat, lon, speed, heading)))
        except RejectedMessage as rejection:
            fields.append(rejection.field)
    return fields, events.take()


@settings(max_examples=40)
@given(
    course=st.floats(-pi, pi),
    speed=st.floats(4.0, 25.0),
    sigma=st.floats(0.1, 0.5),
    interval=st.sampled_from([0.2, 0.4, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_a_speed_that_contradicts_the_way_is_refused_and_one_that_agrees_never(
    course: float, speed: float, sigma: float, interval: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)

    def way(seconds: float) -> tuple[float, float, float, float]:
        fix = seconds // interval * interval  # the receiver's newest position may be of a moment ago
        noise = rng.normal(0.0, sigma, 2)
        return speed * fix * cos(course) + noise[0], speed * fix * sin(course) + noise[1], speed, course

    fields, events = watched(way, 60.0, lambda s: msgspec.structs.replace(s, accuracy=0.5))
    assert "speed" not in fields
    assert not any("its speed is" in event for event in events)

    for name, mistaken in MISTAKEN_SPEEDS.items():
        if interval == 1.0 and name == "half of it":
            continue  # no unit's error; at low speed, positions so far apart hide it
        fields, events = watched(
            way,
            60.0,
            lambda s, mistaken=mistaken: msgspec.structs.replace(s, speed=mistaken(s.speed), accuracy=0.5),
        )
        assert "speed" in fields, name
        assert any("its speed is" in event for event in events)


def test_the_vehicle_with_a_speed_in_km_h_is_answered_and_its_report_is_not_used(code: CompiledCode) -> None:
    engine = engine_of(code)
    outs = drive(engine, code, lane_way(code), 15.0, lambda s: msgspec.structs.replace(s, speed=3.6 * s.speed))
    assert {reject.field for _, reject in rejects(outs)} == {"speed"}
    assert all("m/s" in reject.remedy for _, reject in rejects(outs))
    assert engine.metrics.total("reject.state") > 10


def test_a_position_that_stands_while_the_vehicle_drives_is_refused() -> None:
    fields, events = watched(lambda _: (20.0, 8.0, 13.0, -pi), 20.0, lambda s: s)
    assert set(fields) == {"speed"}
    assert len(events) == 1


@settings(max_examples=40)
@given(st.floats(1.0, 4.0), st.floats(3.0, 18.0), st.floats(5.0, 30.0), st.integers(0, 2**32))
def test_braking_standing_and_setting_off_are_no_contradiction(
    accel: float, speed: float, stand: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    change = speed / accel  # s from standing to full speed, and back
    period = 2 * change + stand + 6.0
    far = {0.0: 0.0}

    def pace(seconds: float) -> float:
        now = seconds % period
        return max(0.0, min(speed, accel * now, accel * (2 * change + 6.0 - now)))

    def way(seconds: float) -> tuple[float, float, float, float]:
        last = max(far)
        far[seconds] = far[last] + 0.5 * (pace(last) + pace(seconds)) * (seconds - last)
        return far[seconds] + float(rng.normal(0, 0.3)), 0.0, pace(seconds), 0.0

    assert watched(way, 60.0, lambda s: s) == ([], [])


def test_a_vehicle_whose_heading_agrees_again_is_taken_again(code: CompiledCode) -> None:
    engine = engine_of(code)
    assert rejects(drive(engine, code, lane_way(code), 10.0, compass))
    before = engine.metrics.total("reject.state")
    drive(engine, code, lane_way(code), 10.0, begin=T + 10 * SECOND)
    assert engine.metrics.total("reject.state") - before <= 10, "five metres on"
    assert drive(engine, code, lane_way(code), 1.0, begin=T + 20 * SECOND)[-1].rejects == []


def test_reversing_and_turning_and_standing_are_no_contradiction(code: CompiledCode) -> None:
    def reverse(s: float) -> tuple[float, float, float, float]:
        return -2.0 * s, 0.0, 2.0, 0.0

    def circle(s: float) -> tuple[float, float, float, float]:
        angle = 6.0 * s / 8.0
        return 8.0 * cos(angle), 8.0 * sin(angle), 6.0, (angle + pi / 2) % (2 * pi)

    rng = np.random.default_rng(3)

    def stand(_: float) -> tuple[float, float, float, float]:
        return float(rng.normal(0, 1.0)), float(rng.normal(0, 1.0)), 0.2, 1.0

    for way in (reverse, circle, stand):
        engine = engine_of(code)
        drive(engine, code, way, 60.0)
        assert engine.metrics.total("vehicle.heading_contradicts") == 0
        assert engine.metrics.total("reject.state") == 0


@pytest.mark.parametrize(("datum", "move"), [("GCJ-02", to_gcj02), ("BD-09", to_bd09)])
def test_a_vehicle_in_another_datum_is_refused_and_the_datum_named(code: CompiledCode, datum: str, move) -> None:
    def shifted(state: VehicleState) -> VehicleState:
        lat, lon = move(state.lat, state.lon)
        return msgspec.structs.replace(state, lat=lat, lon=lon)

    engine = engine_of(code)
    outs = drive(engine, code, lane_way(code), 14.0, shifted)
    assert {reject.field for _, reject in rejects(outs)} == {"lat, lon"}
    assert all(datum in reject.remedy for _, reject in rejects(outs))
    assert len([event for out in outs for event in out.events if datum in event]) == 1
    drive(engine, code, lane_way(code), 3.0, begin=T + 14 * SECOND)
    assert drive(engine, code, lane_way(code), 1.0, begin=T + 17 * SECOND)[-1].rejects == []


def test_who_drives_off_the_lanes_is_counted_and_heard_all_the_same(code: CompiledCode) -> None:
    x0, _, _, y1 = code.bounds
    engine = engine_of(code)

    def car_park(s: float) -> tuple[float, float, float, float]:
        return x0 + 12.0 + (4.0 * s) % 20.0, y1 - 12.0, 4.0, 0.0

    outs = drive(engine, code, car_park, 30.0)
    assert engine.metrics.total("reject.state") == 0
    assert engine.metrics.total("vehicle.off_lane") >= 5
    assert len([event for out in outs for event in out.events]) == 1


def test_nobody_in_a_scene_is_thought_implausible(scene: Scene) -> None:
    engine = Engine([scene.code.code], EngineConfig({"g": {f"r{k}": scene.code.code.id for k in range(3)}}))
    outs = [engine.step(t, batch) for t, batch in scene.run(20.0)]
    assert engine.metrics.total("reject.state") == 0
    assert [event for out in outs for event in out.events] == []


def test_the_watch_is_bounded(code: CompiledCode) -> None:
    engine = engine_of(code)
    state = VehicleState(T, 10.0, 10.0, 5.0, 0.0)
    for k in range(MAX_VEHICLES + 50):
        engine.plausibility.check(T, f"car-{k}", state)
    assert len(engine.plausibility) == MAX_VEHICLES
    assert engine.metrics.total("drop.plausibility") == 50


def test_a_vehicle_that_comes_back_after_a_long_silence_is_watched_anew(code: CompiledCode) -> None:
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}), debug=True)
    for after in (0, 19, 45, 200):
        t = T + after * SECOND
        state = VehicleState(t, code.origin.lat, code.origin.lon, 5.0, 0.0)
        engine.step(t, [RawMessage("state", "c", msgspec.json.encode(state))])
    assert len(engine.plausibility) == 1


@settings(max_examples=40)
@given(
    hz=st.sampled_from([0.5, 1.0, 2.0, 5.0, 10.0]),
    speed=st.floats(6.0, 14.0),
    accuracy=st.floats(0.5, 2.0),
    unit=st.sampled_from(["km/h", "mph"]),
    lost=st.floats(0.0, 0.15),
    seed=st.integers(0, 2**32),
)
def test_speeds_in_another_unit_are_noticed_at_every_rate_of_reports_and_speeds_in_m_s_never_are(
    hz: float, speed: float, accuracy: float, unit: str, lost: float, seed: int
) -> None:
    for change in (MISTAKEN_SPEEDS[unit], lambda speed: speed):
        rng = np.random.default_rng(seed)
        metrics = Metrics()
        plausibility = Plausibility(lambda *_: True, metrics, Events(metrics))
        x, last, now_speed, fields = 0.0, 0.0, speed, []

        for k in range(int(90 * hz)):
            seconds = max((k + rng.uniform(-0.1, 0.1)) / hz, last)
            now_speed = float(np.clip(now_speed + rng.uniform(-1.0, 1.0) * (seconds - last), 4.0, 16.0))
            x, last = x + now_speed * (seconds - last), seconds
            if rng.random() < lost:
                continue
            lat, lon = Origin(39.8, 116.5).to_geodetic(x + rng.normal(0.0, 0.5 * accuracy), 0.0)
            state = VehicleState(
                T + int(seconds * SECOND), float(lat), float(lon), change(now_speed), 0.0, accuracy=accuracy
            )
            try:
                plausibility.check(state.t, "car", state)
            except RejectedMessage as rejection:
                fields.append(rejection.field)

        assert set(fields) == (set() if change(1.0) == 1.0 else {"speed"})


@settings(max_examples=20)
@given(
    late_ms=st.integers(320, 950), jitter_ms=st.integers(0, 40), hz=st.sampled_from([1, 2, 5]), seed=st.integers(0, 99)
)
def test_a_clock_that_is_behind_by_less_than_a_report_may_be_old_is_named_once_to_its_vehicle(
    code: CompiledCode, late_ms: int, jitter_ms: int, hz: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    engine = engine_of(code)
    way, answers, events = lane_way(code), [], []

    def report(second: float, behind_ms: int) -> Output:
        x, y, speed, heading = way(second)
        lat, lon = (float(value) for value in code.origin.to_geodetic(x, y))
        t = T + int(second * SECOND)
        late = (behind_ms + int(rng.integers(0, jitter_ms + 1))) * MS
        body = VehicleState(t - late, lat, lon, speed, heading)
        return engine.step(t, [RawMessage("state", "car", msgspec.json.encode(body))])

    for k in range(12):
        out = report(k / hz, late_ms)
        answers += rejects([out])
        events += [event for event in out.events if "GNSS" in event]
    assert [(name, reject.field) for name, reject in answers] == [("car", "t")]
    assert "clock" in answers[0][1].rule
    assert len(events) == 1
    assert engine.metrics.total("vehicle.clock_behind") == 12 - CLOCK_REPORTS + 1
    assert engine.metrics.total("reject.state") == 0

    # In time again, then behind again: named again
    for k in range(12, 24):
        assert not rejects([report(k / hz, 50)])
    assert [reject.field for _, reject in rejects([report(k / hz, late_ms) for k in range(24, 40)])] == ["t"]
