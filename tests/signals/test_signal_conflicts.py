"""Alignment of a message with its code, conflicts of what it shows, and what each fault puts in doubt."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from signal_sequences import CASES, DRIVEN, GOOD, MS, RED, SECOND, S, T, at, foes, of, states

from cloudctl import codes, maps
from cloudctl.codes.model import SignalException
from cloudctl.schema import Group, SignalState
from cloudctl.signals.conflicts import Alignment, align
from cloudctl.signals.faults import CHECKS, Scope
from cloudctl.signals.quality import SignalQuality


def observed(groups: tuple[Group, ...], code: codes.IntersectionCode = GOOD) -> tuple[SignalQuality, list]:
    quality = SignalQuality(code)
    return quality, quality.observe(T, T, code.revision, groups)


def clear(groups: tuple[Group, ...], code: codes.IntersectionCode = GOOD) -> bool:
    return not any(fault.check == "conflict" for fault in observed(groups, code)[1])


@given(st.lists(st.integers(-5, 300) | st.sampled_from([g.id for g in GOOD.signal_groups]), max_size=40))
def test_a_message_is_compared_with_the_groups_of_the_code_whatever_it_names(ids: list[int]) -> None:
    known = {g.id for g in GOOD.signal_groups}
    quality, begun = observed(tuple(Group(k, S.RED) for k in ids))
    missing, twice, unknown = known - set(ids), {k for k in known if ids.count(k) > 1}, set(ids) - known
    assert align(dict.fromkeys(known), ids) == Alignment(
        tuple(sorted(unknown)), tuple(k for k in known if k in missing), tuple(sorted(twice))
    )
    if ids:
        assert len([f for f in begun if f.check == "alignment"]) == bool(missing) + bool(unknown)
        assert all(str(k) in f.value for f in begun if "without" in f.value for k in sorted(missing)[:8])
    assert {f.group for f in begun if f.check == "duplicate"} == twice
    assert quality.trouble(T) is None, "the groups that are as they should be are trusted"
    assert quality.doubted(T) == dict.fromkeys(sorted(twice), Scope.STATE)


def test_messages_of_ever_new_groups_make_one_fault_and_take_no_memory() -> None:
    quality = SignalQuality(GOOD)
    begun, sizes = [], []
    for k in range(50):
        t = T + k * 100 * MS
        begun += quality.observe(t, t, 1, (*of(RED), *(Group(1000 * k + j, S.RED) for j in range(500, 900))))
        sizes.append(len(pickle.dumps(quality)))
    assert [fault.check for fault in begun] == ["alignment"]
    assert [fault.check for fault in quality.faults(T + 4900 * MS)] == ["alignment"]
    assert sizes[-1] < sizes[0] + 50 * 64, "a time stamp of each message, and nothing of its 400 groups"


@pytest.mark.parametrize(
    "state", [s for s in SignalState if s not in (S.RED, S.RED_FLASH, S.PRE_MOVEMENT, S.DARK, S.UNKNOWN)]
)
@pytest.mark.parametrize("green", [S.GREEN_PROTECTED, S.YELLOW_PROTECTED])
def test_beside_a_protected_movement_a_crossing_one_shows_nothing_but_red(
    green: SignalState, state: SignalState
) -> None:
    a, b = foes()
    quality, begun = observed(states({a: green, b: state}))
    assert {f.check for f in begun} == {"conflict"}
    assert quality.doubted(T) == {a: Scope.STATE, b: Scope.STATE}, "and the others are trusted"
    assert quality.trouble(T) is None
    assert f"group {a}" in (quality.doubt_reason(T) or "")


@pytest.mark.parametrize("state", [S.RED, S.RED_FLASH, S.PRE_MOVEMENT, S.DARK, S.UNKNOWN])
def test_red_dark_and_unknown_contradict_no_green(state: SignalState) -> None:
    a, b = foes()
    assert clear(states({a: S.GREEN_PROTECTED, b: state}))


@pytest.mark.parametrize("state", [S.GREEN_PERMISSIVE, S.YELLOW_PERMISSIVE, S.YELLOW_FLASH, S.GREEN_FLASH])
def test_a_permissive_left_may_go_beside_the_through_it_gives_way_to(state: SignalState) -> None:
    through, left = foes("left")
    assert clear(states({through: S.GREEN_PROTECTED, left: state}))
    assert clear(states({through: S.YELLOW_PROTECTED, left: state}))
    assert not clear(states({through: S.GREEN_PROTECTED, left: S.GREEN_PROTECTED}))
    assert not clear(states({through: S.GREEN_PROTECTED, left: S.YELLOW_PROTECTED}))


def test_a_listed_exception_is_no_conflict_and_no_other_pair_profits() -> None:
    a, b = foes()
    excepted = replace(GOOD, signal_exceptions=(SignalException(b, a, "let go together at the works"),))
    assert [f for f in codes.validate(excepted) if f.severity == "error"] == []
    assert clear(states({a: S.GREEN_PROTECTED, b: S.YELLOW_PROTECTED}, excepted), excepted)
    through, left = foes("left")
    assert not clear(states({through: S.GREEN_PROTECTED, left: S.GREEN_PROTECTED}, excepted), excepted)


def test_without_plans_the_matrix_says_who_may_be_permissive() -> None:
    a, b = foes()
    movements = {c.id: c for c in GOOD.connections}
    silent = tuple(replace(c, a_yields=False, b_yields=False) for c in GOOD.conflicts)
    yielding = tuple(
        replace(c, a_yields=movements[c.a].group == b, b_yields=movements[c.b].group == b) for c in GOOD.conflicts
    )
    shown = states({a: S.GREEN_PROTECTED, b: S.GREEN_PERMISSIVE})
    assert not clear(shown, replace(GOOD, plans=(), conflicts=silent))
    assert clear(shown, replace(GOOD, plans=(), conflicts=yielding))


def test_what_a_fault_puts_in_doubt() -> None:
    assert {check: doubt for check, doubt in CHECKS.items() if doubt == Scope.ALL} == {
        "rate": Scope.ALL,
        "age": Scope.ALL,
        "revision": Scope.ALL,
    }
    number = DRIVEN[0]
    for case, doubt in (
        ("end order", Scope.TIMES),
        ("countdown", Scope.TIMES),
        ("no yellow", Scope.STATE),
        ("a group twice", Scope.STATE),
    ):
        quality = SignalQuality(GOOD)
        for t_rx, t, groups, revision in at(10, CASES[case][0]):
            quality.observe(t_rx, t, revision, groups)
        assert quality.doubted(t_rx) == {number: doubt}, case
        assert quality.trouble(t_rx) is None
        assert quality.doubted(t_rx + 3 * SECOND) == {}


@pytest.mark.parametrize("case", ["end order", "conflict", "a group twice", "unknown groups"])
def test_a_fault_that_is_repeated_word_for_word_stays(case: str) -> None:
    quality, groups = SignalQuality(GOOD), CASES[case][0][0]
    begun = [fault for k in range(100) for fault in quality.observe(T + k * 100 * MS, T + k * 100 * MS, 1, groups)]
    assert [fault.check for fault in begun].count(begun[0].check) == 1
    assert quality.faults(T + 10 * SECOND) == begun


def shows(code: codes.IntersectionCode, plan: codes.model.Plan, yellow: SignalState) -> Iterator[tuple[Group, ...]]:
    """Yield what a plan shows, phase by phase, twice round; the yellow of a permissive green is permissive."""
    letters = {
        "R": S.RED,
        "G": S.GREEN_PROTECTED,
        "g": S.GREEN_PERMISSIVE,
        "y": S.GREEN_FLASH,
        "O": S.YELLOW_FLASH,
        "P": S.PRE_MOVEMENT,
        "F": S.RED_FLASH,
        "D": S.DARK,
    }
    green = dict.fromkeys((g.id for g in code.signal_groups), "G")
    for phase in [*plan.phases, *plan.phases]:
        pairs = list(zip(code.signal_groups, phase.shows, strict=True))
        green |= {g.id: letter for g, letter in pairs if letter in "Gg"}
        yield tuple(
            Group(g.id, letters.get(letter, S.YELLOW_PERMISSIVE if green[g.id] == "g" else yellow))
            for g, letter in pairs
        )


@pytest.mark.parametrize(
    "name", [path.name for path in sorted(Path(maps.path("intersection.json")).parent.glob("*.json"))]
)
@pytest.mark.parametrize("yellow", [S.YELLOW_PROTECTED, S.YELLOW_PERMISSIVE])
def test_no_plan_of_our_own_maps_is_faulted(name: str, yellow: SignalState) -> None:
    code = codes.load(maps.path(name))
    for plan in code.plans:
        quality, t, faults = SignalQuality(code), T, []
        for groups in list(shows(code, plan, yellow))[1:]:
            faults += quality.observe(t, t, code.revision, groups)
            t += 450 * MS
        assert [str(fault) for fault in faults] == []
