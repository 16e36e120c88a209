"""`cloudctl sim warnings`: how often warnings are right, how many conflicts they find, and how early.

Vehicles receive warnings and do not react, so that truth is the same whatever is sent. Thresholds are chosen on the
training seeds,
figures are of the others. Each kind of signals (`programs.SIGNALS`) is a bench of its own over the same demand and
seeds.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ...clock import SECOND, stopwatch
from ..common import pool
from ..common.terminal import table
from ..loop.run import Setup
from ..loop.sensors import SENSING
from ..scenario import programs
from ..scenario.scenario import Scenario, braunschweig, corridor, drt, load
from ..study.bench import numbers
from ..study.seed_run import digest
from . import dangers, plot, score, seed_run
from .score import MATCHES, Run
from .seed_run import ReceivedWarning
from .ssm import Conflict

MEASURES = (
    *("warnings/seed_run", "warnings/dangers", "warnings/ssm", "warnings/encounters", "warnings/trails"),
    *("scenario/city", "scenario/programs", "common/net", "loop/bounds"),
)
HEADER = (
    "kind of warning",
    "threshold",
    "conflicts",
    "warnings",
    "precision",
    "recall",
    "by any kind",
    "of serious",
    "of visible",
    "lead s",
    "false / veh-h",
    "of them slowed",
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of the bench: everything that decides its outcome. Its file is in `folder`."""

    source: str  # a scenario's name, or its .sumocfg
    signals: str
    seed: int
    seconds: float
    warm_up: float
    penetration: float
    sensing: str
    violators: float
    folder: Path

    def key(self) -> dict[str, Any]:
        """Return what a file must agree with to be used again."""
        source = self.source if self.source == "corridor" else str(scenario_of(self.source, self.folder).sumocfg)
        settings = {name: value for name, value in vars(self).items() if name != "folder"}
        return settings | {"source": source, "made_from": digest(source, ours=True, modules=MEASURES)}


class Cached(msgspec.Struct):
    """A run as its file holds it."""

    key: dict[str, Any]
    hours: float
    warnings: tuple[ReceivedWarning, ...]
    truth: tuple[dict[str, Any], ...]
    connected: frozenset[str]


def run(args: argparse.Namespace) -> None:
    """Run the bench from the command line's arguments, for each kind of signals: runs, table, figures as JSON,
    plots.
    """
    train, test = numbers(args.train), numbers(args.seeds)
    if set(train) & set(test):
        raise ValueError(
            f"--train {args.train}: has seeds of --seeds {args.seeds}. Thresholds chosen on a seed say nothing on it:"
            " give others"
        )

    if args.seconds <= 0 or args.jobs < 1:
        raise ValueError(f"--seconds {args.seconds} --jobs {args.jobs}: seconds must be above 0, jobs 1 or more")

    max_violators = 1.0 - dangers.SHARES["careless"]
    if not 0.0 <= args.violators <= max_violators:
        raise ValueError(
            f"--violators {args.violators}: must be within 0 .. {max_violators:g}, the share of drivers that are not"
            " careless"
        )

    signals = list(dict.fromkeys(args.signals.split(",")))
    # A kind that the network cannot have is refused before the first has run for minutes
    for kind in signals:
        programs.with_signals(scenario_of(args.scenario, args.out), kind, args.out / kind)
    results = {kind: _bench(args, kind, train, test) for kind in signals}
    if len(results) > 1:
        print(f"\nall warnings, by kind of signals\n\n{signals_table(results)}")


def _bench(args: argparse.Namespace, signals: str, train: list[int], test: list[int]) -> dict[str, Any]:
    """Run the bench on one kind of signals, write and return the figures. Those of fixed signals go into `--out`
    itself.
    """
    folder = args.out if signals == "fixed" else args.out / signals
    folder.mkdir(parents=True, exist_ok=True)
    runs = _runs(args, signals, folder, [*train, *test])
    result = judge([runs[seed] for seed in train], [runs[seed] for seed in test])
    name = scenario_of(args.scenario, folder).name
    title = f"{name}, {signals} signals, test seeds {test}, {sum(runs[s].hours for s in test):.1f} vehicle-hours"
    print(f"{title}; thresholds chosen on seeds {train}\n\n{figures_table(result)}")

    file = folder / "warnings.json"

    results = {
        "scenario": name,
        "signals": signals,
        "violators": args.violators,
        "train": train,
        "test": test,
        **result,
    }

    file.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    plot.curves(result["curves"], result["chosen"], title, folder / "curves.png")
    plot.leads(result["chosen_scores"], title, folder / "leads.png")
    print(f"\nwrote {file}, {folder / 'curves.png'}, {folder / 'leads.png'}")

    return result


def scenario_of(name: str, folder: Path) -> Scenario:
    """Return a scenario by its name or file."""
    if name in ("corridor", "drt"):
        return (corridor if name == "corridor" else drt)(folder / "input")
    return braunschweig() if name == "braunschweig" else load(Path(name))


