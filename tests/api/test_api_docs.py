"""docs/api.md: its commands run against a node as they stand, and what it names exists."""

import asyncio
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadlines import PATIENCE
from paths import ROOT
from served_node import TOKEN, ServedNode

from cloudctl.api.openapi import OPERATIONS
from cloudctl.api.pages import DEFAULT_LIMIT, MAX_LIMIT
from cloudctl.codes import CompiledCode
from cloudctl.metrics import MAX_SOURCES
from cloudctl.telemetry.exposition import Exposition, Form
from cloudctl.telemetry.families import FAMILIES, By
from cloudctl.telemetry.gauges import gauges_of, latencies_of
from cloudctl.telemetry.places import Places

PAGE = (ROOT / "docs" / "api.md").read_text()
COMMANDS = [line for block in re.findall(r"(?s)```sh\n(.*?)```", PAGE) for line in block.splitlines()]
CURL = shutil.which("curl")


@pytest.fixture(scope="module")
def node(code: CompiledCode) -> Iterator[ServedNode]:
    served, started, stop = ServedNode(code), threading.Event(), threading.Event()
    served.egress.connected.set()
    served.step(60)

    async def run() -> None:
        await served.http.web.start()
        started.set()
        while not stop.is_set():
            await asyncio.sleep(0.02)
        await served.http.web.stop()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(PATIENCE)
    yield served
    stop.set()
    thread.join(PATIENCE)


@pytest.mark.skipif(CURL is None, reason="curl is not on PATH")
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_page_runs_as_it_stands(
    node: ServedNode, code: CompiledCode, tmp_path: Path, command: str
) -> None:
    assert command.startswith("curl ")
    environment = {
        "NODE": node.http.web.address,
        "TOKEN": TOKEN,
        "ID": code.code.id,
        "PATH": str(Path(CURL or "").parent),
    }
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = {"limit=0": '"rule":"must be a whole number, 1 .. 500"', "http_code": "200", "openapi": ""}
    assert next((text for word, text in expected.items() if word in command), "") in done.stdout
    assert done.stdout or "-o cloudctl-openapi.json" in command


def test_the_page_has_every_path_that_is_served_and_the_limits_in_force() -> None:
    for operation in OPERATIONS:
        assert f"`{operation.path}`" in PAGE or f"$NODE{operation.path}" in PAGE, operation.path
    assert f"({DEFAULT_LIMIT}, at most {MAX_LIMIT})" in PAGE
    assert f"{MAX_SOURCES:,} senders each" in PAGE


def test_every_metric_that_the_page_names_is_exposed(node: ServedNode) -> None:
    for prefix, family in FAMILIES.items():
        node.metrics.count(f"{prefix}.x" if family.variant else prefix)
    watched = node.http.watched
    assert watched is not None
    parts = Exposition(node.metrics).pieces(
        By.SOURCE, Form.PROMETHEUS, Places({}, ()), gauges_of(watched, By.SOURCE), latencies_of(node.metrics)
    )
    text = b"".join(parts).decode()
    named = set(re.findall(r"`(cloudctl_\w+)`", PAGE))
    assert len(named) >= 25
    assert [name for name in sorted(named) if f"# TYPE {name} " not in text] == []
