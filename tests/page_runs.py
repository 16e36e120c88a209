"""Recorded runs for tests of the page, and their pages."""

import subprocess
import sys
from pathlib import Path

import msgspec
from deadlines import PATIENCE

from bench.browser import Browser
from bench.scene import Scene
from cloudctl import codes
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.io.recording.reader import Recorder
from cloudctl.payloads import encode
from cloudctl.settings import EngineConfig

SECONDS = 20.0  # of the recording
SNAPSHOT = "cloudctl.store.views.get(0).latest"  # of the first intersection, in the page


def write_run(path: Path, code: CompiledCode, seconds: float = SECONDS) -> Path:
    """Record a made-up run of thirty road users; flushed twice a second, as a node does."""
    config = EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}})
    engine, recorder = Engine([code.code], config), Recorder(path)
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    written = 0
    for t, batch in Scene(code, 30).run(seconds):
        out = engine.step(t, batch)
        recorder.step(t, batch, [encode(advisory) for advisory in out.advisories])
        if t - written > SECOND // 2:
            recorder.flush()
            written = t
    recorder.close()
    return path


class ShownRun:
    """`cloudctl replay FILE --view` as a process; `address` is what it printed."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cloudctl", "replay", str(path), "--view", "--debug"], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        assert line.startswith("open http://127.0.0.1:"), line
        self.address = line.split()[1]

    def close(self) -> int:
        """End it as Ctrl-C does; return its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(PATIENCE)


def go_to(page: Browser, ms: int) -> None:
    """Jump to so many ms after the beginning, and wait until the picture is from there: tracks have other numbers
    then, and until then there is the picture of before. The run is paused by that: where it plays on, a machine
    that stands still for a second takes it past the place.
    """
    page.run("cloudctl.connection.ask({play: false})")
    page.until("cloudctl.store.player.playing === false")
    epoch = page.run("cloudctl.store.player.epoch")
    page.run(f"cloudctl.player.goTo(cloudctl.store.player.begin + {ms})")
    page.until(
        f"cloudctl.store.player.epoch > {epoch} && !cloudctl.store.player.busy"
        f" && Math.abs({SNAPSHOT}.t - cloudctl.store.player.begin - {ms}) < 1500"
    )
