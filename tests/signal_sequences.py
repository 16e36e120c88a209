"""Sequences of signal states for tests: what the shipped intersection shows, message by message, and which checks it
trips.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from cloudctl import codes, maps
from cloudctl.schema import Group, SignalState

MS, SECOND = 10**6, 10**9
T = 1_767_225_600 * SECOND
GOOD = codes.load(maps.path("intersection.json"))
S = SignalState
RED = Group(1, S.RED, T + 20 * SECOND, T + 20 * SECOND)
GREEN = Group(1, S.GREEN_PROTECTED, T + 20 * SECOND, T + 40 * SECOND)
YELLOW = Group(1, S.YELLOW_PROTECTED, T + 23 * SECOND, T + 23 * SECOND)
DRIVEN = [g.id for g in GOOD.signal_groups if g.kind == "vehicle"]


def at(
    hz: float, groups: list[tuple[Group, ...]], revision: int = 1, late_ms: int = 5
) -> Iterator[tuple[int, int, tuple[Group, ...], int]]:
    for k, found in enumerate(groups):
        t = T + round(k * SECOND / hz)
        yield t + late_ms * MS, t, found, revision


def of(group: Group, number: int = DRIVEN[0], **changes: object) -> tuple[Group, ...]:
    """Return a whole message: one group as given, all others red."""
    return whole({number: replace(group, group=number, **changes)})


def whole(shown: dict[int, Group], code: codes.IntersectionCode = GOOD) -> tuple[Group, ...]:
    """Return a message with a state for every group of the code: as given, else red."""
    return tuple(shown.get(g.id, Group(g.id, S.RED)) for g in code.signal_groups)


def states(shown: dict[int, SignalState], code: codes.IntersectionCode = GOOD) -> tuple[Group, ...]:
    return whole({number: Group(number, state) for number, state in shown.items()}, code)


def without(number: int, groups: tuple[Group, ...]) -> tuple[Group, ...]:
    return tuple(group for group in groups if group.group != number)


def foes(turn: str = "straight") -> tuple[int, int]:
    """Return a pair of groups for vehicles whose movements cross: straight ones with those of another `turn`."""
    movements = {c.id: c for c in GOOD.connections}
    pairs = [
        (movements[a], movements[b]) for c in GOOD.conflicts if c.kind == "cross" for a, b in ((c.a, c.b), (c.b, c.a))
    ]
    return min(
        (a.group, b.group)
        for a, b in pairs
        if a.turn == "straight" and b.turn == turn and a.group in DRIVEN and b.group in DRIVEN and a.group != b.group
    )


CASES = {
    "good": ([of(RED)] * 5 + [of(GREEN)] * 5 + [of(YELLOW)] * 5 + [of(RED)] * 5, 10, 1, 5, set()),
    "slow": ([of(RED)] * 15, 1, 1, 5, {"rate"}),
    "fast": ([of(RED)] * 900, 80, 1, 5, {"rate"}),
    "stale": ([of(RED)] * 5, 10, 1, 700, {"age"}),
    "early": ([of(RED)] * 5, 10, 1, -300, {"age"}),
    "no yellow": ([of(GREEN)] * 3 + [of(RED)] * 3, 10, 1, 5, {"phase_order"}),
    "yellow first": ([of(RED)] * 3 + [of(YELLOW)] * 3, 10, 1, 5, {"phase_order"}),
    "end order": ([of(GREEN, min_end=T + 9 * SECOND, max_end=T + 8 * SECOND)] * 3, 10, 1, 5, {"end_order"}),
    "likely": ([of(GREEN, likely_end=T + 50 * SECOND)] * 3, 10, 1, 5, {"end_order"}),
    "countdown": (
        [of(RED)] * 3 + [of(RED, min_end=T + 28 * SECOND, max_end=T + 28 * SECOND)] * 3,
        10,
        1,
        5,
        {"countdown"},
    ),
    "extended": ([of(GREEN, min_end=T + (20 + k // 10) * SECOND) for k in range(30)], 10, 1, 5, set()),
    "put off by traffic": ([of(GREEN, likely_end=T + (25 + 5 * (k // 3)) * SECOND) for k in range(9)], 10, 1, 5, set()),
    "put off without bounds": (
        [of(GREEN, max_end=None, likely_end=T + (25 + 5 * (k // 3)) * SECOND) for k in range(9)],
        10,
        1,
        5,
        {"countdown"},
    ),
    "revision": ([of(RED)] * 3, 10, 7, 5, {"revision"}),
    "conflict": ([states(dict.fromkeys(foes(), S.GREEN_PROTECTED))] * 3, 10, 1, 5, {"conflict"}),
    "a crossing yellow": (
        [states(dict(zip(foes(), (S.GREEN_PROTECTED, S.YELLOW_PROTECTED), strict=True)))] * 3,
        10,
        1,
        5,
        {"conflict"},
    ),
    "unknown groups": (
        [(*of(RED), Group(99, S.GREEN_PROTECTED), Group(98, S.GREEN_PROTECTED))] * 3,
        10,
        1,
        5,
        {"alignment"},
    ),
    "a group missing": ([without(DRIVEN[0], of(RED, DRIVEN[1]))] * 3, 10, 1, 5, {"alignment"}),
    "no groups": ([()] * 3, 10, 1, 5, {"alignment"}),
    "a group twice": ([(*of(RED), Group(DRIVEN[0], S.GREEN_PROTECTED))] * 3, 10, 1, 5, {"duplicate"}),
    "overdue": ([of(RED, min_end=T, max_end=T + 200 * MS)] * 6, 10, 1, 5, {"overdue"}),
    "lost messages": ([of(GREEN), of(RED)], 0.5, 1, 5, set()),
}
