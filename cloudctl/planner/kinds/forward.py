"""Forward collision, and hard braking ahead (T/CSAE 53: FCW, EBW): for a vehicle that comes too late to keep clear of
its leader comfortably, and does not brake.

Keeping clear of a leader at v_l that brakes with b takes v^2 / (2 (gap + v_l^2 / (2 b))); of one that does not, (v -
v_l)^2 / (2 gap). Of hard braking the vehicles further back are warned as well, where a vehicle between hides it.
"""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from ...codes.compiled.addresses import inner_kernel
from ...driving import LATE_BRAKING
from ...forecast.following import Following
from ...fusion import SEEN_LATELY
from ...kernels import njit
from ...road_users import IS_MOTOR_VEHICLE
from ...schema import AdvisoryKind, Behaviour, Severity, vehicle_target
from ...world import Connected, Users, World
from ..candidate import SLOW_DOWN, SOON, Candidate, severity_of

KIND = AdvisoryKind.FORWARD_COLLISION
MIN_SPEED = 4.0  # m/s
HARD_BRAKING = 6.0  # m/s^2; a driver who brakes harder did not mean to: ordinary stops in SUMO take 4.5
MIN_NEEDED = 2.0  # m/s^2 that stopping there would take, below which hard braking further ahead concerns no driver
MIN_BRAKING = 1.0  # m/s^2; less is no braking, within what tracks are sure to
BRAKING_DIVISOR = 3.0  # a driver who brakes with that part of what is needed has seen the leader
MIN_GAP = 1.0  # m; a smaller gap is within what tracks are sure to
MAX_HIDDEN = 3  # followers further back that are warned of hard braking
HIDDEN_RANGE = 80.0  # m behind it
MIN_EXISTENCE = 0.9  # of both tracks
MIN_ALIGNMENT = 0.9  # cosine between its motion and its path beyond which a vehicle follows the path
MAX_LATERAL = 1.5  # m off its path beyond which it does not
MIN_CLOSING_SPEED = 0.1  # m/s

REASON_CLOSING = "the vehicle {gap:.0f} m ahead drives {closing:.0f} m/s slower than you: brake"
REASON_HIDDEN = "a vehicle {far:.0f} m ahead, hidden by others, brakes hard: be ready to brake"


@njit(cache=True)
def needed(speed: float, gap: float, leader_speed: float, leader_braking: float) -> float:
    """Return m/s^2 that keep clear of a leader at `leader_speed` m/s that brakes with `leader_braking` m/s^2, `gap` m
    ahead."""
    gap = max(gap, MIN_GAP)
    if leader_braking > MIN_BRAKING:
        return speed * speed / (2.0 * (gap + leader_speed * leader_speed / (2.0 * leader_braking)))
    closing = max(speed - leader_speed, 0.0)
    return closing * closing / (2.0 * gap)


@njit(cache=True)
def _list_late(
    rows: Any, tracks: Any, speed: Any, accel: Any, leader: Any, gap: Any,
    lateral: Any, late: Any
) -> int:  # fmt: skip
    """List which of `rows` must brake harder than LATE_BRAKING for their leader, and do not."""
    n = 0
    for k in range(len(rows)):
        i = rows[k]
        j = leader[i]
        if j < 0 or speed[i] < MIN_SPEED or not IS_MOTOR_VEHICLE[tracks[j]["class"]]:
            continue

        # Both are sure, and on their paths.
        if tracks[i]["existence"] < MIN_EXISTENCE or tracks[j]["existence"] < MIN_EXISTENCE:
            continue
        if tracks[i]["status"] != SEEN_LATELY or tracks[j]["status"] != SEEN_LATELY:
            continue

        is_aligned = speed[i] > MIN_ALIGNMENT * sqrt(tracks[i]["vx"] ** 2 + tracks[i]["vy"] ** 2)
        if not is_aligned or lateral[i] > MAX_LATERAL or lateral[j] > MAX_LATERAL:
            continue

        deceleration = needed(speed[i], gap[i], max(speed[j], 0.0), -accel[j])
        if deceleration > LATE_BRAKING and -accel[i] < deceleration / BRAKING_DIVISOR:
            late[n] = k
            n += 1

    return n


