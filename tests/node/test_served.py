"""Intersections that are added and dropped while an engine runs: an input like any other, and nothing to the others."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_intersections import elsewhere

from bench.scene import Scene, corridor
from cloudctl import codes
from cloudctl.clock import MS, SECOND
from cloudctl.codes import compile_code
from cloudctl.engine import Engine, Output
from cloudctl.io.recording.reader import Recorder, Recording
from cloudctl.node.operator_inputs import add_input, drop_input
from cloudctl.payloads import encode
from cloudctl.planner import AdvisoryFilter
from cloudctl.planner.candidate import Candidate
from cloudctl.planner.catalogue import DELIVERY
from cloudctl.replay import replay
from cloudctl.schema import AdvisoryKind, Behaviour, RawMessage, Severity
from cloudctl.settings import EngineConfig
from cloudctl.signals.states import Signals
from cloudctl.topics import OPERATOR
from cloudctl.world import World

T = 1_767_225_600 * SECOND
FIRST, SECOND_CODE = (code.code for code in corridor()[:2])
SHARED = EngineConfig(
    {"g": {f"r{k}": FIRST.id for k in range(3)}, "h": {f"s{k}": SECOND_CODE.id for k in range(3)}}, shared=True
)


def batches(seconds: float) -> list[tuple[int, list[RawMessage], list[RawMessage]]]:
    """Return the steps of a run: the time, and the messages of each of both intersections."""
    first, second = (Scene(code, 20, seed) for seed, code in enumerate(corridor()[:2], 1))
    pairs = zip(first.run(seconds), second.run(seconds), strict=True)
    return [(t, batch, [elsewhere(raw) for raw in other]) for (t, batch), (_, other) in pairs]


RUN = batches(6.0)


def advisories_of(output: Output, intersection: str) -> list[bytes]:
    return [encode(advisory) for advisory in output.advisories if advisory.intersection == intersection]


def test_a_run_in_which_intersections_come_and_go_replays_byte_identical_also_from_a_later_part(tmp_path: Path) -> None:
    engine, recorder = Engine([FIRST], SHARED), Recorder(tmp_path / "run.mcap")
    recorder.meta("config", msgspec.json.encode(SHARED))
    recorder.meta("code", codes.dump(FIRST), FIRST.id)
    inputs = {
        20: [add_input(SECOND_CODE.id, [SECOND_CODE], epoch=7)],
        60: [drop_input(SECOND_CODE.id), drop_input(FIRST.id)],
        80: [add_input(FIRST.id, [FIRST], epoch=9, guest=True)],
        100: [add_input(FIRST.id, [FIRST], epoch=9), add_input(SECOND_CODE.id, [SECOND_CODE], epoch=8)],
    }
    said: dict[int, set[int]] = {}
    for number, (t, batch, other) in enumerate(RUN):
        batch = [*inputs.get(number, []), *batch, *other]
        output = engine.step(t, batch)
        assert [answer.refusal for answer in output.answers] == [None] * len(inputs.get(number, []))
        for advisory in output.advisories:
            said.setdefault(number // 20, set()).add(advisory.epoch)
        recorder.step(t, batch, [encode(advisory) for advisory in output.advisories])
        for answer in output.answers:
            recorder.remember(answer.datum.kind, answer.datum.body, answer.name)
    recorder.close()
    assert said[2] == {0, 7}
    assert said.get(3, set()) == said.get(4, set()) == set(), "neither one dropped nor a guest says anything"
    assert said[5] == {8, 9}

    result = replay(tmp_path / "run.mcap")
    assert result.recorded > 0
    assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})


def test_a_later_part_begins_with_what_is_served_then(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.mcap")
    recorder.meta("config", msgspec.json.encode(SHARED))
    recorder.meta("code", codes.dump(FIRST), FIRST.id)
    addition = add_input(SECOND_CODE.id, [SECOND_CODE], epoch=7)
    for _ in range(3):
        recorder.remember("add", addition.body, SECOND_CODE.id)
        recorder.remember("drop", b"", FIRST.id)
    recorder.flush()
    recorder.path.unlink()
    recorder.flush()
    recorder.step(1, [], [])
    recorder.close()
    assert [name for name, _ in Recording(recorder.path).meta] == ["config", "add"]
    assert replay(recorder.path).fault is None


@settings(max_examples=6)
@given(st.lists(st.tuples(st.integers(0, len(RUN) - 1), st.sampled_from(["own", "guest", "drop"])), max_size=12))
def test_what_comes_and_goes_changes_nothing_of_the_other_intersection(changes: list[tuple[int, str]]) -> None:
    alone, shared = Engine([FIRST], SHARED), Engine([FIRST], SHARED)
    inputs = {
        "own": add_input(SECOND_CODE.id, [SECOND_CODE], epoch=3),
        "guest": add_input(SECOND_CODE.id, [SECOND_CODE], guest=True),
        "drop": drop_input(SECOND_CODE.id),
    }
    for number, (t, batch, other) in enumerate(RUN):
        wanted = [inputs[change] for at, change in changes if at == number]
        with_other = shared.step(t, [*wanted, *batch, *other])
        assert with_other.errors == []
        assert advisories_of(with_other, FIRST.id) == advisories_of(alone.step(t, batch), FIRST.id)
        is_owned = SECOND_CODE.id in shared.intersections and SECOND_CODE.id not in shared.served.guests
        assert is_owned or advisories_of(with_other, SECOND_CODE.id) == []


@pytest.mark.parametrize(
    ("datum", "reason"),
    [
        (add_input(FIRST.id, [FIRST]), "is served already"),
        (add_input(FIRST.id, [FIRST], guest=True), "is served already"),
        (add_input(SECOND_CODE.id, [FIRST]), f"is not {SECOND_CODE.id}"),
        (add_input(SECOND_CODE.id, []), "needs a digital code"),
        (add_input(SECOND_CODE.id, [SECOND_CODE, msgspec.structs.replace(SECOND_CODE, name="x")]), "another content"),
        (RawMessage("add", OPERATOR, b'{"intersection":"x","revisions":[{}]}'), "code"),
        (RawMessage("add", OPERATOR, b"{}"), "intersection"),
        (drop_input("nowhere"), "is no intersection that this node serves"),
        (RawMessage("drop", OPERATOR, b"[]"), "object"),
    ],
)
def test_what_cannot_be_added_or_dropped_is_answered_with_why_and_changes_nothing(
    datum: RawMessage, reason: str
) -> None:
    engine = Engine([FIRST], SHARED)
    for t, batch, other in RUN[:10]:
        engine.step(t, [*batch, *other])
    output = engine.step(RUN[10][0], [datum])
    assert reason in (output.answers[0].refusal or "")
    assert output.errors == []
    assert list(engine.intersections) == engine.versions.ids() == [FIRST.id]


def test_an_intersection_that_a_unit_is_bound_to_stays_where_no_other_node_could_serve_it() -> None:
    engine = Engine([FIRST, SECOND_CODE], msgspec.structs.replace(SHARED, shared=False))
    output = engine.step(T, [drop_input(FIRST.id)])
    assert "RSU r0 is bound to" in (output.answers[0].refusal or "")
    assert FIRST.id in engine.intersections


def test_a_gateway_cannot_add_or_drop_an_intersection() -> None:
    engine = Engine([FIRST], SHARED)
    for raw in (add_input(SECOND_CODE.id, [SECOND_CODE]), drop_input(FIRST.id)):
        output = engine.step(T, [raw._replace(sender="g")])
        assert output.answers == []
        assert [body.field for _, kind, body in output.replies if kind == "reject"] == ["kind"]  # type: ignore[attr-defined]
    assert list(engine.intersections) == [FIRST.id]


def moment(t: int) -> World:
    """What a filter needs of a snapshot to date an advisory."""
    fields = SimpleNamespace(t=t, code=compile_code(FIRST), signals=Signals.dark(0), t_sensor=t, t_rx=t)
    return cast(World, fields)


def proposal(kind: AdvisoryKind, about: str) -> Candidate:
    return Candidate(
        kind=kind,
        target="vehicle:car",
        severity=Severity.SOON,
        confidence=0.9,
        reason="because of {cause}",
        facts={"cause": about or "the signal"},
        speed=8.0,
        behaviour=Behaviour.SLOW_DOWN,
        about=about,
    )


@given(
    kind=st.sampled_from(sorted(kind for kind in AdvisoryKind if kind is not AdvisoryKind.SIGNAL_STOP)),
    abouts=st.lists(st.sampled_from(["", "rule-1", "rule-2"]), min_size=1, max_size=3, unique=True),
    moved_after=st.integers(20, 60),
)
@settings(max_examples=25)
def test_a_new_owner_sends_what_is_still_valid_no_sooner_again_than_the_one_before_would(
    kind: AdvisoryKind, abouts: list[str], moved_after: int
) -> None:
    proposals = [proposal(AdvisoryKind(kind), about) for about in abouts]
    before, cold, after = AdvisoryFilter(), AdvisoryFilter(), AdvisoryFilter()
    worlds = [moment(T + step * 100 * MS) for step in range(moved_after + 10)]
    sent = [advisory for world in worlds[:moved_after] for advisory in before.choose(world, proposals)]
    assert sent
    after.adopt([advisory for advisory in sent if advisory.valid_until > worlds[moved_after].t])

    def sends(filter: AdvisoryFilter) -> list[tuple[int, str]]:
        said = [(world.t, advisory) for world in worlds[moved_after:] for advisory in filter.choose(world, proposals)]
        return [(t, advisory.reason) for t, advisory in said]

    due, adopted, repeated = sends(before), sends(after), sends(cold)
    assert len(adopted) <= len(due)
    for t, reason in adopted:
        assert any(other == reason and t >= t_due for t_due, other in due)
    assert DELIVERY[AdvisoryKind(kind)].persistence >= SECOND or repeated, "without it, it would at once"


def test_every_advisory_carries_the_epoch_of_its_owner() -> None:
    engine = Engine([], SHARED)
    engine.step(T, [add_input(FIRST.id, [FIRST], epoch=5)])
    sent = [advisory for t, batch, _ in RUN for advisory in engine.step(t, batch).advisories]
    assert sent
    assert {advisory.epoch for advisory in sent} == {5}
