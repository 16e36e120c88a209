"""Runs that were recorded in several files are one run for every command."""

from pathlib import Path

import msgspec
from recorded_runs import of_run

from bench.scene import Scene, corridor
from cloudctl import codes
from cloudctl.clock import SECOND
from cloudctl.engine import Engine
from cloudctl.io.recording.parts import parts_of
from cloudctl.io.recording.reader import Recorder
from cloudctl.payloads import encode
from cloudctl.recordings.cut import CutRequest, cut
from cloudctl.recordings.info import info
from cloudctl.recordings.merge import merge
from cloudctl.replay import replay
from cloudctl.settings import EngineConfig, RecordingLimits


def record_in_parts(path: Path) -> list[Path]:
    """Record a run of some seconds in files of 64 KiB; return them."""
    code = corridor()[0]
    config = EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}})
    engine = Engine([code.code], config)
    recorder = Recorder(path, RecordingLimits(part_bytes=64 * 1024))
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    for t, batch in Scene(code, 40).run(12.0):
        recorder.step(t, batch, [encode(advisory) for advisory in engine.step(t, batch).advisories])
        recorder.flush()
    recorder.close()
    return sorted(path.parent.glob(f"{path.stem}*"))


def test_parts_are_one_run_and_merge_to_one_file_that_replays_to_the_same_bytes(tmp_path: Path) -> None:
    files = record_in_parts(tmp_path / "run.mcap")
    assert len(files) >= 3
    found = info(files[1])
    assert len(found.parts) == len(files)
    assert found.steps == 360

    written = merge([files[-1]], tmp_path / "one.mcap")
    assert written.is_prefix
    assert replay(tmp_path / "one.mcap").identical
    together = [entry for file in sorted(files, key=lambda file: (len(file.name), file.name)) for entry in of_run(file)]
    assert of_run(tmp_path / "one.mcap") == together


def test_a_cut_across_parts_holds_all_of_its_time(tmp_path: Path) -> None:
    files = record_in_parts(tmp_path / "run.mcap")
    begin = info(files[0]).begin
    written = cut(files[0], tmp_path / "cut.mcap", CutRequest(begin + 3 * SECOND, begin + 9 * SECOND))
    assert written.kept["tick"] == 181
    assert cut(files[0], tmp_path / "prefix.mcap", CutRequest(last=begin + 9 * SECOND)).is_prefix
    assert replay(tmp_path / "prefix.mcap").identical


def test_of_copies_of_a_part_the_one_that_is_named_is_read(tmp_path: Path) -> None:
    files = record_in_parts(tmp_path / "run.mcap")
    whole = (tmp_path / "run.mcap").read_bytes()
    for name in ("a.mcap", "zz.mcap"):  # before and after it in the order of names
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    named = tmp_path / "run.mcap"
    assert sorted(part.name for part in parts_of(named)[0]) == [file.name for file in files]
    assert info(named).is_whole
    assert parts_of(tmp_path / "a.mcap")[0][0].name == "a.mcap"
    assert not info(tmp_path / "a.mcap").is_whole
