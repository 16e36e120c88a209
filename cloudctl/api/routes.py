"""The API over HTTP. The web server's own module is handed in.

An answer is made from the newest plan of an intersection when somebody asks, and kept until the next plan: encoded once
a step at most, however many ask, and not at all where nobody does.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..clock import Clock
from ..engine import Engine
from ..intersection import IntersectionState
from ..io.http_answers import is_unchanged, problem
from . import state
from .openapi import document
from .pages import ParameterError, check_names, page_of

HEADERS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
ETAG_BYTES = 12
MAX_KEPT = 1024  # answers; the oldest goes
OPENAPI_TYPE = "application/openapi+json"


class Answer(NamedTuple):
    """One encoded answer, and what it was made of: it holds while that is the newest."""

    basis: object
    body: bytes
    etag: str


class ApiRoutes:
    """The handlers; `routes` are to be added to the server's application. `web` is `aiohttp.web`. `contacts`: by
    gateway, when its last message came, ns.
    """

    def __init__(self, web: Any, engine: Engine, clock: Clock, contacts: Mapping[str, int]) -> None:
        self._web, self._engine, self._clock, self._contacts = web, engine, clock, contacts
        self._encode = msgspec.json.Encoder().encode
        self._kept: dict[tuple[str, str], Answer] = {}
        self._document: Answer | None = None
        self.encoded = 0  # answers; tests hold that none is made twice, or before somebody asks

    def routes(self) -> list[Any]:
        """Return the routes, for the web server to add."""
        get, place = self._web.get, "/intersections/{id}"
        return [
            get("/openapi.json", self._openapi),
            get("/intersections", self._intersections),
            get("/gateways", self._gateways),
            get(place, self._of(_plan_and_code, state.intersection_row)),
            get(f"{place}/tracks", self._of(_newest_plan, state.track_list)),
            get(f"{place}/signals", self._of(_newest_plan, state.signal_list)),
            get(f"{place}/traffic", self._of(self._report, lambda p: state.traffic_report(p, self._reports()))),
            get(
                f"{place}/advisories",
                self._of(self._valid_advisories, lambda p: state.advisory_list(self._clock.now(), p)),
            ),
            get(f"{place}/sensors", self._of(_newest_plan, lambda p: state.sensor_list(p, self._engine))),
        ]

    def _of(
        self, basis: Callable[[IntersectionState], object], make: Callable[[IntersectionState], msgspec.Struct]
    ) -> Callable[[Any], Any]:
        """Return the handler of one view of an intersection: made anew where its basis is another object."""

        async def handler(request: Any) -> Any:
            name, path = request.match_info["id"], request.match_info.route.resource.canonical
            place = self._engine.intersections.get(name)
            if place is None:
                return problem(self._web, 404, "id", name, "no such intersection here", "GET /intersections lists them")

            try:
                check_names([name for name, _ in request.query.items()], ())
            except ParameterError as why:
                return self._refuse(why)

            newest = basis(place)
            kept = self._kept.get((name, path))
            if kept is None or kept.basis != newest:
                kept = self._keep((name, path), self._answer(newest, make(place)))

            return self._send(request, kept)

        return handler

    async def _intersections(self, request: Any) -> Any:
        return self._list(request, lambda page: state.intersection_list(self._engine, page.offset, page.limit))

    async def _gateways(self, request: Any) -> Any:
        now = self._clock.now()
        return self._list(
            request, lambda page: state.gateway_list(now, self._engine, self._contacts, page.offset, page.limit)
        )

    def _list(self, request: Any, make: Callable[[Any], msgspec.Struct]) -> Any:
        try:
            check_names([name for name, _ in request.query.items()], ("offset", "limit"))
            page = page_of(request.query)
        except ParameterError as why:
            return self._refuse(why)
        return self._send(request, self._answer(None, make(page)))

    async def _openapi(self, request: Any) -> Any:
        if self._document is None:
            self._document = self._answer(None, document())
        return self._send(request, self._document, OPENAPI_TYPE)

    # --- answers ---

    def _answer(self, basis: object, value: object) -> Answer:
        self.encoded += 1
        body = self._encode(value)
        return Answer(basis, body, hashlib.blake2b(body, digest_size=ETAG_BYTES).hexdigest())

    def _keep(self, key: tuple[str, str], answer: Answer) -> Answer:
        self._kept.pop(key, None)
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = answer
        return answer

    def _send(self, request: Any, answer: Answer, content_type: str = "application/json") -> Any:
        headers = HEADERS | {"ETag": f'"{answer.etag}"'}
        if is_unchanged(request.headers.get("If-None-Match", ""), answer.etag):
            return self._web.Response(status=304, headers=headers)
        return self._web.Response(body=answer.body, content_type=content_type, headers=headers)

    def _refuse(self, why: ParameterError) -> Any:
        return problem(self._web, 400, why.field, why.value, why.rule, why.remedy)

    def _reports(self) -> Mapping[str, object]:
        return self._engine.metrics.newest.get("traffic", {})

    def _valid_advisories(self, place: IntersectionState) -> object:
        """Return the newest plan, and what of its advisories has not ended yet."""
        return Identity(place.latest), tuple(row.id for row in place.advisory_filter.valid(self._clock.now()))

    def _report(self, place: IntersectionState) -> object:
        return Identity(self._reports().get(place.code.code.id))


class Identity:
    """A thing that equals itself only: worlds and reports are compared by which they are, not by what is in them."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self._thing is other._thing

    __hash__ = None  # type: ignore[assignment]


def _newest_plan(place: IntersectionState) -> object:
    return Identity(place.latest)


def _plan_and_code(place: IntersectionState) -> object:
    return Identity(place.latest), Identity(place.code), place.in_force
