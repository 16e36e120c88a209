"""Which of the states that a SPAT lists for a signal group is the present one, and when its next green begins.

Both families of standards list states with when they begin and end: the present one, and some to come. SAE J2735 leaves
their order open ("one or more of the movement events may be for a future time"), and so does YD/T 3709.

* A state counts only when it has begun. One without a start has begun, unless a state listed before it is still to come
  and it does not end by then.
* Of those that have begun, the first that is listed is the present one. A later state whose start has passed is a
  promise that was not kept: while the messages name another state first, nothing has changed.
* Where none has begun, the state is not known. Nor is it where that depends on what cannot be known: a green is listed
  first that has ended, and a state that is no green has begun (either the list has what is over, or the controller is
  late); a state is listed before a green that has begun, and its mark may name a start of this hour or of the next.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..schema import SignalState
from .colours import GREEN_STATES, STEADY_GREEN_STATES
from .ends import MAX_AHEAD, TOLERANCE
from .spat_fields import Refusals
from .spat_time import HOUR, MAX_ANNOUNCED, MINUTE, TENTH, Ends, start_of, time_of

# By which a start may be ahead of the message and the state have begun: a start is rounded up to a tenth, and may be by
# a clock that is as far ahead of the message's as the node allows.
MAX_START_AHEAD = MAX_AHEAD + TENTH


class Event(NamedTuple):
    """One state of a group, of the present or to come; times in ns, None where not known."""

    state: SignalState | None  # None: refused
    start: int | None  # when it began, or begins
    announced: int | None  # when it begins, as a state to come
    ends: Ends
    confidence: float | None = None


def marked_event(
    state: SignalState | None,
    mark: int | None,
    ends: Ends,
    confidence: float | None,
    time_ns: int,
    *,
    is_alone: bool = False,
) -> Event:
    """Return the event whose start a time mark gives; `is_alone`: no other is listed. As a state to come its start is
    not known where the mark may as well name one that has passed, an hour before."""
    start, announced = start_of(mark, ends, time_ns, is_alone=is_alone), time_of(mark, time_ns)
    return Event(
        state=state,
        start=start,
        announced=announced if announced == start else None,
        ends=ends if start is None else _within_an_hour(ends, start),
        confidence=confidence,
    )


def _within_an_hour(ends: Ends, start: int) -> Ends:
    """Return the ends of a state; where the surest would come more than an hour after the start, those that do have
    passed."""
    if ends.surest is None or ends.surest <= start + HOUR:
        return ends

    earliest, greatest, likely = (
        end - HOUR if end is not None and end > start + HOUR else end
        for end in (ends.earliest, ends.greatest, ends.likely)
    )
    return ends._replace(earliest=earliest, greatest=greatest, likely=likely)


def present_event(entity: str, field: str, events: Sequence[Event], time_ns: int, refusals: Refusals) -> Event | None:
    """Return the present state of a group in a message of `time_ns`; None, which is noted for `field`, where it is not
    known."""
    begun = _begun(events, time_ns)
    if not begun:
        next_start = min(event.start for event in events if event.start is not None)
        refusals.add(
            entity,
            field,
            f"{len(events)} states, the first in {(next_start - time_ns) // TENTH / 10} s",
            "none of them has begun: the present state is not known",
            "list the present state first, with a start that has passed, or without one",
        )

        return None

    present = begun[0]
    if present.state in GREEN_STATES and any(
        event.start is not None and event.start > time_ns + MAX_ANNOUNCED and event.state not in GREEN_STATES
        for event in events[: events.index(present)]
    ):
        refusals.add(
            entity,
            field,
            f"{len(events)} states, a green after one that begins in more than {MAX_ANNOUNCED // MINUTE} min",
            "that one may have begun in the hour before: the present state is not known",
            "list the present state first, with its ends",
        )
        return None

    if _has_ended(present, time_ns) and _contradicts(present, begun[1:]):
        refusals.add(
            entity,
            field,
            f"{len(events)} states, the first a green that has ended",
            "a state that is no green has begun as well: the present state is not known",
            "leave out what is over, and renew the end of a state that is prolonged",
        )
        return None

    return present


def next_green(events: Sequence[Event], present: Event) -> Event | None:
    """Return the first steady green that is listed beside the present state with its beginning; None where there is
    none."""
    for event in events:
        if event is not present and event.state in STEADY_GREEN_STATES and event.announced is not None:
            return event
    return None


def _begun(events: Sequence[Event], time_ns: int) -> list[Event]:
    begun: list[Event] = []
    next_start: int | None = None  # the first of the starts to come of the states listed so far

    for event in events:
        if event.start is None:
            if next_start is None or _ends_by(event, next_start):
                begun.append(event)
        elif event.start <= time_ns + MAX_START_AHEAD:
            begun.append(event)
        else:
            next_start = event.start if next_start is None else min(next_start, event.start)

    return begun


def _ends_by(event: Event, time_ns: int) -> bool:
    return event.ends.surest is not None and event.ends.surest <= time_ns + TOLERANCE


def _has_ended(event: Event, time_ns: int) -> bool:
    last_end = event.ends.likely if event.ends.greatest is None else event.ends.greatest
    return last_end is not None and last_end + TOLERANCE < time_ns


def _contradicts(present: Event, others: Sequence[Event]) -> bool:
    """Return whether a green stands beside other states that have begun, with a start, and are no green."""
    if present.state not in GREEN_STATES:
        return False
    return any(other.start is not None and other.state not in GREEN_STATES for other in others)
