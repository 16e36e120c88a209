"""Brokers that hang, die or are away, over real sockets: noticed, reported once, and over within seconds."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from deadlines import PATIENCE, until, when
from gateway_frames import accepted
from made_advisory import advisory
from node_process import NodeProcess

from cloudctl.client import Gateway, Vehicle
from cloudctl.clock import SECOND, WallClock
from cloudctl.codes import CompiledCode
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import Server
from cloudctl.metrics import Metrics
from cloudctl.node.config import BrokerSection
from cloudctl.topics import MqttTopics

needs_mosquitto = pytest.mark.skipif(broker.mosquitto() is None, reason="mosquitto is not on PATH")


def running(pid: int) -> bool:
    """Return whether a process runs: neither ended nor waiting for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@needs_mosquitto
def test_a_broker_that_hangs_is_noticed_left_and_used_again_as_soon_as_it_goes_on(mosquitto: broker.Broker) -> None:
    async def scene() -> None:
        metrics, got = Metrics(), []
        egress = Egress(BrokerSection(port=mosquitto.port), WallClock(), metrics, lambda *_: None)
        egress.start()
        async with Vehicle("car", port=mosquitto.port, on_trouble=lambda _: None) as vehicle:
            await when(lambda: egress.connected.is_set() and vehicle.connected.is_set())

            async def collect() -> None:
                async for item in vehicle.advisories():
                    got.append((item.id, WallClock().now() - item.t))

            task = asyncio.create_task(collect())
            mosquitto.process.send_signal(signal.SIGSTOP)
            await when(lambda: not egress.connected.is_set())
            assert "has not answered" in str(egress.trouble)
            lasting = advisory("lasting", valid_s=60.0)
            egress.advise(lasting, msgspec.json.encode(lasting))
            # several attempts to connect wait in the broker's socket
            await when(lambda: metrics.total("egress.unreachable") >= 2)
            reported = egress.trouble
            assert reported
            assert "has not answered" in reported, "attempts that fail are no news"
            mosquitto.process.send_signal(signal.SIGCONT)
            await when(lambda: egress.connected.is_set() and vehicle.connected.is_set())
            await when(lambda: any(name == "lasting" for name, _ in got))

            lost = metrics.total("egress.lost")
            for k in range(30):  # one connection, that stays, and is as fast as before
                item = advisory(f"after-{k}")
                egress.advise(item, msgspec.json.encode(item))
                await asyncio.sleep(0.1)
            await when(lambda: len(got) == 31)
            assert metrics.total("egress.lost") == lost
            delays = sorted(delay for name, delay in got if name.startswith("after"))
            assert delays[len(delays) // 2] < SECOND // 10
            task.cancel()
        await egress.stop()

    asyncio.run(scene())


@needs_mosquitto
def test_what_is_retained_does_not_outlive_the_node(mosquitto: broker.Broker) -> None:
    def retained(topic: str) -> bytes:
        command = ["mosquitto_sub", "-p", str(mosquitto.port), "-t", topic, "-W", "1", "-N"]
        return subprocess.run(command, capture_output=True, check=False).stdout

    async def scene(stopped: bool) -> None:
        egress = Egress(BrokerSection(port=mosquitto.port), WallClock(), Metrics(), lambda *_: None)
        egress.start()
        await when(egress.connected.is_set)
        egress.retain(MqttTopics.codes("X"), b"code")
        egress.retain(MqttTopics.traffic("X"), b"traffic", 1)
        await when(lambda: retained(MqttTopics.codes("X")) == b"code")
        if stopped:
            await egress.stop()
            assert retained(MqttTopics.codes("X")) == b""
        else:
            await when(
                lambda: retained(MqttTopics.traffic("X")) == b"", what="the broker letting go of what is not renewed"
            )
            await egress.stop()

    if broker.shutil.which("mosquitto_sub") is None:
        pytest.skip("mosquitto_sub is not on PATH")
    asyncio.run(scene(stopped=True))
    asyncio.run(scene(stopped=False))


def embedded(folder: Path, code: CompiledCode, host: str = "127.0.0.1") -> NodeProcess:
    return NodeProcess(folder, code, f'embedded = true\nhost = "{host}"\n')


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_an_embedded_broker_ends_with_its_node_however_that_ends(tmp_path: Path, code: CompiledCode) -> None:
    node = embedded(tmp_path, code)
    node.__enter__()
    assert node.process
    (child,) = children(node.process.pid)
    node.process.kill()
    node.process.wait()
    until(lambda: not running(child), what="the end of the broker")


def test_a_start_that_fails_leaves_no_broker_and_no_files_in_the_current_folder(
    tmp_path: Path, code: CompiledCode
) -> None:
    taken = Server("tcp://127.0.0.1:*", None, {})
    node = embedded(tmp_path, code)
    node.config.write_text(node.config.read_text().replace(f"tcp://127.0.0.1:{node.port}", taken.address))
    here = tmp_path / "here"
    here.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "cloudctl", "serve", str(node.config)],
        cwd=here,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    taken.close()
    assert done.returncode != 0
    assert b"Choose another port" in done.stderr
    assert list(here.iterdir()) == []
    with pytest.raises(OSError, match="refused"):
        broker.socket.create_connection(("127.0.0.1", node.mqtt), 1)


def test_that_a_broker_died_can_be_reported_after_its_restart_however_long_the_machine_stood_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        keeping = asyncio.create_task(kept.keep())
        kept.process.kill()
        await when(lambda: kept.restarts == 1)
        now = broker.stopwatch()
        monkeypatch.setattr(broker, "stopwatch", lambda: now + 10 * SECOND)
        for _ in range(5):
            await asyncio.sleep(0.1)
            assert "ended with status" in str(kept.trouble)
        await when(lambda: kept.trouble is None)
        keeping.cancel()

    kept = broker.start(tmp_path)
    try:
        asyncio.run(scene())
    finally:
        kept.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
def test_an_embedded_broker_that_dies_is_started_again_and_that_is_reported_once(
    tmp_path: Path, code: CompiledCode
) -> None:
    async def scene() -> None:
        async with Vehicle(
            "car", port=node.mqtt, version=5 if broker.mosquitto() else 4, on_trouble=lambda _: None
        ) as vehicle:
            await when(vehicle.connected.is_set)
            assert node.process
            os.kill(children(node.process.pid)[0], signal.SIGKILL)
            await when(lambda: not vehicle.connected.is_set())
            await when(vehicle.connected.is_set)
            await when(lambda: "all is well again" in node.said)

    node = embedded(tmp_path, code)
    with node:
        asyncio.run(scene())
        assert node.said.count("embedded MQTT broker") == 1
        assert node.count("broker.restart") == 1


@needs_mosquitto
def test_a_node_serves_gateways_vehicles_and_codes_on_ipv6(tmp_path: Path, code: CompiledCode) -> None:
    try:
        free_port("::1")
    except (OSError, broker.BrokerError):
        pytest.skip("this machine has no IPv6 loopback")
    node = embedded(tmp_path, code, "::1")
    node.config.write_text(node.config.read_text().replace("tcp://127.0.0.1:", "tcp://[::1]:"))

    async def scene() -> None:
        async with Vehicle("car", "::1", node.mqtt, version=5 if broker.mosquitto() else 4) as vehicle:
            await when(vehicle.connected.is_set)

    with node:
        gateway = Gateway(
            f"tcp://[::1]:{node.port}", ["rsu-1"], name="g", key=node.keys["g"], node_key=node.node.public
        )
        accepted(node, gateway)
        gateway.close()
        asyncio.run(scene())
