"""The live state of intersections as the API shows it, taken from the newest plan of each. Changes nothing, and does
nothing until somebody asks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..clock import SECOND
from ..codes import CompiledCode
from ..codes.model import GROUP_KINDS
from ..engine import Engine
from ..fusion import VEHICLE_SOURCE
from ..intersection import IntersectionState
from ..planner import gate
from ..schema import ObjectClass, SignalState
from ..signals.states import NEVER, Signals
from ..traffic_messages import Traffic
from ..view.status import sensors_of
from ..world import World
from .schema import (
    AdvisoryList,
    GatewayList,
    GatewayRow,
    IntersectionList,
    IntersectionRow,
    SensorList,
    SensorRow,
    SignalGroupState,
    SignalList,
    Track,
    TrackList,
    TrafficReport,
)

GATEWAY_SILENCE = 10 * SECOND  # of a gateway that counts as connected
CLASS_NAMES = tuple(member.name.lower() for member in ObjectClass)
STATE_NAMES = tuple(member.name.lower() for member in SignalState)
OWN_REPORTS = "its own reports"
DIGITS = 3  # kept of a number: mm
DEGREE_DIGITS = 8  # of a degree: 1 mm
TRACKED = (  # columns of a track that are shown as they are
    *("x", "y", "var_x", "var_y", "cov_xy", "vx", "vy"),
    *("heading", "length", "width", "height", "existence"),
)


def intersection_row(place: IntersectionState) -> IntersectionRow:
    """Return one intersection at a glance."""
    code, world = place.code, place.latest
    signal_gate, perception_gate = gate(world) if world is not None else (None, None)

    return IntersectionRow(
        id=code.code.id,
        name=code.code.name,
        lat=round(code.origin.lat, DEGREE_DIGITS),
        lon=round(code.origin.lon, DEGREE_DIGITS),
        revision=code.code.revision,
        in_force=place.in_force,
        planned=world.t if world is not None else None,
        t_sensor=(world.t_sensor or None) if world is not None else None,
        t_signal=(world.signals.t or None) if world is not None else None,
        tracks=len(world.tracks) if world is not None else 0,
        vehicles=len(world.vehicles) if world is not None else 0,
        signal_gate=signal_gate,
        perception_gate=perception_gate,
    )


def intersection_list(engine: Engine, offset: int, limit: int) -> IntersectionList:
    """Return some of the intersections."""
    places = list(engine.intersections.values())
    rows = tuple(intersection_row(place) for place in places[offset : offset + limit])
    return IntersectionList(total=len(places), offset=offset, limit=limit, intersections=rows)


def track_list(place: IntersectionState) -> TrackList:
    """Return the road users at the newest plan."""
    code, world = place.code, place.latest
    rows = _tracks(place, world) if world is not None and len(world.tracks) else ()
    return TrackList(code.code.id, code.code.revision, world.t if world is not None else None, rows)


def _tracks(place: IntersectionState, world: World) -> tuple[Track, ...]:
    tracks, code = world.tracks, place.code
    lat, lon = code.origin.to_geodetic(tracks["x"], tracks["y"])
    sensors = SensorNames(place)
    names = (*code.lane_ids, *code.conn_ids)

    columns: dict[str, list[Any]] = {
        "id": tracks["id"].tolist(),
        "kind": [CLASS_NAMES[kind] for kind in tracks["class"].tolist()],
        "kind_p": _numbers(tracks["class_p"]),
        "lat": np.round(lat, DEGREE_DIGITS).tolist(),
        "lon": np.round(lon, DEGREE_DIGITS).tolist(),
        "speed": _numbers(np.hypot(tracks["vx"], tracks["vy"])),
        "accel": _numbers(world.accel),
        "lane": [names[path] if path >= 0 else None for path in world.path.tolist()],
        "s": _numbers(np.where(world.path >= 0, world.s, np.nan)),
        "to_stop": _numbers(world.to_stop),
        "movement": [code.conn_ids[k] if k >= 0 else None for k in world.connection.tolist()],
        "vehicle": [world.vehicles[k].id if k >= 0 else None for k in world.report.tolist()],
        "sensors": [sensors.behind(bits) for bits in tracks["sources"].tolist()],
        "last_seen": tracks["last"].tolist(),
    }
    columns |= {name: _numbers(tracks[name]) for name in TRACKED}
    return tuple(Track(*row) for row in _rows(columns, Track))


def _rows(columns: dict[str, list[Any]], row_type: type[msgspec.Struct]) -> Iterator[tuple[Any, ...]]:
    """Return the rows of some columns, in the order of a type's fields."""
    return zip(*(columns[name] for name in row_type.__struct_fields__), strict=True)


