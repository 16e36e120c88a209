"""Limits, permissions, borders and links of OpenDRIVE lanes."""

import numpy as np
import pytest
from drawn_roads import EVERY_MOVEMENT, WIDTH, crossing, lane, light, signals
from opendrive_codes import alias, allowed, groups, lane_of, one, told

from cloudctl.codes.formats.opendrive.importer import import_opendrive
from cloudctl.codes.rules import Vehicle, effective


@pytest.mark.parametrize(
    ("unit", "fast", "slow"),
    [("km/h", "50", "30"), ("mph", "31.07", "18.64"), ("m/s", "13.89", "8.33"), ("", "13.89", "8.33")],
)
def test_a_later_limit_holds_from_its_place_on(unit: str, fast: str, slow: str) -> None:
    said = f' unit="{unit}"' if unit else ""
    rows = f'<speed sOffset="0" max="{fast}"{said}/><speed sOffset="30" max="{slow}"{said}/>'
    code = one(import_opendrive(crossing(ingress={1: rows})))
    found = lane_of(code, "1/-1")
    assert found.speed == 8.33
    limits = {s: effective(code, found.id, Vehicle(), 0, s=s).speed_max for s in (5.0, 29.0, 31.0, 44.0)}
    assert limits == {5.0: 13.89, 29.0: 13.89, 31.0: 8.33, 44.0: 8.33}


def test_a_limit_of_a_lane_against_s_is_measured_in_its_driving_direction() -> None:
    rows = (
        '<type s="0" type="town"><speed max="50" unit="km/h"/></type><type s="35" type="town"><speed max="30" '
        'unit="km/h"/></type>'
    )
    code = one(import_opendrive(crossing(types={1: rows})))
    into, away = lane_of(code, "1/-1").id, lane_of(code, "1/1").id
    assert [effective(code, into, Vehicle(), 0, s=s).speed_max for s in (5.0, 40.0)] == [13.89, 8.33]
    assert [effective(code, away, Vehicle(), 0, s=s).speed_max for s in (5.0, 40.0)] == [8.33, 13.89]


def test_a_limit_that_is_not_understood_is_reported_and_nothing_else_is_lost() -> None:
    for bad in ('max="fast"', 'max="50" unit="knots"', 'max="-5"'):
        found = import_opendrive(crossing(ingress={1: f'<speed sOffset="0" {bad}/>'}))
        assert told(found, "unknown", "lane/speed@")
        assert lane_of(one(found), "1/-1").speed == 13.89


def test_a_speed_sign_gives_the_limit_where_no_record_does() -> None:
    sign = (
        '<signal s="5" t="-4" id="9" dynamic="no" orientation="+" country="DE" type="274" subtype="-1" value="30" '
        'unit="km/h"/>'
    )
    found = import_opendrive(crossing(types={1: ""}, inside={1: signals(sign)}))
    assert lane_of(one(found), "1/-1").speed == 8.33
    assert told(found, "guessed", "speed signs")
    assert told(import_opendrive(crossing(inside={1: signals(sign)})), "differs", "8.33", "13.89")


def test_a_sign_counts_where_a_reference_to_it_stands_and_in_its_country_s_units() -> None:
    for kind, unit, speed in (("274", "", 8.33), ("R2-1", "", 13.41), ("274", ' unit="mph"', 13.41)):
        sign = f'<signal s="5" t="-4" id="9" dynamic="no" orientation="+" type="{kind}" subtype="-1" value="30"{unit}/>'
        reference = '<signalReference s="10" t="-4" id="9" orientation="+"/>'
        code = one(import_opendrive(crossing(types={1: "", 2: ""}, inside={1: signals(sign), 2: signals(reference)})))
        assert (lane_of(code, "1/-1").speed, lane_of(code, "2/-1").speed) == (speed, speed)


