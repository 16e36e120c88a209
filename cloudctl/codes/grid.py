"""BeiDou grid location codes, GB/T 39409-2020, levels 1 to 10, all four hemispheres, in whole numbers.

Datum CGCS2000, latitudes within 88 degrees. A unit is 1/2048 arc second, the side of a level-10 cell. West and south of
zero the grid is mirrored: cells count away from the equator and the prime meridian."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor

from ..errors import CloudctlError

UNITS_PER_DEGREE = 3600 * 2048  # units a degree
DIGITS = "0123456789ABCDE"
# Splits of a cell into (columns, rows) at levels 2 to 10, and how a part is written: two digits, or one of 2 x row +
# column.
SPLITS = ((12, 8, 2), (2, 3, 1), (15, 10, 2), (15, 15, 2), (2, 2, 1), (8, 8, 2), (8, 8, 2), (8, 8, 2), (8, 8, 2))
LENGTHS = (4, 6, 7, 9, 11, 12, 14, 16, 18, 20)
WIDTHS, HEIGHTS = [6 * UNITS_PER_DEGREE], [4 * UNITS_PER_DEGREE]  # of a cell, by level
for _columns, _rows, _ in SPLITS:
    WIDTHS.append(WIDTHS[-1] // _columns)
    HEIGHTS.append(HEIGHTS[-1] // _rows)
MAX_COVER_CELLS = 100_000  # cells that `cover` looks at


class GridError(CloudctlError, ValueError):
    """A place or code the grid cannot hold; the text names the rule."""


def grid_encode(lat_e7: int, lon_e7: int, level: int = 7) -> str:
    """Return the code of a point given in 1e-7 degree. Raises GridError."""
    return encode_exact(Fraction(lat_e7, 10**7), Fraction(lon_e7, 10**7), level)


def encode_exact(lat: Fraction, lon: Fraction, level: int) -> str:
    """Return the code of a point in exact degrees. Raises GridError."""
    if not (abs(lat) < 88 and abs(lon) <= 180 and 1 <= level <= 10):
        raise GridError(
            f"({float(lat)}, {float(lon)}) level {level}: latitude must be within 88 degrees, longitude within "
            "180, level 1 to 10"
        )

    return _encode(
        floor(abs(lat) * UNITS_PER_DEGREE),
        min(floor(abs(lon) * UNITS_PER_DEGREE), 180 * UNITS_PER_DEGREE - 1),
        lat >= 0,
        lon >= 0,
        level,
    )


def _encode(y: int, x: int, north: bool, east: bool, level: int) -> str:
    column, x = divmod(x, WIDTHS[0])
    row, y = divmod(y, HEIGHTS[0])
    code = f"{'N' if north else 'S'}{31 + column if east else 30 - column:02d}{chr(ord('A') + row)}"

    for depth, (_, _, digits) in enumerate(SPLITS[: level - 1], 1):
        column, x = divmod(x, WIDTHS[depth])
        row, y = divmod(y, HEIGHTS[depth])
        code += DIGITS[column] + DIGITS[row] if digits == 2 else str(2 * row + column)

    return code


def _decode(code: str) -> tuple[int, int, bool, bool, int]:
    """Return (y, x, north, east, level): the corner nearest to zero, in units."""
    if (
        len(code) not in LENGTHS
        or code[0] not in "NS"
        or not code[1:3].isdecimal()
        or not 1 <= int(code[1:3]) <= 60
        or not "A" <= code[3] <= "V"
    ):
        raise GridError(
            f"{code!r} is not a BeiDou grid code: N or S, zone 01 to 60, letter A to V, then the parts of its level"
        )

    # Zones are numbered from 180 W as those of UTM: 31 is the first east of Greenwich
    zone, east = int(code[1:3]), int(code[1:3]) >= 31
    x, y, position = (zone - 31 if east else 30 - zone) * WIDTHS[0], (ord(code[3]) - ord("A")) * HEIGHTS[0], 4

    level = LENGTHS.index(len(code)) + 1
    for depth, (columns, rows, digits) in enumerate(SPLITS[: level - 1], 1):
        written = code[position : position + digits]
        position += digits
        digit_values = [DIGITS.find(character) for character in written]
        column, row = digit_values if digits == 2 else (digit_values[0] % 2, digit_values[0] // 2)

        if min(digit_values) < 0 or column >= columns or row >= rows:
            raise GridError(f"{code!r}: {written!r} is not a part of level {depth + 1}")

        x, y = x + column * WIDTHS[depth], y + row * HEIGHTS[depth]

    return y, x, code[0] == "N", east, level


def grid_decode(code: str) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Return (south, west, north, east) of a cell in exact degrees. Raises GridError."""
    y, x, is_north, is_east, level = _decode(code)
    lat = Fraction(y, UNITS_PER_DEGREE), Fraction(y + HEIGHTS[level - 1], UNITS_PER_DEGREE)
    lon = Fraction(x, UNITS_PER_DEGREE), Fraction(x + WIDTHS[level - 1], UNITS_PER_DEGREE)
    south, north_edge = lat if is_north else (-lat[1], -lat[0])
    west, east_edge = lon if is_east else (-lon[1], -lon[0])

    return south, west, north_edge, east_edge


