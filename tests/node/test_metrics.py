"""Counters and histograms."""

import numpy as np

from cloudctl.metrics import Histogram, Metrics


def test_quantiles_are_within_a_bucket_of_the_truth() -> None:
    histogram, values = Histogram(), np.random.default_rng(1).lognormal(5, 1, 20_000)
    for value in values:
        histogram.add(float(value))
    for q in (0.5, 0.99, 0.999):
        assert 0.99 < histogram.quantile(q) / np.quantile(values, q) < 1.13
    assert histogram.quantile(1.0) == histogram.largest == values.max()


def test_an_empty_histogram_is_zero() -> None:
    assert Histogram().summary() == {"count": 0, "p50": 0.0, "p99": 0.0, "p99_9": 0.0, "max": 0.0}


def test_counters_by_source() -> None:
    metrics = Metrics()
    metrics.count("drop.queue", "a", 2)
    metrics.count("drop.queue", "b")
    assert metrics.total("drop.queue") == 3
    assert metrics.by_source("drop") == {"drop.queue": {"a": 2, "b": 1}}
