"""Runs in processes of their own: libsumo holds one simulation a process, and may take its process down with it."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Work, Result = TypeVar("Work"), TypeVar("Result")


def each(call: Callable[[Work], Result], works: Sequence[Work], processes: int) -> Iterator[tuple[Work, Result | None]]:
    """Yield (work, call(work)) as they end, `processes` at once; None for one whose process died. `call` is a module's
    own function.

    What `call` raises is raised here, and what has not begun is left undone.
    """
    with ThreadPoolExecutor(processes) as threads:
        futures = {threads.submit(_alone, call, work): work for work in works}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _alone(call: Callable[[Work], Result], work: Work) -> Result | None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(call, work).result()
        except BrokenProcessPool:
            return None
