"""An intersection that was added to a running city."""

from msgspec import Struct


class AddedRecord(Struct, frozen=True):
    """An intersection that was added while the city runs; its code is retained on MQTT."""

    revision: int
    hash: str  # of its digital code
    place: tuple[float, float]  # degrees (lat, lon)
    gateways: dict[str, dict[str, str]] = {}  # gateway -> roadside unit -> intersection
    keys: dict[str, str] = {}  # public key of each gateway
