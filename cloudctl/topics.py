"""The one table of kinds of message, which I/O, ingest and recordings read, and the names of the MQTT topics."""

from typing import Final, Literal, NamedTuple

from .clock import MS
from .ownership_messages import AddIntersection, DropIntersection, Moved, Neighbour
from .schema import (
    Ack,
    Advisory,
    Broadcast,
    Hazard,
    Health,
    Hello,
    Perception,
    Priority,
    Reject,
    Signal,
    Signals,
    Sync,
    VehicleRequest,
    VehicleState,
)


class Topic(NamedTuple):
    """One row of the table: the properties of a kind of message."""

    code: bytes  # the kind frame on ZeroMQ; b"" for MQTT
    body: type
    direction: Literal["in", "out", "both", "operator"]  # operator: from the node's own files, never from a socket
    hz: float  # nominal rate
    max_age: int  # ns; an older message is stale
    logged: bool  # whether it is recorded


TOPICS: Final[dict[str, Topic]] = {
    "hello": Topic(b"H", Hello, "in", 0.0, 0, True),
    "perception": Topic(b"P", Perception, "in", 10.0, 1000 * MS, True),
    "signal": Topic(b"S", Signal, "in", 10.0, 500 * MS, True),
    "hazard": Topic(b"Z", Hazard, "in", 1.0, 10_000 * MS, True),
    "health": Topic(b"L", Health, "in", 1.0, 10_000 * MS, True),
    "sync": Topic(b"Y", Sync, "both", 0.2, 0, True),
    "reject": Topic(b"R", Reject, "out", 0.0, 0, False),
    "broadcast": Topic(b"B", Broadcast, "out", 10.0, 0, False),
    "priority": Topic(b"Q", Priority, "out", 0.0, 0, False),
    "moved": Topic(b"M", Moved, "out", 0.0, 0, False),
    "state": Topic(b"", VehicleState, "in", 10.0, 1000 * MS, True),
    "requests": Topic(b"", VehicleRequest, "in", 0.0, 5000 * MS, True),
    "acks": Topic(b"", Ack, "in", 1.0, 10_000 * MS, True),
    "advisories": Topic(b"", Advisory, "out", 2.0, 0, True),
    "signals": Topic(b"", Signals, "out", 10.0, 0, False),
    "code": Topic(b"", bytes, "operator", 0.0, 0, True),  # canonical JSON of a digital code
    "config": Topic(b"", bytes, "operator", 0.0, 0, True),  # JSON of the engine's configuration
    "add": Topic(b"", AddIntersection, "operator", 0.0, 0, True),  # JSON
    "drop": Topic(b"", DropIntersection, "operator", 0.0, 0, True),  # JSON
    "neighbour": Topic(b"", Neighbour, "operator", 0.0, 0, True),  # JSON
    "neighbour_signals": Topic(b"", bytes, "operator", 10.0, 0, True),  # Signals as another node publishes them
}
OPERATOR: Final = "operator"  # the sender of what comes from the node's own files
OPERATOR_KINDS: Final = frozenset(kind for kind, topic in TOPICS.items() if topic.direction == "operator")
NEIGHBOUR_KINDS: Final = frozenset(("neighbour", "neighbour_signals"))  # of those, what comes from other nodes
MAX_VEHICLE_ID: Final = 64  # characters: what a certificate's common name may have (RFC 5280, ub-common-name)
KIND_OF_CODE: Final = {topic.code: kind for kind, topic in TOPICS.items() if topic.code}
KIND_OF_BODY: Final = {topic.body: kind for kind, topic in TOPICS.items()}
MAX_KIND: Final = 16  # characters of an unknown kind that are shown in its refusal


def gateway_kind(frame: bytes) -> str:
    """Return the kind of message of a gateway's kind frame; for an unknown frame, a name that no kind has."""
    known = KIND_OF_CODE.get(frame)
    if known is not None:
        return known
    name = frame[:MAX_KIND].decode("latin-1")
    return f"frame {name}" if name in TOPICS else name


