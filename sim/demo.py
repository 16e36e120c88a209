"""`make demo`: two real-time runs over sockets, a study with and without advice, a table and a page."""

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from ..replay import Replay, replay
from . import report
from .common.terminal import Progress, figures_table, table
from .loop.real_time import LiveLoop
from .loop.run import Loop, Setup
from .scenario.scenario import Scenario, braunschweig, corridor

WARM_UP = {"braunschweig": 240.0, "corridor": 240.0}  # s of traffic before a run is observed


def run(folder: Path, seconds: float, study_seconds: float, seeds: int) -> int:
    """Run the demo into `folder`; returns 0 when no advisory came too late and the recordings replay byte-identical."""
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress("demo")
    scenarios = [braunschweig(progress.say), corridor(folder / "corridor", progress.say)]
    live = [_live(scenario, seconds, folder / scenario.name) for scenario in scenarios]
    study = _study(folder, study_seconds, seeds)
    replays = [replay(Path(r["recording"])) for r in live]
    proofs = [_proof(result) for result in replays]
    page = folder / "report.html"

    notes = [
        (
            f"Each scenario ran {seconds:.0f} s in real time over ZeroMQ (CURVE) and MQTT ({live[0]['broker']}), after"
            f" {WARM_UP['corridor']:.0f} s of traffic; gateways, node, broker and vehicle clients each in a process of"
            " their own."
        ),
        (
            f"The study ran {study_seconds:.0f} s of the same scenarios in one process, seeds 1 to {seeds}, every motor"
            " vehicle connected."
        ),
        *(f"Replay of {Path(r['recording']).name}: {proof}." for r, proof in zip(live, proofs, strict=True)),
        "Run it again with: make demo",
    ]

    report.write(page, live, study, notes)
    (folder / "figures.json").write_bytes(msgspec.json.format(msgspec.json.encode({"live": live, "study": study})))
    print(figures_table(live))
    rows = [
        [name, *(ratio[key] for key in ("stops", "waiting_s", "travel_time_s", "fuel_g"))]
        for name, ratio in report.ratios(study).items()
    ]
    print("\n" + table(["with advice / without", "stops", "waiting", "travel time", "fuel"], rows))
    for r, proof in zip(live, proofs, strict=True):
        print(f"replay of {r['recording']}: {proof}")
    print(f"\nreport: {page.resolve()}")
    print(f"the run on a page, to play, pause and seek: {_command()} replay {live[-1]['recording']} --view")
    late = sum(r["advisories"]["late"] for r in live)
    return int(late > 0 or not all(result.identical for result in replays))


def _command() -> str:
    """Return how this very program is called in the shell that the demo runs in."""
    script = Path(sys.executable).with_name("cloudctl")
    return os.path.relpath(script) if script.exists() else f"{sys.executable} -m cloudctl"


def _live(scenario: Scenario, seconds: float, folder: Path) -> dict[str, Any]:
    progress = Progress(f"{scenario.name}, over sockets")
    setup = Setup(seed=1, seconds=seconds, warm_up=WARM_UP[scenario.name])
    loop = LiveLoop(scenario=scenario, setup=setup, folder=folder, view=True)
    progress.say(f"watch it live: {loop.page}")
    result = loop.run(progress.at)
    progress.done()

    return result


def _study(folder: Path, seconds: float, seeds: int) -> list[dict[str, Any]]:
    jobs = [
        (name, seed, advice, seconds, folder)
        for seed in range(1, seeds + 1)
        for advice in (True, False)
        for name in WARM_UP
    ]
    if not seeds:
        return []

    progress = Progress(f"study with and without advice, {len(jobs)} runs")
    results = []

    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for result in pool.imap(_one, jobs):
            results.append(result)
            progress.at(len(results) * seconds, len(jobs) * seconds)

    progress.done()
    return sorted(results, key=lambda r: (r["scenario"], r["seed"], r["advice"]))


def _one(job: tuple[str, int, bool, float, Path]) -> dict[str, Any]:
    name, seed, advice, seconds, folder = job
    scenario = braunschweig() if name == "braunschweig" else corridor(folder / f"corridor-{seed}")
    return Loop(scenario, Setup(seed=seed, advice=advice, seconds=seconds)).run()


def _proof(result: Replay) -> str:
    if not result.identical:
        return f"NOT the same: {result.difference}"
    return f"byte-identical, {result.recorded} advisories, at {result.speed:.0f} x real time"
