"""SPaT messages for tests: good ones, changed ones, and what is refused of them."""

from collections.abc import Callable
from copy import deepcopy

import pytest
from hypothesis import strategies as st

from cloudctl import codes
from cloudctl.schema import Group, SignalState
from cloudctl.signals.spat import STATES, Spats
from cloudctl.signals.spat_time import HOUR, MINUTE, PAST, SECOND, TENTH, mark_of, minute_of_year

MS, DAY = 10**6, 24 * HOUR
S = SignalState
T = 1_748_764_798_400 * MS  # 07:59:58.4
ahead = st.integers(0, HOUR - PAST - TENTH)
near = st.integers(0, 30 * MINUTE - SECOND)


@st.composite
def timed_groups(draw: st.DrawFn, t: int) -> Group:
    """A group with ends in any legal order: without a greatest end they are within half an hour."""
    high = draw(st.none() | ahead)
    low, likely = (draw(st.none() | (near if high is None else st.integers(0, high))) for _ in range(2))
    if low is not None and likely is not None and low > likely:
        low, likely = likely, low
    ends = [None if end is None else t + end for end in (low, high, likely)]
    state = draw(st.sampled_from([s for s in SignalState if s != S.GREEN_FLASH]))
    green = draw(st.none() | ahead)
    return Group(
        draw(st.integers(1, 255)),
        state,
        *ends,
        draw(st.none() | st.sampled_from([0.21, 0.88, 1.0])),
        None if green is None else t + green,
    )


@st.composite
def messages(draw: st.DrawFn) -> tuple[int, tuple[Group, ...]]:
    t = draw(st.integers(946_684_800_000, 4_102_444_800_000)) * MS
    return t, tuple(draw(st.lists(timed_groups(t), min_size=1, max_size=8, unique_by=lambda g: g.group)))


def refused(found: Spats) -> list[tuple[str, str]]:
    assert all(f.rule and f.remedy and f.value is not None for f in found.refused)
    return [(f.entity, f.field) for f in found.refused]


def at(seconds: float) -> int:
    return (T + round(seconds * SECOND)) // TENTH % 36_000


JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-5, 66_000)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(STATES)
    | st.sampled_from([[], {}, [[]], "0" * 16, [0, 16]])
)


def places(value: object, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def changed(value: dict, draw: st.DrawFn) -> dict:
    """Return a tree with one to four of its values replaced, left out or doubled."""
    out = deepcopy(value)
    for _ in range(draw(st.integers(1, 4))):
        *path, last = draw(st.sampled_from(places(out)[1:]))
        inner = out
        for key in path:
            inner = inner[key]
        way = draw(st.sampled_from(["replace", "replace", "drop", "double"]))
        if way == "drop":
            del inner[last]
        elif way == "double" and isinstance(inner, list):
            inner.append(deepcopy(inner[last]))
        else:
            inner[last] = deepcopy(draw(JUNK))
        if not places(out)[1:]:
            break
    return out


def good_of(reading: Callable[[], Spats]) -> Spats:
    """Return what a reader found; nothing where it raised CodeError, whose findings, as all refusals, say what to
    do.
    """
    try:
        found = reading()
    except codes.CodeError as error:
        found = Spats((), error.findings)
    if not all(finding.rule and finding.remedy for finding in found.refused) or not (found or found.refused):
        pytest.fail(f"a refusal without its rule or remedy: {found.refused}")
    return found


def tree(*rows: dict) -> dict:
    """Return a SPAT of some intersections, as JSON has it."""
    return {"intersections": list(rows)}


def row(number: int = 300, t: int = T, **changes: object) -> dict:
    """Return the states of an intersection with changed fields, or without those that are "left out"."""
    minute, ms = minute_of_year(t)
    base = {
        "id": {"region": 10, "id": number},
        "revision": 4,
        "status": [0, 16],
        "moy": minute,
        "timeStamp": ms,
        "states": [move(1), move(2), move(3)],
    }
    return {key: value for key, value in (base | changes).items() if value != "left out"}


def move(group: object, state: object = "stop-And-Remain", **timing: object) -> dict:
    """Return the state of one group."""
    timing = {
        key: value
        for key, value in ({"minEndTime": mark_of(T + 9 * SECOND, T)} | timing).items()
        if value != "left out"
    }
    return {"signalGroup": group, "state-time-speed": [{"eventState": state, "timing": timing}]}
