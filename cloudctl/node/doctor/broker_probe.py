"""Tries the broker with the credentials of the node and of a vehicle: what each must do it can, what it must not it
cannot.

An embedded broker is tried as a second one with the same certificates and rights, on a port of its own: with the node's
name one would take the place of a node that runs. One that runs elsewhere is tried itself, while no node runs.
"""

import asyncio
import secrets
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from ...client.credentials import VEHICLE_FILE, read_vehicle_folder
from ...errors import CloudctlError
from ...io.addresses import own_loopback, reachable
from ...io.broker import Broker, BrokerError
from ...io.broker import start as start_broker
from ...io.mqtt import Connection
from ...settings import BrokerSection
from ...topics import MqttTopics
from ..broker_files import broker_tls
from ..config import NodeConfig
from ..credentials import NODE_NAME
from .finding import Finding, Status, finding

ROUND_TRIP = 5.0  # s for a message to come back
PACE = 0.05  # s between two looks at what has come
ROUNDS = 2  # the second round is published when every subscription surely holds


class Tried(NamedTuple):
    """The broker that is tried, and who tries it."""

    node: BrokerSection
    vehicle: BrokerSection | None
    vehicle_name: str


class Client:
    """One connection, and the topics on which something came."""

    def __init__(self, section: BrokerSection, name: str) -> None:
        self.topics: list[str] = []
        self.connection = Connection(section, name, lambda topic, _: self.topics.append(topic))

    async def wait_for(self, topic: str, count: int, again: Callable[[], None]) -> bool:
        """Do something again and again until a topic has come `count` times; return whether it has."""
        for _ in range(int(ROUND_TRIP / PACE)):
            again()
            await asyncio.sleep(PACE)
            if self.topics.count(topic) >= count:
                return True
        return False


def broker_findings(config: NodeConfig, folder: Path, is_running: bool, vehicle: Path | None) -> Iterator[Finding]:
    """Yield what the broker lets the node and a vehicle do. `is_running`: whether a node runs from this configuration;
    `vehicle`: the folder of a vehicle (None: of an embedded broker, one of those in the node's folder).
    """
    section = config.broker
    if section.open:
        rule = "a closed broker: TLS, a certificate for each, an ACL"
        yield Finding("broker", Status.WARN, "open to anyone", rule, "cloudctl init FOLDER makes a closed one")

    if not section.embedded and is_running:
        value, rule = (
            "not tried: a node runs with its name",
            "must let the node and vehicles do their part, and no more",
        )
        yield Finding("broker", Status.WARN, value, rule, "see /ready of the node, or stop it and try again")
        return

    own: Broker | None = None
    try:
        if section.embedded:
            own = start_broker(None, 0, broker_tls(config), host=own_loopback(reachable(section.host)))
            section = msgspec.structs.replace(section, host=reachable(own.host), port=own.port, version=own.version)
            vehicle = vehicle or next(
                iter(sorted(path.parent for path in folder.glob(f"vehicles/*/{VEHICLE_FILE}"))), None
            )

        tried = Tried(section, *_vehicle(section, vehicle))
        yield from asyncio.run(_try(tried))
    except (BrokerError, CloudctlError) as error:
        yield Finding("broker", Status.FAIL, "cannot be tried", str(error), "correct [broker] of the node's file")
    finally:
        if own is not None:
            own.stop()


def _vehicle(section: BrokerSection, folder: Path | None) -> tuple[BrokerSection | None, str]:
    """Return how a vehicle reaches the broker that is tried, and its name; None where there is none to try with."""
    if folder is None or section.open:
        return None, ""
    file = read_vehicle_folder(folder)
    return msgspec.structs.replace(
        section, username=file.username, password=file.password, tls_ca=file.ca, tls_cert=file.cert, tls_key=file.key
    ), file.id


