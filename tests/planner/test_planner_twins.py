"""The planners' compiled kernels against plain twins, over random worlds."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_twin_conflicts import meetings
from planner_twin_hazards import nearest_hazards
from planner_twin_walkers import crossings
from planner_twin_ways import along, held_up, leader, movements, passes
from random_worlds import random_world

from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.forecast import following, prediction
from cloudctl.forecast.stop_line import forecast_stop_lines
from cloudctl.planner.kinds import collision, hazard, pedestrian
from cloudctl.schema import Hazard


@pytest.mark.parametrize("kernel", ["movements", "paths", "following", "pressed", "passing", "collision", "pedestrian"])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_a_kernel_agrees_with_its_twin(code: CompiledCode, kernel: str, seed: int) -> None:
    world = random_world(code, seed, kernel == "pedestrian")
    found = prediction.predict(world)
    if kernel == "movements":
        for row, wanted in enumerate(movements(world)):
            got = {int(k): float(c) for k, c in zip(found.movement[row], found.chance[row], strict=True) if k >= 0}
            assert got == pytest.approx(wanted)
    elif kernel == "paths":
        for row in np.flatnonzero(world.path >= 0).tolist():
            for step in (0, 3, prediction.STEPS - 1):
                wanted = along(world, row, (step + 1) * prediction.STEP)
                if wanted is not None:
                    assert found.xy[row, step] == pytest.approx(wanted, abs=1e-6)
    elif kernel == "following":
        behind = following.follow(world, found)
        for row in range(len(world.tracks)):
            ahead, gap = leader(world, row, following.MAX_GAP)
            assert behind.gap[row] == pytest.approx(gap)
            assert (int(behind.leader[row]) >= 0) == (ahead >= 0)
    elif kernel == "pressed":
        free = np.random.default_rng(seed).random(len(world.tracks)) < 0.3
        got = following.holding_up(world, following.follow(world, found), free)
        assert set(np.flatnonzero(got).tolist()) == held_up(
            world, following.MAX_GAP, set(np.flatnonzero(free).tolist())
        )
    elif kernel == "passing":
        got = forecast_stop_lines(world)
        for row, (time, now, behind) in enumerate(passes(world)):
            assert got.time[row] == pytest.approx(time)
            assert bool(got.in_present_green[row]) == now
            assert got.behind[row] == behind
    elif kernel == "pedestrian":
        got = {
            (int(m["k"]), int(m["walker"]), round(float(m["ttc"]), 3)): float(m["chance"])
            for m in pedestrian.meetings(world)
        }
        wanted = crossings(world)
        assert got.keys() == wanted.keys()
        assert got == pytest.approx(wanted)
    else:
        got = {
            (int(p["a"]), int(p["b"]), round(float(p["ttc"]), 3)): float(p["chance"])
            for p in collision.pairs(world, found)
        }
        wanted = meetings(world)
        assert got.keys() == wanted.keys()
        assert got == pytest.approx(wanted)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_the_nearest_hazard_on_the_way_of_each_vehicle_is_that_of_the_plain_twin(code: CompiledCode, seed: int) -> None:
    world, rng = random_world(code, seed), np.random.default_rng(seed)
    hazards = []
    for number in range(int(rng.integers(1, 4))):
        if rng.random() < 0.5:
            lane = int(rng.integers(0, code.n_lanes))
            low, high = sorted(rng.uniform(0.0, float(code.path_length[lane]), 2).tolist())
            place = {"lane": code.lane_ids[lane], "s": (low, high)}
        else:
            x, y, half = rng.uniform(-40.0, 40.0), rng.uniform(-40.0, 40.0), rng.uniform(3.0, 30.0)
            xs, ys = (
                np.array([x - half, x + half, x + half, x - half]),
                np.array([y - half, y - half, y + half, y + half]),
            )
            place = {"polygon": tuple(zip(*(axis.tolist() for axis in code.origin.to_geodetic(xs, ys)), strict=True))}
        kind, priority = str(rng.choice(["works", "ice"])), int(rng.integers(0, 3))
        hazards.append(
            Hazard(
                version=1,
                rsu="r",
                id=f"h{number}",
                kind=kind,
                t=world.t,
                start=world.t,
                end=world.t + SECOND,
                priority=priority,
                **place,
            )
        )
    world = dataclasses.replace(world, hazards=tuple(hazards))

    got = {c.target: (c.facts["kind"], c.distance) for c in hazard.plan(world)}

    assert got == {
        f"vehicle:{name}": (near.kind, pytest.approx(ahead)) for name, (near, ahead) in nearest_hazards(world).items()
    }
