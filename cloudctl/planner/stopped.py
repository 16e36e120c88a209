"""Stopped vehicle ahead (T/CSAE 53: AVW): one that has stood for long with nothing ahead of it and no red, told to who comes up behind,
with a lane to change to. Who stands is found by `traffic`."""

import numpy as np

from ..schema import AdvisoryKind
from ..world import World
from . import lanes
from .ahead import open_lanes
from .candidate import Candidate

RANGE = 200.0  # m
MOVING = 3.0  # m/s; a slower one is part of the queue behind it
PASSED = 5.0  # m before it within which whoever comes has long seen it


def plan(world: World) -> list[Candidate]:
    """Return a candidate for each connected vehicle with a stopped vehicle before it on its lane."""
    out: dict[int, Candidate] = {}
    rows, length = world.rows, world.tracks["length"]
    for there in _rows(world):
        lane = int(world.path[there])
        gaps = world.s[there] - world.s[rows] - 0.5 * (length[there] + length[rows])
        coming = (world.path[rows] == lane) & (gaps > PASSED) & (gaps < RANGE) & (world.speed[rows] >= MOVING)
        for k in np.flatnonzero(coming & (lane >= 0)).tolist():
            if k in out and out[k].distance is not None and out[k].distance <= gaps[k]:
                continue  # another stands before it
            out[k] = Candidate(
                AdvisoryKind.STOPPED_VEHICLE,
                f"vehicle:{world.vehicles[k].id}",
                2,
                float(world.tracks["existence"][there]),
                "a vehicle stands on your lane {gap:.0f} m ahead, and nothing holds it",
                {"gap": float(gaps[k])},
                (int(world.tracks["id"][rows[k]]), int(world.tracks["id"][there])),
                None,
                float(gaps[k]),
                lanes.change(world, int(rows[k]), open_lanes(world, k)) or "slow_down",
            )
    return list(out.values())


def _rows(world: World) -> list[int]:
    """Return the rows of the stopped vehicles that still have a track."""
    ids = world.tracks["id"]
    return [row for name in world.stopped for row in np.flatnonzero(ids == name).tolist()]
