"""A connected vehicle as the rules of a digital code ask of it: made from its state, the same object for the same
figures."""

from functools import lru_cache

from .codes.rules import MAX_SIZES_OF_CLASS, Vehicle
from .schema import CAR_WIDTH, VehicleState

NAN = float("nan")
MAX_REMEMBERED = 65_536  # vehicles, of some 200 bytes each


def vehicle_of(state: VehicleState) -> Vehicle:
    """Return a connected vehicle as rules ask of it. What it does not declare is not known: nan, 0, -1, "" or None."""
    # The default width of a state is a car's: of a large vehicle it is none.
    is_width_known = state.width != CAR_WIDTH or state.kind in MAX_SIZES_OF_CLASS
    return _vehicle(
        kind=state.kind,
        automated=state.automated,
        height=state.height,
        width=state.width if is_width_known else None,
        mass=state.mass,
        axle_load=state.axle_load,
        emission_stage=state.emission_stage,
        plate_digit=state.plate_digit,
        fuel=state.fuel,
        dangerous_goods=state.dangerous_goods,
    )


@lru_cache(maxsize=MAX_REMEMBERED)
def _vehicle(
    *,
    kind: str,
    automated: bool,
    height: float | None,
    width: float | None,
    mass: float | None,
    axle_load: float | None,
    emission_stage: int | None,
    plate_digit: int | None,
    fuel: str | None,
    dangerous_goods: bool | None,
) -> Vehicle:
    """Return a vehicle: the same object for the same figures, so that it is a key that compares quickly."""
    return Vehicle(
        kind,
        automated,
        _size(height),
        _size(width),
        _size(mass),
        _size(axle_load),
        emission_stage or 0,
        -1 if plate_digit is None else plate_digit,
        fuel or "",
        dangerous_goods,
    )


def _size(size: float | None) -> float:
    return NAN if size is None else size
