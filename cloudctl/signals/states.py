"""The signal groups of an intersection: what was received, and what of it may be believed at a given moment.

A promise that has failed is not believed. Of each group, `believed` keeps

* the state, while it is no older than MAX_AGE: a group that its messages no longer name becomes unknown, whatever the others do;
* the end of that state, until it has passed: a state that is still reported after its promised greatest end is *overdue*, and no end of it is believed
  again, however often it is promised anew, until the state changes (or was out of sight so long that it may have);
* nothing of what a signal fault doubts (`Doubt`).

Event times decide, not arrival: a message that was long under way does not make its controller a liar. Ends are ISO/TS 19091 TimeChangeDetails.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum

import numpy as np
from msgspec import Struct
from numba import njit
from numpy.typing import NDArray

from ..clock import MS
from ..matching import Floats, Ints
from ..schema import Group, SignalState
from .quality import REDS, TOLERANCE, UNSEEN, promised_end

NEVER = np.int64(2**62)  # a time that is not known and far off
MAX_AGE = 500 * MS  # of a state; T/CSAE 159: SPAT period
SHORTEST_CYCLE = 8000 * MS  # of the states between two of the same kind: 5 s of green and 3 s of yellow
IMMINENT = 300 * MS  # an end that is promised to be so near cannot be put off any more without being broken
GRACE = 500 * MS  # after an end that passed, for the message to arrive that says what follows it

GREEN = (SignalState.GREEN_PERMISSIVE, SignalState.GREEN_PROTECTED, SignalState.GREEN_FLASH)
YELLOW = (SignalState.YELLOW_PERMISSIVE, SignalState.YELLOW_PROTECTED)
IS_RED = np.isin(np.arange(256), REDS)


class Doubt(IntEnum):
    """What a signal fault says of a group."""

    NONE = 0
    TIMES = 1  # its end times are not to be trusted, its state is
    STATE = 2  # nor is its state


class Signals(Struct, frozen=True):
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
    lanes: tuple[str, ...] | None = None  # of the revocable ones, those in use; None: not told
    seen: Ints | None = (
        None  # event time of the newest message that named each group, 0 when there was none; None: `t` for all
    )
    overdue: NDArray[np.bool_] | None = (
        None  # the present state has outlasted an end that was promised; None: of no group
    )
    due: Ints | None = (
        None  # the earliest end of the present state that was promised when it was IMMINENT; NEVER or None: none was
    )

    @classmethod
    def dark(cls, groups: int) -> "Signals":
        """Return the state before any message."""
        never = np.full(groups, NEVER)
        return cls(
            0, -1, -1, np.zeros(groups, np.uint8), never, never, never, np.zeros(groups), never, never,
            seen=np.zeros(groups, np.int64), overdue=np.zeros(groups, np.bool_), due=never,
        )  # fmt: skip


def signals_from(
    previous: Signals,
    t: int,
    seq: int,
    revision: int,
    index: Mapping[int, int],
    groups: Sequence[Group],
    offset: int,
    lanes: tuple[str, ...] | None = None,
) -> Signals:
    """Return `previous` with the groups of one message of event time `t` laid over it; its times are put on the node's clock."""
    state, confidence = previous.state.copy(), previous.confidence.copy()
    low, high, likely = previous.min_end.copy(), previous.max_end.copy(), previous.likely_end.copy()
    green, length = previous.next_green.copy(), previous.next_duration.copy()
    seen, overdue = _seen(previous).copy(), _overdue(previous).copy()
    promised = np.where(IS_RED[state] & (high == NEVER), green, high).tolist()
    due = np.full(len(state), NEVER) if previous.due is None else previous.due.copy()

    for group in groups:
        k = index.get(group.group, -1)
        if not 0 <= k < len(state):
            continue
        failed = min(promised[k], due[k])
        gone_by = (
            t - seen[k] > UNSEEN and t > failed + SHORTEST_CYCLE
        )  # it may have changed and come back unseen: no promise is known to have failed
        stands = group.state == state[k] and not gone_by
        overdue[k] = stands and (overdue[k] or t > failed + TOLERANCE)
        due[k] = due[k] if stands else NEVER
        state[k], seen[k] = group.state, t
        low[k], high[k], likely[k] = (_at(end, offset) for end in (group.min_end, group.max_end, group.likely_end))
        confidence[k] = _confidence(group)
        green[k] = _at(group.next_green, offset)
        length[k] = NEVER if group.next_duration is None else group.next_duration
        end = promised_end(group)
        if end is not None and end - offset < t + IMMINENT:
            due[k] = min(due[k], end - offset)
    return Signals(t, seq, revision, state, low, high, likely, confidence, green, length, lanes, seen, overdue, due)


