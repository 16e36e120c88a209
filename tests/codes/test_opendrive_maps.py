"""OpenDRIVE as exporters write it: lights, controllers, permissions, limits, stop lines, borders, directions. Each map
is drawn here."""

import numpy as np
import pytest
from drawn_roads import CONNECTING, LENGTH, WIDTH, crossing, lane, light, signals
from opendrive_codes import alias, allowed, groups, lane_of, one, stop_of, told
from paths import DATA

from cloudctl import codes
from cloudctl.codes import IntersectionCode
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.opendrive.importer import import_opendrive
from cloudctl.codes.rules import Vehicle, effective
from cloudctl.forecast import lanes

CASES = DATA / "cases"
ALL = {(a, b): CONNECTING[a, b] for a, b in CONNECTING}


def test_a_pole_valid_for_lane_0_is_bound_by_references_whatever_their_orientation() -> None:
    reference = (
        '<signalReference s="1" t="0" id="1" orientation="{}"><validity fromLane="-1" toLane="-1"/></signalReference>'
    )
    for along in "+-":
        found = import_opendrive(
            crossing(
                inside={
                    1: signals(light(1, lanes="0 0", along="-")),
                    **{ALL[1, b]: signals(reference.format(along)) for b in (2, 3, 4)},
                }
            )
        )
        code = one(found)
        assert code.control == "signal"
        assert groups(code) == {"1/-1": {2}, "2/-1": {0}, "3/-1": {0}, "4/-1": {0}}


def test_a_reference_without_lanes_concerns_all_of_its_connecting_road() -> None:
    inside = {
        1: signals(light(1, lanes="0 0")),
        **{ALL[1, b]: signals('<signalReference s="1" t="0" id="1" orientation="-"/>') for b in (2, 3, 4)},
    }
    assert groups(one(import_opendrive(crossing(inside=inside))))["1/-1"] == {2}


def test_a_pole_that_nothing_refers_to_is_reported_with_its_cause() -> None:
    found = import_opendrive(crossing(inside={1: signals(light(1, lanes="0 0")), 2: signals(light(2, lanes="-1"))}))
    assert groups(one(found))["1/-1"] == {0}
    assert told(found, "dropped", "lane 0 alone", "signal 1 of road 1")


def test_the_lights_of_a_controller_are_one_group_and_named() -> None:
    inside = {k: signals(light(k, lanes="-1")) for k in (1, 2, 3, 4)}
    pairs = "".join(
        f'<controller id="{900 + n}" name="{name}"><control signalId="{a}" type="0"/><control signalId="{b}" '
        'type="0"/></controller>'
        for n, (name, a, b) in enumerate((("EW", 1, 2), ("NS", 3, 4)))
    )
    found = import_opendrive(crossing(inside=inside, tail=pairs))
    assert groups(one(found)) == {"1/-1": {1}, "2/-1": {1}, "3/-1": {2}, "4/-1": {2}}
    assert told(found, "1 controller 900 EW", "2 controller 901 NS")
    assert not told(found, "without a controller")


def test_a_controller_of_a_whole_cabinet_is_no_group() -> None:
    inside = {k: signals(light(k, lanes="-1")) for k in (1, 2, 3, 4)}
    cabinet = '<controller id="900">' + "".join(f'<control signalId="{k}"/>' for k in (1, 2, 3, 4)) + "</controller>"
    found = import_opendrive(crossing(inside=inside, tail=cabinet))
    assert [len(numbers) for numbers in groups(one(found)).values()] == [1, 1, 1, 1]
    assert len({c.group for c in found[0].connections}) == 4
    assert told(found, "differs", "controller 900", "cabinet")


def test_arrows_part_the_turns_of_a_lane() -> None:
    lights = [light(k, lanes="-1", kind="1000011", subtype=sub) for k, sub in ((1, "10"), (2, "20"), (3, "30"))]
    code = one(import_opendrive(crossing(inside={1: signals(*lights)})))
    assert {c.turn: c.group for c in code.connections if c.from_lane == lane_of(code, "1/-1").id} == {
        "left": 2,
        "right": 3,
        "straight": 4,
    }


def test_lights_for_pedestrians_and_bicycles_are_not_for_vehicles() -> None:
    walk = (
        '<objects><object id="w" type="crosswalk" s="43" t="0"><outline><cornerRoad s="41.5" t="-4"/><cornerRoad '
        's="41.5" t="4"/><cornerRoad s="44.5" t="4"/><cornerRoad s="44.5" t="-4"/></outline></object></objects>'
    )
    rows = signals(light(1, kind="1000002", along="none"), light(2, kind="1000013", lanes="-1"), light(3, lanes="-1"))
    found = import_opendrive(crossing(inside={1: walk + rows}))
    code = one(found)
    assert groups(code)["1/-1"] == {4}
    assert [
        (walk.group, kind)
        for walk in code.crosswalks
        for kind in [g.kind for g in code.signal_groups if g.id == walk.group]
    ] == [(2, "pedestrian")]
    assert told(found, "a light for bike", "signal 2")


