"""One run of the closed-loop study: one seed, one share of connected vehicles, one adviser; every trip of it, kept as
JSON.

The runs of a study differ in nothing but the adviser: same trips, same seed, same step, same vehicles connected.
"""

import hashlib
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import libsumo
import msgspec
import numpy as np

import cloudctl

from ...metrics import Metrics
from ...topics import TOPICS
from ..loop.run import Loop, Setup
from ..loop.sensors import Noise
from ..loop.traffic import Traffic
from ..loop.vehicles import connected
from ..scenario.scenario import Scenario, corridor, inputs, load

ARMS = ("none", "glosa-default", "glosa-best", "glosa-best-queue", "ours")
GLOSA = {
    "glosa-default": ("--device.glosa.range", "100", "--device.glosa.min-speed", "5"),
    "glosa-best": ("--device.glosa.range", "500", "--device.glosa.min-speed", "2.8"),
    "glosa-best-queue": (
        *("--device.glosa.range", "500", "--device.glosa.min-speed", "2.8"),
        *("--device.glosa.use-queue", "true"),
    ),
}
MAX_DRAIN = 1800.0  # s after the demand, until the last vehicle of it has arrived
HALTING_SPEED = 0.1  # m/s: a vehicle below it is stationary, as SUMO counts it
# m/s: only above it has a vehicle set off again; inching along in a queue is no further stop
MOVING_SPEED = 1.5
COHORT_STEPS = 50  # between two looks at which vehicles are still on their way
TRIP = {  # our name: SUMO's in a tripinfo file
    "depart_s": "depart",
    "depart_delay_s": "departDelay",
    "travel_time_s": "duration",
    "waiting_s": "waitingTime",
    "halts": "waitingCount",
    "length_m": "routeLength",
}
BICYCLES = ("bicycle", "bike", "pedestrian")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a study; its `name` is its file in the study's folder."""

    source: str  # a .sumocfg file, or `corridor`
    arm: str
    seed: int
    penetration: float
    seconds: float | None
    step_s: float
    delay_ms: float
    miss: float | None
    # All there are, where a share of them gets a device
    vehicles: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """A name for its files, from what decides its outcome."""
        parts = [self.arm]
        if self.arm != "none":
            parts.append(f"p{self.penetration:g}")
        if self.arm == "ours" and self.delay_ms:
            parts.append(f"d{self.delay_ms:g}")
        if self.arm == "ours" and self.miss is not None:
            parts.append(f"m{self.miss:g}")
        return "-".join([*parts, f"s{self.seed}"])

    def key(self) -> dict[str, Any]:
        """Return what a cached result must agree with to be used again."""
        return {
            "source": self.source,
            "arm": self.arm,
            "seed": self.seed,
            "penetration": 0.0 if self.arm == "none" else self.penetration,
            "seconds": self.seconds,
            "step_s": self.step_s,
            "delay_ms": self.delay_ms if self.arm == "ours" else 0.0,
            "miss": self.miss if self.arm == "ours" else None,
            "made_from": digest(self.source, ours=self.arm == "ours"),
        }


def scenario_of(source: str, folder: Path) -> Scenario:
    """Return the scenario of a `--sumocfg` argument; raises ScenarioError (a ValueError) where there is none."""
    if source == "corridor":
        return corridor(folder / "corridor")
    return load(Path(source))


@cache
def digest(source: str, ours: bool, modules: tuple[str, ...] = ("study/seed_run",)) -> str:
    """Return a digest of what decides a run besides its settings: the scenario's files, SUMO, `modules` of the
    simulation that
    measure, and for our advice our own code."""
    package_root = Path(__file__).parent.parent
    demand = ("loop/traffic", "loop/signal_program", "loop/bounds", "scenario/scenario", "scenario/demand")
    names = (*demand, "loop/run", "loop/sensors", "loop/vehicles") if ours else demand
    files = [package_root / f"{name}.py" for name in (*names, *modules)]
    files += [] if source == "corridor" else inputs(Path(source))

    if ours:
        package = Path(cloudctl.__file__).parent
        files += sorted(
            path for path in package.rglob("*") if path.suffix in (".py", ".so") and package_root not in path.parents
        )

    total = hashlib.sha256(repr(libsumo.simulation.getVersion()).encode())
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()[:16]


