"""What several tests share: a shipped code, a made-up scene on it, keys."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from messages_to_an_engine import OTHER
from paths import OUTSIDE
from recordings import Stopwatch
from stage import Stage

import cloudctl
from bench.scene import Scene
from cloudctl import codes, maps
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.engine import Engine
from cloudctl.io import broker, ports
from cloudctl.node.kernel_lock import compiling_in_turn
from cloudctl.planner.warm import warm
from cloudctl.settings import EngineConfig

# Hypothesis fails a test whose example, or whose making of examples, takes long by the wall clock: a machine that
# stands still for a second does that to any of them, and time limits of the project are those of the benches.
# Fixtures are one for all examples of a test: those of the project are read, or are reset by the test.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("untimed", UNTIMED)
settings.load_profile("untimed")

PORTS_OF_A_WORKER = 4000  # of pytest-xdist: what one has chosen and not yet bound is not free for another
PLANNING = {"planner", "node", "view", "sim", "signals", "tracker"}  # folders of tests that plan


def pytest_report_header() -> str:
    """Say whether tests read recordings of others as well as the project's own."""
    return f"recordings of others (CLOUDCTL_TEST_DATA): {OUTSIDE if OUTSIDE.exists() else 'none here, only tests/data'}"


def pytest_configure() -> None:
    """Give each of the processes that share the tests a range of TCP ports of its own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1 and number < 4:
        ports.LOWEST += number * PORTS_OF_A_WORKER
        ports.HIGHEST = ports.LOWEST + PORTS_OF_A_WORKER - 1


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile the planner's kernels before the first test that plans, where none has been compiled on this machine
    yet: no test's time limit is meant for that."""
    if any(item.path.parent.name in PLANNING for item in session.items):
        with compiling_in_turn(Path(cloudctl.__file__)):
            warm(compile_code(codes.load(maps.path("intersection.json"))))


@pytest.fixture(scope="session")
def code() -> CompiledCode:
    """The shipped four-leg intersection."""
    return compile_code(codes.load(maps.path("intersection.json")))


@pytest.fixture
def engine(code: CompiledCode) -> Engine:
    """An engine of that intersection, with two gateways."""
    return Engine(
        [code.code], EngineConfig({"g": {"r0": code.code.id, "r1": code.code.id}, "h": {OTHER: code.code.id}})
    )


@pytest.fixture
def scene(code: CompiledCode) -> Scene:
    """Thirty road users on its lanes."""
    return Scene(code, 30)


@pytest.fixture
def stage(code: CompiledCode) -> Stage:
    """The same, empty, for worlds made by hand."""
    return Stage(code)


@pytest.fixture(scope="module")
def mqtt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Broker]:
    """A broker that the tests of one file share."""
    started = broker.start(tmp_path_factory.mktemp("broker"))
    yield started
    started.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[broker.Broker]:
    """A mosquitto of its own, that a test may stop with signals."""
    started = broker.start(tmp_path / "broker", prefer="mosquitto")
    yield started
    started.process.send_signal(signal.SIGCONT)
    started.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=False)


@pytest.fixture
def recorders_watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """The stopwatch of recorders, which the test may put on."""
    return Stopwatch(monkeypatch)
