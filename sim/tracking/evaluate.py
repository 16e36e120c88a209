"""`cloudctl eval`: the tracker against truth, on made-up scenes, on Mcity's roadside units, on recordings of ours."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from ...fusion import FEATURES, Fusion, FusionConfig, SourceConfig
from ..common.score import distances, ospa2, score
from ..common.terminal import table
from . import mcity, mcity_eval, reliability, trajectories
from .mcity_eval import Moments, moment
from .scenes import CASES, Case

COLUMNS = ("mota", "idf1", "hota", "hota_match", "id_switches", "rmse_m", "gospa", "ospa2")
HEADER = (
    "",
    "MOTA",
    "IDF1",
    "HOTA",
    "HOTA at match",
    "id switches",
    "RMSE m",
    "GOSPA m",
    "OSPA(2) m",
    "mean error m",
    "n",
)
HELD_OUT = (101, 102, 103, 104, 105)  # no parameter was chosen on these seeds


def follow(
    case: Case, config: FusionConfig | None = None, sources: dict[int, SourceConfig] | None = None
) -> tuple[Moments, Fusion]:
    """Feed a case in order of arrival; at each tick, what is known of it from what has come by then. A scan that takes
    no time to come
    counts at its own tick."""
    fusion = Fusion(config or FusionConfig(max_tracks=2048))
    for number, source in (sources or {}).items():
        fusion.add_source(number, source)
    coming, moments = iter(case.scans), []
    scan = next(coming, None)

    for time_ns, ids, xy in case.truth:
        while scan is not None and scan.arrival <= time_ns:
            fusion.update(scan.t, scan.source, scan.rows)
            scan = next(coming, None)
        moments.append(moment(ids, xy, fusion.tracks(time_ns)))

    return moments, fusion


def figures(moments: Moments, match_m: float) -> dict[str, float]:
    """Return every figure of a sequence: those of `score`, `ospa2` and `mean_error_m` of the matched."""
    result = score(moments, match_m)
    result["ospa2"] = ospa2(moments)
    near = [
        nearest[nearest < match_m]
        for nearest in (distances(current).min(1) for current in moments if len(current[0]) and len(current[2]))
    ]
    result["mean_error_m"] = float(np.concatenate(near).mean()) if near else float("nan")
    return result


def scenes(
    names: Sequence[str], seeds: Sequence[int], config: FusionConfig | None = None
) -> Iterator[tuple[str, dict[str, float], Moments]]:
    """Score each scene; figures are medians over the seeds, moments those of the first seed."""
    for name in names:
        yield medians([CASES[name](seed) for seed in seeds], config)


def medians(cases: Sequence[Case], config: FusionConfig | None = None) -> tuple[str, dict[str, float], Moments]:
    """Score a scene of several seeds; figures are medians over them, moments those of the first."""
    runs = [follow(case, config)[0] for case in cases]
    scored = [figures(run, case.match_m) for run, case in zip(runs, cases, strict=True)]
    return cases[0].name, {key: median(figures_.get(key, 0.0) for figures_ in scored) for key in scored[0]}, runs[0]


def on_trajectories(file: Path, seeds: Sequence[int]) -> Iterator[tuple[str, dict[str, float], Moments]]:
    """Score made-up detections of recorded road users, without and with dropouts."""
    for of_one_kind in zip(*(trajectories.cases(file, seed) for seed in seeds), strict=True):
        yield medians(of_one_kind)


def ablation(names: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[str, dict[str, float], Moments]]:
    """Score each scene with everything, then with one feature left out at a time."""
    for name in names:
        for without in ((), *((feature,) for feature in FEATURES)):
            config = FusionConfig(max_tracks=2048, without=without)
            for scene, figures_, moments in scenes([name], seeds, config):
                yield f"{scene}, {'without ' + without[0] if without else 'everything'}", figures_, moments


def on_mcity(folder: Path) -> Iterator[tuple[str, dict[str, float], Moments]]:
    """Score every trial of Mcity's roadside units: the vendor's own tracks and ours, latency found on the probe's
    trial.
    """
    for name, run in mcity_eval.runs(folder):
        yield name, figures(run, mcity.MATCH_M), run


def on_recording(recording: Path, truth: Path) -> Iterator[tuple[str, dict[str, float], Moments]]:
    """Score a recording of ours against the truth file written beside it, each intersection by itself."""
    from ..loop.truthfile import moments

    for name, frames in moments(recording, truth).items():
        yield name, figures(list(frames), match_m=2.0), list(frames)


def plot(rows: Sequence[tuple[str, dict[str, float], Moments]], file: Path) -> None:
    """Draw each sequence: truth and tracks from above, the error of the matched over the moments, and what existence is
    worth.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sheet, axes = pyplot.subplots(len(rows), 3, figsize=(17, 5 * len(rows)), squeeze=False)
    for (name, figures_, moments), (above, error, calibration) in zip(rows, axes, strict=True):
        sampled = moments[:: max(len(moments) // 150, 1)]
        for column, style in ((1, {"c": "0.7", "s": 9, "label": "truth"}), (3, {"c": "C0", "s": 2, "label": "tracks"})):
            xy = np.concatenate([np.reshape(current[column], (-1, 2)) for current in sampled])
            above.scatter(xy[:, 0], xy[:, 1], **style)

        above.set(
            title=f"{name}: MOTA {figures_.get('mota', 0):.3f}", xlabel="east, m", ylabel="north, m", aspect="equal"
        )
        above.legend(loc="upper right")
        mean = [
            float(distances(current).min(1).mean()) if len(current[0]) and len(current[2]) else np.nan
            for current in moments
        ]
        error.plot(np.minimum(mean, 3.0), lw=0.8)
        if moments and len(moments[0]) > 4:
            reliability.draw(calibration, reliability.diagram(moments, match_of(name)))
        error.set(title="mean distance of truth to the nearest track", xlabel="moment", ylabel="m")

    sheet.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.savefig(file, dpi=90)
    pyplot.close(sheet)


def match_of(name: str) -> float:
    """Return within how many metres a track of a sequence is its road user's."""
    if name.startswith("Mcity"):
        return mcity.MATCH_M
    if "crowd" in name:
        return 1.0
    return 2.0


def lines(rows: Sequence[tuple[str, dict[str, float], Moments]]) -> str:
    """Return the table of scored sequences."""
    cells = [
        [
            name,
            *(values.get(column, float("nan")) for column in COLUMNS),
            values.get("mean_error_m", float("nan")),
            int(values["n"]),
        ]
        for name, values, _ in rows
    ]

    return table(HEADER, cells)


def run(args: argparse.Namespace) -> None:
    """Carry out `cloudctl eval`."""
    rows: list[tuple[str, dict[str, float], Moments]] = []
    jobs: list[Callable[[], Iterator[tuple[str, dict[str, float], Moments]]]] = []
    unknown = set(args.scene or ()) - set(CASES)
    if unknown:
        raise ValueError(f"--scene {', '.join(sorted(unknown))}: there are {', '.join(CASES)}. Name some of these")
    if args.recording and not args.truth:
        raise ValueError(f"--recording {args.recording}: its truth is needed to score it. Add --truth FILE")

    if args.scene or not (args.mcity or args.recording or args.trajectories):
        chosen = ablation if args.ablate else scenes
        jobs.append(lambda: chosen(args.scene or list(CASES), args.seeds or HELD_OUT))

    if args.mcity:
        jobs.append(lambda: on_mcity(args.mcity))
    if args.trajectories:
        jobs.append(lambda: on_trajectories(args.trajectories, args.seeds or HELD_OUT))
    if args.recording:
        jobs.append(lambda: on_recording(args.recording, args.truth))
    for job in jobs:
        rows += list(job())
    print(lines(rows))
    # A vendor's detections have no existence
    known = [
        (name, reliability.diagram(moments, match_of(name)))
        for name, _, moments in rows
        if moments and len(moments[0]) > 4 and "vendor" not in name
    ]
    if known:
        print("\nof the tracks given out with so much existence, the share that exist\n" + reliability.lines(known))

    if args.plot:
        plot(rows, args.plot)
        print(f"wrote {args.plot}")
