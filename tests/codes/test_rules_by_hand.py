"""Importing again: what was written by hand is carried over, or reported with its text; an import never leaves a code
that a node refuses."""

import json
from pathlib import Path

import pytest
from crossing_map import Crossing
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudctl import codes
from cloudctl.__main__ import main
from cloudctl.codes.canon import dump
from cloudctl.codes.checks.calendars import over_faults
from cloudctl.codes.model import Device, IntersectionCode, Zone
from cloudctl.codes.report import Imported
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.codes.update.changes import changes
from cloudctl.codes.update.folder import CodeFolder, Filed
from cloudctl.codes.update.likeness import shifted
from cloudctl.codes.update.outcome import ImportOutcome
from cloudctl.codes.update.take import take_import
from cloudctl.codes.update.together import faults_together

T = 1_700_000_000_000_000_000
LATER = T + 10**15


def crossing(name: str = "A", north: int = 0, limit: float | None = None) -> IntersectionCode:
    version = Crossing.plain(2)
    version.name = name
    for lane in version.lanes:
        lane.name = f"{name}.{lane.name}"
    code = shifted(version.code(), (north, 0))
    return code if limit is None else replace(code, lanes=tuple(replace(lane, speed=limit) for lane in code.lanes))


def taken(folder: Path, *found: IntersectionCode, source: str = "town.net.xml", **options: int | bool) -> ImportOutcome:
    with CodeFolder.opened(folder) as opened:
        return take_import(opened, Imported(found, source, ()), source, T, **options)


def edited(path: Path, **tables: object) -> IntersectionCode:
    code = codes.load(path)
    code = replace(code, **tables)
    path.write_bytes(dump(code))
    return code


def errors(code: IntersectionCode) -> list[str]:
    return [str(finding) for finding in codes.validate(code) if finding.severity == "error"]


def ban(code: IntersectionCode, name: str = "R40", **fields: object) -> Rule:
    return Rule(name, "no_entry", (Target(code.lanes[0].id),), classes=("truck",), text="by hand", **fields)


def area(code: IntersectionCode, north: int, name: str = "Z1") -> Zone:
    lat, lon = code.lanes[0].points[0]
    return Zone(
        name,
        "school",
        (
            (lat + north - 300, lon - 2000),
            (lat + north - 300, lon + 2000),
            (lat + north + 300, lon + 2000),
            (lat + north + 300, lon - 2000),
        ),
    )


@pytest.mark.parametrize("again", [11.11, 8.33])
def test_a_rule_written_into_the_code_in_force_is_carried_into_the_revision_that_is_announced(
    tmp_path: Path, again: float
) -> None:
    taken(tmp_path, crossing())
    taken(tmp_path, crossing(limit=11.11), valid_from=LATER)
    code = codes.load(tmp_path / "0.json")
    edited(
        tmp_path / "0.json",
        rules=(*code.rules, ban(code)),
        devices=(Device("D1", "rsu", code.ref_lat_e7, code.ref_lon_e7),),
    )
    out = taken(tmp_path, crossing(limit=again))
    announced = codes.load(next(path for path in tmp_path.glob("0-r*.json")))
    assert "R40" in {rule.id for rule in announced.rules}
    assert "D1" in {device.id for device in announced.devices}
    assert announced.revision > 2
    assert any("rule R40" in str(loss) and "carried over" in str(loss) for loss in out.losses)
    assert [str(loss) for loss in taken(tmp_path, crossing(limit=again)).losses] == [], "it is said once"


def test_any_other_edit_of_the_code_in_force_is_named_when_a_revision_is_announced(tmp_path: Path) -> None:
    taken(tmp_path, crossing())
    code = edited(tmp_path / "0.json", rules=(*codes.load(tmp_path / "0.json").rules, ban(crossing(), "R30")), format=2)
    taken(tmp_path, crossing(limit=11.11), valid_from=LATER)
    edited(
        tmp_path / "0.json",
        lanes=(replace(code.lanes[0], width_cm=300), *code.lanes[1:]),
        rules=tuple(rule for rule in code.rules if rule.id != "R30"),
        name="by hand",
    )
    said = " ".join(str(loss) for loss in taken(tmp_path, crossing(limit=11.11)).losses)
    for what in (f"lane {code.lanes[0].id}", "rule R30", "code.name"):
        assert f"0.json {what}: was edited by hand since revision 2 was announced" in said


