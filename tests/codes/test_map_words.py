"""Words of maps that are easily read as something else: signs by number, deleted elements, limits of 0, permissions
that contradict each other."""

import xml.etree.ElementTree as ET

import pytest
from drawn_roads import crossing
from lanelet_roads import PIECES, Roads, lane_of, one, told
from sumo_crossing import imported, road
from sumo_crossing import one as one_network

from cloudctl.codes import CodeError
from cloudctl.codes.formats.lanelet2.importer import import_lanelet2
from cloudctl.codes.formats.opendrive.importer import import_opendrive


@pytest.mark.parametrize("kind", ["123", "de-123", "de123", "105", "cn-120", "206-50", "de101", "62", "de-40"])
@pytest.mark.parametrize("subtype", ["speed_limit", "traffic_sign"])
def test_the_number_of_a_sign_is_no_limit(kind: str, subtype: str) -> None:
    roads = Roads()
    sign = roads.sign(kind, subtype)
    found = import_lanelet2(roads.draw({"W in": {"speed_limit": "50"}}, {"W in": [sign]}).xml())
    assert lane_of(one(found), "W in").speed == 13.89
    assert told(found, "unknown", kind, "left out")


@pytest.mark.parametrize(("subtype", "speed"), [("speed_limit", 11.11), ("traffic_sign", 13.89)])
def test_a_number_alone_is_a_limit_only_in_an_element_of_limits(subtype: str, speed: float) -> None:
    roads = Roads()
    sign = roads.sign("40", subtype)
    assert (
        lane_of(one(import_lanelet2(roads.draw({"W in": {"speed_limit": "50"}}, {"W in": [sign]}).xml())), "W in").speed
        == speed
    )


def test_a_number_in_the_value_of_a_sign_is_its_limit() -> None:
    roads = Roads()
    way = roads.way((-40, -6), (-40, -6.5), type="traffic_sign", subtype="maximum_speed", value="110")
    sign = roads.relation(("refers", way), type="regulatory_element", subtype="traffic_sign")
    assert (
        lane_of(
            one(import_lanelet2(roads.draw({"W in": {"location": "nonurban"}}, {"W in": [sign]}).xml())), "W in"
        ).speed
        == 30.56
    )


@pytest.mark.parametrize("marks", [{"action": "delete"}, {"visible": "false"}])
@pytest.mark.parametrize("tag", ["relation", "way", "node"])
def test_what_an_editor_marked_as_deleted_is_left_out(marks: dict[str, str], tag: str) -> None:
    root = ET.fromstring(Roads().draw().xml())
    whole = len(import_lanelet2(ET.tostring(root))[0].connections)
    relation = next(item for item in root.iter("relation") if any(t.get("v") == "S to E" for t in item.iter("tag")))
    way = next(
        item for item in root.iter("way") if item.get("id") == next(m.get("ref") for m in relation.iter("member"))
    )
    refs = [nd.get("ref") for nd in way.iter("nd")]
    marked = {
        "relation": [relation],
        "way": [way],
        "node": [node for node in root.iter("node") if node.get("id") in refs[1:-1]],
    }[tag]
    for item in marked:
        item.attrib.update(marks)
    found = import_lanelet2(ET.tostring(root))
    # Without a point a bound is a shorter line
    assert len(one(found).connections) == (whole if tag == "node" else whole - 1)
    assert told(found, "dropped", "marked as deleted", tag)


@pytest.mark.parametrize("name", [name for name in PIECES if name != "S to E"])
@pytest.mark.parametrize("turning", [True, False])
def test_exchanged_bounds_turn_only_the_lanelet_that_has_them(name: str, turning: bool) -> None:
    left, right = {**PIECES}[name]
    roads = Roads()
    exchanged = Roads()
    pieces = {key: value for key, value in PIECES.items() if turning or key != "S to E"}
    for drawing, swap in ((roads, ""), (exchanged, name)):
        for key, (a, b) in pieces.items():
            first, second = (b, a) if key == swap else (a, b)
            drawing.relation(
                ("left", drawing.way(*first)), ("right", drawing.way(*second)), type="lanelet", name=key, subtype="road"
            )
    plain, repaired = import_lanelet2(roads.xml()), import_lanelet2(exchanged.xml())
    assert len(left) == len(right)
    assert [c.points for c in one(repaired).connections] == [c.points for c in one(plain).connections]
    assert [str(loss).split(":")[1].strip() for loss in repaired.losses if "exchanged" in str(loss)] == [
        f"lanelet {name}"
    ]


