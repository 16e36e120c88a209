"""The planners' kernels once more, plainly: every pair, every path, no tables, no order of work. The compiled ones must
agree with these.
"""

from collections.abc import Mapping
from itertools import pairwise
from math import erf, hypot, inf, sqrt

import numpy as np

from cloudctl.driving import BRAKING_SHARE, MIN_HEADWAY, SATURATION_HEADWAY, STARTUP_LOST_TIME
from cloudctl.forecast import following, prediction
from cloudctl.forecast.stop_line import GREEN_END_MARGIN, UNKNOWN_TIME, YELLOW_ALLOWANCE, earliest
from cloudctl.lane_stretches import covered
from cloudctl.planner.kinds import collision, crossing, pedestrian
from cloudctl.planner.kinds.hazard import RANGE
from cloudctl.road_users import FOLLOWS_LANE, RIDES
from cloudctl.schema import Hazard, ObjectClass, SignalState
from cloudctl.signals.colours import IS_CLOSED, IS_GREEN, IS_RED
from cloudctl.signals.states import NEVER
from cloudctl.world import World


def movements(world: World) -> list[dict[int, float]]:
    """Return the chance of each movement, by track."""
    code, out = world.code, []
    for i, (connection, lane) in enumerate(zip(world.connection.tolist(), world.path.tolist(), strict=True)):
        if connection >= 0:
            out.append({connection: 1.0})
            continue
        weights = {}
        if 0 <= lane < code.n_lanes and world.to_stop[i] > -1.0:
            for k in range(code.n_conns):
                if code.conn_inner[k] and code.conn_from[k] == lane:
                    fastest = sqrt(code.conn_speed[k] ** 2 + 2 * prediction.EASY_BRAKING * max(world.to_stop[i], 0.0))
                    over = max(world.speed[i] - fastest, 0.0) / prediction.SPEED_SPREAD
                    weights[k] = float(world.share[k] * np.exp(-0.5 * over**2))
        total = sum(weights.values())
        out.append({k: w / total for k, w in weights.items() if total and w / total >= prediction.MIN_CHANCE})
    return out


def way(world: World, i: int) -> list[tuple[int, float]]:
    """Return (path, m from the beginning of the track's own path) along its way, as far as it is known."""
    code, path = world.code, int(world.path[i])
    chances = movements(world)[i]
    best = max(chances, key=lambda k: (chances[k], -k)) if chances else -1
    out, base = [], 0.0
    while path >= 0 and len(out) < 20:
        out.append((path, base))
        base += float(code.path_length[path])
        lane = int(code.conn_from[path - code.n_lanes]) if path >= code.n_lanes else path
        joints = [k for k in range(code.n_conns) if code.conn_from[k] == lane and not code.conn_inner[k]]
        known = [k for k in joints if len(joints) == 1 or (best >= 0 and code.conn_to[k] == code.conn_from[best])]
        if path >= code.n_lanes:
            k = path - code.n_lanes
            path = -1 if k in joints and k not in known else int(code.conn_to[k])
        elif best >= 0 and code.conn_from[best] == path:
            path = code.n_lanes + best
        else:
            path = code.n_lanes + known[0] if known else -1
    return out


def leader(world: World, i: int, reach: float) -> tuple[int, float]:
    """Return who is next on a track's way, and m between the two; (-1, inf) where nobody is. Of two at one place the
    later row is ahead.
    """
    found = (inf, -1)
    for path, base in way(world, i):
        if base - world.s[i] >= reach:
            break
        for j in np.flatnonzero(world.path == path).tolist():
            ahead = base + world.s[j] - world.s[i]
            behind = base == 0.0 and (ahead, j) <= (0.0, i)
            if j != i and not behind and (ahead, j) < found:
                found = (ahead, j)
        if found[1] >= 0:
            break
    gap = found[0] - 0.5 * float(world.tracks["length"][i] + world.tracks["length"][found[1]])
    return (found[1], max(gap, 0.0)) if found[1] >= 0 and gap < reach else (-1, inf)


def held_up(world: World, reach: float, free: set[int]) -> set[int]:
    """Return who is next before one of `free` on its way, close enough to hold it up, or next before one that does."""
    found: set[int] = set()
    for i in free:
        ahead, gap = leader(world, i, reach)
        while ahead >= 0 and gap < following.CLOSE_GAP + following.CLOSE_HEADWAY * max(float(world.speed[i]), 0.0):
            found.add(ahead)
            i = ahead
            ahead, gap = leader(world, i, reach)
            if ahead in found:
                break
    return found


