"""What a simulated roadside unit makes of the truth: perfect sensing shows it, a noisy one within what it says of
itself.
"""

import numpy as np
import pytest

pytest.importorskip("libsumo")

from cloudctl.sim.loop.sensors import PERFECT, SENSING, Around, Noise, RsuModel
from cloudctl.sim.scenario.scenario import corridor


@pytest.fixture(scope="module")
def junction(tmp_path_factory):
    return corridor(tmp_path_factory.mktemp("corridor")).junctions[0]


def grid(n: int) -> Around:
    """Return n x n cars 9 m apart around the intersection, all driving east at 7 m/s."""
    x, y = (side.ravel() for side in np.meshgrid(9.0 * (np.arange(n) - n // 2), 9.0 * (np.arange(n) - n // 2)))
    many = len(x)
    return Around(
        xy=np.stack([x, y], axis=1),
        velocity=np.tile([7.0, 0.0], (many, 1)),
        heading=np.zeros(many),
        length=np.full(many, 4.5),
        width=np.full(many, 1.8),
        kind=np.ones(many, np.int64),
    )


def test_perfect_sensing_shows_who_is_in_reach_where_they_are(junction):
    around, model = grid(31), RsuModel(junction, 0, PERFECT, 1)
    frame = model.observe(around)
    pole = np.array([model.rsu.x, model.rsu.y])
    away = np.hypot(*(around.xy - pole).T)
    assert set(frame["id"].tolist()) == set(np.flatnonzero(away < model.rsu.sensor.range).tolist())
    off = np.stack([frame["x"], frame["y"]], axis=1) + pole - around.xy[frame["id"]]
    assert np.abs(off).max() < 0.1
    assert np.abs(frame["vx"] - 7.0).max() < 0.1
    assert [model.departure(t) - t for t in (10**9, 2 * 10**9)] == [1_000_000, 1_000_000]


def test_a_noisy_unit_misses_some_makes_some_up_and_says_how_far_off_it_is(junction):
    around, model = grid(31), RsuModel(junction, 0, SENSING["noisy"], 1)
    frames = [model.observe(around) for _ in range(40)]
    real = [frame["id"] < 9999 for frame in frames]
    away = np.hypot(*(around.xy - [model.rsu.x, model.rsu.y]).T)
    there = int((away < model.rsu.sensor.range).sum())
    seen = np.mean([one.sum() for one in real]) / there
    assert 1 - Noise().miss - Noise().far_miss < seen < 1 - Noise().miss
    assert 0 < sum((~one).sum() for one in real) < 40
    off = [
        (f["x"] + model.rsu.x - around.xy[f["id"].clip(max=960), 0])[one] / np.sqrt(f["var_x"][one])
        for f, one in zip(frames, real, strict=True)
    ]
    assert np.std(np.concatenate(off)) == pytest.approx(1.0, abs=0.05)
