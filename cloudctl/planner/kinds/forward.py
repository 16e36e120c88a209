"""Forward collision, and hard braking ahead (T/CSAE 53: FCW, EBW): for who comes too late to keep clear of the one before him at ease, and
does not brake.

Keeping clear of a leader at v_l who brakes with b takes v^2 / (2 (gap + v_l^2 / (2 b))); of one who does not, (v - v_l)^2 / (2 gap).
Hard braking is also told to who drives behind him, further back, where someone between hides it.
"""

from math import sqrt
from typing import Any

import numpy as np
from numba import njit

from ...forecast.following import Following
from ...fusion import SEEN_LATELY
from ...schema import AdvisoryKind, ObjectClass
from ...world import World
from ..candidate import LATE, Candidate, severity_of

SLOWEST = 4.0  # m/s
HARD = 6.0  # m/s^2; who brakes harder did not mean to: ordinary stops in SUMO take 4.5
NEAR = 2.0  # m/s^2 that stopping there would take, below which hard braking further ahead concerns nobody
SLIGHT = 1.0  # m/s^2; less is no braking, within what tracks tell
NEAREST = 1.0  # m; a smaller gap is within what tracks tell
HIDDEN = 3  # followers further back that are told of hard braking
WARNED = 80.0  # m behind it at the most
SURE = 0.9  # existence of both
STRAIGHT = 0.9  # cosine between its way and its path beyond which a vehicle follows it
ASIDE = 1.5  # m off its path beyond which it does not
MOTOR = np.isin(np.arange(256), (ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS, ObjectClass.MOTORCYCLE))


@njit(cache=True)
def needed(speed: float, gap: float, leader: float, braking: float) -> float:
    """Return m/s^2 that keep clear of a leader at `leader` m/s who brakes with `braking` m/s^2, `gap` m ahead."""
    gap = max(gap, NEAREST)
    if braking > SLIGHT:
        return speed * speed / (2.0 * (gap + leader * leader / (2.0 * braking)))
    closing = max(speed - leader, 0.0)
    return closing * closing / (2.0 * gap)


@njit(cache=True)
def _hurried(
    rows: Any, tracks: Any, speed: Any, accel: Any, leader: Any, gap: Any, motor: Any, seen: int, lateral: Any, out: Any
) -> int:
    """List which of `rows` must brake harder than LATE for who is before them, and do not."""
    n = 0
    for k in range(len(rows)):
        i = rows[k]
        j = leader[i]
        if (
            j < 0
            or speed[i] < SLOWEST
            or tracks[i]["existence"] < SURE
            or tracks[j]["existence"] < SURE
            or not motor[tracks[j]["class"]]
        ):
            continue
        straight = speed[i] > STRAIGHT * sqrt(tracks[i]["vx"] ** 2 + tracks[i]["vy"] ** 2)
        if not straight or lateral[i] > ASIDE or lateral[j] > ASIDE:
            continue
        if tracks[i]["status"] != seen or tracks[j]["status"] != seen:
            continue
        need = needed(speed[i], gap[i], max(speed[j], 0.0), -accel[j])
        if need > LATE and -accel[i] < need / 3.0:
            out[n] = k
            n += 1
    return n


def plan(world: World, following: Following) -> list[Candidate]:
    """Return warnings to connected vehicles that come too fast upon the one ahead, or drive behind who brakes hard."""
    found = np.empty(len(world.rows), np.int64)
    n = _hurried(
        world.rows, world.tracks, world.speed, world.accel, *following, MOTOR, SEEN_LATELY, world.lateral, found
    )
    out: dict[str, Candidate] = {}
    for k in found[:n].tolist():
        row = int(world.rows[k])
        if world.connection[row] < 0 and world.path[following.leader[row]] != world.path[row]:
            continue  # it may turn off before
        ahead, gap, speed = int(following.leader[row]), float(following.gap[row]), float(world.speed[row])
        closing = max(speed - max(float(world.speed[ahead]), 0.0), 0.1)
        out[world.vehicles[k].id] = _candidate(
            world, k, ahead, severity_of(gap / closing), "the vehicle {gap:.0f} m ahead drives {closing:.0f} m/s slower than you: brake",
            {"gap": gap, "closing": closing}, "slow_down",
        )  # fmt: skip
    for k, ahead, far in _hidden(world, following):
        if world.vehicles[k].id not in out and world.connection[world.rows[k]] >= 0:
            words = "a vehicle {far:.0f} m ahead brakes hard, behind others: be ready to brake"
            out[world.vehicles[k].id] = _candidate(world, k, ahead, 1, words, {"far": far}, None)
    return list(out.values())


def _hidden(world: World, following: Following) -> list[tuple[int, int, float]]:
    """Return (connected vehicle, who brakes hard, m between) where somebody else is in between."""
    braking = world.accel < -HARD
    if not braking.any():
        return []
    braking &= (
        (world.tracks["status"] == SEEN_LATELY) & (world.tracks["existence"] >= SURE) & MOTOR[world.tracks["class"]]
    )
    out = []
    for k, row in enumerate(world.rows.tolist()):
        at, far = row, 0.0
        for hop in range(HIDDEN):
            far += float(following.gap[at]) + (float(world.tracks["length"][at]) if hop else 0.0)
            at = int(following.leader[at])
            if at < 0 or far > WARNED:
                break
            if (
                hop
                and braking[at]
                and world.speed[row] > SLOWEST
                and needed(float(world.speed[row]), far, 0.0, 0.0) > NEAR
            ):
                out.append((k, at, far))
                break
    return out


def _candidate(
    world: World, k: int, ahead: int, severity: int, words: str, facts: dict[str, Any], behaviour: str | None
) -> Candidate:
    row = int(world.rows[k])
    return Candidate(
        AdvisoryKind.FORWARD_COLLISION,
        f"vehicle:{world.vehicles[k].id}",
        severity,
        float(min(world.tracks["existence"][row], world.tracks["existence"][ahead])),
        words,
        facts,
        (int(world.tracks["id"][row]), int(world.tracks["id"][ahead])),
        None,
        float(next(iter(facts.values()))),
        behaviour,
    )
