"""Rules that no validation may pass: tidal lanes open both ways, days and ids the two rule engines read differently,
numbers no reader holds, rules that bind nobody."""

import math
import re
from datetime import date, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from regulated_code import CODE, PLAIN, WORKDAYS, changed, errors, ns, warnings

from cloudctl import codes
from cloudctl.codes.checks.tidal import WEEKDAYS, common_time
from cloudctl.codes.compiled.rules import RuleTable
from cloudctl.codes.days import Days, parse_days
from cloudctl.codes.rule import CLASSES, FUELS, ON_HOLIDAYS, ON_MAKE_UP_DAYS, RULE_KINDS, Calendar, Rule, Target
from cloudctl.codes.rules import Vehicle, effective
from cloudctl.codes.when import in_force


def tidal(lane: str, number: int, **fields: object) -> Rule:
    calendar = {key: fields.pop(key) for key in list(fields) if key in Calendar.__struct_fields__}
    return Rule(
        f"R{number}", "tidal_lane", (Target(lane),), calendar=Calendar(**calendar) if calendar else None, **fields
    )


# --- tidal lanes ---

INBOUND = (
    tidal("L32", 90, minutes=((0, 990), (1200, 1440))),
    tidal("L32", 91, weekdays=(6, 7), holidays="also", make_up="as_workday"),
)
OUTBOUND = {"weekdays": WORKDAYS, "minutes": ((990, 1200),), "holidays": "never", "make_up": "as_workday"}


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ((*INBOUND, tidal("L37", 92, **OUTBOUND | {"holidays": "as_weekday"})), "a holiday"),
        (
            (INBOUND[0], tidal("L32", 91, weekdays=(6, 7), holidays="also"), tidal("L37", 92, **OUTBOUND)),
            "worked for a Monday",
        ),
        (
            (
                *INBOUND,
                tidal("L37", 92, **OUTBOUND),
                tidal("L37", 93, minutes=((480, 540),), date_ranges=(("2031-03-03", "2031-03-03"),)),
            ),
            "Monday 2031-03-03 at 08:00",
        ),
        (
            (
                *INBOUND,
                tidal("L37", 92, **OUTBOUND),
                tidal("L37", 93, valid_from=ns("2027-03-03T08:10"), valid_to=ns("2027-03-03T08:20")),
            ),
            "Wednesday 2027-03-03 at 08:10",
        ),
        (
            (*INBOUND, tidal("L37", 92, **OUTBOUND), tidal("L37", 93, minutes=((480, 540),), dates=("02-29", "02-29"))),
            "2028-02-29",
        ),
        ((*INBOUND, tidal("L37", 92, **OUTBOUND, tz="Asia/Urumqi")), "cannot be compared"),
        (tuple(replace(rule, mandatory=False) for rule in (*INBOUND, tidal("L37", 92, **OUTBOUND))), "always"),
    ],
)
def test_a_strip_of_road_that_is_open_both_ways_at_any_time_on_any_kind_of_day_is_an_error(
    rules: tuple[Rule, ...], says: str
) -> None:
    found = [line for line in errors(replace(PLAIN, rules=rules)) if "one strip of road" in line]
    assert found
    assert says in found[0]


def test_a_strip_of_road_that_is_never_open_both_ways_is_no_fault() -> None:
    assert codes.validate(replace(PLAIN, rules=(*INBOUND, tidal("L37", 92, **OUTBOUND)))) == []
    prc = [replace(rule, calendar=replace(rule.calendar, tz="PRC")) for rule in INBOUND]
    assert codes.validate(replace(PLAIN, rules=(*prc, tidal("L37", 92, **OUTBOUND)))) == [], (
        "another name of the same clock"
    )


def test_a_strip_of_road_without_any_tidal_rule_is_a_warning() -> None:
    found = warnings(PLAIN)
    assert any("L32 and L37 are one strip of road" in line and "open always" in line for line in found)


calendars = st.builds(
    Calendar,
    weekdays=st.sets(st.integers(1, 7), min_size=1).map(lambda days: tuple(sorted(days))),
    minutes=st.lists(
        st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda span: span[0] != span[1]), max_size=2
    ).map(tuple),
    dates=st.none() | st.sampled_from([("2026-03-01", "2026-03-30"), ("11-15", "02-15"), ("02-29", "02-29")]),
    holidays=st.sampled_from(ON_HOLIDAYS),
    month_days=st.sampled_from([(), tuple(range(1, 32, 2)), (31,)]),
    make_up=st.sampled_from(ON_MAKE_UP_DAYS),
)
times = st.none() | st.integers(ns("2026-01-01T00:00") // 10**9, ns("2026-12-31T00:00") // 10**9).map(
    lambda second: second * 10**9
)
tidal_rules = st.builds(
    lambda calendar, begin, end: Rule("R", "tidal_lane", (), calendar=calendar, valid_from=begin, valid_to=end),
    st.none() | calendars,
    times,
    times,
)


