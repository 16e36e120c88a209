"""Recording and reading back: whole, cut off, damaged, and with nowhere to write."""

from pathlib import Path

import pytest

from cloudctl.io.recording.reader import Recorder, Recording, RecordingError
from cloudctl.schema import RawMessage


def write(path: Path, steps: int = 3000) -> Path:
    recorder = Recorder(path)
    recorder.meta("config", b"{}")
    for k in range(steps):
        recorder.step(
            1000 + k, [RawMessage("perception", "g", bytes([k % 251]) * 700)], [b'{"n":%d}' % k] if k % 3 == 0 else []
        )
    recorder.close()
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    recording = Recording(write(tmp_path / "run.mcap"))
    steps = list(recording.steps())
    assert recording.meta == [("config", b"{}")]
    assert recording.fault is None
    assert [step.t for step in steps] == list(range(1000, 4000))
    assert steps[4].batch == (RawMessage("perception", "g", bytes([4]) * 700),)
    assert steps[3].advisories == (b'{"n":3}',)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_off_file_gives_what_is_whole(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "run.mcap")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    recording = Recording(path)
    steps = list(recording.steps())
    assert [step.t for step in steps] == list(range(1000, 1000 + len(steps)))
    assert recording.fault is not None
    assert "damaged or cut off" in recording.fault


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "run.mcap")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    recording = Recording(path)
    steps = list(recording.steps())
    assert len(steps) < 3000
    assert recording.fault is not None


@pytest.mark.parametrize("data", [b"", b"not a recording at all" * 50])
def test_a_file_that_is_no_recording(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(data)
    recording = Recording(path)
    assert list(recording.steps()) == []
    assert recording.fault is not None


def test_a_full_disk_ends_the_recording_and_says_so() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full to stand for a full disk")
    recorder = Recorder(full)
    for k in range(2000):
        recorder.step(k, [RawMessage("perception", "g", b"x" * 700)], [])
    recorder.close()
    assert recorder.failure is not None
    assert "No space left" in recorder.failure


def test_a_folder_that_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="Choose another path"):
        Recorder(tmp_path / "file" / "run.mcap")


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="--record"):
        Recording(tmp_path / "absent.mcap")
