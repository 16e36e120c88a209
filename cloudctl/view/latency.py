"""Latencies of late: what the node's histograms have counted since they were looked at last."""

from ..metrics import BUCKETS_US, Histogram, Metrics

STAGES = ("decoded", "fused", "planned", "published")


class RecentLatency:
    """The stages of a step since the last `take`, in us."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before: dict[str, list[int]] = {}

    def take(self) -> dict[str, dict[str, float]]:
        """Return, by stage: count, p50 and p99 (upper edges of their buckets) since the last call."""
        figures = {}
        for stage in STAGES:
            histogram = self._metrics.histograms.get(stage)
            if histogram is None:
                continue

            before = self._before.get(stage) or [0] * len(histogram.counts)
            counts = [now - then for now, then in zip(histogram.counts, before, strict=True)]
            self._before[stage] = list(histogram.counts)
            figures[stage] = {
                "count": sum(counts),
                "p50": _quantile(histogram, counts, quantile=0.5),
                "p99": _quantile(histogram, counts, quantile=0.99),
            }

        return figures


def _quantile(histogram: Histogram, counts: list[int], quantile: float) -> float:
    remaining = quantile * sum(counts)
    for edge, count in zip((*BUCKETS_US, histogram.largest), counts, strict=True):
        remaining -= count
        if count and remaining <= 0:
            return min(edge, histogram.largest)
    return 0.0
