"""Recordings on a real disk: never written over, in parts, within limits, whole after a kill, a removed folder and a full disk."""

import contextlib
import os
import resource
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from deadlines import until
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import Writer
from node_process import NodeProcess
from paths import GOLDEN

from bench.bench_replay import record
from bench.scene import Scene, corridor
from cloudctl import codes
from cloudctl.clock import SECOND, WallClock, stopwatch
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine, encode
from cloudctl.io.recording.container import ChunkBuilder, McapFile
from cloudctl.io.recording.parts import head
from cloudctl.io.recording.reader import Recorder, Recording, RecordingError
from cloudctl.replay import replay
from cloudctl.schema import MAX_BODY, RawMessage
from cloudctl.settings import EngineConfig, RecordingLimits
from cloudctl.topics import OPERATOR

DAY = 86_400 * SECOND


def fill(recorder: Recorder, first: int, steps: int, size: int = 700) -> None:
    """Record steps of bytes that do not compress."""
    for k in range(first, first + steps):
        recorder.step(1000 + k, [RawMessage("perception", "g", os.urandom(size))], [b'{"n":%d}' % k])


def times(path: Path) -> list[int]:
    return [step.t for step in Recording(path).steps()]


class Stopwatch:
    """The recorder's stopwatch, which a test may put on by some seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0
        monkeypatch.setattr("cloudctl.io.recording.writer.stopwatch", lambda: stopwatch() + self.ahead)

    def put_on(self, seconds: int) -> None:
        self.ahead += seconds * SECOND


@pytest.fixture
def recorders_watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    return Stopwatch(monkeypatch)


def begun(path: Path, limits: RecordingLimits | None = None) -> Recorder:
    recorder = Recorder(path, limits)
    recorder.meta("config", b"{}")
    return recorder


# --- names ---


def test_a_recording_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "today.mcap"
    written = {}
    for run in range(4):  # within one second
        recorder = begun(path)
        fill(recorder, 100 * run, 10)
        recorder.close()
        written[recorder.first] = recorder.first.read_bytes()
    assert len(written) == 4
    assert next(iter(written)) == path
    for run, (file, data) in enumerate(written.items()):
        assert file.read_bytes() == data
        assert times(file) == list(range(1000 + 100 * run, 1010 + 100 * run)), "one run is not read as another's"


def test_what_is_recorded_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        recorder = begun(tmp_path / "runs" / "today.mcap")
    finally:
        os.umask(before)
    recorder.close()
    assert stat.S_IMODE(recorder.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(recorder.path.parent.stat().st_mode) == 0o700


def test_a_run_in_parts_is_read_whole_from_any_of_them_or_the_folder(tmp_path: Path) -> None:
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(part_bytes=300_000))
    fill(recorder, 0, 3000)
    recorder.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 4
    for given_path in (*files, tmp_path):
        assert times(given_path) == list(range(1000, 4000))
    other = begun(tmp_path / "other.mcap")
    fill(other, 0, 3)
    other.close()
    assert times(files[-1]) == list(range(1000, 4000))
    with pytest.raises(RecordingError, match="2 recorded runs"):
        Recording(tmp_path)


def test_parts_are_begun_by_time_too(tmp_path: Path) -> None:
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(part_ns=SECOND // 5))

    def another() -> bool:
        fill(recorder, len(times_seen), 1)
        times_seen.append(1)
        recorder.flush()
        return len(list(tmp_path.iterdir())) >= 3

    times_seen: list[int] = []
    until(another, what="a third part")
    recorder.close()
    assert times(tmp_path) == list(range(1000, 1000 + len(times_seen)))


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(part_bytes=300_000))
    fill(recorder, 0, 3000)
    recorder.close()
    (tmp_path / "run.mcap").unlink()
    recording = Recording(next(tmp_path.iterdir()))
    assert "part 1 of this run is not there" in recording.notes[0]
    assert recording.meta == [("config", b"{}")], "every part carries what a replay needs first"


def test_a_rotated_run_replays_byte_identical(tmp_path: Path) -> None:
    code = corridor()[0]
    config = EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}})
    engine, recorder = Engine([code.code], config), Recorder(tmp_path / "run.mcap", RecordingLimits(part_bytes=70_000))
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    for k, (t, batch) in enumerate(Scene(code, 30).run(12.0)):
        recorder.step(t, batch, [encode(a) for a in engine.step(t, batch).advisories])
        if k % 10 == 0:
            recorder.flush()
    recorder.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) >= 3
    for path in (files[0], files[-1], tmp_path):
        result = replay(path)
        assert (result.difference, result.fault, result.notes) == (None, None, [])
        assert result.recorded > 0
        assert result.steps == 360


# --- limits ---


def recorded(folder: Path, name: str, days_old: float, size: int = 400_000) -> Path:
    """Record a closed run of about `size` bytes that was last written to `days_old` days ago."""
    recorder = begun(folder / name)
    fill(recorder, 0, max(size // 700, 1))
    recorder.close()
    then = WallClock().now() - int(days_old * DAY)
    os.utime(recorder.first, ns=(then, then))
    return recorder.first


def test_nothing_is_deleted_unless_the_operator_sets_a_limit(tmp_path: Path) -> None:
    kept = [recorded(tmp_path, "run.mcap", 4000) for _ in range(3)]
    recorder = begun(tmp_path / "run.mcap")
    recorder.flush()
    recorder.close()
    assert all(file.exists() for file in kept)
    assert recorder.notices() == []


def test_the_oldest_of_ours_are_deleted_over_the_byte_limit_and_nobody_elses(tmp_path: Path) -> None:
    ours = [recorded(tmp_path, "run.mcap", 3 - k) for k in range(4)]
    others = [
        tmp_path / name for name in ("run-notes.mcap", "run-20200101T000000Z-1.mcap", "run.mcap.bak", "kept.mcap")
    ]
    for file in others[:-1]:
        file.write_bytes(b"somebody else's" * 60_000)
    ours[0].rename(others[-1])  # renamed by hand: meant to be kept
    with (tmp_path / "run-20200102T000000Z-1.mcap").open("wb") as stream:  # another program's MCAP of a name like ours
        writer = Writer(stream)
        writer.start()
        writer.finish()
    others.append(tmp_path / "run-20200102T000000Z-1.mcap")
    running = begun(tmp_path / "run.mcap")
    fill(running, 0, 600)
    running.flush()
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(keep_bytes=1_000_000))
    assert recorder.path != running.path
    assert all(file.exists() for file in others)
    assert running.path.exists(), "another node writes to it"
    assert [file.exists() for file in ours[1:]] == [False, False, True]
    notices = recorder.notices()
    assert len(notices) == 2
    assert all("keep_mb" in line for line in notices)
    assert recorder.notices() == []
    recorder.close()
    running.close()


def test_recordings_over_the_age_limit_are_deleted(tmp_path: Path) -> None:
    old, new = recorded(tmp_path, "run.mcap", 8), recorded(tmp_path, "run.mcap", 6)
    recorder = begun(tmp_path / "run.mcap", RecordingLimits(keep_ns=7 * DAY))
    recorder.close()
    assert (old.exists(), new.exists()) == (False, True)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=30), keep_kb=st.integers(200, 2000))
def test_a_folder_keeps_to_its_limit_whatever_is_recorded(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], keep_kb: int
) -> None:
    folder = tmp_path_factory.mktemp("limits")
    limits = RecordingLimits(part_bytes=keep_kb * 1000 // 4, keep_bytes=keep_kb * 1000)
    with pytest.MonkeyPatch.context() as patch:
        watch = Stopwatch(patch)
        for _ in range(2):
            recorder = begun(folder / "run.mcap", limits)
            for k, size in enumerate(sizes):
                fill(recorder, k, 1, size * 500)
                recorder.flush()
            watch.put_on(60)  # the folder is looked at every ten seconds
            recorder.flush()
            total = sum(file.stat().st_size for file in folder.iterdir())
            assert total <= (limits.keep_bytes or 0)
            recorder.close()
    shutil.rmtree(folder)


# --- trouble ---


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


def test_a_full_disk_loses_nothing_that_memory_holds_and_a_new_file_is_begun(
    small_disk: Path, recorders_watch: Stopwatch
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 700_000)
    recorder = begun(small_disk / "run.mcap")
    fill(recorder, 0, 1100)
    for _ in range(5):
        recorder.flush()
        recorders_watch.put_on(2)  # an attempt is made every second
    assert recorder.failure is not None
    assert "No space left" in recorder.failure
    assert len(list(small_disk.iterdir())) <= 3, "an attempt that comes to nothing leaves nothing behind"
    ballast.unlink()

    def again() -> bool:
        recorder.flush()
        return recorder.failure is None

    until(again, what="a new file")
    recorder.close()
    assert ["nothing was lost" in line for line in recorder.notices()] == [True]
    recording = Recording(small_disk / "run.mcap")
    steps = [step.t for step in recording.steps()]
    assert len(recording.parts) == 2
    assert steps == list(range(1000, 1000 + len(steps)))
    assert (recording.fault, recording.notes) == (None, [])


def test_what_a_full_disk_costs_is_named_in_the_recording_and_by_replay(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudctl.io.recording.writer.MAX_WAITING", 300_000)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 700_000)
    recorder = begun(small_disk / "run.mcap")
    fill(recorder, 0, 3000)
    recorder.flush()
    ballast.unlink()

    def again() -> bool:
        recorder.flush()
        return recorder.failure is None

    until(again, what="a new file")
    fill(recorder, 3000, 100)
    recorder.close()
    notices = recorder.notices()
    assert sum("messages are being lost from now on" in line for line in notices) == 1
    named = next(line for line in notices if "are not in the recording" in line)
    recording = Recording(small_disk / "run.mcap")
    steps = [step.t for step in recording.steps()]
    assert recording.notes
    assert recording.notes[0] in named
    whole = next(k for k, t in enumerate(steps) if t != 1000 + k)
    assert steps[whole:] == list(range(4000, 4100)), "one gap, then all"
    lost = head(recording.parts[-1]).lost[0]
    assert lost.messages == 3 * (3000 - whole)
    assert (lost.first, lost.last) == (1000 + whole, 3999)


def test_a_node_that_ends_on_a_full_disk_says_what_was_lost_and_raises_nothing(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(b"x" * 600_000)
    recorder = begun(small_disk / "run.mcap")
    fill(recorder, 0, 2000)
    recorder.close()
    assert any("the node ended before there was room" in line for line in recorder.notices())
    steps = times(small_disk / "run.mcap")
    assert steps == list(range(1000, 1000 + len(steps)))


def test_a_limit_on_the_size_of_files_makes_more_of_them(tmp_path: Path, recorders_watch: Stopwatch) -> None:
    """In a process of its own: the limit is the process's."""
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
            recorder = begun(tmp_path / "run.mcap")
            for k in range(20):
                fill(recorder, 100 * k, 100)
                recorders_watch.put_on(2)  # an attempt is made every second
                recorder.flush()
            recorder.close()
            os._exit(0 if recorder.failure is None else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert times(tmp_path) == list(range(1000, 3000))
    assert len(list(tmp_path.iterdir())) >= 3


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_removed_file_or_folder_is_noticed_and_the_recording_goes_on(tmp_path: Path, what: str) -> None:
    recorder = begun(tmp_path / "runs" / "run.mcap")
    fill(recorder, 0, 100)
    recorder.flush()
    if what == "file":
        recorder.path.unlink()
    else:
        shutil.rmtree(tmp_path / "runs")
    fill(recorder, 100, 100)
    recorder.flush()
    recorder.close()
    assert any("was removed while it was written" in line for line in recorder.notices())
    recording = Recording(tmp_path / "runs")
    assert [step.t for step in recording.steps()] == list(range(1100, 1200))
    assert any("301 messages" in note for note in recording.notes), "the lost ones are counted, configuration and all"


def test_a_body_that_is_refused_for_its_length_is_recorded_in_part_and_refused_again_alike(
    tmp_path: Path, code: CompiledCode
) -> None:
    config = EngineConfig({"g": {"r0": code.code.id}})
    engine, recorder = Engine([code.code], config), Recorder(tmp_path / "run.mcap")
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    batch = [
        RawMessage("perception", "g", os.urandom(2 * MAX_BODY)),
        RawMessage("never heard of", "g", os.urandom(MAX_BODY + 1)),
        RawMessage("", "", b""),
        RawMessage("code", OPERATOR, b"{" + b" " * MAX_BODY),
    ]
    out = engine.step(SECOND, batch)
    recorder.step(SECOND, batch, [])
    recorder.close()
    assert recorder.path.stat().st_size < 2.2 * MAX_BODY
    (step,) = Recording(recorder.path).steps()
    assert [(d.kind, d.sender, len(d.body)) for d in step.batch] == [(d.kind, d.sender, len(d.body)) for d in batch]
    again = Engine([code.code], config).step(SECOND, step.batch)
    assert again.replies == out.replies
    assert [answer.refusal for answer in again.answers] == [answer.refusal for answer in out.answers]


def test_a_file_of_ours_is_read_by_other_mcap_readers(tmp_path: Path) -> None:
    recorder = begun(tmp_path / "run.mcap")
    fill(recorder, 0, 2000)
    recorder.close()
    with recorder.path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == 6002
        found = [m.log_time for _, _, m in reader.iter_messages(topics=["tick"])]
    assert found == list(range(1000, 3000))


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(
        st.lists(
            st.tuples(st.sampled_from(["tick", "in/a", "out/b"]), st.binary(max_size=300)), min_size=1, max_size=20
        ),
        min_size=1,
        max_size=8,
    ),
    keep=st.floats(0, 1),
)
def test_a_file_cut_off_anywhere_gives_its_whole_chunks(
    tmp_path_factory: pytest.TempPathFactory, chunks: list, keep: float
) -> None:
    from cloudctl.io.recording.reader import PartReader

    folder = tmp_path_factory.mktemp("cut")
    path = folder / "x.mcap"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    file, builder, ends = McapFile(descriptor), ChunkBuilder(), []
    for messages in chunks:
        for t, (topic, data) in enumerate(messages):
            builder.add(topic, data, t)
        chunk = builder.finish()
        assert chunk is not None
        start = file.size
        file.append(chunk)
        ends.append((start + len(chunk.record), messages))
    file.close()
    os.close(descriptor)
    size = int(path.stat().st_size * keep)
    os.truncate(path, size)
    reader = PartReader(path)
    read = [(topic, message.data) for topic, message in reader.messages()]
    assert read == [message for end, messages in ends if end <= size for message in messages]
    shutil.rmtree(folder)


