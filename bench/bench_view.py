"""The live page: what no reader, ten readers and twenty that never read cost the loop; frames a second, first picture
and seek in Chromium.

20 intersections with 60 road users each, 10 frames a second each, in real time in a process of its own; the time is
from a frame's own stamp to the end
of its step. Rounds are taken in turn. The page's figures need Chromium, and are taken without a GPU.
"""

import multiprocessing
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from cloudctl.sim.common.terminal import table

from bench.browser import Browser, find_browser
from bench.scene import Scene, encode
from bench.view_stage import TOKEN, Driven, deaf, look, serve
from cloudctl import codes
from cloudctl.client.gateway import pack
from cloudctl.clock import MS, SECOND, WallClock, cpu, sleep_until, stopwatch
from cloudctl.codes import CompiledCode
from cloudctl.io.recording.reader import Recorder
from cloudctl.schema import VERSION, Perception, RawMessage
from cloudctl.settings import EngineConfig
from cloudctl.view import columns

INTERSECTIONS, OBJECTS = 20, 60
READERS, DEAF = 10, 20
ROUNDS = 5
ROUND_S = 5.0
ZONE = 880
SEEKS = 7
HOUR = 3600  # s
spawn = multiprocessing.get_context("spawn")


def rest(seconds: float) -> None:
    """Sleep; the loop goes on meanwhile."""
    clock = WallClock()
    sleep_until(clock.now() + int(seconds * SECOND))


def started(count: int, objects: int, hz: float) -> tuple[Any, Connection, str]:
    """Start a process that drives intersections; return it, its pipe and its address."""
    parent_end, child_end = spawn.Pipe()
    process = spawn.Process(target=serve, args=(child_end, count, objects, hz), daemon=True)
    process.start()
    return process, parent_end, parent_end.recv()


def stopped(process: Any, pipe: Connection) -> None:
    """End a process that was started, and wait for it."""
    pipe.send("stop")
    process.join(20)


# --- the cost at the node ---


def lap(pipe: Connection) -> tuple[float, float, float]:
    """Return p50 and p99 of the latencies (us) of one round, and the share of a core that was used."""
    pipe.send("lap")
    _, used = pipe.recv()
    begin = stopwatch()
    rest(ROUND_S)
    pipe.send("lap")
    late, now = pipe.recv()

    return float(np.quantile(late, 0.5)), float(np.quantile(late, 0.99)), (now - used) / (stopwatch() - begin)


NO_READER = "no reader"


def cost() -> str:
    """Return the table: what readers of the live page cost the loop."""
    process, pipe, address = started(INTERSECTIONS, OBJECTS, hz=10.0)
    rounds: dict[str, list[tuple[float, float, float]]] = {
        NO_READER: [],
        f"{READERS} readers": [],
        f"{DEAF} that never read": [],
    }

    rate = 0.0
    memory = [resident(process.pid)]

    for _ in range(ROUNDS):
        for name, samples in rounds.items():
            end, silent = None, []
            if "readers" in name:
                end, child_end = spawn.Pipe()
                readers = spawn.Process(target=look, args=(child_end, address, READERS, INTERSECTIONS), daemon=True)
                readers.start()
                end.recv()
            elif name != NO_READER:
                silent = [deaf(address, INTERSECTIONS) for _ in range(DEAF)]

            rest(0.5)
            samples.append(lap(pipe))

            if end is not None:
                end.send("stop")
                rate = end.recv()
                readers.join(10)

            if silent:
                memory.append(resident(process.pid))
            for stream in silent:
                stream.close()
            rest(0.5)

    stopped(process, pipe)
    floor = [median(column) for column in zip(*rounds[NO_READER], strict=True)]
    rows = []

    for name, samples in rounds.items():
        p50, p99, share = (median(column) for column in zip(*samples, strict=True))
        rows.append([name, p50, p99, p50 / floor[0], p99 / floor[1], 100 * share])

    text = table(
        [
            f"{INTERSECTIONS} x {OBJECTS} tracks, 10 Hz",
            "p50 us",
            "p99 us",
            f"p50 x {NO_READER}",
            f"p99 x {NO_READER}",
            "% of a core",
        ],
        rows,
    )

    return (
        f"{text}\n{READERS} readers got {rate / 1e6:.1f} MB/s together; {DEAF} that never read: memory"
        f" {memory[-1] - memory[0]:+.1f} MB"
    )


