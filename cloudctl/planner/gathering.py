"""Puts the snapshots of many intersections into the arrays that one compiled call reads."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..codes.compiled.addresses import joined
from ..world import ELSEWHERE, FLOATS, LONGS, Block, BlockPart, SignalArrays, World
from .candidate import SETTLED
from .filter import AdvisoryFilter
from .kinds.ahead import places as ahead_places
from .kinds.blind_spot import SIGHTING
from .kinds.glosa import ADVICE
from .policy import VEHICLE, vehicle_bytes
from .screens import PLACE_COLUMNS, SCREENS, Columns, Findings

CLOSED_NOWHERE: dict[int, Any] = {}  # by number of paths: no tidal lane runs the other way


def gather(
    worlds: Sequence[World], gates: Sequence[tuple[bool, bool, bool]], filters: Sequence[AdvisoryFilter]
) -> tuple[Any, Columns]:
    """Return what the call reads of each intersection (int64[n, PLACE_COLUMNS]), and the rows of all. Snapshots that
    were made together have theirs in common arrays already; others are copied, one after the other.

    `gates`: of each whether signal times, signal states and perception are there. `filters`: what each has sent.
    """
    block, parts = _block_of(worlds), [world.matched_part() for world in worlds]
    if block is None:
        block, parts = _joined(worlds)

    places: list[int] = []
    settled: list[bytes] = []
    for world, gate, part, advisory_filter in zip(worlds, gates, parts, filters, strict=True):
        assert part is not None
        code, is_dynamic = world.code, bool(ahead_places(world.code, world.rules).dynamic)
        settled += advisory_filter.settled(world.vehicles)

        places += (
            world.t, *gate, bool(world.hazards), bool(world.stopped), is_dynamic,
            advisory_filter.settled_time_left, code.address, world.rules.address,
            *part.users, *part.vehicles, *part.groups, code.n_lanes, code.n_conns, len(code.code.rules),
        )  # fmt: skip

    return np.array(places, np.int64).reshape(-1, PLACE_COLUMNS), _columns(worlds, block, settled)


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
        signals=SignalArrays(
            *[np.concatenate([getattr(world.signals, name) for world in worlds]) for name in SignalArrays._fields]
        ),
        addresses=(0, 0),
    )
    users = accumulate((len(world.tracks) for world in worlds), initial=0)
    vehicles = accumulate((len(world.vehicles) for world in worlds), initial=0)
    groups = accumulate((len(world.signals.state) for world in worlds), initial=0)
    bounds = zip(pairwise(users), pairwise(vehicles), pairwise(groups), strict=True)

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
        signals=block.signals,
        share=joined([world.share for world in worlds]),
        closed=joined([_closed(world) for world in worlds]),
        marked=joined([ahead_places(world.code, world.rules).marked for world in worlds]),
        is_holding=joined([world.rules.holding_at(world.t) for world in worlds]),
        vehicles=np.frombuffer(bytearray(b"".join(policies)), VEHICLE),
        settled=np.frombuffer(bytearray(b"".join(settled)), SETTLED),
        bits=np.frombuffer(bytearray(b"".join([row.bits for row in ruled])), np.int64).reshape(-1, 2),
        sizes=np.frombuffer(bytearray(b"".join([row.sizes for row in ruled])), np.float64).reshape(-1, 5, 2),
        next_signals=_next_signals(worlds, len(vehicles)),
    )


def _closed(world: World) -> Any:
    """Return bool[n_paths]: the tidal lanes that run the other way now."""
    closed = world.rules.closed(world.t)
    if closed is not None:
        return closed

    n = world.code.n_lanes + world.code.n_conns
    if n not in CLOSED_NOWHERE:
        CLOSED_NOWHERE[n] = np.zeros(n, np.bool_)

    return CLOSED_NOWHERE[n]


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
