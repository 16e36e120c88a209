"""`cloudctl sim priority`: what signal priority gives buses, and what it costs everybody else, with advice to all on both sides."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import libsumo
import msgspec

from ...clock import SECOND, stopwatch
from ..common import pool
from ..common.terminal import table
from ..loop.run import Setup
from ..loop.traffic import Traffic
from ..scenario.scenario import Scenario, corridor, load
from . import ratio
from .bench import numbers
from .seed_run import StudyLoop, trips

FIGURES = ("travel_time_s", "waiting_s", "stops", "fuel_g")
HEADER = ("with priority, against without", "trips", "travel time", "waiting", "stops", "fuel")


class PriorityLoop(StudyLoop):
    """A run that notes which vehicles are buses."""

    def __init__(self, scenario: Scenario, setup: Setup, outputs: Path) -> None:
        super().__init__(scenario, setup, outputs)
        self.buses: set[str] = set()

    def on_step(self, traffic: Traffic) -> None:
        super().on_step(traffic)
        api = libsumo.vehicle
        self.buses |= {name for name in libsumo.simulation.getDepartedIDList() if api.getVehicleClass(name) == "bus"}


def run(args: argparse.Namespace) -> None:
    """Run the bench from the command line's arguments: runs, table, figures as JSON."""
    if args.seconds <= 0 or args.jobs < 1:
        raise ValueError(f"--seconds {args.seconds} --jobs {args.jobs}: seconds must be above 0, jobs 1 or more")
    args.out.mkdir(parents=True, exist_ok=True)
    seeds = numbers(args.seeds)
    works = [(args.sumocfg, seed, args.seconds, asks, args.out) for seed in seeds for asks in (False, True)]
    found: dict[tuple[int, bool], dict[str, Any]] = {}
    start = stopwatch()
    for n, (work, result) in enumerate(pool.each(_one, works, args.jobs), 1):
        if result is None:
            raise RuntimeError(
                f"SUMO died in seed {work[1]}. Leave it out, or run the scenario in sumo itself to see why"
            )
        found[work[1], work[3]] = result
        left = (stopwatch() - start) / SECOND / n * (len(works) - n)
        print(f"priority: {n} of {len(works)} runs, {left:.0f} s left", file=sys.stderr, flush=True)
    result = judge([found[seed, False] for seed in seeds], [found[seed, True] for seed in seeds])
    print(f"seeds {seeds}, {args.seconds:.0f} s of departures each\n\n{figures_table(result)}")
    changes = sum(found[seed, True]["changes"] for seed in seeds)
    print(
        f"\n{result['requests']} requests, {changes} changes of a phase, {result['countdown']} broken countdowns told by the signals"
    )
    file = args.out / "priority.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    print(f"wrote {file}")


def judge(without: list[dict[str, Any]], given: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the ratios, with over without priority: of buses, and of everybody else."""
    buses = {name for one in without for name in one["buses"]}
    out: dict[str, Any] = {}
    for who in ("buses", "others"):
        sides = [
            [{n: t for n, t in one["trips"].items() if (n in buses) == (who == "buses")} for one in runs]
            for runs in (without, given)
        ]
        out[who] = ratio.compare(*sides)
    out["requests"] = sum(one["requests"] for one in given)
    out["countdown"] = sum(one["countdown"] for one in given)
    return out


def figures_table(result: dict[str, Any]) -> str:
    """Return the ratios as text."""
    rows = []
    for who in ("buses", "others"):
        found = result[who]
        cells = [f"{found[k]['value']:.3f} ({found[k]['low']:.3f}-{found[k]['high']:.3f})" for k in FIGURES]
        rows.append([who, found["trips"], *cells])
    return table(HEADER, rows)


def _one(work: tuple[str, int, float, bool, Path]) -> dict[str, Any]:
    source, seed, seconds, asks, out = work
    name = f"{'with' if asks else 'without'}-{seed}"
    scenario = corridor(out / "input" / name) if source == "corridor" else load(Path(source))
    with tempfile.TemporaryDirectory() as folder:
        loop = PriorityLoop(scenario, Setup(seed, seconds=seconds, priority=asks), Path(folder))
        loop.run()
        ended = trips(Path(folder) / "trips.xml", scenario.begin, scenario.begin + seconds)
    _, stops = loop.trace.stops()
    for vehicle, trip in ended.items():
        trip["stops"] = stops.get(vehicle, 0)
    counters = loop.metrics.by_source("")
    return {
        "trips": ended,
        "buses": sorted(loop.buses),
        "changes": sum(controller.changes for controller in loop.controllers.values()),
        "requests": sum(counters.get("vehicle.request", {}).values()),
        "countdown": sum(counters.get("signal.countdown", {}).values()),
    }
