"""A folder of codes: importing again, what is stale, city codes for ever, and folders that are put together."""

import json
from pathlib import Path

import pytest
from crossing_map import Crossing
from msgspec.structs import replace

from cloudctl import codes, maps
from cloudctl.__main__ import main
from cloudctl.codes.canon import dump
from cloudctl.codes.citycode import CityCodeError, parse_code
from cloudctl.codes.findings import Loss
from cloudctl.codes.registry import Registry
from cloudctl.codes.report import Imported
from cloudctl.codes.rule import Rule, Target
from cloudctl.codes.update.folder import CodeFolder
from cloudctl.codes.update.outcome import ImportOutcome
from cloudctl.codes.update.take import take_import, time_of

GOOD = codes.load(maps.path("intersection.json"))
T = 1_700_000_000_000_000_000


def taken(
    folder: Path,
    found: list[codes.IntersectionCode],
    source: str = "town.net.xml",
    losses: tuple[Loss, ...] = (),
    **options: int | bool,
) -> ImportOutcome:
    with CodeFolder.opened(folder) as opened:
        return take_import(opened, Imported(found, source, losses), source, T, **options)


def town(*names: str, apart: int = 40_000) -> list[codes.IntersectionCode]:
    """Return crossings of these names, one beside the other, each with the city code that an importer by itself would
    give."""
    return [_placed(Crossing.plain(2), name, k * apart) for k, name in enumerate(names)]


def _placed(version: Crossing, name: str, north: int) -> codes.IntersectionCode:
    from cloudctl.codes.update.likeness import shifted

    version.name = name
    for lane in version.lanes:
        lane.name = f"{name}.{lane.name}" if "." not in lane.name else lane.name
    return shifted(version.code(), (north, 0))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.json"))}


def names(folder: Path) -> dict[str, str]:
    """Return the name of the intersection in each file."""
    return {name: json.loads(data)["name"] for name, data in files(folder).items()}


def test_importing_again_leaves_every_file_as_it_is(tmp_path: Path) -> None:
    first = taken(tmp_path, town("A", "B"))
    before = files(tmp_path)
    second = taken(tmp_path, town("A", "B"))
    assert [item.state for item in first.taken] == ["new", "new"]
    assert [item.state for item in second.taken] == ["unchanged", "unchanged"]
    assert files(tmp_path) == before
    assert second.losses == []


def test_files_stay_with_their_intersections_when_the_order_changes(tmp_path: Path) -> None:
    taken(tmp_path, town("A", "B", "C"))
    before = files(tmp_path)
    taken(tmp_path, town("A", "B", "C")[::-1])
    assert files(tmp_path) == before


def test_what_is_no_longer_in_the_map_is_taken_out_and_said(tmp_path: Path) -> None:
    taken(tmp_path, town("A", "B", "C"))
    gone = codes.load(tmp_path / "1.json")
    taken(tmp_path, [_placed(Crossing.plain(2), "other", 4_000_000)], "other.osm")
    found = town("A", "B", "C")
    out = taken(tmp_path, [found[0], found[2]])
    assert names(tmp_path) == {"0.json": "A", "2.json": "C", "3.json": "other"}
    (line,) = out.removed
    assert gone.id in line
    assert "no longer in the map" in line
    assert codes.load(tmp_path / "history" / f"{gone.id}.r1.json") == gone


def test_a_file_of_another_name_is_the_same_map_when_it_has_half_of_it(tmp_path: Path) -> None:
    taken(tmp_path, town("A", "B", "C"), "2025.net.xml")
    out = taken(tmp_path, town("A", "B"), "2026.net.xml")
    assert names(tmp_path) == {"0.json": "A", "1.json": "B"}
    assert len(out.removed) == 1
    out = taken(
        tmp_path,
        [*town("A"), *[_placed(Crossing.plain(2), f"N{k}", 900_000 + k * 40_000) for k in range(3)]],
        "2026.net.xml",
    )
    assert sorted(names(tmp_path).values()) == ["A", "N0", "N1", "N2"]
    out = taken(tmp_path, [_placed(Crossing.plain(2), "N0", 900_000)], "part.net.xml")
    assert sorted(names(tmp_path).values()) == ["A", "N0", "N1", "N2"]
    assert all("--source 2026.net.xml" in line for line in out.removed)
    assert len(out.removed) == 3


def test_two_towns_whose_maps_have_one_name_stay_beside_each_other(tmp_path: Path) -> None:
    here, there = town("A", "B"), [_placed(Crossing.plain(2), "C", 4_000_000)]
    taken(tmp_path, here, "map.osm")
    out = taken(tmp_path, there, "map.osm")
    assert sorted(names(tmp_path).values()) == ["A", "B", "C"]
    assert all("it stays" in line for line in out.removed)
    for _ in range(2):
        assert [item.state for item in taken(tmp_path, here, "map.osm").taken] == ["unchanged", "unchanged"]
        assert [item.state for item in taken(tmp_path, there, "map.osm").taken] == ["unchanged"]
    taken(tmp_path, here[:1], "map.osm")
    assert sorted(names(tmp_path).values()) == ["A", "C"]
    taken(tmp_path, [_placed(Crossing.plain(2), "D", 8_000_000)], "map.osm#2", certain=True)
    assert sorted(names(tmp_path).values()) == ["A", "D"]


