"""Old recordings are deleted by the operator's limits, and nothing else is."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import Writer
from recordings import Stopwatch, begun, fill

from cloudctl.clock import SECOND, WallClock
from cloudctl.settings import RecordingLimits

DAY = 86_400 * SECOND


def recorded(folder: Path, name: str, days_old: float, size: int = 400_000) -> Path:
    """Record a closed run of about `size` bytes that was last written to `days_old` days ago."""
    recorder = begun(folder / name)
    fill(recorder, 0, max(size // 700, 1))
    recorder.close()
    then = WallClock().now() - int(days_old * DAY)
    os.utime(recorder.first, ns=(then, then))
    return recorder.first


def test_nothing_is_deleted_unless_the_operator_sets_a_limit(tmp_path: Path) -> None:
    kept = [recorded(tmp_path, "run.mcap", 4000) for _ in range(3)]
    recorder = begun(tmp_path / "run.mcap")
    recorder.flush()
    recorder.close()
    assert all(file.exists() for file in kept)
    assert recorder.notices() == []


def test_the_oldest_of_ours_are_deleted_over_the_byte_limit_and_nobody_elses(tmp_path: Path) -> None:
    ours = [recorded(tmp_path, "run.mcap", 3 - k) for k in range(4)]
    others = [
        tmp_path / name for name in ("run-notes.mcap", "run-20200101T000000Z-1.mcap", "run.mcap.bak", "kept.mcap")
    ]
    for file in others[:-1]:
        file.write_bytes(b"somebody else's" * 60_000)
    ours[0].rename(others[-1])  # renamed by hand: meant to be kept
    with (tmp_path / "run-20200102T000000Z-1.mcap").open("wb") as stream:  # another program's MCAP of a name like ours
        writer = Writer(stream)
        writer.start()
        writer.finish()
    others.append(tmp_path / "run-20200102T000000Z-1.mcap")
    running = begun(tmp_path / "run.mcap")
    fill(running, 0, 600)
    running.flush()
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(keep_bytes=1_000_000))
    assert recorder.path != running.path
    assert all(file.exists() for file in others)
    assert running.path.exists(), "another node writes to it"
    assert [file.exists() for file in ours[1:]] == [False, False, True]
    notices = recorder.notices()
    assert len(notices) == 2
    assert all("keep_mb" in line for line in notices)
    assert recorder.notices() == []
    recorder.close()
    running.close()


def test_recordings_over_the_age_limit_are_deleted(tmp_path: Path) -> None:
    old, new = recorded(tmp_path, "run.mcap", 8), recorded(tmp_path, "run.mcap", 6)
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(keep_ns=7 * DAY))
    recorder.close()
    assert (old.exists(), new.exists()) == (False, True)


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=30), keep_kb=st.integers(200, 2000))
def test_a_folder_keeps_to_its_limit_whatever_is_recorded(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], keep_kb: int
) -> None:
    folder = tmp_path_factory.mktemp("limits")
    limits = RecordingLimits(part_bytes=keep_kb * 1000 // 4, keep_bytes=keep_kb * 1000)
    with pytest.MonkeyPatch.context() as patch:
        watch = Stopwatch(patch)
        for _ in range(2):
            recorder = begun(folder / "run.mcap", limits)
            for k, size in enumerate(sizes):
                fill(recorder, k, 1, size * 500)
                recorder.flush()
            watch.put_on(60)  # the folder is looked at every ten seconds
            recorder.flush()
            total = sum(file.stat().st_size for file in folder.iterdir())
            assert total <= (limits.keep_bytes or 0)
            recorder.close()
    shutil.rmtree(folder)
