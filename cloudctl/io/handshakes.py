"""Why a CURVE handshake fails, as far as each end can know it.

ZeroMQ tells a gateway the cause in one case only: the node does not know its key. A node that cannot read what was
encrypted for another node's key just closes, and so does one that speaks in clear, mostly before the gateway has seen
that it does. What the node speaks stands in the greeting that every ZMTP connection begins with (RFC 23), so a gateway
whose handshake was broken off asks for that once more, on a connection of its own. No clock has a part in any of it:
CURVE keys do not expire.
"""

import socket
from enum import StrEnum
from typing import NamedTuple

from .addresses import bare

GREETING_LENGTH = 64  # bytes: signature 10, version 2, mechanism 20, as-server 1, filler 31
MECHANISM = slice(12, 32)
SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
# The beginning of a greeting of version 3: the other end sends the whole of its own then, while one that has got the
# whole of ours may close first, where it speaks something else.
OPENING = SIGNATURE + b"\x03"
MAX_WAIT = 0.3  # s for a greeting: the gateway sends nothing meanwhile


class Mechanism(StrEnum):
    """What encrypts a connection."""

    CURVE = "CURVE"
    NULL = "NULL"  # nothing


class Refusal(StrEnum):
    """Why there is no connection."""

    UNKNOWN_KEY = "unknown_key"  # the node does not have this gateway's key in its list
    WRONG_NODE_KEY = "wrong_node_key"  # what this gateway encrypts is for another node
    GATEWAY_IN_CLEAR = "gateway_in_clear"  # the node asks for CURVE, the gateway has no keys
    NODE_IN_CLEAR = "node_in_clear"  # the gateway asks for CURVE, the node has it off


class RefusalText(NamedTuple):
    """What a gateway's engineer is to read. `field`: of the gateway's settings."""

    field: str
    rule: str
    remedy: str


TEXTS = {
    Refusal.UNKNOWN_KEY: RefusalText(
        field="key",
        rule="the node does not know this key",
        remedy="Have its operator add this public key under [[gateway]], and reload",
    ),
    Refusal.WRONG_NODE_KEY: RefusalText(
        field="node_key",
        rule="the node at this address cannot read what is encrypted for this key: it has another one",
        remedy="Take node_key from that node's .pub file (cloudctl init: keys/node.pub), and check the address",
    ),
    Refusal.GATEWAY_IN_CLEAR: RefusalText(
        field="key",
        rule="the node takes encrypted connections only (CURVE), and this gateway has no keys",
        remedy="Name key and node_key: Gateway.from_folder with the folder of cloudctl keys gateway",
    ),
    Refusal.NODE_IN_CLEAR: RefusalText(
        field="node_key",
        rule="this gateway asks for an encrypted connection (CURVE), and the node speaks in clear",
        remedy="Have its operator take out [node] curve = false; on a closed test bench, leave out key and node_key",
    ),
}


def refusal_of(mechanism: Mechanism | None, has_keys: bool) -> Refusal | None:
    """Return why a peer of a mechanism (None: it does not answer, or is no node) breaks a handshake off without a word;
    None where the keys are not the reason. `has_keys`: whether this end asks for CURVE."""
    if mechanism is Mechanism.CURVE:
        return Refusal.WRONG_NODE_KEY if has_keys else Refusal.GATEWAY_IN_CLEAR
    if mechanism is Mechanism.NULL and has_keys:
        return Refusal.NODE_IN_CLEAR
    return None


def mechanism_of(address: str, timeout: float = MAX_WAIT) -> Mechanism | None:
    """Return what a node at "tcp://host:port" speaks, by its greeting; None where nothing answers in `timeout` s, or
    what answers is no node."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        with socket.create_connection((bare(host), int(port)), timeout) as peer:
            peer.sendall(OPENING)
            greeting = b""
            while len(greeting) < GREETING_LENGTH and (part := peer.recv(GREETING_LENGTH - len(greeting))):
                greeting += part
    except (OSError, ValueError, UnicodeError):
        return None

    if len(greeting) < GREETING_LENGTH or greeting[0] != SIGNATURE[0] or greeting[9] & 1 == 0:
        return None

    name = greeting[MECHANISM].rstrip(b"\0")
    return next((mechanism for mechanism in Mechanism if mechanism.encode() == name), None)
