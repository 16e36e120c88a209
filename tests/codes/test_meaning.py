"""Values that are possible as numbers and cannot be meant are findings: units, order of coordinates, times, calendars,
whom a rule binds."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from paths import DATA

from cloudctl import codes, maps
from cloudctl.codes.compiled.rules import RuleTable
from cloudctl.codes.days import Days, parse_days
from cloudctl.codes.model import Device, Zone
from cloudctl.codes.rule import ON_HOLIDAYS, ON_MAKE_UP_DAYS, Calendar, Rule, Target
from cloudctl.codes.rules import Vehicle
from cloudctl.codes.when import in_force

CODE = codes.load(DATA / "regulations.json")
NOW_S = 1_793_628_000  # 2026-11-02


def found(code: codes.IntersectionCode, severity: str = "") -> list[codes.Finding]:
    return [finding for finding in codes.validate(code) if finding.severity == severity or not severity]


def with_rule(**fields: Any) -> codes.IntersectionCode:
    """Return the code with one rule more."""
    return replace(CODE, rules=(*CODE.rules, replace(Rule("R99", "closure", (Target("L2"),)), **fields)))


def named(code: codes.IntersectionCode, entity: str, field: str) -> list[codes.Finding]:
    return [finding for finding in found(code) if entity in finding.entity and field in finding.field]


def test_the_code_that_is_perturbed_has_no_finding_itself() -> None:
    assert found(CODE) == []
    assert found(with_rule()) == []


def swapped(points):
    return tuple((lon, lat) for lat, lon in points)


@settings(max_examples=60)
@given(
    st.sampled_from(["lanes", "connections", "crosswalks", "zones", "devices", "nodes"]),
    st.integers(0, 30),
    st.sampled_from(["swapped", "degrees", "mirrored", "far"]),
)
def test_a_place_that_cannot_be_meant_is_an_error_of_its_entity(table: str, index: int, how: str) -> None:
    code = (
        CODE if table != "devices" else replace(CODE, devices=(Device("D1", "rsu", CODE.ref_lat_e7, CODE.ref_lon_e7),))
    )
    rows = list(getattr(code, table))
    item = rows[index % len(rows)]
    change = {
        "swapped": lambda p: (p[1], p[0]),
        "degrees": lambda p: (p[0] // 10**7, p[1] // 10**7),  # whole degrees instead of 1e-7
        "mirrored": lambda p: (p[0], -p[1]),
        "far": lambda p: (p[0] + 30_000_000, p[1]),  # 3 degrees
    }[how]
    if hasattr(item, "lat_e7"):
        lat, lon = change((item.lat_e7, item.lon_e7))
        rows[index % len(rows)] = replace(item, lat_e7=lat, lon_e7=lon)
    else:
        field = next(name for name in ("points", "axis", "polygon") if hasattr(item, name))
        rows[index % len(rows)] = replace(item, **{field: tuple(map(change, getattr(item, field)))})
    hits = [f for f in found(replace(code, **{table: tuple(rows)}), "error") if f.entity == item.id]
    assert hits
    if how == "swapped":
        assert any("swapped" in f.remedy for f in hits)


def test_a_reference_point_elsewhere_than_its_city_code_is_an_error_even_where_both_orders_are_places() -> None:
    code = codes.load(maps.path("intersection.json"))
    moved = replace(code, ref_lat_e7=130_000_000, ref_lon_e7=520_000_000)
    assert [f.field for f in found(moved, "error") if f.entity == "code"] == ["ref_lat_e7, ref_lon_e7"]


@settings(max_examples=60)
@given(
    st.sampled_from(["valid_from", "valid_to"]),
    st.sampled_from([1, 10**3, 10**6]),
    st.integers(0, 10**9),
    st.booleans(),
)
def test_a_time_in_another_unit_is_an_error_that_names_the_unit(
    field: str, factor: int, shift: int, of_rule: bool
) -> None:
    t = (NOW_S + shift % 10**8) * factor
    code = with_rule(**{field: t}) if of_rule else replace(CODE, **{field: t})
    (hit,) = named(code, "R99" if of_rule else "code", field)
    assert hit.severity == "error"
    assert {1: "seconds", 10**3: "milliseconds", 10**6: "microseconds"}[factor] in hit.remedy


@pytest.mark.parametrize(
    ("fields", "field", "severity"),
    [
        ({"kind": "school_zone", "value": 30.0}, "value", "error"),
        ({"kind": "school_zone", "value": 20.0}, "value", "error"),
        ({"kind": "construction", "value": 40.0}, "value", "error"),
        ({"kind": "speed_max", "value": 60.0}, "value", "error"),
        ({"kind": "speed_max", "value": 30.0}, "value", "warning"),
        ({"kind": "speed_max", "value": 40.0}, "value", "warning"),
        ({"kind": "height_max", "value": 450.0}, "value", "error"),
        ({"kind": "mass_max", "value": 20_000.0}, "value", "error"),
        ({"kind": "axle_max", "value": 10_000.0}, "value", "error"),
        ({"kind": "emission_zone", "value": 5.5}, "value", "error"),
        ({"kind": "emission_zone", "value": 2020.0}, "value", "error"),
        ({"kind": "lane_use"}, "classes", "error"),
        ({"classes": ("truck",), "except_classes": ("truck", "bus")}, "except_classes", "error"),
        ({"classes": ("truck", "truck")}, "classes", "warning"),
        ({"plates": (16,)}, "plates", "error"),
        ({"fuels": ("benzine",)}, "fuels", "error"),
        ({"fuels": ("diesel",), "except_fuels": ("diesel",)}, "except_fuels", "error"),
        ({"targets": (Target("X1"),)}, "targets", "error"),
        ({"targets": (Target("L2"), Target("L2"))}, "targets", "warning"),
        ({"valid_from": NOW_S * 10**9, "valid_to": (NOW_S - 1) * 10**9}, "valid_to", "error"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_a_finding(fields: dict[str, Any], field: str, severity: str) -> None:
    hits = named(with_rule(**fields), "R99", field)
    assert severity in {hit.severity for hit in hits}


@pytest.mark.parametrize(
    ("calendar", "field", "severity"),
    [
        ({"weekdays": (0,)}, "weekdays", "error"),
        ({"weekdays": (7, 8)}, "weekdays", "error"),
        ({"weekdays": ()}, "weekdays", "error"),
        ({"minutes": ((420, 1930),)}, "minutes", "error"),
        ({"minutes": ((480, 480),)}, "minutes", "error"),
        ({"minutes": ((-60, 60),)}, "minutes", "error"),
        ({"minutes": ((25_200, 32_400),)}, "minutes", "error"),
        ({"minutes": ((700, 900),)}, "minutes", "warning"),
        ({"minutes": ((730, 1400),)}, "minutes", "warning"),
        ({"minutes": ((7, 9),)}, "minutes", "warning"),
        ({"dates": ("2026-06-31", "2026-07-01")}, "dates", "error"),
        ({"dates": ("2026-07-02", "2026-07-01")}, "dates", "error"),
        ({"dates": ("1970-01-01", "1970-12-31")}, "dates", "error"),
        ({"dates": ("01/06/2026", "01/07/2026")}, "dates", "error"),
        ({"date_ranges": (("11-15", "2026-03-15"),)}, "date_ranges[0]", "error"),
        ({"month_days": (0,)}, "month_days", "error"),
        ({"month_days": (32,)}, "month_days", "error"),
        ({"holidays": "off"}, "holidays", "error"),
        ({"make_up": "yes"}, "make_up", "error"),
        ({"tz": "Beijing"}, "tz", "error"),
        ({"tz": "Europe/Berlin"}, "tz", "warning"),
        ({"tz": "America/New_York"}, "tz", "warning"),
        ({"weekdays": (6, 7), "dates": ("2026-06-15", "2026-06-19")}, "calendar", "warning"),
        ({"month_days": (31,), "dates": ("2026-06-01", "2026-06-30")}, "calendar", "warning"),
    ],
)
def test_a_calendar_that_cannot_be_meant_is_a_finding(calendar: dict[str, Any], field: str, severity: str) -> None:
    hits = named(with_rule(calendar=Calendar(**calendar)), "R99", field)
    assert severity in {hit.severity for hit in hits}


@pytest.mark.parametrize(
    "calendar",
    [
        {"minutes": ((420, 540), (1320, 360), (0, 1440))},
        {"minutes": ((600, 900), (435, 1095), (5, 1435))},
        {"dates": ("11-15", "03-15"), "month_days": (31,)},
        {"dates": ("02-29", "02-29")},
        {"tz": "Asia/Urumqi"},
        {"tz": "Asia/Tokyo"},
        {"weekdays": (6, 7), "holidays": "only", "dates": ("2026-10-01", "2026-10-07")},
        {"weekdays": (5,), "dates": ("2026-10-10", "2026-10-10"), "make_up": "as_workday"},
    ],
)
def test_a_calendar_that_can_be_meant_is_none(calendar: dict[str, Any]) -> None:
    assert found(with_rule(calendar=Calendar(**calendar))) == []


def test_a_rule_whose_dates_lie_outside_its_validity_is_never_in_force() -> None:
    hits = named(
        with_rule(calendar=Calendar(dates=("2026-06-01", "2026-06-30")), valid_from=NOW_S * 10**9), "R99", "calendar"
    )
    assert [hit.severity for hit in hits] == ["warning"]
    assert "never in force" in hits[0].rule


day = st.dates(date(2025, 1, 1), date(2027, 12, 31)).map(date.isoformat)
ranges = st.tuples(day, day).filter(lambda pair: pair[0] <= pair[1]) | st.tuples(day, day).map(
    lambda pair: (pair[0][5:], pair[1][5:])
)
calendars = st.builds(
    Calendar,
    weekdays=st.sets(st.integers(1, 7), min_size=1, max_size=2).map(lambda found: tuple(sorted(found))),
    dates=st.none() | ranges | st.tuples(day).map(lambda one: (one[0], one[0])),
    date_ranges=st.lists(ranges, max_size=1).map(tuple),
    month_days=st.sampled_from([(), (31,), (29, 30), (1,)]),
    holidays=st.sampled_from(ON_HOLIDAYS),
    make_up=st.sampled_from(ON_MAKE_UP_DAYS),
)


@settings(max_examples=80)
@given(calendars, st.none() | st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)), st.integers(1, 60))
def test_a_rule_is_called_never_in_force_only_where_it_never_is(
    calendar: Calendar, begin: datetime | None, span: int
) -> None:
    valid_from = None if begin is None else int(begin.replace(tzinfo=UTC).timestamp()) * 10**9
    valid_to = None if valid_from is None else valid_from + span * 86_400 * 10**9
    rule = with_rule(calendar=calendar, valid_from=valid_from, valid_to=valid_to).rules[-1]
    if any(
        "never in force" in finding.rule
        for finding in named(replace(CODE, rules=(*CODE.rules, rule)), "R99", "calendar")
    ):
        days = [date(2024, 12, 30) + timedelta(k) for k in range(1200)]
        noons = [int(datetime(d.year, d.month, d.day, 4, tzinfo=UTC).timestamp()) * 10**9 for d in days]
        for known in (
            Days(frozenset(), {}),
            Days(frozenset(d.isoformat() for d in days), {}),
            Days(frozenset(), {d.isoformat(): d.day % 7 + 1 for d in days}),
        ):
            assert not any(in_force(rule, t, known) for t in noons)


def test_a_zone_that_covers_no_lane_is_a_finding_and_an_error_where_a_rule_holds_on_it() -> None:
    beside = Zone("Z9", "parking", tuple((lat + 60_000, lon) for lat, lon in CODE.zones[0].polygon))
    assert [f.severity for f in named(replace(CODE, zones=(*CODE.zones, beside)), "Z9", "polygon")] == ["warning"]
    ruled = replace(CODE, zones=(*CODE.zones, beside), rules=(*CODE.rules, Rule("R99", "closure", (Target("Z9"),))))
    assert [f.severity for f in named(ruled, "Z9", "polygon")] == ["error"]
    bow = CODE.zones[0].polygon
    assert (
        "crosses itself"
        in named(
            replace(CODE, zones=(replace(CODE.zones[0], polygon=(bow[0], bow[2], bow[1], bow[3])), CODE.zones[1])),
            "Z1",
            "polygon",
        )[0].rule
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"heading_deg": -3.1}, "heading_deg"),
        ({"heading_deg": 400.0}, "heading_deg"),
        ({"height_cm": 5_000_000}, "height_cm"),
        ({"installed": NOW_S}, "installed"),
    ],
)
def test_a_device_that_cannot_be_meant_is_an_error(fields: dict[str, Any], field: str) -> None:
    device = replace(Device("D1", "camera", CODE.ref_lat_e7, CODE.ref_lon_e7), **fields)
    assert [f.severity for f in named(replace(CODE, devices=(device,)), "D1", field)] == ["error"]


def test_phases_in_seconds_are_a_finding() -> None:
    plan = CODE.plans[0]
    short = replace(plan, phases=tuple(replace(phase, ms=max(phase.ms // 1000, 1)) for phase in plan.phases))
    assert {f.severity for f in named(replace(CODE, plans=(short,)), "plan", "ms")} == {"warning"}


# --- whatever stands in a code, it is a code or a refusal, never an exception ---


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else []
    found = [leaf for key, value in inner for leaf in leaves(value, (*path, key))]
    return [*found, path] if path else found


TREE = json.loads((DATA / "regulations.json").read_text())
RULED = [
    path
    for path in leaves(TREE)
    if path[0] in ("rules", "zones", "valid_from", "ref_lat_e7", "format", "plans", "stop_lines")
]
strange = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.sampled_from(["", "99-99", "2026-02-30", "02-30", "Asia/Nowhere", "../..", "\0", "É" * 300, "code", "L2", "Z1"]),  # noqa: E501
    st.text(max_size=5), st.just([]), st.just({}), st.lists(st.integers(-5, 3000), max_size=3), st.lists(st.lists(st.integers(0, 1440), min_size=2, max_size=2), max_size=2),  # noqa: E501
    st.lists(st.sampled_from(["2026-01-01", "12-31", "0000-00-00"]), min_size=2, max_size=2),
)  # fmt: skip


@settings(max_examples=150)
@given(st.sampled_from(RULED), strange)
def test_any_value_in_any_place_is_read_or_refused_and_never_an_exception(path: tuple[Any, ...], value: Any) -> None:
    tree = json.loads(json.dumps(TREE))
    at = tree
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    code, findings = None, []
    try:
        code = codes.loads(json.dumps(tree).encode())
    except codes.CodeError as refusal:
        findings = refusal.findings
    assert (code is None) == bool(findings)
    assert all(finding.rule and finding.remedy for finding in findings)
    if code is None:
        return
    table = RuleTable(code)
    table.effective(np.array([0]), np.array([0]), np.array([NOW_S * 10**9]), fleet=(Vehicle(),))
    codes.show_svg(code)


# --- the calendar file is as strict ---


def test_a_byte_order_mark_before_a_calendar_or_a_code_is_passed_over() -> None:
    text = b'\xef\xbb\xbf{"first": "2026-01-01", "last": "2026-12-31", "holidays": [{"date": "2026-05-01"}]}'
    assert [day.date for day in parse_days(text, "calendar.json").holidays] == ["2026-05-01"]
    assert codes.loads(b"\xef\xbb\xbf" + codes.dump(CODE)) == CODE


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"holliday": []}, "holliday", "no key"),
        ({"holidays": [{"dates": "2026-05-01"}]}, "holidays[0].dates", "no key"),
        ({"holidays": [{"date": "2026-02-30"}]}, "holidays[0].date", "no day"),
        ({"holidays": [{"date": "2027-01-01"}]}, "holidays[0].date", "not within"),
        ({"holidays": [{"date": "2026-05-01"}, {"date": "2026-05-01"}]}, "holidays[1].date", "already"),
        ({"make_up_days": [{"date": "2026-05-09", "replaces": "2026-05-03"}]}, "make_up_days[0].replaces", "weekend"),
        ({"make_up_days": [{"date": "2026-05-09"}]}, "make_up_days[0].replaces", "required"),
        (
            {"holidays": [{"date": "2026-05-09"}], "make_up_days": [{"date": "2026-05-09", "replaces": "2026-05-05"}]},
            "make_up_days[0].date",
            "already",
        ),
        ({"last": "2025-12-31"}, "last", "before"),
        ({"format": 2}, "format", "format 1"),
    ],
)
def test_a_calendar_file_is_refused_with_the_field_that_is_wrong(change: dict[str, Any], field: str, says: str) -> None:
    tree = {"first": "2026-01-01", "last": "2026-12-31", "holidays": [{"date": "2026-05-01"}], **change}
    with pytest.raises(codes.CodeError) as refused:
        parse_days(json.dumps(tree).encode(), "calendar.json")
    assert any(f.field == field and says in f.rule for f in refused.value.findings)


def test_a_stop_line_a_crosswalk_or_a_device_where_none_is_is_a_warning() -> None:
    line, walk = CODE.stop_lines[0], CODE.crosswalks[0]
    lat, lon = walk.axis[0]
    changed = replace(
        CODE,
        stop_lines=(replace(line, s=3.0), *CODE.stop_lines[1:]),
        crosswalks=(replace(walk, axis=((lat, lon), (lat + 50_000, lon))), *CODE.crosswalks[1:]),
        devices=(Device("D9", "radar", CODE.ref_lat_e7, CODE.ref_lon_e7, height_cm=-600),),
    )
    said = [str(finding) for finding in codes.validate(changed) if finding.severity == "warning"]
    for entity in (f"stop line {line.lane}.s", f"{walk.id}.axis", "D9.height_cm"):
        assert any(entity in text for text in said), (entity, said)
