"""Strict reading of JSON into structs: every unknown, missing, repeated or mistyped key is a finding with its path and the nearest key.

The structs forbid unknown fields, so msgspec refuses them by itself. It stops at the first and does not say in which element of a list; only
where it refuses, the tree is walked beside the types to name every fault.
"""

import codecs
import difflib
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from .findings import CodeError, Finding

T = TypeVar("T", bound=Struct)
MAX_FINDINGS = 100  # of one document; a file of another kind altogether would name each of its keys
MEANT = {
    "s0": "s_from",
    "s1": "s_to",
    "from": "s_from",
    "to": "s_to",
    "start": "valid_from",
    "end": "valid_to",
    "limit": "value",
    "vehicles": "classes",
    "days": "weekdays",
    "hours": "minutes",
    "times": "minutes",
    "timezone": "tz",
}  # what people write for what is spelt otherwise
ABSENT = 0.2  # by which a key that is missing from an object may be less like what was written than one that is there
NO_NUMBER = re.compile(
    rb"[:\[,]\s*([-+]?(?:NaN|nan|Infinity|inf))\b"
)  # as Python and JavaScript write what is no number
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_json(
    data: bytes, kind: type[T], where: str, formats: tuple[int, ...], left_out: Callable[[T], int] = lambda _: 0
) -> T:
    """Return the struct that JSON holds, whose `format` is one of `formats`. Raises CodeError with every fault.

    `left_out` is how many keys the canonical form of a value omits: text with just as many keys as that has none twice, and need not be looked at again.
    """
    data = data.removeprefix(codecs.BOM_UTF8)  # Windows editors write it before text
    try:
        value = msgspec.json.decode(data, type=kind)
        if getattr(value, "format", formats[0]) in formats and data.count(b":") == msgspec.json.encode(value).count(
            b":"
        ) - left_out(value):
            return value
        tree = msgspec.json.decode(data)
    except UNREADABLE:
        tree = _tree(data, where)
    if data.count(b":") != msgspec.json.encode(tree).count(b":"):  # fewer keys were read than are written
        repeated = list(islice(_repeated(data), MAX_FINDINGS))
        if repeated:
            raise CodeError(where, repeated)
    return convert(tree, kind, where, formats)


