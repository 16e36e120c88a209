"""A vehicle: reports its state ten times a second, takes advisories, and says what it did with them.

python examples/vehicle.py HOST PORT MQTT_VERSION     e.g. 127.0.0.1 1883 5
"""

import asyncio
import sys
import time

from approach import SPEED, pose

from cloudctl.client import Vehicle
from cloudctl.schema import VehicleState

WANTED = 3  # advisories, after which this example ends
PATIENCE = 60.0  # s


async def report(vehicle: Vehicle) -> None:
    """Publish where the vehicle is, until it is cancelled."""
    while True:
        now = time.time_ns()
        here = pose(now)
        await vehicle.report(VehicleState(t=now, lat=here.lat, lon=here.lon, speed=SPEED, heading=here.heading))
        await asyncio.sleep(0.1)


async def main(host: str, port: int, version: int) -> None:
    async with Vehicle("car-1", host, port, version=version) as vehicle, asyncio.timeout(PATIENCE):
        reporting = asyncio.create_task(report(vehicle))
        wanted = WANTED
        async for advisory in vehicle.advisories():  # each once, and only while it is valid
            print(f"vehicle: {advisory.kind}: {advisory.behaviour or ''} {advisory.speed or ''} - {advisory.reason}")
            # An advisory is never a command: this vehicle would decide by what else it knows, and says what it did.
            await vehicle.acknowledge(advisory, "applied")
            wanted -= 1
            if wanted == 0:
                break
        reporting.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
