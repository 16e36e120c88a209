"""The planners on worlds made for them: what each says, and what none may ever say."""

import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import GREEN, RED, Stage, T

from cloudctl import codes, maps, planner, world
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.codes.compiled.rules import InForce
from cloudctl.codes.rule import Rule, Target
from cloudctl.planner.braking import brakes_too_late, required_deceleration
from cloudctl.planner.candidate import Candidate
from cloudctl.planner.filter import AdvisoryFilter, asks_to_brake
from cloudctl.planner.kinds.glosa import MAX_SPEED_GAIN, MIN_ADVISED_SPEED, advised_speed, travel
from cloudctl.planner.policy import PRIVATE
from cloudctl.schema import AdvisoryKind, ObjectClass, SignalState

RESTS_ON_SIGNALS = {
    *(AdvisoryKind.GLOSA, AdvisoryKind.RED_LIGHT, AdvisoryKind.RED_LIGHT_CROSSING),
    *(AdvisoryKind.COLLISION, AdvisoryKind.KEEP_CLEAR, AdvisoryKind.PASSING_ORDER),
}


def test_glosa_slows_down_for_a_red_and_says_why(stage: Stage) -> None:
    stage.put(stage.ingress[0], 130.0, 13.0)
    (said,) = stage.said(AdvisoryKind.GLOSA).values()
    assert said.behaviour == "coast"
    assert MIN_ADVISED_SPEED <= said.speed < 130.0 / 12.0
    assert "turns green in 12 s" in said.reason.format(**said.facts)


def test_glosa_brakes_where_coasting_comes_too_early_and_stops_where_braking_does(stage: Stage) -> None:
    told = {}
    for before in (130.0, 70.0, 20.0):
        stage.clear()
        stage.put(stage.ingress[0], before, 13.0)
        (said,) = stage.said(AdvisoryKind.GLOSA).values()
        told[before] = said.behaviour, said.speed
    assert told[130.0][0] == "coast"
    assert told[70.0][0] == "slow_down"
    assert told[20.0] == ("stop", None)


def test_glosa_lets_drive_on_in_green(stage: Stage) -> None:
    stage.state, stage.left = GREEN, 20.0
    stage.put(stage.ingress[0], 50.0, 13.0)
    (said,) = stage.said(AdvisoryKind.GLOSA).values()
    assert said.behaviour in ("keep", "speed_up")


def test_glosa_says_nothing_where_the_end_of_green_is_a_toss_up(stage: Stage) -> None:
    stage.state, stage.left = GREEN, 5.0
    lane = stage.ingress[0]
    stage.put(lane, float(5.5 * stage.code.lane_speed[lane]), float(stage.code.lane_speed[lane]))
    assert not stage.said(AdvisoryKind.GLOSA)


def test_who_leaves_the_road_before_the_signal_gets_no_speed_advice(stage: Stage) -> None:
    handle = stage.put(stage.ingress[0], 100.0, 13.0)
    assert stage.said(AdvisoryKind.GLOSA)
    stage.reports[handle] = dataclasses.replace(stage.reports[handle], connection=-1, paths=world.ELSEWHERE)
    assert not stage.said(AdvisoryKind.GLOSA)


def test_nobody_is_slowed_down_before_one_that_leaves_the_road(stage: Stage) -> None:
    stage.put(stage.ingress[0], 100.0, 13.0)
    behind = stage.put(stage.ingress[0], 125.0, 13.0)
    assert set(stage.said(AdvisoryKind.GLOSA)) == {"vehicle:v1", "vehicle:v2"}
    stage.reports[behind] = dataclasses.replace(stage.reports[behind], connection=-1, paths=world.ELSEWHERE)
    assert not stage.said(AdvisoryKind.GLOSA)
    stage.rows[1] |= {
        "x": stage.rows[1]["x"] - 3.0 * stage.rows[1]["vx"],
        "y": stage.rows[1]["y"] - 3.0 * stage.rows[1]["vy"],
    }
    assert set(stage.said(AdvisoryKind.GLOSA)) == {"vehicle:v1"}, "he is far behind"


