"""Counters and histograms."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cloudctl.metrics import MAX_SOURCES, Histogram, Metrics


def test_quantiles_are_within_a_bucket_of_the_truth() -> None:
    histogram, values = Histogram(), np.random.default_rng(1).lognormal(5, 1, 20_000)
    for value in values:
        histogram.add(float(value))
    for q in (0.5, 0.99, 0.999):
        assert 0.99 < histogram.quantile(q) / np.quantile(values, q) < 1.13
    assert histogram.quantile(1.0) == histogram.largest == values.max()


def test_an_empty_histogram_is_zero() -> None:
    assert Histogram().summary() == {"count": 0, "total": 0.0, "p50": 0.0, "p99": 0.0, "p99_9": 0.0, "max": 0.0}


def test_counters_by_source() -> None:
    metrics = Metrics()
    metrics.count("drop.queue", "a", 2)
    metrics.count("drop.queue", "b")
    assert metrics.total("drop.queue") == 3
    assert metrics.sources("drop.queue") == {"a": 2, "b": 1}
    assert metrics.sources("drop.other") == {}
    assert metrics.by_source("drop") == {"drop.queue": {"a": 2, "b": 1}}


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(["a", "b.c"]), st.integers(0, MAX_SOURCES + 50), st.integers(0, 9)),
        max_size=200,
    ),
    st.integers(0, MAX_SOURCES + 20),
)
def test_totals_are_the_sums_of_all_sources_whatever_is_counted_and_set(changes: list, filled: int) -> None:
    metrics = Metrics()
    for source in range(filled):
        metrics.count("a", str(source))
    for is_count, name, source, n in changes:
        if is_count:
            metrics.count(name, str(source), n)
        else:
            metrics.put(name, str(source), n)
    for name, by in metrics.by_source("").items():
        assert metrics.total(name) == metrics.totals()[name] == sum(by.values())
        assert metrics.sources(name) == by
    assert metrics.snapshot()["counters"] == metrics.totals()
