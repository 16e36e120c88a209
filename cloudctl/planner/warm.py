"""Loads every compiled kernel before the first message, so that no message pays for it."""

import numpy as np

from .. import world
from ..codes import CompiledCode
from ..forecast.prediction import point
from ..fusion import TRACK
from ..schema import Hazard, ObjectClass, SignalState, VehicleState
from ..signals.states import Doubt, Signals, believed
from . import plan

SPOTS = 3  # the beginning, the middle, and 8 m before the end
SHOWN = (SignalState.RED, SignalState.GREEN_PERMISSIVE, SignalState.DARK)


def warm(code: CompiledCode) -> None:
    """Match and plan for connected vehicles on every lane and movement, before every light, with something in the way on the first lane of each road;
    and for one of them alone, whose arrays numba takes for another kind."""
    tracks, reports = _everywhere(code)
    groups = len(code.group_ids)
    dark, soon = Signals.dark(groups), np.full(groups, 20_000_000_000)
    _, firsts = np.unique(code.lane_link, return_index=True)
    hazards = tuple(
        Hazard(1, "", "", "obstacle", 1, 1, 2, code.lane_ids[lane], (20.0, 21.0)) for lane in firsts.tolist()
    )
    before = None
    for turn in range(len(SHOWN)):
        shown = np.array([SHOWN[(k + turn) % len(SHOWN)] for k in range(groups)], np.uint8)
        signals = Signals(
            1,
            turn,
            code.code.revision,
            shown,
            soon,
            soon,
            soon,
            np.ones(groups),
            soon,
            dark.next_duration,
            seen=np.full(groups, turn + 1),
            overdue=dark.overdue,
        )
        believed(
            signals, turn + 1, {0: Doubt.NONE} if groups else None
        )  # the long way, for what is doubted or has failed
        before = world.build(turn + 1, code, tracks, signals, hazards, reports, 1, 1, before)
        plan(before)
        plan(world.build(turn + 1, code, tracks[:1], signals, hazards, reports, 1, 1, before))


def _everywhere(code: CompiledCode) -> tuple[np.ndarray, dict[int, world.Report]]:
    """Return vehicles (each fourth a pedestrian) in SPOTS places of every path, at 15 m/s along it: ndarray[TRACK]; and what they report."""
    paths, spot = code.n_lanes + code.n_conns, np.empty(4)
    tracks, reports = np.zeros(SPOTS * paths, TRACK), {}
    state = VehicleState(1, code.origin.lat, code.origin.lon, 15.0, 0.0)
    for k in range(len(tracks)):
        path, length = k // SPOTS, float(code.path_length[k // SPOTS])
        point(
            path,
            (0.0, 0.5 * length, max(length - 8.0, 0.0))[k % SPOTS],
            code.path_start,
            code.path_xy,
            code.path_s,
            spot,
        )
        tracks[k]["x"], tracks[k]["y"], tracks[k]["vx"], tracks[k]["vy"] = (
            spot[0],
            spot[1],
            15.0 * spot[2],
            15.0 * spot[3],
        )
        turns = np.flatnonzero(code.conn_inner & (code.conn_from == path)).tolist()
        reports[k + 1] = world.Report(
            str(k + 1), k + 1, state, 1, *((turns[0], world.declare(code, turns[0])) if turns else (-1, world.UNKNOWN))
        )
    tracks["class"], tracks["existence"], tracks["status"] = ObjectClass.CAR, 1.0, 1
    tracks["class"][::4] = ObjectClass.PEDESTRIAN
    tracks["length"], tracks["id"] = 4.8, np.arange(1, len(tracks) + 1)
    tracks["vehicle"] = tracks["id"]
    return tracks, reports
