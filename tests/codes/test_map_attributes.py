"""What a MAP says of its lanes is used, as uses and rules, or reported: types, sharing, limits, marks at nodes,
restriction classes, numbers, directions."""

import json
from typing import Any

import pytest
from made_maps import (
    EAST,
    WEST,
    j2735,
    join,
    lane,
    limit,
    node,
    road,
    vehicle,
    ydt,
    ydt_join,
    ydt_lane,
)
from paths import CASES

from cloudctl import codes, maps
from cloudctl.codes.formats.detect import read_any
from cloudctl.codes.formats.j2735.importer import import_map
from cloudctl.codes.formats.ydt.importer import import_ydt
from cloudctl.codes.model import IntersectionCode, Lane
from cloudctl.codes.rule import Rule
from cloudctl.codes.rules import Vehicle, effective

NOON, NIGHT = 1_767_240_000 * 10**9, 1_767_286_800 * 10**9  # 12:00 and 01:00 in Beijing
WEST_NODES, SOUTH_NODES = ([node(-1000, -175), node(-5000, 0)], [node(175, -1000), node(0, -5000)])


def one(tree: dict[str, Any]) -> tuple[IntersectionCode, str]:
    """Return the code of a MAP, without errors, and its report as text."""
    found = import_map(json.dumps(tree).encode()) if "intersections" in tree or "payload" in tree else import_ydt(tree)
    (code,) = found
    assert [f for f in codes.validate(code) if f.severity == "error"] == []
    return code, "\n".join(map(str, found.losses))


def numbered(code: IntersectionCode, number: str) -> Lane:
    """Return the lane of a number of the message."""
    return next(x for x in code.lanes if any(a.value == number or a.value.endswith(f".{number}") for a in x.alias))


def who(code: IntersectionCode, path: str, t: int = NOON) -> set[str]:
    """Return the classes that may use a lane or connection."""
    return {
        kind
        for kind in ("car", "taxi", "bus", "truck", "tram", "emergency", "bicycle")
        if effective(code, path, Vehicle(kind), t).allowed
    }


def test_a_plain_map_is_free_of_rules_and_of_lines_but_those_of_every_map() -> None:
    code, report = one(j2735())
    assert {rule.kind for rule in code.rules} == {"speed_max"}
    assert "dropped" not in report
    assert "unknown" not in report


@pytest.mark.parametrize(
    ("flags", "use", "allowed"),
    [
        (("restrictedToTaxiUse",), "vehicle", {"taxi"}),
        (("restrictedToBusUse",), "bus", {"bus", "emergency"}),
        (("restrictedToBusUse", "restrictedToTaxiUse"), "bus", {"bus", "taxi"}),
        (("hovLaneUseOnly",), "vehicle", set()),
        (("restrictedFromPublicUse",), "vehicle", {"emergency"}),
        ((), "vehicle", {"car", "taxi", "bus", "truck", "tram", "emergency", "bicycle"}),
    ],
)
def test_a_lane_for_some_vehicles_is_closed_to_the_others(flags: tuple[str, ...], use: str, allowed: set[str]) -> None:
    code, _ = one(j2735(lane(1, "in", WEST_NODES, join(2, 1), kind=vehicle(*flags))))
    found = numbered(code, "1")
    assert (found.use, who(code, found.id)) == (use, allowed)
    bits = "".join(
        "1" if name in flags else "0"
        for name in (
            "",
            "",
            "hovLaneUseOnly",
            "restrictedToBusUse",
            "restrictedToTaxiUse",
            "restrictedFromPublicUse",
            "",
            "",
        )
    )
    code, _ = one(ydt(west=road(1, ydt_lane(1, WEST, ydt_join(2, 1), kind={"vehicle": bits}))))
    found = next(x for x in code.lanes if x.id == code.connections[0].from_lane)
    assert (found.use, who(code, found.id)) == (use, allowed)


def test_a_track_is_for_trams_and_those_it_is_shared_with() -> None:
    code, _ = one(
        j2735(
            lane(3, "in", SOUTH_NODES, join(4, 2), kind={"trackedVehicle": {}}, shareWith={"busVehicleTraffic": True})
        )
    )
    found = numbered(code, "3")
    assert (found.use, found.shared, who(code, found.id)) == ("tram", ("bus",), {"bus", "tram"})
    code, _ = one(j2735(lane(3, "in", SOUTH_NODES, join(4, 2), kind={"trackedVehicle": {}})))
    assert who(code, numbered(code, "3").id) == {"tram"}


