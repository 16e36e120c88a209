"""What several tests share: a shipped code, a made-up scene on it, keys."""

from collections.abc import Iterator

import pytest
from messages_to_an_engine import OTHER
from paths import OUTSIDE
from stage import Stage

from bench.scene import Scene
from cloudctl import codes, maps
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.engine import Engine
from cloudctl.io import broker
from cloudctl.settings import EngineConfig


def pytest_report_header() -> str:
    """Say whether tests read recordings of others as well as the project's own."""
    return f"recordings of others (CLOUDCTL_TEST_DATA): {OUTSIDE if OUTSIDE.exists() else 'none here, only tests/data'}"


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
