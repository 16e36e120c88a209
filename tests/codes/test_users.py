"""Who may use a connection or a part of a lane, and how fast, by the words of Lanelet2, OpenDRIVE and SUMO: rules of
the code, never silence."""

from itertools import product

import pytest
from drawn_roads import CONNECTING, LENGTH, WIDTH, crossing, lane
from hypothesis import given, settings
from hypothesis import strategies as st
from lanelet_roads import Roads, lane_of, one, told
from road_users import KINDS, takes
from sumo_crossing import imported, road

from cloudctl.codes import Imported, IntersectionCode
from cloudctl.codes.formats.importing.permits import MOTOR_CLASSES, permit_of, span_rules, turn_bans
from cloudctl.codes.formats.lanelet2.importer import import_lanelet2
from cloudctl.codes.formats.opendrive.importer import import_opendrive
from cloudctl.codes.rule import Target
from cloudctl.codes.rules import Vehicle, binds, effective

FUELS = ("electric", "petrol")


def straight(code: IntersectionCode, name: str) -> str:
    """Return the straight connection from a lane."""
    return next(c.id for c in code.connections if c.from_lane == lane_of(code, name).id and c.turn == "straight")


def turned(tags: dict[str, str]) -> IntersectionCode:
    return one(import_lanelet2(Roads().draw({"W to E": tags}).xml()))


def test_the_limit_of_the_lanelet_of_a_movement_is_that_of_the_connection() -> None:
    code = turned({"speed_limit": "20", "speed_limit:vehicle:truck": "10"})
    name = straight(code, "W in")
    assert next(c.speed for c in code.connections if c.id == name) == 5.56
    assert effective(code, name, Vehicle("truck"), 0, s=5.0).speed_max == 2.78
    assert lane_of(code, "W in").speed == 13.89


@pytest.mark.parametrize(
    ("tags", "allowed"),
    [
        ({"subtype": "bus_lane"}, {"bus", "taxi", "emergency"}),
        ({"subtype": "emergency_lane"}, {"emergency"}),
        ({"subtype": "bicycle_lane"}, {"bicycle"}),
        ({"subtype": "highway"}, set(MOTOR_CLASSES)),
        ({"participant:bicycle": "yes"}, {"bicycle"}),
        ({"participant:vehicle": "yes"}, set(MOTOR_CLASSES)),
        ({"participant:vehicle:truck": "no"}, set(KINDS) - {"truck"}),
        ({"participant:vehicle:bus": "yes"}, {"bus"}),
        ({"participant:train": "yes"}, set()),
        ({}, set(KINDS)),
    ],
)
def test_whom_the_lanelet_of_a_movement_keeps_out_may_not_take_the_connection(
    tags: dict[str, str], allowed: set[str]
) -> None:
    code = turned(tags)
    assert takes(code, straight(code, "W in")) == allowed
    assert takes(code, lane_of(code, "W in").id) == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "inner", "allowed"),
    [
        ("biking", "", {"bicycle"}),
        ("bus", "", {"bus", "emergency"}),
        ("taxi", "", {"taxi", "emergency"}),
        ("driving", "", set(KINDS)),
        ("driving", '<access sOffset="0" rule="allow" restriction="bicycle"/>', {"bicycle"}),
        ("driving", '<access sOffset="0" rule="allow" restriction="pedestrian"/>', set()),
        ("driving", '<access sOffset="0" rule="allow" restriction="buss"/>', set()),
        ("driving", '<access sOffset="3" rule="deny" restriction="truck"/>', set(KINDS) - {"truck"}),
    ],
)
def test_a_connecting_lane_is_closed_to_all_that_it_is_not_for(kind: str, inner: str, allowed: set[str]) -> None:
    plain = lane(-1, WIDTH, '<predecessor id="-1"/><successor id="1"/>').encode()
    own = lane(-1, WIDTH + inner, '<predecessor id="-1"/><successor id="1"/>', kind=kind).encode()
    head, road_, tail = crossing().partition(f'<road id="{CONNECTING[1, 2]}" '.encode())
    assert plain in tail
    code = one(import_opendrive(head + road_ + tail.replace(plain, own, 1)))
    assert takes(code, straight(code, "1/-1")) == allowed
    assert all(takes(code, c.id) == set(KINDS) for c in code.connections if c.id != straight(code, "1/-1"))


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ('allow="bus"', {"bus"}),
        ('allow="bicycle"', {"bicycle"}),
        ('allow="pedestrian"', set()),
        ('allow="buss"', set()),
        ('disallow="truck bus"', set(KINDS) - {"truck", "bus"}),
        ('allow="hov"', set()),
        ("", set(KINDS)),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_connection_of_a_network_is_closed_to_all_that_it_is_not_for(
    text: str, allowed: set[str], inside: bool
) -> None:
    place = (b'<lane id=":c_0_0" ', b'<connection from="w" ')[not inside]
    data = road(["", ""]).replace(place, place + text.encode() + b" ", 1)
    (code,) = imported(data)
    assert takes(code, code.connections[0].id) == allowed
    assert takes(code, code.connections[1].id) == set(KINDS)


