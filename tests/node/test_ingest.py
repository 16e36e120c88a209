"""Bad input: each rule refused with its reason, counted, and the next good message taken."""

import gc

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages_to_an_engine import OTHER, T, feed, perception, signal

from bench.scene import Scene
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.fusion import FusionConfig
from cloudctl.ingest.replies import MAX_REPLIES, MAX_REPLIES_OF_A_FIELD
from cloudctl.schema import MAX_BODY, Hello, RawMessage, Reject, Signals, SignalState, Sync
from cloudctl.settings import EngineConfig
from cloudctl.topics import TOPICS


def block(n: int, length: int | None = None, **columns: float) -> bytes:
    from cloudctl.client import pack

    data = pack({"x": np.zeros(n), "y": np.zeros(n), **{k: np.full(n, v) for k, v in columns.items()}})
    return data if length is None else data[:length]


FIELDS = ("v", "r", "s", "q", "t", "lat", "lon", "o")
BAD = {
    "wrong version": ({"v": 2}, "v", "version 1"),
    "RSU of another key": ({"r": OTHER}, "r", "speaks for"),
    "unknown RSU": ({"r": "nobody"}, "r", "speaks for"),
    "an hour old": ({"t": T - 3600 * SECOND}, "t", "s old"),
    "older than the tracker looks back": ({"t": T - 1001 * MS}, "t", "s old"),
    "an hour ahead": ({"t": T + 3600 * SECOND}, "t", "future"),
    "NaN coordinate": ({"o": [{"x": float("nan"), "y": 1.0}]}, "o[0].x", "finite"),
    "infinite coordinate": ({"o": [{"x": 1.0, "y": float("inf")}]}, "o[0].y", "finite"),
    "absurd coordinate": ({"o": [{"x": 50_000.0, "y": 1.0}]}, "o[0].x", "2000 m"),
    "no coordinate": ({"o": [{"y": 1.0}]}, "o[0].x", "finite"),
    "unknown class": ({"o": [{"x": 1.0, "y": 1.0, "class": "dragon"}]}, "o[0].class", "class"),
    "negative variance": ({"o": [{"x": 1.0, "y": 1.0, "var_x": -1.0}]}, "o[0].var_x, var_y", "within"),
    "block length": ({"o": block(3, 100)}, "o.length", "multiple of 57"),
    "NaN in a block": ({"o": block(3, y=float("nan"))}, "o[0].y", "finite"),
    "too many objects": ({"o": [{"x": 1.0, "y": 1.0}] * 1025}, "o.count", "1024"),
    "objects of no kind": ({"o": 7}, "o.type", "block"),
    "origin elsewhere": ({"lat": 40.5}, "lat, lon", "2000 m"),
    "origin off the globe": ({"lat": float("nan")}, "lat, lon", "globe"),
    "a field of another type": ({"q": "three"}, "q", "decode"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_perception_is_refused_and_the_next_good_one_taken(engine: Engine, code: CompiledCode, name: str) -> None:
    changes, field, rule = BAD[name]
    rejects = feed(engine, "perception", perception(code, **changes))
    assert len(rejects) >= 1
    assert field in rejects[0].field
    assert rule in rejects[0].rule
    assert rejects[0].remedy
    assert engine.metrics.total("reject.perception") == 1
    assert feed(engine, "perception", perception(code, q=1)) == []
    assert engine.metrics.total("accept.perception") == 1


def test_a_perception_long_under_way_is_still_folded_in(engine: Engine, code: CompiledCode) -> None:
    for k in range(5):
        assert (
            feed(engine, "perception", perception(code, q=k, t=T + k * 100 * MS), t=T + k * 100 * MS + 900 * MS) == []
        )
    assert engine.intersections[code.code.id].fusion.stats()["count"] == 1
    assert TOPICS["perception"].max_age == FusionConfig().window_ms * MS  # older is refused by both


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x00" * 40, b"\x8a\xa1v", bytes(range(256)) * 3, b"\xdf\xff\xff\xff\xff"]
)
@pytest.mark.parametrize("kind", ["perception", "signal", "hello", "hazard", "health", "sync"])
def test_random_and_truncated_bytes(engine: Engine, code: CompiledCode, kind: str, body: bytes) -> None:
    assert len(feed(engine, kind, body)) == 1
    assert feed(engine, "perception", perception(code)) == []


def test_every_cut_of_a_good_message_is_refused(engine: Engine, code: CompiledCode) -> None:
    t = T
    for end in range(len(perception(code))):
        t += SECOND  # a gateway is sent only so many rejects in one second
        assert len(feed(engine, "perception", perception(code, t=t)[:end], t=t)) == 1, end
    assert feed(engine, "perception", perception(code, t=t), t=t) == []


def test_a_gateway_all_of_whose_messages_are_refused_is_sent_some_rejects_and_the_others_are_counted(
    engine: Engine, code: CompiledCode
) -> None:
    stale = [RawMessage("perception", "g", perception(code, q=q, t=T - 2 * SECOND)) for q in range(500)]
    rejects = [body for k in range(3) for _, what, body in engine.step(T + k * MS, stale).replies if what == "reject"]
    assert len(rejects) == MAX_REPLIES_OF_A_FIELD
    assert engine.metrics.total("reject.perception") == 3 * 500
    assert engine.metrics.total("drop.reject") == 3 * 500 - MAX_REPLIES_OF_A_FIELD

    # Another mistake is still answered, and so is the same one in the next second.
    assert [reject.field for reject in feed(engine, "perception", perception(code, r="nobody"))] == ["r"]
    later = T + 2 * SECOND
    assert [reject.field for reject in feed(engine, "perception", perception(code, t=T), t=later)] == ["t"]


def test_no_gateway_is_sent_more_rejects_in_a_second_than_it_can_read(engine: Engine, code: CompiledCode) -> None:
    rejects: list[object] = []
    for field in FIELDS:
        for _ in range(MAX_REPLIES_OF_A_FIELD + 10):
            rejects += feed(engine, "perception", perception(code, **{field: {}}))
    assert len(rejects) == MAX_REPLIES


def test_an_oversized_message(engine: Engine, code: CompiledCode) -> None:
    (reject,) = feed(engine, "perception", perception(code, x=b"0" * (MAX_BODY + 1)))
    assert "at most" in reject.rule


def test_an_unknown_kind(engine: Engine) -> None:
    (reject,) = feed(engine, "?", b"")
    assert reject.field == "kind"


def test_a_key_of_no_gateway(engine: Engine, code: CompiledCode) -> None:
    (reject,) = feed(engine, "perception", perception(code), sender="")
    assert reject.field == "key"


def test_sequences(engine: Engine, code: CompiledCode) -> None:
    assert feed(engine, "perception", perception(code, q=5)) == []
    assert "seen already" in feed(engine, "perception", perception(code, q=5))[0].rule
    assert "runs backwards" in feed(engine, "perception", perception(code, q=3))[0].rule
    assert feed(engine, "perception", perception(code, q=9)) == []
    assert engine.metrics.by_source("sequence") == {
        "sequence.backwards": {"r0/cam": 1},
        "sequence.duplicate": {"r0/cam": 1},
        "sequence.gap": {"r0/cam": 3},
    }


def test_a_restarted_gateway_says_hello_and_counts_anew(engine: Engine, code: CompiledCode) -> None:
    assert feed(engine, "perception", perception(code, q=500)) == []
    assert feed(engine, "hello", msgspec.msgpack.encode(Hello(1, "g", ("r0",)))) == []
    assert feed(engine, "perception", perception(code, q=0)) == []


def test_unknown_intersection_and_end_times_out_of_order(engine: Engine, code: CompiledCode) -> None:
    assert "speaks for" in feed(engine, "signal", signal(code, i="UST1.X"))[0].rule
    assert (
        "min_end <= likely_end"
        in feed(engine, "signal", signal(code, g=[{"g": 1, "s": 2, "mn": T + 9, "lk": T + 6}]))[0].rule
    )
    assert feed(engine, "signal", signal(code, q=1)) == []


@given(offset=st.integers(-(10**13), 10**13), ends=st.lists(st.integers(0, 60_000), min_size=4, max_size=4))
def test_published_signals_count_by_the_nodes_clock_whatever_the_gateways_shows(
    code: CompiledCode, offset: int, ends: list[int]
) -> None:
    low, likely, high, green = (T + end * MS for end in (*sorted(ends[:3]), ends[3]))

    def published(ahead: int) -> list[Signals]:
        engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}))
        engine.ingest.gateways["g"].offset = ahead
        group = {
            "g": int(code.group_ids[0]),
            "s": int(SignalState.RED),
            "mn": low + ahead,
            "lk": likely + ahead,
            "mx": high + ahead,
            "ng": green + ahead,
            "nd": 5 * SECOND,
        }
        return engine.step(T, [RawMessage("signal", "g", signal(code, t=T + ahead, g=[group]))]).signals

    assert published(offset) == published(0) != []


