"""`cloudctl sim priority`: what signal priority gives buses, and what it costs all others, with advice to all on both
sides.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import libsumo
import msgspec

from ...clock import SECOND, stopwatch
from ..common import pool
from ..common.terminal import table
from ..loop.run import Setup
from ..loop.traffic import Traffic
from ..scenario.scenario import Scenario
from . import ratio
from .bench import numbers
from .seed_run import StudyLoop, scenario_of, trips

FIGURES = ("travel_time_s", "waiting_s", "stops", "fuel_g")
HEADER = ("with priority, against without", "trips", "travel time", "waiting", "stops", "fuel")


class PriorityLoop(StudyLoop):
    """A run that notes which vehicles are buses."""

    def __init__(self, scenario: Scenario, setup: Setup, outputs: Path) -> None:
        super().__init__(scenario, setup, outputs)
        self.buses: set[str] = set()

    def on_step(self, traffic: Traffic) -> None:
        super().on_step(traffic)
        departed = libsumo.simulation.getDepartedIDList()
        self.buses |= {name for name in departed if libsumo.vehicle.getVehicleClass(name) == "bus"}


class Work(NamedTuple):
    """One run of the bench."""

    source: str  # a .sumocfg file, or `corridor`
    seed: int
    seconds: float
    priority: bool
    folder: Path


def run(args: argparse.Namespace) -> None:
    """Run the bench from the command line's arguments: runs, table, figures as JSON."""
    if args.seconds <= 0 or args.jobs < 1:
        raise ValueError(f"--seconds {args.seconds} --jobs {args.jobs}: seconds must be above 0, jobs 1 or more")

    args.out.mkdir(parents=True, exist_ok=True)
    seeds = numbers(args.seeds)
    works = [
        Work(source=args.sumocfg, seed=seed, seconds=args.seconds, priority=priority, folder=args.out)
        for seed in seeds
        for priority in (False, True)
    ]

    results: dict[tuple[int, bool], dict[str, Any]] = {}
    start = stopwatch()

    for number, (work, result) in enumerate(pool.each(_one, works, args.jobs), 1):
        # Means over the seeds that SUMO survived would favour one of the two
        if result is None:
            raise RuntimeError(
                f"SUMO died in seed {work.seed}. Leave it out, or run the scenario in sumo itself to see why"
            )

        results[work.seed, work.priority] = result
        remaining = (stopwatch() - start) / SECOND / number * (len(works) - number)
        print(f"priority: {number} of {len(works)} runs, {remaining:.0f} s left", file=sys.stderr, flush=True)

    figures = judge([results[seed, False] for seed in seeds], [results[seed, True] for seed in seeds])
    print(f"seeds {seeds}, {args.seconds:.0f} s of departures each\n\n{figures_table(figures)}")
    changes = sum(results[seed, True]["changes"] for seed in seeds)
    print(
        f"\n{figures['requests']} requests, {changes} changes of a phase, {figures['countdown']} countdowns that the"
        " signals broke"
    )
    file = args.out / "priority.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    print(f"wrote {file}")


def judge(without: list[dict[str, Any]], with_priority: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the ratios, with over without priority: of buses, and of all others."""
    buses = {name for run in without for name in run["buses"]}

    def trips_of(runs: list[dict[str, Any]], of_buses: bool) -> list[dict[str, Any]]:
        return [{name: trip for name, trip in run["trips"].items() if (name in buses) == of_buses} for run in runs]

    return {
        "buses": ratio.compare(trips_of(without, True), trips_of(with_priority, True)),
        "others": ratio.compare(trips_of(without, False), trips_of(with_priority, False)),
        "requests": sum(run["requests"] for run in with_priority),
        "countdown": sum(run["countdown"] for run in with_priority),
    }


def figures_table(result: dict[str, Any]) -> str:
    """Return the ratios as text."""
    rows = []
    for name in ("buses", "others"):
        figures = result[name]
        cells = [
            f"{figures[key]['value']:.3f} ({figures[key]['low']:.3f}-{figures[key]['high']:.3f})" for key in FIGURES
        ]
        rows.append([name, figures["trips"], *cells])

    return table(HEADER, rows)


def _one(work: Work) -> dict[str, Any]:
    name = f"{'with' if work.priority else 'without'}-{work.seed}"
    scenario = scenario_of(work.source, work.folder / "input" / name)
    setup = Setup(seed=work.seed, seconds=work.seconds, priority=work.priority)

    with tempfile.TemporaryDirectory() as folder:
        loop = PriorityLoop(scenario, setup, Path(folder))
        loop.run()
        finished = trips(Path(folder) / "trips.xml", scenario.begin, scenario.begin + work.seconds)

    _, stops = loop.trace.stops()
    for vehicle, trip in finished.items():
        trip["stops"] = stops.get(vehicle, 0)
    counters = loop.metrics.by_source("")
    return {
        "trips": finished,
        "buses": sorted(loop.buses),
        "changes": sum(controller.changes for controller in loop.controllers.values()),
        "requests": sum(counters.get("vehicle.request", {}).values()),
        "countdown": sum(counters.get("signal.countdown", {}).values()),
    }
