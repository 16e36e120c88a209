"""What open pages are given, and what that costs the engine: nothing while nobody looks, never another byte of
advice.
"""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_messages import picture_of

from bench.scene import Scene, corridor
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine, Output
from cloudctl.payloads import encode
from cloudctl.schema import RawMessage
from cloudctl.settings import EngineConfig
from cloudctl.view.columns import Condition, FrameKind
from cloudctl.view.observer import MAX_VIEWERS, Observer, ViewError
from cloudctl.view.viewers import MAX_EVENTS, MAX_WATCHED, Request, Viewer


def config(code: CompiledCode) -> EngineConfig:
    return EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}})


def drive(engine: Engine, scene: Scene, seconds: float, observer: Observer | None = None) -> list[bytes]:
    """Take the steps of a scene; return the advisories."""
    sent: list[bytes] = []
    for t, batch in scene.run(seconds):
        out = engine.step(t, batch)
        if observer is not None:
            observer.observe(t, batch, out)
        sent += [encode(advisory) for advisory in out.advisories]
    return sent


def test_nothing_is_encoded_or_noted_while_nobody_looks(code: CompiledCode, scene: Scene) -> None:
    engine = Engine([code.code], config(code))
    observer = Observer(engine)
    drive(engine, scene, 3.0, observer)
    assert observer.encoded == 0
    assert all(place.withheld is None for place in engine.intersections.values())
    viewer = observer.open(lambda: None)
    observer.ask(viewer, Request(watch=(0,)))
    assert next(iter(engine.intersections.values())).withheld == []
    observer.close(viewer)
    assert next(iter(engine.intersections.values())).withheld is None


def test_the_same_bytes_are_advised_whoever_looks(code: CompiledCode) -> None:
    alone, watched = Engine([code.code], config(code)), Engine([code.code], config(code))
    observer = Observer(watched)
    viewer = observer.open(lambda: None)
    observer.ask(viewer, Request(watch=(0,), zone=True, select=(0, 3)))
    assert drive(alone, Scene(code, 30), 8.0) == drive(watched, Scene(code, 30), 8.0, observer)
    assert observer.encoded > 50


def test_a_page_gets_the_drawing_before_what_is_drawn_on_it_and_the_newest_only(
    code: CompiledCode, scene: Scene
) -> None:
    engine = Engine([code.code], config(code))
    observer = Observer(engine)
    viewer = observer.open(lambda: None)
    observer.ask(viewer, Request(watch=(0,)))
    drive(engine, scene, 3.0, observer)
    kinds = [kind for kind, _ in picture_of_frames(viewer)]
    assert kinds.count(FrameKind.SNAPSHOT) == kinds.count(FrameKind.SCENE) == kinds.count(FrameKind.STATUS) == 1
    assert kinds.index(FrameKind.HELLO) < kinds.index(FrameKind.SCENE) < kinds.index(FrameKind.SNAPSHOT)
    assert viewer.take() == b""


def picture_of_frames(viewer: Viewer) -> list[tuple[int, object]]:
    return picture_of(viewer).frames


def test_a_page_gets_what_it_watches_and_nothing_else() -> None:
    made = corridor()
    engine = Engine(
        [code.code for code in made], EngineConfig({"g": {f"r{k}": code.code.id for k, code in enumerate(made)}})
    )
    observer = Observer(engine)
    viewer, other = observer.open(lambda: None), observer.open(lambda: None)
    observer.ask(viewer, Request(watch=(1, 3)))
    observer.ask(other, Request(zone=True))
    scenes = [Scene(code, 10, k) for k, code in enumerate(made)]
    for n in range(30):
        t = 1_767_225_600 * SECOND + n * 100 * MS
        batch = [RawMessage("perception", "g", scene.perception(f"r{k}", n, t)) for k, scene in enumerate(scenes)]
        observer.observe(t, batch, engine.step(t, batch))
    picture = picture_of(viewer)
    assert sorted(row["index"] for row in picture.snapshots) == [1, 3]
    assert picture.of(FrameKind.OVERVIEW) == []
    overview = picture_of(other)
    assert overview.snapshots == []
    (zone,) = overview.of(FrameKind.OVERVIEW)
    assert zone["tracks"].min() > 0
    assert set(zone["condition"].tolist()) == {Condition.DEGRADED}  # nobody sends signal states here


def test_a_page_that_never_reads_holds_nothing_more_than_the_newest(code: CompiledCode) -> None:
    engine = Engine([code.code], config(code))
    observer = Observer(engine)
    viewer = observer.open(lambda: None)
    observer.ask(viewer, Request(watch=(0,)))
    drive(engine, Scene(code, 30), 5.0, observer)
    small = len(viewer.take())
    observer.ask(viewer, Request(watch=(0,)))
    drive(Engine([code.code], config(code)), Scene(code, 30), 0.1)
    for _ in range(2000):
        out = Output(events=["something to put right"])
        observer.observe(10**18, [], out)
    assert viewer.dropped >= 2000 - MAX_EVENTS
    picture = picture_of(viewer)
    assert len(picture.events) == MAX_EVENTS
    assert small < 200_000


