"""Loads every compiled kernel before the first message, so that no message pays for it."""

import numpy as np

from .. import world
from ..codes import CompiledCode
from ..fusion import TRACK
from . import plan


def warm(code: CompiledCode) -> None:
    """Match and plan once, for two tracks on each connection of the intersection."""
    tracks = np.zeros(2 * code.n_conns, TRACK)
    for k in range(code.n_conns):
        first = code.path_start[code.n_lanes + k]
        tracks["x"][2 * k : 2 * k + 2], tracks["y"][2 * k : 2 * k + 2] = code.path_xy[first]
    tracks["length"], tracks["vx"], tracks["id"] = 4.8, 5.0, np.arange(1, len(tracks) + 1)
    signals = world.Signals.dark(len(code.group_ids))
    snapshot = world.build(1, code, tracks, signals, (), {}, 0, 0)
    live = world.Signals(
        1,
        1,
        code.code.revision,
        np.full(len(code.group_ids), 6, np.uint8),
        signals.min_end,
        signals.max_end,
        signals.likely_end,
        signals.confidence,
        signals.next_green,
        signals.next_duration,
    )
    plan(snapshot)
    plan(world.build(1, code, tracks, live, (), {}, 0, 0))
