"""`cloudctl codes ...`: import, export, diff, schema, validate, show. What each does lives in the module it names."""

import sys
from argparse import Namespace
from pathlib import Path

import msgspec

from cloudctl.clock import WallClock

from .byte_order_mark import read_text
from .canon import dump
from .checks.calendars import over_faults
from .checks.validation import load, validate
from .draw.drawing import show_svg
from .findings import CodeError, Severity, refuse
from .formats.detect import read_any
from .formats.export import SUFFIX, Number, export_code
from .formats.importing.build import DEFAULT_ADM
from .formats.ydt.importer import import_ydt
from .formats.ydt.uper import MAP, Modules
from .model import Point
from .report import Imported
from .update.changes import changes
from .update.folder import Filed
from .update.take import import_into_folder
from .update.together import faults_together
from .versions import diff, json_schema

LONG_IMPORT = 50  # intersections from which on progress is shown


def import_(args: Namespace) -> int:
    """Write one JSON file an intersection and losses.jsonl, and print both; exit 1 when a code has an error."""
    try:
        imported = _imported(args)
    except CodeError as error:
        _report_refusal(error, args.out)
        raise

    args.out.mkdir(parents=True, exist_ok=True)
    codes_with_errors = 0
    outcome = import_into_folder(imported, args.file, args.out, args.source, args.valid_from)
    imported = outcome.report(imported)

    for file, code, state, lines in outcome.taken:
        print(
            f"{file}: {code.id}  {len(code.lanes)} lanes, {len(code.connections)} connections, "
            f"{len(code.conflicts)} conflicts, "
            f"{len(code.signal_groups)} signal groups, {len(code.stop_lines)} stop lines, {len(code.crosswalks)} "
            f"crosswalks: {state}"
        )

        errors = [finding for finding in validate(code) if finding.severity == Severity.ERROR]
        codes_with_errors += bool(errors)

        for line in (*lines, *errors):
            print(f"  {line}")

    for line in outcome.removed:
        print(line)

    (args.out / "losses.jsonl").write_bytes(imported.report())
    for loss in imported.losses:
        print(f"  {loss}")

    print(f"{len(imported)} code(s), {len(imported.losses)} loss(es): {args.out / 'losses.jsonl'}")
    return int(bool(codes_with_errors) or not imported)  # an import of nothing is no success


def _imported(args: Namespace) -> Imported:
    if args.asn1:
        return import_ydt(Modules(read_text(args.asn1)).read(MAP, args.file.read_bytes()), adm=args.adm or DEFAULT_ADM)

    return read_any(
        args.file.read_bytes(),
        str(args.file),
        adm=args.adm,
        origin=_point(args.at),
        unsignalised=args.unsignalised or None,
        progress=_progress,
    )


def _report_refusal(error: CodeError, folder: Path) -> None:
    """Print and write the loss report of a refused import: what was left out is often why."""
    if not error.losses:
        return

    report = folder / "losses.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    report.write_bytes(Imported((), error.where, error.losses).report())
    print(f"refused; until then {len(error.losses)} loss(es): {report}")

    for loss in error.losses:
        print(f"  {loss}")


def _progress(done: int, total: int) -> None:
    """Print how far a long import is, ten times in all, on standard error."""
    if total >= LONG_IMPORT and done * 10 // total > (done - 1) * 10 // total:
        print(f"{done} of {total} intersections", file=sys.stderr, flush=True)


def _point(text: str | None) -> Point | None:
    if text is None:
        return None

    try:
        lat, lon = (round(float(part) * 1e7) for part in text.split(","))
    except ValueError:
        raise refuse(
            where="--at",
            entity="map",
            field="at",
            value=text,
            rule="must be LAT,LON in degrees",
            remedy="write it as 39.79,116.50",
        ) from None

    return lat, lon


def export(args: Namespace) -> int:
    """Write a code in another format, read it back, and print what is not as it was; with --strict exit 1 when anything
    is not."""
    code = load(args.file)
    number = Number(args.id, args.region) if args.id is not None else None
    exported = export_code(
        code, args.to, number=number, station=args.station, modules=Modules(read_text(args.asn1)) if args.asn1 else None
    )
    out = args.out or args.file.with_suffix(SUFFIX[args.to])
    out.write_bytes(exported.data)

    for loss in exported.losses:
        print(f"  {loss}")

    print(f"wrote {out}, {len(exported.data)} bytes; read back: {len(exported.losses)} loss(es)")
    return int(args.strict and bool(exported.losses))


def difference(args: Namespace) -> int:
    """Print what has changed from one code to another, in words or field by field; 1 when anything has, else 0."""
    before, after = load(args.before), load(args.after)
    lines = [str(change) for change in diff(before, after)] if args.fields else changes(before, after)
    for line in lines:
        print(line)
    print(f"{len(lines)} change(s)" if lines else "no difference")
    return int(dump(before) != dump(after))


def schema(_: Namespace) -> None:
    """Print the JSON Schema."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(json_schema())).decode() + "\n")


def check(args: Namespace) -> int:
    """Print one line for each fault of each file, and of the files together; 1 when there is an error."""
    error_count, now = 0, WallClock().now()
    loaded: list[Filed] = []

    for file in args.files:
        try:
            code = load(file)
            findings = [*validate(code), *over_faults(code, now)]
            loaded.append(Filed(file, code))
        except CodeError as error:
            findings = error.findings
            error_count += 1

        print(f"{file}: {'no fault' if not findings else f'{len(findings)} finding(s)'}")
        for finding in findings:
            print(f"  {finding}")

    for finding in faults_together(loaded):
        print(finding)
        error_count += finding.severity == Severity.ERROR

    return int(bool(error_count))


def calendar(args: Namespace) -> None:
    """Write a calendar of holidays and make-up working days, from the library of public holidays; a file that is there
    is not written over."""
    from .days import dump_days
    from .public_holidays import from_library

    calendar_days = from_library(args.place, args.years)
    try:
        with args.out.open("xb") as file:
            file.write(dump_days(calendar_days))
    except FileExistsError:
        raise refuse(
            where=str(args.out),
            entity="file",
            field="out",
            value=args.out,
            rule="is there already, perhaps edited by hand",
            remedy="remove it, or give another --out",
        ) from None

    print(
        f"wrote {args.out}: {len(calendar_days.holidays)} holidays, {len(calendar_days.make_up_days)} make-up "
        f"working days, {calendar_days.first} to {calendar_days.last}, from {calendar_days.source}"
    )
    for year in sorted(set(args.years)):
        if args.place == "CN" and not any(day.date.startswith(str(year)) for day in calendar_days.make_up_days):
            print(
                f"  {year} has no make-up days: it is not announced yet, or the library is older. Update it, or "
                "add them by hand"
            )


def show(args: Namespace) -> None:
    """Draw a code: an HTML page where the file's name ends so, SVG otherwise."""
    out: Path = args.out or args.file.with_suffix(".svg")
    code = load(args.file)

    if out.suffix in (".html", ".htm"):
        from .draw.page import show_page

        out.write_text(show_page(code))
    else:
        out.write_text(show_svg(code))

    print(f"wrote {out}")