def judge(train: list[Run], test: list[Run]) -> dict[str, Any]:
    """Return, by kind: the threshold chosen on `train`; figures on `test` at that threshold, and of all warnings;
    curves on `test`.
    """
    chosen = {kind: score.best(score.curve(train, kind)) for kind in MATCHES}
    return {
        "chosen": chosen,
        "chosen_scores": {kind: score.score(test, kind, score.at_least(x)) for kind, x in chosen.items()},
        "all_scores": {kind: score.score(test, kind) for kind in MATCHES},
        "urgent_scores": {kind: score.score(test, kind, lambda warning: warning.severity <= 1) for kind in MATCHES},
        "curves": {kind: score.curve(test, kind) for kind in MATCHES},
    }


def figures_table(result: dict[str, Any]) -> str:
    """Return the figures as text: every warning, the urgent ones, and those above the threshold chosen."""
    rows = []
    for kind in MATCHES:
        rows.append(_row(f"{kind}, all", "", result["all_scores"][kind]))
        rows.append(_row(f"{kind}, urgent", "", result["urgent_scores"][kind]))
        rows.append(_row(f"{kind}, chosen", f"{result['chosen'][kind]:.2f}", result["chosen_scores"][kind]))

    return table(HEADER, rows)


def signals_table(results: dict[str, dict[str, Any]]) -> str:
    """Return the figures of every warning as text, a row for each kind of warning and of signals."""
    return table(
        HEADER,
        [
            _row(f"{kind}, {signals}", "", results[signals]["all_scores"][kind])
            for kind in MATCHES
            for signals in results
        ],
    )


def _row(name: str, threshold: str, figures: dict[str, Any]) -> list[object]:
    shares = ("precision", "recall", "recall_any", "recall_serious", "recall_visible")
    return [
        name,
        threshold,
        figures["events"],
        figures["warnings"],
        *(_share(figures[key]) for key in shares),
        _number(figures["lead_median"], decimals=1),
        _number(figures["false_per_hour"], decimals=2),
        _number(figures["false_slowed"]["value"], decimals=2),
    ]


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _share(share: dict[str, Any]) -> str:
    if share["value"] is None:
        return ""
    return f"{share['value']:.2f} ({share['low']:.2f}-{share['high']:.2f})"


def _runs(args: argparse.Namespace, signals: str, folder: Path, seeds: list[int]) -> dict[int, Run]:
    jobs = [
        Job(
            source=args.scenario,
            signals=signals,
            seed=seed,
            seconds=args.seconds,
            warm_up=args.warm_up,
            penetration=args.penetration,
            sensing=args.sensing,
            violators=args.violators,
            folder=folder,
        )
        for seed in seeds
    ]

    runs: dict[int, Run] = {}
    start = stopwatch()

    for number, (job, file) in enumerate(pool.each(_one, jobs, args.jobs), 1):
        seed = job.seed
        if file is None:
            raise RuntimeError(f"SUMO died in seed {seed}. Leave it out, or run the scenario in sumo itself to see why")

        runs[seed] = loaded(file)
        remaining = (stopwatch() - start) / SECOND / number * (len(jobs) - number)

        print(
            f"warnings, {args.scenario}, {signals} signals: {number} of {len(jobs)} runs, {remaining:.0f} s left; "
            f"seed {seed}: {len(runs[seed].truth)} conflicts, {len(runs[seed].warnings)} messages",
            file=sys.stderr,
            flush=True,
        )

    return runs


def _one(job: Job) -> Path:
    file = job.folder / f"seed-{job.seed}.json"
    key = job.key()
    if file.is_file() and msgspec.json.decode(file.read_bytes(), type=Cached).key == key:
        return file

    own = job.folder / f"input-{job.seed}"
    scenario = programs.with_signals(scenario_of(job.source, own), job.signals, own)

    setup = Setup(
        seed=job.seed,
        penetration=job.penetration,
        seconds=job.seconds,
        warm_up=job.warm_up,
        noise=SENSING[job.sensing],
    )

    part = file.with_suffix(".part")
    part.write_bytes(msgspec.json.encode({"key": key, **seed_run.run(scenario, setup, job.violators)}))
    part.replace(file)
    return file


def loaded(file: Path) -> Run:
    """Return a run from its file."""
    stored = msgspec.json.decode(file.read_bytes(), type=Cached)
    truth = [(conflict_of(item["conflict"]), bool(item["early"])) for item in stored.truth]

    return Run(
        warnings=stored.warnings,
        truth=tuple(score.with_violators(truth)),
        connected=stored.connected,
        hours=stored.hours,
    )


def conflict_of(columns: dict[str, Any]) -> Conflict:
    """Return a conflict from JSON, where an infinite measure is null."""
    return Conflict(**{key: float("inf") if column is None else column for key, column in columns.items()})
