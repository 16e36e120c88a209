"""The messages of Foxglove's WebSocket protocol (`foxglove.websocket.v1`, and `foxglove.sdk.v1`, which is the same as
far as it is used here): JSON both ways, and binary frames of messages to the client.

https://github.com/foxglove/ws-protocol; tried against the server of foxglove-sdk 0.30.
"""

import struct
from typing import Any, Final

import msgspec
from msgspec import Struct

from ..io.recording.container import ChannelKind

SUBPROTOCOLS: Final = ("foxglove.sdk.v1", "foxglove.websocket.v1")
MESSAGE_HEAD: Final = struct.Struct("<BIQ")  # opcode, subscription, ns
MESSAGE_DATA: Final = 1
MAX_NUMBER: Final = 2**32 - 1  # of a subscription
INFORMATION, WARNING, ERROR = 0, 1, 2  # levels of a status

encode = msgspec.json.Encoder().encode


class Subscription(Struct, frozen=True):
    """A client wants a channel, under a number of its own."""

    id: int
    channel: int = msgspec.field(name="channelId")


class ClientMessage(Struct, frozen=True):
    """What a client sends; fields of other operations are passed over."""

    op: str
    subscriptions: tuple[Subscription, ...] = ()
    ended: tuple[int, ...] = msgspec.field(name="subscriptionIds", default=())


def server_info(session: str) -> bytes:
    """Return the first message to a client."""
    return encode(
        {"op": "serverInfo", "name": "cloudctl", "capabilities": [], "supportedEncodings": [], "metadata": {}}
        | {"sessionId": session}
    )


def advertise(channels: dict[int, ChannelKind]) -> bytes:
    """Return the message with new channels, by their numbers."""
    rows: list[dict[str, Any]] = []
    for number, kind in channels.items():
        row: dict[str, Any] = {"id": number, "topic": kind.topic, "encoding": kind.encoding}
        if kind.schema is not None:
            row |= {
                "schemaName": kind.schema.name,
                "schema": kind.schema.data.decode(),
                "schemaEncoding": kind.schema.encoding,
            }

        rows.append(row)

    return encode({"op": "advertise", "channels": rows})


def unadvertise(numbers: list[int]) -> bytes:
    """Return the message with the numbers of channels that are gone."""
    return encode({"op": "unadvertise", "channelIds": numbers})


def status(level: int, message: str) -> bytes:
    """Return a line that the client shows its user."""
    return encode({"op": "status", "level": level, "message": message})


def message_data(subscription: int, time_ns: int, data: bytes) -> bytes:
    """Return a message of a channel at `time_ns`, for one subscription."""
    return MESSAGE_HEAD.pack(MESSAGE_DATA, subscription, time_ns) + data
