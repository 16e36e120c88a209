"""Pedestrian crossing: a pedestrian or cyclist who will be where a connected vehicle is about to cross.

The vehicle's window on each crosswalk its movement runs over comes from the digital code; the walker's from its straight prediction to
the place where the vehicle's path meets the crosswalk. Warned at TTC < 3 s and PET < 2 s, once the vehicle comes too late to stop
before the crosswalk at ease and does not brake. Who stands beside the road before a red is taken to wait.
"""

from typing import Any

import numpy as np

from ..schema import AdvisoryKind, ObjectClass
from ..world import RED, World
from .candidate import WALKER_LATE, Candidate, late, severity_of

TTC = 3.0  # s until the later of the two is there
PET = 2.0  # s
HORIZON = 4.0  # s of straight walking that are believed
HALF_WIDTH = 2.0  # m either side of the vehicle's path that it needs
SLOWEST_WALK = 0.3  # m/s
ACROSS = 0.8  # cosine between a walker's way and the vehicle's beyond which they go along each other
SLOWEST = 1.5  # m/s
APPROACH = 60.0  # m


def plan(world: World) -> list[Candidate]:
    """Return a warning to each connected vehicle about to share a crosswalk with a walker."""
    code = world.code
    kinds = world.tracks["class"]
    walkers = np.flatnonzero((kinds == ObjectClass.PEDESTRIAN) | (kinds == ObjectClass.BICYCLE))
    if not len(walkers) or not code.n_conns:
        return []
    out = []
    for vehicle, row in zip(world.vehicles, world.rows, strict=True):
        connection, speed = int(world.connection[row]), float(world.speed[row])
        if connection < 0 or speed < SLOWEST or not world.to_stop[row] < APPROACH:
            continue
        inside = world.path[row] >= code.n_lanes
        at = float(world.s[row]) if inside else -float(world.to_stop[row]) - float(world.tracks["length"][row]) / 2
        best = _nearest(world, row, connection, at, speed, walkers[walkers != row])
        if best is not None and late(speed, best[3], -float(world.accel[row]), WALKER_LATE):
            ttc, pet, walker, distance = best
            out.append(
                Candidate(
                    AdvisoryKind.PEDESTRIAN,
                    f"vehicle:{vehicle.id}",
                    severity_of(ttc),
                    float(world.tracks["existence"][walker]),
                    "{who} on the crosswalk {distance:.0f} m ahead, in your path in {ttc:.1f} s",
                    {"who": ObjectClass(int(kinds[walker])).name.lower(), "distance": distance, "ttc": ttc, "pet": pet},
                    (int(world.tracks["id"][row]), int(world.tracks["id"][walker])),
                    None,
                    distance,
                    "slow_down",
                )
            )
    return out


def _nearest(
    world: World, row: int, connection: int, at: float, speed: float, walkers: np.ndarray
) -> tuple[float, float, int, float] | None:
    code, tracks = world.code, world.tracks
    half = float(tracks["length"][row]) / 2
    best: tuple[float, float, int, float] | None = None
    for k in range(int(code.cw_start[connection]), int(code.cw_start[connection + 1])):
        s_in, s_out = float(code.cw_s_in[k]), float(code.cw_s_out[k])
        enter, leave = (s_in - at - half) / speed, (s_out - at + half) / speed
        if leave < 0.0 or enter > TTC:
            continue
        px, py = _point(world, connection, (s_in + s_out) / 2)
        dx, dy = px - tracks["x"][walkers], py - tracks["y"][walkers]
        vx, vy = tracks["vx"][walkers].astype(float), tracks["vy"][walkers].astype(float)
        walk = np.maximum(np.hypot(vx, vy), SLOWEST_WALK)
        closest = (dx * vx + dy * vy) / walk**2
        miss = np.hypot(dx - vx * closest, dy - vy * closest)
        coming = (miss < HALF_WIDTH) & (closest > -HALF_WIDTH / walk) & (closest < HORIZON)
        ux, uy = _direction(world, connection, (s_in + s_out) / 2)
        coming &= np.abs(vx * ux + vy * uy) < ACROSS * walk  # not who rides along the vehicle's own path
        coming &= ~_waits(world, int(code.cw_cross[k]), walkers)
        near = coming | (np.hypot(dx, dy) < HALF_WIDTH)
        for j in np.flatnonzero(near):
            come, gone = closest[j] - HALF_WIDTH / walk[j], closest[j] + HALF_WIDTH / walk[j]
            pet = max(enter, come) - min(leave, gone)
            ttc = max(enter, come, 0.0)
            if pet < PET and ttc < TTC and (best is None or ttc < best[0]):
                best = (float(ttc), max(float(pet), 0.0), int(walkers[j]), max(s_in - at - half, 0.0))
    return best


def _waits(world: World, crosswalk: int, walkers: np.ndarray) -> Any:
    """Return which walkers are beside the road at a crosswalk that shows them red."""
    code, group = world.code, int(world.code.cross_group[crosswalk])
    if group < 0 or world.signals.state[group] not in RED:
        return np.zeros(len(walkers), np.bool_)
    x0, y0, x1, y1 = code.cross_axis[crosswalk]
    length = max(float(np.hypot(x1 - x0, y1 - y0)), 1e-6)
    along = ((world.tracks["x"][walkers] - x0) * (x1 - x0) + (world.tracks["y"][walkers] - y0) * (y1 - y0)) / length
    return (along < 0.0) | (along > length)


def _direction(world: World, connection: int, s: float) -> tuple[float, float]:
    (x0, y0), (x1, y1) = _point(world, connection, s - 1.0), _point(world, connection, s + 1.0)
    length = max(float(np.hypot(x1 - x0, y1 - y0)), 1e-6)
    return (x1 - x0) / length, (y1 - y0) / length


def _point(world: World, connection: int, s: float) -> tuple[float, float]:
    code = world.code
    path = code.n_lanes + connection
    a, b = int(code.path_start[path]), int(code.path_start[path + 1])
    return (
        float(np.interp(s, code.path_s[a:b], code.path_xy[a:b, 0])),
        float(np.interp(s, code.path_s[a:b], code.path_xy[a:b, 1])),
    )
