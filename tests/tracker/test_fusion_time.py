"""Time, place and crowds: no stamp, no origin and no number of detections in one place decides what becomes of the
others.
"""

import numpy as np
import pytest
from cloudctl.sim.tracking.evaluate import figures, follow
from cloudctl.sim.tracking.scenes import Case, Scan, one_sensor
from sightings import STEP, T, drive_two

from cloudctl.clock import MS, SECOND
from cloudctl.fusion import Fusion, FusionConfig, detections, update_batch


def test_after_the_last_scan_nothing_is_given_out_once_coast_is_over() -> None:
    fusion = Fusion(FusionConfig(coast_ms=2000))
    drive_two(fusion, range(30))
    last = T + 29 * STEP
    assert len(fusion.tracks(last + 1900 * MS)) == 2
    for later in (2100 * MS, 10 * SECOND, 3600 * SECOND, 10**9 * SECOND):
        assert len(fusion.tracks(last + later)) == 0
    assert len(fusion.tracks(last - 3600 * SECOND)) == 0, "nor long before"
    assert len(fusion.tracks(last)) == 2, "asking changes nothing"


@pytest.mark.parametrize("sources", [1, 2, 3])
@pytest.mark.parametrize("ahead", [11 * SECOND, 3600 * SECOND, 10**6 * SECOND])
def test_one_scan_stamped_far_ahead_is_refused_and_counted_and_blocks_nobody(sources: int, ahead: int) -> None:
    fusion = Fusion()
    for k in range(60):
        for source in range(sources):
            fusion.update(T + k * STEP + source * 10 * MS, source, detections([[0.8 * k, 0.0]]))
        if k % 20 == 10:
            fusion.update(T + k * STEP + ahead, k % sources, detections([[0.8 * k, 0.0]]))
    tracks, stats = fusion.tracks(T + 59 * STEP), fusion.stats()
    assert tracks["id"].tolist() == [1]
    assert stats["refused_ahead"] == 3
    assert sum(s["scans"] for s in stats["sources"].values()) == 60 * sources


def test_a_source_whose_clock_is_an_hour_ahead_does_not_take_the_others_with_it() -> None:
    fusion = Fusion()
    for k in range(200):
        fusion.update(T + k * STEP, 0, detections([[0.8 * k, 0.0]]))
        fusion.update(T + k * STEP + 3600 * SECOND, 1, detections([[0.8 * k, 0.0]]))
    assert fusion.tracks(T + 199 * STEP)["id"].tolist() == [1]
    assert fusion.stats()["refused_ahead"] == 200


def test_after_a_night_without_a_scan_it_goes_on() -> None:
    for sources in (1, 3):
        fusion = Fusion()
        for k in range(60):
            night = 8 * 3600 * SECOND if k >= 30 else 0
            for source in range(sources):
                fusion.update(T + night + k * STEP, source, detections([[0.8 * k, 0.0]]))
        assert len(fusion.tracks(T + 8 * 3600 * SECOND + 59 * STEP)) == 1
        assert fusion.stats()["refused_ahead"] == 1, "one scan tells that something is odd, the second that it is not"


@pytest.mark.parametrize("interval", [5 * SECOND, 15 * SECOND, 60 * SECOND, 3600 * SECOND])
def test_a_source_that_sends_seldom_is_heard(interval: int) -> None:
    fusion = Fusion()
    for k in range(40):
        fusion.update(T + k * interval, 0, detections([[0.0, 0.0]]))
    assert fusion.stats()["sources"][0]["scans"] >= 39


def test_when_the_first_stamp_was_wrong_or_the_clock_is_set_back_it_begins_anew() -> None:
    fusion = Fusion()
    fusion.update(T + 3600 * SECOND, 0, detections([[0.0, 0.0]]))
    drive_two(fusion, range(120))
    assert len(fusion.tracks(T + 119 * STEP)) == 2
    assert fusion.stats()["clock_steps"] == 1
    assert fusion.stats()["refused_old"] <= 51


def shifted(case: Case, by: float) -> Case:
    """Return a case with everything moved by `by` m along both axes."""
    scans = []
    for scan in case.scans:
        rows = scan.rows.copy()
        rows["x"] += by
        rows["y"] += by
        scans.append(Scan(scan.t, scan.arrival, scan.source, rows))
    return Case(case.name, scans, [(t, ids, xy + by) for t, ids, xy in case.truth], case.side, case.match_m)


@pytest.mark.parametrize("by", [1000.0, -30_000.0, 300_000.0])
def test_where_the_origin_lies_decides_nothing(by: float) -> None:
    case = one_sensor(6, 60, 200)
    near, far = (figures(follow(each)[0], 2.0) for each in (case, shifted(case, by)))
    for name in ("mota", "idf1", "id_switches"):
        assert far[name] == pytest.approx(near[name], abs=2e-3 if name != "id_switches" else 1), name


# --- what one scan may take ---


def test_detections_that_no_crowd_could_be_are_left_out_and_counted() -> None:
    fusion, rng = Fusion(FusionConfig(max_tracks=16_384)), np.random.default_rng(2)
    for k in range(5):
        spot = rng.uniform(-0.5, 0.5, (10_000, 2))
        fusion.update(T + k * STEP, 0, detections(np.vstack([spot, [[40.0 + k, 30.0]]])))
    assert fusion.stats()["crowded"] > 40_000
    assert fusion.stats()["count"] < 600
    assert any(abs(row["y"] - 30) < 1 for row in fusion.tracks(T + 4 * STEP)), "who is elsewhere is not lost"


