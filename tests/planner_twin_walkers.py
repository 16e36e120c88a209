"""Vehicles and walkers at crosswalks once more, plainly: every pair, every path, no tables, no order of work.

The compiled kernels must agree with these.
"""

from math import erf, sqrt

import numpy as np

from cloudctl.forecast import prediction
from cloudctl.planner.kinds import pedestrian
from cloudctl.schema import ObjectClass
from cloudctl.signals.colours import IS_RED
from cloudctl.world import World


def crossings(world: World) -> dict[tuple[int, int, float], float]:
    """Return the chance of meeting by (connected vehicle, walker, TTC to a ms), of every walker at every crosswalk on
    the vehicle's way.
    """
    code, chance_of = world.code, {}
    walkers = [
        walker
        for walker in range(len(world.tracks))
        if world.tracks["class"][walker] in (ObjectClass.PEDESTRIAN, ObjectClass.BICYCLE)
    ]

    for index, row in enumerate(world.rows.tolist()):
        connection, speed, length = (
            int(world.connection[row]),
            float(world.speed[row]),
            float(world.tracks["length"][row]),
        )
        if connection < 0 or speed < pedestrian.MIN_SPEED or not world.to_stop[row] < pedestrian.APPROACH_RANGE:
            continue

        front = (
            float(world.s[row]) if world.path[row] >= code.n_lanes else -float(world.to_stop[row]) - 0.5 * length
        ) + 0.5 * length
        for crossing_index in range(code.cw_start[connection], code.cw_start[connection + 1]):
            cross, middle = (
                int(code.cw_cross[crossing_index]),
                0.5 * float(code.cw_s_in[crossing_index] + code.cw_s_out[crossing_index]),
            )
            reach = 0.5 * float(code.cw_s_out[crossing_index] - code.cw_s_in[crossing_index]) + pedestrian.BESIDE
            near = (
                prediction.arrival(float(code.cw_s_in[crossing_index]) - front, speed, float(world.accel[row]))
                <= pedestrian.MAX_TTC
            )
            if not near or code.cw_s_out[crossing_index] - front + length < 0.0:
                continue

            place, way = straight(world, code.n_lanes + connection, middle)
            for walker in walkers:
                encounter = (
                    None
                    if walker == row or waits(world, walker, cross)
                    else crosses(world.tracks[walker], place, way, reach)
                )
                if encounter is None:
                    continue

                arrives, leaves, behind, sure, sigma = encounter
                far = middle + behind - front
                enter, leave = (
                    prediction.arrival(distance, speed, float(world.accel[row])) for distance in (far, far + length)
                )

                ttc = max(enter, arrives, 0.0)
                if far > 0.0 and ttc < pedestrian.MAX_TTC:
                    apart = max(enter, arrives) - min(leave, leaves)
                    own = own_sigma(world, row, max(enter, 0.0)) / speed
                    chance = sure * below(apart, pedestrian.MAX_PET, sqrt(own**2 + sigma**2))
                    chance_of[index, walker, round(ttc, 3)] = max(
                        chance, chance_of.get((index, walker, round(ttc, 3)), 0.0)
                    )

    return {key: chance for key, chance in chance_of.items() if chance >= pedestrian.MIN_CHANCE}


def straight(world: World, path: int, s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the point `s` m along a path, and the direction there; beyond its ends it goes straight on."""
    code = world.code
    first, second = code.path_start[path], code.path_start[path + 1]
    piece = min(max(int(np.searchsorted(code.path_s[first:second], s)) - 1, 0), second - first - 2) + first
    way = (code.path_xy[piece + 1] - code.path_xy[piece]) / (code.path_s[piece + 1] - code.path_s[piece])
    return code.path_xy[piece] + way * (s - code.path_s[piece]), way


def waits(world: World, walker: int, cross: int) -> bool:
    """Return whether a walker stands beside the road before a red."""
    group = int(world.code.cross_group[cross])
    if group < 0 or not IS_RED[world.signals.state[group]]:
        return False

    begin, end = world.code.cross_axis[cross].reshape(2, 2)
    along = np.dot([world.tracks["x"][walker] - begin[0], world.tracks["y"][walker] - begin[1]], end - begin) / np.dot(
        end - begin, end - begin
    )
    return not 0.0 <= along <= 1.0


def own_sigma(world: World, row: int, seconds: float) -> float:
    track = world.tracks[row]
    position, velocity = 0.5 * float(track["var_x"] + track["var_y"]), 0.5 * float(track["var_vx"] + track["var_vy"])
    return sqrt(prediction.position_variance(position, velocity, float(prediction.SIGMA_A[1]), seconds))


def crosses(
    track: np.void, place: np.ndarray, way: np.ndarray, reach: float
) -> tuple[float, float, float, float, float] | None:
    """Return when a walker comes to a vehicle's path and leaves it, how far along it, the chance of that and its
    deviation; None: never.
    """
    offset, velocity = np.array([track["x"], track["y"]]) - place, np.array([track["vx"], track["vy"]], float)
    pace, normal = float(np.hypot(*velocity)), np.array([-way[1], way[0]])
    off, along, across = float(offset @ normal), float(offset @ way), float(velocity @ normal)
    variance, variance_v = 0.5 * float(track["var_x"] + track["var_y"]), 0.5 * float(track["var_vx"] + track["var_vy"])
    stands = pace < pedestrian.MIN_WALKING_SPEED
    if not stands and abs(velocity @ way) >= pedestrian.ALONG_COSINE * pace:
        return None

    if abs(off) < (pedestrian.IN_THE_WAY if stands else pedestrian.HALF_WIDTH) and abs(along) < reach:
        least = max(abs(across), pedestrian.MIN_WALKING_SPEED)
        side = 1.0 if across > 0.0 else -1.0
        return 0.0, (pedestrian.HALF_WIDTH - off * side) / least, along, 1.0, sqrt(variance) / least

    if stands:
        return None

    seconds, behind = np.linalg.solve(np.column_stack([velocity, -way]), -offset)
    if not 0.0 < seconds < pedestrian.HORIZON:
        return None

    sigma = sqrt(
        prediction.position_variance(variance, variance_v, float(prediction.SIGMA_A[track["class"]]), float(seconds))
    )
    wide = pedestrian.HALF_WIDTH / abs(across)
    return (
        float(seconds) - wide,
        float(seconds) + wide,
        float(behind),
        below(abs(float(behind)), reach, sigma),
        sigma / abs(across),
    )


def below(value: float, limit: float, sigma: float) -> float:
    return 0.5 + 0.5 * erf((limit - value) / (sqrt(2.0) * max(sigma, 1e-3)))
