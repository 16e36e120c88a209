"""The maps that ship: they load clean, belong to E-Town, and the script makes them anew."""

import gzip
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cloudctl import codes, maps

NAMES = [name for name in maps.names() if name.endswith(".json")]


def test_what_ships() -> None:
    assert [*(f"corridor-{k}.json" for k in range(1, 6)), "intersection.json"] == NAMES
    assert "corridor.net.xml.gz" in maps.names()
    with pytest.raises(ValueError, match=r"corridor-1.json"):
        maps.path("nowhere.json")


@pytest.mark.parametrize("name", NAMES)
def test_a_map_is_whole(name: str) -> None:
    code = codes.load(maps.path(name))
    assert codes.validate(code) == []
    assert len(codes.compact(code)) <= 8192
    compiled = codes.compile_code(code)
    assert abs(compiled.origin.lat - 39.7955) < 0.001
    assert abs(compiled.origin.lon - 116.5080) < 0.011
    assert compiled.conn_inner.sum() == 22
    assert (compiled.conn_group >= 0).all()
    assert sorted(g.kind for g in code.signal_groups).count("pedestrian") == 2
    assert (np.bincount(compiled.cw_cross, minlength=4) >= 8).all()
    assert np.isfinite(compiled.lane_to_stop[compiled.lane_role == 0]).all()


def test_the_network_says_nothing_of_where_it_was_made() -> None:
    text = gzip.decompress(maps.path("corridor.net.xml.gz").read_bytes()).decode()
    assert "<!--" not in text
    root = ET.fromstring(text)
    for logic in root.iter("tlLogic"):
        assert sum(float(phase.attrib["duration"]) for phase in logic) == 90.0


def test_the_shipped_codes_are_those_of_the_network() -> None:
    made = codes.import_sumo(maps.path("corridor.net.xml.gz"), adm="110115403")
    assert [codes.content_hash(code) for code in made] == [
        codes.content_hash(codes.load(maps.path(f"corridor-{k}.json"))) for k in range(1, 6)
    ]


def test_the_script_makes_the_same_codes(tmp_path) -> None:
    pytest.importorskip("sumo")
    from cloudctl.maps import make_maps

    net = tmp_path / "one.net.xml.gz"
    make_maps.build(tmp_path, 1, net)
    made = codes.import_sumo(net, adm=make_maps.ADM)
    assert [codes.content_hash(code) for code in made] == [
        codes.content_hash(codes.load(maps.path("intersection.json")))
    ]