@settings(max_examples=150)
@given(
    tidal_rules,
    tidal_rules,
    st.lists(st.integers(ns("2026-01-01T00:00") // 10**9, ns("2026-12-31T23:59") // 10**9), max_size=40),
    st.sets(st.integers(0, 364)),
    st.sets(st.integers(0, 51)),
)
def test_a_common_time_of_two_rules_is_found_where_there_is_one_and_only_there(
    a: Rule, b: Rule, instants: list[int], off: set[int], saturdays: set[int]
) -> None:
    when = common_time(a, b)
    stated = re.fullmatch(
        r"on \w+ (\S+) at (\d\d:\d\d)(?:, if it is (a holiday|worked for a \w+))?(?:, if the day before is (a"
        r" holiday|worked for a \w+))?",
        when,
    )
    if stated:
        day = date.fromisoformat(stated[1])
        kinds = {day.isoformat(): stated[3], (day - timedelta(1)).isoformat(): stated[4]}
        days = Days(
            {name for name, kind in kinds.items() if kind == "a holiday"},
            {name: WEEKDAYS.index(kind.split()[-1]) + 1 for name, kind in kinds.items() if kind and "worked" in kind},
        )
        begins = [rule.valid_from for rule in (a, b) if rule.valid_from is not None]
        moments = [
            t for t in (ns(f"{stated[1]}T{stated[2]}"), *begins) if in_force(a, t, days) and in_force(b, t, days)
        ]
        assert moments, when
        return
    first = date(2026, 1, 1)
    holidays = {(first + timedelta(k)).isoformat() for k in off}
    worked = {(date(2026, 1, 3) + timedelta(7 * k)).isoformat(): k % 5 + 1 for k in saturdays}
    days = Days(holidays, {day: weekday for day, weekday in worked.items() if day not in holidays})
    both = [t for t in instants if in_force(a, t * 10**9, days) and in_force(b, t * 10**9, days)]
    assert when == "always" or not both


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"targets": (Target("L37", 10.0, 50.0),)}, "as a whole"), ({"classes": ("car",)}, "for everybody"), ({"except_classes": ("bus",)}, "for everybody"),  # noqa: E501
        ({"plates": (1,)}, "for everybody"), ({"fuels": ("diesel",)}, "for everybody"), ({"targets": (Target("code"),)}, "name the lanes"), ({"targets": (Target("C1"),)}, "name the lanes"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_tidal_lane_is_a_whole_lane_for_everybody(fields: dict[str, object], says: str) -> None:
    assert any(says in line for line in errors(changed("R15", **fields)))


def test_a_tidal_rule_on_a_link_with_lanes_for_bicycles_or_pedestrians_is_an_error() -> None:
    link = next(lane.link for lane in CODE.lanes if lane.use in ("bike", "pedestrian"))
    assert any("pedestrians or bicycles" in line for line in errors(changed("R15", targets=(Target(link),))))


# --- what validates means one thing in both rule engines ---

VEHICLES = [
    Vehicle(),
    Vehicle("truck", plate=4, fuel="diesel", stage=3, mass=30.0),
    Vehicle("bus", automated=True, plate=1, fuel="electric"),
    Vehicle("bicycle"),
    Vehicle("emergency", fuel="gas"),
]
INSTANTS = [
    ns(text)
    for text in (
        "2026-01-01T00:00",
        "2026-02-28T07:30",
        "2026-03-09T12:00",
        "2026-06-15T17:30",
        "2026-10-01T23:59",
        "2026-10-10T08:00",
    )
]
DAYS = Days({"2026-01-01", "2026-10-01"}, {"2026-02-28": 1, "2026-10-10": 3})
odd = st.sampled_from(["", "R 1", "Ü", "Z1", "code", "x" * 100, "\x00", "2026-W10-1", "W10-1", "20260301", "localtime"])
huge = st.sampled_from([-(2**70), -1, 2**31, 2**63 - 1, 2**63, 2**70])
DAY_RANGES = [("2026-03-01", "2026-03-31"), ("2026-06-15", "2026-06-15"), ("11-15", "03-15"), ("02-29", "02-29"), ("2026-W10-1", "2026-W20-1"), ("W10-1", "W20-1"), ("2026-10-01", "2026-10-10"), ("", "")]  # fmt: skip  # noqa: E501
moments = st.none() | st.integers(INSTANTS[0], INSTANTS[-1]) | huge
classes = st.lists(st.sampled_from(CLASSES), max_size=3, unique=True).map(tuple)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "id": st.sampled_from(["R90", "Z.1:2_3-4", "9"]) | odd, "kind": st.sampled_from(RULE_KINDS), "priority": st.integers(-3, 3) | huge, "temporary": st.booleans(), "mandatory": st.booleans(),  # noqa: E501
    "targets": st.lists(st.builds(Target, st.sampled_from(["L2", "L32", "L37", "K1", "C1", "Z1", "Z2", "code", "L6"]), st.sampled_from([None, None, 0.0, 10.0]), st.sampled_from([None, None, 20.0, 30.0])), min_size=1, max_size=2).map(tuple),  # noqa: E501
    "value": st.sampled_from([None, 0.5, 3.0, 5.0, 8.33, 1e308, float("nan")]), "classes": classes, "except_classes": classes, "valid_from": moments, "valid_to": moments,  # noqa: E501
    "authority": odd, "sign": odd, "text": odd, "plates": st.lists(st.integers(0, 10), max_size=3).map(tuple), "calendar": st.none() | calendars,  # noqa: E501
    "fuels": st.lists(st.sampled_from((*FUELS, "plasma")), max_size=3).map(tuple), "except_fuels": st.lists(st.sampled_from(FUELS), max_size=2).map(tuple),  # noqa: E501
}  # fmt: skip
OF_CALENDAR: dict[str, st.SearchStrategy[object]] = {
    "weekdays": st.lists(st.integers(0, 8), max_size=3).map(tuple), "minutes": st.lists(st.tuples(st.integers(-1, 1441), st.integers(-1, 1441)), max_size=2).map(tuple),  # noqa: E501
    "dates": st.none() | st.sampled_from(DAY_RANGES), "date_ranges": st.lists(st.sampled_from(DAY_RANGES), max_size=2).map(tuple), "holidays": st.sampled_from(ON_HOLIDAYS),  # noqa: E501
    "tz": st.sampled_from(["UTC", "Europe/Berlin", "PRC", "Asia/Kathmandu"]) | odd, "month_days": st.lists(st.integers(0, 32), max_size=2).map(tuple), "make_up": st.sampled_from(ON_MAKE_UP_DAYS) | odd,  # noqa: E501
}  # fmt: skip


