"""Metrics, health and readiness of a node over its sockets, as Prometheus and an orchestrator ask for them."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from deadlines import PATIENCE, until
from node_process import TOKEN, NodeProcess
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus
from served_node import ServedNode, serve

from bench.scene import Scene
from cloudctl.clock import SECOND, WallClock, stopwatch
from cloudctl.codes import CompiledCode
from cloudctl.io import broker
from cloudctl.telemetry.exposition import Form
from cloudctl.telemetry.families import By
from cloudctl.telemetry.pulse import MAX_AGE, Pulse
from cloudctl.telemetry.routes import negotiated

PROMTOOL = shutil.which("promtool")
PROMETHEUS_ACCEPT = (  # as Prometheus 2 and 3 send it
    "application/openmetrics-text;version=1.0.0;q=0.75,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=0.0.4;q=0.25,*/*;q=0.1"
)


def get(node: NodeProcess, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and text; the token is sent."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{node.http_port}{path}", headers={"Authorization": f"Bearer {TOKEN}"} | headers
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def unmet(node: NodeProcess) -> tuple[int, list[str]]:
    status, _, text = get(node, "/ready", Authorization="")
    return status, [check["name"] for check in json.loads(text)["checks"] if not check["ok"]]


def test_a_node_is_ready_once_its_broker_is_there_and_not_while_it_is_gone(tmp_path: Path, code: CompiledCode) -> None:
    with NodeProcess(tmp_path, code) as node:
        assert unmet(node) == (503, ["broker"])
        assert get(node, "/health", Authorization="")[0] == 200
        started = broker.start(tmp_path / "broker", node.mqtt)
        try:
            until(lambda: unmet(node) == (200, []), what="the broker's connection")
        finally:
            started.stop()
        until(lambda: unmet(node) == (503, ["broker"]), what="its loss to be noticed")


def test_a_scrape_shows_what_the_node_does_and_is_valid_for_promtool_and_for_the_parsers(
    tmp_path: Path, code: CompiledCode, scene: Scene
) -> None:
    hostile = 'x"} 1 # EOF up{a="\\'
    with NodeProcess(tmp_path, code) as node, node.gateway() as gateway:
        for _ in range(30):
            t = WallClock().now()
            gateway.perception("rsu-1", hostile, scene.lat, scene.lon, scene.columns(t), t)
            gateway.perception("rsu-1", f"{hostile}\n# EOF\n", scene.lat, scene.lon, scene.columns(t), t)
            gateway.signal("rsu-1", code.code.id, code.code.revision, [])
            gateway.poll(60)
        until(lambda: node.count("accept.perception") >= 25, what="the frames")
        assert node.count("reject.perception") >= 25, "a name with line breaks is no label: it is refused"

        values: dict[str, float] = {}
        for by in By:
            _, headers, text = get(node, f"/metrics?by={by}", Accept=PROMETHEUS_ACCEPT)
            assert headers["Content-Type"] == Form.OPENMETRICS.value
            families = list(read_openmetrics(text))
            _, headers, plain = get(node, f"/metrics?by={by}", Accept="text/plain")
            assert headers["Content-Type"] == Form.PROMETHEUS.value
            assert len(list(read_prometheus(plain))) == len(families)
            if by is By.TOTAL:
                values = {sample.name: sample.value for family in families for sample in family.samples}
            else:
                sensors = [s for f in families if f.name == "cloudctl_sensor_rate_hertz" for s in f.samples]
                assert {s.labels["sensor"] for s in sensors} <= {hostile}
            if PROMTOOL:
                checked = subprocess.run(
                    [PROMTOOL, "check", "metrics"], input=plain, capture_output=True, text=True, check=False
                )
                assert (checked.returncode, checked.stdout + checked.stderr) == (0, ""), by

        assert values["cloudctl_gateways_connected"] == 1
        assert values["cloudctl_gateways_configured"] == 2
        assert values["cloudctl_tracks"] >= 20
        assert values["cloudctl_step_duration_seconds_count"] > 20
        assert values["process_open_fds"] > 10
        assert 0 < WallClock().now() / SECOND - values["process_start_time_seconds"] < 300


def test_health_is_lost_where_the_rounds_of_the_loop_are_missed(code: CompiledCode) -> None:
    node, now = ServedNode(code), [0]
    pulse = Pulse(node.metrics, 0.5, lambda: now[0])
    object.__setattr__(node.http.watched or pytest.fail("no routes"), "pulse", pulse)

    async def act(client: Any) -> None:
        for age, status in ((0.0, 200), (MAX_AGE - 0.1, 200), (MAX_AGE + 0.1, 503)):
            now[0] = int(age * SECOND)
            async with client.get("/health") as answer:
                assert (answer.status, (await answer.json())["alive"]) == (status, status == 200)
        pulse.beat()
        assert (await client.get("/health")).status == 200

    serve(node, act, {})


def test_how_late_the_loop_comes_round_is_measured(code: CompiledCode) -> None:
    node, now = ServedNode(code), [0]
    pulse = Pulse(node.metrics, 0.5, lambda: now[0])
    for waited_ms in (500, 510, 700):
        pulse.rest()
        now[0] += waited_ms * 1_000_000
        pulse.beat()
    histogram = node.metrics.histograms["loop_delay"]
    assert (histogram.count, histogram.total, histogram.largest) == (3, 210_000, 200_000)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.PROMETHEUS),
        ("*/*", Form.PROMETHEUS),
        ("text/plain", Form.PROMETHEUS),
        (PROMETHEUS_ACCEPT, Form.OPENMETRICS),
        ("application/openmetrics-text", Form.OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", Form.OPENMETRICS),
        ("application/openmetrics-text; version=2.0.0", Form.PROMETHEUS),
        ("application/openmetrics-text;q=0", Form.PROMETHEUS),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", Form.PROMETHEUS),
        ("APPLICATION/OPENMETRICS-TEXT", Form.OPENMETRICS),
        ("application/openmetrics-text;q=x", Form.PROMETHEUS),
        (";;,,q=", Form.PROMETHEUS),
    ],
)
def test_the_form_that_the_reader_prefers_is_sent(accept: str, form: Form) -> None:
    assert negotiated(accept) is form


def test_however_many_ask_a_text_is_written_once_a_second(code: CompiledCode) -> None:
    node = ServedNode(code)
    node.step(30)

    async def act(client: Any) -> None:
        bodies, begin = set(), stopwatch()
        for _ in range(20):
            async with client.get("/metrics?by=source") as answer:
                bodies.add(await answer.read())
                node.step()
        assert len(bodies) <= 2 + (stopwatch() - begin) / SECOND  # without the rule it were 20

    serve(node, act)


def test_ages_grow_while_nothing_comes(code: CompiledCode) -> None:
    node = ServedNode(code)
    node.step(60)

    async def ages(client: Any) -> dict[str, float]:
        async with client.get("/metrics?by=intersection") as answer:
            families = read_prometheus(await answer.text())
        return {
            family.name: sample.value
            for family in families
            for sample in family.samples
            if family.name in ("cloudctl_perception_age_seconds", "cloudctl_signal_age_seconds")
        }

    async def act(client: Any) -> None:
        node.clock.advance(node.clock.now() + 40 * SECOND)
        found = await ages(client)
        assert len(found) == 2
        assert all(40.0 <= age < 41.5 for age in found.values()), found

    serve(node, act)
