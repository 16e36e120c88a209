"""The README's snippets, run as they stand against a running node; its commands, which must exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from node_process import NodeProcess, until
from paths import ROOT

from cloudctl import codes, maps
from cloudctl.__main__ import build_parser
from cloudctl.clock import SECOND, WallClock
from cloudctl.codes import CompiledCode
from cloudctl.io import broker
from cloudctl.schema import Advisory, AdvisoryKind, Inputs

README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def snippets() -> tuple[str, str]:
    """The gateway's and the vehicle's."""
    gateway = next(s for s in SNIPPETS if "Gateway(" in s)
    vehicle = next(s for s in SNIPPETS if "Vehicle(" in s)
    return gateway, vehicle


def test_each_is_about_ten_lines(snippets: tuple[str, str]) -> None:
    for snippet in snippets:
        assert sum(bool(line.strip()) for line in snippet.splitlines()) <= 10


def test_the_gateway_and_the_vehicle_run_as_printed(
    tmp_path: Path, code: CompiledCode, snippets: tuple[str, str]
) -> None:
    running = broker.start(tmp_path / "broker")
    process = NodeProcess(tmp_path, code, f"version = {running.version}\n")
    process.config.write_text(process.config.read_text().replace(f"port = {process.mqtt}", f"port = {running.port}"))
    for name in ("key", "pub"):
        (tmp_path / f"g.{name}").rename(tmp_path / f"gateway-1.{name}")
    gateway = snippets[0].replace("tcp://127.0.0.1:7788", f"tcp://127.0.0.1:{process.port}")
    vehicle = snippets[1].replace("1883", str(running.port))
    if running.version != 5:
        vehicle = vehicle.replace(f"{running.port})", f"{running.port}, version={running.version})")
    with process:
        done = subprocess.run(
            [sys.executable, "-c", gateway], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert until(lambda: process.count("accept.perception", "rsu-1") >= 20, what="20 accepted frames")
        client = subprocess.Popen([sys.executable, "-u", "-c", vehicle], stdout=subprocess.PIPE, text=True)
        try:
            assert client.stdout is not None
            _publish_until(running, client)
            assert client.stdout.readline().startswith("glosa 9.0 slow down")
        finally:
            client.kill()
            client.wait()
            running.stop()


def _publish_until(running: broker.Broker, client: subprocess.Popen[str]) -> None:
    """Publish an advisory for car-1 as a node does, until the client has said something."""
    import asyncio
    import select

    from cloudctl.engine import encode
    from cloudctl.io.egress import Egress
    from cloudctl.metrics import Metrics
    from cloudctl.node.config import BrokerSection

    async def publish() -> None:
        egress = Egress(
            BrokerSection(port=running.port, version=running.version), WallClock(), Metrics(), lambda *_: None
        )
        egress.start()
        await asyncio.wait_for(egress.connected.wait(), 15)
        for number in range(300):
            t = WallClock().now()
            advisory = Advisory(
                f"a{number}",
                AdvisoryKind.GLOSA,
                "X",
                "vehicle:car-1",
                2,
                1.0,
                "slow down",
                t,
                t + 5 * SECOND,
                Inputs(1),
                speed=9.0,
            )
            egress.advise(advisory, encode(advisory))
            if select.select([client.stdout], [], [], 0)[0]:
                break
            await asyncio.sleep(0.1)
        await egress.stop()

    asyncio.run(publish())


def test_every_command_it_names_exists() -> None:
    helped = build_parser().format_help()
    named = set(re.findall(r"`cloudctl ([a-z]+)", README))
    assert named
    assert all(f"    {name} " in helped for name in named)


def test_the_shipped_codes_are_sound() -> None:
    for name in maps.names():
        if name.endswith(".json"):
            assert codes.loads(maps.path(name).read_bytes()).id.startswith("UST1.")
