"""Saved trackers: a state that is accepted once is accepted ever after, whatever was done to its bytes; and processes
that fork.
"""

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
from zlib import crc32

import numpy as np
import pytest

from cloudctl import _core
from cloudctl.clock import MS
from cloudctl.fusion import STATE, Fusion, FusionConfig, SourceConfig, detections

STEP = 100 * MS
VALUES = [
    *(np.float64(v).tobytes() for v in (1e308, 1e150, 1e16, 1e9, 2e6, 1.0, 1.5, 0.5, 1e-3, 1e-9, 1e-308, 0.0, -0.0, -1e-9, -1.0, -1e9, -1e308)),  # noqa: E501
    *(np.float64(v).tobytes() for v in (np.nan, np.inf, -np.inf)),
    *(np.float32([v, v]).tobytes() for v in (1e38, 1e10, 1.0, 0.0, -1.0, np.nan, np.inf)),
    *(np.int64(v).tobytes() for v in (-1, 1, 255, 2**31 - 1, 2**32 - 1, 4 * 10**18, 2**63 - 1, -(2**63))),
]  # fmt: skip


def scan(k: int, rng: np.random.Generator) -> np.ndarray:
    """Return a scan of every column, some of it clutter."""
    places = np.array([[-30.0 + 0.8 * k + 12.0 * n, 8.0 * (n % 3)] for n in range(6)])
    xy = np.concatenate([places + rng.normal(0, 0.2, places.shape), rng.uniform(-60, 60, (rng.poisson(2), 2))])
    n = len(xy)
    return detections(
        xy, vx=rng.normal(8, 0.5, n), vy=rng.normal(0, 0.5, n), class_=rng.integers(0, 8, n), id=rng.integers(0, 9, n),
        length=rng.uniform(0.5, 9, n), heading=rng.uniform(-3, 3, n), confidence=rng.random(n), var_x=0.04, var_y=0.04,
    )  # fmt: skip


def drive(fusion: Fusion, begin: int, end: int, seed: int = 3) -> None:
    """Fold in scans of three sources, one of them late, and reports of a vehicle."""
    rng = np.random.default_rng(seed + begin)
    for k in range(begin, end):
        for source, late in ((0, 0), (1, 30 * MS), (2, -150 * MS)):
            fusion.update(k * STEP + late, source, scan(k, rng))
        fusion.update(k * STEP, 9, detections([[-30.0 + 0.8 * k, 0.0]], vehicle=7, var_x=0.25, var_y=0.25))
        tracks = fusion.tracks(k * STEP)
        for name in ("x", "y", "vx", "vy", "var_x", "var_y", "existence", "heading"):
            assert np.isfinite(tracks[name]).all(), name
        fusion.stats()


def driven() -> Fusion:
    fusion = Fusion(FusionConfig(max_tracks=64))
    fusion.add_source(9, SourceConfig(kind="cooperative"))
    fusion.add_source(1, SourceConfig(x=0.0, y=-20.0, range_m=120.0, kind="tracks"))
    drive(fusion, 0, 30)
    return fusion


def sealed(head: tuple, body: bytes) -> bytes:
    return STATE.pack(*head, crc32(body)) + body


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_state_that_is_accepted_once_is_accepted_after_any_scans(seed: int) -> None:
    whole, rng = driven().state(), np.random.default_rng(seed)
    head, body = STATE.unpack_from(whole)[:-1], whole[STATE.size :]
    taken = refused = 0
    for _ in range(600):
        damaged = bytearray(body)
        for _ in range(int(rng.integers(1, 4))):
            value = VALUES[int(rng.integers(len(VALUES)))][: int(rng.choice([1, 2, 4, 8]))]
            place = int(rng.integers((len(body) - 8) // len(value))) * len(value)
            damaged[place : place + len(value)] = value
        try:
            fusion = Fusion.restore(sealed(head, bytes(damaged)))
        except ValueError:
            refused += 1
            continue
        taken += 1
        for copied in (copy.deepcopy(fusion), pickle.loads(pickle.dumps(fusion))):
            assert copied.state() == fusion.state()
        drive(fusion, 30, 34)
        again = Fusion.restore(fusion.state())
        drive(fusion, 34, 36)
        drive(again, 34, 36)
        assert again.state() == fusion.state()
    assert taken > 50
    assert refused > 50


@pytest.mark.parametrize(
    "name", ["gate", "survive_s", "false_cost", "coast_ms", "window_ms", "jump_ms", "drop", "confirm", "miss_cost"]
)
def test_trackers_of_any_configuration_are_restored(name: str) -> None:
    from cloudctl.fusion_settings import FUSION_RANGES

    allowed = FUSION_RANGES[name]
    for value in (allowed.low if not allowed.above else allowed.low + 1e-9, allowed.high):
        given = {name: int(value) if name.endswith("_ms") else value}
        fusion = Fusion(
            FusionConfig(
                **(
                    {"confirm": 0.9, "drop": 0.001} | given
                    if name not in ("drop", "confirm")
                    else {"drop": 0.001} | given
                )
            )
        )
        drive(fusion, 0, 12)
        assert Fusion.restore(fusion.state()).state() == fusion.state()


def test_the_message_names_the_member_that_is_invalid() -> None:
    whole = driven().state()
    head, body = STATE.unpack_from(whole)[:-1], bytearray(whole[STATE.size :])
    names = set()
    for place in range(0, _core.STATE_SIZES[0] - 8, 8):
        damaged = bytearray(body)
        damaged[place : place + 8] = b"\xff" * 8
        try:
            Fusion.restore(sealed(head, bytes(damaged)))
        except ValueError as error:
            names.add(str(error).split("its ")[1].split(" cannot")[0])
    assert {"gate", "sigma", "columns.velocity.verdict", "motion"} <= names


FORKED = """
import os, sys, threading, time
import numpy as np
from cloudctl.fusion import Fusion, detections, update_batch

fusions = [Fusion() for _ in range(4)]
rows = detections(np.random.default_rng(1).uniform(-200, 200, (400, 2)))
going = True
times, sources, offsets = np.zeros(4, np.int64), np.zeros(4, np.int32), np.array([0, 100, 200, 300, 400])

def work(batch):
    k = 0
    while going:
        k += 1
        if batch:
            update_batch(fusions, times + k * 100_000_000, sources, rows, offsets)
        else:
            fusions[k % 4].update(k * 100_000_000, 1, rows)

threads = [threading.Thread(target=work, args=(n % 2,), daemon=True) for n in range(3)]
for thread in threads:
    thread.start()
for _ in range(25):
    time.sleep(0.004)
    child = os.fork()
    if child == 0:
        for fusion in fusions:
            fusion.update(10**15, 2, rows)
            Fusion.restore(fusion.state())
            fusion.stats()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
going = False
for thread in threads:
    thread.join()
print("all children went on")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.timeout(180)
def test_a_child_of_fork_can_use_every_tracker_while_other_threads_update() -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=150)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children wait for ever
        process.communicate()
        pytest.fail("a child, or the parent, hangs")
    assert process.returncode == 0, errors[-2000:]
    assert "all children went on" in out


def test_a_tracker_that_is_gone_is_not_held_at_a_fork() -> None:
    before = len(_core.LIVE_TRACKERS)
    fusions = [Fusion(FusionConfig(max_tracks=8)) for _ in range(20)]
    assert len(_core.LIVE_TRACKERS) == before + 20
    del fusions
    gc.collect()
    assert len(_core.LIVE_TRACKERS) <= before
