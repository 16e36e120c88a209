"""Metrics as text: valid for every reader, whatever strangers call themselves; every counter is there once."""

import shutil
import subprocess

import pytest
from deadlines import PATIENCE
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from cloudctl.metrics import MAX_SOURCES, Metrics
from cloudctl.telemetry.exposition import PIECE, Exposition, Form, Gauge, Sample, labels_text
from cloudctl.telemetry.families import FAMILIES, By, family_of
from cloudctl.telemetry.gauges import latencies_of
from cloudctl.telemetry.places import Places

PROMTOOL = shutil.which("promtool")
NO_PROMTOOL = "there is no promtool here: apt-get install prometheus"
NOWHERE = Places({}, ())
ANY_NAME = st.text(st.characters(codec=None), max_size=20)
COUNTERS = [f"{prefix}.{variant}" for prefix in (*FAMILIES, "unheard") for variant in ("a", "b_c")] + ["advisory", "x"]


def text_of(metrics: Metrics, by: By, form: Form, places: Places = NOWHERE, gauges: tuple[Gauge, ...] = ()) -> str:
    pieces = Exposition(metrics).pieces(by, form, places, gauges, latencies_of(metrics))
    return b"".join(pieces).decode()


def read(text: str, form: Form) -> list:
    return list((read_openmetrics if form is Form.OPENMETRICS else read_prometheus)(text))


@given(
    counts=st.lists(st.tuples(st.sampled_from(COUNTERS), ANY_NAME, st.integers(0, 2**60)), max_size=30),
    gauge=st.floats(allow_nan=True, allow_infinity=True),
    label=ANY_NAME,
    by=st.sampled_from(By),
    form=st.sampled_from(Form),
)
def test_whatever_is_counted_of_whomever_is_read_back_by_the_reference_parsers(
    counts: list, gauge: float, label: str, by: By, form: Form
) -> None:
    metrics = Metrics()
    for name, source, n in counts:
        metrics.count(name, source, n)
    gauges = (Gauge("cloudctl_tracks", "Tracks.", [Sample((("intersection", label),), gauge)]),)
    families = read(text_of(metrics, by, form, gauges=gauges), form)

    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family stands twice"
    sums: dict[str, float] = {}
    for family in families:
        assert family.documentation, family.name
        for sample in family.samples:
            if sample.name.endswith("_total") and family.type == "counter":
                sums[family.name] = sums.get(family.name, 0) + sample.value
    expected: dict[str, float] = {}
    for name, _, n in counts:
        family = family_of(name)[0].name
        expected[family] = expected.get(family, 0) + n
    assert {name: n for name, n in sums.items() if n} == pytest.approx({name: n for name, n in expected.items() if n})

    (tracks,) = [family for family in families if family.name == "cloudctl_tracks"]
    (sample,) = tracks.samples
    assert sample.value == pytest.approx(gauge, nan_ok=True)
    assert sample.labels["intersection"] == label.encode("utf-8", "backslashreplace").decode()


def full_metrics() -> Metrics:
    """Return metrics as a node has them when strangers have filled every table."""
    metrics = Metrics()
    for name in COUNTERS:
        for source in range(MAX_SOURCES + 5):
            metrics.count(name, f'stranger "{source}"\\\n')
    for stage in ("decoded", "step", "loop_delay", "hop.sensor_to_advisory"):
        for us in (0.1, 1.0, 55.0, 1e6, 1e9):
            metrics.time(stage, us)
    return metrics


@pytest.mark.skipif(PROMTOOL is None, reason=NO_PROMTOOL)
@pytest.mark.parametrize("by", By)
def test_promtool_finds_nothing_to_object_to(by: By) -> None:
    text = text_of(full_metrics(), by, Form.PROMETHEUS)
    checked = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_number_of_samples_is_bounded_whatever_strangers_call_themselves() -> None:
    metrics = full_metrics()
    lines = {by: text_of(metrics, by, Form.OPENMETRICS).count("\n") for by in By}
    assert lines[By.SOURCE] <= len(COUNTERS) * (MAX_SOURCES + 1) + 400
    assert lines[By.TOTAL] < 2000  # advisories have 1001 kinds here
    assert max(map(len, text_of(metrics, By.TOTAL, Form.OPENMETRICS).splitlines())) < 300


