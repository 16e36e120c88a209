"""PUBLISH packets of MQTT 3.1.1 and 5, as bytes: what a node sends and gets thousands of in a second, where the client
library takes longer over each than the node over its content. Every other packet is left to the library.

MQTT Version 5.0, OASIS Standard, 2.1 (fixed header), 3.3 (PUBLISH); a packet of 3.1.1 is the same without properties.
"""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

PUBLISH, RETAIN = 0x30, 0x01
TYPE_AND_QOS = 0xF6  # of a packet's first byte: of a PUBLISH, neither "sent again" nor "retained"
MESSAGE_EXPIRY = 0x02  # identifier of the property
PROPERTIES_VERSION = 5  # of MQTT, from which on a PUBLISH has properties
MAX_LENGTH_BYTES = 4  # of a packet's length
_LENGTH_OF_TEXT = Struct(">H")
_EXPIRY = Struct(">BBI")  # length of the properties, identifier, s


class PacketError(ValueError):
    """What came is no MQTT."""


class Packet(NamedTuple):
    """A packet without its length."""

    first_byte: int
    body: bytes


def publish_packet(topic: str, payload: bytes, *, retain: bool, expiry: int | None, version: int) -> bytes:
    """Return a PUBLISH at QoS 0; `expiry` (s), which MQTT 3.1.1 does not have, is left out there."""
    name = topic.encode()
    if version < PROPERTIES_VERSION:
        properties = b""
    elif expiry is None:
        properties = b"\0"
    else:
        properties = _EXPIRY.pack(_EXPIRY.size - 1, MESSAGE_EXPIRY, expiry)
    length = _LENGTH_OF_TEXT.size + len(name) + len(properties) + len(payload)
    head = bytes((PUBLISH | RETAIN if retain else PUBLISH,)) + variable_length(length) + _LENGTH_OF_TEXT.pack(len(name))
    return b"".join((head, name, properties, payload))


def variable_length(length: int) -> bytes:
    """Return a length as MQTT writes it: seven bits a byte, the lowest first, the highest bit of each but the last
    set."""
    written = bytearray()
    while length > 0x7F:
        written.append(length & 0x7F | 0x80)
        length >>= 7
    written.append(length)
    return bytes(written)


def read_variable_length(data: bytes, start: int) -> tuple[int, int] | None:
    """Return the length written from `start` on and where it ends; None where `data` ends before it. Raises
    PacketError."""
    length = 0
    for index in range(MAX_LENGTH_BYTES):
        if start + index >= len(data):
            return None
        byte = data[start + index]
        length |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return length, start + index + 1
    raise PacketError(f"a length of more than {MAX_LENGTH_BYTES} bytes")


class PacketReader:
    """Cuts a stream of bytes into packets."""

    def __init__(self) -> None:
        self._rest = b""  # the beginning of a packet whose end has not come

    def read(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that are whole with `data`. Raises PacketError."""
        if self._rest:
            data = self._rest + data
        start = 0
        while (length := read_variable_length(data, start + 1)) is not None:
            body = length[1]
            end = body + length[0]
            if end > len(data):
                break
            yield Packet(data[start], data[body:end])
            start = end
        self._rest = data[start:]


def message_of(packet: Packet, version: int) -> tuple[str, bytes] | None:
    """Return the topic and the payload of a PUBLISH at QoS 0; None for any other packet, and for one that the library
    is to judge: without a topic, or not well-formed."""
    if packet.first_byte & TYPE_AND_QOS != PUBLISH or len(packet.body) < _LENGTH_OF_TEXT.size:
        return None
    topic_end = _LENGTH_OF_TEXT.size + _LENGTH_OF_TEXT.unpack_from(packet.body)[0]
    payload = topic_end
    if version >= PROPERTIES_VERSION:
        properties = read_variable_length(packet.body, topic_end)
        if properties is None:
            return None
        payload = properties[0] + properties[1]
    if topic_end == _LENGTH_OF_TEXT.size or payload > len(packet.body):
        return None
    try:
        topic = packet.body[_LENGTH_OF_TEXT.size : topic_end].decode()
    except UnicodeDecodeError:
        return None
    return topic, packet.body[payload:]
