"""Bit strings of messages, however a converter wrote them: one reader for every format and field.

    (number, size)        [16, 8], the size being the standard's; a number by itself
    lists of flags        [0, 0, 0, 1, 0, 0, 0, 0], [false, true], ["0", "1"], exactly as many as the standard has bits
    lists of names        ["restrictedToBusUse"], or their text: "restrictedToBusUse ingressPath"
    objects               {"restrictedToBusUse": true}, {"value": "10", "length": 8}, lists of the former
    text of 0 and 1       "00010000", "b00010000", "0b00010000", "'00010000'B"
    hex text              "10", "0x10", "'10'H", in whole or half bytes

What is none of these, or has another size, is not guessed: it comes back as `UNREAD_KEY`, and no access may be opened
by it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

UNREAD_KEY = "bits"  # the key under which a value stands that is no bit string of its field
OTHER_FLAGS = {
    "individualmotorizedvehicletraffic": "individualMotorizedVehicleTraffic",
    "bicycleuseallowed": "bicyleUseAllowed",
    "yieldalwaysrequired": "yieldAllwaysRequired",
}
TRUTH_VALUES = {"true": True, "1": True, "": True, "false": False, "0": False}
MAX_BITS = 64  # of a bit string with an extension; the standards' have 2 to 16
MAX_DEPTH = 4  # of a bit string within lists and objects; converters nest it once


def squeezed(name: str) -> str:
    """Return a name as it is compared: without hyphens and underscores, in lower case."""
    return name.replace("-", "").replace("_", "").lower()


def read_flags(value: Any, names: tuple[str, ...], size: int, depth: int = 0) -> dict[str, Any]:
    """Return a bit string as an object of the flags that are set; `UNREAD_KEY` holds a value that is none, flags of no
    known name keep theirs."""
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            if {"value"} <= set(map(squeezed, map(str, value))) <= {"value", "length", "size"}:
                return read_flags(
                    next(flag for key, flag in value.items() if squeezed(str(key)) == "value"), names, size, depth + 1
                )
            return _from_object(value, names)

        if isinstance(value, list | tuple):
            return _from_list(value, names, size, depth)

    words = str(value).replace(",", " ").replace("|", " ").split() if isinstance(value, str) else []
    if words and all(_standard_name(word, names) in names for word in words):
        return dict.fromkeys((_standard_name(word, names) for word in words), True)

    try:
        return _flags_set(_bit_text(value, size), names)
    except (TypeError, ValueError, OverflowError):
        return {UNREAD_KEY: str(value)}


def read_bits(value: Any, size: int) -> list[bool]:
    """Return a bit string without names, bit by bit. Raises ValueError for what is none of that size."""
    names = tuple(f"bit {index}" for index in range(size))
    flags = read_flags(value, names, size)
    if unread_flags(flags, names):
        raise ValueError(f"is no bit string of {size} bits")
    return [name in flags for name in names]


def unread_flags(flags: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return what of the flags of `read_flags` is not understood: no bit string, flags of no known name, and those
    neither true nor false."""
    return {name: value for name, value in flags.items() if value is not True or name not in names}


def _from_list(value: Sequence[Any], names: tuple[str, ...], size: int, depth: int) -> dict[str, Any]:
    """Return the flags of a list: (number, size), a flag a bit, the names of those set, or the bit string as its only
    element."""
    if not value:
        return {}
    if _is_sized(value, size):
        return _flags_set(f"{value[0]:0{value[1]}b}", names)

    # The forms are tested from the strictest to the loosest: a list of names may hold one that looks like a number
    truths = [_as_truth(element) if element != "" else element for element in value]
    if len(value) == size and all(isinstance(element, bool) for element in truths):
        return _flags_set("".join("1" if element else "0" for element in truths), names)
    if all(isinstance(element, str) and _standard_name(element, names) in names for element in value):
        return dict.fromkeys((_standard_name(element, names) for element in value), True)
    if all(isinstance(element, dict) for element in value):
        return {name: element for row in value for name, element in read_flags(row, names, size, depth + 1).items()}
    if len(value) == 1 and isinstance(value[0], str | list | tuple):
        return read_flags(value[0], names, size, depth + 1)

    return {UNREAD_KEY: str(list(value))}


def _is_sized(value: Sequence[Any], size: int) -> bool:
    """Return whether a list is (number, size). ASN.1 decoders give tuples; in a list of two flags the second is 0 or 1,
    which is no size here."""
    if len(value) != 2 or not all(isinstance(element, int) and not isinstance(element, bool) for element in value):
        return False
    number, own_size = int(value[0]), int(value[1])
    return (isinstance(value, tuple) or own_size >= size) and 0 < own_size <= MAX_BITS and 0 <= number < 1 << own_size


def _from_object(value: dict[Any, Any], names: tuple[str, ...]) -> dict[str, Any]:
    rows = {_standard_name(str(key), names): _as_truth(flag) for key, flag in value.items()}
    return {name: flag for name, flag in rows.items() if flag is not False and flag is not None}


def _standard_name(word: str, names: tuple[str, ...]) -> str:
    """Return a flag's name as the standard writes it; a word that is none as it is."""
    comparable = squeezed(OTHER_FLAGS.get(squeezed(word), word))
    return next((name for name in names if squeezed(name) == comparable), word)


def _flags_set(bits: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {names[index] if index < len(names) else f"bit {index}": True for index, on in enumerate(bits) if on == "1"}


def _as_truth(value: Any) -> Any:
    """Return a flag as true or false; what is neither as it is. XER writes a named bit that is set as an empty
    element."""
    if isinstance(value, dict):
        value = next(iter(value), "")
    if value is None or isinstance(value, bool):
        return value

    return TRUTH_VALUES.get(str(value).strip().lower(), value)


def _bit_text(value: Any, size: int) -> str:
    """Return text of 0 and 1, as many as the size. Raises ValueError."""
    if value is None or value == "":
        return "0" * size
    if isinstance(value, bool | float):
        raise ValueError("is no bit string")

    if isinstance(value, int):
        if not 0 <= value < 1 << size:
            raise ValueError("has more bits")
        return f"{value:0{size}b}"

    text = "".join(str(value).split()).lower()
    notation = ""

    if text[:1] == "'" and text[-2:] in ("'b", "'h"):  # as ASN.1 writes values
        notation, text = text[-1], text[1:-2]
    elif text[:2] in ("0x", "0b") and len(text) - 2 >= size // 4:
        notation, text = {"x": "h", "b": "b"}[text[1]], text[2:]
    elif text[:1] == "b" and len(text) == size + 1:
        notation, text = "b", text[1:]

    if notation != "h" and len(text) == size and set(text) <= {"0", "1"}:
        return text
    if notation == "b" or set(text) - set("0123456789abcdef"):
        raise ValueError(f"is not of {size} bits")

    bits = f"{int(text, 16):0{len(text) * 4}b}"
    # Whole bytes, or half ones
    if len(bits) not in ((size + 7) // 8 * 8, (size + 3) // 4 * 4) or "1" in bits[size:]:
        raise ValueError(f"is not of {size} bits")

    return bits[:size]
