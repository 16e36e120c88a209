"""Ten regulations of a city, written as docs/codes.md says, answered right at their edges: alone, by the compiled
table, in an engine, and in a running node."""

import re

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from paths import DATA
from regulations import AT, CODE, DAYS, FREE, RULES, TABLE, ns

from cloudctl import codes
from cloudctl.codes.days import parse_days
from cloudctl.codes.draw.rules import rule_in_words
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.codes.rules import Effective, Vehicle, effective, missing

NAMES = {-1: ""} | {k: rule.id for k, rule in enumerate(CODE.rules)}
TRUCK = Vehicle("truck", fuel="electric", mass=12.0, axle=8.0, height=3.5, width=2.4, dangerous_goods=False)


def ask(path: str, vehicle: Vehicle, when: str, s: float | None = None) -> Effective:
    """Return what holds; the compiled table must answer the same."""
    plain = effective(CODE, path, vehicle, ns(when), s=s, holidays=DAYS, placements=AT)
    one = TABLE.effective(
        np.array([TABLE.paths[path]]),
        np.array([0]),
        np.array([ns(when)]),
        np.array([np.nan if s is None else s]),
        fleet=[vehicle],
    )
    assert (one.allowed[0], NAMES[int(one.refused_by[0])], NAMES[int(one.undecided[0])]) == (
        plain.allowed,
        plain.refused_by,
        plain.undecided_by,
    )
    assert one.speed_max[0] == plain.speed_max
    return plain


def refusals(path: str, vehicle: Vehicle, day: str, *times: str, s: float | None = None) -> list[str]:
    return [ask(path, vehicle, f"{day}T{time}", s).refused_by for time in times]


def test_the_ten_regulations_are_a_code_without_a_fault() -> None:
    assert codes.validate(CODE) == []


def test_a_bus_lane_is_in_force_on_working_days_on_make_up_days_and_never_on_holidays() -> None:
    edges = "06:59:59", "07:00:00", "08:59:59", "09:00:00", "16:59:59", "17:00:00", "18:59:59", "19:00:00"
    in_force = ["", "R10", "R10", "", "", "R10", "R10", ""]
    assert refusals("L34", FREE, "2026-06-15", *edges, s=100.0) == in_force  # a Monday
    assert refusals("L34", FREE, "2026-10-10", *edges, s=100.0) == in_force  # a Saturday that is worked for 7 October
    assert refusals("L34", FREE, "2026-10-01", *edges, s=100.0) == [""] * 8  # National Day, a Thursday
    assert refusals("L34", FREE, "2026-06-20", *edges, s=100.0) == [""] * 8  # a Saturday
    assert refusals("L34", FREE, "2026-06-15", "08:00", s=371.0) == [""], "the last metres are for who turns right"
    assert [
        ask("L34", Vehicle(kind, fuel="electric"), "2026-06-15T08:00", 100.0).allowed
        for kind in ("bus", "coach", "emergency", "taxi")
    ] == [True, True, True, False]


def test_trucks_are_off_the_ring_road_by_day() -> None:
    for path in ("L2", "L7", "L20", "L33"):
        assert refusals(path, TRUCK, "2026-06-21", "05:59:59", "06:00:00", "22:59:59", "23:00:00") == [
            "",
            "R11",
            "R11",
            "",
        ]
    assert refusals("L25", TRUCK, "2026-06-21", "12:00:00") == [""]
    assert refusals("L2", replace(TRUCK, kind="sanitation"), "2026-06-21", "12:00:00") == [""]


def test_a_school_street_is_closed_at_school_hours_in_both_terms() -> None:
    edges = "07:19:59", "07:20:00", "07:59:59", "08:00:00", "16:29:59", "16:30:00", "17:09:59", "17:10:00"
    closed = ["", "R12", "R12", "", "", "R12", "R12", ""]
    first, last = RULES["R12"].calendar.date_ranges[0]
    for day, expected in (
        (first, closed),
        (last, closed),
        ("2026-07-13", [""] * 8),
        ("2026-09-01", closed),
        ("2026-05-01", [""] * 8),
        ("2026-09-20", closed),
        ("2027-01-25", [""] * 8),
    ):
        assert refusals("L24", FREE, day, *edges) == expected, day
    assert ask("L24", Vehicle("bicycle"), "2026-06-15T07:30").allowed


