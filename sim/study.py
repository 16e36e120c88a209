"""`cloudctl sim study`: what advice changes in closed loop, against no advice and against SUMO's own GLOSA device.

What is fair: every run of a seed has the same trips, the same step and the same random numbers of SUMO; the device goes to the very
vehicles that are connected in ours; a run goes on, advice and all, until everyone who was to depart within the span has
arrived; only trips that ended in every run of the seed are compared. Ours sees what noisy roadside units see and hears what
vehicles say; SUMO's device knows everything. SUMO's may drive 1.1 times the limit, ours never above it. Compared are stops,
waiting, fuel and travel time, not time loss: SUMO holds that against the speed factor its device lowers.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ..clock import SECOND, stopwatch
from . import study_ratio, study_run
from .show import table
from .study_run import ARMS, Job

HEADER = ("against no advice", "trips", "stops", "waiting", "fuel", "travel time", "no stop at all")


def run(args: argparse.Namespace) -> None:
    """Run a study from the command line's arguments: runs, table, ratios as JSON, plots."""
    jobs = plan(args)
    args.out.mkdir(parents=True, exist_ok=True)
    study_run.scenario_of(args.sumocfg, args.out / "input" / "check")  # a missing file is told before anything runs
    baseline = _run_all([job for job in jobs if job.arm == "none"], args.out, args.jobs, "no advice")
    names = {job.seed: tuple(result["trips"]) for job, result in baseline.items()}
    rest = [replace(job, vehicles=names[job.seed]) for job in jobs if job.arm != "none"]
    results = baseline | _run_all(rest, args.out, args.jobs, "with advice")
    study = summary(results)
    print(ratio_table(study))
    (args.out / "study.json").write_bytes(msgspec.json.format(msgspec.json.encode(study)))
    print(f"\nwrote {args.out / 'study.json'}")


def plan(args: argparse.Namespace) -> list[Job]:
    """Return every run the arguments ask for; raises ValueError naming the argument that is wrong."""
    arms = ["none", *dict.fromkeys(a for a in args.against.split(",") if a != "none"), "ours"]
    for arm in arms:
        if arm not in ARMS:
            raise ValueError(f"--against {arm}: must be some of {', '.join(ARMS[:-1])}, with commas between")
    shares = [_share(text) for text in args.penetration.split(",")]
    if args.jobs < 1:
        raise ValueError(f"--jobs {args.jobs}: must be 1 or more; as many as there are cores is best")
    if args.seconds is not None and args.seconds <= 0:
        raise ValueError(f"--seconds {args.seconds}: must be above 0")
    source = args.sumocfg if args.sumocfg == "corridor" else str(Path(args.sumocfg).resolve())
    common = (args.seconds, args.step, args.delay_ms, args.miss)
    jobs = [Job(source, "none", seed, 0.0, *common) for seed in numbers(args.seeds)]
    jobs += [
        Job(source, arm, seed, share, *common)
        for arm in reversed(arms[1:])
        for share in shares
        for seed in numbers(args.seeds)
    ]
    return jobs


def numbers(text: str) -> list[int]:
    """Return the seeds of `1..5` or `1,2,9`; raises ValueError with the rule."""
    try:
        out: list[int] = []
        for part in text.split(","):
            first, dots, last = part.partition("..")
            out += range(int(first), int(last) + 1) if dots else [int(first)]
    except ValueError:
        out = []
    if not out or min(out) < 0:
        raise ValueError(f"--seeds {text}: must be whole numbers from 0 up, such as 1..5 or 1,2,9")
    return list(dict.fromkeys(out))


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 < share <= 1.0:
        raise ValueError(f"--penetration {text}: must be shares above 0 up to 1, such as 1.0,0.3")
    return share


def _run_all(jobs: Sequence[Job], out: Path, processes: int, what: str) -> dict[Job, dict[str, Any]]:
    """Return the result of each job, from its file where that answers the very same question, else by running it."""
    results = {job: found for job in jobs if (found := cached(job, out)) is not None}
    left = [job for job in jobs if job not in results]
    if results:
        print(f"study, {what}: {len(results)} of {len(jobs)} runs are there already", file=sys.stderr, flush=True)
    if not left:
        return results
    start = stopwatch()
    with multiprocessing.get_context("spawn").Pool(min(processes, len(left)), maxtasksperchild=1) as pool:
        for n, (job, result) in enumerate(pool.imap_unordered(_one, [(job, out) for job in left]), 1):
            results[job] = result
            took = (stopwatch() - start) / SECOND
            print(
                f"study, {what}: {n} of {len(left)} runs, {took / n * (len(left) - n):.0f} s left; {job.name}: "
                f"{len(result['trips'])} trips at {result['speed']['times_real']:.0f} x real time",
                file=sys.stderr,
                flush=True,
            )
    return results


def _one(work: tuple[Job, Path]) -> tuple[Job, dict[str, Any]]:
    return work[0], study_run.run(*work)


def cached(job: Job, out: Path) -> dict[str, Any] | None:
    """Return a run's result from the study's folder, None where there is none or it was asked differently."""
    file = out / f"{job.name}.json"
    if not file.is_file():
        return None
    found: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    return found if found["key"] == job.key() else None


def summary(results: dict[Job, dict[str, Any]]) -> dict[str, Any]:
    """Return {scenario, rows}: for each adviser and share of connected vehicles, `study_ratio.compare` with no advice."""
    seeds = sorted({job.seed for job in results})
    alike = {seed: study_ratio.common([r["trips"] for job, r in results.items() if job.seed == seed]) for seed in seeds}
    base = {job.seed: result["trips"] for job, result in results.items() if job.arm == "none"}
    rows = []
    for arm, share in dict.fromkeys((job.arm, job.penetration) for job in results):
        runs = {job.seed: r for job, r in results.items() if (job.arm, job.penetration) == (arm, share)}
        row = study_ratio.compare(
            [{n: base[s][n] for n in alike[s]} for s in seeds],
            [{n: runs[s]["trips"][n] for n in alike[s]} for s in seeds],
        )
        counts = {k: sum(r["counts"].get(k, 0) for r in runs.values()) for k in next(iter(runs.values()))["counts"]}
        rows.append({"arm": arm, "penetration": share, **row, "counts": counts})
    dropped = sum(len(set(r["trips"]) - set(alike[job.seed])) for job, r in results.items())
    return {
        "scenario": next(iter(results.values()))["scenario"],
        "seeds": seeds,
        "dropped_trips": dropped,
        "rows": rows,
    }


def ratio_table(study: dict[str, Any]) -> str:
    """Return the study as text: means over the seeds, and half the width of the 95 % interval."""
    lines = []
    for row in study["rows"]:
        label = row["arm"] if row["arm"] == "none" else f"{row['arm']}, {100 * row['penetration']:g} %"
        cells = [_with_interval(row[name]) for name in study_ratio.FIGURES]
        lines.append([label, row["trips"], *cells])
    first = study["rows"][0]
    notes = ", ".join(f"{k.replace('_', ' ')} {first[k]['without']:.2f}" for k in study_ratio.FIGURES)
    return f"{study['scenario']}, seeds {study['seeds']}; without advice, a trip: {notes}\n\n" + table(HEADER, lines)


def _with_interval(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.3f} ±{(figure['high'] - figure['low']) / 2:.3f}"
