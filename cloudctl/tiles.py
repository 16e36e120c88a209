"""The tiles that vehicles publish their states under where several nodes share the intersections: cells of the BeiDou
grid, level 5, 4 by 4 arc seconds, some 95 by 123 m at 40 degrees. A node asks for those that its intersections touch.
"""

import msgspec
import numpy as np
from msgspec import Struct

from .codes import CompiledCode
from .codes.grid import GridError, cover, grid_encode
from .validation import UNDECODABLE

LEVEL = 5
E7 = 10**7  # units a degree
MAX_LATITUDE = 88.0  # degrees, of the grid


class _Position(Struct):
    lat: float
    lon: float


_decode = msgspec.json.Decoder(_Position).decode


def tile_of(lat: float, lon: float) -> str | None:
    """Return the tile of a position (degrees); None where the grid holds none."""
    if not (abs(lat) < MAX_LATITUDE and abs(lon) <= 180.0):
        return None
    try:
        return grid_encode(round(lat * E7), round(lon * E7), LEVEL)
    except GridError:  # it rounds to the edge
        return None


def tiles_of(code: CompiledCode) -> list[str]:
    """Return the tiles that an intersection touches."""
    west, south, east, north = code.bounds
    lat, lon = code.origin.to_geodetic(np.array([west, east, east, west]), np.array([south, south, north, north]))
    corners = [(round(float(y) * E7), round(float(x) * E7)) for y, x in zip(lat, lon, strict=True)]
    return cover(corners, LEVEL)


def is_in_tile(tile: str, state: bytes) -> bool:
    """Return whether a vehicle's state, as JSON, is of a position in the tile it was published under; True for what
    cannot be read: the engine refuses that with its reason."""
    try:
        position = _decode(state)
    except UNDECODABLE:
        return True
    return tile_of(position.lat, position.lon) == tile
