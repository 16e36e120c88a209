"""Loads every compiled kernel before the first message, so that no message pays for it."""

import numpy as np

from .. import world
from ..codes import CompiledCode
from ..fusion import TRACK
from ..schema import ObjectClass, SignalState, VehicleState
from . import plan

SHOWN = (SignalState.RED, SignalState.GREEN_PERMISSIVE, SignalState.DARK)


def warm(code: CompiledCode) -> None:
    """Match and plan for a connected vehicle at the beginning of every lane and movement, before every light."""
    paths = code.n_lanes + code.n_conns
    first = code.path_xy[code.path_start[:paths]]
    ahead = code.path_xy[code.path_start[:paths] + 1] - first
    tracks = np.zeros(paths, TRACK)
    tracks["x"], tracks["y"] = first.T
    tracks["vx"], tracks["vy"] = 15.0 * ahead.T / np.maximum(np.hypot(*ahead.T), 1e-9)
    tracks["class"], tracks["existence"], tracks["status"] = ObjectClass.CAR, 1.0, 1
    tracks["class"][::3] = ObjectClass.PEDESTRIAN
    tracks["length"], tracks["id"], tracks["vehicle"] = 4.8, np.arange(1, paths + 1), np.arange(1, paths + 1)
    state = VehicleState(1, code.origin.lat, code.origin.lon, 15.0, 0.0)
    reports = {h: world.Report(str(h), h, state, 1, -1, (-1, -1, -1)) for h in range(1, paths + 1)}
    groups = len(code.group_ids)
    dark, soon = world.Signals.dark(groups), np.full(groups, 20_000_000_000)
    before = None
    for turn in range(len(SHOWN)):
        shown = np.array([SHOWN[(k + turn) % len(SHOWN)] for k in range(groups)], np.uint8)
        signals = world.Signals(1, turn, code.code.revision, shown, soon, soon, soon, np.ones(groups), soon, dark.next_duration)
        before = world.build(turn + 1, code, tracks, signals, (), reports, 1, 1, before)
        plan(before)
