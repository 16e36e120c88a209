"""`cloudctl sim study`: what advice changes in closed loop, against no advice and against SUMO's own GLOSA device.

What is fair: every run of a seed has the same trips, the same step and the same random numbers of SUMO; the device goes
to the very vehicles that are connected in ours; a run goes on, advice and all, until every vehicle that was to depart
within the span has arrived; only trips that ended in every run of the seed are compared. Ours has what noisy roadside
units detect and what vehicles report; SUMO's device knows everything. SUMO's may drive 1.1 times the limit, ours never
above it. Compared are stops, waiting, fuel and travel time, not time loss: SUMO holds that against the speed factor its
device lowers.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...clock import SECOND, stopwatch
from ..common import pool
from ..common.net import approach_of, by_approach, read
from ..common.terminal import table
from . import ratio, seed_run
from .seed_run import ARMS, Job

WINDOW = 480.0  # s of a run that a time-space diagram shows
WARMED_UP = 0.3  # share of a run after which its roads are full
HEADER = ("against no advice", "trips", "stops", "waiting", "fuel", "travel time", "SUMO's stops", "no stop at all")


def run(args: argparse.Namespace) -> None:
    """Run a study from the command line's arguments: runs, table, ratios as JSON, plots."""
    jobs = plan(args)
    args.out.mkdir(parents=True, exist_ok=True)
    # A missing file is reported before anything runs
    seed_run.scenario_of(args.sumocfg, args.out / "input" / "check")
    baseline = _run_all([job for job in jobs if job.arm == "none"], args.out, args.jobs, "no advice")
    lost = [job.name for job in jobs if job.arm == "none" and job not in baseline]
    if lost:
        raise RuntimeError(f"SUMO died in {lost[0]}, without any advice. Run the scenario in sumo itself to see why")

    names = {job.seed: tuple(result["trips"]) for job, result in baseline.items()}
    remaining = [replace(job, vehicles=names[job.seed]) for job in jobs if job.arm != "none"]
    results = baseline | _run_all(remaining, args.out, args.jobs, "with advice")
    died = {job.arm: job.name for job in remaining if job not in results}

    study = summary({job: result for job, result in results.items() if job.arm not in died})
    study["died"] = died
    if len({row["key"]["made_from"] for job, row in results.items() if job.arm == "ours"}) > 1:
        print("note: the source changed while the study ran; the same command again runs what is out of date")
    for arm, name in died.items():
        print(f"note: {arm} is left out: SUMO died in {name}. Its use-queue does on programmes that begin with a green")
    print(ratio_table(study))
    (args.out / "study.json").write_bytes(msgspec.json.format(msgspec.json.encode(study)))
    files = [
        args.out / "study.json",
        *draw(args, study, {job: row for job, row in results.items() if job.arm not in died}),
    ]
    print("\nwrote " + ", ".join(str(file) for file in files))


def plan(args: argparse.Namespace) -> list[Job]:
    """Return every run the arguments ask for; raises ValueError naming the argument that is wrong."""
    arms = ["none", *dict.fromkeys(other_arm for other_arm in args.against.split(",") if other_arm != "none")]
    arms += [] if args.baselines else ["ours"]
    for arm in arms:
        if arm not in ARMS:
            raise ValueError(f"--against {arm}: must be some of {', '.join(ARMS[:-1])}, with commas between")

    shares = [_share(text) for text in args.penetration.split(",")]
    if args.jobs < 1:
        raise ValueError(f"--jobs {args.jobs}: must be 1 or more; as many as there are cores is best")
    if args.seconds is not None and args.seconds <= 0:
        raise ValueError(f"--seconds {args.seconds}: must be above 0")

    source = args.sumocfg if args.sumocfg == "corridor" else str(Path(args.sumocfg).resolve())

    def job(arm: str, seed: int, share: float) -> Job:
        return Job(
            source=source,
            arm=arm,
            seed=seed,
            penetration=share,
            seconds=args.seconds,
            step_s=args.step,
            delay_ms=args.delay_ms,
            miss=args.miss,
        )

    seeds = numbers(args.seeds)
    # Runs without advice first: all others are compared with them
    return [
        *(job("none", seed, 0.0) for seed in seeds),
        *(job(arm, seed, share) for arm in reversed(arms[1:]) for share in shares for seed in seeds),
    ]


def numbers(text: str) -> list[int]:
    """Return the seeds of `1..5` or `1,2,9`; raises ValueError with the rule."""
    try:
        seeds: list[int] = []
        for part in text.split(","):
            first, dots, last = part.partition("..")
            seeds += range(int(first), int(last if dots else first) + 1)
    except ValueError:
        seeds = []

    if not seeds or min(seeds) < 0:
        raise ValueError(f"--seeds {text}: must be whole numbers from 0 up, such as 1..5 or 1,2,9")

    return list(dict.fromkeys(seeds))


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0

    if not 0.0 < share <= 1.0:
        raise ValueError(f"--penetration {text}: must be shares above 0 up to 1, such as 1.0,0.3")

    return share


