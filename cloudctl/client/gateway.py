"""For RSU gateways: connect, send, and see at once why something was refused."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..clock import MS, SECOND, STEP, WallClock, sleep_until, stopwatch
from ..io.zeromq import KeyPair, read_keys
from ..ownership_messages import Moved
from ..rates import Repeats
from ..schema import (
    COLUMNS,
    VERSION,
    Broadcast,
    Group,
    Hazard,
    Health,
    Perception,
    Priority,
    Reject,
    Sensor,
    Signal,
)
from .credentials import read_gateway_folder
from .link import Link, LinkUser
from .routes import UnitRoutes
from .standard_messages import MAX_REFUSALS, StandardMessages

LINGER = SECOND // 2  # that closing waits for a connection that is just being made
FLOATS = COLUMNS[1:-1]
REPEAT_INTERVAL = 10 * SECOND  # between two logged refusals of the same field
log = logging.getLogger("cloudctl.client")


class Gateway(StandardMessages):
    """The connections of a gateway: to one node, or to those of several that serve its roadside units.

    `address` is a node's, or a list of those that may be asked, the first one first: any of them names the node that
    serves a unit's intersection, and what it did not take in is sent there (`moved` counts that).
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
        address: str | Sequence[str],
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
        self.rejected = self.clock_steps = self.moved = 0
        self._keys = key if key is None or isinstance(key, KeyPair) else read_keys(Path(key))
        if node_key is not None and Path(node_key).suffix == ".pub":
            node_key = read_keys(Path(node_key)).public
        self._node_key = None if node_key is None else str(node_key)
        self._repeats = Repeats(REPEAT_INTERVAL, MAX_REFUSALS)
        self._on_broadcast, self._on_priority = on_broadcast, on_priority
        self._seq: dict[tuple[str, str], int] = {}
        self._ahead: int | None = None  # of this clock against a monotonic one
        self._encode = msgspec.msgpack.Encoder().encode

        self._user = LinkUser(
            name=name,
            keys=self._keys,
            sensors=self.sensors,
            now=self._now,
            rejected=lambda: self.rejected,
            receive=self._heard,
            changed=lambda link: self._routes.on_changed(link),
            on_reject=self._on_reject,
        )

        addresses = (address,) if isinstance(address, str) else tuple(address)
        if not addresses:
            raise ValueError("address is empty: give that of a node, such as tcp://host:7788, or a list of several")

        self._routes = UnitRoutes(addresses, self.rsus, self._open_link)

    @property
    def state(self) -> str:
        """Return "connected" where every unit is, else connecting, disconnected or refused."""
        return self._routes.state

    @property
    def sent(self) -> int:
        """Return how many messages were sent."""
        return self._routes.sent

    @property
    def dropped(self) -> int:
        """Return how many messages were dropped while there was no connection."""
        return self._routes.dropped

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
            version=VERSION,
            rsu=rsu,
            sensor=sensor,
            seq=self._next(rsu, sensor),
            t=self._now() if t is None else t,
            lat=lat,
            lon=lon,
            objects=msgspec.Raw(self._encode(objects)),
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
                version=VERSION,
                rsu=rsu,
                intersection=intersection,
                revision=revision,
                seq=self._next(rsu, "signal"),
                t=self._now() if t is None else t,
                groups=tuple(groups),
                lanes=None if lanes is None else tuple(lanes),
            ),
        )

    def hazard(self, hazard: Hazard) -> bool:
        """Send a hazard."""
        return self._send("hazard", hazard)

    def health(self, health: Health) -> bool:
        """Send the health of a roadside unit."""
        return self._send("health", health)

    def poll(self, timeout_ms: int = 0) -> int:
        """Take in what the node sent, keep the clock comparison going; return how many messages came. Call it about
        every 100 ms.
        """
        self._routes.look()
        self._watch_clock()
        links = list(self._routes.links.values())
        for link in links:
            link.keep_up()

        count = sum(link.receive(0) for link in links[1:])
        return count + links[0].receive(0 if count else timeout_ms)

    def close(self) -> None:
        """Send what is queued (at most 0.5 s) and disconnect."""
        deadline = stopwatch() + LINGER
        while self._routes.waiting and self.state != "refused" and stopwatch() < deadline:
            self._routes.look()
            sleep_until(WallClock().now() + 5 * MS)

        for link in self._routes.links.values():
            link.close()

    def _open_link(self, address: str, node_key: str | None) -> Link:
        return Link(address, node_key or self._node_key, self._user)

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
            for link in self._routes.links.values():
                link.sync(anew=True)

        self._ahead = ahead

    def _heard(self, link: Link, body: Any) -> None:
        if isinstance(body, Reject):
            self.rejected += 1
            if body.field in ("t", "t4"):
                link.sync()
            self._on_reject(body)
        elif isinstance(body, Moved):
            self.moved += 1
            self._routes.on_moved(link, body)
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
        return self._routes.send(kind, body)


def pack(columns: Mapping[str, Any]) -> bytes:
    """Return the block form of columns (arrays of equal length; "x" and "y" are required, what is missing is not
    measured).
    """
    count = len(columns["x"])
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise ValueError(f"columns {sorted(unknown)} are unknown; known: {', '.join(COLUMNS)}")

    block = np.full((len(FLOATS), count), np.nan, "<f4")
    block[0] = 1.0

    for index, name in enumerate(FLOATS):
        if name in columns:
            block[index] = columns[name]
        elif name == "z":
            block[index] = 0.0

    ids = np.asarray(columns.get("id", np.arange(count)), "<u4")
    classes = np.asarray(columns.get("class", np.zeros(count)), "u1")
    return ids.tobytes() + block.tobytes() + classes.tobytes()
