"""Each attack that docs/security.md names, against what `cloudctl init` wrote: real mosquitto with TLS, real ZeroMQ
with CURVE.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from deadlines import until
from mqtt_client import MqttClient
from started_folder import StartedFolder

from cloudctl.client import Gateway
from cloudctl.clock import SECOND, WallClock, sleep_until
from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.io.private_files import PrivateFileError
from cloudctl.io.zeromq import Dealer, Server, new_keys, read_keys
from cloudctl.node.broker_files import broker_tls, write_broker_files
from cloudctl.node.config import ConfigError, load
from cloudctl.node.init_folder import Ports, add_vehicle, init_folder, revoke_vehicle
from cloudctl.schema import VERSION, Health
from cloudctl.topics import MqttTopics

pytestmark = pytest.mark.skipif(broker.mosquitto() is None, reason="a closed broker needs mosquitto on PATH")

VEHICLES_TOPICS = ("state", "requests", "acks", "hello")
NODES_TOPICS = (
    MqttTopics.codes("X"),
    MqttTopics.next_code("X"),
    MqttTopics.calendar("X"),
    MqttTopics.signals("X"),
    MqttTopics.traffic("X"),
    MqttTopics.intersection("X"),
    MqttTopics.vehicle("car-2", "advisories"),
    MqttTopics.vehicle("car-2", "rejects"),
    "cloudctl/v1/anything",
    "elsewhere",
)


@dataclass
class Closed:
    """The broker of a folder of `cloudctl init`, with two vehicles and the node's own credentials as a client
    folder.
    """

    folder: Path
    running: broker.Broker

    def vehicle(self, name: str = "car-1", client_id: str = "") -> MqttClient:
        return MqttClient(self.running.port, credentials=self.folder / "vehicles" / name, client_id=client_id)

    def node(self) -> MqttClient:
        return MqttClient(self.running.port, credentials=self.folder / "node-as-client")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Closed]:
    folder = tmp_path / "n"
    init_folder(folder, None, "127.0.0.1", Ports(7788, free_port()))
    add_vehicle(folder, "car-2")
    client = folder / "node-as-client"
    client.mkdir()
    for source, name in (("ca.pem", "ca.pem"), ("node.pem", "vehicle.pem"), ("node.key", "vehicle.key")):
        shutil.copy(folder / "tls" / source, client / name)
    config = load(folder / "node.toml")
    running = broker.start(Path(config.broker.folder), config.broker.port, broker_tls(config))
    yield Closed(folder, running)
    running.stop()


def _settle(client: MqttClient, name: str) -> None:
    """Wait until all that was sent before has been delivered or dropped: a message of the client's own comes after
    it.
    """
    topic = MqttTopics.vehicle(name, "hello")
    count = len([t for t, _ in client.messages if t == topic])
    client.publish(topic, b"{}")
    until(lambda: len([t for t, _ in client.messages if t == topic]) > count, what="a message of its own")


def test_a_stranger_without_a_certificate_reads_nothing_and_publishes_nothing(closed: Closed) -> None:
    with closed.node() as node:
        node.subscribe("#")
        for stranger in (
            MqttClient(closed.running.port),  # in clear
            MqttClient(closed.running.port, authority=closed.folder / "tls" / "ca.pem"),  # TLS, without a certificate
        ):
            with stranger:
                stranger.subscribe("#")
                stranger.publish(MqttTopics.vehicle("car-1", "state"), b"forged")
                node.publish(MqttTopics.vehicle("car-1", "advisories"), b"for car-1")
                _settle(node, "node")
                assert not stranger.connected
                assert stranger.messages == []
        assert b"forged" not in [payload for _, payload in node.messages]


def test_a_certificate_of_another_authority_is_worth_nothing(closed: Closed, tmp_path: Path) -> None:
    init_folder(tmp_path / "other", None, "127.0.0.1", Ports(1, 2))
    forged = tmp_path / "other" / "vehicles" / "car-1"
    shutil.copy(closed.folder / "tls" / "ca.pem", forged / "ca.pem")
    with MqttClient(closed.running.port, credentials=forged) as stranger:
        assert not stranger.connected


def test_a_vehicle_does_not_speak_with_a_broker_of_another_authority(closed: Closed, tmp_path: Path) -> None:
    init_folder(tmp_path / "other", None, "127.0.0.1", Ports(1, 2))
    own = closed.folder / "vehicles" / "car-1"
    shutil.copy(tmp_path / "other" / "tls" / "ca.pem", own / "ca.pem")
    with closed.vehicle() as vehicle:
        assert not vehicle.connected


def test_a_vehicle_reads_its_own_topics_and_what_is_for_everyone(closed: Closed) -> None:
    with closed.node() as node, closed.vehicle() as vehicle:
        vehicle.subscribe("#")
        vehicle.subscribe("cloudctl/v1/vehicles/+/+")
        node.subscribe("cloudctl/v1/vehicles/node/hello")
        for topic in NODES_TOPICS:
            node.publish(topic, b"x")
        for leaf in (*VEHICLES_TOPICS, "advisories", "rejects"):
            for name in ("car-1", "car-2"):
                node.publish(MqttTopics.vehicle(name, leaf), b"x")
        node.publish(MqttTopics.vehicle("car-1", "advisories"), b"last")
        until(lambda: (MqttTopics.vehicle("car-1", "advisories"), b"last") in vehicle.messages, what="the last one")
        read = {topic for topic, _ in vehicle.messages}
    assert read == {
        *NODES_TOPICS[:6],
        MqttTopics.vehicle("car-1", "advisories"),
        MqttTopics.vehicle("car-1", "rejects"),
    }


def test_a_vehicle_publishes_only_its_own_topics(closed: Closed) -> None:
    """Neither as another vehicle, nor what only the node may: no advisory, no signal, no digital code."""
    with closed.node() as node, closed.vehicle() as vehicle:
        node.subscribe("#")
        _settle(node, "node")
        for retain in (False, True):
            for topic in NODES_TOPICS:
                vehicle.publish(topic, b"forged", retain)
        for leaf in VEHICLES_TOPICS:
            vehicle.publish(MqttTopics.vehicle("car-2", leaf), b"forged")
            vehicle.publish(MqttTopics.vehicle("car-1", leaf), b"own")
        for leaf in ("advisories", "rejects"):
            vehicle.publish(MqttTopics.vehicle("car-1", leaf), b"forged")
        until(lambda: (MqttTopics.vehicle("car-1", "hello"), b"own") in node.messages, what="its own message")
        _settle(node, "node")
        assert {payload for topic, payload in node.messages if "vehicles/node" not in topic} == {b"own"}


@pytest.mark.parametrize("victim", ["car-2", "node"])
def test_nobody_takes_over_another_ones_connection_by_its_client_id(closed: Closed, victim: str) -> None:
    other = closed.node() if victim == "node" else closed.vehicle(victim)
    with other, closed.vehicle("car-1", client_id=victim) as attacker:
        assert attacker.connected
        other.subscribe(MqttTopics.vehicle(victim, "advisories"))
        topic = MqttTopics.vehicle(victim, "advisories")
        if victim == "node":
            other.publish(topic, b"still there")
        else:
            with closed.node() as node:
                node.publish(topic, b"still there")
        until(lambda: other.messages, what="the victim's message")
        assert other.lost == 0


def test_a_revoked_vehicle_loses_its_rights_at_once_and_never_connects_again(closed: Closed) -> None:
    with closed.node() as node, closed.vehicle() as revoked, closed.vehicle("car-2") as other:
        node.subscribe("cloudctl/v1/vehicles/#")
        for client, name in ((revoked, "car-1"), (other, "car-2")):
            client.subscribe(MqttTopics.vehicle(name, "advisories"))
            client.publish(MqttTopics.vehicle(name, "hello"), b"before")
            until(lambda name=name: (MqttTopics.vehicle(name, "hello"), b"before") in node.messages, what=name)

        assert revoke_vehicle(closed.folder, "car-1") == 1
        write_broker_files(load(closed.folder / "node.toml"))
        closed.running.reread()

        def is_deaf() -> bool:
            """Whether what the node sends to both reaches only the other, and so the other way round."""
            for client in (revoked, other):
                client.messages.clear()
            node.messages.clear()
            node.publish(MqttTopics.vehicle("car-1", "advisories"), b"x")
            node.publish(MqttTopics.vehicle("car-2", "advisories"), b"x")
            revoked.publish(MqttTopics.vehicle("car-1", "state"), b"x")
            other.publish(MqttTopics.vehicle("car-2", "state"), b"x")
            until(
                lambda: other.messages and (MqttTopics.vehicle("car-2", "state"), b"x") in node.messages, what="car-2"
            )
            _settle(node, "node")
            return not revoked.messages and (MqttTopics.vehicle("car-1", "state"), b"x") not in node.messages

        until(is_deaf, what="that the open connection is worth nothing")
        with closed.vehicle("car-1") as again:
            assert not again.connected
    add_vehicle_again = closed.folder / "vehicles" / "car-1"
    shutil.rmtree(add_vehicle_again)
    add_vehicle(closed.folder, "car-1")
    write_broker_files(load(closed.folder / "node.toml"))
    closed.running.reread()
    with closed.vehicle("car-1") as renewed:
        assert renewed.connected


def test_a_gateway_without_a_listed_key_is_refused_and_counted() -> None:
    node, listed, stranger = new_keys(), new_keys(), new_keys()
    server = Server("tcp://127.0.0.1:*", node, {listed.public: "g"})
    states: list[str] = []
    try:
        dealer = Dealer(server.address, stranger, node.public)
        dealer.send(b"P", b"forged")
        until(lambda: dealer.events(states.append) or "refused" in states, what="the refusal")
        assert server.drain() == []
        assert server.refused == {stranger.public: 1} or server.refused[stranger.public] > 0
        dealer.close()
    finally:
        server.close()


def test_keys_of_the_node_change_without_a_restart_and_the_old_one_is_worth_nothing() -> None:
    old, new, gateway = new_keys(), new_keys(), new_keys()
    server = Server("tcp://127.0.0.1:*", old, {gateway.public: "g"})
    address, came = server.address, []
    try:
        first = Dealer(address, gateway, old.public)
        first.send(b"P", b"before")
        until(lambda: came.extend(server.drain()) or came, what="a message by the old key")
        server.change_keys(new)
        second = Dealer(address, gateway, new.public)
        second.send(b"P", b"after")
        came.clear()
        until(lambda: came.extend(server.drain()) or came, what="a message by the new key")
        assert [message.body for message in came] == [b"after"]
        late = Dealer(address, gateway, old.public)
        late.send(b"P", b"late")
        sleep_until(WallClock().now() + SECOND // 2)
        assert server.drain() == []
        for dealer in (first, second, late):
            dealer.close()
    finally:
        server.close()


@pytest.mark.parametrize("file", ["keys/node.key", "tls/node.key", "tls/broker.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_secret_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, file: str, mode: int) -> None:
    init_folder(tmp_path / "n", None, "127.0.0.1", Ports())
    (tmp_path / "n" / file).chmod(mode)
    with pytest.raises((ConfigError, PrivateFileError), match="chmod 600"):
        load(tmp_path / "n/node.toml").keys()


def test_a_password_in_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    init_folder(tmp_path / "n", None, "127.0.0.1", Ports())
    file = tmp_path / "n/node.toml"
    file.write_text(file.read_text().replace("[broker]\n", '[broker]\nusername = "node"\npassword = "secret"\n'))
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(file)
    file.chmod(0o600)
    assert load(file).broker.password == "secret"


def test_a_client_refuses_a_key_that_others_can_read(tmp_path: Path) -> None:
    from cloudctl.client import Gateway, Vehicle

    init_folder(tmp_path / "n", None, "127.0.0.1", Ports())
    vehicle, gateway = tmp_path / "n/vehicles/car-1", tmp_path / "n/gateways/gateway-1"
    (vehicle / "vehicle.key").chmod(0o644)
    (gateway / "gateway.key").chmod(0o644)
    with pytest.raises(PrivateFileError, match="chmod 600"):
        Vehicle.from_folder(vehicle)
    with pytest.raises(PrivateFileError, match="chmod 600"):
        Gateway.from_folder(gateway)
    assert read_keys(gateway / "gateway.pub").public  # a public key is for everyone


TLS_KEYS = ("tls_ca", "tls_cert", "tls_key", "server_cert", "server_key")


@pytest.mark.parametrize("missing", range(1, 2 ** len(TLS_KEYS)))
@pytest.mark.parametrize("embedded", [True, False])
@pytest.mark.parametrize("is_open", [True, False])
def test_tls_settings_are_complete_or_refused_and_never_in_clear_by_mistake(
    tmp_path: Path, missing: int, embedded: bool, is_open: bool
) -> None:
    """Every subset of the settings: either all that the program then uses is TLS, or it is open by its explicit line,
    or it is refused.
    """
    lines = [f"[broker]\nembedded = {str(embedded).lower()}\nopen = {str(is_open).lower()}"]
    for number, key in enumerate(TLS_KEYS):
        if not missing >> number & 1:
            (tmp_path / f"{key}.pem").touch(0o600)
            lines.append(f'{key} = "{key}.pem"')
    (tmp_path / "node.toml").write_text("[node]\ncurve = false\n" + "\n".join(lines) + "\n")
    try:
        section = load(tmp_path / "node.toml").broker
    except ConfigError:
        return
    if section.open:
        assert not any(getattr(section, key) for key in TLS_KEYS)
    elif embedded:
        assert all(getattr(section, key) for key in TLS_KEYS)
    else:
        assert section.tls_ca
        assert (section.tls_cert is None) == (section.tls_key is None)


def test_a_broker_without_tls_and_without_the_explicit_line_is_refused(tmp_path: Path) -> None:
    for text in ("", "[broker]\n", "[broker]\nembedded = true\n", '[broker]\nhost = "127.0.0.1"\n'):
        (tmp_path / "node.toml").write_text("[node]\ncurve = false\n" + text)
        with pytest.raises(ConfigError, match="or write open = true"):
            load(tmp_path / "node.toml")


@pytest.mark.timeout(300)  # the first start on a machine compiles
def test_two_clients_with_one_gateways_key_are_named_and_flood_no_log(tmp_path: Path) -> None:
    with StartedFolder(tmp_path / "n") as node:
        folder = node.folder / "gateways" / "gateway-1"
        one, other = (Gateway.from_folder(folder, on_reject=lambda _: None) for _ in range(2))
        with one, other:

            def take_turns() -> bool:
                for gateway in (one, other):
                    gateway.health(Health(VERSION, "rsu-1", WallClock().now()))
                    gateway.poll(20)
                return node.count("gateway.connected") > 50

            until(take_turns, what="that each takes the other's place")
        assert node.log.count("two clients seem to share the key of gateway gateway-1") == 1
        assert 1 <= node.log.count("gateway gateway-1 is connected") <= 2