def resident(pid: int) -> float:
    """Return the resident memory of a process, MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def idle() -> str:
    """Return what the observer takes of a step while no page is open, and what one snapshot takes."""
    driven = Driven(INTERSECTIONS, OBJECTS, hz=10.0)
    begin = 1_767_225_600 * SECOND
    steps, observe_times = [], []

    for index in range(1200):
        time_ns = begin + index * driven.slot
        batch = driven.batch(time_ns)
        begun = cpu()
        output = driven.engine.step(time_ns, batch)
        stepped = cpu()
        driven.observer.observe(time_ns, batch, output)
        steps.append(stepped - begun)
        observe_times.append(cpu() - stepped)

    share = sum(observe_times[200:]) / sum(steps[200:])
    world = next(iter(driven.engine.intersections.values())).latest
    assert world is not None
    begun = cpu()
    for _ in range(2000):
        block = columns.snapshot(0, world, world.signals)
    duration = (cpu() - begun) / 2000 / 1000
    names = world.tracks.dtype.names or ()
    begun = cpu()
    for _ in range(100):
        listed = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in world.tracks.tolist()])
    slow = (cpu() - begun) / 100 / 1000
    return (
        f"no viewer: {median(observe_times[200:]) / 1000:.2f} us of a step of {median(steps[200:]) / 1000:.0f} us,"
        f" {share:.2%} of the loop\n"
        f"a snapshot of {len(world.tracks)} tracks: {duration:.0f} us, {len(block)} bytes"
        f" (a JSON list of maps: {slow:.0f} us, {len(listed)} bytes)"
    )


# --- the page ---


def frames(browser: Browser, address: str, script: str) -> tuple[float, float, float]:
    """Return first picture (ms), frames a second and ms to draw one, of a page after some script."""
    browser.open("about:blank")
    browser.open(f"{address}/view/#token={TOKEN}")
    browser.until("cloudctl.stats.firstPicture !== null", 30)
    first = browser.run("cloudctl.stats.firstPicture")
    browser.run(script)
    rest(2.0)
    measured = browser.run(
        "new Promise((done) => { const begun = performance.now(); const draws = cloudctl.stats.draws; let n = 0; const"
        " tick = (now) => { n += 1; if (now - begun < 5000) requestAnimationFrame(tick); else done([1000 * n / (now -"
        " begun), cloudctl.stats.drawMs]); }; requestAnimationFrame(tick); })"
    )

    return first, measured[0], measured[1]


def page() -> str:
    """Return the table: what a browser draws of one intersection, of many, and of a zone."""
    rows = []
    whole = "cloudctl.showZone()"
    cases = (
        ("one intersection", 1, OBJECTS, 10.0, "1"),
        (f"{INTERSECTIONS} x {OBJECTS} tracks", INTERSECTIONS, OBJECTS, 10.0, whole),
        (f"zone of {ZONE}", ZONE, 20, 0.2, whole),
    )

    with Browser() as browser:
        for name, count, objects, hz, script in cases:
            process, pipe, address = started(count, objects, hz)
            drawn = frames(browser, address, script)
            rows.append([name, *drawn])
            browser.open("about:blank")
            stopped(process, pipe)

    return table(["page without a GPU", "first picture ms", "frames/s", "ms to draw one"], rows)


def seek() -> str:
    """Return how long a jump in a recording takes on the page."""
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        path = Path(folder) / "hour.mcap"
        write_hour(path)
        shown: list[str] = []
        thread, stop = served(path, shown)
        browser.open(shown[0])
        browser.until("cloudctl.stats.firstPicture !== null", 60)
        first = browser.run("cloudctl.stats.firstPicture")
        browser.run("cloudctl.connection.ask({ play: false })")
        durations = [
            browser.run(SEEK.replace("SHARE", str(share)), 60)
            for share in np.random.default_rng(1).uniform(0.05, 0.95, SEEKS)
        ]
        browser.open("about:blank")
        stop()
        thread.join(20)
        size = path.stat().st_size / 1e6

    return (
        f"recording of an hour ({size:.0f} MB, 3 units x 10 Hz x 40 objects): first picture {first:.0f} ms; click to"
        f" picture median {median(durations):.0f} ms, longest {max(durations):.0f} ms of {SEEKS}"
    )


SEEK = """new Promise((done) => {
  const { begin, end } = cloudctl.store.player;
  const t = begin + SHARE * (end - begin);
  const begun = performance.now();
  const look = () => {
    const view = cloudctl.store.views.get(0);
    if (view && Math.abs(view.latest.t - t) < 250 && !cloudctl.dirty) done(performance.now() - begun);
    else requestAnimationFrame(look);
  };
  cloudctl.player.goTo(t);
  requestAnimationFrame(look);
})"""


def write_hour(path: Path) -> None:
    """Record an hour of three units that see 40 road users, without planning it."""
    from bench.scene import corridor

    code: CompiledCode = corridor()[0]
    scene = Scene(code, n=40)
    config = EngineConfig({"g": {f"r{index}": code.code.id for index in range(3)}})
    blocks = [msgspec.Raw(encode(pack(scene.columns(index * 100 * MS)))) for index in range(600)]
    recorder = Recorder(path)
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    begin = 1_767_225_600 * SECOND

    for index in range(HOUR * 10):
        for unit in range(3):
            time_ns = begin + index * 100 * MS
            body = Perception(
                version=VERSION,
                rsu=f"r{unit}",
                sensor="fused",
                seq=index,
                t=time_ns,
                lat=scene.lat,
                lon=scene.lon,
                objects=blocks[index % len(blocks)],
            )

            batch = [RawMessage("perception", "g", encode(body))]
            if unit == 0:
                batch.append(RawMessage("signal", "g", scene.signal("r0", index, time_ns)))
            recorder.step(time_ns + (40 + 12 * unit) * MS, batch, [])

        if index % 5 == 0:
            recorder.flush()

    recorder.close()


def served(path: Path, shown: list[str]) -> tuple[threading.Thread, Any]:
    """Serve a recording's page in a process of its own; its address is put into `shown`. Returns a thread that waits
    for it, and what ends it.
    """
    import subprocess
    import sys

    process = subprocess.Popen(
        [sys.executable, "-m", "cloudctl", "replay", str(path), "--view"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    shown.append(process.stdout.readline().decode().split()[1])
    thread = threading.Thread(target=process.wait)
    thread.start()

    return thread, process.terminate


def run() -> str:
    """Return the whole report, with what must hold."""
    parts = [idle(), cost()]
    parts += (
        [page(), seek()]
        if find_browser()
        else ["no Chromium here, so that the page itself is not measured: apt-get install chromium"]
    )

    parts.append(
        "must: none <= 1 % of the loop; 10 readers p99 <= 1.1 x; never read 1.0 x; >= 50 frames/s; first picture <="
        " 700 ms; seek <= 500 ms"
    )
    return "\n\n".join(parts)
