"""`cloudctl eval`, its scenes and its measures."""

from pathlib import Path

import numpy as np
import pytest
from cloudctl.sim.common.score import ospa2, score
from cloudctl.sim.tracking import evaluate, mcity, mcity_eval, trajectories
from cloudctl.sim.tracking.scenes import CASES, one_sensor
from made_trials import make_trials
from paths import MCITY

from cloudctl.__main__ import main


def moments(shift: float, swap_at: int = 99) -> list:
    ids, xy = np.array([0, 1]), np.array([[0.0, 0.0], [10.0, 0.0]])
    return [(ids, xy, (ids if k < swap_at else ids[::-1]) + 5, xy + np.array([shift, 0.0])) for k in range(20)]


def test_scenes_follow_from_their_seed_alone() -> None:
    for make in CASES.values():
        one, two, other = (make(seed) for seed in (3, 3, 4))
        assert [s.rows.tobytes() for s in one.scans] == [s.rows.tobytes() for s in two.scans]
        assert [s.rows.tobytes() for s in one.scans] != [s.rows.tobytes() for s in other.scans]
        assert [s.arrival for s in one.scans] == sorted(s.arrival for s in one.scans)


def test_a_scene_is_as_noisy_and_full_as_it_says() -> None:
    case = one_sensor(1, 60, 100)
    seen = np.mean([len(s.rows) for s in case.scans])
    assert seen == pytest.approx(60 * (0.9 + 0.05), rel=0.05)
    assert all(len(ids) == 60 and np.abs(xy).max() < 62 for _, ids, xy in case.truth)


def test_measures_of_known_errors() -> None:
    right = score(moments(0.3), 2.0)
    assert (right["mota"], right["idf1"], right["hota_match"]) == (1.0, 1.0, 1.0)
    assert right["rmse_m"] == pytest.approx(0.3)
    assert right["gospa"] == pytest.approx(0.3 * 2**0.5)
    assert ospa2(moments(0.3)) == pytest.approx(0.3)
    swapped = score(moments(0.3, 10), 2.0)
    assert swapped["id_switches"] == 2
    assert swapped["idf1"] == pytest.approx(0.5)
    assert ospa2(moments(0.3, 10)) > 1.0


def test_ospa2_charges_who_is_missing_or_made_up() -> None:
    ids, xy = np.array([0]), np.zeros((1, 2))
    nobody = [(ids, xy, np.array([], int), np.empty((0, 2)))] * 10
    assert ospa2(nobody) == pytest.approx(4.0)
    assert ospa2([(ids[:0], xy[:0], ids[:0], xy[:0])] * 5) == 0.0


def test_the_command_prints_a_table_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "eval.png"
    assert main(["eval", "--scene", "one", "--seeds", "1", "--plot", str(plot)]) == 0
    out = capsys.readouterr().out
    assert "one sensor" in out
    assert "OSPA(2)" in out
    assert plot.stat().st_size > 10_000


def test_recorded_road_users_are_scored_without_and_with_dropouts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "walkers.csv"
    rows = [f"P{n},{100 * k},{0.13 * k},{4.0 * n}" for n in range(12) for k in range(150)]
    file.write_text("\n".join(["track_id,timestamp_ms,x,y", *rows]))
    case = trajectories.cases(file, seed=1)[0]
    assert np.mean([len(ids) for _, ids, _ in case.truth]) == pytest.approx(trajectories.PRESENT, rel=0.35)

    assert main(["eval", "--trajectories", str(file), "--seeds", "1"]) == 0
    assert "walkers, lost for 1 to 2 s" in capsys.readouterr().out


def test_a_file_without_trajectories_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "walkers.csv"
    for content, remedy in (("track_id,x\n", "timestamp_ms, y"), ("track_id,timestamp_ms,x,y\n", "some")):
        file.write_text(content)
        assert main(["eval", "--trajectories", str(file)]) == 2
        assert remedy in capsys.readouterr().err


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--scene", "nowhere"]) == 2
    assert "one, crowd, three" in capsys.readouterr().err
    assert main(["eval", "--mcity", str(tmp_path)]) == 2
    assert "--mcity FOLDER" in capsys.readouterr().err
    assert main(["eval", "--recording", "run.mcap"]) == 2
    assert "--truth" in capsys.readouterr().err


def figures_of_trial(folder: Path, latency_ms: float) -> dict[str, float]:
    """Return the tracker's figures for trial 3, with the latency that trial 2 shows."""
    source = mcity_eval.probe_latency(folder)
    assert source.latency_ms == pytest.approx(latency_ms, abs=20)
    trial = mcity.load(folder, "3")
    vendor = mcity_eval.mcity_moments(trial, source, False)
    return evaluate.figures(mcity_eval.seen_only(mcity_eval.mcity_moments(trial, source, True), vendor), mcity.MATCH_M)


@pytest.mark.parametrize("latency_ms", [50, 150, 250])
def test_the_latency_of_made_roadside_units_is_found_and_identities_hold(tmp_path: Path, latency_ms: int) -> None:
    make_trials(tmp_path, latency=latency_ms / 1000)
    figures = figures_of_trial(tmp_path, latency_ms)
    assert figures["mota"] > 0.95
    assert figures["id_switches"] == 0


@pytest.mark.skipif(
    not (MCITY / "dets").is_dir(), reason="the Mcity trials are not here: set CLOUDCTL_MCITY to their folder"
)
def test_the_latency_of_real_roadside_units_is_found_and_identities_hold() -> None:
    figures = figures_of_trial(MCITY, 150)
    assert figures["mota"] > 0.95
    assert figures["id_switches"] == 0
