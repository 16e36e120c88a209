"""Each kernel of the C core against its NumPy twin, on whatever hypothesis thinks of."""

import ctypes

import kernels
import numpy as np
import pytest
import twin
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import assigned, pack, pack_pair, pointer, unpack, unpack_pair
from scipy.optimize import linear_sum_assignment

MOTION = (0.12, 3.0, 0.5, 0.15, 0.6)
number = st.floats(-1, 1, allow_nan=False)
seeds = st.integers(0, 2**32 - 1)
f64 = ctypes.c_double


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return kernels.library(tmp_path_factory.mktemp("core"))


def spd(rng: np.random.Generator, n: int) -> np.ndarray:
    root = rng.normal(size=(n, n)) * 10 ** rng.uniform(-1, 0.5, n)[:, None]
    return root @ root.T + 0.01 * np.eye(n)


def model(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.concatenate([rng.uniform(-200, 200, 2), rng.uniform(-20, 20, 2), rng.uniform(-1.2, 1.2, 1)])[:n]
    p = spd(rng, n)
    if n == 5:
        shrink = np.ones(5)
        shrink[4] = 0.3 / p[4, 4] ** 0.5
        p = p * np.outer(shrink, shrink)
    return x, p


def pair(rng: np.random.Generator) -> tuple:
    one, two = model(rng, 4), model(rng, 5)
    two[0][:4] = one[0] + rng.normal(size=4) * 0.5
    return one, two, rng.uniform(0.01, 0.99)


def close(found: np.ndarray, wanted: np.ndarray, scale: float = 1e-6) -> None:
    np.testing.assert_allclose(found, wanted, rtol=scale, atol=scale * max(1.0, float(np.abs(wanted).max())))


def same_pair(found: tuple, wanted: tuple) -> None:
    for a, b in zip(found[:2], wanted[:2], strict=True):
        close(a[0], b[0])
        close(a[1], b[1])
    assert found[2] == pytest.approx(wanted[2], abs=1e-6)


@given(seed=seeds, dt=st.floats(0, 3), q=st.floats(0, 10))
def test_straight(core: ctypes.CDLL, seed: int, dt: float, q: float) -> None:
    x, p = model(np.random.default_rng(seed), 4)
    flat, out = pack(x, p), np.empty(14)
    core.straight_step(pointer(flat), f64(dt), f64(q), pointer(out))
    for found, wanted in zip(unpack(out, 4), twin.straight(x, p, dt, q), strict=True):
        close(found, wanted, 1e-9)


@given(seed=seeds, dt=st.floats(0.001, 3), q=st.floats(0, 10), rate=st.floats(0, 1))
def test_turning(core: ctypes.CDLL, seed: int, dt: float, q: float, rate: float) -> None:
    x, p = model(np.random.default_rng(seed), 5)
    flat, out = pack(x, p), np.empty(20)
    core.turning_step(pointer(flat), f64(dt), f64(q), f64(rate), pointer(out))
    for found, wanted in zip(unpack(out, 5), twin.turning(x, p, dt, q, rate), strict=True):
        close(found, wanted)


@given(seed=seeds, dt=st.floats(0.001, 3))
def test_interacting_models(core: ctypes.CDLL, seed: int, dt: float) -> None:
    before, motion, out = pair(np.random.default_rng(seed)), np.array(MOTION), np.empty(35)
    flat, change = pack_pair(before), core.model_transition(dt, pointer(motion))
    core.imm_step(pointer(flat), ctypes.byref(change), pointer(out))
    same_pair(unpack_pair(out), twin.step(before, dt, MOTION))
    mean = np.empty(14)
    core.imm_mean(pointer(flat), pointer(mean))
    for found, wanted in zip(unpack(mean, 4), twin.blend(*before), strict=True):
        close(found, wanted, 1e-9)


@given(seed=seeds, far=st.floats(0, 5))
def test_position_update(core: ctypes.CDLL, seed: int, far: float) -> None:
    rng = np.random.default_rng(seed)
    before, r = pair(rng), spd(rng, 2)
    z = before[0][0][:2] + far * rng.normal(size=2)
    flat, noise = pack_pair(before), np.array([r[0, 0], r[1, 1], r[0, 1]])
    core.imm_update(pointer(flat), f64(z[0]), f64(z[1]), pointer(noise))
    same_pair(unpack_pair(flat), twin.update(before, np.eye(2, 4), z, r))


@given(seed=seeds)
def test_any_two_combinations(core: ctypes.CDLL, seed: int) -> None:
    """What a late measurement becomes: two linear combinations of the present state."""
    rng = np.random.default_rng(seed)
    before, r, h = pair(rng), spd(rng, 2), np.eye(2, 4) + 0.3 * rng.normal(size=(2, 4))
    z = h @ before[0][0] + rng.normal(size=2)
    flat, noise = pack_pair(before), np.array([r[0, 0], r[1, 1], r[0, 1]])
    rows = np.ascontiguousarray(h)
    core.imm_update_linear(pointer(flat), pointer(rows), pointer(z), pointer(noise))
    same_pair(unpack_pair(flat), twin.update(before, h, z, r))


@given(seed=seeds)
def test_covariance_intersection(core: ctypes.CDLL, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, r = pair(rng), spd(rng, 2)
    z = before[0][0][:2] + rng.normal(size=2)
    flat, noise, mean = pack_pair(before), np.array([r[0, 0], r[1, 1], r[0, 1]]), pack(*twin.blend(*before))
    core.imm_update_intersection(pointer(flat), pointer(mean), f64(z[0]), f64(z[1]), pointer(noise))
    same_pair(unpack_pair(flat), twin.intersect(before, z, r))


@settings(max_examples=300)
@given(seed=seeds, n=st.integers(1, 30), m=st.integers(0, 30), dense=st.floats(0, 1))
def test_assignment_costs_what_the_best_costs(core: ctypes.CDLL, seed: int, n: int, m: int, dense: float) -> None:
    rng = np.random.default_rng(seed)
    table = np.where(rng.random((n, m)) < dense, rng.uniform(-6, 12, (n, m)), np.inf)
    miss = 6.0
    mate, found = assigned(core, table, miss)
    taken = mate[mate >= 0]
    assert len(set(taken.tolist())) == len(taken)
    full = np.full((n, m + n), 1e6)
    full[:, :m] = np.where(np.isfinite(table), table, 1e6)
    full[np.arange(n), m + np.arange(n)] = miss
    assert found == pytest.approx(full[linear_sum_assignment(full)].sum(), abs=1e-6)