def test_every_field_of_rules_and_calendars_is_mutated() -> None:
    assert set(FIELDS) == set(Rule.__struct_fields__)
    assert set(OF_CALENDAR) == set(Calendar.__struct_fields__)


@st.composite
def mutated(draw: st.DrawFn) -> Rule:
    rule = draw(st.sampled_from(CODE.rules))
    for _ in range(draw(st.integers(1, 2))):
        field = draw(st.sampled_from([*FIELDS, *OF_CALENDAR]))
        if field in FIELDS:
            rule = replace(rule, **{field: draw(FIELDS[field])})
        else:
            rule = replace(rule, calendar=replace(rule.calendar or Calendar(), **{field: draw(OF_CALENDAR[field])}))
    return rule


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_no_file_can_hold_is_an_error_even_where_the_kind_has_none(value: float) -> None:
    rule = replace(next(rule for rule in CODE.rules if rule.kind == "bus_lane"), value=value)
    findings = codes.validate(replace(CODE, rules=(rule,)))
    assert ("value", "error") in [(finding.field, str(finding.severity)) for finding in findings]


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(mutated(), st.integers(0, len(CODE.rules) - 1))
def test_whatever_validates_means_the_same_in_plain_and_compiled_rules_and_can_be_published(
    rule: Rule, place: int
) -> None:
    code = replace(CODE, rules=(*CODE.rules[:place], rule, *CODE.rules[place + 1 :]))
    assume(not errors(code))
    assert codes.loads(codes.dump(code)) == code
    assert codes.from_compact(codes.compact(code)) == code
    table = RuleTable(code, DAYS)
    names = {-1: ""} | {k: one.id for k, one in enumerate(code.rules)}
    closed = {t: table.closed(t) for t in INSTANTS}
    paths = {"L2", "L32", "L37", "C1", *(target.entity for target in rule.targets)} & set(table.paths)
    for path in sorted(paths):
        for number, vehicle in enumerate(VEHICLES):
            answer = table.effective(
                np.full(len(INSTANTS), table.paths[path]),
                np.full(len(INSTANTS), number),
                np.array(INSTANTS),
                np.full(len(INSTANTS), 20.0),
                fleet=VEHICLES,
            )
            for k, t in enumerate(INSTANTS):
                plain = effective(code, path, vehicle, t, s=20.0, holidays=DAYS, placements=table.at)
                got = (
                    answer.allowed[k],
                    names[int(answer.refused_by[k])],
                    names[int(answer.undecided[k])],
                    answer.speed_max[k],
                    answer.speed_min[k],
                )
                assert got == (plain.allowed, plain.refused_by, plain.undecided_by, plain.speed_max, plain.speed_min)
                if closed[t] is not None and closed[t][table.paths[path]]:
                    assert not plain.allowed, "a closed tidal lane is closed to everybody"
        at_once(table, table.paths[path])


