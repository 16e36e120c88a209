"""A recording on the page: sought by its index, shown as it was, repeated to the byte."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from page_messages import jump, picture_of

from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.fusion import SEEN_LATELY
from cloudctl.io.recording.chunks import IndexedRun
from cloudctl.io.recording.parts import RecordingError
from cloudctl.io.recording.reader import Recording, Step
from cloudctl.view.columns import FrameKind
from cloudctl.view.observer import ViewError
from cloudctl.view.player import Player
from cloudctl.view.viewers import Request


def steps_of(path: Path) -> list[Step]:
    return list(Recording(path).steps())


def engine_at(player: Player, t: int) -> Engine:
    """Return an engine that took every step of the run up to `t` ns."""
    engine = player._fresh()
    for step in player.run.steps():
        if step.t > t:
            break
        engine.step(step.t, step.batch)
    return engine


def test_steps_by_index_are_those_read_from_the_beginning(run_file: Path) -> None:
    assert list(IndexedRun(run_file).steps()) == steps_of(run_file)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.71, 1.0])
def test_steps_from_a_time_on_are_the_last_ones_of_the_run(run_file: Path, share: float) -> None:
    run, whole = IndexedRun(run_file), steps_of(run_file)
    t = int(run.begin + share * (run.end - run.begin))
    found = list(run.steps(t))
    assert found == whole[-len(found) :]
    assert found[0].t <= t
    assert len(found) < len(whole) or share < 0.2


def test_a_file_that_was_cut_off_is_indexed_by_the_heads_of_its_chunks(run_file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mcap"
    data = run_file.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    run, whole = IndexedRun(cut), steps_of(run_file)
    found = list(run.steps())
    assert 0 < len(found) < len(whole)
    assert found == whole[: len(found)]
    assert list(run.steps(run.end - 2 * SECOND)) == found[-len(list(run.steps(run.end - 2 * SECOND))) :]


def test_a_damaged_chunk_is_left_out_and_named(run_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mcap"
    run = IndexedRun(run_file)
    chunk = run._timed[len(run._timed) // 2]
    data = bytearray(run_file.read_bytes())
    data[chunk.offset + chunk.length - 20] ^= 0xFF
    broken.write_bytes(data)
    damaged = IndexedRun(broken)
    found = list(damaged.steps())
    assert 0 < len(found) < len(steps_of(run_file))
    assert damaged.fault is not None
    assert "damaged" in damaged.fault


def test_a_folder_without_a_run_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="0 recorded runs"):
        IndexedRun(tmp_path)
    (tmp_path / "not.mcap").write_bytes(b"nothing of the kind")
    with pytest.raises(RecordingError, match="Record one"):
        IndexedRun(tmp_path / "not.mcap")


def test_after_a_jump_tracks_are_where_the_whole_run_has_them(run_file: Path) -> None:
    player = Player(run_file)
    t = player.run.begin + 15 * SECOND
    jump(player, t)
    place, exact = (
        next(iter(player.engine.intersections.values())),
        next(iter(engine_at(player, t).intersections.values())),
    )
    assert place.latest is not None
    assert exact.latest is not None
    assert place.latest.t == exact.latest.t
    shown, expected = place.latest.tracks, exact.latest.tracks
    seen = expected[
        expected["status"] == SEEN_LATELY
    ]  # the road users of this scene jump back at their lane's end: what coasts is one that has
    assert len(seen) > 20
    apart = np.hypot(seen["x"][:, None] - shown["x"], seen["y"][:, None] - shown["y"]).min(axis=1)
    assert apart.max() < 1.0
    assert np.median(apart) < 0.1


def test_frame_exact_the_picture_is_the_runs_own_and_every_advisory_is_byte_identical(run_file: Path) -> None:
    player = Player(run_file)
    viewer = player.observer.open(lambda: None)
    player.ask(viewer, Request(exact=True, play=False))
    t = player.run.begin + 12 * SECOND
    jump(player, t)
    place, exact = (
        next(iter(player.engine.intersections.values())),
        next(iter(engine_at(player, t).intersections.values())),
    )
    assert place.latest is not None
    assert exact.latest is not None
    assert place.latest.tracks.tobytes() == exact.latest.tracks.tobytes()
    jump(player, player.run.end)  # forwards: the same engine goes on
    assert player._difference == ""
    assert player._compared == sum(len(step.advisories) for step in steps_of(run_file)) > 0
    assert picture_of(viewer).player["words"] == f"byte-identical so far: {player._compared} advisories"


def test_an_advisory_that_was_recorded_otherwise_is_named(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    player = Player(run_file)
    whole = steps_of(run_file)
    changed = next(k for k, step in enumerate(whole) if step.advisories)
    whole[changed] = whole[changed]._replace(advisories=(b"{}", *whole[changed].advisories[1:]))
    monkeypatch.setattr(player.run, "steps", lambda t=0: iter(whole))
    viewer = player.observer.open(lambda: None)
    player.ask(viewer, Request(exact=True, play=False))
    jump(player, player.run.end)
    found = picture_of(viewer).player
    assert found["trouble"]
    assert f"at {whole[changed].t} ns" in found["words"]


def test_played_time_goes_on_only_while_it_plays(run_file: Path) -> None:
    player = Player(run_file)
    viewer = player.observer.open(lambda: None)
    jump(player, player.run.begin + 5 * SECOND)
    player.ask(viewer, Request(play=False))
    stands = player.t
    for _ in range(5):
        player._ticked -= 200 * MS
        player.tick(50 * MS)
    assert player.t == stands
    player.ask(viewer, Request(play=True, speed=2.0))
    for _ in range(5):
        player._ticked -= 200 * MS
        player.tick(SECOND)
    assert 1.9 * SECOND < player.t - stands < 6 * SECOND


def test_one_step_on_is_the_next_plan(run_file: Path) -> None:
    player = Player(run_file)
    viewer = player.observer.open(lambda: None)
    player.observer.ask(viewer, Request(watch=(0,)))
    player.ask(viewer, Request(play=False))
    jump(player, player.run.begin + 6 * SECOND)
    before = picture_of(viewer).snapshots[0]["t"]
    player.ask(viewer, Request(step=1))
    after = picture_of(viewer).snapshots[0]["t"]
    assert 0 < after - before <= 130


def test_advisories_in_force_are_shown_after_a_jump(run_file: Path) -> None:
    player = Player(run_file)
    viewer = player.observer.open(lambda: None)
    player.observer.ask(viewer, Request(watch=(0,)))
    t = next(step.t for step in reversed(steps_of(run_file)) if step.advisories) + 50 * MS
    jump(player, t)
    found = [row for row in picture_of(viewer).events if row["type"] == "advisory"]
    assert found
    assert all(row["t"] <= t / MS < row["valid_until"] for row in found)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Request(seek=0.0), "seek"),
        (Request(seek=float("inf")), "seek"),
        (Request(seek=float("nan")), "seek"),
        (Request(speed=0.0), "speed"),
        (Request(speed=1e9), "speed"),
    ],
)
def test_what_a_recording_cannot_do_is_refused_with_field_and_remedy(
    run_file: Path, request_: Request, field: str
) -> None:
    player = Player(run_file)
    viewer = player.observer.open(lambda: None)
    jump(player, player.run.begin + SECOND)
    before = player.t, player.speed
    with pytest.raises(ViewError) as why:
        player.ask(viewer, request_)
    assert why.value.row["field"] == field
    assert why.value.row["remedy"]
    assert (player.t, player.speed) == before


def test_the_parts_of_one_run_are_one_recording(code: CompiledCode, run_file: Path, tmp_path: Path) -> None:
    from cloudctl.io.recording.reader import Recorder
    from cloudctl.settings import RecordingLimits

    recorder = Recorder(tmp_path / "parts.mcap", RecordingLimits(part_bytes=200_000))
    source = Recording(run_file)
    whole = list(source.steps())
    for name, data in source.meta:
        recorder.meta(name, data)
    for step in whole:
        recorder.step(step.t, step.batch, list(step.advisories))
        recorder.flush()
    recorder.close()
    assert len(list(tmp_path.iterdir())) > 2
    run = IndexedRun(tmp_path)
    assert list(run.steps()) == whole
    middle = whole[len(whole) // 2].t
    assert list(run.steps(middle))[-1] == whole[-1]
    shutil.rmtree(tmp_path)


def test_what_is_selected_and_its_panels_are_shown_while_the_recording_stands(run_file: Path) -> None:
    player = Player(run_file)
    viewer = player.observer.open(lambda: None)
    player.ask(viewer, Request(play=False))
    jump(player, player.run.begin + 8 * SECOND)
    player.observer.ask(viewer, Request(watch=(0,)))
    picture = picture_of(viewer)
    assert picture.of(FrameKind.STATUS)[0]["sensors"]
    player.observer.ask(viewer, Request(select=(0, int(picture.snapshots[0]["tracks"]["id"][0]))))
    assert not picture_of(viewer).of(FrameKind.DETAIL)[0]["gone"]
