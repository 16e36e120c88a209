"""Recordings on a real disk: never written over, and in parts that are read as one run."""

import os
import stat
from pathlib import Path

import msgspec
import pytest
from deadlines import until
from recordings import begun, fill, times

from bench.scene import Scene, corridor
from cloudctl import codes
from cloudctl.clock import SECOND
from cloudctl.engine import Engine, encode
from cloudctl.io.recording.reader import Recorder, Recording, RecordingError
from cloudctl.replay import replay
from cloudctl.settings import EngineConfig, RecordingLimits


def test_a_recording_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "today.mcap"
    written = {}
    for run in range(4):  # within one second
        recorder = begun(path)
        fill(recorder, 100 * run, 10)
        recorder.close()
        written[recorder.first] = recorder.first.read_bytes()
    assert len(written) == 4
    assert next(iter(written)) == path
    for run, (file, data) in enumerate(written.items()):
        assert file.read_bytes() == data
        assert times(file) == list(range(1000 + 100 * run, 1010 + 100 * run)), "one run is not read as another's"


def test_what_is_recorded_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        recorder = begun(tmp_path / "runs" / "today.mcap")
    finally:
        os.umask(before)
    recorder.close()
    assert stat.S_IMODE(recorder.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(recorder.path.parent.stat().st_mode) == 0o700


def test_a_run_in_parts_is_read_whole_from_any_of_them_or_the_folder(tmp_path: Path) -> None:
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(part_bytes=300_000))
    fill(recorder, 0, 3000)
    recorder.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 4
    for given_path in (*files, tmp_path):
        assert times(given_path) == list(range(1000, 4000))
    other = begun(tmp_path / "other.mcap")
    fill(other, 0, 3)
    other.close()
    assert times(files[-1]) == list(range(1000, 4000))
    with pytest.raises(RecordingError, match="2 recorded runs"):
        Recording(tmp_path)


def test_parts_are_begun_by_time_too(tmp_path: Path) -> None:
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(part_ns=SECOND // 5))

    def another() -> bool:
        fill(recorder, len(times_seen), 1)
        times_seen.append(1)
        recorder.flush()
        return len(list(tmp_path.iterdir())) >= 3

    times_seen: list[int] = []
    until(another, what="a third part")
    recorder.close()
    assert times(tmp_path) == list(range(1000, 1000 + len(times_seen)))


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(part_bytes=300_000))
    fill(recorder, 0, 3000)
    recorder.close()
    (tmp_path / "run.mcap").unlink()
    recording = Recording(next(tmp_path.iterdir()))
    assert "part 1 of this run is not there" in recording.notes[0]
    assert recording.meta == [("config", b"{}")], "every part carries what a replay needs first"


def test_a_rotated_run_replays_byte_identical(tmp_path: Path) -> None:
    code = corridor()[0]
    config = EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}})
    engine, recorder = Engine([code.code], config), Recorder(tmp_path / "run.mcap", RecordingLimits(part_bytes=70_000))
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    for k, (t, batch) in enumerate(Scene(code, 30).run(12.0)):
        recorder.step(t, batch, [encode(a) for a in engine.step(t, batch).advisories])
        if k % 10 == 0:
            recorder.flush()
    recorder.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) >= 3
    for path in (files[0], files[-1], tmp_path):
        result = replay(path)
        assert (result.difference, result.fault, result.notes) == (None, None, [])
        assert result.recorded > 0
        assert result.steps == 360
