"""All that a node serves over HTTP: digital codes, the live page, the API, metrics, health."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..api.routes import ApiRoutes
from ..clock import Clock
from ..engine import Engine
from ..io.egress import Egress
from ..io.http import Web
from ..io.http_guard import HttpGuard, server_tls
from ..io.recording.reader import Recorder
from ..settings import HttpSection
from ..telemetry.gauges import Watched
from ..telemetry.pulse import Pulse
from ..telemetry.readiness import Check, Progress
from ..telemetry.routes import TelemetryRoutes
from ..view.serving import LivePage
from .inbox import Inbox
from .peers import Peers

MakeRoutes = Callable[[Any], list[Any]]  # with `aiohttp.web`


@dataclass(frozen=True, kw_only=True)
class ServedParts:
    """The parts of a node that are shown over HTTP."""

    engine: Engine
    clock: Clock
    egress: Egress
    recorder: Recorder | None
    inbox: Inbox
    peers: Peers
    pulse: Pulse
    progress: Progress

    def checks(self) -> dict[str, Check]:
        """Return what readiness asks, by a name of `readiness.REMEDIES`."""
        return {
            "sockets": lambda: self.progress.is_listening,
            "broker": lambda: self.egress.is_connected,
            "codes": lambda: any(place.in_force for place in self.engine.intersections.values()),
            "kernels": lambda: self.progress.is_warm,
        }


class HttpSide:
    """The web server of one node, and its live page where there is one. `failed` is called with an unexpected exception
    in one answer.
    """

    def __init__(
        self,
        section: HttpSection,
        parts: ServedParts,
        failed: Callable[[Exception], None],
        token: str,
        more_routes: MakeRoutes = lambda _: [],
    ) -> None:
        """`token`: of the node's file, or one made for this run, which whoever starts the node can read;
        `more_routes`: what else is served."""
        self.page = LivePage(section, parts.engine, token, section.token is None) if section.view else None
        self._parts, self._more_routes = parts, more_routes
        self._guard = HttpGuard(token if section.token or self.page else None)  # one that nobody can read opens nothing
        self.watched: Watched | None = None
        assert section.bind is not None

        self.web = Web(
            section.bind,
            parts.engine.versions,
            parts.clock,
            failed,
            lambda: parts.engine.config.days,
            self._routes,
            guard=self._guard,
            tls=server_tls(section.tls_cert, section.tls_key),
        )

    def _routes(self, web: Any) -> list[Any]:
        """Return all routes besides those of digital codes, made with `aiohttp.web`."""
        parts = self._parts
        watched = self.watched = Watched(
            engine=parts.engine,
            clock=parts.clock,
            egress=parts.egress,
            recorder=parts.recorder,
            inbox=parts.inbox,
            contacts=parts.peers.contacts,
            viewers=self.page.observer.viewers if self.page else (),
            refused_connections=lambda: self._guard.refused_connections,
            pulse=parts.pulse,
        )

        self.api = ApiRoutes(web, parts.engine, parts.clock, parts.peers.contacts)
        return [
            *(self.page.routes(web) if self.page else ()),
            *TelemetryRoutes(web, watched, parts.checks()).routes(),
            *self.api.routes(),
            *self._more_routes(web),
        ]
