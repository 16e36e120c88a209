"""Commands about a node that runs: serve, reload, health, replay, doctor."""

import argparse
import asyncio
import contextlib
import json
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .parsers import add_command


def add_node_commands(commands: Any) -> None:
    """Add them."""
    _add_serve(commands)
    _add_reload(commands)
    _add_health(commands)
    _add_replay(commands)
    _add_doctor(commands)


def _add_serve(commands: Any) -> None:
    serve = add_command(commands, "serve", "run a node from one TOML file", _serve)
    serve.add_argument(
        "config",
        type=Path,
        nargs="?",
        default=Path("node.toml"),
        help="the node's file; docs/operations.md explains every key. SIGHUP reads it again",
    )
    serve.add_argument(
        "--debug", action="store_true", help="stop at the first fault of the node's own, with its traceback"
    )
    serve.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="log lines for people, or one JSON object a line"
    )
    serve.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="the lowest level that is logged (default info)",
    )
    serve.add_argument(
        "--workers", type=int, help="run that many processes, each with a part of the intersections (default: 1)"
    )
    serve.add_argument("--worker", metavar="NUMBER[/COUNT]", help="be one of several workers, such as 2/4")


def _add_reload(commands: Any) -> None:
    reload = add_command(commands, "reload", "have a node that runs read its file again", _reload)
    reload.add_argument(
        "config",
        type=Path,
        nargs="?",
        default=Path("node.toml"),
        help="the file it was started from (default node.toml)",
    )


def _add_health(commands: Any) -> None:
    health = add_command(commands, "health", "ask a node of this machine: exit 0 alive, 1 not", _health)
    health.add_argument(
        "config", type=Path, nargs="?", default=Path("node.toml"), help="the node's file (default node.toml)"
    )
    health.add_argument("--ready", action="store_true", help="ask whether it is ready to serve instead")


def _add_replay(commands: Any) -> None:
    replay = add_command(commands, "replay", "drive the engine with a recording, as fast as it can", _replay)
    replay.add_argument(
        "file", type=Path, help="any file of a run, or the folder of one: all parts of the run are replayed in order"
    )
    replay.add_argument(
        "--debug", action="store_true", help="stop at the first fault of the node's own, with its traceback"
    )
    replay.add_argument(
        "--compare",
        action="store_true",
        help="exit 1 unless every advisory is byte-identical to the recorded one (faults: exit 1 with or without it)",
    )
    replay.add_argument(
        "--view",
        action="store_true",
        help="show the run on a page in the browser instead: play, pause, seek; prints the address to open",
    )
    replay.add_argument(
        "--bind",
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        help="with --view: where to serve the page (default: this machine only, a free port)",
    )


