"""What a planner proposes: numbers and the words to express them in, made into an advisory only when it is sent."""

from struct import Struct as Packing
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from ..schema import AdvisoryKind, Behaviour, ObjectClass, PriorityStatus, Severity

NAMES = tuple(kind.name.lower() for kind in ObjectClass)  # of road users, by class

# Members by name: in Python 3.11 an attribute of an enum class costs 0.2 us, and a plan makes dozens of candidates.
ACT_NOW, SOON, INFORMATION = Severity.ACT_NOW, Severity.SOON, Severity.INFORMATION
SLOW_DOWN, STOP, GIVE_WAY = Behaviour.SLOW_DOWN, Behaviour.STOP, Behaviour.GIVE_WAY

MAX_TTC_ACT_NOW, MAX_TTC_SOON = 1.0, 5.0  # s (ETSI TS 101 539-1)


class Candidate(Struct, frozen=True, gc=False, kw_only=True):
    """One proposal for one target."""

    kind: AdvisoryKind
    target: str
    severity: Severity
    confidence: float
    reason: str  # a template for `facts`, filled in only when the advisory is sent
    facts: dict[str, object]
    tracks: tuple[int, ...] = ()
    speed: float | None = None  # m/s
    distance: float | None = None  # m
    behaviour: Behaviour | None = None
    status: PriorityStatus | None = None
    about: str = ""  # what it is about, where a target may have several of a kind: a rule, a priority request
    renewal: bool = False  # may only renew an advisory that is still valid, not begin one


SPEED_STEP = 0.5  # m/s; a smaller change of the advised speed is not worth a message

# The speed advice that a connected vehicle has, as kernels read it.
SETTLED = np.dtype([("valid_until", "i8"), ("behaviour", "i8"), ("speed", "f8")])  # ns; of BEHAVIOURS; m/s or nan
SETTLED_PACKING = Packing("=qqd")  # a row of it
UNSETTLED = SETTLED_PACKING.pack(0, -1, 0.0)  # it has none, or what it has is to change


class Withheld(NamedTuple):
    """A proposal that was not sent, and why."""

    candidate: Candidate
    reason: str


def severity_of(ttc: float) -> Severity:
    """Return the severity of a time to collision in s."""
    if ttc <= MAX_TTC_ACT_NOW:
        return ACT_NOW
    return SOON if ttc <= MAX_TTC_SOON else INFORMATION
