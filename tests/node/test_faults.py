"""A fault in one part of an engine takes nothing from another: exceptions injected everywhere."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from fault_injection import Broken, fails
from two_intersections import advised, elsewhere, two_places

from bench.scene import Scene
from cloudctl import codes
from cloudctl.clock import MS, SECOND
from cloudctl.engine import Engine, Output
from cloudctl.faults import REPEAT, FaultReport, Faults
from cloudctl.io.recording.reader import Recorder
from cloudctl.metrics import Metrics
from cloudctl.payloads import encode_all
from cloudctl.planner.kinds import glosa
from cloudctl.replay import replay
from cloudctl.schema import AdvisoryKind, Hello, RawMessage, Sensor
from cloudctl.settings import EngineConfig

T = 1_767_225_600 * SECOND


def drive(
    scenes: tuple[Scene, Scene], engine: Engine, seconds: float = 4.0, recorder: Recorder | None = None
) -> list[Output]:
    """Run both intersections; the second's units are s0, s1, s2 of gateway h and its vehicle is `van`."""
    outs = []
    for (t, batch), (_, other) in zip(scenes[0].run(seconds), scenes[1].run(seconds), strict=True):
        batch = [*batch, *(elsewhere(datum) for datum in other)]
        out = engine.step(t, batch)
        if recorder:
            recorder.step(t, batch, [payload for _, payload in encode_all(out.advisories, engine.faults)])
        outs.append(out)
    return outs


def test_a_plan_that_fails_is_published_as_degraded_and_the_other_intersection_is_advised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second, engine = two_places()
    works, name = glosa.plan, first.code.code.id
    monkeypatch.setattr(
        glosa, "plan", lambda world, *more: fails() if world.code.code.id == name else works(world, *more)
    )
    recorder = Recorder(tmp_path / "run.mcap")
    recorder.meta("config", msgspec.json.encode(engine.config))
    for place in engine.intersections.values():
        recorder.meta("code", codes.dump(place.code.code))
    outs = drive((first, second), engine, recorder=recorder)
    recorder.close()
    assert advised(outs, name) == {AdvisoryKind.DEGRADED}
    assert AdvisoryKind.GLOSA in advised(outs, second.code.code.id)
    said = next(a for out in outs for a in out.advisories if a.intersection == name)
    assert said.target == f"intersection:{name}"
    assert "fault of the node" in said.reason
    assert "Broken" not in said.reason
    errors = [fault for out in outs for fault in out.errors]
    assert {(fault.place, fault.source) for fault in errors} == {("plan", name)}
    assert [bool(fault.text) for fault in errors] == [True] + [False] * (len(errors) - 1), "described once"
    assert "made to fail" in errors[0].text
    assert engine.metrics.counters["fault.plan", name] == len(errors) > 10
    result = replay(tmp_path / "run.mcap")
    assert result.difference is None, "the same fault gives the same advisories"
    assert sum(result.faults.values()) == len(errors)
    monkeypatch.setattr(glosa, "plan", works)
    again = drive((first, second), engine, 0.0) or [engine.step(T + 10 * SECOND, [])]
    assert not any(fault for out in again for fault in out.errors)


PLACES = {
    "ingest of one kind": (lambda m: m.setattr("cloudctl.ingest.messages.usable_hello", fails), "ingest", "hello"),
    "a hello": (lambda m: m.setattr("cloudctl.sensor_health.Sensing.declare", fails), "handle", "hello"),
    "a signal": (lambda m: m.setattr("cloudctl.signals.quality.SignalQuality.observe", fails), "handle", "signal"),
    "a report": (lambda m: m.setattr("cloudctl.vehicles.VehicleRegistry.reported", fails), "report", "state"),
    "a world": (lambda m: m.setattr("cloudctl.plan_runner.build_all", fails), "plan", ""),
    "an advisory's choice": (lambda m: m.setattr("cloudctl.planner.AdvisoryFilter.choose", fails), "degraded", ""),
    "decoding of objects": (
        lambda m: m.setattr("cloudctl.ingest.frames.decode_batch", _empty_or(fails)),
        "decode",
        "perception",
    ),
    "fusion": (lambda m: m.setattr("cloudctl.scans.update_batch", fails), "fuse", ""),
}


def _empty_or(fail: Callable) -> Callable:
    from cloudctl.fusion import decode_batch

    return lambda payloads, shifts=None: fail() if payloads else decode_batch(payloads, shifts)


