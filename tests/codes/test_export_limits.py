"""What an export says of limits is what holds: at each place of a lane, for each class, asked of the rules; what is
lowered has a line."""

from contextlib import suppress

import pytest
from exported import GOOD, TARGETS, TIMES, exported, pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudctl.codes.findings import CodeError
from cloudctl.codes.model import IntersectionCode
from cloudctl.codes.polylines import length
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.codes.rules import Vehicle, effective, rule_placements

LANE = next(lane for lane in GOOD.lanes if lane.id == GOOD.stop_lines[0].lane)
WHOLE = length(LANE.points)
OTHERS = Rule("R8", "speed_max", tuple(Target(lane.id) for lane in GOOD.lanes if lane.id != LANE.id), 13.9)
NIGHT = Calendar(minutes=((1300, 400),))


def with_limits(speed: float, *rules: Rule, use: str = "vehicle") -> IntersectionCode:
    """Return the code with another first lane, and no rules but those given and plain ones of the other lanes."""
    lanes = tuple(
        replace(lane, speed=speed if lane.id == LANE.id else 13.9, use=use if lane.id == LANE.id else lane.use)
        for lane in GOOD.lanes
    )
    return replace(GOOD, lanes=lanes, rules=(OTHERS, *rules))


def limit_at(code: IntersectionCode, at: dict, lane_id: str, kind: str, s: float, t: int) -> float:
    """Return the limit at a place: what the rules say, and the lane's own where they say nothing."""
    found = effective(code, lane_id, Vehicle(kind), t, s=s, placements=at)
    own = next(lane.speed for lane in code.lanes if lane.id == lane_id)
    return found.speed_max if found.rule_of("speed_max") else min(own, found.speed_max)


def assert_held(
    code: IntersectionCode, to: str, kinds: tuple[str, ...] = ("car", "truck", "bus")
) -> set[tuple[str, str]]:
    """Assert that no limit is raised anywhere and that what is lowered is declared; return what is declared."""
    found, back = exported(code, to)
    other = pairs(code, back)[LANE.id].id
    at = rule_placements(code), rule_placements(back)
    lowered = False
    for kind in kinds:
        for s in [WHOLE * (k + 0.5) / 8 for k in range(8)]:
            for t in TIMES:
                before, after = limit_at(code, at[0], LANE.id, kind, s, t), limit_at(back, at[1], other, kind, s, t)
                assert after <= before + 1e-9, (kind, s)
                lowered |= after < before - 0.0201
    declared = {(d.field, d.what) for d in found.differences}
    assert not lowered or ("lanes.limit", "lowered") in declared
    return declared


def parts(first: float, second: float, at: float) -> tuple[Rule, Rule]:
    return Rule("R9", "speed_max", (Target(LANE.id, None, at),), first), Rule(
        "R7", "speed_max", (Target(LANE.id, at, None),), second
    )


@pytest.mark.parametrize("speed", [5.56, 13.9, 9.0])  # the lowest, the highest, or neither
def test_limits_of_parts_come_back_where_they_hold_whatever_the_lanes_own_speed_is(speed: float) -> None:
    for to in ("mapem", "j2735"):
        code = with_limits(speed, *parts(13.9, 5.56, 30.0))
        assert ("lanes.limit", "lowered") not in assert_held(code, to)
    assert ("lanes.limit", "lowered") in assert_held(with_limits(speed, *parts(13.9, 5.56, 30.0)), "ydt3709"), (
        "a lane has one limit there, and the line says so"
    )


@pytest.mark.parametrize("to", TARGETS)
def test_a_limit_that_never_decides_is_not_written(to: str) -> None:
    code = with_limits(
        13.9, Rule("R9", "speed_max", (Target(LANE.id),), 13.9), Rule("R7", "speed_max", (Target("code"),), 4.0)
    )
    assert ("lanes.limit", "lowered") not in assert_held(code, to)


@pytest.mark.parametrize("to", TARGETS)
def test_the_limit_of_a_lane_for_bicycles_is_not_raised(to: str) -> None:
    code = with_limits(
        13.9,
        Rule("R9", "speed_max", (Target(LANE.id),), 13.9),
        Rule("R7", "speed_max", (Target(LANE.id),), 4.0, ("bicycle",)),
        use="bike",
    )
    assert_held(code, to, ("bicycle",))


limits = st.builds(
    lambda value, low, long, classes, night, kind, temporary: Rule(
        "R9",
        kind,
        (Target(LANE.id, round(low * WHOLE, 2), round(min(low + long, 1.0) * WHOLE, 2)) if low else Target(LANE.id),),
        value,
        classes if kind == "speed_max" else (),
        calendar=NIGHT if night else None,
        temporary=temporary,
    ),
    st.integers(100, 3000).map(lambda v: v / 100),
    st.sampled_from([0.0, 0.1, 0.4, 0.7]),
    st.sampled_from([0.2, 0.5]),
    st.sampled_from([(), ("truck",), ("bus",), ("car", "taxi")]),
    st.booleans(),
    st.sampled_from(["speed_max", "speed_max", "school_zone", "construction"]),
    st.booleans(),
)


@settings(max_examples=25)
@given(st.lists(limits, max_size=3), st.sampled_from([5.56, 13.9, 20.0]), st.sampled_from(TARGETS))
def test_no_limits_are_raised_at_any_place_and_time_and_lowered_ones_are_declared(
    rules: list[Rule], speed: float, to: str
) -> None:
    with suppress(CodeError):  # a refusal raises nothing
        assert_held(with_limits(speed, *(replace(rule, id=f"R{k}") for k, rule in enumerate(rules, 10))), to)
