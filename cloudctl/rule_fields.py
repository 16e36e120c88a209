"""What rules ask of a vehicle besides its class: fields of its state, each optional."""

from typing import Annotated

from msgspec import Meta, Struct


class Declared(Struct, frozen=True, kw_only=True):
    """What a vehicle declares of itself; None: not declared, and no rule that asks for it is decided."""

    height: float | None = None  # m
    mass: float | None = None  # t, as loaded now
    axle_load: float | None = None  # t, of the heaviest axle
    plate_digit: int | None = (
        None  # last digit of the number plate; of one that ends in a letter, the digit that the city counts it as
    )
    fuel: Annotated[str, Meta(max_length=64)] | None = (
        None  # petrol, diesel, gas, hybrid, plug_in_hybrid, electric, hydrogen
    )
    emission_stage: int | None = None  # China or Euro: 1 .. 7
    dangerous_goods: bool | None = None
