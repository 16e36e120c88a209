"""One connection of a gateway to one node: hello, the comparison of clocks, and the log of the connection."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..clock import MS, SECOND, stopwatch
from ..io.handshakes import TEXTS, Refusal
from ..io.zeromq import Dealer, KeyPair
from ..schema import VERSION, Hello, Reject, Sensor, Sync
from ..topics import KIND_OF_CODE, TOPICS

SYNC_EVERY = 5 * SECOND
# After the first exchange of a connection: then it is known soon what was accepted
FIRST_SYNC = SECOND
# Between two log lines on what was accepted; the first comes with the first message
ACCEPTED_INTERVAL = 60 * SECOND
# Without a node before the first log line, and between two further ones
ABSENCE_INTERVALS = (3 * SECOND, 30 * SECOND)
# At least between two exchanges, however many messages are refused for their time
SYNC_AGAIN = 200 * MS
# An answer later than that (it waited for the node to come up) is asked for again
STALE_SYNC = SECOND // 2
# of a connection's first exchange: one that took longer may have waited in the queue of a node that was starting, which
# spoils the offset by half of it; the next one is taken instead
MAX_FIRST_ROUND_TRIP = 50 * MS
log = logging.getLogger("cloudctl.client")


class LinkUser(NamedTuple):
    """The gateway behind a link. `receive(link, body)` gets what is not part of the link's own upkeep;
    `changed(link)` is called when the link is connected, and when it is lost."""

    name: str
    keys: KeyPair | None
    sensors: tuple[Sensor, ...]
    now: Callable[[], int]
    rejected: Callable[[], int]  # messages so far
    receive: Callable[["Link", Any], None]
    changed: Callable[["Link"], None]
    on_reject: Callable[[Reject], None]


class Link:
    """A connection that is kept up. `node_key`: public key of the node, Z85; None in clear."""

    def __init__(self, address: str, node_key: str | None, user: LinkUser) -> None:
        self.address, self.node_key = address, node_key
        self.state = "connecting"  # or connected, disconnected, refused
        self.sent = 0
        self.round_trip = 0  # ns to the node and back, of the last exchange; 0: not known yet
        self.opened = stopwatch()
        self._user = user
        self._synced: int | None = None  # when an exchange was last begun, monotonic
        self._is_first_exchange = True  # of this connection
        self._sync_interval = FIRST_SYNC
        self._next_absence = stopwatch() + ABSENCE_INTERVALS[0]  # when the node's absence is logged
        self._absent_since = stopwatch()
        self._accepted: dict[str, int] = {}  # by kind, of the node's last answer
        self._logged_accepted: dict[str, int] = {}  # by kind, as last logged
        self._next_accepted = 0  # when the numbers are logged again
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode: dict[bytes, Callable[[bytes], Any]] = {
            code: msgspec.msgpack.Decoder(TOPICS[kind].body).decode for code, kind in KIND_OF_CODE.items()
        }
        self._dealer = Dealer(connect=address, keys=user.keys, node_key=node_key, only_connected=True)

    @property
    def is_connected(self) -> bool:
        """Whether messages are taken at present."""
        return self.state == "connected"

    def send(self, kind: str, body: Any) -> bool:
        """Send a message; False where there is no connection, or its queue is full."""
        if not (self.is_connected and self._dealer.send(TOPICS[kind].code, self._encode(body))):
            return False
        self.sent += 1
        return True

    def hello(self, rsus: Iterable[str]) -> None:
        """Introduce some roadside units, before anything of them is sent."""
        hello = Hello(
            version=VERSION, gateway=self._user.name, rsus=tuple(rsus), sensors=self._user.sensors, software="cloudctl"
        )
        self.sent += self._dealer.send(TOPICS["hello"].code, self._encode(hello))

    def look(self) -> None:
        """Take in whether there is a connection."""
        self._dealer.events(self._changed)

    def keep_up(self) -> None:
        """Compare clocks where it is time to, and log that the node is away."""
        if not self.is_connected:
            self._log_absence()
        if self._synced is None or stopwatch() - self._synced > self._sync_interval:
            self.sync()

    def receive(self, timeout_ms: int) -> int:
        """Take in what the node has sent, waiting at most that long for the first message; return how many came."""
        count = 0
        while (message := self._dealer.receive(timeout_ms if count == 0 else 0)) is not None:
            count += 1
            decode = self._decode.get(message[0])
            if decode is None:
                continue  # of a later version of the node

            body = decode(message[1])
            if isinstance(body, Sync):
                self._exchange(body)
            else:
                self._user.receive(self, body)

        return count

    def sync(self, *, anew: bool = False) -> None:
        """Begin an exchange of times, unless one was begun just now; `anew`: however lately that was."""
        now = stopwatch()
        if anew or self._synced is None or now - self._synced > SYNC_AGAIN:
            self._synced = now
            # at once, or not at all: its time must be that of sending
            sync = Sync(version=VERSION, gateway=self._user.name, t1=self._user.now())
            self.sent += self._dealer.send(TOPICS["sync"].code, self._encode(sync))

    def close(self) -> None:
        """Send what is queued, and end."""
        self._dealer.close()

    def _exchange(self, body: Sync) -> None:
        if body.accepted:
            self._log_accepted(body.accepted)
            self._sync_interval = SYNC_EVERY

        round_trip = self._user.now() - body.t1
        if 0 <= round_trip <= STALE_SYNC:
            self.round_trip = round_trip

        limit = MAX_FIRST_ROUND_TRIP if self._is_first_exchange else STALE_SYNC
        self._is_first_exchange = False

        # It waited, or this clock stepped meanwhile
        if not 0 <= round_trip <= limit:
            self._synced = None
        else:
            self.send("sync", msgspec.structs.replace(body, t4=self._user.now(), accepted=None))

    def _changed(self, state: str) -> None:
        was_connected = self.is_connected
        if not (state == "disconnected" and self.state == "refused"):
            self.state = state

        if state == "connected":
            log.info("%s: connected to %s", self._user.name, self.address)
            self._synced = None
            self._is_first_exchange = True
            self._sync_interval = FIRST_SYNC
            self._user.changed(self)
        elif was_connected:
            log.warning("%s: the node at %s is gone; trying again", self._user.name, self.address)
            self._absent_since = stopwatch()
            self._next_absence = self._absent_since + ABSENCE_INTERVALS[0]
            self._user.changed(self)

        if state == "refused":
            self._report_refusal(self._dealer.refusal or Refusal.UNKNOWN_KEY)

    def _report_refusal(self, refusal: Refusal) -> None:
        """Report why the node lets this gateway in by no handshake."""
        text = TEXTS[refusal]
        public = self._user.keys.public if self._user.keys else "none"
        self._user.on_reject(
            Reject(
                version=VERSION,
                kind="hello",
                seq=None,
                field=text.field,
                value=(self.node_key or "none") if text.field == "node_key" else public,
                rule=f"{self.address}: {text.rule}",
                remedy=text.remedy,
            )
        )

    def _log_absence(self) -> None:
        """Log that there is no node, once it has been away for a while, and then seldom."""
        now = stopwatch()
        if now < self._next_absence or self.state == "refused":
            return

        away = (now - self._absent_since) / SECOND
        log.warning(
            "%s: no node at %s for %.0f s; trying again. Check address and network",
            self._user.name,
            self.address,
            away,
        )

        self._next_absence = now + ABSENCE_INTERVALS[1]

    def _log_accepted(self, accepted: Mapping[str, int]) -> None:
        """Log what the node has accepted since the last line: at the first message of each kind, and then once a
        minute.
        """
        now = stopwatch()
        if any(count < self._accepted.get(kind, 0) for kind, count in accepted.items()):
            self._logged_accepted = {}  # another run of the node counts from 0
        self._accepted = dict(accepted)

        news = {kind: total - self._logged_accepted.get(kind, 0) for kind, total in accepted.items()}
        is_first = any(kind not in self._logged_accepted for kind in accepted)
        if not any(news.values()) or not (is_first or now >= self._next_accepted):
            return

        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(news.items()) if count)
        log.info("%s: accepted by the node: %s; refused: %d", self._user.name, counts, self._user.rejected())
        self._logged_accepted = dict(accepted)
        self._next_accepted = now + ACCEPTED_INTERVAL