def test_a_tidal_lane_runs_one_way_or_the_other_and_never_both() -> None:
    def open_lanes(when: str) -> str:
        return "".join(name for name, path in (("in", "L32"), ("out", "L37")) if ask(path, FREE, when).allowed)

    day = {
        "16:29:59": "in",
        "16:30:00": "",
        "16:59:59": "",
        "17:00:00": "out",
        "18:59:59": "out",
        "19:00:00": "",
        "19:29:59": "",
        "19:30:00": "in",
        "23:59:59": "in",
        "00:00:00": "in",
    }
    for when, way in day.items():
        assert open_lanes(f"2026-06-15T{when}") == way
        assert open_lanes(f"2026-10-10T{when}") == way, "a Saturday that is worked"
        assert open_lanes(f"2026-06-20T{when}") == open_lanes(f"2026-10-01T{when}") == "in", "a Saturday, and a holiday"


def test_plates_are_barred_by_the_day_of_the_week_and_an_unknown_plate_is_named() -> None:
    petrol = Vehicle("car", fuel="petrol", stage=6)
    edges = "06:59:59", "07:00:00", "19:59:59", "20:00:00"
    for k, (day, digits) in enumerate(
        (
            ("2026-06-15", (1, 6)),
            ("2026-06-16", (2, 7)),
            ("2026-06-17", (3, 8)),
            ("2026-06-18", (4, 9)),
            ("2026-06-26", (5, 0)),
        )
    ):
        for digit in range(10):
            expected = ["", f"R{16 + k}", f"R{16 + k}", ""] if digit in digits else [""] * 4
            assert refusals("L2", replace(petrol, plate=digit), day, *edges) == expected
        unknown = ask("L2", petrol, f"{day}T12:00")
        assert (unknown.allowed, unknown.undecided_by) == (True, f"R{16 + k}"), (
            "neither let through nor barred without a word"
        )
        assert missing(RULES[unknown.undecided_by], petrol) == ("plate_digit",)
    assert refusals("L2", replace(petrol, plate=4), "2026-10-01", *edges) == [""] * 4, "a holiday"
    assert [refusals("L2", replace(petrol, plate=plate), "2026-10-10", "12:00") for plate in range(10)] == [
        [""]
    ] * 10, "a make-up Saturday is a Saturday here"
    of_unknown_fuel = ask("L2", Vehicle("car", plate=1, stage=6), "2026-06-15T12:00")
    assert of_unknown_fuel.undecided_by == "R16"
    assert missing(RULES["R16"], Vehicle("car", plate=1, stage=6)) == ("fuel",)
    assert ask("L2", replace(FREE, plate=1), "2026-06-15T12:00") == ask("L2", FREE, "2026-06-15T12:00"), (
        "electric cars are excepted"
    )
    assert ask("L35", Vehicle("bicycle"), "2026-06-15T12:00").undecided_by == ""


def test_a_bridge_keeps_heavy_vehicles_off_and_names_what_an_undeclared_one_lacks() -> None:
    night = "2026-06-14T02:00"  # nothing else is in force
    assert [ask("L15", replace(TRUCK, mass=mass), night).refused_by for mass in (19.999, 20.0, 20.001)] == [
        "",
        "",
        "R21",
    ]
    assert [ask("L15", replace(TRUCK, axle=axle), night).refused_by for axle in (10.0, 10.001)] == ["", "R22"]
    of_unknown_mass, of_unknown_axle = replace(TRUCK, mass=float("nan")), replace(TRUCK, axle=float("nan"))
    found = [ask("L15", vehicle, night) for vehicle in (of_unknown_mass, of_unknown_axle)]
    assert [(f.allowed, f.undecided_by) for f in found] == [(True, "R21"), (True, "R22")]
    assert (missing(RULES["R21"], of_unknown_mass), missing(RULES["R22"], of_unknown_axle)) == (
        ("mass",),
        ("axle_load",),
    )
    assert ask("L15", FREE, night).undecided_by == "", "no car weighs 20 t"


def test_works_close_a_lane_and_slow_the_ones_beside_it_while_they_last() -> None:
    assert refusals("L21", FREE, "2026-11-02", "21:59:59", "22:00:00", s=150.0) == ["", "R23"]
    assert refusals("L21", FREE, "2026-11-20", "04:59:59", "05:00:00", s=150.0) == ["R23", ""]
    assert [ask("L21", FREE, "2026-11-10T12:00", s).refused_by for s in (99.0, 100.0, 250.0, 251.0)] == [
        "",
        "R23",
        "R23",
        "",
    ]
    assert [
        ask("L20", FREE, when, 100.0).speed_max
        for when in ("2026-11-02T21:59:59", "2026-11-02T22:00:00", "2026-11-20T04:59:59", "2026-11-20T05:00:00")
    ] == [16.67, 8.33, 8.33, 16.67]


