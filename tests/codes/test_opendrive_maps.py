"""OpenDRIVE as exporters write it: lights, controllers, permissions, limits, stop lines, borders, directions. Each map
is drawn here."""

import pytest
from drawn_roads import EVERY_MOVEMENT, LENGTH, crossing, lane, light, signals
from opendrive_codes import groups, lane_of, one, stop_of, told

from cloudctl.codes.formats.opendrive.importer import import_opendrive


def test_a_pole_valid_for_lane_0_is_bound_by_references_whatever_their_orientation() -> None:
    reference = (
        '<signalReference s="1" t="0" id="1" orientation="{}"><validity fromLane="-1" toLane="-1"/></signalReference>'
    )
    for along in "+-":
        found = import_opendrive(
            crossing(
                inside={
                    1: signals(light(1, lanes="0 0", along="-")),
                    **{EVERY_MOVEMENT[1, b]: signals(reference.format(along)) for b in (2, 3, 4)},
                }
            )
        )
        code = one(found)
        assert code.control == "signal"
        assert groups(code) == {"1/-1": {2}, "2/-1": {0}, "3/-1": {0}, "4/-1": {0}}


def test_a_reference_without_lanes_concerns_all_of_its_connecting_road() -> None:
    inside = {
        1: signals(light(1, lanes="0 0")),
        **{EVERY_MOVEMENT[1, b]: signals('<signalReference s="1" t="0" id="1" orientation="-"/>') for b in (2, 3, 4)},
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
    narrow, through = '<width sOffset="0" a="1.5" b="0" c="0" d="0"/>', EVERY_MOVEMENT[1, 2]
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
