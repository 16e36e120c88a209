"""An intersection's snapshot and plan never depend on which others share the call."""

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
from busy_worlds import busy_world, ruled
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudctl import codes, maps, planner
from cloudctl.clock import MS
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.planner import AdvisoryFilter, Candidate, Withheld
from cloudctl.planner.screened import Screened
from cloudctl.snapshots import build_all, detached
from cloudctl.world import Moment, World

CODES = tuple(name for name in maps.names() if name.endswith(".json"))
SCENES = 24  # made once; each example draws some of them


@cache
def code_of(number: int) -> CompiledCode:
    code = compile_code(codes.load(maps.path(CODES[number % len(CODES)])))
    return ruled(code) if number % 3 == 0 else code


@cache
def scene(seed: int) -> World:
    return busy_world(code_of(seed), seed)


def moment_of(world: World) -> Moment:
    """Return what a snapshot was made from, once more."""
    return Moment(
        t=world.t,
        code=world.code,
        signals=world.signals,
        hazards=world.hazards,
        reports={vehicle.handle: vehicle for vehicle in world.vehicles},
        t_sensor=world.t_sensor,
        t_rx=world.t_rx,
        rules=world.rules,
        share=world.share,
        stopped=world.stopped,
    )


def together(worlds: list[World], is_matched: list[bool] | None = None) -> list[World]:
    """Return the snapshots, made by one call. `is_matched`: of each whether at once; without it all are."""
    tracks = np.concatenate([world.tracks.view(np.uint8).reshape(len(world.tracks), -1) for world in worlds])
    bounds = np.cumsum([0, *(len(world.tracks) for world in worlds)])
    dtype = worlds[0].tracks.dtype
    moments = [moment_of(world) for world in worlds]
    for moment, at_once in zip(moments, is_matched or [], strict=False):
        moment.is_matched = at_once
    return build_all(moments, tracks.reshape(-1).view(dtype), bounds)


def columns(world: World) -> dict[str, Any]:
    """Return every field of a snapshot, arrays as bytes."""
    fields = {field.name: getattr(world, field.name) for field in dataclasses.fields(world) if field.name != "block"}
    return {name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in fields.items()}


def proposals(worlds: list[World]) -> list[tuple[list[Candidate], list[Withheld]]]:
    """Return what is proposed at each intersection and what is withheld, by one call."""
    plans = planner.Plans(worlds)
    answers = []
    for index in range(len(worlds)):
        withheld: list[Withheld] = []
        answers.append((plans.propose(index, withheld), withheld))
    return answers


draws = st.lists(st.integers(0, SCENES - 1), min_size=1, max_size=8)


@settings(max_examples=60)
@given(seeds=draws, split=st.integers(0, 8))
def test_a_plan_is_the_same_alone_and_in_every_batch_and_order(seeds: list[int], split: int) -> None:
    worlds = [scene(seed) for seed in seeds]
    alone = [proposals([world])[0] for world in worlds]
    assert proposals(worlds) == alone
    parts = [part for part in (worlds[:split], worlds[split:]) if part]
    assert [answer for part in parts for answer in proposals(part)] == alone
    assert proposals(worlds[::-1]) == alone[::-1]


@settings(max_examples=60)
@given(seeds=draws, split=st.integers(0, 8))
def test_a_snapshot_is_the_same_alone_and_in_every_batch_and_order(seeds: list[int], split: int) -> None:
    worlds = [scene(seed) for seed in seeds]
    alone = [columns(together([world])[0]) for world in worlds]
    for made in (
        together(worlds),
        [world for part in (worlds[:split], worlds[split:]) if part for world in together(part)],
        together(worlds[::-1])[::-1],
    ):
        for world, expected in zip(made, alone, strict=True):
            assert {
                name
                for name, value in columns(world).items()
                if value is not expected[name] and value != expected[name]
            } == set()


@settings(max_examples=60)
@given(seeds=draws, late=st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_snapshot_that_is_matched_when_it_is_first_read_is_the_one_matched_at_once(
    seeds: list[int], late: list[bool]
) -> None:
    worlds = [dataclasses.replace(scene(seed), vehicles=()) for seed in seeds]
    at_once = together(worlds)
    made = together(worlds, is_matched=[not is_late for is_late in late])
    for world, expected in zip(made, at_once, strict=True):
        assert columns(world) == columns(expected)
        assert columns(dataclasses.replace(world)) == columns(expected)


def test_what_is_no_field_of_a_snapshot_is_no_attribute_either() -> None:
    world = together([scene(0)])[0]
    assert not hasattr(world, "paths")
    assert not hasattr(dataclasses.replace(world), "block_part")


@settings(max_examples=30)
@given(seeds=draws)
def test_snapshots_made_together_are_planned_without_copies_to_the_same_result(seeds: list[int]) -> None:
    made = together([scene(seed) for seed in seeds])
    alone = [proposals([dataclasses.replace(world)])[0] for world in made]
    assert proposals(made) == alone


@pytest.mark.parametrize("seed", range(SCENES))
def test_an_intersection_without_connected_vehicles_proposes_nothing_but_what_is_degraded(seed: int) -> None:
    world = scene(seed)
    without = dataclasses.replace(
        world, vehicles=(), rows=world.rows[:0], reported=world.reported[:0], report=np.full(len(world.tracks), -1)
    )
    candidates, withheld = proposals([without])[0]
    assert {candidate.kind for candidate in candidates} <= {"degraded"}
    assert withheld == []


@settings(max_examples=30)
@given(seeds=draws, kept=st.integers(0, 7))
def test_a_detached_snapshot_is_the_same_and_keeps_no_arrays_of_others(seeds: list[int], kept: int) -> None:
    made = together([scene(seed) for seed in seeds])
    world = made[kept % len(made)]
    alone = detached(world)
    assert columns(alone) == columns(world)
    assert proposals([alone]) == proposals([world])
    for name in ("tracks", "path", "accel", "report"):
        assert not np.shares_memory(getattr(alone, name), getattr(world, name))

    later = [moment_of(world), moment_of(world)]
    later[0].previous, later[1].previous = world, alone
    after = []
    for moment in later:
        moment.t += 100 * MS
        after.append(build_all([moment], world.tracks, np.array([0, len(world.tracks)]))[0])
    assert columns(after[0]) == columns(after[1])


@pytest.mark.parametrize("seed", range(120))
def test_no_screen_says_no_where_its_kind_has_something_to_propose(seed: int) -> None:
    world = scene(seed)
    if world.vehicles:
        screened = Screened([world], [(True, True, True)], [AdvisoryFilter()])
        assert screened.propose(0) == screened.propose(0, ask_every_kind=True)
