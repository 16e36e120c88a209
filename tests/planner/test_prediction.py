"""Where everybody will be, and who drives behind whom."""

from math import erf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import GREEN, Stage

from cloudctl.codes.compiled.lane_links import lane_links
from cloudctl.codes.model import TURNS
from cloudctl.forecast.following import follow
from cloudctl.forecast.prediction import (
    BELIEVED_TIME,
    STEP,
    STEPS,
    arrival,
    chance_of,
    distance_covered,
    position_at,
    position_variance,
    predict,
)
from cloudctl.schema import AdvisoryKind, ObjectClass


def forked(stage: Stage) -> tuple[int, int, int]:
    """Return an ingress lane with a straight movement and a turn, and both."""
    code = stage.code
    for lane in stage.ingress:
        found = np.flatnonzero(code.conn_inner & (code.conn_from == lane))
        turns = code.conn_turn[found]
        if len(found) == 2 and 0 in turns:
            return lane, int(found[turns == 0][0]), int(found[turns != 0][0])
    raise AssertionError("the shipped intersection has a shared lane")


def test_who_declared_a_movement_takes_it(stage: Stage) -> None:
    lane, _, turn = forked(stage)
    stage.put(lane, 40.0, 10.0, "car", turn)
    found = predict(stage.world())
    assert found.movement[0].tolist() == [turn, -1, -1]
    assert chance_of(found, 0, turn) == 1.0


def test_who_declared_nothing_is_given_all_movements_of_its_lane_by_their_shares(stage: Stage) -> None:
    lane, straight, turn = forked(stage)
    stage.put(lane, 40.0, 5.0, None)
    stage.share = np.ones(stage.code.n_conns)
    stage.share[straight] = 4.0
    found = predict(stage.world())
    assert found.movement[0, 0] == straight
    assert chance_of(found, 0, straight) == pytest.approx(0.8)
    assert chance_of(found, 0, turn) == pytest.approx(0.2)


def test_who_comes_too_fast_to_turn_is_taken_to_go_straight(stage: Stage) -> None:
    lane, straight, turn = forked(stage)
    stage.put(lane, 8.0, 15.0, None)
    found = predict(stage.world())
    assert chance_of(found, 0, straight) > 0.95 > 0.05 > chance_of(found, 0, turn)


def test_a_side_street_lets_the_road_it_turns_into_go_first() -> None:
    """Lane 0 goes straight on in 3, which leads to the stop line; 1 turns into it, 2 leads to 1; 4 bends into 5 alone,
    which leads to the stop line too.
    """
    joints = [(0, 3, "straight"), (1, 3, "right"), (2, 1, "straight"), (4, 5, "left")]
    movements = [(3, 6, "straight"), (5, 6, "left")]
    links = lane_links(
        n_lanes=7,
        conn_from=np.array([c[0] for c in joints + movements]),
        conn_to=np.array([c[1] for c in joints + movements]),
        conn_turn=np.array([TURNS.index(c[2]) for c in joints + movements]),
        conn_inner=np.array([False] * len(joints) + [True] * len(movements)),
    )
    assert np.flatnonzero(links.minor).tolist() == [1, 2]


def test_a_predicted_path_follows_its_movement_to_the_exit_lane(stage: Stage) -> None:
    code, (lane, _, turn) = stage.code, forked(stage)
    stage.put(lane, 5.0, 9.0, "car", turn)
    found = predict(stage.world())
    for step in range(STEPS):
        s = code.path_length[lane] - 5.0 - 2.4 + 9.0 * (step + 1) * STEP
        path = lane
        for following in (code.n_lanes + turn, int(code.conn_to[turn])):
            if s > code.path_length[path]:
                s, path = s - code.path_length[path], following
        a, b = code.path_start[path], code.path_start[path + 1]
        on = [np.interp(s, code.path_s[a:b], code.path_xy[a:b, k]) for k in (0, 1)]
        assert np.hypot(*(found.xy[0, step] - on)) < 0.6
    assert (np.diff(found.var[0, :, 0]) > 0).all()


