"""Ten regulations of a city, written as docs/codes.md says, answered right at their edges: alone, by the compiled table, in an engine, and in a running node."""

import asyncio
import dataclasses
import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from stage import Stage, words

from cloudctl import codes, matching, planner, world
from cloudctl.broker import Broker
from cloudctl.client import Vehicle as Client
from cloudctl.clock import MS, SECOND, WallClock
from cloudctl.codes.days import dump_days, parse_days, read_days
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.codes.rules import Effective, Vehicle, effective, missing, places
from cloudctl.codes.rules_table import RuleTable
from cloudctl.codes.show_rules import said
from cloudctl.config import load
from cloudctl.engine import Engine, EngineConfig
from cloudctl.live import Node
from cloudctl.log import Recorder
from cloudctl.payloads import encode
from cloudctl.replay import replay
from cloudctl.schema import AdvisoryKind, Datum, VehicleState
from cloudctl.topics import OPERATOR

DATA = Path(__file__).parent / "data"
CODE = codes.load(DATA / "regulations.json")
DAYS = read_days(DATA / "days_2026.json")
TABLE, AT = RuleTable(CODE, DAYS), places(CODE)
NAMES = {-1: ""} | {k: rule.id for k, rule in enumerate(CODE.rules)}
RULES = {rule.id: rule for rule in CODE.rules}
FREE = Vehicle("car", fuel="electric")  # bound by no plate and no exhaust
TRUCK = Vehicle("truck", fuel="electric", mass=12.0, axle=8.0, height=3.5, width=2.4, dangerous_goods=False)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * SECOND


def ask(path: str, vehicle: Vehicle, when: str, s: float | None = None) -> Effective:
    """Return what holds; the compiled table must answer the same."""
    plain = effective(CODE, path, vehicle, ns(when), s=s, holidays=DAYS, at=AT)
    one = TABLE.effective(np.array([TABLE.paths[path]]), np.array([0]), np.array([ns(when)]), np.array([np.nan if s is None else s]), fleet=[vehicle])
    assert (one.allowed[0], NAMES[int(one.refused_by[0])], NAMES[int(one.undecided[0])]) == (plain.allowed, plain.refused_by, plain.undecided_by)
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
    assert [ask("L34", Vehicle(kind, fuel="electric"), "2026-06-15T08:00", 100.0).allowed for kind in ("bus", "coach", "emergency", "taxi")] == [True, True, True, False]


def test_trucks_are_off_the_ring_road_by_day() -> None:
    for path in ("L2", "L7", "L20", "L33"):
        assert refusals(path, TRUCK, "2026-06-21", "05:59:59", "06:00:00", "22:59:59", "23:00:00") == ["", "R11", "R11", ""]
    assert refusals("L25", TRUCK, "2026-06-21", "12:00:00") == [""]
    assert refusals("L2", replace(TRUCK, kind="sanitation"), "2026-06-21", "12:00:00") == [""]


def test_a_school_street_is_closed_at_school_hours_in_both_terms() -> None:
    edges = "07:19:59", "07:20:00", "07:59:59", "08:00:00", "16:29:59", "16:30:00", "17:09:59", "17:10:00"
    closed = ["", "R12", "R12", "", "", "R12", "R12", ""]
    first, last = RULES["R12"].calendar.date_ranges[0]
    for day, expected in ((first, closed), (last, closed), ("2026-07-13", [""] * 8), ("2026-09-01", closed), ("2026-05-01", [""] * 8), ("2026-09-20", closed), ("2027-01-25", [""] * 8)):
        assert refusals("L24", FREE, day, *edges) == expected, day
    assert ask("L24", Vehicle("bicycle"), "2026-06-15T07:30").allowed


def test_a_tidal_lane_runs_one_way_or_the_other_and_never_both() -> None:
    def open_lanes(when: str) -> str:
        return "".join(name for name, path in (("in", "L32"), ("out", "L37")) if ask(path, FREE, when).allowed)

    day = {"16:29:59": "in", "16:30:00": "", "16:59:59": "", "17:00:00": "out", "18:59:59": "out", "19:00:00": "", "19:29:59": "", "19:30:00": "in", "23:59:59": "in", "00:00:00": "in"}
    for when, way in day.items():
        assert open_lanes(f"2026-06-15T{when}") == way
        assert open_lanes(f"2026-10-10T{when}") == way, "a Saturday that is worked"
        assert open_lanes(f"2026-06-20T{when}") == open_lanes(f"2026-10-01T{when}") == "in", "a Saturday, and a holiday"


