"""Commands about intersection digital codes."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .parsers import add_command


def add_codes_commands(all_commands: Any) -> None:
    """Add them, under `codes`."""
    parser = add_command(all_commands, "codes", "intersection digital codes")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    _add_import(commands)
    _add_export(commands)
    _add_diff(commands)
    add_command(commands, "schema", "the JSON Schema of a digital code", _codes("schema"))
    _add_validate(commands)
    _add_calendar(commands)
    _add_show(commands)


def _add_import(commands: Any) -> None:
    imported = add_command(
        commands, "import", "digital codes from a file of another format, known by its content", _codes("import_")
    )
    imported.add_argument(
        "file", type=Path, help="SUMO network, Lanelet2 OSM, OpenDRIVE, MAP (UPER, hex, JSON), YD/T 3709 MAP (JSON)"
    )
    imported.add_argument(
        "--out", type=Path, default=Path("codes"), help="folder for one JSON file per intersection, and losses.jsonl"
    )
    imported.add_argument("--asn1", type=Path, help="the file is YD/T 3709 in UPER: your own file of its ASN.1 modules")
    imported.add_argument("--adm", help="administrative code for the ids, six or nine digits (GB/T 2260)")
    imported.add_argument(
        "--unsignalised",
        action="store_true",
        help="SUMO: junctions without a signal, too; without it only where the network has no signal",
    )
    imported.add_argument("--at", help="LAT,LON of the map's own zero, for a map that is not placed on the globe")
    imported.add_argument(
        "--source",
        help=(
            "name of the map that the file is a version of (default: the file's name); what is gone from that "
            "map is taken out of the folder"
        ),
    )
    imported.add_argument(
        "--valid-from",
        help=(
            "when changed codes take effect, ISO 8601 with its zone: they are written beside those in force "
            "(default: in their place)"
        ),
    )


def _add_export(commands: Any) -> None:
    export = add_command(commands, "export", "a digital code in another format", _codes("export"))
    export.add_argument("file", type=Path)
    export.add_argument("--to", choices=("mapem", "j2735", "ydt3709", "geojson", "compact"), required=True)
    export.add_argument("--out", type=Path, help="file to write (default: beside the code)")
    export.add_argument("--id", type=int, help="the intersection's 16-bit number (default: the code's own alias)")
    export.add_argument("--region", type=int, help="the region of that number")
    export.add_argument(
        "--asn1", type=Path, help="write YD/T 3709 in UPER instead of JSON: your own file of its ASN.1 modules"
    )
    export.add_argument(
        "--strict", action="store_true", help="exit 1 when anything of the code is not in the file as it was"
    )
    export.add_argument("--station", type=int, default=0, help="the station id in the header of a MAPEM (default 0)")


def _add_diff(commands: Any) -> None:
    differ = add_command(
        commands, "diff", "what differs between two revisions: exit 1 when anything does", _codes("difference")
    )
    differ.add_argument("before", type=Path)
    differ.add_argument("after", type=Path)
    differ.add_argument(
        "--fields", action="store_true", help="every field that differs, entity by entity, instead of words"
    )


def _add_validate(commands: Any) -> None:
    validate = add_command(commands, "validate", "check digital codes: one line for each fault", _codes("check"))
    validate.add_argument("files", type=Path, nargs="+")


def _add_calendar(commands: Any) -> None:
    calendar = add_command(
        commands,
        "calendar",
        "holidays and make-up working days of a country, to edit and to name in node.toml",
        _codes("calendar"),
    )
    calendar.add_argument("place", help="ISO 3166 code of a country, or of a region of one: CN, DE-BY")
    calendar.add_argument("years", type=int, nargs="+")
    calendar.add_argument(
        "--out", type=Path, default=Path("calendar.json"), help="file to write (default: calendar.json)"
    )


def _add_show(commands: Any) -> None:
    show = add_command(commands, "show", "draw a digital code as SVG, or as an HTML page", _codes("show"))
    show.add_argument("file", type=Path)
    show.add_argument("--out", type=Path, help="file to write, .svg or .html (default: .svg beside the code)")


def _codes(name: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        from ..codes import command

        return int(getattr(command, name)(args) or 0)

    return run
