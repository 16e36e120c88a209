"""What the rules of a lane keep out stays out when the code is exported, whatever the lane's use and sharing: it is
closed sooner than opened."""

import pytest
from exported import GOOD, TARGETS, exported, lasting, let_in, pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudctl.codes.model import USES, IntersectionCode, Zone
from cloudctl.codes.rule import VEHICLE_CLASSES, Calendar, Rule, Target
from cloudctl.codes.rules import rule_placements

LANE = GOOD.stop_lines[0].lane
NIGHT = Calendar(minutes=((1300, 400),))


def with_lane(rule: Rule, use: str, *shared: str) -> IntersectionCode:
    """Return the code with another use of its first lane, and no rule but one."""
    return replace(
        GOOD,
        lanes=tuple(replace(lane, use=use, shared=shared) if lane.id == LANE else lane for lane in GOOD.lanes),
        rules=(rule,),
    )


def opened(code: IntersectionCode, to: str) -> tuple[set[str], set[str], set[tuple[str, str]]]:
    """Return whom the first lane lets in after an export that it did not before, whom it lets in then, and what is
    declared."""
    found, back = exported(code, to)
    other = pairs(code, back)[LANE]
    lane = next(lane for lane in code.lanes if lane.id == LANE)
    kept, kept_back = lasting(code), lasting(back)
    before, after = let_in(kept, lane, rule_placements(kept)), let_in(kept_back, other, rule_placements(kept_back))
    return after - before, after, {(d.field, d.what) for d in found.differences}


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("use", ["vehicle", "bus", "tram", "bike"])
@pytest.mark.parametrize(
    "rule",
    [
        Rule("R9", "closure", (Target(LANE),)),
        Rule("R9", "no_entry", (Target(LANE),)),
        Rule("R9", "closure", (Target(LANE),), temporary=True),
        Rule("R9", "closure", (Target("code"),)),
        Rule("R9", "closure", (Target(LANE, 5.0, 20.0),)),
        Rule("R9", "closure", (Target(LANE),), except_classes=("emergency",)),
    ],
    ids=["closure", "no entry", "temporary", "everywhere", "a part", "but emergency"],
)
def test_a_closed_lane_of_any_use_stays_closed_with_a_line(rule: Rule, use: str, to: str) -> None:
    further, after, declared = opened(with_lane(rule, use), to)
    assert further == after == set()
    assert any(what == "closed" for _, what in declared) or (f"rules.{rule.kind}", "lost") in declared


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize(
    "rule",
    [
        Rule("R9", "no_entry", (Target(LANE),), classes=("truck",)),
        Rule("R9", "closure", (Target(LANE),), calendar=NIGHT),
    ],
    ids=["of trucks", "at night"],
)
def test_a_ban_that_no_message_can_carry_closes_no_lane_to_cars_and_is_declared_lost(rule: Rule, to: str) -> None:
    _, after, declared = opened(with_lane(rule, "vehicle"), to)
    assert after == {"car"}
    assert (f"rules.{rule.kind}", "lost") in declared


@pytest.mark.parametrize("to", TARGETS)
def test_a_lane_in_a_closed_zone_stays_closed(to: str) -> None:
    lane = next(lane for lane in GOOD.lanes if lane.id == LANE)
    (lat, lon), reach = lane.points[0], 600
    zone = Zone(
        "Z9",
        "school",
        (
            (lat - reach, lon - reach),
            (lat - reach, lon + reach),
            (lat + reach, lon + reach),
            (lat + reach, lon - reach),
        ),
    )
    code = replace(with_lane(Rule("R9", "closure", (Target("Z9"),)), "vehicle"), zones=(zone,))
    assert opened(code, to)[1] == set()


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize(
    ("use", "kind", "classes", "after"),
    [
        ("tram", "lane_use", ("tram", "taxi"), {"tram"}),
        ("bus", "bus_lane", ("bus", "taxi"), {"bus"}),
        ("bike", "lane_use", ("bicycle", "emergency"), {"bicycle"}),
    ],
)
def test_a_reserved_lane_with_sharing_is_not_opened_to_those_whom_its_rule_keeps_out(
    use: str, kind: str, classes: tuple[str, ...], after: set[str], to: str
) -> None:
    code = with_lane(Rule("R9", kind, (Target(LANE),), classes=classes), use, "vehicle")
    further, found, declared = opened(code, to)
    assert further == set()
    assert after <= found
    assert ("lanes.shared", "closed") in declared


rules = st.builds(
    lambda kind, classes, but, night, temporary, part: Rule(
        "R9",
        kind,
        (Target(LANE, *((5.0, 20.0) if part else ())),),
        classes=classes,
        except_classes=but,
        calendar=NIGHT if night else None,
        temporary=temporary,
    ),
    st.sampled_from(["closure", "no_entry", "lane_use", "bus_lane", "turn_ban"]),
    *[st.lists(st.sampled_from(sorted(VEHICLE_CLASSES)), unique=True, max_size=4).map(tuple)] * 2,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=40)
@given(
    rules,
    st.sampled_from([use for use in USES if use != "pedestrian"]),
    st.sets(st.sampled_from(USES)),
    st.sampled_from(TARGETS),
)
def test_no_rule_use_and_sharing_open_a_lane_to_anyone(rule: Rule, use: str, shared: set[str], to: str) -> None:
    code = with_lane(rule, use, *sorted(shared - {use}))
    further, _, _ = opened(code, to)
    assert further == set()


@pytest.mark.parametrize("to", TARGETS)
def test_a_plain_lane_is_not_closed(to: str) -> None:
    assert not {
        what for _, what in opened(with_lane(Rule("R9", "toll", (Target(LANE),), 5.0), "vehicle", "bike"), to)[2]
    } & {"closed"}
