"""For vehicle clients: subscribe, and get few, timely, explained, still-valid advisories. asyncio, reconnecting by
itself.
"""

import asyncio
import contextlib
import logging
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt  # noqa: TID251
import msgspec

from ..clock import WallClock, stopwatch
from ..io.addresses import bare
from ..schema import Ack, Advisory, Reject, Signals, VehicleRequest, VehicleState
from ..tiles import tile_of
from ..topics import MqttTopics, wrong_vehicle_id
from ..traffic_messages import Traffic
from .advisory_check import AdvisoryCheck, verifier_of
from .advisory_queue import AdvisoryQueue
from .credentials import read_vehicle_folder, tls_context
from .reconnecting import ClockWatch, LinkLog, Pauses, Trouble, certificate_refusal, in_brackets

# s for TCP, and for each answer of the broker: a second SYN goes out after 1 s
CONNECT_TIMEOUT = 1.5
# s; a broker that does not answer, or a link that is cut, is noticed within twice that
KEEPALIVE = 3
USER_TIMEOUT = 4000  # ms that sent data may stay unacknowledged (RFC 5482)
TAKEN_OVER = 0x8E  # reason code of MQTT 5: another client connected with this id
ENDED = 0x80  # the broker ended the connection without a reason
MAX_LOGGED = 64  # different reasons for a refusal that are logged
log = logging.getLogger("cloudctl.client")