# --- a whole node ---


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

    until(more, 30, f"{n} frames")


def test_a_node_killed_loses_at_most_the_last_second_and_the_next_keeps_its_recording(
    tmp_path: Path, code: CompiledCode
) -> None:
    node = NodeProcess(tmp_path, code, record="runs/run.mcap")
    clock = WallClock()
    with node:
        gateway = node.gateway()
        driven(node, gateway, code, 50)
        assert node.process is not None
        killed = clock.now()
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
    first = Recording(tmp_path / "runs" / "run.mcap")
    steps = list(first.steps())
    newest = max(step.t for step in steps)
    frames = sum(d.kind == "perception" for step in steps for d in step.batch)
    assert frames >= 20
    assert killed - newest < 1.5 * SECOND, "half a second between two writes, and time for a busy machine"
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
        assert node.process.wait(20) == 0
    assert "Traceback" not in node.said
    assert "panic" not in node.said
    assert list(Recording(small_disk / "runs").steps())


def test_the_reference_recording_of_the_first_format_still_replays(tmp_path: Path) -> None:
    shutil.copy(GOLDEN, tmp_path / "run.mcap")
    record(tmp_path / "new.mcap", 3.0, 12)
    for name in ("run.mcap", "new.mcap"):
        assert replay(tmp_path / name).difference is None
