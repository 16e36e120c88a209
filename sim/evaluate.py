"""`cloudctl eval`: the tracker against truth, on made-up scenes, on Mcity's roadside units, on recordings of ours."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..clock import SECOND
from ..fusion import FEATURES, Fusion, FusionConfig, Rows, SourceConfig
from . import mcity
from .scenes import CASES, Case
from .score import far, ospa2, score
from .show import table

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
Moments = list[Any]


def moment(ids: np.ndarray, xy: np.ndarray, tracks: Rows) -> Any:
    """Return a moment of `sim.score` from the truth and ndarray[TRACK]."""
    return ids, xy, tracks["id"].astype(np.int64), np.column_stack([tracks["x"], tracks["y"]])


def follow(
    case: Case, config: FusionConfig | None = None, sources: dict[int, SourceConfig] | None = None
) -> tuple[Moments, Fusion]:
    """Feed a case in order of arrival; at each tick, what is known of it from what has come by then. A scan that takes no time to come
    counts at its own tick."""
    fusion = Fusion(config or FusionConfig(max_tracks=2048))
    for number, source in (sources or {}).items():
        fusion.add_source(number, source)
    coming, moments = iter(case.scans), []
    scan = next(coming, None)
    for t, ids, xy in case.truth:
        while scan is not None and scan.arrival <= t:
            fusion.update(scan.t, scan.source, scan.rows)
            scan = next(coming, None)
        moments.append(moment(ids, xy, fusion.tracks(t)))
    return moments, fusion


def figures(moments: Moments, match_m: float) -> dict[str, float]:
    """Return every figure of a sequence: those of `score`, `ospa2` and `mean_error_m` of the matched."""
    out = score(moments, match_m)
    out["ospa2"] = ospa2(moments)
    near = [d[d < match_m] for d in (far(m).min(1) for m in moments if len(m[0]) and len(m[2]))]
    out["mean_error_m"] = float(np.concatenate(near).mean()) if near else float("nan")
    return out


def scenes(
    names: Sequence[str], seeds: Sequence[int], config: FusionConfig | None = None
) -> Iterator[tuple[str, dict[str, float], Moments]]:
    """Score each scene; figures are medians over the seeds, moments those of the first seed."""
    for name in names:
        cases = [CASES[name](seed) for seed in seeds]
        runs = [follow(case, config)[0] for case in cases]
        scored = [figures(run, case.match_m) for run, case in zip(runs, cases, strict=True)]
        yield cases[0].name, {key: median(one.get(key, 0.0) for one in scored) for key in scored[0]}, runs[0]


def ablation(names: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[str, dict[str, float], Moments]]:
    """Score each scene with everything, then with one feature left out at a time."""
    for name in names:
        for without in ((), *((feature,) for feature in FEATURES)):
            config = FusionConfig(max_tracks=2048, without=without)
            for scene, found, moments in scenes([name], seeds, config):
                yield f"{scene}, {'without ' + without[0] if without else 'everything'}", found, moments


def probe_latency(folder: Path) -> SourceConfig:
    """Find the roadside units' latency as the tracker does: the probe vehicle's RTK reports in its own trial are a cooperative source.

    Of what is found, latency and noise are the units' own; the bias is not taken along, for the antenna is not the vehicle's middle.
    """
    trial = mcity.load(folder, mcity.PROBE_TRIAL)
    fusion = Fusion()
    fusion.add_source(1, SourceConfig(kind="cooperative", sigma_m=0.1, sigma_v=0.3))
    for t, source, rows in probed(trial):
        fusion.update(t, source, rows)
    found = fusion.stats()["sources"][0]
    return SourceConfig(latency_ms=found["lag"] * 1000, sigma_m=found["sigma"])


def probed(trial: mcity.Trial) -> list[tuple[int, int, Rows]]:
    """Return the trial's scans (source 0) and its probe vehicle's reports at 10 Hz (source 1), in order of their stamps."""
    step = SECOND // 10
    reports = []
    for t in range(int(trial.truth_t[0]) + step, int(trial.truth_t[-1]), step):
        place = trial.truth_at(t)
        if place is None or np.hypot(*place) > 1.5 * trial.radius:
            continue
        row = np.zeros(1, trial.scans[0][1].dtype)
        for name in ("vx", "vy", "heading", "length", "width", "height", "cov_xy", "confidence"):
            row[name] = np.nan
        row["x"], row["y"], row["var_x"], row["var_y"], row["vehicle"], row["class"] = *place, 0.01, 0.01, 1, 1
        reports.append((t, 1, row))
    return sorted([(t, 0, rows) for t, rows in trial.scans] + reports, key=lambda scan: (scan[0], scan[1]))


def mcity_moments(trial: mcity.Trial, source: SourceConfig, walking: bool, ours: bool) -> Moments:
    """Score at the moments the units looked at the road: stamps less the latency found. Ours are the tracks of any class but the other
    kind's; the vendor's are its own ids and places."""
    fusion, moments = Fusion(), []
    fusion.add_source(0, source)
    lag = int(source.latency_ms * SECOND / 1000)
    for t, rows in trial.scans:
        fusion.update(t, 0, rows)
        place = trial.truth_at(t - lag)
        if place is None:
            continue
        here = np.hypot(*place) < trial.radius
        seen = fusion.tracks(t - lag) if ours else rows
        person = seen["class"] == 6
        seen = seen[(person if walking else seen["class"] == 1) & (np.hypot(seen["x"], seen["y"]) < trial.radius)]
        moments.append(moment(np.zeros(int(here), np.int64), place[None][: int(here)], seen))
    return moments


def seen_only(moments: Moments, vendor: Moments) -> Moments:
    """Return the moments at which the units reported anything of the kind: the rest measures their reach, not their tracks."""
    return [m for m, v in zip(moments, vendor, strict=True) if len(v[2])]


def joined(parts: Sequence[Moments]) -> Moments:
    """Return sequences as one, with identities kept apart."""
    out = []
    for k, part in enumerate(parts):
        out += [(m[0] + 10**10 * (k + 1), m[1], m[2] + 10**10 * (k + 1), m[3]) for m in part]
    return out


def on_mcity(folder: Path) -> Iterator[tuple[str, dict[str, float], Moments]]:
    """Score vehicles (trials 3 to 5) and pedestrians (11, 12): the vendor's own tracks and ours, latency found on the probe's trial."""
    source = probe_latency(folder)
    for what, trials, walking in (("vehicles", mcity.VEHICLES, False), ("pedestrians", mcity.PEDESTRIANS, True)):
        loaded = [mcity.load(folder, name) for name in trials]
        vendor = [mcity_moments(trial, source, walking, False) for trial in loaded]
        ours = [mcity_moments(trial, source, walking, True) for trial in loaded]
        for name, runs in (("vendor", vendor), ("cloudctl", ours)):
            whole = joined(runs)
            yield f"Mcity {what}, {name}", figures(whole, mcity.MATCH_M), whole
            part = joined([seen_only(run, v) for run, v in zip(runs, vendor, strict=True)])
            yield f"Mcity {what} while seen, {name}", figures(part, mcity.MATCH_M), part


def on_recording(recording: Path, truth: Path) -> Iterator[tuple[str, dict[str, float], Moments]]:
    """Score a recording of ours against the truth file written beside it, each intersection by itself."""
    from .truthfile import moments

    for name, frames in moments(recording, truth).items():
        yield name, figures(list(frames), 2.0), list(frames)


def plot(rows: Sequence[tuple[str, dict[str, float], Moments]], out: Path) -> None:
    """Draw each sequence: truth and tracks from above, and the error of the matched over the moments."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sheet, axes = pyplot.subplots(len(rows), 2, figsize=(12, 5 * len(rows)), squeeze=False)
    for (name, found, moments), (above, error) in zip(rows, axes, strict=True):
        some = moments[:: max(len(moments) // 150, 1)]
        for column, style in ((1, {"c": "0.7", "s": 9, "label": "truth"}), (3, {"c": "C0", "s": 2, "label": "tracks"})):
            xy = np.concatenate([np.reshape(m[column], (-1, 2)) for m in some])
            above.scatter(xy[:, 0], xy[:, 1], **style)
        above.set(title=f"{name}: MOTA {found.get('mota', 0):.3f}", xlabel="east, m", ylabel="north, m", aspect="equal")
        above.legend(loc="upper right")
        mean = [float(far(m).min(1).mean()) if len(m[0]) and len(m[2]) else np.nan for m in moments]
        error.plot(np.minimum(mean, 3.0), lw=0.8)
        error.set(title="mean distance of truth to the nearest track", xlabel="moment", ylabel="m")
    sheet.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.savefig(out, dpi=90)
    pyplot.close(sheet)


def lines(rows: Sequence[tuple[str, dict[str, float], Moments]]) -> str:
    """Return the table of scored sequences."""
    cells = [
        [name, *(found.get(c, float("nan")) for c in COLUMNS), found.get("mean_error_m", float("nan")), int(found["n"])]
        for name, found, _ in rows
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
    if args.scene or not (args.mcity or args.recording):
        chosen = ablation if args.ablate else scenes
        jobs.append(lambda: chosen(args.scene or list(CASES), args.seeds or HELD_OUT))
    if args.mcity:
        jobs.append(lambda: on_mcity(args.mcity))
    if args.recording:
        jobs.append(lambda: on_recording(args.recording, args.truth))
    for job in jobs:
        rows += list(job())
    print(lines(rows))
    if args.plot:
        plot(rows, args.plot)
        print(f"wrote {args.plot}")
