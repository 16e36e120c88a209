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
from ..city.fixed import Worker
from ..clock import SECOND, Clock, SteadyClock
from ..engine import Answer, Engine, Output
from ..faults import Faults
from ..io.egress import Egress
from ..io.http import HttpServerError
from ..io.notify import Notifier
from ..io.zeromq import Server
from ..metrics import Metrics
from ..payloads import encode_all
from ..schema import RawMessage
from ..telemetry.pulse import Pulse
from ..telemetry.readiness import Progress
from ..telemetry.timing import StepTimer, time_hops
from ..topics import OPERATOR, vehicle_kind
from ..view.city import CityFrames, CityReports
from ..view.routes import new_token
from .bridge_state import BridgeState
from .calendars import node_days
from .clock_steps import Timekeeper
from .config import NodeConfig, code_files
from .copies import Copies
from .description import log_start
from .http_side import HttpSide, ServedParts
from .inbox import Inbox
from .neighbours import NeighbourFeed, neighbour_of
from .other_viewers import OtherViewers
from .outgoing import Outgoing
from .peers import Peers
from .pid_file import PidFile
from .publish import Publisher
from .receiving import Receiver
from .reloader import Reloader, RunningParts, reachable_section
from .reports import Reports
from .share import Share
from .startup import (
    begin_recording,
    compile_kernels,
    make_ownership,
    make_signer,
    settle_memory,
    start_embedded_broker,
)
from .workers import own_file

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
        self,
        config: NodeConfig,
        clock: Clock | None = None,
        file: Path | None = None,
        debug: bool = False,
        worker: Worker | None = None,
    ) -> None:
        self.config, self._file, self._worker = config, file, worker
        self._notify = Notifier()
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
        copies = Copies(self.clock, self.metrics)
        self.share = Share(make_ownership(config, worker), loaded, self.metrics, copies.valid)
        served = self.share.begin(engine_config.gateways)
        self.engine = Engine(served, engine_config, self.metrics, debug)
        self.recorder = begin_recording(config, engine_config, served, self.metrics, self.clock)
        self._keys = config.keys()
        self._progress = Progress()
        compile_kernels(loaded)
        self._progress.is_warm = True

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
        self.egress.is_shared = engine_config.shared
        self.egress.on_copy = copies.put if config.city.etcd else None
        bridge = BridgeState(config.broker, self.broker, self.metrics)
        self.egress.on_bridge_state = bridge.put if config.broker.bridge else None
        self._neighbours = NeighbourFeed(self.engine, self.egress, self.share.in_force, self.metrics)
        self.publisher = Publisher(config, self.engine, self.egress, self._submit, self.faults, self.share)
        self.egress.listen(self.share.tiles(self.engine.intersections.values()))
        self.publisher.know(dict(zip(files, (code.id for code in loaded), strict=True)))
        self.publisher.publish(self.clock.now())
        self.publisher.notice_days(days.notice)
        token = config.http.token or new_token()
        self.other_viewers = OtherViewers(config, self.engine, self.recorder, token)
        self._reloader = self._make_reloader(file) if file else None

        self._receiver = Receiver(
            server=self.server,
            peers=self._peers,
            share=self.share,
            clock=self.clock,
            reply=lambda gateway, moved: self._try(
                "reply", "moved", self._peers.reply, gateway, "moved", moved, self.engine.config
            ),
        )
        self._inbox = Inbox(self.metrics)
        self._pulse = Pulse(self.metrics, FLUSH_INTERVAL)
        http = self._make_http(token) if config.http.bind else None
        self.page = http.page if http else None
        if self.page:
            reports = CityReports(self.clock.now, self.metrics, config.broker.bridge_name or config.city.node)
            self.page.observer.city = CityFrames(reports.rows)
            self.egress.on_node_report = reports.put
        self.web = http.web if http else None
        self._timer: asyncio.TimerHandle | None = None
        self._queued = self._closed = False
        self._step_timer = StepTimer(self.metrics)
        self._reports = Reports(
            self.metrics,
            {
                "recording": lambda: self.recorder.failure if self.recorder else None,
                "broker": self._broker_trouble,
                "bridge": bridge.trouble,
                "city": lambda: self.share.ownership.trouble,
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

    def _make_http(self, token: str) -> HttpSide:
        parts = ServedParts(
            engine=self.engine,
            clock=self.clock,
            egress=self.egress,
            recorder=self.recorder,
            inbox=self._inbox,
            peers=self._peers,
            pulse=self._pulse,
            progress=self._progress,
        )
        return HttpSide(
            self.config.http, parts, lambda error: self._confine("web", "", error), token, self.other_viewers.routes
        )

    def _make_reloader(self, file: Path) -> Reloader:
        parts = RunningParts(
            engine=self.engine,
            publisher=self.publisher,
            share=self.share,
            peers=self._peers,
            server=self.server,
            egress=self.egress,
            broker=self.broker,
            recorder=self.recorder,
        )
        return Reloader(file, parts, self._keys, self.config.broker, self.clock, self._worker, self.config.city.added)

    # --- running ---

    async def run(self, until: asyncio.Event | None = None, ready: Callable[[], None] | None = None) -> None:
        """Serve until `until` is set or SIGINT/SIGTERM comes; always leaves sockets closed and the recording whole."""
        loop = asyncio.get_running_loop()
        self._stop = until or asyncio.Event()
        for number, action in (
            (signal.SIGINT, self._stop.set),
            (signal.SIGTERM, self._stop.set),
            (signal.SIGHUP, lambda: self._try("reload", "", self.reload)),
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
        self.share.ownership.start(lambda: loop.call_soon_threadsafe(self._wake))
        self._wake()
        pid_file = PidFile(own_file(self._file, self._worker)) if self._file else None
        log_start(
            self.config,
            broker=reachable_section(self.config.broker, self.broker),
            embedded=self.broker.name if self.broker else None,
            codes=self.share.intersections,
            address=self.server.address,
            page=self.web.address if self.web else None,
            recording=self.recorder.path if self.recorder else None,
        )
        self._progress.is_listening = True
        self._notify.ready(f"gateways connect to {self.server.address}")
        if ready:
            ready()

        try:
            await self._look_after()
        finally:
            self._progress.is_listening = False
            self._notify.stopping()
            loop.remove_reader(self.server.fd)
            self._try("close", "ownership", self.share.ownership.stop)
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
            self._pulse.rest()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), FLUSH_INTERVAL)
                break
            self._pulse.beat()
            self._notify.alive()
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
        if self._reloader is not None:
            self.config = self._reloader.take_added(self.config)
        if self.publisher.watch(self.clock.now()):
            self._arm()
        if self.share.ownership.is_shared and (inputs := self._neighbours.look(self.clock.now())):
            self.step(inputs)

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

    def _report(self) -> None:
        self._reports.unknown_keys(self.server.refused)
        self.server.note_handshakes()
        self._reports.failed_handshakes(self.server.failed_handshakes, self.server.public_key)
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

    def reload(self) -> None:
        """Read the node's file again and take over what can change while it runs; a file that cannot be used changes
        nothing.
        """
        if self._reloader is None:
            log.warning("SIGHUP: this node was not started from a file, there is nothing to read again")
            return
        self._notify.reloading()
        self.config = self._reloader.reload(self.config)
        self._watch()
        self._notify.ready(f"gateways connect to {self.server.address}")

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
            if inputs := self._inputs():
                self.step(inputs)
            batch = self._receiver.take()
            batch += self._neighbours.take()
            batch += self._inbox.take()
            due = self.engine.next_plan()
            if batch or (due is not None and due <= self.clock.now()):
                self.step(batch)
        except Exception as error:
            self._confine("receive", "", error)
        self._arm()
        if self._receiver.is_behind or self.share.is_behind or self._inbox:
            self._wake()

    def _inputs(self) -> list[RawMessage]:
        """Return what the engine is to serve from now on, or no longer, and the neighbours it has asked for."""
        inputs = self.share.inputs()
        if self.engine.neighbours.is_asked_anew and self.share.ownership.is_shared:
            inputs += self._neighbours.look(self.clock.now())
        return inputs

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
        self._step_timer.begin()
        try:
            output = self.engine.step(t, batch, self._step_timer.stage)
        except Exception as error:
            self._confine("step", "", error)
            output = Output()

        if output.answers and self.share.note(output.answers):
            self.egress.listen(self.share.tiles(self.engine.intersections.values()))
        payloads = encode_all(output.advisories, self.faults)
        self._outgoing.send(t, output, payloads)
        self._step_timer.stage("published")

        if self.recorder:
            encoded = [payload for _, payload in payloads]
            self._try("recorder", "", self._record, t, batch, encoded, output.answers)
        self._try("foxglove", "", self.other_viewers.observe, t, output)
        if self.page:
            self._step_timer.pause()
            self._try("view", "", self.page.observer.observe, t, batch, output)
            self._step_timer.stage("shown")
        time_hops(self.metrics, self.clock.now(), output.advisories)
        self._step_timer.end()
        self._reports.faults([*output.errors, *self.faults.take()])
        return output

    def _record(self, t: int, batch: list[RawMessage], payloads: list[bytes], answers: list[Answer]) -> None:
        assert self.recorder is not None
        self.recorder.step(t, batch, payloads)
        for raw in batch:
            if raw.kind == "neighbour" and raw.sender == OPERATOR:
                self.recorder.remember("neighbour", *neighbour_of(raw))
        for answer in answers:
            if answer.refusal is None:
                self.recorder.remember(answer.datum.kind, answer.datum.body, answer.name)

    def _keep_time(self) -> None:
        """Go along with the machine's clock where it stepped and those the node serves agree."""
        moved = self.timekeeper.decide(self.clock.now()) if self.timekeeper else None
        if moved:
            log.warning("%s", moved)
            self.egress.forget()
            self._arm()
