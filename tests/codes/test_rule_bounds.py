"""Rules whose numbers or texts lie beyond their field, rules that bind nobody, and what is only a warning."""

import pytest
from msgspec.structs import replace
from regulated_code import CODE, changed, errors, warnings

from cloudctl.codes.rule import CLASSES, FUELS, Calendar, Rule, Target


@pytest.mark.parametrize(
    ("name", "fields", "field"),
    [
        ("R24", {"value": 33.34}, "value"), ("R21", {"value": 200.0}, "value"), ("R10", {"text": "x" * 5000}, "text"), ("R10", {"text": "a\x00b"}, "text"), ("R10", {"priority": 2**40}, "priority"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_value_beyond_its_field_is_an_error(name: str, fields: dict[str, object], field: str) -> None:
    assert any(f"{name}.{field}" in line for line in errors(changed(name, **fields)))


def test_heights_channels_offsets_and_revisions_are_bounded() -> None:
    high = Rule("R90", "height_max", (Target("L2"),), 8.0)
    assert any("R90.value" in line for line in errors(replace(CODE, rules=(*CODE.rules, high))))
    for channel in (65_536, 2**40, -1):
        group = replace(CODE.signal_groups[0], channels=(channel,))
        assert any("channels" in line for line in errors(replace(CODE, signal_groups=(group, *CODE.signal_groups[1:]))))
    assert any(
        "offset_ms" in line
        for line in errors(replace(CODE, plans=(replace(CODE.plans[0], offset_ms=-(2**40)), *CODE.plans[1:])))
    )
    assert any("revision" in line for line in errors(replace(CODE, revision=2**31)))


def test_a_school_zone_without_a_value_is_a_warning() -> None:
    zone = Rule("R90", "school_zone", (Target("L2"),))
    assert any("bounds no speed" in line for line in warnings(replace(CODE, rules=(*CODE.rules, zone))))


# --- rules that bind nobody ---


@pytest.mark.parametrize(
    "rule",
    [
        Rule("R90", "no_entry", (Target("code"),), classes=("pedestrian",), plates=(1,)),
        Rule("R90", "no_entry", (Target("code"),), except_fuels=FUELS, plates=(1,)),
        Rule(
            "R90",
            "closure",
            (Target("code"),),
            except_classes=tuple(name for name in CLASSES if name not in ("automated", "dangerous_goods")),
        ),
        Rule("R90", "emission_zone", (Target("code"),), 5.0, fuels=("electric",)),
        Rule("R90", "emission_zone", (Target("code"),), 5.0, classes=("bicycle",)),
        Rule("R90", "mass_max", (Target("code"),), 15.0, classes=("car",)),
    ],
)
def test_a_rule_that_no_vehicle_can_break_is_an_error(rule: Rule) -> None:
    assert any("binds nobody" in line for line in errors(replace(CODE, format=2, rules=(rule,))))


def test_a_bus_lane_on_a_lane_for_pedestrians_is_a_warning() -> None:
    walk = next(lane.id for lane in CODE.lanes if lane.use == "pedestrian" and not lane.shared)
    assert any("no bus_lane is there" in line for line in warnings(changed("R10", targets=(Target(walk),))))


# --- clocks ---


@pytest.mark.parametrize("name", ["localtime", "posixrules", "right/Asia/Shanghai", "posix/Asia/Shanghai", "Factory"])
def test_the_time_zone_of_a_machine_is_no_time_zone_of_a_place(name: str) -> None:
    assert any("not a time zone" in line for line in errors(changed("R10", calendar=Calendar(tz=name))))


@pytest.mark.parametrize("span", [(630, 930), (700, 900), (600, 930), (1215, 1345)])
def test_clock_times_written_as_hours_and_minutes_are_a_warning(span: tuple[int, int]) -> None:
    assert any(
        "minutes since midnight" in line for line in warnings(changed("R10", calendar=Calendar(minutes=(span,))))
    )


@pytest.mark.parametrize("span", [(420, 540), (1020, 1140), (990, 1200), (600, 900), (435, 1095), (0, 1440)])
def test_minutes_of_the_day_are_no_warning(span: tuple[int, int]) -> None:
    assert warnings(changed("R10", calendar=Calendar(minutes=(span,)))) == []
