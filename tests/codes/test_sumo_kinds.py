"""SUMO networks of every kind: who may use which lane, left-hand traffic, joints of no length, ring-barrier programmes,
no signals."""

import copy
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import CASES, DATA
from stage import GREEN, Stage, T
from sumo_crossing import imported, one, road

from cloudctl import codes
from cloudctl.__main__ import main
from cloudctl.codes import CodeError, IntersectionCode, compile_code
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.sumo.access import ALL_VCLASSES, RAIL_VCLASSES, USER_OF_VCLASS
from cloudctl.codes.model import Lane
from cloudctl.codes.rules import Vehicle, effective
from cloudctl.schema import AdvisoryKind, Hazard

CROSSING = (DATA / "crossing.net.xml").read_text()


def lane_of(code: IntersectionCode, name: str) -> Lane:
    return next(lane for lane in code.lanes if any(alias.value == name for alias in lane.alias))


def may_use(code: IntersectionCode, lane: str) -> set[str]:
    kinds = ("car", "taxi", "bus", "coach", "truck", "motorcycle", "emergency", "tram")
    return {kind for kind in kinds if effective(code, lane_of(code, lane).id, Vehicle(kind), T).allowed}


ROAD_USERS = {"car", "taxi", "bus", "coach", "truck", "motorcycle", "emergency"}
PERMISSIONS = [
    ('allow="tram"', "tram", set(), {"tram"}),
    ('allow="rail_urban"', "tram", set(), {"tram"}),
    ('allow="rail rail_electric rail_fast"', "tram", set(), {"tram"}),
    ('allow="hov"', "vehicle", set(), set()),
    ('allow="evehicle"', "vehicle", set(), set()),
    ('allow="emergency"', "vehicle", set(), {"emergency"}),
    ('allow="emergency authority"', "vehicle", set(), {"emergency"}),
    ('allow="motorcycle moped"', "vehicle", set(), {"motorcycle"}),
    ('allow="truck"', "vehicle", set(), {"truck"}),
    ('allow="delivery"', "vehicle", set(), set()),
    ('allow="custom1"', "vehicle", set(), set()),
    ('disallow="all"', "vehicle", set(), set()),
    ('allow="all"', "vehicle", {"bus", "bike", "pedestrian"}, ROAD_USERS),
    ('allow="taxi bus"', "bus", set(), {"taxi", "bus"}),
    ('allow="bus"', "bus", set(), {"bus", "emergency"}),
    ('allow="bus bicycle"', "bus", {"bike"}, {"bus", "bicycle"} - {"bicycle"}),
    ('allow="tram bus"', "bus", {"tram"}, {"tram", "bus"}),
    ('disallow="truck"', "vehicle", {"bus", "bike", "pedestrian"}, ROAD_USERS - {"truck"}),
    ('disallow="truck trailer coach"', "vehicle", {"bus", "bike", "pedestrian"}, ROAD_USERS - {"truck", "coach"}),
    ('disallow="motorcycle"', "vehicle", {"bus", "bike", "pedestrian"}, ROAD_USERS - {"motorcycle"}),
    ('disallow="passenger"', "bus", {"bike", "pedestrian"}, ROAD_USERS - {"car"}),
    ("", "vehicle", set(), ROAD_USERS),
]


@pytest.mark.parametrize(
    ("text", "use", "shared", "allowed"), PERMISSIONS, ids=[row[0] or "nothing" for row in PERMISSIONS]
)
def test_permissions_become_uses_and_rules(text: str, use: str, shared: set[str], allowed: set[str]) -> None:
    code = one(road([text, ""]))
    assert (lane_of(code, "w_0").use, set(lane_of(code, "w_0").shared)) == (use, shared)
    assert may_use(code, "w_0") - {"tram"} == allowed - {"tram"}
    assert (
        ("tram" in may_use(code, "w_0")) == ("tram" in allowed)
        or "passenger" in text
        or not text
        or "disallow" in text
        or "all" in text
    )
    assert may_use(code, "w_1") >= ROAD_USERS


@settings(max_examples=60)
@given(st.sets(st.sampled_from(sorted(USER_OF_VCLASS)), min_size=1), st.booleans())
def test_no_permission_opens_a_lane_to_a_vehicle_that_it_does_not_name(words: set[str], refuse: bool) -> None:
    text = f'{"disallow" if refuse else "allow"}="{" ".join(sorted(words))}"'
    code = one(road([text, ""]))
    may = ALL_VCLASSES - words if refuse else words
    lane = lane_of(code, "w_0")
    for name in ("passenger", "taxi", "coach", "truck", "motorcycle"):
        free = effective(code, lane.id, Vehicle(USER_OF_VCLASS[name]), T).allowed
        if lane.use in ("vehicle", "bus", "tram"):
            assert free == (name in may), (name, code.rules)
        else:
            assert name not in may, "a lane for people on foot or on bicycles only"
    assert (lane.use == "tram" or "tram" in lane.shared) == bool(may & RAIL_VCLASSES)


