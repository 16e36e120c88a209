"""An edge whose broker passes on to a region's: with real mosquitto, the link between them cut and mended."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from city_gateways import Fleet, serving, write_node_folder
from deadlines import PATIENCE, until
from mqtt_client import MqttClient
from tcp_link import Link

from cloudctl.clock import SECOND, WallClock
from cloudctl.io import broker
from cloudctl.io.bridge import Bridge
from cloudctl.io.egress import Egress
from cloudctl.io.ports import free_port
from cloudctl.metrics import Metrics
from cloudctl.node.config import ConfigError, load
from cloudctl.node.credentials import CredentialError
from cloudctl.node.init_city import add_edge
from cloudctl.node.init_folder import InitError, Ports, add_vehicle, init_folder, revoke_vehicle
from cloudctl.schema import Advisory, AdvisoryKind, Inputs
from cloudctl.settings import BrokerSection
from cloudctl.topics import MqttTopics

pytestmark = pytest.mark.skipif(
    broker.mosquitto() is None, reason="a bridge needs mosquitto: apt-get install mosquitto"
)


@pytest.fixture
def region(tmp_path: Path) -> Iterator[broker.Broker]:
    started = broker.start(tmp_path / "region")
    yield started
    started.stop()


def advisory(number: int) -> Advisory:
    now = WallClock().now()
    return Advisory(
        id=f"X-run-{number}",
        kind=AdvisoryKind.GLOSA,
        intersection="X",
        target="vehicle:car",
        severity=2,
        confidence=1.0,
        reason="because",
        t=now,
        valid_until=now + 5 * SECOND,
        inputs=Inputs(revision=1),
    )


def test_an_edge_that_is_cut_from_its_region_loses_nothing_upward(tmp_path: Path, region: broker.Broker) -> None:
    link = Link(region.port)
    edge = broker.start(tmp_path / "edge", bridge=Bridge(name="edge-1", address=f"127.0.0.1:{link.port}"))
    section = BrokerSection(port=edge.port, version=5, bridge=f"127.0.0.1:{link.port}", bridge_name="edge-1")
    sender = EgressThread(section)
    try:
        with MqttClient(region.port) as gathered:
            gathered.subscribe(MqttTopics.copies("+"))
            sent = 0
            for phase in ("together", "cut", "together again"):
                if phase == "cut":
                    link.cut()
                else:
                    link.mend()
                for _ in range(200):
                    sender.advise(advisory(sent))
                    sent += 1
                if phase != "cut":
                    wanted = sent
                    until(lambda: len(ids(gathered)) >= wanted, what=f"{phase}: what was published")  # noqa: B023
            assert ids(gathered) == [f"X-run-{number}" for number in range(sent)], "each once, in order"
    finally:
        sender.stop()
        edge.stop()
        link.close()


def ids(client: MqttClient) -> list[str]:
    """Return the ids of the advisories that came, without repetitions: QoS 1 may repeat the last before a cut."""
    return list(dict.fromkeys(json.loads(payload)["id"] for _, payload in client.messages))


class EgressThread:
    """A node's connection to the edge's broker, on an event loop of its own."""

    def __init__(self, section: BrokerSection) -> None:
        self._loop = asyncio.new_event_loop()
        self._egress = Egress(section, WallClock(), Metrics(), lambda *_: None)
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._loop.call_soon_threadsafe(self._egress.start)
        until(self._egress.connected.is_set)

    def advise(self, made: Advisory) -> None:
        self._loop.call_soon_threadsafe(self._egress.advise, made, msgspec.json.encode(made))

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._egress.stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)


def test_a_region_has_the_codes_and_the_health_of_an_edge(tmp_path: Path, region: broker.Broker) -> None:
    port, mqtt = free_port(), free_port()
    file = write_node_folder(tmp_path / "edge", port, mqtt, Fleet())
    text = file.read_text().replace("open = true", "open = true\nembedded = true")
    bridge = f'port = {mqtt}\nbridge = "127.0.0.1:{region.port}"\nbridge_name = "edge-1"'
    file.write_text(text.replace(f"port = {mqtt}", bridge))
    with serving(file), MqttClient(region.port) as gathered:
        gathered.subscribe("cloudctl/v1/#")
        kinds = {"codes", "nodes"}
        until(lambda: {topic.split("/")[2] for topic, _ in gathered.messages} >= kinds, what="codes and health")
        status = next(payload for topic, payload in gathered.messages if topic == MqttTopics.node_status("edge-1"))
        assert len(json.loads(status)["intersections"]) == 5

        # `city status` at the region lists the edge, by its report to the region's broker.
        own = write_node_folder(tmp_path / "at-region", free_port(), region.port, Fleet())
        command = [sys.executable, "-m", "cloudctl", "city", "status", "--config", str(own)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("edge-1 ")
        assert done.stdout.count("edge-1, an edge") == 5
        rows = json.loads(
            subprocess.run([*command, "--json"], capture_output=True, timeout=PATIENCE, check=True).stdout
        )
        assert [edge["edge"] for edge in rows["edges"]] == ["edge-1"]
        assert rows["edges"][0]["age"] < 30.0


def test_a_closed_region_lets_an_edge_in_by_its_certificate_and_write_only_what_goes_up(tmp_path: Path) -> None:
    first = free_port(count=2)
    init_folder(tmp_path / "region", None, "127.0.0.1", Ports(first, first + 1, 0))
    file = tmp_path / "region" / "node.toml"
    file.write_text(file.read_text().replace('[http]\nbind = "127.0.0.1:0"\n', ""))
    credentials = add_edge(tmp_path / "region", "edge-1")
    with serving(file), MqttClient(first + 1, credentials=tmp_path / "region" / "vehicles" / "car-1") as witness:
        witness.subscribe("cloudctl/v1/intersections/#")
        bridge = Bridge(
            name="edge-1",
            address=f"127.0.0.1:{first + 1}",
            ca=credentials / "region-ca.pem",
            cert=credentials / "edge.pem",
            key=credentials / "edge.key",
        )
        edge = broker.start(tmp_path / "edge", bridge=bridge)
        try:
            with MqttClient(edge.port) as own:
                traffic, forged = MqttTopics.traffic("X"), MqttTopics.intersection("X")
                until(
                    lambda: own.publish(forged, b"forged") or own.publish(traffic, b"{}") or witness.messages,
                    what="what goes up",
                )
                assert {topic for topic, _ in witness.messages} == {traffic}
        finally:
            edge.stop()


def test_an_edge_says_once_why_its_region_does_not_take_it_and_when_it_does(tmp_path: Path) -> None:
    first = free_port(count=2)
    for name in ("region", "stranger"):
        init_folder(tmp_path / name, None, "127.0.0.1", Ports(first, first + 1, 0))
    region = tmp_path / "region" / "node.toml"
    region.write_text(region.read_text().replace('[http]\nbind = "127.0.0.1:0"\n', ""))
    right, wrong = (add_edge(tmp_path / name, "edge-1") for name in ("region", "stranger"))
    mqtt = free_port()
    file = write_node_folder(tmp_path / "edge", free_port(), mqtt, Fleet())
    # a certificate of another authority, as that of a region that was set up anew
    files = {"edge.pem": wrong, "edge.key": wrong, "region-ca.pem": right}
    for name, source in files.items():
        (tmp_path / "edge" / name).write_bytes((source / name).read_bytes())
        (tmp_path / "edge" / name).chmod(0o600)
    bridge = (
        f'embedded = true\nport = {mqtt}\nbridge = "127.0.0.1:{first + 1}"\nbridge_name = "edge-1"\n'
        'bridge_ca = "region-ca.pem"\nbridge_cert = "edge.pem"\nbridge_key = "edge.key"'
    )
    file.write_text(file.read_text().replace(f"port = {mqtt}", bridge))

    def said() -> str:
        return (tmp_path / "edge" / "err").read_text()

    def lost() -> int:
        return int(json.loads((tmp_path / "edge" / "status.json").read_text())["counters"].get("broker.bridge_lost", 0))

    with serving(region):
        with serving(file):
            until(lambda: "the bridge edge-1 to the region's broker" in said(), what="the edge's line")
            (line,) = [line for line in said().splitlines() if "the bridge edge-1" in line]
            assert "(" in line.partition("is not connected")[2].partition(". What")[0], "the broker's own reason"
            assert "cloudctl keys edge" in line
            until(lambda: lost() == 1, what="the counter")
        for name in ("edge.pem", "edge.key"):
            (tmp_path / "edge" / name).write_bytes((right / name).read_bytes())
        with serving(file), MqttClient(mqtt) as own:
            own.subscribe(MqttTopics.bridge("edge-1"))
            until(lambda: (MqttTopics.bridge("edge-1"), b"1") in own.messages, what="the connected bridge")
            assert "the bridge edge-1" not in said()


def test_no_vehicle_is_called_as_an_edge_and_no_edge_as_anything_else(tmp_path: Path) -> None:
    init_folder(tmp_path / "region", None, "127.0.0.1", Ports(7788, 8883, 8080))
    with pytest.raises(InitError, match="edge-1"):
        add_edge(tmp_path / "region", "car-2")
    for name in ("edge-1", "node-2", "etcd", "root"):
        with pytest.raises(CredentialError, match="other rights"):
            add_vehicle(tmp_path / "region", name)
    add_edge(tmp_path / "region", "edge-1")
    acl = (tmp_path / "region" / "broker" / "acl").read_text()
    assert "user edge-1\ntopic write cloudctl/v1/intersections/+/traffic" in acl
    revoke_vehicle(tmp_path / "region", "edge-1")
    acl = (tmp_path / "region" / "broker" / "acl").read_text()
    assert "topic write" not in acl
    assert "user edge-1\ntopic deny cloudctl/#" in acl


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ('embedded = true\nbridge = "region"\nbridge_name = "e"', "HOST:PORT"),
        ('bridge = "region:1883"\nbridge_name = "e"', "embedded = true"),
        ('embedded = true\nbridge = "region:1883"', "bridge_name"),
        ('embedded = true\nbridge = "region:1883"\nbridge_name = "e"\nbridge_cert = "x"', "belong together"),
    ],
)
def test_a_bridge_that_cannot_be_is_refused(tmp_path: Path, lines: str, named: str) -> None:
    file = write_node_folder(tmp_path / "edge", 7788, 1883, Fleet())
    file.write_text(file.read_text().replace("open = true", f"open = true\n{lines}"))
    with pytest.raises(ConfigError, match=named):
        load(file)
