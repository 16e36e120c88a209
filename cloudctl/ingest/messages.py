"""Bytes -> checked -> ordered by event time. Every refusal has a reason and is counted; nothing is lost silently.

A source is one sensor of one roadside unit. Its event time is its own `t` less its gateway's clock offset, which `sync`
estimates; `t` and `t_rx` themselves are kept as they came.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from ..clock import SECOND
from ..faults import Faults
from ..geo import Origin
from ..metrics import Metrics
from ..rates import OncePer
from ..schema import (
    MAX_BODY,
    MAX_SENSORS,
    VERSION,
    Ack,
    Group,
    Hazard,
    Health,
    Hello,
    Int64,
    Perception,
    RawMessage,
    Reject,
    SensorHealth,
    Signal,
    Sync,
    VehicleRequest,
    VehicleState,
)
from ..topics import TOPICS
from .frames import Frames, Pending, newest, read_frames
from .gateways import Gateway, Gateways
from .rejections import (
    RejectedMessage,
    StaleMessage,
    check_hello,
    check_request,
    check_state,
    check_time,
    check_vehicle,
    each_alone,
    mended,
    undeclared,
    undecodable,
    unprocessable,
    wrong_version,
)
from .signal_groups import Groups, SignalTimingError, read_groups
from .sources import Sources

SIGNAL_AGE = TOPICS["signal"].max_age
FROM_VEHICLES = frozenset(kind for kind, topic in TOPICS.items() if topic.direction == "in" and not topic.code)
MAX_REPLIES = 32  # rejects sent to one sender for one batch; all are counted
REJECT_INTERVAL = SECOND  # between two rejects to one vehicle
MAX_REJECTED = 10_000  # vehicles, or parts of messages, that get rejects within that
PART_INTERVAL = 10 * SECOND  # between two rejects of the same part of a unit's messages, which are used without it


Examine = Callable[[str, str, int, int, Hazard | Health], tuple[Hazard | Health, list[RejectedMessage]]]


class _Heads(
    msgspec.Struct,
    frozen=True,
    rename={
        "version": "v",
        "rsu": "r",
        "intersection": "i",
        "revision": "rev",
        "seq": "q",
        "groups": "g",
        "lanes": "ln",
    },
):
    """A `Signal` whose groups are not decoded yet: from one message to the next they are mostly the same bytes."""

    version: int
    rsu: str
    intersection: str
    revision: Int64
    seq: Int64
    t: Int64
    groups: msgspec.Raw
    lanes: tuple[str, ...] | None = None


class _HealthHeads(msgspec.Struct, frozen=True, rename={"version": "v", "rsu": "r", "sensors": "s"}):
    """A `Health` whose sensors are not decoded yet: one that cannot be read takes no other with it."""

    version: int
    rsu: str
    t: Int64
    sensors: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MAX_SENSORS)] = ()


class Vehicle(NamedTuple):
    """A vehicle's message."""

    id: str
    body: VehicleState | VehicleRequest | Ack


class TimestampedMessage(NamedTuple):
    """A signal, hazard or health message with its event time and the offset that was taken off."""

    t: int
    offset: int
    body: Signal | Hazard | Health
    intersection: str
    gateway: str


@dataclass
class Batch:
    """What `Ingest.receive` made of a batch."""

    frames: Frames | None = None
    timed: list[TimestampedMessage] = field(default_factory=list)
    vehicles: list[Vehicle] = field(default_factory=list)
    faults: list[tuple[str, StaleMessage | SignalTimingError]] = field(
        default_factory=list
    )  # (intersection, why its signal was refused)
    hellos: list[tuple[str, Hello]] = field(default_factory=list)
    replies: list[tuple[str, str, msgspec.Struct]] = field(default_factory=list)  # (gateway, kind, body)
    rejects: list[tuple[str, Reject]] = field(default_factory=list)  # (vehicle, why)
    answered: Counter[str] = field(default_factory=Counter)  # rejects, by gateway


