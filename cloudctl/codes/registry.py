"""The registry of city codes: issues them, never one twice, and keeps what each stands for.

`Index` resolves codes and places to entities; both are built from digital codes and answer without touching them.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ..kernels import njit
from .citycode import CityCodeError, make, parse_code, sub_code
from .grid import grid_encode
from .model import IntersectionCode

CELL_E7 = 5000  # side of a cell of the index, 1e-7 degree: about 55 m of latitude
GRID_LEVELS = {"ZN": 5}  # of the grid in a code; 7 for all but zones
MAX_NUMBER = 65_535


class Issued(Struct, omit_defaults=True):
    """One issued code: when, where, what for, and when it was retired; of an imported one also from which map, its last
    content there, and the highest number given of each letter of its parts (L: lanes): they are as little given twice
    as the code."""

    code: str
    lat_e7: int
    lon_e7: int
    t: int
    note: str = ""
    retired: int | None = None
    source: str = ""
    digest: str = ""  # of the last import, before ids were carried over
    revision: int = 0  # the last one written
    highest: dict[str, int] = {}


class Registry:
    """Issues city codes and 16-bit numbers. A code that was issued is never issued again, retired or not."""

    def __init__(self) -> None:
        self._issued: dict[str, Issued] = {}
        self._last_serial: dict[tuple[str, str, str], int] = {}
        self._numbers: dict[int, dict[str, int]] = {}  # region -> code -> number

    def allocate(self, adm: str, kind: str, lat_e7: int, lon_e7: int, t: int, note: str = "") -> str:
        """Issue a code of `kind` for a place, at `t` ns. Raises CityCodeError when the cell's serials are used up."""
        cell = (adm, kind, grid_encode(lat_e7, lon_e7, GRID_LEVELS.get(kind, 7)))
        code = make(*cell, self._last_serial.get(cell, 0) + 1)
        self._last_serial[cell] = self._last_serial.get(cell, 0) + 1
        self._issued[code] = Issued(code=code, lat_e7=lat_e7, lon_e7=lon_e7, t=t, note=note)
        return code

    def adopt(self, code: str, lat_e7: int, lon_e7: int, t: int, note: str = "") -> None:
        """Enter a code that was issued elsewhere. Raises CityCodeError when it is malformed or known."""
        parts = parse_code(code)
        if code in self._issued:
            raise CityCodeError(f"{code} was issued already")

        cell = (parts.adm, parts.kind, parts.grid)
        self._last_serial[cell] = max(self._last_serial.get(cell, 0), parts.serial)
        self._issued[code] = Issued(code=code, lat_e7=lat_e7, lon_e7=lon_e7, t=t, note=note)

    def retire(self, code: str, t: int) -> None:
        """Mark a code as no longer in use; it stays issued. Raises KeyError for one that was not issued."""
        self._issued[code].retired = t

    def number(self, code: str, region: int) -> int:
        """Return the 16-bit number of an intersection within a region (MAP, SPAT), issued at the first asking, from 256
        (below: tests)."""
        numbers = self._numbers.setdefault(region, {})
        if code not in numbers:
            if len(numbers) + 256 > MAX_NUMBER:
                raise CityCodeError(f"region {region} has issued all its numbers: open another region")
            numbers[code] = len(numbers) + 256

        return numbers[code]

    def __getitem__(self, code: str) -> Issued:
        return self._issued[code]

    def get(self, code: str) -> Issued | None:
        """Return what is known of a code; None where it was not issued here."""
        return self._issued.get(code)

    def __contains__(self, code: object) -> bool:
        return code in self._issued

    def __iter__(self) -> Iterator[Issued]:
        return iter(self._issued.values())

    def __len__(self) -> int:
        return len(self._issued)

    def save(self, path: Path) -> None:
        """Write the registry, a line of JSON for each code and each region: the new file whole before the old one
        goes."""
        rows: list[Any] = list(self._issued.values())
        rows += [{"region": region, "numbers": numbers} for region, numbers in self._numbers.items()]
        new_file = path.with_suffix(path.suffix + ".new")
        new_file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        new_file.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Registry":
        """Read a registry. Raises CityCodeError for a malformed one, with the line."""
        registry = cls()
        lines = path.read_bytes().splitlines()

        number = 0
        try:
            for line in lines:
                number += 1
                row = msgspec.json.decode(line)
                if "region" in row:
                    registry._numbers[int(row["region"])] = msgspec.convert(row["numbers"], dict[str, int])
                    continue

                issued = msgspec.convert(row, Issued)
                registry.adopt(issued.code, issued.lat_e7, issued.lon_e7, issued.t, issued.note)
                registry._issued[issued.code] = issued
        except CityCodeError as error:
            raise CityCodeError(
                f"{path}, line {number}: {error}: keep the first of two lines, or restore the file from the last copy"
            ) from None
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CityCodeError(
                f"{path}, line {number}, is no line of a registry ({error}): restore it from the last copy"
            ) from None

        return registry


