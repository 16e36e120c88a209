"""What can be wrong with the signal states of an intersection: the checks, what each puts in doubt, and a fault as an
event."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

MAX_REASONS = 3  # faults in one reason
MAX_LISTED = 8  # in words


class Check(StrEnum):
    """What is checked of the signal states while running; the values are names of events and metrics."""

    RATE = "rate"  # messages per second
    AGE = "age"  # of the states when they are received
    PHASE_ORDER = "phase_order"  # red, green, yellow, red
    END_ORDER = "end_order"  # earliest, likely, greatest end
    COUNTDOWN = "countdown"  # a promised end is not put off by much at once
    REVISION = "revision"  # of the digital code
    CONFLICT = "conflict"  # no two conflicting groups are let in
    ALIGNMENT = "alignment"  # the message has the groups of the code
    DUPLICATE = "duplicate"  # each of them once
    OVERDUE = "overdue"  # a state ends when its greatest end has come


class Scope(StrEnum):
    """What a fault puts in doubt."""

    ALL = "all"  # every group of the intersection
    STATE = "state"  # the state of the groups concerned, their times with it
    TIMES = "times"  # their end times only
    NOTHING = "nothing"


CHECKS: Mapping[Check, Scope] = {
    Check.RATE: Scope.ALL,
    Check.AGE: Scope.ALL,
    Check.PHASE_ORDER: Scope.STATE,
    Check.END_ORDER: Scope.TIMES,
    Check.COUNTDOWN: Scope.TIMES,
    Check.REVISION: Scope.ALL,
    Check.CONFLICT: Scope.STATE,
    # An unknown group concerns no movement; a missing one ages by itself, and is unknown when it is too old.
    Check.ALIGNMENT: Scope.NOTHING,
    Check.DUPLICATE: Scope.STATE,
    Check.OVERDUE: Scope.TIMES,
}
OF_SINGLE_GROUPS = (Scope.STATE, Scope.TIMES)


class SignalFault(Struct, frozen=True, kw_only=True):
    """One fault of the signal states of one intersection, as an event."""

    intersection: str
    check: Check
    t: int  # ns; when it was noticed
    group: int  # 0 where it is of no one group
    field: str
    value: str
    rule: str
    remedy: str
    other: int = 0  # the second of two groups

    def __str__(self) -> str:
        return f"{self.intersection}: signal {self.check}: {self.field} = {self.value}: {self.rule}. {self.remedy}"

    @property
    def scope(self) -> Scope:
        """What the fault puts in doubt."""
        return CHECKS[self.check]


def listed(groups: Sequence[int]) -> str:
    """Return signal groups in words, the first few of many."""
    text = ", ".join(map(str, groups[:MAX_LISTED]))
    return f"{text}, ..." if len(groups) > MAX_LISTED else text


def reason_of(faults: list[SignalFault]) -> str | None:
    """Return the first faults in words; None where there are none."""
    return (
        "; ".join(f"{fault.check}: {fault.field} = {fault.value}: {fault.rule}" for fault in faults[:MAX_REASONS])
        or None
    )
