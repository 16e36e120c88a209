"""Merges of recordings: cuts of one run fit together again, contradictions are refused."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from paths import GOLDEN
from recorded_runs import START, batches, body_of, config_for, of_run, record_two_places, write_run

from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.codes.compiled.code import compile_code
from cloudctl.io.recording.parts import RecordingError
from cloudctl.io.recording.reader import Recording
from cloudctl.recordings.cut import CutRequest, cut
from cloudctl.recordings.info import info
from cloudctl.recordings.merge import merge
from cloudctl.replay import replay
from cloudctl.schema import RawMessage

many = settings(max_examples=30)


@given(steps=batches(), seconds=st.sets(st.integers(0, 15), max_size=3))
@many
def test_cuts_of_a_run_by_time_merge_to_what_the_run_holds(
    tmp_path: Path, code: CompiledCode, steps: list, seconds: set[int]
) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    write_run(tmp_path / "run.mcap", config_for(code.code.id), [code], steps)
    ends = [None, *(START + second * SECOND for second in sorted(seconds)), None]
    pieces = []
    for number, (first, last) in enumerate(itertools.pairwise(ends)):
        piece = tmp_path / f"piece-{number}.mcap"
        try:
            cut(tmp_path / "run.mcap", piece, CutRequest(None if first is None else first + 1, last))
            pieces.append(piece)
        except RecordingError:
            continue  # nothing of the run is within it
    merge(pieces, tmp_path / "merged.mcap")
    assert of_run(tmp_path / "merged.mcap") == of_run(tmp_path / "run.mcap")


def test_the_golden_run_cut_in_two_and_merged_replays_to_the_same_bytes(tmp_path: Path) -> None:
    middle = START + 3 * SECOND
    cut(GOLDEN, tmp_path / "a.mcap", CutRequest(last=middle))
    cut(GOLDEN, tmp_path / "b.mcap", CutRequest(first=middle + 1))
    merge([tmp_path / "b.mcap", tmp_path / "a.mcap"], tmp_path / "merged.mcap")
    assert of_run(tmp_path / "merged.mcap") == of_run(GOLDEN)
    result = replay(tmp_path / "merged.mcap")
    assert result.identical
    assert result.recorded == replay(GOLDEN).recorded


def test_cuts_by_intersection_merge_to_everything_the_run_holds(tmp_path: Path) -> None:
    places = record_two_places(tmp_path / "run.mcap", 2.0)
    pieces = []
    for number, place in enumerate(places):
        pieces.append(tmp_path / f"{number}.mcap")
        cut(tmp_path / "run.mcap", pieces[-1], CutRequest(intersections=(place,)))
    merge(pieces, tmp_path / "merged.mcap")
    assert Counter(of_run(tmp_path / "merged.mcap")) == Counter(of_run(tmp_path / "run.mcap"))
    found = info(tmp_path / "merged.mcap")
    assert {name.split()[0] for name in found.intersections} == set(places)
    assert set(found.units.values()) == set(places)


def run_of(
    path: Path, code: CompiledCode, gateway: int = 0, begin: int = START, unit: str | None = None, **changes: object
) -> Path:
    """Record a second of perception of one gateway's unit."""
    config = config_for(*(["UST1.elsewhere"] * gateway), code.code.id)
    gateways = {name: units for name, units in config.gateways.items() if code.code.id in units.values()}
    config = replace(config, gateways=gateways, **changes)
    name = unit or f"rsu-{gateway}"
    steps = [
        (begin + k * SECOND // 10, [RawMessage("perception", "gh"[gateway], body_of(name, "s", k))], [])
        for k in range(10)
    ]
    write_run(path, config, [code], steps)
    return path


def test_recordings_of_two_nodes_come_in_the_order_of_their_times(tmp_path: Path, code: CompiledCode) -> None:
    one = run_of(tmp_path / "one.mcap", code)
    other = run_of(tmp_path / "other.mcap", code, gateway=1, begin=START + SECOND // 20)
    written = merge([one, other], tmp_path / "merged.mcap")
    steps = list(Recording(tmp_path / "merged.mcap").steps())
    assert [step.batch[0].sender for step in steps] == ["g", "h"] * 10
    assert [step.t for step in steps] == sorted(step.t for step in steps)
    assert "memory of its own" in written.notes[-1]


def test_a_vehicle_that_two_nodes_received_is_one(tmp_path: Path, code: CompiledCode) -> None:
    for number in (0, 1):
        steps = [
            (START + k * SECOND + number * 1000, [RawMessage("state", "car", b'{"t":%d}' % k)], []) for k in range(5)
        ]
        write_run(tmp_path / f"{number}.mcap", config_for(code.code.id), [code], steps)
    written = merge([tmp_path / "0.mcap", tmp_path / "1.mcap"], tmp_path / "merged.mcap")
    assert written.kept["in/state"] == 5
    assert written.dropped == ["dropped 5 of in/state: a vehicle's message that another of the recordings has"]


def test_what_contradicts_is_refused_and_all_of_it_is_named(tmp_path: Path, code: CompiledCode) -> None:
    changed = compile_code(replace(code.code, name="another name"))
    one = run_of(tmp_path / "one.mcap", code)
    cases = {
        "named twice": one,
        "period_ms is 100": run_of(tmp_path / "period.mcap", code, gateway=1, period_ms=200),
        "is one code in": run_of(tmp_path / "code.mcap", changed, gateway=1),
        "perception of rsu-0/s is in": run_of(tmp_path / "stream.mcap", code, begin=START + SECOND // 2),
    }
    for word, other in cases.items():
        with pytest.raises(RecordingError, match=word):
            merge([one, other], tmp_path / "merged.mcap")
        assert not (tmp_path / "merged.mcap").exists()

    both = run_of(tmp_path / "both.mcap", changed, gateway=1, refresh=0.1)
    with pytest.raises(RecordingError) as error:
        merge([one, both], tmp_path / "merged.mcap")
    assert "refresh is" in str(error.value)
    assert "is one code in" in str(error.value)


def test_a_unit_at_two_intersections_is_refused(tmp_path: Path) -> None:
    places = record_two_places(tmp_path / "run.mcap", 0.5)
    config = config_for(places[0])
    for number, place in enumerate(places):
        gateways = {"g": {"rsu-0": place}}
        write_run(tmp_path / f"{number}.mcap", replace(config, gateways=gateways), [], [(START + number, [], [])])
    with pytest.raises(RecordingError, match="roadside unit 'rsu-0' is at"):
        merge([tmp_path / "0.mcap", tmp_path / "1.mcap"], tmp_path / "merged.mcap")


def test_runs_of_one_unit_one_after_the_other_are_merged(tmp_path: Path, code: CompiledCode) -> None:
    one = run_of(tmp_path / "one.mcap", code)
    later = run_of(tmp_path / "later.mcap", code, begin=START + 10 * SECOND)
    assert merge([later, one], tmp_path / "merged.mcap").kept["in/perception"] == 20
    assert of_run(tmp_path / "merged.mcap") == of_run(one) + of_run(later)
