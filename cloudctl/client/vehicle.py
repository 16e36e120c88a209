"""For vehicle clients: subscribe, and get few, timely, explained, still-valid advisories. asyncio, reconnecting by itself."""

import asyncio
import contextlib
import re
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt  # noqa: TID251
import msgspec

from ..clock import WallClock
from ..schema import Ack, Advisory, Reject, Signals, Traffic, VehicleRequest, VehicleState
from ..topics import MqttTopics

RETRY = 0.5  # s
MAX_WAITING = 256  # advisories waiting to be taken; the oldest go first
MAX_PRINTED = 64  # different reasons for a refusal that are printed
REMEMBERED = 1024  # advisory ids, so that one sent again is given once


class Vehicle:
    """One vehicle's connection.

    `async with Vehicle("car-1", host, port) as vehicle:` then `async for advisory in vehicle.advisories():`. An advisory that came too
    late is never given: it is acknowledged as expired and counted in `expired`. `tls` is an ssl.SSLContext. `on_reject` is called with each
    reason for which the node refused a message (`rejected` counts them); without it, each different one is printed once.
    """

    def __init__(
        self,
        id: str,
        host: str = "127.0.0.1",
        port: int = 1883,
        *,
        version: int = 5,
        tls: Any = None,
        intersections: tuple[str, ...] = (),
        now: Any = None,
        on_reject: Callable[[Reject], None] | None = None,
    ) -> None:
        self.id = id
        self.expired = self.dropped = self.received = self.unreadable = self.rejected = 0
        self.connected = asyncio.Event()
        self.signals: dict[str, Signals] = {}  # newest, by intersection, of those subscribed to
        self.traffic: dict[str, Traffic] = {}  # newest, by intersection, of those subscribed to
        self.codes: dict[str, bytes] = {}  # compact digital codes, by intersection, of those subscribed to
        self.announced: dict[str, bytes] = {}  # compact codes that are to follow
        self._host, self._port, self._version, self._tls = host, port, version, tls
        self._intersections = intersections
        self._now = now or WallClock().now
        self._client: aiomqtt.Client | None = None
        self._waiting: deque[Advisory] = deque()
        self._some = asyncio.Event()
        self._seen: deque[str] = deque(maxlen=REMEMBERED)
        self._task: asyncio.Task[None] | None = None
        self._on_reject = on_reject or self._print
        self._printed: set[tuple[str, str]] = set()  # fields and rules
        self._decode = msgspec.json.Decoder(Advisory).decode
        self._encode = msgspec.json.Encoder().encode

    async def __aenter__(self) -> "Vehicle":
        self._task = asyncio.get_running_loop().create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def advisories(self) -> AsyncIterator[Advisory]:
        """Yield advisories as they come, each once and only while it is valid."""
        while True:
            await self._some.wait()
            while self._waiting:
                advisory = self._waiting.popleft()
                if self._now() < advisory.valid_until:
                    yield advisory
                else:
                    await self._too_late(advisory)
            self._some.clear()

    async def report(self, state: VehicleState) -> bool:
        """Publish this vehicle's state; False while there is no connection (it is not kept: the next one is newer)."""
        return await self._publish("state", state)

    async def request(self, request: VehicleRequest) -> bool:
        """Ask for signal priority, or take the request back."""
        return await self._publish("requests", request)

    async def acknowledge(self, advisory: Advisory, outcome: Any) -> bool:
        """Say what was done with an advisory: applied, declined or expired."""
        return await self._publish("acks", Ack(self._now(), advisory.id, outcome))

    async def _publish(self, leaf: str, body: msgspec.Struct) -> bool:
        if self._client is None or not self.connected.is_set():
            return False
        try:
            await self._client.publish(MqttTopics.vehicle(self.id, leaf), self._encode(body))
        except aiomqtt.MqttError:
            return False
        return True

    async def _keep(self) -> None:
        while True:
            try:
                async with self._connection() as client:
                    await self._subscribe(client)
                    self._client = client
                    self.connected.set()
                    async for message in client.messages:
                        await self._heard(str(message.topic), bytes(message.payload))  # type: ignore[arg-type]
            except (aiomqtt.MqttError, OSError):
                pass
            self.connected.clear()
            await asyncio.sleep(RETRY)

    def _connection(self) -> aiomqtt.Client:
        protocol = aiomqtt.ProtocolVersion.V5 if self._version == 5 else aiomqtt.ProtocolVersion.V311
        return aiomqtt.Client(
            self._host,
            self._port,
            identifier=self.id,
            protocol=protocol,
            tls_context=self._tls,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        for leaf in ("advisories", "rejects"):
            await client.subscribe(MqttTopics.vehicle(self.id, leaf))
        for intersection in self._intersections:
            for topic in (
                MqttTopics.codes,
                MqttTopics.next_code,
                MqttTopics.signals,
                MqttTopics.traffic,
                MqttTopics.intersection,
            ):
                await client.subscribe(topic(intersection))

    async def _heard(self, topic: str, payload: bytes) -> None:
        *_, branch, name = topic.split("/")
        try:
            if name == "next" and branch in self._intersections:
                self.announced[branch] = payload
            elif branch == "codes":
                self.codes[name] = payload
            elif branch == "signals":
                self.signals[name] = msgspec.json.decode(payload, type=Signals)
            elif name == "rejects":
                self.rejected += 1
                self._on_reject(msgspec.json.decode(payload, type=Reject))
            elif name == "traffic":
                self.traffic[branch] = msgspec.json.decode(payload, type=Traffic)
            else:
                await self._advised(self._decode(payload))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1

    def _print(self, reject: Reject) -> None:
        key = (reject.field, re.sub(r"[0-9.]+", "", reject.rule))
        if key not in self._printed and len(self._printed) < MAX_PRINTED:
            self._printed.add(key)
            print(f"{self.id}: refused {reject}", flush=True)

    async def _advised(self, advisory: Advisory) -> None:
        if advisory.id in self._seen:
            return
        self._seen.append(advisory.id)
        self.received += 1
        if self._now() >= advisory.valid_until:
            await self._too_late(advisory)
            return
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(advisory)
        self._some.set()

    async def _too_late(self, advisory: Advisory) -> None:
        self.expired += 1
        await self.acknowledge(advisory, "expired")
