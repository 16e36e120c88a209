"""SPAT of YD/T 3709: what is written is read, what is wrong loses only itself, and nothing but CodeError is ever
raised.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from spat_messages import S, T, at, changed, good_of, messages, refused

from cloudctl.schema import Group
from cloudctl.signals.spat import as_signal
from cloudctl.signals.spat_time import HOUR, MINUTE, SECOND, TENTH
from cloudctl.signals.ydt_spat import read_ydt_spat, write_ydt_spat


def ydt(t: int = T) -> dict:
    groups = (
        Group(1, S.RED, t + 3 * SECOND, t + 9 * SECOND, t + 5 * SECOND, 0.5, t + 5 * SECOND, 20 * SECOND),
        Group(2, S.GREEN_PROTECTED, likely_end=t + 40 * MINUTE),
    )
    return json.loads(write_ydt_spat(19, t, groups, region=10))


@settings(max_examples=60)
@given(messages())
def test_what_is_written_for_yd_t_3709_is_read_at_any_time_of_any_year(message: tuple[int, tuple[Group, ...]]) -> None:
    t, groups = message
    found = read_ydt_spat(write_ydt_spat(19, t, groups, region=10), t + SECOND)
    assert (found[0].t, found.refused, found[0].revision) == (t, (), None)
    for sent, back in zip(groups, found[0].groups, strict=True):
        for name in ("min_end", "max_end", "likely_end", "next_green"):
            want, got = getattr(sent, name), getattr(back, name)
            begun = name == "next_green" and want is not None and want - t < TENTH  # a green to come has not begun
            assert (
                begun
                or got == (None if want is None else t + (want - t) // TENTH * TENTH)
                or (name == "likely_end" and sent.min_end == sent.max_end)
            )


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_spat_of_yd_t_3709_raises_nothing_but_code_error(data: st.DataObject) -> None:
    value = changed(ydt(), data.draw)
    for spat in good_of(lambda: read_ydt_spat(json.dumps(value).encode(), T)):
        for group in spat.groups:
            assert all(
                time is None or 0 <= time - spat.t <= HOUR
                for time in (group.min_end, group.max_end, group.likely_end, group.next_green)
            )
        as_signal(spat, 5)


@pytest.mark.parametrize(
    ("field", "value", "lost"),
    [
        ("likelyEndTime", 36_002, "likely_end"),
        ("likelyEndTime", -1, "likely_end"),
        ("likelyEndTime", 1.5, "likely_end"),
        ("maxEndTime", "soon", "max_end"),
        ("timeConfidence", 201, "confidence"),
        ("timeConfidence", -1, "confidence"),
        ("timeConfidence", 0.5, "confidence"),
    ],
)
def test_one_bad_time_of_yd_t_3709_loses_only_itself(field: str, value: object, lost: str) -> None:
    good, bad = ydt(), ydt()
    bad["intersections"][0]["phases"][0]["phaseStates"][0]["timing"]["counting"][field] = value
    (want,), found = read_ydt_spat(json.dumps(good).encode(), T), read_ydt_spat(json.dumps(bad).encode(), T)
    assert found[0].groups == (replace(want.groups[0], **{lost: None}), want.groups[1])
    assert refused(found) == [("10/19 group 1", field)]


def test_of_yd_t_3709_far_and_unknown_are_no_times_and_a_start_in_the_past_is_of_the_present_state() -> None:
    value = ydt()
    counting = value["intersections"][0]["phases"][1]["phaseStates"][0]["timing"]["counting"]
    for mark in (36_000, 36_001):
        counting["likelyEndTime"] = mark
        assert read_ydt_spat(json.dumps(value).encode(), T)[0].groups[1].likely_end is None
    states = [
        {"light": "red", "timing": {"utcTiming": {"startUTCTime": at(12), "likelyEndUTCTime": at(40)}}},
        {"light": "protected-green", "timing": {"utcTiming": {"startUTCTime": at(-28), "likelyEndUTCTime": at(12)}}},
    ]
    value["intersections"][0]["phases"][1]["phaseStates"] = states
    group = read_ydt_spat(json.dumps(value).encode(), T)[0].groups[1]
    assert (group.state, group.likely_end) == (S.GREEN_PROTECTED, T + 12 * SECOND)