def test_sharing_becomes_further_uses() -> None:
    shared = {
        "cyclistVehicleTraffic": True,
        "trackedVehicleTraffic": True,
        "pedestriansTraffic": True,
        "overlappingLaneDescriptionProvided": True,
    }
    code, report = one(j2735(lane(1, "in", WEST_NODES, join(2, 1), shareWith=shared)))
    assert set(numbered(code, "1").shared) == {"bike", "tram", "pedestrian"}
    assert "overlappingLaneDescriptionProvided" in report
    code, _ = one(ydt(west=road(1, ydt_lane(1, WEST, ydt_join(2, 1), shareWith="0000000100"))))
    assert next(x for x in code.lanes if x.id == code.connections[0].from_lane).shared == ("bike",)


def test_limits_by_class_night_school_and_works_become_rules() -> None:
    limits = (
        limit("vehicleMaxSpeed", 833),
        limit("truckMaxSpeed", 555),
        limit("vehicleNightMaxSpeed", 417),
        limit("truckNightMaxSpeed", 300),
        limit("vehicleMinSpeed", 100),
        limit("maxSpeedInSchoolZoneWhenChildrenArePresent", 400),
        limit("maxSpeedInConstructionZone", 450),
        limit("vehiclesWithTrailersMaxSpeed", 200),
    )
    for tree in (j2735(limits=limits), ydt(west=road(1, ydt_lane(1, WEST, ydt_join(2, 1)), limits=limits))):
        code, report = one(tree)
        lane_id = code.connections[0].from_lane
        plain = {
            (r.kind, r.value, r.classes, r.calendar is not None)
            for r in code.rules
            if lane_id in {t.entity for t in r.targets}
        }
        assert plain == {
            ("speed_max", 16.66, (), False),
            ("speed_max", 11.1, ("truck",), False),
            ("speed_max", 8.34, (), True),
            ("speed_max", 6.0, ("truck",), True),
            ("speed_min", 2.0, (), False),
            ("school_zone", 8.0, (), False),
            ("construction", 9.0, (), False),
        }
        for word in ("vehiclesWithTrailersMaxSpeed", "ChildrenArePresent", "NightMaxSpeed"):
            assert word in report


def test_a_night_limit_holds_at_night_only() -> None:
    code, _ = one(j2735(limits=(limit("vehicleMaxSpeed", 833), limit("vehicleNightMaxSpeed", 417))))
    lane_id = numbered(code, "1").id
    assert [effective(code, lane_id, Vehicle("car"), t).speed_max for t in (NOON, NIGHT)] == [16.66, 8.34]


def test_an_unknown_or_missing_limit_is_named() -> None:
    for limits, word in (
        ((limit("vehicleMaxSpeed", 833), limit("swimmerMaxSpeed", 9)), "swimmerMaxSpeed"),
        ((limit("vehicleMaxSpeed", 8191),), "8191"),
        ((), "50 km/h"),
    ):
        _, report = one(j2735(limits=limits))
        assert word in report


def test_marks_at_nodes_are_used() -> None:
    slow = {"data": [{"speedLimits": [limit("vehicleMaxSpeed", 417)]}]}
    nodes = [
        node(-1000, -175, dWidth=-50),
        node(-1500, 0, localNode=["stopLine"]),
        node(-1500, 0, **slow),
        node(-2000, 0, dElevation=3, localNode=["hydrantPresent"]),
    ]
    code, report = one(j2735(lane(1, "in", nodes, join(2, 1))))
    found = numbered(code, "1")
    assert found.width_cm == 300
    assert found.speed == 16.66
    assert next(stop.s for stop in code.stop_lines if stop.lane == found.id) == pytest.approx(35.0, abs=0.01)
    (rule,) = [r for r in code.rules if r.value == 8.34]
    assert [(t.entity, t.s_from, t.s_to) for t in rule.targets] == [(found.id, None, 20.0)]
    for word in ("dElevation", "hydrantPresent"):
        assert word in report


def test_the_limit_at_the_first_node_is_the_lanes_own() -> None:
    first = node(-1000, -175, data={"data": [{"speedLimits": {"speedLimits": [limit("vehicleMaxSpeed", 417)]}}]})
    code, _ = one(j2735(lane(1, "in", [first, node(-5000, 0)], join(2, 1))))
    assert [numbered(code, n).speed for n in ("1", "3")] == [8.34, 16.66]


