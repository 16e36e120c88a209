"""Speed advice that its target has already is left out of a plan, and what is sent stays the same."""

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

from busy_worlds import busy_world
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudctl import codes, maps, planner
from cloudctl.clock import MS, SECOND
from cloudctl.codes import compile_code
from cloudctl.planner import AdvisoryFilter, Candidate, Withheld
from cloudctl.planner.candidate import SETTLED_PACKING, SPEED_STEP
from cloudctl.planner.kinds.glosa import BEHAVIOURS
from cloudctl.schema import AdvisoryKind, Behaviour, Severity
from cloudctl.world import Report, World

BEGIN = 1_767_225_600 * SECOND
TARGETS = ("vehicle:a", "vehicle:b")
SPEEDS = (8.0, 8.2, 8.45, 9.0)  # some less apart than a step that is worth a message, some more
DRAWN_BEHAVIOURS = (Behaviour.KEEP, Behaviour.COAST, Behaviour.STOP)

speed_advice = st.tuples(st.sampled_from(TARGETS), st.sampled_from(DRAWN_BEHAVIOURS), st.sampled_from(SPEEDS))
plans = st.lists(
    st.tuples(
        st.sampled_from((20, 100, 400, 1300)),  # ms since the plan before
        st.lists(speed_advice, max_size=2, unique_by=lambda advice: advice[0]),
        st.sampled_from((None, None, None, *TARGETS)),  # is advised to stop at the signal besides
    ),
    min_size=1,
    max_size=40,
)


def at(t: int) -> World:
    """Return what the filter reads of a snapshot at `t` ns."""
    code = SimpleNamespace(code=SimpleNamespace(id="X", revision=1))
    return cast(World, SimpleNamespace(t=t, code=code, signals=SimpleNamespace(seq=1, t=t), t_sensor=t, t_rx=t))


def proposal(kind: AdvisoryKind, target: str, behaviour: Behaviour, speed: float | None) -> Candidate:
    return Candidate(
        kind=kind,
        target=target,
        severity=Severity.INFORMATION,
        confidence=1.0,
        reason="go on",
        facts={},
        speed=speed,
        behaviour=behaviour,
    )


def unsettled(advisory_filter: AdvisoryFilter, t: int, candidates: list[Candidate]) -> list[Candidate]:
    """Return the proposals without those that the planner leaves out: where all are speed advice, what the target has
    already."""
    if any(candidate.kind is not AdvisoryKind.GLOSA for candidate in candidates):
        return candidates

    left = []
    for candidate in candidates:
        target = cast(Report, SimpleNamespace(target=candidate.target))
        valid_until, behaviour, speed = SETTLED_PACKING.unpack(*advisory_filter.settled([target]))
        has_same = behaviour >= 0 and BEHAVIOURS[behaviour] is candidate.behaviour
        if candidate.speed is not None and speed == speed:
            has_same &= abs(candidate.speed - speed) < SPEED_STEP
        if not has_same or valid_until - t < advisory_filter.settled_time_left:
            left.append(candidate)
    return left


@settings(max_examples=200)
@given(plans=plans, refresh=st.sampled_from((0.0, 0.4, 0.9)))
def test_a_filter_sends_the_same_whether_settled_advice_is_proposed_or_left_out(plans: Any, refresh: float) -> None:
    whole, without = AdvisoryFilter(refresh), AdvisoryFilter(refresh)
    t = BEGIN
    for waited, advised, stopped in plans:
        t += waited * MS
        candidates = []
        for target, behaviour, speed in advised:
            if behaviour is Behaviour.STOP:
                speed = None
            candidates.append(proposal(AdvisoryKind.GLOSA, target, behaviour, speed))
        if stopped is not None:
            candidates.append(proposal(AdvisoryKind.SIGNAL_STOP, stopped, Behaviour.STOP, None))

        noted: list[Withheld] = []
        noted_without: list[Withheld] = []
        assert without.choose(at(t), unsettled(without, t, candidates), noted_without) == whole.choose(
            at(t), candidates, noted
        )
        assert noted_without == noted
        assert without.valid(t) == whole.valid(t)


def test_what_is_sent_is_the_same_whether_the_compiled_call_leaves_settled_advice_out_or_not() -> None:
    code, counts = compile_code(codes.load(maps.path("corridor-1.json"))), {"left out": 0, "kept": 0}
    for seed in range(200):
        # Hazards and stopped vehicles are spoken of whatever a vehicle is advised.
        world = dataclasses.replace(busy_world(code, seed), hazards=(), stopped=())
        whole, without = AdvisoryFilter(), AdvisoryFilter()
        assert without.choose(world, planner.plan(world)) == whole.choose(world, planner.plan(world))

        # Later, with the vehicles a little slower, so that some of the advice is another.
        for step in range(1, 30):
            later = dataclasses.replace(world, t=world.t + step * 100 * MS, speed=world.speed - 0.02 * step * seed % 3)
            candidates, needed = planner.plan(later), planner.Plans([later], [without]).propose(0)
            assert needed == [candidate for candidate in candidates if candidate in needed]
            assert without.choose(later, needed) == whole.choose(later, candidates)
            assert without.valid(later.t) == whole.valid(later.t)

            is_less = len(needed) < len(candidates)
            counts["left out" if is_less else "kept"] += any(one.kind is AdvisoryKind.GLOSA for one in candidates)
            if is_less:
                left_out = [candidate for candidate in candidates if candidate not in needed]
                assert {candidate.kind for candidate in left_out} == {AdvisoryKind.GLOSA}
                assert {candidate.kind for candidate in needed} <= {AdvisoryKind.GLOSA, AdvisoryKind.DEGRADED}
    assert min(counts.values()) >= 20, counts  # the draws reach both sides


def test_each_intersection_of_a_batch_leaves_out_what_its_own_vehicles_have() -> None:
    code = compile_code(codes.load(maps.path("corridor-1.json")))
    worlds = [dataclasses.replace(busy_world(code, seed), hazards=(), stopped=()) for seed in range(60)]
    filters = [AdvisoryFilter() for _ in worlds]
    for world, advisory_filter in zip(worlds[::2], filters[::2], strict=True):
        advisory_filter.choose(world, planner.plan(world))

    alone = [
        planner.Plans([world], [advisory_filter]).propose(0)
        for world, advisory_filter in zip(worlds, filters, strict=True)
    ]
    together = planner.Plans(worlds, filters)
    backwards = planner.Plans(worlds[::-1], filters[::-1])
    assert [together.propose(index) for index in range(len(worlds))] == alone
    assert [backwards.propose(index) for index in range(len(worlds))] == alone[::-1]
    assert alone != [planner.plan(world) for world in worlds]
