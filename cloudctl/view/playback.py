"""`cloudctl replay FILE --view`: a recording on the live page, served by this process alone."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

from ..clock import MS, WallClock
from ..io.http import Web
from .player import Player
from .routes import View, ViewRoutes, new_token, page_address

WORK = 15 * MS  # of the engine between two looks at the sockets
REST = 0.01  # s


async def show_recording(
    path: Path, bind: str, ready: Callable[[str], None], until: asyncio.Event | None = None, debug: bool = False
) -> None:
    """Serve a recording's page at `bind` (host:port) until `until` is set or SIGINT comes; `ready` gets the address to
    open. Raises RecordingError, HttpServerError.
    """
    stop = until or asyncio.Event()
    loop = asyncio.get_running_loop()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError, NotImplementedError):
            loop.add_signal_handler(number, stop.set)

    player, token = Player(path, debug), new_token()
    view = View(player.observer, token, control=player.ask, greet=player.greet)

    web = Web(
        bind=bind,
        versions=player.engine.versions,
        clock=WallClock(),
        more_routes=lambda server: ViewRoutes(server, view).routes(),
    )

    await web.start()

    try:
        # The first picture is there when the address is
        while player.tick(WORK):
            await asyncio.sleep(0)
        ready(page_address(web.address, token))
        while not stop.is_set():
            busy = player.tick(WORK)
            await asyncio.sleep(0 if busy else REST)
    finally:
        await web.stop()
