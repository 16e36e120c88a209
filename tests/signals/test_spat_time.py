"""Times of SPAT messages by the standard: moments, time marks, and what neither can name."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudctl.signals.spat_time import (
    HOUR,
    MAX_ANNOUNCED,
    MAX_WRITTEN_PAST,
    MINUTE,
    PAST,
    SECOND,
    TENTH,
    UNKNOWN_MARK,
    Ends,
    mark_of,
    minute_of_year,
    moment,
    start_of,
    time_of,
)

MS, DAY = 10**6, 24 * HOUR
T = 1_748_764_798_400 * MS  # 07:59:58.4


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) * MS


@pytest.mark.parametrize(
    ("minute", "ms", "received", "want"),
    [
        (None, 59_900, "2026-05-04T12:00:00.100", "2026-05-04T11:59:59.900"),  # over the minute's edge
        (None, 100, "2026-05-04T11:59:59.950", "2026-05-04T12:00:00.100"),
        (None, 30_000, "2026-05-04T12:00:31", "2026-05-04T12:00:30"),
        (None, None, "2026-05-04T12:00:31", "2026-05-04T12:00:31"),
        (525_599, 59_900, "2027-01-01T00:00:00.100", "2026-12-31T23:59:59.900"),  # over the year's edge
        (0, 100, "2026-12-31T23:59:59.950", "2027-01-01T00:00:00.100"),
        (527_039, 59_900, "2029-01-01T00:00:00.100", "2028-12-31T23:59:59.900"),  # of a leap year
        (176_400, None, "2026-05-03T12:00:31", "2026-05-03T12:00:31"),  # the minute alone: `received` within it
        (176_400, None, "2026-05-03T12:01:00.200", "2026-05-03T12:00:59.999"),
        (176_400, None, "2026-05-03T11:59:59.900", "2026-05-03T12:00:00"),
        (176_400, 60_500, "2026-05-03T12:01:00.600", "2026-05-03T12:01:00.500"),  # a leap second
    ],
)
def test_the_time_of_a_message_is_the_one_of_that_name_nearest_to_its_arrival(
    minute: int | None, ms: int | None, received: str, want: str
) -> None:
    assert moment(minute, ms, utc(received)) == utc(want)


@given(st.integers(946_684_800_000, 4_102_444_800_000), st.integers(-180 * DAY // MS, 180 * DAY // MS))
def test_any_time_of_any_year_comes_back_within_half_a_year(t_ms: int, late_ms: int) -> None:
    t = t_ms * MS
    assert moment(*minute_of_year(t), t + late_ms * MS) == t
    assert moment(None, t_ms % 60_000, t + late_ms % 59_000 * MS - 29_000 * MS) == t


@given(st.integers(946_684_800_000, 4_102_444_800_000), st.integers(0, 35_999))
def test_a_mark_stands_for_the_first_time_of_that_name_after_a_minute_ago(t_ms: int, mark: int) -> None:
    time = time_of(mark, t_ms * MS)
    assert time is not None
    assert time % HOUR == mark * TENTH
    assert -PAST < time - t_ms * MS <= HOUR - PAST
    assert mark_of(time, t_ms * MS) == (mark if time - t_ms * MS > -MAX_WRITTEN_PAST else UNKNOWN_MARK)


@pytest.mark.parametrize(
    ("ahead", "mark"),
    [
        (HOUR, 36_000),
        (HOUR - TENTH, 36_000),
        (HOUR - PAST + TENTH, 36_000),
        (5 * HOUR, 36_000),
        (2**62, 36_000),
        (-2 * SECOND, 36_001),
        (-PAST, 36_001),
        (-40 * MINUTE, 36_001),
    ],
)
def test_what_no_mark_stands_for_is_far_or_unknown_and_never_another_time(ahead: int, mark: int) -> None:
    assert mark_of(T + ahead, T) == mark
    assert time_of(mark, T) is None


NO_ENDS = Ends(earliest=None, greatest=None, likely=None)


@given(st.integers(946_684_800_000, 4_102_444_800_000), st.integers(-17_999, 18_000))
def test_a_start_without_an_end_is_the_one_nearest_to_the_message(t_ms: int, tenths: int) -> None:
    t = t_ms * MS // TENTH * TENTH
    start = t + tenths * TENTH
    assert start_of(start // TENTH % 36_000, NO_ENDS, t) == start


@given(
    st.integers(946_684_800_000, 4_102_444_800_000),
    st.integers(-35_000, 0),
    st.integers(0, 35_000),
    st.sampled_from(["earliest", "greatest", "likely"]),
)
def test_a_state_that_runs_began_within_the_hour_before_its_end(t_ms: int, begun: int, left: int, end: str) -> None:
    t = t_ms * MS // TENTH * TENTH
    ends = NO_ENDS._replace(**{end: t + left * TENTH})
    found = start_of((t + begun * TENTH) // TENTH % 36_000, ends, t)
    if left - begun < 36_000 and begun > -(36_000 - MAX_ANNOUNCED // TENTH):
        assert found == t + begun * TENTH
    else:  # which hour is meant cannot be known: it is not taken for begun
        assert found == t + (36_000 + begun) * TENTH


@given(
    st.integers(946_684_800_000, 4_102_444_800_000),
    st.integers(1, MAX_ANNOUNCED // TENTH),
    st.lists(st.none() | st.integers(-600, 35_400), min_size=3, max_size=3),
)
def test_a_start_to_come_is_never_one_that_has_passed_whatever_its_ends(
    t_ms: int, tenths: int, ends: list[int | None]
) -> None:
    t = t_ms * MS // TENTH * TENTH
    times = [None if end is None else t + end * TENTH for end in ends]
    assert start_of((t // TENTH + tenths) % 36_000, Ends(times[0], times[1], times[2]), t) == t + tenths * TENTH


def test_a_start_an_hour_away_is_to_come_and_an_unknown_one_is_not_known() -> None:
    assert start_of(36_000, NO_ENDS, T) == T + HOUR
    assert start_of(36_001, NO_ENDS, T) is None
