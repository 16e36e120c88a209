"""A running node: sockets + engine + egress on one event loop. The ROUTER's own file descriptor wakes it, and each
wake drains a batch.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from .. import codes
from ..clock import SECOND, Clock, SteadyClock, stopwatch
from ..engine import Answer, Engine, Output
from ..faults import Faults
from ..io.egress import Egress
from ..io.http import HttpServerError, Web
from ..io.http_guard import HttpGuard, server_tls
from ..io.zeromq import Server
from ..metrics import Metrics
from ..payloads import encode_all
from ..planner.warm import warm
from ..schema import RawMessage
from ..topics import vehicle_kind
from ..view.serving import LivePage
from .calendars import node_days
from .clock_steps import Timekeeper
from .config import NodeConfig, code_files
from .description import describe
from .exposure import exposures
from .inbox import Inbox
from .outgoing import Outgoing
from .peers import Peers
from .pid_file import PidFile
from .publish import Publisher
from .reloader import Reloader, RunningParts, reachable_section
from .reports import Reports
from .startup import begin_recording, make_signer, settle_memory, start_embedded_broker

DRAIN_BATCH = 512  # messages that are taken from the socket at once
# s between two looks at what runs in the background; the recording is written out at each, so that at most 1 s of it
# is lost
FLUSH_INTERVAL = 0.5
LOOKS_PER_REPORT = 2  # reports: the status file, and files of the operator's that may have changed
log = logging.getLogger("cloudctl.node")


class Node:
    """One node, from its configuration. `file`, where given, is read again on SIGHUP; `debug`: it ends at the first
    fault of its own.
    """

    def __init__(
        self, config: NodeConfig, clock: Clock | None = None, file: Path | None = None, debug: bool = False
    ) -> None:
        self.config, self._file = config, file
        self.clock = clock or SteadyClock()
        self.metrics = Metrics()
        self.timekeeper = Timekeeper(self.clock, self.metrics) if isinstance(self.clock, SteadyClock) else None
        self.faults = Faults(self.metrics, debug)
        self._crash: Exception | None = None  # in debugging: what ended it
        self._stop = asyncio.Event()

        self.broker = start_embedded_broker(config)
        files = code_files(config)
        loaded = codes.load_all(files)
        days = node_days(config.node.calendar, loaded, self.clock.now())
        engine_config = msgspec.structs.replace(config.engine, days=days.days)
        self.engine = Engine(loaded, engine_config, self.metrics, debug)
        self.recorder = begin_recording(config, engine_config, loaded, self.metrics, self.clock)
        self._keys = config.keys()
        self._compile_kernels()

        allowed = config.allowed()
        self.server = Server(config.node.bind, self._keys, allowed)
        self._peers = Peers(self.server, self.metrics, allowed if config.node.curve else None)
        self.egress = Egress(
            reachable_section(config.broker, self.broker),
            self.clock,
            self.metrics,
            self._on_vehicle_message,
            make_signer(config),
        )
        self.publisher = Publisher(config, self.engine, self.egress, self._submit, self.faults)
        self.publisher.know(dict(zip(files, (code.id for code in loaded), strict=True)))
        self.publisher.publish(self.clock.now())
        self.publisher.notice_days(days.notice)
        http = config.http
        self.page = LivePage(http, self.engine) if http.bind and http.view else None
        self.web = self._make_web()
        self._reloader = self._make_reloader(file) if file else None

        self._inbox = Inbox(self.metrics)
        self._timer: asyncio.TimerHandle | None = None
        self._queued = self._closed = False
        self._stage_begin = 0  # of the stage of a step that is being timed, by `stopwatch`
        self._reports = Reports(
            self.metrics,
            {
                "recording": lambda: self.recorder.failure if self.recorder else None,
                "broker": self._broker_trouble,
                "clock": lambda: self.timekeeper.trouble if self.timekeeper else None,
            },
        )
        self._outgoing = Outgoing(
            engine=self.engine,
            egress=self.egress,
            publisher=self.publisher,
            peers=self._peers,
            reports=self._reports,
            clock=self.clock,
            attempt=self._try,
            trace=Path(config.node.trace) if config.node.trace else None,
        )

    # --- set-up ---

    def _compile_kernels(self) -> None:
        """Load what is compiled, before a gateway can connect: what would wait meanwhile would be refused for its
        age.
        """
        log.info("loading compiled kernels; the first start on a machine compiles them, which takes about a minute")
        for place in list(self.engine.intersections.values())[:1]:
            warm(place.code)

    def _make_web(self) -> Web | None:
        if not self.config.http.bind:
            return None
        return Web(
            self.config.http.bind,
            self.engine.versions,
            self.clock,
            lambda error: self._confine("web", "", error),
            lambda: self.engine.config.days,
            self.page.routes if self.page else None,
            hidden=lambda: self.publisher.retired,
            guard=HttpGuard(self.config.http.token),
            tls=server_tls(self.config.http.tls_cert, self.config.http.tls_key),
        )

    def _make_reloader(self, file: Path) -> Reloader:
        parts = RunningParts(
            engine=self.engine,
            publisher=self.publisher,
            peers=self._peers,
            server=self.server,
            egress=self.egress,
            broker=self.broker,
            recorder=self.recorder,
        )
        return Reloader(file, parts, self._keys, self.config.broker, self.clock)

    # --- running ---

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
        settle_memory()

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
        pid_file = PidFile(self._file) if self._file else None
        self._describe()
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
            if pid_file:
                pid_file.remove()
            self.close()
        if self._crash is not None:
            raise self._crash

    async def _look_after(self) -> None:
        """Keep what runs in the background going until the node is to stop; a fault in one part keeps none of the
        others from its turn.
        """
        looks = 0
        while not self._stop.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), FLUSH_INTERVAL)
            if self.recorder:
                self._try("recorder", "", self.recorder.flush)

            looks += 1
            if looks % LOOKS_PER_REPORT == 0:
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
        self._try("close", "trace", self._outgoing.close)
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
        self._reports.faults(self.faults.take())

    def _describe(self) -> None:
        """Log what the node serves, with whom, and what of it is open to strangers."""
        description = describe(
            self.config,
            reachable_section(self.config.broker, self.broker),
            self.broker.name if self.broker else None,
            self.engine.versions.ids(),
            self.server.address,
        )
        for line in description:
            log.info("%s", line)
        if self.web:
            log.info("HTTP: %s", self.web.address)
        if self.recorder:
            log.info("recording: %s", self.recorder.path)
        for line in exposures(self.config.node, self.config.broker, self.config.http):
            log.warning("%s", line)

    def _report(self) -> None:
        self._reports.unknown_keys(self.server.refused)
        if self.server.malformed:
            self.metrics.put("reject.frames", "", self.server.malformed)
        for line in self.recorder.notices() if self.recorder else ():
            log.warning("%s", line)
        self._reports.troubles()
        self._reports.faults(self.faults.take())
        self._reports.write_status(self.config.node.status)

    def _broker_trouble(self) -> str | None:
        """Return why there is no broker: that the embedded one died comes first, for it causes the other."""
        own = self.broker.trouble if self.broker else None
        return own or self.egress.trouble

    # --- the operator's inputs ---

    def _submit(self, batch: list[RawMessage]) -> list[Answer]:
        return self.step(batch).answers

    def _on_hangup(self) -> None:
        self._try("reload", "", self.reload)

    def reload(self) -> None:
        """Read the node's file again and take over what can change while it runs; a file that cannot be used changes
        nothing.
        """
        if self._reloader is None:
            log.warning("SIGHUP: this node was not started from a file, there is nothing to read again")
            return
        self.config = self._reloader.reload(self.config)
        self._watch()

    # --- the loop ---

    def _on_vehicle_message(self, leaf: str, vehicle: str, body: bytes) -> None:
        self._inbox.put(RawMessage(vehicle_kind(leaf), vehicle, body))
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
            batch = [self._peers.message_of(received) for received in self.server.drain(DRAIN_BATCH)]
            batch += self._inbox.take()
            due = self.engine.next_plan()
            if batch or (due is not None and due <= self.clock.now()):
                self.step(batch)
        except Exception as error:
            self._confine("receive", "", error)
        self._arm()
        if self.server.readable():
            self._wake()

    def _arm(self) -> None:
        """Set the timer for the next plan."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due = self.engine.next_plan()
        if due is not None:
            delay = max(due - self.clock.now(), 0) / SECOND
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def step(self, batch: list[RawMessage]) -> Output:
        """Take one step of the engine now, and send what comes of it."""
        t = self.clock.now()
        if self.timekeeper:
            self.timekeeper.observe(t, batch)
        self._stage_begin = stopwatch()
        try:
            output = self.engine.step(t, batch, self._time_stage)
        except Exception as error:
            self._confine("step", "", error)
            output = Output()

        payloads = encode_all(output.advisories, self.faults)
        self._outgoing.send(t, output, payloads)
        self._time_stage("published")

        if self.recorder:
            encoded = [payload for _, payload in payloads]
            self._try("recorder", "", self._record, t, batch, encoded, output.answers)
        if self.page:
            self._stage_begin = stopwatch()
            self._try("view", "", self.page.observer.observe, t, batch, output)
            self._time_stage("shown")
        self._reports.faults([*output.errors, *self.faults.take()])
        return output

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
            log.warning("%s", moved)
            self.egress.forget()
            self._arm()

    def _time_stage(self, name: str) -> None:
        now = stopwatch()
        self.metrics.time(name, (now - self._stage_begin) / 1000)
        self._stage_begin = now