def test_the_clock_offset_is_taken_off(engine: Engine, code: CompiledCode) -> None:
    offset = 2 * SECOND
    assert feed(engine, "perception", perception(code, T + offset)) != []
    for k in range(3):
        t1 = T + offset + k * SECOND
        exchange = Sync(1, "g", t1, t1 - offset + 3 * MS, t1 - offset + 4 * MS, t1 + 7 * MS)
        assert feed(engine, "sync", msgspec.msgpack.encode(exchange)) == []
    assert engine.ingest.gateways["g"].offset == offset
    assert feed(engine, "perception", perception(code, T + offset, q=1)) == []


def test_a_clock_comparison_that_waited_says_nothing(engine: Engine, code: CompiledCode) -> None:
    waited = Sync(1, "g", T, T + 4 * SECOND, T + 4 * SECOND, T + 4 * SECOND)  # the node came up 4 s after the question
    assert feed(engine, "sync", msgspec.msgpack.encode(waited)) == []
    assert engine.ingest.gateways["g"].offset == 0
    assert engine.metrics.total("sync.slow") == 1


def test_a_flood_of_one_source_keeps_the_newest(engine: Engine, scene: Scene) -> None:
    batch = [RawMessage("perception", "g", scene.perception("r0", k, T + k * MS)) for k in range(40)]
    engine.step(T + 50 * MS, batch)
    assert engine.metrics.total("drop.queue") == 32
    assert engine.intersections[scene.code.code.id].t_sensor == T + 39 * MS


