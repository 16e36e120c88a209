"""A node records: whole after a kill, a full disk and a removed folder; the first format still replays."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

from deadlines import PATIENCE, until
from node_process import NodeProcess
from paths import GOLDEN

from bench.bench_replay import record
from cloudctl.codes import CompiledCode
from cloudctl.io.recording.reader import Recording
from cloudctl.replay import replay


def driven(node: NodeProcess, gateway: object, code: CompiledCode, n: int) -> None:
    """Send frames until `n` more were accepted."""
    before = node.count("accept.perception")

    def more() -> bool:
        with contextlib.suppress(Exception):
            gateway.perception(
                "rsu-1", "cam", code.origin.lat, code.origin.lon, [{"x": 12.0, "y": -3.5, "class": "car"}]
            )
            gateway.poll(20)
        return node.count("accept.perception") >= before + n

    until(more, what=f"{n} frames")


# frames: a second and a half of those that come 20 ms apart at the least, of which half a second is between two writes
MAX_LOST = 75


def test_a_node_killed_loses_at_most_the_last_second_and_the_next_keeps_its_recording(
    tmp_path: Path, code: CompiledCode
) -> None:
    node = NodeProcess(tmp_path, code, record="runs/run.mcap")
    with node:
        gateway = node.gateway()
        driven(node, gateway, code, 50)
        assert node.process is not None
        sent = gateway.sent
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
    first = Recording(tmp_path / "runs" / "run.mcap")
    steps = list(first.steps())
    frames = sum(d.kind == "perception" for step in steps for d in step.batch)
    assert frames >= sent - MAX_LOST
    data = first.parts[0].read_bytes()
    with node:
        driven(node, gateway, code, 5)
    gateway.close()
    assert first.parts[0].read_bytes() == data
    assert len(list((tmp_path / "runs").iterdir())) == 2
    for file in (tmp_path / "runs").iterdir():
        assert replay(file).difference is None


def test_a_node_serves_on_over_a_full_disk_and_a_removed_folder_and_ends_with_0(
    small_disk: Path, tmp_path: Path, code: CompiledCode
) -> None:
    node = NodeProcess(tmp_path, code, record="disk/runs/run.mcap")
    with node:
        gateway = node.gateway()
        driven(node, gateway, code, 10)
        (small_disk / "ballast").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096))
        driven(node, gateway, code, 20)
        until(lambda: "No space left" in node.said, what="the line")
        (small_disk / "ballast").unlink()
        until(lambda: "recording: all is well again" in node.said, what="a new file")
        shutil.rmtree(small_disk / "runs")
        until(lambda: "was removed while it was written" in node.said, what="the line")
        driven(node, gateway, code, 10)
        gateway.close()
        assert node.process is not None
        node.process.terminate()
        assert node.process.wait(PATIENCE) == 0
    assert "Traceback" not in node.said
    assert "panic" not in node.said
    assert list(Recording(small_disk / "runs").steps())


def test_the_reference_recording_of_the_first_format_still_replays(tmp_path: Path) -> None:
    shutil.copy(GOLDEN, tmp_path / "run.mcap")
    record(tmp_path / "new.mcap", 3.0, 12)
    for name in ("run.mcap", "new.mcap"):
        assert replay(tmp_path / name).difference is None
