"""Messages of roadside units besides perception: hello, signal states, hazards, health."""

from collections.abc import Iterable, Mapping

import msgspec

from ..faults import Faults
from ..ingest.batch import Batch, TimestampedMessage
from ..ingest.messages import Ingest
from ..ingest.rejections import RejectedMessage, StaleMessage
from ..ingest.signal_groups import SignalTimingError
from ..intersection import IntersectionState
from ..metrics import Metrics
from ..output import Output
from ..scheduling import PlanScheduler
from ..schema import Hazard, Health, Hello, RawMessage, Signal, Signals
from ..signals.faults import SignalFault
from ..signals.states import is_news
from ..topics import KIND_OF_BODY


class GatewayHandler:
    """Updates intersections by the messages of their roadside units. An exception is confined to the message it came
    from."""

    def __init__(
        self,
        *,
        intersections: Mapping[str, IntersectionState],
        ingest: Ingest,
        scheduler: PlanScheduler,
        metrics: Metrics,
        faults: Faults,
    ) -> None:
        self._intersections = intersections
        self._ingest = ingest
        self._scheduler = scheduler
        self._metrics = metrics
        self._faults = faults

    def handle(self, t: int, received: Batch, output: Output) -> None:
        """Act at `t` ns on hellos, on refused signal messages, and on accepted signal, hazard and health messages."""
        for gateway, hello in received.hellos:
            try:
                self._register_sensors(t, gateway, hello)
            except Exception as error:
                self._ingest.confine("handle", t, RawMessage("hello", gateway, b""), error, received)

        for intersection, rejection in received.refused_signals:
            try:
                self._report_refused_signal(t, intersection, rejection, output)
            except Exception as error:
                self._faults.note("quality", intersection, error)

        for message in received.timed:
            try:
                self._handle_message(t, message, output)
            except Exception as error:
                raw = RawMessage(KIND_OF_BODY[type(message.body)], message.gateway, b"")
                self._ingest.confine("handle", t, raw, error, received)

    def _register_sensors(self, t: int, gateway: str, hello: Hello) -> None:
        introduction = {
            "calls_itself": hello.gateway,
            "software": hello.software,
            "rsus": len(hello.rsus),
            "sensors": len(hello.sensors),
            "t": t,
        }
        self._metrics.put_newest("gateways", gateway, introduction)

        for rsu in hello.rsus:
            intersection = self._intersections[self._ingest.gateways[gateway].rsus[rsu]]
            intersection.sensing.begin(t, rsu)
            for sensor in hello.sensors:
                intersection.sensing.declare(
                    t=t,
                    rsu=rsu,
                    sensor=sensor,
                    source=self._ingest.sources[rsu, sensor.id],
                    fusion=intersection.fusion,
                    origin=intersection.code.origin,
                )

    def _report_refused_signal(
        self, t: int, intersection: str, rejection: StaleMessage | SignalTimingError, output: Output
    ) -> None:
        """Take a refused signal message as a fault of its controller: stale, or with end times out of order."""
        quality = self._intersections[intersection].quality
        if isinstance(rejection, StaleMessage):
            faults = quality.late(t, rejection.age)
        else:
            faults = quality.disordered(t, rejection.group, rejection.value)

        self._report_signal_faults(faults, output)

    def _handle_message(self, t: int, message: TimestampedMessage, output: Output) -> None:
        body = message.body
        if isinstance(body, Signal):
            self.handle_signal(t, message, body, output)
        elif isinstance(body, Hazard):
            self._handle_hazard(t, message, body)
        else:
            self._intersections[message.intersection].sensing.health(t, body)

    def handle_signal(self, t: int, message: TimestampedMessage, body: Signal, output: Output) -> None:
        """Take in signal states at `t` ns: check them, schedule a plan, and pass them on to vehicles."""
        intersection = self._intersections[body.intersection]
        groups = intersection.on_node_clock(body, message.offset)
        is_newest = message.t > intersection.signals.t

        if not is_newest and not is_news(intersection.signals, message.t, intersection.groups, groups):
            self._metrics.count("signal.late", body.rsu)
            return

        # Gateways of one intersection may have clocks of their own: all is compared by the node's.
        faults = intersection.quality.observe(t, message.t, body.revision, groups)
        if faults:
            self._report_signal_faults(faults, output)

        misnamed = intersection.quality.unknown_lanes(t, body.lanes) if body.lanes else None
        if misnamed is not None:
            self._report_signal_faults(misnamed, output)
            body = msgspec.structs.replace(body, lanes=None)

        # A changed state is planned on in this very step: vehicles may still be able to stop.
        state_changed = intersection.take(message.t, body, message.offset, groups)
        self._scheduler.schedule_plan(t, intersection, urgent=state_changed)
        # by position: ten messages a second of every intersection come by here
        output.signals.append(Signals(body.intersection, body.revision, body.seq, message.t, groups, body.lanes))

    def _handle_hazard(self, t: int, message: TimestampedMessage, body: Hazard) -> None:
        hazards = self._intersections[message.intersection].hazards
        for _ in hazards.put(t, message.gateway, body, message.offset):
            self._metrics.count("drop.hazard", message.gateway)

    def _report_signal_faults(self, faults: Iterable[SignalFault], output: Output) -> None:
        for fault in faults:
            self._metrics.count(f"signal.{fault.check}", fault.intersection)
            output.faults.append(fault)


def examine(
    intersections: Mapping[str, IntersectionState],
    gateway: str,
    intersection: str,
    t: int,
    offset: int,
    body: Hazard | Health,
) -> tuple[Hazard | Health, list[RejectedMessage]]:
    """Return the usable part of a hazard or health message, and why the rest is refused. Raises RejectedMessage where
    no part is usable.

    `t` is when it was received, ns; its own times are by a clock `offset` ns ahead of the node's.
    """
    state = intersections[intersection]
    if isinstance(body, Health):
        return state.sensing.usable(body)

    return state.hazards.usable(state.code, t, gateway, body, offset)
