"""Bodies that were not written by hand: none is a fault of the node, each is refused by the name of its field."""

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bench.scene import Scene
from cloudctl import codes
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.io.recording.reader import Recorder
from cloudctl.payloads import encode_all
from cloudctl.replay import replay
from cloudctl.schema import Group, RawMessage
from cloudctl.settings import EngineConfig
from cloudctl.topics import TOPICS

T = 1_767_225_600 * SECOND


NUMBERS = st.one_of(
    st.sampled_from([0, -1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 65535, 36001]),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e308, -0.0, 0.1]),
)
VALUES = st.recursive(
    st.one_of(NUMBERS, st.none(), st.booleans(), st.text(max_size=8), st.binary(max_size=80)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)),
    max_leaves=6,
)


def bodies(scene: Scene, t: int, seq: int) -> dict[str, dict]:
    """Return a good body of every kind that a node accepts, as plain maps."""
    lane = scene.code.lane_ids[0]
    raw = msgspec.msgpack.decode
    return {
        "perception": {**raw(scene.perception("r0", seq, t)), "o": [{"x": 1.0, "y": 2.0, "class": "car"}]},
        "signal": raw(scene.signal("r0", seq, t)),
        "hello": {
            "v": 1,
            "g": "g",
            "r": ["r0"],
            "s": [
                {
                    "id": "cam",
                    "type": "camera",
                    "lat": scene.lat,
                    "lon": scene.lon,
                    "heading": 0.0,
                    "fov": 6.0,
                    "range": 100.0,
                    "hz": 10.0,
                }
            ],
            "sw": "x",
        },
        "hazard": {
            "v": 1,
            "r": "r0",
            "id": "h",
            "kind": "ice",
            "t": t,
            "start": t,
            "end": t + SECOND,
            "lane": lane,
            "s": [0.0, 10.0],
            "p": 1,
            "text": "ice",
        },
        "health": {
            "v": 1,
            "r": "r0",
            "t": t,
            "s": [{"id": "cam", "alive": True, "hz": 10.0, "temperature": 20.0, "clock_offset": 0}],
        },
        "sync": {"v": 1, "g": "g", "t1": t, "t2": t, "t3": t, "t4": t},
        "state": {k: v for k, v in msgspec.to_builtins(scene.state(t)).items() if k != "kind"},
        "requests": {
            "t": t,
            "id": "q",
            "intersection": scene.code.code.id,
            "movement": scene.movement,
            "eta": t + SECOND,
            "action": "request",
        },
        "acks": {"t": t, "advisory": "a", "outcome": "applied"},
    }


def mutate(body: object, path: list[int], value: object) -> object:
    """Put a value somewhere into a body; the numbers of `path` choose where."""
    if not path or not isinstance(body, dict | list) or not body:
        return value
    if isinstance(body, dict):
        key = list(body)[path[0] % len(body)]
        return {**body, key: mutate(body[key], path[1:], value)}
    k = path[0] % len(body)
    return [*body[:k], mutate(body[k], path[1:], value), *body[k + 1 :]]


MUTATION = st.tuples(
    st.sampled_from(sorted(k for k, topic in TOPICS.items() if topic.direction in ("in", "both"))),
    st.lists(st.integers(0, 60), min_size=1, max_size=4),
    VALUES,
)


@settings(
    max_examples=30, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
@given(
    mutations=st.lists(MUTATION, min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 200), max_size=3),
    kind=st.text(max_size=6),
)
def test_no_body_of_any_kind_is_a_fault_of_the_node_and_all_replay(
    code: CompiledCode, tmp_path_factory: pytest.TempPathFactory, mutations: list, cuts: list[int], kind: str
) -> None:
    """In debugging, where every fault goes through; the run is recorded, and says the same again."""
    scene = Scene(code, 6)
    config = EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}})
    engine = Engine([code.code], config, debug=True)
    path = tmp_path_factory.mktemp("fuzz") / "run.mcap"
    recorder = Recorder(path)
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    for k, (t, batch) in enumerate(scene.run(1.5)):
        wrong = []
        if k % 3 == 1:
            for n, (name, where, value) in enumerate(mutations):
                good = bodies(scene, t, 1000 + 100 * k + n)[name]
                encode = msgspec.msgpack.encode if TOPICS[name].code else _json
                try:
                    data = encode(mutate(good, where, value))
                except (OverflowError, UnicodeEncodeError):
                    continue
                wrong.append(RawMessage(name, "g" if TOPICS[name].code else "car", data))
            wrong += [
                RawMessage(name, "g", msgspec.msgpack.encode(bodies(scene, t, 9000)[name])[:cut])
                for cut in cuts
                for name in ("signal", "hello")
            ]
            wrong += [
                RawMessage(kind, "g", b"x"),
                RawMessage("", "", b""),
                RawMessage("code", "g", b"{}"),
                RawMessage("config", "car", b"{}"),
            ]
        out = engine.step(t, [*batch, *wrong])
        recorder.step(t, [*batch, *wrong], [payload for _, payload in encode_all(out.advisories, engine.faults)])
        for _, _, body in out.replies:
            msgspec.msgpack.encode(body)
        for signals in out.signals:
            msgspec.json.encode(signals)
    recorder.close()
    result = replay(path, debug=True)
    assert (result.difference, result.fault) == (None, None)
    path.unlink()


def _json(body: object) -> bytes:
    return msgspec.json.encode(body)


@pytest.mark.parametrize("end", [2**63 - 1, 2**64 - 1])
def test_an_end_that_is_the_greatest_number_is_not_known(scene: Scene, code: CompiledCode, end: int) -> None:
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}), debug=True)
    body = msgspec.msgpack.decode(scene.signal("r0", 0, T))
    for group in body["g"]:
        group |= {"mx": end, "lk": end, "ng": end, "nd": end}
    out = engine.step(T, [RawMessage("signal", "g", msgspec.msgpack.encode(body))])
    assert not [sort for _, sort, _ in out.replies if sort == "reject"]
    (signals,) = out.signals
    assert all(
        isinstance(g, Group) and g.max_end is None and g.likely_end is None and g.min_end is not None
        for g in signals.groups
    )
    assert engine.metrics.total("signal.end_unknown") == 4 * len(body["g"])


@pytest.mark.parametrize(("field", "value"), [("mn", 2**63), ("mx", 2**64 - 2), ("ng", 2**62 + 1), ("nd", -1)])
def test_an_end_that_no_clock_can_show_is_refused_with_its_range(
    scene: Scene, code: CompiledCode, field: str, value: int
) -> None:
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}), debug=True)
    body = msgspec.msgpack.decode(scene.signal("r0", 0, T))
    body["g"][1][field] = value
    out = engine.step(T, [RawMessage("signal", "g", msgspec.msgpack.encode(body))])
    (reject,) = [reject for _, sort, reject in out.replies if sort == "reject"]
    assert (reject.field, reject.value) == (f"g[1].{field}", str(value))
    assert "64 bits" in reject.rule
    assert reject.remedy


@pytest.mark.parametrize("field", ["t", "q", "rev"])
def test_a_number_beyond_64_bits_is_refused_by_its_name(scene: Scene, code: CompiledCode, field: str) -> None:
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}), debug=True)
    body = {**msgspec.msgpack.decode(scene.signal("r0", 0, T)), field: 2**64 - 1}
    out = engine.step(T, [RawMessage("signal", "g", msgspec.msgpack.encode(body))])
    (reject,) = [reject for _, sort, reject in out.replies if sort == "reject"]
    assert reject.field == field
    assert str(2**63 - 1) in reject.value
