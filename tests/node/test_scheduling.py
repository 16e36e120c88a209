"""When intersections are planned, on the scheduler alone: promptly for input, at once where it is urgent, not at all in
silence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.intersection import NEVER, IntersectionState
from cloudctl.intersection_factory import make_intersection
from cloudctl.metrics import Metrics
from cloudctl.scheduling import MAX_SILENCE, MIN_PERIOD, SLACK, PlanScheduler
from cloudctl.settings import EngineConfig

T = 1_767_225_600 * SECOND
PERIOD = 100 * MS


@pytest.fixture
def intersection(code: CompiledCode) -> IntersectionState:
    return make_intersection(code, EngineConfig({}), Metrics())


def test_without_input_nothing_is_due(intersection: IntersectionState) -> None:
    scheduler = PlanScheduler(PERIOD)
    assert scheduler.next == NEVER
    assert scheduler.due(T, [], {}) == []


def test_an_urgent_input_is_planned_in_the_same_step_and_the_regular_plan_keeps_its_time(
    code: CompiledCode, intersection: IntersectionState
) -> None:
    scheduler, table = PlanScheduler(PERIOD), {code.code.id: intersection}
    intersection.planned = T - 1
    scheduler.schedule_plan(T, intersection, urgent=True)
    regular = scheduler.next
    assert scheduler.due(T, [], table) == [intersection]
    assert intersection.planned == T - 1
    assert scheduler.next == regular
    assert scheduler.due(T + 1, [], table) == [], "urgent once only"


def test_fresh_perception_starts_a_plan_a_share_of_the_period_early(
    code: CompiledCode, intersection: IntersectionState
) -> None:
    scheduler, table = PlanScheduler(PERIOD), {code.code.id: intersection}
    intersection.planned = T
    early = T + PERIOD - int(PERIOD * SLACK)
    scheduler.schedule_plan(T, intersection)
    assert scheduler.due(early - 1, [intersection], table) == []
    assert scheduler.due(early, [intersection], table) == [intersection]
    assert intersection.planned == early


def test_an_intersection_without_input_is_planned_until_the_silence_is_too_long(
    code: CompiledCode, intersection: IntersectionState
) -> None:
    scheduler, table, plans = PlanScheduler(PERIOD), {code.code.id: intersection}, []
    scheduler.schedule_plan(T, intersection)
    while (t := scheduler.next) != NEVER:
        plans += [t for _ in scheduler.due(t, [], table)]
    assert len(plans) >= MAX_SILENCE // (PERIOD + int(PERIOD * SLACK)) - 1
    assert plans[-1] - T + 2 * PERIOD >= MAX_SILENCE
    assert plans[-1] - T <= MAX_SILENCE + 2 * PERIOD
    assert not intersection.plan_scheduled


def test_cleared_plans_do_not_come_back(code: CompiledCode, intersection: IntersectionState) -> None:
    scheduler = PlanScheduler(PERIOD)
    scheduler.schedule_plan(T, intersection, urgent=True)
    scheduler.clear()
    assert scheduler.next == NEVER
    assert scheduler.due(T + SECOND, [], {code.code.id: intersection}) == []


@settings(max_examples=200)
@given(
    period=st.integers(0, 300).map(lambda ms: ms * MS),
    inputs=st.lists(
        st.tuples(st.integers(0, 250).map(lambda ms: ms * MS), st.booleans(), st.booleans()), min_size=1, max_size=40
    ),
)
def test_whatever_comes_each_input_is_planned_within_the_period_and_no_plan_is_early(
    code: CompiledCode, period: int, inputs: list[tuple[int, bool, bool]]
) -> None:
    intersection = make_intersection(code, EngineConfig({}), Metrics())
    scheduler, table = PlanScheduler(period), {code.code.id: intersection}
    t, waiting_since = T, None
    latest = max(period, MIN_PERIOD) + 2 * int(period * SLACK)

    def plan(now: int, with_frames: bool, urgent: bool) -> None:
        nonlocal waiting_since
        previous = intersection.planned
        due = scheduler.due(now, [intersection] if with_frames else [], table)
        assert len(due) <= 1
        assert due or not urgent
        if intersection.planned != previous:
            assert due
            assert now - previous >= period - int(period * SLACK)
        if due:
            waiting_since = None
        assert waiting_since is None or now - waiting_since <= latest

    for pause, with_frames, urgent in inputs:
        arrival = t + pause
        while scheduler.next <= arrival:  # the driver steps by then
            t = scheduler.next
            plan(t, with_frames=False, urgent=False)
        t = arrival
        scheduler.schedule_plan(t, intersection, urgent)
        waiting_since = t if waiting_since is None else waiting_since
        plan(t, with_frames, urgent)
