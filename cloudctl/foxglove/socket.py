"""A WebSocket for Foxglove and other viewers of its protocol: `[live] foxglove = true`, at `/foxglove` of [http].

Access is checked as for the live page: by the token and by `Origin`. A viewer cannot set headers, so that the
token may stand in the address (`?token=`) too, which nothing here logs. Nothing is made without a subscription,
each message is made once for all, and a client that does not read gets the newest when it reads again. Nothing can be
changed this way.
"""

import asyncio
import hmac
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final
from uuid import uuid4

import msgspec

from ..clock import SECOND
from ..engine import Engine, Output
from ..io.recording.container import ChannelKind
from ..view.routes import same_site, token_of
from ..view.socket import SOCKET_OPTIONS, UNREADABLE, converse, requests_of
from .budget import Budget
from .channels import ViewChannels, ViewMessage, is_line
from .protocol import (
    ERROR,
    MAX_NUMBER,
    SUBPROTOCOLS,
    WARNING,
    ClientMessage,
    Subscription,
    advertise,
    message_data,
    server_info,
    status,
    unadvertise,
)

PATH: Final = "/foxglove"
MAX_CLIENTS: Final = 16  # at once
MAX_SUBSCRIPTIONS: Final = 4096  # of one client
MAX_REQUEST: Final = 256 * 1024  # bytes: some thousand subscriptions at once
MAX_REQUESTS: Final = 100  # that one client sends in a second
MAX_LINES: Final = 200  # of a log that wait for one client; older ones are dropped and counted
MAX_TEXTS: Final = 64  # control messages that wait for one client
WARN_INTERVAL: Final = 10 * SECOND  # between two lines on pictures that are left out
SEND_INTERVAL: Final = 0.04  # s between two rounds of sending to one client


class Client:
    """One viewer: what it subscribes to, and what waits for it."""

    def __init__(self) -> None:
        self.subscriptions: dict[int, str] = {}  # topic by the client's number
        self.numbers: dict[str, list[int]] = {}  # the other way round
        self.ready = asyncio.Event()
        self.dropped = 0  # lines of logs that found no room
        # What stays as it is and is still to be made
        self.standing: Iterator[ViewMessage] = iter(())
        self._texts: deque[bytes] = deque(maxlen=MAX_TEXTS)
        self._newest: dict[str, ViewMessage] = {}  # by topic
        self._lines: deque[ViewMessage] = deque()

    def send(self, text: bytes) -> None:
        """Let a control message wait."""
        self._texts.append(text)
        self.ready.set()

    def put(self, message: ViewMessage) -> None:
        """Let a message wait: in the place of an older one of its topic, but for the lines of a log."""
        if is_line(message.kind.topic):
            if len(self._lines) >= MAX_LINES:
                self._lines.popleft()
                self.dropped += 1
            self._lines.append(message)
        else:
            self._newest[message.kind.topic] = message

        self.ready.set()

    def subscribe(self, number: int, topic: str) -> None:
        """Take a subscription."""
        self.subscriptions[number] = topic
        self.numbers.setdefault(topic, []).append(number)

    def unsubscribe(self, number: int) -> bool:
        """End a subscription; return whether there was one."""
        topic = self.subscriptions.pop(number, None)
        if topic is None:
            return False

        self.numbers[topic].remove(number)
        if not self.numbers[topic]:
            del self.numbers[topic]
            self._newest.pop(topic, None)

        return True

    def take(self) -> tuple[list[bytes], list[bytes]]:
        """Return what waits: control messages, and binary frames."""
        texts, self._texts = list(self._texts), deque(maxlen=MAX_TEXTS)
        messages, self._newest = [*self._newest.values(), *self._lines], {}
        self._lines.clear()
        frames = [
            message_data(number, message.t, message.data)
            for message in messages
            for number in self.numbers.get(message.kind.topic, ())
        ]

        return texts, frames


