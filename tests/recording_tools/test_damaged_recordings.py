"""Recordings that were cut off or damaged: read as far as they are whole, and what is missing is counted and told."""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from deadlines import PATIENCE
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import NonSeekingReader, SeekingReader
from mcap.records import Message
from mcap.writer import Writer
from paths import GOLDEN
from recorded_runs import START, config_for, of_run, official, write_run

from cloudctl.__main__ import main
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.io.recording.chunks import IndexedRun
from cloudctl.io.recording.parts import RecordingError
from cloudctl.io.recording.summary import SummaryState
from cloudctl.recordings.cut import CutRequest, cut
from cloudctl.recordings.info import info
from cloudctl.schema import RawMessage

many = settings(max_examples=60)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, code: CompiledCode) -> Path:
    """Return a recording of several chunks whose bytes do not compress."""
    path = tmp_path_factory.mktemp("whole") / "run.mcap"
    steps = [
        (START + k * SECOND, [RawMessage("perception", "g", bytes(range(k % 200, k % 200 + 50)) * 40)] * 3, [b"{}"])
        for k in range(200)
    ]
    write_run(path, config_for(code.code.id), [code], steps)
    return path


def test_a_whole_recording_is_read_by_its_summary_and_by_the_official_readers(whole: Path) -> None:
    found, checked = info(whole), info(whole, check=True)
    assert (found.is_read, checked.is_read) == (False, True)
    assert found.topics == checked.topics
    assert found.is_whole
    assert [part.summary for part in found.parts] == [SummaryState.WHOLE]
    counts = {topic.topic: topic.messages for topic in found.topics}
    messages = official(whole)
    assert counts == {topic: sum(entry[0] == topic for entry in messages) for topic in counts}
    assert found.steps == 200


def whole_until(path: Path, size: int) -> int:
    """Return the time (ns) of the last message in chunks that are within a file's first bytes, by its own index; 0
    where none of a step is."""
    with path.open("rb") as file:
        summary = SeekingReader(file).get_summary()
    assert summary is not None
    return max(
        (
            index.message_end_time
            for index in summary.chunk_indexes
            if index.chunk_start_offset + index.chunk_length <= size
        ),
        default=0,
    )


@given(data=st.data())
@many
def test_a_recording_cut_off_anywhere_gives_its_whole_chunks(tmp_path: Path, whole: Path, data: st.DataObject) -> None:
    bytes_ = whole.read_bytes()
    size = data.draw(st.integers(0, len(bytes_) - 1))
    path, out = tmp_path / "run.mcap", tmp_path / "out.mcap"
    path.write_bytes(bytes_[:size])
    out.unlink(missing_ok=True)
    last = whole_until(whole, size)
    if last == 0:
        with pytest.raises(RecordingError):
            cut(path, out, CutRequest())
        return

    written = cut(path, out, CutRequest())
    assert of_run(out) == [entry for entry in of_run(whole) if entry[1] <= last]
    found = info(path)
    assert [part.summary for part in found.parts] == [SummaryState.ABSENT]
    unread = IndexedRun(path).lost_bytes
    if unread:
        line = f"{unread:,} bytes could not be read"
        assert any(line in text for text in found.trouble)
        assert any(line in text for text in written.notes)


def setup_end(path: Path) -> int:
    """Return the byte at which the chunk ends that has configuration and codes, and the first steps."""
    with path.open("rb") as file:
        summary = SeekingReader(file).get_summary()
    assert summary is not None
    return min(
        index.chunk_start_offset + index.chunk_length for index in summary.chunk_indexes if index.message_end_time > 0
    )


@given(data=st.data())
@many
def test_a_flipped_bit_anywhere_costs_its_chunk_only_and_is_told(
    tmp_path: Path, whole: Path, data: st.DataObject
) -> None:
    bytes_ = bytearray(whole.read_bytes())
    place = data.draw(st.integers(8, len(bytes_) - 1))
    bytes_[place] ^= 1 << data.draw(st.integers(0, 7))
    path, out = tmp_path / "run.mcap", tmp_path / "out.mcap"
    path.write_bytes(bytes_)
    out.unlink(missing_ok=True)
    everything = of_run(whole)
    if place < setup_end(whole) or place >= len(bytes_) - 40:
        return  # configuration and codes, without which there is no run; or the footer, of which another test is
    found = info(path, check=True)
    cut(path, out, CutRequest())
    kept = of_run(out)
    known = set(everything)
    assert all(entry in known for entry in kept)
    if len(kept) < len(everything):
        assert found.trouble, place
        assert not found.is_whole


