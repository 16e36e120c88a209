"""Other maps: each comes in by its content or is refused with what to do, and what goes out comes back the same."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from paths import DATA, OUTSIDE, ROOT, outside

from cloudctl import codes, maps
from cloudctl.__main__ import main
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.export import Number, export_code
from cloudctl.codes.formats.geojson import read_geojson, write_geojson
from cloudctl.codes.formats.lanelet2.importer import import_lanelet2
from cloudctl.codes.formats.ydt.export import write_ydt_map, ydt_tree
from cloudctl.codes.formats.ydt.importer import import_ydt
from cloudctl.codes.formats.ydt.uper import MAP, SPAT, Modules
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.schema import Group, SignalState
from cloudctl.signals.ydt_spat import read_ydt_spat, write_ydt_spat

GOOD = codes.load(maps.path("intersection.json"))


def sample(name: str) -> bytes:
    """Return a file of others, or skip: what is asserted of it holds for no other file."""
    path = OUTSIDE / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is not there: it may not be passed on; another test reads the project's own of its kind")
    return path.read_bytes()


def errors(code: codes.IntersectionCode) -> list[codes.Finding]:
    return [finding for finding in codes.validate(code) if finding.severity == "error"]


# --- every sample comes in, or is refused with what to do ---


def named(path: Path) -> str:
    """Return the name of a file among the cases of a test."""
    return f"{path.parent.name}/{path.name}"


COMES_IN = {  # lanes, connections, signal groups, stop lines, crosswalks
    DATA / "crossing.osm": (4, 2, 3, 2, 2),
    DATA / "crossing.net.xml": (10, 5, 5, 3, 2),
    DATA / "crossing.xodr": (8, 12, 4, 4, 2),
    OUTSIDE / "data/sind/tianjin/map.osm": (20, 28, 4, 10, 4),
    OUTSIDE / "data/sind/chongqing/map.osm": (20, 16, 4, 12, 4),
    OUTSIDE / "data/resco/cologne1/cologne1.net.xml": (19, 23, 4, 8, 0),
}
REFUSED = {
    DATA / "messages/uper_hex.json": "UPER frames as text",
    DATA / "messages/recordings/none.csv": "in each line",
    DATA / "messages/ydt_map_page.md": "a page with JSON",
    DATA / "lights.csv": "CSV",
    OUTSIDE / "data/resco/cologne1/cologne1.rou.xml": "SUMO file of <routes>",
    OUTSIDE / "data/resco/cologne3/cologne3.sumocfg": "SUMO file of <",
    OUTSIDE / "data/mcity/config.yaml": "is text of none of",
    OUTSIDE / "data/messages/ntcip1202_tscbm.txt": "TSCBM",
    OUTSIDE / "data/mcity/dets/detection_3.json": "JSON list",
    OUTSIDE / "data/sind/tianjin/recording_metas.csv": "CSV",
    OUTSIDE / "data/messages/j2735_uper_hex.json": "UPER frames as text",
    OUTSIDE / "data/messages/conflictmonitor/MAP_MinData.csv": "in each line",
    OUTSIDE / "data/messages/openv2x_yizhuang_map.md": "a page with JSON",
}
NO_MAPS = {  # texts of the same kinds, written here
    b"<routes><vehicle id='a' depart='0'/></routes>": "SUMO file of <routes>",
    b"<configuration><input/></configuration>": "SUMO file of <",
    b"trials:\n  - id: 1\n": "is text of none of",
    b"cd10" + b"00" * 240: "TSCBM",
    b'[{"timestamp": 1.0, "objs": []}]': "JSON list",
    b"track,frame,x,y\n1,1,0.0,0.0\n": "CSV",
}


@pytest.mark.parametrize("path", [path for path in COMES_IN if path.exists()], ids=named)
def test_a_map_comes_in_whole(path: Path) -> None:
    found = read_any(path.read_bytes(), str(path))
    assert [errors(code) for code in found] == [[]]
    (code,) = found
    assert found.losses or path.name.endswith(".net.xml")
    parts = (code.lanes, code.connections, code.signal_groups, code.stop_lines, code.crosswalks)
    assert tuple(map(len, parts)) == COMES_IN[path]


@pytest.mark.parametrize("path", [path for path in REFUSED if path.exists()], ids=named)
def test_what_is_no_map_is_refused_with_what_to_do(path: Path) -> None:
    pytest.importorskip("pycrate_asn1dir")
    with pytest.raises(codes.CodeError) as caught:
        read_any(path.read_bytes(), str(path))
    assert REFUSED[path] in str(caught.value)
    assert caught.value.findings[0].remedy


@pytest.mark.parametrize("data", NO_MAPS)
def test_a_text_that_is_no_map_is_refused_with_what_to_do(data: bytes) -> None:
    pytest.importorskip("pycrate_asn1dir")
    with pytest.raises(codes.CodeError) as caught:
        read_any(data, "file")
    assert NO_MAPS[data] in str(caught.value)
    assert caught.value.findings[0].remedy


FRAMES = [DATA / "messages/uper_hex.json", *outside("data/messages/j2735_uper_hex.json")]


@pytest.mark.parametrize("path", FRAMES, ids=named)
def test_every_message_is_a_map_or_is_named(path: Path) -> None:
    pytest.importorskip("pycrate_asn1dir")
    for kind, rows in json.loads(path.read_bytes()).items():
        for row in rows:
            if kind == "MAP":
                assert all(errors(code) == [] for code in read_any(row["hex"].encode(), "message"))
            else:
                with pytest.raises(codes.CodeError, match="not a MAP"):
                    read_any(row["hex"].encode(), "message")


def sorted_out(folder: Path) -> tuple[list[tuple[str, str, int]], list[str]]:
    """Return what of the files of a folder comes in (folder, name, codes) and what is refused, whatever each is: map,
    trips, tracks, pages.
    """
    came, refused = [], []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            found = read_any(path.read_bytes(), str(path))
        except codes.CodeError as error:
            (finding,) = error.findings
            assert all((finding.field, finding.rule, finding.remedy)), path
            refused.append(path.name)
        else:
            assert [errors(code) for code in found] == [[] for _ in found], path
            came.append((path.parent.name, path.name, len(found)))
    return came, refused


def test_every_file_of_the_tests_comes_in_whole_or_is_refused_with_what_to_do() -> None:
    pytest.importorskip("pycrate_asn1dir")
    came, refused = sorted_out(DATA)
    assert {name for folder, name, _ in came if folder == "data"} >= {
        "crossing.net.xml",
        "crossing.osm",
        "crossing.xodr",
    }
    assert len([name for folder, name, _ in came if folder == "cases"]) >= 18
    assert {"lights.csv", "none.csv", "uper_hex.json", "ydt_map_page.md"} <= set(refused)


def test_every_sample_comes_in_whole_or_is_refused_with_what_to_do() -> None:
    pytest.importorskip("pycrate_asn1dir")
    sample("README.md")
    came, refused = sorted_out(OUTSIDE / "data")
    assert came == [
        ("cologne1", "cologne1.net.xml", 1),
        ("cologne3", "cologne3.net.xml", 3),
        ("chongqing", "map.osm", 1),
        ("tianjin", "map.osm", 1),
    ]
    assert len(refused) >= 30


def map_of_page(text: str) -> bytes:
    """Return the JSON that stands in a page, without its comments: what the refusal of the page says to give."""
    return re.sub(r"//[^\n]*", "", text.split("```json")[1].split("```")[0]).encode()


def test_the_map_that_a_page_holds_comes_in() -> None:
    (code,) = read_any(map_of_page((DATA / "messages/ydt_map_page.md").read_text()), "map.json")
    assert errors(code) == []
    assert len(code.connections) == len([c for c in GOOD.connections if c.inner])
    assert codes.model.Alias("ydt3709", "10/19") in code.alias


def test_the_map_of_a_beijing_intersection_comes_in() -> None:
    text = sample("messages/openv2x_yizhuang_map.md").decode()
    (code,) = found = read_any(map_of_page(text), "map.json")
    assert errors(code) == []
    assert (len(code.connections), len(code.stop_lines), len(code.signal_groups)) == (14, 8, 12)
    assert {c.turn for c in code.connections} == {"straight", "left", "right"}
    assert any("10/12" in loss.detail and loss.what == "guessed" for loss in found.losses)
    assert codes.model.Alias("ydt3709", "10/19") in code.alias


def test_a_swapped_bound_of_a_real_map_is_repaired_and_reported() -> None:
    found = import_lanelet2(sample("sind/chongqing/map.osm"), adm="500000", origin=(295600000, 1065500000))
    assert [loss.entity for loss in found.losses if loss.what == "repaired"] == ["lanelet R2In3"]
    assert abs(found[0].ref_lat_e7 - 295600000) < 10_000
    assert not any("laid at" in loss.detail for loss in found.losses)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<osm/>",
        b"<osm><node id='1' lat='1' lon='1'/></osm>",
        b"<osm",
        b"<net",
        b"<kml/>",
        b"{}",
        b"{",
        b"\x1f\x8bxx",
        b"C1x",
        b'{"nodes": 3}',
        b'{"nodes": [{"id": {"id": 1}}]}',
        b'{"payload": 3}',
        b'{"intersections": []}',
        b'{"type":"FeatureCollection","features":[]}',
    ],
)
def test_what_cannot_be_read_is_refused_in_words(data: bytes) -> None:
    pytest.importorskip("pycrate_asn1dir")
    with pytest.raises(codes.CodeError) as caught:
        read_any(data, "file")
    assert caught.value.findings[0].rule
    assert caught.value.findings[0].remedy


# --- there and back ---


def placed(code: codes.IntersectionCode) -> dict:
    """Return what the common profile holds of a code, without its ids: lanes by their lines, movements by their
    lanes."""
    roles = {link.id: link.role for link in code.links}
    lanes = {
        lane.id: (roles[lane.link], lane.use, lane.points, lane.width_cm, lane.speed, lane.revocable)
        for lane in code.lanes
        if roles[lane.link] != "upstream"
    }
    return {
        "lanes": sorted(lanes.values()),
        "crosswalks": sorted((w.axis, w.width_cm, w.group) for w in code.crosswalks),
        "movements": sorted(
            (lanes[c.from_lane][2], lanes[c.to_lane][2], c.turn, c.group) for c in code.connections if c.inner
        ),
        "ref": (code.ref_lat_e7, code.ref_lon_e7),
    }


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["intersection.json", "corridor-1.json", "corridor-4.json"]))
def test_a_map_of_yd_t_3709_goes_out_and_comes_back_the_same(seed: int, name: str) -> None:
    code, rng = codes.load(maps.path(name)), np.random.default_rng(seed)
    groups = [0, *(g.id for g in code.signal_groups if g.kind == "vehicle")]
    lanes = tuple(
        replace(
            lane,
            width_cm=int(rng.integers(200, 500)),
            speed=round(int(rng.integers(100, 1100)) * 0.02, 2),
            use=lane.use if lane.use == "pedestrian" else str(rng.choice(["vehicle", "bus", "bike"])),
        )
        for lane in code.lanes
    )
    code = replace(
        code,
        lanes=lanes,
        connections=tuple(replace(c, group=int(rng.choice(groups))) for c in code.connections),
        rules=(),
    )
    sent = write_ydt_map(code, 19, region=10)
    (back,) = import_ydt(json.loads(sent))
    there, here = placed(code), placed(back)
    for key in ("crosswalks", "movements", "lanes", "ref"):
        assert near(there[key], here[key]), key
    again = import_ydt(json.loads(write_ydt_map(back, 19, region=10)))[0]
    assert placed(again) == here


def near(a, b) -> bool:
    """Return whether two values are the same but for 2e-7 degree (2 cm) in coordinates: stop lines stand on whole
    centimetres."""
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(near, a, b))
    return abs(a - b) <= 2 if isinstance(a, int) and not isinstance(a, bool) else a == b


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_geojson_and_the_compact_form_come_back_exactly(data: st.DataObject) -> None:
    move = data.draw(st.integers(-1000, 1000))
    code = replace(
        GOOD,
        name=data.draw(st.text(max_size=20)),
        revision=data.draw(st.integers(1, 2**31)),
        lanes=tuple(
            replace(lane, points=tuple((a + move, b - move) for a, b in lane.points), speed=data.draw(st.floats(0, 60)))
            for lane in GOOD.lanes
        ),
    )
    assert read_geojson(write_geojson(code)) == code
    assert codes.from_compact(codes.compact(code)) == code


@pytest.mark.parametrize(
    "path", sorted(Path(maps.path("intersection.json")).parent.glob("*.json")), ids=lambda path: path.stem
)
def test_the_compact_form_of_a_shipped_code_is_small(path: Path) -> None:
    assert len(codes.compact(codes.load(path))) <= 8 * 1024


def test_geojson_has_degrees_and_city_codes() -> None:
    tree = json.loads(write_geojson(GOOD))
    lane = next(f for f in tree["features"] if f["properties"]["entity"] == "lanes")
    assert lane["id"].startswith("UST1.110115403.IX.")
    assert np.allclose(lane["geometry"]["coordinates"][0], [116.508, 39.7955], atol=0.02)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda c: replace(
                c,
                lanes=(
                    replace(
                        c.lanes[0], points=tuple((397955000 + 100 * (k % 2), 1165080000 + 100 * k) for k in range(40))
                    ),
                    *c.lanes[1:],
                ),
            ),
            "2 .. 31 points",
        ),
        (
            lambda c: replace(
                c, connections=c.connections + tuple(replace(c.connections[0], id=f"C{k}") for k in range(50, 60))
            ),
            "8 connections",
        ),
        (lambda c: replace(c, crosswalks=c.crosswalks * 20), "32 lanes"),
        (
            lambda c: replace(
                c, lanes=c.lanes + tuple(replace(c.lanes[0], id=f"L{k}", number=k) for k in range(100, 140))
            ),
            "32 lanes",
        ),
    ],
)
def test_what_does_not_fit_is_named_never_cut(change, says: str) -> None:
    with pytest.raises(codes.CodeError, match=says):
        write_ydt_map(change(GOOD), 300)


def test_what_the_map_cannot_carry_is_told() -> None:
    assert {f.field for f in export_code(GOOD, "ydt3709", number=Number(19)).losses} >= {
        "conflicts",
        "plans",
        "nodes.alias",
    }


# --- the commands ---


def test_the_commands(tmp_path: Path, capsys) -> None:
    code = tmp_path / "code.json"
    code.write_bytes(codes.dump(GOOD))
    for to, *more in (("geojson",), ("compact",), ("ydt3709", "--id", "19", "--region", "10")):
        assert main(["codes", "export", str(code), "--to", to, *more]) == 0
    for number, name in enumerate(("code.geojson", "code.cc", "code.ydt.json")):
        assert main(["codes", "import", str(tmp_path / name), "--out", str(tmp_path / str(number))]) == 0
        assert json.loads((tmp_path / str(number) / "losses.jsonl").read_text().splitlines()[0])["codes"]
    assert codes.load(tmp_path / "0" / "0.json") == codes.load(tmp_path / "1" / "0.json") == GOOD
    code.write_bytes(codes.dump(replace(GOOD, revision=2, name="other")))
    assert main(["codes", "diff", str(tmp_path / "0" / "0.json"), str(code)]) == 1
    assert "code.revision: 1 -> 2" in capsys.readouterr().out
    assert main(["codes", "diff", str(code), str(code)]) == 0
    capsys.readouterr()
    assert main(["codes", "schema"]) == 0
    assert "IntersectionCode" in json.loads(capsys.readouterr().out)["$defs"]
    assert main(["codes", "export", str(code), "--to", "ydt3709"]) == 2
    assert "--id" in capsys.readouterr().err


def test_the_code_that_the_manual_explains_is_a_good_one() -> None:
    text = (ROOT / "docs" / "codes.md").read_text()
    code = codes.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1].encode())
    assert codes.validate(code) == []
    assert (len(code.connections), len(code.conflicts), len(code.plans), len(code.rules)) == (2, 1, 1, 4)


# --- SPAT of YD/T 3709 ---

SECOND = 10**9
STATES = [s for s in SignalState if s not in (SignalState.YELLOW_PROTECTED, SignalState.PRE_MOVEMENT)]
tenths = st.integers(1, 35_999)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 255),
            st.sampled_from(STATES),
            st.none() | tenths,
            st.none() | tenths,
            tenths,
            st.none() | st.integers(0, 200),
            st.none() | tenths,
        ),
        min_size=1,
        max_size=16,
        unique_by=lambda row: row[0],
    ),
    st.integers(1_735_689_600_0, 1_767_225_599_9),
)
def test_a_spat_of_yd_t_3709_goes_out_and_comes_back(found: list[tuple], when: int) -> None:
    t = when * SECOND // 10
    groups = tuple(
        Group(
            g,
            s,
            *(None if v is None else t + v * SECOND // 10 for v in (low, high, likely)),
            None if share is None else share / 200,
            None if green is None else t + green * SECOND // 10,
            None if green is None or green > 35_000 else 5 * SECOND,
        )
        for g, s, low, high, likely, share, green in found
    )
    (back,) = read_ydt_spat(write_ydt_spat(19, t, groups, region=10), t + SECOND)
    assert (back.intersection, back.t, back.doubts) == ("10/19", t, ())
    assert back.groups == groups


def test_a_spat_as_converters_write_it_in_both_kinds_of_timing() -> None:
    t = 1_748_764_798_400_000_000
    text = """{"intersections": {"IntersectionState": {"intersectionId": {"region": "10", "id": "19"}, "status": "0010000000000000", "moy": "217919", "timeStamp": "58400", "phases": {"Phase": [
      {"id": "6", "phaseStates": {"PhaseState": [{"light": {"red": null}, "timing": {"counting": {"startTime": "0", "likelyEndTime": "50"}}},
        {"light": {"protected-green": null}, "timing": {"counting": {"startTime": "50", "likelyEndTime": "250"}}}]}},
      {"id": "7", "phaseStates": {"PhaseState": {"light": "6", "timing": {"utcTiming": {"startUTCTime": "35900", "likelyEndUTCTime": "34", "timeConfidence": "100"}}}}}]}}}}"""  # noqa: E501
    (spat,) = read_ydt_spat(text.encode(), t + SECOND)
    assert (spat.t, spat.doubts) == (t, ("failureFlash",))
    assert spat.groups == (
        Group(6, SignalState.RED, None, None, t + 5 * SECOND, None, t + 5 * SECOND, 20 * SECOND),
        Group(7, SignalState.GREEN_PROTECTED, None, None, t + 5 * SECOND, 0.5),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"intersections": [{}]}',
        (
            b'{"intersections": [{"intersectionId": {"id": 1}, "phases": [{"id": 1, "phaseStates": [{"light":'
            b' "blue"}]}]}]}'
        ),
    ],
)
def test_what_is_no_spat_is_refused(data: bytes) -> None:
    with pytest.raises(codes.CodeError, match="YD/T"):
        read_ydt_spat(data, 0)


def test_too_many_phases_are_named() -> None:
    with pytest.raises(codes.CodeError, match="16 phases"):
        write_ydt_spat(19, 0, tuple(Group(k, SignalState.RED) for k in range(1, 18)))


# --- UPER of YD/T 3709, with modules that the user brings ---

MODULES = """V2X DEFINITIONS AUTOMATIC TAGS ::= BEGIN
MessageFrame ::= CHOICE { mapFrame MapData, spatFrame SPAT }
MapData ::= SEQUENCE { msgCnt INTEGER (0..127), nodes SEQUENCE (SIZE (1..32)) OF Node, ... }
Node ::= SEQUENCE { name IA5String (SIZE (1..63)) OPTIONAL, id NodeId, refPos SEQUENCE { lat INTEGER, long INTEGER }, inLinks SEQUENCE (SIZE (1..32)) OF Link OPTIONAL, ... }
NodeId ::= SEQUENCE { region INTEGER (0..65535) OPTIONAL, id INTEGER (0..65535) }
Limits ::= SEQUENCE OF SEQUENCE { type ENUMERATED { unknown, vehicleMaxSpeed }, speed INTEGER (0..8191) }
Link ::= SEQUENCE { name IA5String (SIZE (1..63)) OPTIONAL, upstreamNodeId NodeId, speedLimits Limits OPTIONAL, linkWidth INTEGER (0..32767), lanes SEQUENCE (SIZE (1..32)) OF Lane, ... }
Lane ::= SEQUENCE { laneID INTEGER (0..255), laneWidth INTEGER (0..32767) OPTIONAL, laneAttributes SEQUENCE { shareWith BIT STRING (SIZE (10)) OPTIONAL, laneType LaneType } OPTIONAL,
  maneuvers BIT STRING (SIZE (12)) OPTIONAL, connectsTo SEQUENCE (SIZE (1..8)) OF Connection OPTIONAL, speedLimits Limits OPTIONAL, points SEQUENCE (SIZE (2..31)) OF Point OPTIONAL, ... }
