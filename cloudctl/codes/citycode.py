"""City codes: `UST1.<adm>.<type>.<grid>.<serial>[.<sub>]` and a check character; the grid is the BeiDou location code.

BeiDou grid code: GB/T 39409-2020, datum CGCS2000, latitudes within 88 degrees. Check character: ISO 7064 Mod 37,36.
"""

from decimal import Decimal
from math import floor

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789ABCDE"
UNIT = 2048  # parts of an arc second: the size of a level-10 cell
# Splits of a cell into (columns, rows) at levels 2 to 10, and how the parts are written: two digits, or one of 2 x row + column.
SPLITS = ((12, 8, 2), (2, 3, 1), (15, 10, 2), (15, 15, 2), (2, 2, 1), (8, 8, 2), (8, 8, 2), (8, 8, 2), (8, 8, 2))
LENGTHS = (4, 6, 7, 9, 11, 12, 14, 16, 18, 20)
TYPES = ("IX", "LK", "RS", "DV", "SG", "ZN", "EV", "RU", "VS")


class CityCodeError(ValueError):
    """A code that is not well formed; the text names the part and the rule."""


def grid_encode(lat: Decimal | str | int | float, lon: Decimal | str | int | float, level: int = 7) -> str:
    """Return the BeiDou grid location code of a point (degrees; give Decimal or str for exactness at cell edges)."""
    latitude, longitude = Decimal(str(lat)), Decimal(str(lon))
    if not (abs(latitude) < 88 and abs(longitude) <= 180) or not 1 <= level <= 10:
        raise CityCodeError(
            f"({lat}, {lon}) level {level}: latitude must be within 88 degrees, longitude within 180, level 1 to 10"
        )
    y, x = floor(abs(latitude) * 3600 * UNIT), floor(abs(longitude) * 3600 * UNIT)
    width, height = 6 * 3600 * UNIT, 4 * 3600 * UNIT
    column, x = divmod(x, width)
    row, y = divmod(y, height)
    zone = 31 + column if longitude >= 0 else 30 - column
    code = f"{'N' if latitude >= 0 else 'S'}{min(max(zone, 1), 60):02d}{chr(ord('A') + row)}"
    for columns, rows, digits in SPLITS[: level - 1]:
        width, height = width // columns, height // rows
        column, x = divmod(x, width)
        row, y = divmod(y, height)
        code += DIGITS[column] + DIGITS[row] if digits == 2 else str(2 * row + column)
    return code


def grid_decode(code: str) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Return (south, west, north, east) of a cell in degrees. Raises CityCodeError."""
    if (
        len(code) not in LENGTHS
        or code[0] not in "NS"
        or not code[1:3].isdigit()
        or not 1 <= int(code[1:3]) <= 60
        or not "A" <= code[3] <= "V"
    ):
        raise CityCodeError(
            f"{code!r} is not a BeiDou grid code: N or S, zone 01-60, letter A-V, then the parts of its level"
        )
    zone, row = int(code[1:3]), ord(code[3]) - ord("A")
    east = zone >= 31
    width, height = 6 * 3600 * UNIT, 4 * 3600 * UNIT
    x, y = (zone - 31 if east else 30 - zone) * width, row * height
    at = 4
    for columns, rows, digits in SPLITS[: LENGTHS.index(len(code))]:
        width, height = width // columns, height // rows
        part = code[at : at + digits]
        at += digits
        try:
            column, row = (
                (DIGITS.index(part[0]), DIGITS.index(part[1])) if digits == 2 else (int(part) % 2, int(part) // 2)
            )
        except ValueError:
            column = columns
        if column >= columns or row >= rows:
            raise CityCodeError(f"{code!r}: {part!r} is not a part of its level")
        x, y = x + column * width, y + row * height
    scale = Decimal(3600 * UNIT)
    south, west = Decimal(y) / scale, Decimal(x) / scale
    north, right = Decimal(y + height) / scale, Decimal(x + width) / scale
    if code[0] == "S":
        south, north = -north, -south
    if not east:
        west, right = -right, -west
    return south, west, north, right


def check_character(text: str) -> str:
    """Return the ISO 7064 Mod 37,36 check character over the letters and digits of `text`."""
    p = 36
    for character in text:
        if character in ALPHABET:
            s = (p + ALPHABET.index(character)) % 36 or 36
            p = 2 * s % 37
    return ALPHABET[(37 - p) % 36]


def make(adm: str, kind: str, grid: str, serial: int) -> str:
    """Return a city code with its check character. Raises CityCodeError."""
    if not (adm.isdigit() and len(adm) in (6, 9)):
        raise CityCodeError(f"administrative code {adm!r} must be 6 or 9 digits (GB/T 2260)")
    if kind not in TYPES:
        raise CityCodeError(f"type {kind!r} must be one of {', '.join(TYPES)}")
    grid_decode(grid)
    if not 0 <= serial <= 9999:
        raise CityCodeError(f"serial {serial} must be 0 .. 9999")
    text = f"UST1.{adm}.{kind}.{grid}.{serial:04d}"
    return text + check_character(text)


def check(code: str) -> None:
    """Raise CityCodeError unless `code` is a whole city code with the right check character."""
    parts = code.split(".")
    if len(parts) < 5 or parts[0] != "UST1" or len(parts[4]) != 5:
        raise CityCodeError(f"{code!r} is not a city code: UST1.<adm>.<type>.<grid>.<serial + check character>")
    right = make(parts[1], parts[2], parts[3], int(parts[4][:4]) if parts[4][:4].isdigit() else -1)
    if ".".join(parts[:5]) != right:
        raise CityCodeError(f"{code!r}: the check character must be {right[-1]}; the code was mistyped")
