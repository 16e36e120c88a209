"""The process of the vehicle clients: one MQTT client a vehicle; reports go out, advice comes in and is passed to the traffic process."""

import asyncio
import contextlib
from multiprocessing.connection import Connection
from typing import Any

from ...client.vehicle import Vehicle
from ...clock import WallClock
from ...schema import VehicleState

GONE = 5_000_000_000  # ns without a report after which a vehicle's client is closed


def run(pipe: Connection, host: str, port: int, version: int) -> None:
    """Serve until the traffic process says None; answers with every advisory's times of arrival and the clients' counts."""
    asyncio.run(_Fleet(pipe, host, port, version).serve())


class _Fleet:
    def __init__(self, pipe: Connection, host: str, port: int, version: int) -> None:
        self.pipe, self.host, self.port, self.version = pipe, host, port, version
        self.clock = WallClock()
        self.clients: dict[str, tuple[Vehicle, asyncio.Task[None]]] = {}
        self.last_seen: dict[str, int] = {}
        self.arrivals: list[tuple[Any, ...]] = []
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
            for name in [name for name, t in self.last_seen.items() if now - t > GONE]:
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
                now = self.clock.now()
                self.arrivals.append(
                    (
                        advisory.id,
                        str(advisory.kind),
                        advisory.inputs.t_sensor,
                        advisory.inputs.t_rx,
                        now,
                        advisory.valid_until,
                    )
                )
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
