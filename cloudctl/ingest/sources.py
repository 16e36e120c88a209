"""The perception sources of a node: which sensors there are, their numbers in the trackers, their sequences and origins."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from ..geo import Origin
from ..metrics import Metrics
from ..schema import MAX_SENSORS, Sensor
from .rejections import RejectedMessage

MAX_OFFSET_M = 2000.0  # of a message's origin from its intersection
RESERVED_SENSORS = 4  # of an intersection's, kept free for each of its other gateways


@dataclass
class Source:
    """One sensor, or the signals, of one roadside unit, as the node knows it."""

    index: int  # in its intersection's fusion; -1 of signals
    intersection: str
    gateway: str
    seq: int = -1
    origin: tuple[float, float] | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    sensor: Sensor | None = None  # as its gateway's hello describes it


class Sources(dict[tuple[str, str], Source]):
    """The sensors by RSU and name, and beside them the signals by RSU. A sensor is numbered when it is first named."""

    def __init__(
        self, gateways: Mapping[str, Mapping[str, str]], origins: Mapping[str, Origin], metrics: Metrics
    ) -> None:
        super().__init__()
        self.signals: dict[str, Source] = {}
        self._metrics = metrics
        self._origins = dict(origins)
        self._speakers = {place: [g for g, rsus in gateways.items() if place in rsus.values()] for place in origins}
        self._used: dict[str, Counter[str]] = {place: Counter() for place in origins}  # sensors, by gateway

    def of(self, rsu: str, sensor: str, intersection: str, gateway: str) -> Source:
        """Return a sensor, a new one where it was never named. Raises RejectedMessage where the intersection has no room for one more of this gateway."""
        source = self.get((rsu, sensor))
        if source is not None:
            return source
        used = self._used[intersection]
        others = [name for name in self._speakers[intersection] if name != gateway]
        reserve = min(RESERVED_SENSORS, MAX_SENSORS // (len(others) + 1))
        if sum(used.values()) + sum(max(reserve - used[name], 0) for name in others) >= MAX_SENSORS:
            rule = f"an intersection has at most {MAX_SENSORS} perception sources, {reserve} of them kept for each other gateway"
            raise RejectedMessage("s", sensor, rule, "use fewer sensor names")
        source = self[rsu, sensor] = Source(sum(used.values()), intersection, gateway)
        used[gateway] += 1
        return source

    def of_intersection(self, intersection: str) -> Iterator[tuple[tuple[str, str], Source]]:
        """Yield the sensors of an intersection, by RSU and name."""
        return (item for item in self.items() if item[1].intersection == intersection)

    def signal(self, rsu: str, intersection: str, gateway: str) -> Source:
        """Return the signals of an RSU."""
        source = self.signals.get(rsu)
        if source is None:
            source = self.signals[rsu] = Source(-1, intersection, gateway)
        return source

    def restart(self, rsus: tuple[str, ...]) -> None:
        """Begin the sequence numbers of some RSUs anew."""
        for rsu in rsus:
            if rsu in self.signals:
                self.signals[rsu].seq = -1
        for (rsu, _), source in self.items():
            if rsu in rsus:
                source.seq = -1

    def check_seq(self, source: Source, seq: int, name: str) -> None:
        """Take the next sequence number, counting what is missing before it. Raises RejectedMessage for one that was seen, or runs backwards."""
        if seq <= source.seq:
            rule = "was seen already" if seq == source.seq else f"runs backwards (last was {source.seq})"
            self._metrics.count("sequence.duplicate" if seq == source.seq else "sequence.backwards", name)
            raise RejectedMessage(
                "q", seq, f"sequence number {rule}", "count up by one per message; after a restart send hello first"
            )
        if source.seq >= 0 and seq > source.seq + 1:
            self._metrics.count("sequence.gap", name, seq - source.seq - 1)
        source.seq = seq

    def locate(self, source: Source, lat: float, lon: float) -> None:
        """Take the origin (degrees) of a source's objects. Raises RejectedMessage where it is none, or too far from the intersection."""
        if not (isfinite(lat) and isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180):
            raise RejectedMessage(
                "lat, lon", f"{lat}, {lon}", "origin is not on the globe", "send degrees of WGS-84 / CGCS2000"
            )
        east, north = self._origins[source.intersection].to_local(lat, lon)
        if max(abs(east), abs(north)) > MAX_OFFSET_M:
            raise RejectedMessage(
                "lat, lon",
                f"{lat}, {lon}",
                f"origin is more than {MAX_OFFSET_M:.0f} m from the intersection",
                "check the order (lat, lon), the datum (not GCJ-02), and the RSU's intersection",
            )
        source.origin, source.shift = (lat, lon), (float(east), float(north))

    def rebind(self, gateways: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Bind gateways to roadside units anew: the sources of units that speak for another intersection now, or for none, are forgotten.
        Returns those units. Numbers in the trackers are never given twice."""
        self._speakers = {
            place: [g for g, rsus in gateways.items() if place in rsus.values()] for place in self._origins
        }
        bound = {(rsu, intersection) for rsus in gateways.values() for rsu, intersection in rsus.items()}
        gone = [key for key, source in self.items() if (key[0], source.intersection) not in bound]
        for key in gone:
            del self[key]
        silent = [rsu for rsu, source in self.signals.items() if (rsu, source.intersection) not in bound]
        for rsu in silent:
            del self.signals[rsu]
        return sorted({*silent, *(rsu for rsu, _ in gone)})

    def move(self, intersection: str, origin: Origin) -> list[tuple[str, str]]:
        """Take in that an intersection's local frame has a new origin; return its sources, by RSU and sensor."""
        self._origins[intersection] = origin
        found = [key for key, source in self.items() if source.intersection == intersection]
        for key in found:
            self[key].origin = None
        return found
