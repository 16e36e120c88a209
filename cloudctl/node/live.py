"""A running node: sockets + engine + egress on one event loop. The ROUTER's own file descriptor wakes it, and each wake drains a batch."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from .. import codes
from ..clock import SECOND, Clock, SteadyClock, stopwatch
from ..engine import Answer, Engine, Output
from ..faults import FaultReport, Faults
from ..io.broker import Broker, Tls, reachable
from ..io.broker import start as start_broker
from ..io.egress import Egress
from ..io.http import HttpServerError, Web
from ..io.recording.reader import Recorder
from ..io.zeromq import Received, Server
from ..metrics import Metrics
from ..payloads import encode_all
from ..planner.warm import warm
from ..rates import Repeats
from ..schema import Advisory, RawMessage, Traffic
from ..topics import KIND_OF_CODE, OPERATOR, TOPICS, MqttTopics, gateway_kind, vehicle_kind
from .calendars import node_days
from .clock_steps import Timekeeper
from .config import NodeConfig, code_files
from .publish import Publisher
from .reload import reread

MAX_INBOX = 10_000  # vehicle messages waiting for the next step; the oldest go first
MAX_OF_VEHICLE = 100  # of those, from one vehicle
MAX_PEERS = 10_000  # gateways whose connection is remembered for replies
DRAIN = 512  # messages a batch
FLUSH = 0.5  # s between two looks at what runs in the background; the recording is written out at each, so that at most 1 s of it is lost
REPORT = 2  # of those looks between two reports: status, and files of the operator's that may have changed
FAULT_INTERVAL = 60 * SECOND  # between two lines on the same signal fault of an intersection; each is counted
MAX_FAULT_LINES = 10_000  # signal faults that are remembered as reported
TRAFFIC_EXPIRY = 30  # s that a report of traffic stays with the broker: three of the periods it comes at


class Node:
    """One node, from its configuration. `file`, where given, is read again on SIGHUP; `debug`: it ends at the first fault of its own."""

    def __init__(
        self, config: NodeConfig, clock: Clock | None = None, file: Path | None = None, debug: bool = False
    ) -> None:
        self.config, self._file = config, file
        self.clock = clock or SteadyClock()
        self.metrics = Metrics()
        self.timekeeper = Timekeeper(self.clock, self.metrics) if isinstance(self.clock, SteadyClock) else None
        self.faults, self._fault_report = Faults(self.metrics, debug), FaultReport()
        self._crash: Exception | None = None  # in debugging: what ended it
        self._stop = asyncio.Event()
        self.broker = self._start_broker()
        loaded = codes.load_all(code_files(config))
        days = node_days(config.node.calendar, loaded, self.clock.now())
        engine_config = msgspec.structs.replace(config.engine, days=days.days)
        self.engine = Engine(loaded, engine_config, self.metrics, debug)
        self.recorder = (
            Recorder(Path(config.record.path), config.record.limits, self.metrics, self.clock)
            if config.record.path
            else None
        )
        if self.recorder:
            self.recorder.meta("config", msgspec.json.encode(engine_config))
            for code in loaded:
                self.recorder.meta("code", codes.dump(code))
        self._allowed = config.allowed()
        self._keys = config.keys()
        for place in list(self.engine.places.values())[:1]:
            warm(place.code)  # before anybody can connect: what would wait meanwhile would be refused for its age
        self.server = Server(config.node.bind, self._keys, self._allowed)
        section = config.broker
        if self.broker:
            section = msgspec.structs.replace(
                section, host=reachable(self.broker.host), port=self.broker.port, version=self.broker.version
            )
        self.egress = Egress(section, self.clock, self.metrics, self._on_vehicle_message)
        self.publisher = Publisher(config, self.engine, self.egress, self._submit, self.faults)
        self.publisher.publish(self.clock.now())
        self.publisher.notice_days(days.notice)
        self.web = (
            Web(
                config.http.bind,
                self.engine.versions,
                self.clock,
                lambda error: self._confine("web", "", error),
                lambda: self.engine.config.days,
            )
            if config.http.bind
            else None
        )
        self._trace = Path(config.node.trace).open("w") if config.node.trace else None
        self._inbox: list[RawMessage] = []
        self._waiting: Counter[str] = Counter()  # in the inbox, by vehicle
        self._peers: dict[str, bytes] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._timer: asyncio.TimerHandle | None = None
        self._queued = self._closed = False
        self._lap = 0
        self._repeats = Repeats(FAULT_INTERVAL, MAX_FAULT_LINES)
        self._reported: dict[str, str | None] = {}  # what stands in the way, as it was last reported, by its place

    def _start_broker(self) -> Broker | None:
        section = self.config.broker
        if not section.embedded:
            return None
        tls = None
        if section.server_cert and section.server_key and section.tls_ca:
            tls = Tls(Path(section.tls_ca), Path(section.server_cert), Path(section.server_key))
        record = self.config.record.path
        return start_broker(Path(record).parent / "broker" if record else None, section.port, tls, host=section.host)

    async def run(self, until: asyncio.Event | None = None, ready: Callable[[], None] | None = None) -> None:
        """Serve until `until` is set or SIGINT/SIGTERM comes; always leaves sockets closed and the recording whole."""
        loop = asyncio.get_running_loop()
        self._stop = until or asyncio.Event()
        for number, action in (
            (signal.SIGINT, self._stop.set),
            (signal.SIGTERM, self._stop.set),
            (signal.SIGHUP, self._on_hangup),
        ):
            with contextlib.suppress(ValueError, NotImplementedError):
                loop.add_signal_handler(number, action)
        loop.set_exception_handler(
            lambda _, context: self._confine("loop", "", context.get("exception") or RuntimeError(context["message"]))
        )
        gc.collect()
        gc.freeze()  # codes and kernels stay: collections look at what messages leave behind only
        if self.web:
            try:
                await self.web.start()
            except HttpServerError:
                self.close()
                raise
        self.egress.start()
        keeping = loop.create_task(self.broker.keep(self.metrics.count)) if self.broker else None
        loop.add_reader(self.server.fd, self._wake)
        self._wake()
        if ready:
            ready()
        try:
            await self._look_after()
        finally:
            loop.remove_reader(self.server.fd)
            if keeping:
                keeping.cancel()
            await self.egress.stop()
            if self.web:
                await self.web.stop()
            self.close()
        if self._crash is not None:
            raise self._crash

    async def _look_after(self) -> None:
        """Keep what runs in the background going until the node is to stop; a fault in one part keeps none of the others from its turn."""
        looks = 0
        while not self._stop.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), FLUSH)
            if self.recorder:
                self._try("recorder", "", self.recorder.flush)
            looks += 1
            if looks % REPORT == 0:
                self._try("clock", "", self._keep_time)
                self._try("egress", "", self._revive)
                self._try("report", "", self._report)
                self._try("codes", "", self._watch)

    def _revive(self) -> None:
        """Start the connection to the broker again where a fault has ended it."""
        crash = self.egress.revive()
        if crash is not None:
            raise crash

    def _watch(self) -> None:
        if self.publisher.watch(self.clock.now()):
            self._arm()

    def close(self) -> None:
        """Close sockets, recording and an embedded broker: each, whatever befalls the others."""
        self._closed = True
        self._try("close", "server", self.server.close)
        if self.recorder:
            self._try("close", "recorder", self.recorder.close)
        if self._trace:
            self._try("close", "trace", self._trace.close)
        if self.broker:
            self._try("close", "broker", self.broker.stop)
        self._try("report", "", self._report)

    # --- faults, and what the operator reads ---

    def _try(self, place: str, source: str, action: Callable[..., object], *args: object) -> None:
        """Do something that a fault must not go beyond."""
        try:
            action(*args)
        except Exception as error:
            self._confine(place, source, error)

    def _confine(self, place: str, source: str, error: Exception) -> None:
        """Note an unexpected exception; in debugging, end at it."""
        try:
            self.faults.note(place, source, error)
        except Exception:
            self._crash = self._crash or error
            self._stop.set()
        self._say_faults()

    def _say_faults(self) -> None:
        for line in self._fault_report.lines(stopwatch(), self.faults.take()):
            self._say(line)

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # standard error may be a file on a disk that is full
            print(f"cloudctl: {text}", file=sys.stderr, flush=True)

    # --- the operator's inputs ---

    def _submit(self, batch: list[RawMessage]) -> list[Answer]:
        return self.step(batch).answers

    def _on_hangup(self) -> None:
        self._try("reload", "", self.reload)

    def reload(self) -> None:
        """Read the node's file again and take over what can change while it runs; a file that cannot be used changes nothing."""
        if self._file is None:
            self._say("SIGHUP: this node was not started from a file, there is nothing to read again")
            return
        try:
            wanted, lines = reread(self.config, self._keys, self._file)
            days = self.publisher.wanted_days(wanted, self.clock.now())
        except (ValueError, RuntimeError, OSError) as error:
            self.metrics.count("reload.refused")
            self._say(f"configuration not taken over, what runs stays: {error}")
            return
        answers = self._submit(
            [
                RawMessage(
                    "config", OPERATOR, msgspec.json.encode(msgspec.structs.replace(wanted.engine, days=days.days))
                )
            ]
        )
        refusal = answers[0].refusal if answers else "the step that it was given to failed"
        if refusal is not None:
            self.metrics.count("reload.refused")
            self._say(f"configuration not taken over, what runs stays: {self._file}: {refusal}")
            return
        self.config = self.publisher.config = wanted
        self.publisher.publish_days(self.clock.now())
        self.publisher.notice_days(days.notice)
        self._allowed = wanted.allowed()
        self.server.allow(self._allowed)
        if self.recorder:
            self.recorder.limits = wanted.record.limits
        self.metrics.count("reload.done")
        for line in [
            *lines,
            f"{self._file} was read again; gateways: {', '.join(g.name for g in wanted.gateway) or 'none'}",
        ]:
            self._say(line)
        self._watch()

    # --- the loop ---

    def _on_vehicle_message(self, leaf: str, vehicle: str, body: bytes) -> None:
        self._waiting[vehicle] += 1
        if self._waiting[vehicle] > MAX_OF_VEHICLE:
            self.metrics.count("drop.inbox", vehicle)
            return
        if len(self._inbox) >= MAX_INBOX:
            self._inbox.pop(0)
            self.metrics.count("drop.inbox", "vehicles")
        self._inbox.append(RawMessage(vehicle_kind(leaf), vehicle, body))
        self._wake()

    def _wake(self) -> None:
        if not self._queued:
            self._queued = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._queued = False
        if self._closed:
            return
        try:
            batch = [self._datum(message) for message in self.server.drain(DRAIN)]
            batch, self._inbox = batch + self._inbox, []
            self._waiting.clear()
            due = self.engine.next_plan()
            if batch or (due is not None and due <= self.clock.now()):
                self.step(batch)
        except Exception as error:
            self._confine("receive", "", error)
        self._arm()
        if self.server.readable():
            self._wake()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due = self.engine.next_plan()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(due - self.clock.now(), 0) / SECOND, self._wake)

    def _datum(self, message: Received) -> RawMessage:
        name = self._allowed.get(message.key, "")
        if not self.config.node.curve:
            name = self._in_clear(message)
        if name and self._peers.get(name) != message.peer and (name in self._peers or len(self._peers) < MAX_PEERS):
            self._peers[name] = message.peer
        return RawMessage(gateway_kind(message.kind), name, message.body)

    def _in_clear(self, message: Received) -> str:
        """Return the gateway behind a connection without CURVE: what its hello or sync says it is."""
        known = next((name for name, peer in self._peers.items() if peer == message.peer), "")
        return known or _claimed(message)

    def step(self, batch: list[RawMessage]) -> Output:
        """Take one step of the engine now and say what it says."""
        t = self.clock.now()
        if self.timekeeper:
            self.timekeeper.observe(t, batch)
        self._lap = stopwatch()
        try:
            out = self.engine.step(t, batch, self._time)
        except Exception as error:
            self._confine("step", "", error)
            out = Output()
        payloads = encode_all(out.advisories, self.faults)
        for advisory, payload in payloads:
            self._try("advise", advisory.intersection, self._advise, advisory, payload)
        for signals in out.signals:
            self._try("signals", signals.intersection, self.egress.signals, signals)
        for report in out.traffic:
            self._try("traffic", report.intersection, self._publish_traffic, report)
        if out.changed:
            self._try("codes", "", self.publisher.publish, t, out.changed)
        for fault in out.faults:
            held = self._repeats.again(f"{fault.intersection} {fault.check} {fault.field}", self._lap)
            if held is not None:
                self._say(f"{fault} ({held} times more since this was last reported)" if held else str(fault))
        for text in out.events:
            self._say(text)
        for vehicle, reject in out.rejects:
            self._try("reject", vehicle, self.egress.reject, vehicle, reject)
        for gateway, kind, body in out.replies:
            self._try("reply", kind, self._reply, gateway, kind, body)
        self._time("published")
        if self.recorder:
            self._try("recorder", "", self._record, t, batch, [payload for _, payload in payloads], out.answers)
        for line in self._fault_report.lines(stopwatch(), [*out.errors, *self.faults.take()]):
            self._say(line)
        return out

    def _advise(self, advisory: Advisory, payload: bytes) -> None:
        if self.egress.advise(advisory, payload) and self._trace:
            self._trace.write(f"{advisory.id} {self.clock.now()}\n")

    def _publish_traffic(self, report: Traffic) -> None:
        self.metrics.tell("traffic", report.intersection, report)
        self.egress.retain(MqttTopics.traffic(report.intersection), msgspec.json.encode(report), TRAFFIC_EXPIRY)

    def _reply(self, gateway: str, kind: str, body: msgspec.Struct) -> None:
        peer = self._peers.get(gateway)
        if peer is None or not self.server.send(peer, TOPICS[kind].code, self._encode(body)):
            self.metrics.count(f"drop.reply.{kind}", gateway)

    def _record(self, t: int, batch: list[RawMessage], payloads: list[bytes], answers: list[Answer]) -> None:
        assert self.recorder is not None
        self.recorder.step(t, batch, payloads)
        for answer in answers:
            if answer.refusal is None:
                self.recorder.remember(answer.datum.kind, answer.datum.body)

    def _keep_time(self) -> None:
        """Go along with the machine's clock where it stepped and those the node serves agree."""
        moved = self.timekeeper.decide(self.clock.now()) if self.timekeeper else None
        if moved:
            self._say(moved)
            self.egress.forget()
            self._arm()

    def _time(self, name: str) -> None:
        now = stopwatch()
        self.metrics.time(name, (now - self._lap) / 1000)
        self._lap = now

    def _report(self) -> None:
        for key, n in self.server.refused.items():
            self.metrics.put("reject.unknown_key", key, n)
        if self.server.malformed:
            self.metrics.put("reject.frames", "", self.server.malformed)
        for line in self.recorder.notices() if self.recorder else ():
            self._say(line)
        broker = (self.broker.trouble if self.broker else None) or self.egress.trouble  # one of them causes the other
        clock = self.timekeeper.trouble if self.timekeeper else None
        for place, trouble in (
            ("recording", self.recorder.failure if self.recorder else None),
            ("broker", broker),
            ("clock", clock),
        ):
            if trouble != self._reported.get(place):
                self._say(trouble or f"{place}: all is well again")
            self._reported[place] = trouble
        self._say_faults()
        if self.config.node.status:
            file = Path(self.config.node.status)
            partial = file.with_suffix(".part")
            with contextlib.suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(msgspec.json.format(msgspec.json.encode(self.metrics.snapshot())))
                os.replace(partial, file)


def _claimed(message: Received) -> str:
    """Return the gateway name that a hello or sync in clear claims, "" for any other message; only used without CURVE."""
    if KIND_OF_CODE.get(message.kind) not in ("hello", "sync"):
        return ""
    try:
        name = msgspec.msgpack.decode(message.body).get("g", "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        return ""
    return name if isinstance(name, str) else ""
