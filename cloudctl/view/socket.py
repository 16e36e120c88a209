"""One WebSocket to one viewer: what waits for it is sent while its requests are taken in, until it is gone."""

import asyncio
import contextlib
import socket as sockets
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

import msgspec

from ..clock import SECOND, stopwatch

HEARTBEAT: Final = 10.0  # s between pings; a viewer that does not answer one is gone
SOCKET_OPTIONS: Final = {"heartbeat": HEARTBEAT, "compress": False}
# What reading a request can raise.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError)
# bytes the system keeps for one viewer: what waits there is old when it is read
SEND_BUFFER: Final = 256 * 1024

Talk = Callable[[Any], Coroutine[Any, Any, None]]


async def converse(
    socket: Any, request: Any, *, send: Talk, listen: Talk, on_open: Callable[[], None] = lambda: None
) -> Any:
    """Answer a request with a WebSocket, an `aiohttp.web.WebSocketResponse`, and return it once the viewer is gone.

    `listen` ends with the viewer, `send` goes on meanwhile; `on_open` is called when both are about to begin.
    """
    await socket.prepare(request)
    _limit_buffer(request.transport)
    on_open()
    sender = asyncio.get_running_loop().create_task(send(socket))

    try:
        await listen(socket)
    finally:
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError, RuntimeError):
            await sender

    return socket


async def requests_of(socket: Any, limit: int) -> AsyncIterator[Any]:
    """Yield what comes through a WebSocket, until it is closed: here, where more than `limit` come in a second."""
    second, count = 0, 0
    async for message in socket:
        now = stopwatch() // SECOND
        second, count = (now, count + 1) if now == second else (now, 1)
        if count > limit:
            await socket.close(code=1008, message=f"more than {limit} requests a second".encode())
            return
        yield message


def _limit_buffer(transport: Any) -> None:
    """Keep little in the system's buffer: a slow viewer is to get the newest picture, not one of a minute ago."""
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, SEND_BUFFER)
