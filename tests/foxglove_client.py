"""A viewer that speaks Foxglove's WebSocket protocol, over the websockets library: what a stranger's would do."""

import asyncio
import json
import struct
from types import TracebackType
from typing import Any, NamedTuple

import websockets
from deadlines import PATIENCE
from foxglove_messages import check


class Received(NamedTuple):
    """One message of a channel, decoded by the schema that was advertised."""

    topic: str
    schema: str
    t: int
    value: Any


class FoxgloveClient:
    """Connects with one of the protocol's names; `channels` are those that were advertised, by topic."""

    def __init__(self, address: str, protocol: str = "foxglove.websocket.v1", **options: Any) -> None:
        self._connecting = websockets.connect(
            address, subprotocols=[websockets.Subprotocol(protocol)], max_size=None, **options
        )
        self.channels: dict[str, dict[str, Any]] = {}
        self.info: dict[str, Any] = {}
        self.statuses: list[dict[str, Any]] = []
        self._subscribed: dict[int, dict[str, Any]] = {}

    async def __aenter__(self) -> "FoxgloveClient":
        self.socket = await self._connecting
        while not (self.info and self.channels):
            await self.receive()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def ask(self, **request: Any) -> None:
        await self.socket.send(json.dumps(request))

    async def subscribe(self, *topics: str) -> None:
        """Subscribe to channels by their topics' last words."""
        wanted = [row for topic, row in self.channels.items() if topic.endswith(topics)]
        rows = []
        for row in wanted:
            number = len(self._subscribed) + 7
            self._subscribed[number] = row
            rows.append({"id": number, "channelId": row["id"]})
        await self.ask(op="subscribe", subscriptions=rows)

    async def unsubscribe(self) -> None:
        await self.ask(op="unsubscribe", subscriptionIds=list(self._subscribed))

    async def receive(self, seconds: float = PATIENCE) -> Received | None:
        """Return the next message of a channel; None for a control message, which is taken in."""
        data = await asyncio.wait_for(self.socket.recv(), seconds)
        if isinstance(data, bytes):
            opcode, number, t = struct.unpack_from("<BIQ", data)
            assert opcode == 1
            row = self._subscribed[number]
            schema = row["schema"].encode()
            return Received(row["topic"], row["schemaName"], t, check(row["schemaName"], schema, data[13:]))
        message = json.loads(data)
        if message["op"] == "serverInfo":
            self.info = message
        elif message["op"] == "advertise":
            self.channels |= {row["topic"]: row for row in message["channels"]}
        elif message["op"] == "unadvertise":
            gone = set(message["channelIds"])
            self.channels = {topic: row for topic, row in self.channels.items() if row["id"] not in gone}
        elif message["op"] == "status":
            self.statuses.append(message)
        return None

    async def next_of(self, leaf: str) -> Received:
        """Return the next message whose topic ends with a word, passing over others."""
        while True:
            found = await self.receive()
            if found is not None and found.topic.endswith(leaf):
                return found
