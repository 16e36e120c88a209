"""The signal groups of an intersection: what was received, and what of it may be believed at a given moment.

A promise that has failed is not believed. Of each group, `believed` keeps

* the state, while it is no older than MAX_AGE: a group that its messages no longer name becomes unknown, whatever the
  others do;
* the end of that state, until it has passed: a state that is still reported after its promised greatest end is
  *overdue*, and no end of it is believed again, however often it is promised anew, until the state changes (or was
  unseen so long that it may have);
* nothing of what a signal fault doubts (`Doubt`).

Event times decide, not arrival: a message that was long under way does not make its controller unreliable. Ends are
ISO/TS 19091 TimeChangeDetails.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import cached_property

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from ..clock import MS
from ..kernels import njit
from ..matching import Floats, Ints
from ..schema import Group, SignalState
from .colours import IS_RED
from .ends import MAX_UNSEEN, TOLERANCE, promised_end
from .packed import Packed, pack

NEVER = np.int64(2**62)  # a time that is not known and far off
MAX_AGE = 500 * MS  # of a state; T/CSAE 159: SPAT period
MIN_CYCLE = 8000 * MS  # from a state to the next of the same kind: 5 s of green and 3 s of yellow
# An end that is promised to be so near cannot be put off any more without being broken
IMMINENT = 300 * MS
GRACE = 500 * MS  # after an end that passed, for the message to arrive that has the next state
# of ends without bounds, with close ones, with others
UNKNOWN_CONFIDENCE, SURE_CONFIDENCE, LOOSE_CONFIDENCE = 0.5, 1.0, 0.6
MAX_SURE_BOUNDS = 1000 * MS  # between earliest and greatest end, within which an end is sure
UNKNOWN_STATE = int(SignalState.UNKNOWN)


class Doubt(IntEnum):
    """What a signal fault puts in doubt of a group."""

    NONE = 0
    TIMES = 1  # its end times are not to be trusted, its state is
    STATE = 2  # nor is its state


TIMES_DOUBTED, STATE_DOUBTED = int(Doubt.TIMES), int(Doubt.STATE)


class Signals(Struct, frozen=True, dict=True):
    """The signal groups of an intersection, by index of the compiled code. Times are ns; NEVER where not known."""

    t: int  # event time of the newest message, 0 when there was none
    seq: int
    revision: int
    state: NDArray[np.uint8]
    min_end: Ints
    max_end: Ints
    likely_end: Ints
    confidence: Floats
    next_green: Ints
    next_duration: Ints
    lanes: tuple[str, ...] | None = None  # of the revocable ones, those in use; None: not known

    # event time of the newest message that named each group, 0 when there was none; None: `t` for all
    seen: Ints | None = None

    # the present state has outlasted an end that was promised; None: of no group
    overdue: NDArray[np.bool_] | None = None

    # the earliest end of the present state that was promised when it was IMMINENT; NEVER or None: none was
    due: Ints | None = None

    @classmethod
    def dark(cls, groups: int) -> "Signals":
        """Return the state before any message."""
        never = np.full(groups, NEVER)
        return cls(
            t=0,
            seq=-1,
            revision=-1,
            state=np.zeros(groups, np.uint8),
            min_end=never,
            max_end=never,
            likely_end=never,
            confidence=np.zeros(groups),
            next_green=never,
            next_duration=never,
            seen=np.zeros(groups, np.int64),
            overdue=np.zeros(groups, np.bool_),
            due=never,
        )

    @cached_property
    def packed(self) -> Packed:
        """The groups as compiled code reads them, but for when each was seen. What is written into the arrays later is
        not in it."""
        return pack(
            min_end=self.min_end,
            max_end=self.max_end,
            likely_end=self.likely_end,
            next_green=self.next_green,
            next_duration=self.next_duration,
            confidence=self.confidence,
            state=self.state,
            overdue=_overdue(self),
        )

    @cached_property
    def entry(self) -> tuple[int, int, int, int]:
        """What `packed.signals_at` reads, as long as this object lives."""
        seen = 0 if self.seen is None else self.seen.ctypes.data
        return self.packed.address, len(self.state), seen, self.t


def signals_from(
    previous: Signals,
    time_ns: int,
    seq: int,
    revision: int,
    index: Mapping[int, int],
    groups: Sequence[Group],
    lanes: tuple[str, ...] | None = None,
) -> Signals:
    """Return `previous` with the groups of one message of event time `time_ns` laid over it, all by the node's clock.

    `index`: of each group by its number. Groups that were seen later are left as they are: units of one intersection
    may each send their own groups, one a moment after the other.
    """
    state, confidence = previous.state.copy(), previous.confidence.copy()
    min_end, max_end, likely_end = previous.min_end.copy(), previous.max_end.copy(), previous.likely_end.copy()
    next_green, next_duration = previous.next_green.copy(), previous.next_duration.copy()
    seen, overdue = _seen(previous).copy(), _overdue(previous).copy()
    due = np.full(len(state), NEVER) if previous.due is None else previous.due.copy()

    # The promised end of each state so far; of red without one, the next green.
    promised = np.where(IS_RED[state] & (max_end == NEVER), next_green, max_end).tolist()

    for group in groups:
        row = index.get(group.group, -1)
        if not 0 <= row < len(state) or time_ns < seen[row]:
            continue

        # A state that was unseen for a cycle may have changed and come back: no promise is known to have failed.
        broken_end = min(promised[row], due[row])
        may_have_cycled = time_ns - seen[row] > MAX_UNSEEN and time_ns > broken_end + MIN_CYCLE
        continues = group.state == state[row] and not may_have_cycled
        overdue[row] = continues and (overdue[row] or time_ns > broken_end + TOLERANCE)

        if not continues:
            due[row] = NEVER

        state[row], seen[row] = group.state, time_ns
        min_end[row], max_end[row], likely_end[row] = map(_or_never, (group.min_end, group.max_end, group.likely_end))
        next_green[row], next_duration[row] = _or_never(group.next_green), _or_never(group.next_duration)
        confidence[row] = _confidence(group)

        end = promised_end(group)

        if end is not None and end < time_ns + IMMINENT:
            due[row] = min(due[row], end)

    is_newest = time_ns >= previous.t
    return Signals(
        t=max(time_ns, previous.t),
        seq=seq if is_newest else previous.seq,
        revision=revision if is_newest else previous.revision,
        state=state,
        min_end=min_end,
        max_end=max_end,
        likely_end=likely_end,
        confidence=confidence,
        next_green=next_green,
        next_duration=next_duration,
        lanes=lanes if is_newest else previous.lanes,
        seen=seen,
        overdue=overdue,
        due=due,
    )


def is_news(signals: Signals, time_ns: int, index: Mapping[int, int], groups: Sequence[Group]) -> bool:
    """Return whether a message of event time `time_ns` has a group that was not seen since then. `index`: of each group
    by its number."""
    seen = _seen(signals)
    return any(time_ns > seen[index[group.group]] for group in groups if group.group in index)


def signals_again(
    previous: Signals,
    time_ns: int,
    seq: int,
    revision: int,
    named: NDArray[np.bool_] | None,
    lanes: tuple[str, ...] | None = None,
) -> Signals:
    """Return `previous` as a newer message of the very same groups repeats it; `named`: as `named_at` returns them."""
    seen = None if named is None else np.where(named, time_ns, _seen(previous))
    again = replace(previous, t=time_ns, seq=seq, revision=revision, lanes=lanes, seen=seen)
    again.__dict__["packed"] = previous.packed  # the arrays are the same
    return again


def named_at(signals: Signals, time_ns: int) -> NDArray[np.bool_] | None:
    """Return which groups the message of event time `time_ns` named, by index; None where it named all."""
    named = np.equal(_seen(signals), time_ns)
    return None if named.all() else named


def believed(signals: Signals, time_ns: int, doubts: Mapping[int, Doubt] | None = None) -> Signals:
    """Return what of `signals` may be believed at `time_ns`: the rules at the head of this module. `doubts`: by index
    of the group."""
    seen, overdue = _seen(signals), _overdue(signals)
    if not doubts and all_holds(time_ns, seen, overdue, signals.max_end, signals.likely_end, signals.next_green):
        # The usual case: the same object is returned
        return signals

    doubt = np.zeros(len(signals.state), np.int64)
    for key, value in (doubts or {}).items():
        doubt[key] = value

    state, confidence = signals.state.copy(), signals.confidence.copy()
    min_end, max_end, likely_end = signals.min_end.copy(), signals.max_end.copy(), signals.likely_end.copy()
    next_green = signals.next_green.copy()
    _believe(
        time_ns, seen, overdue, doubt, IS_RED, int(NEVER), MAX_AGE, TOLERANCE, GRACE,
        state, min_end, max_end, likely_end, next_green, confidence,
    )  # fmt: skip

    return replace(
        signals,
        state=state,
        min_end=min_end,
        max_end=max_end,
        likely_end=likely_end,
        confidence=confidence,
        next_green=next_green,
        seen=seen,
        overdue=overdue,
    )


@njit(cache=True)
def all_holds(
    time_ns: int, seen: Ints, overdue: NDArray[np.bool_], max_end: Ints, likely_end: Ints, next_green: Ints
) -> bool:
    """Return whether `_believe` would change nothing, where nothing is doubted."""
    for index in range(len(seen)):
        passed = max(seen[index] - TOLERANCE, time_ns - GRACE)
        if (
            overdue[index]
            or time_ns - seen[index] > MAX_AGE
            or max_end[index] < passed
            or likely_end[index] < passed
            or next_green[index] < passed
        ):
            return False

    return True


@njit(cache=True)
def _believe(
    time_ns: int, seen: Ints, overdue: NDArray[np.bool_], doubt: Ints, is_red: NDArray[np.bool_], never: int,
    max_age: int, tolerance: int, grace: int, state: NDArray[np.uint8], min_end: Ints, max_end: Ints, likely_end: Ints,
    next_green: Ints, confidence: Floats,
) -> None:  # fmt: skip
    """Take out of the arrays of a snapshot what may not be believed at `time_ns`."""
    for index in range(len(state)):
        is_unknown = time_ns - seen[index] > max_age or doubt[index] == STATE_DOUBTED
        promised = next_green[index] if is_red[state[index]] and max_end[index] == never else max_end[index]

        has_failed = (
            overdue[index]
            or doubt[index] == TIMES_DOUBTED
            or seen[index] > promised + tolerance
            or time_ns > promised + grace
        )
        if is_unknown:
            state[index] = UNKNOWN_STATE

        if is_unknown or has_failed:
            min_end[index], max_end[index], likely_end[index], next_green[index], confidence[index] = (
                never,
                never,
                never,
                never,
                0.0,
            )

            continue

        # A single end may have passed where a later one is promised too.
        passed = max(seen[index] - tolerance, time_ns - grace)
        if max_end[index] < passed:
            max_end[index] = never

        if likely_end[index] < passed:
            likely_end[index] = never

        if next_green[index] < passed:
            next_green[index] = never


def _or_never(end: int | None) -> int:
    return int(NEVER) if end is None else end


def groups_on_node_clock(groups: tuple[Group, ...], offset: int) -> tuple[Group, ...]:
    """Return signal groups with `offset` ns, by which their sender's clock is ahead of the node's, taken off their
    times."""
    if offset == 0:
        return groups

    # by position: groups of every intersection come by here ten times a second
    return tuple(
        Group(
            group=group.group,
            state=group.state,
            min_end=_earlier(group.min_end, offset),
            max_end=_earlier(group.max_end, offset),
            likely_end=_earlier(group.likely_end, offset),
            confidence=group.confidence,
            next_green=_earlier(group.next_green, offset),
            next_duration=group.next_duration,
        )
        for group in groups
    )


def _earlier(end: int | None, offset: int) -> int | None:
    return None if end is None else end - offset


def _seen(signals: Signals) -> Ints:
    return np.full(len(signals.state), signals.t) if signals.seen is None else signals.seen


def _overdue(signals: Signals) -> NDArray[np.bool_]:
    return np.zeros(len(signals.state), np.bool_) if signals.overdue is None else signals.overdue


def _confidence(group: Group) -> float:
    """Return the confidence that a controller gives (0 .. 1), else one by how far apart it sets the bounds."""
    if group.confidence is not None and 0.0 <= group.confidence <= 1.0:
        return float(group.confidence)
    if group.min_end is None or group.max_end is None:
        return UNKNOWN_CONFIDENCE
    return SURE_CONFIDENCE if group.max_end - group.min_end <= MAX_SURE_BOUNDS else LOOSE_CONFIDENCE
