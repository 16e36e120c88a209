"""What every answer over HTTP has in common: problems as RFC 9457 says, and conditional requests. Knows no web server:
its module is handed in.
"""

import http
from typing import Annotated, Any

import msgspec

PROBLEM_TYPE = "application/problem+json"
MAX_VALUE = 80  # characters of what was asked that a problem repeats


class Problem(msgspec.Struct, frozen=True):
    """Why a request is not answered: RFC 9457 (`title`, `status`, `detail`), and what a program needs to react."""

    title: str  # of the status: "Not Found"
    status: Annotated[int, msgspec.Meta(description="of HTTP")]
    detail: str  # the whole in one sentence, for people
    field: str  # of the request
    value: str
    rule: str
    remedy: str
    type: str = "about:blank"


def problem(
    web: Any, status: int, field: str, value: object, rule: str, remedy: str, headers: dict[str, str] | None = None
) -> Any:
    """Return the answer to a request that cannot be met. `web` is `aiohttp.web`."""
    text = str(value)[:MAX_VALUE]
    title = http.HTTPStatus(status).phrase
    row = Problem(title, status, f"{field} = {text}: {rule}. {remedy}", field, text, rule, remedy)

    return web.Response(
        status=status,
        body=msgspec.json.encode(row),
        content_type=PROBLEM_TYPE,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | (headers or {}),
    )


def is_unchanged(if_none_match: str, etag: str) -> bool:
    """Return whether an `If-None-Match` header ("" where there is none) names an ETag, given without its quotes: the
    weak comparison of RFC 9110.
    """
    if if_none_match.strip() == "*":
        return True
    return etag in {tag.strip().removeprefix("W/").strip('"') for tag in if_none_match.split(",")}
