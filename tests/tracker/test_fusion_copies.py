"""A tracker in many threads; its copies and states."""

import copy
import pickle
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cloudctl.sim.tracking.scenes import one_sensor, three_units
from sightings import STEP, T, drive_two

from cloudctl.clock import MS
from cloudctl.fusion import Fusion, FusionConfig, Motion, SourceConfig, detections, update_batch


def test_one_tracker_in_many_threads_loses_no_scan() -> None:
    fusion, scans, stop = Fusion(), one_sensor(3, 60, 40).scans, threading.Event()

    def read() -> int:
        n = 0
        while not stop.is_set():
            assert np.isfinite(fusion.tracks(scans[0].t)["x"]).all()
            Fusion.restore(fusion.state()).stats()
            n += fusion.stats()["count"] >= 0
        return n

    def write(first: int) -> None:
        for scan in scans[first::4]:
            fusion.update(scan.t, first, scan.rows)
            update_batch(
                [fusion, Fusion()],
                np.array([scan.t] * 2),
                np.array([first] * 2),
                np.tile(scan.rows, 2),
                np.array([0, 1, 2]) * len(scan.rows),
            )

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        list(pool.map(write, range(4)))
        stop.set()
        assert all(reader.result() > 0 for reader in readers)
    sources = fusion.stats()["sources"]
    assert sum(s["scans"] + s["refused"] for s in sources.values()) == 2 * len(scans)


def test_batches_over_the_same_trackers_in_other_orders_do_not_wait_for_one_another_forever() -> None:
    pool = [Fusion() for _ in range(6)]

    def feed(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for k in range(300):
            chosen = [pool[i] for i in rng.permutation(6)] + [pool[0]]
            update_batch(
                chosen,
                np.full(7, T + k * MS),
                np.full(7, seed),
                detections(rng.uniform(-50, 50, (14, 2))),
                2 * np.arange(8),
            )

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(feed, range(4), timeout=100))
    assert all(sum(s["scans"] for s in fusion.stats()["sources"].values()) >= 1200 for fusion in pool)


def test_a_copy_goes_on_with_the_same_bytes() -> None:
    case = three_units(4, 40, 60)
    whole = Fusion(FusionConfig(max_tracks=300, motion=((6, Motion(0.1, 1.0, 1.0, 0.1, 0.5)),)))
    whole.add_source(1, SourceConfig(x=3.0, y=4.0, range_m=80.0, kind="tracks", latency_ms=30.0, bias_m=(0.1, 0.2)))
    half = len(case.scans) // 2
    for scan in case.scans[:half]:
        whole.update(scan.t, scan.source, scan.rows)
    copies = [pickle.loads(pickle.dumps(whole)), copy.copy(whole), copy.deepcopy(whole), Fusion.restore(whole.state())]
    for scan in case.scans[half:]:
        for fusion in (whole, *copies):
            fusion.update(scan.t, scan.source, scan.rows)
            if scan is not case.scans[-1]:
                continue
            for t in (scan.t - 300 * MS, scan.t, scan.t + 500 * MS):
                assert fusion.tracks(t).tobytes() == whole.tracks(t).tobytes()
            assert fusion.state() == whole.state()
            assert fusion.stats() == whole.stats()


def test_a_copy_is_another_tracker() -> None:
    one = Fusion()
    drive_two(one, range(10))
    other = copy.copy(one)
    drive_two(other, range(10, 30))
    assert one.stats()["sources"][0]["scans"] == 10


def test_a_state_of_another_version_or_damaged_is_refused() -> None:
    fusion = Fusion()
    drive_two(fusion, range(10))
    state = fusion.state()
    for changed, rule in ((b"", "is no tracker's"), (b"XXXX" + state[4:], "is no tracker's"), (state[:4] + b"\x02\x00" + state[6:], "of version 2"),  # noqa: E501
                          (state[:8] + b"\x00" + state[9:], "Save it with the same version"), (state[:-1], "checksum"), (state[:500] + b"\xff" + state[501:], "checksum")):  # fmt: skip  # noqa: E501
        with pytest.raises(ValueError, match=rule):
            Fusion.restore(changed)
    with pytest.raises(TypeError, match="must be bytes"):
        Fusion.restore(fusion)  # type: ignore[arg-type]


def test_a_state_with_a_right_checksum_and_wrong_figures_is_refused_or_harmless() -> None:
    """Whoever can write a state can write its checksum: what is in it is checked too."""
    fusion, rng = Fusion(FusionConfig(max_tracks=64)), np.random.default_rng(8)
    drive_two(fusion, range(20))
    state, taken, refusals = fusion.state(), 0, set[str]()
    for _ in range(1500):
        body = bytearray(state[20:])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(body) - 8))
            body[at : at + 8] = (
                rng.bytes(8) if rng.random() < 0.7 else np.float64(rng.choice([np.nan, np.inf, -1e300])).tobytes()
            )
        try:
            other = Fusion.restore(state[:16] + zlib.crc32(bytes(body)).to_bytes(4, "little") + bytes(body))
        except ValueError as error:
            refusals.add(str(error))
            continue
        taken += 1
        drive_two(other, range(20, 26))
        other.tracks(T + 25 * STEP)
        other.stats()
    assert taken, "most figures may have any finite value"
    assert all("cannot be" in refusal for refusal in refusals)
