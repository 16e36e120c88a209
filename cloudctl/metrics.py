"""Counters, fixed-bucket histograms, and newest values. No I/O; a node publishes `Metrics.snapshot()`."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

# 1 us .. 100 s, 20 buckets a decade: 12 % wide, which is the resolution of every quantile reported from them.
BUCKETS_US: tuple[float, ...] = tuple(10 ** (k / 20) for k in range(161))


class Histogram:
    """Durations in microseconds, in 161 fixed logarithmic buckets."""

    __slots__ = ("count", "counts", "largest")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_US) + 1)
        self.count = 0
        self.largest = 0.0

    def add(self, us: float) -> None:
        self.counts[bisect_left(BUCKETS_US, us)] += 1
        self.count += 1
        self.largest = max(self.largest, us)

    def quantile(self, q: float) -> float:
        """Return the upper edge (us) of the bucket that holds quantile `q` in 0..1; 0.0 when empty."""
        left = q * self.count
        for edge, n in zip((*BUCKETS_US, self.largest), self.counts, strict=True):
            left -= n
            if n and left <= 0:
                return min(edge, self.largest)
        return self.largest

    def summary(self) -> dict[str, float]:
        """Return count, p50, p99, p99.9 and max, in us."""
        return {
            "count": self.count,
            "p50": self.quantile(0.5),
            "p99": self.quantile(0.99),
            "p99_9": self.quantile(0.999),
            "max": self.largest,
        }


@dataclass
class Metrics:
    """What a node counts: `count("drop.queue", source)`; `time("fuse", us)`."""

    counters: Counter[tuple[str, str]] = field(default_factory=Counter)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    newest: dict[str, dict[str, object]] = field(default_factory=dict)

    def count(self, name: str, source: str = "", n: int = 1) -> None:
        self.counters[name, source] += n

    def time(self, name: str, us: float) -> None:
        histogram = self.histograms.get(name)
        if histogram is None:
            histogram = self.histograms[name] = Histogram()
        histogram.add(us)

    def tell(self, name: str, source: str, value: object) -> None:
        """Keep the newest `value` (plain, or a Struct) of a source."""
        self.newest.setdefault(name, {})[source] = value

    def total(self, name: str) -> int:
        """Return a counter summed over its sources."""
        return sum(n for (key, _), n in self.counters.items() if key == name)

    def by_source(self, prefix: str) -> dict[str, dict[str, int]]:
        """Return `{name: {source: n}}` for every counter whose name starts with `prefix`."""
        out: dict[str, dict[str, int]] = {}
        for (name, source), n in sorted(self.counters.items()):
            if name.startswith(prefix):
                out.setdefault(name, {})[source] = n
        return out

    def snapshot(self) -> dict[str, object]:
        """Return everything as plain values, ready for JSON."""
        return {
            "counters": self.by_source(""),
            "latency_us": {k: h.summary() for k, h in sorted(self.histograms.items())},
            **self.newest,
        }
