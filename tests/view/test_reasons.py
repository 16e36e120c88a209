"""Why there is no advice: whoever is not advised has a reason, whoever is advised has none; what is held back says
why.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import GREEN, RED, Stage, T

from cloudctl import planner
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.planner import AdvisoryFilter, Withheld
from cloudctl.planner.candidate import Candidate
from cloudctl.schema import AdvisoryKind
from cloudctl.view.reasons import why_no_advice
from cloudctl.view.status import REMEMBERED, Withholding


@st.composite
def traffic(draw: st.DrawFn) -> list[tuple[int, float, float, str | None]]:
    """Return vehicles: lane number, m before the stop line, m/s, class."""
    kinds = st.sampled_from(["car", "bus", "emergency", "truck", None])
    vehicle = st.tuples(st.integers(0, 40), st.floats(-20.0, 600.0), st.floats(0.0, 20.0), kinds)
    return draw(st.lists(vehicle, min_size=1, max_size=14))


@given(
    vehicles=traffic(),
    state=st.sampled_from([RED, GREEN, 0, 8]),
    left=st.floats(-3.0, 60.0),
    spread=st.floats(0.0, 15.0),
    confidence=st.floats(0.0, 1.0),
)
@settings(max_examples=150)
def test_whoever_gets_no_speed_advice_has_a_reason_and_whoever_does_has_none(
    code: CompiledCode,
    vehicles: list[tuple[int, float, float, str | None]],
    state: int,
    left: float,
    spread: float,
    confidence: float,
) -> None:
    stage = Stage(code)
    stage.state, stage.left, stage.spread, stage.confidence = state, left, spread, confidence
    for lane, before, speed, kind in vehicles:
        stage.put(stage.ingress[lane % len(stage.ingress)], before, speed, kind)
    world = stage.world()
    advised = {c.target for c in planner.plan(world) if c.kind is AdvisoryKind.GLOSA}
    for row in range(len(world.tracks)):
        reasons = why_no_advice(world, row)
        if world.report[row] < 0:
            assert reasons == ["no connected vehicle reports as this track: there is nobody to advise"]
            continue
        target = f"vehicle:{world.vehicles[int(world.report[row])].id}"
        assert (target in advised) == (not reasons), (target, reasons)
        assert all(reason and "{" not in reason for reason in reasons)


@pytest.mark.parametrize(
    ("before", "words"),
    [(1.5, "too late to advise"), (-3.0, "has passed its stop line")],
)
def test_the_reason_names_what_stands_in_the_way(stage: Stage, before: float, words: str) -> None:
    stage.put(stage.ingress[0], before, 0.0)
    assert any(words in reason for reason in why_no_advice(stage.world(), 0))


def test_stale_signals_are_the_reason_given_to_every_vehicle(stage: Stage) -> None:
    stage.put(stage.ingress[0], 60.0, 8.0)
    world = stage.world()
    late = dataclasses.replace(world, t=world.t + 2 * SECOND)
    assert any("signal states are 2.0 s old" in reason for reason in why_no_advice(late, 0))


def proposal(kind: AdvisoryKind, **more: object) -> Candidate:
    return Candidate(
        kind=kind,
        target="vehicle:v1",
        severity=1,
        confidence=1.0,
        reason="because of {what}",
        facts={"what": "this"},
        behaviour="stop",
        **more,
    )


def choose(
    filter_: AdvisoryFilter, world: object, t: int, candidates: list[Candidate]
) -> tuple[list[str], list[Withheld]]:
    withheld: list[Withheld] = []
    moment = dataclasses.replace(world, t=t)
    sent = filter_.choose(moment, candidates, withheld)
    return [advisory.kind for advisory in sent], withheld


def test_a_proposal_that_has_not_stood_long_enough_is_named_with_how_long_it_must(stage: Stage) -> None:
    world, filter_ = stage.world(), AdvisoryFilter()
    filter_.begin(T)
    candidates = [proposal(AdvisoryKind.RED_LIGHT)]
    sent, withheld = choose(filter_, world, T, candidates)
    assert sent == []
    assert "once a proposal has persisted for 0.5 s" in withheld[0].reason
    for k in range(1, 6):
        sent, withheld = choose(filter_, world, T + k * 100 * MS, candidates)
    assert sent == ["red_light"]
    assert withheld == []
    sent, withheld = choose(filter_, world, T + 600 * MS, candidates)
    assert (sent, withheld) == ([], [])  # it was sent and holds: nothing is withheld


def test_advice_to_drive_on_is_withheld_from_who_is_advised_to_stop(stage: Stage) -> None:
    world, filter_ = stage.world(), AdvisoryFilter()
    filter_.begin(T)
    keep = Candidate(
        kind=AdvisoryKind.GLOSA,
        target="vehicle:v1",
        severity=2,
        confidence=1.0,
        reason="go",
        facts={},
        behaviour="keep",
    )
    sent, withheld = choose(filter_, world, T, [keep, proposal(AdvisoryKind.EMERGENCY)])
    assert sent == ["emergency"]
    assert [(row.candidate.kind, row.reason) for row in withheld] == [
        ("glosa", "the vehicle is advised to brake or stop at the same time")
    ]


@given(
    kinds=st.lists(st.sampled_from(list(AdvisoryKind)), max_size=12),
    times=st.lists(st.integers(0, 900), min_size=1, max_size=6),
)
@settings(max_examples=60)
def test_noting_what_is_withheld_changes_nothing_that_is_sent(
    stage: Stage, kinds: list[AdvisoryKind], times: list[int]
) -> None:
    stage.clear()
    world, noting, plain = stage.world(), AdvisoryFilter(), AdvisoryFilter()
    noting.begin(T)
    plain.begin(T)
    candidates = [proposal(kind, renewal=k % 3 == 0) for k, kind in enumerate(kinds)]
    t = T
    for step in times:
        t += step * MS
        moment = dataclasses.replace(world, t=t)
        withheld: list[Withheld] = []
        sent = noting.choose(moment, candidates, withheld)
        assert sent == plain.choose(moment, candidates)
        kept_back = {id(row.candidate) for row in withheld}
        assert len(kept_back) == len(withheld) <= len(candidates)


def test_what_was_withheld_is_listed_for_a_while_and_never_grows() -> None:
    withholding = Withholding()
    many = [
        Withheld(
            Candidate(
                kind=AdvisoryKind.GLOSA,
                target=f"vehicle:v{k}",
                severity=2,
                confidence=1.0,
                reason="x {a}",
                facts={"a": k},
            ),
            "why",
        )
        for k in range(3000)
    ]
    withholding.note(T, many)
    assert len(withholding.rows(T)) <= 40
    assert len(withholding._rows) <= 160
    assert withholding.rows(T + REMEMBERED + 1) == []
    withholding.note(T + SECOND, many[:1])
    assert [row["proposal"] for row in withholding.rows(T + SECOND, "vehicle:v0")] == ["x 0"]
    assert np.isfinite([row["t"] for row in withholding.rows(T + SECOND)]).all()
