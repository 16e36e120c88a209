"""Other maps: each comes in by its content or is refused with what to do, and what goes out comes back the same."""

import json
import re
from pathlib import Path

import pytest
from paths import DATA, OUTSIDE, outside, outside_file

from cloudctl import codes, maps
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.lanelet2.importer import import_lanelet2

GOOD = codes.load(maps.path("intersection.json"))


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
    outside_file("data/README.md")
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
    text = outside_file("data/messages/openv2x_yizhuang_map.md").decode()
    (code,) = found = read_any(map_of_page(text), "map.json")
    assert errors(code) == []
    assert (len(code.connections), len(code.stop_lines), len(code.signal_groups)) == (14, 8, 12)
    assert {c.turn for c in code.connections} == {"straight", "left", "right"}
    assert any("10/12" in loss.detail and loss.what == "guessed" for loss in found.losses)
    assert codes.model.Alias("ydt3709", "10/19") in code.alias


def test_a_swapped_bound_of_a_real_map_is_repaired_and_reported() -> None:
    found = import_lanelet2(outside_file("data/sind/chongqing/map.osm"), adm="500000", origin=(295600000, 1065500000))
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
