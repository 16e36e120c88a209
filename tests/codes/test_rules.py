"""Rules: precedence, calendars, classes; the compiled table answers as the plain twin."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudctl import codes, maps
from cloudctl.codes.compiled.rules import RuleTable
from cloudctl.codes.days import DayCalendar, Holiday, MakeUpDay
from cloudctl.codes.model import Zone
from cloudctl.codes.rule import (
    CLASSES,
    FUELS,
    ON_HOLIDAYS,
    ON_MAKE_UP_DAYS,
    RULE_KINDS,
    VALUED,
    VEHICLE_CLASSES,
    Calendar,
    Rule,
    Target,
)
from cloudctl.codes.rules import Vehicle, effective
from cloudctl.codes.when import holds

GOOD = codes.load(maps.path("intersection.json"))
LANE = next(line.lane for line in GOOD.stop_lines)
LINK = next(lane.link for lane in GOOD.lanes if lane.id == LANE)


def ns(text: str, zone: str = "Asia/Shanghai") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


NAN = float("nan")
NOON = ns("2026-06-15T12:00")  # a Monday


def ask(*rules: Rule, vehicle: Vehicle | None = None, t: int = NOON, s: float | None = None, zones=(), holidays=()):
    code = replace(GOOD, rules=rules, zones=zones)
    vehicle = vehicle or Vehicle()
    plain = effective(code, LANE, vehicle, t, s=s, holidays=holidays)
    table = RuleTable(code, holidays)
    one = table.effective(
        np.array([table.paths[LANE]]),
        np.array([0]),
        np.array([t]),
        np.array([np.nan if s is None else s]),
        fleet=[vehicle],
    )
    same(code, plain, one, 0)
    return plain


def same(code, plain, answer, k) -> None:
    name = {-1: ""} | {i: rule.id for i, rule in enumerate(code.rules)}
    assert answer.speed_max[k] == plain.speed_max
    assert answer.speed_min[k] == plain.speed_min
    assert answer.allowed[k] == plain.allowed
    assert name[int(answer.refused_by[k])] == plain.refused_by
    assert {
        kind: name[int(answer.decided[k, i])] for i, kind in enumerate(RULE_KINDS) if answer.decided[k, i] >= 0
    } == {d.kind: d.rule for d in plain.decisions}
    assert name[int(answer.undecided[k])] == plain.undecided_by


def limit(name: str, value: float, entity: str = LANE, **more) -> Rule:
    span = more.pop("span", (None, None))
    return Rule(name, "speed_max", (Target(entity, *span),), value, **more)


def test_precedence_and_the_losing_rules() -> None:
    assert ask(limit("A", 10.0), limit("B", 8.0)).speed_max == 8.0  # the more restrictive
    assert ask(limit("A", 10.0), limit("B", 8.0, LINK)).speed_max == 10.0  # the narrower place
    assert ask(limit("A", 10.0), limit("B", 8.0, LINK, priority=1)).speed_max == 8.0
    found = ask(limit("A", 10.0, priority=5), limit("B", 14.0, "code", temporary=True), limit("C", 3.0, LINK))
    assert found.speed_max == 14.0
    assert found.decisions[0].rule == "B"
    assert found.decisions[0].lost == ("A", "C")


def test_spans_and_zones() -> None:
    rules = limit("A", 15.0), limit("B", 5.0, span=(100.0, 150.0))
    assert [ask(*rules, s=s).speed_max for s in (50.0, 120.0, 160.0)] == [15.0, 5.0, 15.0]
    line = next(lane.points for lane in GOOD.lanes if lane.id == LANE)
    south, west = (min(p[k] for p in line) - 500 for k in (0, 1))
    north, east = (max(p[k] for p in line) + 500 for k in (0, 1))
    middle = (west + east) // 2
    zone = Zone("Z1", "school", ((south, west), (south, middle), (north, middle), (north, west)))
    school = Rule("S", "school_zone", (Target("Z1"),), 8.33)
    found = {ask(limit("A", 16.0), school, zones=(zone,), s=s).speed_max for s in (10.0, 400.0)}
    assert found == {8.33, 16.0}


@pytest.mark.parametrize(
    ("calendar", "at", "expected"),
    [
        (Calendar(minutes=((420, 540),)), "2026-06-15T07:00", True),
        (Calendar(minutes=((420, 540),)), "2026-06-15T09:00", False),
        (Calendar(minutes=((1320, 360),)), "2026-06-16T03:00", True),
        (Calendar(minutes=((1320, 360),), weekdays=(1,)), "2026-06-16T03:00", True),
        (Calendar(minutes=((1320, 360),), weekdays=(2,)), "2026-06-16T03:00", False),
        (Calendar(weekdays=(6, 7)), "2026-06-14T12:00", True),
        (Calendar(dates=("2026-06-01", "2026-06-15")), "2026-06-15T23:59", True),
        (Calendar(dates=("2026-06-01", "2026-06-15")), "2026-06-16T00:00", False),
        (Calendar(holidays="never"), "2026-10-01T12:00", False),
        (Calendar(holidays="only"), "2026-10-01T12:00", True),
        (Calendar(holidays="only"), "2026-10-02T12:00", False),
        (Calendar(weekdays=(1,)), "2026-06-15T00:00", True),
    ],
)
def test_calendars_in_local_time(calendar: Calendar, at: str, expected: bool) -> None:
    assert holds(calendar, ns(at), ("2026-10-01",)) is expected
    found = ask(limit("A", 5.0, calendar=calendar), t=ns(at), holidays=("2026-10-01",))
    assert (found.speed_max == 5.0) is expected


def test_summer_time_moves_the_calendar() -> None:
    rule = limit("A", 5.0, calendar=Calendar(minutes=((420, 421),), tz="Europe/Berlin"))
    for day in ("2026-01-15", "2026-07-15", "2026-03-29", "2026-10-25"):
        assert ask(rule, t=ns(f"{day}T07:00", "Europe/Berlin")).speed_max == 5.0
        assert ask(rule, t=ns(f"{day}T08:00", "Europe/Berlin")).speed_max > 5.0


def test_who_may_be_there() -> None:
    bus_lane = Rule("B", "bus_lane", (Target(LANE),), calendar=Calendar(minutes=((420, 540),)))
    rush = ns("2026-06-15T08:00")
    assert not ask(bus_lane, t=rush).allowed
    assert ask(bus_lane, t=rush, vehicle=Vehicle("bus")).allowed
    assert ask(bus_lane).allowed
    assert ask(Rule("H", "height_max", (Target(LANE),), 3.5), vehicle=Vehicle("truck", height=3.8)).refused_by == "H"
    assert ask(Rule("H", "height_max", (Target(LANE),), 3.5)).allowed
    assert not ask(Rule("E", "emission_zone", (Target("code"),), 5.0), vehicle=Vehicle(stage=4)).allowed
    assert not ask(Rule("C", "closure", (Target(LINK),), except_classes=("emergency",))).allowed
    assert ask(
        Rule("C", "closure", (Target(LINK),), except_classes=("emergency",)), vehicle=Vehicle("emergency")
    ).allowed
    tidal = Rule("T", "tidal_lane", (Target(LANE),), calendar=Calendar(minutes=((420, 540),)))
    assert [ask(tidal, t=t).allowed for t in (rush, NOON)] == [True, False]


def test_automated_vehicles_stay_in_their_area() -> None:
    area = Rule("V", "av_operating_area", (Target("L9"),))
    assert ask(area, vehicle=Vehicle(automated=True)).refused_by == "V"
    assert ask(area).allowed
    assert ask(replace(area, targets=(Target(LANE),)), vehicle=Vehicle(automated=True)).allowed


calendars = st.none() | st.builds(
    Calendar,
    weekdays=st.sets(st.integers(1, 7), min_size=1).map(lambda d: tuple(sorted(d))),
    minutes=st.lists(
        st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda m: m[0] != m[1]), max_size=2
    ).map(tuple),
    dates=st.none() | st.just(("2026-03-01", "2026-09-30")) | st.just(("11-15", "03-15")),
    holidays=st.sampled_from(ON_HOLIDAYS),
    tz=st.sampled_from(("Asia/Shanghai", "Europe/Berlin", "America/New_York")),
    date_ranges=st.lists(
        st.sampled_from(
            [("2026-01-01", "2026-02-28"), ("2026-09-30", "2026-10-02"), ("02-29", "04-01"), ("12-01", "01-31")]
        ),
        max_size=2,
    ).map(tuple),
    month_days=st.sampled_from([(), tuple(range(1, 32, 2)), tuple(range(2, 32, 2)), (1, 15, 31)]),
    make_up=st.sampled_from(ON_MAKE_UP_DAYS),
)
targets = st.sampled_from(
    [Target(LANE), Target(LINK), Target("code"), Target("L9"), Target(LANE, 10.0, 80.0), Target("C1")]
)
kinds = st.sampled_from(RULE_KINDS)
someone = st.sets(st.sampled_from(CLASSES), max_size=3).map(tuple)


@st.composite
def rules(draw) -> Rule:
    kind = draw(kinds)
    value = draw(st.sampled_from([3.0, 5.0, 8.33])) if kind in VALUED else None
    return Rule(
        draw(st.text("ABCDEFGH", min_size=8, max_size=8)),
        kind,
        tuple(draw(st.lists(targets, min_size=1, max_size=2))),
        value,
        draw(someone),
        draw(someone),
        draw(calendars),
        draw(st.integers(0, 2)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.none() | st.just(ns("2026-02-01T00:00"))),
        draw(st.none() | st.just(ns("2026-11-01T00:00"))),
        plates=draw(st.sets(st.integers(0, 9), max_size=3).map(tuple)),
        fuels=draw(st.sets(st.sampled_from(FUELS), max_size=2).map(tuple)),
        except_fuels=draw(st.sets(st.sampled_from(FUELS), max_size=1).map(tuple)),
    )


vehicles = st.builds(
    Vehicle,
    st.sampled_from(sorted(VEHICLE_CLASSES)),
    st.booleans(),
    st.sampled_from([NAN, 3.0, 6.0]),
    st.sampled_from([NAN, 2.0]),
    st.sampled_from([NAN, 1.0, 4.0, 20.0]),
    st.sampled_from([NAN, 4.0]),
    st.integers(0, 6),
    st.integers(-1, 9),
    st.sampled_from(["", "plasma", *FUELS]),
    st.sampled_from([None, False, True]),
)
DAYS = DayCalendar("2025-01-01", "2027-12-31", (Holiday("2026-05-01"), Holiday("2026-10-01"), Holiday("2026-02-17")),
                   (MakeUpDay("2026-02-14", "2026-02-20"), MakeUpDay("2026-09-20", "2026-10-06"), MakeUpDay("2026-10-10", "2026-10-07")))  # fmt: skip  # noqa: E501


@settings(max_examples=200)
@given(
    st.lists(rules(), max_size=8, unique_by=lambda r: r.id),
    st.lists(vehicles, min_size=1, max_size=3),
    st.lists(
        st.tuples(
            st.integers(ns("2025-12-01T00:00") // 10**9, ns("2027-01-01T00:00") // 10**9),
            st.sampled_from([None, 5.0, 40.0]),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_the_table_answers_as_the_twin(found, fleet, times) -> None:
    code = replace(GOOD, rules=tuple(found))
    table = RuleTable(code, DAYS)
    queries = [(path, v, t * 10**9, s) for path in (LANE, "L9", "C1") for v in range(len(fleet)) for t, s in times]
    columns = list(zip(*queries, strict=True))
    answer = table.effective(
        np.array([table.paths[p] for p in columns[0]]),
        np.array(columns[1]),
        np.array(columns[2]),
        np.array([np.nan if s is None else s for s in columns[3]]),
        fleet=fleet,
    )
    for k, (path, v, t, s) in enumerate(queries):
        same(code, table.explain(path, fleet[v], t, s), answer, k)