def passes(world: World) -> list[tuple[float, bool, int]]:
    """Return (s until it passes its stop line, whether in the green that shows, how many are behind it) by track that
    comes to one.
    """
    code, signals, out = world.code, world.signals, [(inf, False, 0)] * len(world.tracks)
    lanes: dict[int, list[int]] = {}
    for i in range(len(world.tracks)):
        if world.path[i] >= 0 and world.to_stop[i] > -0.5:
            lane = int(code.conn_from[world.connection[i]]) if world.connection[i] >= 0 else int(world.path[i])
            if lane < code.n_lanes:
                lanes.setdefault(lane, []).append(i)
    for lane, rows in lanes.items():
        before = soonest = -UNKNOWN_TIME
        for place, i in enumerate(sorted(rows, key=lambda i: world.to_stop[i])):
            limit = max(float(code.lane_speed[lane]), 1.0)
            alone = earliest(max(world.to_stop[i], 0.0), max(world.speed[i], 0.0), limit)
            arrive, soonest = max(alone, before + SATURATION_HEADWAY), max(alone, soonest + MIN_HEADWAY)
            group = int(code.conn_group[world.connection[i]]) if world.connection[i] >= 0 else -1
            if world.connection[i] < 0:
                mine = [
                    int(code.conn_group[k])
                    for k in range(code.n_conns)
                    if code.conn_from[k] == lane and code.conn_group[k] >= 0
                ]
                group = mine[0] if mine else -1
            now = doubt = False
            if group < 0:
                now = True
            else:
                green = bool(IS_GREEN[signals.state[group]])
                left = (
                    max((signals.min_end[group] - world.t) / 1e9, 0.0)
                    if green and signals.min_end[group] < NEVER
                    else 0.0
                )
                known = [signals.next_green[group], signals.max_end[group] if IS_RED[signals.state[group]] else NEVER]
                known = [opens for opens in known if opens != NEVER]
                start = max((max(known) - world.t) / 1e9, 0.0) if known else UNKNOWN_TIME
                now = green and max(arrive, world.to_stop[i] / limit) <= left - GREEN_END_MARGIN
                doubt = not now and green and soonest <= left + YELLOW_ALLOWANCE
                if not now and not doubt:
                    arrive = max(arrive, start + STARTUP_LOST_TIME) if start < UNKNOWN_TIME else UNKNOWN_TIME
                    lasts = (
                        UNKNOWN_TIME if signals.next_duration[group] == NEVER else signals.next_duration[group] / 1e9
                    )
                    if start < UNKNOWN_TIME and lasts < UNKNOWN_TIME and arrive > start + lasts - GREEN_END_MARGIN:
                        arrive = UNKNOWN_TIME
            out[i], before = (arrive, now, len(rows) - 1 - place), arrive
    return out