class Vehicle:
    """One vehicle's connection.

    `async with Vehicle("car-1", host, port) as vehicle:` then `async for advisory in vehicle.advisories():`. An
    advisory that came too late is never given: it is acknowledged as expired and counted in `expired`. `tls` is an
    ssl.SSLContext.
    `tiles`: states go by the tile of their position, as several nodes that share intersections need (docs/city.md).
    `on_reject` is called with each reason for which the node refused a message (`rejected` counts them); without it,
    each different one is logged once. What stands in the way (no broker, a broker that refuses, a second client with
    this id, a clock that is off) is in `trouble` and passed to `on_trouble` once, or logged as a warning. With
    `node_signature_key` (base64) only advisories that the node has signed are given; an advisory that is for another
    vehicle, valid for longer than any, made later than it came, of an earlier run of the node or of an earlier owner of
    its intersection never is (`refused_advisories`). Raises ValueError for an id that cannot be used, SignatureError
    for a key that is none.
    """

    def __init__(
        self,
        id: str,
        host: str = "127.0.0.1",
        port: int = 1883,
        *,
        version: int = 5,
        tls: Any = None,
        username: str | None = None,
        password: str | None = None,
        intersections: tuple[str, ...] = (),
        now: Callable[[], int] | None = None,
        on_reject: Callable[[Reject], None] | None = None,
        on_trouble: Callable[[str], None] | None = None,
        node_signature_key: str | None = None,
        tiles: bool = False,
    ) -> None:
        if id_fault := wrong_vehicle_id(id):
            raise ValueError(
                f"id = {id!r} {id_fault}. Choose an id of up to 64 letters, digits, '-', '_', '.' or ':' that no "
                "other vehicle has"
            )

        self.id = id
        self.expired = self.dropped = self.received = self.unreadable = self.rejected = self.taken_over = 0
        # That were not signed, not for this vehicle, or of a time that cannot be
        self.refused_advisories = 0
        # s this clock is ahead of the node's; None: right, or not known
        self.clock_error: float | None = None
        self.trouble: str | None = None
        self.connected = asyncio.Event()
        self.signals: dict[str, Signals] = {}  # newest, by intersection, of those subscribed to
        self.traffic: dict[str, Traffic] = {}  # newest, by intersection, of those subscribed to
        # Compact digital codes, by intersection, of those subscribed to
        self.codes: dict[str, bytes] = {}
        self.announced: dict[str, bytes] = {}  # compact codes that are to follow
        # Holidays and make-up days that rules ask for: `codes.days` reads them
        self.calendars: dict[str, bytes] = {}
        self._host, self._port, self._version, self._tls = bare(host), port, version, tls
        self._username, self._password = username, password
        self._intersections, self._has_tiles = intersections, tiles
        self._now = now or WallClock().now
        self._on_trouble = on_trouble or (lambda text: log.warning("%s: %s", id, text))
        self._client: aiomqtt.Client | None = None
        self._queue = AdvisoryQueue()
        self._pauses, self._clock_watch = Pauses(), ClockWatch()
        self._standing: Trouble | None = None  # what kind `trouble` is of
        self._link_log = LinkLog()
        self._check = AdvisoryCheck(id, self._clock_watch)
        self._verifier = verifier_of(node_signature_key)
        self._task: asyncio.Task[None] | None = None
        self._on_reject = on_reject or self._log_reject
        self._logged: set[tuple[str, str]] = set()  # fields and rules
        self._closing = False
        self._decode = msgspec.json.Decoder(Advisory).decode
        self._encode = msgspec.json.Encoder().encode

    @classmethod
    def from_folder(cls, folder: Path | str, **options: Any) -> "Vehicle":
        """Return a vehicle with the credentials of a folder of `cloudctl init` or `cloudctl keys vehicle`; `options`
        are those of `Vehicle`.

        Raises CredentialFolderError, PrivateFileError for a key that others can read.
        """
        file = read_vehicle_folder(Path(folder))
        options.setdefault("tls", tls_context(file))
        options.setdefault("username", file.username)
        options.setdefault("password", file.password)
        options.setdefault("node_signature_key", file.node_signature_key)
        options.setdefault("tiles", file.tiles)

        return cls(file.id, file.host, file.port, **options)

    async def __aenter__(self) -> "Vehicle":
        self._task = asyncio.get_running_loop().create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def advisories(self) -> AsyncIterator[Advisory]:
        """Yield advisories as they come, each once and only while it is valid."""
        while True:
            await self._queue.filled.wait()
            while (waiting := self._queue.take()) is not None:
                if self._now() < waiting.until:
                    yield waiting.advisory
                else:
                    await self._too_late(waiting.advisory)

            self._queue.filled.clear()

    async def report(self, state: VehicleState) -> bool:
        """Publish this vehicle's state; False while there is no connection (it is not kept: the next one is newer)."""
        tile = tile_of(state.lat, state.lon) if self._has_tiles else None
        topic = MqttTopics.tile_state(tile, self.id) if tile else MqttTopics.vehicle(self.id, "state")
        return await self._publish(topic, state)

    async def request(self, request: VehicleRequest) -> bool:
        """Ask for signal priority, or take the request back."""
        return await self._publish(MqttTopics.vehicle(self.id, "requests"), request)

    async def acknowledge(self, advisory: Advisory, outcome: Any) -> bool:
        """Say what was done with an advisory: applied, declined or expired."""
        return await self._publish(
            MqttTopics.vehicle(self.id, "acks"), Ack(t=self._now(), advisory=advisory.id, outcome=outcome)
        )

    async def _publish(self, topic: str, body: msgspec.Struct) -> bool:
        if self._client is None or not self.connected.is_set():
            return False

        try:
            await self._client.publish(topic, self._encode(body))
        except aiomqtt.MqttError:
            return False

        return True

    # --- staying connected ---

    async def _keep(self) -> None:
        while not self._closing:
            begin, error = stopwatch(), None
            client = self._connection()
            try:
                async with client:
                    await self._subscribe(client)
                    self._client = client
                    self.connected.set()
                    log.info("%s: connected to %s:%d", self.id, self._host, self._port)
                    if not (self._pauses.is_contended and self._standing is Trouble.SHARED_ID):
                        self._clear_trouble()
                    async for message in client.messages:
                        await self._heard(str(message.topic), bytes(message.payload))  # type: ignore[arg-type]
            except (aiomqtt.MqttError, OSError, ValueError) as why:
                error = why
            finally:
                _reset(client)

            lifetime = stopwatch() - begin if self.connected.is_set() else None
            self.connected.clear()
            if not self._closing:
                await asyncio.sleep(self._pause(error, lifetime))

    def _pause(self, error: Exception | None, lifetime: int | None) -> float:
        """Return s to wait before the next attempt, and report why the last one ended; `lifetime` ns it was connected,
        None where it never was.
        """
        broker = f"{self._host}:{self._port}"
        if lifetime is None:
            return self._pause_unconnected(error, broker)

        code = getattr(getattr(error, "__cause__", None), "rc", None)
        looks_taken = self._pauses.lived(lifetime)
        reason = getattr(code, "value", None)
        if reason == TAKEN_OVER or (looks_taken and reason in (None, ENDED)):
            self.taken_over += 1
            self._report(
                Trouble.SHARED_ID,
                f"another client connects with the id {self.id!r}, and each ends the other's connection. Give "
                "every vehicle its own id",
            )
            return self._pauses.taken_over()

        self._report(Trouble.NO_LINK, f"the MQTT broker at {broker} is gone{in_brackets(code or error)}; trying again")
        return self._pauses.failed()

    def _pause_unconnected(self, error: Exception | None, broker: str) -> float:
        """Return s to wait after an attempt that led to no connection, and report why it did not."""
        tls_fault = self._link_log.take()
        alert = certificate_refusal(f"{tls_fault} {error}")
        if alert is not None:
            self._report(
                Trouble.REFUSED,
                f"the MQTT broker at {broker} refuses the certificate of this vehicle ({alert}); trying again, ever "
                "more seldom. Ask the node's operator: it was revoked, has ended, or is of another authority",
            )
            return self._pauses.refused()

        if hasattr(getattr(error, "rc", None), "value"):  # the broker's reason code
            self._report(
                Trouble.REFUSED,
                f"the MQTT broker at {broker} refuses this vehicle: {error}. Check id, username, password "
                "and certificate",
            )
            return self._pauses.refused()

        cause = tls_fault or str(error)
        self._report(
            Trouble.NO_LINK,
            f"no MQTT broker at {broker}{in_brackets(cause)}; trying again. Check address, port and network",
        )
        return self._pauses.failed()

    def _report(self, kind: Trouble, text: str) -> None:
        """Pass on what stands in the way, once: until all is well, the first reason stands, or one that explains it."""
        if kind.replaces(self._standing):
            self._standing, self.trouble = kind, text
            self._on_trouble(text)

    def _clear_trouble(self) -> None:
        self._standing = self.trouble = None

    def _connection(self) -> aiomqtt.Client:
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT))
        client = aiomqtt.Client(
            self._host,
            self._port,
            identifier=self.id,
            username=self._username,
            password=self._password,
            protocol=aiomqtt.ProtocolVersion.V5 if self._version == 5 else aiomqtt.ProtocolVersion.V311,
            tls_context=self._tls,
            keepalive=KEEPALIVE,
            timeout=CONNECT_TIMEOUT,
            socket_options=options,
            logger=self._link_log,
        )

        client._client.connect_timeout = CONNECT_TIMEOUT
        return client

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        for leaf in ("advisories", "rejects"):
            await client.subscribe(MqttTopics.vehicle(self.id, leaf))

        for intersection in self._intersections:
            for topic in (
                MqttTopics.codes,
                MqttTopics.next_code,
                MqttTopics.calendar,
                MqttTopics.signals,
                MqttTopics.traffic,
                MqttTopics.intersection,
            ):
                await client.subscribe(topic(intersection))

        # The node sends again what is still valid
        await client.publish(MqttTopics.vehicle(self.id, "hello"), b"{}")

    # --- what comes ---

    async def _heard(self, topic: str, payload: bytes) -> None:
        *_, branch, name = topic.split("/")
        try:
            if name == "next" and branch in self._intersections:
                self.announced[branch] = payload
            elif name == "calendar" and branch in self._intersections:
                self.calendars[branch] = payload
            elif branch == "codes":
                self.codes[name] = payload
            elif branch == "signals":
                self.signals[name] = msgspec.json.decode(payload, type=Signals)
            elif name == "rejects":
                self.rejected += 1
                self._on_reject(msgspec.json.decode(payload, type=Reject))
            elif name == "traffic":
                if payload:
                    self.traffic[branch] = msgspec.json.decode(payload, type=Traffic)
                else:
                    # The node has stopped: what it retained is cleared
                    self.traffic.pop(branch, None)
            else:
                await self._advised(topic, payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1

    def _log_reject(self, reject: Reject) -> None:
        key = (reject.field, re.sub(r"[0-9.]+", "", reject.rule))
        if key not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged.add(key)
            log.warning("%s: refused %s", self.id, reject)

    async def _advised(self, topic: str, payload: bytes) -> None:
        """Take an advisory in, where it is proven and meant for this vehicle; each is handed on once."""
        if self._verifier is not None and not self._verifier.verify(topic, payload):
            self._refuse_advisory("it is not signed by the node", payload)
            return

        advisory = self._decode(payload)
        now = self._now()
        if self._queue.knows(advisory):
            return

        self._clock_watch.watch(now, stopwatch())
        fault = self._check.fault(topic, advisory, now)
        self._watch_clock(advisory, now)

        if fault is not None:
            self._refuse_advisory(fault, payload)
            return

        self._queue.remember(advisory, now)
        self.received += 1

        until = self._clock_watch.end_of(advisory.t, advisory.valid_until, now)
        if now >= until:
            await self._too_late(advisory)
            return

        self.dropped += self._queue.put(advisory, until)

    def _refuse_advisory(self, fault: str, payload: bytes) -> None:
        """Count an advisory that is not handed on, and report the first of each run of them."""
        self.refused_advisories += 1
        if self.refused_advisories == 1:
            self._on_trouble(
                f"an advisory is not handed on: {fault}. Further ones are counted in refused_advisories: "
                f"{payload[:200]!r}"
            )

    def _watch_clock(self, advisory: Advisory, now: int) -> None:
        previous, self.clock_error = self.clock_error, self._clock_watch.observe(advisory.t, now)
        if self.clock_error is not None and previous is None:
            direction = "ahead of" if self.clock_error > 0 else "behind"
            self._on_trouble(
                f"this vehicle's clock is {abs(self.clock_error):.1f} s {direction} the node's, or its messages take "
                "that long: advisories are judged by it, and states may be refused. Set it by GNSS or NTP"
            )

    async def _too_late(self, advisory: Advisory) -> None:
        self.expired += 1
        await self.acknowledge(advisory, "expired")


def _reset(client: aiomqtt.Client) -> None:
    """Leave nothing of a connection: one that was not answered would stay open, and take its successor's place
    later.
    """
    paho = client._client
    sock: Any = paho.socket()
    if sock is not None:
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        paho._sock_close()

    if client._misc_task is not None:
        client._misc_task.cancel()
