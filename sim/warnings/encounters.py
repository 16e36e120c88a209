"""TTC and PET of vehicles with pedestrians and cyclists ("walkers" here), which device.ssm does not log, from true
trajectories.

A vehicle is a rectangle, a walker a disc. TTC: the walker keeps its velocity, the vehicle its speed along the path that
it truly took (Hayward 1972; on a straight line
instead, a pedestrian waiting at a corner is about to be hit by every vehicle that turns). PET: the least time between
one having been at a place and the other
being there (Allen 1978), found as the least lag at which their footprints overlap. Two that move the same way (within
MIN_ANGLE) follow
each other and are not counted. Thresholds: TTC 1.5 s, PET 2 s.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cloudctl.kernels import njit

from .ssm import PET, SERIOUS_TTC, Conflict, merge

# s; a car braking for a red at 3 m/s^2 from 50 km/h is 2.3 s from crossing pedestrians: no conflict
TTC = SERIOUS_TTC
MIN_ANGLE = np.radians(25.0)  # rad between headings below which two follow each other
MIN_SPEED = 0.5  # m/s; a vehicle slower than this is no danger
SAME_ENCOUNTER = 5.0  # s; a pair's encounters closer than this are one
RADIUS = 0.4  # m, of a pedestrian
MAX_CYCLIST_RADIUS = 0.8  # m; half of the length, at most


@njit(cache=True)
def overlaps(x: float, y: float, heading: float, position: Any, length: float, width: float, r: float) -> bool:
    """Return whether a disc of radius `r` at `position` touches a rectangle centred at (x, y), lying along `heading`.

    The rectangle is grown by `r` without rounding its corners, which errs by at most 0.41 r.
    """
    dx, dy = position[0] - x, position[1] - y
    cosine, sine = np.cos(heading), np.sin(heading)
    return abs(cosine * dx + sine * dy) < length / 2 + r and abs(cosine * dy - sine * dx) < width / 2 + r


@njit(cache=True)
def _ttc(mover: Any, row: int, walker: Any, length: float, width: float, r: float, limit: float) -> float:
    """Return s until the walker, at its velocity now, is touched by the mover on its path at its speed now."""
    speed, driven = mover[row, 3], 0.0
    position = np.array([walker[0], walker[1]])
    vx, vy = walker[3] * np.cos(walker[2]), walker[3] * np.sin(walker[2])

    for index in range(row, len(mover)):
        if index > row:
            driven += np.hypot(mover[index, 0] - mover[index - 1, 0], mover[index, 1] - mover[index - 1, 1])
        time_s = driven / speed
        if not time_s < limit:  # nan too: out of reach
            break

        position[0], position[1] = walker[0] + vx * time_s, walker[1] + vy * time_s
        if overlaps(mover[index, 0], mover[index, 1], mover[index, 2], position, length, width, r):
            return time_s

    return np.inf


@njit(cache=True)
def _measure(
    mover: Any, walker: Any, first: int, length: float, width: float, r: float, lags: int, min_angle: float, step: float, min_speed: float,  # noqa: E501
    limit: float, figures: Any,
) -> None:  # fmt: skip
    """Fill out[k] = (TTC, PET) at each row of `mover` (x, y, heading, speed); walker row `first + row` is of the same
    moment.
    """
    walker_count = len(walker)
    for index in range(len(mover)):
        figures[index, 0] = figures[index, 1] = np.inf
        x, y, heading, speed = mover[index]
        if not speed >= min_speed:
            continue

        for lag in range(-lags, lags + 1):
            walker_row = first + index + lag
            if walker_row < 0 or walker_row >= walker_count:
                continue

            angle = abs((walker[walker_row, 2] - heading + np.pi) % (2 * np.pi) - np.pi)
            if not angle >= min_angle:
                continue

            if overlaps(x, y, heading, walker[walker_row], length, width, r):
                figures[index, 1] = min(figures[index, 1], abs(lag) * step)
            if lag == 0:
                figures[index, 0] = _ttc(mover, index, walker[walker_row], length, width, r, limit)


def of_pair(
    mover: np.ndarray, walker: np.ndarray, begin: tuple[int, int], size: tuple[float, float, float], step: float
) -> np.ndarray:
    """Return float64[n, 2]: TTC and PET in s at each moment of `mover`.

    `mover` float64[n, 4] and `walker` float64[m, 4] are x, y (m), heading (rad), speed (m/s), rows `step` s apart;
    `begin` is
    the step number of the first row of each; `size` is the vehicle's length and width and the walker's radius, in m.
    """
    figures = np.full((len(mover), 2), np.inf)
    lags = int(PET / step)
    _measure(mover, walker, begin[0] - begin[1], *size, lags, float(MIN_ANGLE), step, MIN_SPEED, TTC, figures)
    return figures


def conflicts(names: tuple[str, str], measures: np.ndarray, times: np.ndarray, kind: str = "vru") -> list[Conflict]:
    """Return the conflicts of one pair: spans in which TTC or PET is below its threshold, SAME_ENCOUNTER s apart or
    more.
    """
    critical = np.flatnonzero((measures[:, 0] < TTC) | (measures[:, 1] < PET))
    if not len(critical):
        return []

    encounters = []
    for span in np.split(critical, np.flatnonzero(np.diff(times[critical]) > SAME_ENCOUNTER) + 1):
        ttc, pet = measures[span].min(axis=0)
        worst = span[np.argmin(measures[span, 0 if ttc < TTC else 1])]

        conflict = Conflict(
            kind=kind,
            a=names[0],
            b=names[1],
            crossed=float(times[span[0]]),
            worst=float(times[worst]),
            ttc=float(ttc) if ttc < TTC else np.inf,
            pet=float(pet) if pet < PET else np.inf,
        )

        encounters.append(conflict)

    return encounters


def radius(is_cyclist: bool, length: float) -> float:
    """Return the radius of the disc a pedestrian or cyclist is taken for, m."""
    return min(length / 2, MAX_CYCLIST_RADIUS) if is_cyclist else RADIUS


def merged(conflicts_found: list[Conflict]) -> list[Conflict]:
    """Return conflicts with those of one vehicle closer than SAME_ENCOUNTER made one: a group on a crossing is met
    once. In order of time.
    """
    return merge(conflicts_found, SAME_ENCOUNTER, lambda conflict: conflict.a)


def near_pairs(places: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], reach: float) -> set[tuple[int, int]]:
    """Return (vehicle, walker) numbers ever within `reach` m at one moment; `places` are (numbers, xy, is walker) by
    moment.
    """
    pairs: set[tuple[int, int]] = set()
    for numbers, xy, is_walker in places:
        vehicles, walkers = np.flatnonzero(~is_walker), np.flatnonzero(is_walker)
        if len(vehicles) and len(walkers):
            gap = np.abs(xy[vehicles][:, None] - xy[walkers][None]).max(axis=2)
            rows, columns = np.nonzero(gap < reach)
            pairs.update(zip(numbers[vehicles[rows]].tolist(), numbers[walkers[columns]].tolist(), strict=True))

    return pairs
