"""The next signal of a vehicle when another node serves it: the same advice as of one node, from published signals."""

import msgspec
import pytest
from corridor_car import NEXT, OWN, CorridorCar, corridor_car
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudctl import codes
from cloudctl.clock import MS, SECOND
from cloudctl.engine import Engine
from cloudctl.metrics import Metrics
from cloudctl.ownership_messages import Neighbour
from cloudctl.payloads import encode
from cloudctl.planner.kinds.glosa import REASON_NEXT_ELSEWHERE, REASON_NEXT_SIGNAL
from cloudctl.schema import VERSION, Advisory, RawMessage, Signal
from cloudctl.settings import EngineConfig
from cloudctl.topics import OPERATOR

T = 1_767_225_600 * SECOND
PERIOD = 100 * MS
UNKNOWN_QUEUE = REASON_NEXT_ELSEWHERE.removeprefix(REASON_NEXT_SIGNAL)


def car() -> CorridorCar:
    made = corridor_car(0, 1)
    assert made is not None
    made.begin = T
    return made


def engine_of(scene: CorridorCar, *served: int, metrics: Metrics | None = None) -> Engine:
    config = EngineConfig({f"g{which}": {f"r{which}": scene.names[which]} for which in (OWN, NEXT)}, shared=True)
    return Engine([scene.codes[which].code for which in served], config, metrics)


def signal(scene: CorridorCar, which: int, t: int, seq: int) -> RawMessage:
    code = scene.codes[which].code
    body = Signal(VERSION, f"r{which}", code.id, code.revision, seq, t, scene.groups(which))
    return RawMessage("signal", f"g{which}", msgspec.msgpack.encode(body))


def state(scene: CorridorCar, t: int) -> RawMessage:
    return RawMessage("state", "car", msgspec.json.encode(scene.state(t)))


def code_input(scene: CorridorCar) -> RawMessage:
    body = Neighbour(scene.names[NEXT], (msgspec.Raw(codes.dump(scene.codes[NEXT].code)),))
    return RawMessage("neighbour", OPERATOR, msgspec.json.encode(body))


def drive(own: Engine, other: Engine | None, scene: CorridorCar, steps: int = 40) -> list[list[Advisory]]:
    """Return what the vehicle is advised in each step. `other`: the engine of the second intersection, None where one
    engine serves both."""
    advised = []
    for k in range(steps):
        t = T + k * PERIOD
        batch = [signal(scene, NEXT, t, k)]
        if other is not None:
            published = other.step(t, batch).signals
            batch = [RawMessage("neighbour_signals", OPERATOR, msgspec.json.encode(signals)) for signals in published]
            if k and own.neighbours.is_asked_anew:
                own.neighbours.is_asked_anew = False
                assert own.neighbours.wanted(t) == [scene.names[NEXT]]
                batch.insert(0, code_input(scene))
        own.step(t, [*batch, signal(scene, OWN, t, k), state(scene, t)])
        advised.append(own.step(t + PERIOD // 2, []).advisories)
    return advised


def looks_on(advisories: list[Advisory]) -> bool:
    return any("the next signal" in advisory.reason for advisory in advisories)


def test_advice_for_the_signal_after_the_next_is_that_of_one_node_but_for_the_queue_it_names() -> None:
    scene = car()
    alone = drive(engine_of(scene, OWN, NEXT), None, scene)
    apart = drive(engine_of(scene, OWN), engine_of(scene, NEXT), scene)
    last_alone = [advisory for step in alone for advisory in step if advisory.kind == "glosa"][-1]
    last_apart = [advisory for step in apart for advisory in step if advisory.kind == "glosa"][-1]
    assert "the next signal" in last_alone.reason
    assert UNKNOWN_QUEUE not in last_alone.reason
    assert UNKNOWN_QUEUE in last_apart.reason
    assert last_apart.behaviour == last_alone.behaviour
    assert last_apart.speed == pytest.approx(last_alone.speed, abs=0.2)
