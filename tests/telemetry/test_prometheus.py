"""A real Prometheus scrapes a node as `cloudctl deploy` configures it, and answers every query of the dashboard."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deadlines import PATIENCE, until
from node_process import TOKEN, NodeProcess

from bench.scene import Scene
from cloudctl.clock import WallClock
from cloudctl.codes import CompiledCode
from cloudctl.io.ports import free_port
from cloudctl.node.deployment import DEPLOY

PROMETHEUS = shutil.which("prometheus")
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
VARIABLES = {"$__rate_interval": "20s", "$job": ".*", "$instance": ".*"}
# Panels that are empty while nothing is wrong, nobody acknowledges, and nothing is dropped or refused.
MAY_BE_EMPTY = {
    "Dropped",
    "Signal faults",
    "Acknowledgements",
    "Messages refused",
    "Refused, by intersection",
    "Advisories",
}
MAY_BE_EMPTY |= {"Sensors in trouble", "Faults of the node, 1 h", "Sensor to advisory"}

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="there is no prometheus here: apt-get install prometheus")


class Prometheus:
    """A server of its own, on this machine only, that scrapes one node."""

    def __init__(self, folder: Path, node: NodeProcess) -> None:
        self.port = free_port()
        config = (DEPLOY / "prometheus.yml").read_text()
        config = config.replace("127.0.0.1:8080", f"127.0.0.1:{node.http_port}").replace("10s", "1s")
        (folder / "prometheus.yml").write_text(config.replace("/etc/prometheus/", f"{folder}/"))
        (folder / "cloudctl-alerts.yml").write_text((DEPLOY / "cloudctl-alerts.yml").read_text())
        (folder / "cloudctl.token").write_text(TOKEN)
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    str(PROMETHEUS),
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stderr=log,
            )

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}?{query}", timeout=PATIENCE) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None  # it is starting
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
        except OSError:
            return None

    def values(self, query: str) -> list[Any]:
        """Return what a query finds now; a query that is refused fails the test."""
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        found = self.get("/api/v1/query", query=query)
        return found["result"] if found else []


def panels() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_every_panel_of_the_dashboard_has_data_from_a_node_that_works(
    tmp_path: Path, code: CompiledCode, scene: Scene
) -> None:
    with NodeProcess(tmp_path, code) as node, node.gateway() as gateway:
        prometheus = Prometheus(tmp_path, node)
        try:

            def sent() -> None:
                t = WallClock().now()
                gateway.perception("rsu-1", "camera-1", scene.lat, scene.lon, scene.columns(t), t)
                gateway.signal("rsu-1", code.code.id, code.code.revision, [])
                gateway.poll(80)

            rate = "rate(cloudctl_messages_accepted_total[20s])"
            until(lambda: sent() or prometheus.values(rate), what="three scrapes")
            (target,) = prometheus.get("/api/v1/targets")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")

            for title, query in panels():
                until(
                    lambda q=query, t=title: sent() or prometheus.values(q) or t in MAY_BE_EMPTY,
                    what=f"{title}: {query}",
                )
            found = prometheus.values("cloudctl_tracks")
            assert {row["metric"]["intersection"] for row in found} == {code.code.id}
            rules = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]
            assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
            for variable in DASHBOARD["templating"]["list"]:
                inner = re.search(r"label_values\((.*), \w+\)", variable.get("definition", ""))
                assert inner is None or prometheus.values(inner[1]), variable["name"]
        finally:
            prometheus.process.terminate()
            prometheus.process.wait(PATIENCE)
