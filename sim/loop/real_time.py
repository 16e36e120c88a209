"""One run over real sockets, in real time: SUMO here; gateways, node, broker and vehicle clients each in a process of
their own.
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ... import codes
from ...clock import MS, SECOND, WallClock, sleep_until
from ...errors import CloudctlError
from ...io import broker
from ...io.ports import free_port
from ...io.recording.parts import unused
from ...io.zeromq import KeyPair, new_keys
from ...metrics import Histogram
from ...view.routes import new_token, page_address
from ..scenario.scenario import Scenario
from . import fleet_process, gateways
from .fleet_process import Arrival
from .run import Setup, clock_offsets, gateway_of
from .sensors import RsuModel, near
from .traffic import Traffic, Truth, trips
from .truthfile import TruthFile, fusion_figures
from .vehicles import Fleet

START_TIMEOUT = 30  # s that a process may take to be ready, or to answer at the end
STOP_TIMEOUT = 15  # s that the node may take to close its recording
SIGNAL_DELAY = 10 * MS
PROGRESS_STEPS = 10  # between two calls of `progress`
LOG_EXCERPT = 800  # characters of the node's log in an error


class LoopError(CloudctlError, RuntimeError):
    """A part of the loop did not start or died; the text names it and the cause."""


class LiveLoop:
    """The loop over sockets. Files of the run (keys, configuration, recording, truth, logs) go into `folder`."""

    def __init__(
        self,
        scenario: Scenario,
        setup: Setup,
        folder: Path,
        prefer: str | None = None,
        record: Path | None = None,
        view: bool = False,
    ) -> None:
        """`view`: the node serves its live page, at the address `page`."""
        self.scenario, self.setup, self.folder = scenario, setup, folder
        folder.mkdir(parents=True, exist_ok=True)

        self.record = record or folder / f"{scenario.name}.mcap"
        # The folder's own, of an earlier run: replaced with all else in it
        if record is None:
            self.record.unlink(missing_ok=True)
            self.record.with_suffix(".truth.mcap").unlink(missing_ok=True)
        else:
            self.record = unused(record, WallClock().now())

        self.truth_file = TruthFile(self.record.with_suffix(".truth.mcap"), scenario)
        self.broker = broker.start(folder / "broker", prefer=prefer)
        self.node_port = free_port()
        self._page_bind = f"127.0.0.1:{free_port()}" if view else ""
        self._page_token = new_token()
        self.page = page_address(f"http://{self._page_bind}", self._page_token) if view else ""
        self.lag = Histogram()  # us, of the steps behind real time
        self.applied: Counter[str] = Counter()
        self._node: subprocess.Popen[bytes] | None = None

    def run(self, progress: Callable[[float, float], None] = lambda done, total: None) -> dict[str, object]:
        """Run it for `setup.seconds` (the scenario's span when None) of real time; return the figures."""
        try:
            plans = self._write_node()
            self._start_node()

            with tempfile.TemporaryDirectory() as scratch:
                tripinfo = Path(scratch) / "trips.xml"
                sent, received = self._drive(plans, tripinfo, progress)
                self._stop_node()
                self.truth_file.close()
                return self._figures(tripinfo, sent, received)
        finally:
            self._stop_node()
            self.broker.stop()

    # --- the node ---

    def _write_node(self) -> list[gateways.GatewayPlan]:
        """Write the node's file, keys and codes as an operator would, and return what each gateway needs."""
        node, folder = new_keys(), self.folder
        (folder / "node.key").write_text(f'public = "{node.public}"\nsecret = "{node.secret}"\n')
        (folder / "node.key").chmod(0o600)
        for old in folder.glob("*.code.json"):
            old.unlink()
        for number, junction in enumerate(self.scenario.junctions):
            (folder / f"{number}.code.json").write_bytes(codes.dump(junction.code.code))

        text = [
            f'[node]\nbind = "tcp://127.0.0.1:{self.node_port}"\nkey = "node.key"\ncodes = ["*.code.json"]\nstatus ='
            f' "status.json"\ntrace = "published.txt"\n\n[broker]\nopen = true\nport = {self.broker.port}\nversion ='
            f' {self.broker.version}\n\n[record]\npath = "{self.record.resolve()}"\n[priority]\ntrust_declared = true\n'
        ]
        if self._page_bind:
            text.append(f'[http]\nbind = "{self._page_bind}"\ntoken = "{self._page_token}"\n')
        offsets = clock_offsets(self.scenario, self.setup)
        plans = []

        for name, rsus in self.scenario.gateways.items():
            keys = new_keys()
            units = {rsu.id: rsu for junction in self.scenario.junctions for rsu in junction.rsus if rsu.id in rsus}
            bound = ", ".join(f'"{rsu}" = "{intersection}"' for rsu, intersection in rsus.items())
            text.append(f'\n[[gateway]]\nname = "{name}"\nkey = "{keys.public}"\nrsus = {{ {bound} }}\n')

            plans.append(
                gateways.GatewayPlan(
                    name=name,
                    address=f"tcp://127.0.0.1:{self.node_port}",
                    node_key=node.public,
                    keys=KeyPair(*keys),
                    sensors={rsu: (unit.sensor,) for rsu, unit in units.items()},
                    offset=offsets[name],
                )
            )

        (folder / "node.toml").touch(0o600)
        (folder / "node.toml").chmod(0o600)  # it holds the live page's token
        (folder / "node.toml").write_text("".join(text))
        return plans

    def _start_node(self) -> None:
        log = (self.folder / "node.log").open("wb")
        command = [sys.executable, "-m", "cloudctl", "serve", str(self.folder / "node.toml")]
        self._node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        log.close()
        assert self._node.stdout is not None

        line = self._node.stdout.readline()
        if b"serving" not in line:
            self._node.wait(5)
            reason = (self.folder / "node.log").read_text(errors="replace")[-LOG_EXCERPT:]
            raise LoopError(f"the node did not start: {reason}")

    def _stop_node(self) -> None:
        if self._node and self._node.poll() is None:
            self._node.terminate()
            try:
                self._node.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._node.kill()
                self._node.wait()

    # --- the run ---

    def _drive(
        self, plans: list[gateways.GatewayPlan], tripinfo: Path, progress: Callable[[float, float], None]
    ) -> tuple[dict, dict]:
        """Run gateways and vehicle clients beside SUMO; return what the gateways sent and what the vehicles
        received.
        """
        spawn = multiprocessing.get_context("spawn")
        to_gateways, gateway_end = spawn.Pipe()
        to_fleet, fleet_end = spawn.Pipe()

        workers = [
            spawn.Process(target=gateways.run, args=(gateway_end, plans), daemon=True),
            spawn.Process(
                target=fleet_process.run,
                args=(fleet_end, "127.0.0.1", self.broker.port, self.broker.version),
                daemon=True,
            ),
        ]
        for worker in workers:
            worker.start()
        if not to_fleet.poll(START_TIMEOUT) or to_fleet.recv() != "ready":
            raise LoopError("the vehicle clients' process did not start")

        traffic = Traffic(
            scenario=self.scenario,
            seed=self.setup.seed,
            step_s=self.setup.step_s,
            epoch=0,
            tripinfo=tripinfo,
            arguments=self.setup.arguments,
        )
        try:
            if self.setup.warm_up:
                traffic.fast_forward(self.setup.warm_up)
            self._pace(traffic, to_gateways, to_fleet, progress)
        finally:
            traffic.close()

        to_gateways.send(None)
        sent = to_gateways.recv() if to_gateways.poll(START_TIMEOUT) else {}
        to_fleet.send(None)
        received: dict = {}

        while to_fleet.poll(START_TIMEOUT):
            message = to_fleet.recv()
            # Advisories still under way come before the summary
            if isinstance(message, dict):
                received = message
                break

        for worker in workers:
            worker.join(5)
        return sent, received

    def _pace(
        self, traffic: Traffic, to_gateways: object, to_fleet: object, progress: Callable[[float, float], None]
    ) -> None:
        """Step SUMO in real time, and pass on what is sensed, reported and advised."""
        models = {
            junction.id: [
                RsuModel(junction=junction, index=index, noise=self.setup.noise, seed=self.setup.seed)
                for index in range(len(junction.rsus))
            ]
            for junction in self.scenario.junctions
        }

        fleet = Fleet(scenario=self.scenario, seed=self.setup.seed, penetration=self.setup.penetration)
        total = self.setup.seconds or self.scenario.end - self.scenario.begin
        wall = WallClock()
        # From here on simulated time is the time of the machine, so that stamps agree with the node's clock
        traffic.epoch += wall.now() // MS * MS

        begin = traffic.t
        steps = 0

        while (traffic.t - begin) / SECOND < total and not traffic.done:
            traffic.step()
            steps += 1
            sleep_until(traffic.t)
            self.lag.add((wall.now() - traffic.t) / 1000)

            # All that came meanwhile, none waited for: SUMO must not fall behind real time
            while to_fleet.poll(0):
                name, advisory = to_fleet.recv()
                if fleet.follow(name, advisory):
                    self.applied[advisory.kind] += 1

            fleet.release(traffic.t)

            truth = traffic.truth()
            self._sense(models, traffic, truth, to_gateways)
            states = fleet.states(truth)
            if states:
                to_fleet.send(states)
            self.truth_file.note(truth)
            if steps % PROGRESS_STEPS == 0:
                progress((traffic.t - begin) / SECOND, total)

    def _sense(self, models: dict[str, list[RsuModel]], traffic: Traffic, truth: Truth, to_gateways: object) -> None:
        for junction in self.scenario.junctions:
            gateway = gateway_of(self.scenario, junction)
            around = near(truth, junction)

            for model in models[junction.id]:
                rsu = model.rsu
                columns = model.observe(around)

                for stamp in model.stamps(truth.t):
                    frame = gateways.Sensed(
                        due=model.departure(stamp) + int(self.setup.extra_delay_ms * MS),
                        gateway=gateway,
                        rsu=rsu.id,
                        t=stamp,
                        lat=rsu.lat,
                        lon=rsu.lon,
                        columns=columns,
                    )

                    to_gateways.send(frame)

            to_gateways.send(
                gateways.Sensed(
                    due=truth.t + SIGNAL_DELAY,
                    gateway=gateway,
                    rsu=junction.rsus[0].id,
                    t=truth.t,
                    intersection=junction.id,
                    revision=junction.code.code.revision,
                    groups=traffic.groups(junction),
                )
            )

    # --- the figures ---

    def _figures(self, tripinfo: Path, sent: dict, received: dict) -> dict[str, object]:
        status = json.loads((self.folder / "status.json").read_text())
        arrivals = [Arrival(*row) for row in received.get("arrivals", ())]
        hops = self._hops(arrivals)
        latency = {name: {**histogram.summary(), "buckets": histogram.counts} for name, histogram in hops.items()}
        late = sum(arrival.t_arrived >= arrival.valid_until for arrival in arrivals)
        by_kind = status["advisories"]

        return {
            "scenario": self.scenario.name,
            "seed": self.setup.seed,
            "penetration": self.setup.penetration,
            "advice": "on",
            "broker": self.broker.name,
            "noise": asdict(self.setup.noise),
            "traffic": trips(tripinfo),
            "latency_us": latency | status["latency_us"],
            "fusion": fusion_figures(self.record, self.truth_file.path),
            "advisories": {
                "sent": sum(by_kind.values()),
                "by_kind": by_kind,
                "arrived": len(arrivals),
                "late": late + received.get("expired", 0),
                "followed": dict(self.applied),
            },
            # Of all sources together
            "counters": {name: {"": count} for name, count in status["counters"].items()},
            "gateways": sent,
            "pace_lag_us": self.lag.summary(),
            "recording": str(self.record),
        }

    def _hops(self, arrivals: list[Arrival]) -> dict[str, Histogram]:
        """Return how long advisories took from one place to the next, us."""
        lines = (self.folder / "published.txt").read_text().splitlines()
        # The last line may be cut off
        published = dict(line.split() for line in lines if " " in line)
        hops = {
            name: Histogram()
            for name in ("sensor_to_node", "node_to_published", "published_to_vehicle", "sensor_to_vehicle")
        }

        for arrival in arrivals:
            t_published = int(published.get(arrival.advisory, 0))
            if t_published:
                hops["node_to_published"].add((t_published - arrival.t_rx) / 1000)
                hops["published_to_vehicle"].add((arrival.t_arrived - t_published) / 1000)
            hops["sensor_to_node"].add((arrival.t_rx - arrival.t_sensor) / 1000)
            hops["sensor_to_vehicle"].add((arrival.t_arrived - arrival.t_sensor) / 1000)

        return hops
