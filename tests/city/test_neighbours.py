"""The next signal of a vehicle when another node serves it: the same advice as of one node, from published signals."""

import shutil
from pathlib import Path

import msgspec
import pytest
from city_gateways import INTERSECTIONS
from city_workers import Workers
from corridor_car import NEXT, OWN, CorridorCar, corridor_car
from deadlines import until
from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt_client import MqttClient

from cloudctl import codes, neighbours
from cloudctl.city.rendezvous import first_in_line
from cloudctl.clock import MS, SECOND, WallClock, sleep_until
from cloudctl.codes.citycode import make, parse_code, sub_code
from cloudctl.engine import Engine
from cloudctl.faults import Faults
from cloudctl.io import broker
from cloudctl.io.recording.reader import Recorder, Recording
from cloudctl.metrics import Metrics
from cloudctl.node.neighbours import neighbour_of
from cloudctl.node.operator_inputs import add_input
from cloudctl.ownership_messages import Neighbour
from cloudctl.payloads import encode_all
from cloudctl.planner.kinds.glosa import REASON_NEXT_ELSEWHERE, REASON_NEXT_SIGNAL
from cloudctl.replay import engine_of as engine_of_recording
from cloudctl.replay import replay
from cloudctl.schema import VERSION, Advisory, Group, RawMessage, Signal, Signals, SignalState
from cloudctl.settings import EngineConfig, RecordingLimits
from cloudctl.topics import OPERATOR, MqttTopics

T = 1_767_225_600 * SECOND
PERIOD = 100 * MS
NUMBERS = st.integers(-(2**63), 2**64 - 1)
TIMES = st.one_of(st.none(), NUMBERS, st.integers(T - SECOND, T + 60 * SECOND))
GROUPS = st.builds(Group, NUMBERS, st.sampled_from(SignalState), TIMES, TIMES, TIMES, st.floats(), TIMES, TIMES)
NAME = INTERSECTIONS[1].code.id
SIGNALS = st.builds(Signals, st.sampled_from([NAME, "x"]), NUMBERS, NUMBERS, TIMES, st.lists(GROUPS).map(tuple))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["intersection", "codes", "groups", "t", "revision"]), inner, max_size=4),
    ),
    max_leaves=8,
)
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


def next_reasons(steps: list[list[Advisory]]) -> list[tuple[int, float | None, str | None, str]]:
    """Return the step, speed, behaviour and reason of each advice that looks at the signal after the next."""
    return [
        (k, advisory.speed, advisory.behaviour, advisory.reason.replace(UNKNOWN_QUEUE, ""))
        for k, step in enumerate(steps)
        for advisory in step
        if "the next signal" in advisory.reason
    ]


def test_advice_for_the_signal_after_the_next_is_that_of_one_node_and_names_the_queue_as_unknown() -> None:
    scene = car()
    alone = drive(engine_of(scene, OWN, NEXT), None, scene)
    apart = drive(engine_of(scene, OWN), engine_of(scene, NEXT), scene)
    assert len(next_reasons(alone)) > 1
    assert next_reasons(apart) == next_reasons(alone)
    assert not any(UNKNOWN_QUEUE in advisory.reason for step in alone for advisory in step)
    assert all(UNKNOWN_QUEUE in a.reason for step in apart for a in step if "the next signal" in a.reason)


