"""What is stored in etcd, by key below the prefix:

n/<node>          a node that runs: `NodeRecord`; ends with the node's lease
o/<intersection>  the name of the node that owns it; ends with that node's lease. Its revision is the epoch
m/<intersection>  a move that is under way: `MoveRecord`; ends with the lease of the node that wrote it last
p/<intersection>  the node that an operator wants it on
d/<node>          a node that an operator wants to own nothing
i/<intersection>  an intersection that was added while the city runs: `AddedRecord`
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from .added import AddedRecord
from .etcd import Entry
from .rendezvous import ranking


class NodeRecord(Struct, frozen=True):
    """A node that runs."""

    address: str  # where gateways reach it
    key: str | None  # its public key, Z85
    lease: int
    version: str


class MoveRecord(Struct, frozen=True):
    """A move of an intersection. `ready`: the node it goes to serves it as a guest."""

    to: str
    ready: bool = False


@dataclass
class CityState:
    """What etcd holds, as far as it was read."""

    nodes: dict[str, NodeRecord] = field(default_factory=dict)
    owners: dict[str, Entry] = field(default_factory=dict)
    moves: dict[str, MoveRecord] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    drained: set[str] = field(default_factory=set)
    added: dict[str, AddedRecord] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Take in a key as it is now. A value that cannot be read counts as none: what others write ends no node."""
        branch, _, name = entry.key.partition("/")
        try:
            self._take(branch, name, entry)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._take(branch, name, entry._replace(value=None))

    def _take(self, branch: str, name: str, entry: Entry) -> None:
        value = entry.value
        if branch == "n":
            _set(self.nodes, name, None if value is None else msgspec.json.decode(value, type=NodeRecord))
        elif branch == "o":
            _set(self.owners, name, None if value is None else entry)
        elif branch == "m":
            _set(self.moves, name, None if value is None else msgspec.json.decode(value, type=MoveRecord))
        elif branch == "p":
            _set(self.pins, name, None if value is None else value.decode())
        elif branch == "i":
            _set(self.added, name, None if value is None else msgspec.json.decode(value, type=AddedRecord))
        elif branch == "d" and value is None:
            self.drained.discard(name)
        elif branch == "d":
            self.drained.add(name)

    def owner(self, intersection: str) -> str | None:
        """Return the name of the node that owns an intersection."""
        entry = self.owners.get(intersection)
        return None if entry is None or entry.value is None else entry.value.decode(errors="replace")

    def in_line(self, intersection: str) -> list[str]:
        """Return the nodes that may own an intersection, the one that is to own it first."""
        nodes = ranking(intersection, self._available())
        pinned = self.pins.get(intersection)
        if pinned in nodes:
            nodes.remove(pinned)
            nodes.insert(0, pinned)
        return nodes

    def _available(self) -> Iterable[str]:
        return [node for node in sorted(self.nodes) if node not in self.drained]


def _set(table: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value
