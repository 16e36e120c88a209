"""Two engines on two cores against one: what of the gain of two workers is the engine's, where the load generator would
take part of the second core. Each engine runs as fast as it can through messages that were made beforehand."""

import gc
import multiprocessing
from multiprocessing.connection import Connection
from statistics import median

from bench.city_scene import City
from cloudctl.clock import SECOND, stopwatch
from cloudctl.engine import Engine

SIZE = 80  # intersections of the one engine, and of the two together
SIMULATED = 3.0  # s of traffic
WARM = 50  # batches before the clock runs
ROUNDS = 3


def run_engine(pipe: Connection, size: int) -> None:
    """Drive an engine of so many intersections; answer with the wall-clock s that it took."""
    city = City(size=size, seconds=SIMULATED)
    batches = list(city.run())
    engine = Engine(city.codes, city.config(), debug=True)
    for t, batch in batches[:WARM]:
        engine.step(t, batch)
    gc.collect()
    gc.freeze()
    pipe.send("ready")
    pipe.recv()

    begin = stopwatch()
    for t, batch in batches[WARM:]:
        engine.step(t, batch)
    pipe.send((stopwatch() - begin) / SECOND)


def longest(sizes: list[int]) -> float:
    """Return the wall-clock s of engines that run at the same time, until the last has ended."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for size in sizes:
        here, there = spawn.Pipe()
        processes.append(spawn.Process(target=run_engine, args=(there, size)))
        processes[-1].start()
        pipes.append(here)
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    seconds = [float(pipe.recv()) for pipe in pipes]
    for process in processes:
        process.join()
    return max(seconds)


def gain() -> float:
    """Return how many times the intersections of one engine two carry, each on a core of its own: the median of
    ROUNDS."""
    return median(longest([SIZE]) / longest([SIZE // 2, SIZE // 2]) for _ in range(ROUNDS))
