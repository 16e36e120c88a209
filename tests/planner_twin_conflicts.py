"""Conflicts of movements, and of those that run a red, once more, plainly: every pair, every path, no tables, no order
of work.

The compiled kernels must agree with these.
"""

from collections.abc import Mapping
from math import erf, hypot, sqrt

import numpy as np
from planner_twin_ways import movements

from cloudctl.driving import BRAKING_SHARE
from cloudctl.forecast import prediction
from cloudctl.planner.kinds import collision, crossing
from cloudctl.road_users import FOLLOWS_LANE, RIDES
from cloudctl.schema import SignalState
from cloudctl.signals.colours import IS_CLOSED
from cloudctl.world import World


def meetings(world: World) -> dict[tuple[int, int, float], float]:
    """Return the chance of meeting by (track, track, TTC to a ms), of every pair of tracks at every conflict of their
    movements.
    """
    code, chances, chance_of = world.code, movements(world), {}
    standing: list[dict[int, float]] = []

    for row in range(len(world.tracks)):
        inside, front_of = world.path[row] >= code.n_lanes, {}
        for connection in chances[row] if RIDES[world.tracks["class"][row]] else ():
            if inside and world.to_stop[row] < 0.0:
                front_of[connection] = float(world.s[row])
            elif 0.0 < world.to_stop[row] < collision.APPROACH_RANGE:
                closed = (
                    code.conn_group[connection] >= 0 and IS_CLOSED[world.signals.state[code.conn_group[connection]]]
                )
                if inside or not closed:
                    front_of[connection] = -float(world.to_stop[row]) - 0.5 * float(world.tracks["length"][row])

        standing.append(front_of)

    def window(row: int, far: float, own: int) -> tuple[float, float, float]:
        speed, length, track = max(float(world.speed[row]), 0.0), float(world.tracks["length"][row]), world.tracks[row]
        enter, leave = (
            prediction.arrival(distance, speed, float(world.accel[row]), float(code.conn_speed[own]))
            for distance in (far, far + length)
        )
        position, velocity = (
            0.5 * float(track["var_x"] + track["var_y"]),
            0.5 * float(track["var_vx"] + track["var_vy"]),
        )
        variance = prediction.position_variance(
            position, velocity, float(prediction.SIGMA_A[track["class"]]), max(enter, 0.0)
        )

        return enter, leave, sqrt(variance) / max(float(world.speed[row]), prediction.MIN_SPEED)

    def aims(row: int, own: int, s: float) -> bool:
        if FOLLOWS_LANE[world.tracks["class"][row]]:
            return True

        a, b = code.path_start[code.n_lanes + own], code.path_start[code.n_lanes + own + 1]
        x, y = (float(np.interp(s, code.path_s[a:b], code.path_xy[a:b, axis])) for axis in (0, 1))
        track = world.tracks[row]
        across = np.array([-track["vy"], track["vx"]], float)

        return abs(np.dot(across, [x - track["x"], y - track["y"]])) < collision.MAX_MISS * float(np.hypot(*across))

    for a in range(len(world.tracks)):
        for b in range(len(world.tracks)):
            for own, at_a in standing[a].items():
                for index in range(code.conf_start[own], code.conf_start[own + 1]):
                    other = int(code.conf_other[index])
                    if (
                        not (aims(a, own, float(code.conf_s[index])) and aims(b, own, float(code.conf_s[index])))
                        or a == b
                        or other < own
                        or other not in standing[b]
                        or code.conf_type[index] == prediction.DIVERGE
                    ):
                        continue

                    first = window(a, float(code.conf_s[index]) - at_a - 0.5 * float(world.tracks["length"][a]), own)
                    second = window(
                        b,
                        float(code.conf_s_other[index]) - standing[b][other] - 0.5 * float(world.tracks["length"][b]),
                        other,
                    )

                    ttc = max(first[0], second[0])
                    pet = ttc - min(first[1], second[1])

                    if first[1] > 0.0 and second[1] > 0.0 and ttc < collision.MAX_TTC:
                        sigma = max(sqrt(first[2] ** 2 + second[2] ** 2), 1e-3)
                        meets = 0.5 + 0.5 * erf((collision.MAX_PET - pet) / (sqrt(2.0) * sigma))
                        chance_of[a, b, round(max(ttc, 0.0), 3)] = meets * chances[a][own] * chances[b][other]

    return {key: chance for key, chance in chance_of.items() if chance >= collision.MIN_CHANCE}


