"""Which format a file is of, by its content, and its import. A file that is no map of a place is refused with what to
do instead."""

import gzip
import json
import re
from typing import Any, NamedTuple

from ..byte_order_mark import without_mark
from ..canon import from_compact, parse
from ..checks.validation import check_code
from ..findings import CodeError, refuse
from ..model import IntersectionCode, Point
from ..report import Imported, Progress
from .importing.build import DEFAULT_ADM
from .messages.tree import unwrapped, xml_tree


class ImportOptions(NamedTuple):
    """The arguments of `read_any`, besides the file."""

    name: str
    adm: str | None
    origin: Point | None
    unsignalised: bool | None
    progress: Progress | None

    @property
    def adm_or_default(self) -> str:
        return self.adm or DEFAULT_ADM


# The importers are imported when they are asked for: each brings libraries that no other needs.


def _import_sumo(data: bytes, options: ImportOptions) -> Imported:
    from .sumo.importer import import_sumo

    return import_sumo(
        options.name, data=data, adm=options.adm, unsignalised=options.unsignalised, progress=options.progress
    )


def _import_lanelet2(data: bytes, options: ImportOptions) -> Imported:
    from .lanelet2.importer import import_lanelet2

    return import_lanelet2(data, adm=options.adm_or_default, origin=options.origin)


def _import_opendrive(data: bytes, options: ImportOptions) -> Imported:
    from .opendrive.importer import import_opendrive

    return import_opendrive(data, adm=options.adm_or_default, origin=options.origin)


def _import_ydt(tree: dict[str, Any], adm: str) -> Imported:
    from .ydt.importer import import_ydt

    return import_ydt(tree, adm=adm)


def _import_j2735(tree: dict[str, Any], adm: str) -> Imported:
    from .j2735.importer import import_map

    return import_map(tree, adm=adm)


# Formats in XML, by root element; MAP messages in JSON or XML, by the standard that `messages.tree` knows them by.
XML_IMPORTERS = {"net": _import_sumo, "osm": _import_lanelet2, "OpenDRIVE": _import_opendrive}
MAP_IMPORTERS = {"YD/T 3709": _import_ydt, "J2735": _import_j2735}
# root elements; they are no maps
OTHER_SUMO_FILES = ("routes", "configuration", "sumoConfiguration", "additional")
KNOWN_FORMATS = (
    "SUMO network, Lanelet2 OSM, OpenDRIVE, MAP of J2735 or MAPEM (UPER, hex, JSON or XML), MAP of YD/T 3709 (JSON or "
    "XML), or a digital code (JSON, GeoJSON, compact)"
)
XML_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
CODE_KEYS = frozenset(IntersectionCode.__struct_fields__)
MIN_CODE_KEYS = 5  # of a digital code, by which one with misspelt keys is known as one
HEX_TEXT = re.compile(rb"[0-9A-Fa-f\s]+")
ROOT_ELEMENT = re.compile(rf"<\s*(?:\w+:)?({'|'.join((*XML_IMPORTERS, *OTHER_SUMO_FILES))})\b".encode())


