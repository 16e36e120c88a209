"""A gateway's hello, each part read alone: what is wrong in one sensor, or one unit, is refused and named, the others
are used.

Sequence numbers begin anew with a hello. One that was refused whole would leave a gateway that has restarted with every
later message refused, too.
"""

from math import isfinite
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..schema import MAX_SENSORS, Hello, Sensor, Text
from .gateways import Gateway
from .rejections import RejectedMessage, decode_each
from .vehicle_checks import MAX_ANGLE

MAX_UNITS = 256  # that one hello names
SENSOR_REMEDY = "send degrees, radians counter-clockwise from east, m and Hz; leave out what is not known"
_decode_sensor = msgspec.msgpack.Decoder(Sensor).decode


class HelloHead(Struct, frozen=True, rename={"version": "v", "gateway": "g", "rsus": "r", "sensors": "s"}):
    """A `Hello` whose sensors and texts are not checked yet."""

    version: int
    gateway: Any
    rsus: Annotated[tuple[str, ...], Meta(max_length=MAX_UNITS)]
    sensors: tuple[msgspec.Raw, ...] = ()
    software: Any = msgspec.field(name="sw", default="")


def usable_hello(head: HelloHead, gateway: Gateway, refused: list[RejectedMessage]) -> Hello:
    """Return the usable part of a hello of `gateway`; why each other part is refused is added to `refused`."""
    return Hello(
        version=head.version,
        gateway=_text("g", head.gateway, refused),
        rsus=_units(head.rsus, gateway, refused),
        sensors=_sensors(head.sensors, refused),
        software=_text("sw", head.software, refused),
    )


def _text(field: str, value: object, refused: list[RejectedMessage]) -> str:
    try:
        return msgspec.convert(value, Text)
    except msgspec.ValidationError:
        rule = "must be a text of 200 characters at most; it is not shown"
        refused.append(RejectedMessage(field, value, rule, "shorten it, or leave it empty"))
        return ""


def _units(rsus: tuple[str, ...], gateway: Gateway, refused: list[RejectedMessage]) -> tuple[str, ...]:
    """Return the units that the gateway's key may speak for."""
    for index, rsu in enumerate(rsus):
        if rsu not in gateway.rsus:
            refused.append(gateway.not_its_unit(rsu, field=f"r[{index}]"))
    return tuple(rsu for rsu in rsus if rsu in gateway.rsus)


def _sensors(parts: tuple[msgspec.Raw, ...], refused: list[RejectedMessage]) -> tuple[Sensor, ...]:
    """Return the sensors that decode and have no impossible number, each name once, MAX_SENSORS at most."""
    if len(parts) > MAX_SENSORS:
        rule = f"an intersection has at most {MAX_SENSORS} sensors; those after are not used"
        refused.append(RejectedMessage("s", f"{len(parts)} sensors", rule, "declare fewer sensors"))

    sensors: dict[str, Sensor] = {}
    for index, part in enumerate(parts[:MAX_SENSORS]):
        for sensor in decode_each(_decode_sensor, "s", [part], refused, first=index):
            rejection = _fault_of(index, sensor, is_twice=sensor.id in sensors)
            if rejection is None:
                sensors[sensor.id] = sensor
            else:
                refused.append(rejection)

    return tuple(sensors.values())


def _fault_of(index: int, sensor: Sensor, *, is_twice: bool) -> RejectedMessage | None:
    """Return why a sensor cannot be used; None where it can."""
    if is_twice:
        rule = "stands twice: the first is used"
        return RejectedMessage(f"s[{index}].id", sensor.id, rule, "give each sensor a name of its own")

    for name, value, low, high in _numbers_of(sensor):
        if not (isfinite(value) and low <= value <= high):
            rule = f"must be within {low:g} .. {high:g}; sensor {sensor.id} is not declared"
            return RejectedMessage(f"s[{index}].{name}", value, rule, SENSOR_REMEDY)

    return None


def _numbers_of(sensor: Sensor) -> list[tuple[str, float, float, float]]:
    """Return (field, value, low, high) of each number of a sensor that is given."""
    optional = [("lat", sensor.lat, -90.0, 90.0), ("lon", sensor.lon, -180.0, 180.0), ("hz", sensor.hz, 0.0, 1000.0)]
    return [
        *((name, value, low, high) for name, value, low, high in optional if value is not None),
        ("heading", sensor.heading, -MAX_ANGLE, MAX_ANGLE),
        ("fov", sensor.fov, 0.01, MAX_ANGLE),
        ("range", sensor.range, 1.0, 2000.0),
    ]
