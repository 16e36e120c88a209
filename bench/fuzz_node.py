"""Hostile messages against a real node process over real sockets: ZeroMQ with CURVE, mosquitto, recording on, valid
traffic beside.

Receive times differ from run to run, so the proof that nothing valid changed is the node's own recording: driven again
as it is, and again without what the hostile senders sent, at the same times.
"""

import multiprocessing
import socket
import tempfile
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho

from bench.crossing import Crossing
from bench.fuzz import HOSTILE, Hostile, HostileTraffic
from bench.fuzz_engine import (
    SAMPLES,
    VALID,
    VALID_RSU,
    VALID_VEHICLE,
    Result,
    Twins,
    accounted,
    config_of,
    generic,
    scenes,
)
from bench.node_under_test import Mosquitto, NodeUnderTest, tracebacks, wait_for
from cloudctl.client import Gateway
from cloudctl.clock import SECOND, WallClock, sleep_until, stopwatch
from cloudctl.io.recording.reader import Recording
from cloudctl.io.zeromq import Dealer, KeyPair
from cloudctl.replay import engine_of
from cloudctl.schema import MAX_BODY, Reject
from cloudctl.topics import MqttTopics

RATE = 4_000  # messages a second, at most
# messages that the node has not accounted for yet, at most: status comes once a second
WINDOW = 3 * RATE
TICK = SECOND // 50
FULL = 30.0  # s that a full queue is waited for
# bytes; of a longer frame ZeroMQ closes the connection, and no message arrives
CUT_OFF = 2 * MAX_BODY
JUNK = 40  # connections that speak no ZeroMQ at all