def test_an_unknown_class_and_one_without_a_class_of_ours_are_reported() -> None:
    losses = "\n".join(map(str, imported(road(['allow="bus hovercraft"', 'allow="hov"'])).losses))
    assert '"hovercraft" is not known' in losses
    assert "no class of a code is hov" in losses


def test_a_permission_of_a_connection_is_a_turn_ban() -> None:
    code = one(road(["", ""]).replace(b'dir="s" state="O"/>', b'dir="s" state="O" disallow="truck"/>', 1))
    banned = [rule for rule in code.rules if rule.kind == "turn_ban"]
    assert [rule.classes for rule in banned] == [("truck",)]
    assert [target.entity for target in banned[0].targets] == [code.connections[0].id]


def test_limits_of_single_classes_come_from_the_type_of_the_road() -> None:
    code = one(CROSSING)
    limits = [(rule.value, rule.classes) for rule in code.rules if rule.kind == "speed_max" and rule.classes]
    assert limits == [(11.11, ("truck",))]


def test_a_stop_line_before_the_end_of_its_lane_stays_there() -> None:
    code = one(CROSSING)
    ends = {lane_of(code, name).id: 72.8 - back for name, back in (("wc_1", 2.0), ("wc_2", 1.0))}
    stops = {line.lane: line.s for line in code.stop_lines}
    assert {lane: stops[lane] for lane in ends} == pytest.approx(ends, abs=0.05)


def mirrored(text: str) -> str:
    """Return a network as a mirror shows it, west for east: left-hand traffic."""

    def flip(found: re.Match[str]) -> str:
        points = [point.split(",") for point in found[2].split()]
        return f'{found[1]}="{" ".join(f"{160 - float(x):.2f},{y}" for x, y in points)}"'

    text = re.sub(r'\b(shape|outlineShape)="([^"]*)"', flip, text)
    text = re.sub(r' x="([0-9.]+)"', lambda found: f' x="{160 - float(found[1]):.2f}"', text)
    text = re.sub(r'dir="([lr])"', lambda found: f'dir="{"rl"["lr".index(found[1])]}"', text)
    return text.replace('lefthand="false"', 'lefthand="true"')


def test_left_hand_traffic_is_right_hand_traffic_in_a_mirror() -> None:
    right, left = one(CROSSING), one(mirrored(CROSSING))
    count = {link.id: sum(lane.link == link.id for lane in right.lanes) for link in right.links}
    numbers = {lane.alias[0].value: count[lane.link] + 1 - lane.number for lane in right.lanes}
    assert {lane.alias[0].value: lane.number for lane in left.lanes} == numbers
    turns = {"left": "right", "right": "left", "straight": "straight", "u": "u"}
    assert [c.turn for c in left.connections] == [turns[c.turn] for c in right.connections]
    assert [(c.a, c.b, c.kind, c.a_yields, c.b_yields) for c in left.conflicts] == [
        (c.a, c.b, c.kind, c.a_yields, c.b_yields) for c in right.conflicts
    ]


def test_lanes_that_are_numbered_from_the_right_are_a_finding() -> None:
    code = one(road(["", "", ""]))
    turned = [
        msgspec.structs.replace(x, number=4 - x.number) if x.alias[0].value.startswith("w_") else x for x in code.lanes
    ]
    wrong = codes.validate(msgspec.structs.replace(code, lanes=tuple(turned)))
    assert {finding.field for finding in wrong if finding.severity == "error"} == {"number"}
    (code,) = imported(road(["", "", ""]).replace(b'lefthand="false"', b'lefthand="true"'))
    assert {finding.field for finding in codes.validate(code) if finding.severity == "error"} == {"number"}


@pytest.mark.parametrize("left_hand", [False, True])
@pytest.mark.parametrize("closed", [0, 1, 2])
def test_advice_to_change_lanes_leads_to_the_side_that_it_names(left_hand: bool, closed: int) -> None:
    stage = Stage(compile_code(one(road(["", "", ""], left_hand=left_hand))))
    code = stage.code
    lane = code.lane_alias[f"w_{closed}"]
    end = float(code.path_length[lane])
    stage.state = GREEN
    stage.hazards = (Hazard(1, "r", "h1", "closure", T, T, T + 10**10, code.lane_ids[lane], (end - 50.0, end - 30.0)),)
    stage.put(lane, 120.0, 12.0, "car", int(np.flatnonzero(code.conn_from == lane)[0]))
    behaviour = stage.said(AdvisoryKind.HAZARD)["vehicle:v1"].behaviour
    # The road runs east: left is north
    y = {k: float(code.path_xy[code.path_start[code.lane_alias[f"w_{k}"]], 1]) for k in range(3)}
    beside = [k for k in range(3) if abs(k - closed) == 1]
    sides = {"change_left" if y[k] > y[closed] else "change_right" for k in beside}
    assert behaviour in sides or (behaviour == "slow_down" and not sides)