def meetings(world: World) -> dict[tuple[int, int, float], float]:
    """Return the chance of meeting by (track, track, TTC to a ms), of every pair of tracks at every conflict of their
    movements.
    """
    code, chances, out = world.code, movements(world), {}
    standing: list[dict[int, float]] = []
    for i in range(len(world.tracks)):
        inside, at = world.path[i] >= code.n_lanes, {}
        for k in chances[i] if RIDES[world.tracks["class"][i]] else ():
            if inside and world.to_stop[i] < 0.0:
                at[k] = float(world.s[i])
            elif 0.0 < world.to_stop[i] < collision.APPROACH_RANGE:
                closed = code.conn_group[k] >= 0 and IS_CLOSED[world.signals.state[code.conn_group[k]]]
                if inside or not closed:
                    at[k] = -float(world.to_stop[i]) - 0.5 * float(world.tracks["length"][i])
        standing.append(at)

    def window(i: int, far: float, own: int) -> tuple[float, float, float]:
        speed, length, track = max(float(world.speed[i]), 0.0), float(world.tracks["length"][i]), world.tracks[i]
        enter, leave = (
            prediction.arrival(d, speed, float(world.accel[i]), float(code.conn_speed[own]))
            for d in (far, far + length)
        )
        position, velocity = (
            0.5 * float(track["var_x"] + track["var_y"]),
            0.5 * float(track["var_vx"] + track["var_vy"]),
        )
        variance = prediction.position_variance(
            position, velocity, float(prediction.SIGMA_A[track["class"]]), max(enter, 0.0)
        )
        return enter, leave, sqrt(variance) / max(float(world.speed[i]), prediction.MIN_SPEED)

    def aims(i: int, own: int, s: float) -> bool:
        if FOLLOWS_LANE[world.tracks["class"][i]]:
            return True
        a, b = code.path_start[code.n_lanes + own], code.path_start[code.n_lanes + own + 1]
        x, y = (float(np.interp(s, code.path_s[a:b], code.path_xy[a:b, n])) for n in (0, 1))
        track = world.tracks[i]
        across = np.array([-track["vy"], track["vx"]], float)
        return abs(np.dot(across, [x - track["x"], y - track["y"]])) < collision.MAX_MISS * float(np.hypot(*across))

    for a in range(len(world.tracks)):
        for b in range(len(world.tracks)):
            for own, at_a in standing[a].items():
                for c in range(code.conf_start[own], code.conf_start[own + 1]):
                    other = int(code.conf_other[c])
                    if (
                        not (aims(a, own, float(code.conf_s[c])) and aims(b, own, float(code.conf_s[c])))
                        or a == b
                        or other < own
                        or other not in standing[b]
                        or code.conf_type[c] == prediction.DIVERGE
                    ):
                        continue
                    first = window(a, float(code.conf_s[c]) - at_a - 0.5 * float(world.tracks["length"][a]), own)
                    second = window(
                        b,
                        float(code.conf_s_other[c]) - standing[b][other] - 0.5 * float(world.tracks["length"][b]),
                        other,
                    )
                    ttc = max(first[0], second[0])
                    pet = ttc - min(first[1], second[1])
                    if first[1] > 0.0 and second[1] > 0.0 and ttc < collision.MAX_TTC:
                        sigma = max(sqrt(first[2] ** 2 + second[2] ** 2), 1e-3)
                        meets = 0.5 + 0.5 * erf((collision.MAX_PET - pet) / (sqrt(2.0) * sigma))
                        out[a, b, round(max(ttc, 0.0), 3)] = meets * chances[a][own] * chances[b][other]
    return {key: chance for key, chance in out.items() if chance >= collision.MIN_CHANCE}


def along(world: World, i: int, t: float) -> np.ndarray | None:
    """Return x, y where a road user on a lane will be in `t` s: a vehicle along it, others straight on; None where the
    way ends before.
    """
    code, track = world.code, world.tracks[i]
    if not FOLLOWS_LANE[track["class"]]:
        return np.array([track["x"] + track["vx"] * t, track["y"] + track["vy"] * t])
    s = float(world.s[i]) + prediction.distance_covered(max(float(world.speed[i]), 0.0), float(world.accel[i]), t)
    for path, base in way(world, i):
        if s - base <= code.path_length[path]:
            a, b = code.path_start[path], code.path_start[path + 1]
            k = max(n for n, (low, _) in enumerate(pairwise(code.path_s[a:b])) if low <= s - base or n == 0)
            k = min(k, b - a - 2)
            low, high = code.path_s[a + k], code.path_s[a + k + 1]
            share = (s - base - low) / max(high - low, 1e-9)
            return code.path_xy[a + k] + share * (code.path_xy[a + k + 1] - code.path_xy[a + k])
    return None


def below(value: float, limit: float, sigma: float) -> float:
    return 0.5 + 0.5 * erf((limit - value) / (sqrt(2.0) * max(sigma, 1e-3)))


def crossings(world: World) -> dict[tuple[int, int, float], float]:
    """Return the chance of meeting by (connected vehicle, walker, TTC to a ms), of every walker at every crosswalk on
    the vehicle's way.
    """
    code, out = world.code, {}
    walkers = [
        j for j in range(len(world.tracks)) if world.tracks["class"][j] in (ObjectClass.PEDESTRIAN, ObjectClass.BICYCLE)
    ]
    for k, i in enumerate(world.rows.tolist()):
        c, speed, length = int(world.connection[i]), float(world.speed[i]), float(world.tracks["length"][i])
        if c < 0 or speed < pedestrian.MIN_SPEED or not world.to_stop[i] < pedestrian.APPROACH_RANGE:
            continue
        front = (
            float(world.s[i]) if world.path[i] >= code.n_lanes else -float(world.to_stop[i]) - 0.5 * length
        ) + 0.5 * length
        for w in range(code.cw_start[c], code.cw_start[c + 1]):
            cross, middle = int(code.cw_cross[w]), 0.5 * float(code.cw_s_in[w] + code.cw_s_out[w])
            reach = 0.5 * float(code.cw_s_out[w] - code.cw_s_in[w]) + pedestrian.BESIDE
            near = (
                prediction.arrival(float(code.cw_s_in[w]) - front, speed, float(world.accel[i])) <= pedestrian.MAX_TTC
            )
            if not near or code.cw_s_out[w] - front + length < 0.0:
                continue
            place, way = straight(world, code.n_lanes + c, middle)
            for j in walkers:
                found = None if j == i or waits(world, j, cross) else crosses(world.tracks[j], place, way, reach)
                if found is None:
                    continue
                come, gone, behind, sure, sigma = found
                far = middle + behind - front
                enter, leave = (prediction.arrival(d, speed, float(world.accel[i])) for d in (far, far + length))
                ttc = max(enter, come, 0.0)
                if far > 0.0 and ttc < pedestrian.MAX_TTC:
                    apart = max(enter, come) - min(leave, gone)
                    own = own_sigma(world, i, max(enter, 0.0)) / speed
                    chance = sure * below(apart, pedestrian.MAX_PET, sqrt(own**2 + sigma**2))
                    out[k, j, round(ttc, 3)] = max(chance, out.get((k, j, round(ttc, 3)), 0.0))
    return {key: chance for key, chance in out.items() if chance >= pedestrian.MIN_CHANCE}