def test_rules_zones_and_devices_of_an_intersection_that_leaves_the_map_are_losses_with_their_text(
    tmp_path: Path,
) -> None:
    taken(tmp_path, crossing("A"), crossing("B", 40_000))
    code = codes.load(tmp_path / "1.json")
    hand = ban(code), replace(ban(code), id="R41", kind="closure")
    edited(
        tmp_path / "1.json",
        rules=(*code.rules, *hand),
        zones=(area(code, 0),),
        devices=(Device("D1", "rsu", code.ref_lat_e7, code.ref_lon_e7),),
    )
    out = taken(tmp_path, crossing("A"))
    said = {loss.entity: str(loss) for loss in out.losses}
    assert set(said) == {"1.json rule R40", "1.json rule R41", "1.json zone Z1", "1.json device D1"}
    assert '"text":"by hand"' in said["1.json rule R40"]


def test_a_rule_on_a_zone_that_covers_no_lane_any_more_is_a_loss_and_the_node_takes_the_code(tmp_path: Path) -> None:
    taken(tmp_path, crossing())
    code = codes.load(tmp_path / "0.json")
    rules = (
        Rule("R40", "school_zone", (Target("Z1"),), 8.33),
        Rule("R41", "closure", (Target("Z1"), Target(code.lanes[0].id)), classes=("truck",)),
    )
    edited(tmp_path / "0.json", rules=(*code.rules, *rules), zones=(area(code, 0),))
    version = Crossing.plain(2)
    version.name = "A"
    for lane in version.lanes:
        lane.name = f"A.{lane.name}"
        lane.offset += 10.0
    out = taken(tmp_path, version.code())
    now = codes.load(tmp_path / "0.json")
    assert not any(target.entity == "Z1" for rule in now.rules for target in rule.targets)
    assert any(
        "R40" in loss.entity and "covers no lane any more" in loss.detail and '"value":8.33' in loss.detail
        for loss in out.losses
    )
    assert any("R41" in loss.entity and "it stays on the rest" in loss.detail for loss in out.losses)
    assert errors(now) == []


@settings(max_examples=15)
@given(st.integers(-4000, 4000), st.floats(-20.0, 20.0))
def test_no_import_over_a_sound_code_writes_one_that_a_node_refuses(
    tmp_path_factory: pytest.TempPathFactory, north: int, offset: float
) -> None:
    folder = tmp_path_factory.mktemp("codes")
    taken(folder, crossing())
    code = codes.load(folder / "0.json")
    edited(
        folder / "0.json",
        rules=(*code.rules, Rule("R40", "school_zone", (Target("Z1"),), 8.33)),
        zones=(area(code, north),),
    )
    was_sound = not errors(codes.canon.parse((folder / "0.json").read_bytes(), "code"))
    version = Crossing.plain(2)
    version.name = "A"
    for lane in version.lanes:
        lane.name = f"A.{lane.name}"
    version.lanes[0].offset = offset
    new = version.code()
    taken(folder, new)
    assert not was_sound or errors(new) or not errors(codes.canon.parse((folder / "0.json").read_bytes(), "code"))


def test_a_next_revision_that_a_node_would_refuse_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken(tmp_path, crossing())
    code = codes.load(tmp_path / "0.json")
    low = Rule("R40", "speed_min", (Target("code"),), 12.0)
    edited(tmp_path / "0.json", rules=(*code.rules, low))
    before = (tmp_path / "0.json").read_bytes()
    slower = crossing(limit=8.33)
    slower = replace(
        slower, rules=tuple(replace(rule, value=8.33) if rule.kind == "speed_max" else rule for rule in slower.rules)
    )
    assert errors(slower) == []
    out = taken(tmp_path, slower)
    assert (tmp_path / "0.json").read_bytes() == before
    assert "left as it was" in out.taken[0].state
    assert any("would be refused" in loss.detail and "R40" in loss.entity for loss in out.losses)


