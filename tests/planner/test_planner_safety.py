"""Collision, forward collision, hard braking, blind spots, stopped vehicles, keeping the box clear: what each says, and
when it is silent.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import GREEN, RED, Stage, words

from cloudctl import planner
from cloudctl.codes.model import TURNS
from cloudctl.forecast.prediction import acceleration_time, arrival
from cloudctl.planner.kinds.blind_spot import hides
from cloudctl.planner.kinds.forward import MIN_BRAKING, needed
from cloudctl.schema import AdvisoryKind, ObjectClass


def test_who_comes_upon_a_slow_one_is_warned_and_who_has_room_is_not(stage: Stage) -> None:
    lane = stage.ingress[0]
    stage.put(lane, 60.0, 14.0)
    stage.put(lane, 45.0, 4.0, None)
    said = stage.said(AdvisoryKind.FORWARD_COLLISION)
    assert said["vehicle:v1"].behaviour == "slow_down"
    assert "10 m/s slower" in words(said["vehicle:v1"])
    stage.clear()
    stage.put(lane, 100.0, 14.0)
    stage.put(lane, 45.0, 4.0, None)
    assert not stage.said(AdvisoryKind.FORWARD_COLLISION)


def test_hard_braking_hidden_behind_another_is_told(stage: Stage) -> None:
    lane = stage.ingress[0]
    stage.put(lane, 70.0, 12.0)
    stage.put(lane, 57.0, 12.0, None)
    stage.put(lane, 40.0, 10.0, None)
    snapshot = stage.world()
    braking = dataclasses.replace(snapshot, accel=np.array([0.0, 0.0, -7.0]))
    said = [c for c in planner.plan(braking) if c.kind is AdvisoryKind.FORWARD_COLLISION]
    assert [c.target for c in said] == ["vehicle:v1"]
    assert "brakes hard" in words(said[0])
    assert said[0].behaviour is None
    assert not [c for c in planner.plan(snapshot) if c.kind is AdvisoryKind.FORWARD_COLLISION]


@given(speed=st.floats(4, 30), gap=st.floats(1, 100), leader=st.floats(0, 30), braking=st.floats(0, 9))
def test_a_leader_that_brakes_never_asks_for_less(speed: float, gap: float, leader: float, braking: float) -> None:
    assert needed(speed, gap, 0.0, 0.0) == pytest.approx(speed * speed / (2.0 * gap))
    if braking > MIN_BRAKING + 1e-4:
        assert needed(speed, gap, leader, braking) >= needed(speed, gap, leader, MIN_BRAKING + 1e-4) - 1e-9


def test_everybody_yields_to_who_stands_across_the_way(stage: Stage) -> None:
    """Someone with no right of way stands in the middle of the intersection; cyclists there are another planner's."""
    code, stage.state = stage.code, GREEN
    crossing = [
        c
        for c in range(len(code.conf_other))
        if code.conf_type[c] == 0 and not code.conf_yield[c] and code.conf_s[c] > 8.0
    ]
    own = int(np.searchsorted(code.conf_start, crossing[0], side="right")) - 1
    other = code.n_lanes + int(code.conf_other[crossing[0]])
    stage.on(other, float(code.conf_s_other[crossing[0]]), 0.0)
    stage.on(code.n_lanes + own, float(code.conf_s[crossing[0]]) - 14.0, 9.0, "car", own)
    said = stage.said(AdvisoryKind.COLLISION)
    assert said["vehicle:v2"].behaviour == "slow_down"
    assert "give way" in words(said["vehicle:v2"])
    stage.rows[0] |= {"class": ObjectClass.BICYCLE}
    assert not stage.said(AdvisoryKind.COLLISION)


def crossing(
    stage: Stage, yields_at: float, speed: float, other_speed: float, away: float
) -> dict[str, planner.Candidate]:
    """Put v1 on a movement that must yield, `yields_at` m before a conflict point, and v2, with priority, `away` m
    before it.
    """
    code, stage.state = stage.code, GREEN
    stage.clear()
    yielding = np.flatnonzero((code.conf_type == 0) & (code.conf_gives != 0))
    c = int(yielding[np.argmax(np.minimum(code.conf_s, code.conf_s_other)[yielding])])
    own, other = int(np.searchsorted(code.conf_start, c, side="right")) - 1, int(code.conf_other[c])
    stage.on(code.n_lanes + own, float(code.conf_s[c]) - yields_at - 2.4, speed, "car", own)
    stage.on(code.n_lanes + other, float(code.conf_s_other[c]) - away - 2.4, other_speed, "car", other)
    return stage.said(AdvisoryKind.COLLISION)