def test_who_drives_at_a_red_is_warned_and_who_brakes_in_time_is_not(stage: Stage) -> None:
    stage.put(stage.ingress[0], 14.0, 13.0)
    stage.put(stage.ingress[1], 9.0, 13.0)
    said = stage.said(AdvisoryKind.RED_LIGHT)
    assert [said[f"vehicle:v{k}"].severity for k in (1, 2)] == [1, 0]
    stage.clear()
    stage.put(stage.ingress[0], 60.0, 13.0)
    assert not stage.said(AdvisoryKind.RED_LIGHT)


@pytest.mark.parametrize(
    ("before", "speed", "braking", "warned"),
    [
        (3.0, 7.4, 3.4, True),
        (6.0, 10.2, 3.3, True),
        (15.0, 13.1, 2.9, False),
        (3.0, 7.4, 5.2, False),
        (6.0, 7.0, 2.9, False),
        (3.2, 6.1, -2.5, True),
        (3.2, 6.1, 0.0, False),
        (8.0, 5.2, -2.2, False),
        (15.0, 11.7, -2.0, False),
        (22.0, 12.6, -2.5, False),
        (9.0, 11.5, -2.0, True),
    ],
)
def test_a_driver_is_warned_who_brakes_too_weakly_or_gains_speed_near_a_red_not_one_who_gains_speed_before_braking(
    stage: Stage, before: float, speed: float, braking: float, warned: bool
) -> None:
    """What it takes to stop within 2 m past the line is v^2 / (2 (d + 2))."""
    stage.clear()
    stage.put(stage.ingress[0], before, speed)
    stage.said(AdvisoryKind.RED_LIGHT)
    snapshot = dataclasses.replace(stage.world(), accel=np.array([-braking]))
    assert any(c.kind is AdvisoryKind.RED_LIGHT for c in planner.plan(snapshot)) == warned


def test_an_emergency_vehicle_is_told_to_who_drives_before_it(stage: Stage) -> None:
    lane = stage.ingress[0]
    stage.put(lane, 150.0, 15.0, "emergency")
    stage.put(lane, 60.0, 10.0)
    said = stage.said(AdvisoryKind.EMERGENCY)
    assert set(said) == {"vehicle:v2"}
    assert "90 m behind" in said["vehicle:v2"].reason.format(**said["vehicle:v2"].facts)


def test_a_wrong_way_driver_is_told_and_so_is_who_meets_it(stage: Stage) -> None:
    code = stage.code
    lane = max(stage.ingress, key=lambda k: code.path_length[k])
    stage.put(lane, 40.0, 10.0, turned=True)
    stage.put(lane, 120.0, 12.0)
    said = stage.said(AdvisoryKind.WRONG_WAY)
    assert said["vehicle:v1"].behaviour == "stop"
    assert "80 m ahead" in said["vehicle:v2"].reason.format(**said["vehicle:v2"].facts)


def test_rules_are_told_and_bind_speed_advice() -> None:
    plain = codes.load(maps.path("intersection.json"))
    first = compile_code(plain)
    lane = next(k for k in range(first.n_lanes) if first.lane_role[k] == 0 and first.lane_use[k] == 0)
    school = Rule("R90", "school_zone", (Target("code"),), 5.0)
    closed = Rule("R91", "no_entry", (Target(plain.lanes[lane].id),), classes=("truck",))
    code = compile_code(msgspec.structs.replace(plain, rules=(*plain.rules, school, closed)))
    stage = Stage(code)
    stage.put(lane, 100.0, 12.0)
    stage.put(lane, 60.0, 4.0, "truck")
    said = stage.said(AdvisoryKind.RULE)
    assert "limit here by rule R90 (school zone)" in said["vehicle:v1"].reason.format(**said["vehicle:v1"].facts)
    assert "R91 (no entry)" in said["vehicle:v2"].reason.format(**said["vehicle:v2"].facts)
    assert all(c.speed is None or c.speed <= 5.0 for c in stage.said(AdvisoryKind.GLOSA).values())


