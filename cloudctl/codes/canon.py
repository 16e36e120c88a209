"""A code as bytes: canonical JSON and its SHA-256, and the compact form that is published retained."""

import hashlib
import zlib
from typing import Any

import msgspec

from .findings import CodeError, refuse
from .marks import without_mark
from .model import FORMAT, IntersectionCode, Point

LATER = frozenset(("signal_exceptions",))  # fields that the model has got since codes were first issued
MAX_COMPACT = 4 * 1024 * 1024  # bytes a compact form may grow to: a small message cannot fill the memory


def dump(code: IntersectionCode) -> bytes:
    """Return canonical JSON, as RFC 8785 writes this model: keys sorted, no spaces, shortest numbers (20.0 is 20).

    A field of `LATER` is left out where it is empty: the hash of a code that does not use it is the one it was issued with.
    """
    tree = msgspec.to_builtins(code)
    return msgspec.json.encode(_plain({key: value for key, value in tree.items() if value or key not in LATER}), order="sorted")


def content_hash(code: IntersectionCode) -> str:
    """Return the SHA-256 (hex) of the canonical JSON."""
    return hashlib.sha256(dump(code)).hexdigest()


def parse(data: bytes, where: str) -> IntersectionCode:
    """Return a code from JSON, checked for its types only. Raises CodeError naming the field."""
    try:
        code = msgspec.json.decode(without_mark(data), type=IntersectionCode)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _typed(where, error) from None
    return _known(code, where)


def _known(code: IntersectionCode, where: str) -> IntersectionCode:
    if code.format != FORMAT:
        raise refuse(
            where,
            "code",
            "format",
            code.format,
            f"this reader knows format {FORMAT}",
            "update the reader, or export the code anew",
        )
    return code


def _typed(where: str, error: Exception) -> CodeError:
    message, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".") or "file"
    return refuse(
        where, "code", field, message, "must be of the type docs/codes.md gives", "correct it, or import the code anew"
    )


def compact(code: IntersectionCode) -> bytes:
    """Return the form that is published retained: points as steps from the one before, structs as arrays, deflated."""
    steps: list[list[int]] = []

    def take(points: list[list[int]]) -> int:
        here = [code.ref_lat_e7, code.ref_lon_e7]
        for point in points:
            steps.append([point[0] - here[0], point[1] - here[1]])
            here = point
        return len(points)

    tree = _walk(msgspec.to_builtins(code), take)
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

        code = msgspec.convert(_walk(tree, give), IntersectionCode)
    except (zlib.error, msgspec.DecodeError, ValueError, TypeError, KeyError, StopIteration, RuntimeError) as error:
        raise refuse(
            "compact code", "code", "bytes", f"{len(data)} bytes", f"is not a compact code ({error})", "fetch it anew"
        ) from None
    return _known(code, "compact code")


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
