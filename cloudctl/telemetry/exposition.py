"""Metrics as text: OpenMetrics 1.0, or the older text format of Prometheus. In pieces, so that a scrape of many
counters never holds up the loop: the caller may let others have their turn after each.

What a sample is made of is found once per counter; a scrape only reads numbers. Label values come from strangers and
are escaped.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import islice
from typing import NamedTuple

from ..metrics import BUCKETS_US, Histogram, Metrics
from .families import FAMILIES, GAUGES_AMONG_COUNTERS, OTHER, By, Family, family_of, has_place
from .places import Places

PIECE = 400  # counters or samples of one piece: well under 1 ms
# Of the histograms' edges, those that are shown: four a decade, 1 us .. 100 s
EDGES = range(0, len(BUCKETS_US), 5)
MICROSECOND = 1e-6  # s

Key = tuple[str, str]  # of a counter: name, source
Labels = tuple[tuple[str, str], ...]


class Form(Enum):
    """How metrics are written: its content type."""

    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Sample(NamedTuple):
    """One value of a gauge."""

    labels: Labels
    value: float


class Gauge(NamedTuple):
    """Values that go up and down, or (`counts`) only up; `name` ends in the base unit."""

    name: str
    help: str
    samples: Iterable[Sample]
    counts: bool = False


class Latency(NamedTuple):
    """Histograms of one family: `labels` and histogram of each."""

    name: str  # ends in _seconds
    help: str
    histograms: list[tuple[Labels, Histogram]]


def escaped(text: str) -> str:
    """Return a label's value as it may stand between quotes, whatever it holds."""
    clean = text.encode("utf-8", "backslashreplace").decode()  # lone surrogates are no UTF-8
    return clean.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def labels_text(labels: Labels) -> str:
    """Return labels with their braces, "" for none."""
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels) + "}"


class CounterIndex:
    """Which counters each sample adds up, for one way of grouping them; a counter is taken in when it is new."""

    def __init__(self, metrics: Metrics, by: By, places: Places) -> None:
        self._metrics, self._by, self.places = metrics, by, places
        self._taken = 0  # counters: none is ever removed, so that new ones come last
        self._samples: dict[Family, dict[str, list[Key]]] = {}  # by the labels' text

    def take_in(self) -> bool:
        """Take in the next PIECE counters that are new; return whether there were any."""
        keys = list(islice(self._metrics.counters, self._taken, self._taken + PIECE))
        for key in keys:
            if key[0] not in GAUGES_AMONG_COUNTERS:
                family, variant = family_of(key[0])
                text = labels_text(self._labels(family, variant, key))
                self._samples.setdefault(family, {}).setdefault(text, []).append(key)

        self._taken += len(keys)
        return bool(keys)

    def samples(self, family: Family) -> list[tuple[str, list[Key]]]:
        """Return the samples of a family: the labels' text, and the counters that it adds up."""
        return sorted(self._samples.get(family, {}).items())

    def _labels(self, family: Family, variant: str, key: Key) -> Labels:
        name, source = key
        labels = [(family.variant, variant)] if variant else []
        if family.kind:
            return (*labels, (family.kind, source))

        if self._by is By.SOURCE:
            labels.append(("source", source))
        elif self._by is By.INTERSECTION and has_place(name):
            place = self.places.intersection(source)
            if place:
                labels.append(("intersection", place))

        return tuple(labels)


class Exposition:
    """The metrics of one node as text. `places` is asked again where the node's gateways have changed."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._indexes: dict[By, CounterIndex] = {}

    def pieces(
        self, by: By, form: Form, places: Places, gauges: Iterable[Gauge | None], latencies: Iterable[Latency]
    ) -> Iterator[bytes]:
        """Yield the text, a piece at a time; counters may be added between two pieces. A gauge of None is a pause."""
        index = self._indexes.get(by)
        if index is None or index.places != places:
            index = self._indexes[by] = CounterIndex(self._metrics, by, places)

        while index.take_in():
            yield b""

        for family in (*FAMILIES.values(), OTHER):
            yield from self._counter(family, index.samples(family), form)

        for gauge in gauges:
            yield from _gauge(gauge, form) if gauge is not None else (b"",)

        for latency in latencies:
            yield from _latency(latency, form)

        if form is Form.OPENMETRICS:
            yield b"# EOF\n"

    def _counter(self, family: Family, samples: list[tuple[str, list[Key]]], form: Form) -> Iterator[bytes]:
        """Yield one family, no more than PIECE counters a piece."""
        value = self._metrics.counters.__getitem__
        lines = [_head(family.name, family.help, "counter", form)]
        count = 0

        for labels, keys in samples:
            lines.append(f"{family.name}_total{labels} {sum(map(value, keys))}\n")
            count += len(keys)
            if count >= PIECE:
                yield "".join(lines).encode()
                lines, count = [], 0

        yield "".join(lines).encode()


def _head(name: str, text: str, kind: str, form: Form) -> str:
    """Return the lines that describe a family. The older format names a counter as its samples are named."""
    family_name = f"{name}_total" if kind == "counter" and form is Form.PROMETHEUS else name
    unit = next((unit for unit in ("seconds", "bytes", "hertz") if name.endswith(f"_{unit}")), None)
    lines = f"# HELP {family_name} {text}\n# TYPE {family_name} {kind}\n"
    return lines + (f"# UNIT {family_name} {unit}\n" if unit and form is Form.OPENMETRICS else "")


def _gauge(gauge: Gauge, form: Form) -> Iterator[bytes]:
    name = f"{gauge.name}_total" if gauge.counts else gauge.name
    lines = [_head(gauge.name, gauge.help, "counter" if gauge.counts else "gauge", form)]

    for sample in gauge.samples:
        lines.append(f"{name}{labels_text(sample.labels)} {number(sample.value)}\n")
        if len(lines) >= PIECE:
            yield "".join(lines).encode()
            lines = []

    yield "".join(lines).encode()


def _latency(latency: Latency, form: Form) -> Iterator[bytes]:
    """Yield the histograms of one family, one a piece."""
    yield _head(latency.name, latency.help, "histogram", form).encode()
    for labels, histogram in latency.histograms:
        yield _histogram(latency.name, labels, histogram).encode()


def _histogram(name: str, labels: Labels, histogram: Histogram) -> str:
    """Return the samples of one histogram: each bucket holds those up to its edge."""
    lines, below, first = [], 0, 0
    for edge in EDGES:
        below += sum(histogram.counts[first : edge + 1])
        first = edge + 1
        bucket_labels = labels_text((*labels, ("le", repr(float(f"{BUCKETS_US[edge] * MICROSECOND:.4g}")))))
        lines.append(f"{name}_bucket{bucket_labels} {below}\n")

    plain = labels_text(labels)
    infinite = labels_text((*labels, ("le", "+Inf")))
    lines.append(f"{name}_bucket{infinite} {histogram.count}\n")
    lines.append(f"{name}_sum{plain} {number(histogram.total * MICROSECOND)}\n")
    lines.append(f"{name}_count{plain} {histogram.count}\n")

    return "".join(lines)


def number(value: float) -> str:
    """Return a number as both formats write it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
