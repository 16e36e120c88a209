"""Bytes -> checked -> ordered by event time. Every refusal has a reason and is counted; nothing is lost silently.

A source is one sensor of one roadside unit. Its event time is its own `t` less its gateway's clock offset, which `sync`
estimates; `t` and `t_rx` themselves are kept as they came.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from .fusion import decode_batch
from .gateways import Gateway, Gateways
from .geo import Origin
from .metrics import Metrics
from .refusals import Disordered, Refused, Untimely, check_order, check_state, check_time, undecodable
from .schema import (
    MAX_BODY,
    VERSION,
    Ack,
    Datum,
    Group,
    Hazard,
    Health,
    Hello,
    Perception,
    Reject,
    Sensor,
    Signal,
    Sync,
    VehicleRequest,
    VehicleState,
)
from .topics import TOPICS

SIGNAL_AGE = TOPICS["signal"].max_age
PER_BATCH = 8  # perception frames of one source in one batch; older ones are dropped first
MAX_REPLIES = 32  # rejects sent to one sender for one batch; all are counted
MAX_OFFSET_M = 2000.0  # of a message's origin from its intersection


class _Heads(
    msgspec.Struct,
    frozen=True,
    rename={"version": "v", "rsu": "r", "intersection": "i", "revision": "rev", "seq": "q", "groups": "g", "lanes": "ln"},
):
    """A `Signal` whose groups are not decoded yet: from one message to the next they are mostly the same bytes."""

    version: int
    rsu: str
    intersection: str
    revision: int
    seq: int
    t: int
    groups: msgspec.Raw
    lanes: tuple[str, ...] | None = None


@dataclass
class Source:
    """One sensor of one roadside unit, as the node knows it."""

    index: int  # in its intersection's fusion
    intersection: str
    seq: int = -1
    origin: tuple[float, float] | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    sensor: Sensor | None = None


class Frames(NamedTuple):
    """The perception frames of one batch, decoded, in order of event time."""

    intersections: list[str]
    t: NDArray[np.int64]
    sources: NDArray[np.int32]
    rows: NDArray[Any]
    offsets: NDArray[np.int64]


class Vehicle(NamedTuple):
    """A vehicle's message."""

    id: str
    body: VehicleState | VehicleRequest | Ack


class Timed(NamedTuple):
    """A signal, hazard or health message with its event time and the offset that was taken off."""

    t: int
    offset: int
    body: Signal | Hazard | Health


@dataclass
class Batch:
    """What `Ingest.receive` made of a batch."""

    frames: Frames | None = None
    timed: list[Timed] = field(default_factory=list)
    vehicles: list[Vehicle] = field(default_factory=list)
    faults: list[tuple[str, Untimely | Disordered]] = field(default_factory=list)  # (intersection, why its signal was refused)
    hellos: list[tuple[str, Hello]] = field(default_factory=list)
    replies: list[tuple[str, str, msgspec.Struct]] = field(default_factory=list)  # (gateway, kind, body)


class _Pending(NamedTuple):
    t: int
    datum: Datum
    body: Perception
    source: Source


