"""A gateway that has restarted serves on, whatever is wrong in a part of its hello."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_to_an_engine import T, perception, signal

from cloudctl.clock import MS
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.schema import MAX_SENSORS, RawMessage, Reject
from cloudctl.settings import EngineConfig

encode = msgspec.msgpack.encode
GOOD: dict[str, Any] = {"id": "cam", "type": "camera", "hz": 10.0}
BAD_PARTS = {
    "a heading in degrees": {"s": [GOOD, {"id": "bad", "heading": 288.0}]},
    "a field of another type": {"s": [GOOD, {"id": "bad", "fov": "wide"}]},
    "a sensor that is no map": {"s": [7, GOOD]},
    "a null": {"s": [GOOD, None]},
    "a sensor without a name": {"s": [{"hz": 10.0}, GOOD]},
    "a name twice": {"s": [GOOD, GOOD]},
    "more sensors than an intersection has": {"s": [GOOD, *({"id": f"s{k}"} for k in range(MAX_SENSORS))]},
    "a unit of another gateway": {"r": ["r0", "r9"]},
    "software that is a number": {"sw": 7},
    "a name of 1,000 characters": {"g": "x" * 1000},
}


def hello(**changes: object) -> RawMessage:
    return RawMessage("hello", "g", encode({"v": 1, "g": "g", "r": ["r0"], "s": [GOOD], "sw": "1", **changes}))


def restarted(code: CompiledCode, again: RawMessage) -> tuple[Engine, list[Reject]]:
    """Return an engine whose gateway has run, restarted with the hello `again`, and counts from 0; and the rejects."""
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id, "r1": code.code.id}}), debug=True)
    engine.step(T, [hello()])
    for seq in range(5):
        t = T + seq * 100 * MS
        engine.step(t, [RawMessage("perception", "g", perception(code, t=t, q=seq))])
        engine.step(t, [RawMessage("signal", "g", signal(code, t=t, q=seq))])

    t = T + 600 * MS
    messages = [
        again,
        RawMessage("perception", "g", perception(code, t=t)),
        RawMessage("signal", "g", signal(code, t=t)),
    ]
    return engine, [body for _, kind, body in engine.step(t, messages).replies if kind == "reject"]


@pytest.mark.parametrize("name", BAD_PARTS)
def test_a_gateway_that_restarts_with_a_bad_part_in_its_hello_serves_on_at_once(code: CompiledCode, name: str) -> None:
    engine, rejects = restarted(code, hello(**BAD_PARTS[name]))
    assert rejects
    assert all(reject.kind == "hello" and reject.field and reject.rule and reject.remedy for reject in rejects)
    assert engine.metrics.total("reject.hello_part") == len(rejects)
    assert engine.metrics.total("accept.perception") == engine.metrics.total("accept.signal") == 6
    assert engine.ingest.sources["r0", "cam"].sensor is not None, "the good sensor is declared"


@settings(max_examples=60)
@given(
    place=st.sampled_from(["id", "type", "lat", "lon", "heading", "fov", "range", "hz"]),
    value=st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=70)
    | st.lists(st.integers(0, 9), max_size=2),
)
def test_no_value_in_one_sensor_takes_service_from_its_gateway(code: CompiledCode, place: str, value: object) -> None:
    engine, _ = restarted(code, hello(s=[GOOD, {"id": "other", place: value}]))
    assert engine.metrics.total("accept.perception") == engine.metrics.total("accept.signal") == 6
    assert engine.ingest.sources["r0", "cam"].sensor is not None


def test_a_hello_of_units_that_are_all_anothers_is_refused_whole(code: CompiledCode) -> None:
    engine, rejects = restarted(code, hello(r=["r8", "r9"]))
    assert [reject.field for reject in rejects if reject.kind == "hello"] == ["r"]
    assert engine.metrics.total("reject.hello") == 1