def test_a_low_emission_zone_asks_for_fuel_and_stage() -> None:
    def answer(fuel: str, stage: int) -> tuple[str, str]:
        found = ask("L2", Vehicle("car", fuel=fuel, stage=stage, plate=2), "2026-06-14T02:00")
        return found.refused_by, found.undecided_by

    assert [answer("diesel", stage) for stage in (5, 6)] == [("R25", ""), ("", "")]
    assert [answer("petrol", stage) for stage in (3, 4)] == [("R26", ""), ("", "")]
    assert [answer(fuel, 0) for fuel in ("diesel", "petrol", "electric", "")] == [
        ("", "R25"),
        ("", "R26"),
        ("", ""),
        ("", "R25"),
    ]
    assert answer("", 6) == ("", ""), "stage 6 is enough for every fuel"


def test_a_road_is_closed_at_night_over_midnight() -> None:
    assert refusals(
        "L11", FREE, "2026-06-15", "22:59:59", "23:00:00", "23:59:59", "00:00:00", "04:59:59", "05:00:00"
    ) == ["", "R27", "R27", "R27", "R27", ""]
    assert ask("L11", Vehicle("emergency", fuel="electric"), "2026-06-15T23:30").allowed


def test_a_taxi_stand_is_for_taxis() -> None:
    found = [
        ask("L8", Vehicle(kind, fuel="electric"), "2026-06-15T12:00", s)
        for kind in ("car", "taxi")
        for s in (59.9, 60.0, 100.0, 100.1)
    ]
    assert [f.refused_by for f in found] == ["", "R28", "R28", "", "", "", "", ""]
    assert [f.rule_of("no_stopping") for f in found] == ["R29"] * 4 + [""] * 4


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            "R10",
            "bus lane for bus, coach, emergency on L34 0-370 m Mo Tu We Th Fr 07:00-09:00 17:00-19:00, not on "
            "holidays, and on make-up days",
        ),
        ("R12", "2026-02-24 to 2026-07-10 and 2026-09-01 to 2027-01-22, not on holidays"),
        (
            "R16",
            "plates ending 1 6 but bus, coach, taxi, emergency, sanitation, electric, hydrogen on code Mo "
            "07:00-20:00, not on holidays",
        ),
        ("R21", "mass max 20 t on K4, K7"),
        ("R23", "closure on L21 100-250 m from 2026-11-02 14:00 UTC until 2026-11-19 21:00 UTC, temporary"),
        ("R25", "emission zone 6 stage for diesel on Z2"),
    ],
)
def test_the_drawing_has_every_regulation_in_words(rule: str, words: str) -> None:
    assert words in rule_in_words(RULES[rule])
    drawing = codes.show_svg(CODE)
    assert f"<title>{rule}: " in drawing


def test_what_the_documentation_shows_of_rules_and_calendars_is_valid() -> None:
    blocks = re.findall(r"```json\n(.*?)```", (DATA.parent.parent / "docs" / "codes.md").read_text(), re.DOTALL)
    parse_days(
        next(block for block in blocks if "make_up_days" in block and "targets" not in block).encode(), "docs/codes.md"
    )
    rules = msgspec.json.decode(next(block for block in blocks if block.startswith("[")), type=tuple[Rule, ...])
    assert len(rules) > 10
    assert codes.validate(replace(CODE, rules=rules)) == []


def test_odd_and_even_dates_are_days_of_the_month() -> None:
    even_plates = Rule(
        "R90",
        "no_entry",
        (Target("code"),),
        calendar=Calendar(month_days=tuple(range(1, 32, 2))),
        plates=(0, 2, 4, 6, 8),
    )
    code = replace(CODE, rules=(even_plates,))
    for day, barred in (("2026-06-29", "02468"), ("2026-06-30", ""), ("2026-07-01", "02468"), ("2026-08-31", "02468")):
        for time in ("00:00:00", "23:59:59"):
            refused = [d for d in range(10) if not effective(code, "L2", Vehicle(plate=d), ns(f"{day}T{time}")).allowed]
            assert "".join(map(str, refused)) == barred


def test_a_truck_that_does_not_say_what_it_carries_is_named_where_dangerous_goods_are_banned() -> None:
    code = replace(CODE, rules=(Rule("R90", "no_entry", (Target("code"),), classes=("dangerous_goods",)),))
    found = {
        carries: effective(code, "L2", Vehicle("truck", dangerous_goods=carries), ns("2026-06-15T12:00"))
        for carries in (True, False, None)
    }
    assert [(f.allowed, f.undecided_by) for f in found.values()] == [(False, ""), (True, ""), (True, "R90")]
    assert missing(code.rules[0], Vehicle("truck")) == ("dangerous_goods",)
    assert effective(code, "L2", Vehicle("car"), ns("2026-06-15T12:00")).undecided_by == ""
