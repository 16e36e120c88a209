"""TTC and PET of vehicles with pedestrians and cyclists, which device.ssm does not log, from true trajectories.

A vehicle is a rectangle, a pedestrian or cyclist a disc. TTC: the walker keeps its velocity, the vehicle its speed along the path that it
truly took (Hayward 1972; on a straight line instead, whoever waits at a corner is about to be hit by all who turn). PET: the least time between one having been at a place and the other being there
(Allen 1978), found as the least lag at which their footprints overlap. Those who move the same way (within ALONG) follow
each other and are not counted. Thresholds: TTC 1.5 s, PET 2 s.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from .ssm import PET, SERIOUS_TTC, Conflict

TTC = SERIOUS_TTC  # s; a car braking for a red at 3 m/s^2 from 50 km/h is 2.3 s from those who cross: no conflict

ALONG = np.radians(25.0)  # rad between headings below which two follow each other
SLOWEST = 0.5  # m/s; a vehicle slower than this hits nobody
HOLD = 5.0  # s; a pair's encounters closer than this are one
RADIUS = 0.4  # m, of a pedestrian; a cyclist has half of the length, at most CYCLIST
CYCLIST = 0.8


@njit(cache=True)
def overlaps(x: float, y: float, heading: float, at: Any, length: float, width: float, r: float) -> bool:
    """Return whether a disc of radius `r` at `at` touches a rectangle centred at (x, y), lying along `heading`.

    The rectangle is grown by `r` without rounding its corners, which errs by at most 0.41 r.
    """
    dx, dy = at[0] - x, at[1] - y
    c, s = np.cos(heading), np.sin(heading)
    return abs(c * dx + s * dy) < length / 2 + r and abs(c * dy - s * dx) < width / 2 + r


@njit(cache=True)
def _ttc(mover: Any, k: int, walker: Any, length: float, width: float, r: float, limit: float) -> float:
    """Return s until the walker, at its velocity now, is touched by the mover on its path at its speed now."""
    speed, gone = mover[k, 3], 0.0
    at = np.array([walker[0], walker[1]])
    vx, vy = walker[3] * np.cos(walker[2]), walker[3] * np.sin(walker[2])
    for j in range(k, len(mover)):
        if j > k:
            gone += np.hypot(mover[j, 0] - mover[j - 1, 0], mover[j, 1] - mover[j - 1, 1])
        left = gone / speed
        if not left < limit:  # nan too: out of reach
            break
        at[0], at[1] = walker[0] + vx * left, walker[1] + vy * left
        if overlaps(mover[j, 0], mover[j, 1], mover[j, 2], at, length, width, r):
            return left
    return np.inf


@njit(cache=True)
def _measure(
    mover: Any, walker: Any, first: int, length: float, width: float, r: float, lags: int, along: float, step: float, least_v: float,
    limit: float, out: Any,
) -> None:  # fmt: skip
    """Fill out[k] = (TTC, PET) at each row of `mover` (x, y, heading, speed); walker row `first + k` is of the same moment."""
    m = len(walker)
    for k in range(len(mover)):
        out[k, 0] = out[k, 1] = np.inf
        x, y, heading, speed = mover[k]
        if not speed >= least_v:
            continue
        for lag in range(-lags, lags + 1):
            j = first + k + lag
            if j < 0 or j >= m:
                continue
            turn = abs((walker[j, 2] - heading + np.pi) % (2 * np.pi) - np.pi)
            if not turn >= along:
                continue
            if overlaps(x, y, heading, walker[j], length, width, r):
                out[k, 1] = min(out[k, 1], abs(lag) * step)
            if lag == 0:
                out[k, 0] = _ttc(mover, k, walker[j], length, width, r, limit)


def of_pair(
    mover: np.ndarray, walker: np.ndarray, begin: tuple[int, int], size: tuple[float, float, float], step: float
) -> np.ndarray:
    """Return float64[n, 2]: TTC and PET in s at each moment of `mover`.

    `mover` float64[n, 4] and `walker` float64[m, 4] are x, y (m), heading (rad), speed (m/s), rows `step` s apart; `begin` is
    the step number of the first row of each; `size` is the vehicle's length and width and the walker's radius, in m.
    """
    out = np.full((len(mover), 2), np.inf)
    lags = int(PET / step)
    _measure(mover, walker, begin[0] - begin[1], *size, lags, float(ALONG), step, SLOWEST, TTC, out)
    return out


def conflicts(names: tuple[str, str], measures: np.ndarray, times: np.ndarray, kind: str = "vru") -> list[Conflict]:
    """Return the conflicts of one pair: spans in which TTC or PET is below its threshold, HOLD s apart or more."""
    hot = np.flatnonzero((measures[:, 0] < TTC) | (measures[:, 1] < PET))
    if not len(hot):
        return []
    out = []
    for span in np.split(hot, np.flatnonzero(np.diff(times[hot]) > HOLD) + 1):
        least = measures[span].min(axis=0)
        worst = span[np.argmin(measures[span, 0])] if least[0] < TTC else span[np.argmin(measures[span, 1])]
        out.append(
            Conflict(
                kind,
                *names,
                float(times[span[0]]),
                float(times[worst]),
                float(least[0]) if least[0] < TTC else np.inf,
                float(least[1]) if least[1] < PET else np.inf,
            )
        )
    return out


def radius(is_cyclist: bool, length: float) -> float:
    """Return the radius of the disc a pedestrian or cyclist is taken for, m."""
    return min(length / 2, CYCLIST) if is_cyclist else RADIUS


def merged(found: list[Conflict]) -> list[Conflict]:
    """Return conflicts with those of one vehicle closer than HOLD made one: a group on a crossing is met once. In order of time."""
    out: list[Conflict] = []
    last: dict[str, int] = {}
    for c in sorted(found, key=lambda c: c.crossed):
        k = last.get(c.a, -1)
        if k >= 0 and c.crossed - max(out[k].crossed, out[k].worst) < HOLD:
            o = out[k]
            worst = c.worst if min(c.ttc, c.pet) < min(o.ttc, o.pet) else o.worst
            out[k] = Conflict(o.kind, o.a, o.b, o.crossed, worst, min(o.ttc, c.ttc), min(o.pet, c.pet))
        else:
            last[c.a] = len(out)
            out.append(c)
    return out


def near_pairs(places: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], reach: float) -> set[tuple[int, int]]:
    """Return (vehicle, walker) numbers ever within `reach` m at one moment; `places` are (numbers, xy, is walker) by moment."""
    out: set[tuple[int, int]] = set()
    for numbers, xy, walks in places:
        a, b = np.flatnonzero(~walks), np.flatnonzero(walks)
        if len(a) and len(b):
            gap = np.abs(xy[a][:, None] - xy[b][None]).max(axis=2)
            i, j = np.nonzero(gap < reach)
            out.update(zip(numbers[a[i]].tolist(), numbers[b[j]].tolist(), strict=True))
    return out
