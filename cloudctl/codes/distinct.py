"""City codes of one import: each code its own, though two intersections lie in one cell of the grid."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from .citycode import MAX_SERIAL, make, parse_code
from .findings import refuse
from .model import IntersectionCode


def distinct(codes: Iterable[IntersectionCode]) -> Iterator[IntersectionCode]:
    """Yield codes, each with a city code of its own: of two with the same the later takes the next free serial. Raises CodeError."""
    listed = list(codes)
    taken = {code.id for code in listed}
    seen: set[str] = set()
    for code in listed:
        if code.id in seen:
            code = replace(code, id=_free(code.id, taken))
            taken.add(code.id)
        seen.add(code.id)
        yield code


def _free(name: str, taken: set[str]) -> str:
    parts = parse_code(name)
    for serial in range(parts.serial + 1, MAX_SERIAL + 1):
        other = make(parts.adm, parts.kind, parts.grid, serial, parts.sub)
        if other not in taken:
            return other
    raise refuse(
        name,
        "code",
        "id",
        name,
        "the serials of its cell are used up",
        "give an administrative code of its own with --adm",
    )