def test_plates_are_barred_by_the_day_of_the_week_and_an_unknown_plate_is_named() -> None:
    petrol = Vehicle("car", fuel="petrol", stage=6)
    edges = "06:59:59", "07:00:00", "19:59:59", "20:00:00"
    for k, (day, digits) in enumerate((("2026-06-15", (1, 6)), ("2026-06-16", (2, 7)), ("2026-06-17", (3, 8)), ("2026-06-18", (4, 9)), ("2026-06-26", (5, 0)))):
        for digit in range(10):
            expected = ["", f"R{16 + k}", f"R{16 + k}", ""] if digit in digits else [""] * 4
            assert refusals("L2", replace(petrol, plate=digit), day, *edges) == expected
        unknown = ask("L2", petrol, f"{day}T12:00")
        assert (unknown.allowed, unknown.undecided_by) == (True, f"R{16 + k}"), "neither let through nor barred without a word"
        assert missing(RULES[unknown.undecided_by], petrol) == ("plate_digit",)
    assert refusals("L2", replace(petrol, plate=4), "2026-10-01", *edges) == [""] * 4, "a holiday"
    assert [refusals("L2", replace(petrol, plate=plate), "2026-10-10", "12:00") for plate in range(10)] == [[""]] * 10, "a make-up Saturday is a Saturday here"
    of_unknown_fuel = ask("L2", Vehicle("car", plate=1, stage=6), "2026-06-15T12:00")
    assert of_unknown_fuel.undecided_by == "R16"
    assert missing(RULES["R16"], Vehicle("car", plate=1, stage=6)) == ("fuel",)
    assert ask("L2", replace(FREE, plate=1), "2026-06-15T12:00") == ask("L2", FREE, "2026-06-15T12:00"), "electric cars are excepted"
    assert ask("L35", Vehicle("bicycle"), "2026-06-15T12:00").undecided_by == ""


def test_a_bridge_keeps_heavy_vehicles_off_and_names_what_an_undeclared_one_lacks() -> None:
    night = "2026-06-14T02:00"  # nothing else is in force
    assert [ask("L15", replace(TRUCK, mass=mass), night).refused_by for mass in (19.999, 20.0, 20.001)] == ["", "", "R21"]
    assert [ask("L15", replace(TRUCK, axle=axle), night).refused_by for axle in (10.0, 10.001)] == ["", "R22"]
    of_unknown_mass, of_unknown_axle = replace(TRUCK, mass=float("nan")), replace(TRUCK, axle=float("nan"))
    found = [ask("L15", vehicle, night) for vehicle in (of_unknown_mass, of_unknown_axle)]
    assert [(f.allowed, f.undecided_by) for f in found] == [(True, "R21"), (True, "R22")]
    assert (missing(RULES["R21"], of_unknown_mass), missing(RULES["R22"], of_unknown_axle)) == (("mass",), ("axle_load",))
    assert ask("L15", FREE, night).undecided_by == "", "no car weighs 20 t"


def test_works_close_a_lane_and_slow_the_ones_beside_it_while_they_last() -> None:
    assert refusals("L21", FREE, "2026-11-02", "21:59:59", "22:00:00", s=150.0) == ["", "R23"]
    assert refusals("L21", FREE, "2026-11-20", "04:59:59", "05:00:00", s=150.0) == ["R23", ""]
    assert [ask("L21", FREE, "2026-11-10T12:00", s).refused_by for s in (99.0, 100.0, 250.0, 251.0)] == ["", "R23", "R23", ""]
    assert [ask("L20", FREE, when, 100.0).speed_max for when in ("2026-11-02T21:59:59", "2026-11-02T22:00:00", "2026-11-20T04:59:59", "2026-11-20T05:00:00")] == [16.67, 8.33, 8.33, 16.67]


