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
    for t, source, rows in probed(mcity.load(folder, name)):
        fusion.update(t, source, rows)
    found = fusion.stats()["sources"][0]
    return SourceConfig(latency_ms=found["lag"] * 1000, sigma_m=found["sigma"], kind=found["kind"])


def probed(trial: mcity.Trial) -> list[tuple[int, int, Rows]]:
    """Return the trial's scans (source 0) and its probes' reports at 10 Hz (source 1), in order of their stamps."""
    step = SECOND // 10
    reports = []
    begin, end = min(int(p.t[0]) for p in trial.probes.values()), max(int(p.t[-1]) for p in trial.probes.values())
    for t in range(begin + step, end, step):
        found = trial.truth_at(t)
        if found is None:
            continue
        ids, places = found
        near = np.hypot(*places.T) <= 1.5 * trial.radius
        rows = np.zeros(int(near.sum()), trial.scans[0][1].dtype)
        for name in ("vx", "vy", "heading", "length", "width", "height", "cov_xy", "confidence"):
            rows[name] = np.nan
        rows["x"], rows["y"] = places[near].T
        rows["vehicle"], rows["class"], rows["var_x"], rows["var_y"] = ids[near] + 1, trial.kind, 0.01, 0.01
        if len(rows):
            reports.append((t, 1, rows))
    return sorted([(t, 0, rows) for t, rows in trial.scans] + reports, key=lambda scan: (scan[0], scan[1]))


def mcity_moments(trial: mcity.Trial, source: SourceConfig, ours: bool) -> Moments:
    """Score at the moments the units looked at the road: stamps less the latency found. Ours are the tracks of any
    class but the other
    kind's; the vendor's are its own ids and places."""
    fusion, moments = Fusion(), []
    fusion.add_source(0, source)
    lag = int(source.latency_ms * SECOND / 1000)
    for t, rows in trial.scans:
        fusion.update(t, 0, rows)
        found = trial.truth_at(t - lag)
        if found is None:
            continue
        ids, places = found
        here = np.hypot(*places.T) < trial.radius
        seen = fusion.tracks(t - lag) if ours else rows
        seen = seen[(seen["class"] == trial.kind) & (np.hypot(seen["x"], seen["y"]) < trial.radius)]
        moments.append(moment(ids[here], places[here], seen))
    return moments


def seen_only(moments: Moments, vendor: Moments) -> Moments:
    """Return the moments at which the units reported anything of the kind: the rest measures their reach, not their
    tracks.
    """
    return [m for m, v in zip(moments, vendor, strict=True) if len(v[2])]


def joined(parts: Sequence[Moments]) -> Moments:
    """Return sequences as one, with identities kept apart."""
    out = []
    for k, part in enumerate(parts):
        out += [(m[0] + 10**10 * (k + 1), m[1], m[2] + 10**10 * (k + 1), *m[3:]) for m in part]
    return out


def runs(folder: Path) -> Iterator[tuple[str, Moments]]:
    """Run every trial: the vendor's own tracks and ours, whole and while the units report anything of the kind; then
    all trials of a kind.
    """
    source = probe_latency(folder)
    loaded = [mcity.load(folder, name) for name in mcity.trials(folder)]
    for walking, what in ((False, "vehicles"), (True, "pedestrians")):
        own = [trial for trial in loaded if trial.walking == walking and trial.name != mcity.PROBE_TRIAL]
        whole: dict[str, list[Moments]] = {"vendor": [], "cloudctl": []}
        seen: dict[str, list[Moments]] = {"vendor": [], "cloudctl": []}
        for trial in own:
            vendor, ours = mcity_moments(trial, source, False), mcity_moments(trial, source, True)
            for name, run in (("vendor", vendor), ("cloudctl", ours)):
                whole[name].append(run)
                seen[name].append(seen_only(run, vendor))
                yield f"Mcity {what}, trial {trial.name}, {name}", run
        for name in whole if own else ():
            yield f"Mcity {what}, {name}", joined(whole[name])
            yield f"Mcity {what} while seen, {name}", joined(seen[name])
