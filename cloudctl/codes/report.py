"""What an import dropped, guessed or repaired: the loss report every importer attaches to what it returns."""

from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from .model import IntersectionCode

Progress = Callable[[int, int], None]  # (codes made, codes in all)


class Loss(Struct, frozen=True, order=True, omit_defaults=True):
    """One kind of thing that is not as the source had it, `count` times. `what`: dropped, unknown (a value that is not understood),
    guessed, repaired, or differs (kept, but worth a look)."""

    what: str
    entity: str
    detail: str
    count: int = 1
    example: str = ""  # the first of them, as the file has it

    def __str__(self) -> str:
        line = f"{self.what}: {self.entity}: {self.detail}"
        if self.example:
            return f"{line} ({self.example})" if self.count == 1 else f"{line} ({self.count} times, first {self.example})"
        return line if self.count == 1 else f"{line} ({self.count} times)"


class Imported(list[IntersectionCode]):
    """The codes of one import, and its loss report, `losses`."""

    def __init__(self, codes: Iterable[IntersectionCode], source: str, losses: Iterable[Loss]) -> None:
        super().__init__(codes)
        self.source = source
        self.losses = tuple(sorted(set(losses)))

    def report(self) -> bytes:
        """Return the loss report as lines of JSON: the source and its codes, then one loss a line."""
        first = {"source": self.source, "codes": [code.id for code in self], "losses": len(self.losses)}
        return b"".join(msgspec.json.encode(row) + b"\n" for row in (first, *self.losses))
