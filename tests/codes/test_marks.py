"""A byte order mark before any text that is read is skipped: the same comes of it as without."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_lanelets import crossing
from paths import DATA

from cloudctl import codes, maps
from cloudctl.codes import CodeError
from cloudctl.codes.byte_order_mark import without_mark
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.geojson import write_geojson
from cloudctl.codes.formats.ydt.export import ydt_tree
from cloudctl.io import zeromq
from cloudctl.node import config

CODE = codes.load(maps.path("intersection.json"))
TEXTS: dict[str, Callable[[], bytes]] = {
    "SUMO network": lambda: (DATA / "crossing.net.xml").read_bytes(),
    "Lanelet2": lambda: crossing().xml(),
    "digital code": lambda: codes.dump(CODE),
    "GeoJSON": lambda: write_geojson(CODE),
    "MAP of YD/T 3709": lambda: json.dumps(ydt_tree(CODE, 19, 10)).encode(),
}
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
MARKS = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_mark_before_any_format_is_skipped(name: str, encoding: str) -> None:
    plain = TEXTS[name]()
    marked = MARKS.get(encoding, b"") + plain.decode().encode(encoding)
    want, found = read_any(plain, "file"), read_any(marked, "file")
    assert [codes.dump(code) for code in found] == [codes.dump(code) for code in want]
    assert found.losses == want.losses


def test_a_mark_before_a_code_that_is_loaded_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "code.json"
    path.write_bytes(b"\xef\xbb\xbf" + codes.dump(CODE))
    assert codes.load(path) == CODE


def test_a_mark_before_a_nodes_file_and_a_key_is_skipped(tmp_path: Path) -> None:
    key = "0" * 40  # of Z85: any 32 bytes
    for name, text in (
        ("node.toml", '[broker]\nopen = true\n[node]\nbind = "tcp://127.0.0.1:7788"\ncurve = false\ncodes = []\n'),
        ("a.pub", f'public = "{key}"\n'),
    ):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert config.load(tmp_path / "node.toml").node.bind == "tcp://127.0.0.1:7788"
    assert zeromq.read_keys(tmp_path / "a.pub").public == key


def test_a_mark_of_another_encoding_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CodeError, match="save it as UTF-8"):
        read_any(b"\xff\xfe<net/>x", "x.net.xml")
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe[node]")
    with pytest.raises(config.ConfigError, match="not TOML"):
        config.load(tmp_path / "node.toml")


def test_messages_in_binary_are_left_as_they_are() -> None:
    for data in (codes.compact(CODE), b"\x00\x12\x82", b"\xef\xbb\xbf\x00\x01\x02", b"", b"\xef\xbb"):
        assert without_mark(data) == data
