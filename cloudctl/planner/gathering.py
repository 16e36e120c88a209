"""Puts the snapshots of many intersections into the arrays that one compiled call reads."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..codes.compiled.addresses import joined
from ..world import ELSEWHERE, FLOATS, LONGS, Block, BlockPart, World
from .candidate import SETTLED
from .filter import AdvisoryFilter
from .kinds.ahead import places as ahead_places
from .kinds.blind_spot import SIGHTING
from .kinds.glosa import ADVICE
from .policy import VEHICLE, vehicle_bytes
from .screens import PLACE_COLUMNS, SCREENS, Columns, Findings


def gather(
    worlds: Sequence[World], gates: Sequence[tuple[bool, bool, bool]], filters: Sequence[AdvisoryFilter]
) -> tuple[Any, Columns, list[Any]]:
    """Return what the call reads of each intersection (int64[n, PLACE_COLUMNS]), the rows of all, and what must be kept
    until it returns. Snapshots that were made together have theirs in common arrays already; others are copied, one
    after the other.

    `gates`: of each whether signal times, signal states and perception are there. `filters`: what each has sent.
    """
    block, parts = _block_of(worlds), [world.matched_part() for world in worlds]
    if block is None:
        block, parts = _joined(worlds)

    places: list[int] = []
    settled: list[bytes] = []
    kept: list[Any] = []
    for world, gate, part, advisory_filter in zip(worlds, gates, parts, filters, strict=True):
        assert part is not None
        code, rules, ahead = world.code, world.rules, ahead_places(world.code, world.rules)
        settled += advisory_filter.settled(world.vehicles)

        closed, holding = rules.closed(world.t), rules.holding_at(world.t)
        kept += (closed, holding)

        places += (
            world.t, *gate, bool(world.hazards), bool(world.stopped), bool(ahead.dynamic),
            advisory_filter.settled_time_left, code.address, rules.address, *part.users, *part.vehicles,
            code.n_conns, code.n_lanes + code.n_conns, 0 if closed is None else closed.ctypes.data,
            ahead.marked_address, holding.address, len(holding.rules), *world.signals.entry,
        )  # fmt: skip

    rows = np.array(places, np.int64).reshape(-1, PLACE_COLUMNS)
    return rows, _columns(worlds, block, settled), kept


def _block_of(worlds: Sequence[World]) -> Block | None:
    """Return the block that all of some snapshots are of, None where they are not all of one."""
    first = worlds[0].block
    if first is None:
        return None

    for world in worlds:
        if world.block is None or world.block.block is not first.block:
            return None

    return first.block


def _joined(worlds: Sequence[World]) -> tuple[Block, list[BlockPart | None]]:
    """Return copies of the arrays of some snapshots, one after the other, and which rows are of each."""

    def column(name: str) -> Any:
        return np.concatenate([getattr(world, name) for world in worlds])

    # To concatenate records would pack them.
    tracks = np.empty(sum(len(world.tracks) for world in worlds), worlds[0].tracks.dtype)
    np.concatenate([world.tracks for world in worlds], out=tracks)

    block = Block(
        tracks=tracks,
        longs=np.array([column(name) for name in LONGS], np.int64),
        floats=np.array([column(name) for name in FLOATS]),
        rows=column("rows"),
        reported=column("reported"),
        addresses=(0, 0),
    )
    users = accumulate((len(world.tracks) for world in worlds), initial=0)
    vehicles = accumulate((len(world.vehicles) for world in worlds), initial=0)
    bounds = zip(pairwise(users), pairwise(vehicles), strict=True)

    return block, [BlockPart(block, *part) for part in bounds]


def _columns(worlds: Sequence[World], block: Block, settled: list[bytes]) -> Columns:
    vehicles = [vehicle for world in worlds for vehicle in world.vehicles]
    policies = [
        vehicle_bytes(vehicle.state.kind, vehicle.state.automated, vehicle.paths == ELSEWHERE) for vehicle in vehicles
    ]
    ruled = [vehicle.ruled_bytes for vehicle in vehicles]

    return Columns(
        tracks=block.tracks,
        longs=block.longs,
        floats=block.floats,
        rows=block.rows,
        reported=block.reported,
        share=joined([world.share for world in worlds]),
        vehicles=np.frombuffer(bytearray(b"".join(policies)), VEHICLE),
        settled=np.frombuffer(bytearray(b"".join(settled)), SETTLED),
        bits=np.frombuffer(bytearray(b"".join([row.bits for row in ruled])), np.int64).reshape(-1, 2),
        sizes=np.frombuffer(bytearray(b"".join([row.sizes for row in ruled])), np.float64).reshape(-1, 5, 2),
        next_signals=_next_signals(worlds, len(vehicles)),
    )


def _next_signals(worlds: Sequence[World], count: int) -> Any:
    signals = np.empty((count, 4))
    signals[:] = np.nan  # `np.full` takes four times as long
    first = 0

    for world in worlds:
        if world.next_signals:
            for k, vehicle in enumerate(world.vehicles):
                coming = world.next_signals.get(vehicle.handle)
                if coming is not None:
                    signals[first + k] = coming
        first += len(world.vehicles)

    return signals


def room_for(n: int, vehicles: int) -> Findings:
    """Return findings to be filled in, of so many intersections and connected vehicles."""
    return Findings(
        wanted=np.zeros((n, SCREENS + 1), np.bool_),
        counts=np.zeros((n, 3), np.int64),
        advices=np.empty(vehicles, ADVICE),
        stops=np.empty((vehicles, 5), np.int64),
        sightings=np.empty(vehicles, SIGHTING),
        limit=np.empty(vehicles),
        decided=np.empty((3, vehicles), np.int32),
    )
