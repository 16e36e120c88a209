"""Puts the snapshots of many intersections into the arrays that one compiled call reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..world import ELSEWHERE, Block, Connected, SignalArrays, Users, World
from .kinds.ahead import places as ahead_places
from .kinds.blind_spot import SIGHTING
from .kinds.glosa import ADVICE
from .policy import VEHICLE, vehicle_bytes
from .screens import SCREENS, Bounds, Columns, Findings, Gates, Places

CLOSED_NOWHERE: dict[int, Any] = {}  # by number of paths: no tidal lane runs the other way


def gather_places(worlds: Sequence[World], gates: Sequence[tuple[bool, bool, bool]]) -> Places:
    """Return what the call reads of each intersection; `gates`: of each whether signal times, signal states and
    perception are there."""
    has_times, has_states, has_perception = np.array(gates, np.bool_).reshape(-1, 3).T.copy()
    return Places(
        t=np.array([world.t for world in worlds], np.int64),
        gates=Gates(has_times, has_states, has_perception),
        codes=np.stack([world.code.addresses for world in worlds]),
        rules=np.stack([world.rules.addresses for world in worlds]),
        has_hazards=np.array([bool(world.hazards) for world in worlds], np.bool_),
        has_stopped=np.array([bool(world.stopped) for world in worlds], np.bool_),
    )


def gather(worlds: Sequence[World]) -> tuple[Bounds, Columns]:
    """Return the rows of all intersections, and which are of each. Snapshots that were made together have theirs in
    common arrays already; others are copied, one after the other."""
    block = _block_of(worlds)
    if block is None:
        users = _bounds(len(world.path) for world in worlds)
        vehicle_rows = vehicles = _bounds(len(world.vehicles) for world in worlds)
        groups = _bounds(len(world.signals.state) for world in worlds)
        block = _joined(worlds)
    else:
        parts = [world.block for world in worlds if world.block]
        users = np.array([part.users for part in parts], np.int64)
        vehicle_rows = np.array([part.vehicles for part in parts], np.int64)
        vehicles = _bounds(len(world.vehicles) for world in worlds)
        groups = np.array([part.groups for part in parts], np.int64)
    bounds = Bounds(
        users=users,
        vehicle_rows=vehicle_rows,
        vehicles=vehicles,
        groups=groups,
        moves=_bounds(world.code.n_conns for world in worlds),
        paths=_bounds(world.code.n_lanes + world.code.n_conns for world in worlds),
        rules=_bounds(len(world.code.code.rules) for world in worlds),
    )
    return bounds, _columns(worlds, block)


def _block_of(worlds: Sequence[World]) -> Block | None:
    """Return the block that all of some snapshots are of, None where they are not all of one."""
    first = worlds[0].block
    if first is None:
        return None
    for world in worlds:
        if world.block is None or world.block.block is not first.block:
            return None
    return first.block


def _bounds(counts: Any) -> Any:
    """Return the first row, and one beyond the last, of parts of so many rows: int64[n, 2]."""
    ends = np.fromiter(counts, np.int64).cumsum()
    bounds = np.zeros((len(ends), 2), np.int64)
    bounds[1:, 0], bounds[:, 1] = ends[:-1], ends
    return bounds


def _joined(worlds: Sequence[World]) -> Block:
    """Return copies of the arrays of some snapshots, one after the other."""
    columns = {
        name: np.concatenate([getattr(world, name) for world in worlds])
        for name in (*Users._fields[1:], *Connected._fields)
    }
    # To concatenate records would pack them.
    columns["tracks"] = np.empty(sum(len(world.tracks) for world in worlds), worlds[0].tracks.dtype)
    np.concatenate([world.tracks for world in worlds], out=columns["tracks"])
    signals = {
        name: np.concatenate([getattr(world.signals, name) for world in worlds]) for name in SignalArrays._fields
    }
    return Block(
        users=Users(**{name: columns[name] for name in Users._fields}),
        connected=Connected(**{name: columns[name] for name in Connected._fields}),
        signals=SignalArrays(**signals),
        ids=None,
        pace=None,
        addresses=(0, 0, 0),
    )


def _columns(worlds: Sequence[World], block: Block) -> Columns:
    vehicles = [vehicle for world in worlds for vehicle in world.vehicles]
    figures = [
        vehicle_bytes(vehicle.state.kind, vehicle.state.automated, vehicle.paths == ELSEWHERE) for vehicle in vehicles
    ]
    bits = b"".join([vehicle.ruled_bytes.bits for vehicle in vehicles])
    sizes = b"".join([vehicle.ruled_bytes.sizes for vehicle in vehicles])
    return Columns(
        users=block.users,
        connected=block.connected,
        signals=block.signals,
        share=np.concatenate([world.share for world in worlds]),
        closed=np.concatenate([_closed(world) for world in worlds]),
        marked=np.concatenate([ahead_places(world.code, world.rules).marked for world in worlds]),
        is_holding=np.concatenate([world.rules.holding_at(world.t) for world in worlds]),
        vehicles=np.frombuffer(bytearray(b"".join(figures)), VEHICLE),
        bits=np.frombuffer(bytearray(bits), np.int64).reshape(-1, 2),
        sizes=np.frombuffer(bytearray(sizes), np.float64).reshape(-1, 5, 2),
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
    signals = np.full((count, 4), np.nan)
    first = 0
    for world in worlds:
        if world.next_signals:
            for k, vehicle in enumerate(world.vehicles):
                coming = world.next_signals.get(vehicle.handle)
                if coming is not None:
                    signals[first + k] = coming
        first += len(world.vehicles)
    return signals


def room_for(places: Places, bounds: Bounds) -> Findings:
    """Return findings to be filled in."""
    n, vehicles = len(places.t), int(bounds.vehicles[-1, 1])
    return Findings(
        wanted=np.zeros((n, SCREENS), np.bool_),
        is_restricted=np.zeros(n, np.bool_),
        advices=np.empty(vehicles, ADVICE),
        n_advices=np.zeros(n, np.int64),
        stops=np.empty((vehicles, 5), np.int64),
        n_stops=np.zeros(n, np.int64),
        sightings=np.empty(vehicles, SIGHTING),
        n_sightings=np.zeros(n, np.int64),
        limit=np.empty(vehicles),
        decided=np.empty((3, vehicles), np.int32),
    )
