"""A folder of codes whose SUMO network is edited by script: what was not edited keeps its ids and rules."""

import re
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from cloudctl import codes
from cloudctl.__main__ import main
from cloudctl.codes.canon import dump, parse
from cloudctl.codes.rule import Rule, Target


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of four signals, made by netgenerate, and its plain files beside."""
    folder = tmp_path_factory.mktemp("grid")
    _sumo(
        "netgenerate",
        "--grid",
        "--grid.number",
        "2",
        "--grid.length",
        "200",
        "--grid.attach-length",
        "150",
        "-L",
        "3",
        "-j",
        "traffic_light",
        "--no-turnarounds",
        "-o",
        folder / "grid.net.xml",
    )
    _sumo("netconvert", "-s", folder / "grid.net.xml", "--plain-output-prefix", folder / "grid")
    return folder


def _sumo(program: str, *args: object) -> None:
    home = Path(pytest.importorskip("sumo").SUMO_HOME)
    subprocess.run([home / "bin" / program, *map(str, args)], check=True, capture_output=True)


def _imported(net: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    capsys.readouterr()
    assert main(["codes", "import", str(net), "--out", str(out), *more]) == 0
    return capsys.readouterr().out


def _first_import(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[Path, Path, str, dict[str, codes.IntersectionCode]]:
    """Import the grid; return the folder of codes, the network's file, its text, and the codes by file."""
    out, net = tmp_path / "codes", tmp_path / "grid.net.xml"
    text = (grid / "grid.net.xml").read_text()
    net.write_text(text)
    _imported(net, out, capsys)
    return out, net, text, {path.name: codes.load(path) for path in out.glob("*.json")}


def _moved_lane(text: str, name: str, by: float) -> str:
    """Return a network with a lane moved across (every lane of the grid runs along x or y)."""

    def shape(found: re.Match[str]) -> str:
        points = [tuple(map(float, point.split(","))) for point in found[2].split()]
        along_x = abs(points[0][1] - points[-1][1]) < 1
        return (
            found[1]
            + " ".join(f"{x + (0 if along_x else by):.2f},{y + (by if along_x else 0):.2f}" for x, y in points)
            + found[3]
        )

    return re.sub(rf'(<lane id="{name}"[^>]*shape=")([^"]*)(")', shape, text)


def test_a_network_with_one_lane_moved_differs_in_that_lane_only(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, net, text, before = _first_import(grid, tmp_path, capsys)
    lane = next(lane for lane in before["0.json"].lanes if lane.alias[0].value == "B0A0_1")
    edited = replace(
        before["0.json"],
        revision=2,
        rules=(*before["0.json"].rules, Rule("R90", "no_entry", (Target(lane.id, 10.0, 50.0),), classes=("truck",))),
    )
    (out / "0.json").write_bytes(dump(edited))
    net.write_text(_moved_lane(text, "B0A0_1", 1.0))
    said = _imported(net, out, capsys)
    assert re.search(rf"lane 2 of east approach \({lane.id}\) moved 1\.0 m to the", said), said
    assert "lost its place" not in said
    after = {path.name: codes.load(path) for path in out.glob("*.json")}
    for name, code in before.items():
        was, now = ({item.id: item for item in c.lanes} for c in (code, after[name]))
        assert set(was) == set(now)
        assert {item for item in was if was[item].points != now[item].points} == {
            x.id for x in code.lanes if x.alias[0].value == "B0A0_1"
        }
    (rule,) = [rule for rule in after["0.json"].rules if rule.id == "R90"]
    assert rule.targets == (Target(lane.id, 10.0, 50.0),)


@pytest.mark.parametrize("edit", ["removed", "added", "both"])
def test_a_network_built_anew_with_a_lane_more_or_less_keeps_ids_and_rules(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], edit: str
) -> None:
    """netconvert builds the whole network anew: lanes of the edited roads are renumbered, ends are cut otherwise, links
    in the signal too."""
    out, net = tmp_path / "codes", tmp_path / "grid.net.xml"
    net.write_text((grid / "grid.net.xml").read_text())
    _imported(net, out, capsys)
    before = {path.name: codes.load(path) for path in out.glob("*.json")}
    for name, code in before.items():
        rules = tuple(
            Rule(f"R{100 + k}", "no_stopping", (Target(lane.id),), text=lane.alias[0].value)
            for k, lane in enumerate(code.lanes)
        )
        (out / name).write_bytes(dump(replace(code, revision=2, rules=(*code.rules, *rules))))
    edges, joins = (grid / "grid.edg.xml").read_text(), (grid / "grid.con.xml").read_text()
    lanes = {"A0B0": 2} if edit == "removed" else {"A1B1": 4} if edit == "added" else {"A0B0": 2, "A1B1": 4}
    for edge, count in lanes.items():
        edges = re.sub(rf'(<edge id="{edge}"[^>]*numLanes=")3"', rf'\g<1>{count}"', edges)
    joins = (
        re.sub(
            r'<connection from="A0B0"[^>]*fromLane="2"[^>]*/>|<connection [^>]*to="A0B0"[^>]*toLane="2"[^>]*/>',
            "",
            joins,
        )
        if "A0B0" in lanes
        else joins
    )
    (tmp_path / "e.edg.xml").write_text(edges)
    (tmp_path / "e.con.xml").write_text(joins)
    _sumo(
        "netconvert",
        "-n",
        grid / "grid.nod.xml",
        "-e",
        tmp_path / "e.edg.xml",
        "-x",
        tmp_path / "e.con.xml",
        "--no-turnarounds",
        "-o",
        net,
    )
    said = _imported(net, out, capsys)
    lost = added = 0
    for name, code in before.items():
        now = codes.load(out / name)
        assert now.id == code.id
        is_there = {lane.id: lane for lane in now.lanes}
        for lane in code.lanes:
            edge = lane.alias[0].value.rpartition("_")[0]
            if lane.id not in is_there:
                assert edge == "A0B0"
                lost += 1
            elif edge not in lanes:
                assert is_there[lane.id].alias == lane.alias
            else:
                assert is_there[lane.id].alias[0].value.rpartition("_")[0] == edge
        added += len(set(is_there) - {lane.id for lane in code.lanes})
        kept = {rule.text: rule.targets for rule in now.rules if rule.text}
        for lane in code.lanes:
            assert kept.get(lane.alias[0].value) == ((Target(lane.id),) if lane.id in is_there else None)
    assert (lost > 0, added > 0) == (edit != "added", edit != "removed")
    assert said.count("lost its place") == 2 * lost  # once in what changed, once among the losses
    assert said.count(") removed, with movements") + said.count(") removed\n") >= lost


