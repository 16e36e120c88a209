"""What the groups of one signal message are compared for: with the groups of the code, and with one another.

**Alignment**: the message has the groups of the code, each once.

**Conflict**: while a group is protected (green or its clearance), no group whose movements cross or merge with its own shows anything but red, unless it is
permissive and has movements that give way. What the other states count as:

* PRE_MOVEMENT, RED_FLASH: red. Nobody may go on the former; on the latter after a stop, giving way to all.
* GREEN_PERMISSIVE, YELLOW_PERMISSIVE, GREEN_FLASH, YELLOW_FLASH: permissive. A flashing green or yellow does not say that it is protected.
* YELLOW_PROTECTED beside YELLOW_PROTECTED: no conflict where one of the two may be permissive: many controllers have one yellow only, whatever green it ends.
* Any yellow: no conflict beside a green that some phase of the code's own plans shows with it (a right turn that becomes protected while the bicycles clear).
* DARK: no conflict. Heads of buses, trams and lanes that are not in use are dark by plan, and nothing is advised by a dark head.
* UNKNOWN: no conflict. What is not known contradicts nothing.

A permissive movement gives way when it turns or waits inside for a gap, when a plan of the code shows it permissive beside the other's green, or, in a code
without plans, when the conflict matrix says so. For a movement straight on the matrix alone is not asked where there are plans: it also orders the two roads
of a crossing for the time when no signal decides (SUMO's `response`), and would excuse half of all crossing greens.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from cloudctl.schema import Group, SignalState

from ..codes.model import Connection, IntersectionCode

S = SignalState
PROTECTED = (S.GREEN_PROTECTED, S.YELLOW_PROTECTED)
PERMISSIVE = (S.GREEN_PERMISSIVE, S.YELLOW_PERMISSIVE, S.GREEN_FLASH, S.YELLOW_FLASH)
YELLOW = (S.YELLOW_PERMISSIVE, S.YELLOW_PROTECTED)


class Beside(NamedTuple):
    """What one group may show beside the other of a conflicting pair while that is protected."""

    permissive: bool
    yellow: bool


Foes = dict[int, dict[int, Beside]]  # group -> group it conflicts with -> what that one may show beside it


class Alignment(NamedTuple):
    """How the groups of a message differ from those of the code: ids, in order."""

    unknown: tuple[int, ...]  # not of the code
    missing: tuple[int, ...]  # of the code, not in the message
    twice: tuple[int, ...]  # of the code, more than once in the message


class Clash(NamedTuple):
    """Two groups that may not show what they show; the first is protected."""

    group: int
    state: SignalState
    other: int
    other_state: SignalState


def align(known: Collection[int], ids: Iterable[int]) -> Alignment:
    """Return how the groups of a message differ from the `known` ones of the code."""
    times: dict[int, int] = {}
    for group in ids:
        times[group] = times.get(group, 0) + 1
    unknown = sorted(group for group in times if group not in known)
    twice = sorted(group for group, n in times.items() if n > 1 and group in known)
    return Alignment(tuple(unknown), tuple(group for group in known if group not in times), tuple(twice))


def clashes(foes: Foes, groups: Iterable[Group]) -> list[Clash]:
    """Return the conflicts among the groups of one message, each pair once."""
    shown = {group.group: group.state for group in groups}
    found = []
    for group, state in shown.items():
        if state not in PROTECTED:
            continue
        for other, beside in foes.get(group, {}).items():
            other_state = shown.get(other, S.UNKNOWN)
            if other_state in PROTECTED and other < group:
                continue  # seen from the other
            if other_state in PROTECTED or other_state in PERMISSIVE:
                excused = _excused(state, other_state, beside, foes[other][group])
                found += [] if excused else [Clash(group, state, other, other_state)]
    return found


def _excused(state: SignalState, other: SignalState, beside: Beside, reverse: Beside) -> bool:
    """Return whether a state of a foe is in order beside a protected `state`; `beside`: what it may show, `reverse`: what the first may beside it."""
    if other in YELLOW and beside.yellow:
        return True
    if other in PERMISSIVE:
        return beside.permissive
    if state == S.YELLOW_PROTECTED:
        both_end = other == S.YELLOW_PROTECTED and (beside.permissive or reverse.permissive)
        return both_end or reverse.yellow
    return False


def foes_of(code: IntersectionCode) -> Foes:
    """Return the groups whose movements cross or merge, without the code's `signal_exceptions`."""
    movements = {c.id: c for c in code.connections}
    excepted = {(e.a, e.b) for e in code.signal_exceptions} | {(e.b, e.a) for e in code.signal_exceptions}
    permissive, yellow = _shown_together(code, "G", "g"), _shown_together(code, "GY", "Y")
    foes: Foes = {}
    for conflict in code.conflicts:
        a, b = movements[conflict.a], movements[conflict.b]
        if (
            not a.group
            or not b.group
            or a.group == b.group
            or conflict.kind == "diverge"
            or (a.group, b.group) in excepted
        ):
            continue
        for own, other, other_yields in ((a, b, conflict.b_yields), (b, a, conflict.a_yields)):
            pair = own.group, other.group
            gives_way = pair in permissive or _turns(other) or (other_yields and not code.plans)
            of_own = foes.setdefault(own.group, {})
            before = of_own.get(other.group)
            of_own[other.group] = Beside(gives_way and (before is None or before.permissive), pair in yellow)
    return foes


def _turns(movement: Connection) -> bool:
    return movement.waits or movement.turn != "straight"


def _shown_together(code: IntersectionCode, first: str, second: str) -> set[tuple[int, int]]:
    """Return the pairs of groups that some phase of a plan shows as one of the letters `first` and one of `second`."""
    pairs = set()
    for plan in code.plans:
        for phase in plan.phases:
            letters = list(zip(code.signal_groups, phase.shows, strict=False))
            others = [group.id for group, letter in letters if letter in second]
            pairs |= {(group.id, other) for group, letter in letters if letter in first for other in others}
    return pairs
