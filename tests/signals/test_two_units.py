"""Two roadside units of one intersection: their clocks may differ, and each may send groups of its own."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine, Output
from cloudctl.schema import RawMessage, SignalState, Sync
from cloudctl.settings import EngineConfig

T = 1_767_225_600 * SECOND
RED, GREEN = int(SignalState.RED), int(SignalState.GREEN_PROTECTED)
encode = msgspec.msgpack.encode


def engine_of(code: CompiledCode) -> Engine:
    return Engine([code.code], EngineConfig({"north": {"n": code.code.id}, "south": {"s": code.code.id}}), debug=True)


def signal(code: CompiledCode, gateway: str, seq: int, t: int, groups: list[dict[str, Any]]) -> RawMessage:
    body = {"v": 1, "r": gateway[0], "i": code.code.id, "rev": code.code.revision, "q": seq, "t": t, "g": groups}
    return RawMessage("signal", gateway, encode(body))


def synchronised(gateway: str, ahead: int) -> RawMessage:
    """Return an exchange at T by which the gateway's clock is `ahead` ns of the node's."""
    t = T + ahead
    return RawMessage("sync", gateway, encode(Sync(1, gateway, t - MS, T, T, t + MS)))


@settings(max_examples=20)
@given(ahead=st.integers(-3600 * SECOND, 3600 * SECOND), lag=st.integers(0, 60 * MS), left=st.floats(20.0, 50.0))
def test_units_with_clocks_apart_say_the_same_and_nothing_is_doubted(
    code: CompiledCode, ahead: int, lag: int, left: float
) -> None:
    engine = engine_of(code)
    engine.step(T, [synchronised("south", ahead)])
    end = T + int(left * SECOND)
    faults = []
    for k in range(80):
        t = T + k * 100 * MS
        gateway, of_clock = ("north", 0) if k % 2 else ("south", ahead)
        at = end + of_clock
        groups = [{"g": int(g), "s": RED, "mn": at, "mx": at, "lk": at} for g in code.group_ids]
        faults += engine.step(t, [signal(code, gateway, k, t + of_clock - lag, groups)]).faults
    assert faults == []
    state = engine.intersections[code.code.id]
    assert state.quality.doubted(t) == {}
    assert abs(int(state.signals.max_end[0]) - end) <= 2 * MS


@pytest.mark.parametrize("lag", [0, 1, 40])
def test_each_of_two_units_sends_its_own_groups_and_all_are_known(code: CompiledCode, lag: int) -> None:
    engine = engine_of(code)
    half = len(code.group_ids) // 2
    ours, theirs = code.group_ids[:half], code.group_ids[half:]
    out = Output()
    for k in range(20):
        t = T + k * 100 * MS
        out = engine.step(
            t + 5 * MS,
            [
                signal(code, "north", k, t, [{"g": int(g), "s": GREEN if k > 10 else RED} for g in ours]),
                signal(code, "south", k, t - lag * MS, [{"g": int(g), "s": RED} for g in theirs]),
            ],
        )
    signals = engine.intersections[code.code.id].signals
    assert signals.seen is not None
    assert (t - signals.seen <= 40 * MS).all(), "no group is older than its unit's newest message"
    assert signals.t == t
    assert len(out.signals) == 2
    assert engine.metrics.total("signal.late") == 0


def test_a_unit_that_repeats_what_another_sent_later_changes_nothing(code: CompiledCode) -> None:
    engine = engine_of(code)
    green = [{"g": int(g), "s": GREEN if g == code.group_ids[0] else RED} for g in code.group_ids]
    red = [{"g": int(g), "s": RED} for g in code.group_ids]
    engine.step(T, [signal(code, "north", 0, T, green)])
    out = engine.step(T + 5 * MS, [signal(code, "south", 0, T - 50 * MS, red)])
    assert out.signals == []
    assert engine.metrics.total("signal.late") == 1
    assert engine.intersections[code.code.id].signals.state[0] == GREEN


def test_a_repeated_message_after_an_overlap_renews_every_group_that_it_names(code: CompiledCode) -> None:
    engine = engine_of(code)
    half = len(code.group_ids) // 2
    all_red = [{"g": int(g), "s": RED} for g in code.group_ids]
    ours = [{"g": int(g), "s": GREEN if k == 0 else RED} for k, g in enumerate(code.group_ids[:half])]
    engine.step(T, [signal(code, "north", 0, T, ours)])
    engine.step(T + MS, [signal(code, "south", 0, T - 20 * MS, all_red)])
    signals = engine.intersections[code.code.id].signals
    assert signals.state[0] == GREEN
    assert signals.state[half] == RED
    engine.step(T + 100 * MS, [signal(code, "south", 1, T + 100 * MS, all_red)])
    signals = engine.intersections[code.code.id].signals
    assert (signals.state == RED).all()
    assert (signals.seen == T + 100 * MS).all()
