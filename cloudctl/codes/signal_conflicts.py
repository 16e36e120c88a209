"""What the groups of one signal message are compared for: with the groups of the code, and with one another.

**Alignment**: the message has the groups of the code, each once.

**Conflict**: while a group is protected (green or its clearance), no group whose movements cross or merge with its own shows anything but red, unless it is
permissive and has movements that give way. What the other states count as:

* PRE_MOVEMENT, RED_FLASH: red. Nobody may go on the former; on the latter after a stop, giving way to all.
* GREEN_PERMISSIVE, YELLOW_PERMISSIVE, GREEN_FLASH, YELLOW_FLASH: permissive. A flashing green or yellow does not say that it is protected.
* YELLOW_PROTECTED beside YELLOW_PROTECTED: no conflict where one of the two may be permissive: many controllers have one yellow only, whatever green it ends.
* DARK: no conflict. Heads of buses, trams and lanes that are not in use are dark by plan, and nothing is advised by a dark head.
* UNKNOWN: no conflict. What is not known contradicts nothing.

A permissive movement gives way when it turns or waits inside for a gap, when a plan of the code shows it permissive beside the other's green, or, in a code
without plans, when the conflict matrix says so. For a movement straight on the matrix alone is not asked where there are plans: it also orders the two roads
of a crossing for the time when no signal decides (SUMO's `response`), and would excuse half of all crossing greens.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from cloudctl.schema import Group, SignalState

from .model import Connection, IntersectionCode

S = SignalState
PROTECTED = (S.GREEN_PROTECTED, S.YELLOW_PROTECTED)
PERMISSIVE = (S.GREEN_PERMISSIVE, S.YELLOW_PERMISSIVE, S.GREEN_FLASH, S.YELLOW_FLASH)
Foes = dict[int, dict[int, bool]]  # group -> group it conflicts with -> whether that one may be permissive beside it


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
        for other, may_be_permissive in foes.get(group, {}).items():
            other_state = shown.get(other, S.UNKNOWN)
            if other_state in PROTECTED:
                both_end = state == other_state == S.YELLOW_PROTECTED and (may_be_permissive or foes[other][group])
                clash = group < other and not both_end
            else:
                clash = other_state in PERMISSIVE and not may_be_permissive
            if clash:
                found.append(Clash(group, state, other, other_state))
    return found


def foes_of(code: IntersectionCode) -> Foes:
    """Return the groups whose movements cross or merge, without the code's `signal_exceptions`."""
    movements = {c.id: c for c in code.connections}
    excepted = {(e.a, e.b) for e in code.signal_exceptions} | {(e.b, e.a) for e in code.signal_exceptions}
    permissive = _permissive_by_plan(code)
    foes: Foes = {}
    for conflict in code.conflicts:
        a, b = movements[conflict.a], movements[conflict.b]
        if not a.group or not b.group or a.group == b.group or conflict.kind == "diverge" or (a.group, b.group) in excepted:
            continue
        for own, other, other_yields in ((a, b, conflict.b_yields), (b, a, conflict.a_yields)):
            planned = (own.group, other.group) in permissive
            gives_way = planned or _turns(other) or (other_yields and not code.plans)
            beside = foes.setdefault(own.group, {})
            beside[other.group] = beside.get(other.group, True) and gives_way
    return foes


def _turns(movement: Connection) -> bool:
    return movement.waits or movement.turn != "straight"


def _permissive_by_plan(code: IntersectionCode) -> set[tuple[int, int]]:
    """Return the pairs (a, b) that some phase of a plan shows as protected green and permissive green."""
    pairs = set()
    for plan in code.plans:
        for phase in plan.phases:
            letters = list(zip(code.signal_groups, phase.shows, strict=False))
            permissive = [group.id for group, letter in letters if letter == "g"]
            pairs |= {(group.id, other) for group, letter in letters if letter == "G" for other in permissive}
    return pairs
