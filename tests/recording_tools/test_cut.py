"""Cuts of recordings: what is kept, what is told, and what a replay of them can repeat."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import GOLDEN
from recorded_runs import START, batches, body_of, config_for, of_run, official, record_two_places, write_run

from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.io.recording.parts import RecordingError
from cloudctl.io.recording.reader import Recording
from cloudctl.recordings.cut import CutRequest, cut
from cloudctl.recordings.info import info
from cloudctl.replay import replay
from cloudctl.schema import RawMessage

many = settings(max_examples=40)
BEGIN, END = 1_767_225_600_040_000_000, 1_767_225_605_964_000_000  # ns, of the golden run


def fresh(folder: Path, name: str) -> Path:
    """Return a path without a file."""
    path = folder / name
    path.unlink(missing_ok=True)
    return path


@given(end=st.integers(BEGIN, END))
@many
def test_a_cut_with_every_input_from_the_beginning_replays_to_the_same_bytes(tmp_path: Path, end: int) -> None:
    out = fresh(tmp_path, "cut.mcap")
    written = cut(GOLDEN, out, CutRequest(last=end))
    assert written.is_prefix
    assert written.notes == []
    result = replay(out)
    assert result.identical
    assert result.fault is None
    assert result.steps == sum(step.t <= end for step in Recording(GOLDEN).steps())


@given(begin=st.integers(BEGIN + 1, END))
@many
def test_a_cut_from_the_middle_holds_its_steps_and_says_what_it_cannot_repeat(tmp_path: Path, begin: int) -> None:
    out = fresh(tmp_path, "cut.mcap")
    written = cut(GOLDEN, out, CutRequest(first=begin))
    assert not written.is_prefix
    assert "does not give the recorded bytes" in written.notes[-1]
    expected = [step for step in Recording(GOLDEN).steps() if step.t >= begin]
    assert list(Recording(out).steps()) == expected
    total = sum(entry[0] == "in/perception" for entry in official(GOLDEN))
    outside = total - written.kept.get("in/perception", 0)
    assert f"dropped {outside} of in/perception: outside of the time asked for" in written.dropped


@given(steps=batches(), ends=st.tuples(st.integers(0, 20), st.integers(0, 20)))
@many
def test_whatever_a_run_holds_a_cut_holds_what_is_within_its_time(
    tmp_path: Path, code: CompiledCode, steps: list, ends: tuple[int, int]
) -> None:
    source, out = fresh(tmp_path, "run.mcap"), fresh(tmp_path, "cut.mcap")
    write_run(source, config_for(code.code.id), [code], steps)
    first, last = (START + end * SECOND for end in sorted(ends))
    expected = [step for step in steps if first <= step[0] <= last]
    if not expected:
        with pytest.raises(RecordingError, match=r"no step|nothing of it is within"):
            cut(source, out, CutRequest(first, last))
        assert list(tmp_path.glob("cut*")) == []
        return
    cut(source, out, CutRequest(first, last))
    kept = [(step.t, step.advisories) for step in Recording(out).steps() if step.t >= first]
    assert kept == [(t, tuple(advisories)) for t, _, advisories in expected]
    within = [entry for entry in of_run(source) if first <= entry[1] <= last]
    assert [entry for entry in of_run(out) if entry[1] >= first] == within


def test_what_still_counts_long_after_it_came_stands_before_the_cut_at_its_own_time(
    tmp_path: Path, code: CompiledCode
) -> None:
    hellos = [RawMessage("hello", "g", bytes([k])) for k in range(3)]
    other = RawMessage("hello", "h", b"\x09")
    seen = RawMessage("perception", "g", body_of("rsu-0", "s", 1))
    batches_ = [[hellos[0], other], [hellos[1]], [seen], [hellos[2], seen], [seen]]
    steps = [(START + k * SECOND, batch, []) for k, batch in enumerate(batches_)]
    write_run(tmp_path / "run.mcap", config_for(code.code.id), [code], steps)
    cut(tmp_path / "run.mcap", tmp_path / "cut.mcap", CutRequest(first=START + 2 * SECOND))
    found = list(Recording(tmp_path / "cut.mcap").steps())
    assert [(step.t - START, step.batch) for step in found[:2]] == [(0, (other,)), (SECOND, (hellos[1],))]
    assert [step.batch for step in found[2:]] == [(seen,), (hellos[2], seen), (seen,)]


def test_an_intersection_of_a_run_is_cut_out_with_its_units_its_code_and_its_advisories(tmp_path: Path) -> None:
    first, second = record_two_places(tmp_path / "run.mcap")
    written = cut(tmp_path / "run.mcap", tmp_path / "cut.mcap", CutRequest(intersections=(second,)))
    found = info(tmp_path / "cut.mcap")
    assert [name.split()[0] for name in found.intersections] == [second]
    assert set(found.units.values()) == {second}
    advisories = [data for topic, _, data in official(tmp_path / "cut.mcap") if topic == "out/advisories"]
    assert advisories
    assert {msgspec.json.decode(data)["intersection"] for data in advisories} == {second}
    assert any("roadside units of another intersection" in line for line in written.dropped)
    assert any("advisories of another intersection" in line for line in written.dropped)
    result = replay(tmp_path / "cut.mcap")
    assert result.advisories > 0
    assert result.metrics.total("reject.perception") == 0
    assert found.origin is not None
    assert sum(found.origin.dropped.values()) > 0
    with pytest.raises(RecordingError, match="not in the recording"):
        cut(tmp_path / "run.mcap", tmp_path / "no.mcap", CutRequest(intersections=("UST1.nowhere",)))
    assert first != second


def test_topics_are_kept_by_pattern_and_the_ticks_with_them(tmp_path: Path) -> None:
    written = cut(GOLDEN, tmp_path / "cut.mcap", CutRequest(topics=("in/sig*", "out/*")))
    assert sorted(written.kept) == ["in/signal", "out/advisories", "tick"]
    assert "dropped 180 of in/perception: not of the topics asked for" in written.dropped
    assert "inputs were left out" in written.notes[-1]


@pytest.mark.parametrize("pattern", ["advisories", "in/perceptoin", "IN/*", "/in/*", ""])
def test_a_pattern_that_fits_no_topic_is_refused_with_the_topics_and_leaves_no_file(
    tmp_path: Path, pattern: str
) -> None:
    with pytest.raises(RecordingError, match=r"fits no topic of the recording\. It has: in/perception, in/signal"):
        cut(GOLDEN, tmp_path / "cut.mcap", CutRequest(topics=(pattern, "nothing/*")))
    assert list(tmp_path.iterdir()) == []


def test_a_pattern_that_fits_no_topic_beside_one_that_does_is_noted(tmp_path: Path) -> None:
    written = cut(GOLDEN, tmp_path / "cut.mcap", CutRequest(topics=("in/*", "in/hazard", "out/*")))
    assert written.is_prefix
    assert [note for note in written.notes if "fits no topic" in note] == [
        "--topic 'in/hazard' fits no topic of the recording. It has: in/perception, in/signal, in/state, "
        "out/advisories, tick"
    ]


def test_a_topic_that_the_run_has_at_another_time_is_no_fault(tmp_path: Path) -> None:
    written = cut(GOLDEN, tmp_path / "cut.mcap", CutRequest(BEGIN, BEGIN, topics=("out/*",)))
    assert "out/advisories" not in written.kept
    assert not any("fits no topic" in note for note in written.notes)


def test_a_cut_without_the_advisories_does_not_claim_to_repeat_them(tmp_path: Path) -> None:
    written = cut(GOLDEN, tmp_path / "cut.mcap", CutRequest(topics=("in/*",)))
    assert not written.is_prefix
    assert "nothing to compare them with" in written.notes[-1]


def test_a_cut_that_leaves_out_outputs_only_still_repeats(tmp_path: Path) -> None:
    assert cut(GOLDEN, tmp_path / "cut.mcap", CutRequest(topics=("in/*", "out/*"))).is_prefix
    assert replay(tmp_path / "cut.mcap").identical


def test_the_same_cut_is_the_same_bytes_and_writes_over_nothing(tmp_path: Path) -> None:
    for name in ("a.mcap", "b.mcap"):
        cut(GOLDEN, tmp_path / name, CutRequest(BEGIN + SECOND, BEGIN + 3 * SECOND))
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()
    assert (tmp_path / "a.mcap").stat().st_mode & 0o777 == 0o600
    with pytest.raises(RecordingError, match="nothing is written over"):
        cut(GOLDEN, tmp_path / "a.mcap", CutRequest())
    with pytest.raises(RecordingError, match="after --to"):
        cut(GOLDEN, tmp_path / "c.mcap", CutRequest(END, BEGIN))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mcap", "b.mcap"]
