"""The envelopes in which a recording keeps what was received, and whether one can be read.

A chunk whose CRC is right may still hold an envelope that is none: other writers leave CRCs out, and files are put
together by hand. Both readers ask here, so that whoever gets a message can read it.
"""

import msgspec
from mcap.records import Message

from ...schema import RawMessage

MAX_TIME = 2**62  # ns, exclusive: of a step; what comes from a clock is far below
MAX_SIZE = 1 << 28  # bytes of a body that was cut for its length: no socket takes in more


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """What was received; `size` and `unknown_kind` only where the body was cut, or its kind is no topic's name."""

    sender: str
    body: bytes
    size: int = 0  # bytes that it had
    unknown_kind: str | None = None


class MetaEntry(msgspec.Struct, array_like=True, frozen=True):
    """One entry of `meta`."""

    name: str
    data: bytes


_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
_decode_entry = msgspec.msgpack.Decoder(MetaEntry).decode


def raw_message_of(topic: str, data: bytes) -> RawMessage:
    """Return what was received, from a message on an `in/` topic: a body that was cut for its length gets it back, in
    zeros. Raises msgspec.DecodeError, ValueError."""
    envelope = _decode_envelope(data)
    if not 0 <= envelope.size <= MAX_SIZE:
        raise ValueError(f"a body of {envelope.size} bytes")
    kind = topic.removeprefix("in/") if envelope.unknown_kind is None else envelope.unknown_kind
    return RawMessage(kind, envelope.sender, envelope.body.ljust(envelope.size, b"\0"))


def meta_entry_of(data: bytes) -> tuple[str, bytes]:
    """Return name and contents of a message on `meta`. Raises msgspec.DecodeError."""
    entry = _decode_entry(data)
    return entry.name, entry.data


def unreadable(topic: str, message: Message) -> str | None:
    """Return why a message of a recording cannot be used, None where it can be."""
    if not 0 <= message.log_time < MAX_TIME:
        return f"a message on {topic} has a time that no clock shows ({message.log_time} ns)"

    try:
        if topic.startswith("in/"):
            raw_message_of(topic, message.data)
        elif topic == "meta":
            _decode_entry(message.data)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        return f"a message on {topic} cannot be read ({error})"

    return None
