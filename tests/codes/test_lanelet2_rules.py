"""Lanelet2 as its tools write it: limits by sign, both directions, participants, subtypes, lights inside, right of way,
local coordinates."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from accounted import ODD, Sample, outcome
from drawn_lanelets import HERE
from lanelet_roads import ELEMENT, KINDS, Roads, lane_of, one, told
from paths import CASES, DATA

from cloudctl import codes
from cloudctl.codes import IntersectionCode
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.lanelet2.importer import import_lanelet2
from cloudctl.codes.formats.lanelet2.rules import sign_speed
from cloudctl.codes.formats.lanelet2.vocabulary import IGNORED
from cloudctl.codes.rules import Vehicle, effective

OWN = DATA / "crossing.osm"


def allowed(code: IntersectionCode, name: str) -> set[str]:
    return {kind for kind in KINDS if effective(code, lane_of(code, name).id, Vehicle(kind), 0, s=20.0).allowed}


@pytest.mark.parametrize(
    ("kind", "speed"),
    [
        ("de274-30", 8.33),
        ("274-50", 13.89),
        ("DE274.1-20", 5.56),
        ("de274.1", 8.33),
        ("usR2-1-25", 11.18),
        ("us-r2-1-40", 17.88),
        ("cn-40", 11.11),
        ("60", 16.67),
        ("50 km/h", 13.89),
        ("30 mph", 13.41),
        ("10 m/s", 10.0),
        ("de325.1", 1.94),
        ("de206", None),
        ("274", None),
        ("de1000-31", None),
        ("usR1-1", None),
        ("", None),
        ("fast", None),
    ],
)
def test_a_sign_shows_its_limit(kind: str, speed: float | None) -> None:
    assert sign_speed(kind) == (pytest.approx(speed, abs=0.01) if speed is not None else None)


@pytest.mark.parametrize("subtype", ["speed_limit", "traffic_sign"])
def test_the_limit_of_a_lane_is_that_of_its_sign(subtype: str) -> None:
    roads = Roads()
    sign = roads.sign("de274-30", subtype)
    found = import_lanelet2(roads.draw({"W in": {"speed_limit": "50 km/h"}}, {"W in": [sign]}).xml())
    assert lane_of(one(found), "W in").speed == 8.33
    assert told(found, "differs", "that of the sign is taken")


@pytest.mark.parametrize(
    "tags", [{"subtype": "speed_limit", "value": "30 km/h"}, {"subtype": "maximum_speed", "sign_type": "de274-30"}]
)
def test_a_sign_may_write_its_limit_beside_its_kind(tags: dict[str, str]) -> None:
    roads = Roads()
    way = roads.way((-40, -6), (-40, -6.5), type="traffic_sign", **tags)
    sign = roads.relation(("refers", way), type=ELEMENT, subtype="speed_limit")
    assert lane_of(one(import_lanelet2(roads.draw(rules={"W in": [sign]}).xml())), "W in").speed == 8.33


def test_a_sign_that_is_not_understood_is_reported() -> None:
    roads = Roads()
    sign = roads.sign("de274-x", "speed_limit")
    found = import_lanelet2(roads.draw(rules={"W in": [sign]}).xml())
    assert told(found, "unknown", "de274-x")
    assert told(found, "guessed", "without a speed limit")


def test_a_limit_for_one_class_binds_that_class() -> None:
    code = one(
        import_lanelet2(Roads().draw({"W in": {"speed_limit": "50", "speed_limit:vehicle:truck": "30 km/h"}}).xml())
    )
    found = lane_of(code, "W in").id
    assert [effective(code, found, Vehicle(kind), 0, s=20.0).speed_max for kind in ("car", "truck")] == [13.89, 8.33]


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({}, "50 km/h, as is usual for urban roads"),
        ({"region": "de", "location": "nonurban"}, "100 km/h, as is usual for nonurban roads of region de"),
        ({"region": "cn", "subtype": "highway"}, "120 km/h, as is usual for highway roads of region cn"),
        ({"subtype": "play_street", "region": "de"}, "7 km/h"),
        ({"region": "zz"}, "50 km/h"),
    ],
)
def test_a_limit_that_is_not_given_is_guessed_by_country_and_named(tags: dict[str, str], words: str) -> None:
    found = import_lanelet2(Roads().draw(every=tags).xml())
    assert told(found, "guessed", words)
    assert lane_of(one(found), "W in").speed == pytest.approx(float(re.findall(r"\d+", words)[0]) / 3.6, abs=0.01)


def test_a_road_for_both_directions_becomes_a_lane_each_way() -> None:
    found = import_lanelet2(Roads().draw({name: {"one_way": "no"} for name in ("W in", "W to E", "E out")}).xml())
    code = one(found)
    roles = {link.id: link.role for link in code.links}
    assert sorted(roles[lane.link] for lane in code.lanes) == ["egress"] * 3 + ["ingress"] * 3
    assert len(code.connections) == 4
    turns = {(c.turn) for c in code.connections}
    assert turns == {"straight", "right"}
    (back,) = [lane for lane in code.lanes if roles[lane.link] == "egress" and lane.points[-1][1] < code.ref_lon_e7]
    assert back.points[0][1] > back.points[-1][1]
    assert told(found, "differs", "both directions")


def test_a_road_for_bicycles_both_ways_is_one_way_for_the_others() -> None:
    code = one(
        import_lanelet2(Roads().draw({name: {"one_way:bicycle": "no"} for name in ("W in", "W to E", "E out")}).xml())
    )
    assert sorted(lane.use for lane in code.lanes) == ["bike", "bike", "vehicle", "vehicle", "vehicle", "vehicle"]


@pytest.mark.parametrize(
    ("tags", "use", "may"),
    [
        ({"participant:vehicle": "yes"}, "vehicle", set(KINDS)),
        ({"participant:vehicle:bus": "yes"}, "bus", {"bus", "emergency"}),  # as on any bus lane
        ({"participant:bus": "yes", "participant:vehicle:taxi": "yes"}, "bus", {"bus", "taxi"}),
        ({"participant:vehicle:taxi": "yes"}, "vehicle", {"taxi"}),
        ({"participant:vehicle": "yes", "participant:vehicle:truck": "no"}, "vehicle", set(KINDS) - {"truck"}),
        ({"participant:vehicle:truck": "no"}, "vehicle", set(KINDS) - {"truck"}),
        ({"participant:vehicle:emergency": "yes"}, "vehicle", {"emergency"}),
        (
            {"participant:vehicle:car": "yes", "participant:vehicle:motorcycle": "yes"},
            "vehicle",
            {"car", "motorcycle", "bicycle"},
        ),
        ({"subtype": "bus_lane"}, "bus", {"bus", "taxi", "emergency"}),
        ({"subtype": "emergency_lane"}, "vehicle", {"emergency"}),
    ],
)
def test_participants_say_who_may_use_a_lane(tags: dict[str, str], use: str, may: set[str]) -> None:
    code = one(import_lanelet2(Roads().draw({"W in": tags}).xml()))
    assert lane_of(code, "W in").use == use
    assert allowed(code, "W in") - {"bicycle"} == may - {"bicycle"}
    assert allowed(code, "S in") == set(KINDS)


@pytest.mark.parametrize("tags", [{"subtype": "bicycle_lane"}, {"participant:bicycle": "yes"}])
def test_a_lane_for_bicycles_is_one(tags: dict[str, str]) -> None:
    code = one(import_lanelet2(Roads().draw(dict.fromkeys(("S in", "S to N", "N out", "S to E"), tags)).xml()))
    assert lane_of(code, "S in").use == "bike"


def test_a_participant_of_no_class_is_reported() -> None:
    assert told(
        import_lanelet2(Roads().draw({"W in": {"participant:vehicle": "yes", "participant:horse": "no"}}).xml()),
        "unknown",
        "participant:horse",
    )


@pytest.mark.parametrize("subtype", ["main_road", "residential", "link"])
def test_a_road_by_another_name_is_imported_and_reported(subtype: str) -> None:
    found = import_lanelet2(
        Roads().draw({name: {"subtype": subtype} for name in ("W in", "S in", "E out", "N out")}).xml()
    )
    assert len(one(found).lanes) == 4
    assert told(found, "unknown", subtype, "taken as road")


@pytest.mark.parametrize("subtype", ["canal", "walkway", "road_shoulder"])
def test_a_refusal_names_the_subtype_that_was_left_out(subtype: str) -> None:
    with pytest.raises(codes.CodeError, match=subtype) as caught:
        import_lanelet2(Roads().draw({name: {"subtype": subtype} for name in ("W in", "S in", "E out", "N out")}).xml())
    assert any(subtype in loss.detail for loss in caught.value.losses)


def test_a_light_that_a_lanelet_inside_names_is_for_that_movement_alone() -> None:
    roads = Roads()
    lights = [roads.light(k) for k in (3, 7, 9)]
    code = one(
        import_lanelet2(roads.draw(rules={"W to E": [lights[0]], "S to N": [lights[1]], "S to E": [lights[2]]}).xml())
    )
    assert {c.turn + c.from_lane: c.group for c in code.connections} == {
        f"straight{lane_of(code, 'W in').id}": 3,
        f"straight{lane_of(code, 'S in').id}": 7,
        f"right{lane_of(code, 'S in').id}": 9,
    }


def test_a_crosswalk_has_the_light_that_it_names() -> None:
    roads = Roads()
    lights = roads.light(3), roads.light(9, "red_green")
    roads.draw(rules={"W in": [lights[0]]})
    roads.relation(
        ("left", roads.way((-9, -6), (-9, 2))),
        ("right", roads.way((-6, -6), (-6, 2))),
        (ELEMENT, lights[1]),
        type="lanelet",
        subtype="crosswalk",
        one_way="no",
    )
    code = one(import_lanelet2(roads.xml()))
    assert [walk.group for walk in code.crosswalks] == [9]
    assert {g.id: g.kind for g in code.signal_groups} == {3: "vehicle", 9: "pedestrian"}


def test_right_of_way_says_who_yields() -> None:
    for low, high in (("W in", "S in"), ("S in", "W in")):
        roads = Roads().draw()
        roads.relation(
            ("yield", roads.ids[low]), ("right_of_way", roads.ids[high]), type=ELEMENT, subtype="right_of_way"
        )
        code = one(import_lanelet2(roads.xml()))
        start = {c.id: c.from_lane for c in code.connections}
        minor = lane_of(code, low).id
        assert code.control == "priority"
        assert all((c.a_yields, c.b_yields) == (start[c.a] == minor, start[c.b] == minor) for c in code.conflicts)


def test_a_yield_sign_says_who_yields() -> None:
    roads = Roads()
    sign = roads.sign("de205", "traffic_sign")
    code = one(import_lanelet2(roads.draw(rules={"S in": [sign]}).xml()))
    start = {c.id: c.from_lane for c in code.connections}
    assert all(c.a_yields == (start[c.a] == lane_of(code, "S in").id) for c in code.conflicts)


def local(data: bytes, lat: str | None = None, shift: tuple[float, float] = (81_000.0, 50_000.0)) -> bytes:
    """Return a map with local_x and local_y on each node; `lat`: what its lat and lon say instead of what they
    should."""
    root = ET.fromstring(data)
    for node in root.iter("node"):
        x, y = (float(v) for v in HERE.to_local(float(node.get("lat", "")), float(node.get("lon", ""))))
        ET.SubElement(node, "tag", k="local_x", v=f"{x + shift[0]:.4f}")
        ET.SubElement(node, "tag", k="local_y", v=f"{y + shift[1]:.4f}")
        if lat is not None:
            node.set("lat", lat)
            node.set("lon", lat)
    return ET.tostring(root)


def test_local_coordinates_stand_in_for_degrees_that_are_missing() -> None:
    plain = one(import_lanelet2(Roads().draw().xml()))
    placed = one(import_lanelet2(local(Roads().draw().xml())))
    assert placed.lanes == plain.lanes  # where degrees agree, they say where the map lies
    for lat in ("", "0", "0.0000000"):
        found = import_lanelet2(local(Roads().draw().xml(), lat))
        code = one(found)
        assert told(found, "guessed", "--at")
        a, b = (codes.compile_code(c) for c in (plain, code))
        assert np.abs(a.path_xy - b.path_xy).max() < 0.1
    away = one(import_lanelet2(local(Roads().draw().xml(), "", (0.0, 0.0)), origin=(310_000_000, 1_210_000_000)))
    assert abs(away.ref_lat_e7 - 310_000_000) < 2000


def test_a_point_without_any_place_is_refused_with_its_text() -> None:
    with pytest.raises(codes.CodeError, match="here") as caught:
        import_lanelet2(Roads().draw().xml().replace(b"lat='39.8", b"lat='here39.8", 1))
    assert "local_x" in caught.value.findings[0].remedy


def test_every_value_of_every_tag_is_read_or_reported() -> None:
    """The tags of one kind of element are all given an odd value at once: the report, the refusal or the codes must
    show it."""
    sample = Sample("Lanelet2", lambda data: read_any(data, "crossing.osm"), OWN.read_bytes(), IGNORED)
    free = {
        ("way", "curbstone", "subtype"): "how high an edge is",
        ("relation", "crosswalk", "one_way"): "people on foot walk both ways",
        ("relation", "walkway", "name"): "of a path left out",
    }
    root, kinds = ET.fromstring(sample.data), dict[tuple[str, str, str], list[ET.Element]]()
    for element in root:
        tags = {tag.get("k", ""): tag for tag in element.findall("tag")}
        kind = tags["subtype" if element.tag == "relation" else "type"].get("v", "") if "type" in tags else ""
        for key, tag in tags.items():
            kinds.setdefault((element.tag, kind, key), []).append(tag)
    assert len(kinds) > 40
    silent = []
    for kind, found in kinds.items():
        kept = [tag.get("v", "") for tag in found]
        for tag in found:
            tag.set("v", ODD)
        if kind not in free and not outcome(sample, ET.tostring(root)).tells(ODD):
            silent.append(kind)
        for tag, value in zip(found, kept, strict=True):
            tag.set("v", value)
    assert silent == []


def test_an_unknown_tag_on_every_element_is_reported() -> None:
    root = ET.fromstring(OWN.read_bytes())
    for element in root:
        if element.tag in ("node", "way", "relation"):
            ET.SubElement(element, "tag", k=f"odd_{element.tag}", v="1")
    found = import_lanelet2(ET.tostring(root))
    assert {kind for kind in ("node", "way", "relation") if told(found, "dropped", f"tag odd_{kind} is not read")} == {
        "node",
        "way",
        "relation",
    }


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("lanelet2_two_way", lambda code: (len(code.lanes), len(code.connections)) == (8, 4)),
        ("lanelet2_speed_by_sign", lambda code: min(lane.speed for lane in code.lanes) == 8.33),
        ("lanelet2_subtype_main_road", lambda code: len(code.lanes) == 4),
        ("bom_lanelet2", lambda code: len(code.lanes) == 4),
    ],
)
def test_the_cases_that_went_wrong_are_right(name: str, right) -> None:
    path = CASES / f"{name}.osm"
    assert right(one(read_any(path.read_bytes(), str(path))))
