"""A running node: sockets + engine + egress on one event loop. The ROUTER's own file descriptor wakes it, and each wake drains a batch."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from . import codes
from .broker import Broker, Tls, reachable
from .broker import start as start_broker
from .clock import SECOND, Clock, SteadyClock, stopwatch
from .config import NodeConfig, code_files
from .egress import Egress
from .engine import Engine, Output
from .engine import encode as encode_advisory
from .log import Recorder
from .metrics import Metrics
from .planner.warm import warm
from .publish import Publisher
from .schema import Datum
from .timekeeping import Timekeeper
from .topics import KIND_OF_CODE, TOPICS, MqttTopics
from .web import Web, WebError
from .wire import Received, Server

MAX_INBOX = 10_000  # vehicle messages waiting for the next step; the oldest go first
MAX_PEERS = 10_000  # gateways whose connection is remembered for replies
DRAIN = 512  # messages a batch
TRAFFIC_EXPIRY = 30  # s that a report of traffic stays with the broker: three of the periods it comes at


class Node:
    """One node, from its configuration."""

    def __init__(self, config: NodeConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or SteadyClock()
        self.metrics = Metrics()
        self.timekeeper = Timekeeper(self.clock, self.metrics) if isinstance(self.clock, SteadyClock) else None
        self.broker = self._start_broker()
        loaded = [codes.load(path) for path in code_files(config)]
        self.engine = Engine(loaded, config.engine, self.metrics)
        self.recorder = Recorder(Path(config.record.path)) if config.record.path else None
        if self.recorder:
            self.recorder.meta("config", msgspec.json.encode(config.engine))
            for code in loaded:
                self.recorder.meta("code", codes.dump(code))
        self._allowed = config.allowed()
        self.server = Server(config.node.bind, config.keys(), self._allowed)
        section = config.broker
        if self.broker:
            section = msgspec.structs.replace(
                section, host=reachable(self.broker.host), port=self.broker.port, version=self.broker.version
            )
        self.egress = Egress(section, self.clock, self.metrics, self._hear)
        self.publisher = Publisher(config, self.engine, self.egress, self.recorder)
        self.publisher.publish(self.clock.now())
        self.web = Web(config.http.bind, self.engine.versions, self.clock) if config.http.bind else None
        self._trace = Path(config.node.trace).open("w") if config.node.trace else None
        self._inbox: list[Datum] = []
        self._peers: dict[str, bytes] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._timer: asyncio.TimerHandle | None = None
        self._queued = self._closed = False
        self._lap = 0
        self._reported: list[str] = []  # what stands in the way, as it was last logged

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
        stop = until or asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError, NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        for place in list(self.engine.places.values())[:1]:
            warm(place.code)
        gc.collect()
        gc.freeze()  # codes and kernels stay: collections look at what messages leave behind only
        if self.web:
            try:
                await self.web.start()
            except WebError:
                self.close()
                raise
        self.egress.start()
        keeping = loop.create_task(self.broker.keep(self.metrics.count)) if self.broker else None
        loop.add_reader(self.server.fd, self._wake)
        self._wake()
        if ready:
            ready()
        try:
            while not stop.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(stop.wait(), 1.0)
                self._keep_time()
                self._report()
                if self.publisher.watch(self.clock.now()):
                    self._arm()
        finally:
            loop.remove_reader(self.server.fd)
            if keeping:
                keeping.cancel()
            await self.egress.stop()
            if self.web:
                await self.web.stop()
            self.close()

    def close(self) -> None:
        """Close sockets, recording and an embedded broker."""
        self._report()
        self._closed = True
        self.server.close()
        if self.recorder:
            self.recorder.close()
        if self._trace:
            self._trace.close()
        if self.broker:
            self.broker.stop()

    # --- the loop ---

    def _hear(self, kind: str, vehicle: str, body: bytes) -> None:
        if len(self._inbox) >= MAX_INBOX:
            self._inbox.pop(0)
            self.metrics.count("drop.inbox", "vehicles")
        self._inbox.append(Datum(kind, vehicle, body))
        self._wake()

    def _wake(self) -> None:
        if not self._queued:
            self._queued = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._queued = False
        if self._closed:
            return
        received = self.server.drain(DRAIN)
        batch = [self._datum(message) for message in received]
        batch, self._inbox = batch + self._inbox, []
        due = self.engine.next_plan()
        if batch or (due is not None and due <= self.clock.now()):
            self.step(batch)
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

    def _datum(self, message: Received) -> Datum:
        name = self._allowed.get(message.key, "")
        if not self.config.node.curve:
            name = self._in_clear(message)
        if name and self._peers.get(name) != message.peer and len(self._peers) < MAX_PEERS:
            self._peers[name] = message.peer
        return Datum(KIND_OF_CODE.get(message.kind, message.kind.decode("latin-1")), name, message.body)

    def _in_clear(self, message: Received) -> str:
        """Return the gateway behind a connection without CURVE: what its hello or sync says it is."""
        known = next((name for name, peer in self._peers.items() if peer == message.peer), "")
        return known or _claimed(message.body)

    def step(self, batch: list[Datum]) -> Output:
        """Take one step of the engine now and say what it says."""
        t = self.clock.now()
        if self.timekeeper:
            self.timekeeper.observe(t, batch)
        self._lap = stopwatch()
        out = self.engine.step(t, batch, self._time)
        payloads = [encode_advisory(advisory) for advisory in out.advisories]
        for advisory, payload in zip(out.advisories, payloads, strict=True):
            if self.egress.advise(advisory, payload) and self._trace:
                self._trace.write(f"{advisory.id} {self.clock.now()}\n")
        for signals in out.signals:
            self.egress.signals(signals)
        for report in out.traffic:
            self.metrics.tell("traffic", report.intersection, report)
            self.egress.retain(MqttTopics.traffic(report.intersection), msgspec.json.encode(report), TRAFFIC_EXPIRY)
        if out.changed:
            self.publisher.publish(t, out.changed)
        for fault in out.faults:
            print(f"cloudctl: {fault}", file=sys.stderr, flush=True)
        for gateway, kind, body in out.replies:
            peer = self._peers.get(gateway)
            if peer is None or not self.server.send(peer, TOPICS[kind].code, self._encode(body)):
                self.metrics.count(f"drop.reply.{kind}", gateway)
        self._time("published")
        if self.recorder:
            self.recorder.step(t, batch, payloads)
        return out

    def _keep_time(self) -> None:
        """Go along with the machine's clock where it stepped and those the node serves agree."""
        moved = self.timekeeper.decide(self.clock.now()) if self.timekeeper else None
        if moved:
            print(f"cloudctl: {moved}", file=sys.stderr, flush=True)
            self.egress.forget()
            self._arm()

    def _time(self, name: str) -> None:
        now = stopwatch()
        self.metrics.time(name, (now - self._lap) / 1000)
        self._lap = now

    def _report(self) -> None:
        for key, n in self.server.refused.items():
            self.metrics.counters["reject.unknown_key", key] = n
        if self.server.malformed:
            self.metrics.counters["reject.frames", ""] = self.server.malformed
        broker = (self.broker.trouble if self.broker else None) or self.egress.trouble  # one of them causes the other
        sources = (self.recorder.failure if self.recorder else None, broker, self.timekeeper.trouble if self.timekeeper else None)
        troubles = [trouble for trouble in sources if trouble]
        for trouble in troubles:
            if trouble not in self._reported:
                print(f"cloudctl: {trouble}", file=sys.stderr, flush=True)
        if self._reported and not troubles:
            print("cloudctl: all is well again", file=sys.stderr, flush=True)
        self._reported = troubles
        if self.config.node.status:
            file = Path(self.config.node.status)
            partial = file.with_suffix(".part")
            with contextlib.suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(msgspec.json.format(msgspec.json.encode(self.metrics.snapshot())))
                os.replace(partial, file)


def _claimed(body: bytes) -> str:
    """Return the gateway name that a message in clear claims; only used without CURVE."""
    try:
        return str(msgspec.msgpack.decode(body).get("g", ""))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        return ""
