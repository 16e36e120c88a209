"""Bytes -> checked -> ordered by event time. Every refusal has a reason and is counted; nothing is lost silently.

A source is one sensor of one roadside unit. Its event time is its own `t` less its gateway's clock offset, which `sync`
estimates; `t` and `t_rx` themselves are kept as they came.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..faults import Faults
from ..geo import Origin
from ..metrics import Metrics
from ..schema import (
    MAX_BODY,
    MAX_SENSORS,
    SIGNAL_KEYS,
    VERSION,
    Ack,
    Hazard,
    Health,
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
from ..validation import UNDECODABLE
from .backlog import Backlog
from .batch import Batch, TimestampedMessage, Vehicle
from .frames import PERCEPTION_AGE, Pending, Route, Routes, read_frames
from .gateways import Gateway, Gateways
from .hellos import HelloHead, usable_hello
from .rejections import (
    RejectedMessage,
    StaleMessage,
    check_time,
    decode_each,
    undecodable,
    unprocessable,
    wrong_version,
)
from .replies import RejectSender
from .signal_groups import Groups, read_groups
from .sources import Sources
from .vehicle_checks import (
    check_request,
    check_size,
    check_state,
    check_vehicle,
    unusable_declarations,
    with_known_values,
)

SIGNAL_AGE = TOPICS["signal"].max_age
FROM_VEHICLES = frozenset(kind for kind, topic in TOPICS.items() if topic.direction == "in" and not topic.code)

Examine = Callable[[str, str, int, int, Hazard | Health], tuple[Hazard | Health, list[RejectedMessage]]]


class _SignalHead(msgspec.Struct, frozen=True, rename=SIGNAL_KEYS):
    """A `Signal` whose groups are not decoded yet: from one message to the next they are mostly the same bytes."""

    version: int
    rsu: str
    intersection: str
    revision: Int64
    seq: Int64
    t: Int64
    groups: msgspec.Raw
    lanes: tuple[str, ...] | None = None


class _HealthHead(msgspec.Struct, frozen=True, rename={"version": "v", "rsu": "r", "sensors": "s"}):
    """A `Health` whose sensors are not decoded yet: one that cannot be read takes no other with it."""

    version: int
    rsu: str
    t: Int64
    sensors: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MAX_SENSORS)] = ()


class Ingest:
    """Checks and orders received messages. `gateways` binds each gateway to its RSUs and their intersections."""

    def __init__(
        self,
        gateways: Mapping[str, Mapping[str, str]],
        origins: Mapping[str, Origin],
        metrics: Metrics,
        examine: Examine | None = None,
        plausible: Callable[[int, str, VehicleState], RejectedMessage | None] | None = None,
        faults: Faults | None = None,
    ) -> None:
        """`examine(gateway, intersection, t_rx, offset, body)` returns the usable part of a hazard or health message
        and why the rest is refused, or raises RejectedMessage; `plausible(t_rx, vehicle, state)` raises it for a
        vehicle's report that contradicts what is known, and returns what the vehicle of a usable one is notified of."""
        self.metrics = metrics
        self.gateways = Gateways({name: Gateway(rsus) for name, rsus in gateways.items()})
        self.sources = Sources(gateways, origins, metrics)
        self._examine = examine
        self._plausible = plausible
        self._faults = faults or Faults(metrics)
        self._rejects = RejectSender(metrics)
        self.routes = Routes()
        self._backlog = Backlog()
        self._groups: dict[str, tuple[bytes, int, Groups]] = {}  # by RSU: its newest groups, as bytes and decoded

        self._decode = {
            kind: (msgspec.msgpack if topic.code else msgspec.json).Decoder(topic.body).decode
            for kind, topic in TOPICS.items()
            if topic.direction in ("in", "both")
        }
        self._decode["signal"] = msgspec.msgpack.Decoder(_SignalHead).decode
        self._decode["hello"] = msgspec.msgpack.Decoder(HelloHead).decode
        self._decode["health"] = msgspec.msgpack.Decoder(_HealthHead).decode
        self._decode_sensor = msgspec.msgpack.Decoder(SensorHealth).decode

    def receive(self, t_rx: int, messages: Sequence[RawMessage]) -> Batch:
        """Check and order one batch received at `t_rx` ns."""
        batch = Batch()
        self._rejects.begin(t_rx)
        self._backlog.begin(t_rx)
        pending: list[Pending] = []
        index = -1
        while (index := self.routes.take_frames(t_rx, messages, index + 1, pending)) < len(messages):
            raw = messages[index]
            try:
                if raw.kind == "perception":
                    pending.append(self.perception_in_full(t_rx, raw))
                elif raw.kind == "signal":
                    self._signal(t_rx, raw, batch)
                else:
                    self._other(t_rx, raw, batch)
            except RejectedMessage as rejection:
                # its traceback has this batch, which may have it: such a circle stays until the collector comes by
                self._reject(t_rx, raw, rejection.with_traceback(None), batch)
            except UNDECODABLE as error:
                self._reject(t_rx, raw, undecodable(error), batch)
            except Exception as error:
                self.confine("ingest", t_rx, raw, error, batch)

        if pending:
            batch.frames = read_frames(
                pending=self._backlog.newest(pending, self.metrics),
                metrics=self.metrics,
                refuse=lambda frame, rejection: self._rejects.to_gateway(
                    frame.raw.sender, "perception", frame.seq, rejection, batch
                ),
                confine=lambda frame, error: self.confine("decode", t_rx, frame.raw, error, batch),
            )
        return batch

    def confine(self, place: str, t_rx: int, raw: RawMessage, error: Exception, batch: Batch) -> None:
        """Note a fault of the node's own with one message, and refuse that message; `place` names the part that
        failed."""
        kind = raw.kind if raw.kind in TOPICS else "unknown"
        self._faults.note(place, kind, error)
        self._reject(t_rx, raw, unprocessable(), batch)

    def reject(
        self, t_rx: int, vehicle: str, kind: str, rejection: RejectedMessage, part: bool = False
    ) -> list[tuple[str, Reject]]:
        """Count the refusal of a vehicle's message, or of a `part` of one that is used without it; return the rejects
        to send, one or none."""
        return self._rejects.to_vehicle(t_rx, vehicle, kind, rejection, part=part)

    def rebind(self, gateways: Mapping[str, Mapping[str, str]]) -> None:
        """Bind gateways to roadside units anew: clocks of gateways that stay are kept, sources whose intersection
        changed begin anew."""
        self.gateways.rebind(gateways)
        self.routes.clear()
        for rsu in self.sources.rebind(gateways):
            self._groups.pop(rsu, None)

    # --- perception ---

    def perception_in_full(self, t_rx: int, raw: RawMessage) -> Pending:
        """Accept a perception frame whose header is decoded and checked field by field. Raises RejectedMessage."""
        body: Perception = self._body(raw)
        route = self.routes.of(raw.sender, body.rsu, body.sensor)
        if route is None or body.version != VERSION:
            gateway = self.gateways.authorise(raw.sender, body.version, body.rsu)
            source = self.sources.of(body.rsu, body.sensor, gateway.rsus[body.rsu], raw.sender)
            route = Route(gateway, source, body.rsu, body.sensor)
            self.routes.add(raw.sender, route)
        source = route.source

        t = check_time(t_rx, body.t, route.gateway.offset, PERCEPTION_AGE)
        if body.seq == source.seq + 1:  # mostly: its name for an error need not be made
            source.seq = body.seq
        else:
            self.sources.check_seq(source, body.seq, route.name)

        # the origin is the same from frame to frame: it is checked when it changes
        if source.origin != (body.lat, body.lon):
            self.sources.locate(source, body.lat, body.lon)
        self.routes.recognise(raw, route)
        return Pending(t, body.seq, route, source.shift, bytes(body.objects), raw)

    # --- signal states ---

    def _signal(self, t_rx: int, raw: RawMessage, batch: Batch) -> None:
        head: _SignalHead = self._body(raw)
        gateway = self.gateways.authorise(raw.sender, head.version, head.rsu)
        intersection = gateway.rsus[head.rsu]
        if head.intersection != intersection:
            raise RejectedMessage(
                field="i",
                value=head.intersection,
                rule=f"RSU {head.rsu} speaks for {intersection}",
                remedy="send that intersection's id, or have the node's operator bind the RSU to this one",
            )

        try:
            t = check_time(t_rx, head.t, gateway.offset, SIGNAL_AGE)
            source = self.sources.signal(head.rsu, intersection, raw.sender)
            if head.seq == source.seq + 1:  # mostly: its name for an error need not be made
                source.seq = head.seq
            else:
                self.sources.check_seq(source, head.seq, f"{head.rsu}/signal")
        except StaleMessage as rejection:
            batch.refused_signals.append((intersection, rejection))
            raise

        read = self._read_groups(head, gateway.offset)
        self._reject_parts(t_rx, raw, head.rsu, head.seq, read.refused, batch)
        batch.refused_signals += [(intersection, rejection) for rejection in read.disordered]
        # by position: ten messages a second of every intersection come by here
        body = Signal(head.version, head.rsu, intersection, head.revision, head.seq, head.t, read.groups, head.lanes)
        batch.timed.append(TimestampedMessage(t, gateway.offset, body, intersection, raw.sender))
        self.metrics.count("accept.signal", raw.sender)

    def _read_groups(self, head: _SignalHead, offset: int) -> Groups:
        """Return the groups of a signal message: those of the RSU's last message, the very tuple, where the bytes are
        the same. `offset`: ns by which their times are ahead."""
        data = bytes(head.groups)
        last = self._groups.get(head.rsu)
        if last is not None and last[:2] == (data, offset):
            return last[2]

        try:
            read = read_groups(data, offset)
        except UNDECODABLE as error:
            raise undecodable(error, prefix="g") from None
        if read.unknown:
            self.metrics.count("signal.end_unknown", head.rsu, read.unknown)
        self._groups[head.rsu] = (data, offset, read)
        return read

    # --- everything else ---

    def _other(self, t_rx: int, raw: RawMessage, batch: Batch) -> None:
        if raw.kind not in self._decode:
            raise RejectedMessage("kind", repr(raw.kind), "no such kind of message", "use one of docs/wire.md")
        body = self._body(raw)
        if isinstance(body, VehicleState | VehicleRequest | Ack):
            self._vehicle(t_rx, raw, body, batch)
        elif isinstance(body, Sync):
            self._sync(t_rx, raw, body, batch)
        elif isinstance(body, HelloHead):
            self._hello(t_rx, raw, body, batch)
        else:
            self._hazard_or_health(t_rx, raw, body, batch)
        self.metrics.count(f"accept.{raw.kind}", raw.sender if TOPICS[raw.kind].code else "")

    def _hazard_or_health(self, t_rx: int, raw: RawMessage, head: Hazard | _HealthHead, batch: Batch) -> None:
        refused: list[RejectedMessage] = []
        body: Hazard | Health
        if isinstance(head, _HealthHead):
            sensors = tuple(decode_each(self._decode_sensor, "s", head.sensors, refused))
            body = Health(head.version, head.rsu, head.t, sensors)
        else:
            body = head

        gateway = self.gateways.authorise(raw.sender, body.version, body.rsu)
        t = check_time(t_rx, body.t, gateway.offset, TOPICS[raw.kind].max_age)
        intersection = gateway.rsus[body.rsu]
        if self._examine is not None:
            body, unusable = self._examine(raw.sender, intersection, t_rx, gateway.offset, body)
            refused += unusable
        self._reject_parts(t_rx, raw, body.rsu, None, refused, batch)
        batch.timed.append(TimestampedMessage(t, gateway.offset, body, intersection, raw.sender))

    def _hello(self, t_rx: int, raw: RawMessage, head: HelloHead, batch: Batch) -> None:
        gateway = self.gateways.authorise(raw.sender, head.version)
        refused: list[RejectedMessage] = []
        body = usable_hello(head, gateway, refused)
        if head.rsus and not body.rsus:
            raise gateway.not_its_unit(head.rsus[0])

        self.sources.restart(body.rsus)
        units = {rsu: gateway.rsus[rsu] for rsu in body.rsus}
        sensors = self.sources.describe(raw.sender, units, body.sensors, refused)
        self._reject_parts(t_rx, raw, raw.sender, None, refused, batch)
        batch.hellos.append((raw.sender, msgspec.structs.replace(body, sensors=sensors)))

    def _sync(self, t_rx: int, raw: RawMessage, body: Sync, batch: Batch) -> None:
        gateway = self.gateways.known(raw.sender)
        if body.version != VERSION:
            raise wrong_version(body.version)

        if body.t2 is None or body.t3 is None or body.t4 is None:
            reply = Sync(version=VERSION, gateway=body.gateway, t1=body.t1, t2=t_rx, t3=t_rx)
            batch.replies.append((raw.sender, "sync", reply))
            return
        steps_before = gateway.steps
        if not gateway.exchanged(body.t1, body.t2, body.t3, body.t4):
            self.metrics.count("sync.slow", raw.sender)
        elif gateway.steps > steps_before:
            self.metrics.count("sync.step", raw.sender)

    # --- vehicles ---

    def _vehicle(self, t_rx: int, raw: RawMessage, body: VehicleState | VehicleRequest | Ack, batch: Batch) -> None:
        check_vehicle(raw.sender, body.version)
        check_time(t_rx, body.t, 0, TOPICS[raw.kind].max_age)
        if isinstance(body, VehicleRequest):
            check_request(t_rx, body)
        elif isinstance(body, VehicleState):
            check_size(body)  # by the class as declared: one that is not known may be of any size
            body = self._usable_state(t_rx, raw, body, batch)
            check_state(body)
            if self._plausible is not None:
                notice = self._plausible(t_rx, raw.sender, body)
                if notice is not None:
                    batch.rejects += self.reject(t_rx, raw.sender, raw.kind, notice, part=True)
        batch.vehicles.append(Vehicle(raw.sender, body))

    def _usable_state(self, t_rx: int, raw: RawMessage, body: VehicleState, batch: Batch) -> VehicleState:
        """Return a vehicle state without the declarations that cannot be used, and with usual values for those not
        available."""
        body = self._with_known_values(body)
        unusable = unusable_declarations(body)
        if not unusable:
            return body
        for name in unusable:
            self.metrics.count(f"vehicle.{name}_unusable", raw.sender)
        first = next(iter(unusable.values()))
        batch.rejects += self.reject(t_rx, raw.sender, raw.kind, first, part=True)
        return msgspec.structs.replace(body, **dict.fromkeys(unusable))

    def _with_known_values(self, body: VehicleState) -> VehicleState:
        state = with_known_values(body)
        # an unknown class is counted once, by its name: the operator is to see which there are
        if state.kind != body.kind and self.metrics.counted("vehicle.kind_unknown", body.kind) == 0:
            self.metrics.count("vehicle.kind_unknown", body.kind)
        if (state.length, state.width) != (body.length, body.width):
            self.metrics.count("vehicle.not_available")
        return state

    # --- shared ---

    def _body(self, raw: RawMessage) -> Any:
        if len(raw.body) > MAX_BODY:
            raise RejectedMessage(
                field="body",
                value=f"{len(raw.body)} bytes",
                rule=f"a message has at most {MAX_BODY} bytes",
                remedy="send fewer objects per message",
            )
        return self._decode[raw.kind](raw.body)

    def _reject(self, t_rx: int, raw: RawMessage, rejection: RejectedMessage, batch: Batch) -> None:
        if raw.kind in FROM_VEHICLES:
            batch.rejects += self.reject(t_rx, raw.sender, raw.kind, rejection)
            return
        # a kind that a stranger made up is no name of a counter
        counter = f"reject.{raw.kind}" if raw.kind in self._decode else "reject.unknown"
        self.metrics.count(counter, raw.sender)
        self._rejects.to_gateway(raw.sender, raw.kind, None, rejection, batch)

    def _reject_parts(
        self,
        t_rx: int,
        raw: RawMessage,
        rsu: str,
        seq: int | None,
        rejections: Sequence[RejectedMessage],
        batch: Batch,
    ) -> None:
        if not rejections:
            return
        self._rejects.parts_to_gateway(
            t_rx=t_rx, gateway=raw.sender, kind=raw.kind, rsu=rsu, seq=seq, rejections=rejections, batch=batch
        )
