"""`cloudctl recording` as a person uses it."""

import json
from pathlib import Path

import pytest
from paths import GOLDEN

from cloudctl.__main__ import main


def test_info_prints_what_a_recording_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recording", "info", str(GOLDEN)]) == 0
    text = capsys.readouterr().out
    assert "2026-01-01T00:00:00.040Z to 2026-01-01T00:00:05.964Z, 5.9 s, 180 steps" in text
    assert "in/perception: 180" in text
    assert "roadside unit r0 at UST1." in text
    assert main(["recording", "info", str(GOLDEN), "--json", "--check"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["is_read"] is True
    assert found["trouble"] == []


def test_info_checked_fails_at_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(GOLDEN.read_bytes())
    data[len(data) * 3 // 4] ^= 0x10
    (tmp_path / "run.mcap").write_bytes(data)
    assert main(["recording", "info", str(tmp_path / "run.mcap"), "--check"]) == 1
    assert "damaged" in capsys.readouterr().out


def test_cut_and_merge_say_what_they_kept_and_dropped_and_check_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, rest, merged = (str(tmp_path / name) for name in ("first.mcap", "rest.mcap", "merged.mcap"))
    assert main(["recording", "cut", str(GOLDEN), "--to", "+3", "--out", first, "--check"]) == 0
    text = capsys.readouterr().out
    assert "dropped 89 of in/perception: outside of the time asked for" in text
    assert "replayed: byte-identical, all 3 recorded advisories" in text

    words = ["recording", "cut", str(GOLDEN), "--from", "2026-01-01T00:00:03.041+00:00", "--out", rest]
    assert main([*words, "--check"]) == 1
    text = capsys.readouterr().out
    assert "a replay of it does not give the recorded bytes: the 3.0 s before it are missing" in text
    assert "replayed: first difference" in text

    assert main(["recording", "merge", first, rest, "--out", merged, "--check"]) == 0
    assert "replayed: byte-identical, all 5 recorded advisories" in capsys.readouterr().out
    assert main(["recording", "merge", first, first, "--out", str(tmp_path / "no.mcap")]) == 2
    assert "named twice" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["yesterday", "2026-01-01T00:00:03", "+x", "+1e400", "10", "1767225603"])
def test_a_time_that_is_none_is_refused_with_how_to_write_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    words = ["recording", "cut", str(GOLDEN), "--from", text, "--out", str(tmp_path / "cut.mcap")]
    assert main(words) == 2
    assert "--from" in capsys.readouterr().err


def test_a_check_of_a_cut_without_advisories_does_not_call_them_identical(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "cut.mcap")
    assert main(["recording", "cut", str(GOLDEN), "--topic", "tick", "--out", out, "--check"]) == 0
    text = capsys.readouterr().out
    assert "it holds no advisory, and the replay gave none" in text
    assert "byte-identical" not in text