def _run_all(jobs: Sequence[Job], folder: Path, processes: int, title: str) -> dict[Job, dict[str, Any]]:
    """Return the result of each job, from its file where that answers the very same question, else by running it."""
    results = {job: result for job in jobs if (result := cached(job, folder)) is not None}
    remaining = [job for job in jobs if job not in results]
    if results:
        print(f"study, {title}: {len(results)} of {len(jobs)} runs are there already", file=sys.stderr, flush=True)
    if not remaining:
        return results

    start = stopwatch()
    for number, ((job, _), result) in enumerate(pool.each(_one, [(job, folder) for job in remaining], processes), 1):
        elapsed = (stopwatch() - start) / SECOND
        if result is not None:
            results[job] = result
        left_s = elapsed / number * (len(remaining) - number)
        print(
            f"study, {title}: {number} of {len(remaining)} runs, {left_s:.0f} s left; {job.name}: {_outcome(result)}",
            file=sys.stderr,
            flush=True,
        )

    return results


def _outcome(result: dict[str, Any] | None) -> str:
    """Return a run's result in a few words; the node of a fair run refuses nothing."""
    if result is None:
        return "SUMO died in it"

    trips = f"{len(result['trips'])} trips at {result['speed']['times_real']:.0f} x real time"
    refused = [
        f"REFUSED {count} of {received} {kind} messages" for kind, (count, received) in result["refused"].items()
    ]
    return "; ".join([trips, *refused])


def _one(work: tuple[Job, Path]) -> dict[str, Any]:
    return seed_run.run(*work)


def cached(job: Job, folder: Path) -> dict[str, Any] | None:
    """Return a run's result from the study's folder, None where there is none or it is of another question."""
    file = folder / f"{job.name}.json"
    if not file.is_file():
        return None
    result: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    return result if result["key"] == job.key() else None


def draw(args: argparse.Namespace, study: dict[str, Any], results: dict[Job, dict[str, Any]]) -> list[Path]:
    """Draw the study's plots into its folder and return their files; diagrams are of the first seed and the largest
    share.
    """
    from . import plot

    net = read(seed_run.scenario_of(args.sumocfg, args.out / "input" / "check").net)
    share = max(job.penetration for job in results)
    jobs_drawn = [job for job in results if job.arm == "none" or job.penetration == share]
    first = sorted((job for job in jobs_drawn if job.seed == study["seeds"][0]), key=lambda job: ARMS.index(job.arm))
    routes = results[first[0]]["routes"]
    approach = approach_of(net, routes)

    stops = []

    for arm in dict.fromkeys(job.arm for job in first):
        total: defaultdict[str, float] = defaultdict(float)
        for job in (job for job in jobs_drawn if job.arm == arm):
            for name, count in by_approach(results[job]["stops_by_edge"], approach).items():
                total[name] += count / len(study["seeds"])
        stops.append((arm, dict(total)))

    title = f"{study['scenario']}, {100 * share:g} % connected"
    plot.ratios(study, args.out / "ratios.png")
    plot.stops_by_approach(stops, f"{title}, mean of {len(study['seeds'])} seed(s)", args.out / "stops.png")

    path = plot.lay_out(net, plot.main_route(routes, net))
    panels = [(job.arm, dict(np.load(args.out / f"{job.name}.npz")), results[job]["signals"]) for job in first]
    last = float(panels[0][1]["t"].max()) if len(panels[0][1]["t"]) else 0.0
    begin = WARMED_UP * last
    window = (begin, min(begin + WINDOW, last))
    plot.time_space(panels, path, window, f"{title}, seed {study['seeds'][0]}", args.out / "time-space.png")

    return [args.out / name for name in ("ratios.png", "stops.png", "time-space.png")]


def summary(results: dict[Job, dict[str, Any]]) -> dict[str, Any]:
    """Return {scenario, rows}: for each adviser and share of connected vehicles, `ratio.compare` with no advice."""
    seeds = sorted({job.seed for job in results})
    # Trips that every run finished: means over different trips would compare different traffic
    common = {seed: ratio.common([row["trips"] for job, row in results.items() if job.seed == seed]) for seed in seeds}
    baseline = {job.seed: result["trips"] for job, result in results.items() if job.arm == "none"}
    without = [{name: baseline[seed][name] for name in common[seed]} for seed in seeds]

    rows = []

    order = sorted({(ARMS.index(job.arm), -job.penetration) for job in results})
    for arm, share in ((ARMS[index], -share) for index, share in order):
        runs = {job.seed: row for job, row in results.items() if (job.arm, job.penetration) == (arm, share)}
        advised = [{name: runs[seed]["trips"][name] for name in common[seed]} for seed in seeds]
        names = next(iter(runs.values()))["counts"]
        counts = {name: sum(run["counts"].get(name, 0) for run in runs.values()) for name in names}
        rows.append({"arm": arm, "penetration": share, **ratio.compare(without, advised), "counts": counts})

    dropped = sum(len(set(result["trips"]) - set(common[job.seed])) for job, result in results.items())
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
        cells = [_with_interval(row[name]) for name in ratio.FIGURES]
        lines.append([label, row["trips"], *cells])

    first = study["rows"][0]
    notes = ", ".join(f"{key.replace('_', ' ')} {first[key]['without']:.2f}" for key in ratio.FIGURES)
    return f"{study['scenario']}, seeds {study['seeds']}; without advice, per trip: {notes}\n\n" + table(HEADER, lines)


def _with_interval(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.3f} ±{(figure['high'] - figure['low']) / 2:.3f}"
