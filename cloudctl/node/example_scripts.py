"""The two scripts that `cloudctl init` writes: a gateway and a vehicle of one approach of one intersection."""

from math import atan2, cos, sin
from typing import NamedTuple

import numpy as np

from ..codes import IntersectionCode
from ..codes.model import Connection, Lane
from ..geo import Origin

APPROACH = 200.0  # m before the stop line at which the vehicle of the example begins
MIN_APPROACH = 60.0  # m; a shorter lane shows little
SPEED = 13.0  # m/s
GATEWAY_NAME, VEHICLE_NAME = "gateway-1", "car-1"  # whose folders the scripts take where none is given
DEGREE = 1e-7  # of the digital code's coordinates

GATEWAY = '''\
"""A roadside unit: sends ten times a second which cars its camera sees and what the signals show."""

import contextlib
import logging
import sys
import time

from cloudctl.client import Gateway, Group, SignalState

SECOND = 1_000_000_000  # ns
RED, GREEN, YELLOW = SignalState.RED, SignalState.GREEN_PROTECTED, SignalState.YELLOW_PROTECTED
PHASES = ((20, RED), (37, GREEN), (40, YELLOW))  # until which second of a cycle of 40 s each lasts
FOLDER = sys.argv[1] if len(sys.argv) > 1 else "gateways/@GATEWAY@"
logging.basicConfig(level=logging.INFO, format="gateway: %(message)s")

with contextlib.suppress(KeyboardInterrupt), Gateway.from_folder(FOLDER) as gateway:
    rsu = gateway.rsus[0]
    while True:
        now = time.time_ns()
        begin = now - now % (40 * SECOND)
        seconds, state = next(phase for phase in PHASES if now < begin + phase[0] * SECOND)
        end = begin + seconds * SECOND
        shown = Group(group=@GROUP@, state=state, min_end=end, max_end=end, likely_end=end)
        others = [Group(group=number, state=RED) for number in @OTHERS@]
        gateway.signal(rsu, "@INTERSECTION@", @REVISION@, [shown, *others])

        car = {"x": @EAST@, "y": @NORTH@, "heading": @HEADING@, "class": "car"}  # m east and north of the origin
        gateway.perception(rsu, "camera-1", @LAT@, @LON@, [car] if state == RED else [])
        gateway.poll(100)  # takes in what the node answers
'''

VEHICLE = '''\
"""A connected vehicle: drives towards the stop line again and again, and shows what it is advised."""

import asyncio
import contextlib
import logging
import sys
import time

from cloudctl.client import Vehicle, VehicleState

START, STOP_LINE = (@START_LAT@, @START_LON@), (@END_LAT@, @END_LON@)  # degrees, @DISTANCE@ m apart
FOLDER = sys.argv[1] if len(sys.argv) > 1 else "vehicles/@VEHICLE@"
logging.basicConfig(level=logging.INFO, format="vehicle: %(message)s")


async def drive(vehicle: Vehicle) -> None:
    while True:
        for step in range(@STEPS@):  # 10 times a second, at @SPEED@ m/s
            lat, lon = (a + (b - a) * step / @STEPS@ for a, b in zip(START, STOP_LINE))
            state = VehicleState(time.time_ns(), lat, lon, speed=@SPEED@, heading=@HEADING@, movements=("@MOVEMENT@",))
            await vehicle.report(state)
            await asyncio.sleep(0.1)


async def main() -> None:
    async with Vehicle.from_folder(FOLDER) as vehicle:
        driving = asyncio.create_task(drive(vehicle))
        async for advisory in vehicle.advisories():  # each once, and only while it is valid
            print(f"{advisory.kind}: {advisory.reason}", flush=True)
            await vehicle.acknowledge(advisory, "applied")
        await driving


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
'''


class Approach(NamedTuple):
    """What the scripts show: a lane that a signal holds, and the movement from it."""

    lane: Lane
    connection: Connection


def example_scripts(code: IntersectionCode) -> dict[str, str]:
    """Return the scripts of an intersection by file name, none where it has no approach with a signal and a lane long
    enough.
    """
    approach = find_approach(code)
    if approach is None:
        return {}

    origin = Origin(code.ref_lat_e7 * DEGREE, code.ref_lon_e7 * DEGREE)
    points = np.array(approach.lane.points, float) * DEGREE
    east, north = origin.to_local(points[:, 0], points[:, 1])
    heading = atan2(north[-1] - north[-2], east[-1] - east[-2])
    length = float(np.hypot(east[-1] - east[-2], north[-1] - north[-2]))
    distance = min(length, APPROACH)
    start_lat, start_lon = origin.to_geodetic(east[-1] - distance * cos(heading), north[-1] - distance * sin(heading))

    others = [group.id for group in code.signal_groups if group.id != approach.connection.group]

    values = {
        "GATEWAY": GATEWAY_NAME,
        "VEHICLE": VEHICLE_NAME,
        "GROUP": approach.connection.group,
        "OTHERS": tuple(others),
        "INTERSECTION": code.id,
        "REVISION": code.revision,
        "EAST": f"{east[-1] - 3.0 * cos(heading):.1f}",
        "NORTH": f"{north[-1] - 3.0 * sin(heading):.1f}",
        "LAT": f"{origin.lat:.7f}",
        "LON": f"{origin.lon:.7f}",
        "START_LAT": f"{float(start_lat):.7f}",
        "START_LON": f"{float(start_lon):.7f}",
        "END_LAT": f"{points[-1, 0]:.7f}",
        "END_LON": f"{points[-1, 1]:.7f}",
        "DISTANCE": round(distance),
        "STEPS": int(distance / SPEED * 10),
        "SPEED": SPEED,
        "HEADING": f"{heading:.2f}",
        "MOVEMENT": approach.connection.id,
    }
    return {"gateway.py": _filled(GATEWAY, values), "vehicle.py": _filled(VEHICLE, values)}


def find_approach(code: IntersectionCode) -> Approach | None:
    """Return the approach with the longest straight end among those of vehicles that go straight on at a signal; any
    turn where none does.
    """
    lanes = {lane.id: lane for lane in code.lanes if lane.use == "vehicle" and len(lane.points) > 1}
    held = [c for c in code.connections if c.group and c.inner and not c.waits and c.from_lane in lanes]
    best, best_rank = None, (False, MIN_APPROACH)

    for connection in held:
        lane = lanes[connection.from_lane]
        (lat, lon), (end_lat, end_lon) = lane.points[-2:]
        origin = Origin(lat * DEGREE, lon * DEGREE)
        length = float(np.hypot(*origin.to_local(end_lat * DEGREE, end_lon * DEGREE)))
        rank = (connection.turn == "straight" and length > MIN_APPROACH, min(length, APPROACH))

        if rank > best_rank:
            best, best_rank = Approach(lane, connection), rank

    return best


def _filled(template: str, values: dict[str, object]) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}@", str(value))
    return template