def test_a_connection_for_a_restriction_class_is_closed_to_the_others() -> None:
    def restricted(*users: str) -> dict[str, Any]:
        return j2735(
            lane(1, "in", WEST_NODES, join(2, 1, userClass=3)),
            restrictionList={
                "restrictionList": [{"id": 3, "users": {"users": [{"basicType": user} for user in users]}}]
            },
        )

    code, _ = one(restricted("equippedTransit", "equippedTaxis"))
    assert who(code, "C1") == {"bus", "taxi"}
    code, report = one(restricted("emissionCompliant"))
    assert who(code, "C1") == set()
    assert "emissionCompliant" in report
    code, report = one(j2735(lane(1, "in", WEST_NODES, join(2, 1, userClass=9))))
    assert who(code, "C1") == set()
    assert "no such restriction class" in report


def trajectory(*nodes: dict[str, Any], number: int = 4) -> list[dict[str, Any]]:
    return [
        {"regionId": 3, "regExtValue": {"ConnectionTrajectory-addGrpC": {"nodes": list(nodes), "connectionID": number}}}
    ]


def test_the_path_of_a_connection_and_its_limit_are_taken_from_the_extension() -> None:
    slow = {"data": [{"speedLimits": [limit("vehicleMaxSpeed", 300)]}]}
    code, report = one(
        j2735(
            lane(
                1,
                "in",
                WEST_NODES,
                join(2, 1, connectionID=4),
                regional=trajectory(node(-1000, -175, **slow), node(1000, 100), node(1000, -100)),
            )
        )
    )
    first, other = code.connections
    assert (first.speed, other.speed) == (6.0, 16.66)
    assert (len(first.points), len(other.points)) == (3, 9)
    assert "regional" not in report


def test_a_path_far_from_its_lanes_is_drawn_instead_and_named() -> None:
    far = trajectory(node(-1000, -175), node(5000, 0))
    code, report = one(j2735(lane(1, "in", WEST_NODES, join(2, 1, connectionID=4), regional=far)))
    assert len(code.connections[0].points) == 9
    assert "off its lanes" in report
    for other in ([{"regionId": 7, "regExtValue": "00FF"}], [{"regionId": 4, "regExtValue": {"Something": {"a": 1}}}]):
        _, report = one(j2735(lane(1, "in", WEST_NODES, join(2, 1), regional=other)))
        assert "regExtValue" in report


def test_a_lane_that_leads_neither_in_nor_out_is_left_out_with_a_line() -> None:
    extra = lane(5, "none", [node(1000, -525), node(5000, 0)])
    code, report = one(j2735(extra))
    assert len(code.lanes) == 4
    assert "neither in nor out" in report
    code, report = one(j2735(lane(2, "none", [node(1000, -175), node(5000, 0)])))
    assert len(code.connections) == 1
    assert "lane 2, which is no outgoing lane" in report


def test_a_lane_of_both_directions_stands_as_two() -> None:
    code, report = one(j2735(lane(2, "both", [node(1000, -175), node(5000, 0)], join(4, 3))))
    assert len(code.lanes) == 5
    assert len(code.connections) == 3
    assert "both ways" in report


def test_two_lanes_of_one_number_both_stand_and_are_named() -> None:
    tree = j2735()
    rows = tree["intersections"]["intersectionGeometry"][0]["laneSet"]["GenericLane"]
    rows.append(lane(2, "out", [node(1000, -525), node(5000, 0)]))
    code, report = one(tree)
    assert len(code.lanes) == 5
    assert "2 outgoing lanes have this number" in report
    west = road(
        1, ydt_lane(1, WEST, ydt_join(2, 1)), ydt_lane(1, [(lat - 300, lon) for lat, lon in WEST], ydt_join(2, 3))
    )
    code, _ = one(ydt(west=west))
    assert len(code.lanes) == 5
    assert len(code.connections) == 3
    assert [c.group for c in code.connections] == [1, 3, 2]
    twice = ydt()
    twice["nodes"][1]["inLinks"][0]["lanes"].append(ydt_lane(1, [(lat - 300, lon) for lat, lon in EAST]))
    code, report = one(twice)
    assert "have this number: the first is taken" in report
    assert len(code.lanes) == 5


def test_the_phase_of_a_road_is_that_of_its_lanes() -> None:
    movement = {"remoteIntersection": {"region": 10, "id": 2}, "phaseId": 5}
    code, report = one(ydt(west=road(1, ydt_lane(1, WEST, ydt_join(2, None)), movements=[movement])))
    assert [c.group for c in code.connections] == [5, 2]
    assert "phaseId" not in report
    code, report = one(ydt(west=road(1, ydt_lane(1, WEST, ydt_join(2, 1)), movements={"Movement": movement})))
    assert [c.group for c in code.connections] == [1, 2]
    assert "has phase 5" in report


