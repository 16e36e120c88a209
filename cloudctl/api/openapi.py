"""The OpenAPI 3.1 document of live state, metrics and health. Schemas are made from the types that the answers are
encoded from, so that the document cannot differ from them.
"""

from typing import Any, NamedTuple

import msgspec

from .. import __version__
from ..io.http_answers import PROBLEM_TYPE, Problem
from ..telemetry.families import By
from ..telemetry.readiness import HealthReport, ReadyReport
from .pages import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from .schema import (
    AdvisoryList,
    GatewayList,
    IntersectionList,
    IntersectionRow,
    SensorList,
    SignalList,
    TrackList,
    TrafficReport,
)

JSON = "application/json"
METRICS_TYPES = ("application/openmetrics-text", "text/plain")


class Parameter(NamedTuple):
    """A parameter of a request."""

    name: str
    where: str  # "path" or "query"
    text: str
    schema: dict[str, Any]


class Operation(NamedTuple):
    """One GET request."""

    path: str
    summary: str
    answer: Any  # a type; None: text
    parameters: tuple[Parameter, ...] = ()
    statuses: tuple[int, ...] = ()  # of problems, besides those that every request may meet
    is_conditional: bool = False  # whether an ETag is sent, and If-None-Match answered with 304
    is_public: bool = False  # whether it needs no token
    failing: Any = None  # the type that comes with status 503


INTERSECTION = Parameter("id", "path", "city code of the intersection", {"type": "string", "minLength": 1})
OFFSET = Parameter(
    "offset",
    "query",
    "how many are left out before",
    {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
)
LIMIT = Parameter(
    "limit",
    "query",
    "how many at the most",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
GROUPING = Parameter(
    "by", "query", "what counters are summed over", {"enum": [by.value for by in By], "default": By.TOTAL.value}
)


def live(path: str, summary: str, answer: Any) -> Operation:
    """Return an operation on one intersection."""
    return Operation(path, summary, answer, (INTERSECTION,), (400, 404), is_conditional=True)


OPERATIONS = (
    Operation("/intersections", "Intersections at a glance", IntersectionList, (OFFSET, LIMIT), (400,), True),
    live("/intersections/{id}", "One intersection at a glance", IntersectionRow),
    live("/intersections/{id}/tracks", "Road users at the newest plan", TrackList),
    live("/intersections/{id}/signals", "Signal states at the newest plan", SignalList),
    live("/intersections/{id}/traffic", "The newest traffic report", TrafficReport),
    live("/intersections/{id}/advisories", "Advisories that are valid", AdvisoryList),
    live("/intersections/{id}/sensors", "Sensors: rate, age, bias", SensorList),
    Operation("/gateways", "Gateways that may connect", GatewayList, (OFFSET, LIMIT), (400,), True),
    Operation("/metrics", "Metrics for Prometheus", None, (GROUPING,), (400,)),
    Operation("/health", "Whether the event loop turns", HealthReport, is_public=True, failing=HealthReport),
    Operation("/ready", "Whether the node can do its work", ReadyReport, is_public=True, failing=ReadyReport),
)

DESCRIPTION = (
    "Read-only. What a node knows and says now, as of each intersection's newest plan (ten times a second while there "
    "is input). Times are ns since 1970-01-01 UTC, distances m, speeds m/s, angles rad counter-clockwise from east, "
    "positions degrees (WGS-84 / CGCS2000) or m east and north of the intersection's origin. null: not known. Digital "
    "codes are under /codes (docs/codes.md), the live page under /view (docs/view.md)."
)


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    answers = [kind for operation in OPERATIONS for kind in (operation.answer, operation.failing) if kind is not None]
    types = list(dict.fromkeys([*answers, Problem]))
    references, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    reference = dict(zip(types, references, strict=True))

    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cloudctl node",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": {operation.path: {"get": _operation(operation, reference)} for operation in OPERATIONS},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "[http] token of the node's file"}
            },
        },
    }


def _operation(operation: Operation, reference: dict[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": _answer(operation, reference)}
    if operation.is_conditional:
        responses["304"] = {"description": "It is as it was when the ETag of If-None-Match was sent."}

    if operation.failing is not None:
        responses["503"] = {
            "description": "It is not.",
            "content": {JSON: {"schema": reference[operation.failing]}},
        }

    for status in (*operation.statuses, *(() if operation.is_public else (401,)), 429):
        responses[str(status)] = {
            "description": PROBLEMS[status],
            "content": {PROBLEM_TYPE: {"schema": reference[Problem]}},
        }

    found = {
        "operationId": operation.path.strip("/").replace("/{id}", "_of").replace("/", "_"),
        "summary": operation.summary,
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": responses,
    }
    return found | ({"security": []} if operation.is_public else {})


PROBLEMS = {
    400: "A parameter that cannot be used.",
    401: "The token is missing or wrong.",
    404: "No such intersection here.",
    429: "Too many requests of one address.",
}


def _answer(operation: Operation, reference: dict[Any, Any]) -> dict[str, Any]:
    if operation.answer is None:
        content = {kind: {"schema": {"type": "string"}} for kind in METRICS_TYPES}
    else:
        content = {JSON: {"schema": reference[operation.answer]}}

    answer: dict[str, Any] = {"description": operation.summary + ".", "content": content}
    if operation.is_conditional:
        answer["headers"] = {
            "ETag": {"description": "Of this very answer.", "schema": {"type": "string"}},
            "Cache-Control": {
                "description": "private, no-cache: ask again with If-None-Match.",
                "schema": {"type": "string"},
            },
        }

    return answer


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.text,
        "schema": parameter.schema,
    }