def test_a_low_emission_zone_asks_for_fuel_and_stage() -> None:
    def answer(fuel: str, stage: int) -> tuple[str, str]:
        found = ask("L2", Vehicle("car", fuel=fuel, stage=stage, plate=2), "2026-06-14T02:00")
        return found.refused_by, found.undecided_by

    assert [answer("diesel", stage) for stage in (5, 6)] == [("R25", ""), ("", "")]
    assert [answer("petrol", stage) for stage in (3, 4)] == [("R26", ""), ("", "")]
    assert [answer(fuel, 0) for fuel in ("diesel", "petrol", "electric", "")] == [("", "R25"), ("", "R26"), ("", ""), ("", "R25")]
    assert answer("", 6) == ("", ""), "stage 6 is enough for every fuel"


def test_a_road_is_closed_at_night_over_midnight() -> None:
    assert refusals("L11", FREE, "2026-06-15", "22:59:59", "23:00:00", "23:59:59", "00:00:00", "04:59:59", "05:00:00") == ["", "R27", "R27", "R27", "R27", ""]
    assert ask("L11", Vehicle("emergency", fuel="electric"), "2026-06-15T23:30").allowed


def test_a_taxi_stand_is_for_taxis() -> None:
    found = [ask("L8", Vehicle(kind, fuel="electric"), "2026-06-15T12:00", s) for kind in ("car", "taxi") for s in (59.9, 60.0, 100.0, 100.1)]
    assert [f.refused_by for f in found] == ["", "R28", "R28", "", "", "", "", ""]
    assert [f.rule_of("no_stopping") for f in found] == ["R29"] * 4 + [""] * 4


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("R10", "bus lane for bus, coach, emergency on L34 0-370 m Mo Tu We Th Fr 07:00-09:00 17:00-19:00, not on holidays, and on make-up days"),
        ("R12", "2026-02-24 to 2026-07-10 and 2026-09-01 to 2027-01-22, not on holidays"),
        ("R16", "plates ending 1 6 but bus, coach, taxi, emergency, sanitation, electric, hydrogen on code Mo 07:00-20:00, not on holidays"),
        ("R21", "mass max 20 t on K4, K7"),
        ("R23", "closure on L21 100-250 m from 2026-11-02 14:00 UTC until 2026-11-19 21:00 UTC, temporary"),
        ("R25", "emission zone 6 stage for diesel on Z2"),
    ],
)
def test_the_drawing_has_every_regulation_in_words(rule: str, words: str) -> None:
    assert words in said(RULES[rule])
    drawing = codes.show_svg(CODE)
    assert f"<title>{rule}: " in drawing


def test_what_the_documentation_shows_of_rules_and_calendars_is_valid() -> None:
    blocks = re.findall(r"```json\n(.*?)```", (DATA.parent.parent / "docs" / "codes.md").read_text(), re.DOTALL)
    parse_days(next(block for block in blocks if "make_up_days" in block and "targets" not in block).encode(), "docs/codes.md")
    rules = msgspec.json.decode(next(block for block in blocks if block.startswith("[")), type=tuple[Rule, ...])
    assert len(rules) > 10
    assert codes.validate(replace(CODE, rules=rules)) == []


def test_odd_and_even_dates_are_days_of_the_month() -> None:
    even_plates = Rule("R90", "no_entry", (Target("code"),), calendar=Calendar(month_days=tuple(range(1, 32, 2))), plates=(0, 2, 4, 6, 8))
    code = replace(CODE, rules=(even_plates,))
    for day, barred in (("2026-06-29", "02468"), ("2026-06-30", ""), ("2026-07-01", "02468"), ("2026-08-31", "02468")):
        for time in ("00:00:00", "23:59:59"):
            refused = [d for d in range(10) if not effective(code, "L2", Vehicle(plate=d), ns(f"{day}T{time}")).allowed]
            assert "".join(map(str, refused)) == barred


