"""Right of way, hand of traffic, projection and damage of OpenDRIVE maps."""

import numpy as np
import pytest
from drawn_roads import EVERY_MOVEMENT, crossing, lane, signals
from opendrive_codes import alias, groups, lane_of, one, stop_of, told
from paths import CASES

from cloudctl import codes
from cloudctl.codes import IntersectionCode
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.opendrive.importer import import_opendrive
from cloudctl.forecast import lanes


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
    to, away, through = (2, -2, EVERY_MOVEMENT[1, 2]) if left_hand else (-2, 2, EVERY_MOVEMENT[1, 2])
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
    high, low = EVERY_MOVEMENT[3, 4], EVERY_MOVEMENT[1, 2]
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
