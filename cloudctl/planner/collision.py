"""Intersection collision: two vehicles whose windows at a conflict point of the digital code overlap or nearly do.

For tracks a, b on connections that the conflict matrix says cross or merge, t_in and t_out are the times the front reaches and the
rear leaves the conflict point. TTC = max(t_in) where the windows overlap; PET = the gap between them otherwise. Warned at TTC < 3 s
with PET < 2 s (SUMO's SSM thresholds). The one that must yield is warned; the other only when the first can no longer stop.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..schema import AdvisoryKind, SignalState
from ..world import World
from .candidate import Candidate, required_deceleration, severity_of

TTC = 3.0  # s
PET = 2.0  # s
STOPPABLE = 3.0  # m/s^2; a vehicle that can still stop at less and must yield, is taken to yield
APPROACH = 60.0  # m before the stop line at which a vehicle counts as entering
SLOWEST = 1.0  # m/s
DIVERGE = 2
PAIR = np.dtype([("a", "i8"), ("b", "i8"), ("ttc", "f8"), ("pet", "f8"), ("s_a", "f8"), ("a_yields", "?")])


@njit(cache=True)
def _pairs(
    rows: Any,
    head: Any,
    after: Any,
    connection: Any,
    at: Any,
    speed: Any,
    length: Any,
    conf_start: Any,
    conf_other: Any,
    conf_s: Any,
    conf_s_other: Any,
    conf_type: Any,
    conf_yield: Any,
    ttc_max: float,
    pet_max: float,
    out: Any,
) -> int:
    n = 0
    for a in rows:
        i = connection[a]
        for k in range(conf_start[i], conf_start[i + 1]):
            if conf_type[k] == DIVERGE:
                continue
            b = head[conf_other[k]]
            while b >= 0:
                if b > a and n < len(out):
                    a_in = (conf_s[k] - at[a] - length[a] / 2) / speed[a]
                    a_out = (conf_s[k] - at[a] + length[a] / 2) / speed[a]
                    b_in = (conf_s_other[k] - at[b] - length[b] / 2) / speed[b]
                    b_out = (conf_s_other[k] - at[b] + length[b] / 2) / speed[b]
                    if a_out > 0.0 and b_out > 0.0:
                        gap = max(a_in, b_in) - min(a_out, b_out)
                        ttc = max(a_in, b_in)
                        if ttc < ttc_max and gap < pet_max:
                            out[n]["a"], out[n]["b"], out[n]["ttc"], out[n]["pet"] = a, b, max(ttc, 0.0), max(gap, 0.0)
                            out[n]["s_a"], out[n]["a_yields"] = conf_s[k], conf_yield[k]
                            n += 1
                b = after[b]
    return n


def plan(world: World) -> list[Candidate]:
    """Return warnings to connected vehicles whose predicted windows at a conflict point meet; linear in relevant pairs."""
    code, n = world.code, len(world.tracks)
    inside = world.path >= code.n_lanes
    at = np.where(inside, world.s, -world.to_stop - world.tracks["length"] / 2)
    speed = np.maximum(world.speed, SLOWEST)
    entering = (world.connection >= 0) & (
        (inside & (world.to_stop < 0)) | ((world.to_stop > 0) & (world.to_stop < APPROACH))
    )
    rows = np.flatnonzero(entering & (inside | _may_go(world)))
    if len(rows) < 2:
        return []
    head, after = np.full(code.n_conns, -1, np.int64), np.full(n, -1, np.int64)
    for row in rows:
        after[row], head[world.connection[row]] = head[world.connection[row]], row
    pairs = np.zeros(4 * len(rows), PAIR)
    found = _pairs(
        rows,
        head,
        after,
        world.connection,
        at,
        speed,
        world.tracks["length"].astype(np.float64),
        code.conf_start,
        code.conf_other,
        code.conf_s,
        code.conf_s_other,
        code.conf_type,
        code.conf_yield,
        TTC,
        PET,
        pairs,
    )
    return _warnings(world, pairs[:found], at)


def _may_go(world: World) -> NDArray[np.bool_]:
    """Return whether each track's signal lets it go; a movement without a signal may."""
    group = np.where(world.connection >= 0, world.code.conn_group[np.maximum(world.connection, 0)], -1)
    state = (
        np.where(group >= 0, world.signals.state[np.maximum(group, 0)], SignalState.GREEN_PERMISSIVE)
        if len(world.signals.state)
        else group
    )
    return np.asarray((state != SignalState.RED) & (state != SignalState.RED_FLASH) & (state != SignalState.UNKNOWN))


def _warnings(world: World, pairs: NDArray[Any], at: NDArray[np.float64]) -> list[Candidate]:
    out: dict[str, Candidate] = {}
    for pair in pairs[np.argsort(pairs["ttc"], kind="stable")]:
        a, b = int(pair["a"]), int(pair["b"])
        yields, goes = (a, b) if pair["a_yields"] else (b, a)
        inside = world.to_stop[yields] <= 0.0
        can_stop = (
            not inside
            and required_deceleration(float(world.speed[yields]), float(world.to_stop[yields]), 0.5, 0.0) < STOPPABLE
        )
        if can_stop:
            continue
        for own, other in ((yields, goes), (goes, yields)):
            report = int(world.report[own])
            if report < 0:
                continue
            target = f"vehicle:{world.vehicles[report].id}"
            out.setdefault(
                target,
                Candidate(
                    AdvisoryKind.COLLISION,
                    target,
                    severity_of(float(pair["ttc"])),
                    float(min(world.tracks["existence"][a], world.tracks["existence"][b])),
                    "{role} a vehicle whose path you cross in {ttc:.1f} s, {pet:.1f} s apart",
                    {
                        "role": "give way to" if own == yields else "be ready to brake for",
                        "ttc": float(pair["ttc"]),
                        "pet": float(pair["pet"]),
                    },
                    (int(world.tracks["id"][own]), int(world.tracks["id"][other])),
                    None,
                    None,
                    "slow_down",
                ),
            )
    return list(out.values())
