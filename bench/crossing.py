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

RED, GREEN, YELLOW = (
    16 * SECOND,
    21 * SECOND,
    3 * SECOND,
)  # of the group that the connected vehicles wait for, in this order
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
        for k in range(1, self.connected):  # as the first one, at places of their own
            self.scene.lanes[k], self.scene.starts[k] = self.scene.lanes[0], self.scene.starts[0]
            self.scene.lengths[k] = self.scene.lengths[0]
        self.scene.begin[: self.connected] = np.arange(self.connected) * self.scene.lengths[0] / max(self.connected, 1)
        movement = self.code.connection(self.scene.movement)
        self.group = int(self.code.group_ids[self.code.conn_group[movement]])

    @property
    def id(self) -> str:
        return self.code.code.id

    def groups(self, t: int) -> tuple[Group, ...]:
        """Return the signal states at `t`: one group goes through red, green, yellow; the others stay red, their end
        unknown."""
        phase = t % CYCLE
        begin = t - phase
        state, end = SignalState.YELLOW_PROTECTED, begin + CYCLE
        if phase < RED:
            state, end = SignalState.RED, begin + RED
        elif phase < RED + GREEN:
            state, end = SignalState.GREEN_PROTECTED, begin + RED + GREEN
        next_green = begin + RED if phase < RED else begin + CYCLE + RED
        cycling = Group(self.group, state, end, end, end, 1.0, next_green, GREEN)
        return tuple(cycling if int(g) == self.group else Group(int(g), SignalState.RED) for g in self.code.group_ids)

    def hello(self, gateway: str) -> bytes:
        """Return the hello of this crossing's gateway."""
        return encode(
            Hello(
                VERSION,
                gateway,
                (self.rsu,),
                (Sensor("fused", lat=self.scene.lat, lon=self.scene.lon, range=300.0),),
                "bench",
            )
        )

    def perception(self, seq: int, t: int) -> bytes:
        """Return what the sensor sees at `t`."""
        block = encode(pack(self.scene.columns(t)))
        return encode(
            Perception(VERSION, self.rsu, "fused", seq, t, self.scene.lat, self.scene.lon, msgspec.Raw(block))
        )

    def signal(self, seq: int, t: int, revision: int | None = None) -> bytes:
        """Return the signal message of `t`."""
        number = self.code.code.revision if revision is None else revision
        return encode(Signal(VERSION, self.rsu, self.id, number, seq, t, self.groups(t)))

    def state(self, vehicle: int, t: int) -> VehicleState:
        """Return what connected vehicle number `vehicle` reports at `t`."""
        x, y, vx, vy = self.scene.at(t)[vehicle]
        lat, lon = (float(v) for v in self.code.origin.to_geodetic(x, y))
        return VehicleState(t, lat, lon, SPEED, float(np.arctan2(vy, vx)), movements=(self.scene.movement,))
