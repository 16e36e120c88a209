"""Ratios to no advice, with their confidence: the same trips on both sides, seed by seed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

FIGURES = ("stops", "waiting_s", "fuel_g", "travel_time_s", "halts", "free_share")
LEVEL = 0.95
DRAWS = 1000  # of the bootstrap, where there is one seed only
MIN_MEAN = 1e-9  # keeps a ratio to nothing finite

Trips = Mapping[str, Mapping[str, float]]


def columns(trips: Trips, names: Sequence[str]) -> np.ndarray:
    """Return float64[n, 6]: FIGURES of the named trips; the last is 1 for a trip without a stop."""
    measured = FIGURES[:-1]
    rows = [[*(trips[name][key] for key in measured), float(trips[name]["stops"] == 0)] for name in names]
    return np.array(rows, float).reshape(-1, len(FIGURES))


def common(runs: Sequence[Trips]) -> list[str]:
    """Return the trips that ended in every one of the runs: the ones to be compared."""
    names = set(runs[0]).intersection(*runs[1:]) if runs else set()
    return sorted(names)


def compare(base: Sequence[Trips], other: Sequence[Trips]) -> dict[str, Any]:
    """Return, for each figure, the mean ratio of `other` to `base`, its confidence interval and the means.

    `base[k]` and `other[k]` are the trips of one seed and hold the same vehicles. A seed's ratio is that of the two
    means. The interval is Student's t over the seeds' ratios; with one seed, the bootstrap over its trips, drawn in
    pairs (Efron 1979): it shows what this seed's trips leave open, and nothing of other seeds. `free_share` is the
    share of trips
    without a stop: shares, not ratios.
    """
    pairs = []
    for base_trips, other_trips in zip(base, other, strict=True):
        names = common([base_trips, other_trips])
        if not names:
            raise ValueError("study: no trip ended in both runs of a seed. Give it more --seconds")
        pairs.append((columns(base_trips, names), columns(other_trips, names)))

    compared: dict[str, Any] = {"trips": int(sum(len(base_trips) for base_trips, _ in pairs)), "seeds": len(pairs)}
    for column, name in enumerate(FIGURES):
        means = np.array(
            [[base_trips[:, column].mean(), other_trips[:, column].mean()] for base_trips, other_trips in pairs]
        )
        is_share = name == "free_share"
        values = means[:, 1] if is_share else means[:, 1] / np.maximum(means[:, 0], MIN_MEAN)
        low, high = _interval(values) if len(pairs) > 1 else _bootstrap(*pairs[0], column, is_share)

        compared[name] = {
            "value": float(values.mean()),
            "low": low,
            "high": high,
            "without": float(means[:, 0].mean()),
            "with": float(means[:, 1].mean()),
            "by_seed": values.tolist(),
        }

    return compared


def _interval(values: np.ndarray) -> tuple[float, float]:
    half = float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _bootstrap(base: np.ndarray, other: np.ndarray, column: int, is_share: bool) -> tuple[float, float]:
    rng = np.random.default_rng(1)
    draws = rng.integers(0, len(base), (DRAWS, len(base)))
    values = other[draws, column].mean(axis=1)
    if not is_share:
        values = values / np.maximum(base[draws, column].mean(axis=1), MIN_MEAN)
    low, high = np.quantile(values, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return float(low), float(high)