def test_a_damaged_summary_is_told_and_not_relied_upon(tmp_path: Path, whole: Path) -> None:
    bytes_ = bytearray(whole.read_bytes())
    bytes_[-200] ^= 0xFF
    path = tmp_path / "run.mcap"
    path.write_bytes(bytes_)
    found = info(path)
    assert [part.summary for part in found.parts] == [SummaryState.DAMAGED]
    assert found.steps == 200
    assert any("its summary is damaged" in line for line in found.trouble)


def test_a_disk_that_is_full_leaves_no_file_behind(tmp_path: Path) -> None:
    limited = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
    limited += "from cloudctl.__main__ import main; sys.exit(main(sys.argv[1:]))"
    words = ["recording", "cut", str(GOLDEN), "--out", str(tmp_path / "cut.mcap")]
    run = subprocess.run(
        [sys.executable, "-c", limited, *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 2
    assert "File too large" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_jump_reads_nothing_of_what_comes_before(tmp_path: Path, whole: Path) -> None:
    with whole.open("rb") as file:
        summary = SeekingReader(file).get_summary()
    assert summary is not None
    timed = [index for index in summary.chunk_indexes if index.message_end_time > 0]
    bytes_ = bytearray(whole.read_bytes())
    for index in timed[1:-1]:  # all but the first, which holds the set-up, and the one that is jumped to
        bytes_[index.chunk_start_offset + index.chunk_length // 2] ^= 0xFF
    path = tmp_path / "run.mcap"
    path.write_bytes(bytes_)
    run = IndexedRun(path)
    last = timed[-1]
    steps = list(run.steps(last.message_start_time))
    assert steps[-1].t == last.message_end_time
    assert run.damaged_chunks == 0
    assert list(run.steps()) != []
    assert run.damaged_chunks == len(timed) - 2 > 0


MISTAKEN_TIMES = (2**63, 2**64 - 1, 2**62)
DAMAGED_BODIES = (b"", b"\xc0", b"{}", b"\xff" * 9, b"\x92\xa1g\xc4\xff", b"\x93\xa1g\xc4\x00\xcf" + b"\xff" * 8)


def rewritten(path: Path, change: Callable[[int, str, Message], tuple[str, int, bytes]]) -> bytes:
    """Return a recording as another writer makes it, every CRC right; `change` gives topic, time and contents of each
    message by its number."""
    out = BytesIO()
    writer = Writer(out, chunk_size=20_000)
    writer.start()
    channels: dict[str, int] = {}
    with path.open("rb") as file:
        messages = NonSeekingReader(file).iter_messages(log_time_order=False)
        for number, (_, channel, message) in enumerate(messages):
            topic, t, data = change(number, channel.topic, message)
            if topic not in channels:
                channels[topic] = writer.register_channel(topic, channel.message_encoding, 0)
            writer.add_message(channels[topic], log_time=t, data=data, publish_time=t)
    writer.finish()
    return out.getvalue()


@settings(many, max_examples=15)
@given(data=st.data())
def test_a_message_that_cannot_be_read_costs_only_itself_in_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    """CRCs are right: files of other writers, or put together by hand."""
    damaged = data.draw(st.dictionaries(st.integers(0, 400), st.sampled_from(["time", "body", "topic"]), min_size=1))

    def change(number: int, topic: str, message: Message) -> tuple[str, int, bytes]:
        how = damaged.get(number)
        t, contents = message.log_time, message.data
        if how == "time":
            t = data.draw(st.sampled_from(MISTAKEN_TIMES))
        elif how == "body":
            contents = data.draw(st.sampled_from(DAMAGED_BODIES) | st.just(contents[: len(contents) // 2]))
        elif how == "topic":
            topic = data.draw(
                st.sampled_from(["in/", "in/nothing", "in/config", "in/state", "tick", "meta", "x/y", ""])
            )
        return topic, t, contents

    path = tmp_path / "run.mcap"
    path.write_bytes(rewritten(GOLDEN, change))
    commands = (
        ["replay", str(path), "--compare"],
        ["recording", "info", str(path), "--check"],
        ["recording", "cut", str(path), "--to", "+3", "--out", str(tmp_path / "cut.mcap")],
    )
    for command in commands:
        (tmp_path / "cut.mcap").unlink(missing_ok=True)
        status = main(command)
        said = "".join(capsys.readouterr())
        assert status in (0, 1, 2)
        assert "Traceback" not in said
        assert status != 2 or str(path) in said
        if "body" in damaged.values() and status == 0 and command[0] == "replay":
            assert "steps" in said, "how much was read"


def test_of_a_message_that_cannot_be_read_the_rest_is_replayed_and_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(
        rewritten(
            GOLDEN,
            lambda _, topic, message: (topic, message.log_time, b"\xc1" if topic == "in/state" else message.data),
        )
    )
    assert main(["replay", str(path)]) == 0
    said = "".join(capsys.readouterr())
    assert "180 steps" in said
    assert "cannot be read" in said
    assert "the rest was used" in said
