"""Messages with something missing, doubled or contradictory: what was made of it stands in the report, and nothing is
opened or raised by it."""

import json
from typing import Any

import pytest
from made_maps import EAST, WEST, j2735, join, lane, limit, node, road, ydt, ydt_join, ydt_lane

from cloudctl import codes
from cloudctl.codes.formats.j2735.importer import import_map
from cloudctl.codes.formats.ydt.importer import import_ydt
from cloudctl.codes.model import IntersectionCode

WEST_NODES = [node(-1000, -175), node(-5000, 0)]


def one(tree: dict[str, Any]) -> tuple[IntersectionCode, str]:
    found = import_map(json.dumps(tree).encode()) if "intersections" in tree else import_ydt(tree)
    (code,) = found
    assert [f for f in codes.validate(code) if f.severity == "error"] == []
    return code, "\n".join(map(str, found.losses))


@pytest.mark.parametrize("speeds", [(417, 300), (300, 417)])
def test_of_two_lists_of_limits_at_one_node_the_lower_holds_with_a_line(speeds: tuple[int, int]) -> None:
    data = [{"speedLimits": [limit("vehicleMaxSpeed", speed)]} for speed in speeds]
    code, report = one(j2735(lane(1, "in", [node(-1000, -175, data=data), node(-5000, 0)], join(2, 1))))
    assert next(x.speed for x in code.lanes if x.id == code.connections[0].from_lane) == 6.0
    assert "listed twice: the lower limit is taken" in report


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ({"region": 10, "id": 1000}, True),
        ({"id": 1000}, True),
        ({"region": 11, "id": 1000}, False),
        ({"region": 10, "id": 1001}, False),
    ],
)
def test_a_connection_to_an_intersection_of_another_region_is_not_taken_as_own(
    remote: dict[str, int], kept: bool
) -> None:
    code, report = one(j2735(lane(1, "in", WEST_NODES, join(2, 1), join(4, 1, remoteIntersection=remote))))
    assert len(code.connections) == (3 if kept else 2)
    assert ("movements of its own intersection only" in report) != kept
    assert "no outgoing lane" not in report


@pytest.mark.parametrize("users", [[], [{"basicType": "none"}]])
def test_a_restriction_class_of_nobody_closes_with_a_line(users: list[Any]) -> None:
    _, report = one(
        j2735(lane(1, "in", WEST_NODES, join(2, 1, userClass=3)), restrictionList=[{"id": 3, "users": users}])
    )
    assert "its connections are closed to all" in report


def test_a_sidewalk_with_a_signal_makes_a_valid_code() -> None:
    one(j2735(lane(1, "in", WEST_NODES, join(2, 1), kind={"sidewalk": {}})))
    one(ydt(west=road(1, ydt_lane(1, WEST, ydt_join(2, 1), kind={"sidewalk": "0" * 16}))))


@pytest.mark.parametrize("kind", ["bikeLane", "sidewalk"])
def test_taxis_on_a_lane_for_bicycles_or_pedestrians_are_named(kind: str) -> None:
    _, report = one(
        j2735(lane(1, "in", WEST_NODES, join(2, 1), kind={kind: {}}, shareWith={"taxiVehicleTraffic": True}))
    )
    assert "they are kept out" in report


def unconnected(number: int, lanes: int) -> dict[str, Any]:
    """Return a map whose west lane leads to a road of some lanes without saying to which."""
    tree = ydt(west=road(1, ydt_lane(number, WEST, {"remoteIntersection": {"region": 10, "id": 2}, "phaseId": 1})))
    tree["nodes"][1]["inLinks"] = [
        road(19, *(ydt_lane(k, [(lat - 350 * (k - 1), lon) for lat, lon in EAST]) for k in range(1, lanes + 1)))
    ]
    return tree


@pytest.mark.parametrize(("number", "lanes", "led"), [(1, 1, "1"), (2, 1, "1"), (2, 2, "2"), (3, 2, "2")])
def test_a_connection_without_a_lane_leads_to_the_one_of_its_own_number_or_the_nearest_with_a_line(
    number: int, lanes: int, led: str
) -> None:
    code, report = one(unconnected(number, lanes))
    found = [c for c in code.connections if c.group == 1]
    assert [a.value.rpartition(".")[2] for c in found for x in code.lanes if x.id == c.to_lane for a in x.alias] == [
        led
    ]
    assert "no connectingLane" in report


def test_a_turn_that_the_lanes_own_maneuvers_do_not_allow_is_named() -> None:
    _, report = one(ydt(west=road(1, ydt_lane(1, WEST, ydt_join(2, 1), maneuvers="010000000000"))))
    assert "the lane's own maneuvers allow left only" in report
