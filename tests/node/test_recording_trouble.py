"""Recordings on a disk that is full, and of files that are removed, cut off or refused: what is whole is kept."""

import os
import resource
import shutil
from pathlib import Path

import msgspec
import pytest
from deadlines import until
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from recordings import Stopwatch, begun, fill, times

from cloudctl import codes
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.io.recording.container import ChunkBuilder, McapFile
from cloudctl.io.recording.parts import head
from cloudctl.io.recording.reader import Recorder, Recording
from cloudctl.schema import MAX_BODY, RawMessage
from cloudctl.settings import EngineConfig
from cloudctl.topics import OPERATOR


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


@settings(max_examples=60)
@given(
    chunks=st.lists(
        st.lists(
            st.tuples(st.sampled_from(["tick", "answer/a", "out/b"]), st.binary(max_size=300)), min_size=1, max_size=20
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
