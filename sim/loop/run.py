"""One run in one process: SUMO, sensors, the node's engine and the vehicles, faster than real time. Only time is
simulated.
"""

import heapq
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from ... import codes
from ...client.gateway import pack
from ...clock import MS, SECOND, stopwatch
from ...engine import Engine, encode
from ...io.recording.reader import Recorder
from ...metrics import Metrics
from ...schema import VERSION, Advisory, Hello, Perception, RawMessage, Signal, Sync
from ...settings import EngineConfig, PrioritySettings
from ..scenario.scenario import Junction, Scenario
from .controllers import Controller
from .sensors import Noise, RsuModel, near
from .traffic import Traffic, Truth, trips
from .truthfile import TruthFile
from .vehicles import Fleet
from .watch import Watch

# 2026-01-01: simulated runs begin here, so that every run of a seed is the same to the byte
EPOCH = 1_767_225_600 * SECOND
SLOT = 20 * MS  # what arrives within one slot is one batch
OBSERVATION_INTERVAL = 100 * MS
PROGRESS_STEPS = 200  # between two calls of `progress`
CLOCK_STREAM = 5  # of the random numbers from which the gateways' clock offsets are drawn
VEHICLE_TARGET = "vehicle:"
SIGNAL_DELAY = 20 * MS
REPORT_DELAY = 30 * MS
ADVICE_DELAY = 40 * MS


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that decides the outcome of one run."""

    seed: int = 1
    penetration: float = 1.0
    advice: bool = True
    seconds: float | None = None  # simulated; the scenario's own span when None
    warm_up: float = 0.0  # s of traffic before anything is observed
    step_s: float = 0.1
    noise: Noise = field(default_factory=Noise)
    extra_delay_ms: float = 0.0
    arguments: tuple[str, ...] = ()
    priority: bool = False  # whether buses request signal priority, and controllers grant it


class Loop:
    """The loop in one process. `run()` returns the figures; `record`, where given, is the file of the run, its truth
    beside it.

    Benches derive from it and override `is_over`, `on_step`, `on_truth` and `on_advisory`.
    """

    def __init__(
        self,
        scenario: Scenario,
        setup: Setup,
        record: Path | None = None,
        outputs: Path | None = None,
        scored: bool = True,
    ) -> None:
        """`outputs`: folder where SUMO's own files are kept; `scored`: whether fusion is held against the truth."""
        self.scenario = scenario
        self.setup = setup
        self.outputs = outputs
        self.scored = scored
        self.metrics = Metrics()

        loaded = [junction.code.code for junction in scenario.junctions]
        config = EngineConfig(scenario.gateways, priority=PrioritySettings(trust_declared=True))
        self.engine = Engine(codes=loaded, config=config, metrics=self.metrics)
        self.recorder = Recorder(record) if record else None
        self.truth_file: TruthFile | None = None

        if self.recorder:
            self.truth_file = TruthFile(self.recorder.first.with_suffix(".truth.mcap"), scenario)
            self.recorder.meta("config", msgspec.json.encode(config))
            for code in loaded:
                self.recorder.meta("code", codes.dump(code))

        self.models = {
            junction.id: [
                RsuModel(junction=junction, index=index, noise=setup.noise, seed=setup.seed)
                for index in range(len(junction.rsus))
            ]
            for junction in scenario.junctions
        }

        self.offset = clock_offsets(scenario, setup)
        self.watch = Watch(scenario)
        self.advised: Counter[str] = Counter()
        self.late = 0  # advisories that arrived after their time
        self.controllers: dict[str, Controller] = {}  # of the signals that take requests

        # Heaps by time of arrival; `_count` keeps what arrives together in the order in which it was sent.
        self._messages: list[tuple[int, int, RawMessage]] = []
        self._advisories: list[tuple[int, int, Advisory]] = []
        self._count = 0
        self._seq: Counter[str] = Counter()
        self._encode = msgspec.msgpack.Encoder().encode
        self._json = msgspec.json.Encoder().encode

    def run(self, progress: Callable[[float, float], None] = lambda done, total: None) -> dict[str, object]:
        """Return the figures of the run; `progress` gets simulated seconds done and in all."""
        with tempfile.TemporaryDirectory() as folder:
            outputs = self.outputs or Path(folder)
            tripinfo = outputs / "trips.xml"
            arguments = ("--statistic-output", str(outputs / "statistics.xml"), *self.setup.arguments)

            traffic = Traffic(
                scenario=self.scenario,
                seed=self.setup.seed,
                step_s=self.setup.step_s,
                epoch=EPOCH,
                tripinfo=tripinfo,
                arguments=arguments,
            )
            try:
                speed = self._drive(traffic, progress)
            finally:
                traffic.close()

            result: dict[str, object] = {
                "scenario": self.scenario.name,
                "seed": self.setup.seed,
                "penetration": self.setup.penetration,
                "advice": "on" if self.setup.advice else "off",
                "noise": asdict(self.setup.noise),
                "traffic": trips(tripinfo),
            }

        result["speed"] = speed
        # Null without advice: there is no node then
        result |= dict.fromkeys(("latency_us", "fusion", "advisories"))

        if self.setup.advice:
            result |= {
                "latency_us": {name: histogram.summary() for name, histogram in self.metrics.histograms.items()},
                "fusion": self.watch.figures(),
                "advisories": {
                    "sent": sum(self.advised.values()),
                    "by_kind": dict(sorted(self.advised.items())),
                    "late": self.late,
                },
                "counters": self.metrics.by_source(""),
            }

        if self.recorder and self.truth_file:
            self.recorder.close()
            self.truth_file.close()

        return result

    def _drive(self, traffic: Traffic, progress: Callable[[float, float], None]) -> dict[str, float]:
        """Run SUMO to the end of the run, and return how fast that was."""
        setup = self.setup
        total = setup.seconds or self.scenario.end - self.scenario.begin
        start = stopwatch()
        # Roads are filled before anything is observed: an empty network has no queues to advise about
        if setup.warm_up:
            traffic.fast_forward(setup.warm_up)

        fleet = Fleet(scenario=self.scenario, seed=setup.seed, penetration=setup.penetration)
        if setup.priority:
            self.controllers = {
                junction.id: Controller(junction, traffic.programs[junction.id]) for junction in self.scenario.junctions
            }

        if setup.advice:
            self._register_sensors(traffic.t)

        begin = traffic.t
        steps = 0

        while not self.is_over(traffic, (traffic.t - begin) / SECOND, total):
            traffic.step()
            steps += 1
            self.on_step(traffic)
            for controller in self.controllers.values():
                controller.step()
            if setup.advice:
                self._observe(traffic, fleet)
            if steps % PROGRESS_STEPS == 0:
                progress((traffic.t - begin) / SECOND, total)

        took_s = (stopwatch() - start) / SECOND
        simulated_s = (traffic.t - begin) / SECOND
        return {"simulated_s": simulated_s, "took_s": took_s, "times_real": simulated_s / max(took_s, 1e-9)}

    def is_over(self, traffic: Traffic, done: float, total: float) -> bool:
        """Return whether the run ends, `done` of `total` simulated seconds in; here: when the time is up or the roads
        are empty.
        """
        return done >= total or traffic.done

    def on_step(self, traffic: Traffic) -> None:
        """Called after each step of SUMO, before it is observed."""

    def on_truth(self, truth: Truth) -> None:
        """Called ten times a second with every road user as it is."""

    def on_advisory(self, advisory: Advisory, arrives: int, fleet: Fleet) -> None:
        """Called when an advisory arrives at a vehicle, in time; here: the vehicle acts on it."""
        fleet.follow(advisory.target.removeprefix(VEHICLE_TARGET), advisory)

    # --- one step of observation ---

    def _observe(self, traffic: Traffic, fleet: Fleet) -> None:
        time_ns = traffic.t
        self._deliver(time_ns, fleet)
        fleet.release(time_ns)
        if (time_ns - EPOCH) % OBSERVATION_INTERVAL >= round(self.setup.step_s * SECOND):
            return

        truth = traffic.truth()
        for junction in self.scenario.junctions:
            self._sense(junction, truth, traffic)
        self._report(time_ns, truth, fleet)

        self.on_truth(truth)
        if self.scored:
            self.watch.note(truth, self.engine)
        if self.truth_file:
            self.truth_file.note(truth)

    def _report(self, time_ns: int, truth: Truth, fleet: Fleet) -> None:
        """Send what connected vehicles report and request."""
        states = fleet.states(truth)
        for name, state in states.items():
            self._send(time_ns + REPORT_DELAY, RawMessage("state", name, self._json(state)))

        if self.setup.priority:
            for name, request in fleet.requests(truth.t, states).items():
                self._send(time_ns + REPORT_DELAY, RawMessage("requests", name, self._json(request)))

    def _sense(self, junction: Junction, truth: Truth, traffic: Traffic) -> None:
        """Send what the units of an intersection see, and what its signals show; stamps are on their gateway's
        clock.
        """
        gateway = gateway_of(self.scenario, junction)
        offset, time_ns = self.offset[gateway], truth.t
        around = near(truth, junction)

        for model in self.models[junction.id]:
            rsu = model.rsu
            block = self._encode(pack(model.observe(around)))

            for stamp in model.stamps(time_ns):
                body = Perception(
                    version=VERSION,
                    rsu=rsu.id,
                    sensor="fused",
                    seq=self._next_seq(rsu.id),
                    t=stamp + offset,
                    lat=rsu.lat,
                    lon=rsu.lon,
                    objects=msgspec.Raw(block),
                )

                departure = model.departure(stamp) + int(self.setup.extra_delay_ms * MS)
                self._send(departure, RawMessage("perception", gateway, self._encode(body)))

        signal = Signal(
            version=VERSION,
            rsu=junction.rsus[0].id,
            intersection=junction.id,
            revision=junction.code.code.revision,
            seq=self._next_seq(junction.id),
            t=time_ns + offset,
            groups=tuple(on_gateway_clock(group, offset) for group in traffic.groups(junction)),
        )

        self._send(time_ns + SIGNAL_DELAY, RawMessage("signal", gateway, self._encode(signal)))

    def _register_sensors(self, time_ns: int) -> None:
        for gateway, rsus in self.scenario.gateways.items():
            units = [rsu for junction in self.scenario.junctions for rsu in junction.rsus if rsu.id in rsus]
            for rsu in units:
                hello = Hello(version=VERSION, gateway=gateway, rsus=(rsu.id,), sensors=(rsu.sensor,), software="sim")
                self._send(time_ns, RawMessage("hello", gateway, self._encode(hello)))
            sync = clock_exchange(gateway, time_ns, self.offset[gateway])
            self._send(time_ns, RawMessage("sync", gateway, self._encode(sync)))

    def _next_seq(self, stream: str) -> int:
        self._seq[stream] += 1
        return self._seq[stream]

    def _send(self, arrival: int, message: RawMessage) -> None:
        """Have a message arrive at the node at the end of the slot of `arrival`, ns."""
        self._count += 1
        slot_end = -(-arrival // SLOT) * SLOT
        heapq.heappush(self._messages, (slot_end, self._count, message))

    # --- the node, and its advisories ---

    def _deliver(self, now: int, fleet: Fleet) -> None:
        """Give the node what has arrived by `now`, slot by slot, then the vehicles the advisories that have reached
        them.
        """
        while self._messages and self._messages[0][0] <= now:
            arrival = self._messages[0][0]
            batch = []
            while self._messages and self._messages[0][0] == arrival:
                batch.append(heapq.heappop(self._messages)[2])
            self._step(arrival, batch)

        # A node plans by its own timer, too, when no message comes
        plan_due = self.engine.next_plan()
        if plan_due is not None and plan_due <= now:
            self._step(now, [])

        while self._advisories and self._advisories[0][0] <= now:
            arrival, _, advisory = heapq.heappop(self._advisories)
            if arrival >= advisory.valid_until:
                self.late += 1
            elif advisory.target.startswith(VEHICLE_TARGET):
                self.on_advisory(advisory, arrival, fleet)

    def _step(self, time_ns: int, batch: list[RawMessage]) -> None:
        self._stage_begin = stopwatch()
        output = self.engine.step(time_ns, batch, self._time_stage)
        for gateway, kind, body in output.replies:
            if kind == "priority" and body.intersection in self.controllers:
                self.controllers[body.intersection].ask(body, time_ns + self.offset[gateway])

        arrival = time_ns + ADVICE_DELAY + int(self.setup.extra_delay_ms * MS)
        for advisory in output.advisories:
            self.advised[advisory.kind] += 1
            self._count += 1
            heapq.heappush(self._advisories, (arrival, self._count, advisory))
            if advisory.inputs.t_sensor:
                self.metrics.time("sensor_to_vehicle", (arrival - advisory.inputs.t_sensor) / 1000)

        if self.recorder:
            self.recorder.step(time_ns, batch, [encode(advisory) for advisory in output.advisories])

    def _time_stage(self, name: str) -> None:
        now = stopwatch()
        self.metrics.time(name, (now - self._stage_begin) / 1000)
        self._stage_begin = now


def clock_offsets(scenario: Scenario, setup: Setup) -> dict[str, int]:
    """Return by how many ns the clock of each gateway is ahead of the node's."""
    rng = np.random.default_rng([setup.seed, CLOCK_STREAM])
    return {name: int(rng.normal(0, setup.noise.clock_ms) * MS) for name in scenario.gateways}


def gateway_of(scenario: Scenario, junction: Junction) -> str:
    """Return the gateway that sends for an intersection."""
    return next(name for name, rsus in scenario.gateways.items() if junction.rsus[0].id in rsus)


def on_gateway_clock(group: msgspec.Struct, offset: int) -> msgspec.Struct:
    """Return a signal group with its times on a gateway's clock."""
    times = {
        name: getattr(group, name) + offset
        for name in ("min_end", "max_end", "likely_end", "next_green")
        if getattr(group, name) is not None
    }

    return msgspec.structs.replace(group, **times)


def clock_exchange(gateway: str, time_ns: int, offset: int) -> msgspec.Struct:
    """Return a complete clock exchange of a gateway whose clock is `offset` ns off, over a path of 2 ms each way."""
    received = time_ns + 2 * MS
    return Sync(
        version=VERSION,
        gateway=gateway,
        t1=time_ns + offset,
        t2=received,
        t3=received,
        t4=received + 2 * MS + offset,
    )