@pytest.mark.parametrize("text", ['max="0"', 'max=""', 'max="-1"', 'max="fast"', "", 'max="0" unit="km/h"'])
def test_a_limit_of_a_lane_that_is_none_is_reported(text: str) -> None:
    found = import_opendrive(crossing(ingress={1: f'<speed sOffset="0" {text}/>'}))
    assert told(found, "unknown", "lane/speed@max", "no limit is taken")
    assert {item.speed for item in found[0].lanes} == {13.89}


@pytest.mark.parametrize("text", ['max="no limit"', 'max="undefined"'])
def test_a_limit_that_the_format_says_is_none_is_no_fault(text: str) -> None:
    assert not told(import_opendrive(crossing(ingress={1: f'<speed sOffset="0" {text}/>'})), "unknown")


@pytest.mark.parametrize(("text", "taken"), [("1", 0.5), ("500", 42.0)])
def test_a_limit_that_a_code_cannot_have_is_taken_as_the_nearest_in_every_format(text: str, taken: float) -> None:
    lanelets = import_lanelet2(Roads().draw({"W in": {"speed_limit": text}}).xml())
    assert lane_of(one(lanelets), "W in").speed == taken
    assert told(lanelets, "unknown", "speed_limit", f"{taken:g} m/s is taken")
    drive = import_opendrive(crossing(ingress={1: f'<speed sOffset="0" max="{text}" unit="km/h"/>'}))
    assert taken in {item.speed for item in one(drive).lanes}
    assert told(drive, "unknown", "speed@max", f"{taken:g} m/s is taken")


@pytest.mark.parametrize(("speed", "taken"), [(44.44, 42.0), (300.0, 42.0), (0.2, 0.5), (0.0, 0.5)])
def test_a_limit_of_a_network_that_a_code_cannot_have_is_taken_as_the_nearest(speed: float, taken: float) -> None:
    found = imported(road(["", ""], [speed, 13.89]))
    code = one_network(road(["", ""], [speed, 13.89]))
    assert {item.speed for item in code.lanes if item.alias[0].value == "w_0"} == {taken}
    assert told(found, "unknown", "lane@speed", f"{taken:g} m/s is taken")


def test_disallow_beside_allow_is_reported() -> None:
    assert told(imported(road(['allow="bus taxi" disallow="taxi"', ""])), "differs", "disallow", "allow is taken alone")


@pytest.mark.parametrize(("response", "differs"), [("010", True), ("000", False)])
def test_a_connection_that_never_yields_and_yields_is_reported(response: str, differs: bool) -> None:
    data = road(["", ""]).replace(
        b'<request index="0" response="000"', f'<request index="0" response="{response}"'.encode()
    )
    data = data.replace(b'<connection from="w" ', b'<connection pass="1" from="w" ', 1)
    assert told(imported(data), "differs", "connection@pass") == differs


@pytest.mark.parametrize(
    ("allow", "words"), [("moped bicycle", "the code does not say it"), ("hov", "only the text of the rule says it")]
)
def test_users_without_a_class_are_said_to_be_in_the_text_only_where_they_are(allow: str, words: str) -> None:
    data = road([f'allow="{allow}"', ""])
    assert told(imported(data), "differs", "lane: who may use it", words)
    assert any(word in rule.text for rule in imported(data)[0].rules for word in ("moped", "hov")) == (
        "only the text" in words
    )


def test_a_file_of_deleted_elements_alone_is_refused() -> None:
    root = ET.fromstring(Roads().draw().xml())
    for item in root:
        item.set("action", "delete")
    with pytest.raises(CodeError, match="holds no node"):
        import_lanelet2(ET.tostring(root))


def test_an_unknown_word_among_those_kept_out_changes_nothing_and_is_reported() -> None:
    found = imported(road(['disallow="lorry"', ""]))
    assert told(found, "unknown", "lorry")
    assert found[0].lanes == imported(road(["", ""]))[0].lanes
    assert found[0].rules == imported(road(["", ""]))[0].rules


def test_a_slow_path_through_a_junction_keeps_its_limit() -> None:
    code = one_network(
        road(["", ""]).replace(b'<lane id=":c_0_0" index="0" speed="13.89"', b'<lane id=":c_0_0" index="0" speed="0.3"')
    )
    assert code.connections[0].speed == 0.3
