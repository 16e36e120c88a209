"""What stands before every HTTP request: a token for all that is not public, and limits on connections and rates.
Knows no web server.
"""

import asyncio
import hmac
import ssl
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..clock import SECOND, stopwatch

# Digital codes are public: vehicles without an account read them. /view is the page's own files; its socket, and
# /foxglove, ask for the token themselves.
PUBLIC_PATHS = ("/codes", "/schema", "/health", "/ready", "/view", "/foxglove")
MAX_CONNECTIONS = 512  # open at once
MAX_CONNECTIONS_PER_ADDRESS = 64
REQUEST_TIMEOUT = 10.0  # s from a connection to its first whole request; what opens connections and is silent is let go
REQUEST_RATE = 200  # requests a second of one address, in the long run
REQUEST_BURST = 2000  # requests of one address at once: a map of a whole zone is read in one go
MAX_ADDRESSES = 10_000  # whose rate is remembered; the longest silent is forgotten


class Refusal(NamedTuple):
    """Why a request is not answered: the HTTP status, and what a person needs to put it right."""

    status: int
    field: str
    value: str
    rule: str
    remedy: str


class HttpGuard:
    """Decides on each request and connection of one server. `token`: None where nothing but what is public is
    served.
    """

    def __init__(self, token: str | None = None, now: Callable[[], int] = stopwatch) -> None:
        self.refused_connections = 0
        self._token = token
        self._now = now
        self._buckets: OrderedDict[str, tuple[int, float]] = OrderedDict()  # by address: when last asked, requests left
        self._connections: dict[str, int] = {}  # open, by address

    @property
    def watched_addresses(self) -> int:
        """Return how many addresses' request rates are held; at most MAX_ADDRESSES."""
        return len(self._buckets)

    def refusal(self, path: str, address: str, authorization: str) -> Refusal | None:
        """Return why a request is refused, None where it is to be answered. `authorization`: the header, "" where
        there is none.
        """
        if not self._within_rate(address):
            rule = f"at most {REQUEST_RATE} requests a second of one address"
            return Refusal(429, "rate", address, rule, "wait, and ask less often")

        if is_public(path):
            return None

        if self._token is None:
            return Refusal(401, "token", "", "this needs a token, and the node has none", 'write [http] token = "..."')

        # The scheme is in any case (RFC 9110, 11.1); bytes that are no UTF-8 stand in a header as surrogates.
        scheme, _, sent = authorization.partition(" ")
        sent_bytes = sent.strip(" ").encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(sent_bytes, self._token.encode()):
            remedy = "send the header Authorization: Bearer TOKEN, with [http] token of the node's file"
            return Refusal(401, "token", "...", "the token is missing or wrong", remedy)

        return None

    def protocol_factory(self, server: Any) -> Callable[[], asyncio.Protocol]:
        """Return what makes the protocol of each connection: the server's own, with the limits before it."""

        def make() -> asyncio.Protocol:
            return _LimitedProtocol(server(), self)

        return make

    def admit(self, address: str) -> bool:
        """Count a connection in; False where there are too many already."""
        count = self._connections.get(address, 0)
        if count >= MAX_CONNECTIONS_PER_ADDRESS or sum(self._connections.values()) >= MAX_CONNECTIONS:
            self.refused_connections += 1
            return False
        self._connections[address] = count + 1
        return True

    def release(self, address: str) -> None:
        """Count a connection out."""
        count = self._connections.get(address, 0) - 1
        if count > 0:
            self._connections[address] = count
        else:
            self._connections.pop(address, None)

    def _within_rate(self, address: str) -> bool:
        """Take a request from the address's token bucket; False where it is empty."""
        now = self._now()
        last, left = self._buckets.pop(address, (now, float(REQUEST_BURST)))
        left = min(left + (now - last) / SECOND * REQUEST_RATE, REQUEST_BURST)
        allowed = left >= 1.0
        self._buckets[address] = (now, left - 1.0 if allowed else left)

        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)

        return allowed


class _LimitedProtocol(asyncio.Protocol):
    """One connection: refused where there are too many, ended where no data come in time, else handed to the server's
    protocol.
    """

    def __init__(self, inner: Any, guard: HttpGuard) -> None:
        self._inner, self._guard = inner, guard
        self._address: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if not self._guard.admit(address):
            transport.abort()  # type: ignore[attr-defined]
            return

        self._address = address
        self._timer = asyncio.get_running_loop().call_later(REQUEST_TIMEOUT, transport.abort)  # type: ignore[attr-defined]
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._timer is not None:
            self._received = (self._received + data)[-4:] if b"\r\n\r\n" not in data else b"\r\n\r\n"
            if self._received == b"\r\n\r\n":  # the head of a request is whole
                self._timer.cancel()
                self._timer = None
        if self._address is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._address is not None else None  # type: ignore[no-any-return]

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._address is not None:
            self._guard.release(self._address)
            self._inner.connection_lost(error)


def is_public(path: str) -> bool:
    """Return whether a path is for everyone."""
    return any(path == public or path.startswith(f"{public}/") for public in PUBLIC_PATHS)


def server_tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """Return the TLS settings of a server, None where it has no certificate."""
    if cert is None or key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(Path(cert), Path(key))
    return context
