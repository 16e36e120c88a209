"""UPER of CPM, RSM and SDSM with ASN.1 modules that the user brings: no package that may be passed on has them.

* CPM: the modules of TS 103 324 (CPM-PDU-Descriptions, CPM-OriginatingStationContainers, CPM-PerceivedObjectContainer,
  CPM-PerceptionRegionContainer, CPM-SensorInformationContainer) and ETSI-ITS-CDD of TS 102 894-2.
* RSM: those of YD/T 3709 or T/CSAE 53, with RoadsideSafetyMessage and, for framed messages, MessageFrame.
* SDSM: those of J3224 and what they import of J2735, with SensorDataSharingMessage.

asn1tools compiles them (MIT; `pip install 'cloudctl[messages]'`).
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ..codes.findings import refuse
from ..codes.formats.ydt.uper import plain
from .cpm import OBJECT_CONTAINER as OBJECT_CONTAINER_ID
from .fields import Tree

MAX_MODULES: Final = 16 * 1024 * 1024  # bytes of the modules' text; those of the standards are under 1 MB
SDSM_ID: Final = 41  # DSRCmsgID of J2735's MessageFrame
TYPES: Final = {
    "CPM": "CollectivePerceptionMessage",
    "RSM": "RoadsideSafetyMessage",
    "SDSM": "SensorDataSharingMessage",
}
FRAME: Final = "MessageFrame"
RSM_FIELD: Final = "rsmFrame"
OBJECT_CONTAINER: Final = "PerceivedObjectContainer"
FILES: Final = {
    "CPM": "TS 103 324 and TS 102 894-2 (ETSI-ITS-CDD)",
    "RSM": "YD/T 3709 or T/CSAE 53",
    "SDSM": "SAE J3224 and J2735",
}


# A constraint to several values, "(unknown|passengerCar..tram|agricultural)": of it PER sees the range from the least
# to the greatest (X.691, 10.3). asn1tools sees the first value only. The standards write the values in their order.
VALUE = r"(?:-?\d+|[a-z][\w-]*|MIN|MAX)"
VALUES = re.compile(
    rf"\(\s*({VALUE})(?:\s*\.\.\s*{VALUE})?(?:\s*\|\s*{VALUE}(?:\s*\.\.\s*{VALUE})?)*"
    rf"\s*\|\s*(?:{VALUE}\s*\.\.\s*)?({VALUE})\s*\)"
)


class PerceptionModules:
    """ASN.1 modules of the user, compiled: for `modules` of `Gateway.cpm`, `Gateway.rsm` and `Gateway.sdsm`.

    Compiling takes some seconds: make it once.
    """

    def __init__(self, files: Iterable[Path | str]) -> None:
        """Compile all files together. Raises CodeError where they do not compile or hold none of the messages."""
        texts = [_text_of(Path(file)) for file in files]
        self._compiled = _compiled("\n".join(texts))
        self._types: frozenset[str] = frozenset(self._compiled.types)

        if not any(name in self._types for name in TYPES.values()):
            raise refuse(
                "ASN.1",
                "modules",
                "types",
                ", ".join(sorted(self._types)[:8]),
                f"must define one of {', '.join(TYPES.values())}",
                "give all modules of the standard, each file once",
            )

    def read(self, kind: str, data: bytes) -> Tree:
        """Return the tree of a CPM, RSM or SDSM, framed or bare. Raises CodeError."""
        name = TYPES[kind]
        if name not in self._types:
            rule = f"these modules do not define {name}"
            raise refuse(
                kind, kind, "modules", ", ".join(sorted(self._types)[:8]), rule, f"give those of {FILES[kind]}"
            )

        errors: list[str] = []
        found: Tree | None = None
        for type_name, body in self._readings(kind, name, data):
            try:
                value = self._compiled.decode(type_name, body)
                tree = self._opened(kind, type_name, plain(value))
                is_whole = bytes(self._compiled.encode(type_name, value)) == body
            except Exception as error:  # asn1tools raises many kinds, none of one family
                errors.append(str(error) or type(error).__name__)
                continue

            if is_whole:
                return tree

            found = found or tree  # bits that a frame could be, too: what gives the same bytes again comes first

        if found is not None:
            return found

        rule = f"is no {name} of these modules ({'; '.join(errors)[:300]})"
        remedy = "give the message whole, without the headers below it, and the modules of its edition"
        raise refuse(kind, kind, "bytes", f"{len(data)} bytes", rule, remedy)

    def _readings(self, kind: str, name: str, data: bytes) -> list[tuple[str, bytes]]:
        """Return what bytes may be: (type, its bytes), the more specific first."""
        readings = [(name, data)]
        if kind == "SDSM" and len(data) > 3 and int.from_bytes(data[:2]) == SDSM_ID:
            start = 3 if data[2] < 128 else 4  # bytes of id and length
            readings.insert(0, (name, data[start:]))

        if kind == "RSM" and FRAME in self._types:
            readings.insert(0, (FRAME, data))

        return readings

    def _opened(self, kind: str, type_name: str, tree: Any) -> Tree:
        """Return the message of a tree; of a CPM the container of perceived objects is decoded, where it is an open
        type. Raises ValueError for a frame of another message."""
        if type_name == FRAME and RSM_FIELD not in tree:
            raise ValueError(f"the frame holds {', '.join(tree)}")

        containers = tree.get("payload", {}).get("cpmContainers", ()) if kind == "CPM" else ()
        for container in containers:
            data = container.get("containerData")
            if container.get("containerId") == OBJECT_CONTAINER_ID and isinstance(data, bytes):
                container["containerData"] = plain(self._compiled.decode(OBJECT_CONTAINER, data))

        message: Tree = tree
        return message


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_MODULES:
            raise refuse(
                "ASN.1", str(path), "size", path.stat().st_size, "is no ASN.1 module", "give the modules' text"
            )
        return path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise refuse("ASN.1", str(path), "file", error.strerror, "cannot be read", "give the modules' paths") from None


def _compiled(text: str) -> Any:
    try:
        import asn1tools
    except ImportError:
        raise refuse(
            "messages",
            "asn1tools",
            "module",
            "missing",
            "UPER needs the asn1tools package",
            "pip install 'cloudctl[messages]'",
        ) from None

    errors = []
    for form in (VALUES.sub(r"(\1..\2)", text), text):  # as it is where names are of an ENUMERATED, which has no range
        try:
            return asn1tools.compile_string(form, "uper")
        except Exception as error:  # asn1tools and its parser raise many kinds
            errors.append(error)

    rule = f"does not compile ({str(errors[-1])[:300]})"
    raise refuse("ASN.1", "modules", "text", f"{len(text)} characters", rule, "correct the modules")