class Trace:
    """The place of every vehicle, once a second, and what the signals showed."""

    def __init__(self, scenario: Scenario) -> None:
        self.signals: dict[str, list[tuple[float, str]]] = {junction.signal: [] for junction in scenario.junctions}
        self.routes: dict[str, list[str]] = {}
        self.edges: dict[str, int] = {}
        # s, vehicle, edge, m along it, m/s
        self.rows: list[tuple[float, int, int, float, float]] = []
        self._numbers: dict[str, int] = {}
        self._lanes: dict[str, int] = {}

    def note(self, seconds: float) -> None:
        """Note this moment; call it every step, it looks at vehicles on whole seconds only."""
        for name in libsumo.simulation.getDepartedIDList():
            self.routes[name] = list(libsumo.vehicle.getRoute(name))
            self._numbers[name] = len(self._numbers)

        for signal, changes in self.signals.items():
            state = libsumo.trafficlight.getRedYellowGreenState(signal)
            if not changes or changes[-1][1] != state:
                changes.append((round(seconds, 3), state))

        if abs(seconds - round(seconds)) < 1e-6:
            vehicles = libsumo.vehicle
            for name in vehicles.getIDList():
                edge = self._edge(vehicles.getLaneID(name))
                position, speed = vehicles.getLanePosition(name), vehicles.getSpeed(name)
                self.rows.append((seconds, self._numbers[name], edge, position, speed))

    def _edge(self, lane: str) -> int:
        number = self._lanes.get(lane)
        if number is None:
            number = self._lanes[lane] = self.edges.setdefault(lane.rpartition("_")[0], len(self.edges))
        return number

    def save(self, file: Path) -> None:
        """Write the rows, one column an array, and the names of vehicles and edges by number."""
        columns = np.array(self.rows, float).reshape(-1, 5).T
        np.savez_compressed(
            file,
            t=columns[0].astype(np.float32),
            vehicle=columns[1].astype(np.int32),
            edge=columns[2].astype(np.int32),
            at=columns[3].astype(np.float32),
            speed=columns[4].astype(np.float32),
            vehicles=np.array(list(self._numbers), str),
            edges=np.array(list(self.edges), str),
        )

    def stops(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return how often a vehicle came to stand, by edge and by vehicle: below HALTING_SPEED, having been above
        MOVING_SPEED since.
        """
        by_edge: Counter[int] = Counter()
        by_vehicle: Counter[int] = Counter()
        standing: set[int] = set()

        for _, vehicle, edge, _, speed in self.rows:
            if speed < HALTING_SPEED and vehicle not in standing:
                standing.add(vehicle)
                by_edge[edge] += 1
                by_vehicle[vehicle] += 1
            elif speed > MOVING_SPEED:
                standing.discard(vehicle)

        return (
            {name: by_edge[edge_id] for name, edge_id in sorted(self.edges.items()) if by_edge[edge_id]},
            {name: by_vehicle[edge_id] for name, edge_id in self._numbers.items()},
        )


class StudyLoop(Loop):
    """A run that ends when every vehicle of the demand's span has arrived."""

    def __init__(self, scenario: Scenario, setup: Setup, outputs: Path) -> None:
        super().__init__(scenario, setup, outputs=outputs, scored=False)
        self.trace = Trace(scenario)
        self._cohort: set[str] | None = None

    def is_over(self, traffic: Traffic, done: float, total: float) -> bool:
        """Return whether all vehicles that were to depart within the span have arrived, or were waited for MAX_DRAIN
        s."""
        if traffic.done or done >= total + MAX_DRAIN:
            return True
        if done < total:
            return False

        if self._cohort is None or round(done / self.setup.step_s) % COHORT_STEPS == 0:
            under_way = {*libsumo.vehicle.getIDList(), *libsumo.simulation.getPendingVehicles()}
            self._cohort = under_way if self._cohort is None else self._cohort & under_way

        return not self._cohort

    def on_step(self, traffic: Traffic) -> None:
        self.trace.note(traffic.seconds)


def run(job: Job, folder: Path) -> dict[str, Any]:
    """Run one job; its result is written to `folder`/NAME.json, its trajectories to `folder`/NAME.npz."""
    scenario = scenario_of(job.source, folder / "input" / job.name)
    is_ours = job.arm == "ours"

    setup = Setup(
        seed=job.seed,
        penetration=job.penetration,
        advice=is_ours,
        seconds=job.seconds,
        step_s=job.step_s,
        noise=Noise() if job.miss is None else Noise(miss=job.miss),
        extra_delay_ms=job.delay_ms / 2 if is_ours else 0.0,
        arguments=device(job),
    )
    with tempfile.TemporaryDirectory() as outputs:
        loop = StudyLoop(scenario, setup, Path(outputs))
        figures = loop.run()
        span = job.seconds or scenario.end - scenario.begin

        result: dict[str, Any] = {
            "key": job.key(),
            "scenario": scenario.name,
            "trips": trips(Path(outputs) / "trips.xml", scenario.begin, scenario.begin + span),
            **statistics(Path(outputs) / "statistics.xml"),
        }

    by_edge, by_vehicle = loop.trace.stops()
    for name, trip in result["trips"].items():
        trip["stops"] = by_vehicle.get(name, 0)
    result |= {
        "speed": figures["speed"],
        "advisories": figures.get("advisories"),
        "refused": refused(loop.metrics),
        "stops_by_edge": by_edge,
        "signals": loop.trace.signals,
        "routes": loop.trace.routes,
    }

    loop.trace.save(folder / f"{job.name}.npz")
    file = folder / f"{job.name}.json"
    part = file.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(result))
    # A run that was interrupted leaves nothing that looks done
    part.replace(file)

    return result


