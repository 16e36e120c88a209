"""Movements, ways, leaders and stop-line forecasts once more, plainly: every pair, every path, no tables, no order of
work.

The compiled kernels must agree with these.
"""

from itertools import pairwise
from math import inf, sqrt

import numpy as np

from cloudctl.driving import MIN_HEADWAY, SATURATION_HEADWAY, STARTUP_LOST_TIME
from cloudctl.forecast import following, prediction
from cloudctl.forecast.stop_line import GREEN_END_MARGIN, UNKNOWN_TIME, YELLOW_ALLOWANCE, earliest
from cloudctl.road_users import FOLLOWS_LANE
from cloudctl.signals.colours import IS_GREEN, IS_RED
from cloudctl.signals.states import NEVER
from cloudctl.world import World


def movements(world: World) -> list[dict[int, float]]:
    """Return the chance of each movement, by track."""
    code, chances = world.code, []
    for index, (connection, lane) in enumerate(zip(world.connection.tolist(), world.path.tolist(), strict=True)):
        if connection >= 0:
            chances.append({connection: 1.0})
            continue

        weights = {}
        if 0 <= lane < code.n_lanes and world.to_stop[index] > -1.0:
            for k in range(code.n_conns):
                if code.conn_inner[k] and code.conn_from[k] == lane:
                    fastest = sqrt(
                        code.conn_speed[k] ** 2 + 2 * prediction.EASY_BRAKING * max(world.to_stop[index], 0.0)
                    )
                    over = max(world.speed[index] - fastest, 0.0) / prediction.SPEED_SPREAD
                    weights[k] = float(world.share[k] * np.exp(-0.5 * over**2))

        total = sum(weights.values())
        chances.append(
            {k: weight / total for k, weight in weights.items() if total and weight / total >= prediction.MIN_CHANCE}
        )

    return chances


def way(world: World, row: int) -> list[tuple[int, float]]:
    """Return (path, m from the beginning of the track's own path) along its way, as far as it is known."""
    code, path = world.code, int(world.path[row])
    chances = movements(world)[row]
    best = max(chances, key=lambda connection: (chances[connection], -connection)) if chances else -1

    known_way, base = [], 0.0
    while path >= 0 and len(known_way) < 20:
        known_way.append((path, base))
        base += float(code.path_length[path])
        lane = int(code.conn_from[path - code.n_lanes]) if path >= code.n_lanes else path
        joint_connections = [
            connection
            for connection in range(code.n_conns)
            if code.conn_from[connection] == lane and not code.conn_inner[connection]
        ]
        known = [
            connection
            for connection in joint_connections
            if len(joint_connections) == 1 or (best >= 0 and code.conn_to[connection] == code.conn_from[best])
        ]

        if path >= code.n_lanes:
            connection = path - code.n_lanes
            path = -1 if connection in joint_connections and connection not in known else int(code.conn_to[connection])
        elif best >= 0 and code.conn_from[best] == path:
            path = code.n_lanes + best
        else:
            path = code.n_lanes + known[0] if known else -1

    return known_way


def leader(world: World, row: int, reach: float) -> tuple[int, float]:
    """Return the road user that is next on a track's way, and m between the two; (-1, inf) where there is none. Of two
    at one place the later row is ahead.
    """
    nearest = (inf, -1)
    for path, base in way(world, row):
        if base - world.s[row] >= reach:
            break

        for index in np.flatnonzero(world.path == path).tolist():
            ahead = base + world.s[index] - world.s[row]
            behind = base == 0.0 and (ahead, index) <= (0.0, row)
            if index != row and not behind and (ahead, index) < nearest:
                nearest = (ahead, index)

        if nearest[1] >= 0:
            break

    gap = nearest[0] - 0.5 * float(world.tracks["length"][row] + world.tracks["length"][nearest[1]])
    return (nearest[1], max(gap, 0.0)) if nearest[1] >= 0 and gap < reach else (-1, inf)


