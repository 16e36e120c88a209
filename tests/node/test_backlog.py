"""What is taken of the frames that wait: a burst whole, and of a node that has fallen behind the newest alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages_to_an_engine import T

from bench.scene import Scene
from cloudctl.clock import MS
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.ingest.backlog import MAX_FRAMES, MAX_FRAMES_BEHIND, MAX_INTERVAL, MIN_LATE_BATCHES
from cloudctl.schema import RawMessage
from cloudctl.settings import EngineConfig

FRAME = 100 * MS  # between two frames of a sensor


class Driven:
    """An engine whose one sensor sends a frame each 100 ms, in batches as its node comes to them."""

    def __init__(self, code: CompiledCode) -> None:
        self.engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}))
        self.scene, self.number, self.now = Scene(code, 3), 0, T

    def turn(self, interval: int) -> int:
        """Go on by some ns, and step with what has come meanwhile; return how many frames were dropped."""
        self.now += interval
        batch = []
        while T + (self.number + 1) * FRAME <= self.now:
            self.number += 1
            batch.append(
                RawMessage("perception", "g", self.scene.perception("r0", self.number, T + self.number * FRAME))
            )
        before = self.engine.metrics.total("drop.queue")
        self.engine.step(self.now, batch)
        return self.engine.metrics.total("drop.queue") - before


@pytest.fixture
def driven(code: CompiledCode) -> Driven:
    made = Driven(code)
    made.turn(FRAME)
    return made


@given(before=st.integers(1, 20), stall=st.integers(1, MAX_FRAMES))
def test_a_single_stall_loses_nothing(code: CompiledCode, before: int, stall: int) -> None:
    driven = Driven(code)
    turns = [FRAME] * before + [stall * FRAME] + [FRAME] * 5
    assert [driven.turn(turn) for turn in turns] == [0] * len(turns)


def test_a_node_that_stays_behind_takes_the_newest_frames_alone_until_it_has_caught_up(driven: Driven) -> None:
    behind = 7 * FRAME
    dropped = [driven.turn(behind) for _ in range(6)]
    assert dropped == [0] * (MIN_LATE_BATCHES - 1) + [7 - MAX_FRAMES_BEHIND] * (6 - MIN_LATE_BATCHES + 1)
    assert driven.engine.metrics.total("accept.perception") + sum(dropped) == driven.number
    assert next(iter(driven.engine.intersections.values())).t_sensor == driven.now, "the newest are the ones taken"

    assert [driven.turn(FRAME) for _ in range(3)] == [0, 0, 0]
    assert driven.turn(MAX_FRAMES * FRAME) == 0, "it has caught up: the next stall is a single one"


@given(st.lists(st.integers(1, MAX_INTERVAL // MS), min_size=5, max_size=40))
def test_no_frame_is_dropped_while_the_node_keeps_up(code: CompiledCode, turns: list[int]) -> None:
    driven = Driven(code)
    assert sum(driven.turn(turn * MS) for turn in turns) == 0


def test_a_node_whose_turns_are_rare_and_bring_few_frames_drops_none(driven: Driven) -> None:
    assert sum(driven.turn(MAX_FRAMES_BEHIND * FRAME) for _ in range(20)) == 0
