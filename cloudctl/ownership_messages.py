"""What nodes that share the intersections of a city say: to gateways, which node serves an intersection now; to
their own engines, what to serve from a step on."""

import msgspec
from msgspec import Struct

from .schema import Advisory, Int64, Text


class Moved(
    Struct,
    frozen=True,
    kw_only=True,
    rename={
        "version": "v",
        "intersection": "i",
        "rsu": "r",
        "address": "a",
        "node_key": "k",
        "epoch": "e",
        "also": "m",
        "kind": "kind",
        "sensor": "s",
        "seq": "q",
    },
):
    """Another node serves an intersection: the answer to a message that was not taken in, which is to be sent there.

    With `also`, messages of the intersection are to be sent to both from now on: it is about to be moved.
    """

    version: int
    intersection: str
    rsu: Text
    address: str | None  # None: no node serves it at present; "tcp://*:PORT": on the host that this message came from
    node_key: str | None = None  # public key of that node, Z85; None: the key of the node that this message came from
    epoch: Int64 = 0
    also: bool = False
    # The message that was not taken in.
    kind: str = ""
    sensor: str = ""
    seq: int | None = None


class AddIntersection(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An engine is to serve an intersection from this step on, or, where it serves it as a guest, as its owner."""

    intersection: str
    revisions: tuple[msgspec.Raw, ...]  # canonical JSON of its digital codes
    epoch: int = 0  # of every advisory that it sends
    advisories: tuple[Advisory, ...] = ()  # of the owner before it, that are still valid: they are not repeated
    guest: bool = False  # take messages in and plan, but send nothing: the intersection is about to be moved here


class DropIntersection(Struct, frozen=True):
    """An engine no longer serves an intersection."""

    intersection: str


class Neighbour(Struct, frozen=True, omit_defaults=True):
    """The digital code of an intersection of another node that vehicles of this one come to next; without a code, one
    that they come to no longer."""

    intersection: str
    codes: tuple[msgspec.Raw, ...] = ()  # canonical JSON of the revision in force