async def _try(tried: Tried) -> list[Finding]:
    where = f"{tried.node.host}:{tried.node.port}"
    node = Client(tried.node, NODE_NAME if tried.node.tls_cert else f"doctor-{secrets.token_hex(4)}")
    try:
        await node.connection.open()
    except (OSError, TimeoutError, ssl.SSLError) as error:
        value = f"{where}: {error or type(error).__name__}"
        remedy = "start it, or correct [broker] host, port and certificates"
        return [Finding("broker", Status.FAIL, value, "must accept the node", remedy)]

    tls = "TLS" if tried.node.tls_ca else "in clear"
    found = [Finding("broker", Status.OK, f"{where} accepts the node, {tls}", "must accept the node")]
    probe = f"doctor-{secrets.token_hex(4)}"

    try:
        found.append(await _node_rights(node, probe))
        if tried.vehicle is not None:
            found += await _vehicle_rights(node, tried, probe)
        elif not tried.node.open:
            rule = "must keep each vehicle to its own topics"
            remedy = "cloudctl doctor --vehicle FOLDER, with the folder of a vehicle that does not drive now"
            found.append(Finding("broker, a vehicle's rights", Status.WARN, "not tried", rule, remedy))
    finally:
        await node.connection.close()

    return found


async def _node_rights(node: Client, probe: str) -> Finding:
    """Return whether the node hears what it publishes for everyone."""
    topic = MqttTopics.codes(probe)
    node.connection.subscribe(topic)
    node.connection.subscribe(MqttTopics.vehicle("+", "state"))
    node.connection.subscribe(MqttTopics.vehicle("+", "hello"))
    came = await node.wait_for(topic, 1, lambda: node.connection.publish(topic, b"{}"))

    return finding(
        "broker, the node's rights",
        came,
        "publishes and reads" if came else f"nothing published on {topic} came back",
        "must read and publish cloudctl/#",
        "give the node's name these rights: docs/security.md, another broker",
    )


async def _vehicle_rights(node: Client, tried: Tried, probe: str) -> list[Finding]:
    """Return whether a vehicle reads only what is for it, and publishes only as itself."""
    assert tried.vehicle is not None
    name, remedy = tried.vehicle_name, "correct the broker's ACL: docs/security.md, another broker"
    vehicle = Client(tried.vehicle, name)

    try:
        await vehicle.connection.open()
    except (OSError, TimeoutError, ssl.SSLError) as error:
        rule = f"must accept the vehicle {name}"
        value = str(error) or type(error).__name__
        return [Finding("broker, a vehicle", Status.FAIL, value, rule, f"cloudctl keys vehicle {name}-2")]

    foreign, public = MqttTopics.vehicle(probe, "advisories"), MqttTopics.codes(probe)
    forged, own = MqttTopics.vehicle(probe, "state"), MqttTopics.vehicle(name, "hello")

    def publish_for_others() -> None:
        node.connection.publish(foreign, b"{}")
        node.connection.publish(public, b"{}")  # comes after the other: what was let through has come by then

    def publish_as_another() -> None:
        vehicle.connection.publish(forged, b"{}")
        vehicle.connection.publish(own, b"")

    try:
        vehicle.connection.subscribe(foreign)
        vehicle.connection.subscribe(public)
        reads = await vehicle.wait_for(public, ROUNDS, publish_for_others)
        publishes = await node.wait_for(own, ROUNDS, publish_as_another)
    finally:
        await vehicle.connection.close()

    spies, forges = foreign in vehicle.topics, forged in node.topics
    read_value = "reads another's advisories" if spies else "its own only" if reads else f"nothing of {public} comes"
    write_value = "publishes as another" if forges else "as itself only" if publishes else f"nothing on {own} arrives"

    return [
        finding("broker, what a vehicle reads", reads and not spies, read_value, "what is for it or for all", remedy),
        finding("broker, what a vehicle publishes", publishes and not forges, write_value, "as itself only", remedy),
    ]
