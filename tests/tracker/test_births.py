"""Births: true ones are found however many false ones there were before, and a car is found however far it goes between
two scans.
"""

from zlib import crc32

import numpy as np
import pytest

from cloudctl.clock import MS
from cloudctl.fusion import STATE, Fusion, FusionConfig, detections

STEP = 100 * MS
SIDE = 60.0  # m: false detections fall within so far of the origin


def share_shown(
    fusion: Fusion, begin: int, end: int, false_ones: float, rng: np.random.Generator, confidence: float | None
) -> float:
    """Drive five cars in lanes 20 m apart, each for 8 s, amid `false_ones` false detections a scan; returns the share
    of them that is shown.
    """
    shown = there = 0
    for k in range(begin, end):
        cars = np.array([[-32.0 + 0.8 * ((k + 16 * lane) % 80), 20.0 * lane - 40.0] for lane in range(5)])
        clutter = rng.uniform(-SIDE, SIDE, (rng.poisson(false_ones), 2))
        rows = detections(np.concatenate([cars + rng.normal(0, 0.2, cars.shape), clutter]), confidence=confidence)
        fusion.update(k * STEP, 0, rows)
        tracks = fusion.tracks(k * STEP)
        places = np.column_stack([tracks["x"], tracks["y"]])
        there += len(cars)
        if len(places):
            shown += int((np.linalg.norm(cars[:, None] - places[None], axis=2).min(axis=1) < 2.0).sum())
    return shown / there


@pytest.mark.parametrize(("false_ones", "confidence"), [(60.0, None), (120.0, None), (8.0, 0.3)])
def test_road_users_are_found_again_once_the_false_detections_have_ended(
    false_ones: float, confidence: float | None
) -> None:
    fusion, rng = Fusion(), np.random.default_rng(1)
    share_shown(fusion, 0, 300, false_ones, rng, confidence)
    share_shown(fusion, 300, 500, 0.5, rng, confidence)
    assert share_shown(fusion, 500, 700, 0.5, rng, confidence) > 0.9


@pytest.mark.parametrize("drop", [0.001, 0.01, 0.1, 0.4])
def test_a_newborn_is_looked_at_a_second_time_whatever_is_dropped(drop: float) -> None:
    fusion, rng = Fusion(FusionConfig(drop=drop)), np.random.default_rng(2)
    share_shown(fusion, 0, 200, 60.0, rng, None)
    assert share_shown(fusion, 200, 500, 0.0, rng, None) > 0.8


def test_a_sealed_but_damaged_state_is_refused_or_works() -> None:
    fusion, rng = Fusion(), np.random.default_rng(3)
    share_shown(fusion, 0, 30, 1.0, rng, None)
    whole = fusion.state()
    head, saved = STATE.unpack_from(whole)[:-1], whole[STATE.size :]
    values = [np.float64(v).tobytes() for v in (1e308, -1.0, np.nan, 1e-308, 1e10, 0.0)] + [
        b"\xff" * 8,
        np.float32([1e38, -1e38]).tobytes(),
    ]
    refused = 0
    for place in rng.choice(len(saved) // 8 - 1, 1500, replace=False):
        damaged = bytearray(saved)
        damaged[8 * place : 8 * place + 8] = values[int(rng.integers(len(values)))]
        try:
            restored = Fusion.restore(STATE.pack(*head, crc32(bytes(damaged))) + bytes(damaged))
        except ValueError:
            refused += 1
            continue
        for k in range(30, 36):
            restored.update(k * STEP, 0, detections(rng.uniform(-SIDE, SIDE, (8, 2)), class_=1))
            restored.tracks(k * STEP)
    assert refused > 100


@pytest.mark.parametrize(
    ("rate", "speed"),
    [
        (10.0, 8.0),
        (10.0, 25.0),
        (10.0, 40.0),
        (5.0, 25.0),
        (5.0, 35.0),
        (2.0, 8.0),
        (2.0, 14.0),
        (2.0, 20.0),
        (1.0, 5.0),
        (1.0, 13.0),
    ],
)
def test_a_car_is_found_however_far_it_goes_between_two_scans(rate: float, speed: float) -> None:
    fusion, shown = Fusion(), 0
    for k in range(60):
        t = round(k / rate * 1e9)
        fusion.update(t, 0, detections([[speed * k / rate, 0.0]]))
        shown += len(fusion.tracks(t)) == 1
    assert shown >= 55


@pytest.mark.parametrize("variance", [1e-12, 0.09, 4.0, 25.0, 100.0])
def test_a_variance_far_from_the_true_one_keeps_nobody_from_being_found(variance: float) -> None:
    fusion, rng = Fusion(), np.random.default_rng(4)
    for k in range(60):
        places = np.array([[0.8 * k, 10.0 * lane] for lane in range(5)]) + rng.normal(0, 0.1, (5, 2))
        fusion.update(k * STEP, 0, detections(places, var_x=variance, var_y=variance))
    assert len(fusion.tracks(59 * STEP)) == 5
