"""The engine alone with the intersections of a city: cores by stage, with and without connected vehicles, memory and
start.

Messages are made outside of what is timed. A stage's cores are its CPU seconds per simulated second; `publish` is the
encoding of advisories for vehicles and of broadcasts for gateways, without a socket.
"""

import gc
import subprocess
import sys
from collections import defaultdict

import msgspec
from cloudctl.sim.common.terminal import table

from bench.city_scene import City
from cloudctl.clock import SECOND, cpu
from cloudctl.engine import Engine
from cloudctl.faults import Faults
from cloudctl.metrics import Metrics
from cloudctl.node.startup import settle_memory
from cloudctl.payloads import encode_all

SIZE = 880
WARM = 2.0  # s of traffic before the clock runs
MEASURED = 4.0  # s
CITY_CORES, IDLE_CORES = 1.2, 0.8  # at most, with and without connected vehicles
MAX_MEMORY, MAX_START = 400.0, 5.0  # KiB of an intersection; s
encode = msgspec.msgpack.Encoder().encode


def resident() -> int:
    """Return the KiB of memory that this process has resident."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def drive(city: City) -> None:
    """Run an engine through a city, once."""
    engine = Engine(city.codes, city.config(), debug=True)
    for t, batch in city.run():
        engine.step(t, batch)


def stages(size: int, connected: int) -> dict[str, float]:
    """Return cores by stage, and what else was measured of a run of a city."""
    drive(City(size=5, connected=1, seconds=0.3))  # what is loaded once takes memory once
    city = City(size=size, connected=connected, seconds=WARM + MEASURED)
    gc.collect()
    before, begin = resident(), cpu()
    engine = Engine(city.codes, city.config(), debug=True)
    started = (cpu() - begin) / SECOND
    settle_memory()

    spent: dict[str, int] = defaultdict(int)
    advisories, plans, t_begin, faults = 0, 0, 0, Faults(Metrics(), debug=True)

    for t, batch in city.run():
        t_begin = t_begin or t
        counted = t - t_begin >= WARM * SECOND
        last = cpu()

        def mark(stage: str) -> None:
            nonlocal last
            now = cpu()
            if counted:  # noqa: B023 - called within this turn of the loop
                spent[stage] += now - last
            last = now

        output = engine.step(t, batch, mark)
        encode_all(output.advisories, faults)
        for _, _, body in output.replies:
            encode(body)
        mark("published")
        if counted:
            advisories += len(output.advisories)
            plans += len(output.planned)

    found = {stage: ns / SECOND / MEASURED for stage, ns in spent.items()}
    found["cores"] = sum(found.values())

    return found | {
        "advisories/s": advisories / MEASURED,
        "plans/s": plans / MEASURED,
        "start s": started,
        "KiB each": (resident() - before) / size,
    }


def measured_apart(size: int, connected: int) -> dict[str, float]:
    """Return `stages`, measured in a process of its own: memory that another run left would not show."""
    command = [sys.executable, "-m", "bench.bench_engine", str(size), str(connected)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return msgspec.json.decode(answer.splitlines()[-1], type=dict[str, float])


def run(size: int = SIZE) -> str:
    """Return the table."""
    busy, idle = measured_apart(size, 5), measured_apart(size, 0)
    rows: list[list[object]] = [[name, busy[name], idle.get(name, 0.0), ""] for name in busy]
    bounds = {"cores": f"{CITY_CORES}, {IDLE_CORES}", "start s": MAX_START, "KiB each": MAX_MEMORY}
    for row in rows:
        row[3] = bounds.get(str(row[0]), "")
    return table([f"{size} intersections x 3 x 10 Hz x 30", "5 connected each", "none", "at most"], rows)


if __name__ == "__main__":
    print(msgspec.json.encode(stages(int(sys.argv[1]), int(sys.argv[2]))).decode())