@pytest.mark.parametrize("name", PLACES)
def test_a_fault_in_one_place_is_counted_and_the_step_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inject, place, kind = PLACES[name]
    first, second, engine = two_places()
    inject(monkeypatch)
    sensor = Sensor("fused", lat=first.lat, lon=first.lon)
    hello = RawMessage("hello", "g", msgspec.msgpack.encode(Hello(1, "g", ("r0",), (sensor,))))
    outs = [engine.step(T - MS, [hello]), *drive((first, second), engine, 2.0)]
    assert engine.metrics.total(f"fault.{place}") > 0
    if kind:
        faulty = {source for (counter, source), _ in engine.metrics.counters.items() if counter == f"fault.{place}"}
        assert kind in faulty
    rejects = [body for out in outs for _, sort, body in out.replies if sort == "reject"]
    if place in ("ingest", "handle", "decode"):
        assert rejects
        assert all(
            body.field == "body" and "the node could not process it" in body.rule and body.remedy for body in rejects
        )
    if place not in ("decode", "plan", "degraded"):
        assert engine.intersections[second.code.code.id].planned > T
    if place == "plan":
        assert advised(outs, first.code.code.id) == {AdvisoryKind.DEGRADED}


def test_one_bad_frame_of_many_is_the_only_one_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    from cloudctl.fusion import decode_batch

    first, second, engine = two_places()
    bad = first.perception("r0", 0, T)
    block = bytes(msgspec.msgpack.decode(bad, type=dict[str, msgspec.Raw])["o"])
    monkeypatch.setattr(
        "cloudctl.ingest.frames.decode_batch",
        lambda payloads, shifts=None: fails() if block in payloads else decode_batch(payloads, shifts),
    )
    good = [RawMessage("perception", "g", first.perception(f"r{k}", 0, T)) for k in (1, 2)]
    out = engine.step(
        T,
        [
            good[0],
            RawMessage("perception", "g", bad),
            good[1],
            elsewhere(RawMessage("perception", "h", second.perception("r0", 0, T))),
        ],
    )
    assert engine.metrics.total("accept.perception") == 3
    assert [body.kind for _, sort, body in out.replies if sort == "reject"] == ["perception"]
    assert engine.metrics.total("fault.decode") == 1


def test_a_revision_that_cannot_be_made_leaves_its_intersection_silent_and_others_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, engine = two_places()
    begins = T + 2 * SECOND
    later = msgspec.structs.replace(first.code.code, revision=2, valid_from=begins)
    engine.announce(later, T - 10 * SECOND)
    monkeypatch.setattr("cloudctl.revisions.compile_code", fails)
    outs = drive((first, second), engine)
    late = [a for out in outs for a in out.advisories if a.t >= begins]
    assert late
    assert {a.intersection for a in late} == {second.code.code.id}
    assert engine.metrics.total("fault.revision") == 1


def test_in_debugging_the_first_fault_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, _ = two_places()
    engine = Engine([first.code.code], EngineConfig({"g": {f"r{k}": first.code.code.id for k in range(3)}}), debug=True)
    monkeypatch.setattr(glosa, "plan", fails)
    steps = first.run(2.0)
    with pytest.raises(Broken):
        list(map(engine.step, *zip(*steps, strict=True)))


def test_a_cause_is_described_once_and_repeated_once_a_minute_with_its_count() -> None:
    metrics, report = Metrics(), FaultReport()
    faults, lines = Faults(metrics), []
    for second in range(150):
        for _ in range(10):
            try:
                fails()
            except Broken as error:
                faults.note("plan", "X", error)
        lines += report.lines(second * SECOND, faults.take())
    assert len(lines) == 1 + 149 * SECOND // REPEAT
    assert "Traceback" in lines[0]
    assert "made to fail" in lines[0]
    assert "again, 609 times in 60 s" in lines[1]
    assert metrics.total("fault.plan") == 1500


@pytest.mark.parametrize("part", ["hazards", "reports", "priority"])
def test_a_fault_in_one_intersections_state_takes_no_plan_from_the_others_of_the_step(part: str) -> None:
    first, second, engine = two_places()
    broken, sound = (engine.intersections[scene.code.code.id] for scene in (first, second))
    setattr(broken, part, None)
    planned, faulty = 0, set()
    for out in drive((first, second), engine, 3.0):
        planned += any(intersection is sound for intersection in out.planned)
        faulty |= {(fault.place, fault.source) for fault in out.errors}
    assert planned > 10
    assert {source for place, source in faulty if place == "plan"} == {first.code.code.id}
