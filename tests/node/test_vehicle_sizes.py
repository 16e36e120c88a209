"""The size that a vehicle sends, held against its class."""

import msgspec
import pytest
from messages_to_an_engine import T

from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.schema import RawMessage, VehicleState


@pytest.mark.parametrize(
    ("kind", "size", "field"),
    [
        ("car", {"length": 48.0}, "length"),
        ("car", {"length": 1.8, "width": 4.6}, "width"),
        ("taxi", {"length": 21.0}, "length"),
        ("bicycle", {"length": 18.0}, "length"),
        ("pedestrian", {"length": 4.5}, "length"),
        ("bus", {"length": 48.0}, "length"),
        ("truck", {"length": 48.0}, ""),
        ("tram", {"length": 55.0}, ""),
        ("car", {"length": 18.7}, ""),
        ("bus", {"length": 25.0}, ""),
        ("road train", {"length": 48.0}, ""),
        ("truck", {"length": 61.0}, "length"),
    ],
)
def test_a_size_that_no_vehicle_of_its_class_has_is_refused(
    code: CompiledCode, engine: Engine, kind: str, size: dict[str, float], field: str
) -> None:
    state = VehicleState(T, code.origin.lat, code.origin.lon, 9.0, 0.0, kind=kind, **size)
    out = engine.step(T, [RawMessage("state", "car", msgspec.json.encode(state))])
    assert [reject.field for _, reject in out.rejects] == ([field] if field else [])