class FoxgloveServer:
    """The viewers of one node. `observe` after every step; `routes` are for its web server."""

    def __init__(self, engine: Engine, token: str, origins: Sequence[str] = ()) -> None:
        self.clients: list[Client] = []
        self.made = 0  # messages; a test holds that none is made while there is no subscription
        self._engine, self._token, self._origins = engine, token, origins
        self._channels = ViewChannels(engine)
        self._numbers: dict[str, int] = {}  # of channels, by topic; none is given twice
        self._served: tuple[str, ...] = ()  # intersections
        self._kinds: dict[int, ChannelKind] = {}
        self._topics: frozenset[str] = frozenset()  # That a client has subscribed to
        self._session = uuid4().hex
        self._t = 0  # ns; of the last step
        self._budget = Budget()
        self._warned = -WARN_INTERVAL  # ns; of the last line on pictures that are left out
        self._renumber()

    # --- steps ---

    def observe(self, time_ns: int, output: Output) -> None:
        """Take in one step at `time_ns`."""
        self._t = time_ns
        if not self.clients:
            return

        if tuple(self._engine.intersections) != self._served:
            self._announce_changes()
        if not self._topics:
            return

        # Viewers get a share of the loop's time and no more; beyond it only advisories are made, of which each counts
        is_affordable = self._budget.begin()
        if not is_affordable and output.planned:
            self._skip(time_ns, len(output.planned))
        topics = self._topics if is_affordable else frozenset(filter(is_line, self._topics))
        for message in self._channels.messages(time_ns, output, topics.__contains__):
            self.made += 1
            for client in self.clients:
                if message.kind.topic in client.numbers:
                    client.put(message)

        self._budget.end()
        for client in self.clients:
            self._send_standing(client)

    def _skip(self, time_ns: int, plans: int) -> None:
        """Count plans that are not shown, and log the number now and then."""
        self._engine.metrics.count("drop.view", "live", plans)
        if not 0 <= time_ns - self._warned < WARN_INTERVAL:
            self._warned = time_ns
            rule = "more is subscribed to than the node gives time for: pictures are left out. Subscribe to fewer"
            for client in self.clients:
                client.send(status(WARNING, f"{rule} intersections at a time"))

    def _send_standing(self, client: Client) -> None:
        """Make what stays as it is for a new subscription, as far as there is time."""
        while self._budget.begin():
            message = next(client.standing, None)
            self._budget.end()
            if message is None:
                return
            if message.kind.topic in client.numbers:
                client.put(message)

    def _renumber(self) -> None:
        self._served = tuple(self._engine.intersections)
        kinds = self._channels.kinds
        self._kinds = {self._numbers.setdefault(kind.topic, len(self._numbers) + 1): kind for kind in kinds}

    def _announce_changes(self) -> None:
        """Tell every viewer which channels there are now: the node serves other intersections."""
        before = self._kinds
        self._renumber()
        gone = [number for number in before if number not in self._kinds]
        new = {number: kind for number, kind in self._kinds.items() if number not in before}

        for client in self.clients:
            if gone:
                client.send(unadvertise(gone))
            if new:
                client.send(advertise(new))

    # --- what viewers ask ---

    def _take(self, client: Client, request: ClientMessage) -> None:
        if request.op == "subscribe":
            topics = [self._subscribe(client, number.id, number.channel) for number in request.subscriptions]
            self._count_topics()
            wanted = {topic for topic in topics if topic}
            if self._t:
                client.standing = chain(client.standing, self._channels.standing(self._t, wanted.__contains__))
                self._send_standing(client)
        elif request.op == "unsubscribe":
            for number in request.ended:
                if not client.unsubscribe(number):
                    client.send(status(WARNING, f"subscription {number} is not known: nothing was ended"))
            self._count_topics()
        else:
            rule = f"{request.op[:40]!r} cannot be asked here: only subscribe and unsubscribe; nothing can be changed"
            client.send(status(ERROR, rule))

    def subscribe_all(self, client: Client) -> None:
        """Subscribe a viewer to every channel, under the channels' own numbers."""
        self._take(client, ClientMessage("subscribe", tuple(Subscription(kind, kind) for kind in self._kinds)))

    def _subscribe(self, client: Client, number: int, channel: int) -> str | None:
        """Return the topic that was subscribed to; None where it cannot be, for which it gets the reason."""
        kind = self._kinds.get(channel)
        if kind is None:
            client.send(status(ERROR, f"channel {channel} is not known: use the numbers that were advertised"))
        elif not 0 <= number <= MAX_NUMBER or number in client.subscriptions:
            client.send(status(ERROR, f"subscription {number}: each needs a number of its own, 0 .. {MAX_NUMBER}"))
        elif len(client.subscriptions) >= MAX_SUBSCRIPTIONS:
            client.send(status(ERROR, f"more than {MAX_SUBSCRIPTIONS} subscriptions: end one that nobody looks at"))
        else:
            client.subscribe(number, kind.topic)
            return kind.topic

        return None

    def _count_topics(self) -> None:
        self._topics = frozenset(topic for client in self.clients for topic in client.numbers)

    # --- the socket ---

    def routes(self, web: Any) -> list[Any]:
        """Return the route, made with `aiohttp.web`."""

        async def handle(request: Any) -> Any:
            return await self._socket(web, request)

        return [web.get(PATH, handle)]

    def _refusal(self, request: Any) -> tuple[int, dict[str, str]] | None:
        """Return why a request is refused: the HTTP status, and field, value, rule and remedy."""
        # Browsers let any site open a WebSocket: only the origin shows whose page it is
        origin = request.headers.get("Origin")
        if origin is not None and not same_site(origin, request.host) and origin not in self._origins:
            remedy = "add the site to [http] origins"
            return 403, _why("Origin", origin, "this site's pages may not look", remedy)

        token = token_of(request) or request.query.get("token", "").encode()
        # In constant time, so that the answer does not leak how much of a guess is right
        if not hmac.compare_digest(token, self._token.encode()):
            remedy = f"open the address that the node has printed: {PATH}?token=..."
            return 401, _why("token", "...", "the token is missing or wrong", remedy)

        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if not any(name in SUBPROTOCOLS for name in offered):
            rule = f"must offer one of {', '.join(SUBPROTOCOLS)}"
            return 400, _why("Sec-WebSocket-Protocol", ", ".join(offered), rule, "connect with a Foxglove viewer")

        if len(self.clients) >= MAX_CLIENTS:
            rule = f"at most {MAX_CLIENTS} viewers can be connected at a time"
            return 503, _why("viewers", str(len(self.clients) + 1), rule, "close one that nobody looks at")

        return None

    async def _socket(self, web: Any, request: Any) -> Any:
        refusal = self._refusal(request)
        if refusal is not None:
            code, body = refusal
            return web.json_response(body, status=code, headers={"Cache-Control": "no-store"})

        client = Client()
        client.send(server_info(self._session))
        client.send(advertise(self._kinds))
        self.clients.append(client)

        try:
            return await converse(
                web.WebSocketResponse(protocols=SUBPROTOCOLS, max_msg_size=MAX_REQUEST, **SOCKET_OPTIONS),
                request,
                send=lambda socket: _send(socket, client),
                listen=lambda socket: self._listen(socket, client),
            )
        finally:
            self.clients.remove(client)
            self._count_topics()

    async def _listen(self, socket: Any, client: Client) -> None:
        decode = msgspec.json.Decoder(ClientMessage).decode
        async for message in requests_of(socket, MAX_REQUESTS):
            try:
                self._take(client, decode(message.data))
            except UNREADABLE as error:
                excerpt = str(message.data)[:80]
                client.send(status(ERROR, f"{excerpt}: {error}. Send JSON as the protocol has it"))


async def _send(socket: Any, client: Client) -> None:
    """Send one viewer what waits for it, until it is gone. Only this viewer waits where it reads slowly."""
    while True:
        await client.ready.wait()
        client.ready.clear()
        texts, frames = client.take()
        for text in texts:
            await socket.send_str(text.decode())
        for frame in frames:
            await socket.send_bytes(frame)
        await asyncio.sleep(SEND_INTERVAL)


def _why(field: str, value: str, rule: str, remedy: str) -> dict[str, str]:
    return {"field": field, "value": value[:80], "rule": rule, "remedy": remedy}
