"""MQTT: what the node says to vehicles and hears from them. The only importer of the node's MQTT client.

Nothing is sent after its `valid_until`; the newest of each kind to each target is kept until then and sent again when a lost broker
comes back. What waits is bounded, newest wins, and every drop is counted.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

import gmqtt  # noqa: TID251
import msgspec

from .clock import Clock
from .config import BrokerSection
from .metrics import Metrics
from .schema import Advisory, Reject, Signals
from .topics import MqttTopics

MAX_HELD = 50_000  # advisories kept for a broker that is away
MAX_UNSENT = 4 * 1024 * 1024  # bytes waiting in the socket; beyond it, messages wait in `held` or are dropped
RETRY = 0.5  # s between attempts to connect
NEVER = -2  # of gmqtt's own reconnection, which keeps no count of what it loses: `_keep` reconnects
logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # `trouble` says it, once and with the remedy
INBOX = ("state", "requests", "acks")
Hear = Callable[[str, str, bytes], None]


class Egress:
    """The node's connection to a broker. `hear(kind, vehicle, body)` gets what vehicles send, on the event loop."""

    def __init__(self, section: BrokerSection, clock: Clock, metrics: Metrics, hear: Hear) -> None:
        self._section, self._clock, self._metrics, self._hear = section, clock, metrics, hear
        self._held: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._retained: dict[str, bytes] = {}
        self._client: Any = None
        self._transport: Any = None
        self._task: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._encode = msgspec.json.Encoder().encode
        self.connected = asyncio.Event()
        self.trouble: str | None = None  # why there is no connection, for the operator

    def start(self) -> None:
        """Connect, and keep connected, in the background."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        if self._task:
            while not self._task.done():  # `wait_for` may swallow a cancellation that comes as the connection fails
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=0.2)
        if self._client is not None and self.connected.is_set():
            await self._client.disconnect()

    def revive(self) -> BaseException | None:
        """Begin the work in the background anew where a fault has ended it; return that fault, None where it goes on."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return None
        crash = self._task.exception()
        self.connected.clear()
        if self._client is not None:
            self._client.on_disconnect = lambda *_: None  # its end is not that of the connection to come
        if self._transport is not None:
            self._transport.abort()
        self.start()
        return crash

    # --- sending ---

    def advise(self, advisory: Advisory, payload: bytes) -> bool:
        """Send an advisory, or keep it while the broker is away. False when it was too late or there is no room."""
        if self._clock.now() >= advisory.valid_until:
            self._metrics.count("egress.expired", advisory.kind)
            return False
        topic = topic_of(advisory)
        key = (topic, advisory.kind)
        if key not in self._held and len(self._held) >= MAX_HELD and not self._expire():
            self._metrics.count("drop.egress", advisory.kind)
            return False
        self._held[key] = (advisory.valid_until, payload)
        return self._put(topic, payload)

    def waiting(self) -> int:
        """Return how many bytes wait in the socket."""
        return int(self._transport.get_write_buffer_size()) if self._transport is not None else 0

    def signals(self, signals: Signals) -> None:
        """Send signal states; they are not kept."""
        if not self._put(MqttTopics.signals(signals.intersection), self._encode(signals)):
            self._metrics.count("drop.signals", signals.intersection)

    def reject(self, vehicle: str, reject: Reject) -> None:
        """Tell a vehicle why its message was refused; it is not kept. A name that is no part of a topic cannot be answered."""
        if not vehicle or any(sign in vehicle for sign in "/+#\0") or not self._put(MqttTopics.vehicle(vehicle, "rejects"), self._encode(reject)):
            self._metrics.count("drop.reject", vehicle)

    def retain(self, topic: str, payload: bytes) -> None:
        """Publish something retained (a digital code), now and whenever the broker comes back."""
        self._retained[topic] = payload
        self._put(topic, payload, True)

    def _put(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        if not self.connected.is_set():
            return False
        if self.waiting() > MAX_UNSENT:
            self._metrics.count("drop.slow_broker", topic.rpartition("/")[2])
            return False
        self._client.publish(topic, payload, qos=1 if retain else 0, retain=retain)
        return True

    def _expire(self) -> bool:
        now = self._clock.now()
        old = [key for key, (valid_until, _) in self._held.items() if valid_until <= now]
        for key in old:
            del self._held[key]
        return bool(old)

    # --- staying connected ---

    async def _keep(self) -> None:
        while True:
            self._lost.clear()
            section = self._section
            try:
                await self._connect()
                self.trouble = None
                await self._lost.wait()
                self._metrics.count("egress.lost")
                self.trouble = (
                    f"the MQTT broker at {section.host}:{section.port} is gone; trying again every {RETRY} s. "
                    "What is still valid then is sent when it is back"
                )
            except (TimeoutError, OSError, gmqtt.MQTTConnectError, ssl.SSLError) as error:
                self._metrics.count("egress.unreachable")
                self.trouble = (
                    f"no MQTT broker at {section.host}:{section.port} ({error or type(error).__name__}); trying again. "
                    "Start one, or set [broker] embedded = true"
                )
            self.connected.clear()
            await asyncio.sleep(RETRY)

    async def _connect(self) -> None:
        section = self._section
        client = gmqtt.Client(f"cloudctl-node-{id(self):x}", clean_session=True)
        client.set_config({"reconnect_retries": NEVER})
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        if section.username:
            client.set_auth_credentials(section.username, section.password)
        version = section.version or 5
        await asyncio.wait_for(
            client.connect(section.host, section.port, ssl=_tls(section) or False, keepalive=20, version=version), 10
        )
        self._client, self._transport = client, _transport(client)
        for leaf in INBOX:
            client.subscribe(MqttTopics.vehicle("+", leaf), qos=0)
        self.connected.set()
        for topic, payload in self._retained.items():
            self._put(topic, payload, True)
        self._expire()
        for (topic, _), (_, payload) in self._held.items():
            self._put(topic, payload)

    def _on_disconnect(self, _client: Any, _packet: Any, *_: Any) -> None:
        self.connected.clear()
        self._lost.set()

    def _on_message(self, _client: Any, topic: str, payload: bytes, _qos: int, _properties: Any) -> int:
        *_, vehicle, leaf = topic.split("/")
        self._hear(leaf, vehicle, bytes(payload))
        return 0


def topic_of(advisory: Advisory) -> str:
    """Return the topic an advisory is published on."""
    whom, _, name = advisory.target.partition(":")
    return (
        MqttTopics.vehicle(name, "advisories") if whom == "vehicle" else MqttTopics.intersection(advisory.intersection)
    )


def _tls(section: BrokerSection) -> ssl.SSLContext | None:
    if section.tls_ca is None:
        return None
    context = ssl.create_default_context(cafile=section.tls_ca)
    if section.tls_cert:
        context.load_cert_chain(section.tls_cert, section.tls_key)
    return context


def _transport(client: Any) -> Any:
    transport = client._connection._transport
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return transport
