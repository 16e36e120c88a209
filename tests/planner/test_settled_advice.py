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
from cloudctl.schema import AdvisoryKind, Behaviour, Severity
from cloudctl.world import World

BEGIN = 1_767_225_600 * SECOND
TARGETS = ("vehicle:a", "vehicle:b")
SPEEDS = (8.0, 8.2, 8.45, 9.0)  # some less apart than a step that is worth a message, some more
BEHAVIOURS = (Behaviour.KEEP, Behaviour.COAST, Behaviour.STOP)

speed_advice = st.tuples(st.sampled_from(TARGETS), st.sampled_from(BEHAVIOURS), st.sampled_from(SPEEDS))
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


def are_settled(advisory_filter: AdvisoryFilter, t: int, candidates: list[Candidate]) -> bool:
    """Return whether the planner would leave out all of some proposals."""
    if not candidates or any(candidate.kind is not AdvisoryKind.GLOSA for candidate in candidates):
        return False
    return all(
        advisory_filter.is_settled(t, candidate.target, cast(Behaviour, candidate.behaviour), candidate.speed)
        for candidate in candidates
    )


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
        needed = [] if are_settled(without, t, candidates) else candidates
        assert without.choose(at(t), needed, noted_without) == whole.choose(at(t), candidates, noted)
        assert noted_without == noted
        assert without.valid(t) == whole.valid(t)


def test_only_a_plan_that_would_be_nothing_but_settled_speed_advice_leaves_it_out() -> None:
    code, left_out = compile_code(codes.load(maps.path("corridor-1.json"))), 0
    for seed in range(200):
        # Hazards and stopped vehicles are spoken of whatever a vehicle is advised.
        world = dataclasses.replace(busy_world(code, seed), hazards=(), stopped=())
        asked: list[str] = []

        def note(t: int, target: str, behaviour: Behaviour, speed: float | None, asked: list[str] = asked) -> bool:
            asked.append(target)
            return True

        whole = planner.plan(world)
        rest = planner.Plans([world]).propose(0, is_settled=note)
        if asked:
            left_out += 1
            assert [candidate.target for candidate in whole if candidate.kind is AdvisoryKind.GLOSA] == asked
            assert rest == [candidate for candidate in whole if candidate.kind is AdvisoryKind.DEGRADED]
        else:
            assert rest == whole
        assert planner.Plans([world]).propose(0, is_settled=lambda *_: False) == whole
    assert left_out >= 3  # the draws reach both sides
