"""The live page of a running node: the observer of its engine, the token, and the routes for its web server."""

from typing import Any

from ..engine import Engine
from ..settings import HttpSection
from .observer import Observer
from .routes import View, ViewRoutes, page_address


class LivePage:
    """The page of one node. `observer.observe` after every step; `routes` are for the web server."""

    def __init__(self, section: HttpSection, engine: Engine, token: str, shows_token: bool) -> None:
        """`section`: of the node's file. `shows_token`: whether the token may be printed."""
        self.observer = Observer(engine)
        self._view = View(observer=self.observer, token=token, origins=section.origins)
        self._shows_token = shows_token

    def routes(self, web: Any) -> list[Any]:
        """Return the routes of the page, made with `aiohttp.web`."""
        return ViewRoutes(web, self._view).routes()

    def address(self, server: str) -> str:
        """Return what to open in a browser, of a server's own address; a token from the node's file is not shown."""
        address = server.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        return page_address(address, self._view.token if self._shows_token else "YOUR-TOKEN")
