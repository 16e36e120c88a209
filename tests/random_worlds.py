"""Worlds drawn at random for the planner and its twin."""

import dataclasses

import numpy as np
from stage import GREEN, RED, Stage

from cloudctl.codes import CompiledCode
from cloudctl.schema import ObjectClass, SignalState
from cloudctl.world import World

YELLOW = int(SignalState.YELLOW_PROTECTED)


def random_world(code: CompiledCode, seed: int, people: bool = False) -> World:
    """Return an intersection with up to fourteen vehicles before it and in it, some of which say where they go, and, on
    demand, people about its crosswalks.
    """
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
