"""MQTT: what the node publishes to vehicles, and what comes from them.

Nothing is sent after its `valid_until`; the newest of each kind to each target is kept until then, and sent again when
a lost broker comes back and when its vehicle does. What waits is bounded, newest wins, and every drop is counted. What
is retained does not outlive the node: it is cleared at a clean stop, and the broker (MQTT 5) drops what is no longer
renewed.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import TYPE_CHECKING

import msgspec

from ..clock import SECOND, Clock, stopwatch
from ..metrics import Metrics
from ..schema import Advisory, AdvisoryKind, Reject, Signals
from ..settings import BrokerSection
from ..topics import MqttTopics, wrong_vehicle_id
from .echo import Echo
from .mqtt import Connection
from .retained_topics import RetainedTopics
from .signal_subscription import SIGNALS, SignalSubscription
from .tile_subscription import TILES, TileSubscription
from .vehicle_contacts import VehicleContacts

if TYPE_CHECKING:
    from .signatures import Signer

MAX_HELD = 50_000  # advisories kept for a broker or vehicle that is away
MAX_UNSENT = 4 * 1024 * 1024  # bytes waiting in the socket; beyond it, messages wait in `held` or are dropped
HEADER = 32  # bytes of a PUBLISH beside topic and payload, at most: fixed header, lengths, identifier, expiry
# s between attempts to connect, evenly spread: nodes that lost one broker do not come back at once
RETRY_PAUSE = (0.2, 0.5)
MAX_HELLO_LINES = 20  # vehicles whose connection is logged at level INFO; further ones at DEBUG
INBOX = ("state", "requests", "acks")
HELLO = "hello"
COPIES, CODES, BRIDGES = MqttTopics.copies(""), MqttTopics.codes(""), MqttTopics.bridge("")
NODES = MqttTopics.node_status("").partition("//")[0] + "/"
VEHICLES = f"{MqttTopics.ROOT}/vehicles/"

OnVehicleMessage = Callable[[str, str, bytes], None]  # kind, vehicle, body
log = logging.getLogger("cloudctl.io.egress")


class ConnectionState(Enum):
    """Whether there is a connection to the broker."""

    CONNECTING = auto()  # there was none yet, or the last attempt has failed
    CONNECTED = auto()
    LOST = auto()  # no attempt has succeeded since


class Egress:
    """The node's connection to a broker. `on_vehicle_message(kind, vehicle, body)` gets what vehicles send, on the
    event loop."""

    def __init__(
        self,
        section: BrokerSection,
        clock: Clock,
        metrics: Metrics,
        on_vehicle_message: OnVehicleMessage,
        signer: "Signer | None" = None,
    ) -> None:
        """`signer`, where given, signs every advisory."""
        # gets what each node of the city reports of itself; None: it is not asked for
        self.on_node_report: Callable[[bytes], None] | None = None
        # gets whether the broker's bridge to a region is connected; None: it is not asked for
        self.on_bridge_state: Callable[[bytes], None] | None = None
        self.on_copy: Callable[[bytes], None] | None = None  # gets what other nodes advise; None: it is not asked for
        self.is_shared = False  # whether another node goes on with what is retained, when this one stops
        self._section = section
        self._clock = clock
        self._metrics = metrics
        self._on_vehicle_message = on_vehicle_message
        self._signer = signer
        self._client_id = f"cloudctl-node-{uuid.uuid4().hex}"
        self._held: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._retained = RetainedTopics(self._put)
        self._contacts = VehicleContacts()
        self._hellos = 0
        self._tiles = TileSubscription(clock, metrics, self.reject)
        self.neighbours = SignalSubscription()
        self._fetches: dict[str, Callable[[bytes], None]] = {}  # by intersection: who waits for its code
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._encode = msgspec.json.Encoder().encode
        self.connected = asyncio.Event()
        self._state = ConnectionState.CONNECTING
        self._echo = Echo(self._client_id, metrics)
        self._absence: str | None = None  # why there is no connection
        self._oversize: str | None = None  # that the broker takes no messages of the size of some

    def start(self) -> None:
        """Connect, and keep connected, in the background."""
        self._task = asyncio.get_running_loop().create_task(self._stay_connected())

    async def stop(self) -> None:
        """Clear what is retained and disconnect; at most about a second."""
        if self._task:
            while not self._task.done():  # `wait_for` may swallow a cancellation that comes as the connection fails
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=0.2)
        if self._connection is not None and self.connected.is_set():
            for topic in () if self.is_shared else self._retained.topics():
                self._connection.publish(topic, b"", retain=True)
            await self._connection.close()
        self._drop()

    def reconnect(self, section: BrokerSection) -> None:
        """Connect anew, with other settings; what is retained and kept goes to the new connection."""
        self._section = section
        if self._connection is not None:
            self._connection.abort("its settings have changed")

    def fetch_code(self, intersection: str, on_code: Callable[[bytes], None]) -> None:
        """Ask the broker for the digital code that it retains of an intersection; `on_code` gets it, once, where there
        is one."""
        if self._connection is not None and self.connected.is_set() and intersection not in self._fetches:
            self._fetches[intersection] = on_code
            self._connection.subscribe(MqttTopics.codes(intersection))

    def _on_code(self, intersection: str, payload: bytes) -> None:
        on_code = self._fetches.pop(intersection, None)
        if self._connection is not None:
            self._connection.unsubscribe(MqttTopics.codes(intersection))
        if on_code is not None and payload:
            on_code(payload)

    def listen(self, tiles: Iterable[str] | None) -> None:
        """Ask for the states of vehicles in some tiles, None: in all."""
        self._tiles.want(tiles)

    def revive(self) -> BaseException | None:
        """Begin the work in the background anew where a fault has ended it; return that fault, None where it goes
        on.
        """
        if self._task is None or not self._task.done() or self._task.cancelled():
            return None
        crash = self._task.exception()
        self.connected.clear()
        self._drop()
        self.start()
        return crash

    # --- sending ---

    def advise(self, advisory: Advisory, payload: bytes) -> bool:
        """Keep an advisory until its `valid_until`, and send it. Returns whether it was sent now.

        It is neither kept nor sent, and counted, where it is too late or there is no room.
        """
        if self._clock.now() >= advisory.valid_until:
            self._metrics.count("egress.expired", advisory.kind)
            return False
        topic = MqttTopics.of_advisory(advisory)
        key = (topic, advisory.kind)
        if key not in self._held and len(self._held) >= MAX_HELD and not self._expire():
            self._metrics.count("drop.egress", advisory.kind)
            return False
        if self.on_copy is not None or self._section.bridge is not None:
            self._put(MqttTopics.copies(advisory.intersection), payload)
        if self._signer is not None:
            payload = self._signer.sign(topic, payload)
        self._held[key] = (advisory.valid_until, payload)
        return self._put(topic, payload)

    @property
    def is_connected(self) -> bool:
        """Return whether there is a connection to the broker that passes on what is published."""
        return self.connected.is_set() and self._echo.is_passed_on

    @property
    def trouble(self) -> str | None:
        """Return what stands in the way of what is published, for the operator."""
        return self._absence or self._echo.trouble or self._oversize

    @property
    def held(self) -> int:
        """Return how many advisories are kept for a broker or vehicle that is away."""
        return len(self._held)

    def waiting(self) -> int:
        """Return how many bytes wait in the socket."""
        return self._connection.waiting() if self._connection is not None and self.connected.is_set() else 0

    def signals(self, signals: Signals) -> None:
        """Send signal states; they are not kept."""
        if not self._put(MqttTopics.signals(signals.intersection), self._encode(signals)):
            self._metrics.count("drop.signals", signals.intersection)

    def reject(self, vehicle: str, reject: Reject) -> None:
        """Send a vehicle why its message was refused; it is not kept. A name that is no part of a topic cannot be
        answered.
        """
        if wrong_vehicle_id(vehicle) or not self._put(MqttTopics.vehicle(vehicle, "rejects"), self._encode(reject)):
            self._metrics.count("drop.reject", vehicle)

    def retained(self) -> list[str]:
        """Return the topics on which something is retained."""
        return self._retained.topics()

    def retain(self, topic: str, payload: bytes, seconds: int | None = None) -> None:
        """Publish something retained, now and whenever the broker comes back: for `seconds`, or (None) for as long as
        the node runs.
        """
        self._retained.retain(topic, payload, seconds)

    def release(self, topics: Iterable[str]) -> None:
        """Keep no longer what the broker retains on some topics, and leave it there: another node goes on with it."""
        self._retained.release(topics)

    def forget(self) -> None:
        """Drop advisories that are kept: time has moved, and with it what `valid_until` means."""
        self._held.clear()

    def _put(self, topic: str, payload: bytes, retain: bool = False, expiry: int | None = None) -> bool:
        connection = self._connection
        if connection is None or not self.connected.is_set():
            return False
        if connection.waiting() > MAX_UNSENT:
            self._metrics.count("drop.slow_broker", topic.rpartition("/")[2])
            return False
        if connection.max_packet is not None and len(topic) + len(payload) + HEADER > connection.max_packet:
            self._note_oversize(topic, len(payload), connection.max_packet)
            return False
        # what goes on to a region is not to be lost while the link there is cut
        is_upward = self._section.bridge is not None and not topic.startswith((SIGNALS, VEHICLES))
        connection.publish(topic, payload, retain, expiry, qos=int(is_upward))
        return True

    def _note_oversize(self, topic: str, size: int, limit: int) -> None:
        """Count a message that the broker would close the connection for."""
        self._metrics.count("drop.too_large", topic.removeprefix(f"{MqttTopics.ROOT}/").partition("/")[0])
        self._oversize = self._oversize or (
            f"the MQTT broker at {self._where} takes messages of up to {limit:,} bytes, and one of {size:,} on {topic} "
            "was not sent, nor are others beyond that. Raise its limit (max_packet_size of mosquitto) to 1 MiB"
        )

    def _expire(self) -> bool:
        now = self._clock.now()
        old = [key for key, (valid_until, _) in self._held.items() if valid_until <= now]
        for key in old:
            del self._held[key]
        return bool(old)

    # --- staying connected ---

    @property
    def _where(self) -> str:
        return f"{self._section.host}:{self._section.port}"

    async def _stay_connected(self) -> None:
        while True:
            where = self._where
            try:
                reason = await self._serve()
                self._state = ConnectionState.LOST
                self._metrics.count("egress.lost")
                self._absence = (
                    f"the MQTT broker at {where} is gone: {reason}; trying again. "
                    "What is still valid then is sent when it is back"
                )
            except (TimeoutError, OSError) as error:
                self._metrics.count("egress.unreachable")
                if self._state is not ConnectionState.LOST:  # that it was lost stays the trouble
                    self._state = ConnectionState.CONNECTING
                    self._absence = (
                        f"no MQTT broker at {where} ({error or type(error).__name__}); trying again. "
                        "Start one, or set [broker] embedded = true"
                    )
            self._drop()
            await asyncio.sleep(random.uniform(*RETRY_PAUSE))

    async def _serve(self) -> str:
        """Connect, publish what is kept, and return why the connection was lost. Raises OSError when there is none to
        be had.
        """
        connection = Connection(self._section, self._client_id, self._on_message)
        await connection.open()
        self._connection = connection
        self._fetches.clear()
        for leaf in (*INBOX, HELLO):
            # An id with a slash is a mistake that must not go unnoticed: its messages come under more levels.
            for levels in ("+", "+/+", "+/+/+"):
                connection.subscribe(MqttTopics.vehicle(levels, leaf))
        self._echo.begin(connection)
        self._tiles.begin(connection)
        self.neighbours.begin(connection)
        if self.on_copy is not None:
            connection.subscribe(MqttTopics.copies("+"))
        if self.on_node_report is not None:
            connection.subscribe(MqttTopics.node_status("+"))
        if self.on_bridge_state is not None and self._section.bridge_name:
            connection.subscribe(MqttTopics.bridge(self._section.bridge_name))
        self.connected.set()
        self._state = ConnectionState.CONNECTED
        self._absence = self._oversize = None
        log.info("connected to the MQTT broker at %s", self._where)
        self._retained.renew()
        self._retained.publish_all()
        self._expire()
        for (topic, _), (_, payload) in self._held.items():
            self._put(topic, payload)
        while not connection.lost.is_set():
            await connection.watch()
            self._echo.look(connection, self._where, is_full=connection.waiting() > MAX_UNSENT)
            self._retained.renew()
            self._expire()
        return connection.reason

    def _drop(self) -> None:
        self.connected.clear()
        self._tiles.end()
        self.neighbours.end()
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    # --- what comes ---

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic.startswith(CODES):
            self._on_code(topic.removeprefix(CODES), payload)
            return
        if topic.startswith(COPIES):
            if self.on_copy is not None:
                self.on_copy(payload)
            return
        if topic == self._echo.topic:
            self._echo.receive(payload)
            return
        if topic.startswith(BRIDGES):
            if self.on_bridge_state is not None:
                self.on_bridge_state(payload)
            return
        if topic.startswith(NODES):
            if self.on_node_report is not None:
                self.on_node_report(payload)
            return
        if topic.startswith(SIGNALS):
            self.neighbours.receive(topic, payload)
            return
        vehicle, _, leaf = topic.rpartition("/vehicles/")[2].rpartition("/")
        if why := wrong_vehicle_id(vehicle):
            if not self._metrics.total("reject.vehicle_id"):
                log.warning(
                    "cloudctl: messages under the vehicle id %.80r are refused: it %s. Further ones are counted only",
                    vehicle,
                    why,
                )
            self._metrics.count("reject.vehicle_id")
            return
        self._note_contact(vehicle, is_hello=leaf == HELLO)
        if topic.startswith(TILES) and not self._tiles.is_true(topic, vehicle, payload):
            return
        if leaf != HELLO:
            self._on_vehicle_message(leaf, vehicle, payload)

    def _hello_level(self) -> int:
        """Return the level at which the next vehicle is logged: the first ones are for people, a whole fleet is not."""
        self._hellos += 1
        return logging.INFO if self._hellos <= MAX_HELLO_LINES else logging.DEBUG

    @property
    def vehicles_in_contact(self) -> int:
        """How many vehicles have sent a message lately."""
        return len(self._contacts)

    def _note_contact(self, vehicle: str, is_hello: bool) -> None:
        """Note a message of a vehicle; where it is back, send again what is still valid for it."""
        if vehicle not in self._contacts or is_hello:
            log.log(self._hello_level(), "vehicle %s is connected", vehicle)

        delay = self._contacts.note(vehicle, stopwatch(), is_hello)
        if delay == 0:
            self._resend(vehicle)
        elif delay is not None:
            asyncio.get_running_loop().call_later(delay / SECOND, self._resend, vehicle)
        elif is_hello:
            self._metrics.count("drop.hello")

    def _resend(self, vehicle: str) -> None:
        topic, now = MqttTopics.vehicle(vehicle, "advisories"), self._clock.now()
        for kind in AdvisoryKind:
            valid_until, payload = self._held.get((topic, kind), (0, b""))
            if now < valid_until and self._put(topic, payload):
                self._metrics.count("egress.resent", kind)