def test_who_is_on_no_lane_goes_straight_on(stage: Stage) -> None:
    stage.at(5000.0, 5000.0, 1.0, -2.0, **{"class": ObjectClass.PEDESTRIAN})
    found = predict(stage.world())
    assert position_at(found, 0, 2.0).tolist() == pytest.approx([5002.0, 4996.0])
    assert position_at(found, 0, 99.0).tolist() == pytest.approx([5004.0, 4992.0]), "no further than the last step"


@given(speed=st.floats(0.1, 25), accel=st.floats(-6, 3), distance=st.floats(0.1, 150))
def test_arrival_is_when_the_distance_is_covered(speed: float, accel: float, distance: float) -> None:
    t = arrival(distance, speed, accel)
    assert t > 0.0
    if speed + accel * BELIEVED_TIME > 1.5:
        assert distance_covered(speed, accel, t) == pytest.approx(distance, abs=0.02)


@given(speed=st.floats(0, 25), accel=st.floats(-6, 3), t=st.floats(0.1, 4))
def test_nobody_is_predicted_to_back_up(speed: float, accel: float, t: float) -> None:
    steps = [distance_covered(speed, accel, k * t / 20) for k in range(21)]
    assert np.all(np.diff(steps) >= -1e-9)
    dt, v, x = 1e-3, speed, 0.0  # the plain twin: small steps
    for k in range(int(t / dt)):
        a = accel if k * dt < BELIEVED_TIME else 0.0
        following = max(v + a * dt, 0.0)
        x, v = x + 0.5 * (v + following) * dt, following
        if v == 0.0 and a < 0.0:
            break
    if not (accel < 0.0 and 0.0 < speed + accel * min(t, BELIEVED_TIME) < 0.05):
        assert distance_covered(speed, accel, t) == pytest.approx(x, abs=0.05)


def test_the_chance_of_meeting_falls_as_windows_move_apart() -> None:
    sigma = position_variance(0.04, 0.04, 0.8, 2.0) ** 0.5 / 10.0
    chances = [0.5 + 0.5 * erf((2.0 - pet) / (2**0.5 * sigma)) for pet in (0.0, 1.9, 2.1, 3.0)]
    assert chances == sorted(chances, reverse=True)


def test_the_one_ahead_is_found_across_the_stop_line(stage: Stage) -> None:
    code, (lane, straight, _) = stage.code, forked(stage)
    stage.put(lane, 20.0, 10.0, "car", straight)
    stage.on(code.n_lanes + straight, 6.0, 8.0)
    stage.put(lane, 60.0, 10.0, "car", straight)
    found = follow(stage.world(), predict(stage.world()))
    assert found.leader.tolist() == [1, -1, 0]
    assert found.gap[0] == pytest.approx(20.0 + 6.0 - 2.4, abs=1.5)
    assert found.gap[2] == pytest.approx(40.0 - 4.8, abs=0.1)


def test_a_turning_vehicle_nobody_heard_of_is_weighed_by_its_chance(stage: Stage) -> None:
    """An oncoming left turn: warned of when it was declared, and with less confidence when it is only likely."""
    code, stage.state, stage.left = stage.code, GREEN, 30.0
    for k in range(code.n_conns):
        for c in range(code.conf_start[k], code.conf_start[k + 1]):
            other = int(code.conf_other[c])
            lane, facing = int(code.conn_from[k]), int(code.conn_from[other])
            if (
                code.conf_type[c]
                or not code.conf_yield[c]
                or {lane, facing} - set(stage.ingress)
                or code.lane_link[lane] == code.lane_link[facing]
            ):
                continue
            stage.clear()
            far, near = (
                5.0 - code.conf_s_other[c] + code.conf_s[c],
                5.0,
            )  # so near that yielding takes more than anybody brakes at ease: both are told
            if far < 1.0 or code.conn_turn[k] != 1:
                continue
            stage.put(lane, near, 14.0, "car", k)
            stage.put(facing, far, 14.0, "car", other)
            said = stage.said(AdvisoryKind.COLLISION)
            if said:
                assert said["vehicle:v1"].behaviour == "slow_down"
                assert said["vehicle:v2"].behaviour is None
                assert 0.5 <= said["vehicle:v1"].confidence <= 1.0
                return
    raise AssertionError("no left turn across a path was warned of")
