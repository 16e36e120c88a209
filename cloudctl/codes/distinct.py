"""City codes of one import: each code its own, though two intersections lie in one cell of the grid."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from .citycode import MAX_SERIAL, make, parse_code
from .findings import refuse
from .model import IntersectionCode


def distinct_codes(codes: Iterable[IntersectionCode]) -> Iterator[IntersectionCode]:
    """Yield codes, each with a city code of its own: of two with the same the later takes the next free serial. Raises
    CodeError."""
    all_codes = list(codes)
    taken = {code.id for code in all_codes}
    yielded: set[str] = set()

    for code in all_codes:
        if code.id in yielded:
            code = replace(code, id=_next_free_id(code.id, taken))
            taken.add(code.id)
        yielded.add(code.id)
        yield code


def _next_free_id(name: str, taken: set[str]) -> str:
    parts = parse_code(name)
    for serial in range(parts.serial + 1, MAX_SERIAL + 1):
        candidate = make(parts.adm, parts.kind, parts.grid, serial, parts.sub)
        if candidate not in taken:
            return candidate

    raise refuse(
        where=name,
        entity="code",
        field="id",
        value=name,
        rule="the serials of its cell are used up",
        remedy="give an administrative code of its own with --adm",
    )
