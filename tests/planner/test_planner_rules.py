"""Rules that begin ahead, dynamic lanes, hazards on lanes, and what differs by kind of vehicle."""

import msgspec
import numpy as np
import pytest
from stage import GREEN, Stage, T, words

from cloudctl import codes, maps, planner
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.codes.rule import Calendar, Rule, Target
from cloudctl.planner.policy import BY_KIND, PRIVATE, policy_of
from cloudctl.schema import AdvisoryKind, Hazard, VehicleState

DAY_ONLY = Calendar(minutes=((0, 1),))  # a minute of the night: not in force at T, 08:00 in Shanghai


def ruled(*rules: Rule, revocable: int | None = None) -> Stage:
    """Return a stage on the shipped intersection with further rules, or with one lane made revocable."""
    plain = codes.load(maps.path("intersection.json"))
    lanes = [msgspec.structs.replace(lane, revocable=k == revocable) for k, lane in enumerate(plain.lanes)]
    return Stage(compile_code(msgspec.structs.replace(plain, lanes=tuple(lanes), rules=(*plain.rules, *rules))))


def road(code: CompiledCode) -> list[int]:
    """Return the vehicle lanes of one approach, from the left."""
    first = next(k for k in range(code.n_lanes) if code.lane_role[k] == 0)
    return [k for k in range(code.n_lanes) if code.lane_link[k] == code.lane_link[first] and code.lane_use[k] == 0]


def straight(stage: Stage, lane: int) -> int:
    return next(int(k) for k in np.flatnonzero(stage.code.conn_from == lane) if stage.code.conn_turn[k] == 0)


def test_a_toll_ahead_is_told_with_its_amount_to_those_it_binds(code: CompiledCode) -> None:
    exit_lane = code.lane_ids[int(code.conn_to[straight(Stage(code), road(code)[1])])]
    stage = ruled(Rule("R80", "toll", (Target(exit_lane),), 15.0, classes=("truck",), text="Ring 5"))
    lane = road(stage.code)[1]
    stage.put(lane, 80.0, 12.0, "truck", straight(stage, lane))
    stage.put(lane, 120.0, 12.0, "car", straight(stage, lane))
    said = stage.said(AdvisoryKind.TOLL)
    assert set(said) == {"vehicle:v1"}
    assert "CNY 15.00 for a truck" in words(said["vehicle:v1"])
    assert exit_lane in words(said["vehicle:v1"])
    assert 80.0 < said["vehicle:v1"].distance < 130.0


@pytest.mark.parametrize(("calendar", "heard"), [(None, 1), (DAY_ONLY, 0)])
def test_works_ahead_are_told_with_a_lane_to_change_to_while_they_are_in_force(
    code: CompiledCode, calendar: Calendar | None, heard: int
) -> None:
    lane = road(code)[1]
    begins = float(code.path_length[lane]) - 60.0
    stage = ruled(
        Rule("R81", "construction", (Target(code.lane_ids[lane], begins),), 8.3, calendar=calendar, text="Resurfacing")
    )
    stage.put(lane, 150.0, 14.0, "car", straight(stage, lane))
    said = stage.said(AdvisoryKind.HAZARD)
    assert len(said) == heard
    if heard:
        assert said["vehicle:v1"].behaviour == "change_right"
        assert said["vehicle:v1"].speed == 8.3
        assert "works" in words(said["vehicle:v1"])
        assert said["vehicle:v1"].distance == pytest.approx(90.0, abs=2.0)


def test_a_closed_lane_reported_by_a_gateway_comes_with_a_lane_to_change_to(stage: Stage) -> None:
    lane = road(stage.code)[2]
    at = float(stage.code.path_length[lane]) - 50.0
    stage.hazards = (Hazard(1, "r", "h1", "closure", T, T, T + 10**10, stage.code.lane_ids[lane], (at, at + 20.0)),)
    stage.put(lane, 120.0, 12.0, "car", straight(stage, lane))
    stage.put(lane, 20.0, 12.0, "car", straight(stage, lane))
    said = stage.said(AdvisoryKind.HAZARD)
    assert set(said) == {"vehicle:v1"}, "the other is past it"
    assert said["vehicle:v1"].behaviour == "change_left"


def test_a_tidal_lane_is_told_to_who_comes_by_whether_it_is_open_now(code: CompiledCode) -> None:
    lane = code.lane_ids[road(code)[0]]
    for calendar, state in ((None, "open to you"), (DAY_ONLY, "closed to you")):
        stage = ruled(Rule("R82", "tidal_lane", (Target(lane),), calendar=calendar))
        stage.put(road(stage.code)[1], 120.0, 12.0)
        assert f"lane {lane} is {state} now by rule R82" in words(stage.said(AdvisoryKind.DYNAMIC_LANE)["vehicle:v1"])


def test_a_revocable_lane_is_told_by_what_the_signals_say(code: CompiledCode) -> None:
    stage = ruled(revocable=road(code)[0])
    lane = stage.code.lane_ids[road(code)[0]]
    stage.put(road(code)[1], 120.0, 12.0)
    assert not stage.said(AdvisoryKind.DYNAMIC_LANE), "nobody said"
    stage.open = (lane,)
    assert f"lane {lane} is in use now" in words(stage.said(AdvisoryKind.DYNAMIC_LANE)["vehicle:v1"])
    stage.open = ()
    assert f"lane {lane} is not in use now" in words(stage.said(AdvisoryKind.DYNAMIC_LANE)["vehicle:v1"])


def test_a_bus_coasts_longer_than_a_car_and_a_sanitation_vehicle_is_told_no_speed_it_does_not_drive(
    stage: Stage,
) -> None:
    lane = stage.ingress[0]
    speeds = {}
    for kind in ("car", "bus", "sanitation"):
        stage.clear()
        stage.put(lane, 150.0, 13.0, kind)
        speeds[kind] = stage.said(AdvisoryKind.GLOSA)["vehicle:v1"].speed
    assert speeds["bus"] < speeds["car"], "it coasts longer, and cruises slower for it"
    stage.clear()
    stage.state, stage.left = GREEN, 30.0
    stage.put(lane, 120.0, 10.0, "sanitation")
    assert stage.said(AdvisoryKind.GLOSA)["vehicle:v1"].speed == BY_KIND["sanitation"].top


def test_an_emergency_vehicle_is_told_no_speed_for_the_green(stage: Stage) -> None:
    stage.put(stage.ingress[0], 100.0, 13.0, "emergency")
    assert not stage.said(AdvisoryKind.GLOSA)


def test_who_is_known_too_poorly_is_told_so_and_nothing_that_needs_his_lane(stage: Stage) -> None:
    stage.put(stage.ingress[0], 100.0, 13.0, "car", var_x=6.25, var_y=6.25)
    said = {c.kind: c for c in planner.plan(stage.world())}
    assert set(said) == {AdvisoryKind.DEGRADED}
    assert "your position is known to 2.5 m only" in words(said[AdvisoryKind.DEGRADED])


def test_policies_are_by_kind_and_automation() -> None:
    state = VehicleState(1, 0.0, 0.0, 0.0, 0.0)
    assert policy_of(state) is PRIVATE
    assert policy_of(msgspec.structs.replace(state, kind="hovercraft")) is PRIVATE
    automated = policy_of(msgspec.structs.replace(state, automated=True))
    assert automated.reaction < PRIVATE.reaction
    assert automated.position < PRIVATE.position