def test_a_truck_that_does_not_say_what_it_carries_is_named_where_dangerous_goods_are_banned() -> None:
    code = replace(CODE, rules=(Rule("R90", "no_entry", (Target("code"),), classes=("dangerous_goods",)),))
    found = {carries: effective(code, "L2", Vehicle("truck", dangerous_goods=carries), ns("2026-06-15T12:00")) for carries in (True, False, None)}
    assert [(f.allowed, f.undecided_by) for f in found.values()] == [(False, ""), (True, ""), (True, "R90")]
    assert missing(code.rules[0], Vehicle("truck")) == ("dangerous_goods",)
    assert effective(code, "L2", Vehicle("car"), ns("2026-06-15T12:00")).undecided_by == ""


# --- tidal lanes: matching, wrong-way drivers and lane advice go by the time ---


class TimedStage(Stage):
    """Road users on an intersection at a time, under rules with the days of a calendar."""

    def __init__(self, code: codes.CompiledCode, rules: RuleTable, t: int) -> None:
        super().__init__(code)
        self.rules, self.t = rules, t

    def world(self, t: int | None = None) -> world.World:
        made = super().world(self.t)
        return world.build(self.t, self.code, made.tracks, made.signals, (), self.reports, self.t, self.t, rules=self.rules)

    def said_all(self) -> list[planner.Candidate]:
        return planner.plan(self.world())


def stage_at(when: str) -> TimedStage:
    return TimedStage(codes.compile_code(CODE), TABLE, ns(when))


IN, OUT = (codes.compile_code(CODE).lane_ids.index(name) for name in ("L32", "L37"))


@pytest.mark.parametrize(("when", "lane"), [("2026-06-15T17:30", OUT), ("2026-06-15T12:00", IN), ("2026-10-01T17:30", IN), ("2026-10-10T17:30", OUT)])
def test_a_vehicle_that_stands_on_a_tidal_strip_is_on_the_lane_that_is_open_now(when: str, lane: int) -> None:
    stage = stage_at(when)
    stage.on(IN, 200.0, 0.0, "car")
    stage.on(OUT, 100.0, 0.0, None)
    assert stage.world().path.tolist() == [lane, lane]


@pytest.mark.parametrize(("path", "when", "wrong"), [(IN, "2026-06-15T17:30", True), (OUT, "2026-06-15T12:00", True), (IN, "2026-06-15T12:00", False), (OUT, "2026-06-15T17:30", False), (IN, "2026-06-15T16:45", False)])
def test_who_drives_against_a_tidal_lane_that_has_turned_is_a_wrong_way_driver(path: int, when: str, wrong: bool) -> None:
    stage = stage_at(when)
    stage.on(path, 200.0, 12.0, "car")
    found = stage.said(AdvisoryKind.WRONG_WAY)
    assert bool(found) is wrong
    if wrong:
        assert ("L37" if path == IN else "L32") in words(found["vehicle:v1"])


def test_no_advice_leads_onto_a_tidal_lane_that_is_closed() -> None:
    works = Rule("R91", "construction", (Target("L19", 200.0),), 8.3)
    ruled = codes.compile_code(replace(CODE, rules=(*CODE.rules, works)))
    for when, behaviour in (("2026-06-15T12:00", "change_right"), ("2026-06-15T17:30", "change_left")):
        stage = TimedStage(ruled, RuleTable(ruled.code, DAYS), ns(when))
        stage.on(ruled.lane_ids.index("L19"), 60.0, 12.0, "car")
        assert stage.said(AdvisoryKind.HAZARD)["vehicle:v1"].behaviour == behaviour, when


def test_two_directions_of_one_strip_that_are_open_at_once_are_a_fault_with_the_time() -> None:
    def with_out(calendar: Calendar | None, *, drop: bool = False) -> list[str]:
        rules = tuple(replace(rule, calendar=calendar) if rule.id == "R15" else rule for rule in CODE.rules if not (drop and rule.id == "R15"))
        return [finding.rule for finding in codes.validate(replace(CODE, rules=rules)) if finding.severity == "error"]

    assert with_out(RULES["R15"].calendar) == []
    assert "L32 and L37 are one strip of road" in with_out(replace(RULES["R15"].calendar, minutes=((1020, 1171),)))[0]
    assert "at 19:30" in with_out(replace(RULES["R15"].calendar, minutes=((1020, 1171),)))[0]
    assert with_out(replace(RULES["R15"].calendar, minutes=((1020, 1170),))) == []
    assert with_out(None)
    assert with_out(None, drop=True), "a lane without a tidal rule is always open"
    assert with_out(replace(RULES["R15"].calendar, weekdays=(5, 6)))


