"""HTTP: digital codes for whoever asks. The only importer of the web server (aiohttp; `pip install 'cloudctl[http]'`).

`GET /codes` lists them; `GET /codes/{id}` is the one in force, now or `?at=` a time; `GET /codes/{id}/next` the
announced one;
`GET /codes/{id}/calendar` the holidays that its rules ask for; `GET /schema` the JSON Schema. Canonical JSON, or
`?form=compact` or `geojson`. The ETag is the content hash: `If-None-Match` is
answered 304. Nothing can be changed this way.
"""

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from ..clock import SECOND, Clock
from ..codes import IntersectionCode, compact, content_hash, dump
from ..codes.days import NO_DAYS, DayCalendar, dump_days
from ..codes.formats.geojson import write_geojson
from ..codes.versions import Versions, json_schema
from ..errors import CloudctlError
from .addresses import bare
from .http_answers import is_unchanged, problem
from .http_guard import HttpGuard

FORMS = {"json": "application/json", "compact": "application/octet-stream", "geojson": "application/geo+json"}
BACKLOG = 128  # connections that wait to be accepted
MAX_KEPT = 4096  # bodies kept ready


class HttpServerError(CloudctlError, RuntimeError):
    """The server cannot be started; the text says what to do."""


class Body(NamedTuple):
    """One code in one form, ready to be sent."""

    data: bytes
    etag: str


