"""The dashboard and the alerts hold against what a node exposes: every query parses, every metric and label exists."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from served_node import ServedNode

from cloudctl.codes import CompiledCode
from cloudctl.node.deployment import DEPLOY
from cloudctl.telemetry.exposition import Exposition, Form
from cloudctl.telemetry.families import FAMILIES, By
from cloudctl.telemetry.gauges import gauges_of, latencies_of
from cloudctl.telemetry.places import Places

promql = pytest.importorskip("promql_parser", reason="promql-parser is not installed: pip install 'cloudctl[test]'")
yaml = pytest.importorskip("yaml", reason="there is no PyYAML here: it comes with schemathesis")

DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "cloudctl-alerts.yml").read_text())
FROM_PROMETHEUS = {"job", "instance", "le"}  # labels that Prometheus adds, or that a histogram has
VARIABLES = {"$__rate_interval": "5m", "$job": "cloudctl", "$instance": "node"}
PROMTOOL = shutil.which("promtool")


def exposed(code: CompiledCode) -> dict[str, set[str]]:
    """Return the labels of every sample name that a node with everything in it exposes by intersection."""
    node = ServedNode(code)
    node.step(60)
    for prefix, family in FAMILIES.items():
        node.metrics.count(f"{prefix}.x" if family.variant else prefix, "r0")
    for name in ("step", "loop_delay", "shown", "published", "hop.sensor_to_advisory"):
        node.metrics.time(name, 10.0)
    watched = node.http.watched
    assert watched is not None
    places = Places(node.engine.config.gateways, node.engine.intersections)
    pieces = Exposition(node.metrics).pieces(
        By.INTERSECTION, Form.OPENMETRICS, places, gauges_of(watched, By.INTERSECTION), latencies_of(node.metrics)
    )
    names: dict[str, set[str]] = {"up": set()}
    for found in text_string_to_metric_families(b"".join(pieces).decode()):
        for sample in found.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    return names


def panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def queries() -> dict[str, str]:
    """Return every query by where it stands."""
    found = {f"panel {panel['title']}": target["expr"] for panel in panels() for target in panel["targets"]}
    found |= {f"alert {rule['alert']}": rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]}
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            inner = re.fullmatch(r"label_values\((.*), \w+\)", variable["definition"])
            assert inner, variable["name"]
            found[f"variable {variable['name']}"] = inner[1]
    return found


def parsed(query: str) -> Any:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return promql.parse(query)


def selectors(node: Any, grouping: frozenset[str] = frozenset()) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric of a query, with the labels that are asked of it."""
    if isinstance(node, promql.VectorSelector):
        matchers = node.matchers.matchers
        yield node.name, {matcher.name for matcher in matchers} | grouping
        return
    if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
        grouping = grouping | frozenset(node.modifier.labels)
    for child in ("expr", "lhs", "rhs", "vs", "vector_selector"):
        inner = getattr(node, child, None)
        if inner is not None:
            yield from selectors(inner, grouping)
    for inner in getattr(node, "args", None) or ():
        yield from selectors(inner, grouping)


def test_every_query_parses_and_asks_for_metrics_and_labels_that_exist(code: CompiledCode) -> None:
    names = exposed(code)
    asked: set[str] = set()
    for where, query in queries().items():
        found = list(selectors(parsed(query)))
        assert found, f"{where}: no metric in {query}"
        for name, labels in found:
            assert name in names, f"{where}: {name} is not exposed"
            assert labels - FROM_PROMETHEUS <= names[name], (
                f"{where}: {labels - FROM_PROMETHEUS - names[name]} of {name}"
            )
            asked.add(name)
    assert len(asked) > 20


@pytest.mark.parametrize(
    ("query", "fault"),
    [("cloudctl_trackz", "trackz"), ("sum by (kindd) (rate(cloudctl_advisories_total[5m]))", "kindd")],
)
def test_a_query_for_what_is_not_exposed_is_found(code: CompiledCode, query: str, fault: str) -> None:
    names = exposed(code)
    (found,) = selectors(parsed(query))
    name, labels = found
    assert name not in names or not labels - FROM_PROMETHEUS <= names[name], fault


def test_every_legend_names_labels_that_its_query_keeps() -> None:
    for panel in panels():
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert label in target["expr"] or "by (" not in target["expr"], panel["title"]


def test_panels_do_not_overlap_and_have_a_title_a_unit_and_a_place() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels():
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool here: apt-get install prometheus")
def test_promtool_takes_the_rules_and_the_configuration(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "cloudctl-alerts.yml"):
        (tmp_path / name).write_text((DEPLOY / name).read_text().replace("/etc/prometheus/", f"{tmp_path}/"))
    (tmp_path / "cloudctl.token").write_text("x")
    done = subprocess.run(
        [str(PROMTOOL), "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 rules found" in done.stdout
