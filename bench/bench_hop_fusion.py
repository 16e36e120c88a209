"""Fuse frames through Python: one at a time, and a batch of many intersections in one call. Peers: make
bench-fusion."""

import numpy as np
from cloudctl.sim.common.terminal import table

from bench.scene import Scene, corridor
from bench.timing import interleaved
from cloudctl.client.gateway import pack
from cloudctl.clock import MS
from cloudctl.fusion import Fusion, decode_batch, update_batch


def run() -> str:
    rows = []
    for n in (60, 240):
        scene = Scene(corridor()[0], n)
        frames = [
            decode_batch([b"\xc6" + len(block).to_bytes(4, "big") + block])[0]
            for block in (pack(scene.columns(k * 33 * MS)) for k in range(90))
        ]
        one = interleaved({"one": lambda frames=frames: _sequence(frames)}, rounds=5, repeat=3)["one"] / len(frames)
        many = interleaved({"many": lambda frames=frames: _batched(frames)}, rounds=5, repeat=1)["many"] / (
            8 * len(frames)
        )
        rows.append([f"{n} objects", one, n / one, many, n / many])

    return table(["", "update us", "M detections/s", "batch of 8 us", "M detections/s"], rows)


def _sequence(frames: list[np.ndarray]) -> None:
    fusion = Fusion()
    for k, frame in enumerate(frames):
        fusion.update(k * 33 * MS, k % 3, frame)


def _batched(frames: list[np.ndarray]) -> None:
    fusions = [Fusion() for _ in range(8)]
    for k, frame in enumerate(frames):
        offsets = np.arange(9, dtype=np.int64) * len(frame)
        update_batch(
            fusions, np.full(8, k * 33 * MS, np.int64), np.full(8, k % 3, np.int32), np.tile(frame, 8), offsets
        )
