"""The assignment where more tracks hang together than are searched: a matching all the same, and how much it costs
above the cheapest.
"""

import ctypes

import kernels
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import assigned
from scipy.optimize import linear_sum_assignment

MISS = 12.0


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return kernels.library(tmp_path_factory.mktemp("core"))


def crowd(n: int, edges: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Return the costs float64[n, n] of n people 1 m apart on the mean and their detections, the nearest `edges` each;
    inf: no edge.
    """
    places = rng.uniform(0, np.sqrt(n), (n, 2))
    seen = places + rng.normal(0, sigma, places.shape)
    cost = ((places[:, None] - seen[None]) ** 2).sum(-1) / sigma**2 + 2 * np.log(sigma)
    keep = np.argsort(cost, axis=1)[:, :edges]
    out = np.full((n, n), np.inf)
    np.put_along_axis(out, keep, np.take_along_axis(cost, keep, 1), 1)
    out[out >= MISS] = np.inf
    return out


def cheapest(table: np.ndarray) -> float:
    n, m = table.shape
    full = np.full((n, m + n), 1e6)
    full[:, :m] = np.where(np.isfinite(table), table, 1e6)
    full[np.arange(n), m + np.arange(n)] = MISS
    return float(full[linear_sum_assignment(full)].sum())


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(100, 250), edges=st.integers(2, 12), sigma=st.floats(0.05, 4.0))
def test_in_any_crowd_no_two_tracks_share_a_detection_and_no_track_costs_more_than_a_miss(
    core: ctypes.CDLL, seed: int, n: int, edges: int, sigma: float
) -> None:
    table = crowd(n, edges, sigma, np.random.default_rng(seed))
    mate, cost = assigned(core, table, MISS)
    taken = mate[mate >= 0]
    assert len(set(taken.tolist())) == len(taken)
    assert np.isfinite(cost)
    assert cheapest(table) - 1e-6 <= cost <= n * MISS + 1e-6


@pytest.mark.parametrize(("sigma", "loss"), [(0.1, 0.0), (0.3, 0.0), (1.0, 0.01), (3.0, 0.02)])
def test_what_the_bound_costs_in_a_crowd_is_small(core: ctypes.CDLL, sigma: float, loss: float) -> None:
    """400 people, one on each square metre. Up to a noise of 0.3 m the bound never binds; at 3 m, where nobody can be
    told apart, it costs 2 %.
    """
    rng, over = np.random.default_rng(7), []
    for _ in range(5):
        table = crowd(400, 12, sigma, rng)
        least = cheapest(table)
        over.append((assigned(core, table, MISS)[1] - least) / (400 * MISS - least))
    assert np.mean(over) <= loss + 1e-9
