"""What an import dropped, guessed or repaired: the loss report every importer attaches to what it returns."""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from .citycode import MAX_SERIAL, make, parse_code
from .findings import refuse
from .model import IntersectionCode


class Loss(Struct, frozen=True, order=True):
    """One thing that is not as the source had it. `what`: dropped, guessed, repaired, or differs (kept, but worth a look)."""

    what: str
    entity: str
    detail: str

    def __str__(self) -> str:
        return f"{self.what}: {self.entity}: {self.detail}"


class Imported(list[IntersectionCode]):
    """The codes of one import, and its loss report, `losses`."""

    def __init__(self, codes: Iterable[IntersectionCode], source: str, losses: Iterable[Loss]) -> None:
        super().__init__(_distinct(codes))
        self.source = source
        self.losses = tuple(sorted(set(losses)))

    def report(self) -> bytes:
        """Return the loss report as lines of JSON: the source and its codes, then one loss a line."""
        first = {"source": self.source, "codes": [code.id for code in self], "losses": len(self.losses)}
        return b"".join(msgspec.json.encode(row) + b"\n" for row in (first, *self.losses))


def _distinct(codes: Iterable[IntersectionCode]) -> Iterator[IntersectionCode]:
    """Yield codes, each with a city code of its own: of two in one cell of the grid the later takes the next free serial."""
    listed = list(codes)
    taken = {code.id for code in listed}
    seen: set[str] = set()
    for code in listed:
        if code.id in seen:
            parts = parse_code(code.id)
            free = (make(parts.adm, parts.kind, parts.grid, k, parts.sub) for k in range(parts.serial + 1, MAX_SERIAL + 1))
            name = next((name for name in free if name not in taken), None)
            if name is None:
                raise refuse(code.id, "code", "id", code.id, "the serials of its cell are used up", "give an administrative code of its own with --adm")
            code = replace(code, id=name)
            taken.add(name)
        seen.add(code.id)
        yield code