def test_a_movement_that_is_listed_again_is_one() -> None:
    connection = (
        f'<connection id="99" incomingRoad="1" connectingRoad="{EVERY_MOVEMENT[1, 2]}" contactPoint="start">'
        '<laneLink from="-1" '
        'to="-1"/></connection>'
    )
    found = import_opendrive(crossing(junction=connection))
    assert len(one(found).connections) == 12
    assert told(found, "dropped", "listed again")


def test_a_limit_on_a_connecting_road_is_that_of_its_movement() -> None:
    slow = '<type s="0" type="town"><speed max="20" unit="km/h"/></type>'
    code = one(import_opendrive(crossing(types={EVERY_MOVEMENT[1, 4]: slow})))
    assert {alias(c): c.speed for c in code.connections}[f"{EVERY_MOVEMENT[1, 4]}/-1"] == 5.56
    assert sorted({c.speed for c in code.connections}) == [5.56, 13.89]


def test_a_permission_on_a_connecting_road_binds_its_movement_alone() -> None:
    number = EVERY_MOVEMENT[1, 4]
    data = crossing().replace(b'<road id="%d"' % number, b'<road id="HERE"', 1)
    head, tail = data.split(b'<road id="HERE"')
    data = (
        head
        + b'<road id="%d"' % number
        + tail.replace(WIDTH.encode(), WIDTH.encode() + b'<access sOffset="0" rule="deny" restriction="truck"/>', 1)
    )
    code = one(import_opendrive(data))
    refused = {alias(c) for c in code.connections if not effective(code, c.id, Vehicle("truck"), 0).allowed}
    assert refused == {f"{number}/-1"}
    assert all(effective(code, c.id, Vehicle("car"), 0).allowed for c in code.connections)


def test_a_light_far_before_the_junction_is_not_one_of_it() -> None:
    far = crossing(inside={1: signals(light(1, s=44, lanes="-1"), light(2, s=-30, lanes="-1"))})
    assert groups(one(import_opendrive(far)))["1/-1"] == {2}
    alone = import_opendrive(crossing(inside={1: signals(light(2, s=-30, lanes="-1"))}))
    assert groups(one(alone))["1/-1"] == {0}
    assert told(alone, "dropped", "a light for vehicle that no movement has")


def test_what_stands_far_from_every_junction_is_reported() -> None:
    walk = '<objects><object id="w9" type="crosswalk" s="-80" t="0" length="3" width="7"/></objects>'
    sign = '<signal s="5" t="-4" id="9" dynamic="no" orientation="-" type="206" subtype="-1"/>'
    line = '<signal s="5" t="-4" id="8" dynamic="no" orientation="-" type="294" subtype="-1"/>'
    found = import_opendrive(crossing(inside={1: signals(sign, line) + walk}))
    assert told(found, "dropped", "crosswalks", "w9")
    assert told(found, "dropped", "signs on no lane", "9 of road 1")
    assert told(found, "dropped", "stop lines on no lane", "8 of road 1")


KINDS = ("car", "taxi", "bus", "truck", "motorcycle", "emergency")


@pytest.mark.parametrize(
    ("access", "may"),
    [
        ('<access sOffset="0" rule="deny" restriction="truck"/>', {"car", "taxi", "bus", "motorcycle", "emergency"}),
        (
            '<access sOffset="0" rule="allow" restriction="bus"/><access sOffset="0" rule="allow" restriction="taxi"/>',
            {"bus", "taxi"},
        ),
        (
            '<access sOffset="0" rule="allow"><restriction type="bus"/><restriction type="emergency"/></access>',
            {"bus", "emergency"},
        ),
        (
            '<access sOffset="0" rule="deny"><restriction type="truck"/><restriction type="bus"/></access>',
            {"car", "taxi", "motorcycle", "emergency"},
        ),
        ('<access sOffset="0" rule="allow" restriction="taxi"/>', {"taxi"}),
        ('<access sOffset="0" rule="allow" restriction="emergency"/>', {"emergency"}),
        ('<access sOffset="0" rule="allow" restriction="motorcycle"/>', {"motorcycle"}),
        ('<access sOffset="0" rule="deny" restriction="none"/>', set(KINDS)),
        ('<access sOffset="0" rule="allow" restriction="simulator"/>', set(KINDS)),
        ("", set(KINDS)),
    ],
)
def test_permissions_say_who_may_use_a_lane(access: str, may: set[str]) -> None:
    code = one(import_opendrive(crossing(ingress={1: access})))
    assert allowed(code, "1/-1", *KINDS) == {kind: kind in may for kind in KINDS}
    assert all(allowed(code, "2/-1", *KINDS).values())