LaneType ::= CHOICE { vehicle BIT STRING (SIZE (8)), crosswalk BIT STRING (SIZE (16)), bikeLane BIT STRING (SIZE (16)), sidewalk BIT STRING (SIZE (16)), ... }
Connection ::= SEQUENCE { remoteIntersection NodeId, connectingLane SEQUENCE { lane INTEGER (0..255), maneuver BIT STRING (SIZE (12)) OPTIONAL } OPTIONAL, phaseId INTEGER (0..255) OPTIONAL }
Point ::= SEQUENCE { posOffset SEQUENCE { offsetLL Offset } }
Place ::= SEQUENCE { lon INTEGER, lat INTEGER }
Offset ::= CHOICE { position-LL1 Place, position-LL2 Place, position-LL3 Place, position-LL4 Place, position-LL5 Place, position-LL6 Place, position-LatLon Place }
SPAT ::= SEQUENCE { msgCnt INTEGER (0..127), intersections SEQUENCE OF SEQUENCE { intersectionId NodeId, status BIT STRING (SIZE (16)), moy INTEGER OPTIONAL, timeStamp INTEGER OPTIONAL,
  phases SEQUENCE (SIZE (1..16)) OF SEQUENCE { id INTEGER (0..255), phaseStates SEQUENCE (SIZE (1..16)) OF SEQUENCE { light Light, timing CHOICE { counting Counting } OPTIONAL } } } }
