"""Intersection collision: two vehicles whose windows at a conflict point of the digital code overlap or nearly do.

For tracks a, b on connections that the conflict matrix says cross or merge, t_in and t_out are the times the front reaches and the
rear leaves the conflict point. TTC = max(t_in) where the windows overlap; PET = the gap between them otherwise. Warned at TTC < 3 s
with PET < 2 s (SUMO's SSM thresholds). They are warned once the one that must yield comes too late to stop before the conflict point at ease, and does not brake.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..schema import AdvisoryKind, SignalState
from ..world import World
from .candidate import YIELDING, Candidate, late, severity_of

TTC = 3.0  # s
PET = 2.0  # s
CLEAR = 2.0  # m before the conflict point at which who gives way stops
APPROACH = 60.0  # m before the stop line at which a vehicle counts as entering
SLOWEST = 1.0  # m/s
DIVERGE = 2
PAIR = np.dtype(
    [("a", "i8"), ("b", "i8"), ("ttc", "f8"), ("pet", "f8"), ("a_far", "f8"), ("b_far", "f8"), ("a_yields", "?")]
)  # ttc and pet in s; a_far and b_far in m from each front to the conflict point
STOPS = np.isin(np.arange(256), (SignalState.UNKNOWN, SignalState.RED, SignalState.RED_FLASH))


@njit(cache=True)
def _enter(
    tracks: Any, path: Any, connection: Any, s: Any, to_stop: Any, n_lanes: int, conn_group: Any, state: Any, stops: Any,
    at: Any, head: Any, after: Any,
) -> int:  # fmt: skip
    """List, by connection, the tracks that are on it or may drive onto it; `at` is where each stands along it (m, middle)."""
    n = 0
    for i in range(len(tracks)):
        k = connection[i]
        inside = path[i] >= n_lanes
        if k < 0 or not ((inside and to_stop[i] < 0.0) or 0.0 < to_stop[i] < APPROACH):
            continue
        if not inside and conn_group[k] >= 0 and stops[state[conn_group[k]]]:
            continue
        at[i] = s[i] if inside else -to_stop[i] - 0.5 * tracks[i]["length"]
        after[i], head[k] = head[k], i
        n += 1
    return n


@njit(cache=True)
def _pairs(
    tracks: Any, along: Any, at: Any, head: Any, after: Any, conf_start: Any, conf_other: Any, conf_s: Any, conf_s_other: Any,
    conf_type: Any, conf_yield: Any, out: Any,
) -> int:  # fmt: skip
    n = 0
    for i in range(len(head)):
        for k in range(conf_start[i], conf_start[i + 1]):
            if conf_type[k] == DIVERGE or conf_other[k] < i or head[conf_other[k]] < 0:
                continue
            a = head[i]
            while a >= 0:
                half, speed = 0.5 * tracks[a]["length"], max(along[a], SLOWEST)
                a_in, a_out = (conf_s[k] - at[a] - half) / speed, (conf_s[k] - at[a] + half) / speed
                b = head[conf_other[k]]
                while b >= 0 and a_out > 0.0:
                    half, speed = 0.5 * tracks[b]["length"], max(along[b], SLOWEST)
                    b_in, b_out = (conf_s_other[k] - at[b] - half) / speed, (conf_s_other[k] - at[b] + half) / speed
                    gap, ttc = max(a_in, b_in) - min(a_out, b_out), max(a_in, b_in)
                    if b_out > 0.0 and ttc < TTC and gap < PET and n < len(out):
                        out[n]["a"], out[n]["b"], out[n]["ttc"], out[n]["pet"] = a, b, max(ttc, 0.0), max(gap, 0.0)
                        out[n]["a_far"] = conf_s[k] - at[a] - 0.5 * tracks[a]["length"]
                        out[n]["b_far"] = conf_s_other[k] - at[b] - half
                        out[n]["a_yields"] = conf_yield[k]
                        n += 1
                    b = after[b]
                a = after[a]
    return n


def plan(world: World) -> list[Candidate]:
    """Return warnings to connected vehicles whose predicted windows at a conflict point meet; linear in relevant pairs."""
    code, n = world.code, len(world.tracks)
    if not code.n_conns or not len(world.vehicles):
        return []
    at, head, after = np.zeros(n), np.full(code.n_conns, -1, np.int64), np.full(n, -1, np.int64)
    entering = _enter(
        world.tracks, world.path, world.connection, world.s, world.to_stop, code.n_lanes, code.conn_group, world.signals.state, STOPS,
        at, head, after,
    )  # fmt: skip
    if entering < 2:
        return []
    pairs = np.zeros(8 * entering, PAIR)
    found = _pairs(
        world.tracks, world.speed, at, head, after, code.conf_start, code.conf_other, code.conf_s, code.conf_s_other, code.conf_type,
        code.conf_yield, pairs,
    )  # fmt: skip
    return _warnings(world, pairs[:found])


def _warnings(world: World, pairs: NDArray[Any]) -> list[Candidate]:
    out: dict[str, Candidate] = {}
    for pair in pairs[np.argsort(pairs["ttc"], kind="stable")]:
        a, b = int(pair["a"]), int(pair["b"])
        yields, goes = (a, b) if pair["a_yields"] else (b, a)
        far = float(pair["a_far"] if yields == a else pair["b_far"]) - CLEAR
        if not late(float(world.speed[yields]), far, -float(world.accel[yields]), YIELDING):
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
                    severity_of(float(pair["ttc"])) if own == yields else max(severity_of(float(pair["ttc"])), 1),
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
                    "slow_down" if own == yields else None,
                ),
            )
    return list(out.values())
