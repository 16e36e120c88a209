"""What a traffic-driven controller knows of the end of a state: its own limits, never what traffic will make of them.

A phase that has lasted `spent` s ends after max(min - spent, 0) s at the earliest and max - spent at the latest. A
state that stands over several phases ends
with the last of them, whose own limits add up. Only where both come to the same (yellow, all-red, a phase at its
maximum) is an end, or a next green, certain.
"""

from collections.abc import Sequence
from typing import NamedTuple

GREEN = "gG"


class Phase(NamedTuple):
    """One phase of a programme; durations in s."""

    state: str
    duration: float
    shortest: float
    longest: float


class Bounds(NamedTuple):
    """When a state ends, s from now; None where the controller itself does not know."""

    earliest: float
    latest: float | None
    # When the next green of the column begins, where that is certain
    next_green: float | None = None
    next_duration: float | None = None  # how long that green lasts, where that is certain


# Of a programme whose phases may come in another order than they stand
UNKNOWN = Bounds(earliest=0.0, latest=None)


def bounds(phases: Sequence[Phase], phase: int, elapsed: float, column: int) -> Bounds:
    """Return when the state of a column ends. Phases follow one another in a cycle; `phase` is in force since `elapsed`
    s.
    """
    letter = phases[phase].state[column]
    earliest = max(phases[phase].shortest - elapsed, 0.0)
    latest = max(phases[phase].longest - elapsed, 0.0)

    following = [phases[(phase + index) % len(phases)] for index in range(1, len(phases))]

    standing = 0
    while standing < len(following) and same_colour(following[standing].state[column], letter):
        earliest += following[standing].shortest
        latest += following[standing].longest
        standing += 1

    if standing == len(following):  # the column shows the same for ever
        return UNKNOWN

    return Bounds(earliest, latest, *_next_green(following[standing:], column, earliest, latest))


def _next_green(
    following: Sequence[Phase], column: int, earliest: float, latest: float
) -> tuple[float | None, float | None]:
    """Return when the next green begins and how long it lasts; `following` begins `earliest` .. `latest` s from now."""
    if earliest != latest:
        return None, None

    until, start = earliest, None
    for phase in following:
        green = phase.state[column] in GREEN
        if start is not None and not green:
            return start, until - start

        if green and start is None:
            start = until
        if phase.shortest != phase.longest:  # from here on traffic decides
            break

        until += phase.longest

    return start, None


def same_colour(first: str, second: str) -> bool:
    """Return whether two letters of SUMO are one state of a signal group to the vehicles that wait at it."""
    return first == second or (first in GREEN and second in GREEN)
