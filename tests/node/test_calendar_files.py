"""Calendar files that cannot be meant, calendars of another country, and what a node says of them while it runs."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from cloudctl import codes, maps
from cloudctl.clock import SECOND, EventClock
from cloudctl.codes.days import DayCalendar, Holiday, MakeUpDay, check_days, dump_days
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.node.calendars import node_days
from cloudctl.node.config import load
from cloudctl.node.live import Node
from cloudctl.revisions import Revisions

PLAIN = codes.load(maps.path("intersection.json"))
SOUND = DayCalendar(
    "2025-01-01", "2026-12-31",
    (Holiday("2025-10-01"), *(Holiday(f"2026-10-0{k}") for k in range(1, 8))), (MakeUpDay("2026-09-20", "2026-10-06"), MakeUpDay("2026-10-10", "2026-10-07")), "CN",  # noqa: E501
)  # fmt: skip


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * SECOND


def ruled(zone: str = "Asia/Shanghai", holidays: str = "never") -> codes.IntersectionCode:
    lane = Rule("R90", "no_entry", (Target("L34"),), classes=("truck",), calendar=Calendar(holidays=holidays, tz=zone))
    return replace(PLAIN, rules=(*PLAIN.rules, lane))


def with_make_up(*days: MakeUpDay) -> DayCalendar:
    return replace(SOUND, make_up_days=(*SOUND.make_up_days, *days))


def test_a_calendar_as_it_is_announced_is_sound() -> None:
    assert check_days(SOUND) == []


@pytest.mark.parametrize(
    ("calendar", "says"),
    [
        (with_make_up(MakeUpDay("2026-11-11", "2026-10-05")), "is a Wednesday, a working day anyway"),
        (with_make_up(MakeUpDay("2026-11-14", "2026-11-11")), "is no holiday of this calendar"),
        (with_make_up(MakeUpDay("2026-11-14", "2025-10-01")), "days from 2026-11-14"),
        (with_make_up(MakeUpDay("2026-11-14", "2024-10-02")), "days from 2026-11-14"),
        (with_make_up(MakeUpDay("2026-10-11", "2026-10-07")), "worked for on 2026-10-10 already"),
        (replace(SOUND, first="1990-01-01", last="2199-12-31"), "covers 208 year(s) without any holiday, 1990 first"),
        (replace(SOUND, last="2027-12-31"), "2027 first"),
    ],
)
def test_make_up_days_and_years_that_cannot_be_meant_are_errors(calendar: DayCalendar, says: str) -> None:
    assert any(says in str(fault) for fault in check_days(calendar))


def test_a_year_that_the_calendar_covers_in_part_needs_no_holiday() -> None:
    assert check_days(replace(SOUND, last="2027-01-31")) == []


@pytest.mark.parametrize(
    ("place", "zone", "warned"),
    [
        ("CN", "Asia/Shanghai", False),
        ("DE", "Asia/Shanghai", True),
        ("", "Asia/Shanghai", True),
        ("XX", "PRC", True),
        ("DE-BY", "Europe/Berlin", False),
        ("CN", "Europe/Berlin", True),
        ("XX", "Africa/Cairo", False),
    ],
)
def test_a_calendar_of_another_country_than_the_rules_clock_is_taken_with_a_warning(
    tmp_path: Path, place: str, zone: str, warned: bool
) -> None:
    file = tmp_path / "days.json"
    file.write_bytes(dump_days(replace(SOUND, place=place)))
    days = node_days(str(file), [ruled(zone)], ns("2026-10-01T08:00"))
    assert days.days == replace(SOUND, place=place)
    assert ("rule R90" in days.notice and zone in days.notice) is warned
    assert node_days(str(file), [ruled(zone, "as_weekday")], ns("2026-10-01T08:00")).notice == "", (
        "no rule asks for days"
    )


def running(tmp_path: Path, calendar: DayCalendar, run: Callable[[Node], None]) -> None:
    (tmp_path / "0.json").write_bytes(codes.dump(ruled()))
    (tmp_path / "days.json").write_bytes(dump_days(calendar))
    (tmp_path / "node.toml").write_text(
        '[broker]\nopen = true\n[node]\ncurve = false\nbind = "tcp://127.0.0.1:*"\ncodes = ["0.json"]\ncalendar ='
        ' "days.json"\n'
    )
    node = Node(load(tmp_path / "node.toml"), clock=EventClock(ns("2026-10-01T08:00")))
    try:
        run(node)
    finally:
        node.close()


def test_a_calendar_that_is_taken_in_while_the_node_runs_is_compared_with_today_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def run(node: Node) -> None:
        node.publisher.watch(ns("2026-10-01T08:00:10"))
        assert "says nothing of" not in caplog.text
        old = replace(SOUND, last="2025-12-31", holidays=SOUND.holidays[:1], make_up_days=())
        (tmp_path / "days.json").write_bytes(dump_days(old))
        node.publisher.watch(ns("2026-10-01T08:00:12"))
        assert "says nothing of 2026-10-01" in caplog.text
        assert node.metrics.counters["calendar.uncovered", ""] == 1

    running(tmp_path, SOUND, run)


def test_a_node_starts_on_a_calendar_that_does_not_reach_today_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = replace(SOUND, last="2025-12-31", holidays=SOUND.holidays[:1], make_up_days=())
    running(tmp_path, old, lambda node: node.publisher.watch(ns("2026-10-01T08:00:10")))
    assert "says nothing of 2026-10-01" in caplog.text


def test_a_changed_rule_under_the_same_revision_is_refused_with_the_remedy_and_times_in_words() -> None:
    code = ruled()
    revisions = Revisions([code])
    places = {code.id: object()}
    t = ns("2026-10-01T08:00")
    with pytest.raises(codes.CodeError, match="give the changed code a higher revision"):
        revisions.announce(replace(code, name="changed"), t, places)  # type: ignore[arg-type]
    with pytest.raises(codes.CodeError, match=r"2026-10-01T00:00:02Z.*it is 2026-10-01T00:00:00Z"):
        revisions.announce(replace(code, name="changed", revision=9, valid_from=t + 2 * SECOND), t, places)  # type: ignore[arg-type]