def test_a_city_code_is_never_given_to_another_intersection(tmp_path: Path) -> None:
    """Two in one cell, in two imports; the file of one is deleted, the registry remembers: a third gets the next
    serial."""
    versions = [Crossing.plain(2) for _ in "ABC"]
    for version, beside in zip(versions, (0.0, 1.8, 9.0), strict=True):
        for lane in version.lanes:
            lane.offset = beside
    for version, name in zip(versions[:2], "AB", strict=True):
        taken(tmp_path, [_placed(version, name, 0)], f"{name}.net.xml")
    assert [parse_code(codes.load(tmp_path / file).id).serial for file in ("0.json", "1.json")] == [1, 2]
    (tmp_path / "1.json").unlink()
    taken(tmp_path, [_placed(versions[2], "C", 0)], "C.net.xml")
    third = codes.load(tmp_path / "1.json")
    assert (third.name, parse_code(third.id).serial) == ("C", 3)


def test_an_intersection_that_comes_back_has_its_code_and_its_rules(tmp_path: Path) -> None:
    taken(tmp_path, town("A", "B"))
    code = codes.load(tmp_path / "1.json")
    rule = Rule("R90", "no_entry", (Target(code.lanes[0].id),), text="by hand")
    (tmp_path / "1.json").write_bytes(dump(replace(code, revision=2, rules=(*code.rules, rule))))
    taken(tmp_path, town("A"))
    assert list(names(tmp_path).values()) == ["A"]
    out = taken(tmp_path, town("A", "B"))
    back = codes.load(out.taken[1].path)
    assert back.id == code.id
    assert rule in back.rules
    assert back.revision == 2


def test_two_intersections_of_one_import_in_one_cell_have_two_codes() -> None:
    found = Imported([_placed(Crossing.plain(2), name, 0) for name in "ABC"], "file", ())
    assert [parse_code(code.id).serial for code in found] == [1, 2, 3]
    assert len({parse_code(code.id).grid for code in found}) == 1


def test_a_registry_that_is_broken_is_refused_with_its_line(tmp_path: Path) -> None:
    taken(tmp_path, town("A", "B"))
    file = tmp_path / "registry.jsonl"
    lines = file.read_bytes().splitlines()
    for broken, match in (
        (lines[0] + b"\n{", "line 2"),
        (lines[0] + b"\n" + lines[0], "line 2.*issued already"),
        (b'{"code":"UST1"}', "line 1"),
    ):
        file.write_bytes(broken)
        with pytest.raises(CityCodeError, match=match):
            Registry.load(file)
        with pytest.raises(codes.CodeError, match="restore"):
            taken(tmp_path, town("A", "B"))
    file.unlink()
    # Made anew from the codes
    assert [item.state for item in taken(tmp_path, town("A", "B")).taken] == [
        "unchanged",
        "unchanged",
    ]


def test_a_code_that_was_mistyped_is_not_written_over(tmp_path: Path) -> None:
    taken(tmp_path, town("A", "B"))
    (tmp_path / "0.json").write_bytes((tmp_path / "0.json").read_bytes()[:-10])
    before = files(tmp_path)
    with pytest.raises(codes.CodeError, match=r"0\.json.*\n.*cannot be read"):
        taken(tmp_path, town("A"))
    assert files(tmp_path) == before


def test_two_folders_put_together_are_refused_and_can_be_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    taken(one, town("A"))
    other = Crossing.plain(2)
    for lane in other.lanes:
        lane.offset = 1.8
    taken(two, [_placed(other, "B", 0)], "two.net.xml")
    (two / "0.json").rename(one / "7.json")
    paths = [one / "0.json", one / "7.json"]
    with pytest.raises(codes.CodeError, match=r"7\.json.*stands for another intersection in .*0\.json") as caught:
        codes.load_all(paths)
    assert "codes import 7.json" in caught.value.findings[0].remedy
    assert main(["codes", "validate", *map(str, paths)]) == 1
    (tmp_path / "node.toml").write_text(
        '[node]\nbind = "tcp://127.0.0.1:*"\ncurve = false\ncodes = ["one/*.json"]\n[broker]\nopen = true\nhost ='
        ' "127.0.0.1"\nport = 1\n'
    )
    assert main(["serve", str(tmp_path / "node.toml")]) == 2
    assert "stands for another intersection" in capsys.readouterr().err
    assert main(["codes", "import", str(one / "0.json"), "--out", str(one)]) == 2
    (one / "7.json").rename(tmp_path / "7.json")
    assert main(["codes", "import", str(tmp_path / "7.json"), "--out", str(one)]) == 0
    assert "stands for another intersection" in capsys.readouterr().out
    mended = codes.load_all(sorted(one.glob("*.json")))
    assert [parse_code(code.id).serial for code in mended] == [1, 2]


