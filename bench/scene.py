"""A made-up scene on a real code: road users that drive the lanes of an intersection, as frames of any size, without
SUMO."""

from dataclasses import dataclass

import msgspec
import numpy as np

from cloudctl import codes, maps
from cloudctl.client.gateway import pack
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.schema import VERSION, Group, Perception, RawMessage, Signal, SignalState, VehicleState

SPEED = 8.0  # m/s
encode = msgspec.msgpack.Encoder().encode


def corridor() -> list[CompiledCode]:
    """Return the shipped corridor's intersections, compiled."""
    return [
        compile_code(codes.load(maps.path(name)))
        for name in maps.names()
        if name.startswith("corridor") and name.endswith(".json")
    ]


@dataclass
class Scene:
    """`n` road users on the lanes of one intersection; each drives its lane from end to end, again and again."""

    code: CompiledCode
    n: int
    seed: int = 1

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        near = [
            lane
            for lane in range(self.code.n_lanes)
            if self.code.path_length[lane] > 40 and self.code.lane_use[lane] == 0
        ]

        self.lanes = np.array([near[lane % len(near)] for lane in range(self.n)])
        self.lengths = np.minimum(self.code.path_length[self.lanes], 110.0)
        self.starts = self.code.path_length[self.lanes] - self.lengths
        self.begin = rng.random(self.n) * self.lengths
        ingress = [lane for lane in near if self.code.lane_role[lane] == 0]
        self.lanes[0], self.starts[0] = ingress[0], max(self.code.path_length[ingress[0]] - 160.0, 0.0)
        self.lengths[0] = min(self.code.path_length[ingress[0]] - 30.0 - self.starts[0], 130.0)
        self.rng = rng
        self.lat, self.lon = self.code.origin.lat, self.code.origin.lon
        self.movement = self.code.conn_ids[
            int(np.flatnonzero(self.code.conn_inner & (self.code.conn_from == ingress[0]))[0])
        ]

    def at(self, time_ns: int) -> np.ndarray:
        """Return float64[n, 4]: x, y, vx, vy at `time_ns`."""
        s = self.starts + (self.begin + SPEED * time_ns / SECOND) % self.lengths
        state = np.empty((self.n, 4))

        for lane in np.unique(self.lanes):
            rows = np.flatnonzero(self.lanes == lane)
            first, second = self.code.path_start[lane], self.code.path_start[lane + 1]
            arc, xy = self.code.path_s[first:second], self.code.path_xy[first:second]
            piece = np.clip(np.searchsorted(arc, s[rows]) - 1, 0, second - first - 2)
            step = xy[piece + 1] - xy[piece]
            unit = step / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
            state[rows, :2], state[rows, 2:] = xy[piece] + unit * (s[rows] - arc[piece])[:, None], unit * SPEED

        return state

    def columns(self, time_ns: int) -> dict[str, np.ndarray]:
        """Return a frame's columns at `time_ns`, with 0.3 m of noise."""
        state = self.at(time_ns)
        noisy = state[:, :2] + 0.3 * self.rng.standard_normal((self.n, 2))

        return {
            "id": np.arange(self.n),
            "x": noisy[:, 0],
            "y": noisy[:, 1],
            "vx": state[:, 2],
            "vy": state[:, 3],
            "length": np.full(self.n, 4.6),
            "width": np.full(self.n, 1.8),
            "var_x": np.full(self.n, 0.09),
            "var_y": np.full(self.n, 0.09),
            "class": np.full(self.n, 1),
        }

    def perception(self, rsu: str, seq: int, t: int, at: int | None = None) -> bytes:
        """Return a perception body of the scene at `at`, stamped `t`."""
        block = encode(pack(self.columns(t if at is None else at)))
        return encode(
            Perception(
                version=VERSION,
                rsu=rsu,
                sensor="fused",
                seq=seq,
                t=t,
                lat=self.lat,
                lon=self.lon,
                objects=msgspec.Raw(block),
            )
        )

    def groups(self, t: int) -> tuple[Group, ...]:
        """Return every signal group red for 12 s more from `t` ns, then green for 20 s."""
        end = t + 12 * SECOND
        return tuple(
            Group(
                group=int(group_id),
                state=SignalState.RED,
                min_end=end,
                max_end=end,
                likely_end=end,
                confidence=1.0,
                next_green=end,
                next_duration=20 * SECOND,
            )
            for group_id in self.code.group_ids
        )

    def signal(self, rsu: str, seq: int, t: int) -> bytes:
        """Return signal states: all red for 12 s more, then green."""
        return encode(
            Signal(
                version=VERSION,
                rsu=rsu,
                intersection=self.code.code.id,
                revision=self.code.code.revision,
                seq=seq,
                t=t,
                groups=self.groups(t),
            )
        )

    def state(self, time_ns: int) -> VehicleState:
        """Return the state that the connected road user (the first one) reports at `time_ns`."""
        x, y, vx, vy = self.at(time_ns)[0]
        lat, lon = (float(value) for value in self.code.origin.to_geodetic(x, y))
        return VehicleState(
            t=time_ns, lat=lat, lon=lon, speed=SPEED, heading=float(np.arctan2(vy, vx)), movements=(self.movement,)
        )

    def run(
        self, seconds: float, rsus: int = 3, begin: int = 1_767_225_600 * SECOND
    ) -> list[tuple[int, list[RawMessage]]]:
        """Return the batches of a run: `rsus` units at 10 Hz, signals at 10 Hz, the connected road user at 2 Hz."""
        batches = []
        for index in range(int(seconds * 10)):
            time_ns = begin + index * 100 * MS
            for unit in range(rsus):
                batch = [RawMessage("perception", "g", self.perception(f"r{unit}", index, time_ns))]
                if unit == 0:
                    batch.append(RawMessage("signal", "g", self.signal("r0", index, time_ns)))
                    if index % 5 == 0:
                        batch.append(RawMessage("state", "car", msgspec.json.encode(self.state(time_ns))))
                batches.append((time_ns + (40 + 12 * unit) * MS, batch))

        return batches
