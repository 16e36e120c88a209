"""The reference recording: what the node said to it once, it says again, byte for byte."""

import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import PATIENCE
from make_golden import FILE
from recordings import begun, fill

from cloudctl.io.recording.software import software
from cloudctl.recordings.info import info
from cloudctl.replay import replay

OLDER = sorted((FILE.parent / "older").glob("*.mcap"))


def test_the_reference_is_said_again() -> None:
    result = replay(FILE)
    assert result.fault is None
    assert result.recorded > 3
    assert result.difference is None, (
        f"{result.difference}\nWhere this is meant, make the reference anew (PYTHONPATH=. python tests/make_golden.py)"
        " and say why in the commit"
    )


@pytest.mark.parametrize("file", OLDER, ids=lambda file: file.stem)
def test_what_an_older_version_recorded_is_replayed_and_a_difference_is_explained(file: Path) -> None:
    result = replay(file)
    assert (result.fault, dict(result.faults), result.steps, result.messages) == (None, {}, 180, 252)
    assert result.advisories > 0

    done = subprocess.run(
        [sys.executable, "-m", "cloudctl", "replay", "--compare", str(file)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "first difference: step " in done.stdout
    assert f"recorded by a version that does not name itself, this is {software()}" in done.stdout


def test_a_recording_names_the_software_that_made_it(tmp_path: Path) -> None:
    recorder = begun(tmp_path / "run.mcap")
    fill(recorder, 0, 10)
    recorder.close()
    assert info(tmp_path / "run.mcap").software == software()
    assert "+" in software()
