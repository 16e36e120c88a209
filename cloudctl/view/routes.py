"""The page over HTTP: its files, and the one WebSocket that everything it shows comes through. The web server's own
module is handed in.

The files are the same for all. The socket needs the token: a browser cannot send a header with it, so that it
stands beside the protocol's name
(`Sec-WebSocket-Protocol: cloudctl.view.1, token.TOKEN`); other clients may send `Authorization: Bearer TOKEN`. A
request that another site's page makes
is refused by its `Origin`.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from ..io.http_answers import problem
from .columns import FrameKind, json_frame
from .errors import ViewError
from .observer import Observer
from .socket import SOCKET_OPTIONS, UNREADABLE, converse, requests_of
from .viewers import Request, Viewer

PAGE = Path(__file__).resolve().parent / "page"
PROTOCOL = "cloudctl.view.1"
TOKEN_PREFIX = "token."
TOKEN_BYTES = 18
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
SEND_INTERVAL = 0.04  # s between two messages to one page: no screen needs more
# s; the same of a page that sees many intersections, each planned at another moment: once in a period is enough
WIDE_INTERVAL = 0.1
WIDE = 4  # intersections
MAX_REQUEST = 4096  # bytes of what a page sends at a time
MAX_REQUESTS = 60  # that one page sends in a second


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def page_address(address: str, token: str) -> str:
    """Return what to open in a browser: the token stands behind the #, which is not sent over the network or logged."""
    return f"{address}/view/#token={token}"


class PageFile(NamedTuple):
    """One file of the page, ready to be sent."""

    data: bytes
    type: str
    etag: str


@dataclass(frozen=True)
class View:
    """What the page is served with: what is observed, the token it needs, further sites whose pages may open the
    socket, and a recording's player.
    """

    observer: Observer
    token: str
    origins: Sequence[str] = ()
    # Takes what concerns time; None: time cannot be asked for
    control: Callable[[Viewer, Request], None] | None = None
    greet: Callable[[Viewer], None] | None = None


class ViewRoutes:
    """The handlers; `routes` are to be added to the server's application. `web` is `aiohttp.web`."""

    def __init__(self, web: Any, view: View) -> None:
        self._web, self._view = web, view
        self._files = {path.name: _page_file(path) for path in sorted(PAGE.iterdir()) if path.suffix in TYPES}

    def routes(self) -> list[Any]:
        """Return the routes, for the web server to add."""
        get = self._web.get
        return [
            get("/view", self._redirect),
            get("/view/", self._file),
            get("/view/access", self._access),
            get("/view/socket", self._socket),
            get("/view/{name}", self._file),
        ]

    # --- files ---

    async def _redirect(self, _: Any) -> Any:
        raise self._web.HTTPFound("/view/")

    async def _file(self, request: Any) -> Any:
        name = request.match_info.get("name", "index.html")
        file = self._files.get(name)
        if file is None:
            return self._refuse(
                status=404, field="path", value=name, rule="the page has no such file", remedy="open /view/"
            )

        headers = HEADERS | {"ETag": file.etag}
        if request.headers.get("If-None-Match") == file.etag:
            return self._web.Response(status=304, headers=headers)

        return self._web.Response(body=file.data, content_type=file.type, charset="utf-8", headers=headers)

    # --- access ---

    async def _access(self, request: Any) -> Any:
        """Answer whether the socket would be opened for this request, and if not, why: a browser does not give its
        page.
        """
        return self._refusal(request) or self._web.json_response({"access": True})

    def _refusal(self, request: Any) -> Any:
        origin = request.headers.get("Origin")
        if origin is not None and not same_site(origin, request.host) and origin not in self._view.origins:
            return self._refuse(
                status=403,
                field="Origin",
                value=origin,
                rule="this site's pages may not look",
                remedy="open the node's own page, or add the site to [http] origins",
            )

        if not hmac.compare_digest(token_of(request), self._view.token.encode()):
            return self._refuse(
                status=401,
                field="token",
                value="...",
                rule="the token is missing or wrong",
                remedy="open the address that the node has printed, with its #token=",
            )

        return None

    def _refuse(self, status: int, field: str, value: str, rule: str, remedy: str) -> Any:
        return problem(self._web, status, field=field, value=value, rule=rule, remedy=remedy)

    # --- the socket ---

    async def _socket(self, request: Any) -> Any:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal

        ready = asyncio.Event()
        try:
            viewer = self._view.observer.open(ready.set)
        except ViewError as why:
            return self._refuse(503, **why.row)

        try:
            return await converse(
                self._web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=MAX_REQUEST, **SOCKET_OPTIONS),
                request,
                send=lambda socket: _send(socket, viewer, ready),
                listen=lambda socket: self._listen(socket, viewer),
                on_open=lambda: self._greet(viewer),
            )
        finally:
            self._view.observer.close(viewer)

    def _greet(self, viewer: Viewer) -> None:
        if self._view.greet is not None:
            self._view.greet(viewer)

    async def _listen(self, socket: Any, viewer: Viewer) -> None:
        decode = msgspec.json.Decoder(Request).decode
        async for message in requests_of(socket, MAX_REQUESTS):
            try:
                request = decode(message.data)
                self._view.observer.ask(viewer, request)
                self._ask_time(viewer, request)
            except ViewError as why:
                viewer.put((FrameKind.ERROR, 0), json_frame(FrameKind.ERROR, why.row))
            except UNREADABLE as error:
                row = {
                    "field": "request",
                    "value": str(message.data)[:80],
                    "rule": str(error),
                    "remedy": "send a JSON object as docs/view.md says",
                }

                viewer.put((FrameKind.ERROR, 0), json_frame(FrameKind.ERROR, row))

    def _ask_time(self, viewer: Viewer, request: Request) -> None:
        requested = [name for name in ("play", "seek", "step", "speed", "exact") if getattr(request, name) is not None]
        if not requested:
            return

        if self._view.control is None:
            raise ViewError(
                field=requested[0],
                value=getattr(request, requested[0]),
                rule="time cannot be moved at a running node",
                remedy="replay a recording: cloudctl replay FILE --view",
            )

        self._view.control(viewer, request)


async def _send(socket: Any, viewer: Viewer, ready: asyncio.Event) -> None:
    """Send one page what waits for it, until it is gone. Only this page waits where it reads slowly."""
    while True:
        await ready.wait()
        ready.clear()
        data = viewer.take()
        if data:
            await socket.send_bytes(data)
        await asyncio.sleep(SEND_INTERVAL if len(viewer.watched) <= WIDE else WIDE_INTERVAL)


def token_of(request: Any) -> bytes:
    """Return the token that a request carries, b"" where it carries none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bytes(value.strip().encode())

    for name in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if name.strip().startswith(TOKEN_PREFIX):
            return bytes(name.strip().removeprefix(TOKEN_PREFIX).encode())

    return b""


def same_site(origin: str, host: str) -> bool:
    """Return whether an `Origin` is the very host that was asked."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _page_file(path: Path) -> PageFile:
    data = path.read_bytes()
    return PageFile(data, TYPES[path.suffix], f'"{hashlib.sha256(data).hexdigest()[:16]}"')
