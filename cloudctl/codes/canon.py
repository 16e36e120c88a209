"""A code as bytes: canonical JSON and its SHA-256, and the compact form that is published retained."""

import hashlib
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from .byte_order_mark import without_mark
from .findings import refuse
from .model import FORMATS, IntersectionCode, Point
from .rule import Calendar, Rule
from .strict_json import convert, read_json

OF_FORMAT_2: dict[str, object] = {
    "date_ranges": (),
    "month_days": (),
    "make_up": "as_weekday",
    "plates": (),
    "fuels": (),
    "except_fuels": (),
}  # fields of rules and calendars that narrow a rule: a reader that passed over one would ban everybody, so a code that uses one is of format 2
LATER: dict[str, object] = {
    "signal_exceptions": (),
    **OF_FORMAT_2,
}  # fields that the model has got since codes were first issued, and their defaults
MAX_COMPACT = 4 * 1024 * 1024  # bytes a compact form may grow to: a small message cannot fill the memory


def format_of(rules: Iterable[Rule]) -> int:
    """Return the format of a code with these rules: 2 where one of them uses what a reader of format 1 would pass over."""
    parts: list[Rule | Calendar] = [part for rule in rules for part in (rule, rule.calendar) if part is not None]
    later = any(getattr(part, field, default) != default for part in parts for field, default in OF_FORMAT_2.items())
    return 2 if later else 1


def dump(code: IntersectionCode) -> bytes:
    """Return canonical JSON, as RFC 8785 writes this model: keys sorted, no spaces, shortest numbers (20.0 is 20).

    A field of `LATER` is left out where it has its default: the hash of a code that does not use it is the one it was issued with.
    """
    return msgspec.json.encode(_plain(tree_of(code)), order="sorted")


def tree_of(code: IntersectionCode) -> dict[str, Any]:
    """Return a code as plain data, without the fields of `LATER` that have their default: readers of before know no such key, and refuse it."""
    tree: dict[str, Any] = msgspec.to_builtins(code)
    tree["rules"] = [
        _spared(rule) | ({"calendar": _spared(rule["calendar"])} if rule["calendar"] else {}) for rule in tree["rules"]
    ]
    return _spared(tree)


def _spared(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in LATER or (value or ()) != (LATER[key] or ())}


def content_hash(code: IntersectionCode) -> str:
    """Return the SHA-256 (hex) of the canonical JSON."""
    return hashlib.sha256(dump(code)).hexdigest()


def parse(data: bytes, where: str) -> IntersectionCode:
    """Return a code from JSON, checked for its keys and types only. Raises CodeError naming every key that is unknown, missing or mistyped."""
    return read_json(without_mark(data), IntersectionCode, where, FORMATS, _left_out)


def _left_out(code: IntersectionCode) -> int:
    """Return how many fields of `LATER` the canonical form of a code leaves out."""
    owners = [code, *code.rules, *(rule.calendar for rule in code.rules if rule.calendar is not None)]
    return sum(getattr(owner, field, None) == default for owner in owners for field, default in LATER.items())


def compact(code: IntersectionCode) -> bytes:
    """Return the form that is published retained: points as steps from the one before, structs as arrays, deflated."""
    steps: list[list[int]] = []

    def take(points: list[list[int]]) -> int:
        here = [code.ref_lat_e7, code.ref_lon_e7]
        for point in points:
            steps.append([point[0] - here[0], point[1] - here[1]])
            here = point
        return len(points)

    tree = _walk(tree_of(code), take)
    return b"C1" + zlib.compress(msgspec.msgpack.encode([tree, [p[0] for p in steps], [p[1] for p in steps]]), 9)


def from_compact(data: bytes) -> IntersectionCode:
    """Return a code from its compact form. Raises CodeError."""
    try:
        if data[:2] != b"C1":
            raise ValueError("does not begin with C1")
        whole = zlib.decompressobj()
        raw = whole.decompress(data[2:], MAX_COMPACT)
        if not whole.eof:
            raise ValueError("is cut off, or grows too large")
        tree, lat, lon = msgspec.msgpack.decode(raw)
        steps = iter(zip(lat, lon, strict=True))
        ref = [tree["ref_lat_e7"], tree["ref_lon_e7"]]

        def give(count: int) -> list[Point]:
            here, out = ref, []
            for _ in range(count):
                step = next(steps)
                here = [here[0] + step[0], here[1] + step[1]]
                out.append((here[0], here[1]))
            return out

        whole_tree = _walk(tree, give)
    except (zlib.error, msgspec.DecodeError, ValueError, TypeError, KeyError, StopIteration, RuntimeError) as error:
        raise refuse(
            "compact code", "code", "bytes", f"{len(data)} bytes", f"is not a compact code ({error})", "fetch it anew"
        ) from None
    return convert(whole_tree, IntersectionCode, "compact code", FORMATS)


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: value if key in LINES else _plain(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return tree if tree and isinstance(tree[0], int) else [_plain(value) for value in tree]
    return int(tree) if isinstance(tree, float) and tree.is_integer() else tree


LINES = frozenset(("points", "axis", "polygon"))


def _walk(tree: Any, on_line: Any) -> Any:
    if isinstance(tree, dict):
        return {key: on_line(value) if key in LINES else _walk(value, on_line) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_walk(value, on_line) for value in tree]
    return tree
