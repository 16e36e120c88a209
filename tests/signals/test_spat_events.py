"""Which of the states that a SPAT lists is the present one: one that is announced is never taken for one that is shown,
in SPAT of SAE J2735 (JSON and UPER) and of YD/T 3709 (both kinds of timing)."""

import json
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spat_messages import S, T, at, good_of, refused

from cloudctl import codes
from cloudctl.codes.formats.messages.uper import encode
from cloudctl.schema import Group, SignalState
from cloudctl.signals.colours import GREEN_STATES
from cloudctl.signals.spat import NAME_OF_STATE, Spats, read_spat
from cloudctl.signals.spat_events import MAX_START_AHEAD
from cloudctl.signals.spat_time import HOUR, SECOND, TENTH, minute_of_year
from cloudctl.signals.ydt_spat import LIGHT_OF_STATE, read_ydt_spat

FORMS = ("json", "uper", "counting", "utcTiming")
START_AHEAD = MAX_START_AHEAD // TENTH  # tenths


class Listed(NamedTuple):
    """A state as a message lists it: start and end in tenths from the message; None: left out."""

    state: SignalState
    start: int | None
    end: int | None = 300


def read_listed(form: str, states: list[Listed]) -> Spats:
    """Return what a reader finds of one group with these states."""
    minute, ms = minute_of_year(T)
    base = {"status": "0" * 16, "moy": minute, "timeStamp": ms}

    if form in ("json", "uper"):
        rows = [
            {"eventState": NAME_OF_STATE[row.state], "timing": _timing(row, "startTime", "minEndTime", "maxEndTime")}
            for row in states
        ]
        movement = {"signalGroup": 1, "state-time-speed": rows}
        place = base | {"id": {"region": 10, "id": 300}, "revision": 4, "states": [movement]}
        if form == "json":
            return read_spat(json.dumps({"intersections": [place]}).encode(), T)
        return read_spat(encode("SPAT", {"intersections": [place | {"status": (0, 16)}]}), T)

    if form == "counting":
        timings = [
            {"startTime": row.start or 0, "likelyEndTime": 36_001 if row.end is None else max(row.end, 0)}
            for row in states
        ]
    else:
        timings = [_timing(row, "startUTCTime", "likelyEndUTCTime") for row in states]
    rows = [
        {"light": LIGHT_OF_STATE[row.state], "timing": {form: timing}}
        for row, timing in zip(states, timings, strict=True)
    ]
    place = base | {"intersectionId": {"region": 10, "id": 300}, "phases": [{"id": 1, "phaseStates": rows}]}
    return read_ydt_spat(json.dumps({"intersections": [place]}).encode(), T)


def _timing(row: Listed, start_name: str, *end_names: str) -> dict[str, int]:
    timing = {name: 36_001 if row.end is None else at(row.end / 10) for name in end_names}
    return timing if row.start is None else timing | {start_name: 36_000 if row.start == 36_000 else at(row.start / 10)}


def shown(form: str, *states: Listed) -> Group | None:
    """Return the group that a reader finds; None where its state is refused, and with it the intersection."""
    found = good_of(lambda: read_listed(form, list(states)))
    if not found:
        assert found.refused
        return None
    (group,) = found[0].groups
    return group


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ahead", [3, 10, 200, 3_000, 9_000, 36_000])
def test_a_green_that_is_announced_is_not_shown_before_it_begins(form: str, ahead: int) -> None:
    if form == "uper":
        pytest.importorskip("pycrate_asn1dir")
    for end in (300, 9_500, None) if ahead < 9_000 else (9_500, None):
        green = Listed(S.GREEN_PROTECTED, ahead, end)
        assert shown(form, green) is None
        with pytest.raises(codes.CodeError, match="none of them has begun"):
            read_listed(form, [green])

        # Listed first, before the red that is shown
        group = shown(form, green, Listed(S.RED, 0 if form == "counting" else -50, ahead if ahead < 9_000 else None))
        assert group is not None
        assert group.state == S.RED
        assert group.next_green == (None if ahead == 36_000 else T + ahead * TENTH)


@pytest.mark.parametrize("form", ["json", "uper", "utcTiming"])
@pytest.mark.parametrize("begun", [0, -1, -50, -599, -20_000])
def test_a_red_stays_when_the_start_of_the_green_after_it_has_passed(form: str, begun: int) -> None:
    if form == "uper":
        pytest.importorskip("pycrate_asn1dir")
    red = Listed(S.RED, begun - 300 if begun > -20_000 else begun, None)
    group = shown(form, red, Listed(S.GREEN_PROTECTED, max(begun, -599), None))
    if begun == -20_000:  # the mark of the red may as well be a start to come
        assert group is None
        return

    assert group is not None
    assert group.state == S.RED
    assert group.next_green == T + max(begun, -599) * TENTH, "a promise that is not kept is passed on, to be noticed"

    without_start = shown(form, red._replace(start=None), Listed(S.GREEN_PROTECTED, max(begun, -599), 200))
    assert without_start is not None
    assert without_start.state == S.RED


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ahead", [0, 1, START_AHEAD])
def test_a_start_is_kept_within_the_error_of_clocks_and_of_rounding(form: str, ahead: int) -> None:
    if form == "uper":
        pytest.importorskip("pycrate_asn1dir")
    group = shown(form, Listed(S.GREEN_PROTECTED, ahead))
    assert group is not None
    assert group.state == S.GREEN_PROTECTED


