"""The tracker beside others on the same detections: accuracy and speed, all in one run. Needs the `peers` extra: make
bench-fusion.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np
from cloudctl.sim.common.terminal import table
from cloudctl.sim.tracking.columns import CHANGES, changed
from cloudctl.sim.tracking.evaluate import HELD_OUT, figures
from cloudctl.sim.tracking.scenes import Case, crowd, driving, one_sensor, passing, three_units

from bench import bench_fusion_scale
from bench.__main__ import machine
from bench.peers.adapters import PEERS, SLOW, Ours, Peer
from cloudctl.clock import MS, cpu, stopwatch

COLUMNS = ("mota", "idf1", "hota", "id_switches", "rmse_m", "gospa")
HEADER = ("", "MOTA", "IDF1", "HOTA", "id switches", "RMSE m", "GOSPA m")
TICK = 100 * MS


def scans(case: Case) -> list[tuple[int, np.ndarray]]:
    """Return (t, positions float64[n, 2]) of a case's scans in order of arrival."""
    return [(s.t, np.ascontiguousarray(np.column_stack([s.rows["x"], s.rows["y"]]))) for s in case.scans]


def available(names: Sequence[str]) -> tuple[dict[str, Callable[[], Peer]], list[str]]:
    """Return the peers that can be made here, and a line for each that cannot."""
    good, missing = {}, []
    for name in names:
        try:
            PEERS[name]()
            good[name] = PEERS[name]
        except (ImportError, RuntimeError) as error:
            missing.append(f"{name}: not measured ({error})")
    return good, missing


def accuracy(make: Callable[[], Peer], case: Case) -> dict[str, float]:
    """Score a tracker fed each scan as it comes and asked at each tick for what is where then."""
    peer, coming, moments = make(), list(zip(case.scans, scans(case), strict=True)), []
    k = 0
    for t, ids, xy in case.truth:
        while k < len(coming) and coming[k][0].arrival <= t:
            peer.step(*coming[k][1])
            k += 1
        moments.append((ids, xy, *peer.where(t)))
    return figures(moments, case.match_m)


def pooled(make: Callable[[], Peer]) -> Callable[[], Peer]:
    """Return the tracker fed at each tick with what came since the last, clustered: what users of trackers without
    times do.
    """

    class Pooled:
        def __init__(self) -> None:
            self.inner, self.waiting = make(), list[np.ndarray]()

        def step(self, t: int, xy: np.ndarray) -> None:
            self.waiting.append(xy)

        def where(self, t: int) -> Any:
            if self.waiting:
                self.inner.step(t, cluster(np.vstack(self.waiting)))
                self.waiting.clear()
            return self.inner.where(t)

    return Pooled


