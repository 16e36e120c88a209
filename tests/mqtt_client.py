"""A plain MQTT client, for what a stranger or a vehicle could try at a broker."""

import contextlib
import ssl
from pathlib import Path

import paho.mqtt.client as paho
from deadlines import until
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties

from cloudctl.clock import WallClock


class MqttClient:
    """One connection. `messages` holds (topic, payload) of what came; `connected` is False where the broker refused."""

    def __init__(
        self, port: int, *, credentials: Path | None = None, authority: Path | None = None, client_id: str = ""
    ) -> None:
        """`credentials`: a vehicle's folder; `authority`: trust this one, and show no certificate; neither: in
        clear.
        """
        self.messages: list[tuple[str, bytes]] = []
        self.arrivals: list[int] = []  # of each of those, ns of UTC
        self.lost = 0
        self._subscribed: set[int] = set()
        self.connected = False
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        if credentials is not None:
            context = ssl.create_default_context(cafile=credentials / "ca.pem")
            context.load_cert_chain(credentials / "vehicle.pem", credentials / "vehicle.key")
            self._client.tls_set_context(context)
        elif authority is not None:
            self._client.tls_set_context(ssl.create_default_context(cafile=authority))
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda _c, _u, number, *_: self._subscribed.add(number)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._port = port

    def __enter__(self) -> "MqttClient":
        self._ended = False
        with contextlib.suppress(OSError):
            self._client.connect("127.0.0.1", self._port, 10)
            self._client.loop_start()
            until(lambda: self.connected or self._ended or not self._client._thread.is_alive(), what="an answer")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic: str) -> None:
        """Subscribe, and wait for the broker's answer: what others publish afterwards comes."""
        _, number = self._client.subscribe(topic)
        if self.connected:
            until(lambda: number in self._subscribed, what="the subscription")

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain)

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.arrivals.append(WallClock().now())
        self.messages.append((message.topic, message.payload))

    def _on_connect(
        self, _client: object, _data: object, _flags: object, reason: paho.ReasonCode, _p: Properties
    ) -> None:
        self.connected = not reason.is_failure
        self._ended = True

    def _on_disconnect(self, *_: object) -> None:
        self._ended = True
        self.lost += 1
        self.connected = False
