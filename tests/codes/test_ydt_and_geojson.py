"""MAP of YD/T 3709, GeoJSON and the compact form: there and back, what does not fit, the commands."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from paths import ROOT

from cloudctl import codes, maps
from cloudctl.__main__ import main
from cloudctl.codes.formats.export import Number, export_code
from cloudctl.codes.formats.geojson import read_geojson, write_geojson
from cloudctl.codes.formats.ydt.export import write_ydt_map
from cloudctl.codes.formats.ydt.importer import import_ydt

GOOD = codes.load(maps.path("intersection.json"))


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


@settings(max_examples=20)
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


@settings(max_examples=25)
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
