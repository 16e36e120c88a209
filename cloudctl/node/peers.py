"""The gateways that are connected: which connection is whose, and what is sent back to each."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from ..clock import SECOND, stopwatch
from ..io.zeromq import Received, Server
from ..metrics import Metrics
from ..rates import Repeats
from ..schema import RawMessage, Sync
from ..settings import EngineConfig
from ..topics import KIND_OF_CODE, TOPICS, gateway_kind

CONNECTION_INTERVAL = 10 * SECOND  # between two log lines on one gateway's connections; each is counted
MAX_CONNECTIONS = 3  # of one gateway in that time: beyond it, two clients take each other's place
MAX_PEERS = 10_000  # gateways whose connection is remembered for replies
COUNTED_KINDS = ("perception", "signal", "hazard", "health")  # that a gateway is told the number of
log = logging.getLogger("cloudctl.node.peers")


class Peers:
    """The connections of one node's gateways. `allowed`: gateway name by public key; None without CURVE."""

    def __init__(self, server: Server, metrics: Metrics, allowed: Mapping[str, str] | None) -> None:
        self.allowed = allowed
        self._server, self._metrics = server, metrics
        self._connections: dict[str, bytes] = {}  # by gateway
        self.contacts: dict[str, int] = {}  # by gateway: when its last message came, ns
        self._repeats = Repeats(CONNECTION_INTERVAL, MAX_PEERS)
        self._shared = Repeats(CONNECTION_INTERVAL, MAX_PEERS)
        self._recent: dict[str, deque[int]] = {}  # by gateway: when it last connected
        self._encode = msgspec.msgpack.Encoder().encode

    def note_contacts(self, t: int, batch: Sequence[RawMessage]) -> None:
        """Note that the gateways of some messages were in contact at `t` ns."""
        contacts = self.contacts
        for name in dict.fromkeys([message.sender for message in batch]):
            if name in self._connections:  # which are bounded
                contacts[name] = t

    def message_of(self, received: Received) -> RawMessage:
        """Return a message with its proven sender ("" where there is none), and remember the connection it came by."""
        name = self._claimed_sender(received) if self.allowed is None else self.allowed.get(received.key, "")
        if name and self._connections.get(name) != received.peer:
            self._remember(name, received.peer)
        return RawMessage(gateway_kind(received.kind), name, received.body)

    def reply(self, gateway: str, kind: str, body: msgspec.Struct, config: EngineConfig) -> None:
        """Send something to a gateway; counted where it cannot be sent. An exchange of times carries what was
        accepted of it so far.
        """
        if isinstance(body, Sync):
            body = msgspec.structs.replace(body, accepted=self._accepted(gateway, config))

        peer = self._connections.get(gateway)
        if peer is None or not self._server.send(peer, TOPICS[kind].code, self._encode(body)):
            self._metrics.count(f"drop.reply.{kind}", gateway)

    def _remember(self, name: str, peer: bytes) -> None:
        if name not in self._connections and len(self._connections) >= MAX_PEERS:
            return
        is_new = name not in self._connections
        self._connections[name] = peer
        self._metrics.count("gateway.connected", name)
        self._log_connection(name, is_new, stopwatch())

    def _log_connection(self, name: str, is_new: bool, now: int) -> None:
        """Log that a gateway is connected, seldom; and where its key is in use twice, that."""
        recent = self._recent.setdefault(name, deque(maxlen=MAX_CONNECTIONS + 1))
        recent.append(now)
        is_shared = len(recent) > MAX_CONNECTIONS and now - recent[0] <= CONNECTION_INTERVAL

        if is_shared and self._shared.again(name, now) is not None:
            log.warning(
                "two clients seem to share the key of gateway %s: it has connected more than %d times in %d s. Each "
                "message takes the other's place, and its answers. Give each gateway a key of its own: cloudctl keys "
                "gateway NAME",
                name,
                MAX_CONNECTIONS,
                CONNECTION_INTERVAL // SECOND,
            )

        repeated = self._repeats.again(name, now)
        if repeated is not None:
            more = f" ({repeated} more times since the last line)" if repeated else ""
            log.info("gateway %s is connected%s%s", name, "" if is_new else " again", more)

    def _accepted(self, gateway: str, config: EngineConfig) -> dict[str, int]:
        """Return how many messages of each kind were accepted; perception is counted by roadside unit."""
        counters = self._metrics.counters
        rsus = config.gateways.get(gateway, {})
        counts = {kind: counters[f"accept.{kind}", gateway] for kind in COUNTED_KINDS}
        counts["perception"] = sum(counters["accept.perception", rsu] for rsu in rsus)
        return {kind: count for kind, count in counts.items() if count}

    def _claimed_sender(self, received: Received) -> str:
        """Return the gateway behind a connection without CURVE: what its hello or sync says it is."""
        known = next((name for name, peer in self._connections.items() if peer == received.peer), "")
        return known or _claimed_name(received)


def _claimed_name(received: Received) -> str:
    """Return the gateway name that a hello or sync in clear claims, "" for any other message."""
    if KIND_OF_CODE.get(received.kind) not in ("hello", "sync"):
        return ""

    try:
        name = msgspec.msgpack.decode(received.body).get("g", "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        return ""

    return name if isinstance(name, str) else ""