def read_any(
    data: bytes,
    name: str,
    *,
    adm: str | None = None,
    origin: Point | None = None,
    unsignalised: bool | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Return the codes of a file, with the loss report. `name` is the file's; `origin` is where the map's 0, 0
    lies, for a map that is not placed.

    `unsignalised` is that of `import_sumo`; other formats have all intersections as codes. `progress` is called with
    (codes made, codes in all) where an import is long. Raises CodeError, with the loss report as `losses`."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise _unknown_format(name, data, f"is broken gzip ({error})", "copy the file again") from None

    try:
        data = without_mark(data)
    except UnicodeDecodeError as error:
        raise _unknown_format(
            name,
            data,
            f"begins with the byte order mark of another encoding than its text has ({error})",
            "save it as UTF-8",
        ) from None

    head = data.lstrip()[:4096]
    if head[:1] == b"<":
        options = ImportOptions(name=name, adm=adm, origin=origin, unsignalised=unsignalised, progress=progress)
        return _import_xml(data, options)

    if head[:1] == b"{":
        return _import_json(data, name, adm or DEFAULT_ADM)
    if data[:2] == b"C1":
        return Imported([check_code(from_compact(data), name)], name, ())

    return _import_message(data, name, adm or DEFAULT_ADM)


def _import_xml(data: bytes, options: ImportOptions) -> Imported:
    root_match = ROOT_ELEMENT.search(XML_COMMENT.sub(b"", data[:65536]))
    root = root_match[1].decode() if root_match else ""

    if root in XML_IMPORTERS:
        return XML_IMPORTERS[root](data, options)

    if root:
        raise _unknown_format(
            options.name, data, f"is a SUMO file of <{root}>, not of a network", "give the .net.xml it goes with"
        )

    imported = _import_map(xml_tree(data, options.name), options.adm_or_default)
    if imported is None:
        raise _unknown_format(
            options.name, data, f"is XML of no known map; known: {KNOWN_FORMATS}", "convert it to one of these"
        )

    return imported


def _import_json(data: bytes, name: str, adm: str) -> Imported:
    try:
        tree: dict[str, Any] = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unknown_format(
            name, data, f"is JSON that cannot be read ({error})", "correct it; JSON has no comments"
        ) from None

    if len(CODE_KEYS & tree.keys()) >= MIN_CODE_KEYS:
        return Imported([check_code(parse(data, name), name)], name, ())

    if tree.get("type") == "FeatureCollection":
        from .geojson import read_geojson

        return Imported([check_code(read_geojson(data), name)], name, ())

    imported = _import_map(tree, adm)
    if imported is None:
        payload = tree.get("payload", {})
        message = payload.get("data", tree) if isinstance(payload, dict) else tree
        raise _unknown_format(
            name, data, _describe_json(tree, message), "give one MAP of the intersection by itself, or its digital code"
        )

    return imported


def _import_map(tree: dict[str, Any], adm: str) -> Imported | None:
    """Return the codes of a MAP in JSON or XML, of either standard; None where it is none."""
    unwrapped_map = unwrapped(tree)
    if unwrapped_map is None or not unwrapped_map.standard:
        return None

    return MAP_IMPORTERS[unwrapped_map.standard](tree, adm)


def _describe_text(data: bytes) -> tuple[str, str]:
    """Return what a text is, and what to give instead."""
    if b"```json" in data:
        return (
            "is a page with JSON in it, not the JSON itself",
            "give what stands between ```json and ```, without comments",
        )

    if data.lstrip()[:1] == b"[":
        return "is a JSON list: records, not a map", f"give one of: {KNOWN_FORMATS}"

    first_line = data.split(b"\n", 1)[0]
    if first_line[:4].lower() == b"cd10" and HEX_TEXT.fullmatch(first_line):
        return (
            "is NTCIP 1202 signal states of a controller (TSCBM), not a place",
            "give the MAP or the map of the intersection it controls",
        )

    if b'{"' in first_line:
        return (
            "is a table with a JSON message in each line, not one message",
            "give the JSON of one MAP line, from its first { on",
        )

    if first_line.count(b",") > 1:
        return "is a table (CSV): records, not a map", f"give one of: {KNOWN_FORMATS}"

    return f"is text of none of the known formats: {KNOWN_FORMATS}", "give one of these, or convert to one"


def _describe_json(tree: dict[str, Any], message: dict[str, Any]) -> str:
    if (
        any(key in message for key in ("intersectionStateList", "states", "spatFrame", "intersections"))
        or tree.get("messageType") == "SPAT"
    ):
        return "is a SPAT: states of signals, not a place"

    if '"hex"' in str(tree)[:4000].replace("'", '"'):
        return "is a list of UPER frames as text, not one message"
    if "coreData" in message or "bsmFrame" in tree:
        return "is a BSM: the state of a vehicle, not a place"

    return f"is JSON without a map; known: {KNOWN_FORMATS}"


def _import_message(data: bytes, name: str, adm: str) -> Imported:
    from .j2735.importer import import_map
    from .messages.uper import FRAME_MESSAGES, frame_id

    number = frame_id(data)
    if number is not None and number != 18:
        raise _unknown_format(
            name,
            data,
            f"is a J2735 message {number} ({FRAME_MESSAGES[number]}), not a MAP",
            "give the MAP of the intersection",
        )

    if number is None and (data[:4].lower() == b"cd10" or not HEX_TEXT.fullmatch(data)) and b"\0" not in data[:4096]:
        raise _unknown_format(name, data, *_describe_text(data))

    try:
        return import_map(data, adm=adm)
    except CodeError as error:
        no_decoder = any(finding.entity == "pycrate" for finding in error.findings)
        if no_decoder or number == 18 or error.losses:  # it is a MAP, then
            raise
        raise _unknown_format(
            name, data, f"is none of the known formats: {KNOWN_FORMATS}", "give one of these, or convert to one"
        ) from None


def _unknown_format(name: str, data: bytes, rule: str, remedy: str) -> CodeError:
    return refuse(
        where=name,
        entity="file",
        field="content",
        value=f"{len(data)} bytes, beginning {data[:24]!r}",
        rule=rule,
        remedy=remedy,
    )
