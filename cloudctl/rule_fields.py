"""What rules ask of a vehicle besides its class: fields of its state, each optional."""

from typing import Annotated

from msgspec import Meta, Struct


class Declared(Struct, frozen=True, kw_only=True):
    """What a vehicle declares of itself. None: not declared; no rule that asks for it is decided."""

    height: float | None = None  # m
    mass: float | None = None  # t, as loaded now
    axle_load: float | None = None  # t, of the heaviest axle

    # last digit of the number plate; of a plate that ends in a letter, the digit that the city counts it as
    plate_digit: int | None = None

    # petrol, diesel, gas, hybrid, plug_in_hybrid, electric, hydrogen
    fuel: Annotated[str, Meta(max_length=64)] | None = None

    emission_stage: int | None = None  # China or Euro: 1 .. 7
    dangerous_goods: bool | None = None
