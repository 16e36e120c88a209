"""Replay one intersection with 3 RSUs x 10 Hz x 40 objects: times real time, and the proof that it gives the same
bytes.
"""

import tempfile
from pathlib import Path

import msgspec

from bench.scene import Scene, corridor
from cloudctl import codes
from cloudctl.engine import Engine
from cloudctl.engine import encode as encode_advisory
from cloudctl.io.recording.reader import Recorder
from cloudctl.replay import replay
from cloudctl.settings import EngineConfig


def record(path: Path, seconds: float, objects: int) -> None:
    """Record a made-up run."""
    code = corridor()[0]
    config = EngineConfig({"g": {f"r{index}": code.code.id for index in range(3)}})
    engine, recorder = Engine([code.code], config), Recorder(path)
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))

    for time_ns, batch in Scene(code, objects).run(seconds):
        recorder.step(
            time_ns, batch, [encode_advisory(advisory) for advisory in engine.step(time_ns, batch).advisories]
        )

    recorder.close()


def run() -> str:
    """Return the table: how many times faster than real time a recording is replayed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.mcap"
        record(path, seconds=60.0, objects=40)
        runs = [replay(path) for _ in range(3)]

    best = sorted(run.speed for run in runs)
    identical = all(run.identical for run in runs)
    return (
        f"{runs[0].span_s:.0f} s, {runs[0].messages} messages, {runs[0].advisories} advisories: {best[1]:.0f} x "
        "real time (median of 3; must be >= 50); "
        f"{'byte-identical' if identical else f'NOT the same: {runs[0].difference}'}"
    )