class Ingest:
    """Checks and orders what came. `gateways` binds each gateway to its RSUs and their intersections."""

    def __init__(
        self, gateways: Mapping[str, Mapping[str, str]], origins: Mapping[str, Origin], metrics: Metrics
    ) -> None:
        self.metrics = metrics
        self.gateways = Gateways({name: Gateway(rsus) for name, rsus in gateways.items()})
        self.sources: dict[tuple[str, str], Source] = {}
        self._origins = dict(origins)
        self._per_intersection: dict[str, int] = {}
        self._decode = {
            kind: (msgspec.msgpack if topic.code else msgspec.json).Decoder(topic.body).decode
            for kind, topic in TOPICS.items()
            if topic.direction != "out"
        }
        self._decode["signal"] = msgspec.msgpack.Decoder(_Heads).decode
        self._decode_groups = msgspec.msgpack.Decoder(tuple[Group, ...]).decode
        self._groups: dict[str, tuple[bytes, tuple[Group, ...]]] = {}  # RSU -> the newest groups, as bytes and decoded

    def move(self, intersection: str, origin: Origin) -> list[tuple[str, str]]:
        """Take in that an intersection's local frame has a new origin; return its sources, by RSU and sensor."""
        self._origins[intersection] = origin
        found = [key for key, source in self.sources.items() if source.intersection == intersection]
        for key in found:
            self.sources[key].origin = None
        return found

    def receive(self, t_rx: int, data: Sequence[Datum]) -> Batch:
        """Check and order one batch received at `t_rx` ns."""
        batch = Batch()
        pending: list[_Pending] = []
        for datum in data:
            try:
                if datum.kind == "perception":
                    pending.append(self._perception(t_rx, datum))
                elif datum.kind == "signal":
                    self._signal(t_rx, datum, batch)
                else:
                    self._other(t_rx, datum, batch)
            except Refused as why:
                self._refuse(datum, None, why, batch)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self._refuse(datum, None, undecodable(error), batch)
        if pending:
            batch.frames = self._frames(self._newest(pending), batch)
        return batch

    # --- perception ---

    def _perception(self, t_rx: int, datum: Datum) -> _Pending:
        body: Perception = self._body(datum)
        gateway = self.gateways.speaking(datum.sender, body.version, body.rsu)
        key = (body.rsu, body.sensor)
        source = self.sources.get(key) or self._new_source(key, gateway.rsus[body.rsu])
        t = check_time(t_rx, body.t, gateway.offset, TOPICS["perception"].max_age)
        self._check_seq(source, body.seq, f"{body.rsu}/{body.sensor}")
        if source.origin != (body.lat, body.lon):
            self._move_origin(source, body)
        return _Pending(t, datum, body, source)

    def _new_source(self, key: tuple[str, str], intersection: str) -> Source:
        index = self._per_intersection.get(intersection, 0)
        if index >= 31:
            raise Refused("s", key[1], "an intersection has at most 31 perception sources", "use fewer sensor names")
        self._per_intersection[intersection] = index + 1
        source = self.sources[key] = Source(index, intersection)
        return source

    def _check_seq(self, source: Source, seq: int, name: str) -> None:
        if seq <= source.seq:
            rule = "was seen already" if seq == source.seq else f"runs backwards (last was {source.seq})"
            self.metrics.count("sequence.duplicate" if seq == source.seq else "sequence.backwards", name)
            raise Refused(
                "q", seq, f"sequence number {rule}", "count up by one per message; after a restart send hello first"
            )
        if source.seq >= 0 and seq > source.seq + 1:
            self.metrics.count("sequence.gap", name, seq - source.seq - 1)
        source.seq = seq

    def _move_origin(self, source: Source, body: Perception) -> None:
        if not (isfinite(body.lat) and isfinite(body.lon) and abs(body.lat) <= 90 and abs(body.lon) <= 180):
            raise Refused(
                "lat, lon", f"{body.lat}, {body.lon}", "origin is not on the globe", "send degrees of WGS-84 / CGCS2000"
            )
        east, north = self._origins[source.intersection].to_local(body.lat, body.lon)
        if max(abs(east), abs(north)) > MAX_OFFSET_M:
            raise Refused(
                "lat, lon",
                f"{body.lat}, {body.lon}",
                f"origin is more than {MAX_OFFSET_M:.0f} m from the intersection",
                "check the order (lat, lon), the datum (not GCJ-02), and the RSU's intersection",
            )
        source.origin, source.shift = (body.lat, body.lon), (float(east), float(north))

    def _newest(self, pending: list[_Pending]) -> list[_Pending]:
        """Keep the newest PER_BATCH frames of each source, in order of event time."""
        if len(pending) > PER_BATCH:
            seen: dict[int, int] = {}
            kept = []
            for item in reversed(pending):
                n = seen[id(item.source)] = seen.get(id(item.source), 0) + 1
                if n <= PER_BATCH:
                    kept.append(item)
                else:
                    self.metrics.count("drop.queue", f"{item.body.rsu}/{item.body.sensor}")
            pending = kept[::-1]
        return sorted(pending, key=lambda item: item.t)

    def _frames(self, pending: list[_Pending], batch: Batch) -> Frames:
        shifts = np.array([item.source.shift for item in pending])
        rows, offsets, faults = decode_batch([bytes(item.body.objects) for item in pending], shifts)
        for item, fault in zip(pending, faults, strict=True):
            if fault is not None:
                row, name, value, rule = fault
                where = f"o[{row}].{name}" if row >= 0 else f"o.{name}"
                self._refuse(
                    item.datum, item.body.seq, Refused(where, value, rule, "see docs/wire.md, perception"), batch
                )
            else:
                self.metrics.count("accept.perception", item.body.rsu)
        return Frames(
            [item.source.intersection for item in pending],
            np.array([item.t for item in pending], np.int64),
            np.array([item.source.index for item in pending], np.int32),
            rows,
            offsets,
        )

    # --- everything else ---

    def _other(self, t_rx: int, datum: Datum, batch: Batch) -> None:
        if datum.kind not in self._decode:
            raise Refused("kind", repr(datum.kind), "no such kind of message", "use one of docs/wire.md")
        body = self._body(datum)
        if isinstance(body, VehicleState | VehicleRequest | Ack):
            self._vehicle(t_rx, datum, body, batch)
        elif isinstance(body, Sync):
            self._sync(t_rx, datum, body, batch)
        elif isinstance(body, Hello):
            self._hello(datum, body, batch)
        else:
            gateway = self.gateways.speaking(datum.sender, body.version, body.rsu)
            t = check_time(t_rx, body.t, gateway.offset, TOPICS[datum.kind].max_age)
            batch.timed.append(Timed(t, gateway.offset, body))
        self.metrics.count(f"accept.{datum.kind}", datum.sender if TOPICS[datum.kind].code else "")

    def _signal(self, t_rx: int, datum: Datum, batch: Batch) -> None:
        heads: _Heads = self._body(datum)
        gateway = self.gateways.speaking(datum.sender, heads.version, heads.rsu)
        intersection = gateway.rsus[heads.rsu]
        if heads.intersection != intersection:
            raise Refused(
                "i",
                heads.intersection,
                f"RSU {heads.rsu} speaks for {intersection}",
                "send that intersection's id, or have the node's operator bind the RSU to this one",
            )
        try:
            t = check_time(t_rx, heads.t, gateway.offset, SIGNAL_AGE)
            source = self.sources.get((heads.rsu, "signal"))
            if source is None:
                source = self.sources[heads.rsu, "signal"] = Source(-1, intersection)
            if heads.seq == source.seq + 1:
                source.seq = heads.seq
            else:
                self._check_seq(source, heads.seq, f"{heads.rsu}/signal")
            groups = self._same_groups(heads)
        except (Untimely, Disordered) as why:
            batch.faults.append((intersection, why))
            raise
        body = Signal(heads.version, heads.rsu, intersection, heads.revision, heads.seq, heads.t, groups, heads.lanes)
        batch.timed.append(Timed(t, gateway.offset, body))
        self.metrics.count("accept.signal", datum.sender)

    def _same_groups(self, heads: _Heads) -> tuple[Group, ...]:
        """Return the groups: those of the RSU's last message, the very tuple, where the bytes are the same."""
        data = bytes(heads.groups)
        known = self._groups.get(heads.rsu)
        if known is not None and known[0] == data:
            return known[1]
        try:
            groups = self._decode_groups(data)
        except msgspec.DecodeError as error:
            text, _, path = str(error).partition(" - at `$")
            raise msgspec.DecodeError(f"{text} - at `$.g{path}" if path else f"{text} - at `$.g`") from None
        check_order(groups)
        self._groups[heads.rsu] = (data, groups)
        return groups

    def _hello(self, datum: Datum, body: Hello, batch: Batch) -> None:
        gateway = self.gateways.speaking(datum.sender, body.version, *body.rsus)
        for (rsu, _), source in self.sources.items():
            if rsu in body.rsus:
                source.seq = -1
        for rsu in body.rsus:
            for sensor in body.sensors:
                key = (rsu, sensor.id)
                source = self.sources.get(key) or self._new_source(key, gateway.rsus[rsu])
                source.sensor = sensor
        batch.hellos.append((datum.sender, body))

    def _sync(self, t_rx: int, datum: Datum, body: Sync, batch: Batch) -> None:
        gateway = self.gateways.known(datum.sender)
        if body.t2 is None or body.t3 is None or body.t4 is None:
            batch.replies.append((datum.sender, "sync", Sync(VERSION, body.gateway, body.t1, t_rx, t_rx)))
        else:
            steps = gateway.steps
            if not gateway.exchanged(body.t1, body.t2, body.t3, body.t4):
                self.metrics.count("sync.slow", datum.sender)
            elif gateway.steps > steps:
                self.metrics.count("sync.step", datum.sender)

    def _vehicle(self, t_rx: int, datum: Datum, body: VehicleState | VehicleRequest | Ack, batch: Batch) -> None:
        check_time(t_rx, body.t, 0, TOPICS[datum.kind].max_age)
        if isinstance(body, VehicleState):
            check_state(body)
        batch.vehicles.append(Vehicle(datum.sender, body))

    # --- shared checks ---

    def _body(self, datum: Datum) -> Any:
        if len(datum.body) > MAX_BODY:
            raise Refused(
                "body",
                f"{len(datum.body)} bytes",
                f"a message has at most {MAX_BODY} bytes",
                "send fewer objects per message",
            )
        return self._decode[datum.kind](datum.body)

    def _refuse(self, datum: Datum, seq: int | None, why: Refused, batch: Batch) -> None:
        self.metrics.count(f"reject.{datum.kind}" if datum.kind in TOPICS else "reject.unknown", datum.sender)
        if sum(1 for sender, _, _ in batch.replies if sender == datum.sender) < MAX_REPLIES:
            batch.replies.append(
                (datum.sender, "reject", Reject(VERSION, datum.kind, seq, why.field, why.value, why.rule, why.remedy))
            )