def _tree(data: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except UNREADABLE as error:
        remedy = "correct it; JSON has no comments, and no comma at an end"
        if (word := NO_NUMBER.search(data)) is not None:
            remedy = f"{word[1].decode()} is no number of JSON: give a number, or leave the field out"
        raise CodeError(where, [Finding("file", "content", str(error), "must be JSON", "error", remedy)]) from None


def convert(tree: Any, kind: type[T], where: str, formats: tuple[int, ...]) -> T:
    """Return the struct that plain data holds. Raises CodeError with every fault."""
    if (
        isinstance(tree, dict)
        and isinstance(tree.get("format", formats[0]), int)
        and tree.get("format", formats[0]) not in formats
    ):
        known = " and ".join(map(str, formats))
        raise CodeError(
            where,
            [
                Finding(
                    "code",
                    "format",
                    str(tree["format"]),
                    f"this reader knows format {known}",
                    "error",
                    "update the reader, or export it anew",
                )
            ],
        )
    try:
        return msgspec.convert(tree, kind)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        faults = list(islice(_walk(tree, kind, "", "code"), MAX_FINDINGS))
        raise CodeError(where, faults or [_typed(str(error))]) from None


def _typed(text: str) -> Finding:
    message, _, path = text.partition(" - at `$")
    return Finding(
        "code",
        path.rstrip("`").lstrip(".") or "file",
        message,
        "must be of the type docs/codes.md gives",
        "error",
        "correct it, or import the code anew",
    )


def _walk(node: Any, kind: Any, path: str, entity: str) -> Iterator[Finding]:
    """Yield the faults of a tree beside the type it is to be of. `entity` is the id of the innermost entity around it."""
    inner = _struct_of(kind)
    if inner is None or (node is None and type(None) in get_args(kind)):
        yield from _leaf(node, kind, path, entity)
    elif get_origin(kind) is tuple:
        if not isinstance(node, list | tuple):
            yield _wrong(node, "must be a list", path, entity)
            return
        for k, item in enumerate(node):
            yield from _walk(item, inner, f"{path}[{k}]", entity)
    elif not isinstance(node, dict):
        yield _wrong(node, "must be an object, {...}", path or "file", entity)
    else:
        yield from _object(node, inner, path, str(node.get("id", entity)) if path else entity)


def _object(node: dict[Any, Any], kind: type[Struct], path: str, entity: str) -> Iterator[Finding]:
    hints, fields = get_type_hints(kind), {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in node:
        if key not in fields:
            absent = [name for name in fields if name not in node]
            if owner := next(
                (
                    name
                    for name, hint in hints.items()
                    if get_origin(hint) is not tuple and (part := _struct_of(hint)) and key in part.__struct_fields__
                ),
                None,
            ):
                yield Finding(
                    entity,
                    _at(path, str(key)),
                    str(key),
                    f"belongs into `{owner}`",
                    "error",
                    f'write it as "{owner}": {{"{key}": ...}}',
                )
                continue
            yield _unknown(str(key), absent, list(fields), _at(path, str(key)), entity)
    for name, field in fields.items():
        if name in node:
            yield from _walk(node[name], hints[field.name], _at(path, name), entity)
        elif field.required:
            yield Finding(
                entity,
                _at(path, name),
                "missing",
                "is required",
                "error",
                "add it; docs/codes.md explains a whole code",
            )


def _unknown(key: str, absent: list[str], known: list[str], path: str, entity: str) -> Finding:
    return Finding(
        entity,
        path,
        key,
        "is no key that is known here",
        "error",
        f"did you mean {nearest(key, known, absent)!r}? Known here: {', '.join(known)}",
    )


def nearest(key: str, known: list[str], absent: list[str]) -> str:
    """Return the known key that is written most like `key`; rather one that is absent."""
    meant = MEANT.get(key.lower(), key)

    def likeness(name: str) -> tuple[float, float]:
        ratio = difflib.SequenceMatcher(None, _plain(name), _plain(meant)).ratio()
        return ratio + ABSENT * (name in absent), difflib.SequenceMatcher(None, name, meant).ratio()

    return max(known, key=likeness)


def _plain(key: str) -> str:
    """Return a key as those compare who write `widthCm` or `WIDTH-CM` for `width_cm`."""
    return "".join(letter for letter in key.lower() if letter.isalnum())


def _leaf(node: Any, kind: Any, path: str, entity: str) -> Iterator[Finding]:
    try:
        msgspec.convert(node, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        message, _, inner = str(error).partition(" - at `$")
        yield _wrong(node, message[:1].lower() + message[1:], path + inner.rstrip("`"), entity)


def _wrong(node: Any, rule: str, path: str, entity: str) -> Finding:
    return Finding(
        entity,
        path,
        repr(node)[:60],
        rule,
        "error",
        "must be of the type docs/codes.md gives: correct it, or import the code anew",
    )


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _struct_of(kind: Any) -> type[Struct] | None:
    """Return the struct that a type is, is a list of, or may be; None for plain values and lists of them."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind
    args = get_args(kind)
    if get_origin(kind) is tuple and args[-1] is not Ellipsis:
        return None
    if get_origin(kind) is tuple or isinstance(kind, UnionType):
        return next((inner for arg in args if (inner := _struct_of(arg)) is not None), None)
    return None


# --- keys that stand twice: JSON takes the last one without a word ---


def _repeated(data: bytes) -> Iterator[Finding]:
    found: list[tuple[str, str]] = []

    def watch(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            names = [key for key, _ in pairs]
            found.extend((str(table.get("id", "code")), key) for key in table if names.count(key) > 1)
        return table

    json.loads(data, object_pairs_hook=watch)
    for entity, key in found:
        yield Finding(
            entity,
            key,
            key,
            "stands twice in one object, and only the last one would count",
            "error",
            "keep one of them",
        )
