"""What an import dropped, guessed or repaired: the loss report every importer attaches to what it returns."""

from collections.abc import Callable, Iterable

import msgspec

from .distinct import distinct_codes
from .findings import Loss
from .model import IntersectionCode

Progress = Callable[[int, int], None]  # (codes made, codes in all)


class Imported(list[IntersectionCode]):
    """The codes of one import, and its loss report, `losses`."""

    def __init__(self, codes: Iterable[IntersectionCode], source: str, losses: Iterable[Loss]) -> None:
        super().__init__(distinct_codes(codes))
        self.source = source
        self.losses = tuple(sorted(set(losses)))

    def report(self) -> bytes:
        """Return the loss report as lines of JSON: the source and its codes, then one loss a line."""
        first = {"source": self.source, "codes": [code.id for code in self], "losses": len(self.losses)}
        return b"".join(msgspec.json.encode(row) + b"\n" for row in (first, *self.losses))
