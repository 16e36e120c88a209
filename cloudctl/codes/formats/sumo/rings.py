"""Ring-barrier (NEMA TS 2) programmes of SUMO as a sequence of phases.

Two rings run side by side, each through its phases in order: green, yellow, red. Both reach a barrier together: the
ring that is done first stays in the green of its last phase. What the heads show at a time is what either ring shows
them, the more permissive of both.

    ring 1   | phase 1 ... phase 2 ..... | phase 3 ... phase 4 |
    ring 2   | phase 5 ....... phase 6 . | phase 7 ..... phase 8 |
                                     barrier                 barrier

The sequence is the one in which every phase has its longest green. Traffic may end any of them sooner, so that other
phases meet."""

from itertools import pairwise
from typing import NamedTuple

from .network import NetPhase, NetProgram

DEFAULT_YELLOW, DEFAULT_ALL_RED = 3.0, 0.0  # s, where a phase gives none
GREEN_LETTERS = "Gg"


class Interval(NamedTuple):
    """What one ring shows from one time to another, s; `shortest` is how long it must last, where it is a green."""

    start: float
    end: float
    state: str
    shortest: float


def sequence(program: NetProgram) -> list[NetPhase] | None:
    """Return the phases of a ring-barrier programme in sequence; None for one whose rings and barriers cannot be made
    out."""
    by_name = {phase.name: phase for phase in program.phases}
    rings = [_names(program.keys.get(key, "")) for key in ("ring1", "ring2")]
    rings = [[name for name in ring if name != "0"] for ring in rings]
    # As SUMO takes them
    second_barrier = program.keys.get("barrier2Phases") or program.keys.get("coordinatePhases", "")
    barrier_phases = [_names(text) for text in (program.keys.get("barrierPhases", ""), second_barrier)]

    if not any(rings) or any(name not in by_name for ring in rings for name in ring):
        return None

    stages_of_ring = [_between_barriers(ring, {name for row in barrier_phases for name in row}) for ring in rings]
    stages = max(map(len, stages_of_ring))
    if any(part and len(part) != stages for part in stages_of_ring):
        return None

    phases: list[NetPhase] = []
    for stage in range(stages):
        phases += _merged_phases(
            [_ring_intervals([by_name[name] for name in part[stage]]) for part in stages_of_ring if part]
        )

    return phases


def _names(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


def _between_barriers(ring: list[str], ends: set[str]) -> list[list[str]]:
    """Return the phases of a ring in groups that end at a barrier; without barriers they are one."""
    parts: list[list[str]] = [[]]
    for name in ring:
        parts[-1].append(name)
        if name in ends:
            parts.append([])

    if not parts[-1]:
        parts.pop()
    elif len(parts) > 1:  # a ring that is written from the middle: what follows the last barrier comes before the first
        parts[0] = parts.pop() + parts[0]

    return parts


def _ring_intervals(phases: list[NetPhase]) -> list[Interval]:
    """Return what a ring shows from one barrier to the next."""
    intervals: list[Interval] = []
    elapsed = 0.0

    for index, phase in enumerate(phases):
        following = phases[index + 1].state if index + 1 < len(phases) else "r" * len(phase.state)
        longest = phase.longest if phase.longest is not None else phase.duration
        yellow, red = phase.yellow or DEFAULT_YELLOW, phase.red or DEFAULT_ALL_RED
        stays_green = [
            letter in GREEN_LETTERS and next_letter in GREEN_LETTERS
            for letter, next_letter in zip(phase.state, following, strict=False)
        ]
        # NEMA phases have their clearance as attributes: it is written out as intervals of its own
        clearing_state = "".join(
            letter if stays else "y" if letter in GREEN_LETTERS else letter
            for letter, stays in zip(phase.state, stays_green, strict=False)
        )

        red_state = "".join(letter if stays else "r" for letter, stays in zip(phase.state, stays_green, strict=False))
        for length, state, shortest in (
            (longest, phase.state, phase.shortest or 0.0),
            (yellow, clearing_state, 0.0),
            (red, red_state, 0.0),
        ):
            if length > 0:
                intervals.append(Interval(start=elapsed, end=elapsed + length, state=state, shortest=shortest))
                elapsed += length

    return intervals


def _merged_phases(rings: list[list[Interval]]) -> list[NetPhase]:
    """Return the phases of rings that begin and end together."""
    stage_end = max(ring[-1].end for ring in rings)
    rings = [_stretched(ring, stage_end) for ring in rings]
    times = sorted({0.0, stage_end, *(interval.end for ring in rings for interval in ring)})
    phases = []

    for start, end in pairwise(times):
        if end - start < 1e-6:
            continue

        active = [next(interval for interval in ring if interval.start <= start < interval.end) for ring in rings]
        # Each ring has r for the other's movements: the most open letter is what the lamp shows
        state = "".join(
            max(letters, key="rsuyYgG".find) for letters in zip(*(interval.state for interval in active), strict=False)
        )
        greens = [interval for interval in active if interval.shortest]
        shortest = min((max(interval.shortest - (start - interval.start), 0.0) for interval in greens), default=None)
        extent = (None, None) if shortest is None else (min(shortest, end - start), end - start)
        phases.append(NetPhase(state, end - start, *extent))

    return phases


def _stretched(ring: list[Interval], barrier_time: float) -> list[Interval]:
    """Return a ring whose last green is longer, so that it reaches the barrier at `barrier_time`."""
    extension = barrier_time - ring[-1].end
    last_green = max(
        (
            index
            for index, interval in enumerate(ring)
            if any(letter in GREEN_LETTERS for letter in interval.state) and interval.shortest
        ),
        default=len(ring) - 1,
    )

    return [
        Interval(
            start=interval.start + extension * (index > last_green),
            end=interval.end + extension * (index >= last_green),
            state=interval.state,
            shortest=interval.shortest,
        )
        for index, interval in enumerate(ring)
    ]