def test_a_later_part_of_a_recording_has_the_neighbours_and_epochs_of_the_run(tmp_path: Path) -> None:
    scene = car()
    own, other = engine_of(scene), engine_of(scene, NEXT)
    recorder = Recorder(tmp_path / "run.mcap", RecordingLimits(part_bytes=30_000))
    recorder.meta("config", msgspec.json.encode(own.config))
    addition = add_input(scene.names[OWN], [scene.codes[OWN].code], epoch=7)
    waiting = [addition]
    recorder.remember("add", addition.body, scene.names[OWN])
    for k in range(150):
        t = T + k * PERIOD
        published = other.step(t, [signal(scene, NEXT, t, k)]).signals
        waiting += [RawMessage("neighbour_signals", OPERATOR, msgspec.json.encode(signals)) for signals in published]
        if own.neighbours.is_asked_anew:
            own.neighbours.is_asked_anew = False
            waiting.append(code_input(scene))
            recorder.remember("neighbour", *neighbour_of(waiting[-1]))
        batch, waiting = [*waiting, signal(scene, OWN, t, k), state(scene, t)], []
        for moment, messages in ((t, batch), (t + PERIOD // 2, [])):
            output = own.step(moment, messages)
            recorder.step(
                moment, messages, [payload for _, payload in encode_all(output.advisories, Faults(Metrics()))]
            )
        recorder.flush()
        sleep_until(WallClock().now() + 2 * MS)  # its thread writes the part out
    recorder.close()

    parts = sorted(tmp_path.glob("*.mcap"))
    assert len(parts) > 3
    assert replay(tmp_path).difference is None
    (tmp_path / "alone").mkdir()
    later = Path(shutil.copy(next(tmp_path.glob("*-2.mcap")), tmp_path / "alone"))
    recording = Recording(later)
    engine = engine_of_recording(recording)
    replayed: list[Advisory] = []
    recorded: list[Advisory] = []
    for step in recording.steps():
        replayed += engine.step(step.t, step.batch).advisories
        recorded += [msgspec.json.decode(payload, type=Advisory) for payload in step.advisories]
    assert looks_on(recorded)
    assert looks_on(replayed)
    assert {advisory.epoch for advisory in (*recorded, *replayed)} == {7}


def with_neighbour(scene: CorridorCar) -> Engine:
    """Return an engine of the first intersection that has been given the second one's code, which it asked for."""
    engine = engine_of(scene, OWN)
    engine.step(T - 2 * PERIOD, [signal(scene, OWN, T - 2 * PERIOD, 0), state(scene, T - 2 * PERIOD)])
    engine.step(T - PERIOD, [signal(scene, OWN, T - PERIOD, 1), state(scene, T - PERIOD)])
    assert engine.neighbours.wanted(T) == [scene.names[NEXT]]
    engine.step(T, [code_input(scene)])
    return engine


def next_signals(engine: Engine, scene: CorridorCar, t: int, batch: list[RawMessage]) -> int:
    """Return how many vehicles have a known next signal after a step of `t` ns."""
    engine.step(t, [*batch, signal(scene, OWN, t, (t - T) // MS + 100), state(scene, t)])
    engine.step(t + PERIOD, [])
    latest = engine.intersections[scene.names[OWN]].latest
    assert latest is not None
    return len(latest.next_signals)


def published(scene: CorridorCar, t: int, **changes: object) -> RawMessage:
    code = scene.codes[NEXT].code
    signals = Signals(code.id, code.revision, 1, t, scene.groups(NEXT))
    changed = msgspec.structs.replace(signals, **changes)
    return RawMessage("neighbour_signals", OPERATOR, msgspec.json.encode(changed))


@pytest.mark.parametrize(
    ("age", "changes", "is_believed"),
    [
        (0, {}, True),
        (-50 * MS, {}, True),
        (350 * MS, {}, True),
        (510 * MS, {}, False),
        (-500 * MS, {}, False),
        (0, {"revision": 99}, False),
        (0, {"groups": ()}, False),
        (0, {"intersection": "another"}, False),
    ],
)
def test_published_signals_are_believed_by_the_rules_of_the_intersections_served_here(
    age: int, changes: dict[str, object], is_believed: bool
) -> None:
    scene = car()
    t = T + SECOND
    message = published(scene, t - age, **changes)
    assert bool(next_signals(with_neighbour(scene), scene, t, [message])) is is_believed


def test_what_was_published_is_believed_no_longer_when_its_node_falls_silent() -> None:
    scene = car()
    engine = with_neighbour(scene)
    assert next_signals(engine, scene, T + SECOND, [published(scene, T + SECOND)]) == 1
    assert next_signals(engine, scene, T + SECOND + 600 * MS, []) == 0


@settings(max_examples=200)
@given(
    body=st.one_of(st.binary(max_size=40), JSON.map(msgspec.json.encode), SIGNALS.map(msgspec.json.encode)),
    kind=st.sampled_from(["neighbour", "neighbour_signals"]),
)
def test_no_bytes_of_another_node_stop_the_engine(body: bytes, kind: str) -> None:
    scene = car()
    metrics = Metrics()
    engine = engine_of(scene, OWN, metrics=metrics)
    engine.step(T, [code_input(scene), RawMessage(kind, OPERATOR, body)])
    engine.step(T + PERIOD, [RawMessage(kind, OPERATOR, body), state(scene, T + PERIOD)])
    assert metrics.total("fault.neighbour") == 0
    assert metrics.counted("accept.state", "") == 1


def test_what_a_stranger_names_is_bounded_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = car()
    monkeypatch.setattr(neighbours, "MAX_NEIGHBOURS", 3)
    engine = engine_of(scene, OWN)
    parts = parse_code(scene.names[NEXT])
    own = scene.state(T).movements
    assert own is not None
    for number in range(9):
        t = T + number * PERIOD
        movements = (own[0], sub_code(make(parts.adm, parts.kind, parts.grid, 900 + number), "C1"))
        report = msgspec.structs.replace(scene.state(t), movements=movements)
        engine.step(t, [RawMessage("state", "car", msgspec.json.encode(report)), signal(scene, OWN, t, number)])
        engine.step(t + PERIOD // 2, [])
    assert len(engine.neighbours.wanted(T + SECOND)) == 3
    assert engine.metrics.total("drop.neighbour") > 0
    assert engine.neighbours.wanted(T + 60 * SECOND) == []


def test_a_second_worker_s_signals_reach_the_advice_of_the_first_over_real_sockets(
    tmp_path: Path, mqtt: broker.Broker
) -> None:
    worker_of = [first_in_line(code.code.id, ["1", "2"]) for code in INTERSECTIONS]
    scenes = [
        (first, second, scene)
        for first in range(len(INTERSECTIONS))
        for second in range(len(INTERSECTIONS))
        if worker_of[first] != worker_of[second] and (scene := corridor_car(first, second)) is not None
    ]
    first, _, scene = scenes[0]
    with Workers(tmp_path, mqtt.port) as workers, MqttClient(mqtt.port) as client:
        rsu_of = {place: (name, rsu) for name, bound in workers.fleet.bindings.items() for rsu, place in bound.items()}
        client.subscribe(MqttTopics.vehicle("car", "advisories"))
        clock = WallClock()
        scene.begin = clock.now()

        def reasons() -> list[str]:
            now = clock.now()
            for which in (OWN, NEXT):
                name, rsu = rsu_of[scene.names[which]]
                code = scene.codes[which].code
                workers.fleet.gateways[name].signal(rsu, code.id, code.revision, scene.groups(which))
            if now - scene.begin > 8 * SECOND:
                scene.begin = now  # it comes again: a busy machine may have taken too long
            client.publish(MqttTopics.vehicle("car", "state"), msgspec.json.encode(scene.state(now)))
            sleep_until(now + PERIOD)
            workers.fleet.poll()
            return [msgspec.json.decode(payload)["reason"] for _, payload in client.messages]

        until(lambda: any(UNKNOWN_QUEUE in reason for reason in reasons()), what="advice that looks at the next signal")
    assert "Traceback" not in workers.log
    result = replay(tmp_path / f"run-{worker_of[first]}.mcap")
    assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})
    assert result.advisories > 0