def proposal(
    behaviour: str, speed: float = 10.0, kind: AdvisoryKind = AdvisoryKind.GLOSA, severity: int = 2
) -> Candidate:
    return Candidate(
        kind=kind,
        target="vehicle:v1",
        severity=severity,
        confidence=1.0,
        reason="because",
        facts={},
        speed=speed,
        distance=50.0,
        behaviour=behaviour,
    )


def sent(stage: Stage, proposals: list[Candidate | None]) -> list[tuple[int, str | None]]:
    """Return (tick, behaviour) of what is sent when a proposal (None: nothing) is made every 100 ms."""
    advisory_filter, snapshot, out = AdvisoryFilter(), stage.world(), []
    for k, one in enumerate(proposals):
        now = dataclasses.replace(snapshot, t=T + k * SECOND // 10)
        out += [(k, a.behaviour) for a in advisory_filter.choose(now, [one] if one else [])]
    return out


def test_a_flicker_of_advice_is_not_sent_and_a_lasting_change_is(stage: Stage) -> None:
    keep, slow = proposal("keep"), proposal("slow_down", 6.0)
    assert sent(stage, [keep, slow, slow, keep, keep, keep]) == [(0, "keep")]
    assert sent(stage, [keep] + [slow] * 8) == [(0, "keep"), (5, "slow_down")]


def test_a_warning_is_sent_once_it_stands_and_a_severe_one_sooner(stage: Stage) -> None:
    mild = proposal("stop", 0.0, AdvisoryKind.RED_LIGHT, 1)
    severe = proposal("stop", 0.0, AdvisoryKind.RED_LIGHT, 0)
    assert sent(stage, [mild] * 4) == []
    assert sent(stage, [mild] * 7) == [(5, "stop")]
    assert sent(stage, [mild, None, None, *[mild] * 4]) == [(5, "stop")], "away for two ticks, it still stands"
    assert sent(stage, [mild, *[None] * 5, *[mild] * 4]) == []
    assert sent(stage, [severe] * 4) == [(2, "stop")]


def test_speed_up_is_said_only_where_it_makes_the_green(stage: Stage) -> None:
    lane, stage.state = stage.ingress[0], GREEN
    limit = float(stage.code.lane_speed[lane])
    for left, behaviour in ((30.0, "keep"), (100.0 / limit + 1.5, "speed_up")):
        stage.clear()
        stage.left = left
        stage.put(lane, 100.0, limit - 3.0)
        assert stage.said(AdvisoryKind.GLOSA)["vehicle:v1"].behaviour == behaviour


def test_late_is_a_driver_who_no_longer_stops_at_ease() -> None:
    assert not brakes_too_late(13.9, 25.0, 0.0)  # 3.9 m/s2 will do
    assert brakes_too_late(13.9, 20.0, 0.0)  # 4.8 m/s2 and no brake
    assert not brakes_too_late(13.9, 20.0, 2.0)  # he brakes
    assert required_deceleration(10.0, 5.0) == float("inf")


@given(
    distance=st.floats(5, 400), speed=st.floats(MIN_ADVISED_SPEED, 16), time=st.floats(0.5, 120), limit=st.floats(4, 22),  # noqa: E501
    rate=st.sampled_from([PRIVATE.coasting, PRIVATE.comfort]),
)  # fmt: skip
def test_advised_speed_is_within_its_bounds_and_arrives_in_time(
    distance: float, speed: float, time: float, limit: float, rate: float
) -> None:
    advised = advised_speed(distance, min(speed, limit), time, limit, rate)
    assert advised < 0 or MIN_ADVISED_SPEED <= advised <= limit + 1e-9
    if 0 < advised < limit:
        assert distance / advised >= time - 0.5 - (MAX_SPEED_GAIN + 16) / 1.5  # never told to dawdle past its slot
    if MIN_ADVISED_SPEED < advised < limit:
        there = travel(advised, distance, min(speed, limit), limit, rate, MAX_SPEED_GAIN)
        assert (
            abs(there - time) < 0.01
            or travel(advised + 1e-4, distance, min(speed, limit), limit, rate, MAX_SPEED_GAIN) < time
        )  # a jump of the sum


@settings(max_examples=60)
@given(data=st.data())
def test_no_world_makes_it_say_what_it_must_not(code: CompiledCode, data: st.DataObject) -> None:
    stage = Stage(code)
    stage.state = data.draw(st.sampled_from([RED, GREEN, int(SignalState.YELLOW_PROTECTED), int(SignalState.DARK)]))
    stage.left = data.draw(st.floats(0.0, 40.0))
    for _ in range(data.draw(st.integers(1, 12))):
        stage.put(
            data.draw(st.sampled_from(stage.ingress)), data.draw(st.floats(1.0, 80.0)), data.draw(st.floats(0.0, 20.0)),
            data.draw(st.sampled_from(["car", "bus", "emergency", None])), turned=data.draw(st.booleans()),
        )  # fmt: skip
    for _ in range(data.draw(st.integers(0, 6))):
        path = data.draw(st.integers(0, code.n_lanes + code.n_conns - 1))
        kind = data.draw(
            st.sampled_from([ObjectClass.CAR, ObjectClass.BUS, ObjectClass.PEDESTRIAN, ObjectClass.BICYCLE])
        )
        stage.on(path, data.draw(st.floats(0.0, 40.0)), data.draw(st.sampled_from([0.0, 2.0, 10.0])), **{"class": kind})
    stage.stopped = tuple(data.draw(st.sets(st.integers(1, len(stage.rows)), max_size=2)))
    snapshot = stage.world()
    said = AdvisoryFilter().choose(snapshot, planner.plan(snapshot))
    here = np.append(np.append(code.lane_speed, code.conn_speed), np.inf)[
        snapshot.path[snapshot.rows]
    ]  # of the path each is on, last: on none
    limit = dict(
        zip((v.id for v in snapshot.vehicles), np.minimum(here, in_force(snapshot).limit).tolist(), strict=True)
    )
    braking = {a.target for a in said if asks_to_brake(a)}
    for advisory in said:
        assert advisory.t == snapshot.t < advisory.valid_until
        assert advisory.inputs.revision == code.code.revision
        assert "{" not in advisory.reason
        if advisory.target.startswith("vehicle:") and advisory.speed is not None:
            assert 0.0 <= advisory.speed <= limit[advisory.target[8:]] + 1e-6
        if advisory.kind is AdvisoryKind.GLOSA and advisory.target in braking:
            assert advisory.behaviour in ("stop", "slow_down", "coast")  # never "drive on" beside "brake"
    keys = [(a.target, a.kind) for a in said]
    assert len(keys) == len(set(keys))
    other = dataclasses.replace(
        snapshot, signals=msgspec.structs.replace(snapshot.signals, revision=code.code.revision + 1)
    )
    assert not {c.kind for c in planner.plan(other)} & RESTS_ON_SIGNALS


def test_a_wrong_revision_silences_all_that_rests_on_signals(stage: Stage) -> None:
    stage.put(stage.ingress[0], 22.0, 13.0)
    snapshot = stage.world()
    other = dataclasses.replace(snapshot, signals=msgspec.structs.replace(snapshot.signals, revision=99))
    kinds = {c.kind for c in planner.plan(other)}
    assert AdvisoryKind.DEGRADED in kinds
    assert not kinds & RESTS_ON_SIGNALS


def in_force(snapshot: world.World) -> InForce:
    """Return what the rules say of each connected vehicle of a snapshot."""
    vehicles = [vehicle.as_ruled for vehicle in snapshot.vehicles]
    return snapshot.rules.in_force(snapshot.rows, snapshot.path, snapshot.s, snapshot.t, vehicles)