def test_matching_without_tidal_rules_is_as_before() -> None:
    plain = codes.compile_code(codes.load(DATA.parent.parent / "maps" / "intersection.json"))
    stage = Stage(plain)
    for path in range(0, plain.n_lanes, 3):
        stage.on(path, 30.0, 8.0)
    tracks = stage.world().tracks
    none = np.full((len(tracks), 3), -1, np.int64)
    assert RuleTable(plain.code).closed(ns("2026-06-15T12:00")) is None
    assert all((a == b).all() for a, b in zip(matching.match(plain, tracks, none), matching.match(plain, tracks, none, np.zeros(plain.n_lanes + plain.n_conns, bool)), strict=True) if a.dtype.kind == "i")


# --- what keeps a vehicle out is named before it comes there ---


def test_a_ban_ahead_is_named_before_the_vehicle_comes_to_it_and_so_is_what_it_does_not_declare() -> None:
    left = next(k for k, c in enumerate(CODE.connections) if c.from_lane == "L34" and c.to_lane == "L16")  # onto the bridge
    night = "2026-06-14T02:00"
    for attributes, behaviour_words in (({"mass": 25.0, "axle_load": 9.0}, "rule R21 (mass max 20 t) keeps a truck out of L16"), ({"mass": 12.0, "axle_load": 9.0}, ""), ({"axle_load": 9.0}, "does not declare mass")):
        stage = stage_at(night)
        handle = stage.put(stage.code.lane_ids.index("L34"), 100.0, 12.0, "truck", left)
        report = stage.reports[handle]
        stage.reports[handle] = replace_state(report, fuel="electric", dangerous_goods=False, **attributes)
        found = [c for c in stage.said_all() if c.kind is AdvisoryKind.RULE]
        assert len(found) == bool(behaviour_words)
        if found:
            assert behaviour_words in words(found[0])
            assert 100.0 < found[0].distance < 140.0


def test_a_rule_that_may_bind_a_vehicle_is_never_said_to_be_certain() -> None:
    road = replace(CODE, rules=(
        Rule("R90", "closure", (Target("L33", 380.0),), plates=(1,)),
        Rule("R91", "speed_max", (Target("L33"),), 8.33, classes=("dangerous_goods",)),
        Rule("R92", "speed_max", (Target("L33"),), 16.67),
    ))  # fmt: skip
    code = codes.compile_code(road)
    stage = TimedStage(code, RuleTable(road, DAYS), ns("2026-06-15T12:00"))
    stage.put(code.lane_ids.index("L33"), 150.0, 12.0, "truck")
    found = {c.kind: c for c in stage.said_all() if c.kind in (AdvisoryKind.RULE, AdvisoryKind.HAZARD) and not c.about}
    ahead = [c for c in stage.said_all() if c.about == "R90"]
    assert "rule R91 (speed max) may limit a truck to 8.3 m/s here: your state does not declare dangerous_goods" in words(found[AdvisoryKind.RULE])
    assert AdvisoryKind.HAZARD not in found
    assert "may keep a truck out of L33" in words(ahead[0])
    assert "does not declare plate_digit" in words(ahead[0])


def replace_state(report: world.Report, **fields: object) -> world.Report:
    return dataclasses.replace(report, state=replace(report.state, **fields))


# --- in an engine, over a recording, and in a running node ---


def place_on(path: str, s: float) -> tuple[float, float, float]:
    """Return latitude, longitude and heading `s` m along a lane."""
    code = codes.compile_code(CODE)
    k = code.lane_ids.index(path)
    a, b = code.path_start[k], code.path_start[k + 1]
    arc, xy = code.path_s[a:b], code.path_xy[a:b]
    x, y = (np.array([np.interp(s, arc, xy[:, axis])]) for axis in (0, 1))
    lat, lon = code.origin.to_geodetic(x, y)
    return float(lat[0]), float(lon[0]), float(np.arctan2(*(xy[1] - xy[0])[::-1]))


