"""One intersection with valid traffic: road users seen by a gateway, signals that keep their promises, connected
vehicles. For runs under faults."""

from dataclasses import dataclass

import msgspec
import numpy as np

from bench.scene import SPEED, Scene, encode
from cloudctl.client.gateway import pack
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.schema import VERSION, Group, Hello, Perception, Sensor, Signal, SignalState, VehicleState

# Of the group that the connected vehicles wait for, in this order
RED, GREEN, YELLOW = 16 * SECOND, 21 * SECOND, 3 * SECOND
CYCLE = RED + GREEN + YELLOW
OTHERS_RED_ENDS = 60 * SECOND  # after now: the other groups stay red


@dataclass
class Crossing:
    """`n` road users, the first `connected` of them connected vehicles on one approach, apart from each other; `rsu`
    sees all."""

    code: CompiledCode
    rsu: str
    n: int = 20
    connected: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        self.scene = Scene(self.code, self.n, self.seed)
        # As the first one, at places of their own
        for index in range(1, self.connected):
            self.scene.lanes[index], self.scene.starts[index] = self.scene.lanes[0], self.scene.starts[0]
            self.scene.lengths[index] = self.scene.lengths[0]

        self.scene.begin[: self.connected] = np.arange(self.connected) * self.scene.lengths[0] / max(self.connected, 1)
        movement = self.code.connection(self.scene.movement)
        self.group = int(self.code.group_ids[self.code.conn_group[movement]])

    @property
    def id(self) -> str:
        """The id of its code."""
        return self.code.code.id

    def groups(self, time_ns: int) -> tuple[Group, ...]:
        """Return the signal states at `time_ns`: one group goes through red, green, yellow; the others stay red, their
        end unknown."""
        phase = time_ns % CYCLE
        begin = time_ns - phase
        state, end = SignalState.YELLOW_PROTECTED, begin + CYCLE

        if phase < RED:
            state, end = SignalState.RED, begin + RED
        elif phase < RED + GREEN:
            state, end = SignalState.GREEN_PROTECTED, begin + RED + GREEN

        next_green = begin + RED if phase < RED else begin + CYCLE + RED
        cycling = Group(
            group=self.group,
            state=state,
            min_end=end,
            max_end=end,
            likely_end=end,
            confidence=1.0,
            next_green=next_green,
            next_duration=GREEN,
        )

        return tuple(
            cycling if int(group_id) == self.group else Group(int(group_id), SignalState.RED)
            for group_id in self.code.group_ids
        )

    def hello(self, gateway: str) -> bytes:
        """Return the hello of this crossing's gateway."""
        return encode(
            Hello(
                version=VERSION,
                gateway=gateway,
                rsus=(self.rsu,),
                sensors=(Sensor("fused", lat=self.scene.lat, lon=self.scene.lon, range=300.0),),
                software="bench",
            )
        )

    def perception(self, seq: int, t: int) -> bytes:
        """Return what the sensor sees at `t`."""
        block = encode(pack(self.scene.columns(t)))
        return encode(
            Perception(
                version=VERSION,
                rsu=self.rsu,
                sensor="fused",
                seq=seq,
                t=t,
                lat=self.scene.lat,
                lon=self.scene.lon,
                objects=msgspec.Raw(block),
            )
        )

    def signal(self, seq: int, t: int, revision: int | None = None) -> bytes:
        """Return the signal message of `t`."""
        number = self.code.code.revision if revision is None else revision
        return encode(
            Signal(
                version=VERSION,
                rsu=self.rsu,
                intersection=self.id,
                revision=number,
                seq=seq,
                t=t,
                groups=self.groups(t),
            )
        )

    def state(self, vehicle: int, time_ns: int) -> VehicleState:
        """Return what connected vehicle number `vehicle` reports at `time_ns`."""
        x, y, vx, vy = self.scene.at(time_ns)[vehicle]
        lat, lon = (float(value) for value in self.code.origin.to_geodetic(x, y))

        return VehicleState(
            t=time_ns,
            lat=lat,
            lon=lon,
            speed=SPEED,
            heading=float(np.arctan2(vy, vx)),
            movements=(self.scene.movement,),
        )
