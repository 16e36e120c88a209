"""A node that has fallen behind, over real sockets: it sheds the oldest perception and no signal state, counts what it
shed, publishes `degraded`, and serves as before once it has caught up.

The node's clock and the gateways' are the test's, so that no stall of the machine makes anything older than it is to
be; the node falls behind because its event loop gets no turn meanwhile.
"""

import asyncio
from pathlib import Path

import msgspec
from city_gateways import INTERSECTIONS, Fleet, origin, write_node_folder
from deadlines import when
from mqtt_client import MqttClient

from cloudctl.client import Gateway
from cloudctl.clock import MS, SECOND, EventClock, WallClock, sleep_until
from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.node import config, live
from cloudctl.planner import gate
from cloudctl.schema import Advisory, AdvisoryKind, Group, SignalState
from cloudctl.topics import MqttTopics

T = 1_767_225_600 * SECOND
FRAMES = 14  # of each sensor that wait; a node takes the newest 8 of one batch
FRAME_INTERVAL = 10 * MS
BEHIND = 330 * MS  # after the newest frame: advice on perception of that age is withheld, signals are not too old yet
ROUNDS = 20
CODE_OF = {code.code.id: code for code in INTERSECTIONS}


class Overload:
    """A node in this process, and gateways of five intersections, on one clock."""

    def __init__(self, folder: Path, mqtt: int) -> None:
        self.clock, self.fleet = EventClock(T), Fleet()
        file = write_node_folder(folder, free_port(), mqtt, self.fleet)
        self.node = live.Node(config.load(file), clock=self.clock, file=file)
        self.gateways = {
            name: Gateway(
                self.node.server.address.replace("*", "127.0.0.1"),
                list(bound),
                name=name,
                key=self.fleet.keys[name],
                node_key=self.node.server.public_key,
                now=self.clock.now,
            )
            for name, bound in self.fleet.bindings.items()
        }

    def send(self) -> None:
        """Send a frame and signal states of every intersection, and take in what has been answered."""
        for name, bound in self.fleet.bindings.items():
            gateway = self.gateways[name]
            for rsu, place in bound.items():
                code = CODE_OF[place]
                gateway.perception(rsu, "camera", *origin(code), [{"x": 1.0, "y": 2.0}])
                groups = [Group(int(number), SignalState.RED) for number in code.group_ids]
                gateway.signal(rsu, place, code.code.revision, groups)
            gateway.poll()

    def fall_behind(self) -> None:
        """Let messages pile up at the node's socket, and grow old there."""
        for _ in range(FRAMES):
            self.clock.advance(self.clock.now() + FRAME_INTERVAL)
            self.send()
        self.clock.advance(self.clock.now() + BEHIND)
        sleep_until(WallClock().now() + SECOND // 4)  # until ZeroMQ's threads have brought them over

    def total(self, name: str) -> int:
        return self.node.metrics.total(name)

    def is_in_order(self) -> bool:
        """Return whether no intersection withholds advice for the age of what it knows."""
        worlds = [intersection.latest for intersection in self.node.engine.intersections.values()]
        return all(world is not None and gate(world) == (None, None) for world in worlds)


def test_a_node_that_falls_behind_sheds_the_oldest_perception_and_no_signal_says_so_and_recovers(
    tmp_path: Path, mqtt: broker.Broker
) -> None:
    async def run(overload: Overload, vehicle: MqttClient) -> None:
        node, count = overload.node, len(INTERSECTIONS)
        running = asyncio.create_task(node.run())

        async def serve_normally() -> None:
            """Go on at the pace of the sensors, the node getting its turn each time."""
            overload.clock.advance(overload.clock.now() + 100 * MS)
            before = overload.total("accept.signal")
            overload.send()
            await when(lambda: overload.total("accept.signal") == before + count)

        await when(node.egress.connected.is_set)
        await when(lambda: [gateway.poll() for gateway in overload.gateways.values()] and all(
            gateway.state == "connected" for gateway in overload.gateways.values()
        ))  # fmt: skip
        while not overload.is_in_order():
            await serve_normally()
        assert overload.total("drop.queue") == 0

        for _ in range(ROUNDS):
            signals, frames = overload.total("accept.signal"), overload.total("accept.perception")
            dropped = overload.total("drop.queue")
            overload.fall_behind()
            wanted = signals + FRAMES * count
            await when(lambda: overload.total("accept.signal") == wanted, what="every signal state")  # noqa: B023
            shed = overload.total("drop.queue") - dropped
            taken = overload.total("accept.perception") - frames
            assert taken in (FRAMES * count, FRAMES * count - shed), "each frame is taken in, or counted as shed"
            if shed:
                break
        assert overload.total("drop.queue") > 0
        assert overload.total("reject.signal") == overload.total("reject.perception") == 0

        def has_said_so() -> bool:
            advisories = [msgspec.json.decode(payload, type=Advisory) for _, payload in vehicle.messages]
            kinds = {a.intersection for a in advisories if a.kind is AdvisoryKind.DEGRADED and "perception" in a.reason}
            return kinds == set(CODE_OF)

        await when(has_said_so, what="a degraded advisory of every intersection")
        dropped = overload.total("drop.queue")
        while not overload.is_in_order():
            await serve_normally()
        for _ in range(3):
            await serve_normally()
        assert overload.is_in_order()
        assert overload.total("drop.queue") == dropped
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with MqttClient(mqtt.port) as vehicle:
        vehicle.subscribe(MqttTopics.intersection("+"))
        overload = Overload(tmp_path, mqtt.port)
        try:
            asyncio.run(asyncio.wait_for(run(overload, vehicle), 90))
        finally:
            for gateway in overload.gateways.values():
                gateway.close()
