"""Brokers that are connected and yet pass on nothing, or only the small, or late: over real mosquitto, noticed, counted
and said with the remedy, and over when its cause is."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest
from deadlines import PATIENCE, until, when
from made_advisory import advisory
from mqtt_client import MqttClient
from tcp_link import Link

from cloudctl.client import Vehicle
from cloudctl.clock import WallClock
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.io.ports import free_port
from cloudctl.metrics import Metrics
from cloudctl.settings import BrokerSection
from cloudctl.topics import MqttTopics

pytestmark = pytest.mark.skipif(broker.mosquitto() is None, reason="mosquitto is not on PATH")


class ConfiguredBroker:
    """A mosquitto with further lines in its configuration; `acl`, where given, is its access list."""

    def __init__(self, folder: Path, lines: str, acl: str | None = None) -> None:
        self.port, self._folder = free_port(), folder
        text = f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n{lines}\n"
        if acl is not None:
            self.grant(acl)
            text += f"acl_file {folder / 'acl'}\n"
        (folder / "mosquitto.conf").write_text(text)
        command = [str(broker.mosquitto()), "-c", str(folder / "mosquitto.conf")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def grant(self, acl: str) -> None:
        """Write another access list."""
        (self._folder / "acl").write_text(acl)
        (self._folder / "acl").chmod(0o600)


@asynccontextmanager
async def connected_to(port: int) -> AsyncIterator[tuple[Egress, Metrics]]:
    """Connect a node's egress to a broker; it is stopped at the end."""
    metrics = Metrics()
    egress = Egress(BrokerSection(port=port), WallClock(), metrics, lambda *_: None)
    egress.start()
    await when(egress.connected.is_set)
    try:
        yield egress, metrics
    finally:
        await egress.stop()


@contextmanager
def running(made: ConfiguredBroker) -> Iterator[ConfiguredBroker]:
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait(PATIENCE)


@pytest.mark.parametrize("acl", ["topic read #\n", "topic write #\n", "topic readwrite cloudctl/v1/codes/#\n"])
def test_a_broker_that_gives_the_node_no_rights_is_no_broker_until_it_does(tmp_path: Path, acl: str) -> None:
    async def scene(mqtt: ConfiguredBroker) -> None:
        async with connected_to(mqtt.port) as (egress, metrics):
            await when(lambda: egress.trouble, what="the trouble")
            reported = egress.trouble
            assert reported
            assert "no right to publish or to read" in reported
            assert "cloudctl broker OUT" in reported
            assert egress.connected.is_set(), "the connection itself lasts"
            assert not egress.is_connected, "for /ready and the metric, there is no broker"
            assert metrics.total("egress.no_echo") == 1

            mqtt.grant("topic readwrite cloudctl/#\n")
            mqtt.process.send_signal(signal.SIGHUP)
            await when(lambda: egress.trouble is None and egress.is_connected, what="the rights")
            assert (metrics.total("egress.no_echo"), metrics.total("egress.lost")) == (1, 0)

    with running(ConfiguredBroker(tmp_path, "", acl)) as mqtt:
        asyncio.run(scene(mqtt))


def test_what_is_too_large_for_a_broker_is_left_out_and_everything_else_goes_on(tmp_path: Path) -> None:
    async def scene(port: int) -> None:
        async with connected_to(port) as (egress, metrics):
            async with Vehicle("car", port=port) as vehicle:
                await when(vehicle.connected.is_set)
                egress.retain(MqttTopics.codes("X"), b"x" * 5000)
                item = advisory("small", valid_s=30.0)
                egress.advise(item, msgspec.json.encode(item))
                async with asyncio.timeout(PATIENCE):
                    assert (await anext(aiter(vehicle.advisories()))).id == "small"

            assert (metrics.total("drop.too_large"), metrics.total("egress.lost")) == (1, 0)
            reported = egress.trouble
            assert reported
            assert "up to 2,000 bytes, and one of 5,000 on cloudctl/v1/codes/X" in reported
            assert "max_packet_size" in reported

    with running(ConfiguredBroker(tmp_path, "max_packet_size 2000")) as mqtt:
        asyncio.run(scene(mqtt.port))


def test_every_size_up_to_the_brokers_limit_is_sent(tmp_path: Path) -> None:
    """The limit is of a whole packet: none that is sent ends the connection, and hardly one that would fit is not."""
    limit = 2000

    async def scene(port: int) -> None:
        async with connected_to(port) as (egress, metrics):
            with MqttClient(port) as witness:
                witness.subscribe(MqttTopics.traffic("X"))
                egress.retain(MqttTopics.traffic("X"), b"first", 30)
                await when(lambda: witness.messages, what="the subscription")
                for size in range(limit - 120, limit + 1):
                    egress.retain(MqttTopics.traffic("X"), b"%04d" % size + b"x" * (size - 4), 30)
                await when(lambda: witness.messages and metrics.total("drop.too_large"))
                sent = 122 - metrics.total("drop.too_large")
                await when(lambda: len(witness.messages) >= sent, what="all that was sent")
            assert sent > 20
            assert metrics.total("egress.lost") == 0

    with running(ConfiguredBroker(tmp_path, f"max_packet_size {limit}")) as mqtt:
        asyncio.run(scene(mqtt.port))


def test_a_broker_whose_answers_take_over_a_second_is_slow_and_said_to_be_once(mosquitto: broker.Broker) -> None:
    async def scene(far: Link) -> None:
        async with connected_to(far.port) as (egress, metrics):
            await when(lambda: egress.trouble, what="the trouble")
            assert "takes over 1 s to come back" in str(egress.trouble)
            assert egress.is_connected, "late is not never"
            assert metrics.total("egress.slow") == 1

    far = Link(mosquitto.port, 0.7)
    asyncio.run(scene(far))
    far.close()


def test_nobody_else_can_pretend_that_messages_come_back(tmp_path: Path) -> None:
    async def scene(mqtt: ConfiguredBroker) -> None:
        async with connected_to(mqtt.port) as (egress, _):
            with MqttClient(mqtt.port) as witness:
                witness.subscribe("cloudctl/v1/echo/+")
                await when(lambda: witness.messages, what="the node's message to itself")
                topic, _ = witness.messages[0]
                for payload in (b"", b"x" * 1000, b"999999", b"-1"):
                    witness.publish(topic, payload)
                # the last of them has gone to the node as well by the time its own next one comes back to the witness
                seen = len(witness.messages)
                await when(lambda: len(witness.messages) > seen + 6)
            assert egress.trouble is None

    with running(ConfiguredBroker(tmp_path, "")) as mqtt:
        until(lambda: mqtt.process.poll() is None)
        asyncio.run(scene(mqtt))