def grid_level(code: str) -> int:
    """Return the level of a code, 1 to 10. Raises GridError."""
    return _decode(code)[4]


def neighbours(code: str) -> list[str]:
    """Return the cells around a cell (8; fewer at latitude 88), from the south-west, rows northward. Raises
    GridError."""
    level = grid_level(code)
    south, west, _, _ = grid_decode(code)
    height, width = Fraction(HEIGHTS[level - 1], UNITS_PER_DEGREE), Fraction(WIDTHS[level - 1], UNITS_PER_DEGREE)
    cells = []

    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            lat = south + height * row + height / 2
            lon = (west + width * column + width / 2 + 180) % 360 - 180
            if (row or column) and abs(lat) < 88:
                cells.append(encode_exact(lat, lon, level))

    return cells


def cover(polygon: Sequence[tuple[int, int]], level: int) -> list[str]:
    """Return the cells that a polygon of (lat_e7, lon_e7) touches, from the south-west. Raises GridError when they are
    too many."""
    latitudes, longitudes = [point[0] for point in polygon], [point[1] for point in polygon]
    height, width = (
        Fraction(HEIGHTS[level - 1] * 10**7, UNITS_PER_DEGREE),
        Fraction(WIDTHS[level - 1] * 10**7, UNITS_PER_DEGREE),
    )

    rows, columns = (
        range(floor(min(latitudes) / height), ceil((max(latitudes) + 1) / height)),
        range(floor(min(longitudes) / width), ceil((max(longitudes) + 1) / width)),
    )

    if len(rows) * len(columns) > MAX_COVER_CELLS:
        raise GridError(
            f"level {level} cuts the polygon's surroundings into {len(rows) * len(columns)} cells: take a coarser level"
        )

    return list(
        _touched(polygon=polygon, level=level, rows=rows, columns=columns, height=float(height), width=float(width))
    )


def _touched(
    polygon: Sequence[tuple[int, int]], level: int, rows: range, columns: range, height: float, width: float
) -> Iterator[str]:
    for row in rows:
        for column in columns:
            y, x = row * height, column * width
            if _touches(polygon, y, x, y + height, x + width):
                yield encode_exact(Fraction(round(y + height / 2), 10**7), Fraction(round(x + width / 2), 10**7), level)


def _touches(polygon: Sequence[tuple[int, int]], south: float, west: float, north: float, east: float) -> bool:
    inside = False
    for index, (y1, x1) in enumerate(polygon):
        y0, x0 = polygon[index - 1]
        if _clips(y0=y0, x0=x0, y1=y1, x1=x1, south=south, west=west, north=north, east=east):
            return True
        if (y0 > south) != (y1 > south) and west < x0 + (south - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside

    return inside


def _clips(y0: float, x0: float, y1: float, x1: float, south: float, west: float, north: float, east: float) -> bool:
    """Return whether a segment touches a cell: Liang and Barsky's clipping."""
    entry, exit_ = 0.0, 1.0
    for start, step, lower, upper in ((x0, x1 - x0, west, east), (y0, y1 - y0, south, north)):
        if step == 0:
            if not lower <= start <= upper:
                return False
            continue
        first, last = sorted(((lower - start) / step, (upper - start) / step))
        entry, exit_ = max(entry, first), min(exit_, last)

    return entry <= exit_
