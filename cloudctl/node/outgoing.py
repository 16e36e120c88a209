"""What a step of the engine says, sent to whom it is for: a fault with one thing keeps none of the others back."""

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..clock import Clock
from ..engine import Engine, Output
from ..io.egress import Egress
from ..schema import Advisory
from ..topics import MqttTopics
from ..traffic_messages import Traffic
from .peers import Peers
from .publish import Publisher
from .reports import Reports

TRAFFIC_EXPIRY = 30  # s that a report of traffic stays with the broker: three of the periods it comes at
log = logging.getLogger("cloudctl.node")


class Outgoing:
    """The way out of one node. `attempt(place, source, action, *arguments)` confines a fault; `trace`: file for when
    each advisory was published.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        egress: Egress,
        publisher: Publisher,
        peers: Peers,
        reports: Reports,
        clock: Clock,
        attempt: Callable[..., None],
        trace: Path | None,
    ) -> None:
        self._engine, self._egress, self._publisher = engine, egress, publisher
        self._peers, self._reports, self._clock = peers, reports, clock
        self._attempt = attempt
        self._trace = trace.open("w") if trace else None

    def send(self, t: int, output: Output, payloads: list[tuple[Advisory, bytes]]) -> None:
        """Send what a step at `t` ns says; `payloads` are its advisories, encoded."""
        self._publish(t, output, payloads)
        self._log_events(output)
        self._answer(output)

    def close(self) -> None:
        """Close the trace."""
        if self._trace:
            self._trace.close()

    def _publish(self, t: int, output: Output, payloads: list[tuple[Advisory, bytes]]) -> None:
        """Send what is for vehicles."""
        for answer in output.answers:
            if answer.datum.kind == "drop" and answer.refusal is None:
                self._egress.release(MqttTopics.retained(answer.name))

        for advisory, payload in payloads:
            self._attempt("advise", advisory.intersection, self._advise, advisory, payload)

        for signals in output.signals:
            self._attempt("signals", signals.intersection, self._egress.signals, signals)

        for report in output.traffic:
            self._attempt("traffic", report.intersection, self._publish_traffic, report)

        if output.changed:
            self._attempt("codes", "", self._publisher.publish, t, output.changed)

    def _log_events(self, output: Output) -> None:
        for fault in output.faults:
            self._reports.signal_fault(fault)
        for text in output.events:
            log.warning("%s", text)

    def _answer(self, output: Output) -> None:
        """Send what is for those whose messages came."""
        for vehicle, reject in output.rejects:
            self._attempt("reject", vehicle, self._egress.reject, vehicle, reject)
        for gateway, kind, body in output.replies:
            self._attempt("reply", kind, self._peers.reply, gateway, kind, body, self._engine.config)

    def _advise(self, advisory: Advisory, payload: bytes) -> None:
        if self._egress.advise(advisory, payload) and self._trace:
            self._trace.write(f"{advisory.id} {self._clock.now()}\n")

    def _publish_traffic(self, report: Traffic) -> None:
        self._engine.metrics.put_newest("traffic", report.intersection, report)
        self._egress.retain(MqttTopics.traffic(report.intersection), msgspec.json.encode(report), TRAFFIC_EXPIRY)
