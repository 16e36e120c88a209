"""Where a node's holidays come from: its own file, else the library of public holidays, else said to be missing; the
command that writes the file."""

import asyncio
import builtins
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from cloudctl import codes, maps
from cloudctl.__main__ import main
from cloudctl.clock import SECOND, EventClock
from cloudctl.codes.days import NO_DAYS, dump_days, parse_days, read_days
from cloudctl.codes.public_holidays import from_library
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.codes.rules import Vehicle, effective
from cloudctl.codes.versions import Versions
from cloudctl.io.http import Web
from cloudctl.node.calendars import node_days, uncovered
from cloudctl.node.config import load
from cloudctl.node.live import Node

pytest.importorskip("holidays")
PLAIN = codes.load(maps.path("intersection.json"))


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * SECOND


def ruled(**calendar: object) -> codes.IntersectionCode:
    bus_lane = Rule(
        "R9",
        "bus_lane",
        (Target("L34"),),
        calendar=Calendar(weekdays=(1, 2, 3, 4, 5), minutes=((420, 540), (1020, 1140)), **calendar),
    )
    return replace(PLAIN, format=2, rules=(*PLAIN.rules, bus_lane))


NEVER = ruled(holidays="never")


def test_the_command_writes_the_year_as_the_state_council_announced_it_and_never_writes_over_it(
    tmp_path: Path, capsys
) -> None:
    file = tmp_path / "calendar.json"
    assert main(["codes", "calendar", "CN", "2026", "--out", str(file)]) == 0
    days = read_days(file)
    # State Council, General Office, notice of November 2025
    vacations = {"01": (1, 3), "04": (4, 6), "05": (1, 5), "06": (19, 21), "09": (25, 27), "10": (1, 7), "02": (15, 23)}
    assert {day.date for day in days.holidays} == {
        f"2026-{month}-{day:02d}" for month, (first, last) in vacations.items() for day in range(first, last + 1)
    }
    assert [day.date for day in days.make_up_days] == [
        "2026-01-04",
        "2026-02-14",
        "2026-02-28",
        "2026-05-09",
        "2026-09-20",
        "2026-10-10",
    ]
    edited = file.read_text().replace('"2026-01-01"', '"2026-01-01"', 1) + "\n"
    file.write_text(edited)
    assert main(["codes", "calendar", "CN", "2026", "--out", str(file)]) != 0
    assert "is there already" in capsys.readouterr().err
    assert file.read_text() == edited
    assert parse_days(dump_days(days), "again") == days


def test_other_countries_and_their_regions_have_their_days_and_no_make_up_days() -> None:
    bavaria = from_library("DE-BY", [2026])
    assert "2026-01-06" in {day.date for day in bavaria.holidays}
    assert "2026-01-06" not in {day.date for day in from_library("DE", [2026]).holidays}
    assert bavaria.make_up_days == ()
    for place, years, says in (
        ("XX", [2026], "not known to the library"),
        ("DE-XX", [2026], "not known to the library"),
        ("CN", [26], "1990"),
    ):
        with pytest.raises(codes.CodeError, match=says):
            from_library(place, years)


def test_without_the_library_the_command_and_the_node_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    real = builtins.__import__

    def none(name: str, *args: object, **more: object) -> object:
        if name == "holidays":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", none)
    assert main(["codes", "calendar", "CN", "2026", "--out", str(tmp_path / "c.json")]) != 0
    assert "pip install 'cloudctl[calendar]'" in capsys.readouterr().err
    days = node_days(None, [NEVER], ns("2026-10-01T08:00"))
    assert days.days == NO_DAYS
    assert "rule R9" in days.notice
    assert "every day is taken as its weekday" in days.notice


def test_a_node_without_a_calendar_takes_the_public_holidays_of_its_rules_time_zone_and_says_so() -> None:
    for when, allowed in (("2026-10-01T08:00", True), ("2026-10-08T08:00", False), ("2026-10-10T08:00", True)):
        days = node_days(None, [NEVER], ns(when))
        assert "those of CN are taken from holidays" in days.notice
        assert effective(NEVER, "L34", Vehicle(), ns(when), holidays=days.days).allowed is allowed
    made_up = ruled(holidays="never", make_up="as_workday")
    assert not effective(made_up, "L34", Vehicle(), ns("2026-10-10T08:00"), holidays=days.days).allowed
    only = ruled(holidays="only")
    assert [
        effective(only, "L34", Vehicle(), ns(when), holidays=days.days).allowed
        for when in ("2026-10-01T08:00", "2026-10-04T08:00", "2026-10-08T08:00")
    ] == [False, False, True]


def test_a_node_whose_rules_ask_for_no_days_needs_no_calendar_and_says_nothing() -> None:
    assert node_days(None, [PLAIN, ruled()], ns("2026-10-01T08:00")) == (NO_DAYS, "")


