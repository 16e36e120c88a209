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

# Fields of rules and calendars that narrow a rule: a reader that passed over one would ban every vehicle, so a code
# that
# uses one is of format 2
FORMAT_2_DEFAULTS: dict[str, object] = {
    "date_ranges": (),
    "month_days": (),
    "make_up": "as_weekday",
    "plates": (),
    "fuels": (),
    "except_fuels": (),
}
# Fields that the model has got since codes were first issued, and their defaults
LATER_DEFAULTS: dict[str, object] = {
    "signal_exceptions": (),
    **FORMAT_2_DEFAULTS,
}
# bytes a compact form may grow to: a small message cannot fill the memory
MAX_COMPACT_BYTES = 4 * 1024 * 1024


def format_of(rules: Iterable[Rule]) -> int:
    """Return the format of a code with these rules: 2 where one of them uses what a reader of format 1 would pass
    over."""
    parts: list[Rule | Calendar] = [part for rule in rules for part in (rule, rule.calendar) if part is not None]
    uses_format_2 = any(
        getattr(part, field, default) != default for part in parts for field, default in FORMAT_2_DEFAULTS.items()
    )
    return 2 if uses_format_2 else 1


def dump(code: IntersectionCode) -> bytes:
    """Return canonical JSON, as RFC 8785 writes this model: keys sorted, no spaces, shortest numbers (20.0 is 20).

    A field of `LATER` is left out where it has its default: the hash of a code that does not use it is the one it was
    issued with."""
    return msgspec.json.encode(_canonical(tree_of(code)), order="sorted")


def tree_of(code: IntersectionCode) -> dict[str, Any]:
    """Return a code as plain data, without the fields of `LATER` that have their default: readers of before know no
    such key, and refuse it."""
    tree: dict[str, Any] = msgspec.to_builtins(code)
    tree["rules"] = [
        _without_defaults(rule) | ({"calendar": _without_defaults(rule["calendar"])} if rule["calendar"] else {})
        for rule in tree["rules"]
    ]
    return _without_defaults(tree)


def _without_defaults(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in row.items()
        if key not in LATER_DEFAULTS or (value or ()) != (LATER_DEFAULTS[key] or ())
    }


def content_hash(code: IntersectionCode) -> str:
    """Return the SHA-256 (hex) of the canonical JSON."""
    return hashlib.sha256(dump(code)).hexdigest()


def parse(data: bytes, where: str) -> IntersectionCode:
    """Return a code from JSON, checked for its keys and types only. Raises CodeError naming every key that is unknown,
    missing or mistyped."""
    return read_json(without_mark(data), IntersectionCode, where, FORMATS, _left_out)


def _left_out(code: IntersectionCode) -> int:
    """Return how many fields of `LATER` the canonical form of a code leaves out."""
    owners = [code, *code.rules, *(rule.calendar for rule in code.rules if rule.calendar is not None)]
    return sum(getattr(owner, field, None) == default for owner in owners for field, default in LATER_DEFAULTS.items())


def compact(code: IntersectionCode) -> bytes:
    """Return the form that is published retained: points as steps from the one before, structs as arrays, deflated."""
    steps: list[list[int]] = []

    def to_steps(points: list[list[int]]) -> int:
        previous = [code.ref_lat_e7, code.ref_lon_e7]
        for point in points:
            steps.append([point[0] - previous[0], point[1] - previous[1]])
            previous = point
        return len(points)

    tree = _map_lines(tree_of(code), to_steps)
    return b"C1" + zlib.compress(
        msgspec.msgpack.encode([tree, [step[0] for step in steps], [step[1] for step in steps]]), 9
    )


def from_compact(data: bytes) -> IntersectionCode:
    """Return a code from its compact form. Raises CodeError."""
    try:
        if data[:2] != b"C1":
            raise ValueError("does not begin with C1")

        inflater = zlib.decompressobj()
        unpacked = inflater.decompress(data[2:], MAX_COMPACT_BYTES)
        if not inflater.eof:
            raise ValueError("is cut off, or grows too large")

        tree, lat, lon = msgspec.msgpack.decode(unpacked)
        steps = iter(zip(lat, lon, strict=True))
        reference = [tree["ref_lat_e7"], tree["ref_lon_e7"]]

        def to_points(count: int) -> list[Point]:
            previous, points = reference, []
            for _ in range(count):
                step = next(steps)
                previous = [previous[0] + step[0], previous[1] + step[1]]
                points.append((previous[0], previous[1]))
            return points

        restored = _map_lines(tree, to_points)
    except (zlib.error, msgspec.DecodeError, ValueError, TypeError, KeyError, StopIteration, RuntimeError) as error:
        raise refuse(
            where="compact code",
            entity="code",
            field="bytes",
            value=f"{len(data)} bytes",
            rule=f"is not a compact code ({error})",
            remedy="fetch it anew",
        ) from None

    return convert(restored, IntersectionCode, "compact code", FORMATS)


def _canonical(tree: Any) -> Any:
    # Plain data, so that types are these themselves: a node hashes hundreds of codes when it starts.
    kind = type(tree)
    if kind is float:
        return int(tree) if tree.is_integer() else tree
    if kind is dict:
        return {key: value if key in LINE_FIELDS else _canonical(value) for key, value in tree.items()}
    if kind is list or kind is tuple:
        return tree if tree and isinstance(tree[0], int) else [_canonical(value) for value in tree]

    return tree


LINE_FIELDS = frozenset(("points", "axis", "polygon"))


def _map_lines(tree: Any, convert_line: Any) -> Any:
    if isinstance(tree, dict):
        return {
            key: convert_line(value) if key in LINE_FIELDS else _map_lines(value, convert_line)
            for key, value in tree.items()
        }

    if isinstance(tree, list | tuple):
        return [_map_lines(value, convert_line) for value in tree]

    return tree
