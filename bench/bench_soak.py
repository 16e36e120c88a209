"""A system under faults injected at random: memory must stay flat, the recording must replay to the same bytes, service
must come back.

A node, mosquitto, two gateways and twenty vehicles, each in a process of its own. SOAK_MINUTES (default 30), SOAK_SEED
(default 1), SOAK_WITHOUT="SIGHUP,..." leaves causes out. Writes out/soak/: soak.png, soak.json, node.err and the
recordings.
"""

import contextlib
import os
import shutil
import sys
import threading
from pathlib import Path

from bench.soak_report import Sample, Soak, report
from bench.soak_system import Cause, System
from cloudctl.clock import SECOND, WallClock, sleep_until

OUT = Path("out/soak")
SAMPLE_INTERVAL = 5  # s
CALM = 20.0  # s at the beginning and the end with no harm done
SETTLE = 3.0  # s after the end of a cause, in which what it did shows
MAX_OUTAGE = 60.0  # s that are waited for service to come back before the next cause
PAUSE = (3.0, 8.0)  # s of service before the next cause


def run() -> str:
    """Return the report of hours of faults, one after the other."""
    minutes, seed = float(os.environ.get("SOAK_MINUTES", "30")), int(os.environ.get("SOAK_SEED", "1"))
    without = [name.strip() for name in os.environ.get("SOAK_WITHOUT", "").split(",") if name.strip()]
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    system = System(OUT / "run", seed)
    soak = Soak(minutes, seed)
    stop = threading.Event()
    sampler = threading.Thread(target=_sample, args=(system, soak, stop), daemon=True)

    try:
        system.start()
        if not system.served(30.0):
            raise RuntimeError(f"no advice within 30 s of the start: {system.node.stderr[-1500:]}")

        soak.begin = system.clock.now()
        sampler.start()
        _harm(system, soak, soak.begin + int((minutes * 60 - CALM) * SECOND), without)
        soak.counters = system.node.counters()
        soak.deliveries, unclosed = system.deliveries()
        soak.outages += [f"{unclosed} vehicles' connections would not close"] * bool(unclosed)
    finally:
        stop.set()
        soak.status = system.stop()

    soak.stderr = system.node.stderr
    return report(soak, system, OUT)


def _harm(system: System, soak: Soak, end: int, without: list[str]) -> None:
    """Inject every cause in turn, in a new random order each time round, until `end`."""
    soak.causes.append(Cause(name="none (calm)", begin=system.clock.now(), end=system.clock.now(), where=()))
    system.sleep(CALM)
    names: list[str] = []

    while system.clock.now() < end:
        if not names:
            names = [name for name in system.causes if name not in without]
            system.rng.shuffle(names)

        name = names.pop()
        print(f"soak: {(system.clock.now() - soak.begin) / SECOND:.0f} s: {name}", file=sys.stderr, flush=True)
        soak.causes.append(system.inject(name))
        system.sleep(SETTLE)

        if not system.node.alive():
            assert system.node.process is not None
            soak.deaths.append(f"exit status {system.node.process.returncode} after: {name}")
            print(f"soak: the node died: {soak.deaths[-1]}", file=sys.stderr, flush=True)
            soak.deaths += [f"started again, it wrote over the recording {name}" for name in system.restart_node()]
            soak.restarted = system.clock.now()
            if not system.served(30.0):
                soak.outages.append("no advice within 30 s of the next start")
        elif not system.served(MAX_OUTAGE):
            soak.outages.append(f"no service {MAX_OUTAGE:.0f} s after: {name}" + _repair(system, soak))

        system.sleep(system.rng.uniform(*PAUSE))

    soak.causes.append(Cause(name="none (calm)", begin=system.clock.now(), end=system.clock.now(), where=()))
    system.sleep(CALM)


def _repair(system: System, soak: Soak) -> str:
    """Put the system right so that the next cause is not blamed for this one; return what that gave."""
    soak.causes.append(
        Cause(name="none (repaired by hand)", begin=system.clock.now(), end=system.clock.now(), where=())
    )
    system.repair()
    if system.served(MAX_OUTAGE):
        return "; back after clocks and gateways were put right"

    return "; nor after clocks and gateways were put right"


def _sample(system: System, soak: Soak, stop: threading.Event) -> None:
    clock = WallClock()
    while not stop.is_set():
        # It has ended: the main thread sees to that
        with contextlib.suppress(OSError, ValueError, KeyError):
            soak.samples.append(Sample(clock.now(), *system.node.sample()))
        deadline = clock.now() + SAMPLE_INTERVAL * SECOND
        while not stop.is_set() and clock.now() < deadline:
            sleep_until(clock.now() + SECOND // 5)