@pytest.mark.parametrize(("half_s", "half_t"), [(1.5, 4.0), (4.0, 3.5), (2.0, 2.0)])
@pytest.mark.parametrize("closed", [False, True])
def test_a_crosswalk_leads_across_its_road_as_wide_as_it_is_drawn(half_s: float, half_t: float, closed: bool) -> None:
    ring = [(40 + a * half_s, b * half_t) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    corners = "".join(f'<cornerRoad s="{s}" t="{t}"/>' for s, t in (*ring, *ring[:1] * closed))
    code = one(
        import_opendrive(
            crossing(
                inside={
                    1: '<objects><object id="w" type="crosswalk" s="40" '
                    f't="0"><outline>{corners}</outline></object></objects>'
                }
            )
        )
    )
    (walk,) = code.crosswalks
    assert walk.width_cm == pytest.approx(200 * half_s, abs=1)
    north = (walk.axis[-1][0] - walk.axis[0][0]) * 0.01113
    assert abs(north) == pytest.approx(2 * half_t, abs=0.05)
    assert walk.axis[0][1] == pytest.approx(walk.axis[-1][1], abs=3)


def test_a_bicycle_lane_follows_its_own_light() -> None:
    narrow, through = '<width sOffset="0" a="1.5" b="0" c="0" d="0"/>', ALL[1, 2]
    ways = {
        1: lane(-2, narrow, kind="biking"),
        through: lane(-2, narrow, '<predecessor id="-2"/><successor id="2"/>', kind="biking"),
    }
    data = crossing(
        lanes=ways,
        exits={2: lane(2, narrow, kind="biking")},
        links={through: '<laneLink from="-2" to="-2"/>'},
        inside={1: signals(light(1, lanes="-1"), light(2, lanes="-2", kind="1000013"))},
    )
    code = one(import_opendrive(data))
    assert (lane_of(code, "1/-2").use, groups(code)["1/-2"], groups(code)["1/-1"]) == ("bike", {3}, {2})
    assert {g.id: g.kind for g in code.signal_groups} == {2: "vehicle", 3: "bike"}


def test_a_type_of_light_that_is_not_known_is_reported() -> None:
    found = import_opendrive(crossing(inside={1: signals(light(1, lanes="-1", kind="1000099"))}))
    assert told(found, "unknown", "1000099", "taken as a light for vehicles")


def test_signs_that_are_not_read_are_reported_by_their_type() -> None:
    found = import_opendrive(
        crossing(
            inside={
                1: signals(
                    '<signal s="5" t="-4" id="9" dynamic="no" orientation="+" type="331" subtype="-1"/>',
                    '<signal s="6" t="-4" id="8" dynamic="yes" orientation="+" type="620" subtype="-1"/>',
                )
            }
        )
    )
    assert told(found, "dropped", "type 331")
    assert told(found, "dropped", "type 620", "change")


def test_the_stop_line_is_where_the_map_has_it() -> None:
    sign = '<signal s="38" t="-2" id="50" dynamic="no" orientation="+" country="DE" type="294" subtype="-1">{}</signal>'
    for validity in ('<validity fromLane="-1" toLane="-1"/>', ""):
        code = one(import_opendrive(crossing(inside={1: signals(sign.format(validity))})))
        assert stop_of(code, "1/-1") == pytest.approx(38, abs=0.02)
        assert stop_of(code, "2/-1") == pytest.approx(LENGTH, abs=0.05)


@pytest.mark.parametrize(
    "words",
    [
        'type="roadMark" subtype="signalLine"',
        'type="none" name="StopLine"',
        'type="roadMark" name="Stop_Line_01"',
        'type="stopLine"',
    ],
)
def test_a_stop_line_that_is_drawn_as_an_object_counts_for_the_lanes_it_crosses(words: str) -> None:
    drawn = f'<objects><object id="1" {words} s="40" t="-1.75" hdg="0" length="0.3" width="3.4"/></objects>'
    code = one(import_opendrive(crossing(inside={1: drawn})))
    assert stop_of(code, "1/-1") == pytest.approx(40, abs=0.02)
    local = (
        '<objects><object id="1" {} s="40" t="-1.75" hdg="0"><outlines><outline id="0"><cornerLocal u="-0.2" '
        'v="-1.5"/><cornerLocal u="-0.2" v="1.5"/><cornerLocal u="0.2" '
        'v="1.5"/></outline></outlines></object></objects>'
    )
    assert stop_of(one(import_opendrive(crossing(inside={1: local.format(words)}))), "1/-1") == pytest.approx(
        40, abs=0.1
    )


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
        f'<connection id="99" incomingRoad="1" connectingRoad="{ALL[1, 2]}" contactPoint="start"><laneLink from="-1" '
        'to="-1"/></connection>'
    )
    found = import_opendrive(crossing(junction=connection))
    assert len(one(found).connections) == 12
    assert told(found, "dropped", "listed again")


