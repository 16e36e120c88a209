"""Puts the snapshots of many intersections into the arrays that one compiled call reads."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..world import ELSEWHERE, Connected, SignalArrays, Users, World
from .kinds.ahead import places as ahead_places
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


def gather_bounds(worlds: Sequence[World]) -> Bounds:
    """Return where the rows of each intersection begin."""
    return Bounds(
        users=_bounds(len(world.path) for world in worlds),
        vehicles=_bounds(len(world.vehicles) for world in worlds),
        groups=_bounds(len(world.signals.state) for world in worlds),
        moves=_bounds(world.code.n_conns for world in worlds),
        paths=_bounds(world.code.n_lanes + world.code.n_conns for world in worlds),
        rules=_bounds(len(world.code.code.rules) for world in worlds),
    )


def _bounds(counts: Any) -> Any:
    return np.array([0, *accumulate(counts)], np.int64)


def gather_columns(worlds: Sequence[World]) -> Columns:
    """Return the rows of all intersections, one after the other."""

    def joined(column: Callable[[World], Any]) -> Any:
        return np.concatenate([column(world) for world in worlds]) if len(worlds) > 1 else column(worlds[0])

    vehicles = [vehicle for world in worlds for vehicle in world.vehicles]
    figures = [
        vehicle_bytes(vehicle.state.kind, vehicle.state.automated, vehicle.paths == ELSEWHERE) for vehicle in vehicles
    ]
    bits = b"".join([vehicle.ruled_bytes.bits for vehicle in vehicles])
    sizes = b"".join([vehicle.ruled_bytes.sizes for vehicle in vehicles])
    return Columns(
        users=Users(
            tracks=joined(lambda world: world.tracks),
            path=joined(lambda world: world.path),
            s=joined(lambda world: world.s),
            lateral=joined(lambda world: world.lateral),
            speed=joined(lambda world: world.speed),
            accel=joined(lambda world: world.accel),
            to_stop=joined(lambda world: world.to_stop),
            connection=joined(lambda world: world.connection),
        ),
        connected=Connected(
            rows=joined(lambda world: world.rows),
            reported=joined(lambda world: world.reported),
            report=joined(lambda world: world.report),
        ),
        signals=SignalArrays(
            state=joined(lambda world: world.signals.state),
            min_end=joined(lambda world: world.signals.min_end),
            max_end=joined(lambda world: world.signals.max_end),
            next_green=joined(lambda world: world.signals.next_green),
            next_duration=joined(lambda world: world.signals.next_duration),
            confidence=joined(lambda world: world.signals.confidence),
            seen=joined(lambda world: world.signals.seen),
        ),
        share=joined(lambda world: world.share),
        closed=joined(_closed),
        marked=joined(lambda world: ahead_places(world.code, world.rules).marked),
        is_holding=joined(lambda world: world.rules.holding_at(world.t)),
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
    n, vehicles = len(places.t), int(bounds.vehicles[-1])
    return Findings(
        wanted=np.zeros((n, SCREENS), np.bool_),
        is_restricted=np.zeros(n, np.bool_),
        advices=np.empty(vehicles, ADVICE),
        n_advices=np.zeros(n, np.int64),
        stops=np.empty((vehicles, 5), np.int64),
        n_stops=np.zeros(n, np.int64),
        limit=np.empty(vehicles),
        decided=np.empty((3, vehicles), np.int32),
    )
