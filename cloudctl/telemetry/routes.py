"""`GET /metrics`, `/health` and `/ready`. The web server's own module is handed in.

A scrape gives way to the event loop after each piece of text, and is kept for a second: however many ask, and however
often, the node writes each form once a second at most.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ..clock import SECOND, stopwatch
from ..engine import Engine
from ..io.http_answers import problem
from ..settings import EngineConfig
from .exposition import Exposition, Form
from .families import By
from .gauges import Watched, gauges_of, latencies_of
from .places import Places
from .readiness import Check, HealthReport, ready_report

KEPT = SECOND  # for how long a scrape is given again
UNCACHED = {"Cache-Control": "no-store"}


class Scrape(NamedTuple):
    """A finished text, and when it was begun, ns by `stopwatch`."""

    begun: int
    body: bytes


class TelemetryRoutes:
    """The handlers; `routes` are to be added to the server's application. `web` is `aiohttp.web`."""

    def __init__(self, web: Any, node: Watched, checks: Mapping[str, Check]) -> None:
        self._web, self._node, self._checks = web, node, checks
        self._exposition = Exposition(node.engine.metrics)
        self._kept: dict[tuple[By, Form], Scrape] = {}
        self._locks = {(by, form): asyncio.Lock() for by in By for form in Form}
        self._places: tuple[EngineConfig, Places] | None = None

    def routes(self) -> list[Any]:
        """Return the routes, for the web server to add."""
        get = self._web.get
        return [get("/metrics", self._metrics), get("/health", self._health), get("/ready", self._ready)]

    async def _health(self, _: Any) -> Any:
        pulse = self._node.pulse
        report = HealthReport(pulse.is_alive, round(pulse.age, 3), round(pulse.uptime, 1))
        return self._json(200 if report.alive else 503, report)

    async def _ready(self, _: Any) -> Any:
        report = ready_report(self._checks)
        return self._json(200 if report.ready else 503, report)

    def _json(self, status: int, report: msgspec.Struct) -> Any:
        body = msgspec.json.encode(report)
        return self._web.Response(status=status, body=body, content_type="application/json", headers=UNCACHED)

    async def _metrics(self, request: Any) -> Any:
        unknown = [name for name in request.query if name != "by"]
        if unknown:
            return problem(
                self._web,
                status=400,
                field=unknown[0],
                value=request.query[unknown[0]],
                rule="is no parameter of this",
                remedy="use by",
            )

        wanted = request.query.getall("by", [By.TOTAL.value])
        if len(wanted) != 1 or wanted[0] not in list(By):
            rule = f"must be one of {', '.join(By)}, once"
            return problem(
                self._web, status=400, field="by", value=", ".join(wanted), rule=rule, remedy="leave it out for totals"
            )

        form = negotiated(request.headers.get("Accept", ""))
        body = await self._scrape(By(wanted[0]), form)
        headers = UNCACHED | {"Content-Type": form.value, "Vary": "Accept"}

        return self._web.Response(body=body, headers=headers)

    async def _scrape(self, by: By, form: Form) -> bytes:
        """Return the text; the event loop has its turn after each piece of it."""
        async with self._locks[by, form]:
            cached = self._kept.get((by, form))
            now = stopwatch()
            if cached is not None and now - cached.begun < KEPT:
                return cached.body

            node, metrics = self._node, self._node.engine.metrics
            pieces = []
            for piece in self._exposition.pieces(
                by, form, self._where(node.engine), gauges_of(node, by), latencies_of(metrics)
            ):
                pieces.append(piece)
                await asyncio.sleep(0)

            scrape = self._kept[by, form] = Scrape(now, b"".join(pieces))
            return scrape.body

    def _where(self, engine: Engine) -> Places:
        """Return where the roadside units of the present configuration stand."""
        if self._places is None or self._places[0] is not engine.config:
            self._places = engine.config, Places(engine.config.gateways, engine.intersections)
        return self._places[1]


def negotiated(accept: str) -> Form:
    """Return the form that an `Accept` header prefers: OpenMetrics where it is named and not refused, else the older
    text, which every reader knows.
    """
    weights = {Form.OPENMETRICS: 0.0, Form.PROMETHEUS: 0.0}
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        settings = dict(parameter.partition("=")[::2] for parameter in parameters)
        weight = _weight(settings.get("q", "1"))

        if media == "application/openmetrics-text" and settings.get("version", "1.0.0") == "1.0.0":
            weights[Form.OPENMETRICS] = max(weights[Form.OPENMETRICS], weight)
        elif media == "text/plain":
            weights[Form.PROMETHEUS] = max(weights[Form.PROMETHEUS], weight)

    if weights[Form.OPENMETRICS] > 0 and weights[Form.OPENMETRICS] >= weights[Form.PROMETHEUS]:
        return Form.OPENMETRICS

    return Form.PROMETHEUS


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
