"""What a signal message or an exchange of clocks may hold besides states and times, and what becomes of it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine, Output
from cloudctl.ingest.gateways import MAX_OFFSET
from cloudctl.schema import RawMessage, Reject, SignalState, Sync
from cloudctl.settings import EngineConfig

T = 1_767_225_600 * SECOND
RED = int(SignalState.RED)
encode = msgspec.msgpack.encode


def running(code: CompiledCode) -> Engine:
    return Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}), debug=True)


def signal(code: CompiledCode, seq: int, t: int, groups: list[dict[str, Any]], **more: object) -> RawMessage:
    body = {"v": 1, "r": "r0", "i": code.code.id, "rev": code.code.revision, "q": seq, "t": t, "g": groups, **more}
    return RawMessage("signal", "g", encode(body))


def reds(code: CompiledCode, **more: object) -> list[dict[str, Any]]:
    return [{"g": int(g), "s": RED, **more} for g in code.group_ids]


def rejects(out: Output) -> list[Reject]:
    return [body for _, kind, body in out.replies if kind == "reject"]


@pytest.mark.parametrize("confidence", [90.0, -0.01, float("nan"), float("inf"), 1.0001])
def test_a_confidence_that_is_no_share_is_refused_and_the_rest_of_its_group_used(
    code: CompiledCode, confidence: float
) -> None:
    groups = reds(code, c=0.9, mx=T + 9 * SECOND)
    groups[2]["c"] = confidence
    out = running(code).step(T, [signal(code, 0, T, groups)])
    assert [reject.field for reject in rejects(out)] == ["g[2].c"]
    published = out.signals[0].groups
    assert [group.confidence for group in published] == [None if k == 2 else 0.9 for k in range(len(groups))]
    assert published[2].max_end == T + 9 * SECOND


def test_a_lane_in_use_that_the_code_does_not_have_is_a_fault_and_no_lane_is_taken_for_closed(
    code: CompiledCode,
) -> None:
    engine = running(code)
    known, unknown = code.lane_ids[0], "LANE-7"
    out = engine.step(T, [signal(code, 0, T, reds(code), ln=[known])])
    assert (out.faults, out.signals[0].lanes) == ([], (known,))
    out = engine.step(T + 100 * MS, [signal(code, 1, T + 100 * MS, reds(code), ln=[known, unknown])])
    ((fault,), lanes) = out.faults, out.signals[0].lanes
    assert (fault.check, fault.field, fault.value) == ("alignment", "ln[]", unknown)
    assert lanes is None
    assert engine.intersections[code.code.id].signals.lanes is None
    assert engine.intersections[code.code.id].quality.doubted(T + 200 * MS) == {}


@settings(max_examples=200)
@given(ahead=st.integers(-(2**62), 2**62), end=st.integers(-(2**63), 2**64 - 1))
def test_no_clock_of_a_gateway_and_no_end_make_the_node_fail(code: CompiledCode, ahead: int, end: int) -> None:
    engine = running(code)  # in debug: a fault of its own would be raised
    t = T + ahead
    exchange = RawMessage("sync", "g", encode(Sync(1, "g", t - MS, T, T, t + MS)))
    out = engine.step(T, [exchange, signal(code, 0, t, reds(code, mn=end, mx=end, lk=end))])
    if abs(ahead) > MAX_OFFSET + SECOND:
        assert [reject.kind for reject in rejects(out)] == ["sync", "signal"]
        assert not out.signals
    elif abs(ahead) < MAX_OFFSET - SECOND:
        assert len(out.signals) == 1


@pytest.mark.parametrize("begin", [0, 315_964_800 * SECOND, T + 40 * 365 * 86_400 * SECOND])
def test_the_ends_of_a_gateway_whose_clock_began_in_1970_are_used_by_the_nodes_clock(
    code: CompiledCode, begin: int
) -> None:
    engine = running(code)
    exchange = RawMessage("sync", "g", encode(Sync(1, "g", begin - MS, T, T, begin + MS)))
    end = begin + 9 * SECOND
    out = engine.step(T, [exchange, signal(code, 0, begin, reds(code, mn=end, mx=end, lk=end))])
    assert rejects(out) == []
    assert {group.max_end for group in out.signals[0].groups} == {T + 9 * SECOND}
