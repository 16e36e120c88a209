"""A city of made-up traffic: copies of the shipped corridor side by side, each intersection with its own roadside
units, signals and connected vehicles, as the messages of a run.

The copies are 0.05 degrees of longitude apart, which changes no distance within one; the traffic of each is shifted in
time against its neighbours', so that no two intersections are at the same moment alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from bench.scene import SPEED, Scene, corridor, encode
from cloudctl.client.gateway import pack
from cloudctl.clock import MS, SECOND
from cloudctl.codes import IntersectionCode
from cloudctl.codes.citycode import make, parse_code
from cloudctl.schema import VERSION, Group, Perception, RawMessage, Signal, SignalState, VehicleState
from cloudctl.settings import EngineConfig

BEGIN = 1_767_225_600 * SECOND
CORRIDOR_SPACING_E7 = 500_000  # 1e-7 degrees of longitude
RSUS = 3
FRAME_PERIOD = 100 * MS
REPORT_PERIOD = SECOND
MAX_SHIFT = 40  # frames by which the traffic of one corridor is shifted against another's
PHASE = 30 * SECOND  # each signal group is green for one, then red for one
WAKE = 10 * MS  # messages that arrive within it come to the engine as one batch
TRANSIT = 40 * MS  # from a sensor to the node
POINT_FIELDS = ("points", "axis", "polygon")


@dataclass(kw_only=True)
class City:
    """`size` intersections, each with RSUS units that send `objects` road users, `connected` of which report."""

    size: int
    objects: int = 30
    connected: int = 5
    seconds: float = 6.0

    def __post_init__(self) -> None:
        originals = [compiled.code for compiled in corridor()]
        scenes = [Scene(compiled, self.objects, seed) for seed, compiled in enumerate(corridor())]
        self._scenes = scenes
        self.codes = [
            moved(originals[number % len(originals)], number // len(originals), number) for number in range(self.size)
        ]
        frames = int(self.seconds * SECOND) // FRAME_PERIOD + MAX_SHIFT + 1
        self._blocks = [
            [[encode(pack(scene.columns(k * FRAME_PERIOD))) for k in range(frames)] for _ in range(RSUS)]
            for scene in scenes
        ]
        self._movements = [_movements(scene, self.connected) for scene in scenes]
        self._phases: dict[tuple[int, int], tuple[Group, ...]] = {}

    def config(self, **settings: Any) -> EngineConfig:
        """Return the settings of an engine that serves the city: a gateway for each intersection."""
        gateways = {
            f"g{number}": {f"r{number}-{unit}": code.id for unit in range(RSUS)}
            for number, code in enumerate(self.codes)
        }
        return EngineConfig(gateways, **settings)

    def run(self) -> Iterator[tuple[int, list[RawMessage]]]:
        """Yield the batches of a run, one for each WAKE: the units of an intersection send at three moments of the
        period, its signals and vehicles with the first of them."""
        rng = np.random.default_rng(7)
        senders = [(number, unit) for number in range(self.size) for unit in range(RSUS)]
        slots: list[list[tuple[int, int]]] = [[] for _ in range(FRAME_PERIOD // WAKE)]
        for sender in senders:
            slots[int(rng.integers(len(slots)))].append(sender)

        for step in range(int(self.seconds * SECOND) // WAKE):
            sent = BEGIN + step * WAKE
            yield (
                sent + TRANSIT,
                [message for sender in slots[step % len(slots)] for message in self._messages(sent, *sender)],
            )

    def _messages(self, t: int, number: int, unit: int) -> Iterator[RawMessage]:
        gateway, rsu = f"g{number}", f"r{number}-{unit}"
        frame, kind, code = (t - BEGIN) // FRAME_PERIOD, number % len(self._scenes), self.codes[number]
        shifted = frame + number // len(self._scenes) * 7 % MAX_SHIFT
        lat, lon = code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7
        block = msgspec.Raw(self._blocks[kind][unit][shifted])
        yield RawMessage("perception", gateway, encode(Perception(VERSION, rsu, "fused", frame, t, lat, lon, block)))
        if unit:
            return

        signal = Signal(VERSION, rsu, code.id, code.revision, frame, t, self._groups(kind, t))
        yield RawMessage("signal", gateway, encode(signal))
        for vehicle in range(self.connected):
            if (frame + vehicle) % (REPORT_PERIOD // FRAME_PERIOD) == 0:
                state = self._state(t, code, kind, shifted, vehicle)
                yield RawMessage("state", f"v{number}-{vehicle}", msgspec.json.encode(state))

    def _groups(self, kind: int, t: int) -> tuple[Group, ...]:
        """Return what the signal groups show: every other one green, changing every PHASE."""
        phase = (t - BEGIN) // PHASE
        groups = self._phases.get((kind, phase))
        if groups is None:
            end = BEGIN + (phase + 1) * PHASE
            groups = self._phases[kind, phase] = tuple(
                _group(int(number), index % 2 == phase % 2, end)
                for index, number in enumerate(self._scenes[kind].code.group_ids)
            )
        return groups

    def _state(self, t: int, code: IntersectionCode, kind: int, frame: int, vehicle: int) -> VehicleState:
        scene = self._scenes[kind]
        x, y, vx, vy = scene.at(frame * FRAME_PERIOD)[vehicle]
        lat, lon = (float(degrees) for degrees in scene.code.origin.to_geodetic(x, y))
        lon += (code.ref_lon_e7 - scene.code.code.ref_lon_e7) / 1e7
        return VehicleState(t, lat, lon, SPEED, float(np.arctan2(vy, vx)), movements=self._movements[kind][vehicle])


def moved(code: IntersectionCode, copies: int, number: int) -> IntersectionCode:
    """Return a code `copies` corridors further east, with a city code of its own."""
    parts = parse_code(code.id)
    east = copies * CORRIDOR_SPACING_E7

    def shift(item: Any) -> Any:
        changes: dict[str, Any] = {
            field: tuple((lat, lon + east) for lat, lon in getattr(item, field))
            for field in POINT_FIELDS
            if hasattr(item, field)
        }
        if hasattr(item, "lon_e7"):
            changes["lon_e7"] = item.lon_e7 + east
        return msgspec.structs.replace(item, **changes)

    located = {
        name: tuple(shift(item) for item in getattr(code, name))
        for name in ("lanes", "connections", "crosswalks", "nodes", "zones", "devices")
    }
    name = make(parts.adm, parts.kind, parts.grid, number + 1)
    return msgspec.structs.replace(code, id=name, ref_lon_e7=code.ref_lon_e7 + east, **located)


def _group(number: int, is_green: bool, end: int) -> Group:
    state = SignalState.GREEN_PERMISSIVE if is_green else SignalState.RED
    return Group(number, state, end, end, end, 1.0, end + PHASE if is_green else end, PHASE)


def _movements(scene: Scene, connected: int) -> list[tuple[str, ...] | None]:
    """Return what each connected road user declares: the first movement of its lane; None where it has none."""
    code = scene.code
    declared: list[tuple[str, ...] | None] = []
    for lane in scene.lanes[:connected].tolist():
        connections = np.flatnonzero(code.conn_inner & (code.conn_from == lane))
        declared.append((code.conn_ids[int(connections[0])],) if len(connections) else None)
    return declared