class Ingest:
    """Checks and orders what came. `gateways` binds each gateway to its RSUs and their intersections."""

    def __init__(
        self,
        gateways: Mapping[str, Mapping[str, str]],
        origins: Mapping[str, Origin],
        metrics: Metrics,
        examine: Examine | None = None,
        plausible: Callable[[int, str, VehicleState], None] | None = None,
        faults: Faults | None = None,
    ) -> None:
        """`examine(gateway, intersection, t_rx, offset, body)` returns what can be used of a hazard or health message and why the rest cannot, or raises Refused;
        `plausible(t_rx, vehicle, state)` raises it for a vehicle's report that contradicts what is known."""
        self.metrics = metrics
        self._faults = faults or Faults(metrics)
        self.gateways = Gateways({name: Gateway(rsus) for name, rsus in gateways.items()})
        self.sources = Sources(gateways, origins, metrics)
        self._examine, self._plausible = examine, plausible
        self._answers = OncePer(REJECT_INTERVAL, MAX_REJECTED)
        self._part_answers = OncePer(PART_INTERVAL, MAX_REJECTED)
        self._decode = {
            kind: (msgspec.msgpack if topic.code else msgspec.json).Decoder(topic.body).decode
            for kind, topic in TOPICS.items()
            if topic.direction in ("in", "both")
        }
        self._decode["signal"] = msgspec.msgpack.Decoder(_Heads).decode
        self._decode["health"] = msgspec.msgpack.Decoder(_HealthHeads).decode
        self._decode_sensor = msgspec.msgpack.Decoder(SensorHealth).decode
        self._groups: dict[str, tuple[bytes, Groups]] = {}  # RSU -> the newest groups, as bytes and as read

    def confine(self, place: str, t_rx: int, datum: RawMessage, error: Exception, batch: Batch) -> None:
        """Note a fault of the node's own with one message, and refuse that message."""
        self._faults.note(place, datum.kind if datum.kind in TOPICS else "unknown", error)
        self._refuse(t_rx, datum, None, unprocessable(), batch)

    def rebind(self, gateways: Mapping[str, Mapping[str, str]]) -> None:
        """Bind gateways to roadside units anew: clocks of gateways that stay are kept, sources whose intersection changed begin anew."""
        self.gateways.rebind(gateways)
        for rsu in self.sources.rebind(gateways):
            self._groups.pop(rsu, None)

    def receive(self, t_rx: int, data: Sequence[RawMessage]) -> Batch:
        """Check and order one batch received at `t_rx` ns."""
        batch = Batch()
        pending: list[Pending] = []
        for datum in data:
            try:
                if datum.kind == "perception":
                    pending.append(self._perception(t_rx, datum))
                elif datum.kind == "signal":
                    self._signal(t_rx, datum, batch)
                else:
                    self._other(t_rx, datum, batch)
            except RejectedMessage as why:
                self._refuse(t_rx, datum, None, why, batch)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self._refuse(t_rx, datum, None, undecodable(error), batch)
            except Exception as error:
                self.confine("ingest", t_rx, datum, error, batch)
        if pending:
            batch.frames = read_frames(
                newest(pending, self.metrics),
                self.metrics,
                lambda item, why: self._answer(item.datum.sender, "perception", item.body.seq, why, batch),
                lambda item, error: self.confine("decode", t_rx, item.datum, error, batch),
            )
        return batch

    def reject(
        self, t_rx: int, vehicle: str, kind: str, why: RejectedMessage, part: bool = False
    ) -> list[tuple[str, Reject]]:
        """Count the refusal of a vehicle's message, or of a `part` of one that is used without it; return what it is answered, which is at most
        one reject in REJECT_INTERVAL."""
        self.metrics.count(f"reject.{kind}_part" if part else f"reject.{kind}", vehicle)
        if not self._answers.allow(vehicle, t_rx):
            self.metrics.count("drop.reject", vehicle)
            return []
        return [(vehicle, _reject(kind, None, why))]

    # --- perception ---

    def _perception(self, t_rx: int, datum: RawMessage) -> Pending:
        body: Perception = self._body(datum)
        gateway = self.gateways.speaking(datum.sender, body.version, body.rsu)
        source = self.sources.of(body.rsu, body.sensor, gateway.rsus[body.rsu], datum.sender)
        t = check_time(t_rx, body.t, gateway.offset, TOPICS["perception"].max_age)
        self.sources.check_seq(source, body.seq, f"{body.rsu}/{body.sensor}")
        if source.origin != (body.lat, body.lon):
            self.sources.locate(source, body.lat, body.lon)
        return Pending(t, datum, body, source)

    # --- everything else ---

    def _other(self, t_rx: int, datum: RawMessage, batch: Batch) -> None:
        if datum.kind not in self._decode:
            raise RejectedMessage("kind", repr(datum.kind), "no such kind of message", "use one of docs/wire.md")
        body = self._body(datum)
        if isinstance(body, VehicleState | VehicleRequest | Ack):
            self._vehicle(t_rx, datum, body, batch)
        elif isinstance(body, Sync):
            self._sync(t_rx, datum, body, batch)
        elif isinstance(body, Hello):
            self._hello(datum, body, batch)
        else:
            parts: list[RejectedMessage] = []
            if isinstance(body, _HealthHeads):
                body = Health(
                    body.version, body.rsu, body.t, tuple(each_alone(self._decode_sensor, "s", body.sensors, parts))
                )
            gateway = self.gateways.speaking(datum.sender, body.version, body.rsu)
            t = check_time(t_rx, body.t, gateway.offset, TOPICS[datum.kind].max_age)
            if self._examine is not None:
                body, unused = self._examine(datum.sender, gateway.rsus[body.rsu], t_rx, gateway.offset, body)
                parts += unused
            if parts:
                self._refuse_parts(t_rx, datum.sender, datum.kind, body.rsu, None, parts, batch)
            batch.timed.append(TimestampedMessage(t, gateway.offset, body, gateway.rsus[body.rsu], datum.sender))
        self.metrics.count(f"accept.{datum.kind}", datum.sender if TOPICS[datum.kind].code else "")

    def _signal(self, t_rx: int, datum: RawMessage, batch: Batch) -> None:
        heads: _Heads = self._body(datum)
        gateway = self.gateways.speaking(datum.sender, heads.version, heads.rsu)
        intersection = gateway.rsus[heads.rsu]
        if heads.intersection != intersection:
            raise RejectedMessage(
                "i",
                heads.intersection,
                f"RSU {heads.rsu} speaks for {intersection}",
                "send that intersection's id, or have the node's operator bind the RSU to this one",
            )
        try:
            t = check_time(t_rx, heads.t, gateway.offset, SIGNAL_AGE)
            source = self.sources.signal(heads.rsu, intersection, datum.sender)
            if heads.seq == source.seq + 1:
                source.seq = heads.seq
            else:
                self.sources.check_seq(source, heads.seq, f"{heads.rsu}/signal")
        except StaleMessage as why:
            batch.faults.append((intersection, why))
            raise
        groups = self._same_groups(t_rx, datum.sender, heads, batch)
        batch.faults += [(intersection, why) for why in self._groups[heads.rsu][1].disordered]
        body = Signal(heads.version, heads.rsu, intersection, heads.revision, heads.seq, heads.t, groups, heads.lanes)
        batch.timed.append(TimestampedMessage(t, gateway.offset, body, intersection, datum.sender))
        self.metrics.count("accept.signal", datum.sender)

    def _same_groups(self, t_rx: int, gateway: str, heads: _Heads, batch: Batch) -> tuple[Group, ...]:
        """Return the groups: those of the RSU's last message, the very tuple, where the bytes are the same."""
        data = bytes(heads.groups)
        known = self._groups.get(heads.rsu)
        if known is not None and known[0] == data:
            self._refuse_parts(t_rx, gateway, "signal", heads.rsu, heads.seq, known[1].refused, batch)
            return known[1].groups
        try:
            read = read_groups(data)
        except msgspec.DecodeError as error:
            text, _, path = str(error).partition(" - at `$")
            raise msgspec.DecodeError(f"{text} - at `$.g{path}" if path else f"{text} - at `$.g`") from None
        if read.unknown:
            self.metrics.count("signal.end_unknown", heads.rsu, read.unknown)
        self._refuse_parts(t_rx, gateway, "signal", heads.rsu, heads.seq, read.refused, batch)
        self._groups[heads.rsu] = (data, read)
        return read.groups

    def _hello(self, datum: RawMessage, body: Hello, batch: Batch) -> None:
        gateway = self.gateways.speaking(datum.sender, body.version, *body.rsus)
        check_hello(body)
        self.sources.restart(body.rsus)
        declared = {sensor.id for sensor in body.sensors}
        for (rsu, name), source in self.sources.items():
            if rsu in body.rsus and name not in declared:
                source.sensor = None  # what an earlier hello said of it does not hold any more
        for rsu in body.rsus:
            for sensor in body.sensors:
                self.sources.of(rsu, sensor.id, gateway.rsus[rsu], datum.sender).sensor = sensor
        batch.hellos.append((datum.sender, body))

    def _sync(self, t_rx: int, datum: RawMessage, body: Sync, batch: Batch) -> None:
        gateway = self.gateways.known(datum.sender)
        if body.version != VERSION:
            raise wrong_version(body.version)
        if body.t2 is None or body.t3 is None or body.t4 is None:
            batch.replies.append((datum.sender, "sync", Sync(VERSION, body.gateway, body.t1, t_rx, t_rx)))
        else:
            steps = gateway.steps
            if not gateway.exchanged(body.t1, body.t2, body.t3, body.t4):
                self.metrics.count("sync.slow", datum.sender)
            elif gateway.steps > steps:
                self.metrics.count("sync.step", datum.sender)

    def _vehicle(self, t_rx: int, datum: RawMessage, body: VehicleState | VehicleRequest | Ack, batch: Batch) -> None:
        check_vehicle(datum.sender, body.version)
        check_time(t_rx, body.t, 0, TOPICS[datum.kind].max_age)
        if isinstance(body, VehicleRequest):
            check_request(t_rx, body)
        elif isinstance(body, VehicleState):
            body = self._mended(body)
            if faults := undeclared(body):
                body = msgspec.structs.replace(body, **dict.fromkeys(faults))
                for name in faults:
                    self.metrics.count(f"vehicle.{name}_unusable", datum.sender)
                batch.rejects += self.reject(t_rx, datum.sender, datum.kind, next(iter(faults.values())), part=True)
            check_state(body)
            if self._plausible is not None:
                self._plausible(t_rx, datum.sender, body)
        batch.vehicles.append(Vehicle(datum.sender, body))

    def _mended(self, body: VehicleState) -> VehicleState:
        state = mended(body)
        if state.kind != body.kind and self.metrics.counted("vehicle.kind_unknown", body.kind) == 0:
            self.metrics.count("vehicle.kind_unknown", body.kind)
        if (state.length, state.width) != (body.length, body.width):
            self.metrics.count("vehicle.not_available")
        return state

    # --- shared checks ---

    def _body(self, datum: RawMessage) -> Any:
        if len(datum.body) > MAX_BODY:
            raise RejectedMessage(
                "body",
                f"{len(datum.body)} bytes",
                f"a message has at most {MAX_BODY} bytes",
                "send fewer objects per message",
            )
        return self._decode[datum.kind](datum.body)

    def _refuse(self, t_rx: int, datum: RawMessage, seq: int | None, why: RejectedMessage, batch: Batch) -> None:
        if datum.kind in FROM_VEHICLES:
            batch.rejects += self.reject(t_rx, datum.sender, datum.kind, why)
            return
        self.metrics.count(f"reject.{datum.kind}" if datum.kind in self._decode else "reject.unknown", datum.sender)
        self._answer(datum.sender, datum.kind, seq, why, batch)

    def _refuse_parts(
        self,
        t_rx: int,
        gateway: str,
        kind: str,
        rsu: str,
        seq: int | None,
        parts: Sequence[RejectedMessage],
        batch: Batch,
    ) -> None:
        """Count what is refused of a message that is used without it; each is answered once in PART_INTERVAL."""
        if parts:
            self.metrics.count(f"reject.{kind}_part", rsu, len(parts))
        for why in parts:
            if self._part_answers.allow(f"{rsu} {kind} {why.field}", t_rx):
                self._answer(gateway, kind, seq, why, batch)

    def _answer(self, gateway: str, kind: str, seq: int | None, why: RejectedMessage, batch: Batch) -> None:
        if batch.answered[gateway] < MAX_REPLIES:
            batch.answered[gateway] += 1
            batch.replies.append((gateway, "reject", _reject(kind, seq, why)))


def _reject(kind: str, seq: int | None, why: RejectedMessage) -> Reject:
    return Reject(VERSION, kind, seq, why.field, why.value, why.rule, why.remedy)