class SensorNames:
    """The names behind the bits of tracks' sources; found once for each combination."""

    def __init__(self, place: IntersectionState) -> None:
        self._names = [*place.sensing.numbers(), (OWN_REPORTS, VEHICLE_SOURCE)]
        self._known: dict[int, tuple[str, ...]] = {}

    def behind(self, bits: int) -> tuple[str, ...]:
        """Return the names of the sources whose bits are set."""
        known = self._known.get(bits)
        if known is None:
            known = self._known[bits] = tuple(name for name, number in self._names if bits >> number & 1)
        return known


def signal_list(place: IntersectionState) -> SignalList:
    """Return the signals at the newest plan."""
    world, shown = place.latest, place.signals
    if world is None:
        return SignalList(place.code.code.id, None, None, None, None, None, ())

    return SignalList(
        intersection=place.code.code.id,
        revision=shown.revision if shown.t else None,
        t=world.t,
        withheld=gate(world)[0],
        doubt=world.doubt_reason,
        lanes=shown.lanes,
        groups=_groups(place.code, world.signals, shown),
    )


def _groups(code: CompiledCode, believed: Signals, shown: Signals) -> tuple[SignalGroupState, ...]:
    count = len(shown.state)
    seen = shown.seen if shown.seen is not None else np.full(count, shown.t)
    overdue = shown.overdue if shown.overdue is not None else np.zeros(count, np.bool_)

    columns: dict[str, list[Any]] = {
        "group": code.group_ids.tolist(),
        "kind": [GROUP_KINDS[kind] for kind in code.group_kind.tolist()],
        "state": [STATE_NAMES[state] for state in shown.state.tolist()],
        "min_end": _times(believed.min_end),
        "max_end": _times(believed.max_end),
        "likely_end": _times(believed.likely_end),
        "confidence": _numbers(np.where(believed.likely_end == NEVER, np.nan, believed.confidence)),
        "next_green": _times(believed.next_green),
        "seen": [time or None for time in seen.tolist()],
        "overdue": overdue.tolist(),
    }
    return tuple(SignalGroupState(*row) for row in _rows(columns, SignalGroupState))


def traffic_report(place: IntersectionState, newest: Mapping[str, object]) -> TrafficReport:
    """Return the newest report; `newest`: by intersection."""
    report = newest.get(place.code.code.id)
    return TrafficReport(place.code.code.id, report if isinstance(report, Traffic) else None)


def advisory_list(t: int, place: IntersectionState) -> AdvisoryList:
    """Return the advisories that are valid at `t` ns, the most severe first. Without input nothing is planned, and
    those of the newest plan come to their end all the same."""
    world = place.latest
    if world is None:
        return AdvisoryList(place.code.code.id, None, ())

    valid = place.advisory_filter.valid(max(t, world.t))
    valid.sort(key=lambda advisory: (advisory.severity, advisory.id))
    return AdvisoryList(place.code.code.id, world.t, tuple(valid))


def sensor_list(place: IntersectionState, engine: Engine) -> SensorList:
    """Return the sensors at the newest plan."""
    world = place.latest
    if world is None:
        return SensorList(place.code.code.id, None, ())

    table, rows = place.sensing.table(), []
    for shown in sensors_of(world.t, place, engine.ingest.sources):
        own = table.get(shown["name"], {})
        more = {"type": own.get("type"), "temperature": own.get("temperature")}
        rows.append(msgspec.convert(shown | more, SensorRow))

    return SensorList(place.code.code.id, world.t, tuple(rows))


def gateway_list(t: int, engine: Engine, contacts: Mapping[str, int], offset: int, limit: int) -> GatewayList:
    """Return some of the gateways at `t` ns; `contacts`: when the last message of each came, ns."""
    gateways, hellos = engine.config.gateways, engine.metrics.newest.get("gateways", {})
    rows = []
    for name in list(gateways)[offset : offset + limit]:
        last: int | None = contacts.get(name)
        hello: Any = hellos.get(name, {})

        rows.append(
            GatewayRow(
                name=name,
                connected=last is not None and t - last <= GATEWAY_SILENCE,
                last_contact=last,
                rsus=gateways[name],
                calls_itself=hello.get("calls_itself"),
                software=hello.get("software"),
            )
        )

    return GatewayList(total=len(gateways), offset=offset, limit=limit, gateways=tuple(rows))


def _numbers(values: NDArray[np.generic]) -> list[float | None]:
    """Return numbers, rounded, with None for NaN."""
    rounded = np.round(values.astype(np.float64), DIGITS)
    return [value if value == value else None for value in rounded.tolist()]


def _times(values: NDArray[np.int64]) -> list[int | None]:
    """Return times, with None for one that is not known."""
    return [None if value == NEVER else value for value in values.tolist()]
