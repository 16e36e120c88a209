"""What a planner proposes: numbers and the words to say them in, made into an advisory only when it is sent."""

from typing import NamedTuple

from msgspec import Struct
from numba import njit

from ..schema import AdvisoryKind, ObjectClass

NAMES = tuple(kind.name.lower() for kind in ObjectClass)  # what a road user is called, by class


class Candidate(Struct, frozen=True, gc=False):
    """One proposal for one target. `reason` is a template for `facts`, filled in only when the advisory is sent."""

    kind: AdvisoryKind
    target: str
    severity: int
    confidence: float
    reason: str
    facts: dict[str, object]
    tracks: tuple[int, ...] = ()
    speed: float | None = None
    distance: float | None = None
    behaviour: str | None = None
    status: str | None = None
    about: str = ""  # what it is about, where a target may have several of a kind: a priority request
    renewal: bool = False  # only to renew what is still valid: it is no reason to begin


class Withheld(NamedTuple):
    """A proposal that was not sent, and why."""

    candidate: Candidate
    reason: str


def severity_of(ttc: float) -> int:
    """Return the ETSI TS 101 539-1 severity of a time to collision in s: 0 up to 1 s, 1 up to 5 s, 2 beyond."""
    return 0 if ttc <= 1.0 else 1 if ttc <= 5.0 else 2


def required_deceleration(speed: float, distance: float, reaction: float = 1.0, margin: float = 2.0) -> float:
    """Return v^2 / (2 (d - v tr - margin)) in m/s^2, inf when the reaction alone uses the distance up (CAMP form)."""
    left = distance - speed * reaction - margin
    return speed * speed / (2.0 * left) if left > 0.0 else float("inf")


SHARE = 1.0 / 3.0  # of the braking it takes: who brakes as hard as that, or harder, has seen it
LATE = 4.5  # m/s^2; drivers who mean to stop at a line have begun to brake before stopping takes more (SUMO's cars brake with that)


@njit(cache=True)
def brakes_too_late(speed: float, distance: float, braking: float, limit: float = LATE, share: float = SHARE) -> bool:
    """Return whether a driver `distance` m before a place to stop at must brake harder than `limit` m/s^2 from this moment,
    and does not brake (m/s^2) even that `share` as hard. Who brakes in time is never warned of what he has seen. Outside compiled code give every
    argument: numba takes 20 us to fill in one that is left out."""
    needed = speed * speed / (2.0 * max(distance, 0.5))
    return bool(needed > limit and braking < share * needed)


REACTION = 1.0  # s until a driver acts on advice (CAMP)
FIRM = 3.0  # m/s^2 of braking that every driver accepts to stop for a signal


@njit(cache=True)
def stopping_distance(speed: float) -> float:
    """Return the stopping distance (m) from `speed` m/s on advice given now: REACTION at that speed, then braking at FIRM."""
    return speed * REACTION + speed * speed / (2.0 * FIRM)
