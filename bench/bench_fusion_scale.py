"""The tracker's time against what surrounds a detection: other intersections in turn, a crowd in one place, more road
users. Ours alone, interleaved, in processor time.
"""

from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from cloudctl.sim.common.terminal import table
from cloudctl.sim.tracking.scenes import one_sensor

from cloudctl.clock import MS, cpu
from cloudctl.fusion import Fusion, FusionConfig, detections, update_batch

CITY = 440  # intersections of 1,000 km of road: their state, 25 MB, fits no core's cache
PEOPLE = 1024  # detections of one scan
WITHIN = 5.0  # m
SPREAD = 300.0  # m, half of the square over which the same number is spread
WARM = 60  # scans before the clock runs
ROOM = 16_384


def in_turn(count: int, scans: int, batch: bool = False) -> float:
    """Return ns a detection where `count` intersections of 60 road users get their scans in turn and their tracks are
    read.
    """
    case = one_sensor(7, 60, WARM + scans)
    fusions = [Fusion() for _ in range(count)]
    for scan in case.scans[:WARM]:
        for fusion in fusions:
            fusion.update(scan.t, 0, scan.rows)
    costs = []
    for scan in case.scans[WARM:]:
        copies = [scan.rows.copy() for _ in fusions]  # each its own, as frames of many gateways are
        if batch:
            rows, offsets = np.concatenate(copies), np.arange(count + 1, dtype=np.int64) * len(scan.rows)
            times, sources = np.full(count, scan.t, np.int64), np.zeros(count, np.int32)
            begin = cpu()
            update_batch(fusions, times, sources, rows, offsets)
        else:
            begin = cpu()
            for fusion, rows in zip(fusions, copies, strict=True):
                fusion.update(scan.t, 0, rows)
                fusion.tracks(scan.t)
        costs.append((cpu() - begin) / (count * len(scan.rows)))
    return median(costs)


def crowd(within: float | None, standing: bool, scans: int = 120) -> list[float]:
    """Return the ms of each scan of PEOPLE detections in a disc of a radius (m), or spread out; the same people, or
    others each time.
    """
    rng, fusion, spent = np.random.default_rng(1), Fusion(FusionConfig(max_tracks=ROOM)), []

    def places() -> np.ndarray:
        if within is None:
            return rng.uniform(-SPREAD, SPREAD, (PEOPLE, 2))
        angle, radius = rng.uniform(0, 2 * np.pi, PEOPLE), within * np.sqrt(rng.uniform(0, 1, PEOPLE))
        return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

    people = places()
    for k in range(scans):
        rows = detections((people if standing else places()) + rng.normal(0, 0.1, (PEOPLE, 2)))
        begin = cpu()
        fusion.update(k * 100 * MS, 0, rows)
        spent.append((cpu() - begin) / 1e6)
    return spent


def one_spot(n: int = 10_000) -> float:
    """Return the ms of the slowest scan of n detections within a few cm."""
    rng, fusion, slowest = np.random.default_rng(1), Fusion(FusionConfig(max_tracks=ROOM)), 0.0
    for k in range(20):
        rows = detections(rng.normal(0, 0.01, (n, 2)))
        begin = cpu()
        fusion.update(k * 100 * MS, 0, rows)
        slowest = max(slowest, (cpu() - begin) / 1e6)
    return slowest


def growth(sizes: tuple[int, int]) -> list[float]:
    """Return ns a detection for each number of road users at constant density."""
    out = []
    for n in sizes:
        case, fusion, costs = one_sensor(7, n, 60 if n < 1000 else 20), Fusion(FusionConfig(max_tracks=ROOM)), []
        for scan in case.scans:
            begin = cpu()
            fusion.update(scan.t, 0, scan.rows)
            fusion.tracks(scan.t)
            costs.append((cpu() - begin) / max(len(scan.rows), 1))
        out.append(median(costs))
    return out


def ratios(measure: Callable[[], Sequence[float]], rounds: int) -> tuple[float, float, float]:
    """Return the medians of two figures measured one after the other, and of their ratio."""
    pairs = [measure() for _ in range(rounds)]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(b / a for a, b in pairs)


def quiet(spent: Sequence[Sequence[float]]) -> float:
    """Return the p99 of the quietest round: what else runs on the machine only adds to it."""
    return min(float(np.percentile(each, 99)) for each in spent)


def run(rounds: int = 5) -> str:
    """Return the table."""
    rows: list[list[object]] = []
    for name, batch in (("read in turn through Python", False), ("one batch", True)):
        one, many, ratio = ratios(lambda batch=batch: (in_turn(1, 40, batch), in_turn(CITY, 8, batch)), rounds)  # type: ignore[misc]
        rows.append([f"{CITY} intersections, {name}", f"{one:.0f} -> {many:.0f} ns", f"x {ratio:.2f}", "x 1.3"])
    small, large, ratio = ratios(lambda: growth((240, 10_000)), rounds)
    rows.append(["240 -> 10,000 road users", f"{small:.0f} -> {large:.0f} ns", f"x {ratio:.2f}", "x 2"])
    spread = quiet([crowd(None, True) for _ in range(rounds)])
    for name, standing in (("standing", True), ("others each scan", False)):
        dense = quiet([crowd(WITHIN, standing) for _ in range(rounds)])
        rows.append(
            [
                f"{PEOPLE} within {WITHIN:g} m, {name}, p99",
                f"{spread:.2f} -> {dense:.2f} ms",
                f"x {dense / spread:.1f}",
                "x 10, 5 ms",
            ]
        )
    rows.append(["10,000 in one spot, slowest scan", f"{min(one_spot() for _ in range(rounds)):.1f} ms", "", ""])
    return table(["cost of a detection", "", "ratio", "at most"], rows)


if __name__ == "__main__":
    print(run())