def test_numbers_of_a_left_hand_network_run_from_left_to_right() -> None:
    for code in imported((CASES / "sumo_left_hand.net.xml").read_bytes()):
        compiled = compile_code(code)
        for link in code.links:
            lanes = sorted((lane for lane in code.lanes if lane.link == link.id), key=lambda lane: lane.number)
            for a, b in pairwise(lanes):
                first, second = (compiled.path_xy[compiled.path_start[compiled.lane_alias[x.id]]] for x in (a, b))
                k = compiled.path_start[compiled.lane_alias[a.id]]
                ahead = compiled.path_xy[k + 1] - compiled.path_xy[k]
                assert ahead[0] * (second - first)[1] - ahead[1] * (second - first)[0] < 0, (
                    "the next number lies to the right"
                )


def joint(gap: float) -> str:
    """Return the crossing with a road of two edges in line before it, `gap` m between them; without inner lanes
    there."""
    text = CROSSING.replace('<edge id="wc" from="w" to="c" name="West Road"', '<edge id="ww" from="x" to="w"><lane id="ww_0" index="0" speed="13.89" length="100"'  # noqa: E501
                            f' shape="-100,75.20 {-gap},75.20"/></edge><edge id="wc" from="w" to="c" name="West Road"')  # fmt: skip  # noqa: E501
    text = text.replace('<junction id="e"', '<junction id="x" type="dead_end" x="-100" y="80"/><junction id="e"')
    return text.replace(
        '<connection from="nc"',
        '<connection from="ww" to="wc" fromLane="0" toLane="1" dir="s" state="M"/><connection from="nc"',
        1,
    )


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.04, 0.2])
def test_a_joint_of_no_length_stays_where_its_lanes_meet(gap: float) -> None:
    code = one(joint(gap))
    compiled = compile_code(code)
    (k,) = [k for k, c in enumerate(code.connections) if not c.inner]
    path = compiled.n_lanes + k
    assert compiled.path_length[path] <= gap + 0.06
    start = compiled.path_xy[compiled.path_start[path]]
    before = compiled.path_xy[compiled.path_start[compiled.lane_alias["ww_0"] + 1] - 1]
    assert np.hypot(*(start - before)) < 0.02


def test_a_ring_barrier_programme_is_the_sequence_of_its_rings() -> None:
    rings = {plan.id: plan for plan in one(CROSSING).plans}["rings"]
    assert rings.actuated
    assert [(phase.ms, phase.min_ms, phase.max_ms) for phase in rings.phases] == [
        (40_000, 5_000, 40_000), (3_000, None, None), (2_000, None, None), (30_000, 5_000, 30_000), (3_000, None, None), (2_000, None, None)  # noqa: E501
    ]  # fmt: skip
    assert rings.phases[2].shows == "R" * len(rings.phases[2].shows)


@pytest.mark.parametrize("second", ["barrier2Phases", "coordinatePhases"])
def test_two_rings_run_side_by_side_and_meet_at_the_barrier(second: str) -> None:
    states = {"1": "Grrrr", "2": "rGrrr", "5": "rrGrr", "6": "rrrGr", "3": "rrrrG", "7": "rrrrG"}
    rows = "".join(
        f'<phase duration="90" state="{state}" minDur="4" maxDur="{20 if name == "1" else 30}" yellow="3" red="1" '
        f'name="{name}"/>'
        for name, state in states.items()
    )
    keys = {"ring1": "1,2,3", "ring2": "5,6,7", "barrierPhases": "2,6", second: "3,7"}
    params = "".join(f'<param key="{key}" value="{value}"/>' for key, value in keys.items())
    programme = f'<tlLogic id="c" type="NEMA" programID="0" offset="0">{rows}{params}</tlLogic>'
    data = re.sub(rb"<tlLogic.*</tlLogic>", programme.encode(), road(["", "", "", ""]))
    plan = one(data).plans[0]
    # Phase 1 is 10 s shorter than 5, so that 2 begins while 5 is green; phase 2 is prolonged until 6 is done.
    assert [(phase.shows, phase.ms) for phase in plan.phases] == [
        ("GRGRR", 20_000), ("YRGRR", 3_000), ("RRGRR", 1_000), ("RGGRR", 6_000), ("RGYRR", 3_000), ("RGRRR", 1_000), ("RGRGR", 30_000),  # noqa: E501
        ("RYRYR", 3_000), ("RRRRR", 1_000), ("RRRRG", 30_000), ("RRRRY", 3_000), ("RRRRR", 1_000),
    ]  # fmt: skip
    broken = imported(data.replace(b'value="5,6,7"', b'value="5,9,7"'))
    assert any("cannot be made out" in loss.detail for loss in broken.losses)


