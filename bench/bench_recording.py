"""Recordings: what Foxglove channels cost in bytes and time, and how fast an hour of recording is looked into.

The run is 3 roadside units x 10 Hz x 40 road users at one intersection; the hour repeats its bodies.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.scene import Scene, corridor
from cloudctl import codes
from cloudctl.clock import MS, SECOND, stopwatch
from cloudctl.engine import Engine
from cloudctl.foxglove.recorded import RecordedViews
from cloudctl.foxglove.socket import Client, FoxgloveServer
from cloudctl.io.recording.chunks import IndexedRun
from cloudctl.io.recording.reader import Recorder
from cloudctl.payloads import encode
from cloudctl.recordings.cut import CutRequest, cut
from cloudctl.recordings.info import info
from cloudctl.schema import RawMessage
from cloudctl.settings import EngineConfig

RUN = 60.0  # s
OBJECTS = 40
HOUR = 3600  # s
PLACES = 20  # of the hour that are jumped to


class Cost(NamedTuple):
    """What one way of recording takes."""

    bytes: int
    seconds: float  # of steps and recording
    views: float  # s of them, for the Foxglove channels


def record(path: Path, with_views: bool) -> Cost:
    """Record the run."""
    code = corridor()[0]
    config = EngineConfig({"g": {f"r{index}": code.code.id for index in range(3)}})
    engine, recorder = Engine([code.code], config), Recorder(path)
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    views = RecordedViews(recorder, engine) if with_views else None
    spent, begin = 0, stopwatch()

    for time_ns, batch in Scene(code, OBJECTS).run(RUN):
        output = engine.step(time_ns, batch)
        recorder.step(time_ns, batch, [encode(advisory) for advisory in output.advisories])
        if views is not None:
            start = stopwatch()
            views.observe(time_ns, output)
            spent += stopwatch() - start

    recorder.close()
    return Cost(path.stat().st_size, (stopwatch() - begin) / SECOND, spent / SECOND)


def live_cost(subscribers: int) -> float:
    """Return ms per plan of the WebSocket's part of the loop, with so many viewers of everything."""
    code = corridor()[0]
    engine = Engine([code.code], EngineConfig({"g": {f"r{index}": code.code.id for index in range(3)}}))
    server = FoxgloveServer(engine, "no-token-needed-here")

    for _ in range(subscribers):
        client = Client()
        server.clients.append(client)
        server.subscribe_all(client)

    spent = plans = 0
    for time_ns, batch in Scene(code, OBJECTS).run(RUN / 4):
        output = engine.step(time_ns, batch)
        start = stopwatch()
        server.observe(time_ns, output)
        spent += stopwatch() - start
        plans += len(output.planned)
        for client in server.clients:
            client.take()

    return spent / MS / max(plans, 1)


def record_hour(path: Path) -> None:
    """Record an hour of the run's bodies: what a step holds is as long as live."""
    code = corridor()[0]
    config = EngineConfig({"g": {f"r{index}": code.code.id for index in range(3)}})
    recorder = Recorder(path)
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    batches = Scene(code, OBJECTS).run(20.0)
    begin = batches[0][0]

    span = len(batches) // 3 * 100 * MS
    for turn in range(HOUR * SECOND // span):
        for time_ns, batch in batches:
            recorder.step(time_ns + turn * span, [RawMessage(*message) for message in batch], [])
        recorder.flush()

    recorder.close()
    assert begin


def run() -> str:
    """Return the report: what recording costs, and how fast an hour is opened and searched."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, viewed = record(folder / "plain.mcap", with_views=False), record(folder / "viewed.mcap", with_views=True)
        plans = RUN * 10
        no_viewer, one_viewer, ten_viewers = (live_cost(count) for count in (0, 1, 10))

        hour = folder / "hour.mcap"
        record_hour(hour)
        start = stopwatch()
        indexed = IndexedRun(hour)
        opened = (stopwatch() - start) / MS
        jumps = []

        for index in range(PLACES):
            time_ns = indexed.begin + (indexed.end - indexed.begin) * (index * 7 % PLACES) // PLACES
            start = stopwatch()
            next(indexed.steps(time_ns))
            jumps.append((stopwatch() - start) / MS)

        start = stopwatch()
        facts = info(hour)
        info_ms = (stopwatch() - start) / MS
        middle = indexed.begin + 1800 * SECOND
        start = stopwatch()
        cut(hour, folder / "cut.mcap", CutRequest(middle, middle + 60 * SECOND))
        cutting = (stopwatch() - start) / SECOND
        size = hour.stat().st_size

    jumps.sort()
    return (
        f"Foxglove channels in a recording: {viewed.bytes / RUN / 1000:.0f} kB/s beside {plain.bytes / RUN / 1000:.0f}"
        f" ({viewed.bytes / plain.bytes:.2f} x), {viewed.views / plans * 1000:.2f} ms per plan of {OBJECTS} road users"
        f" ({viewed.views / viewed.seconds:.0%} of the run's time)\n"
        f"Foxglove WebSocket, ms per plan in the loop: no viewer {no_viewer:.4f}, one viewer {one_viewer:.2f},"
        f" ten {ten_viewers:.2f}\n"
        f"an hour ({size / 1e6:.0f} MB, {facts.chunks} chunks, {facts.steps} steps): opened in {opened:.0f} ms, jump"
        f" {jumps[len(jumps) // 2]:.1f} ms (longest {jumps[-1]:.1f}), info {info_ms:.0f} ms, a minute cut out in"
        f" {cutting:.1f} s"
    )
