"""Which intersections a node owns, and which node owns one that it does not.

A node acts only on what it owns. Every ownership has an epoch: that of a later owner of an intersection is higher, so
that a vehicle can refuse what an earlier one still sends.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

from .added import AddedRecord

SAME_HOST = "*"  # as the host of an address: the host that a message came from


class Owner(NamedTuple):
    """The node that owns an intersection."""

    node: str
    address: str  # where gateways reach it; "tcp://*:PORT": on the host that they use already
    key: str | None  # its public key, Z85; None: the same as that of every node here
    epoch: int


class Ownership(ABC):
    """What one node owns. `is_shared`: whether other nodes own what this one does not."""

    is_shared = True

    @abstractmethod
    def start(self, on_change: Callable[[], object]) -> None:
        """Begin. `on_change` is called, from any thread, when `owned` has changed."""

    def know(self, intersection: str) -> None:  # noqa: B027  a node that is alone needs none of these
        """Take in an intersection of which this node has a digital code, so that it can own it."""

    def forget(self, intersection: str) -> None:  # noqa: B027
        """Take in that this node has no digital code of an intersection any more."""

    @abstractmethod
    def owned(self) -> Mapping[str, int]:
        """Return the epoch of each intersection that this node owns now, in a fixed order.

        It is empty from the moment on at which another node may own what this one did: ask before acting.
        """

    def guests(self) -> frozenset[str]:
        """Return the intersections that are about to be moved here."""
        return frozenset()

    @abstractmethod
    def owner(self, intersection: str) -> Owner | None:
        """Return the owner of an intersection, None where there is none, or none that is known."""

    def note(self, serving: Mapping[str, int | None]) -> None:  # noqa: B027
        """Take in what this node's engine serves now: the epoch of each intersection, None of a guest."""

    def added(self) -> Mapping[str, AddedRecord] | None:
        """Return the intersections that were added to the city while it runs; None where that is not known."""
        return None

    @property
    def trouble(self) -> str | None:
        """Return why the node may not own what it should, for the operator; None where nothing is in the way."""
        return None

    def successor(self, intersection: str) -> Owner | None:
        """Return the node that an intersection of this one is about to be moved to, None where it stays."""
        return None

    def stop(self) -> None:  # noqa: B027
        """Let go of everything, so that others can take it over at once."""
