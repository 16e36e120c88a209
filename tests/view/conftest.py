"""What the tests of the live page share: a browser, and the page of a recording in it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.browser import Browser, find_browser
from bench.scene import Scene
from cloudctl import codes
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.io.recording.reader import Recorder
from cloudctl.payloads import encode
from cloudctl.settings import EngineConfig

import msgspec

NO_BROWSER = "there is no Chromium here: apt-get install chromium"
SECONDS = 20.0  # of the recording


def write_run(path: Path, code: CompiledCode, seconds: float = SECONDS, unrecorded: int = 0) -> Path:
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


@pytest.fixture(scope="session")
def run_file(code: CompiledCode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of SECONDS."""
    return write_run(tmp_path_factory.mktemp("run") / "run.mcap", code)


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
        return self._process.wait(20)


@pytest.fixture(scope="session")
def shown_run(run_file: Path) -> Iterator[ShownRun]:
    """The recorded run on its page."""
    shown = ShownRun(run_file)
    yield shown
    assert shown.close() == 0


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of the page."""
    if find_browser() is None:
        pytest.skip(NO_BROWSER)
    with Browser() as started:
        yield started


@pytest.fixture
def page_browser(browser: Browser, shown_run: ShownRun) -> Browser:
    """The browser with the page's own files at hand, for tests of its modules."""
    if not str(browser.run("location.href")).startswith(shown_run.address.partition("#")[0]):
        browser.open(shown_run.address)
        browser.until("document.readyState === 'complete' && location.pathname === '/view/'")
    return browser
