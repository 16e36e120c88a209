"""Where each lane leads: the movements through the intersection, and the joints of the road before it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..model import TURNS

I4 = NDArray[np.int32]
I8 = NDArray[np.int64]
U1 = NDArray[np.uint8]
Flags = NDArray[np.bool_]


class LaneLinks(NamedTuple):
    """The connections that begin on each lane, in CSR form: `start` and `joint_start` are int64[n_lanes + 1]."""

    start: I8
    movement: I8  # connections through the intersection
    joint_start: I8
    joint: I8  # connections of the road before it
    minor: Flags  # by lane: it gives way to another road before it comes to the stop line


def lane_links(n_lanes: int, conn_from: I4, conn_to: I4, conn_turn: U1, conn_inner: Flags) -> LaneLinks:
    """Return where the lanes of a compiled code lead, of the arrays that `CompiledCode` has by these names."""
    start, movement = _by_lane(n_lanes, conn_from, conn_inner)
    joint_start, joint = _by_lane(n_lanes, conn_from, ~conn_inner)
    return LaneLinks(
        start=start,
        movement=movement,
        joint_start=joint_start,
        joint=joint,
        minor=_minor_lanes(n_lanes, conn_from, conn_to, conn_turn, conn_inner),
    )


def _by_lane(n_lanes: int, conn_from: I4, is_listed: Flags) -> tuple[I8, I8]:
    """Return where each lane's connections begin in a list, and the list: those that `is_listed` marks."""
    connections = np.flatnonzero(is_listed)
    order = connections[np.argsort(conn_from[connections], kind="stable")]
    counts = np.bincount(conn_from[order], minlength=n_lanes)
    return np.cumsum([0, *counts]).astype(np.int64), order.astype(np.int64)


def _minor_lanes(n_lanes: int, conn_from: I4, conn_to: I4, conn_turn: U1, conn_inner: Flags) -> Flags:
    """Return which lanes lead, over joints alone, to one where they turn into a road that other lanes come straight
    along."""
    # By lane: the lanes its joints lead to, and whether straight on.
    joints: dict[int, list[tuple[int, bool]]] = {}
    for k in np.flatnonzero(~conn_inner).tolist():
        is_straight = TURNS[conn_turn[k]] == "straight"
        joints.setdefault(int(conn_from[k]), []).append((int(conn_to[k]), is_straight))
    through_lanes = {lane for leads in joints.values() for lane, is_straight in leads if is_straight}

    # A lane is minor when each of its joints turns into a through lane, or leads to a minor lane: repeated until none
    # is added.
    minor, count = set[int](), -1
    while count < len(minor):
        count = len(minor)
        minor |= {
            lane
            for lane, leads in joints.items()
            if all(to in minor or (not is_straight and to in through_lanes) for to, is_straight in leads)
        }
    return np.isin(np.arange(n_lanes), list(minor))
