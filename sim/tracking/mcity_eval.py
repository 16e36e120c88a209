"""`cloudctl eval --mcity`: the tracker and the vendor's own tracks against RTK, each trial by itself with one
setting.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...clock import SECOND
from ...fusion import Fusion, Rows, SourceConfig
from . import mcity

Moments = list[Any]


def moment(ids: np.ndarray, xy: np.ndarray, tracks: Rows) -> Any:
    """Return a moment of `sim.score` from the truth and ndarray[TRACK] or [DETECTION]; the last column is existence
    where there is one.
    """
    existence = tracks["existence"] if "existence" in (tracks.dtype.names or ()) else np.ones(len(tracks))
    return ids, xy, tracks["id"].astype(np.int64), np.column_stack([tracks["x"], tracks["y"]]), existence


def probe_latency(folder: Path) -> SourceConfig:
    """Find the roadside units' latency as the tracker does: in the trial made for it (else the first with a vehicle)
    the probe vehicles' RTK
    reports are a cooperative source.

    Of what is found, latency and noise are the units' own; the bias is not taken along, for the antenna is not the
    vehicle's middle.
    """
    names = list(mcity.trials(folder))
    driving = [name for name in names if "ped" not in name]
    name = mcity.PROBE_TRIAL if mcity.PROBE_TRIAL in names else (driving or names)[0]
    fusion = Fusion()
    fusion.add_source(1, SourceConfig(kind="cooperative", sigma_m=0.1, sigma_v=0.3))
    for time_ns, source, rows in probed(mcity.load(folder, name)):
        fusion.update(time_ns, source, rows)
    source_stats = fusion.stats()["sources"][0]
    return SourceConfig(latency_ms=source_stats["lag"] * 1000, sigma_m=source_stats["sigma"], kind=source_stats["kind"])


def probed(trial: mcity.Trial) -> list[tuple[int, int, Rows]]:
    """Return the trial's scans (source 0) and its probes' reports at 10 Hz (source 1), in order of their stamps."""
    step = SECOND // 10
    reports = []

    begin, end = (
        min(int(probe.t[0]) for probe in trial.probes.values()),
        max(int(probe.t[-1]) for probe in trial.probes.values()),
    )
    for time_ns in range(begin + step, end, step):
        truth = trial.truth_at(time_ns)
        if truth is None:
            continue

        ids, places = truth
        near = np.hypot(*places.T) <= 1.5 * trial.radius
        rows = np.zeros(int(near.sum()), trial.scans[0][1].dtype)
        for name in ("vx", "vy", "heading", "length", "width", "height", "cov_xy", "confidence"):
            rows[name] = np.nan
        rows["x"], rows["y"] = places[near].T
        rows["vehicle"], rows["class"], rows["var_x"], rows["var_y"] = ids[near] + 1, trial.kind, 0.01, 0.01
        if len(rows):
            reports.append((time_ns, 1, rows))

    return sorted([(time_ns, 0, rows) for time_ns, rows in trial.scans] + reports, key=lambda scan: (scan[0], scan[1]))


def mcity_moments(trial: mcity.Trial, source: SourceConfig, is_ours: bool) -> Moments:
    """Score at the moments the units looked at the road: stamps less the latency found. Ours are the tracks of any
    class but the other
    kind's; the vendor's are its own ids and places."""
    fusion, moments = Fusion(), []
    fusion.add_source(0, source)
    lag = int(source.latency_ms * SECOND / 1000)

    for time_ns, rows in trial.scans:
        fusion.update(time_ns, 0, rows)
        truth = trial.truth_at(time_ns - lag)
        if truth is None:
            continue

        ids, places = truth
        in_radius = np.hypot(*places.T) < trial.radius
        tracks = fusion.tracks(time_ns - lag) if is_ours else rows
        tracks = tracks[(tracks["class"] == trial.kind) & (np.hypot(tracks["x"], tracks["y"]) < trial.radius)]
        moments.append(moment(ids[in_radius], places[in_radius], tracks))

    return moments


def seen_only(moments: Moments, vendor: Moments) -> Moments:
    """Return the moments at which the units reported anything of the kind: the rest measures their reach, not their
    tracks.
    """
    return [moment_ for moment_, value in zip(moments, vendor, strict=True) if len(value[2])]


def joined(parts: Sequence[Moments]) -> Moments:
    """Return sequences as one, with identities kept apart."""
    moments = []
    for index, part in enumerate(parts):
        moments += [
            (current[0] + 10**10 * (index + 1), current[1], current[2] + 10**10 * (index + 1), *current[3:])
            for current in part
        ]
    return moments


def runs(folder: Path) -> Iterator[tuple[str, Moments]]:
    """Run every trial: the vendor's own tracks and ours, whole and while the units report anything of the kind; then
    all trials of a kind.
    """
    source = probe_latency(folder)
    loaded = [mcity.load(folder, name) for name in mcity.trials(folder)]

    for walking, title in ((False, "vehicles"), (True, "pedestrians")):
        own = [trial for trial in loaded if trial.walking == walking and trial.name != mcity.PROBE_TRIAL]
        all_moments: dict[str, list[Moments]] = {"vendor": [], "cloudctl": []}
        seen_moments: dict[str, list[Moments]] = {"vendor": [], "cloudctl": []}

        for trial in own:
            vendor, ours = mcity_moments(trial, source, is_ours=False), mcity_moments(trial, source, is_ours=True)
            for name, run in (("vendor", vendor), ("cloudctl", ours)):
                all_moments[name].append(run)
                seen_moments[name].append(seen_only(run, vendor))
                yield f"Mcity {title}, trial {trial.name}, {name}", run

        for name in all_moments if own else ():
            yield f"Mcity {title}, {name}", joined(all_moments[name])
            yield f"Mcity {title} while seen, {name}", joined(seen_moments[name])