def signals_again(
    previous: Signals, t: int, seq: int, revision: int, named: NDArray[np.bool_], lanes: tuple[str, ...] | None = None
) -> Signals:
    """Return `previous` as a newer message of the very same groups (`named`: bool, by index) repeats it."""
    p = previous
    return Signals(
        t, seq, revision, p.state, p.min_end, p.max_end, p.likely_end, p.confidence, p.next_green, p.next_duration, lanes,
        np.where(named, t, _seen(p)), p.overdue, p.due,
    )  # fmt: skip


def named_at(signals: Signals, t: int) -> NDArray[np.bool_]:
    """Return which groups the message of event time `t` named, by index."""
    return np.equal(_seen(signals), t)


def believed(signals: Signals, t: int, doubts: Mapping[int, Doubt] | None = None) -> Signals:
    """Return what of `signals` may be believed at `t` ns: the rules at the head of this module. `doubts`: by index of the group."""
    s, seen, late = signals, _seen(signals), _overdue(signals)
    if (
        not doubts
        and s.seen is not None
        and _all_stands(t, seen, late, MAX_AGE, TOLERANCE, GRACE, s.max_end, s.likely_end, s.next_green)
    ):  # as it mostly is
        return s

    doubt = np.zeros(len(s.state), np.int64)
    for k, found in (doubts or {}).items():
        doubt[k] = found
    state, confidence = s.state.copy(), s.confidence.copy()
    low, high, likely, green = s.min_end.copy(), s.max_end.copy(), s.likely_end.copy(), s.next_green.copy()
    _believe(
        t, seen, late, doubt, IS_RED, int(NEVER), MAX_AGE, TOLERANCE, GRACE, state, low, high, likely, green, confidence
    )
    return Signals(
        s.t, s.seq, s.revision, state, low, high, likely, confidence, green, s.next_duration, s.lanes, seen, late, s.due
    )


@njit(cache=True)
def _all_stands(
    t: int, seen: Ints, overdue: NDArray[np.bool_], max_age: int, tolerance: int, grace: int, high: Ints, likely: Ints, green: Ints
) -> bool:  # fmt: skip
    """Return whether `_believe` would change nothing, where nothing is doubted."""
    for k in range(len(seen)):
        passed = max(seen[k] - tolerance, t - grace)
        if overdue[k] or t - seen[k] > max_age or high[k] < passed or likely[k] < passed or green[k] < passed:
            return False
    return True


@njit(cache=True)
def _believe(
    t: int, seen: Ints, overdue: NDArray[np.bool_], doubt: Ints, is_red: NDArray[np.bool_], never: int, max_age: int, tolerance: int, grace: int,
    state: NDArray[np.uint8], low: Ints, high: Ints, likely: Ints, green: Ints, confidence: Floats,
) -> None:  # fmt: skip
    for k in range(len(state)):
        unknown = t - seen[k] > max_age or doubt[k] == 2
        promised = green[k] if is_red[state[k]] and high[k] == never else high[k]
        failed = overdue[k] or doubt[k] == 1 or seen[k] > promised + tolerance or t > promised + grace
        if unknown:
            state[k] = 0
        if unknown or failed:
            low[k], high[k], likely[k], green[k], confidence[k] = never, never, never, never, 0.0
        else:  # a single end may have passed where a later one is promised too
            passed = max(seen[k] - tolerance, t - grace)
            if high[k] < passed:
                high[k] = never
            if likely[k] < passed:
                likely[k] = never
            if green[k] < passed:
                green[k] = never


def _at(end: int | None, offset: int) -> int:
    return int(NEVER) if end is None else end - offset


def _seen(signals: Signals) -> Ints:
    return np.full(len(signals.state), signals.t) if signals.seen is None else signals.seen


def _overdue(signals: Signals) -> NDArray[np.bool_]:
    return np.zeros(len(signals.state), np.bool_) if signals.overdue is None else signals.overdue


def _confidence(group: Group) -> float:
    """Return the confidence a controller gives, else that of how far apart it sets the bounds."""
    if group.confidence is not None and 0.0 <= group.confidence <= 1.0:
        return float(group.confidence)
    if group.min_end is None or group.max_end is None:
        return 0.5
    return 1.0 if group.max_end - group.min_end <= 1000 * MS else 0.6
