"""Which road user each track follows: the next one ahead on its way (lane, likely movement, exit lane). Computed once
per plan, for all advisory kinds."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..codes.compiled.arrays import lanes_at, links_at, moves_at, paths_at
from ..kernels import njit
from ..matching import Floats, Ints
from ..world import Users, World
from .prediction import Prediction, next_path

MAX_GAP = 150.0  # m; a leader further ahead is none
CLOSE_GAP = 10.0  # m, and
CLOSE_HEADWAY = 2.0  # s at its own speed: a follower within both together is close


class Following(NamedTuple):
    """The leader of each track, one row per track."""

    leader: Ints  # row of the road user ahead, -1 where none is within MAX_GAP
    # m from the front to the rear of the leader; inf where there is none; never negative
    gap: Floats


@njit(cache=True)
def _follow(
    path: Any, s: Any, length: Any, movement: Any, order: Any, n_lanes: int, n_paths: int, path_length: Any, conn_from:
    Any, conn_to: Any, joint_start: Any, joint: Any, leader: Any, gap: Any,
) -> None:  # fmt: skip
    """Fill in `leader` and `gap`; `order`: the rows by path and by distance along it."""
    last_on_path = np.full(n_paths, -1, np.int64)  # the road user furthest back
    for index in range(len(order) - 1, -1, -1):
        if path[order[index]] >= 0:
            last_on_path[path[order[index]]] = order[index]

    for index in range(len(order)):
        user = order[index]
        lane = path[user]
        if lane < 0:
            continue

        # The next one on the same path, else the last one on a path further on.
        ahead, path_begin = -1, 0.0
        if index + 1 < len(order) and path[order[index + 1]] == lane:
            ahead = order[index + 1]
        else:
            while ahead < 0 and path_begin - s[user] < MAX_GAP:
                path_begin += path_length[lane]
                lane = next_path(lane, movement[user, 0], n_lanes, conn_from, conn_to, joint_start, joint)
                if lane < 0:
                    break
                ahead = last_on_path[lane]

        if ahead >= 0 and ahead != user:
            free = path_begin + s[ahead] - s[user] - 0.5 * (length[user] + length[ahead])
            if free < MAX_GAP:
                leader[user], gap[user] = ahead, max(free, 0.0)


@njit(cache=True, inline="always")
def follow_in(users: Users, prediction: Prediction, code: Any) -> Following:
    """Return the leader of every road user of an intersection: `follow`, compiled."""
    paths, lanes, moves, links = paths_at(code), lanes_at(code), moves_at(code), links_at(code)
    count, n_lanes = len(users.path), len(lanes.speed)
    following = Following(np.full(count, -1, np.int64), np.full(count, np.inf))
    by_distance = np.argsort(users.s, kind="mergesort")
    order = by_distance[np.argsort(users.path[by_distance], kind="mergesort")]

    _follow(
        users.path, users.s, users.tracks["length"], prediction.movement, order, n_lanes, len(paths.length),
        paths.length, moves.origin, moves.exit, links.joint_start, links.joint,
        following.leader, following.gap,
    )  # fmt: skip

    return following


def follow(world: World, prediction: Prediction) -> Following:
    """Return the leader of every track; O(n log n)."""
    code, count = world.code, len(world.tracks)
    following = Following(leader=np.full(count, -1, np.int64), gap=np.full(count, np.inf))
    if not count:
        return following

    order, links = np.lexsort((world.s, world.path)), code.lane_links
    _follow(
        world.path, world.s, world.tracks["length"], prediction.movement, order, code.n_lanes, code.n_lanes +
        code.n_conns, code.path_length, code.conn_from, code.conn_to, links.joint_start, links.joint, following.leader,
        following.gap,
    )  # fmt: skip

    return following


@njit(cache=True)
def mark_holding_up(leader: Any, gap: Any, speed: Any, is_free: Any, marked: Any) -> None:
    """Mark the road users that hold up one of `is_free`, and those that hold up these."""
    for index in range(len(leader)):
        follower = index
        while (
            is_free[index]
            and leader[follower] >= 0
            and gap[follower] < CLOSE_GAP + CLOSE_HEADWAY * max(speed[follower], 0.0)
        ):
            follower = leader[follower]
            if marked[follower]:
                break  # so are those ahead of it
            marked[follower] = True


def holding_up(world: World, following: Following, is_free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which tracks would hold up a free one by going slowly: it follows closely, or follows one closely that
    does. bool[n].

    `is_free`: bool[n], the tracks that nothing but their leaders holds up.
    """
    marked = np.zeros(len(world.tracks), np.bool_)
    mark_holding_up(following.leader, following.gap, world.speed, is_free, marked)
    return marked
