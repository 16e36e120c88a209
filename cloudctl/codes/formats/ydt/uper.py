"""MAP and SPAT of YD/T 3709 in UPER, with ASN.1 modules of the user's own: those of the standard are not free to pass on.

`Modules(text)` compiles them (asn1tools, MIT; `pip install 'cloudctl[messages]'`). Its trees are those of `ydt.py`: choices as one-key
objects, bit strings as text of 0 and 1. A MessageFrame, where the modules have one, is opened and closed too.
"""

from typing import Any

from ...findings import CodeError, refuse

MAP, SPAT, FRAME = "MapData", "SPAT", "MessageFrame"
FRAMES = {MAP: "mapFrame", SPAT: "spatFrame"}
CHOICES = ("offsetLL", "offsetV", "laneType", "timing")  # fields that are a choice
BITS = {
    "maneuvers": 12,
    "maneuver": 12,
    "shareWith": 10,
    "status": 16,
}  # fields that are bit strings, and their lengths
Tree = dict[str, Any]


class Modules:
    """Compiled ASN.1 modules with MapData, and with SPAT and MessageFrame where they have them."""

    def __init__(self, text: str) -> None:
        try:
            import asn1tools
        except ImportError:
            raise refuse(
                "messages",
                "asn1tools",
                "module",
                "missing",
                "UPER of YD/T 3709 needs the asn1tools package",
                "pip install 'cloudctl[messages]'",
            ) from None
        try:
            self._known: Any = asn1tools.compile_string(text, "uper")
        except Exception as error:  # asn1tools and its parser raise many kinds
            raise refuse(
                "ASN.1",
                "modules",
                "text",
                f"{len(text)} characters",
                f"does not compile ({str(error)[:300]})",
                "correct the modules",
            ) from None
        if MAP not in self._known.types:
            raise refuse(
                "ASN.1",
                "modules",
                "types",
                ", ".join(sorted(self._known.types)[:8]),
                f"must define {MAP}",
                "give the modules of YD/T 3709 or T/CSAE 53, all in one file",
            )

    def read(self, name: str, data: bytes) -> Tree:
        """Return the tree of a MAP or SPAT (`MAP`, `SPAT`), framed or bare. Raises CodeError."""
        errors = []
        for kind in (FRAME, name):
            if kind not in self._known.types:
                continue
            try:
                found = _plain(self._known.decode(kind, data))
            except Exception as error:  # as above
                errors.append(str(error))
                continue
            if kind == name:
                return dict(found)
            if FRAMES[name] in found:
                return dict(found[FRAMES[name]])
        raise refuse(
            "YD/T 3709",
            name,
            "bytes",
            f"{len(data)} bytes",
            f"is no {name} of these modules ({'; '.join(errors)[:300]})",
            "give the message whole, and the modules of its edition",
        )

    def write(self, name: str, tree: Tree, *, frame: bool = False) -> bytes:
        """Return UPER bytes of a tree, in a MessageFrame with `frame`. Raises CodeError naming the field that does not fit."""
        value: Any = {key: _coded(key, item) for key, item in tree.items()}
        try:
            out: bytes = (
                self._known.encode(FRAME, (FRAMES[name], value), check_constraints=True)
                if frame
                else self._known.encode(name, value, check_constraints=True)
            )
        except Exception as error:  # as above
            raise self._unfit(name, error) from None
        return out

    @staticmethod
    def _unfit(name: str, error: Exception) -> CodeError:
        return refuse(
            "YD/T 3709",
            name,
            "value",
            "tree",
            f"does not fit these modules ({str(error)[:300]})",
            "see the field named; nothing is cut to fit",
        )


def _plain(value: Any) -> Any:
    """Return what asn1tools decoded as `ydt.py` reads it."""
    if isinstance(value, tuple) and len(value) == 2:
        first, second = value
        if isinstance(first, bytes):
            return "".join(f"{byte:08b}" for byte in first)[:second]
        return {first: _plain(second)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _coded(field: str, value: Any) -> Any:
    """Return a tree as asn1tools wants it."""
    if field in BITS and isinstance(value, str):
        return _bits(value)
    if field in CHOICES and isinstance(value, dict):
        ((name, item),) = value.items()
        return name, _bits(item) if field == "laneType" else _coded(name, item)
    if isinstance(value, dict):
        return {key: _coded(key, item) for key, item in value.items()}
    return [_coded(field, item) for item in value] if isinstance(value, list) else value


def _bits(text: str) -> tuple[bytes, int]:
    whole = text.ljust((len(text) + 7) // 8 * 8, "0")
    return bytes(int(whole[k : k + 8], 2) for k in range(0, len(whole), 8)), len(text)
