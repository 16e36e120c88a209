"""Strict reading of JSON into structs: every unknown, missing, repeated or mistyped key is a finding with its path and
the nearest key.

The structs forbid unknown fields, so msgspec refuses them by itself. It stops at the first and does not name the
element of a list; only where it refuses, the tree is walked beside the types to name every fault."""

import codecs
import difflib
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from ..validation import UNDECODABLE, join, violation_of
from .findings import CodeError, Finding, Severity, refuse

T = TypeVar("T", bound=Struct)
MAX_FINDINGS = 100  # of one document; a file of another kind altogether would name each of its keys
# What people write for what is spelt otherwise
SYNONYMS = {
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
}
# By which a key that is missing from an object may be less like what was written than one that is there
ABSENT_KEY_BONUS = 0.2
# As Python and JavaScript write what is no number
NON_JSON_NUMBER = re.compile(rb"[:\[,]\s*([-+]?(?:NaN|nan|Infinity|inf))\b")


def read_file(path: Path, remedy: str) -> bytes:
    """Return what a file holds. Raises CodeError, with what makes such a file, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise refuse(
            where=str(path),
            entity="file",
            field="path",
            value=path,
            rule=error.strerror or "cannot be read",
            remedy=remedy,
        ) from None


def read_json(
    data: bytes, kind: type[T], where: str, formats: tuple[int, ...], left_out: Callable[[T], int] = lambda _: 0
) -> T:
    """Return the struct that JSON holds, whose `format` is one of `formats`. Raises CodeError with every fault.

    `left_out` is how many keys the canonical form of a value omits: text with just as many keys as that has none twice,
    and need not be looked at again."""
    data = data.removeprefix(codecs.BOM_UTF8)  # Windows editors write it before text
    try:
        value = msgspec.json.decode(data, type=kind)
        if getattr(value, "format", formats[0]) in formats and data.count(b":") == msgspec.json.encode(value).count(
            b":"
        ) - left_out(value):
            return value
        tree = msgspec.json.decode(data)
    except UNDECODABLE:
        tree = _tree(data, where)

    # Fewer keys were read than are written
    if data.count(b":") != msgspec.json.encode(tree).count(b":"):
        repeated = list(islice(_repeated_keys(data), MAX_FINDINGS))
        if repeated:
            raise CodeError(where, repeated)

    return convert(tree, kind, where, formats)


def _tree(data: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except UNDECODABLE as error:
        remedy = "correct it; JSON has no comments, and no comma at an end"
        if (literal := NON_JSON_NUMBER.search(data)) is not None:
            remedy = f"{literal[1].decode()} is no number of JSON: give a number, or leave the field out"

        raise CodeError(
            where,
            [
                Finding(
                    entity="file",
                    field="content",
                    value=str(error),
                    rule="must be JSON",
                    severity=Severity.ERROR,
                    remedy=remedy,
                )
            ],
        ) from None


def convert(tree: Any, kind: type[T], where: str, formats: tuple[int, ...]) -> T:
    """Return the struct that plain data holds. Raises CodeError with every fault."""
    if (
        isinstance(tree, dict)
        and isinstance(tree.get("format", formats[0]), int)
        and tree.get("format", formats[0]) not in formats
    ):
        known_formats = " and ".join(map(str, formats))
        raise CodeError(
            where,
            [
                Finding(
                    entity="code",
                    field="format",
                    value=str(tree["format"]),
                    rule=f"this reader knows format {known_formats}",
                    severity=Severity.ERROR,
                    remedy="update the reader, or export it anew",
                )
            ],
        )

    try:
        return msgspec.convert(tree, kind)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        faults = list(islice(_walk(tree, kind, "", "code"), MAX_FINDINGS))
        raise CodeError(where, faults or [_type_finding(error)]) from None


def _type_finding(error: Exception) -> Finding:
    violation = violation_of(error)
    return Finding(
        entity="code",
        field=violation.field or "file",
        value=violation.rule,
        rule="must be of the type docs/codes.md gives",
        severity=Severity.ERROR,
        remedy="correct it, or import the code anew",
    )


def _walk(node: Any, kind: Any, path: str, entity: str) -> Iterator[Finding]:
    """Yield the faults of a tree beside the type it is to be of. `entity` is the id of the innermost entity around
    it."""
    struct_type = _struct_of(kind)
    if struct_type is None or (node is None and type(None) in get_args(kind)):
        yield from _plain_value(node, kind, path, entity)
    elif get_origin(kind) is tuple:
        if not isinstance(node, list | tuple):
            yield _mistyped(node, "must be a list", path, entity)
            return
        for index, element in enumerate(node):
            yield from _walk(element, struct_type, f"{path}[{index}]", entity)
    elif not isinstance(node, dict):
        yield _mistyped(node, "must be an object, {...}", path or "file", entity)
    else:
        yield from _object(node, struct_type, path, str(node.get("id", entity)) if path else entity)


def _object(node: dict[Any, Any], kind: type[Struct], path: str, entity: str) -> Iterator[Finding]:
    hints, fields = get_type_hints(kind), {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in node:
        if key not in fields:
            missing_keys = [name for name in fields if name not in node]
            if owner := next(
                (
                    name
                    for name, type_hint in hints.items()
                    if get_origin(type_hint) is not tuple
                    and (part := _struct_of(type_hint))
                    and key in part.__struct_fields__
                ),
                None,
            ):
                yield Finding(
                    entity=entity,
                    field=_joined_path(path, str(key)),
                    value=str(key),
                    rule=f"belongs into `{owner}`",
                    severity=Severity.ERROR,
                    remedy=f'write it as "{owner}": {{"{key}": ...}}',
                )

                continue

            yield _unknown_key(str(key), missing_keys, list(fields), _joined_path(path, str(key)), entity)

    for name, field in fields.items():
        if name in node:
            yield from _walk(node[name], hints[field.name], _joined_path(path, name), entity)
        elif field.required:
            yield Finding(
                entity=entity,
                field=_joined_path(path, name),
                value="missing",
                rule="is required",
                severity=Severity.ERROR,
                remedy="add it; docs/codes.md explains a whole code",
            )


def _unknown_key(key: str, missing_keys: list[str], known_keys: list[str], path: str, entity: str) -> Finding:
    return Finding(
        entity=entity,
        field=path,
        value=key,
        rule="is no key that is known here",
        severity=Severity.ERROR,
        remedy=f"did you mean {nearest(key, known_keys, missing_keys)!r}? Known here: {', '.join(known_keys)}",
    )


def nearest(key: str, known_keys: list[str], missing_keys: list[str]) -> str:
    """Return the known key that is written most like `key`; rather one that is absent."""
    meant = SYNONYMS.get(key.lower(), key)

    def likeness(name: str) -> tuple[float, float]:
        ratio = difflib.SequenceMatcher(None, _comparable(name), _comparable(meant)).ratio()
        return ratio + ABSENT_KEY_BONUS * (name in missing_keys), difflib.SequenceMatcher(None, name, meant).ratio()

    return max(known_keys, key=likeness)


def _comparable(key: str) -> str:
    """Return a key in the form in which spellings are compared: `widthCm` or `WIDTH-CM` for `width_cm`."""
    return "".join(letter for letter in key.lower() if letter.isalnum())


def _plain_value(node: Any, kind: Any, path: str, entity: str) -> Iterator[Finding]:
    try:
        msgspec.convert(node, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        violation = violation_of(error)
        rule = violation.rule[:1].lower() + violation.rule[1:]
        yield _mistyped(node, rule, join(path, violation.field), entity)


def _mistyped(node: Any, rule: str, path: str, entity: str) -> Finding:
    return Finding(
        entity=entity,
        field=path,
        value=repr(node)[:60],
        rule=rule,
        severity=Severity.ERROR,
        remedy="must be of the type docs/codes.md gives: correct it, or import the code anew",
    )


def _joined_path(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _struct_of(kind: Any) -> type[Struct] | None:
    """Return the struct that a type is, is a list of, or may be; None for plain values and lists of them."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind

    args = get_args(kind)
    if get_origin(kind) is tuple and args[-1] is not Ellipsis:
        return None
    if get_origin(kind) is tuple or isinstance(kind, UnionType):
        return next((struct_type for arg in args if (struct_type := _struct_of(arg)) is not None), None)

    return None


# --- keys that stand twice: JSON takes the last one without a word ---


def _repeated_keys(data: bytes) -> Iterator[Finding]:
    repeated: list[tuple[str, str]] = []

    def record_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            names = [key for key, _ in pairs]
            repeated.extend((str(table.get("id", "code")), key) for key in table if names.count(key) > 1)
        return table

    json.loads(data, object_pairs_hook=record_repeated)
    for entity, key in repeated:
        yield Finding(
            entity=entity,
            field=key,
            value=key,
            rule="stands twice in one object, and only the last one would count",
            severity=Severity.ERROR,
            remedy="keep one of them",
        )
