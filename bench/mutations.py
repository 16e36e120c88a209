"""Hostile messages made from valid ones: fields replaced, bytes damaged, bytes invented. The same seed makes the same
messages.

A valid body is a tree of dicts, lists and plain values, with the keys of the wire. A `Codec` defines how such a tree
becomes bytes: msgpack for gateways, JSON for vehicles. Three mutators, as `Mutator.hostile` draws them: (a) one or more
fields get hostile values, (b) the bytes of a valid body are damaged, (c) random bytes, nothing, far too much, or
nesting without end.
"""

import json
import random
import struct
from collections.abc import Callable, Sequence
from math import inf, nan
from typing import Any, NamedTuple

import msgspec

NUMBERS: tuple[Any, ...] = (
    *(
        0,
        -1,
        1,
        255,
        256,
        65_535,
        65_536,
        2**31 - 1,
        2**31,
        2**32,
        2**53,
        2**62,
        2**63 - 1,
        2**63,
        2**64 - 1,
        -(2**31),
        -(2**63),
    ),
    *(nan, inf, -inf, 1e308, -1e308, 5e-324, -0.0, 0.5, 90.0, 181.0, 359.9, 1e-9),
)
TEXTS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "null",
        "NaN",
        "car",
        "van",
        "bus",
        "truck",
        "emergency",
        "motorcycle",
        "bicycle",
        "pedestrian",
        "taxi",
        "ENU",
    ),
    *(
        "x" * 65,
        "x" * 5_000,
        "ß" * 300,
        "\U0001f697" * 40,
        "a/b",
        "+",
        "#",
        "../../etc/passwd",
        "{0.__class__}",
        "%s%n",
        "a\nb: c",
        "a\0b",
        "\x1b[2J",
    ),
)
# Of one slot of a block of objects
FLOATS = (
    nan,
    inf,
    -inf,
    0.0,
    -1.0,
    1e38,
    -1e38,
    1e-45,
    6.5,
    360.0,
    61.0,
    101.0,
    2001.0,
    1e9,
)
DEPTHS = (50, 1_000, 20_000, 100_000)
HUGE = 300_000  # bytes; over the greatest length of a body, under what cuts a connection off
HUGE_SHARE = 0.0002  # of all messages


class Codec(NamedTuple):
    """How a tree becomes bytes, and what only this form can carry."""

    encode: Callable[[Any], bytes]
    values: tuple[Any, ...]  # hostile values besides NUMBERS and TEXTS
    deep: tuple[tuple[bytes, bytes], ...]  # (opening, closing) of one level of nesting
    pair: Callable[[bytes, bytes], bytes]  # one more field at the end of an encoded body


def _nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


SHARED = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    {"": {}},
    [None] * 300,
    _nested(40),
    {"x": 1, "y": 2},
    [1, 2, 3],
    ["", None, {}],
)
# A msgpack string of two surrogates, each encoded alone
SURROGATES = b"\xa6\xed\xa0\x80\xed\xb0\x80"
_packer, _written = msgspec.msgpack.Encoder(), json.JSONEncoder(default=lambda value: bytes(value).hex())


def _one_more_packed(body: bytes, pair: bytes) -> bytes:
    if body and 0x80 <= body[0] < 0x8F:
        return bytes([body[0] + 1]) + body[1:] + pair
    return body + pair


def _one_more_written(body: bytes, pair: bytes) -> bytes:
    return body[:-1] + b"," + pair + body[-1:]


MSGPACK = Codec(
    encode=_packer.encode,
    values=(
        *SHARED,
        b"",
        b"\xff" * 60,
        b"\0" * 57,
        msgspec.Raw(SURROGATES),
        msgspec.msgpack.Ext(5, b"x"),
        msgspec.Raw(b"\xd6\xff\0\0\0\1"),
    ),
    deep=((b"\x91", b""), (b"\x81\xa1a", b"")),
    pair=_one_more_packed,
)
JSON = Codec(
    encode=lambda tree: _written.encode(tree).encode(),
    values=(*SHARED, "\ud800", "a\udfffb", 2**70, -(2**70), 10**400),
    deep=((b"[", b"]"), (b'{"a":', b"}")),
    pair=_one_more_written,
)


