"""What the groups of one signal message are compared for: with the groups of the code, and with one another.

**Alignment**: the message has the groups of the code, each once.

**Conflict**: while a group is protected (green or its clearance), no group whose movements cross or merge with its own
shows anything but red, unless it is permissive and has movements that give way. What the other states count as:

* PRE_MOVEMENT, RED_FLASH: red. No vehicle may go on the former; on the latter after a stop, giving way to all.
* GREEN_PERMISSIVE, YELLOW_PERMISSIVE, GREEN_FLASH, YELLOW_FLASH: permissive. A flashing green or yellow does not show
  that it is protected.
* YELLOW_PROTECTED beside YELLOW_PROTECTED: no conflict where one of the two may be permissive: many controllers have
  one yellow only, whatever green it ends.
* Any yellow: no conflict beside a green that some phase of the code's own plans shows with it (a right turn that
  becomes protected while the bicycles clear).
* DARK: no conflict. Heads of buses, trams and lanes that are not in use are dark by plan, and no advice rests on a dark
  head.
* UNKNOWN: no conflict. What is not known contradicts nothing.

A permissive movement gives way when it turns or waits inside for a gap, when a plan of the code shows it permissive
beside the other's green, or, in a code without plans, when the conflict matrix allows it. For a movement straight on
the matrix alone is not asked where there are plans: it also orders the two roads of a crossing for the time when no
signal decides (SUMO's `response`), and would excuse half of all crossing greens.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

from ..codes.model import Connection, IntersectionCode
from ..schema import Group, SignalState
from .colours import PERMISSIVE_STATES, PROTECTED_STATES, YELLOW_STATES


class Beside(NamedTuple):
    """What one group may show beside the other of a conflicting pair while that is protected."""

    permissive: bool
    yellow: bool


# group -> group it conflicts with -> what that one may show beside it
Foes = dict[int, dict[int, Beside]]


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


def align(known_ids: Collection[int], ids: Iterable[int]) -> Alignment:
    """Return how the groups of a message differ from the `known_ids` ones of the code."""
    counts = Counter(ids)
    return Alignment(
        unknown=tuple(sorted(group for group in counts if group not in known_ids)),
        missing=tuple(group for group in known_ids if group not in counts),
        twice=tuple(sorted(group for group, count in counts.items() if count > 1 and group in known_ids)),
    )


def clashes(foes: Foes, groups: Iterable[Group]) -> list[Clash]:
    """Return the conflicts among the groups of one message, each pair once."""
    states = {group.group: group.state for group in groups}
    clashing = []

    for group, state in states.items():
        if state not in PROTECTED_STATES:
            continue

        for other_group, beside in foes.get(group, {}).items():
            other_state = states.get(other_group, SignalState.UNKNOWN)
            is_protected = other_state in PROTECTED_STATES
            if is_protected and other_group < group:
                continue  # noticed from the other
            if not is_protected and other_state not in PERMISSIVE_STATES:
                continue

            if not _is_excused(state, other_state, beside, foes[other_group][group]):
                clashing.append(Clash(group=group, state=state, other=other_group, other_state=other_state))

    return clashing


def _is_excused(state: SignalState, other_state: SignalState, beside: Beside, reverse: Beside) -> bool:
    """Return whether a foe may show `other_state` beside a protected `state`. `beside`: what the foe may show beside
    it; `reverse`: it beside the foe."""
    if other_state in YELLOW_STATES and beside.yellow:
        return True
    if other_state in PERMISSIVE_STATES:
        return beside.permissive

    if state == SignalState.YELLOW_PROTECTED:
        both_end = other_state == SignalState.YELLOW_PROTECTED and (beside.permissive or reverse.permissive)
        return both_end or reverse.yellow

    return False


def foes_of(code: IntersectionCode) -> Foes:
    """Return the groups whose movements cross or merge, without the code's `signal_exceptions`."""
    movements = {connection.id: connection for connection in code.connections}
    exceptions = {(pair.a, pair.b) for pair in code.signal_exceptions}
    exceptions |= {(pair.b, pair.a) for pair in code.signal_exceptions}
    permissive_beside_green = _shown_together(code, "G", "g")
    yellow_beside_green = _shown_together(code, "GY", "Y")

    foes: Foes = {}

    for conflict in code.conflicts:
        first, second = movements[conflict.a], movements[conflict.b]
        has_groups = bool(first.group and second.group) and first.group != second.group
        if not has_groups or conflict.kind == "diverge" or (first.group, second.group) in exceptions:
            continue

        for own, other_id, other_yields in ((first, second, conflict.b_yields), (second, first, conflict.a_yields)):
            pair = own.group, other_id.group
            gives_way = pair in permissive_beside_green or _turns(other_id) or (other_yields and not code.plans)

            # A pair of groups may have several conflicts: each must let the other be permissive.
            of_own = foes.setdefault(own.group, {})
            before = of_own.get(other_id.group)
            is_permissive = gives_way and (before is None or before.permissive)
            of_own[other_id.group] = Beside(is_permissive, pair in yellow_beside_green)

    return foes


def _turns(movement: Connection) -> bool:
    return movement.waits or movement.turn != "straight"


def _shown_together(code: IntersectionCode, first: str, second: str) -> set[tuple[int, int]]:
    """Return the pairs of groups that some phase of a plan shows as one of the letters `first` and one of `second`."""
    pairs = set()
    for plan in code.plans:
        for phase in plan.phases:
            letters = list(zip(code.signal_groups, phase.shows, strict=False))
            lit_groups = [group.id for group, letter in letters if letter in second]
            pairs |= {
                (group.id, other_group) for group, letter in letters if letter in first for other_group in lit_groups
            }

    return pairs
