"""The process of the vehicle clients: one MQTT client per vehicle; reports go out, advice comes in and is passed to the
traffic process.
"""

import asyncio
import contextlib
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from ...client.vehicle import Vehicle
from ...clock import WallClock
from ...schema import VehicleState

SILENCE = 5_000_000_000  # ns without a report after which a vehicle's client is closed


class Arrival(NamedTuple):
    """An advisory as it reached its vehicle; times in ns."""

    advisory: str
    kind: str
    t_sensor: int
    t_rx: int  # at the node
    t_arrived: int
    valid_until: int


def run(pipe: Connection, host: str, port: int, version: int) -> None:
    """Serve until the traffic process sends None; the answer holds every `Arrival` and the clients' counts."""
    asyncio.run(_Fleet(pipe=pipe, host=host, port=port, version=version).serve())


class _Fleet:
    def __init__(self, pipe: Connection, host: str, port: int, version: int) -> None:
        self.pipe, self.host, self.port, self.version = pipe, host, port, version
        self.clock = WallClock()
        self.clients: dict[str, tuple[Vehicle, asyncio.Task[None]]] = {}
        self.last_seen: dict[str, int] = {}
        self.arrivals: list[Arrival] = []
        self.expired = self.unsent = 0
        self.pending: set[asyncio.Task[Any]] = set()

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()
        loop.add_reader(self.pipe.fileno(), self._take)
        self.pipe.send("ready")
        await self.stopped.wait()

        loop.remove_reader(self.pipe.fileno())
        for name in list(self.clients):
            await self._leave(name)
        self.pipe.send({"arrivals": self.arrivals, "expired": self.expired, "unsent": self.unsent})

    def _take(self) -> None:
        while self.pipe.poll(0):
            states = self.pipe.recv()
            if states is None:
                self.stopped.set()
                return

            for name, state in states.items():
                self._task(self._report(name, state))
            now = self.clock.now()
            for name in [name for name, value in self.last_seen.items() if now - value > SILENCE]:
                self._task(self._leave(name))

    def _task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.pending.add(task)
        task.add_done_callback(self.pending.discard)

    async def _report(self, name: str, state: VehicleState) -> None:
        self.last_seen[name] = self.clock.now()
        if name not in self.clients:
            vehicle = Vehicle(name, self.host, self.port, version=self.version)
            self.clients[name] = (vehicle, asyncio.get_running_loop().create_task(self._listen(name, vehicle)))
            return

        if not await self.clients[name][0].report(state):
            self.unsent += 1

    async def _listen(self, name: str, vehicle: Vehicle) -> None:
        async with vehicle:
            async for advisory in vehicle.advisories():
                arrival = Arrival(
                    advisory=advisory.id,
                    kind=str(advisory.kind),
                    t_sensor=advisory.inputs.t_sensor,
                    t_rx=advisory.inputs.t_rx,
                    t_arrived=self.clock.now(),
                    valid_until=advisory.valid_until,
                )

                self.arrivals.append(arrival)
                self.pipe.send((name, advisory))
                await vehicle.acknowledge(advisory, "applied")

    async def _leave(self, name: str) -> None:
        self.last_seen.pop(name, None)
        vehicle, task = self.clients.pop(name, (None, None))
        if vehicle is not None and task is not None:
            self.expired += vehicle.expired
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