def drive_valid(pipe: Connection, crossing: Crossing, address: str, keys: KeyPair, node_key: str, mqtt: int) -> None:
    """Send the valid traffic at 10 Hz until the pipe has a message; answer with (messages sent, refusals by rule)."""
    clock, refusals, sent = WallClock(), Counter[str](), 0

    def refused(reject: Reject) -> None:
        refusals[f"{reject.kind}: {generic(reject.field)}: {generic(reject.rule)}"] += 1

    vehicle = paho.Client(paho.CallbackAPIVersion.VERSION2)
    vehicle.connect("127.0.0.1", mqtt)
    vehicle.loop_start()

    with Gateway(address, [crossing.rsu], name=VALID, key=keys, node_key=node_key, on_reject=refused) as gateway:
        while not pipe.poll():
            time_ns = clock.now()
            gateway.perception(
                crossing.rsu, "fused", crossing.scene.lat, crossing.scene.lon, crossing.scene.columns(time_ns), time_ns
            )
            gateway.signal(crossing.rsu, crossing.id, crossing.code.code.revision, crossing.groups(time_ns), time_ns)
            vehicle.publish(MqttTopics.vehicle(VALID_VEHICLE, "state"), msgspec.json.encode(crossing.state(0, time_ns)))
            gateway.poll()
            sent += 1
            sleep_until(time_ns + SECOND // 10)

        pipe.recv()
        pipe.send((gateway.sent + sent, refusals))

    vehicle.loop_stop()


class HostileSockets:
    """The connections of the hostile senders."""

    def __init__(self, node: NodeUnderTest, mqtt: int) -> None:
        self.broker_drops = 0
        self._mqtt = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._mqtt.on_message = self._on_message
        self._mqtt.connect("127.0.0.1", mqtt)
        self._mqtt.subscribe("$SYS/broker/publish/messages/dropped")
        self._mqtt.loop_start()
        self._dealer = Dealer(connect=node.address, keys=node.keys[HOSTILE], node_key=node.node.public)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.broker_drops = int(message.payload)

    def send(self, message: Hostile) -> bool:
        """Send one message; waits where the queue is full, and returns False where it stays so."""
        if not message.frames:
            self._mqtt.publish(MqttTopics.vehicle(message.vehicle, message.leaf), message.body)
            return True

        if len(message.frames) != 2:
            self._dealer._socket.send_multipart(message.frames)
            return True

        return bool(wait_for(lambda: self._dealer.send(*message.frames) or self.drain(), FULL))

    def drain(self) -> None:
        """Take what the node answered."""
        while self._dealer.receive() is not None:
            pass

    def close(self) -> None:
        self._mqtt.loop_stop()
        self._mqtt.disconnect()
        self._dealer.close()


def run_node(messages: int, seed: int = 1, progress: Callable[[int], Any] = lambda _: None, rate: int = RATE) -> Result:
    """Send `messages` hostile messages to a node process and return what that showed."""
    crossing, home = scenes()
    with tempfile.TemporaryDirectory() as scratch:
        mosquitto = Mosquitto(Path(scratch) / "broker")
        node = NodeUnderTest(
            folder=Path(scratch) / "node",
            intersections=[crossing.code, home.code],
            gateways=config_of(crossing, home).gateways,
            mqtt=mosquitto.port,
        )
        try:
            node.start()
            result = _attack(
                node,
                mosquitto.port,
                crossing=crossing,
                hostile=HostileTraffic(victim=crossing.code, home=home, victim_rsus=(VALID_RSU,), seed=seed),
                messages=messages,
                progress=progress,
                rate=rate,
            )

            status = node.stop() if node.alive() else node.process and node.process.returncode
            result.notes += [f"exit status {status}"] * (status != 0)
            _judge(node, crossing, result)
        finally:
            if node.alive():
                node.stop()
            mosquitto.stop()

    return result


def _attack(
    node: NodeUnderTest,
    mqtt: int,
    crossing: Crossing,
    hostile: HostileTraffic,
    messages: int,
    progress: Callable[[int], Any],
    rate: int,
) -> Result:
    parent_end, child_end = multiprocessing.get_context("spawn").Pipe()
    arguments = (child_end, crossing, node.address, node.keys[VALID], node.node.public, mqtt)
    valid = multiprocessing.get_context("spawn").Process(target=drive_valid, args=arguments)
    valid.start()
    wait_for(lambda: node.counters().get("advisory"), seconds=30.0)
    sockets = HostileSockets(node, mqtt)
    result = Result(sent=Counter(), valid=0, seconds=0.0, counters={}, memory=[])
    clock, begin, every = WallClock(), stopwatch(), max(messages // SAMPLES, 1)

    sent = 0
    while sent < messages and node.alive():
        tick = clock.now()
        for _ in range(min(max(rate * TICK // SECOND, 1), messages - sent)):
            message = hostile.message(clock.now())
            if not sockets.send(message):
                result.notes.append(f"the node took nothing for {FULL:.0f} s")
                return _finish(node, parent_end, valid, sockets, result)

            if any(len(frame) > CUT_OFF for frame in message.frames):
                result.cut_off += 1
            else:
                result.sent[message.row] += 1

            sent += 1
            if sent % every == 0:
                result.memory.append(node.sample()[0])
                progress(sent)

        sockets.drain()
        if sent % WINDOW < rate * TICK // SECOND:
            _await_room(node, sent)
        sleep_until(tick + TICK)

    _await_room(node, sent)
    result.seconds = (stopwatch() - begin) / SECOND
    _rough(node, result)
    return _finish(node, parent_end, valid, sockets, result)


def _finish(node: NodeUnderTest, parent_end: Connection, valid: Any, sockets: HostileSockets, result: Result) -> Result:
    """End the valid traffic, wait until everything is worked off, and take the node's counters."""
    parent_end.send("stop")
    result.valid, refusals = parent_end.recv()
    valid.join()
    _settle(node)
    result.notes += [f"the valid gateway got {count} refusals: {text}" for text, count in refusals.most_common(6)]
    result.notes += [f"the broker dropped {sockets.broker_drops} messages"] * bool(sockets.broker_drops)
    result.counters = node.counters()
    sockets.close()

    return result


def _await_room(node: NodeUnderTest, sent: int) -> None:
    """Wait until the node has accounted for all but WINDOW of the messages, 60 s at the most."""
    wait_for(lambda: not node.alive() or sent - _taken(node, sent) < WINDOW, seconds=60.0)


def _taken(node: NodeUnderTest, default: int = 0) -> int:
    """Return how many hostile messages the node has accounted for, about; `default` where it has not reported yet."""
    counters = node.counters()
    if not counters:
        return default

    taken, refused, dropped = accounted(counters)
    valid = 3 * counters.get("accept.perception", {}).get(VALID_RSU, 0)
    return sum(taken.values()) + sum(refused.values()) + dropped - valid


def _settle(node: NodeUnderTest) -> None:
    """Wait until the node has worked off what waits: two reports in a row in which nothing came."""
    clock, calm, last = WallClock(), 0, -1
    deadline = clock.now() + 60 * SECOND
    while calm < 2 and clock.now() < deadline and node.alive():
        sleep_until(clock.now() + 11 * SECOND // 10)
        now = _taken(node)
        calm = calm + 1 if now == last else 0
        last = now


def _rough(node: NodeUnderTest, result: Result) -> None:
    """Send what never becomes a message: bodies that cut the connection off, and bytes that are no ZeroMQ."""
    before = node.counters().get("accept.perception", {}).get(VALID_RSU, 0)
    oversized = Dealer(connect=node.address, keys=node.keys[HOSTILE], node_key=node.node.public)
    oversized.send(b"P", b"\0" * (CUT_OFF + 1))

    for index in range(JUNK):
        with socket.create_connection(("127.0.0.1", node.port), 5) as stranger:
            stranger.sendall(
                (b"\xff" + b"\0" * 8 + b"\x7f\x03", b"GET / HTTP/1.1\r\n\r\n", bytes(range(index, 200)))[index % 3]
            )

    if not wait_for(lambda: node.counters().get("accept.perception", {}).get(VALID_RSU, 0) > before + 5, seconds=10.0):
        result.notes.append("nothing of the valid gateway was accepted within 10 s of connections that speak no ZeroMQ")
    oversized.close()


def _judge(node: NodeUnderTest, crossing: Crossing, result: Result) -> None:
    """Look at standard error, and drive the recording again, with and without the hostile senders."""
    loose, guarded = tracebacks(node.stderr)
    result.notes += [f"{loose} tracebacks on standard error"] * bool(loose)
    result.notes += [f"on standard error: {line[:200]}" for line in guarded]
    warnings = [line for line in node.stderr.splitlines() if "Warning: " in line]
    result.notes += [
        f"{len(warnings)} warnings of a library on standard error, such as: {line[-150:]}" for line in warnings[:1]
    ]
    recording = Recording(node.recordings / "run.mcap")
    twins = result.twins = Twins(lambda: engine_of(recording), crossing.id)

    steps = differing = valid = 0
    for step in recording.steps():
        output = twins.step(step.t, step.batch)
        steps += 1
        valid += sum(datum.sender == VALID for datum in step.batch)
        differing += tuple(msgspec.json.encode(advisory) for advisory in output.advisories) != step.advisories

    result.notes += [f"replay: {differing} of {steps} steps are not as recorded"] * bool(differing)
    result.notes += [f"the recording: {recording.fault}"] * bool(recording.fault)
    if valid < 100:
        result.notes.append(f"the recording holds {valid} messages of the valid gateway only")