def test_a_limit_on_a_connecting_road_is_that_of_its_movement() -> None:
    slow = '<type s="0" type="town"><speed max="20" unit="km/h"/></type>'
    code = one(import_opendrive(crossing(types={ALL[1, 4]: slow})))
    assert {alias(c): c.speed for c in code.connections}[f"{ALL[1, 4]}/-1"] == 5.56
    assert sorted({c.speed for c in code.connections}) == [5.56, 13.89]


def test_a_permission_on_a_connecting_road_binds_its_movement_alone() -> None:
    number = ALL[1, 4]
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


def yields(code: IntersectionCode) -> dict[tuple[str, str], tuple[bool, bool]]:
    turn = {c.id: c.turn for c in code.connections}
    return {(turn[c.a], turn[c.b]): (c.a_yields, c.b_yields) for c in code.conflicts if turn[c.a] != turn[c.b]}


def test_who_yields_follows_the_hand_of_traffic() -> None:
    right, left = (yields(one(import_opendrive(crossing(left_hand=hand)))) for hand in (False, True))
    assert right["right", "left"] == (False, True) or right["left", "right"] == (True, False)
    assert left["left", "right"] == (False, True) or left["right", "left"] == (True, False)
    mirror = {"left": "right", "right": "left", "straight": "straight"}
    assert {(mirror[a], mirror[b]): who for (a, b), who in right.items()}.items() <= (
        left | {(b, a): (y, x) for (a, b), (x, y) in left.items()}
    ).items()


@pytest.mark.parametrize("left_hand", [False, True])
def test_advice_to_change_left_means_left_in_either_hand_of_traffic(left_hand: bool) -> None:
    to, away, through = (2, -2, ALL[1, 2]) if left_hand else (-2, 2, ALL[1, 2])
    ways = {1: lane(to), through: lane(to, link=f'<predecessor id="{to}"/><successor id="{away}"/>')}
    code = one(
        import_opendrive(
            crossing(
                left_hand=left_hand,
                lanes=ways,
                exits={2: lane(away)},
                links={through: f'<laneLink from="{to}" to="{to}"/>'},
            )
        )
    )
    compiled = codes.compile_code(code)
    middle = {
        item.id: np.array(item.points[:1], float)[0][::-1] * [np.cos(np.radians(code.ref_lat_e7 / 1e7)), 1.0]
        for item in code.lanes
    }
    behaviours = []
    for k, item in enumerate(code.lanes):
        ahead = np.array(item.points[-1][::-1], float) - item.points[0][::-1]
        for other, behaviour in lanes.adjacent_lanes(compiled, k, -1):
            across = middle[code.lanes[other].id] - middle[item.id]
            assert (behaviour == "change_left") == (ahead[0] * across[1] - ahead[1] * across[0] > 0)
            behaviours.append(behaviour)
    # Two lanes into the junction, two out of it
    assert sorted(behaviours) == ["change_left"] * 2 + ["change_right"] * 2


def test_priorities_of_the_junction_say_who_yields() -> None:
    high, low = ALL[3, 4], ALL[1, 2]
    code = one(import_opendrive(crossing(junction=f'<priority high="{high}" low="{low}"/>')))
    names = {c.id: int(alias(c).split("/")[0]) for c in code.connections}
    (found,) = [c for c in code.conflicts if {names[c.a], names[c.b]} == {high, low}]
    assert {names[found.a]: found.a_yields, names[found.b]: found.b_yields} == {high: False, low: True}
    assert code.control == "priority"


def test_stop_and_yield_signs_say_who_yields() -> None:
    sign = '<signal s="44" t="-4" id="{0}" dynamic="no" orientation="+" country="DE" type="{1}" subtype="-1"/>'
    code = one(
        import_opendrive(crossing(inside={1: signals(sign.format(1, "205")), 2: signals(sign.format(2, "206"))}))
    )
    lanes = {item.id: alias(item) for item in code.lanes}
    start = {c.id: lanes[c.from_lane] for c in code.connections}
    minor = {"1/-1", "2/-1"}
    for c in code.conflicts:
        if (start[c.a] in minor) != (start[c.b] in minor):
            assert (c.a_yields, c.b_yields) == (start[c.a] in minor, start[c.b] in minor)


GEO = "<geoReference>{}</geoReference>"


