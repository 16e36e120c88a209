"""Commands about recordings: info, cut, merge, export."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .parsers import add_command

if TYPE_CHECKING:
    from ..recordings.rewriting import Written


def add_recording_commands(commands: Any) -> None:
    """Add them."""
    recording = add_command(commands, "recording", "look into recordings, cut, merge and export them")
    verbs = recording.add_subparsers(metavar="COMMAND", required=True)
    _add_info(verbs)
    _add_cut(verbs)
    _add_merge(verbs)
    _add_export(verbs)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="any file of a run, or the folder of one: all parts of it are meant")


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="the file to write; none is ever written over")
    parser.add_argument(
        "--check", action="store_true", help="replay the result; exit 1 unless its advisories are the recorded bytes"
    )


def _add_info(verbs: Any) -> None:
    info = add_command(verbs, "info", "what a recording holds, and whether its files are whole", _info)
    _add_source(info)
    info.add_argument("--check", action="store_true", help="read everything and check every CRC; exit 1 at damage")
    info.add_argument("--json", action="store_true", help="one JSON object")


def _add_cut(verbs: Any) -> None:
    cut = add_command(verbs, "cut", "a part of a recording, by time, intersection and topic", _cut)
    _add_source(cut)
    _add_out(cut)
    cut.add_argument(
        "--from", dest="first", metavar="TIME", help="+SECONDS from the beginning, or 2026-05-01T08:00:00Z"
    )
    cut.add_argument("--to", dest="last", metavar="TIME", help="likewise; steps at that time are in it")
    cut.add_argument(
        "--intersection", action="append", default=[], metavar="ID", help="only what is of it; may be repeated"
    )
    cut.add_argument(
        "--topic", action="append", default=[], metavar="PATTERN", help="only topics such as 'in/*'; may be repeated"
    )


def _add_merge(verbs: Any) -> None:
    merge = add_command(verbs, "merge", "several recordings as one, by time; refuses what contradicts", _merge)
    merge.add_argument("files", type=Path, nargs="+", help="a file of each run")
    _add_out(merge)


def _add_export(verbs: Any) -> None:
    export = add_command(verbs, "export", "a recording in another form", _export)
    _add_source(export)

    export.add_argument(
        "--to",
        choices=("parquet", "foxglove"),
        required=True,
        help=(
            "parquet: a folder of tables; foxglove: the recording, with tracks, signals, advisories and the map for "
            "other viewers beside it"
        ),
    )
    export.add_argument("--out", type=Path, required=True, help="the folder or file to write; none is written over")
    export.add_argument("--tracks", action="store_true", help="parquet: also the tracks, for which the run is repeated")


def _info(args: argparse.Namespace) -> int:
    from ..recordings.info import info, lines_of

    facts = info(args.file, args.check)

    if args.json:
        print(msgspec.json.encode(facts).decode())
    else:
        print("\n".join(lines_of(facts)))

    return int(args.check and not facts.is_whole)


def _cut(args: argparse.Namespace) -> int:
    from ..io.recording.chunks import IndexedRun
    from ..recordings.cut import CutRequest, cut
    from ..recordings.times import time_of_text

    begin = IndexedRun(args.file).begin if args.first or args.last else 0

    request = CutRequest(
        first=None if args.first is None else time_of_text("--from", args.first, begin),
        last=None if args.last is None else time_of_text("--to", args.last, begin),
        intersections=tuple(args.intersection),
        topics=tuple(args.topic),
    )

    return _report_written(cut(args.file, args.out, request), args.check)


def _merge(args: argparse.Namespace) -> int:
    from ..recordings.merge import merge

    return _report_written(merge(args.files, args.out), args.check)


def _export(args: argparse.Namespace) -> int:
    if args.to == "foxglove":
        from ..recordings.foxglove import add_views

        return _report_written(add_views(args.file, args.out), check=False)

    from ..recordings.parquet import export_parquet

    return _report_written(export_parquet(args.file, args.out, args.tracks), check=False)


def _report_written(written: "Written", check: bool) -> int:
    """Print what was written and left out, and how a replay of it compares where that is asked for; return the exit
    status."""
    files = written.path.iterdir() if written.path.is_dir() else [written.path]
    print(f"wrote {written.path}: {sum(file.stat().st_size for file in files):,} bytes")
    print("\n".join(f"  {topic}: {count:,}" for topic, count in sorted(written.kept.items())))
    for line in written.dropped:
        print(line)
    for note in written.notes:
        print(f"note: {note}")
    if written.is_prefix:
        print("it holds every input from the beginning: it replays to the recorded bytes")
    if not check:
        return 0

    from ..replay import replay

    result = replay(written.path)
    if not result.identical:
        print(f"replayed: first difference: {result.difference}")
    elif result.recorded:
        print(f"replayed: byte-identical, all {result.recorded:,} recorded advisories")
    else:
        print("replayed: it holds no advisory, and the replay gave none")

    return int(not result.identical or bool(result.faults))