def held_up(world: World, reach: float, free: set[int]) -> set[int]:
    """Return the road users that are next before one of `free` on its way, close enough to hold it up, or next before
    one that does."""
    holding: set[int] = set()
    for row in free:
        ahead, gap = leader(world, row, reach)
        while ahead >= 0 and gap < following.CLOSE_GAP + following.CLOSE_HEADWAY * max(float(world.speed[row]), 0.0):
            holding.add(ahead)
            row = ahead
            ahead, gap = leader(world, row, reach)
            if ahead in holding:
                break

    return holding


def passes(world: World) -> list[tuple[float, bool, int]]:
    """Return (s until it passes its stop line, whether in the green that shows, how many are behind it) by track that
    comes to one.
    """
    code, signals, forecasts = world.code, world.signals, [(inf, False, 0)] * len(world.tracks)
    lanes: dict[int, list[int]] = {}

    for row in range(len(world.tracks)):
        if world.path[row] >= 0 and world.to_stop[row] > -0.5:
            lane = int(code.conn_from[world.connection[row]]) if world.connection[row] >= 0 else int(world.path[row])
            if lane < code.n_lanes:
                lanes.setdefault(lane, []).append(row)

    for lane, rows in lanes.items():
        before = soonest = -UNKNOWN_TIME
        for queue_place, row in enumerate(sorted(rows, key=lambda row: world.to_stop[row])):
            limit = max(float(code.lane_speed[lane]), 1.0)
            alone = earliest(max(world.to_stop[row], 0.0), max(world.speed[row], 0.0), limit)
            arrive, soonest = max(alone, before + SATURATION_HEADWAY), max(alone, soonest + MIN_HEADWAY)
            group = int(code.conn_group[world.connection[row]]) if world.connection[row] >= 0 else -1

            if world.connection[row] < 0:
                mine = [
                    int(code.conn_group[index])
                    for index in range(code.n_conns)
                    if code.conn_from[index] == lane and code.conn_group[index] >= 0
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
                now = green and max(arrive, world.to_stop[row] / limit) <= left - GREEN_END_MARGIN

                doubt = not now and green and soonest <= left + YELLOW_ALLOWANCE
                if not now and not doubt:
                    arrive = max(arrive, start + STARTUP_LOST_TIME) if start < UNKNOWN_TIME else UNKNOWN_TIME
                    lasts = (
                        UNKNOWN_TIME if signals.next_duration[group] == NEVER else signals.next_duration[group] / 1e9
                    )
                    if start < UNKNOWN_TIME and lasts < UNKNOWN_TIME and arrive > start + lasts - GREEN_END_MARGIN:
                        arrive = UNKNOWN_TIME

            forecasts[row], before = (arrive, now, len(rows) - 1 - queue_place), arrive

    return forecasts


def along(world: World, row: int, seconds: float) -> np.ndarray | None:
    """Return x, y where a road user on a lane will be in `t` s: a vehicle along it, others straight on; None where the
    way ends before.
    """
    code, track = world.code, world.tracks[row]
    if not FOLLOWS_LANE[track["class"]]:
        return np.array([track["x"] + track["vx"] * seconds, track["y"] + track["vy"] * seconds])

    s = float(world.s[row]) + prediction.distance_covered(
        max(float(world.speed[row]), 0.0), float(world.accel[row]), seconds
    )
    for path, base in way(world, row):
        if s - base <= code.path_length[path]:
            first, second = code.path_start[path], code.path_start[path + 1]
            piece = max(
                index
                for index, (low, _) in enumerate(pairwise(code.path_s[first:second]))
                if low <= s - base or index == 0
            )
            piece = min(piece, second - first - 2)
            low, high = code.path_s[first + piece], code.path_s[first + piece + 1]
            share = (s - base - low) / max(high - low, 1e-9)
            return code.path_xy[first + piece] + share * (code.path_xy[first + piece + 1] - code.path_xy[first + piece])

    return None
