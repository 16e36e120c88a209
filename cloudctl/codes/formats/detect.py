"""Which format a file is of, by its content, and its import. A file that is no map of a place is refused with what to do instead."""

import gzip
import json
import re
from typing import Any

from ..byte_order_mark import without_mark
from ..canon import from_compact, parse
from ..checks.validation import check_code
from ..findings import CodeError, refuse
from ..model import IntersectionCode, Point
from ..report import Imported, Progress
from .importing.build import NO_ADM
from .messages.tree import opened, xml_tree

FORMATS = "SUMO network, Lanelet2 OSM, OpenDRIVE, MAP of J2735 or MAPEM (UPER, hex, JSON or XML), MAP of YD/T 3709 (JSON or XML), or a digital code (JSON, GeoJSON, compact)"
COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
CODE_KEYS = frozenset(IntersectionCode.__struct_fields__)
MIN_CODE_KEYS = 5  # of a digital code, by which one with misspelt keys is known as one
HEX = re.compile(rb"[0-9A-Fa-f\s]+")
ROOT = re.compile(rb"<\s*(?:\w+:)?(net|osm|OpenDRIVE|routes|configuration|sumoConfiguration|additional)\b")


def read_any(
    data: bytes,
    name: str,
    *,
    adm: str | None = None,
    zero: Point | None = None,
    unsignalised: bool | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Return the codes of a file, with the loss report. `name` is the file's; `zero` places a map without a place.

    `unsignalised` is that of `import_sumo`; other formats have all intersections as codes. `progress` is called with (codes made, codes in all) where an import is long. Raises CodeError, with the loss report as `losses`.
    """
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise _unknown(name, data, f"is broken gzip ({error})", "copy the file again") from None
    try:
        data = without_mark(data)
    except UnicodeDecodeError as error:
        raise _unknown(
            name,
            data,
            f"begins with the byte order mark of another encoding than its text has ({error})",
            "save it as UTF-8",
        ) from None
    head = data.lstrip()[:4096]
    if head[:1] == b"<":
        return _xml(data, name, adm, zero, unsignalised, progress)
    if head[:1] == b"{":
        return _json(data, name, adm or NO_ADM)
    if data[:2] == b"C1":
        return Imported([check_code(from_compact(data), name)], name, ())
    return _message(data, name, adm or NO_ADM)


def _xml(
    data: bytes, name: str, adm: str | None, zero: Point | None, unsignalised: bool | None, progress: Progress | None
) -> Imported:
    from .lanelet2.importer import import_lanelet2
    from .opendrive.importer import import_opendrive
    from .sumo.importer import import_sumo

    found = ROOT.search(COMMENT.sub(b"", data[:65536]))
    root = found[1].decode() if found else ""
    if root == "net":
        return import_sumo(name, data=data, adm=adm, unsignalised=unsignalised, progress=progress)
    if root == "osm":
        return import_lanelet2(data, adm=adm or NO_ADM, zero=zero)
    if root == "OpenDRIVE":
        return import_opendrive(data, adm=adm or NO_ADM, zero=zero)
    if root:
        raise _unknown(name, data, f"is a SUMO file of <{root}>, not of a network", "give the .net.xml it goes with")
    message = _map_tree(xml_tree(data, name), adm or NO_ADM)
    if message is None:
        raise _unknown(name, data, f"is XML of no known map; known: {FORMATS}", "convert it to one of these")
    return message


def _json(data: bytes, name: str, adm: str) -> Imported:
    try:
        tree: dict[str, Any] = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unknown(
            name, data, f"is JSON that cannot be read ({error})", "correct it; JSON has no comments"
        ) from None
    inner = tree.get("payload", {}).get("data", tree) if isinstance(tree.get("payload", {}), dict) else tree
    if len(CODE_KEYS & tree.keys()) >= MIN_CODE_KEYS:
        return Imported([check_code(parse(data, name), name)], name, ())
    if tree.get("type") == "FeatureCollection":
        from .geojson import read_geojson

        return Imported([check_code(read_geojson(data), name)], name, ())
    found = _map_tree(tree, adm)
    if found is None:
        inner = tree.get("payload", {}).get("data", tree) if isinstance(tree.get("payload", {}), dict) else tree
        raise _unknown(
            name, data, _what_json(tree, inner), "give one MAP of the intersection by itself, or its digital code"
        )
    return found


def _map_tree(tree: dict[str, Any], adm: str) -> Imported | None:
    """Return the codes of a MAP in JSON or XML, of either standard; None where it is none."""
    found = opened(tree)
    if found is None or not found.standard:
        return None
    if found.standard == "YD/T 3709":
        from .ydt.importer import import_ydt

        return import_ydt(tree, adm=adm)
    from .j2735.importer import import_map

    return import_map(tree, adm=adm)


def _what_text(data: bytes) -> tuple[str, str]:
    """Return what a text is, and what to give instead."""
    if b"```json" in data:
        return (
            "is a page with JSON in it, not the JSON itself",
            "give what stands between ```json and ```, without comments",
        )
    if data.lstrip()[:1] == b"[":
        return "is a JSON list: records, not a map", f"give one of: {FORMATS}"
    first = data.split(b"\n", 1)[0]
    if first[:4].lower() == b"cd10" and HEX.fullmatch(first):
        return (
            "is NTCIP 1202 signal states of a controller (TSCBM), not a place",
            "give the MAP or the map of the intersection it controls",
        )
    if b'{"' in first:
        return (
            "is a table with a JSON message in each line, not one message",
            "give the JSON of one MAP line, from its first { on",
        )
    if first.count(b",") > 1:
        return "is a table (CSV): records, not a map", f"give one of: {FORMATS}"
    return f"is text of none of the known formats: {FORMATS}", "give one of these, or convert to one"


def _what_json(tree: dict[str, Any], inner: dict[str, Any]) -> str:
    if (
        any(key in inner for key in ("intersectionStateList", "states", "spatFrame", "intersections"))
        or tree.get("messageType") == "SPAT"
    ):
        return "is a SPAT: states of signals, not a place"
    if '"hex"' in str(tree)[:4000].replace("'", '"'):
        return "is a list of UPER frames as text, not one message"
    if "coreData" in inner or "bsmFrame" in tree:
        return "is a BSM: the state of a vehicle, not a place"
    return f"is JSON without a map; known: {FORMATS}"


def _message(data: bytes, name: str, adm: str) -> Imported:
    from .j2735.importer import import_map
    from .messages.uper import FRAMES, frame_id

    number = frame_id(data)
    if number is not None and number != 18:
        raise _unknown(
            name, data, f"is a J2735 message {number} ({FRAMES[number]}), not a MAP", "give the MAP of the intersection"
        )
    if number is None and (data[:4].lower() == b"cd10" or not HEX.fullmatch(data)) and b"\0" not in data[:4096]:
        raise _unknown(name, data, *_what_text(data))
    try:
        return import_map(data, adm=adm)
    except CodeError as error:
        if "pycrate" in str(error) or number == 18 or error.losses:  # it is a MAP, then
            raise
        raise _unknown(
            name, data, f"is none of the known formats: {FORMATS}", "give one of these, or convert to one"
        ) from None


def _unknown(name: str, data: bytes, rule: str, remedy: str) -> CodeError:
    return refuse(name, "file", "content", f"{len(data)} bytes, beginning {data[:24]!r}", rule, remedy)