def refused(metrics: Metrics) -> dict[str, tuple[int, int]]:
    """Return (refused, received) messages, of each kind of which the node refused any."""
    return {
        kind: (rejected, rejected + metrics.total(f"accept.{kind}"))
        for kind in TOPICS
        if (rejected := metrics.total(f"reject.{kind}"))
    }


def device(job: Job) -> tuple[str, ...]:
    """Return SUMO's arguments that equip the same vehicles with its own device as are connected in ours."""
    if job.arm not in GLOSA:
        return ()
    if job.penetration >= 1.0:
        return (*GLOSA[job.arm], "--device.glosa.probability", "1")

    chosen = [name for name in job.vehicles if connected(name, job.seed, job.penetration)]
    return (*GLOSA[job.arm], "--device.glosa.explicit", ",".join(chosen))


def trips(tripinfo: Path, begin: float, end: float) -> dict[str, dict[str, float]]:
    """Return the finished motor trips meant to depart within [begin, end) s, by vehicle: the figures of TRIP."""
    finished: dict[str, dict[str, float]] = {}
    for _, trip in ET.iterparse(tripinfo):
        if trip.tag != "tripinfo":
            continue

        figures = {name: float(trip.get(attribute, 0)) for name, attribute in TRIP.items()}
        is_motor = not any(word in trip.get("vType", "") for word in BICYCLES)
        if is_motor and begin <= figures["depart_s"] - figures["depart_delay_s"] < end:
            emissions = trip.find("emissions")
            figures["fuel_g"] = float(emissions.get("fuel_abs", 0)) / 1000 if emissions is not None else 0.0
            finished[trip.attrib["id"]] = figures

        # The file of a long run is larger than memory
        trip.clear()

    return finished


def statistics(file: Path) -> dict[str, Any]:
    """Return what SUMO counted of a run: collisions, vehicles it teleported, emergency braking, trips that never
    ended.
    """
    root = ET.parse(file).getroot()
    places = {
        "collisions": ("safety", "collisions"),
        "emergency_brakings": ("safety", "emergencyBraking"),
        "teleports": ("teleports", "total"),
        "still_running": ("vehicles", "running"),
        "never_departed": ("vehicles", "waiting"),
    }

    counts = {}
    for name, (tag, attribute) in places.items():
        node = root.find(tag)
        if node is not None:
            counts[name] = int(float(node.get(attribute, 0)))

    return {"counts": counts}
