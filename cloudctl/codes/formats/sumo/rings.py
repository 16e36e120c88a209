"""Ring-barrier (NEMA TS 2) programmes of SUMO as a sequence of phases.

Two rings run side by side, each through its phases in order: green, yellow, red. Both reach a barrier together: the ring that is done
first stays in the green of its last phase. What the heads show at a time is what either ring shows them, the more permissive of both.

    ring 1   | phase 1 ... phase 2 ..... | phase 3 ... phase 4 |
    ring 2   | phase 5 ....... phase 6 . | phase 7 ..... phase 8 |
                                     barrier                 barrier

The sequence is the one in which every phase has its longest green. Traffic may end any of them sooner, so that others meet.
"""

from itertools import pairwise
from typing import NamedTuple

from .network import NetPhase, NetProgram

YELLOW, ALL_RED = 3.0, 0.0  # s, where a phase does not say
GREEN = "Gg"


class Interval(NamedTuple):
    """What one ring shows from one time to another, s; `shortest` is how long it must last, where it is a green."""

    start: float
    end: float
    state: str
    shortest: float


def sequence(program: NetProgram) -> list[NetPhase] | None:
    """Return the phases of a ring-barrier programme in sequence; None for one whose rings and barriers cannot be made out."""
    by_name = {phase.name: phase for phase in program.phases}
    rings = [_names(program.keys.get(key, "")) for key in ("ring1", "ring2")]
    rings = [[name for name in ring if name != "0"] for ring in rings]
    second = program.keys.get("barrier2Phases") or program.keys.get("coordinatePhases", "")  # as SUMO takes them
    ends = [_names(text) for text in (program.keys.get("barrierPhases", ""), second)]
    if not any(rings) or any(name not in by_name for ring in rings for name in ring):
        return None
    parts = [_between_barriers(ring, {name for row in ends for name in row}) for ring in rings]
    stages = max(map(len, parts))
    if any(part and len(part) != stages for part in parts):
        return None
    phases: list[NetPhase] = []
    for k in range(stages):
        phases += _side_by_side([_ring([by_name[name] for name in part[k]]) for part in parts if part])
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


def _ring(phases: list[NetPhase]) -> list[Interval]:
    """Return what a ring shows from one barrier to the next."""
    shown: list[Interval] = []
    t = 0.0
    for k, phase in enumerate(phases):
        following = phases[k + 1].state if k + 1 < len(phases) else "r" * len(phase.state)
        longest = phase.longest if phase.longest is not None else phase.duration
        yellow, red = phase.yellow or YELLOW, phase.red or ALL_RED
        goes_on = [a in GREEN and b in GREEN for a, b in zip(phase.state, following, strict=False)]
        fading = "".join(
            a if stays else "y" if a in GREEN else a for a, stays in zip(phase.state, goes_on, strict=False)
        )
        cleared = "".join(a if stays else "r" for a, stays in zip(phase.state, goes_on, strict=False))
        for length, state, shortest in (
            (longest, phase.state, phase.shortest or 0.0),
            (yellow, fading, 0.0),
            (red, cleared, 0.0),
        ):
            if length > 0:
                shown.append(Interval(t, t + length, state, shortest))
                t += length
    return shown


def _side_by_side(rings: list[list[Interval]]) -> list[NetPhase]:
    """Return the phases of rings that begin and end together."""
    whole = max(ring[-1].end for ring in rings)
    rings = [_stretched(ring, whole) for ring in rings]
    times = sorted({0.0, whole, *(interval.end for ring in rings for interval in ring)})
    phases = []
    for start, end in pairwise(times):
        if end - start < 1e-6:
            continue
        active = [next(i for i in ring if i.start <= start < i.end) for ring in rings]
        state = "".join(max(letters, key="rsuyYgG".find) for letters in zip(*(i.state for i in active), strict=False))
        greens = [i for i in active if i.shortest]
        shortest = min((max(i.shortest - (start - i.start), 0.0) for i in greens), default=None)
        bounds = (None, None) if shortest is None else (min(shortest, end - start), end - start)
        phases.append(NetPhase(state, end - start, *bounds))
    return phases


def _stretched(ring: list[Interval], whole: float) -> list[Interval]:
    """Return a ring whose last green is longer, so that it reaches the barrier at `whole`."""
    spare = whole - ring[-1].end
    last = max(
        (k for k, i in enumerate(ring) if any(letter in GREEN for letter in i.state) and i.shortest),
        default=len(ring) - 1,
    )
    return [
        Interval(i.start + spare * (k > last), i.end + spare * (k >= last), i.state, i.shortest)
        for k, i in enumerate(ring)
    ]