def test_a_dense_crowd_loses_no_detection() -> None:
    rng, fusion = np.random.default_rng(1), Fusion(FusionConfig(max_tracks=2048))
    grid = (
        np.stack(np.meshgrid(np.arange(20), np.arange(20)), -1).reshape(-1, 2) * 0.45
    )  # 5 people on each square metre
    for k in range(30):
        fusion.update(T + k * STEP, 0, detections(grid + np.array([0.1 * k, 0.0]) + rng.normal(0, 0.05, grid.shape)))
    assert fusion.stats()["crowded"] == 0
    assert len(fusion.tracks(T + 29 * STEP)) == pytest.approx(400, abs=4)


@pytest.mark.parametrize("ahead_s", [1.2, 3.0, 9.0, 11.0])
@pytest.mark.parametrize("scans", [1, 3])
def test_a_source_whose_clock_alone_is_ahead_is_the_one_that_is_refused(ahead_s: float, scans: int) -> None:
    fusion, shown = Fusion(), 0
    for k in range(200):
        t = T + k * STEP
        fusion.update(t, 0, detections([[0.8 * k, 0.0]]))
        for part in range(scans):
            fusion.update(t + round(ahead_s * 1e9) + part * STEP // scans, 1, detections([[0.8 * k, 20.0]]))
        shown += len(fusion.tracks(t)) == 1
    sources = fusion.stats()["sources"]
    assert shown > 190
    assert sources[0]["refused"] == 0
    assert sources[1]["refused"] == 200 * scans


@pytest.mark.parametrize("ahead_s", [1.2, 3.0, 9.0])
def test_several_sources_set_the_time_back_that_one_alone_was_ahead_with_from_the_first(ahead_s: float) -> None:
    fusion, refused = Fusion(), []
    for k in range(200):
        t = T + k * STEP
        for source in (2, 0, 1):
            fusion.update(t + (round(ahead_s * 1e9) if source == 2 else 0), source, detections([[0.8 * k, 0.0]]))
        refused.append([fusion.stats()["sources"][source]["refused"] for source in range(3)])
    assert refused[-1][:2] == refused[80][:2]
    assert refused[-1][2] - refused[80][2] == 119
    assert len(fusion.tracks(t)) == 1


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6])
@pytest.mark.parametrize("begin", [1_767_225_600, 0])
def test_stamps_in_another_unit_are_refused_at_once_with_the_remedy(per_second: int, begin: int) -> None:
    fusion, folded, refusal = Fusion(), 0, ""
    for k in range(30):
        try:
            fusion.update(round((begin + 0.1 * k) * per_second), 3, detections([[0.8 * k, 0.0]]))
            folded += 1
        except ValueError as error:
            refusal = str(error)
            break
    assert "less than a millisecond apart" in refusal
    assert "Give round(seconds * 1e9)" in refusal
    assert folded <= (1 if begin else 20), "a clock that counts from 0 is known by its steps alone"


@pytest.mark.parametrize("begin", [0, 1_700_000_000_000, 1_767_225_600 * SECOND, -5 * SECOND])
def test_nanoseconds_of_any_clock_are_taken_and_so_are_the_frames_of_a_burst(begin: int) -> None:
    fusion = Fusion()
    for k in range(60):
        burst = [0, 90_000, 180_000, 4000] if k % 20 == 10 else [0]  # ns: frames held back, stamped as they arrive
        for held in burst:
            fusion.update(begin + k * STEP + held, 0, detections([[0.8 * k, 0.0]]))
    assert fusion.stats()["sources"][0]["refused"] == 0
    assert fusion.stats()["warnings"] == []


def test_a_batch_counts_the_frames_whose_stamps_are_no_nanoseconds_and_takes_the_others() -> None:
    right, wrong = Fusion(), Fusion()
    for k in range(30):
        rows = detections([[0.8 * k, 0.0], [0.8 * k, 0.0]])
        times = np.array([T + k * STEP, T // 10**6 + 100 * k])
        update_batch([right, wrong], times, np.array([0, 0]), rows, np.array([0, 1, 2]))
    assert len(right.tracks(T + 29 * STEP)) == 1
    assert wrong.stats()["sources"][0]["wrong_unit"] == 29
    assert any("Give t_ns in nanoseconds" in warning for warning in wrong.stats()["warnings"])


@pytest.mark.parametrize("late_ms", [0, 250, 400])
def test_late_hits_from_before_somebody_left_do_not_keep_it(late_ms: int) -> None:
    """Two sources watch eight road users on circles; one vanishes at 20 s, the second source's scans arrive late."""
    fusion, rng, scans = Fusion(), np.random.default_rng(3), []
    for k in range(230):
        for source in (0, 1):
            ms = k * 100 + source * 50
            turn = [(12 + 6 * i) * np.exp(1j * (ms / 2000 + i)) for i in range(8) if i != 3 or ms <= 20_000]
            rows = np.array([[place.real, place.imag] for place in turn if rng.random() < 0.9])
            scans.append((ms + late_ms * source, ms, source, rows + rng.normal(0, 0.2, rows.shape)))
    for _, ms, source, rows in sorted((scan for scan in scans if scan[0] <= 20_700), key=lambda scan: scan[0]):
        fusion.update(ms * MS, source, detections(rows))
    assert len(fusion.tracks(20_700 * MS)) == 7