KINDS = {
    "priority": "priority",
    "priority_stop": "stop",
    "allway_stop": "stop",
    "right_before_left": "uncontrolled",
    "unregulated": "uncontrolled",
    "zipper": "priority",
}


@pytest.mark.parametrize(("kind", "control"), KINDS.items())
def test_junctions_without_a_signal_are_codes_with_their_control(kind: str, control: str) -> None:
    text = re.sub(r"(?s)<tlLogic.*</tlLogic>", "", CROSSING).replace('type="traffic_light"', f'type="{kind}"')
    code = one(re.sub(r' tl="c" linkIndex="\d+"', "", text))
    assert (code.control, code.signal_groups, code.plans) == (control, (), ())
    assert len(code.conflicts) > 0
    assert all(c.group == 0 for c in code.connections)


def test_a_crossing_without_requests_is_an_intersection_by_its_paths() -> None:
    text = re.sub(r"<tlLogic.*</tlLogic>|<request[^>]*/>", "", road(["", ""]).decode()).replace(
        'type="traffic_light"', 'type="unregulated"'
    )
    found = imported(re.sub(r' tl="c" linkIndex="\d+"', "", text))
    assert [(code.control, len(code.conflicts)) for code in found] == [("uncontrolled", 2)]
    assert any("without requests" in loss.detail for loss in found.losses)


def test_an_import_of_nothing_is_an_error_that_says_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = re.sub(r"(?s)<edge id=\"nc\".*?</edge>|<tlLogic.*</tlLogic>", "", CROSSING).replace(
        'type="traffic_light"', 'type="priority"'
    )
    path = tmp_path / "bend.net.xml"
    path.write_text(re.sub(r' tl="c" linkIndex="\d+"', "", text))
    with pytest.raises(CodeError, match="no intersection") as refusal:
        codes.import_sumo(path)
    assert any("fewer than three roads" in loss.detail for loss in refusal.value.losses)
    assert main(["codes", "import", str(path), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert "fewer than three roads" in printed.out
    assert "no intersection" in printed.err
    assert b"fewer than three roads" in (tmp_path / "out" / "losses.jsonl").read_bytes()


def test_those_without_a_signal_beside_signals_are_counted_or_imported() -> None:
    both = two_junctions()
    found = imported(both)
    assert [code.control for code in found] == ["signal"]
    assert any("without a signal" in loss.detail and loss.count == 1 for loss in found.losses)
    every = read_any(both.encode(), "both.net.xml", unsignalised=True)
    assert [code.control for code in every] == ["signal", "priority"]


NAMING = ("id", "from", "to", "via", "incLanes", "intLanes", "crossingEdges")


def two_junctions() -> str:
    """Return the crossing twice, 500 m apart, the second without its signal."""
    root = ET.fromstring(CROSSING)
    for element in copy.deepcopy([child for child in root if child.tag in ("edge", "junction", "connection")]):
        for item in element.iter():
            for name, value in item.attrib.items():
                if name in NAMING:
                    item.set(
                        name,
                        " ".join(f":q{word[1:]}" if word.startswith(":") else f"q{word}" for word in value.split()),
                    )
                elif name in ("shape", "outlineShape"):
                    points = [point.split(",") for point in value.split()]
                    item.set(name, " ".join(f"{float(x) + 500:.2f},{y}" for x, y in points))
        if element.tag == "junction":
            element.set("x", f"{float(element.get('x', '0')) + 500:.2f}")
            element.set("type", element.get("type", "").replace("traffic_light", "priority"))
        for name in ("tl", "linkIndex"):
            element.attrib.pop(name, None)
        root.append(element)
    return ET.tostring(root, "unicode")


def test_a_signal_of_too_many_groups_loses_only_itself() -> None:
    count = 300  # movements, each with heads of its own
    wide = road(["", ""]).decode()
    letters = ["".join("G" if k == n else "r" for k in range(count)) for n in range(count)]
    phases = "".join(f'<phase duration="5" state="{state}"/>' for state in letters)
    links = "".join(
        f'<connection from="w" to="e" fromLane="0" toLane="1" tl="c" linkIndex="{k}" dir="s"/>' for k in range(3, count)
    )
    many = re.sub(
        r"<tlLogic.*</tlLogic>", f'<tlLogic id="c" type="static" programID="0" offset="0">{phases}</tlLogic>', wide
    ).replace("</net>", links + "</net>")
    with pytest.raises(CodeError) as refusal:
        imported(many)
    assert any("at most 255 signal groups" in loss.detail for loss in refusal.value.losses)
