"""One MQTT connection of the node, from its CONNECT to its end. The only importer of the node's MQTT client.

A connection that ends is reset, not merely forgotten: a broker that was stopped finds nothing of it when it goes on,
and no callback of an
old connection reaches its successor. A broker that does not answer is noticed by pings, a link that is cut by TCP's
user timeout.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
import uuid
from collections.abc import Callable
from typing import Any

import gmqtt  # noqa: TID251

from ..errors import CloudctlError
from ..settings import BrokerSection
from .addresses import bare

CONNECT_TIMEOUT = 2.0  # s for TCP, TLS and CONNACK: a second SYN goes out after 1 s
PING_INTERVAL = 1.0  # s
MAX_UNANSWERED = 4  # pings without anything from the broker: it hangs, or the link is cut
USER_TIMEOUT = 4000  # ms that sent data may stay unacknowledged (RFC 5482)
KEEPALIVE = 10  # s; the broker lets go of the node when it is silent for 1.5 times that
DRAIN_TIMEOUT = 1.0  # s for what is queued when the connection is closed in peace
MAX_TOPICS = 4000  # of one packet: some 300 KB
RETAINED = 600  # s; by then a node has taken it up and retains it itself
RECONNECTS = -2  # of the client's own reconnection, which keeps no count of what it loses: none
logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # what goes wrong is raised, or is the reason of `lost`

OnMessage = Callable[[str, bytes], None]


class MqttError(CloudctlError, OSError):
    """The broker refused, hung or left; the text says which."""


class WritesTogether:
    """A transport whose writes of one turn of the event loop go out as one: a plan's advisories in one system call, and
    the broker reads them by one."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._waiting: list[bytes] = []
        self._size = 0  # bytes in them

    def write(self, data: bytes) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(data)
        self._size += len(data)

    def flush(self) -> None:
        """Write what waits; nothing where the transport was closed meanwhile."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        if waiting and not self._transport.is_closing():
            self._transport.write(b"".join(waiting))

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        return self._size + int(self._transport.get_write_buffer_size())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection:
    """One connection to a broker. `on_message(topic, payload)` is called on the event loop until the connection
    ends.
    """

    def __init__(self, section: BrokerSection, client_id: str, on_message: OnMessage) -> None:
        self.lost = asyncio.Event()
        self.reason = ""  # why it was lost
        self.max_packet: int | None = None  # bytes of a packet that the broker takes; None: it does not say (MQTT 5)
        self._section, self._on_message = section, on_message
        self._transport: Any = None
        self._seen = 0.0  # when the last byte came, as the client counts
        self._unanswered = 0
        self._client = gmqtt.Client(client_id, clean_session=True)
        self._client.set_config({"reconnect_retries": RECONNECTS})
        self._client.on_message = self._receive
        self._client.on_disconnect = self._on_disconnect

        if section.username:
            self._client.set_auth_credentials(section.username, section.password)

    async def open(self) -> None:
        """Connect. Raises OSError (MqttError where the broker refuses), TimeoutError; then nothing of the attempt is
        left.
        """
        section = self._section
        attempt = self._client.connect(
            bare(section.host),
            section.port,
            ssl=_tls(section) or False,
            keepalive=KEEPALIVE,
            version=section.version or 5,
        )

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):  # unlike wait_for, it never swallows that the node stops
                await attempt
        except gmqtt.MQTTConnectError as error:
            self.abort()
            raise MqttError(
                f"it refuses the node: {error}; check [broker] username, password and certificates"
            ) from None
        except BaseException:
            self.abort()
            raise

        if self.lost.is_set():
            raise MqttError("it closed the connection at once")

        limits = self._client._package_handler._connack_properties.get("maximum_packet_size")
        self.max_packet = int(limits[0]) if limits else None

        connection = self._client._connection
        self._transport = WritesTogether(connection._transport)
        connection._transport = connection._protocol._transport = self._transport
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)

    def subscribe(self, *topics: str) -> None:
        """Subscribe at QoS 0."""
        # A broker allows few packets that it has not answered (mosquitto: 20), and each may be so long.
        for first in range(0, len(topics), MAX_TOPICS):
            self._client.subscribe([gmqtt.Subscription(topic, qos=0) for topic in topics[first : first + MAX_TOPICS]])

    def unsubscribe(self, *topics: str) -> None:
        """Subscribe no longer."""
        for first in range(0, len(topics), MAX_TOPICS):
            self._client.unsubscribe(list(topics[first : first + MAX_TOPICS]))

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, expiry: int | None = None, qos: int = 0
    ) -> None:
        """Publish; a broker of MQTT 5 lets go of it after `expiry` s."""
        if expiry is None:
            self._client.publish(topic, payload, qos=qos, retain=retain)
        else:
            self._client.publish(topic, payload, qos=qos, retain=retain, message_expiry_interval=expiry)

    def waiting(self) -> int:
        """Return how many bytes wait in the socket."""
        return int(self._transport.get_write_buffer_size())

    async def watch(self) -> None:
        """Return when PING_INTERVAL has passed or the connection is lost; end a connection on which nothing came
        since long enough.

        Checks are counted, not seconds: where this process itself stood still, what came meanwhile is read before the
        next.
        """
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(PING_INTERVAL):
                await self.lost.wait()

        if self.lost.is_set():
            return

        connection = self._client._connection
        self._unanswered = 0 if connection._last_data_in > self._seen else self._unanswered + 1
        self._seen = connection._last_data_in

        if self._unanswered > MAX_UNANSWERED:
            self._end(f"it has not answered for {MAX_UNANSWERED * PING_INTERVAL:.0f} s")
        else:
            connection._send_ping_request()

    async def close(self) -> None:
        """Send what is queued and disconnect in peace, within about a second; else reset."""
        with contextlib.suppress(asyncio.TimeoutError, OSError):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while not self.lost.is_set() and self.waiting():
                    await asyncio.sleep(0.01)
                await self._client.disconnect()
        self.abort()

    def abort(self, reason: str = "") -> None:
        """Reset the connection: the other side finds neither data nor an open connection."""
        self.reason = self.reason or reason
        self.lost.set()
        connection = self._client._connection

        if connection is None or connection._transport.is_closing():
            return

        sock = connection._transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        connection._transport.abort()

    def _end(self, reason: str) -> None:
        if not self.lost.is_set():
            self.reason = reason
            self.abort()

    def _on_disconnect(self, _client: Any, packet: Any, *_: Any) -> None:
        if isinstance(packet, bytes) and packet:
            self._end(f"it closed the connection (code {packet[0]})")
        else:
            self._end("the connection ended without a word: it stopped, or the link to it is cut")

    def _receive(self, _client: Any, topic: str, payload: bytes, _qos: int, _properties: Any) -> int:
        if not self.lost.is_set():
            self._on_message(topic, bytes(payload))
        return 0


async def publish_retained(section: BrokerSection, topic: str, payload: bytes) -> None:
    """Publish one message at a broker, retained for RETAINED s. Raises MqttError, OSError, TimeoutError."""
    connection = Connection(section, f"cloudctl-{uuid.uuid4().hex}", lambda *_: None)
    await connection.open()
    connection.publish(topic, payload, retain=True, expiry=RETAINED)
    await connection.close()


async def read_retained(section: BrokerSection, topic: str, seconds: float = 0.5) -> dict[str, bytes]:
    """Return what a broker retains under a topic with wildcards, by topic: all that comes within `seconds`. Raises
    MqttError, OSError, TimeoutError."""
    retained: dict[str, bytes] = {}
    connection = Connection(section, f"cloudctl-{uuid.uuid4().hex}", retained.__setitem__)
    await connection.open()
    connection.subscribe(topic)
    await asyncio.sleep(seconds)
    await connection.close()

    return retained


def _tls(section: BrokerSection) -> ssl.SSLContext | None:
    if section.tls_ca is None:
        return None
    context = ssl.create_default_context(cafile=section.tls_ca)
    if section.tls_cert:
        context.load_cert_chain(section.tls_cert, section.tls_key)
    return context
