"""Rendezvous hashing (Thaler and Ravishankar 1998): which of several nodes is first in line for an intersection.

Each pair of node and intersection has a weight, and the node of the greatest weight is first. A node that joins or
leaves changes nothing between the others: it takes, or gives back, one intersection in N.
"""

from collections.abc import Iterable
from hashlib import blake2b


def ranking(intersection: str, nodes: Iterable[str]) -> list[str]:
    """Return the nodes in line for an intersection, the first one first."""
    return sorted(nodes, key=lambda node: (_weight(intersection, node), node), reverse=True)


def first_in_line(intersection: str, nodes: Iterable[str]) -> str | None:
    """Return the first node in line for an intersection, None where there is no node."""
    return max(nodes, key=lambda node: (_weight(intersection, node), node), default=None)


def _weight(intersection: str, node: str) -> int:
    # the same in every process and on every machine, unlike hash()
    return int.from_bytes(blake2b(f"{intersection}\n{node}".encode(), digest_size=8).digest())