def test_a_permission_that_begins_later_holds_from_there_on() -> None:
    code = one(import_opendrive(crossing(ingress={1: '<access sOffset="25" rule="deny" restriction="truck"/>'})))
    found = lane_of(code, "1/-1").id
    assert [effective(code, found, Vehicle("truck"), 0, s=s).allowed for s in (10.0, 40.0)] == [True, False]


def test_someone_whom_a_code_has_no_class_for_is_reported() -> None:
    found = import_opendrive(crossing(ingress={1: '<access sOffset="0" rule="allow" restriction="delivery"/>'}))
    assert told(found, "unknown", "delivery")
    assert not any(allowed(one(found), "1/-1", *KINDS).values())


@pytest.mark.parametrize(
    ("kind", "use", "may"),
    [
        ("bus", "bus", {"bus", "emergency"}),
        ("taxi", "vehicle", {"taxi", "emergency"}),
        ("HOV", "bus", {"bus", "emergency"}),
        ("driving", "vehicle", set(KINDS)),
    ],
)
def test_the_type_of_a_lane_says_who_it_is_for(kind: str, use: str, may: set[str]) -> None:
    code = one(import_opendrive(crossing(kinds={1: kind})))
    assert lane_of(code, "1/-1").use == use
    assert allowed(code, "1/-1", *KINDS) == {name: name in may for name in KINDS}


def test_borders_are_widths_beside_each_other() -> None:
    borders = tuple(f'<border sOffset="0" a="{a}" b="0" c="0" d="0"/>' for a in (3.5, -3.5))
    plain, bordered = (one(import_opendrive(crossing(width=width))) for width in ((WIDTH, WIDTH), borders))
    assert [(x.points, x.width_cm) for x in plain.lanes] == [(x.points, x.width_cm) for x in bordered.lanes]
    outer = {1: lane(-2, '<border sOffset="0" a="-5.5" b="0" c="0" d="0"/>', kind="biking")}
    assert len(one(import_opendrive(crossing(width=borders, lanes=outer))).lanes) == 8


def test_lanes_shift_with_the_lane_offset() -> None:
    plain, shifted = (
        one(import_opendrive(crossing(offset=text))) for text in ("", '<laneOffset s="0" a="1" b="0" c="0" d="0"/>')
    )
    moved = [
        np.subtract(lane_of(shifted, name).points[0], lane_of(plain, name).points[0]) * 0.0111
        for name in ("1/-1", "1/1")
    ]
    assert [round(float(m[0])) for m in moved] == [1, 1]  # both one metre to the north, the left of road 1


def test_links_that_begin_on_a_lane_leading_away_are_no_movements() -> None:
    found = import_opendrive(crossing(both=True))
    code = one(found)
    assert len(code.connections) == 12
    roles = {link.id: link.role for link in code.links}
    assert {roles[lane.link] for lane in code.lanes for c in code.connections if c.from_lane == lane.id} == {"ingress"}
    assert told(found, "repaired", "leading away")
    single = {(alias(c).split("/")[0], c.turn) for c in one(import_opendrive(crossing())).connections}
    assert sorted(turn for _, turn in single) == sorted(c.turn for c in code.connections)