def vehicle_kind(leaf: str) -> str:
    """Return the kind of message of the last level of a vehicle's topic; for another level, a name that no kind has."""
    topic = TOPICS.get(leaf)
    return leaf if topic is None or (topic.direction == "in" and not topic.code) else f"topic {leaf}"


class MqttTopics:
    """The MQTT topic names, version 1."""

    ROOT: Final = "cloudctl/v1"

    @classmethod
    def codes(cls, intersection: str) -> str:
        return f"{cls.ROOT}/codes/{intersection}"

    @classmethod
    def next_code(cls, intersection: str) -> str:
        return f"{cls.ROOT}/codes/{intersection}/next"

    @classmethod
    def calendar(cls, intersection: str) -> str:
        return f"{cls.ROOT}/codes/{intersection}/calendar"

    @classmethod
    def signals(cls, intersection: str) -> str:
        return f"{cls.ROOT}/signals/{intersection}"

    @classmethod
    def intersection(cls, intersection: str) -> str:
        return f"{cls.ROOT}/intersections/{intersection}/advisories"

    @classmethod
    def of_advisory(cls, advisory: Advisory) -> str:
        """Return the topic an advisory is published on."""
        addressee, _, name = advisory.target.partition(":")
        if addressee == "vehicle":
            return cls.vehicle(name, "advisories")
        return cls.intersection(advisory.intersection)

    @classmethod
    def copies(cls, intersection: str) -> str:
        """Return the topic on which nodes that share intersections copy to one another what they advise."""
        return f"{cls.ROOT}/copies/{intersection}"

    @classmethod
    def node_status(cls, node: str) -> str:
        """Return the topic on which a node of an edge reports its health and its faults to the region."""
        return f"{cls.ROOT}/nodes/{node}/status"

    @classmethod
    def echo(cls, client: str) -> str:
        """Return the topic on which a node sends messages to itself, to see whether they are passed on."""
        return f"{cls.ROOT}/echo/{client}"

    @classmethod
    def bridge(cls, edge: str) -> str:
        """Return the topic on which the broker of an edge says whether it is connected to the region's."""
        return f"{cls.ROOT}/bridges/{edge}"

    @classmethod
    def traffic(cls, intersection: str) -> str:
        return f"{cls.ROOT}/intersections/{intersection}/traffic"

    @classmethod
    def retained(cls, intersection: str) -> tuple[str, ...]:
        """Return every topic on which something of an intersection is retained."""
        return (
            cls.codes(intersection),
            cls.next_code(intersection),
            cls.calendar(intersection),
            cls.traffic(intersection),
        )

    @classmethod
    def tile_state(cls, tile: str, vehicle: str) -> str:
        """Return the topic of a vehicle's state while it is in a tile (`tiles`)."""
        return f"{cls.ROOT}/tiles/{tile}/vehicles/{vehicle}/state"

    @classmethod
    def vehicle(cls, vehicle: str, leaf: str) -> str:
        """Return the topic of one vehicle; `leaf` is advisories, rejects, state, requests, acks or hello."""
        return f"{cls.ROOT}/vehicles/{vehicle}/{leaf}"


def wrong_vehicle_id(vehicle: str) -> str | None:
    """Return the rule that a vehicle's id breaks; None for an id that can be a level of an MQTT topic, a client
    identifier and a certificate's name."""
    if not vehicle:
        return "is empty"
    if len(vehicle) > MAX_VEHICLE_ID:
        return f"has {len(vehicle)} characters; at most {MAX_VEHICLE_ID} are allowed"
    if any(character in "/+#" for character in vehicle):
        return "contains one of / + #, which divide and match topics"
    if vehicle.startswith("$"):
        return "begins with $, which brokers reserve"
    if not vehicle.isprintable():
        return "contains a character that cannot be printed"

    return None