Light ::= ENUMERATED { unavailable, dark, flashing-red, red, flashing-green, permissive-green, protected-green, yellow, flashing-yellow, ... }
Counting ::= SEQUENCE { startTime INTEGER (0..36001), minEndTime INTEGER (0..36001) OPTIONAL, maxEndTime INTEGER (0..36001) OPTIONAL, likelyEndTime INTEGER (0..36001),
  timeConfidence INTEGER (0..200) OPTIONAL, nextStartTime INTEGER (0..36001) OPTIONAL, nextDuration INTEGER (0..36001) OPTIONAL }
END
"""  # noqa: E501


def test_uper_with_modules_of_ones_own(tmp_path: Path) -> None:
    pytest.importorskip("asn1tools")
    modules, tree = Modules(MODULES), ydt_tree(GOOD, 19, 10)
    for frame in (False, True):
        data = modules.write(MAP, tree, frame=frame)
        assert len(data) < len(json.dumps(tree)) / 8
        assert import_ydt(modules.read(MAP, data))[0] == import_ydt(tree)[0]
    t = 1_748_764_798_400_000_000
    groups = tuple(Group(k, SignalState.RED, t + SECOND, t + 9 * SECOND, t + 2 * SECOND, 0.5) for k in range(1, 17))
    spat = modules.write(SPAT, json.loads(write_ydt_spat(19, t, groups, region=10)), frame=True)
    assert read_ydt_spat(json.dumps(modules.read(SPAT, spat)).encode(), t)[0].groups == groups
    for wrong in (b"", data[:-40], b"zz"):
        with pytest.raises(codes.CodeError, match="no MapData"):
            modules.read(MAP, wrong)
    with pytest.raises(codes.CodeError, match="msgCnt"):
        modules.write(MAP, {**tree, "msgCnt": 200})
    for text in ("nonsense", "A DEFINITIONS ::= BEGIN B ::= INTEGER END"):
        with pytest.raises(codes.CodeError, match=r"MapData|compile"):
            Modules(text)
    (tmp_path / "v2x.asn").write_text(MODULES)
    (tmp_path / "code.json").write_bytes(codes.dump(GOOD))
    asn1 = ["--asn1", str(tmp_path / "v2x.asn")]
    assert (
        main(
            [
                "codes",
                "export",
                str(tmp_path / "code.json"),
                "--to",
                "ydt3709",
                "--id",
                "19",
                "--out",
                str(tmp_path / "map.uper"),
                *asn1,
            ]
        )
        == 0
    )
    assert main(["codes", "import", str(tmp_path / "map.uper"), "--out", str(tmp_path / "back"), *asn1]) == 0
    assert len(codes.load(tmp_path / "back" / "0.json").connections) == len(GOOD.connections)


def test_uper_with_the_definitions_of_the_standard() -> None:
    """The definitions as the page beside the Beijing sample has them; LaneID and the heights, which it leaves out, as
    the standard says."""
    pytest.importorskip("asn1tools")
    found: dict[str, str] = {}
    for block in re.findall(r"```ASN\.1\n(.*?)```", sample("messages/openv2x_yizhuang_map.md").decode(), re.DOTALL):
        lines = [line.split("--")[0].strip() for line in block.splitlines()]
        text = "\n".join(
            line for line in lines if line and line != "one:" and not line.isdigit() and "CSAE" not in line
        )
        for part in re.split(r"(?m)^(?=[A-Z][\w-]* ?::=)", text):
            if name := re.match(r"([A-Z][\w-]*) ?::=", part):
                found.setdefault(name[1], part)
    heights = "".join(f"VertOffset-B{n:02d} ::= INTEGER ({-(1 << n - 1)}..{(1 << n - 1) - 1})\n" for n in range(7, 13))
    whole = (
        "MapData ::= SEQUENCE { msgCnt MsgCount, timeStamp MinuteOfTheYear OPTIONAL, nodes NodeList, ... }\nLaneID "
        "::= INTEGER (0..255)\n"
    )
    modules = Modules(
        "V2X DEFINITIONS AUTOMATIC TAGS ::= BEGIN\n" + whole + heights + "\n".join(found.values()) + "\nEND\n"
    )
    for name in ("intersection.json", "corridor-3.json"):
        tree = ydt_tree(codes.load(maps.path(name)), 19, 10)
        assert modules.read(MAP, modules.write(MAP, tree)) == tree


def test_the_page_of_a_code_works_offline_and_names_everything(tmp_path: Path) -> None:
    (tmp_path / "code.json").write_bytes(codes.dump(replace(GOOD, name="<b>&")))
    assert main(["codes", "show", str(tmp_path / "code.json"), "--out", str(tmp_path / "code.html")]) == 0
    page = (tmp_path / "code.html").read_text()
    assert not re.search(r"(src|href)=|url\((?!#)|https?://(?!www\.w3\.org/2000/svg)", page), "nothing is fetched"
    assert "<b>&" not in page.replace("&lt;b&gt;&amp;", "")
    for name in (
        *(lane.id for lane in GOOD.lanes),
        *(c.id for c in GOOD.connections),
        *(walk.id for walk in GOOD.crosswalks),
    ):
        assert f'data-id="{name}"' in page
    drawn = {re.split(r"[: ]", title)[0] for title in re.findall(r"<title>([^<]*)</title>", page)}
    assert {c.id for c in GOOD.connections if c.inner} | {lane.id for lane in GOOD.lanes} <= drawn, (
        "a row finds its place in the drawing"
    )


def test_every_rule_is_drawn_and_listed() -> None:
    more = (
        Rule("R8", "turn_ban", (Target("C3"),), classes=("truck",)),
        Rule("R9", "construction", (Target("L1", 10.0, 90.0),), 8.33, temporary=True),
        Rule("R10", "height_max", (Target("K3"),), 4.2, calendar=Calendar((6, 7), ((420, 540),))),
        Rule("R11", "closure", (Target("L1", 10.0, 90.0),), temporary=True),
    )
    code = replace(GOOD, rules=(*GOOD.rules, *more))
    assert codes.validate(code) == []
    drawing = codes.show_svg(code)
    for words in (
        "R8: turn ban for truck on C3",
        "R9: construction 30 km/h on L1 10-90 m, temporary",
        "R10: height max 4.2 m on K3 Sa Su 07:00-09:00",
        "R11: closure on L1 10-90 m, temporary",
    ):
        assert f"<title>{words}</title>" in drawing
        assert words.replace(":", "", 1) in drawing
    many = codes.show_svg(replace(code, rules=tuple(replace(more[0], id=f"R{k}") for k in range(99))))
    assert re.search(r"and \d+ more", many)
