"""The planners' compiled kernels against plain twins, over random worlds."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_twin import along, crossings, held_up, leader, meetings, movements, nearest_hazards, passes
from stage import GREEN, RED, Stage

from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.forecast import following, prediction
from cloudctl.forecast.stop_line import passing
from cloudctl.planner.kinds import collision, hazard, pedestrian
from cloudctl.schema import Hazard, ObjectClass, SignalState
from cloudctl.world import World

YELLOW = int(SignalState.YELLOW_PROTECTED)


def random_world(code: CompiledCode, seed: int, people: bool = False) -> World:
    """Return an intersection with up to fourteen vehicles before it and in it, some of which say where they go, and, on demand, people about its crosswalks."""
    rng = np.random.default_rng(seed)
    stage = Stage(code)
    stage.state, stage.left = int(rng.choice([RED, GREEN, YELLOW])), float(rng.uniform(0.0, 40.0))
    stage.share = rng.integers(1, 20, code.n_conns).astype(float)
    stage.shown = {int(group): int(rng.choice([RED, GREEN])) for group in rng.integers(0, len(code.group_ids), 5)}
    for _ in range(int(rng.integers(2, 15))):
        speed = float(rng.uniform(0.0, 18.0))
        if rng.random() < 0.5:
            stage.put(
                int(rng.choice(stage.ingress)),
                float(rng.uniform(0.5, 90.0)),
                speed,
                str(rng.choice(["car", ""])) or None,
            )
        else:
            path = int(rng.integers(0, code.n_lanes + code.n_conns))
            kind = int(rng.choice([ObjectClass.CAR, ObjectClass.CAR, ObjectClass.BICYCLE]))
            stage.on(path, float(rng.uniform(0.1, code.path_length[path] - 0.1)), speed, **{"class": kind})
    for _ in range(int(rng.integers(1, 20)) if people else 0):
        begin, end = code.cross_axis[rng.integers(0, len(code.cross_axis))].reshape(2, 2)
        x, y = begin + (end - begin) * rng.uniform(-0.2, 1.2) + rng.uniform(-2.0, 2.0, 2)
        vx, vy = (end - begin) / np.hypot(*(end - begin)) * rng.choice([-1.5, 0.0, 1.5]) + rng.uniform(-0.5, 0.5, 2)
        stage.at(x, y, vx, vy, length=0.5, **{"class": ObjectClass.PEDESTRIAN})
    world = stage.world()
    return dataclasses.replace(world, accel=rng.uniform(-4.0, 3.0, len(world.tracks)))


@pytest.mark.parametrize("kernel", ["movements", "paths", "following", "pressed", "passing", "collision", "pedestrian"])
@settings(max_examples=30, deadline=None)
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
        got = passing(world)
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


@settings(max_examples=60, deadline=None)
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