def test_a_list_of_all_states_of_the_cycle_does_not_show_the_one_that_is_over() -> None:
    """Green, yellow and red with their times of this cycle: green ended 10 s ago, and red has begun."""
    ring = [
        Listed(S.GREEN_PROTECTED, -400, -100),
        Listed(S.YELLOW_PROTECTED, -100, -70),
        Listed(S.RED, -70, 300),
    ]
    for form in ("json", "utcTiming"):
        assert shown(form, *ring) is None

        # A green whose end is prolonged stays, though red was to begin
        group = shown(form, ring[0]._replace(end=20), Listed(S.YELLOW_PROTECTED, -5, 20))
        assert group is not None
        assert group.state == S.GREEN_PROTECTED


def test_a_state_without_a_start_is_present_where_it_ends_before_the_others_begin() -> None:
    red, green = Listed(S.RED, None, 200), Listed(S.GREEN_PROTECTED, 200, 500)
    for form in ("json", "utcTiming"):
        for order in ([red, green], [green, red]):
            group = shown(form, *order)
            assert group is not None
            assert (group.state, group.next_green) == (S.RED, T + 20 * SECOND)

        # Listed after a state to come, and ending after that begins: it is one to come as well
        assert shown(form, red._replace(start=200), green._replace(start=None)) is None


ranges = st.integers(-6_000, 6_000)
listed = st.builds(
    Listed,
    state=st.sampled_from(list(LIGHT_OF_STATE)),
    start=st.none() | ranges,
    end=st.none() | st.integers(-590, 6_500),
)


@settings(max_examples=400)
@given(st.lists(listed, min_size=1, max_size=6), st.sampled_from(["json", "utcTiming"]))
def test_of_any_list_no_state_is_shown_that_has_not_begun_and_no_green_before_a_begun_other(
    states: list[Listed], form: str
) -> None:
    group = shown(form, *states)
    as_read = [row._replace(state=_read_back(form, row.state)) for row in states]
    begun = [row for row in as_read if row.start is not None and row.start <= START_AHEAD]
    candidates = [row for row in as_read if row.start is None or row.start <= START_AHEAD]
    if group is None:
        first = candidates[0] if candidates else None
        assert not begun or first is None or first.state == S.UNKNOWN or first.state in GREEN_STATES
        return

    assert candidates
    if group.state in GREEN_STATES:
        assert any(row.state == group.state for row in candidates)
        if as_read[0].start is not None and as_read[0].start <= START_AHEAD:
            assert as_read[0].state == group.state
    if group.next_green is not None:
        assert group.next_green - T in [row.start * TENTH for row in states if row.start is not None]
        assert -60 * SECOND < group.next_green - T < HOUR


def _read_back(form: str, state: SignalState) -> SignalState:
    """Return a state as it comes back from a format that has no word of its own for it."""
    if form == "json":
        return S.GREEN_PERMISSIVE if state == S.GREEN_FLASH else state
    return {S.YELLOW_PROTECTED: S.YELLOW_PERMISSIVE, S.PRE_MOVEMENT: S.RED}.get(state, state)


def test_a_group_whose_state_has_not_begun_costs_only_itself() -> None:
    minute, ms = minute_of_year(T)
    events = [{"eventState": "protected-Movement-Allowed", "timing": {"startTime": at(20), "minEndTime": at(40)}}]
    states = [
        {"signalGroup": 1, "state-time-speed": events},
        {"signalGroup": 2, "state-time-speed": [{"eventState": "stop-And-Remain"}]},
    ]
    row = {"id": {"id": 300}, "revision": 4, "moy": minute, "timeStamp": ms, "states": states}
    found = read_spat(json.dumps({"intersections": [row]}).encode(), T)
    assert [(group.group, group.state) for group in found[0].groups] == [(1, S.UNKNOWN), (2, S.RED)]
    assert refused(found) == [("0/300 group 1", "state-time-speed")]


@given(
    form=st.sampled_from(["json", "utcTiming"]),
    begun=st.integers(2, 17_900),
    end=st.none() | st.integers(-9_000, 35_300),
)
def test_a_state_alone_whose_mark_may_be_of_the_hour_to_come_has_begun(form: str, begun: int, end: int | None) -> None:
    group = shown(form, Listed(S.RED, -begun, None if end is None else max(end, 1 - begun)))
    assert group is not None
    assert group.state is S.RED
    assert group.next_green is None
    for known_end in (group.min_end, group.max_end, group.likely_end):
        assert known_end is None or known_end <= T + (36_000 - begun) * TENTH
