"""Codes are as strict as node.toml: a key that is not known is refused wherever it stands, with its path and the
nearest right one."""

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from paths import DATA

from cloudctl import codes, maps
from cloudctl.__main__ import main
from cloudctl.codes import canon, read_any
from cloudctl.codes.formats import geojson
from cloudctl.codes.strict_json import nearest
from cloudctl.codes.versions import json_schema

WHOLE = json.loads((DATA / "regulations.json").read_text())
PLAIN = json.loads(maps.path("intersection.json").read_bytes())


def objects(tree: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return every object of a tree with its path."""
    if isinstance(tree, dict):
        inner = [found for key, value in tree.items() for found in objects(value, f"{path}.{key}" if path else key)]
        return [(path, tree), *inner]
    return (
        [found for k, item in enumerate(tree) for found in objects(item, f"{path}[{k}]")]
        if isinstance(tree, list)
        else []
    )


@st.composite
def misspelt(draw) -> tuple[str, str, str]:
    """Return the path of an object, a misspelling of one of its keys, and that key."""
    path = draw(st.sampled_from(sorted(OBJECTS)))
    target = OBJECTS[path]
    key = draw(st.sampled_from(sorted(target)))
    at, letter = draw(st.integers(0, len(key) - 1)), draw(st.sampled_from("aeiourstxyz_0"))
    wrong = draw(
        st.sampled_from(
            [
                key[:at] + key[at + 1 :],
                key[:at] + letter + key[at:],
                key[:at] + letter + key[at + 1 :],
                key.upper(),
                key + "s",
                f"{key}_",
                key.replace("_", ""),
            ]
        )
    )
    assume(wrong != key and wrong not in target and wrong not in KNOWN)
    return path, wrong, key


OBJECTS = dict(objects(WHOLE))
KNOWN = {key for _, table in objects(WHOLE) for key in table} | {
    "s_to",
    "s_from",
    "sign",
    "priority",
    "dates",
    "month_days",
    "tz",
    "plates",
    "fuels",
    "waits",
    "valid_to",
    "valid_from",
    "inner",
}


@settings(max_examples=200)
@given(misspelt())
def test_a_misspelt_key_of_any_entity_at_any_depth_is_refused_with_its_path_and_the_right_key(
    case: tuple[str, str, str],
) -> None:
    path, wrong, right = case
    tree = copy.deepcopy(WHOLE)
    table = dict(objects(tree))[path]
    table[wrong] = table.pop(right)
    data = json.dumps(tree).encode()
    for read in (
        lambda: codes.loads(data),
        lambda: read_any(data, "code.json"),
        lambda: canon.parse(data, "code.json"),
    ):
        with pytest.raises(codes.CodeError) as refused:
            read()
        finding = next(f for f in refused.value.findings if f.field == (f"{path}.{wrong}" if path else wrong))
        assert right in finding.remedy
        assert finding.severity == "error"
        if len(right) > 4:
            assert f"did you mean {right!r}" in finding.remedy


@pytest.mark.parametrize(
    ("wrong", "right", "where"),
    [
        ("clases", "classes", "rules[2]"),
        ("minute", "minutes", "rules[2].calendar"),
        ("holiday", "holidays", "rules[2].calendar"),
        ("s0", "s_from", "rules[2].targets[0]"),
    ],
)
def test_the_keys_that_people_misspell_are_named_with_what_they_meant(
    wrong: str, right: str, where: str, tmp_path: Path, capsys
) -> None:
    tree = copy.deepcopy(WHOLE)
    table = dict(objects(tree))[where]
    table[wrong] = table.pop(right, [])
    file = tmp_path / "0.json"
    file.write_text(json.dumps(tree))
    for command in (
        ["codes", "validate", str(file)],
        ["codes", "import", str(file), "--out", str(tmp_path / "out")],
        ["codes", "show", str(file)],
    ):
        assert main(command) != 0
        said = "".join(capsys.readouterr())
        assert f"{where}.{wrong}" in said
        assert f"did you mean {right!r}" in said
    node = tmp_path / "node.toml"
    node.write_text('[broker]\nopen = true\n[node]\ncurve = false\nbind = "tcp://127.0.0.1:0"\ncodes = ["0.json"]\n')
    assert main(["serve", str(node)]) != 0
    assert f"did you mean {right!r}" in "".join(capsys.readouterr())


def test_every_fault_of_a_file_is_named_at_once_and_in_which_element_it_stands() -> None:
    tree = copy.deepcopy(PLAIN)
    tree["lanes"][3]["widht_cm"] = tree["lanes"][3].pop("width_cm")
    tree["connections"][7]["turn"] = 3
    del tree["rules"][1]["kind"]
    with pytest.raises(codes.CodeError) as refused:
        codes.loads(json.dumps(tree).encode())
    assert [(f.entity, f.field) for f in refused.value.findings if f.rule != "is required"] == [
        ("L4", "lanes[3].widht_cm"),
        ("C8", "connections[7].turn"),
    ]
    assert ("R2", "rules[1].kind") in [(f.entity, f.field) for f in refused.value.findings]


def test_a_key_that_stands_twice_is_refused_because_only_the_last_would_count() -> None:
    data = maps.path("intersection.json").read_bytes().replace(b'"revision":', b'"revision":7,"revision":', 1)
    assert data.count(b'"revision"') == 2
    with pytest.raises(codes.CodeError, match="stands twice"):
        codes.loads(data)


def test_unknown_keys_do_not_pass_in_geojson_or_in_the_compact_form() -> None:
    code = codes.load(maps.path("intersection.json"))
    tree = json.loads(geojson.write_geojson(code))
    tree["features"][5]["properties"]["colour"] = "red"
    with pytest.raises(codes.CodeError, match="colour"):
        geojson.read_geojson(json.dumps(tree).encode())
    import zlib

    raw = msgspec.msgpack.decode(zlib.decompress(codes.compact(code)[2:]))
    raw[0]["rules"][0]["clases"] = ["truck"]
    with pytest.raises(codes.CodeError, match="did you mean 'classes'"):
        codes.from_compact(b"C1" + zlib.compress(msgspec.msgpack.encode(raw)))


def test_the_schema_knows_no_further_keys_in_any_object() -> None:
    schema = json_schema()
    tables = {name: table for name, table in schema["$defs"].items() if table.get("type") == "object"}
    assert {"IntersectionCode", "Rule", "Calendar", "Target", "Lane", "Phase"} <= set(tables)
    assert all(table["additionalProperties"] is False for table in tables.values())
    assert "coach" in tables["Rule"]["properties"]["classes"]["items"]["enum"]
    assert tables["Calendar"]["properties"]["weekdays"]["items"]["enum"] == [1, 2, 3, 4, 5, 6, 7]


def test_a_word_that_is_none_of_the_list_is_refused_with_the_nearest_one() -> None:
    tree = copy.deepcopy(WHOLE)
    tree["rules"][3]["classes"] = ["trucks"]
    with pytest.raises(codes.CodeError, match="did you mean 'truck'"):
        codes.loads(json.dumps(tree).encode())


def test_a_code_keeps_the_hash_it_was_issued_with_and_old_readers_read_it() -> None:
    code = codes.load(maps.path("intersection.json"))
    assert codes.content_hash(code) == "05611179895ce9a8d1d38b3e4d0e4b0f195f3803430d101912e8b047b8350572"
    for form in (codes.dump(code), geojson.write_geojson(code)):
        assert not any(f'"{field}"'.encode() in form for field in canon.LATER_DEFAULTS)


def test_a_code_of_a_format_to_come_is_refused_for_that_and_not_for_its_keys() -> None:
    with pytest.raises(codes.CodeError) as refused:
        codes.loads(json.dumps({**PLAIN, "format": 3, "shapes": []}).encode())
    assert [f.field for f in refused.value.findings] == ["format"]


def test_what_narrows_a_rule_is_of_format_2_because_older_readers_would_ban_everybody() -> None:
    tree = copy.deepcopy(WHOLE)
    assert codes.loads(json.dumps(tree).encode()).format == 2
    with pytest.raises(codes.CodeError) as refused:
        codes.loads(json.dumps({**tree, "format": 1}).encode())
    assert {f.field for f in refused.value.findings} >= {"plates", "calendar.make_up", "calendar.date_ranges"}
    assert all("format" in f.rule for f in refused.value.findings)
    again = codes.loads(codes.dump(codes.loads(json.dumps(tree).encode())))
    assert again == codes.from_compact(codes.compact(again)) == geojson.read_geojson(geojson.write_geojson(again))


def test_the_nearest_key_is_the_one_most_like_what_was_written() -> None:
    assert nearest("minuts", ["minutes", "weekdays"], []) == "minutes"
    assert nearest("s0", ["s_from", "s_to"], ["s_from", "s_to"]) == "s_from"
    assert nearest("widthCm", ["width_cm", "points"], ["width_cm"]) == "width_cm"


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"{}",
        b"null",
        b'{"format": []}',
        b'{"rules": {}}',
        b'{"lanes": [[]]}',
        b'{"id": {}, "lanes": [null]}',
        b"{" * 5000,
        b'{"format": true}',
    ],
)
def test_json_that_is_no_code_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(codes.CodeError) as refused:
        codes.loads(data)
    assert refused.value.findings