def test_a_movement_of_a_road_that_no_lane_leads_to_is_named() -> None:
    movement = {"remoteIntersection": {"region": 10, "id": 77}, "phaseId": 5}
    code, report = one(ydt(west=road(1, ydt_lane(1, WEST, ydt_join(2, 1)), movements=[movement])))
    assert [c.group for c in code.connections] == [1, 2]
    assert "no lane of the road has a connection that leads there" in report


def test_a_lane_without_attributes_is_taken_as_one_for_vehicles_and_named() -> None:
    plain = ydt_lane(1, WEST, ydt_join(2, 1))
    del plain["laneAttributes"]
    code, report = one(ydt(west=road(1, plain)))
    assert len(code.lanes) == 4
    assert "has no laneAttributes" in report


def test_one_bad_lane_or_intersection_loses_nothing_else() -> None:
    code, report = one(
        j2735(
            lane(5, "out", [node(1000, -525)]),
            lane(6, "out", [node(1000, -525), {"delta": {"node-XY9": {"x": 1, "y": 1}}}]),
            lane(7, "out", [node(0, 0), node(1, 1)], kind={"flying": {}}),
        )
    )
    assert len(code.lanes) == 4
    assert report.count("left out: ") >= 3
    tree = j2735()
    tree["intersections"]["intersectionGeometry"].append({"id": {"id": 7}})
    found = import_map(json.dumps(tree).encode())
    assert len(found) == 1
    assert any("intersection is left out" in loss.detail for loss in found.losses)


def test_a_refusal_says_what_was_left_out_until_then() -> None:
    closed = [
        lane(n, "none", nodes)
        for n, nodes in ((2, [node(1000, -175), node(5000, 0)]), (4, [node(175, 1000), node(0, 5000)]))
    ]
    with pytest.raises(codes.CodeError, match="movements") as caught:
        import_map(json.dumps(j2735(*closed)).encode())
    assert sum("neither in nor out" in str(loss) for loss in caught.value.losses) == 1
    pytest.importorskip("pycrate_asn1dir")
    from cloudctl.codes.formats.j2735.encode import map_tree
    from cloudctl.codes.formats.messages.uper import encode

    tree = map_tree(codes.load(maps.path("intersection.json")), 300)
    for row in tree["intersections"][0]["laneSet"]:
        row["laneAttributes"]["directionalUse"] = (0, 2)
    with pytest.raises(codes.CodeError, match="movements") as caught:
        read_any(encode("MapData", tree).hex().encode(), "a message")
    assert any("neither in nor out" in str(loss) for loss in caught.value.losses)


@pytest.mark.parametrize(
    "bits",
    [
        "00001000",
        "08",
        {"value": "08", "length": 8},
        {"restrictedToTaxiUse": True},
        {"restrictedToTaxiUse": "true"},
        [8, 8],
    ],
)
def test_bit_strings_are_read_as_text_hex_numbers_and_flags(bits: Any) -> None:
    code, _ = one(j2735(lane(1, "in", WEST_NODES, join(2, 1), kind={"vehicle": bits})))
    assert who(code, numbered(code, "1").id) == {"taxi"}


@pytest.mark.parametrize("bits", ["0000100", "xx", 1.5, {"restrictedToTaxiUse": "maybe"}])
def test_a_bit_string_that_cannot_be_read_is_named(bits: Any) -> None:
    _, report = one(j2735(lane(1, "in", WEST_NODES, join(2, 1), kind={"vehicle": bits})))
    assert "laneType/vehicle" in report


# --- cases that once went wrong ---


def case(name: str) -> tuple[IntersectionCode, str]:
    found = read_any((CASES / name).read_bytes(), name)
    return found[0], "\n".join(map(str, found.losses))


def test_the_case_of_attributes() -> None:
    code, _ = case("map_attributes_dropped_silently.json")
    first, track = numbered(code, "1"), numbered(code, "3")
    assert (who(code, first.id), first.speed) == ({"taxi"}, 8.34)
    assert (track.use, who(code, track.id)) == ("tram", {"bus", "tram"})
    assert who(code, next(c.id for c in code.connections if c.from_lane == first.id)) == {"bus"}
    rules: list[Rule] = list(code.rules)
    assert {(r.value, r.classes) for r in rules if r.kind == "speed_max"} >= {(11.1, ("truck",)), (8.34, ())}


def test_the_cases_of_a_closed_lane_a_plain_map_and_a_phase_in_movements() -> None:
    code, report = case("map_lane_without_direction.json")
    assert "neither in nor out" in report
    assert len(code.lanes) == 2
    assert [rule.kind for rule in case("map_plain.json")[0].rules] == ["speed_max"]
    assert [c.group for c in case("ydt_phase_in_link_movements.json")[0].connections] == [5, 2]