def test_refusals_are_kept_for_pages_that_open_later(code: CompiledCode, scene: Scene) -> None:
    engine = Engine([code.code], config(code))
    observer = Observer(engine)
    t = 1_767_225_600 * SECOND
    batch = [RawMessage("perception", "g", b"\xc1 no msgpack"), RawMessage("state", "car", b'{"t": 1}')]
    observer.observe(t, batch, engine.step(t, batch))
    rows = picture_of(observer.open(lambda: None)).events
    assert [row["sender"] for row in rows] == ["car", "g"]
    assert all(row["type"] == "reject" and row["field"] and row["rule"] and row["remedy"] for row in rows)


def test_one_track_is_shown_whole_while_it_is_selected(code: CompiledCode, scene: Scene) -> None:
    engine = Engine([code.code], config(code))
    observer = Observer(engine)
    viewer = observer.open(lambda: None)
    observer.ask(viewer, Request(watch=(0,)))
    drive(engine, scene, 2.0, observer)
    place = next(iter(engine.intersections.values()))
    assert place.latest is not None
    connected = int(place.latest.tracks["id"][place.latest.rows[0]])
    observer.ask(viewer, Request(select=(0, connected)))
    begin = 1_767_225_603 * SECOND
    for t, batch in scene.run(3.0, begin=begin):
        observer.observe(t, batch, engine.step(t, batch))
    found = picture_of(viewer).of(FrameKind.DETAIL)[-1]
    assert (found["vehicle"], found["gone"]) == ("car", False)
    assert len(found["prediction"]) == 16
    assert found["covariance"][0] > 0
    assert found["sensors"] == ["r0/fused", "r1/fused", "r2/fused", "its own reports"]
    assert found["hops"]["vehicle_to_node"]["count"] > 0
    observer.ask(viewer, Request(select=(0, 10**6)))
    t, batch = next(iter(scene.run(0.1, begin=begin + 4 * SECOND)))
    observer.observe(t, batch, engine.step(t, batch))
    assert picture_of(viewer).of(FrameKind.DETAIL)[-1]["gone"]


@given(
    st.builds(
        Request,
        watch=st.none() | st.lists(st.integers(-5, 10**12), max_size=80).map(tuple),
        zone=st.none() | st.booleans(),
        select=st.none() | st.tuples(st.integers(-(2**40), 2**40), st.integers(-(2**70), 2**70)),
    )
)
@settings(max_examples=200)
def test_any_request_is_taken_or_refused_whole(code: CompiledCode, request_: Request) -> None:
    observer = Observer(Engine([code.code], config(code)))
    viewer = observer.open(lambda: None)
    observer.ask(viewer, Request(watch=(0,)))
    refused = None
    try:
        observer.ask(viewer, request_)
    except ViewError as error:
        refused = error.row
    if refused is not None:
        assert refused["field"] in ("watch", "select")
        assert refused["remedy"]
        assert viewer.watched == (0,)
    assert set(viewer.watched) <= {0}
    assert len(viewer.watched) <= MAX_WATCHED
    t = 1_767_225_600 * SECOND
    for n in range(3):
        batch = [RawMessage("perception", "g", Scene(code, 3).perception("r0", n, t + n * 100 * MS))]
        observer.observe(t + n * 100 * MS, batch, observer._engine.step(t + n * 100 * MS, batch))


def test_pages_are_limited_in_number(code: CompiledCode) -> None:
    observer = Observer(Engine([code.code], config(code)))
    viewers = [observer.open(lambda: None) for _ in range(MAX_VIEWERS)]
    with pytest.raises(ViewError, match="close one"):
        observer.open(lambda: None)
    observer.close(viewers[0])
    observer.open(lambda: None)


def test_pages_ask_again_when_a_node_serves_other_intersections(code: CompiledCode) -> None:
    first, second = corridor()[:2]
    engine = Engine([first.code, second.code], EngineConfig({"g": {"r0": first.code.id, "r1": second.code.id}}))
    observer = Observer(engine)
    viewer = observer.open(lambda: None)
    observer.ask(viewer, Request(watch=(0, 1)))
    picture_of(viewer)
    del engine.intersections[first.code.id]
    observer.observe(1_767_225_600 * SECOND, [], Output())
    (hello,) = picture_of(viewer).of(FrameKind.HELLO)
    assert [row["id"] for row in hello["intersections"]] == [second.code.id]
    assert viewer.watched == ()


def test_a_new_revision_is_drawn_anew(code: CompiledCode, scene: Scene) -> None:
    engine = Engine([code.code], config(code))
    observer = Observer(engine)
    viewer = observer.open(lambda: None)
    observer.ask(viewer, Request(watch=(0,)))
    assert picture_of(viewer).of(FrameKind.SCENE)[0]["revision"] == code.code.revision
    begin = 1_767_225_600 * SECOND
    later = msgspec.structs.replace(code.code, revision=code.code.revision + 1, valid_from=begin + 6 * SECOND)
    engine.announce(later, begin)
    for t, batch in scene.run(8.0):
        observer.observe(t, batch, engine.step(t, batch))
    assert [row["revision"] for row in picture_of(viewer).of(FrameKind.SCENE)] == [code.code.revision + 1]
