"""All nodes of a city on the zone page: what each reports of itself, bounded and aged by this node's clock."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bench.browser import Browser
from cloudctl.clock import SECOND
from cloudctl.metrics import Metrics
from cloudctl.node_status import NodeReport
from cloudctl.view.city import MAX_NODES, CityReports

NAMES = st.text(min_size=1, max_size=8)
COUNTERS = st.sampled_from(["fault.step", "drop.queue", "reject.signal", "signal.late"])
REPORTS = st.builds(
    NodeReport,
    node=NAMES,
    t=st.integers(0, 2**62),
    intersections=st.lists(NAMES, max_size=4, unique=True),
    counters=st.dictionaries(COUNTERS, st.integers(0, 9)),
    is_edge=st.booleans(),
    epochs=st.dictionaries(NAMES, st.integers(1, 2**40), max_size=3),
    load=st.floats(0.0, 4.0),
)


@given(st.lists(st.one_of(REPORTS.map(msgspec.json.encode), st.binary(max_size=60)), max_size=30))
def test_every_node_that_reports_has_one_row_and_no_bytes_do_harm(payloads: list[bytes]) -> None:
    reports = CityReports(lambda: SECOND, Metrics(), "a")
    newest: dict[str, NodeReport] = {}
    for payload in payloads:
        reports.put(payload)
        try:
            report = msgspec.json.decode(payload, type=NodeReport)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        before = newest.get(report.node)
        if before is None or before.t != report.t:  # the same one comes again after a reconnection
            newest[report.node] = report
    rows = reports.rows()
    msgspec.json.encode(rows)
    assert [row["node"] for row in rows] == sorted(newest)
    for row in rows:
        report = newest[row["node"]]
        assert (row["own"], row["edge"]) == (report.node == "a", report.is_edge)
        assert row["faults"] == report.counters.get("fault.step", 0)
        assert [place["id"] for place in row["intersections"]] == sorted(report.intersections)


def test_a_node_that_reports_no_more_is_shown_as_silent_and_strangers_are_bounded() -> None:
    now, metrics = SECOND, Metrics()
    reports = CityReports(lambda: now, metrics, "own")
    for number in range(MAX_NODES + 5):
        reports.put(msgspec.json.encode(NodeReport(f"node-{number:03d}", 1, [], {})))
    assert len(reports.rows()) == MAX_NODES
    assert metrics.counted("drop.node_report", "nodes") == 5
    now += 20 * SECOND
    reports.put(msgspec.json.encode(NodeReport("node-001", 2, [], {})))
    now += 15 * SECOND
    # the same report once more, as a broker gives it after a reconnection, is no sign of life
    reports.put(msgspec.json.encode(NodeReport("node-000", 1, [], {})))
    silent = {row["node"]: row["silent"] for row in reports.rows()}
    assert (silent["node-000"], silent["node-001"]) == (True, False)


def test_the_zone_page_shows_every_node_with_its_intersections_epochs_load_and_faults(page: Browser) -> None:
    rows = [
        {
            "node": "north", "own": True, "edge": False, "silent": False, "age_s": 2.0, "load": 0.42, "faults": 0,
            "troubles": [], "intersections": [{"id": "X-1", "epoch": 7}, {"id": "X-2", "epoch": 9}],
        },
        {
            "node": "<b>edge-1", "own": False, "edge": True, "silent": True, "age_s": 45.0, "load": 0.1, "faults": 3,
            "troubles": [{"name": "drop.queue", "count": 12}], "intersections": [{"id": "Y-1", "epoch": None}],
        },
    ]  # fmt: skip
    page.run(f"cloudctl.store.city = {msgspec.json.encode(rows).decode()}; cloudctl.showPanels()")
    page.until("!document.getElementById('nodes').hidden && document.querySelector('#nodes details')")
    text = page.run("document.querySelector('#nodes').textContent")
    for words in ("north (this one)", "serves", "42", "X-1, epoch 7", "<b>edge-1", "silent for 45 s", "drop.queue 12"):
        assert words in text
    page.run("cloudctl.store.city = []; cloudctl.showPanels()")
    assert page.run("document.getElementById('nodes').hidden")
