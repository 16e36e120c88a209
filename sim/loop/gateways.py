"""The process of the RSU gateways: takes frames from the traffic process, holds each for its sensor's delay, sends it
to the node.
"""

import heapq
from dataclasses import dataclass
from multiprocessing.connection import Connection

from ...client.gateway import Gateway
from ...clock import MS, SECOND, WallClock, sleep_until
from ...io.zeromq import KeyPair
from ...schema import Group, Reject, Sensor
from .run import on_gateway_clock

IDLE = MS // 2
POLL_INTERVAL = SECOND // 50  # between two looks at what the node answers
MAX_REFUSALS = 20  # that are kept in words


@dataclass(frozen=True, kw_only=True)
class GatewayPlan:
    """What one gateway needs to connect."""

    name: str
    address: str
    node_key: str
    keys: KeyPair
    sensors: dict[str, tuple[Sensor, ...]]  # by RSU
    offset: int  # ns; how far this gateway's clock is off


@dataclass(frozen=True, kw_only=True)
class Sensed:
    """One frame or signal message on its way: when it leaves, from which RSU."""

    due: int
    gateway: str
    rsu: str
    t: int
    lat: float = 0.0
    lon: float = 0.0
    columns: dict | None = None
    intersection: str = ""
    revision: int = 0
    groups: tuple[Group, ...] = ()


def run(inbox: Connection, plans: list[GatewayPlan]) -> None:
    """Serve until the traffic process sends None; the answer holds what was sent, dropped and refused."""
    wall = WallClock()
    refusals: list[str] = []

    def note_refusal(reject: Reject) -> None:
        refusals.append(str(reject))

    gateways = {
        plan.name: Gateway(
            plan.address,
            tuple(plan.sensors),
            name=plan.name,
            key=plan.keys,
            node_key=plan.node_key,
            on_reject=note_refusal,
            sensors=next(iter(plan.sensors.values())),
            now=lambda offset=plan.offset: wall.now() + offset,
        )
        for plan in plans
    }

    offsets = {plan.name: plan.offset for plan in plans}

    # A heap by when each is due; the count keeps their order
    waiting: list[tuple[int, int, Sensed]] = []
    count = 0
    last_poll = 0

    running = True
    while running or waiting:
        while inbox.poll(0):
            message = inbox.recv()
            if message is None:
                running = False
                break
            count += 1
            heapq.heappush(waiting, (message.due, count, message))

        now = wall.now()
        while waiting and waiting[0][0] <= now:
            _send(gateways, offsets, heapq.heappop(waiting)[2])

        if now - last_poll > POLL_INTERVAL:
            last_poll = now
            for gateway in gateways.values():
                gateway.poll()

        sleep_until(min(waiting[0][0] if waiting else now + IDLE, now + IDLE))

    counts = {
        name: {"sent": gateway.sent, "dropped": gateway.dropped, "rejected": gateway.rejected}
        for name, gateway in gateways.items()
    }
    inbox.send({**counts, "refusals": refusals[:MAX_REFUSALS]})
    for gateway in gateways.values():
        gateway.close()


def _send(gateways: dict[str, Gateway], offsets: dict[str, int], message: Sensed) -> None:
    gateway, offset = gateways[message.gateway], offsets[message.gateway]
    if message.columns is not None:
        gateway.perception(message.rsu, "fused", message.lat, message.lon, message.columns, message.t + offset)
    else:
        groups = [on_gateway_clock(group, offset) for group in message.groups]
        gateway.signal(message.rsu, message.intersection, message.revision, groups, message.t + offset)