def cluster(xy: np.ndarray, within: float = 1.5) -> np.ndarray:
    """Return the means of the connected groups of points no further than `within` from one another."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(xy) < 2:
        return xy
    group = fcluster(linkage(xy, "average"), within, "distance")
    return np.array([xy[group == g].mean(0) for g in np.unique(group)])


def accuracy_table(peers: dict[str, Callable[[], Peer]], cases: Sequence[Case]) -> str:
    rows = []
    for name, make in peers.items():
        found = [accuracy(make, case) for case in (cases[:1] if name in SLOW else cases)]
        rows.append([name, *(median(f[c] for f in found) for c in COLUMNS)])
    return f"{cases[0].name}, medians of {len(cases)} seeds\n" + table(HEADER, rows)


def took(
    make: Callable[[], Peer], frames: list[tuple[int, np.ndarray]], rows: Sequence[Any] = ()
) -> tuple[list[int], int]:
    """Return ns of each scan, folded in and the tracks read, and ns of processor time of all; `rows` are the detections
    as our tracker takes them.
    """
    peer, out, busy = make(), list[int](), cpu()
    for k, (t, xy) in enumerate(frames):
        if rows and isinstance(peer, Ours):
            begin = stopwatch()
            peer.fusion.update(t, 0, rows[k])
            peer.fusion.tracks(t)
        else:
            begin = stopwatch()
            peer.step(t, xy)
            peer.where(t)
        out.append(stopwatch() - begin)
    return out, cpu() - busy


def speed_table(peers: dict[str, Callable[[], Peer]], sizes: Sequence[int], rounds: int) -> str:
    """Detections a second of processor time through Python (scan in, tracks out), interleaved, medians of rounds;
    ratios within the run.
    """
    rates: dict[str, list[float]] = {name: [] for name in peers}
    tails = []
    for n in sizes:
        case = one_sensor(7, n, 200 if n <= 240 else 30)
        frames, rows = scans(case), [s.rows for s in case.scans]
        total = sum(len(xy) for _, xy in frames)
        found: dict[str, list[float]] = {name: [] for name in peers}
        worst = []
        for turn in range(rounds):
            for name, make in peers.items():
                few = 6 if name in SLOW else 40 if name not in ("cloudctl", "minimal C") else len(frames)
                if (name in SLOW and (turn or n > 60)) or (few < len(frames) and n > 240):
                    continue
                spent, busy = took(make, frames[:few], rows)
                found[name].append(sum(len(xy) for _, xy in frames[:few]) / busy * 1e9)
                if name == "cloudctl":
                    worst.append(float(np.percentile(spent[5:], 99)) / 1000)
        for name in peers:
            rates[name].append(median(found[name]) if found[name] else float("nan"))
        tails.append(
            f"n = {n}: {total:,} detections; one scan of ours, folded in and read, p99 {min(worst):.0f} us in the"
            f" quietest round, {median(worst):.0f} us in the median one"
        )
    base = [rates[name] for name in ("minimal C", "cloudctl") if name in rates]
    cells = []
    for name, got in rates.items():
        cells.append([name, *(v for k, r in enumerate(got) for v in (r / 1e3, *(r / b[k] for b in base)))])
    header = ["thousand detections/s"]
    for n in sizes:
        header += [f"n={n}", *(f"x {name}" for name in ("minimal C", "cloudctl") if name in rates)]
    return table(header, cells) + "\n" + "\n".join(tails)


def several(seeds: Sequence[int], peers: dict[str, Callable[[], Peer]]) -> str:
    """Three late units: each tracker as it takes it, and pooled and clustered."""
    cases = [three_units(seed) for seed in seeds]
    rows = []
    ours = [accuracy_ours(case) for case in cases]
    rows.append(["cloudctl", *(median(f[c] for f in ours) for c in COLUMNS)])
    for name in ("filterpy SORT", "motpy"):
        if name in peers:
            found = [accuracy(pooled(peers[name]), case) for case in cases]
            rows.append([f"pooled, clustered, {name}", *(median(f[c] for f in found) for c in COLUMNS)])
    if "minimal C" in peers:
        found = [accuracy(PEERS["minimal C"], case) for case in cases]
        rows.append(["minimal C by stamps, late dropped", *(median(f[c] for f in found) for c in COLUMNS)])
    return f"{cases[0].name}, medians of {len(cases)} seeds\n" + table(HEADER, rows)


def accuracy_ours(case: Case) -> dict[str, float]:
    """Score ours with its sources told apart."""
    from cloudctl.sim.tracking.evaluate import follow

    return figures(follow(case)[0], case.match_m)


def columns(seeds: Sequence[int]) -> str:
    """Return what each column of a detection is worth, left out, alone, or wrong: none may make it worse than places
    alone.
    """
    cases = [driving(seed) for seed in seeds]
    rows = []
    for name in CHANGES:
        found = [accuracy_ours(changed(case, name)) for case in cases]
        rows.append([name, *(median(f[c] for f in found) for c in COLUMNS)])
    return f"{cases[0].name}, medians of {len(cases)} seeds\n" + table(HEADER, rows)


def parts(seeds: Sequence[int], rounds: int, names: Sequence[str]) -> Iterator[str]:
    """Yield each table as soon as it is there."""
    peers, missing = available(names)
    yield speed_table(peers, (60, 240), rounds)
    if "cloudctl" in peers:
        yield bench_fusion_scale.run(rounds)
    yield accuracy_table(peers, [one_sensor(seed) for seed in seeds])
    yield accuracy_table(peers, [passing(seed) for seed in seeds])
    yield accuracy_table(peers, [crowd(seed) for seed in seeds])
    yield columns(seeds)
    yield several(seeds, peers)
    yield from missing


def run() -> str:
    """Return every table."""
    return "\n\n".join(parts(HELD_OUT, 7, tuple(PEERS)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(HELD_OUT))
    parser.add_argument("--rounds", type=int, default=7, help="of the speed measurement (default 7)")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    args = parser.parse_args()
    print(f"machine: {machine()}\n", flush=True)
    for part in parts(args.seeds, args.rounds, args.peers):
        print(part + "\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
