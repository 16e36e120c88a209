"""A J2735 MAP as bytes: bare, in a J2735 frame, or as a MAPEM."""

from typing import Any

from ...model import IntersectionCode
from ..messages.uper import encode, framed, write_pdu
from .export import MapWriter


def write_map(
    code: IntersectionCode,
    intersection: int,
    *,
    region: int | None = None,
    frame: bool = False,
    station: int | None = None,
) -> bytes:
    """Return a MAP in UPER: bare, in a J2735 frame, or as the MAPEM of a `station`. Raises CodeError naming field and
    limit.

    `intersection` and `region` are the registry's 16-bit numbers. `export.export_code` lists what of the code it
    does not carry."""
    return encode_map(
        map_tree(code, intersection, region, trajectories=station is not None), frame=frame, station=station
    )


def encode_map(tree: dict[str, Any], *, frame: bool = False, station: int | None = None) -> bytes:
    """Return the UPER bytes of a MapData value tree: bare, in a J2735 frame, or as the MAPEM of a `station`. Raises
    CodeError."""
    if station is not None:
        return write_pdu("MAPEM", tree, station)
    body = encode("MapData", tree)
    return framed("MapData", body) if frame else body


def map_tree(
    code: IntersectionCode, intersection: int, region: int | None = None, *, trajectories: bool = False
) -> dict[str, Any]:
    """Return the MapData value tree, with the paths of connections where `trajectories`. Raises CodeError."""
    return MapWriter(code, trajectories=trajectories).tree(intersection, region)
