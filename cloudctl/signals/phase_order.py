"""Which state of a signal group may follow which: red, green, yellow, red, and whatever the plans of the code do."""

from typing import NamedTuple

from ..codes.model import IntersectionCode
from ..schema import SignalState
from .colours import EXCEPTIONAL_STATES, GREEN_STATES, YELLOW_STATES

S = SignalState
KINDS_WITH_YELLOW = ("vehicle", "bus", "tram")  # kinds of groups that show yellow after green
SUCCESSORS: dict[SignalState, tuple[SignalState, ...]] = {
    S.RED: (S.PRE_MOVEMENT, *GREEN_STATES),
    S.PRE_MOVEMENT: GREEN_STATES,
    **dict.fromkeys(GREEN_STATES, (*GREEN_STATES, *YELLOW_STATES)),
    **dict.fromkeys(YELLOW_STATES, (S.RED, *YELLOW_STATES)),
}

# The colour of a state, and of a letter of a plan (`codes.model.Phase`).
COLOUR = {S.RED: "R", S.PRE_MOVEMENT: "P", **dict.fromkeys(GREEN_STATES, "G"), **dict.fromkeys(YELLOW_STATES, "Y")}
COLOUR_OF_LETTER = {"R": "R", "G": "G", "g": "G", "y": "G", "Y": "Y", "P": "P"}


class Change(NamedTuple):
    """A group's change from one colour to another."""

    group: int
    before: str
    after: str


class PhaseOrder:
    """The order of the states of a code's signal groups."""

    def __init__(self, code: IntersectionCode) -> None:
        self._kinds = {group.id: group.kind for group in code.signal_groups}
        self._planned = planned_changes(code)

    def allows(self, group: int, before: SignalState, after: SignalState) -> bool:
        """Return whether a group may show `after` right after `before`."""
        if before in EXCEPTIONAL_STATES or after in EXCEPTIONAL_STATES:
            return True
        if after in SUCCESSORS.get(before, ()):
            return True
        if Change(group, COLOUR[before], COLOUR[after]) in self._planned:
            return True

        # Signals for pedestrians and bicycles may have no yellow.
        has_no_yellow = self._kinds.get(group) not in KINDS_WITH_YELLOW
        return before in GREEN_STATES and after == S.RED and has_no_yellow


def planned_changes(code: IntersectionCode) -> set[Change]:
    """Return the changes of colour that the code's own plans make: they are in order whatever the rule."""
    changes = set()
    for plan in code.plans:
        for number, phase in enumerate(plan.phases):
            next_phase = plan.phases[(number + 1) % len(plan.phases)]
            for index, group in enumerate(code.signal_groups):
                before = COLOUR_OF_LETTER.get(phase.shows[index])
                after = COLOUR_OF_LETTER.get(next_phase.shows[index])
                if before is not None and after is not None and before != after:
                    changes.add(Change(group.id, before, after))

    return changes