def test_who_must_yield_is_told_first_and_who_has_priority_when_it_is_late(stage: Stage) -> None:
    early = crossing(stage, 9.0, 3.5, 3.5, 9.0)
    assert set(early) == {"vehicle:v1"}, "3.5 m/s and 9 m to go: he may yet yield at ease"
    assert early["vehicle:v1"].behaviour == "slow_down"
    late = crossing(stage, 6.0, 8.0, 8.0, 6.0)
    assert set(late) == {"vehicle:v1", "vehicle:v2"}, "he no longer stops in time"
    assert late["vehicle:v2"].behaviour is None


def test_at_a_signal_who_turns_left_gives_way_to_who_drives_straight_on(stage: Stage) -> None:
    """The conflict matrix says who yields where no signal decides; of two phases, who stops inside waits for who comes
    straight on.
    """
    code, turn = stage.code, [TURNS[k] for k in stage.code.conn_turn]
    own = np.repeat(np.arange(code.n_conns), np.diff(code.conf_start))
    said = [
        (int(a), int(b), k)
        for k, (a, b) in enumerate(zip(own, code.conf_other, strict=True))
        if (turn[a], turn[b]) == ("left", "straight")
    ]
    matrix = [bool(code.conf_yield[k]) for *_, k in said]
    assert False in matrix, "the network of this code lets some straight on give way to a left turn"
    for left, straight, k in said:
        stage.clear()
        stage.state = GREEN
        for path, at in ((left, code.conf_s[k]), (straight, code.conf_s_other[k])):
            stage.on(code.n_lanes + path, float(at) - 11.4, 6.0, "car", path)
        told = stage.said(AdvisoryKind.COLLISION)
        assert told["vehicle:v1"].behaviour == "slow_down"
        assert "vehicle:v2" not in told or told["vehicle:v2"].behaviour is None


def test_who_waits_for_the_other_to_pass_is_told_nothing(stage: Stage) -> None:
    assert not crossing(stage, 5.0, 0.0, 5.0, 8.0)
    assert not crossing(stage, 9.0, 3.5, 0.0, 4.0), "nor who passes before one that waits"


def test_a_gain_of_speed_is_believed_until_the_ways_own() -> None:
    """Who sets off at a green comes to the conflict point much sooner than at the speed it has yet."""
    assert arrival(20.0, 2.0, 2.0, 14.0) == pytest.approx(3.0 + 5.0 / 8.0)
    assert arrival(20.0, 2.0, 2.0) == pytest.approx(1.0 + 17.0 / 4.0), "where nobody knows when it ends, for a second"
    assert arrival(20.0, 4.0, -2.0, 14.0) == arrival(20.0, 4.0, -2.0)
    assert acceleration_time(2.0, 2.0, 5.0) == pytest.approx(1.5)


def test_somebody_behind_a_bus_is_told_of_and_somebody_in_plain_sight_is_not(stage: Stage) -> None:
    """A bus waits beside the lane; a child runs out before it."""
    code, lane = stage.code, stage.ingress[0]
    stage.put(lane, 40.0, 10.0)
    me = stage.rows[0]
    along = np.array([me["vx"], me["vy"]]) / 10.0
    right = np.array([along[1], -along[0]])
    here = np.array([me["x"], me["y"]])
    child = here + 22.0 * along + 4.5 * right
    bus = here + 13.0 * along + 3.2 * right
    stage.at(*child, *(-2.0 * right), **{"class": ObjectClass.PEDESTRIAN, "length": 0.5, "width": 0.5, "height": 1.2})
    assert not stage.said(AdvisoryKind.BLIND_SPOT), "in plain sight"
    stage.at(
        *bus,
        0.0,
        0.0,
        **{
            "class": ObjectClass.BUS,
            "length": 12.0,
            "width": 2.5,
            "height": 3.0,
            "heading": float(np.arctan2(along[1], along[0])),
        },
    )
    said = stage.said(AdvisoryKind.BLIND_SPOT)
    assert "pedestrian you cannot see" in words(said["vehicle:v1"])
    assert said["vehicle:v1"].severity == 1
    stage.rows[2]["height"] = 0.8
    assert not stage.said(AdvisoryKind.BLIND_SPOT), "one sees over it"
    assert code.n_conns


