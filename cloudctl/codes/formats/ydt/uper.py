"""MAP and SPAT of YD/T 3709 in UPER, with ASN.1 modules of the user's own: those of the standard are not free to pass
on.

`Modules(text)` compiles them (asn1tools, MIT; `pip install 'cloudctl[messages]'`). Its trees are those of `ydt.py`:
choices as one-key objects, bit strings as text of 0 and 1. A MessageFrame, where the modules have one, is opened and
closed too."""

from typing import Any

from ...findings import CodeError, refuse

MAP, SPAT, FRAME = "MapData", "SPAT", "MessageFrame"
FIELD_OF_MESSAGE = {MAP: "mapFrame", SPAT: "spatFrame"}
CHOICE_FIELDS = ("offsetLL", "offsetV", "laneType", "timing")  # fields that are a choice
# Fields that are bit strings, and their lengths
BIT_STRING_SIZES = {
    "maneuvers": 12,
    "maneuver": 12,
    "shareWith": 10,
    "status": 16,
}
Tree = dict[str, Any]


class Modules:
    """Compiled ASN.1 modules with MapData, and with SPAT and MessageFrame where they have them."""

    def __init__(self, text: str) -> None:
        try:
            import asn1tools
        except ImportError:
            raise refuse(
                where="messages",
                entity="asn1tools",
                field="module",
                value="missing",
                rule="UPER of YD/T 3709 needs the asn1tools package",
                remedy="pip install 'cloudctl[messages]'",
            ) from None

        try:
            self._compiled: Any = asn1tools.compile_string(text, "uper")
        except Exception as error:  # asn1tools and its parser raise many kinds
            raise refuse(
                where="ASN.1",
                entity="modules",
                field="text",
                value=f"{len(text)} characters",
                rule=f"does not compile ({str(error)[:300]})",
                remedy="correct the modules",
            ) from None

        if MAP not in self._compiled.types:
            raise refuse(
                where="ASN.1",
                entity="modules",
                field="types",
                value=", ".join(sorted(self._compiled.types)[:8]),
                rule=f"must define {MAP}",
                remedy="give the modules of YD/T 3709 or T/CSAE 53, all in one file",
            )

    def read(self, name: str, data: bytes) -> Tree:
        """Return the tree of a MAP or SPAT (`MAP`, `SPAT`), framed or bare. Raises CodeError."""
        errors = []
        for type_name in (FRAME, name):
            if type_name not in self._compiled.types:
                continue

            try:
                decoded = plain(self._compiled.decode(type_name, data))
            except Exception as error:  # as above
                errors.append(str(error))
                continue

            if type_name == name:
                return dict(decoded)
            if FIELD_OF_MESSAGE[name] in decoded:
                return dict(decoded[FIELD_OF_MESSAGE[name]])

        raise refuse(
            where="YD/T 3709",
            entity=name,
            field="bytes",
            value=f"{len(data)} bytes",
            rule=f"is no {name} of these modules ({'; '.join(errors)[:300]})",
            remedy="give the message whole, and the modules of its edition",
        )

    def write(self, name: str, tree: Tree, *, frame: bool = False) -> bytes:
        """Return UPER bytes of a tree, in a MessageFrame with `frame`. Raises CodeError naming the field that does not
        fit."""
        value: Any = {key: _encoded(key, member) for key, member in tree.items()}
        try:
            encoded: bytes = (
                self._compiled.encode(FRAME, (FIELD_OF_MESSAGE[name], value), check_constraints=True)
                if frame
                else self._compiled.encode(name, value, check_constraints=True)
            )
        except Exception as error:  # as above
            raise self._misfit_error(name, error) from None

        return encoded

    @staticmethod
    def _misfit_error(name: str, error: Exception) -> CodeError:
        return refuse(
            where="YD/T 3709",
            entity=name,
            field="value",
            value="tree",
            rule=f"does not fit these modules ({str(error)[:300]})",
            remedy="see the field named; nothing is cut to fit",
        )


def plain(value: Any) -> Any:
    """Return what asn1tools decoded as JSON has it: choices as objects of one key, bit strings as text of 0 and 1."""
    if isinstance(value, tuple) and len(value) == 2:
        first, second = value
        if isinstance(first, bytes):
            return "".join(f"{byte:08b}" for byte in first)[:second]
        return {first: plain(second)}

    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}

    return [plain(member) for member in value] if isinstance(value, list) else value


def _encoded(field: str, value: Any) -> Any:
    """Return a tree as asn1tools wants it."""
    if field in BIT_STRING_SIZES and isinstance(value, str):
        return _bit_string(value)

    if field in CHOICE_FIELDS and isinstance(value, dict):
        ((name, member),) = value.items()
        return name, _bit_string(member) if field == "laneType" else _encoded(name, member)

    if isinstance(value, dict):
        return {key: _encoded(key, member) for key, member in value.items()}

    return [_encoded(field, member) for member in value] if isinstance(value, list) else value


def _bit_string(text: str) -> tuple[bytes, int]:
    padded = text.ljust((len(text) + 7) // 8 * 8, "0")
    return bytes(int(padded[index : index + 8], 2) for index in range(0, len(padded), 8)), len(text)
