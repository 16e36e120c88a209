"""Publish advisories through the node's egress, beside the vehicle client's own MQTT library: messages/s at QoS 0."""

import asyncio
import tempfile
from pathlib import Path
from statistics import median

import aiomqtt  # noqa: TID251
import msgspec
from cloudctl.sim.common.terminal import table

from cloudctl.clock import SECOND, WallClock, stopwatch
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.metrics import Metrics
from cloudctl.node.config import BrokerSection
from cloudctl.schema import Advisory, AdvisoryKind, Inputs
from cloudctl.topics import MqttTopics

MESSAGES = 3000


def run() -> str:
    """Return the table: advisories a second through the broker, beside a plain client."""
    with tempfile.TemporaryDirectory() as folder:
        running = broker.start(Path(folder))
        try:
            own_times, other_times = asyncio.run(measure(running))
        finally:
            running.stop()

    rows = [
        ["egress (gmqtt, expiry, kept for reconnection)", own_times, own_times / other_times],
        ["aiomqtt", other_times, 1.0],
    ]
    return table([f"to {running.name}", "messages/s", "x aiomqtt"], rows)


async def measure(running: broker.Broker) -> tuple[float, float]:
    """Return messages/s of both, medians of interleaved rounds."""
    clock = WallClock()
    egress = Egress(
        section=BrokerSection(port=running.port, version=running.version),
        clock=clock,
        metrics=Metrics(),
        on_vehicle_message=lambda *_: None,
    )

    egress.start()
    await egress.connected.wait()
    time_ns = clock.now()

    advisories = [
        Advisory(
            id="x",
            kind=AdvisoryKind.GLOSA,
            intersection="X",
            target=f"vehicle:v{index % 500}",
            severity=2,
            confidence=1.0,
            reason="why",
            t=time_ns,
            valid_until=time_ns + 600 * SECOND,
            inputs=Inputs(1),
        )
        for index in range(MESSAGES)
    ]

    payloads = [msgspec.json.encode(advisory) for advisory in advisories]
    protocol = aiomqtt.ProtocolVersion.V5 if running.version == 5 else aiomqtt.ProtocolVersion.V311
    own_times, other_times = [], []

    async with aiomqtt.Client("127.0.0.1", running.port, protocol=protocol) as client:
        for _ in range(5):
            begin = stopwatch()
            for advisory, payload in zip(advisories, payloads, strict=True):
                egress.advise(advisory, payload)
                if egress.waiting() > 65_536:
                    await asyncio.sleep(0)

            while egress.waiting():
                await asyncio.sleep(0.0005)
            own_times.append(MESSAGES / (stopwatch() - begin) * SECOND)
            begin = stopwatch()
            for index, payload in enumerate(payloads):
                await client.publish(MqttTopics.vehicle(f"v{index % 500}", "advisories"), payload)
            other_times.append(MESSAGES / (stopwatch() - begin) * SECOND)

    await egress.stop()
    return median(own_times), median(other_times)
