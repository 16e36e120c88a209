"""Damaged files of every format: each comes in or is refused in words; nothing else is ever raised."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from drawn_lanelets import crossing
from made_maps import rich_j2735, rich_ydt
from paths import DATA

from cloudctl import codes, maps
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.geojson import write_geojson
from cloudctl.codes.formats.ydt.export import write_ydt_map
from cloudctl.signals.spat import read_spat
from cloudctl.signals.ydt_spat import read_ydt_spat

GOOD = codes.load(maps.path("intersection.json"))
ROAD = """<OpenDRIVE><header/><road id="{0}" length="50" junction="{1}"><link>{2}</link><planView><geometry s="0" x="{3}" y="{4}" hdg="{5}" length="50"><line/></geometry></planView><lanes>
<laneSection s="0"><center><lane id="0"/></center><right><lane id="-1" type="driving"><link>{6}</link><width sOffset="0" a="3.5"/></lane></right></laneSection></lanes></road>"""  # noqa: E501
BITS = (b"9", b"-", b"null", b"0", b"1e9", b"inf", b'""', b"{}", b"[]", b"<", b"\x00", b"\xff")


def drive() -> bytes:
    """Return two roads that cross in one junction."""
    rows = []
    for k, (x, y, h) in enumerate(((-75, 0, 0.0), (0, -75, 1.5707963))):
        dx, dy = (50, 0) if k == 0 else (0, 50)
        link = (
            '<predecessor elementType="road" elementId="{0}" contactPoint="end"/><successor elementType="road" '
            'elementId="{1}" contactPoint="start"/>'
        )
        same = '<predecessor id="-1"/><successor id="-1"/>'
        for n, junction, ties in (
            (0, "-1", '<successor elementType="junction" elementId="9"/>'),
            (1, "9", link.format(3 * k, 3 * k + 2)),
            (2, "-1", '<predecessor elementType="junction" elementId="9"/>'),
        ):
            rows.append(
                ROAD.format(3 * k + n, junction, ties, x + n * dx, y + n * dy, h, same if n == 1 else "").replace(
                    "<OpenDRIVE><header/>", ""
                )
            )
    junction = "".join(
        f'<connection id="{k}" incomingRoad="{3 * k}" connectingRoad="{3 * k + 1}" contactPoint="start"><laneLink '
        'from="-1" to="-1"/></connection>'
        for k in (0, 1)
    )
    return (
        f'<OpenDRIVE><header/>{"".join(rows)}<junction id="9" name="cross">{junction}</junction></OpenDRIVE>'.encode()
    )


WHOLE = {
    "lanelet2": crossing().xml(),
    "opendrive": drive(),
    "ydt3709": write_ydt_map(GOOD, 19),
    "j2735": json.dumps(rich_j2735()).encode(),
    "geojson": write_geojson(GOOD),
    "compact": codes.compact(GOOD),
    "json": codes.dump(GOOD),
    "lanelet2 with rules": (DATA / "crossing.osm").read_bytes(),
    "opendrive with signals": (DATA / "crossing.xodr").read_bytes(),
}


def damaged(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        i, way = rng.randrange(len(out)), rng.random()
        if way < 0.3:
            out[i] = rng.randrange(256)
        elif way < 0.6:
            out[i : i + 1] = rng.choice(BITS)
        elif way < 0.8:
            del out[i : i + rng.choice((1, 5, 50))]
        else:
            out = out[: max(i, 4)]
        out = out or bytearray(b"x")
    return bytes(out)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_comes_in(name: str) -> None:
    found = read_any(WHOLE[name], name)
    assert len(found) == 1
    assert [f for f in codes.validate(found[0]) if f.severity == "error"] == []


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", WHOLE)
def test_a_damaged_file_comes_in_or_is_refused(name: str) -> None:
    rng, refused = random.Random(name), list[codes.Finding]()
    for _ in range(120):
        try:
            for code in read_any(damaged(WHOLE[name], rng), name):
                codes.validate(code)
        except codes.CodeError as error:
            refused += error.findings
    assert len(refused) > 10
    assert all(finding.rule and finding.remedy for finding in refused)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": "\xd1"}',
        b'{"intersections": "\xff"}',
        b"{" * 5000,
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"intersections": [{"id": {"id": 1e999}}]}',
        b'{"nodes": [{"id": {"id": 1e999}}]}',
    ],
)
def test_text_that_is_none_is_refused(data: bytes) -> None:
    for read in (codes.loads, lambda d: read_spat(d, 0), lambda d: read_ydt_spat(d, 0), lambda d: read_any(d, "file")):
        with pytest.raises(codes.CodeError):
            read(data)


ODD = (None, True, -1, 1e300, 2**70, "", "zz", [], [[]], {}, {"a": {}}, [None], "9" * 400)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("make", [rich_j2735, rich_ydt], ids=["j2735", "ydt3709"])
def test_a_message_with_odd_values_comes_in_or_is_refused(make: Callable[[], dict[str, Any]]) -> None:
    rng, refused = random.Random(5), list[codes.Finding]()
    for _ in range(400):
        tree = copy.deepcopy(make())
        for _ in range(rng.choice((1, 1, 3))):
            item: Any = tree
            while True:
                keys = list(item) if isinstance(item, dict) else list(range(len(item)))
                key = rng.choice(keys)
                if isinstance(item[key], dict | list) and item[key] and rng.random() < 0.9:
                    item = item[key]
                    continue
                item[key] = copy.deepcopy(rng.choice(ODD))
                break
        try:
            for code in read_any(json.dumps(tree).encode(), "message"):
                codes.validate(code)
        except codes.CodeError as error:
            refused += error.findings
    assert refused
    assert all(finding.rule and finding.remedy for finding in refused)
