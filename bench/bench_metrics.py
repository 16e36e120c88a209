"""A scrape of 18,000 counters: how long it keeps the event loop from its next turn, beside prometheus_client's text.

The loop turns as fast as it can; of each turn the processor time is taken, which other programs on the machine do not
change. Another process scrapes; texts are not kept here, so that each scrape is written anew. The last row asks the API
for the largest answers.
"""

import asyncio
import gc
import multiprocessing
import urllib.request
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

from cloudctl.sim.common.terminal import table
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily

from bench.view_stage import TOKEN, Driven
from cloudctl.api.routes import ApiRoutes
from cloudctl.clock import MS, SECOND, EventClock, cpu, stopwatch
from cloudctl.engine import Engine
from cloudctl.io.egress import Egress
from cloudctl.io.http import Web
from cloudctl.io.http_guard import HttpGuard
from cloudctl.metrics import MAX_SOURCES, Metrics
from cloudctl.settings import BrokerSection
from cloudctl.telemetry import routes
from cloudctl.telemetry.gauges import Watched
from cloudctl.telemetry.pulse import Pulse
from cloudctl.telemetry.routes import TelemetryRoutes

NAMES = tuple(f"{prefix}.{variant}" for prefix in ("accept", "reject", "drop") for variant in "abcdef")
COUNTERS = len(NAMES) * MAX_SOURCES
INTERSECTIONS, OBJECTS = 100, 60
SCRAPES = 20  # of each kind
PATHS = ("/health", "/metrics", "/metrics?by=intersection", "/metrics?by=source", "/intersections?limit=100")
PAUSE = 0.02  # s between two
spawn = multiprocessing.get_context("spawn")


def ask(pipe: Connection, address: str) -> None:
    """Ask for one path after the other, as the other end requests; answer with the bytes of each."""
    while True:
        path = pipe.recv()
        if path is None:
            return
        request = urllib.request.Request(address + path, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            pipe.send(len(answer.read()))


class Turns:
    """The processor time of each turn of an event loop, ns."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self._last = cpu()
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        now = cpu()
        self.taken.append(now - self._last)
        self._last = now
        asyncio.get_running_loop().call_soon(self._turn)


def filled() -> tuple[Engine, Metrics]:
    """Return an engine that has planned every intersection, and has COUNTERS counters."""
    driven = Driven(INTERSECTIONS, OBJECTS, hz=10.0)
    time_ns = 1_767_225_600 * SECOND
    for index in range(12 * INTERSECTIONS):
        driven.engine.step(time_ns + index * driven.slot, driven.batch(time_ns + index * driven.slot))
    metrics = driven.engine.metrics
    for name in NAMES:
        for source in range(MAX_SOURCES):
            metrics.count(name, f"vehicle-{source:05}")

    return driven.engine, metrics


async def measured(engine: Engine, metrics: Metrics) -> list[list[Any]]:
    """Return a row for each request: what is asked for, kB, and how long the loop was held up."""
    routes.KEPT = 0  # type: ignore[misc]
    clock = EventClock(max(intersection.planned for intersection in engine.intersections.values()))

    watched = Watched(
        engine=engine,
        clock=clock,
        egress=Egress(section=BrokerSection(), clock=clock, metrics=metrics, on_vehicle_message=lambda *_: None),
        recorder=None,
        inbox=(),
        contacts={},
        viewers=(),
        refused_connections=lambda: 0,
        pulse=Pulse(metrics, interval=0.5),
    )

    web = Web(
        bind="127.0.0.1:0",
        versions=engine.versions,
        clock=clock,
        more_routes=lambda server: [
            *TelemetryRoutes(server, watched, {}).routes(),
            *ApiRoutes(web=server, engine=engine, clock=clock, contacts={}).routes(),
        ],
        guard=HttpGuard(TOKEN),
    )

    await web.start()
    parent_end, child_end = spawn.Pipe()
    asker = spawn.Process(target=ask, args=(child_end, web.address), daemon=True)
    asker.start()

    gc.collect()
    gc.freeze()  # as a node does when it begins to serve
    rows, turns = [], Turns()
    await answer_of(parent_end, "/health")

    for path in PATHS:
        longest, sizes = [], []
        for _ in range(SCRAPES):
            await asyncio.sleep(PAUSE)
            turns.taken.clear()
            sizes.append(await answer_of(parent_end, path))
            longest.append(max(turns.taken) / MS)

        rows.append([path, sizes[-1] / 1e3, median(longest), max(longest)])

    parent_end.send(None)
    asker.join(20)
    await web.stop()
    return rows


async def answer_of(pipe: Connection, path: str) -> int:
    """Return the size (bytes) of the answer of the node at a path."""
    pipe.send(path)
    while not pipe.poll(0):
        await asyncio.sleep(0)
    return int(pipe.recv())


class Peer:
    """The same counters as a collector of prometheus_client."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Any:
        for name, sources in self._metrics.by_source("").items():
            family = CounterMetricFamily(f"cloudctl_{name.replace('.', '_')}", "x", labels=("source",))
            for source, count in sources.items():
                family.add_metric((source,), count)
            yield family


def peer(metrics: Metrics) -> list[Any]:
    """Return the row of prometheus_client with the same families."""
    registry = CollectorRegistry()
    registry.register(Peer(metrics))  # type: ignore[arg-type]
    durations = []

    for _ in range(SCRAPES // 4):
        begin = cpu()
        size = len(generate_latest(registry))
        durations.append((cpu() - begin) / MS)

    return ["prometheus_client, in one go", size / 1e3, median(durations), max(durations)]


def counting(metrics: Metrics) -> float:
    """Return ns that counting one message takes."""
    begin, rounds = stopwatch(), 200_000
    for _ in range(rounds):
        metrics.count("accept.perception", "rsu-1")
    return (stopwatch() - begin) / rounds


def run() -> str:
    """Return the table: a scrape's size, its time, and what it costs the loop."""
    engine, metrics = filled()
    assert len(metrics.counters) >= COUNTERS
    rows = asyncio.run(measured(engine, metrics))
    rows.append(peer(metrics))
    head = ["what is asked for", "kB", "longest turn ms, median", f"of {SCRAPES}, the longest"]
    text = table(head, [[row[0], *(round(float(value), 2) for value in row[1:])] for row in rows])

    return f"{text}\n\nto count one message: {counting(metrics):.0f} ns\nmust: no turn over 5 ms for 18,000 counters"
