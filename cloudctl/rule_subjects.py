"""A connected vehicle as the rules of a digital code ask of it: from its state, the same object for the same figures."""

from functools import lru_cache

from .codes.rules import MAX_SIZES_OF_CLASS, Vehicle
from .schema import CAR_WIDTH, VehicleState

NAN = float("nan")


def vehicle_of(state: VehicleState) -> Vehicle:
    """Return a connected vehicle as rules ask of it."""
    width = (
        state.width if state.width != CAR_WIDTH or state.kind in MAX_SIZES_OF_CLASS else None
    )  # the default of a large vehicle's state is no width of it
    return _vehicle(
        state.kind,
        state.automated,
        state.height,
        width,
        state.mass,
        state.axle_load,
        state.emission_stage,
        state.plate_digit,
        state.fuel,
        state.dangerous_goods,
    )


@lru_cache(maxsize=65_536)
def _vehicle(
    kind: str, automated: bool, height: float | None, width: float | None, mass: float | None, axle: float | None, stage: int | None, plate: int | None,
    fuel: str | None, dangerous_goods: bool | None,
) -> Vehicle:  # fmt: skip
    """Return a vehicle; the same object for the same figures, which makes it a key that compares quickly."""
    height, width, mass, axle = (NAN if size is None else size for size in (height, width, mass, axle))
    return Vehicle(
        kind,
        automated,
        height,
        width,
        mass,
        axle,
        stage or 0,
        -1 if plate is None else plate,
        fuel or "",
        dangerous_goods,
    )
