"""Ownership that never changes: one node alone, and the workers of one machine."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .ownership import SAME_HOST, Owner, Ownership
from .rendezvous import first_in_line


class Worker(NamedTuple):
    """One of `total` workers of a machine, numbered from 1. `port`: at which gateways reach the first one; each further
    one listens on the port after."""

    number: int
    total: int
    port: int

    @property
    def address(self) -> str:
        """Where gateways reach it, once they have reached any worker of the machine."""
        return f"tcp://{SAME_HOST}:{self.port + self.number - 1}"


class Alone(Ownership):
    """A node that owns every intersection it has a code of."""

    is_shared = False

    def __init__(self) -> None:
        self._owned: dict[str, int] = {}

    def know(self, intersection: str) -> None:
        self._owned[intersection] = 0

    def forget(self, intersection: str) -> None:
        self._owned.pop(intersection, None)

    def start(self, on_change: Callable[[], object]) -> None:
        """Nothing changes."""

    def owned(self) -> Mapping[str, int]:
        return self._owned

    def owner(self, intersection: str) -> Owner | None:
        return None


class FixedHash(Alone):
    """One worker of a machine: an intersection belongs to the first in line, whether it runs or not."""

    is_shared = True

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker
        self._names = [str(number) for number in range(1, worker.total + 1)]

    def know(self, intersection: str) -> None:
        if self._number_of(intersection) == self._worker.number:
            super().know(intersection)

    def owner(self, intersection: str) -> Owner | None:
        worker = self._worker._replace(number=self._number_of(intersection))
        return Owner(node=str(worker.number), address=worker.address, key=None, epoch=0)

    def _number_of(self, intersection: str) -> int:
        first = first_in_line(intersection, self._names)
        assert first is not None
        return int(first)
