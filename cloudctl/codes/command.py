"""`cloudctl codes ...`: import, export, diff, schema, validate, show. What each does lives in the module it names."""

import sys
from argparse import Namespace
from pathlib import Path

import msgspec

from .build import NO_ADM
from .canon import compact, dump
from .findings import CodeError, refuse
from .geojson import write_geojson
from .marks import read_text
from .model import IntersectionCode, Point
from .reading import read_any
from .report import Imported
from .show import show_svg
from .validate import load, validate
from .versions import diff, json_schema
from .ydt import import_ydt
from .ydt_export import map_losses as ydt_losses
from .ydt_export import ydt_tree
from .ydt_uper import MAP, Modules

LONG_IMPORT = 50  # intersections from which on progress is shown
SUFFIX = {"mapem": ".mapem", "j2735": ".map", "ydt3709": ".ydt.json", "geojson": ".geojson", "compact": ".cc"}


def import_(args: Namespace) -> int:
    """Write one JSON file an intersection and losses.jsonl, and print both; exit 1 when a code has an error."""
    try:
        found = _imported(args)
    except CodeError as error:
        _refused(error, args.out)
        raise
    args.out.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for number, code in enumerate(found):
        file = args.out / f"{number}.json"
        file.write_bytes(dump(code))
        print(
            f"{file}: {code.id}  {len(code.lanes)} lanes, {len(code.connections)} connections, {len(code.conflicts)} conflicts, "
            f"{len(code.signal_groups)} signal groups, {len(code.stop_lines)} stop lines, {len(code.crosswalks)} crosswalks"
        )
        errors = [finding for finding in validate(code) if finding.severity == "error"]
        wrong += bool(errors)
        for finding in errors:
            print(f"  {finding}")
    (args.out / "losses.jsonl").write_bytes(found.report())
    for loss in found.losses:
        print(f"  {loss}")
    print(f"{len(found)} code(s), {len(found.losses)} loss(es): {args.out / 'losses.jsonl'}")
    return int(bool(wrong) or not found)  # an import of nothing is no success


def _imported(args: Namespace) -> Imported:
    if args.asn1:
        return import_ydt(Modules(read_text(args.asn1)).read(MAP, args.file.read_bytes()), adm=args.adm or NO_ADM)
    return read_any(args.file.read_bytes(), str(args.file), adm=args.adm, zero=_point(args.at), unsignalised=args.unsignalised or None, progress=_progress)


def _refused(error: CodeError, folder: Path) -> None:
    """Print and write the loss report of a refused import: what was left out is often why."""
    if not error.losses:
        return
    report = folder / "losses.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    report.write_bytes(Imported((), error.where, error.losses).report())
    print(f"refused; until then {len(error.losses)} loss(es): {report}")
    for loss in error.losses:
        print(f"  {loss}")


def _progress(done: int, whole: int) -> None:
    """Print how far a long import is, ten times in all, on standard error."""
    if whole >= LONG_IMPORT and done * 10 // whole > (done - 1) * 10 // whole:
        print(f"{done} of {whole} intersections", file=sys.stderr, flush=True)


def _point(text: str | None) -> Point | None:
    if text is None:
        return None
    try:
        lat, lon = (round(float(part) * 1e7) for part in text.split(","))
    except ValueError:
        raise refuse("--at", "map", "at", text, "must be LAT,LON in degrees", "write it as 39.79,116.50") from None
    return lat, lon


def export(args: Namespace) -> None:
    """Write a code in another format; what that format cannot carry is printed."""
    code = load(args.file)
    data, missed = _exported(code, args.to, args.id, args.region, args.station, args.asn1)
    out = args.out or args.file.with_suffix(SUFFIX[args.to])
    out.write_bytes(data)
    for line in missed:
        print(f"  {line}")
    print(f"wrote {out}, {len(data)} bytes")


def _exported(code: IntersectionCode, to: str, number: int | None, region: int | None, station: int, asn1: Path | None) -> tuple[bytes, list[str]]:
    if to == "compact":
        return compact(code), []
    if to == "geojson":
        return write_geojson(code), []
    if to == "ydt3709":
        region, number = _number(code, "ydt3709", number, region)
        tree = ydt_tree(code, number, region or 0)
        return Modules(read_text(asn1)).write(MAP, tree) if asn1 else msgspec.json.encode(tree), [str(f) for f in ydt_losses(code)]
    from .map_export import map_losses, write_map

    region, number = _number(code, "j2735", number, region)
    return write_map(code, number, region=region, frame=to == "j2735", station=station if to == "mapem" else None), [str(f) for f in map_losses(code)]


def _number(code: IntersectionCode, kind: str, number: int | None, region: int | None) -> tuple[int | None, int]:
    alias = next((a.value for a in code.alias if a.kind == kind), None)
    if number is None and alias is not None:
        first, _, last = alias.partition("/")
        return int(first) or None, int(last)
    if number is None:
        raise refuse(code.id, "code", "alias", "none", f"has no {kind} number of its own", "give --id, and --region, as the registry allots them")
    return region, number


def difference(args: Namespace) -> int:
    """Print every difference of two codes; 1 when there is any."""
    changes = diff(load(args.before), load(args.after))
    for change in changes:
        print(change)
    print(f"{len(changes)} difference(s)")
    return int(bool(changes))


def schema(_: Namespace) -> None:
    """Print the JSON Schema."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(json_schema())).decode() + "\n")


def check(args: Namespace) -> int:
    """Print one line for each fault of each file; 1 when a file has an error."""
    wrong = 0
    for file in args.files:
        try:
            findings = validate(load(file))
        except CodeError as error:
            findings = error.findings
            wrong += 1
        print(f"{file}: {'no fault' if not findings else f'{len(findings)} finding(s)'}")
        for finding in findings:
            print(f"  {finding}")
    return int(bool(wrong))


def show(args: Namespace) -> None:
    """Draw a code: an HTML page where the file's name says so, SVG otherwise."""
    out: Path = args.out or args.file.with_suffix(".svg")
    code = load(args.file)
    if out.suffix in (".html", ".htm"):
        from .show_page import show_page

        out.write_text(show_page(code))
    else:
        out.write_text(show_svg(code))
    print(f"wrote {out}")
