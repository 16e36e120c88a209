"""Which messages of a run belong to some of its intersections.

Messages of roadside units go by the unit's intersection, those of a gateway as a whole (hello, sync) by its units,
advisories and requests by the intersection they name, states of vehicles by where they are: within REACH. Ticks and
the simulator's truth belong to all.
"""

from collections.abc import Collection, Sequence

import msgspec
import numpy as np
from msgspec import Struct

from ..codes import IntersectionCode
from ..geo import Origin
from ..io.recording.parts import RecordingError
from ..settings import EngineConfig

REACH = 2000.0  # m from an intersection within which vehicles are its own, as the node accepts objects
UNIT_TOPICS = ("in/perception", "in/signal", "in/hazard", "in/health")
FOXGLOVE = "foxglove/"
DEGREE_E7 = 1e7


class OfUnit(Struct):
    """The part of a gateway's message that names its roadside unit."""

    r: str = ""


class OfPlace(Struct):
    """The parts of a vehicle's message, or of an advisory, that name a place."""

    lat: float | None = None
    lon: float | None = None
    intersection: str | None = None


class Selection:
    """The intersections that are wanted of a run."""

    def __init__(self, config: EngineConfig, codes: Sequence[IntersectionCode], wanted: Collection[str]) -> None:
        """Raises RecordingError for an intersection that the run does not have."""
        known = dict.fromkeys(code.id for code in codes)
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise RecordingError(
                f"intersection {unknown[0]!r} is not in the recording. It has: {', '.join(known) or 'none'}"
            )

        self.wanted = tuple(name for name in known if name in wanted)
        self._gateways = reduced(config, self.wanted).gateways
        self._all = config.gateways
        self._origins = [
            Origin(code.ref_lat_e7 / DEGREE_E7, code.ref_lon_e7 / DEGREE_E7) for code in codes if code.id in wanted
        ]
        self._near: dict[str, None] = {}  # vehicles that were within reach
        self._unit = msgspec.msgpack.Decoder(OfUnit).decode
        self._place = msgspec.json.Decoder(OfPlace).decode

    def reason(self, topic: str, data: bytes) -> str | None:
        """Return why a message is not of the wanted intersections; None for one that is."""
        if topic == "out/advisories":
            return None if self._names_wanted(data) else "advisories of another intersection"

        if topic.startswith(FOXGLOVE):
            own = any(topic.startswith(f"{FOXGLOVE}{name}/") for name in self.wanted)
            return None if own or topic.count("/") == 1 else "another intersection"

        if not topic.startswith("in/"):
            return None

        sender, body = msgspec.msgpack.decode(data)[:2]
        if topic == "in/code":
            return None if self._is_wanted_code(body) else "a code of another intersection"
        if topic == "in/config":
            return None
        if topic in ("in/state", "in/acks"):
            return None if self._is_near(topic, sender, body) else f"vehicles more than {REACH / 1000:g} km away"
        if topic == "in/requests":
            return None if self._names_wanted(body) else "requests at another intersection"

        return None if self._is_of_unit(topic, sender, body) else "roadside units of another intersection"

    def _is_of_unit(self, topic: str, sender: str, body: bytes) -> bool:
        units = self._gateways.get(sender, {})
        if topic not in UNIT_TOPICS:
            return bool(units) or sender not in self._all

        try:
            unit = self._unit(body).r
        except (msgspec.DecodeError, UnicodeDecodeError):
            return bool(units)  # it was refused, and answered to this gateway

        return unit in units or (bool(units) and unit not in self._all.get(sender, {}))

    def _is_near(self, topic: str, sender: str, body: bytes) -> bool:
        if topic == "in/state":
            try:
                place = self._place(body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return sender in self._near

            if place.lat is not None and place.lon is not None:
                for origin in self._origins:
                    east, north = origin.to_local(place.lat, place.lon)
                    if np.hypot(east, north) <= REACH:
                        self._near[sender] = None
                        return True
                return False

        return sender in self._near

    def _names_wanted(self, data: bytes) -> bool:
        try:
            return self._place(data).intersection in self.wanted
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False

    def _is_wanted_code(self, body: bytes) -> bool:
        try:
            tree = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return isinstance(tree, dict) and tree.get("id") in self.wanted


def reduced(config: EngineConfig, wanted: Collection[str]) -> EngineConfig:
    """Return a configuration with the roadside units of some intersections only."""
    gateways = {}
    for gateway, units in config.gateways.items():
        kept = {unit: intersection for unit, intersection in units.items() if intersection in wanted}
        if kept:
            gateways[gateway] = kept
    return msgspec.structs.replace(config, gateways=gateways)
