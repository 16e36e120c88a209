"""For RSU gateways: connect, send, and see at once why something was refused."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..clock import MS, SECOND, STEP, WallClock, sleep_until, stopwatch
from ..io.zeromq import Dealer, KeyPair, read_keys
from ..rates import Repeats
from ..schema import (
    COLUMNS,
    VERSION,
    Broadcast,
    Group,
    Hazard,
    Health,
    Hello,
    Perception,
    Priority,
    Reject,
    Sensor,
    Signal,
    Sync,
)
from ..topics import KIND_OF_CODE, TOPICS
from .credentials import read_gateway_folder
from .outbox import Outbox
from .standard_messages import MAX_REFUSALS, StandardMessages

SYNC_EVERY = 5 * SECOND
FIRST_SYNC = SECOND  # after the first exchange of a connection: then it is known soon what was accepted
ACCEPTED_INTERVAL = 60 * SECOND  # between two log lines on what was accepted; the first comes with the first message
ABSENCE_INTERVALS = (3 * SECOND, 30 * SECOND)  # without a node before the first log line, and between two further ones
SYNC_AGAIN = 200 * MS  # at least between two exchanges, however many messages are refused for their time
LINGER = SECOND // 2  # that closing waits for a connection that is just being made
STALE_SYNC = SECOND // 2  # an answer later than that (it waited for the node to come up) is asked for again
# of a connection's first exchange: one that took longer may have waited in the queue of a node that was starting, which
# spoils the offset by half of it; the next one is taken instead
MAX_FIRST_ROUND_TRIP = 50 * MS
FLOATS = COLUMNS[1:-1]
REPEAT_INTERVAL = 10 * SECOND  # between two logged refusals of the same field
log = logging.getLogger("cloudctl.client")


class Gateway(StandardMessages):
    """One connection to a node.

    `key` is this gateway's .key file (or pair), `node_key` the node's public key or .pub file; both None for a test
    bench in clear.
    `on_reject`, `on_broadcast` and `on_priority` (what the node asks of the signal controller; its times are on the
    gateway's clock) are called
    from `poll()`; without `on_reject`, refusals are logged, the same field of the same kind once in 10 s with how
    often it was refused since. `now` is the gateway's own clock (ns); `clock_steps` counts how often it stepped.
    While there is no connection, the newest messages of each stream are kept and sent when there is one; what that
    drops is counted in `dropped`.
    """

    def __init__(
        self,
        address: str,
        rsus: Iterable[str],
        *,
        name: str = "gateway",
        key: Path | str | KeyPair | None = None,
        node_key: Path | str | None = None,
        sensors: Sequence[Sensor] = (),
        on_reject: Callable[[Reject], None] | None = None,
        on_broadcast: Callable[[Broadcast], None] | None = None,
        on_priority: Callable[[Priority], None] | None = None,
        now: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(on_reject or self._log_reject, now or WallClock().now)
        self.name, self.rsus, self.sensors = name, tuple(rsus), tuple(sensors)
        self.state = "connecting"  # or connected, disconnected, refused
        self.sent = self.dropped = self.rejected = self.clock_steps = 0
        self._keys = key if key is None or isinstance(key, KeyPair) else read_keys(Path(key))
        if node_key is not None and Path(node_key).suffix == ".pub":
            node_key = read_keys(Path(node_key)).public
        self._repeats = Repeats(REPEAT_INTERVAL, MAX_REFUSALS)
        self._on_broadcast, self._on_priority = on_broadcast, on_priority
        self._seq: dict[tuple[str, str], int] = {}
        self._synced: int | None = None  # when an exchange was last begun, monotonic
        self._is_first_exchange = True  # of this connection
        self._ahead: int | None = None  # of this clock against a monotonic one
        self._address = address
        self._next_absence = stopwatch() + ABSENCE_INTERVALS[0]  # when the node's absence is logged
        self._absent_since = stopwatch()
        self._accepted: dict[str, int] = {}  # by kind, of the node's last answer
        self._logged_accepted: dict[str, int] = {}  # by kind, as last logged
        self._next_accepted = 0  # when the numbers are logged again
        self._sync_interval = FIRST_SYNC
        self._outbox = Outbox()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode: dict[bytes, Callable[[bytes], Any]] = {
            code: msgspec.msgpack.Decoder(TOPICS[kind].body).decode for code, kind in KIND_OF_CODE.items()
        }
        self._dealer = Dealer(address, self._keys, None if node_key is None else str(node_key), only_connected=True)

    @classmethod
    def from_folder(cls, folder: Path | str, **options: Any) -> "Gateway":
        """Return a gateway with the credentials of a folder of `cloudctl init`; `options` are those of `Gateway`.

        Raises CredentialFolderError, PrivateFileError for a key that others can read.
        """
        file = read_gateway_folder(Path(folder))
        return cls(file.address, file.rsus, name=file.name, key=file.key, node_key=file.node_key, **options)

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def perception(self, rsu: str, sensor: str, lat: float, lon: float, objects: Any, t: int | None = None) -> bool:
        """Send what a sensor saw at `t` (ns, now when None) around the origin `lat`, `lon` (degrees).

        `objects` is a list of maps ({"x": m east, "y": m north, "class": "car", ...}), a mapping of columns (arrays
        of equal length),
        or a block from `pack`. False when an older frame was dropped for it, because there is no connection: that is
        counted in `dropped`.
        """
        if isinstance(objects, Mapping):
            objects = pack(objects)
        body = Perception(
            VERSION,
            rsu,
            sensor,
            self._next(rsu, sensor),
            self._now() if t is None else t,
            lat,
            lon,
            msgspec.Raw(self._encode(objects)),
        )
        return self._send("perception", body)

    def signal(
        self, rsu: str, intersection: str, revision: int, groups: Sequence[Group], t: int | None = None,
        lanes: Sequence[str] | None = None,
    ) -> bool:  # fmt: skip
        """Send the signal states of an intersection; end times are ns of this gateway's clock. `lanes`: of its
        revocable lanes, those in use.
        """
        return self._send(
            "signal",
            Signal(
                VERSION,
                rsu,
                intersection,
                revision,
                self._next(rsu, "signal"),
                self._now() if t is None else t,
                tuple(groups),
                None if lanes is None else tuple(lanes),
            ),
        )

    def hazard(self, hazard: Hazard) -> bool:
        """Send a hazard."""
        return self._send("hazard", hazard)

    def health(self, health: Health) -> bool:
        """Send the health of a roadside unit."""
        return self._send("health", health)

    def poll(self, timeout_ms: int = 0) -> int:
        """Take in what the node said, keep the clock comparison going; return how many messages came. Call it about
        every 100 ms.
        """
        self._dealer.events(self._changed)
        self._flush()
        self._watch_clock()
        if self.state != "connected":
            self._log_absence()
        if self._synced is None or stopwatch() - self._synced > self._sync_interval:
            self._sync()
        n = 0
        while (message := self._dealer.receive(timeout_ms if n == 0 else 0)) is not None:
            n += 1
            self._heard(self._decode[message[0]](message[1]))
        return n

    def close(self) -> None:
        """Send what is queued (at most 0.5 s) and disconnect."""
        deadline = stopwatch() + LINGER
        while self._outbox and self.state != "refused" and stopwatch() < deadline:
            self._dealer.events(self._changed)
            self._flush()
            sleep_until(WallClock().now() + 5 * MS)
        self._dealer.close()

    def _log_absence(self) -> None:
        """Log that there is no node, once it has been away for a while, and then seldom."""
        now = stopwatch()
        if now < self._next_absence or self.state == "refused":
            return
        away = (now - self._absent_since) / SECOND
        log.warning(
            "%s: no node at %s for %.0f s; trying again. Check address and network", self.name, self._address, away
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

        news = {kind: n - self._logged_accepted.get(kind, 0) for kind, n in accepted.items()}
        is_first = any(kind not in self._logged_accepted for kind in accepted)
        if not any(news.values()) or not (is_first or now >= self._next_accepted):
            return
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(news.items()) if count)
        log.info("%s: accepted by the node: %s; refused: %d", self.name, counts, self.rejected)
        self._logged_accepted = dict(accepted)
        self._next_accepted = now + ACCEPTED_INTERVAL

    def _hello(self) -> None:
        """Begin a connection: before anything that was kept."""
        self._synced = None
        self._is_first_exchange = True
        self._sync_interval = FIRST_SYNC
        hello = Hello(VERSION, self.name, self.rsus, self.sensors, "cloudctl")
        self.sent += self._dealer.send(TOPICS["hello"].code, self._encode(hello))

    def _sync(self) -> None:
        """Begin an exchange of times, unless one was begun just now."""
        now = stopwatch()
        if self._synced is None or now - self._synced > SYNC_AGAIN:
            self._synced = now
            # not by way of the outbox: its time must be that of sending
            self.sent += self._dealer.send(TOPICS["sync"].code, self._encode(Sync(VERSION, self.name, self._now())))

    def _watch_clock(self) -> None:
        """Notice that this gateway's clock has stepped, and compare it anew at once."""
        ahead = self._now() - stopwatch()
        if self._ahead is not None and abs(ahead - self._ahead) > STEP:
            self.clock_steps += 1
            log.warning(
                "%s: this gateway's clock stepped by %+.3f s; it is compared with the node's again",
                self.name,
                (ahead - self._ahead) / SECOND,
            )
            self._synced = None
        self._ahead = ahead

    def _flush(self) -> None:
        """Send what was kept while there was no connection."""
        if not self._outbox or self.state != "connected":
            return
        kept, outdated = self._outbox.take(stopwatch())
        self.dropped += outdated
        for at, kind, body in kept:
            self._put(kind, body, at)

    def _changed(self, state: str) -> None:
        if state == "connected":
            log.info("%s: connected to %s", self.name, self._address)
            self._hello()
        elif self.state == "connected":
            log.warning("%s: the node at %s is gone; trying again", self.name, self._address)
            self._absent_since = stopwatch()
            self._next_absence = self._absent_since + ABSENCE_INTERVALS[0]
        if not (state == "disconnected" and self.state == "refused"):
            self.state = state
        if state == "refused":
            key = self._keys.public if self._keys else "none"
            self._on_reject(
                Reject(
                    VERSION,
                    "hello",
                    None,
                    "key",
                    key,
                    "the node does not know this key, or node_key is not the node's",
                    "Have its operator add the key under [[gateway]], and check node_key against the node's .pub file",
                )
            )

    def _heard(self, body: Any) -> None:
        if isinstance(body, Reject):
            self.rejected += 1
            if body.field in ("t", "t4"):
                self._sync()
            self._on_reject(body)
        elif isinstance(body, Sync):
            if body.accepted:
                self._log_accepted(body.accepted)
                self._sync_interval = SYNC_EVERY
            limit = MAX_FIRST_ROUND_TRIP if self._is_first_exchange else STALE_SYNC
            self._is_first_exchange = False
            if not 0 <= self._now() - body.t1 <= limit:  # it waited, or this clock stepped meanwhile
                self._synced = None
            else:
                self._send("sync", msgspec.structs.replace(body, t4=self._now(), accepted=None))
        elif isinstance(body, Broadcast) and self._on_broadcast:
            self._on_broadcast(body)
        elif isinstance(body, Priority) and self._on_priority:
            self._on_priority(body)

    def _log_reject(self, reject: Reject) -> None:
        repeated = self._repeats.again(f"{reject.kind} {reject.field} {reject.rule}", stopwatch())
        if repeated is not None:
            more = f" ({repeated} more since)" if repeated else ""
            log.warning("%s: refused %s%s", self.name, reject, more)

    def _next(self, rsu: str, stream: str) -> int:
        seq = self._seq[rsu, stream] = self._seq.get((rsu, stream), -1) + 1
        return seq

    def _send(self, kind: str, body: Any) -> bool:
        if self.state != "connected" or self._outbox:
            self._dealer.events(self._changed)
            self._flush()
        return self._put(kind, body, stopwatch())

    def _put(self, kind: str, body: Any, at: int) -> bool:
        if self.state == "connected" and not self._outbox and self._dealer.send(TOPICS[kind].code, self._encode(body)):
            self.sent += 1
            return True
        dropped = self._outbox.put(kind, body, at)
        self.dropped += dropped
        return dropped == 0


def pack(columns: Mapping[str, Any]) -> bytes:
    """Return the block form of columns (arrays of equal length; "x" and "y" are required, what is missing is not
    measured).
    """
    n = len(columns["x"])
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise ValueError(f"columns {sorted(unknown)} are unknown; known: {', '.join(COLUMNS)}")
    block = np.full((len(FLOATS), n), np.nan, "<f4")
    block[0] = 1.0
    for k, name in enumerate(FLOATS):
        if name in columns:
            block[k] = columns[name]
        elif name == "z":
            block[k] = 0.0
    ids = np.asarray(columns.get("id", np.arange(n)), "<u4")
    classes = np.asarray(columns.get("class", np.zeros(n)), "u1")
    return ids.tobytes() + block.tobytes() + classes.tobytes()
