"""The kernels under pytest-benchmark: `pytest tests/tracker/test_kernels.py --benchmark-enable`; in the tests they run
once, and must be right.
"""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.scene import Scene
from cloudctl import planner
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.fusion import Fusion, decode_batch
from cloudctl.matching import match
from cloudctl.schema import Perception
from cloudctl.settings import EngineConfig
from cloudctl.world import World

T = 1_767_225_600 * SECOND


@pytest.fixture
def world(code: CompiledCode) -> World:
    """A snapshot of the scene after two seconds of it."""
    engine, scene = Engine([code.code], EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}})), Scene(code, 60)
    for t, batch in scene.run(2.0):
        engine.step(t, batch)
    latest = engine.intersections[code.code.id].latest
    assert latest is not None
    return latest


def test_decode_a_block(benchmark: BenchmarkFixture, code: CompiledCode) -> None:
    import msgspec

    whole = Scene(code, 60).perception("r", 1, T)
    block = bytes(msgspec.msgpack.decode(whole, type=Perception).objects)
    rows, offsets, faults = benchmark(lambda: decode_batch([block]))
    assert (len(rows), list(offsets), faults) == (60, [0, 60], [None])


def test_fuse_a_scan(benchmark: BenchmarkFixture, code: CompiledCode) -> None:
    import msgspec

    scene, fusion, clock = Scene(code, 60), Fusion(), iter(range(1, 1_000_000))
    scans = []
    for k in range(100):
        whole = scene.perception("r", k, T + k * 100 * MS)
        scans.append(decode_batch([bytes(msgspec.msgpack.decode(whole, type=Perception).objects)])[0])

    def scan() -> None:
        k = next(clock)
        fusion.update(T + k * 100 * MS, 0, scans[k % 100])

    for _ in range(10):
        scan()
    benchmark(scan)
    assert len(fusion.tracks(T + next(clock) * 100 * MS)) > 30


def test_match_tracks(benchmark: BenchmarkFixture, world: World) -> None:
    nothing = np.full((len(world.tracks), 3), -1, np.int64)
    found = benchmark(lambda: match(world.code, world.tracks, nothing))
    assert (found.path >= 0).mean() > 0.8


def test_plan(benchmark: BenchmarkFixture, world: World) -> None:
    candidates = benchmark(lambda: planner.plan(world))
    assert candidates
