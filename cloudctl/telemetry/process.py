"""The metrics of the process itself, under the names that every Prometheus client library uses."""

import os
from collections.abc import Iterator
from pathlib import Path

from ..clock import SECOND, cpu
from .exposition import Gauge, Sample

PROCESS = Path("/proc/self")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")  # a second


def process_gauges() -> Iterator[Gauge]:
    """Yield processor time, memory, open files and start; what the system does not give is left out."""
    yield _one("process_cpu_seconds", "Processor time that was used.", cpu() / SECOND, counts=True)
    try:
        fields = (PROCESS / "stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        open_files = len(os.listdir(PROCESS / "fd"))
        limits = (PROCESS / "limits").read_text()
    except (OSError, StopIteration):
        return

    started = int(boot.split()[1]) + int(fields[19]) / TICKS
    yield _one("process_start_time_seconds", "Start of the process, seconds since 1970.", started)
    yield _one("process_resident_memory_bytes", "Memory in use.", int(fields[21]) * PAGE_BYTES)
    yield _one("process_open_fds", "Open file handles.", open_files)
    soft = next((line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")), "unlimited")
    yield _one("process_max_fds", "Limit of open file handles.", float("inf") if soft == "unlimited" else int(soft))


def _one(name: str, text: str, value: float, counts: bool = False) -> Gauge:
    return Gauge(name=name, help=text, samples=[Sample((), value)], counts=counts)