def test_rules_of_two_countries_need_a_calendar_of_their_own() -> None:
    days = node_days(None, [NEVER, ruled(holidays="never", tz="Asia/Tokyo")], ns("2026-10-01T08:00"))
    assert days.days == NO_DAYS
    assert "no calendar is given for Asia/Shanghai, Asia/Tokyo" in days.notice


def test_a_day_that_the_calendar_does_not_reach_is_named() -> None:
    days = from_library("CN", [2026])
    assert uncovered(days, [NEVER], ns("2026-12-31T23:59:59")) == ""
    assert uncovered(days, [NEVER], ns("2027-01-01T00:00:00")) == "2027-01-01", "by the local date"
    assert uncovered(days, [PLAIN], ns("2027-01-01T00:00:00")) == ""


def test_a_node_does_not_start_on_a_calendar_that_is_faulty_or_missing(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_bytes(codes.dump(NEVER))
    (tmp_path / "node.toml").write_text(
        '[broker]\nopen = true\n[node]\ncurve = false\nbind = "tcp://127.0.0.1:*"\ncodes = ["0.json"]\ncalendar ='
        ' "days.json"\n'
    )
    with pytest.raises(codes.CodeError, match="codes calendar CN"):
        Node(load(tmp_path / "node.toml"))
    (tmp_path / "days.json").write_text(
        '{"first": "2026-01-01", "last": "2026-12-31", "holidays": [{"date": "1 October"}]}'
    )
    with pytest.raises(codes.CodeError, match="1 October"):
        Node(load(tmp_path / "node.toml"))


def test_an_only_rule_on_a_make_up_saturday_is_not_in_force() -> None:
    days = from_library("CN", [2026])
    only = ruled(holidays="only", make_up="as_workday")
    assert effective(only, "L34", Vehicle(), ns("2026-10-10T08:00"), holidays=days).allowed


def test_the_calendar_is_served_over_http() -> None:
    aiohttp = pytest.importorskip("aiohttp")
    days = from_library("CN", [2026])
    versions = Versions()
    versions.add(NEVER)

    async def ask() -> tuple[bytes, int]:
        web = Web("127.0.0.1:0", versions, EventClock(ns("2026-10-01T08:00")), days=lambda: days)
        await web.start()
        try:
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{web.address}/codes/{NEVER.id}/calendar") as answer:
                    body = await answer.read()
                async with session.get(f"{web.address}/codes/nowhere/calendar") as answer:
                    return body, answer.status
        finally:
            await web.stop()

    body, status = asyncio.run(ask())
    assert parse_days(body, "http") == days
    assert status == 404


def test_a_reload_takes_over_another_calendar_and_a_faulty_one_changes_nothing(tmp_path: Path, caplog) -> None:
    file, text = (
        tmp_path / "node.toml",
        '[broker]\nopen = true\n[node]\ncurve = false\nbind = "tcp://127.0.0.1:*"\ncodes = ["0.json"]\n',
    )
    (tmp_path / "0.json").write_bytes(codes.dump(NEVER))
    (tmp_path / "own.json").write_bytes(dump_days(replace(from_library("CN", [2026]), source="own")))
    (tmp_path / "bad.json").write_text('{"first": "2026"}')
    file.write_text(text)
    node = Node(load(file), clock=EventClock(ns("2026-10-01T08:00")), file=file)
    try:
        assert node.engine.config.days.source.startswith("holidays ")
        assert "are taken from holidays" in caplog.text
        for calendar, source in (("own", "own"), ("bad", "own"), ("missing", "own")):
            file.write_text(f'{text}calendar = "{calendar}.json"\n')
            node.reload()
            assert node.engine.config.days.source == source
        said = caplog.text
        assert said.count("not taken over, what runs stays") == 2
        assert "first" in said
        file.write_text(text)
        node.reload()
        assert node.engine.config.days.source.startswith("holidays ")
    finally:
        node.close()


def test_a_node_whose_calendar_does_not_reach_today_says_so_and_counts_it(tmp_path: Path, caplog) -> None:
    (tmp_path / "0.json").write_bytes(codes.dump(NEVER))
    (tmp_path / "old.json").write_bytes(dump_days(from_library("CN", [2025])))
    (tmp_path / "node.toml").write_text(
        '[broker]\nopen = true\n[node]\ncurve = false\nbind = "tcp://127.0.0.1:*"\ncodes = ["0.json"]\ncalendar ='
        ' "old.json"\n'
    )
    clock = EventClock(ns("2025-12-31T23:59:00"))
    node = Node(load(tmp_path / "node.toml"), clock=clock)
    try:
        for when, count in (("2025-12-31T23:59:30", 0), ("2026-01-01T00:00:30", 1), ("2026-01-01T00:00:31", 1)):
            node.publisher.watch(ns(when))
            assert node.metrics.counters["calendar.uncovered", ""] == count
        assert caplog.text.count("says nothing of 2026-01-01") == 1
    finally:
        node.close()
