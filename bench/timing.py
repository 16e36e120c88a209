"""Medians of rounds, interleaved, so that a noisy machine is noisy for everyone."""

from collections.abc import Callable
from statistics import median

from cloudctl.sim.common.terminal import table

from cloudctl.clock import stopwatch


def interleaved(jobs: dict[str, Callable[[], object]], rounds: int = 9, repeat: int = 200) -> dict[str, float]:
    """Return the median us of one call of each job over `rounds` rounds of `repeat` calls, taken in turn."""
    durations: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()

    for _ in range(rounds):
        for name, job in jobs.items():
            begin = stopwatch()
            for _ in range(repeat):
                job()
            durations[name].append((stopwatch() - begin) / 1000 / repeat)

    return {name: median(values) for name, values in durations.items()}


def ratios(durations: dict[str, float], base: str) -> str:
    """Return a table of medians and their ratio to `base`."""
    return table(["", "us", f"x {base}"], [[name, us, us / durations[base]] for name, us in durations.items()])