@inner_kernel
def screen(users: Users, connected: Connected, following: Following) -> bool:
    """Return whether a connected vehicle comes too fast upon its leader, or any vehicle brakes hard."""
    late = np.empty(len(connected.rows), np.int64)
    n = _list_late(
        connected.rows, users.tracks, users.speed, users.accel, following.leader, following.gap, users.lateral, late
    )
    return n > 0 or bool((users.accel < -HARD_BRAKING).any())


def plan(world: World, following: Following) -> list[Candidate]:
    """Return warnings to connected vehicles that come too fast upon their leader, or are behind one that brakes
    hard."""
    late = np.empty(len(world.rows), np.int64)
    n = _list_late(
        world.rows, world.tracks, world.speed, world.accel, following.leader, following.gap,
        world.lateral, late,
    )  # fmt: skip

    candidates: dict[str, Candidate] = {}

    for k in late[:n].tolist():
        row = int(world.rows[k])
        leader = int(following.leader[row])
        if world.connection[row] < 0 and world.path[leader] != world.path[row]:
            continue  # it may turn off before
        candidates[world.vehicles[k].id] = _closing(world, k, leader, float(following.gap[row]))

    for hidden in _hidden_braking(world, following):
        vehicle = world.vehicles[hidden.vehicle].id
        if vehicle not in candidates and world.connection[world.rows[hidden.vehicle]] >= 0:
            candidates[vehicle] = _hidden(world, hidden)

    return list(candidates.values())


class HiddenBraking(NamedTuple):
    """A vehicle that brakes hard further ahead of a connected one, behind others."""

    vehicle: int  # index into `World.vehicles`
    row: int  # of the track that brakes
    distance: float  # m between


def _hidden_braking(world: World, following: Following) -> list[HiddenBraking]:
    tracks = world.tracks
    brakes_hard = world.accel < -HARD_BRAKING
    if not brakes_hard.any():
        return []

    is_sure = (tracks["status"] == SEEN_LATELY) & (tracks["existence"] >= MIN_EXISTENCE)
    brakes_hard &= is_sure & IS_MOTOR_VEHICLE[tracks["class"]]

    found = []

    for k, row in enumerate(world.rows.tolist()):
        here, distance, speed = row, 0.0, float(world.speed[row])
        for hop in range(MAX_HIDDEN):
            distance += float(following.gap[here])
            if hop:
                distance += float(tracks["length"][here])

            here = int(following.leader[here])
            if here < 0 or distance > HIDDEN_RANGE:
                break

            # The leader itself is not hidden.
            if hop and brakes_hard[here] and speed > MIN_SPEED and needed(speed, distance, 0.0, 0.0) > MIN_NEEDED:
                found.append(HiddenBraking(k, here, distance))
                break

    return found


def _closing(world: World, k: int, leader: int, gap: float) -> Candidate:
    speed, leader_speed = float(world.speed[int(world.rows[k])]), max(float(world.speed[leader]), 0.0)
    closing = max(speed - leader_speed, MIN_CLOSING_SPEED)

    return _candidate(
        world,
        k,
        leader,
        severity=severity_of(gap / closing),
        reason=REASON_CLOSING,
        facts={"gap": gap, "closing": closing},
        distance=gap,
        behaviour=SLOW_DOWN,
    )


def _hidden(world: World, hidden: HiddenBraking) -> Candidate:
    return _candidate(
        world,
        hidden.vehicle,
        hidden.row,
        severity=SOON,
        reason=REASON_HIDDEN,
        facts={"far": hidden.distance},
        distance=hidden.distance,
        behaviour=None,
    )


def _candidate(
    world: World,
    k: int,
    other: int,
    *,
    severity: Severity,
    reason: str,
    facts: dict[str, object],
    distance: float,
    behaviour: Behaviour | None,
) -> Candidate:
    row, existence, ids = int(world.rows[k]), world.tracks["existence"], world.tracks["id"]
    return Candidate(
        kind=KIND,
        target=vehicle_target(world.vehicles[k].id),
        severity=severity,
        confidence=float(min(existence[row], existence[other])),
        reason=reason,
        facts=facts,
        tracks=(int(ids[row]), int(ids[other])),
        distance=distance,
        behaviour=behaviour,
    )
