"""The processes of the soak besides node and broker: gateways whose clock and signals can be made wrong, and the
connected vehicles."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from enum import IntEnum
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import msgspec

from bench.crossing import Crossing
from cloudctl.client import Gateway, Vehicle
from cloudctl.clock import MS, SECOND, WallClock, sleep_until
from cloudctl.io.zeromq import KeyPair
from cloudctl.schema import Group, SignalState

REPORT_INTERVAL = 0.2  # s between two states of a vehicle
# The kind of advisory that needs everything to work: perception, signals, the vehicle's own reports
SERVICE = "glosa"
CLOSE = 5.0  # s that connections are given to close
LATE = 800 * MS  # of late signals; over the greatest age of one


class Control(IntEnum):
    """What of a gateway, or of the vehicles, the soak can change while they run: places in a shared array."""

    CLOCK = 0  # ns that a gateway's clock is ahead
    SIGNALS = 1  # a Signals
    REVISION = 2  # of the digital code, that signals refer to
    TWIN = 3  # whether another vehicle has the id of the first


class Signals(IntEnum):
    """What a gateway sends for signals."""

    GOOD = 0
    LATE = 1
    CONFLICTING = 2
    OVERDUE = 3


class Delivery(NamedTuple):
    """One advisory in a vehicle's hands."""

    t: int
    intersection: str
    vehicle: str
    kind: str


def run_gateway(name: str, crossing: Crossing, address: str, keys: KeyPair, node_key: str, control: Any) -> None:
    """Send perception and signals at 10 Hz until killed; the clock that all times are of is `control[CLOCK]` ahead."""
    wall = WallClock()
    frozen: tuple[Group, ...] = ()

    with Gateway(
        address,
        [crossing.rsu],
        name=name,
        key=keys,
        node_key=node_key,
        on_reject=lambda _: None,
        now=lambda: wall.now() + control[Control.CLOCK],
    ) as gateway:
        while True:
            time_ns, ahead, mode = wall.now(), int(control[Control.CLOCK]), control[Control.SIGNALS]
            gateway.perception(
                crossing.rsu,
                "fused",
                crossing.scene.lat,
                crossing.scene.lon,
                crossing.scene.columns(time_ns),
                time_ns + ahead,
            )

            groups = crossing.groups(time_ns)
            if mode == Signals.CONFLICTING:
                groups = tuple(msgspec.structs.replace(group, state=SignalState.GREEN_PROTECTED) for group in groups)
            elif mode == Signals.OVERDUE:
                frozen = groups = frozen or tuple(
                    msgspec.structs.replace(
                        group_, min_end=time_ns - SECOND, likely_end=time_ns - SECOND, max_end=time_ns - SECOND
                    )
                    for group_ in groups
                )
            else:
                frozen = ()

            late = LATE if mode == Signals.LATE else 0
            gateway.signal(
                crossing.rsu, crossing.id, control[Control.REVISION], shifted(groups, ahead), time_ns + ahead - late
            )
            gateway.poll()
            sleep_until(time_ns + SECOND // 10)


def shifted(groups: Sequence[Group], ahead: int) -> tuple[Group, ...]:
    """Return signal groups with their times on a clock that is `ahead` ns ahead."""
    if not ahead:
        return tuple(groups)
    names = ("min_end", "likely_end", "max_end", "next_green")
    moved = ({name: value + ahead for name in names if (value := getattr(group, name)) is not None} for group in groups)
    return tuple(msgspec.structs.replace(group, **times) for group, times in zip(groups, moved, strict=True))


class Log:
    """What the vehicles of one intersection were given; `newest[place]` is when the last speed advice came, for the
    soak to see while it runs."""

    def __init__(self, slot: int, newest: Any) -> None:
        self.deliveries: list[Delivery] = []
        self._place, self._newest = slot, newest

    def add(self, delivery: Delivery) -> None:
        """Note a delivery."""
        self.deliveries.append(delivery)
        if delivery.kind == SERVICE:
            self._newest[self._place] = delivery.t


def run_vehicles(
    pipe: Connection, crossings: Sequence[Crossing], port: int, control: Any, newest: Any, errors: str
) -> None:
    """Drive the connected vehicles of all crossings until the pipe has a message, what they print in the file `errors`;
    answer
    with every `Delivery`, and how many connections would not close."""
    with open(errors, "w") as file:
        os.dup2(file.fileno(), 2)
    logs = [Log(slot, newest) for slot in range(len(crossings))]

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
        jobs = [
            _drive(crossing, index, port, log)
            for crossing, log in zip(crossings, logs, strict=True)
            for index in range(crossing.connected)
        ]

        tasks = [asyncio.create_task(job) for job in (*jobs, _twin(crossings[0], port, control))]
        await stop.wait()
        for task in tasks:
            task.cancel()
        _, open_ones = await asyncio.wait(tasks, timeout=CLOSE)
        pipe.send(([delivery for log in logs for delivery in log.deliveries], len(open_ones)))

    asyncio.run(main())


async def _drive(crossing: Crossing, number: int, port: int, log: Log) -> None:
    clock = WallClock()
    async with Vehicle(vehicle_id(crossing, number), port=port, intersections=(crossing.id,)) as vehicle:
        listening = asyncio.create_task(_listen(vehicle, crossing, log))
        try:
            while True:
                await vehicle.report(crossing.state(number, clock.now()))
                await asyncio.sleep(REPORT_INTERVAL)
        finally:
            listening.cancel()


async def _listen(vehicle: Vehicle, crossing: Crossing, log: Log) -> None:
    clock = WallClock()
    async for advisory in vehicle.advisories():
        log.add(Delivery(t=clock.now(), intersection=crossing.id, vehicle=vehicle.id, kind=str(advisory.kind)))
        await vehicle.acknowledge(advisory, "applied")


async def _twin(crossing: Crossing, port: int, control: Any) -> None:
    """While `control[TWIN]` is set, be another vehicle with the id of the first."""
    while True:
        await asyncio.sleep(0.1)
        if control[Control.TWIN]:
            ignored = Log(slot=0, newest=[0])
            task = asyncio.create_task(_drive(crossing, number=0, port=port, log=ignored))
            while control[Control.TWIN]:
                await asyncio.sleep(0.1)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def vehicle_id(crossing: Crossing, number: int) -> str:
    """Return the id of a connected vehicle."""
    return f"car-{crossing.rsu}-{number}"