def test_a_connection_for_bicycles_keeps_out_vehicles_that_the_format_has_no_word_for() -> None:
    code = turned({"participant:bicycle": "yes"})
    assert takes(code, straight(code, "W in"), ("sanitation", "logistics_robot", "tram", "bicycle")) == {"bicycle"}


def test_a_part_of_a_lane_for_bicycles_is_closed_to_vehicles_there_and_only_there() -> None:
    cut = LENGTH / 2
    parts = "".join(
        f'<laneSection s="{s}"><left>{lane(1)}</left><center><lane id="0" '
        f'type="none"/></center><right>{lane(-1, kind=kind)}</right></laneSection>'
        for s, kind in ((0, "biking"), (cut, "driving"))
    )
    data = crossing().decode()
    begin, end = data.index("<laneSection"), data.index("</laneSection>") + len("</laneSection>")
    code = one(import_opendrive((data[:begin] + parts + data[end:]).encode()))
    found = lane_of(code, "1/-1")
    assert found.use == "vehicle"
    assert takes(code, found.id, s=cut - 5) == {"bicycle"}
    assert takes(code, found.id, s=cut + 5) == set(KINDS)


@pytest.mark.parametrize(
    ("tags", "allowed"),
    [
        ({"subtype": "bicycle_lane"}, {"bicycle"}),
        ({"participant:vehicle:bus": "yes"}, {"bus", "emergency"}),
        ({"subtype": "highway"}, set(MOTOR_CLASSES)),
    ],
)
def test_a_lanelet_far_from_the_crossing_keeps_its_own_users(tags: dict[str, str], allowed: set[str]) -> None:
    roads = Roads()
    roads.relation(
        ("left", roads.way((-110, 0), (-60, 0))),
        ("right", roads.way((-110, -4), (-60, -4))),
        type="lanelet",
        name="far",
        **{"subtype": "road", **tags},
    )
    code = one(import_lanelet2(roads.draw().xml()))
    found = lane_of(code, "far")
    assert found == lane_of(code, "W in")
    assert takes(code, found.id, s=20.0) == allowed
    assert takes(code, found.id, s=80.0) == set(KINDS)


USERS = st.frozensets(st.sampled_from((*KINDS, "tram", "hov", "electric cars")), min_size=0)


@settings(max_examples=300)
@given(USERS, st.lists(USERS, min_size=1, max_size=3))
def test_bans_of_a_connection_bind_those_alone_that_its_lanes_let_in_and_it_does_not(
    before: frozenset[str], own: list[frozenset[str]]
) -> None:
    rules = turn_bans("C1", [permit_of(before, "text")], [permit_of(users, "text") for users in own])
    for kind, fuel in product((*KINDS, "tram"), FUELS):

        def admits(users: frozenset[str], kind: str = kind, fuel: str = fuel) -> bool:
            return kind in users or (kind == "car" and fuel == "electric" and "electric cars" in users)

        banned = any(binds(rule, Vehicle(kind, fuel=fuel)) for rule in rules)
        if admits(before) and not all(map(admits, own)):
            assert banned
        if all(map(admits, own)):
            assert not banned


@settings(max_examples=300)
@given(USERS, USERS)
def test_a_part_of_a_lane_is_never_open_to_motor_vehicles_that_it_is_not_for(
    own: frozenset[str], whole: frozenset[str]
) -> None:
    rules = span_rules(Target("L1", 0.0, 10.0), permit_of(own, ""), permit_of(whole, ""))
    for kind in MOTOR_CLASSES:
        refused = any(binds(rule, Vehicle(kind, fuel="petrol")) for rule in rules)
        if "car" in whole and kind not in own and kind != "emergency":  # emergency vehicles may use every bus lane
            assert refused
        if kind in own:
            assert not refused