@given(angle=st.floats(0, 6.28), off=st.floats(-6, 6))
def test_a_box_hides_what_lies_behind_it_however_it_is_turned(angle: float, off: float) -> None:
    track = np.zeros(1, [(n, "f8") for n in ("x", "y", "vx", "vy", "heading", "length", "width")])
    track["heading"], track["length"], track["width"] = angle, 4.0, 4.0
    c, s = np.cos(angle), np.sin(angle)
    points = [
        c * -10 - s * off,
        s * -10 + c * off,
        c * 10 - s * off,
        s * 10 + c * off,
    ]  # past the box at `off` from its middle
    if abs(abs(off) - 2.0) > 1e-3:
        assert hides(*points, track[0]) == (abs(off) < 2.0)


def test_a_stopped_vehicle_is_told_to_who_comes_with_a_lane_to_change_to(stage: Stage) -> None:
    lanes = [k for k in stage.ingress if stage.code.lane_link[k] == stage.code.lane_link[stage.ingress[0]]]
    straight = next(int(k) for k in np.flatnonzero(stage.code.conn_from == lanes[1]) if stage.code.conn_turn[k] == 0)
    stage.put(lanes[1], 100.0, 12.0, "car", straight)
    stage.put(lanes[1], 40.0, 0.0, None)
    assert not stage.said(AdvisoryKind.STOPPED_VEHICLE)
    stage.stopped = (2,)
    said = stage.said(AdvisoryKind.STOPPED_VEHICLE)["vehicle:v1"]
    assert "55 m ahead" in words(said)
    assert said.behaviour == "change_right"
    stage.put(lanes[2], 40.0, 0.0, None)
    assert stage.said(AdvisoryKind.STOPPED_VEHICLE)["vehicle:v1"].behaviour == "slow_down", (
        "somebody stands on that lane too"
    )


def test_who_finds_no_room_beyond_the_intersection_is_told_to_wait(stage: Stage) -> None:
    code, stage.state, stage.left = stage.code, GREEN, 30.0
    lane = stage.ingress[0]
    k = int(np.flatnonzero(code.conn_inner & (code.conn_from == lane))[0])
    exit_lane = int(code.conn_to[k])
    stage.put(lane, 20.0, 6.0, "car", k)
    stage.on(exit_lane, 30.0, 0.0)
    assert not stage.said(AdvisoryKind.KEEP_CLEAR), "there is room for one"
    stage.on(exit_lane, 8.0, 0.0)
    said = stage.said(AdvisoryKind.KEEP_CLEAR)["vehicle:v1"]
    assert said.behaviour == "stop"
    snapshot = stage.world()
    advisories = planner.AdvisoryFilter(0).choose(
        snapshot, [c for c in planner.plan(snapshot) if c.kind is AdvisoryKind.GLOSA]
    )
    assert [a.behaviour for a in advisories] == ["keep"]
    both = planner.filter.without_contradictions(planner.plan(snapshot))
    assert not [c for c in both if c.kind is AdvisoryKind.GLOSA], "never: drive on, and wait"
    stage.rows[0]["vx"], stage.rows[0]["vy"] = 2.5 * stage.rows[0]["vx"], 2.5 * stage.rows[0]["vy"]
    assert not stage.said(AdvisoryKind.KEEP_CLEAR), "too late to stop at ease"


def test_who_comes_at_the_same_time_is_told_of_a_violator_and_who_comes_later_is_not(stage: Stage) -> None:
    """A red is run across a movement with green on which two come, one well behind the other."""
    code, stage.state = stage.code, GREEN
    crossing = np.flatnonzero((code.conf_type == 0) & (code.conf_s > 8.0) & (code.conf_s_other > 8.0))
    owns = np.searchsorted(code.conf_start, crossing, side="right") - 1
    c, own = next(
        (c, own)
        for c, own in zip(crossing.tolist(), owns.tolist(), strict=True)
        if code.conn_group[own] != code.conn_group[code.conf_other[c]]
    )
    other = int(code.conf_other[c])
    stage.shown = {int(code.conn_group[other]): RED}
    stage.put(int(code.conn_from[other]), 6.0, 14.0, "car", other)
    reaches = (6.0 + float(code.conf_s_other[c])) / 14.0
    for behind in (0.0, 60.0):
        stage.put(int(code.conn_from[own]), max(10.0 * reaches - float(code.conf_s[c]), 0.1) + behind, 10.0, "car", own)
    told = stage.said(AdvisoryKind.RED_LIGHT_CROSSING)
    assert set(told) == {"vehicle:v2"}
    assert "is not stopping" in words(told["vehicle:v2"])
