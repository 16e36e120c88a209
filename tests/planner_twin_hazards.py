"""Hazards on a vehicle's way once more, plainly: every pair, every path, no tables, no order of work.

The compiled kernels must agree with these.
"""

from cloudctl.lane_stretches import covered
from cloudctl.planner.kinds.hazard import RANGE
from cloudctl.schema import Hazard
from cloudctl.world import World


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