def test_a_road_of_a_network_split_in_two_keeps_its_rules_on_both_parts(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, net = tmp_path / "codes", tmp_path / "grid.net.xml"
    net.write_text((grid / "grid.net.xml").read_text())
    _imported(net, out, capsys)
    before = {path.name: codes.load(path) for path in out.glob("*.json")}
    name, code = next((name, code) for name, code in before.items() if any(a.value == "A1" for a in code.alias))
    lane = next(lane for lane in code.lanes if lane.alias[0].value == "A0A1_1")
    rules = (
        Rule("R90", "no_stopping", (Target(lane.id, 10.0, 30.0),)),
        Rule("R91", "no_entry", (Target(lane.id),), classes=("truck",)),
    )
    (out / name).write_bytes(dump(replace(code, revision=2, rules=(*code.rules, *rules))))
    nodes, edges, joins = ((grid / f"grid.{kind}.xml").read_text() for kind in ("nod", "edg", "con"))
    (x0, y0), (x1, y1) = (
        map(float, re.search(rf'<node id="{node}" x="([^"]*)" y="([^"]*)"', nodes).groups()) for node in ("A0", "A1")
    )
    half = f'<node id="half" x="{(x0 + x1) / 2}" y="{(y0 + y1) / 2}" type="priority"/>'
    (tmp_path / "s.nod.xml").write_text(nodes.replace("</nodes>", half + "</nodes>"))
    edge = re.search(r'<edge id="A0A1"[^>]*/>', edges)[0]
    lower = edge.replace('from="A0"', 'from="half"')
    upper = edge.replace('id="A0A1"', 'id="A0half"').replace('to="A1"', 'to="half"')
    (tmp_path / "s.edg.xml").write_text(edges.replace(edge, lower + upper))
    (tmp_path / "s.con.xml").write_text(re.sub(r'(<connection [^>]*to=")A0A1"', r'\g<1>A0half"', joins))
    _sumo(
        "netconvert",
        "-n",
        tmp_path / "s.nod.xml",
        "-e",
        tmp_path / "s.edg.xml",
        "-x",
        tmp_path / "s.con.xml",
        "--no-turnarounds",
        "-o",
        net,
    )
    capsys.readouterr()
    # Whether a joint of no length is sound is the importer's matter
    main(["codes", "import", str(net), "--out", str(out)])
    said = capsys.readouterr().out
    now = parse((out / name).read_bytes(), name)
    ids = {lane.alias[0].value: lane.id for lane in now.lanes}
    assert ids["A0A1_1"] == lane.id
    assert "lost its place" not in said
    kept = {rule.id: rule.targets for rule in now.rules}
    assert [target.entity for target in kept["R90"]] == [ids["A0half_1"]]
    assert (kept["R90"][0].s_from, kept["R90"][0].s_to) == (pytest.approx(10.0, abs=0.3), pytest.approx(30.0, abs=0.3))
    assert {target.entity for target in kept["R91"]} == {lane.id, ids["A0half_1"]}


def test_an_intersection_that_is_renamed_keeps_its_code(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, net, text, before = _first_import(grid, tmp_path, capsys)
    net.write_text(text.replace('"B0"', '"main"').replace(":B0_", ":main_"))
    said = _imported(net, out, capsys)
    after = {path.name: codes.load(path) for path in out.glob("*.json")}
    assert {name: code.id for name, code in after.items()} == {name: code.id for name, code in before.items()}
    for name, code in before.items():
        for table in ("lanes", "links", "connections", "conflicts", "signal_groups", "rules"):
            assert getattr(after[name], table) == getattr(code, table)
    assert said.count('code.name: "B0" -> "main"') == 1