def state(t: int, path: str = "L34", s: float = 150.0, **more: object) -> VehicleState:
    lat, lon, heading = place_on(path, s)
    return VehicleState(t, lat, lon, 0.5, heading, accuracy=0.3, **{"fuel": "electric", "plate_digit": 1, **more})


class Run:
    """An engine that is driven by what one vehicle reports, and recorded."""

    def __init__(self, folder: Path, config: EngineConfig) -> None:
        self.engine, self.recorder = Engine([CODE], config), Recorder(folder / "run.mcap")
        self.recorder.meta("config", msgspec.json.encode(config))
        self.recorder.meta("code", codes.dump(CODE))

    def drive(self, begin: int, seconds: float, *orders: Datum, **more: object) -> dict[int, set[str]]:
        """Return the rules that advisories named, by the second they were sent in, counted from `begin`."""
        named: dict[int, set[str]] = {}
        for k in range(int(seconds * 10)):
            t = begin + k * 100 * MS
            batch = [*(orders if k == 0 else ()), Datum("state", "car-1", msgspec.json.encode(state(t, **more)))]
            out = self.engine.step(t, batch)
            self.recorder.step(t, batch, [encode(a) for a in out.advisories])
            assert [a.refusal for a in out.answers] == [None] * len(out.answers)
            named.setdefault(k // 10, set()).update(a.reason.split(" (")[0].removeprefix("rule ") for a in out.advisories if a.kind is AdvisoryKind.RULE)
        return named


def test_the_bus_lane_begins_and_ends_to_the_second_in_a_running_engine(tmp_path: Path) -> None:
    config = EngineConfig({"g": {"r": CODE.id}}, refresh=0.0, days=DAYS)
    for day, expected in (("2026-06-15", "R10"), ("2026-10-10", "R10"), ("2026-10-01", "")):
        run = Run(tmp_path / day, config)
        named = run.drive(ns(f"{day}T06:59:58"), 4.0)
        assert [bool(named[k]) for k in range(4)] == [False, False, bool(expected), bool(expected)], (day, named)
        named = run.drive(ns(f"{day}T08:59:58"), 4.0)
        assert [named[k] for k in range(4)] == [{expected} if expected else set()] * 2 + [set(), set()], day
        run.recorder.close()


def test_a_calendar_that_changes_while_it_runs_replays_byte_identical(tmp_path: Path) -> None:
    config = EngineConfig({"g": {"r": CODE.id}}, refresh=0.0)
    run, begin = Run(tmp_path, config), ns("2026-10-01T08:00:00")
    assert run.drive(begin, 2.0)[1] == {"R10"}, "without a calendar no day is a holiday"
    given = Datum("config", OPERATOR, msgspec.json.encode(replace(config, days=DAYS)))
    assert run.drive(begin + 2 * SECOND, 2.0, given) == {0: set(), 1: set()}
    faulty = replace(DAYS, first="2026-13-01")
    out = run.engine.step(begin + 4 * SECOND, [Datum("config", OPERATOR, msgspec.json.encode(replace(config, days=faulty)))])
    assert "no day" in out.answers[0].refusal
    run.recorder.close()
    result = replay(tmp_path / "run.mcap")
    assert result.recorded > 5
    assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})


def test_what_a_vehicle_declares_wrongly_is_answered_and_taken_as_not_declared() -> None:
    engine = Engine([CODE], EngineConfig({"g": {"r": CODE.id}}, refresh=0.0, days=DAYS))
    t = ns("2026-06-15T12:00:00")
    wrong = {"plate_digit": 12, "fuel": "plasma", "mass": -3.0, "emission_stage": 9, "height": 450.0}
    out = engine.step(t, [Datum("state", "car-1", msgspec.json.encode(state(t, path="L2", **wrong)))])
    (vehicle, reject), = out.rejects
    assert (vehicle, reject.field) == ("car-1", "height")
    assert [engine.metrics.total(f"vehicle.{name}_unusable") for name in wrong] == [1] * 5
    advisories = []
    for k in range(1, 10):
        batch = [Datum("state", "car-1", msgspec.json.encode(state(t + k * 100 * MS, path="L2", **wrong)))]
        advisories += [a for a in engine.step(t + k * 100 * MS, batch).advisories if a.kind is AdvisoryKind.RULE]
    assert {a.reason.split(":")[0] for a in advisories} == {"rule R16 (no entry) may keep a car out here"}
    assert "your state does not declare plate_digit or fuel" in advisories[0].reason