class Mutator:
    """Draws hostile bodies."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._recent: list[bytes] = [b"\x80", b"{}"]  # bodies to splice with

    def hostile(self, tree: dict[str, Any], codec: Codec) -> bytes:
        """Return a hostile body in place of the valid `tree`, which stays as it is."""
        rng = self.rng
        choice = rng.random()
        if choice < 0.60:
            body = self.fields(tree, codec)
        elif choice < 0.92:
            body = self.damage(codec.encode(tree))
        else:
            body = self.noise(codec)

        if rng.random() < 0.05 and len(body) < 4_000:
            self._recent[rng.randrange(len(self._recent))] = body
            if len(self._recent) < 64:
                self._recent.append(body)

        return body

    # --- (a) fields ---

    def fields(self, tree: dict[str, Any], codec: Codec) -> bytes:
        """Replace, leave out, add or nest one or more fields."""
        changed = _copy(tree)
        for _ in range(1 + (self.rng.random() < 0.3) + (self.rng.random() < 0.1)):
            self._change(changed, codec)
        body = codec.encode(changed)
        if self.rng.random() < 0.03:  # a field that stands twice
            key = self.rng.choice(list(tree))
            separator = b":" if codec is JSON else b""
            body = codec.pair(body, codec.encode(key) + separator + codec.encode(self._value(tree[key], codec)))

        return body

    def _change(self, tree: Any, codec: Codec) -> None:
        rng = self.rng
        while True:
            keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
            if not keys:
                return

            key = rng.choice(keys)
            if isinstance(tree[key], dict | list) and tree[key] and rng.random() < 0.7:
                tree = tree[key]
                continue

            break

        operation = rng.random()
        if operation < 0.76:
            tree[key] = _copy(self._value(tree[key], codec))
        elif operation < 0.86:
            del tree[key]
        elif operation < 0.93 and isinstance(tree, dict):
            tree[rng.choice(("x", "", "zz", "v", "t", "id", "kind"))] = _copy(self._value(before=0, codec=codec))
        elif isinstance(tree, list):
            tree.extend([tree[key]] * rng.choice((1, 30, 1_100)))
        else:
            tree[key] = rng.choice(([tree[key]], {"a": tree[key]}, [[tree[key]]], str(tree[key])[:200]))

    def _value(self, before: Any, codec: Codec) -> Any:
        rng = self.rng
        if isinstance(before, bytes) and rng.random() < 0.8:
            return self._block(before)

        if isinstance(before, bool | str) or before is None:
            if rng.random() < 0.6:
                return rng.choice(TEXTS)
            return rng.choice((*NUMBERS, *codec.values))

        if isinstance(before, int | float):
            # Nearly right: another unit, sign, or neighbour
            if rng.random() < 0.25 and -(2**64) < before < 2**64:
                near = rng.choice(
                    (-before, before + 1, before - 1, before / 1000, before * 57.3, float(before), before - 10**9)
                )
                return max(min(near, 2**64 - 1), -(2**63)) if isinstance(near, int) else near

            if rng.random() < 0.6:
                return rng.choice(NUMBERS)

            return rng.choice((*TEXTS, *codec.values))

        return rng.choice((*NUMBERS, *TEXTS, *codec.values))

    def _block(self, block: bytes) -> bytes:
        """Return a block of object columns with some slots hostile, or of another length."""
        rng, changed = self.rng, bytearray(block)
        if len(changed) < 8 or rng.random() < 0.2:
            return block[: rng.randrange(len(block) + 1)] + rng.randbytes(rng.randrange(60))

        for _ in range(rng.choice((1, 1, 2, 8))):
            offset = rng.randrange(len(changed) // 4) * 4
            changed[offset : offset + 4] = (
                struct.pack("<f", rng.choice(FLOATS)) if rng.random() < 0.8 else rng.randbytes(4)
            )

        return bytes(changed[: len(block)])

    # --- (b) bytes ---

    def damage(self, body: bytes) -> bytes:
        """Flip bits, cut, insert, repeat, or splice with another body."""
        rng = self.rng
        if not body:
            return rng.randbytes(3)

        kind, start, end = rng.randrange(6), rng.randrange(len(body)), rng.randrange(len(body))
        if kind == 0:
            changed = bytearray(body)
            for _ in range(rng.choice((1, 1, 2, 8))):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            return bytes(changed)

        if kind == 1:
            return body[:start]
        if kind == 2:
            return body[:start] + rng.randbytes(rng.randrange(1, 9)) + body[start:]
        if kind == 3:
            return body[: min(start, end)] + body[max(start, end) :]
        if kind == 4:
            return body[: max(start, end)] + body[min(start, end) :]

        other_body = rng.choice(self._recent)
        return body[:start] + other_body[rng.randrange(len(other_body) + 1) :]

    # --- (c) noise ---

    def noise(self, codec: Codec) -> bytes:
        """Return random bytes, nothing, far too much, or nesting without end."""
        rng = self.rng
        if rng.random() < HUGE_SHARE / 0.08:
            return rng.choice((b"\0" * HUGE, rng.randbytes(1_000) * (HUGE // 1_000), b"\x91" * HUGE, b"[" * HUGE))

        choice = rng.random()
        if choice < 0.06:
            opening, closing = rng.choice(codec.deep)
            depth = rng.choice(DEPTHS) if rng.random() < 0.1 else rng.choice(DEPTHS[:2])
            return opening * depth + b"0" + closing * (depth if rng.random() < 0.5 else 0)

        if choice < 0.12:
            return b""

        return rng.randbytes(rng.choice((1, 4, 30, 200)))

    def pick(self, options: Sequence[Any]) -> Any:
        """Return one of several, by the same random numbers."""
        return self.rng.choice(options)


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_copy(value) for value in tree]
    return tree
