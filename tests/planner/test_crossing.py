"""Crossing traffic of a vehicle that runs a red: who is warned of it, by hand and against a plain twin over random
worlds.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_twin_conflicts import concerned
from stage import GREEN, RED, Stage

from cloudctl.codes import CompiledCode
from cloudctl.forecast import following, prediction
from cloudctl.forecast.stop_line import forecast_stop_lines
from cloudctl.planner import Candidate
from cloudctl.planner.kinds import crossing, red_light
from cloudctl.schema import AdvisoryKind
from cloudctl.world import World


def busy(code: CompiledCode, seed: int) -> tuple[World, list[int]]:
    """Return an intersection on which connected vehicles come from everywhere at once, and which of them run their
    red.
    """
    rng = np.random.default_rng(seed)
    stage = Stage(code)
    stage.state = GREEN
    stage.shown = {int(group): RED for group in rng.integers(0, len(code.group_ids), 3)}
    stage.share = rng.integers(1, 20, code.n_conns).astype(float)
    for _ in range(int(rng.integers(6, 16))):
        lane = int(rng.choice(stage.ingress))
        if rng.random() < 0.8:
            stage.put(
                lane, float(rng.uniform(0.5, 45.0)), float(rng.uniform(0.0, 16.0)), var_x=float(rng.uniform(0.01, 2.0))
            )
        else:
            stage.on(
                code.n_lanes + int(rng.choice(np.flatnonzero(code.conn_inner))),
                float(rng.uniform(2.5, 12.0)),
                float(rng.uniform(1.0, 12.0)),
            )
    world = stage.world()
    violators = sorted(rng.choice(len(world.tracks), size=int(rng.integers(1, 4)), replace=False).tolist())
    return dataclasses.replace(world, accel=rng.uniform(-2.0, 2.5, len(world.tracks))), violators


def of_the_twin(world: World, violators: list[int], behind: following.Following) -> dict[str, float]:
    held = {row: (float(behind.gap[row]), int(behind.leader[row])) for row in range(len(world.tracks))}
    return {
        f"vehicle:{world.vehicles[int(world.report[row])].id}": chance
        for row, chance in concerned(world, violators, held).items()
    }


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_those_warned_of_violators_are_those_of_the_twin(code: CompiledCode, seed: int) -> None:
    world, violators = busy(code, seed)
    ahead = prediction.predict(world)
    behind = following.follow(world, ahead)
    got = {c.target: c.confidence for c in crossing.plan(world, violators, ahead, behind)}
    assert got == pytest.approx(of_the_twin(world, violators, behind))


def test_the_random_worlds_have_vehicles_to_warn_and_others(code: CompiledCode) -> None:
    warned_of = []
    for seed in range(30):
        world, violators = busy(code, seed)
        warned_of.append(len(of_the_twin(world, violators, following.follow(world, prediction.predict(world)))))
    assert sum(n > 0 for n in warned_of) > 3, warned_of
    assert max(warned_of) < 15


def paths_that_cross(code: CompiledCode) -> tuple[int, int, float, float]:
    """Return (violator's movement, other's, m from each stop line to where they cross): both go straight on."""
    for own in range(code.n_conns):
        for c in range(code.conf_start[own], code.conf_start[own + 1]):
            other = int(code.conf_other[c])
            straight = code.conn_turn[own] == code.conn_turn[other] == crossing.STRAIGHT
            if (
                straight
                and code.conn_group[own] >= 0
                and code.conn_group[other] >= 0
                and code.conn_group[own] != code.conn_group[other]
                and code.conf_type[c] == 0
            ):
                return own, other, float(code.conf_s[c]), float(code.conf_s_other[c])
    raise AssertionError("no two straight movements cross")


def warned(
    stage: Stage, violator: tuple[float, float], other: tuple[float, float], accel: tuple[float, float] = (0.0, 0.0)
) -> dict[str, Candidate]:
    """Return the warnings when a violator and another are (m before the line, m/s) on paths that cross; the other has
    green.
    """
    code = stage.code
    own, crossed, _, _ = paths_that_cross(code)
    stage.clear()
    stage.state, stage.shown = GREEN, {int(code.conn_group[own]): RED}
    for (before, speed), connection in ((violator, own), (other, crossed)):
        lane = int(code.conn_from[connection])
        if before >= 0.0:
            stage.put(lane, before, speed, "car", connection)
        else:
            stage.on(code.n_lanes + connection, -before - 2.4, speed, "car", connection)
    world = dataclasses.replace(stage.world(), accel=np.array(accel))
    ahead = prediction.predict(world)
    found = red_light.plan(world, forecast_stop_lines(world), ahead, following.follow(world, ahead))
    return {c.target: c for c in found if c.kind is AdvisoryKind.RED_LIGHT_CROSSING}


def at_once(code: CompiledCode, speed: float, reaches: float) -> tuple[float, float]:
    """Return where the other one must be (m before its line, at `speed` m/s) to reach the crossing after `reaches`
    s.
    """
    return speed * reaches - paths_that_cross(code)[3], speed


def test_a_vehicle_that_comes_to_the_crossing_with_the_violator_is_warned(stage: Stage) -> None:
    reaches = (8.0 + paths_that_cross(stage.code)[2]) / 14.0
    assert set(warned(stage, (8.0, 14.0), at_once(stage.code, 10.0, reaches + 0.2))) == {"vehicle:v2"}


def test_a_vehicle_that_is_through_before_the_violator_comes_is_not_warned(stage: Stage) -> None:
    reaches = (8.0 + paths_that_cross(stage.code)[2]) / 14.0
    assert not warned(stage, (8.0, 14.0), at_once(stage.code, 10.0, reaches - 1.2)), "it can do nothing but drive on"


def test_a_vehicle_that_comes_long_after_the_violator_is_not_warned(stage: Stage) -> None:
    reaches = (8.0 + paths_that_cross(stage.code)[2]) / 14.0
    assert not warned(stage, (8.0, 14.0), at_once(stage.code, 10.0, reaches + 3.0))


def test_a_vehicle_that_brakes_for_the_crossing_already_is_not_warned(stage: Stage) -> None:
    reaches = (8.0 + paths_that_cross(stage.code)[2]) / 14.0
    place = at_once(stage.code, 10.0, reaches + 0.2)
    assert warned(stage, (8.0, 14.0), place, (0.0, -0.5))
    assert not warned(stage, (8.0, 14.0), place, (0.0, -3.5))


def test_a_violator_that_sets_off_from_the_line_and_gains_speed_is_warned_of_once_it_is_over_it(stage: Stage) -> None:
    far = paths_that_cross(stage.code)[2]
    reaches = prediction.arrival(far - 3.0, 3.0, 2.0, 13.9)
    found = warned(stage, (-3.0, 3.0), at_once(stage.code, 10.0, reaches + 0.3), (2.0, 0.0))
    assert set(found) == {"vehicle:v2"}
    assert "over the line of its red light" in found["vehicle:v2"].reason


def test_a_vehicle_that_its_own_red_holds_is_not_warned(stage: Stage) -> None:
    code = stage.code
    _own, crossed, far, _ = paths_that_cross(code)
    reaches = (8.0 + far) / 14.0
    warned(stage, (8.0, 14.0), at_once(code, 10.0, reaches + 0.2))
    stage.shown[int(code.conn_group[crossed])] = RED
    world = stage.world()
    ahead = prediction.predict(world)
    assert not crossing.plan(world, [0], ahead, following.follow(world, ahead))