def put(file: Path, data: bytes) -> None:
    """Write a file whole before it is seen, as an operator's tools do."""
    (file.parent / "new").write_bytes(data)
    (file.parent / "new").replace(file)


class ShiftedClock:
    """The machine's clock, so much ahead that it shows a wanted time now."""

    def __init__(self, wanted: int) -> None:
        self._clock = WallClock()
        self._ahead = wanted - self._clock.now()

    def now(self) -> int:
        return self._clock.now() + self._ahead


def test_a_running_node_knows_national_day_publishes_its_calendar_and_takes_a_change_of_it(mqtt: Broker, tmp_path: Path, capsys) -> None:
    (tmp_path / "0.json").write_bytes(codes.dump(CODE))
    (tmp_path / "days.json").write_bytes((DATA / "days_2026.json").read_bytes())
    (tmp_path / "node.toml").write_text(
        f'[node]\ncurve = false\nbind = "tcp://127.0.0.1:*"\ncodes = ["0.json"]\ncalendar = "days.json"\n[broker]\nport = {mqtt.port}\n'
        f'[plan]\nrefresh = 0.0\n[record]\npath = "run.mcap"\n[[gateway]]\nname = "g"\nrsus = {{ "r" = "{CODE.id}" }}\n'
    )
    clock = ShiftedClock(ns("2026-10-01T08:00:00"))

    async def drive() -> tuple[list, list]:
        node, stop = Node(load(tmp_path / "node.toml"), clock=clock, file=tmp_path / "node.toml"), asyncio.Event()
        running = asyncio.create_task(node.run(stop))
        said: list = []
        async with Client("car-1", "127.0.0.1", mqtt.port, intersections=(CODE.id,), now=clock.now) as car:
            await asyncio.wait_for(car.connected.wait(), 20)

            async def read() -> None:
                async for advisory in car.advisories():
                    said.append(advisory)

            reading = asyncio.create_task(read())

            async def report(until) -> bool:
                for _ in range(300):
                    await car.report(state(clock.now()))
                    await asyncio.sleep(0.1)
                    if until():
                        return True
                return False

            assert await report(lambda: CODE.id in car.calendars and CODE.id in car.codes)
            vehicles_days = parse_days(car.calendars[CODE.id], "calendar")
            vehicles_code = codes.from_compact(car.codes[CODE.id])
            assert effective(vehicles_code, "L34", FREE, clock.now(), s=150.0, holidays=vehicles_days).allowed, "the vehicle answers the rule as the node does"
            assert not effective(vehicles_code, "L34", FREE, clock.now(), s=150.0).allowed
            assert await report(lambda: node.metrics.total("accept.state") > 15)
            holiday = list(said)
            worked = replace(DAYS, holidays=tuple(day for day in DAYS.holidays if day.date != "2026-10-01"))
            put(tmp_path / "days.json", dump_days(worked))
            assert await report(lambda: any("R10" in a.reason for a in said))
            assert await report(lambda: parse_days(car.calendars[CODE.id], "calendar") == worked)
            put(tmp_path / "days.json", b'{"first": "2026-01-01", "last": "2026-12-31", "hollidays": []}')
            assert await report(lambda: node.metrics.total("calendar.refused") == 1)
            assert node.engine.config.days == worked, "what runs stays"
            reading.cancel()
        stop.set()
        await asyncio.wait_for(running, 20)
        return holiday, said

    holiday, said = asyncio.run(drive())
    assert not any("R10" in a.reason for a in holiday)
    assert any("R10" in a.reason for a in said)
    assert "did you mean 'holidays'" in capsys.readouterr().err
    result = replay(tmp_path / "run.mcap")
    assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})
    assert result.recorded > 0