def at_once(table: RuleTable, path: int) -> None:
    """Check that a plan, which asks of one moment, gets the answers of single queries, for vehicles on a path and on
    none.
    """
    n = len(VEHICLES)
    rows, paths, s = np.arange(n + 1), np.array([*[path] * n, -1]), np.full(n + 1, 20.0)
    for t in INSTANTS:
        held = table.in_force(rows, paths, s, t, [*VEHICLES, VEHICLES[0]])
        single = table.effective(paths[:n], np.arange(n), np.full(n, t), s[:n], fleet=VEHICLES)
        assert held.limit.tolist() == [*single.speed_max.tolist(), np.inf]
        assert held.cap.tolist() == [*single.cap.tolist(), -1]
        assert held.refused_by.tolist() == [*single.refused_by.tolist(), -1]
        assert held.undecided.tolist() == [*single.undecided.tolist(), -1]


@pytest.mark.parametrize("day", ["2026-W10-1", "20260301", "2026-3-01", "2026-060", "W10-1"])
def test_a_day_written_in_another_iso_form_is_refused_in_rules_and_calendar_files(day: str) -> None:
    calendar = Calendar(date_ranges=((day, day),))
    assert any("YYYY-MM-DD" in line for line in errors(changed("R10", calendar=calendar)))
    with pytest.raises(codes.CodeError, match="is no day"):
        parse_days(
            msgspec.json.encode({"first": "2026-01-01", "last": "2026-12-31", "holidays": [{"date": day}]}),
            "calendar.json",
        )


@pytest.mark.parametrize("name", ["", " ", "R 1", "Ü1", "x" * 100, "Z1", "L6", "code", "a\nb"])
def test_an_id_that_is_empty_cannot_be_quoted_or_stands_for_something_else_is_an_error(name: str) -> None:
    assert errors(changed("R10", id=name))


def test_a_rule_with_an_empty_id_bans_in_the_plain_form_too() -> None:
    code = changed("R27", id="", calendar=None)
    lane = next(lane.id for lane in code.lanes if lane.link == "K3" and lane.use == "vehicle" and lane.id != "L37")
    assert not effective(code, lane, Vehicle(), INSTANTS[0]).allowed


@pytest.mark.parametrize("number", [2**63, 2**70, -(2**70)])
def test_a_whole_number_that_no_reader_holds_is_an_error_in_every_field(number: int) -> None:
    tree = msgspec.to_builtins(CODE)
    places = [(tree["lanes"][0], "number"), (tree["lanes"][0], "width_cm"), (tree["rules"][0], "priority"), (tree["signal_groups"][0], "channels"), (tree["plans"][0], "offset_ms"), (tree, "revision"), (tree, "ref_lat_e7")]  # fmt: skip  # noqa: E501
    for owner, field in places:
        before = owner[field]
        owner[field] = [number] if field == "channels" else number
        with pytest.raises(codes.CodeError, match=field):
            codes.loads(msgspec.json.encode(tree))
        owner[field] = before
    tree["lanes"][0]["points"] = [*tree["lanes"][0]["points"][:1], [number, number]]
    with pytest.raises(codes.CodeError, match="points"):
        codes.loads(msgspec.json.encode(tree))
