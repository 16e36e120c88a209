"""The engine: tracks and advice from a made-up scene; the same bytes every time; replay and its proof."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.bench_replay import record
from bench.scene import Scene
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.codes.citycode import make, sub_code
from cloudctl.engine import Engine, encode
from cloudctl.io.recording.reader import Recorder, Recording, RecordingError
from cloudctl.replay import replay
from cloudctl.schema import AdvisoryKind, RawMessage, VehicleState
from cloudctl.settings import EngineConfig

T = 1_767_225_600 * SECOND


def config(code: CompiledCode) -> EngineConfig:
    return EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}})


def run(code: CompiledCode, scene: Scene, seconds: float = 8.0) -> tuple[Engine, list[bytes]]:
    engine, said = Engine([code.code], config(code)), []
    for t, batch in scene.run(seconds):
        said += [encode(advisory) for advisory in engine.step(t, batch).advisories]
    return engine, said


def test_a_scene_becomes_tracks_and_advice(code: CompiledCode, scene: Scene) -> None:
    engine, said = run(code, scene)
    place = engine.intersections[code.code.id]
    tracks = place.fusion.tracks(place.t_sensor)
    assert (
        25 <= (tracks["status"] == 1).sum() <= 34
    )  # road users jump back at the end of their lane, and leave a coasting track there
    assert (tracks["vehicle"] > 0).sum() == 1
    assert b'"glosa"' in b"".join(said)
    assert engine.metrics.total("reject.perception") == 0


@pytest.mark.parametrize(
    ("movements", "advised"),
    [(None, True), ((), False), ((sub_code(make("110000", "IX", "N50J572077A237", 9), "C1"),), False)],
)
def test_whose_route_leaves_the_road_before_gets_no_speed_advice(
    code: CompiledCode, scene: Scene, movements: tuple[str, ...] | None, advised: bool
) -> None:
    """Who says nothing of his route is taken to stay on a lane that leads one way only; who says that it does not lead
    here is believed.
    """
    engine, said = Engine([code.code], config(code)), set[AdvisoryKind]()
    lane = next(
        k
        for k in range(code.n_lanes)
        if code.lane_tables.only[k] >= 0 and code.lane_role[k] == 0 and code.lane_use[k] == 0
    )
    x, y = code.path_xy[code.path_start[lane]]
    x1, y1 = code.path_xy[code.path_start[lane] + 1]
    lat, lon = (float(v) for v in code.origin.to_geodetic(x + 0.3 * (x1 - x), y + 0.3 * (y1 - y)))
    for t, batch in scene.run(3.0):
        rest = [datum for datum in batch if datum.kind != "state"]
        state = VehicleState(t, lat, lon, 0.0, float(np.arctan2(y1 - y, x1 - x)), movements=movements)
        said |= {
            a.kind
            for a in engine.step(t, [*rest, RawMessage("state", "c", msgspec.json.encode(state))]).advisories
            if a.target == "vehicle:c"
        }
    assert (AdvisoryKind.GLOSA in said) == advised


def test_two_runs_say_the_same_bytes(code: CompiledCode) -> None:
    assert run(code, Scene(code, 30))[1] == run(code, Scene(code, 30))[1]


def test_advice_is_within_the_limit_and_its_time(code: CompiledCode, scene: Scene) -> None:
    engine = Engine([code.code], config(code))
    for t, batch in scene.run(8.0):
        for advisory in engine.step(t, batch).advisories:
            assert advisory.t == t < advisory.valid_until
            assert advisory.speed is None or 0.0 <= advisory.speed <= max(code.lane_speed) + 1e-6
            assert advisory.reason
            assert "{" not in advisory.reason


def test_stale_signals_withhold_advice_and_say_why(code: CompiledCode, scene: Scene) -> None:
    engine = Engine([code.code], config(code))
    said = []
    for t, batch in scene.run(6.0):
        late = t > T + 3 * SECOND
        said += [(t, a) for a in engine.step(t, [d for d in batch if not (late and d.kind == "signal")]).advisories]
    after = [a for t, a in said if t > T + 4 * SECOND]
    assert not any(a.kind is AdvisoryKind.GLOSA for a in after)
    assert any(a.kind is AdvisoryKind.DEGRADED and "old" in a.reason for a in after)


def test_a_revision_mismatch_withholds_advice_and_says_why(code: CompiledCode, scene: Scene) -> None:
    newer = msgspec.structs.replace(code.code, revision=2)
    engine, said = Engine([newer], config(code)), []
    for t, batch in scene.run(3.0):
        said += engine.step(t, batch).advisories
    assert not any(a.kind is AdvisoryKind.GLOSA for a in said)
    assert any("revision 1" in a.reason and "revision 2" in a.reason for a in said)


def test_an_rsu_bound_to_an_unknown_intersection_is_refused(code: CompiledCode) -> None:
    with pytest.raises(ValueError, match="no digital code"):
        Engine([code.code], EngineConfig({"g": {"r": "elsewhere"}}))


def test_a_recording_replays_byte_identical(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    record(path, 5.0, 30)
    result = replay(path)
    assert result.recorded > 0
    assert (result.difference, result.fault) == (None, None)


def test_a_changed_recording_is_found_out(tmp_path: Path, code: CompiledCode) -> None:
    path, other = tmp_path / "run.mcap", tmp_path / "other.mcap"
    record(path, 5.0, 30)
    recording = Recording(path)
    recorder = Recorder(other)
    for name, data in recording.meta:
        recorder.meta(name, data)
    for step in recording.steps():
        recorder.step(step.t, step.batch, [said.replace(b'"severity":2', b'"severity":1') for said in step.advisories])
    recorder.close()
    result = replay(other)
    assert not result.identical
    assert "severity" in str(result.difference)


def test_a_cut_off_recording_replays_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    record(path, 5.0, 30)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    result = replay(path)
    assert result.fault is not None
    assert result.difference is None


def test_a_file_without_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.mcap").write_bytes(b"nothing")
    with pytest.raises(RecordingError, match="holds no run"):
        replay(tmp_path / "no.mcap")


def test_plans_are_due_without_data_and_then_rest(code: CompiledCode, scene: Scene) -> None:
    engine = Engine([code.code], config(code))
    engine.step(T, [RawMessage("perception", "g", scene.perception("r0", 0, T))])
    plans, t = 0, T
    while (due := engine.next_plan()) is not None and plans < 100:
        t = due
        engine.step(t, [])
        plans += 1
    assert t - T < 3 * SECOND
    assert 10 <= plans < 60
    assert engine.intersections[code.code.id].planned > T + 1800 * MS


def test_planned_on_every_frame_nothing_else_asks_for_a_plan(code: CompiledCode, scene: Scene) -> None:
    engine, plans = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}, period_ms=0, refresh=0.0)), 0
    for k in range(100):
        t = T + 10 * k * MS
        engine.step(t, [RawMessage("perception", "g", scene.perception("r0", k, t))])
        assert engine.intersections[code.code.id].planned == t
        while (due := engine.next_plan()) is not None and due < t + 10 * MS:
            engine.step(due, [])
            plans += engine.intersections[code.code.id].planned == due
    assert plans == 0
