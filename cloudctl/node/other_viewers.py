"""What other people's viewers get of a node: Foxglove channels in the recording, and a WebSocket."""

from typing import Any

from ..engine import Engine, Output
from ..foxglove.recorded import RecordedViews
from ..foxglove.socket import PATH, FoxgloveServer
from ..io.recording.writer import Recorder
from .config import NodeConfig


class OtherViewers:
    """Both, as far as the node's file asks for them. `observe` after every step; `token` is that of [http]."""

    def __init__(self, config: NodeConfig, engine: Engine, recorder: Recorder | None, token: str) -> None:
        self._recorded = RecordedViews(recorder, engine) if recorder is not None and config.record.foxglove else None
        is_live = config.live.foxglove and config.http.bind is not None
        self.server = FoxgloveServer(engine, token, config.http.origins) if is_live else None
        self._token = token if config.http.token is None else "YOUR-TOKEN"  # one of the node's file is not shown

    def observe(self, t: int, output: Output) -> None:
        """Take in one step at `t` ns."""
        if self._recorded is not None:
            self._recorded.observe(t, output)
        if self.server is not None:
            self.server.observe(t, output)

    def routes(self, web: Any) -> list[Any]:
        """Return the routes for the web server, made with `aiohttp.web`."""
        return self.server.routes(web) if self.server is not None else []

    def address(self, server: str) -> str | None:
        """Return what to open in Foxglove, of the web server's own address; None where there is no WebSocket."""
        if self.server is None:
            return None
        address = server.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        return f"{address.replace('http', 'ws', 1)}{PATH}?token={self._token}"