class Web:
    """The server of one node's codes; `start` and `stop` on the event loop."""

    def __init__(
        self,
        bind: str,
        versions: Versions,
        clock: Clock,
        failed: Callable[[Exception], None] | None = None,
        days: Callable[[], DayCalendar] = lambda: NO_DAYS,
        more_routes: Callable[[Any], list[Any]] | None = None,
        guard: HttpGuard | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`failed`, where given, is called with an unexpected exception in one answer; the asker gets status 500.
        `days` are those rules are answered with.

        `more_routes(web)`, where given, returns further routes, made with the web server's own module: the live page's.
        `guard`: what may be asked by whom, and how often (None: only what is public); `tls`, where given, is the
        server's.
        """
        try:
            from aiohttp import web  # noqa: TID251
        except ImportError:
            raise HttpServerError("[http] needs a web server: pip install 'cloudctl[http]'") from None

        self._web, self._versions, self._clock = web, versions, clock
        host, _, port = bind.rpartition(":")
        self._host, self._port = bare(host) or "127.0.0.1", int(port)
        self._kept: dict[tuple[str, int, str], Body] = {}
        self._failed, self._days = failed, days
        self._guard, self._tls = guard or HttpGuard(), tls
        self._server: asyncio.Server | None = None

        @web.middleware
        async def guarded(request: Any, handler: Any) -> Any:
            return await self._guarded(request, handler)

        app = web.Application(middlewares=[guarded])

        app.add_routes(
            [
                web.get("/codes", self._list),
                web.get("/codes/{id}", self._code),
                web.get("/codes/{id}/next", self._next),
                web.get("/codes/{id}/calendar", self._calendar),
                web.get("/schema", self._schema),
            ]
        )
        app.on_response_prepare.append(_hide_versions)
        if more_routes is not None:
            app.add_routes(more_routes(web))

        self._runner = web.AppRunner(app, access_log=None)
        self.address = ""

    async def start(self) -> None:
        """Listen. Raises HttpServerError when the port cannot be had."""
        await self._runner.setup()
        factory = self._guard.protocol_factory(self._runner.server)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                factory, self._host, self._port, ssl=self._tls, backlog=BACKLOG
            )
        except OSError as error:
            raise HttpServerError(
                f"cannot serve HTTP on {self._host}:{self._port}: {error.strerror}. Choose another [http] bind"
            ) from None

        host, port = self._server.sockets[0].getsockname()[:2]
        scheme = "https" if self._tls else "http"
        self.address = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    @property
    def paths(self) -> list[str]:
        """Return the path of everything that is served, as the web server writes it."""
        return sorted({resource.canonical for resource in self._runner.app.router.resources()})

    # --- answers ---

    async def _guarded(self, request: Any, handler: Any) -> Any:
        authorization = request.headers.get("Authorization", "")
        refusal = self._guard.refusal(request.path, request.remote or "", authorization)
        if refusal is not None:
            return self._refuse(*refusal)

        try:
            return await handler(request)
        except self._web.HTTPMethodNotAllowed as error:
            rule = "nothing can be changed here: it is read only"
            return problem(
                self._web, 405, "method", request.method, rule, "ask with GET", {"Allow": error.headers["Allow"]}
            )
        except self._web.HTTPNotFound:
            remedy = "GET /codes, /intersections, /metrics, /health, /ready or /openapi.json"
            return self._refuse(404, "path", request.path, "there is nothing here", remedy)
        except self._web.HTTPException:
            raise
        except Exception as error:
            if self._failed is None:
                raise

            self._failed(error)
            return self._refuse(
                500,
                "request",
                request.path,
                "the node could not answer it: a fault of the node",
                "report it to the node's operator",
            )

    async def _list(self, _: Any) -> Any:
        now, rows = self._clock.now(), []
        for name in self._versions.ids():
            code, later = self._versions.current(name, now), self._versions.announced(name, now)
            rows.append({"id": name, "current": self._row(code), "next": self._row(later)})
        return self._web.Response(body=msgspec.json.encode(rows), content_type="application/json")

    def _row(self, code: IntersectionCode | None) -> Any:
        if code is None:
            return None

        return {
            "name": code.name,
            "revision": code.revision,
            "etag": content_hash(code),
            "valid_from": code.valid_from,
            "valid_to": code.valid_to,
        }

    async def _code(self, request: Any) -> Any:
        name, at = request.match_info["id"], request.query.get("at")
        try:
            t = self._clock.now() if at is None else time_of(at)
        except ValueError:
            return self._refuse(
                400,
                "at",
                at,
                "must be ns since 1970 (UTC), or a time as 2026-05-01T08:00:00+08:00",
                "write the + of a zone as %2B",
            )

        if name not in self._versions.ids():
            return self._refuse(404, "id", name, "no such intersection here", "GET /codes lists them")

        code = self._versions.current(name, t)
        if code is None:
            return self._refuse(404, "at", t, "no revision is in force then", "GET /codes says when the next begins")

        return self._answer(request, code)

    async def _next(self, request: Any) -> Any:
        name = request.match_info["id"]
        code = self._versions.announced(name, self._clock.now()) if name in self._versions.ids() else None
        return (
            self._answer(request, code)
            if code
            else self._refuse(404, "id", name, "no further revision is announced", "ask again later")
        )

    async def _calendar(self, request: Any) -> Any:
        name = request.match_info["id"]
        if name not in self._versions.ids():
            return self._refuse(404, "id", name, "no such intersection here", "GET /codes lists them")
        return self._web.Response(
            body=dump_days(self._days()), content_type="application/json", headers={"Cache-Control": "no-cache"}
        )

    async def _schema(self, _: Any) -> Any:
        return self._web.Response(body=msgspec.json.encode(json_schema()), content_type="application/schema+json")

    def _answer(self, request: Any, code: IntersectionCode) -> Any:
        form = request.query.get("form", "json")
        if form not in FORMS:
            return self._refuse(400, "form", form, f"must be one of {', '.join(FORMS)}", "leave it out for JSON")

        body = self._body(code, form)
        headers = {"ETag": f'"{body.etag}"', "Cache-Control": "no-cache", "X-Revision": str(code.revision)}
        if is_unchanged(request.headers.get("If-None-Match", ""), body.etag):
            return self._web.Response(status=304, headers=headers)

        return self._web.Response(body=body.data, content_type=FORMS[form], headers=headers)

    def _body(self, code: IntersectionCode, form: str) -> Body:
        key = (code.id, code.revision, form)
        known = self._kept.get(key)
        if known is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            write = {"json": dump, "compact": compact, "geojson": write_geojson}[form]
            etag = content_hash(code) + ("" if form == "json" else f"-{form}")
            known = self._kept[key] = Body(write(code), etag)

        return known

    def _refuse(self, status: int, field: str, value: object, rule: str, remedy: str) -> Any:
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "1"} if status == 429 else None
        return problem(self._web, status, field, value, rule, remedy, headers)


async def _hide_versions(_: Any, response: Any) -> None:
    """Keep the versions of Python and of the web server out of every answer."""
    response.headers["Server"] = "cloudctl"


def time_of(text: str) -> int:
    """Return ns of a time given as ns since 1970 or as ISO 8601 with its zone. Raises ValueError."""
    if text.lstrip("-").isdecimal():
        return int(text)
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no zone")
    return int(at.timestamp() * 1_000_000) * (SECOND // 1_000_000)
