"""One run in one process: SUMO, sensors, the node's engine and the vehicles, faster than real time. Time is simulated, nothing else is."""

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

EPOCH = (
    1_767_225_600 * SECOND
)  # 2026-01-01: simulated runs begin here, so that every run of a seed is the same to the byte
SLOT = 20 * MS  # what arrives within one slot is one batch
SIGNAL_DELAY = 20 * MS
REPORT_DELAY = 30 * MS
ADVICE_DELAY = 40 * MS


@dataclass(frozen=True)
class Setup:
    """What one run is: everything that decides its outcome."""

    seed: int = 1
    penetration: float = 1.0
    advice: bool = True
    seconds: float | None = None  # simulated; the scenario's own span when None
    warm_up: float = 0.0  # s of traffic before anything is observed
    step_s: float = 0.1
    noise: Noise = field(default_factory=Noise)
    extra_delay_ms: float = 0.0
    arguments: tuple[str, ...] = ()
    priority: bool = False  # whether buses ask for signal priority, and controllers heed it


class Loop:
    """The loop in one process. `run()` returns the figures; `record`, where given, gets the run and its truth."""

    def __init__(
        self,
        scenario: Scenario,
        setup: Setup,
        record: Path | None = None,
        outputs: Path | None = None,
        scored: bool = True,
    ) -> None:
        """`outputs`: folder where SUMO's own files are kept; `scored`: whether fusion is held against the truth."""
        self.outputs, self.scored = outputs, scored
        self.scenario, self.setup, self.metrics = scenario, setup, Metrics()
        loaded = [junction.code.code for junction in scenario.junctions]
        config = EngineConfig(scenario.gateways, priority=PrioritySettings(trust_declared=True))
        self.engine = Engine(loaded, config, self.metrics)
        self.recorder = Recorder(record) if record else None
        self.truth_file = TruthFile(self.recorder.first.with_suffix(".truth.mcap"), scenario) if self.recorder else None
        if self.recorder:
            self.recorder.meta("config", msgspec.json.encode(config))
            for code in loaded:
                self.recorder.meta("code", codes.dump(code))
        self.models = {
            junction.id: [RsuModel(junction, k, setup.noise, setup.seed) for k in range(len(junction.rsus))]
            for junction in scenario.junctions
        }
        offsets = np.random.default_rng([setup.seed, 5])
        self.offset = {name: int(offsets.normal(0, setup.noise.clock_ms) * MS) for name in scenario.gateways}
        self.watch = Watch(scenario)
        self.advised: Counter[str] = Counter()
        self.late = 0
        self.controllers: dict[str, Controller] = {}  # of the signals that take requests
        self._queue: list[tuple[int, int, RawMessage]] = []
        self._advice: list[tuple[int, int, Advisory]] = []
        self._count = 0
        self._seq: Counter[str] = Counter()
        self._encode = msgspec.msgpack.Encoder().encode
        self._json = msgspec.json.Encoder().encode

    def run(self, progress: Callable[[float, float], None] = lambda done, total: None) -> dict[str, object]:
        """Run it; `progress` gets simulated seconds done and in all."""
        with tempfile.TemporaryDirectory() as folder:
            kept = self.outputs or Path(folder)
            tripinfo = kept / "trips.xml"
            args = ("--statistic-output", str(kept / "statistics.xml"), *self.setup.arguments)
            traffic = Traffic(self.scenario, self.setup.seed, self.setup.step_s, EPOCH, tripinfo, args)
            try:
                took = self._drive(traffic, progress)
            finally:
                traffic.close()
            result = {
                "scenario": self.scenario.name,
                "seed": self.setup.seed,
                "penetration": self.setup.penetration,
                "advice": "on" if self.setup.advice else "off",
                "noise": asdict(self.setup.noise),
                "traffic": trips(tripinfo),
            }
        result["speed"] = took
        result |= dict.fromkeys(("latency_us", "fusion", "advisories"))  # null without advice: there is no node then
        if self.setup.advice:
            result |= {
                "latency_us": self._latency(),
                "fusion": self.watch.figures(),
                "advisories": self._advisories(),
                "counters": self.metrics.by_source(""),
            }
        if self.recorder and self.truth_file:
            self.recorder.close()
            self.truth_file.close()
        return result

    def _drive(self, traffic: Traffic, progress: Callable[[float, float], None]) -> dict[str, float]:
        setup = self.setup
        total = setup.seconds or self.scenario.end - self.scenario.begin
        start = stopwatch()
        if setup.warm_up:
            traffic.fast_forward(setup.warm_up)
        fleet = Fleet(self.scenario, setup.seed, setup.penetration)
        if setup.priority:
            self.controllers = {j.id: Controller(j, traffic.programs[j.id]) for j in self.scenario.junctions}
        if setup.advice:
            self._register_sensors(traffic.t)
        begun = traffic.t
        steps = 0
        while not self.is_over(traffic, (traffic.t - begun) / SECOND, total):
            traffic.step()
            steps += 1
            self.on_step(traffic)
            for controller in self.controllers.values():
                controller.step()
            if setup.advice:
                self._observe(traffic, fleet)
            if steps % 200 == 0:
                progress((traffic.t - begun) / SECOND, total)
        took = (stopwatch() - start) / SECOND
        return {
            "simulated_s": (traffic.t - begun) / SECOND,
            "took_s": took,
            "times_real": (traffic.t - begun) / SECOND / max(took, 1e-9),
        }

    def is_over(self, traffic: Traffic, done: float, total: float) -> bool:
        """Return whether to end, `done` of `total` simulated seconds in; here: when the time is up or the roads are empty."""
        return done >= total or traffic.done

    def on_step(self, traffic: Traffic) -> None:
        """Called after each step of SUMO, before it is observed."""

    def on_truth(self, truth: Truth) -> None:
        """Called ten times a second with everyone as they are."""

    def on_advisory(self, advisory: Advisory, arrives: int, fleet: Fleet) -> None:
        """Called when an advisory arrives at a vehicle, in time; here: the vehicle acts on it."""
        fleet.follow(advisory.target[8:], advisory)

    # --- one step of observation ---

    def _observe(self, traffic: Traffic, fleet: Fleet) -> None:
        t = traffic.t
        self._deliver(t, fleet)
        fleet.release(t)
        if (t - EPOCH) % (100 * MS) < round(self.setup.step_s * SECOND):
            truth = traffic.truth()
            for junction in self.scenario.junctions:
                self._sense(junction, truth, traffic)
            states = fleet.states(truth)
            for name, state in states.items():
                self._push(t + REPORT_DELAY, RawMessage("state", name, self._json(state)))
            if self.setup.priority:
                for name, request in fleet.requests(truth.t, states).items():
                    self._push(t + REPORT_DELAY, RawMessage("requests", name, self._json(request)))
            self.on_truth(truth)
            if self.scored:
                self.watch.note(truth, self.engine)
            if self.truth_file:
                self.truth_file.note(truth)

    def _sense(self, junction: Junction, truth: Truth, traffic: Traffic) -> None:
        gateway = next(name for name, rsus in self.scenario.gateways.items() if junction.rsus[0].id in rsus)
        offset, t = self.offset[gateway], truth.t
        around = near(truth, junction)
        for model in self.models[junction.id]:
            rsu = model.rsu
            block = self._encode(pack(model.observe(around)))
            for stamp in model.stamps(t):
                body = Perception(
                    VERSION, rsu.id, "fused", self._next(rsu.id), stamp + offset, rsu.lat, rsu.lon, msgspec.Raw(block)
                )
                due = model.leaves(stamp) + int(self.setup.extra_delay_ms * MS)
                self._push(due, RawMessage("perception", gateway, self._encode(body)))
        groups = tuple(shifted(group, offset) for group in traffic.groups(junction))
        signal = Signal(
            VERSION,
            junction.rsus[0].id,
            junction.id,
            junction.code.code.revision,
            self._next(junction.id),
            t + offset,
            groups,
        )
        self._push(t + SIGNAL_DELAY, RawMessage("signal", gateway, self._encode(signal)))

    def _register_sensors(self, t: int) -> None:
        for gateway, rsus in self.scenario.gateways.items():
            units = [rsu for junction in self.scenario.junctions for rsu in junction.rsus if rsu.id in rsus]
            for rsu in units:
                self._push(
                    t,
                    RawMessage(
                        "hello", gateway, self._encode(Hello(VERSION, gateway, (rsu.id,), (rsu.sensor,), "sim"))
                    ),
                )
            self._push(t, RawMessage("sync", gateway, self._encode(exchange(gateway, t, self.offset[gateway]))))

    def _next(self, stream: str) -> int:
        self._seq[stream] += 1
        return self._seq[stream]

    def _push(self, at: int, datum: RawMessage) -> None:
        self._count += 1
        heapq.heappush(self._queue, (-(-at // SLOT) * SLOT, self._count, datum))

    # --- the node, and what it says ---

    def _deliver(self, now: int, fleet: Fleet) -> None:
        while self._queue and self._queue[0][0] <= now:
            at = self._queue[0][0]
            batch = []
            while self._queue and self._queue[0][0] == at:
                batch.append(heapq.heappop(self._queue)[2])
            self._step(at, batch)
        due = self.engine.next_plan()
        if due is not None and due <= now:
            self._step(now, [])
        while self._advice and self._advice[0][0] <= now:
            arrives, _, advisory = heapq.heappop(self._advice)
            if arrives >= advisory.valid_until:
                self.late += 1
            elif advisory.target.startswith("vehicle:"):
                self.on_advisory(advisory, arrives, fleet)

    def _step(self, t: int, batch: list[RawMessage]) -> None:
        self._lap = stopwatch()
        out = self.engine.step(t, batch, self._time)
        for gateway, kind, body in out.replies:
            if kind == "priority" and body.intersection in self.controllers:
                self.controllers[body.intersection].ask(body, t + self.offset[gateway])
        for advisory in out.advisories:
            self.advised[advisory.kind] += 1
            self._count += 1
            arrives = t + ADVICE_DELAY + int(self.setup.extra_delay_ms * MS)
            heapq.heappush(self._advice, (arrives, self._count, advisory))
            if advisory.inputs.t_sensor:
                self.metrics.time("sensor_to_vehicle", (arrives - advisory.inputs.t_sensor) / 1000)
        if self.recorder:
            self.recorder.step(t, batch, [encode(advisory) for advisory in out.advisories])

    def _time(self, name: str) -> None:
        now = stopwatch()
        self.metrics.time(name, (now - self._lap) / 1000)
        self._lap = now

    def _latency(self) -> dict[str, object]:
        return {name: histogram.summary() for name, histogram in self.metrics.histograms.items()}

    def _advisories(self) -> dict[str, object]:
        return {"sent": sum(self.advised.values()), "by_kind": dict(sorted(self.advised.items())), "late": self.late}


def shifted(group: msgspec.Struct, offset: int) -> msgspec.Struct:
    """Return a signal group with its times on a gateway's clock."""
    times = {
        name: getattr(group, name) + offset
        for name in ("min_end", "max_end", "likely_end", "next_green")
        if getattr(group, name) is not None
    }
    return msgspec.structs.replace(group, **times)


def exchange(gateway: str, t: int, offset: int) -> msgspec.Struct:
    """Return a complete clock exchange of a gateway whose clock is `offset` ns off, over a path of 2 ms each way."""
    return Sync(VERSION, gateway, t + offset, t + 2 * MS, t + 2 * MS, t + 4 * MS + offset)
