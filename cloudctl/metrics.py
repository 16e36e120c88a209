"""Counters, fixed-bucket histograms, and newest values. No I/O; `telemetry` shows them to others.

Sources of counters are named by senders, so their number and length are bounded: what is counted beyond that is
counted under OTHERS.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

# 1 us .. 100 s, 20 buckets a decade: 12 % wide, which is the resolution of every quantile reported from them.
BUCKETS_US: tuple[float, ...] = tuple(10 ** (bucket / 20) for bucket in range(161))

MAX_SOURCES = 1000  # of one counter, or of one table of newest values: beyond it they share OTHERS
MAX_SOURCE_LENGTH = 64  # characters of a source's name that are kept
OTHERS = "(others)"


class Histogram:
    """Durations in microseconds, in 161 fixed logarithmic buckets."""

    __slots__ = ("count", "counts", "largest", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_US) + 1)
        self.count = 0
        self.total = 0.0  # us, of all durations together
        self.largest = 0.0

    def add(self, us: float) -> None:
        self.counts[bisect_left(BUCKETS_US, us)] += 1
        self.count += 1
        self.total += us
        self.largest = max(self.largest, us)

    def quantile(self, q: float) -> float:
        """Return the upper edge (us) of the bucket that holds quantile `q` in 0..1; 0.0 when empty."""
        remaining = q * self.count
        for edge, count in zip((*BUCKETS_US, self.largest), self.counts, strict=True):
            remaining -= count
            if count and remaining <= 0:
                return min(edge, self.largest)
        return self.largest

    def summary(self) -> dict[str, float]:
        """Return how many there were, and their total, p50, p99, p99.9 and max, in us."""
        return {
            "count": self.count,
            "total": self.total,
            "p50": self.quantile(0.5),
            "p99": self.quantile(0.99),
            "p99_9": self.quantile(0.999),
            "max": self.largest,
        }


@dataclass
class Metrics:
    """The counters, histograms and newest values of a node: `count("drop.queue", source)`; `time("fuse", us)`."""

    counters: Counter[tuple[str, str]] = field(default_factory=Counter)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    newest: dict[str, dict[str, object]] = field(default_factory=dict)
    _sources: dict[str, list[str]] = field(default_factory=dict)  # of each counter, in order of their first event
    _totals: Counter[str] = field(default_factory=Counter)  # over all sources: asked too often to be summed each time

    def count(self, name: str, source: str = "", n: int = 1) -> None:
        """Add `n` to a counter of a source; of OTHERS where it has MAX_SOURCES already."""
        key = (name, source)
        if key not in self.counters:
            key = self._key(name, source)
        self.counters[key] += n
        self._totals[name] += n

    def count_each(self, name: str, sources: Iterable[str]) -> None:
        """Add one to a counter for each of some sources, which may repeat."""
        for source, n in Counter(sources).items():
            self.count(name, source, n)

    def put(self, name: str, source: str, n: int) -> None:
        """Set a counter of a source whose events are counted elsewhere."""
        key = self._key(name, source)
        self._totals[name] += n - self.counters[key]
        self.counters[key] = n

    def counted(self, name: str, source: str = "") -> int:
        """Return a counter of one source; of OTHERS where it has none of its own."""
        own_count = self.counters.get((name, source[:MAX_SOURCE_LENGTH]), 0)
        return own_count or self.counters.get((name, OTHERS), 0)

    def _key(self, name: str, source: str) -> tuple[str, str]:
        key = (name, source)
        if key in self.counters:
            return key
        if len(source) > MAX_SOURCE_LENGTH:
            return self._key(name, source[:MAX_SOURCE_LENGTH])

        sources = self._sources.setdefault(name, [])
        if len(sources) >= MAX_SOURCES:
            return name, OTHERS

        sources.append(source)
        return key

    def time(self, name: str, us: float) -> None:
        """Add a duration, in microseconds, to a histogram."""
        histogram = self.histograms.get(name)
        if histogram is None:
            histogram = self.histograms[name] = Histogram()
        histogram.add(us)

    def put_newest(self, name: str, source: str, value: object) -> None:
        """Keep the newest `value` (plain, or a Struct) of a source; of MAX_SOURCES sources, others are counted only."""
        table = self.newest.setdefault(name, {})
        source = source[:MAX_SOURCE_LENGTH]
        if source not in table and len(table) >= MAX_SOURCES:
            self.count("drop.newest", name)
            return
        table[source] = value

    def total(self, name: str) -> int:
        """Return a counter summed over its sources."""
        return self._totals[name]

    def totals(self) -> dict[str, int]:
        """Return every counter summed over its sources, by name."""
        return dict(sorted(self._totals.items()))

    def sources(self, name: str) -> dict[str, int]:
        """Return one counter by source, sorted."""
        counts = {source: self.counters[name, source] for source in sorted(self._sources.get(name, ()))}
        others = self.counters.get((name, OTHERS))
        return counts if others is None else counts | {OTHERS: others}

    def by_source(self, prefix: str) -> dict[str, dict[str, int]]:
        """Return `{name: {source: n}}` for every counter whose name starts with `prefix`."""
        counts: dict[str, dict[str, int]] = {}
        for (name, source), n in sorted(self.counters.items()):
            if name.startswith(prefix):
                counts.setdefault(name, {})[source] = n
        return counts

    def snapshot(self) -> dict[str, object]:
        """Return totals and latencies as plain values, ready for JSON: small and soon made, however many sources there
        are.
        """
        return {
            "counters": self.totals(),
            "advisories": self.sources("advisory"),
            "latency_us": {name: histogram.summary() for name, histogram in sorted(self.histograms.items())},
        }
