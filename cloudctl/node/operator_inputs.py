"""What the operator changes, and what nodes settle among themselves, as inputs of the engine: recorded, and
replayed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from .. import codes
from ..ownership_messages import AddIntersection, DropIntersection
from ..schema import RawMessage
from ..topics import OPERATOR


def operator_input(kind: str, body: msgspec.Struct) -> RawMessage:
    """Return an input of a kind."""
    return RawMessage(kind, OPERATOR, msgspec.json.encode(body))


def add_input(name: str, revisions: Sequence[codes.IntersectionCode], **more: Any) -> RawMessage:
    """Return the input by which an engine serves an intersection from a step on; `more`: of `AddIntersection`."""
    raw = tuple(msgspec.Raw(codes.dump(code)) for code in revisions)
    return operator_input("add", AddIntersection(intersection=name, revisions=raw, **more))


def drop_input(name: str) -> RawMessage:
    """Return the input by which an engine serves an intersection no longer."""
    return operator_input("drop", DropIntersection(name))
