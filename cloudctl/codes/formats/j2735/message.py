"""The tree of a J2735 MAP, whichever way it was written: UPER, hex text, JSON or XML."""

from contextlib import suppress
from typing import Any

from ..messages.tree import load_tree
from ..messages.uper import decode, is_pdu, read_pdu, unframe


def read_message(data: bytes) -> dict[str, Any]:
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"<"):
        return load_tree(data, "MAP")

    # What is not hex text is the bytes themselves
    with suppress(ValueError):
        data = bytes.fromhex(data.strip().decode())
    if data[:2] == b"\x00\x12":
        return decode(*unframe(data))

    return read_pdu("MAPEM", data) if is_pdu("MAPEM", data) else decode("MapData", data)
