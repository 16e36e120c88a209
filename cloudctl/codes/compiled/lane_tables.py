"""What lane matching and stop-line forecasts read of a code beside its own arrays: costs of its paths, and where its
lanes lead."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .code import CompiledCode

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# cost of a lane by its use: vehicles, bicycles, pedestrians, buses, trams
USE_PENALTY = np.array([0.0, 0.5, 2.0, 0.2, 1.0])
CONNECTION_PENALTY = 0.1  # cost of a connection: where it overlaps a lane, the lane is the better guess


class LaneTables(NamedTuple):
    """Tables by path, lane and movement."""

    width: Floats  # m, of each path; a connection has its lane's
    use_penalty: Floats  # of each path
    only: Ints  # of each lane: the one connection it leads to, -1 when there are several or none
    # int64[n_lanes, n_conns]: the connection that lane leads to which makes the same turn; itself where there is none
    turns: Ints
    stop: Floats  # m along each lane to where it ends for a vehicle: its stop line, else its end
    group: Ints  # of each lane: the signal group of its first movement, -1 none


def lane_tables(code: "CompiledCode") -> LaneTables:
    """Return the tables of a code."""
    lane_of_path = np.concatenate([np.arange(code.n_lanes), code.conn_from]).astype(np.int64)
    is_connection = np.arange(len(lane_of_path)) >= code.n_lanes
    penalty = USE_PENALTY[code.lane_use[lane_of_path]] + np.where(is_connection, CONNECTION_PENALTY, 0.0)
    movements = [_movements_of(code, lane) for lane in range(code.n_lanes)]

    # The connections that make the same turn from the same road, by lane.
    turns = np.tile(np.arange(code.n_conns), (code.n_lanes, 1))
    from_link, to_link = code.lane_link[code.conn_from], code.lane_link[code.conn_to]
    for lane, connections in enumerate(movements):
        for k in reversed(connections):
            turns[lane, (from_link == from_link[k]) & (to_link == to_link[k])] = k
        turns[lane, connections] = connections

    # The signal group of each lane's first movement that has one: written last to first.
    group = np.full(code.n_lanes, -1, np.int64)
    signalled = np.flatnonzero(code.conn_group >= 0)[::-1]
    group[code.conn_from[signalled]] = code.conn_group[signalled]

    return LaneTables(
        width=np.maximum(code.lane_width[lane_of_path], 1.0),
        use_penalty=penalty,
        only=np.array([found[0] if len(found) == 1 else -1 for found in movements], np.int64),
        turns=turns,
        stop=np.where(np.isnan(code.lane_stop_s), code.path_length[: code.n_lanes], code.lane_stop_s),
        group=group,
    )


def _movements_of(code: "CompiledCode", lane: int) -> list[int]:
    """Return the connections through the intersection that a lane leads to, over the joints of its road."""
    movements, visited, queue = [], set[int](), [lane]
    while queue:
        here = queue.pop(0)
        if here in visited:
            continue
        visited.add(here)
        for k in np.flatnonzero(code.conn_from == here).tolist():
            if code.conn_inner[k]:
                movements.append(k)
            else:
                queue.append(int(code.conn_to[k]))
    return movements
