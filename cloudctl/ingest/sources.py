"""The perception sources of a node: which sensors there are, their numbers in the trackers, their sequences and
origins."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from ..geo import Origin
from ..metrics import Metrics
from ..schema import MAX_SENSORS, Sensor
from .rejections import NOT_PRINTABLE, RejectedMessage

MAX_ORIGIN_DISTANCE = 2000.0  # m of a message's origin from its intersection
RESERVED_SENSORS = 4  # of an intersection's, kept free for each of its other gateways


@dataclass
class Source:
    """One sensor, or the signals, of one roadside unit, as the node knows it."""

    index: int  # in its intersection's fusion; -1 of signals
    intersection: str
    gateway: str
    seq: int = -1  # of its last message
    origin: tuple[float, float] | None = None  # degrees (lat, lon) of its objects' coordinates
    shift: tuple[float, float] = (0.0, 0.0)  # m (east, north) of that origin from the intersection's
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
        self._gateways = _by_intersection(gateways, origins)
        self._sensor_counts: dict[str, Counter[str]] = {place: Counter() for place in origins}  # by gateway

    def of(self, rsu: str, sensor: str, intersection: str, gateway: str) -> Source:
        """Return a sensor; a new one is numbered. Raises RejectedMessage where the intersection has no room for one
        more of this gateway."""
        source = self.get((rsu, sensor))
        if source is not None:
            return source

        if not sensor.isprintable():
            raise RejectedMessage("s", repr(sensor), NOT_PRINTABLE, "name the sensor in letters, digits and marks")

        # Sensors are named by senders: no gateway may use up the numbers that another one needs.
        counts = self._sensor_counts[intersection]
        others = [name for name in self._gateways[intersection] if name != gateway]
        reserve = min(RESERVED_SENSORS, MAX_SENSORS // (len(others) + 1))
        reserved = sum(max(reserve - counts[name], 0) for name in others)

        if sum(counts.values()) + reserved >= MAX_SENSORS:
            raise RejectedMessage(
                field="s",
                value=sensor,
                rule=(
                    f"an intersection has at most {MAX_SENSORS} perception sources, {reserve} of them kept for each "
                    "other gateway"
                ),
                remedy="use fewer sensor names",
            )

        source = self[rsu, sensor] = Source(index=sum(counts.values()), intersection=intersection, gateway=gateway)
        counts[gateway] += 1
        return source

    def describe(
        self, gateway: str, units: Mapping[str, str], sensors: Sequence[Sensor], refused: list[RejectedMessage]
    ) -> tuple[Sensor, ...]:
        """Take in the sensors of a gateway's hello, in place of those of the one before; return those that there is
        room for. `units`: its units, each with its intersection; why a sensor has no room is added to `refused`."""
        declared = {sensor.id for sensor in sensors}
        for (rsu, name), source in self.items():
            if rsu in units and name not in declared:
                source.sensor = None

        described = []
        for sensor in sensors:
            try:
                sources = [self.of(rsu, sensor.id, place, gateway) for rsu, place in units.items()]
            except RejectedMessage as rejection:
                refused.append(rejection)
                continue

            for source in sources:
                source.sensor = sensor

            described.append(sensor)

        return tuple(described)

    def of_intersection(self, intersection: str) -> Iterator[tuple[tuple[str, str], Source]]:
        """Yield the sensors of an intersection, by RSU and name."""
        return (item for item in self.items() if item[1].intersection == intersection)

    def signal(self, rsu: str, intersection: str, gateway: str) -> Source:
        """Return the signals of an RSU."""
        source = self.signals.get(rsu)
        if source is None:
            source = self.signals[rsu] = Source(index=-1, intersection=intersection, gateway=gateway)
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
        """Accept the next sequence number, counting those missing before it. Raises RejectedMessage for a repeated or
        earlier one."""
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
        """Take the origin (degrees) of a source's objects. Raises RejectedMessage where it is none, or too far from the
        intersection."""
        if not (isfinite(lat) and isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180):
            raise RejectedMessage(
                "lat, lon", f"{lat}, {lon}", "origin is not on the globe", "send degrees of WGS-84 / CGCS2000"
            )

        east, north = self._origins[source.intersection].to_local(lat, lon)
        if max(abs(east), abs(north)) > MAX_ORIGIN_DISTANCE:
            raise RejectedMessage(
                "lat, lon",
                f"{lat}, {lon}",
                f"origin is more than {MAX_ORIGIN_DISTANCE:.0f} m from the intersection",
                "check the order (lat, lon), the datum (not GCJ-02), and the RSU's intersection",
            )

        source.origin, source.shift = (lat, lon), (float(east), float(north))

    def add_intersection(self, intersection: str, origin: Origin) -> None:
        """Take in a new intersection, whose tracker knows no sensors; `rebind` follows."""
        self._origins[intersection] = origin
        self._sensor_counts[intersection] = Counter()

    def drop_intersection(self, intersection: str) -> None:
        """Forget an intersection; `rebind` follows, and forgets its sources."""
        self._origins.pop(intersection, None)
        self._sensor_counts.pop(intersection, None)

    def rebind(self, gateways: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Bind gateways to roadside units anew; return the units that now speak for another intersection, or for none.

        Their sources are forgotten. A number in a tracker is never given to a second sensor.
        """
        self._gateways = _by_intersection(gateways, self._origins)
        bound = {(rsu, intersection) for rsus in gateways.values() for rsu, intersection in rsus.items()}
        unbound = [key for key, source in self.items() if (key[0], source.intersection) not in bound]

        for key in unbound:
            del self[key]

        unbound_signals = [rsu for rsu, source in self.signals.items() if (rsu, source.intersection) not in bound]
        for rsu in unbound_signals:
            del self.signals[rsu]

        return sorted({*unbound_signals, *(rsu for rsu, _ in unbound)})

    def move(self, intersection: str, origin: Origin) -> list[tuple[str, str]]:
        """Replace the origin of an intersection's local frame; return its sources, by RSU and sensor."""
        self._origins[intersection] = origin
        keys = [key for key, source in self.items() if source.intersection == intersection]
        for key in keys:
            self[key].origin = None  # its next frame is placed anew
        return keys


def _by_intersection(gateways: Mapping[str, Mapping[str, str]], intersections: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the gateways that have a roadside unit at each intersection."""
    return {place: [name for name, rsus in gateways.items() if place in rsus.values()] for place in intersections}