def _add_doctor(commands: Any) -> None:
    doctor = add_command(commands, "doctor", "what stands in the way of a node, and the command that mends it", _doctor)
    doctor.add_argument(
        "config",
        type=Path,
        nargs="?",
        help="the node's file, to look at that node too (default: node.toml where it is in this folder)",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON document instead")
    doctor.add_argument(
        "--vehicle",
        type=Path,
        metavar="FOLDER",
        help="of a vehicle that does not drive now: the broker's rights are tried with its certificate",
    )


def _serve(args: argparse.Namespace) -> None:
    from ..logs import LogFormat, set_up
    from ..node import config, live
    from ..node.pid_file import require_none_running
    from ..node.startup import limit_heaps
    from ..node.workers import for_worker, own_file, parse_worker

    set_up(LogFormat(args.log_format), args.log_level.upper())
    settings = config.load(args.config)
    count = settings.node.workers if args.workers is None else args.workers
    if args.worker is None and (args.workers is not None or count > 1):
        return _serve_workers(args, count)

    worker = parse_worker(args.worker, settings) if args.worker else None
    require_none_running(own_file(args.config, worker))
    settings = settings if worker is None else for_worker(settings, worker)
    limit_heaps()
    node = live.Node(settings, file=args.config, debug=args.debug, worker=worker)
    served, readable, address = len(node.engine.intersections), len(node.share.intersections), node.server.address
    places = f"{served}" if served == readable else f"{served} of {readable}"

    def ready() -> None:
        print(f"serving {places} intersection(s) on {address}; Ctrl-C stops", flush=True)
        if node.page and node.web:
            print(f"live page: {node.page.address(node.web.address)}", flush=True)
        foxglove = node.other_viewers.address(node.web.address) if node.web else None
        if foxglove:
            print(f"Foxglove: {foxglove}", flush=True)

    with _traced(args.debug):
        asyncio.run(node.run(ready=ready))
    return None


def _serve_workers(args: argparse.Namespace, count: int) -> None:
    from ..node.pid_file import require_none_running
    from ..node.supervisor import Supervisor

    require_none_running(args.config)
    options = ["--log-format", args.log_format, "--log-level", args.log_level, *(["--debug"] if args.debug else [])]
    supervisor = Supervisor(file=args.config, count=count, options=options, show=lambda line: print(line, flush=True))

    def ready(lines: Sequence[str]) -> None:
        for number, line in enumerate(lines, 1):
            print(f"worker {number}: {line}", flush=True)
        print(f"serving with {count} workers; Ctrl-C stops", flush=True)

    asyncio.run(supervisor.run(ready))


def _reload(args: argparse.Namespace) -> None:
    from ..node.config import code_files, load
    from ..node.pid_file import reload_node

    # A file that cannot be used is refused here, where its reader is
    code_files(load(args.config))
    answer = reload_node(args.config)
    print(f"the node (process {answer.process}) has read {args.config} again, and taken it over")
    for note in answer.notes:
        print(f"note: {note}")


@contextlib.contextmanager
def _traced(debug: bool) -> Iterator[None]:
    """In debugging, end the program at an exception with its traceback, exit status 2."""
    from ..io.recording.parts import RecordingError

    try:
        yield
    except RecordingError:
        raise
    except Exception:
        if not debug:
            raise
        traceback.print_exc()
        raise SystemExit(2) from None


def _replay(args: argparse.Namespace) -> int:
    if args.view:
        return _show_recording(args)

    from ..replay import Replay, replay

    def show(so_far: Replay) -> None:
        if sys.stderr.isatty():
            print(f"\r{so_far.span_s:8.1f} s replayed", end="", file=sys.stderr)

    with _traced(args.debug):
        result = replay(args.file, show, debug=args.debug)
    print(
        f"{args.file}: {result.steps} steps, {result.messages} messages, {result.advisories} advisories; "
        f"{result.span_s:.1f} s in {result.took_s:.2f} s ({result.speed:.0f} x real time)"
    )
    for note in (*result.notes, *([result.fault] if result.fault else [])):
        print(f"note: {note}")

    if args.compare:
        print(
            f"first difference: {result.difference}"
            if not result.identical
            else f"byte-identical: all {result.recorded} recorded advisories were said again"
        )
        if not result.identical and result.other_software is not None:
            print(f"note: {result.other_software}")

    for (intersection, cause), count in result.faults.items():
        print(
            f"fault of the node in {intersection}, {count} times: {cause}\n{result.tracebacks.get((intersection, cause), '')}".rstrip()  # noqa: E501
        )

    return int(bool(result.faults) or bool(args.compare and not result.identical))


def _show_recording(args: argparse.Namespace) -> int:
    from ..view.playback import show_recording

    def ready(address: str) -> None:
        print(f"open {address}\nCtrl-C stops", flush=True)

    with _traced(args.debug):
        asyncio.run(show_recording(args.file, args.bind, ready, debug=args.debug))
    return 0


def _doctor(args: argparse.Namespace) -> int:
    import msgspec

    from ..node.doctor import Status, examine

    default = Path("node.toml")
    findings = []

    for finding in examine(args.config or (default if default.exists() else None), args.vehicle):
        findings.append(finding)
        if not args.json:
            print(f"{finding.status:<4}  {finding.name}: {finding.value}", flush=True)
            if finding.remedy:
                print(f"      {finding.rule}\n      fix: {finding.remedy}", flush=True)

    failed = any(finding.status is Status.FAIL for finding in findings)
    if args.json:
        print(msgspec.json.encode({"failed": failed, "findings": findings}).decode())
    return int(failed)


def _health(args: argparse.Namespace) -> int:
    from ..node.config import load
    from ..node.health_probe import ask

    reply = ask(load(args.config), "/ready" if args.ready else "/health")
    print(json.dumps(reply.report))
    return int(reply.status != 200)