class Entity(NamedTuple):
    """What a city code stands for: the intersection, the kind of part (code, lane, connection, ...), and the part
    itself."""

    intersection: str
    kind: str
    item: Any


KIND_OF_TABLE = {
    "links": "link",
    "lanes": "lane",
    "connections": "connection",
    "signal_groups": "signal_group",
    "crosswalks": "crosswalk",
    "nodes": "node",
    "zones": "zone",
    "devices": "device",
    "rules": "rule",
}


class Index:
    """Resolves city codes and places. Lines are entered in every cell they run through."""

    def __init__(self, codes: Iterable[IntersectionCode]) -> None:
        self.entities: list[Entity] = []
        self.names: list[str] = []  # city code of each entity
        keys: list[NDArray[np.int64]] = []

        for code in codes:
            self._enter(code.id, Entity(code.id, "code", code), [(code.ref_lat_e7, code.ref_lon_e7)], keys)
            for field, kind in KIND_OF_TABLE.items():
                for entity in getattr(code, field):
                    name = sub_code(code.id, f"G{entity.id}" if kind == "signal_group" else entity.id)
                    self._enter(name, Entity(code.id, kind, entity), _points(entity), keys)

        self._by_code = dict(zip(self.names, range(len(self.names)), strict=True))
        cell_entity_pairs = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
        cells = cell_entity_pairs >> 24
        self._cells, first = np.unique(cells, return_index=True)
        self._start = np.append(first, len(cell_entity_pairs)).astype(np.int64)
        self._entity_index = (cell_entity_pairs & (2**24 - 1)).astype(np.int32)

    def _enter(self, name: str, entity: Entity, points: list[tuple[int, int]], keys: list[NDArray[np.int64]]) -> None:
        if points:
            keys.append(_cell_key(*_densified(np.array(points, np.int64))) << 24 | len(self.names))
        self.names.append(name)
        self.entities.append(entity)

    def __getitem__(self, code: str) -> Entity:
        """Return what a whole city code stands for. Raises KeyError."""
        return self.entities[self._by_code[code]]

    def near(
        self, lat_e7: NDArray[np.int64], lon_e7: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Return (first, last, entities) for many places at once: those in the cell of place k are
        entities[first[k]:last[k]]."""
        return (*_lookup(lat_e7, lon_e7, self._cells, self._start), self._entity_index)


def _points(entity: Any) -> list[tuple[int, int]]:
    for field in ("points", "axis", "polygon"):
        if getattr(entity, field, None):
            return list(getattr(entity, field))
    return [(entity.lat_e7, entity.lon_e7)] if hasattr(entity, "lat_e7") else []


def _densified(points: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the points of a line and enough between them to meet every cell it runs through (but for clipped
    corners)."""
    if len(points) < 2:
        return points[:, 0], points[:, 1]

    pieces = []
    for start, end in itertools.pairwise(points):
        steps = int(np.abs(end - start).max() // (CELL_E7 // 8)) + 1
        pieces.append(start + (end - start) * np.arange(steps)[:, None] // steps)

    line = np.concatenate([*pieces, points[-1:]])
    return line[:, 0], line[:, 1]


def _cell_key(lat: NDArray[np.int64], lon: NDArray[np.int64]) -> NDArray[np.int64]:
    return (lat + 900_000_000) // CELL_E7 << 20 | (lon + 1_800_000_000) // CELL_E7


@njit(cache=True)
def _lookup(lat: Any, lon: Any, cells: Any, start: Any) -> tuple[Any, Any]:
    first, last = np.zeros(len(lat), np.int64), np.zeros(len(lat), np.int64)
    for query in range(len(lat)):
        key = (lat[query] + 900_000_000) // CELL_E7 << 20 | (lon[query] + 1_800_000_000) // CELL_E7
        index = np.searchsorted(cells, key)
        if index < len(cells) and cells[index] == key:
            first[query], last[query] = start[index], start[index + 1]

    return first, last