def test_one_revision_with_two_contents_is_refused_when_loading(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(dump(GOOD))
    (tmp_path / "b.json").write_bytes(dump(replace(GOOD, accuracy_cm=20)))
    with pytest.raises(codes.CodeError, match="revision stands for another content"):
        codes.load_all([tmp_path / "a.json", tmp_path / "b.json"])
    (tmp_path / "b.json").write_bytes(dump(replace(GOOD, accuracy_cm=20, revision=2, valid_from=T)))
    assert len(codes.load_all([tmp_path / "a.json", tmp_path / "b.json"])) == 2


def test_a_digital_code_is_brought_in_as_it_is_and_a_changed_one_needs_a_revision(tmp_path: Path) -> None:
    file, out = tmp_path / "code.json", tmp_path / "out"
    command = ["codes", "import", str(file), "--out", str(out)]
    file.write_bytes(dump(GOOD))
    assert main(command) == 0
    assert main(command) == 0
    file.write_bytes(dump(replace(GOOD, accuracy_cm=20)))
    assert main(command) == 2
    file.write_bytes(dump(replace(GOOD, accuracy_cm=20, revision=2)))
    assert main(command) == 0
    assert codes.load(out / "0.json").accuracy_cm == 20
    assert codes.load(out / "history" / f"{GOOD.id}.r1.json") == GOOD


def test_a_change_with_a_beginning_stands_beside_what_is_in_force(tmp_path: Path) -> None:
    taken(tmp_path, town("A"))
    first = files(tmp_path)["0.json"]
    changed = Crossing.plain(2)
    changed.lane("Ein0").speed = 8.33
    later = [_placed(changed, "A", 0)]
    taken(tmp_path, later, valid_from=T + 10**12)
    assert list(files(tmp_path)) == ["0-r2.json", "0.json"]
    assert files(tmp_path)["0.json"] == first
    assert codes.load(tmp_path / "0-r2.json").valid_from == T + 10**12
    changed = Crossing.plain(2)
    changed.lane("Ein0").speed = 5.56
    with pytest.raises(codes.CodeError, match="valid_from"):
        taken(tmp_path, [_placed(changed, "A", 0)], valid_from=T)
    taken(tmp_path, [_placed(changed, "A", 0)])
    assert list(files(tmp_path)) == ["0-r3.json", "0.json"]
    assert codes.load(tmp_path / "0-r3.json").valid_from == T + 10**12
    with CodeFolder.opened(tmp_path) as folder:
        out = take_import(folder, Imported([_placed(changed, "A", 0)], "x", ()), "town.net.xml", T + 2 * 10**12)
    assert list(files(tmp_path)) == ["0-r3.json"]
    assert "was followed by revision 3" in out.removed[0]


def test_a_folder_from_before_there_was_a_registry_is_taken_over(tmp_path: Path) -> None:
    for k, code in enumerate(Imported(town("A", "B"), "", ())):
        rule = Rule("R90", "no_entry", (Target(code.lanes[0].id),), classes=("truck",))
        (tmp_path / f"{k}.json").write_bytes(dump(replace(code, rules=(*code.rules, rule))))
    changed = Crossing.plain(2)
    changed.lane("Ein1").offset = 1.0
    before = [codes.load(tmp_path / f"{k}.json") for k in range(2)]
    out = taken(tmp_path, [_placed(changed, "A", 0)])
    (now,) = [item.code for item in out.taken]
    assert (now.id, now.revision, now.rules) == (before[0].id, 2, before[0].rules)
    assert {lane.id for lane, old in zip(now.lanes, before[0].lanes, strict=True) if lane != old} == {"L2"}
    assert "it stays" in out.removed[0]
    assert len(Registry.load(tmp_path / "registry.jsonl")) == 2


def test_the_beginning_of_a_revision_is_a_time_with_its_zone(tmp_path: Path) -> None:
    assert time_of("2026-12-01T04:00:00+08:00") == time_of("2026-11-30T20:00:00Z") == 1_796_068_800 * 10**9
    assert (time_of("17"), time_of(None)) == (17, None)
    for wrong in ("2026-12-01T04:00:00", "tomorrow", ""):
        with pytest.raises(codes.CodeError, match="time with its zone"):
            time_of(wrong)
    (tmp_path / "code.json").write_bytes(dump(GOOD))
    assert (
        main(["codes", "import", str(tmp_path / "code.json"), "--out", str(tmp_path / "out"), "--valid-from", "noon"])
        == 2
    )


def test_a_map_that_does_not_say_where_it_lies_is_laid_where_it_lay(tmp_path: Path) -> None:
    """A network without a projection is laid by its middle: a road added at its edge moves the middle."""
    from cloudctl.codes.update.likeness import shifted

    guess = (
        Loss(
            "guessed",
            "location",
            "the network has no projection: laid at Beijing E-Town, its middle at 39.7955, 116.5080",
        ),
    )
    taken(tmp_path, town("A", "B"), losses=guess)
    before = files(tmp_path)
    out = taken(tmp_path, [shifted(code, (12_000, -7_000)) for code in town("A", "B")], losses=guess)
    assert files(tmp_path) == before
    assert any("kept where the last import laid it" in loss.detail for loss in out.losses)
