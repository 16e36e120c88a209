"""Sources that are wrong: clocks that step, columns that mean nothing, boxes sent twice, offsets that cannot be told
apart.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from cloudctl.sim.tracking.evaluate import figures, follow
from cloudctl.sim.tracking.scenes import Case, Traffic, Unit, play
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudctl.clock import SECOND
from cloudctl.fusion import Fusion, detections

T = 1_767_225_600 * SECOND
CARS = 8


def cars(t: float) -> np.ndarray:
    """Return the places of eight cars, 8 to 13 m/s fast, on four lanes."""
    number = np.arange(CARS)
    return np.column_stack([23.0 * number + (8 + 0.7 * number) * t, 6.0 * (number % 4)])


def watch(fusion: Fusion, offsets: list[dict[int, float]], frames: int, seed: int = 1) -> Iterator[tuple[int, float]]:
    """Let sources watch the cars at 10 Hz; `offsets`: for each, from which frame its clock is off by how much (s).
    Yields (frame, s).
    """
    rng, off = np.random.default_rng(seed), [0.0] * len(offsets)
    for k in range(frames):
        for source, steps in enumerate(offsets):
            off[source] = steps.get(k, off[source])
            t = 0.1 * k + 0.03 * source
            places = cars(t)[rng.random(CARS) > 0.1]
            stamp = T + round((t + off[source]) * 1e9)
            fusion.update(stamp, source, detections(places + rng.normal(0, 0.25, places.shape)))
        yield k, 0.1 * k


def error(fusion: Fusion, read: float, t: float) -> float:
    """Return the mean distance (m) of the cars to the nearest track, read at `read`, where they were at `t`."""
    tracks = fusion.tracks(T + round(read * 1e9))
    places = np.column_stack([tracks["x"], tracks["y"]])
    return float(np.linalg.norm(cars(t)[:, None] - places[None], axis=2).min(1).mean()) if len(tracks) else 99.0


@pytest.mark.parametrize("step", [0.5, 0.7, 1.0, 2.0, 5.0, 3600.0, -0.5, -0.8, -1.0, -2.0, -5.0])
@pytest.mark.parametrize("sources", [1, 2, 3])
def test_a_clock_that_steps_doubles_no_road_user_and_loses_no_identity(step: float, sources: int) -> None:
    fusion, ids, most = Fusion(), set[int](), 0
    for k, t in watch(fusion, [{100: step}, {}, {}][:sources], 200):
        read = t + step if sources == 1 and k >= 103 else t
        tracks = fusion.tracks(T + round(read * 1e9))
        most = max(most, len(tracks))
        ids |= set(tracks["id"].tolist())
    assert most <= CARS + 1
    assert len(ids) <= CARS + 1
    assert error(fusion, read, t) < 0.5
    stepped = fusion.stats()["sources"][0]
    assert stepped["clock_steps"] == 1
    assert stepped["clock_offset"] == pytest.approx(0.0 if sources == 1 else -step, abs=0.1)


@settings(max_examples=12)
@given(st.integers(2, 3), st.floats(0.5, 20.0), st.sampled_from([-1, 1]), st.integers(0, 2**31))
def test_a_clock_that_is_off_from_the_first_costs_only_the_scans_until_road_users_are_known(
    sources: int, off: float, side: int, seed: int
) -> None:
    fusion = Fusion()
    for _ in watch(fusion, [{}, *({0: side * off} if n == sources - 2 else {} for n in range(sources - 1))], 120, seed):
        pass
    stats = fusion.stats()
    assert sum(source["refused"] for source in stats["sources"].values()) <= 60
    assert stats["count"] <= CARS + 2


@pytest.mark.parametrize("ahead", [0.6, 1.2, 3.0, 9.0, 600.0])
def test_of_two_sources_the_one_that_is_ahead_is_the_one_that_is_moved_though_it_came_first(ahead: float) -> None:
    fusion = Fusion()
    *_, (_, t) = watch(fusion, [{0: ahead}, {}], 150)
    stats = fusion.stats()
    assert error(fusion, t, t) < 0.5
    assert len(fusion.tracks(T + round(t * 1e9))) == CARS
    assert stats["sources"][0]["clock_offset"] == pytest.approx(-ahead, abs=0.1)
    assert stats["sources"][1]["refused"] <= 5
    assert any("source 0: its clock is" in warning and "ahead of" in warning for warning in stats["warnings"])


def test_pauses_stalls_and_late_scans_are_no_steps_of_a_clock() -> None:
    fusion, rng = Fusion(), np.random.default_rng(5)
    held: list[tuple[int, np.ndarray]] = []
    for k in range(400):
        if 150 <= k < 165:  # a pause of 1.5 s
            continue
        for source in (0, 1):
            t = 0.1 * k + 0.03 * source
            frame = (T + round(t * 1e9), cars(t) + rng.normal(0, 0.25, (CARS, 2)))
            if source == 1 and k % 40 < 8:  # 0.8 s in which everything is held back, in order of time
                held.append(frame)
                continue
            for stamp, places in [*(held if source == 1 else []), frame]:
                fusion.update(stamp, source, detections(places))
            held = [] if source == 1 else held
    stats = fusion.stats()
    assert all((source["clock_offset"], source["clock_steps"]) == (0.0, 0) for source in stats["sources"].values())
    assert stats["count"] == CARS


@pytest.mark.parametrize(
    ("jitter", "kind"), [*((jitter, kind) for jitter in (0.0, 0.02) for kind in (0, 1, 3, 5, 6)), (0.1, 1), (0.1, 3)]
)
def test_the_same_box_twice_in_a_scan_is_one_road_user(jitter: float, kind: int) -> None:
    fusion, rng = Fusion(), np.random.default_rng(2)
    for k in range(80):
        places = cars(0.1 * k) + rng.normal(0, 0.25, (CARS, 2))
        again = places + rng.normal(0, 1, places.shape) * jitter
        fusion.update(T + k * SECOND // 10, 0, detections(np.vstack([places, again]), class_=kind))
    assert len(fusion.tracks(T + 79 * SECOND // 10)) == CARS
    assert any("another one of the same scan again" in warning for warning in fusion.stats()["warnings"])


def test_people_at_arms_length_are_as_many_as_they_are() -> None:
    fusion, rng = Fusion(), np.random.default_rng(2)
    people = np.column_stack([0.6 * np.arange(12), np.zeros(12)])
    for k in range(60):
        fusion.update(
            T + k * SECOND // 10, 0, detections(people + rng.normal((0.1 * k, 0), 0.05, people.shape), class_=6)
        )
    assert len(fusion.tracks(T + 59 * SECOND // 10)) == 12
    assert fusion.stats()["sources"][0]["doubled"] == 0


# --- columns ---

SCALES = {"km/h": 3.6, "mph": 2.237, "dm/s": 10.0, "half": 0.5, "another sign": -1.0}


def with_velocities(scale: np.ndarray, share_zero: float = 0.0, noise: float = 0.0) -> tuple[Fusion, set[int], float]:
    """Track the cars with velocities that are `scale` (2 x 2) times the true ones; returns the tracker, all ids shown,
    the mean error (m).
    """
    fusion, rng, ids, errors = Fusion(), np.random.default_rng(3), set[int](), []
    velocity = np.column_stack([8 + 0.7 * np.arange(CARS), np.zeros(CARS)]) @ scale.T
    for k in range(150):
        reported = velocity + rng.normal(0, 1, velocity.shape) * noise
        reported[rng.random(CARS) < share_zero] = 0.0
        places = cars(0.1 * k) + rng.normal(0, 0.25, (CARS, 2))
        fusion.update(T + k * SECOND // 10, 0, detections(places, vx=reported[:, 0], vy=reported[:, 1]))
        ids |= set(fusion.tracks(T + k * SECOND // 10)["id"].tolist())
        errors.append(error(fusion, 0.1 * k, 0.1 * k) if k else 0.0)
    return fusion, ids, float(np.mean(errors[5:]))


@pytest.mark.parametrize("name", [*SCALES, "swapped", "zero"])
def test_velocities_that_are_wrong_are_not_used_and_named(name: str) -> None:
    scale = np.array([[0.0, 1.0], [1.0, 0.0]]) if name == "swapped" else np.eye(2) * SCALES.get(name, 0.0)
    fusion, ids, off = with_velocities(scale)
    source = fusion.stats()["sources"][0]
    assert ids == set(range(1, CARS + 1))
    assert off < 0.2
    assert source["zero_velocity" if name == "zero" else "velocity"] == "rejected"
    (warning,) = fusion.stats()["warnings"]
    assert ("velocity of exactly 0" if name == "zero" else "x the displacements") in warning
    if name == "km/h":
        assert source["velocity_ratio"] == pytest.approx(3.6, abs=0.2)
        assert "km/h?" in warning


def test_velocities_that_are_right_are_used_and_a_zero_that_means_unknown_is_left_out() -> None:
    right, _, off = with_velocities(np.eye(2), noise=0.3)
    mixed, ids, off_mixed = with_velocities(np.eye(2), share_zero=0.4, noise=0.3)
    assert right.stats()["sources"][0]["velocity"] == "trusted"
    assert mixed.stats()["sources"][0]["velocity"] == "trusted"
    assert mixed.stats()["sources"][0]["zero_velocity"] == "rejected"
    assert off < 0.13
    assert off_mixed < 0.2
    assert ids == set(range(1, CARS + 1))


def test_a_velocity_of_zero_is_right_for_road_users_that_stand() -> None:
    fusion, rng = Fusion(), np.random.default_rng(4)
    places = np.column_stack([8.0 * np.arange(CARS), np.zeros(CARS)])
    for k in range(100):
        fusion.update(T + k * SECOND // 10, 0, detections(places + rng.normal(0, 0.25, places.shape), vx=0.0, vy=0.0))
    assert fusion.stats()["sources"][0]["zero_velocity"] == "trusted"
    assert np.abs(fusion.tracks(T + 99 * SECOND // 10)["vx"]).max() < 0.1


def columns_of(case: Case, change: str) -> Case:
    """Return a case with one column alone, right as it is or the same for all."""
    scans = []
    for scan in case.scans:
        rows = scan.rows.copy()
        for name in ("length", "width", "height", "vx", "vy", "heading", "confidence"):
            rows[name] = np.nan
        rows["class"] = {"right class": rows["class"], "one class": 1}.get(change, 0)
        rows["id"] = {"one id": 7, "number of the row": np.arange(len(rows)) + 1}.get(change, 0)
        scans.append(replace(scan, rows=rows))
    return replace(case, scans=scans)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_no_column_makes_it_worse_amid_clutter_that_has_the_same_values(share: float) -> None:
    rng = np.random.default_rng(11)
    case = play("clutter", Traffic(40, 98.0, rng), (Unit(clutter=share),), 150, rng, True)
    alone = figures(follow(columns_of(case, "none"))[0], 2.0)
    for change in ("right class", "one class", "one id", "number of the row"):
        found = figures(follow(columns_of(case, change))[0], 2.0)
        assert found["mota"] > alone["mota"] - 0.01, change
        assert found["idf1"] > alone["idf1"] - 0.02, change


# --- offsets ---


def one_way(bias: float, lag: float, spread: float) -> tuple[Fusion, float]:
    """Two sources along a one-way street, of which the second is off along it; returns the tracker and the tracks' mean
    shift (m).
    """
    fusion, rng, shifts = Fusion(), np.random.default_rng(1), []
    n = 12
    x, v = -18.0 * np.arange(n), 10 + spread * rng.normal(size=n)
    lane = 3.5 * (np.arange(n) % 3)
    for k in range(400):
        for source in (0, 1):
            now = x + v * 0.05 * source
            seen = now - v * lag * source + bias * source
            rows = np.column_stack([seen, lane]) + rng.normal(0, 0.25, (n, 2))
            fusion.update(T + k * SECOND // 10 + source * SECOND // 20, source, detections(rows[np.abs(now) < 90]))
        x = x + 0.1 * v
        for i in np.flatnonzero(x > 100):
            x[i], v[i] = x.min() - 18.0, 10 + spread * rng.normal()
        if k > 150:
            tracks = fusion.tracks(T + (k + 1) * SECOND // 10)
            for place, y in zip(x[np.abs(x) < 80], lane[np.abs(x) < 80], strict=True):
                off = (tracks["x"] - place)[np.abs(tracks["y"] - y) < 1.2]
                shifts += [off[np.argmin(np.abs(off))]] if len(off) else []
    return fusion, float(np.median(shifts))


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("bias", [0.6, -0.6])
def test_a_bias_along_a_one_way_street_is_not_taken_for_a_latency(bias: float, spread: float) -> None:
    fusion, shift = one_way(bias, 0.0, spread)
    sources = fusion.stats()["sources"]
    assert abs(shift) < 0.5 * abs(bias) + 0.08, (
        "two sources differ by the bias: the middle of both is as near as one can know"
    )
    assert sources[1]["bias_x"] - sources[0]["bias_x"] == pytest.approx(bias, abs=0.1)
    assert all(abs(source["lag"]) < 0.01 for source in sources.values())
    if spread < 0.5:
        assert not any(source["latency_observable"] for source in sources.values())
        assert sum("latency cannot be told from its bias" in warning for warning in fusion.stats()["warnings"]) == 2


def test_a_latency_is_found_where_speeds_differ_enough() -> None:
    fusion, shift = one_way(0.0, 0.06, 3.0)
    assert fusion.stats()["sources"][1]["lag"] == pytest.approx(0.06, abs=0.015)
    assert abs(shift) < 0.1


@pytest.mark.parametrize(("rate", "speed"), [(1.0, 20.0), (1.0, 25.0), (2.0, 30.0), (0.5, 15.0)])
def test_fast_cars_are_found_by_slow_sensors(rate: float, speed: float) -> None:
    fusion, shown = Fusion(), 0
    for k in range(60):
        t = round(k / rate * 1e9)
        fusion.update(t, 0, detections([[speed * k / rate, 0.0]]))
        shown += len(fusion.tracks(t)) == 1
    assert shown >= 50