@pytest.mark.parametrize("moved", [0, 100, 2_700])
def test_two_city_codes_of_one_intersection_are_a_warning_that_names_both_files(moved: int) -> None:
    first = crossing()
    second = replace(shifted(first, (moved, 0)), id="UST1.110115.IX.N50J5720779035.00012")
    (found,) = faults_together([Filed(Path("a.json"), first), Filed(Path("b.json"), second)])
    assert (found.severity, found.entity) == ("warning", second.id)
    assert "a.json" in found.rule
    assert "b.json" in found.value
    assert (
        faults_together(
            [Filed(Path("a.json"), first), Filed(Path("b.json"), replace(crossing("B", 40_000), id=second.id))]
        )
        == []
    )


# --- what codes diff says ---


def test_a_changed_calendar_is_a_line_for_each_field_that_differs() -> None:
    code = crossing()
    before, after = (
        replace(code, rules=(*code.rules, ban(code, calendar=Calendar(weekdays=(1, 2), make_up=how))))
        for how in ("as_weekday", "as_workday")
    )
    assert [line for line in changes(before, after) if "R40" in line] == [
        'rule R40 (no_entry): calendar make_up "as_weekday" -> "as_workday"'
    ]
    gone = replace(code, rules=(*code.rules, ban(code)))
    assert any("holds always now: it was weekdays [1,2]" in line for line in changes(before, gone))
    assert any("holds by a calendar now: it is weekdays [1,2]" in line for line in changes(gone, before))


def test_right_of_way_that_changes_everywhere_is_summed_up() -> None:
    code = crossing()
    assert len(code.conflicts) > 20
    turned = replace(
        code, conflicts=tuple(replace(c, a_yields=not c.a_yields, b_yields=not c.b_yields) for c in code.conflicts)
    )
    found = [line for line in changes(code, turned) if "yields to" in line]
    assert 1 <= len(found) <= 2
    assert all(line.startswith("right of way at") for line in found)
    one = replace(
        code, conflicts=(replace(code.conflicts[0], a_yields=not code.conflicts[0].a_yields), *code.conflicts[1:])
    )
    assert len([line for line in changes(code, one) if "yields to" in line]) == 1


# --- rules that are over ---


@pytest.mark.parametrize(
    ("fields", "last"),
    [
        (
            {"calendar": Calendar(date_ranges=(("2016-01-01", "2016-12-31"), ("2015-01-01", "2015-02-01")))},
            "2016-12-31",
        ),
        ({"valid_to": 1_577_836_800 * 10**9}, "2020-01-01"),
        ({"valid_to": 1_577_836_800 * 10**9, "calendar": Calendar(dates=("2016-01-01", "2016-12-31"))}, "2016-12-31"),
    ],
)
def test_a_rule_that_is_over_for_good_is_a_warning_with_its_last_day(
    fields: dict[str, object], last: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = replace(crossing(), format=2)
    code = replace(code, rules=(*code.rules, ban(code, **fields)))
    (found,) = over_faults(code, T)
    assert last in found.rule
    assert list(over_faults(code, 1_420_000_000 * 10**9)) == []
    (tmp_path / "0.json").write_bytes(dump(code))
    assert main(["codes", "validate", str(tmp_path / "0.json")]) == 0
    assert f"was in force last on {last}" in capsys.readouterr().out


def test_a_rule_of_every_year_or_of_days_to_come_is_not_over() -> None:
    code = crossing()
    for calendar in (
        Calendar(dates=("11-15", "03-15")),
        Calendar(date_ranges=(("2016-01-01", "2016-12-31"), ("2030-01-01", "2030-12-31"))),
        Calendar(),
        None,
    ):
        assert list(over_faults(replace(code, rules=(ban(code, calendar=calendar),)), T)) == []


# --- messages ---


def refusal(change: object) -> str:
    tree = json.loads(dump(crossing()))
    tree["rules"][0].update(change)
    with pytest.raises(codes.CodeError) as refused:
        codes.loads(json.dumps(tree).encode())
    return str(refused.value)


def test_messages_name_what_was_meant() -> None:
    assert "belongs into `calendar`" in refusal({"minutes": [[0, 60]]})
    assert "belongs into `calendar`" in refusal({"dates": ["2026-01-01", "2026-01-02"]})
    assert "NaN is no number of JSON" in refusal({"value": float("nan")})
    assert "Infinity is no number of JSON" in refusal({"value": float("inf")})
    assert len(refusal({"value": 1e308})) < 400
    unknown = refusal({"targets": [{"entity": "nowhere"}]})
    assert "entitys" not in unknown
    assert "links, lanes, connections or zones" in unknown