def straight(world: World, path: int, s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the point `s` m along a path, and the direction there; beyond its ends it goes straight on."""
    code = world.code
    a, b = code.path_start[path], code.path_start[path + 1]
    k = min(max(int(np.searchsorted(code.path_s[a:b], s)) - 1, 0), b - a - 2) + a
    way = (code.path_xy[k + 1] - code.path_xy[k]) / (code.path_s[k + 1] - code.path_s[k])
    return code.path_xy[k] + way * (s - code.path_s[k]), way


def waits(world: World, j: int, cross: int) -> bool:
    """Return whether a walker stands beside the road before a red."""
    group = int(world.code.cross_group[cross])
    if group < 0 or not IS_RED[world.signals.state[group]]:
        return False
    begin, end = world.code.cross_axis[cross].reshape(2, 2)
    along = np.dot([world.tracks["x"][j] - begin[0], world.tracks["y"][j] - begin[1]], end - begin) / np.dot(
        end - begin, end - begin
    )
    return not 0.0 <= along <= 1.0


def own_sigma(world: World, i: int, t: float) -> float:
    track = world.tracks[i]
    position, velocity = 0.5 * float(track["var_x"] + track["var_y"]), 0.5 * float(track["var_vx"] + track["var_vy"])
    return sqrt(prediction.position_variance(position, velocity, float(prediction.SIGMA_A[1]), t))


def crosses(
    track: np.void, place: np.ndarray, way: np.ndarray, reach: float
) -> tuple[float, float, float, float, float] | None:
    """Return when a walker comes to a vehicle's path and leaves it, how far along it, the chance of that and its
    deviation; None: never.
    """
    at, velocity = np.array([track["x"], track["y"]]) - place, np.array([track["vx"], track["vy"]], float)
    pace, normal = float(np.hypot(*velocity)), np.array([-way[1], way[0]])
    off, along, across = float(at @ normal), float(at @ way), float(velocity @ normal)
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
    t, behind = np.linalg.solve(np.column_stack([velocity, -way]), -at)
    if not 0.0 < t < pedestrian.HORIZON:
        return None
    sigma = sqrt(
        prediction.position_variance(variance, variance_v, float(prediction.SIGMA_A[track["class"]]), float(t))
    )
    wide = pedestrian.HALF_WIDTH / abs(across)
    return float(t) - wide, float(t) + wide, float(behind), below(abs(float(behind)), reach, sigma), sigma / abs(across)


def concerned(world: World, violators: list[int], behind: Mapping[int, tuple[float, int]]) -> dict[int, float]:
    """Return by connected track, and not a violator itself, its chance to conflict with the likeliest of `violators`;
    `behind`: (gap, leader) of each track.
    """
    code, chances, out = world.code, movements(world), {}

    def arrives(i: int, own: int, far: float) -> float:
        speed, top, line = max(float(world.speed[i]), 0.0), float(code.conn_speed[own]), float(world.to_stop[i])
        if code.conn_turn[own] == crossing.STRAIGHT or speed <= top or far <= 0.0:
            return prediction.arrival(far, speed, float(world.accel[i]), top)
        return min(far, max(line, 0.0)) * 2.0 / (speed + top) + max(far - max(line, 0.0), 0.0) / top

    def deviation(i: int, t: float) -> float:
        track = world.tracks[i]
        position, velocity = (
            0.5 * float(track["var_x"] + track["var_y"]),
            0.5 * float(track["var_vx"] + track["var_vy"]),
        )
        variance = prediction.position_variance(
            position, velocity, float(prediction.SIGMA_A[track["class"]]), max(t, 0.0)
        )
        return sqrt(variance) / max(float(world.speed[i]), prediction.MIN_SPEED)

    def meets(v: int, v_conn: int, r: int, r_conn: int) -> float:
        best = 0.0
        for c in range(code.conf_start[v_conn], code.conf_start[v_conn + 1]):
            if code.conf_other[c] != r_conn or code.conf_type[c] == prediction.DIVERGE:
                continue
            v_far, r_far = float(world.to_stop[v] + code.conf_s[c]), float(world.to_stop[r] + code.conf_s_other[c])
            v_in, v_out = (arrives(v, v_conn, v_far + n * float(world.tracks["length"][v])) for n in (0, 1))
            r_in, r_out = (arrives(r, r_conn, r_far + n * float(world.tracks["length"][r])) for n in (0, 1))
            place = max(r_far - collision.CLEARANCE, 0.5)
            brakes = -world.accel[r] > max(BRAKING_SHARE * world.speed[r] ** 2 / (2.0 * place), crossing.MIN_BRAKING)
            gap, ahead = behind[r]
            held = (ahead >= 0 and gap < place and world.speed[ahead] < collision.STANDING_SPEED) or (
                world.speed[r] < collision.STANDING_SPEED and world.accel[r] < collision.STARTING_ACCELERATION
            )
            if v_out <= 0.0 or r_in < crossing.MIN_TIME or max(v_in, r_in) > crossing.HORIZON or brakes or held:
                continue
            apart = crossing.MAX_PET_FIRST if r_in < v_in else crossing.MAX_PET
            sigma = max(hypot(deviation(v, v_in), deviation(r, r_in)), 1e-3)
            best = max(best, 0.5 + 0.5 * erf((apart - max(v_in, r_in) + min(v_out, r_out)) / (sqrt(2.0) * sigma)))
        return best

    for r in world.rows.tolist():
        if r in violators or world.speed[r] < crossing.MIN_SPEED:
            continue
        for v in violators:
            likely = 0.0
            for v_conn, v_chance in chances[v].items():
                for r_conn, r_chance in chances[r].items():
                    group = code.conn_group[r_conn]
                    held = (
                        world.to_stop[r] > 0.0
                        and group >= 0
                        and world.signals.state[group] in (SignalState.RED, SignalState.RED_FLASH)
                    )
                    if not held and (group < 0 or group != code.conn_group[v_conn]):
                        likely += meets(v, v_conn, r, r_conn) * v_chance * r_chance
            if likely >= crossing.MIN_CHANCE:
                out[r] = max(out.get(r, 0.0), likely)
    return out


def ahead_of(world: World, row: int, path: int, s: float) -> float | None:
    """Return m from a track's front to a place on its way; None where its way does not lead there."""
    code, own, turn = world.code, int(world.path[row]), int(world.connection[row])
    if path == own:
        return float(s - world.s[row] - 0.5 * world.tracks["length"][row])
    line = float(world.to_stop[row])
    if turn >= 0 and path == code.conn_from[turn]:
        stop = float(code.lane_stop_s[path])
        return line + s - (float(code.path_length[path]) if stop != stop else stop)
    if turn >= 0 and path == code.n_lanes + turn:
        return line + s
    if turn >= 0 and path == code.conn_to[turn]:
        return line + float(code.path_length[code.n_lanes + turn]) + s
    return None


def nearest_hazards(world: World) -> dict[str, tuple[Hazard, float]]:
    """Return of what each connected vehicle is to be warned, and how far that is (m): the highest priority, then the
    nearest.
    """
    out: dict[str, tuple[Hazard, float]] = {}
    for vehicle, row in zip(world.vehicles, world.rows.tolist(), strict=True):
        choices = []
        for number, hazard in enumerate(world.hazards):
            for path, low, high in covered(world.code, hazard).stretches.tolist():
                begin, end = ahead_of(world, row, path, low), ahead_of(world, row, path, high)
                if begin is None or end is None or begin >= RANGE:
                    continue
                if begin <= 0.0 and end + float(world.tracks["length"][row]) <= 0.0:
                    continue
                choices.append((-hazard.priority, max(begin, 0.0), number))
        if choices:
            _, ahead, number = min(choices)
            out[vehicle.id] = world.hazards[number], ahead
    return out
