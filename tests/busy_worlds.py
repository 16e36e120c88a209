"""Worlds drawn at random in which every advisory kind has something to say: for plans compared as a whole."""

import msgspec
import numpy as np
from stage import GREEN, RED, Stage, T

from bench.bench_plan import tolled
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.codes.rule import Rule, Target
from cloudctl.schema import Hazard, ObjectClass, SignalState
from cloudctl.world import World

CLASSES = ("car", "car", "bus", "truck", "emergency", "taxi", "logistics_robot")
SHOWN = (RED, GREEN, int(SignalState.YELLOW_PROTECTED), int(SignalState.YELLOW_FLASH), int(SignalState.UNKNOWN))


def ruled(code: CompiledCode) -> CompiledCode:
    """Return a code with a toll, a speed limit, a closure and a ban of trucks on some of its lanes."""
    lanes = [name for k, name in enumerate(code.lane_ids) if code.lane_use[k] == 0]
    rules = (
        Rule("R81", "speed_max", (Target(lanes[0]), Target(lanes[3])), 8.0),
        Rule("R82", "closure", (Target(lanes[5]),)),
        Rule("R83", "no_entry", (Target(lanes[7]),), classes=("truck", "bus")),
        Rule("R84", "construction", (Target(lanes[9]),), 5.0),
    )
    with_toll = tolled(code).code
    return compile_code(msgspec.structs.replace(with_toll, rules=(*with_toll.rules, *rules)))


def busy_world(code: CompiledCode, seed: int) -> World:
    """Return an intersection with up to forty road users of all classes, hazards and stopped vehicles, seen twice."""
    rng = np.random.default_rng(seed)
    stage = Stage(code)
    stage.state, stage.left = int(rng.choice(SHOWN)), float(rng.uniform(0.0, 40.0))
    stage.share = rng.integers(1, 20, code.n_conns).astype(float)
    stage.shown = {int(group): int(rng.choice(SHOWN)) for group in rng.integers(0, len(code.group_ids), 6)}

    for _ in range(int(rng.integers(2, 40))):
        speed = float(rng.uniform(0.0, 18.0) if rng.random() < 0.7 else 0.0)
        kind = str(rng.choice(CLASSES)) if rng.random() < 0.6 else None
        automated = bool(rng.random() < 0.2)
        poor = {"var_x": 9.0} if rng.random() < 0.1 else {}
        if rng.random() < 0.6:
            stage.put(
                int(rng.choice(stage.ingress)),
                float(rng.uniform(-3.0, 120.0)),
                speed,
                kind,
                automated=automated,
                **poor,
            )
        else:
            path = int(rng.integers(0, code.n_lanes + code.n_conns))
            user = int(rng.choice([ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BICYCLE, ObjectClass.MOTORCYCLE]))
            turned = bool(rng.random() < 0.15)
            at = float(rng.uniform(0.1, code.path_length[path] - 0.1))
            stage.on(path, at, speed, kind, turned=turned, automated=automated, **{"class": user})
    for _ in range(int(rng.integers(0, 8))):
        begin, end = code.cross_axis[rng.integers(0, len(code.cross_axis))].reshape(2, 2)
        x, y = begin + (end - begin) * rng.uniform(-0.2, 1.2) + rng.uniform(-2.0, 2.0, 2)
        vx, vy = (end - begin) / np.hypot(*(end - begin)) * rng.choice([-1.5, 0.0, 1.5]) + rng.uniform(-0.5, 0.5, 2)
        stage.at(x, y, vx, vy, length=0.5, **{"class": ObjectClass.PEDESTRIAN})

    stage.stopped = tuple(int(k) for k in np.unique(rng.integers(1, len(stage.rows) + 1, 2)))
    lane, kind = code.lane_ids[int(rng.choice(stage.ingress))], str(rng.choice(["works", "ice"]))
    if rng.random() < 0.5:
        stage.hazards = (Hazard(1, "r", "h", kind, T, T, T + SECOND, lane, (20.0, 200.0)),)
    stage.before = stage.world(T - SECOND // 10)
    for row in stage.rows:
        row["vx"], row["vy"] = row["vx"] * rng.uniform(0.8, 1.1), row["vy"] * rng.uniform(0.8, 1.1)
    return stage.world()
