"""TTC and PET of vehicles with pedestrians and cyclists, which device.ssm does not log, from true trajectories.

A vehicle is a rectangle, a pedestrian or cyclist a disc. TTC: both keep their velocity; the time until the disc touches the rectangle
(Hayward 1972), by the slab method in the vehicle's frame. PET: the least time between one having been at a place and the other being there
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
def ttc(x: float, y: float, vx: float, vy: float, length: float, width: float, r: float) -> float:
    """Return s until a disc at (x, y) moving at (vx, vy), both in a rectangle's own frame, touches it; inf when it never does.

    The rectangle is centred at 0 and lies along x; its corners are not rounded, which errs by at most 0.41 r.
    """
    enter, leave = 0.0, np.inf
    for p, v, half in ((x, vx, length / 2 + r), (y, vy, width / 2 + r)):
        if abs(v) < 1e-9:
            if abs(p) > half:
                return np.inf
            continue
        a, b = (-half - p) / v, (half - p) / v
        enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
    return enter if enter <= leave else np.inf


@njit(cache=True)
def _measure(
    mover: Any, walker: Any, first: int, length: float, width: float, r: float, lags: int, along: float, step: float, least_v: float,
    out: Any,
) -> None:  # fmt: skip
    """Fill out[k] = (TTC, PET) at each row of `mover` (x, y, heading, speed); walker row `first + k` is of the same moment."""
    n, m = len(mover), len(walker)
    for k in range(n):
        out[k, 0] = out[k, 1] = np.inf
        x, y, heading, speed = mover[k]
        if speed < least_v:
            continue
        c, s = np.cos(heading), np.sin(heading)
        for lag in range(-lags, lags + 1):
            j = first + k + lag
            if j < 0 or j >= m:
                continue
            dx, dy = walker[j, 0] - x, walker[j, 1] - y
            px, py = c * dx + s * dy, c * dy - s * dx
            turn = abs((walker[j, 2] - heading + np.pi) % (2 * np.pi) - np.pi)
            if turn < along:
                continue
            if abs(px) < length / 2 + r and abs(py) < width / 2 + r:
                out[k, 1] = min(out[k, 1], abs(lag) * step)
            if lag == 0:
                wx, wy = walker[j, 3] * np.cos(walker[j, 2]), walker[j, 3] * np.sin(walker[j, 2])
                out[k, 0] = ttc(px, py, c * wx + s * wy - speed, c * wy - s * wx, length, width, r)


def of_pair(
    mover: np.ndarray, walker: np.ndarray, begin: tuple[int, int], size: tuple[float, float, float], step: float
) -> np.ndarray:
    """Return float64[n, 2]: TTC and PET in s at each moment of `mover`.

    `mover` float64[n, 4] and `walker` float64[m, 4] are x, y (m), heading (rad), speed (m/s), rows `step` s apart; `begin` is
    the step number of the first row of each; `size` is the vehicle's length and width and the walker's radius, in m.
    """
    out = np.full((len(mover), 2), np.inf)
    lags = int(PET / step)
    _measure(mover, walker, begin[0] - begin[1], *size, lags, float(ALONG), step, SLOWEST, out)
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