@pytest.mark.parametrize("by", By)
def test_no_piece_of_a_text_is_long_whatever_strangers_have_counted(by: By) -> None:
    """Between two pieces the event loop has its turn: what one costs is bounded by the counters that it reads."""
    pieces = list(Exposition(full_metrics()).pieces(by, Form.OPENMETRICS, NOWHERE, (), ()))
    assert max(piece.count(b"\n") for piece in pieces) <= PIECE + 4
    assert len(pieces) > len(COUNTERS) * MAX_SOURCES / PIECE


def test_histograms_hold_every_duration_once_and_are_cumulative() -> None:
    metrics = Metrics()
    for us in (0.2, 1.0, 1.1, 999.0, 1000.0, 1001.0, 2e8, 5e9):
        metrics.time("step", us)
    text = text_of(metrics, By.TOTAL, Form.OPENMETRICS)
    (family,) = [f for f in read_openmetrics(text) if f.name == "cloudctl_step_duration_seconds"]
    buckets = [(s.labels["le"], s.value) for s in family.samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets, key=lambda bucket: float(bucket[0]))
    values = dict(buckets)
    assert (values["1e-06"], values["0.001"], values["100.0"], values["+Inf"]) == (2, 5, 6, 8)
    assert [s.value for s in family.samples if s.name.endswith("_count")] == [8]
    assert family.unit == "seconds"


def test_counters_are_added_up_by_the_intersection_their_sources_stand_at() -> None:
    metrics = Metrics()
    places = Places({"g": {"r1": "A", "r2": "B"}, "h": {"r3": "B"}}, ("A", "B"))
    for name, source, n in (
        ("accept.perception", "r1", 1),
        ("accept.perception", "r2", 2),
        ("accept.perception", "r3", 4),
        ("reject.row", "r3/camera", 8),
        ("accept.signal", "h", 16),  # a gateway of one intersection
        ("accept.signal", "g", 32),  # of two: nobody can say of which
        ("signal.order", "A", 64),
        ("reject.state", "r1", 128),  # a vehicle that calls itself as a unit does
        ("vehicle.off_lane", "A", 256),
    ):
        metrics.count(name, source, n)
    found = {
        (
            f.name.removeprefix("cloudctl_"),
            s.labels.get("kind") or s.labels.get("check") or s.labels.get("event"),
            s.labels.get("intersection"),
        ): s.value
        for f in read_openmetrics(text_of(metrics, By.INTERSECTION, Form.OPENMETRICS, places))
        for s in f.samples
    }
    assert found == {
        ("messages_accepted", "perception", "A"): 1,
        ("messages_accepted", "perception", "B"): 6,
        ("messages_rejected", "row", "B"): 8,
        ("messages_accepted", "signal", "B"): 16,
        ("messages_accepted", "signal", None): 32,
        ("signal_faults", "order", "A"): 64,
        ("messages_rejected", "state", None): 128,
        ("vehicle_events", "off_lane", None): 256,
    }


def test_counters_that_appear_between_two_pieces_are_in_the_next_text() -> None:
    metrics = full_metrics()
    exposition = Exposition(metrics)

    def pieces(form: Form) -> bytes:
        parts = []
        for number, piece in enumerate(exposition.pieces(By.SOURCE, form, NOWHERE, (), ())):
            metrics.count("accept.late", f"{number}")
            parts.append(piece)
        return b"".join(parts)

    list(read_openmetrics(pieces(Form.OPENMETRICS).decode()))
    assert b'kind="late",source="0"' in pieces(Form.PROMETHEUS)


@given(ANY_NAME)
def test_a_label_never_leaves_its_quotes(name: str) -> None:
    text = labels_text((("source", name),))
    inner = text.removeprefix('{source="').removesuffix('"}')
    assert "\n" not in text
    assert '"' not in inner.replace("\\\\", "").replace('\\"', "")
