"""City codes: `UST1.<adm>.<type>.<grid>.<serial>[.<sub>]` and a check character at the end.

`adm` is the administrative code (GB/T 2260 six digits, or nine with the township), `grid` the BeiDou grid code of the
place at first registration. A city code carries no meaning after it was issued: it is never changed when the thing
moves, and never issued again."""

from typing import NamedTuple

from ..errors import CloudctlError
from .grid import GridError, grid_decode, grid_encode

__all__ = [
    "TYPES",
    "CityCode",
    "CityCodeError",
    "check",
    "check_character",
    "grid_encode",
    "make",
    "parse_code",
    "sub_code",
]

MAX_SERIAL = 9999  # four digits
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TYPES = {
    "IX": "node",
    "LK": "link",
    "RS": "road segment",
    "DV": "device",
    "SG": "sign",
    "ZN": "zone",
    "EV": "event",
    "RU": "rule",
    "VS": "stop or stand",
}


class CityCodeError(CloudctlError, ValueError):
    """A city code that is not well formed; the text names the part and the rule."""


class CityCode(NamedTuple):
    """The parts of a city code."""

    adm: str
    kind: str
    grid: str
    serial: int
    sub: str


def check_character(text: str) -> str:
    """Return the ISO 7064 Mod 37,36 check character over the letters and digits of `text`; other characters do not
    count."""
    remainder = 36
    for character in text:
        if character in ALPHABET:
            remainder = 2 * ((remainder + ALPHABET.index(character)) % 36 or 36) % 37

    return ALPHABET[(37 - remainder) % 36]


def make(adm: str, kind: str, grid: str, serial: int, sub: str = "") -> str:
    """Return a city code with its check character. Raises CityCodeError."""
    if not (adm.isdecimal() and adm.isascii() and len(adm) in (6, 9)):
        raise CityCodeError(f"administrative code {adm!r} must be 6 or 9 digits (GB/T 2260)")
    if kind not in TYPES:
        raise CityCodeError(f"type {kind!r} must be one of {', '.join(TYPES)}")

    try:
        grid_decode(grid)
    except GridError as error:
        raise CityCodeError(str(error)) from None

    if not 0 <= serial <= MAX_SERIAL:
        raise CityCodeError(f"serial {serial} must be 0 .. {MAX_SERIAL}")
    if sub and not (sub.isascii() and sub.isalnum() and sub.upper() == sub and len(sub) <= 12):
        raise CityCodeError(f"part {sub!r} must be up to 12 capital letters and digits")

    text = f"UST1.{adm}.{kind}.{grid}.{serial:04d}" + (f".{sub}" if sub else "")
    return text + check_character(text)


def parse_code(code: str) -> CityCode:
    """Return the parts of a whole city code. Raises CityCodeError, also for a wrong check character."""
    parts = code.split(".")
    if len(parts) not in (5, 6) or parts[0] != "UST1" or len(parts[-1]) < 2:
        raise CityCodeError(
            f"{code!r} is not a city code: UST1.<adm>.<type>.<grid>.<serial>[.<part>] and a check character"
        )

    without_check = [*parts[:-1], parts[-1][:-1]]
    if not (len(without_check[4]) == 4 and without_check[4].isdecimal()):
        raise CityCodeError(f"{code!r}: the serial must be 4 digits")

    parsed = CityCode(
        adm=without_check[1],
        kind=without_check[2],
        grid=without_check[3],
        serial=int(without_check[4]),
        sub=without_check[5] if len(without_check) == 6 else "",
    )

    correct_code = make(*parsed)
    if correct_code != code:
        raise CityCodeError(f"{code!r}: the check character must be {correct_code[-1]}: the code was mistyped")

    return parsed


def check(code: str) -> None:
    """Raise CityCodeError unless `code` is a whole city code with the right check character."""
    parse_code(code)


def sub_code(code: str, sub: str) -> str:
    """Return the city code of a part (`L7`, `G3`) of what `code` names. Raises CityCodeError."""
    owner = parse_code(code)
    return make(owner.adm, owner.kind, owner.grid, owner.serial, sub)