def test_bad_vehicle_states(engine: Engine) -> None:
    good = {"t": T, "lat": 39.7955, "lon": 116.508, "speed": 3.0, "heading": 0.0}
    for changes in ({"speed": 400}, {"lat": 1e300}, {"t": T - 9 * SECOND}, {"speed": "fast"}, {"accuracy": 0}):
        engine.step(T, [RawMessage("state", "car", msgspec.json.encode({**good, **changes}))])
    assert engine.metrics.total("reject.state") == 5
    engine.step(T, [RawMessage("state", "car", msgspec.json.encode(good))])
    assert engine.metrics.total("accept.state") == 1


@pytest.mark.parametrize(
    ("kind", "sender", "body"),
    [
        ("state", "car", b'{"a":' * 40_000),
        ("signal", "g", b"\x81\xa1a" * 40_000),
        ("perception", "g", b"\x81\xa1a" * 40_000),
        ("signal", "g", b"\x87\xa1v\x01\xa1g" + b"\x91" * 50_000),
    ],
)
def test_nesting_without_end_is_refused_and_the_node_runs_on(
    code: CompiledCode, engine: Engine, kind: str, sender: str, body: bytes
) -> None:
    out = engine.step(T, [RawMessage(kind, sender, body)])
    answers = [body for _, body in out.rejects] if kind == "state" else [body for _, _, body in out.replies]
    assert isinstance(answers[0], Reject)
    replies = engine.step(T, [RawMessage("perception", "g", perception(code))]).replies
    assert not any(isinstance(body, Reject) for _, _, body in replies)


@pytest.mark.parametrize("kind", ["perception", "signal", "health", "hazard", "hello", "sync", "state", "unknown"])
def test_a_refused_message_leaves_nothing_for_the_collector(engine: Engine, code: CompiledCode, kind: str) -> None:
    """Circles of objects wait for the collector: a stranger who sends fast would have them fill the memory."""
    bodies = [
        b"",
        b"\xc1",
        perception(code, t=T - 3600 * SECOND),
        signal(code, t=T - 3600 * SECOND),
        signal(code, r=OTHER),
    ]
    bodies.append(msgspec.json.encode({"t": T - 3600 * SECOND, "lat": 1.0, "lon": 1.0, "speed": 1.0, "heading": 0.0}))
    for body in bodies:
        feed(engine, kind, body)  # what is made once

    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            for body in bodies:
                feed(engine, kind, body)
        assert gc.collect() < 50
    finally:
        gc.enable()
