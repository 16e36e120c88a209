"""A declared movement that cannot be made from the lane a vehicle is on is not believed near the stop line."""

import numpy as np
import pytest
from stage import GREEN, RED, Stage

from cloudctl.codes import CompiledCode
from cloudctl.schema import AdvisoryKind


def cases(code: CompiledCode) -> list[tuple[int, int]]:
    """Return (lane, movement) of lanes and movements of the same road that the lane does not lead to."""
    lanes = [lane for lane in range(code.n_lanes) if code.lane_role[lane] == 0 and code.lane_use[lane] == 0]
    movements = [int(k) for k in np.flatnonzero(code.conn_inner & (code.conn_group >= 0))]
    links = code.lane_link
    return [
        (lane, movement)
        for lane in lanes
        if np.any(code.conn_inner & (code.conn_from == lane))
        for movement in movements
        if code.conn_from[movement] != lane and links[code.conn_from[movement]] == links[lane]
        if not np.any((code.conn_from == lane) & (links[code.conn_to] == links[code.conn_to[movement]]))
    ]


def stage_of(code: CompiledCode, lane: int, movement: int, before: float, speed: float) -> Stage:
    """Return a stage where the declared movement has green and all others red."""
    stage = Stage(code)
    stage.left = 40.0
    stage.shown = {int(code.conn_group[movement]): GREEN}
    stage.put(lane, before, speed, connection=movement)
    return stage


@pytest.mark.parametrize("speed", [6.0, 10.0, 14.0, 20.0])
def test_nobody_is_advised_through_a_red_by_the_green_of_a_lane_that_it_is_not_on(
    code: CompiledCode, speed: float
) -> None:
    assert cases(code)
    last_moment = speed + speed**2 / 6.0  # m; REACTION_TIME and FIRM_BRAKING
    for lane, movement in cases(code):
        if code.conn_group[movement] in code.conn_group[code.conn_from == lane]:
            continue  # its own lane has that green, too
        stage = stage_of(code, lane, movement, last_moment + 0.5 * speed, speed)
        assert set(stage.said(AdvisoryKind.SIGNAL_STOP)) == {"vehicle:v1"}, (lane, movement)
        groups = {advice.facts["group"] for advice in stage.said(AdvisoryKind.GLOSA).values()}
        assert int(code.group_ids[code.conn_group[movement]]) not in groups


def test_a_driver_who_may_yet_change_lane_is_advised_for_the_movement_declared(code: CompiledCode) -> None:
    lane, movement = cases(code)[0]
    stage = stage_of(code, lane, movement, 150.0, 13.0)
    (advice,) = stage.said(AdvisoryKind.GLOSA).values()
    assert advice.facts["group"] == code.group_ids[code.conn_group[movement]]


def test_a_movement_that_the_lane_leads_to_is_believed_to_the_line(code: CompiledCode) -> None:
    for lane in range(code.n_lanes):
        for movement in np.flatnonzero(code.conn_inner & (code.conn_from == lane) & (code.conn_group >= 0)).tolist():
            stage = Stage(code)
            stage.shown = {int(code.conn_group[movement]): GREEN}
            stage.state = RED
            stage.put(lane, 12.0, 8.0, connection=movement)
            assert stage.world().connection[0] == movement
