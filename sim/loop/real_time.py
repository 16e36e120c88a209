"""One run over real sockets, in real time: SUMO here; gateways, node, broker and vehicle clients each in a process of their own."""

import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ... import codes
from ...clock import MS, SECOND, WallClock, sleep_until
from ...errors import CloudctlError
from ...io import broker
from ...io.recording.parts import unused
from ...io.zeromq import KeyPair, new_keys
from ...metrics import Histogram
from ...view.routes import new_token, page_address
from ..scenario.scenario import Scenario
from . import fleet_process, gateways
from .run import Setup
from .sensors import RsuModel, near
from .traffic import Traffic, Truth, trips
from .truthfile import TruthFile, fusion_figures
from .vehicles import Fleet

START = 30  # s a process may take to be ready


class LoopError(CloudctlError, RuntimeError):
    """A part of the loop did not start or died; the text says which and why."""


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
        if record is None:  # the folder's own, of an earlier run: replaced with all else in it
            self.record.unlink(missing_ok=True)
            self.record.with_suffix(".truth.mcap").unlink(missing_ok=True)
        else:
            self.record = unused(record, WallClock().now())
        self.truth_file = TruthFile(self.record.with_suffix(".truth.mcap"), scenario)
        self.broker = broker.start(folder / "broker", prefer=prefer)
        self.node_port = broker.free_port()
        self._page_bind = f"127.0.0.1:{broker.free_port()}" if view else ""
        self._page_token = new_token()
        self.page = page_address(f"http://{self._page_bind}", self._page_token) if view else ""
        self.lag = Histogram()
        self.applied: Counter[str] = Counter()
        self._node: subprocess.Popen[bytes] | None = None

    def run(self, progress: Callable[[float, float], None] = lambda done, total: None) -> dict[str, object]:
        """Run it for `setup.seconds` (the scenario's span when None) of real time; return the figures."""
        try:
            _node_key, plans = self._write_node()
            self._start_node()
            with tempfile.TemporaryDirectory() as scratch:
                tripinfo = Path(scratch) / "trips.xml"
                sent, heard = self._drive(plans, tripinfo, progress)
                self._stop_node()
                self.truth_file.close()
                return self._figures(tripinfo, sent, heard)
        finally:
            self._stop_node()
            self.broker.stop()

    # --- the node ---

    def _write_node(self) -> tuple[str, list[gateways.GatewayPlan]]:
        node, folder = new_keys(), self.folder
        (folder / "node.key").write_text(f'public = "{node.public}"\nsecret = "{node.secret}"\n')
        (folder / "node.key").chmod(0o600)
        offsets = np.random.default_rng([self.setup.seed, 5])
        text = [
            f'[node]\nbind = "tcp://127.0.0.1:{self.node_port}"\nkey = "node.key"\ncodes = ["*.code.json"]\nstatus = "status.json"\n'
            f'trace = "published.txt"\n\n[broker]\nopen = true\nport = {self.broker.port}\nversion = {self.broker.version}\n\n'
            f'[record]\npath = "{self.record.resolve()}"\n'
            "[priority]\ntrust_declared = true\n"
        ]
        if self._page_bind:
            text.append(f'[http]\nbind = "{self._page_bind}"\ntoken = "{self._page_token}"\n')
        for old in folder.glob("*.code.json"):
            old.unlink()
        for number, junction in enumerate(self.scenario.junctions):
            (folder / f"{number}.code.json").write_bytes(codes.dump(junction.code.code))
        plans = []
        for name, rsus in self.scenario.gateways.items():
            keys = new_keys()
            units = {rsu.id: rsu for junction in self.scenario.junctions for rsu in junction.rsus if rsu.id in rsus}
            bound = ", ".join(f'"{rsu}" = "{place}"' for rsu, place in rsus.items())
            text.append(f'\n[[gateway]]\nname = "{name}"\nkey = "{keys.public}"\nrsus = {{ {bound} }}\n')
            plans.append(
                gateways.GatewayPlan(
                    name,
                    f"tcp://127.0.0.1:{self.node_port}",
                    node.public,
                    KeyPair(*keys),
                    {rsu: (unit.sensor,) for rsu, unit in units.items()},
                    int(offsets.normal(0, self.setup.noise.clock_ms) * MS),
                )
            )
        (folder / "node.toml").touch(0o600)
        (folder / "node.toml").chmod(0o600)  # it holds the live page's token
        (folder / "node.toml").write_text("".join(text))
        return node.public, plans

    def _start_node(self) -> None:
        log = (self.folder / "node.log").open("wb")
        command = [sys.executable, "-m", "cloudctl", "serve", str(self.folder / "node.toml")]
        self._node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        log.close()
        assert self._node.stdout is not None
        line = self._node.stdout.readline()
        if b"serving" not in line:
            self._node.wait(5)
            raise LoopError(f"the node did not start: {(self.folder / 'node.log').read_text(errors='replace')[-800:]}")

    def _stop_node(self) -> None:
        if self._node and self._node.poll() is None:
            self._node.terminate()
            try:
                self._node.wait(15)
            except subprocess.TimeoutExpired:
                self._node.kill()
                self._node.wait()

    # --- the run ---

    def _drive(
        self, plans: list[gateways.GatewayPlan], tripinfo: Path, progress: Callable[[float, float], None]
    ) -> tuple[dict, dict]:
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
        if not to_fleet.poll(START) or to_fleet.recv() != "ready":
            raise LoopError("the vehicle clients' process did not start")
        traffic = Traffic(self.scenario, self.setup.seed, self.setup.step_s, 0, tripinfo, self.setup.arguments)
        try:
            if self.setup.warm_up:
                traffic.fast_forward(self.setup.warm_up)
            self._pace(traffic, to_gateways, to_fleet, progress)
        finally:
            traffic.close()
        to_gateways.send(None)
        sent = to_gateways.recv() if to_gateways.poll(START) else {}
        to_fleet.send(None)
        heard: dict = {}
        while to_fleet.poll(START):
            item = to_fleet.recv()
            if isinstance(item, dict):
                heard = item
                break
        for worker in workers:
            worker.join(5)
        return sent, heard

    def _pace(
        self, traffic: Traffic, to_gateways: object, to_fleet: object, progress: Callable[[float, float], None]
    ) -> None:
        models = {
            junction.id: [RsuModel(junction, k, self.setup.noise, self.setup.seed) for k in range(len(junction.rsus))]
            for junction in self.scenario.junctions
        }
        fleet = Fleet(self.scenario, self.setup.seed, self.setup.penetration)
        total = self.setup.seconds or self.scenario.end - self.scenario.begin
        wall = WallClock()
        traffic.epoch += wall.now() // MS * MS
        begun = traffic.t
        steps = 0
        while (traffic.t - begun) / SECOND < total and not traffic.done:
            traffic.step()
            steps += 1
            sleep_until(traffic.t)
            self.lag.add((wall.now() - traffic.t) / 1000)
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
            if steps % 10 == 0:
                progress((traffic.t - begun) / SECOND, total)

    def _sense(self, models: dict[str, list[RsuModel]], traffic: Traffic, truth: Truth, to_gateways: object) -> None:
        for junction in self.scenario.junctions:
            gateway = next(name for name, rsus in self.scenario.gateways.items() if junction.rsus[0].id in rsus)
            around = near(truth, junction)
            for model in models[junction.id]:
                rsu = model.rsu
                columns = model.observe(around)
                for stamp in model.stamps(truth.t):
                    due = model.leaves(stamp) + int(self.setup.extra_delay_ms * MS)
                    to_gateways.send(gateways.Sensed(due, gateway, rsu.id, stamp, rsu.lat, rsu.lon, columns))
            to_gateways.send(
                gateways.Sensed(
                    truth.t + 10 * MS,
                    gateway,
                    junction.rsus[0].id,
                    truth.t,
                    intersection=junction.id,
                    revision=junction.code.code.revision,
                    groups=traffic.groups(junction),
                )
            )

    # --- what came of it ---

    def _figures(self, tripinfo: Path, sent: dict, heard: dict) -> dict[str, object]:
        status = json.loads((self.folder / "status.json").read_text())
        published = dict(
            line.split() for line in (self.folder / "published.txt").read_text().splitlines() if " " in line
        )
        hops = {
            name: Histogram()
            for name in ("sensor_to_node", "node_to_published", "published_to_vehicle", "sensor_to_vehicle")
        }
        late = 0
        for name, _, t_sensor, t_rx, arrived, valid_until in heard.get("arrivals", ()):
            late += arrived >= valid_until
            at = int(published.get(name, 0))
            if at:
                hops["node_to_published"].add((at - t_rx) / 1000)
                hops["published_to_vehicle"].add((arrived - at) / 1000)
            hops["sensor_to_node"].add((t_rx - t_sensor) / 1000)
            hops["sensor_to_vehicle"].add((arrived - t_sensor) / 1000)
        counters = status["counters"]
        latency = {
            **{name: {**h.summary(), "buckets": h.counts} for name, h in hops.items()},
            **dict(status["latency_us"].items()),
        }
        arrived = len(heard.get("arrivals", ()))
        return {
            "scenario": self.scenario.name,
            "seed": self.setup.seed,
            "penetration": self.setup.penetration,
            "advice": "on",
            "broker": self.broker.name,
            "noise": asdict(self.setup.noise),
            "traffic": trips(tripinfo),
            "latency_us": latency,
            "fusion": fusion_figures(self.record, self.truth_file.path),
            "advisories": {
                "sent": sum(counters.get("advisory", {}).values()),
                "by_kind": counters.get("advisory", {}),
                "arrived": arrived,
                "late": late + heard.get("expired", 0),
                "followed": dict(self.applied),
            },
            "counters": counters,
            "gateways": sent,
            "pace_lag_us": self.lag.summary(),
            "recording": str(self.record),
        }