def concerned(world: World, violators: list[int], behind: Mapping[int, tuple[float, int]]) -> dict[int, float]:
    """Return by connected track, and not a violator itself, its chance to conflict with the likeliest of `violators`;
    `behind`: (gap, leader) of each track.
    """
    code, chances, chance_of = world.code, movements(world), {}

    def arrives(row: int, own: int, far: float) -> float:
        speed, top, line = max(float(world.speed[row]), 0.0), float(code.conn_speed[own]), float(world.to_stop[row])
        if code.conn_turn[own] == crossing.STRAIGHT or speed <= top or far <= 0.0:
            return prediction.arrival(far, speed, float(world.accel[row]), top)
        return min(far, max(line, 0.0)) * 2.0 / (speed + top) + max(far - max(line, 0.0), 0.0) / top

    def deviation(row: int, seconds: float) -> float:
        track = world.tracks[row]
        position, velocity = (
            0.5 * float(track["var_x"] + track["var_y"]),
            0.5 * float(track["var_vx"] + track["var_vy"]),
        )
        variance = prediction.position_variance(
            position, velocity, float(prediction.SIGMA_A[track["class"]]), max(seconds, 0.0)
        )
        return sqrt(variance) / max(float(world.speed[row]), prediction.MIN_SPEED)

    def meets(violator: int, v_conn: int, vehicle: int, r_conn: int) -> float:
        best = 0.0
        for index in range(code.conf_start[v_conn], code.conf_start[v_conn + 1]):
            if code.conf_other[index] != r_conn or code.conf_type[index] == prediction.DIVERGE:
                continue

            v_far, r_far = (
                float(world.to_stop[violator] + code.conf_s[index]),
                float(world.to_stop[vehicle] + code.conf_s_other[index]),
            )
            v_in, v_out = (
                arrives(violator, v_conn, v_far + lengths * float(world.tracks["length"][violator]))
                for lengths in (0, 1)
            )
            r_in, r_out = (
                arrives(vehicle, r_conn, r_far + lengths * float(world.tracks["length"][vehicle])) for lengths in (0, 1)
            )
            place = max(r_far - collision.CLEARANCE, 0.5)
            brakes = -world.accel[vehicle] > max(
                BRAKING_SHARE * world.speed[vehicle] ** 2 / (2.0 * place), crossing.MIN_BRAKING
            )
            gap, ahead = behind[vehicle]
            held = (ahead >= 0 and gap < place and world.speed[ahead] < collision.STANDING_SPEED) or (
                world.speed[vehicle] < collision.STANDING_SPEED
                and world.accel[vehicle] < collision.STARTING_ACCELERATION
            )
            if v_out <= 0.0 or r_in < crossing.MIN_TIME or max(v_in, r_in) > crossing.HORIZON or brakes or held:
                continue

            apart = crossing.MAX_PET_FIRST if r_in < v_in else crossing.MAX_PET
            sigma = max(hypot(deviation(violator, v_in), deviation(vehicle, r_in)), 1e-3)
            best = max(best, 0.5 + 0.5 * erf((apart - max(v_in, r_in) + min(v_out, r_out)) / (sqrt(2.0) * sigma)))

        return best

    for vehicle in world.rows.tolist():
        if vehicle in violators or world.speed[vehicle] < crossing.MIN_SPEED:
            continue

        for violator in violators:
            likely = 0.0
            for v_conn, v_chance in chances[violator].items():
                for r_conn, r_chance in chances[vehicle].items():
                    group = code.conn_group[r_conn]
                    held = (
                        world.to_stop[vehicle] > 0.0
                        and group >= 0
                        and world.signals.state[group] in (SignalState.RED, SignalState.RED_FLASH)
                    )
                    if not held and (group < 0 or group != code.conn_group[v_conn]):
                        likely += meets(violator, v_conn, vehicle, r_conn) * v_chance * r_chance

            if likely >= crossing.MIN_CHANCE:
                chance_of[vehicle] = max(chance_of.get(vehicle, 0.0), likely)

    return chance_of
