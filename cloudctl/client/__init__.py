"""What users import: `Gateway` for roadside units, `Vehicle` for vehicles. Names load on use, so a gateway needs no MQTT."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gateway import Gateway as Gateway
    from .gateway import pack as pack
    from .vehicle import Vehicle as Vehicle

_HOME = {"Gateway": "gateway", "pack": "gateway", "Vehicle": "vehicle"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_HOME)}")