@pytest.mark.parametrize(
    ("tags", "electric", "petrol"),
    [
        ({"participant:vehicle:car:electric": "yes"}, True, False),
        ({"participant:vehicle:car:combustion": "no"}, True, False),
        ({"participant:vehicle:car:electric": "no"}, False, True),
        ({"participant:vehicle:car:combustion": "yes"}, False, True),
        ({"participant:vehicle:car:combustion": "yes", "participant:vehicle:car:electric": "yes"}, True, True),
    ],
)
@pytest.mark.parametrize("name", ["W in", "W to E"])
def test_electric_cars_are_told_from_others_by_their_fuel(
    tags: dict[str, str], electric: bool, petrol: bool, name: str
) -> None:
    code = one(import_lanelet2(Roads().draw({name: tags}).xml()))
    path = lane_of(code, "W in").id if name == "W in" else straight(code, "W in")
    assert [effective(code, path, Vehicle("car", fuel=fuel), 0, s=5.0).allowed for fuel in FUELS] == [electric, petrol]


def test_a_limit_for_electric_cars_binds_these_alone() -> None:
    code = one(
        import_lanelet2(Roads().draw({"W in": {"speed_limit": "50", "speed_limit:vehicle:car:electric": "30"}}).xml())
    )
    found = lane_of(code, "W in").id
    assert [
        effective(code, found, Vehicle(kind, fuel=fuel), 0, s=5.0).speed_max
        for kind, fuel in (("car", "electric"), ("car", "petrol"), ("bus", "electric"))
    ] == [8.33, 13.89, 13.89]


@pytest.mark.parametrize(
    "tags",
    [{"participant:train": "yes"}, {"participant:vehicle": "private"}, {"participant:vehicle:bus": "only on sundays"}],
)
def test_a_lanelet_for_users_that_are_not_known_is_open_to_nobody(tags: dict[str, str]) -> None:
    found = import_lanelet2(Roads().draw({"W in": tags}).xml())
    assert takes(one(found), lane_of(one(found), "W in").id) == set()
    assert told(found, "unknown", "participant", "opens the lanelet to nobody")


def closed_by(text: str) -> Imported:
    return imported(road([text, ""]))


@pytest.mark.parametrize("text", ['allow="buss"', 'allow="buss lorry"', 'disallow="all"'])
def test_a_lane_of_a_network_for_users_that_are_not_known_is_open_to_nobody(text: str) -> None:
    found = closed_by(text)
    (code,) = found
    named = next(item.id for item in code.lanes if item.alias[0].value == "w_0")
    assert takes(code, named) == set()
    assert told(found, "unknown", "buss") == ("buss" in text)


TAGGED = st.sampled_from(
    (
        ({}, set(KINDS)),
        ({"subtype": "bus_lane"}, {"bus", "taxi", "emergency"}),
        ({"subtype": "bicycle_lane"}, {"bicycle"}),
        ({"subtype": "highway"}, set(MOTOR_CLASSES)),
        ({"subtype": "emergency_lane"}, {"emergency"}),
        ({"participant:vehicle:truck": "no"}, set(KINDS) - {"truck"}),
        ({"participant:vehicle:bus": "yes"}, {"bus", "emergency"}),
        ({"participant:vehicle": "yes", "participant:vehicle:car": "no"}, set(MOTOR_CLASSES) - {"car"}),
        ({"participant:bicycle": "no"}, set(MOTOR_CLASSES)),
        ({"participant:train": "yes"}, set()),
    )
)


@settings(max_examples=60)
@given(TAGGED, TAGGED, TAGGED)
def test_whoever_may_use_a_part_of_a_way_may_use_it_in_the_code_and_nobody_else(
    far: tuple[dict[str, str], set[str]], near: tuple[dict[str, str], set[str]], inner: tuple[dict[str, str], set[str]]
) -> None:
    roads = Roads()
    roads.relation(
        ("left", roads.way((-110, 0), (-60, 0))),
        ("right", roads.way((-110, -4), (-60, -4))),
        type="lanelet",
        name="far",
        **{"subtype": "road", **far[0]},
    )
    code = one(import_lanelet2(roads.draw({"W in": near[0], "W to E": inner[0]}).xml()))
    lane_id, path = lane_of(code, "W in").id, straight(code, "W in")
    motor = set(MOTOR_CLASSES) - {"emergency"}  # who may use every bus lane
    assert takes(code, path) & near[1] & motor == inner[1] & near[1] & motor
    if "car" in near[1]:  # the lane is one for vehicles, and only rules keep them off its parts
        assert takes(code, lane_id, s=20.0) & motor == far[1] & motor
        assert ("bicycle" in takes(code, lane_id, s=20.0)) == ("bicycle" in far[1]) or "bicycle" not in near[1]
