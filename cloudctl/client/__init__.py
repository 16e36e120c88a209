"""What users import: `Gateway` for roadside units, `Vehicle` for vehicles, and every message they send and get.

Names load on use, so that a gateway needs no MQTT.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..schema import (
    Ack,
    Advisory,
    AdvisoryKind,
    Broadcast,
    Group,
    Hazard,
    Health,
    ObjectClass,
    Priority,
    Reject,
    Sensor,
    SensorHealth,
    Signals,
    SignalState,
    VehicleRequest,
    VehicleState,
)
from ..traffic_messages import Traffic

if TYPE_CHECKING:
    from ..perception.uper import PerceptionModules as PerceptionModules
    from .gateway import Gateway as Gateway
    from .gateway import pack as pack
    from .vehicle import Vehicle as Vehicle

MODULES = {
    "Gateway": ".gateway",
    "PerceptionModules": "..perception.uper",
    "pack": ".gateway",
    "Vehicle": ".vehicle",
}

__all__ = [
    "Ack",
    "Advisory",
    "AdvisoryKind",
    "Broadcast",
    "Gateway",
    "Group",
    "Hazard",
    "Health",
    "ObjectClass",
    "PerceptionModules",
    "Priority",
    "Reject",
    "Sensor",
    "SensorHealth",
    "SignalState",
    "Signals",
    "Traffic",
    "Vehicle",
    "VehicleRequest",
    "VehicleState",
    "pack",
]


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return getattr(import_module(MODULES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