@pytest.mark.parametrize(
    "text",
    [
        "<![CDATA[+proj=utm +lat_0=37 +lon_0=-122 +zone=32 +geoidgrids=egm96_15.gtx +vunits=m +units=m +datum=WGS84]]>",
        "+proj=tmerc +lat_0=49 +lon_0=8 +geoidgrids=nobody_has_this.gtx",
        "EPSG:25832",
        "EPSG:25832+5783",
        "+proj=tmerc +lat_0=49 +lon_0=8 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +geoid_crs=WGS84 +no_defs",
    ],
)
def test_what_a_projection_says_of_heights_is_left_out(text: str) -> None:
    assert (
        one(
            import_opendrive(
                crossing(
                    header=GEO.format(text) + '<offset x="500000" y="5400000" z="0" hdg="0"/>'
                    if "utm" in text or "EPSG" in text
                    else GEO.format(text)
                )
            )
        ).ref_lat_e7
        > 4e8
    )


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "+proj=nothing",
        "EPSG:99999999",
        "+proj=longlat",
        '{"type": "x"}',
        "+proj=tmerc +lat_0=abc",
        "GEOGCRS[]",
        "+proj=utm +zone=99",
    ],
)
def test_a_projection_that_cannot_be_used_is_refused_with_its_remedy(text: str) -> None:
    with pytest.raises(codes.CodeError) as caught:
        import_opendrive(crossing(header=GEO.format(text)))
    (finding,) = caught.value.findings
    assert (finding.field, finding.value) == ("geoReference", text)
    assert "--at" in finding.remedy


def test_a_grid_of_the_datum_is_named() -> None:
    assert told(
        import_opendrive(crossing(header=GEO.format("+proj=utm +zone=32 +nadgrids=nobody_has_this.gsb"))),
        "guessed",
        "nadgrids",
    )


def test_the_offset_turns_and_shifts_the_map() -> None:
    header = GEO.format("+proj=tmerc +lat_0=39 +lon_0=116 +k=1 +ellps=WGS84")
    plain, turned = (
        one(import_opendrive(crossing(header=header + text)))
        for text in ("", '<offset x="100" y="0" z="0" hdg="1.5707963267948966"/>')
    )
    north = lane_of(plain, "1/-1").points  # driven eastwards
    east = lane_of(turned, "1/-1").points  # driven northwards now
    assert north[-1][1] - north[0][1] > 4000
    assert abs(north[-1][0] - north[0][0]) < 100
    assert east[-1][0] - east[0][0] > 3900
    assert abs(east[-1][1] - east[0][1]) < 100


def test_a_default_namespace_and_a_byte_order_mark_change_nothing() -> None:
    plain = one(import_opendrive(crossing()))
    for data in (
        crossing(attributes=' xmlns="http://code.asam.net/simulation/standard/opendrive_schema"'),
        b"\xef\xbb\xbf" + crossing(),
    ):
        assert one(read_any(data, "map.xodr")).lanes == plain.lanes


def test_one_road_that_cannot_be_read_loses_only_itself() -> None:
    found = import_opendrive(
        crossing(
            tail='<road id="77" length="x" junction="-1"/><road id="78" length="5" junction="-1"><planView><geometry '
            's="0" x="0" y="0" hdg="0" length="5"><wave/></geometry></planView></road>'
        )
    )
    assert len(one(found).connections) == 12
    assert told(found, "dropped", "roads that cannot be read", '"x"')
    assert told(found, "dropped", "roads that cannot be read", "road 78")


def test_a_refusal_carries_what_was_left_out() -> None:
    with pytest.raises(codes.CodeError) as caught:
        import_opendrive(crossing(kinds=dict.fromkeys((1, 2, 3, 4), "parking")))
    assert any("no lane to drive on" in loss.detail for loss in caught.value.losses)


@pytest.mark.parametrize(
    "name",
    [
        "roadrunner_lights",
        "controllers",
        "stopline_294",
        "left_hand",
        "two_way_lanelinks",
        "georeference_geoid",
        "border_lanes",
    ],
)
def test_the_cases_that_went_wrong_are_right(name: str) -> None:
    path = CASES / f"xodr_{name}.xodr"
    code = one(read_any(path.read_bytes(), str(path)))
    right = {
        "roadrunner_lights": lambda: groups(code)["1/-1"] == {2} and code.control == "signal",
        "controllers": lambda: [g.id for g in code.signal_groups] == [1, 2],
        "stopline_294": lambda: stop_of(code, "1/-1") == pytest.approx(38, abs=0.02),
        "left_hand": lambda: yields(code).get(("right", "left"), (True, False)) == (True, False),
        "two_way_lanelinks": lambda: len(code.connections) == 6,
        "georeference_geoid": lambda: len(code.connections) == 12,
        "border_lanes": lambda: {item.width_cm for item in code.lanes} == {350},
    }
    assert right[name]()
