"""Passing order where no signal decides: who goes first, and that nobody is sent into another."""

import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import Stage, words

from cloudctl.codes import CompiledCode
from cloudctl.planner.kinds.passing_order import GAP, assign_order, conflict_between
from cloudctl.schema import AdvisoryKind, SignalState

DARK = int(SignalState.DARK)


def crossing(code: CompiledCode) -> tuple[int, int, int]:
    """Return two movements that cross, from different roads, the first of which must yield, and where in the conflict
    table.
    """
    for k in range(code.n_conns):
        for c in range(code.conf_start[k], code.conf_start[k + 1]):
            other = int(code.conf_other[c])
            roads = code.lane_link[code.conn_from[k]], code.lane_link[code.conn_from[other]]
            vehicles = not code.lane_use[code.conn_from[k]] and not code.lane_use[code.conn_from[other]]
            back = conflict_between(other, k, code.conf_start, code.conf_other, code.conf_type)
            yields = code.conf_yield[c] and not code.conf_yield[back]
            if vehicles and code.conf_type[c] == 0 and yields and roads[0] != roads[1]:
                return k, other, c
    raise AssertionError("some movement yields to another")


def meet(stage: Stage) -> None:
    """Put two vehicles so that they come to the point where their paths cross at the same time; the first must
    yield.
    """
    code = stage.code
    k, other, c = crossing(code)
    stage.put(int(code.conn_from[k]), 30.0, 10.0, "car", k)
    stage.put(int(code.conn_from[other]), 30.0 + float(code.conf_s[c] - code.conf_s_other[c]), 10.0, "car", other)


def test_who_must_yield_goes_second(stage: Stage) -> None:
    stage.state = DARK
    meet(stage)
    said = stage.said(AdvisoryKind.PASSING_ORDER)
    assert set(said) == {"vehicle:v1"}
    assert "number 2" in words(said["vehicle:v1"])
    assert said["vehicle:v1"].behaviour in ("slow_down", "give_way")


def test_nobody_is_ordered_about_where_a_signal_decides(stage: Stage) -> None:
    meet(stage)
    assert not stage.said(AdvisoryKind.PASSING_ORDER)


def test_an_intersection_without_signals_is_not_degraded(code: CompiledCode) -> None:
    plain = msgspec.structs.replace(code.code, signal_groups=())
    stage = Stage(
        dataclasses.replace(
            code, code=plain, group_ids=code.group_ids[:0], conn_group=np.full_like(code.conn_group, -1)
        )
    )
    meet(stage)
    assert not stage.said(AdvisoryKind.DEGRADED)
    assert set(stage.said(AdvisoryKind.PASSING_ORDER)) == {"vehicle:v1"}


@settings(max_examples=60)
@given(data=st.data())
def test_windows_at_a_conflict_point_never_meet(code: CompiledCode, data: st.DataObject) -> None:
    inner = [k for k in range(code.n_conns) if code.conn_inner[k] and not code.lane_use[code.conn_from[k]]]
    n = data.draw(st.integers(2, 10))
    movement = np.array([[data.draw(st.sampled_from(inner)), -1, -1] for _ in range(n)])
    to_stop = np.array([data.draw(st.floats(1.0, 90.0)) for _ in range(n)])
    speed = np.array([data.draw(st.floats(0.0, 15.0)) for _ in range(n)])
    length, rows = np.full(n, 4.8), np.arange(n)
    time, place, after = np.zeros(n), np.zeros(n, np.int64), np.full(n, -1, np.int64)
    assign_order(
        rows, movement, to_stop, speed, length, np.full(n, 13.9), code.conf_start, code.conf_other, code.conf_s, code.conf_s_other,  # noqa: E501
        code.conf_type, code.conf_yield, time, place, after,
    )  # fmt: skip
    assert sorted(place.tolist()) == list(range(n))
    pace = np.maximum(speed, 3.0)
    for a in range(n):
        for b in range(n):
            c = conflict_between(
                int(movement[a, 0]), int(movement[b, 0]), code.conf_start, code.conf_other, code.conf_type
            )
            if c >= 0 and place[a] > place[b]:
                enters = time[a] + code.conf_s[c] / pace[a]
                left = time[b] + (code.conf_s_other[c] + length[b]) / pace[b]
                assert enters >= left + GAP - 1e-6
    assert after[place == 0] == pytest.approx(-1)
