"""The command line: `cloudctl --help`. Each command is a few lines here; what it does lives in the module it names."""

import argparse
import asyncio
import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from . import __version__

EXAMPLES = """examples:
  cloudctl demo --out out/demo                       the whole loop on real traffic, with a report
  cloudctl init here                                 a node's folder: keys, certificates, node.toml, two scripts to try it
  cloudctl keys new keys/node                        a CURVE key pair: keys/node.key, keys/node.pub
  cloudctl serve node.toml                           a node: sockets, keys, broker, codes, recording from one file
  cloudctl keys vehicle car-2                        a certificate for a vehicle; cloudctl keys revoke car-2 withdraws it
  cloudctl reload node.toml                          a node that runs reads its file, keys and codes again
  cloudctl codes import net.net.xml --out codes/     a SUMO network, or another format, to digital codes
  cloudctl codes show codes/0.json --out 0.html      draw a digital code
  cloudctl codes export codes/0.json --to geojson    a digital code in another format
  cloudctl sim run --sumocfg town.sumocfg --in-process --json run.json
  cloudctl eval                                      the tracker against truth, on made-up scenes
  cloudctl replay run.mcap --compare                 prove that the run can be repeated to the byte
  cloudctl doctor                                    what is missing on this machine, and what installs it
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 found wanting, 2 could not be done."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not hasattr(args, "run"):
        parser.print_help()
        return 2
    try:
        return int(args.run(args) or 0)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        print(
            f"cloudctl: {error.name} is not installed. Simulation needs: pip install 'cloudctl[sim]'", file=sys.stderr
        )
        return 2
    except (ValueError, RuntimeError, OSError) as error:
        print(f"cloudctl: {error}", file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(
        "cloudctl",
        description="Vehicle-road cloud control: RSU streams in, advisories out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cloudctl {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    serve = _command(commands, "serve", "run a node from one TOML file", _serve)
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
    reload = _command(commands, "reload", "have a node that runs read its file again", _reload)
    reload.add_argument(
        "config",
        type=Path,
        nargs="?",
        default=Path("node.toml"),
        help="the file it was started from (default node.toml)",
    )
    replay = _command(commands, "replay", "drive the engine with a recording, as fast as it can", _replay)
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
    init = _command(
        commands, "init", "make a folder with all that a closed node needs, and two scripts to try it", _init
    )
    init.add_argument("folder", type=Path)
    init.add_argument(
        "--map", type=Path, help="a digital code, or a map that can be imported (default: the intersection that ships)"
    )
    init.add_argument(
        "--host", default="127.0.0.1", help="where gateways and vehicles reach the node (default 127.0.0.1)"
    )
    init.add_argument("--port", type=int, default=7788, help="TCP port for gateways (default 7788)")
    init.add_argument("--mqtt-port", type=int, default=8883, help="TCP port of the broker (default 8883)")
    init.add_argument(
        "--signed", action="store_true", help="sign every advisory with a key of the node; vehicles verify it"
    )
    keys = _command(commands, "keys", "keys and certificates of gateways and vehicles").add_subparsers(
        metavar="COMMAND", required=True
    )
    new = _command(keys, "new", "make a key pair: NAME.key (secret) and NAME.pub", _keys_new)
    new.add_argument("name", type=Path)
    signature = _command(
        keys, "signature", "make a key that a node signs advisories with: [node] signature_key", _keys_signature
    )
    signature.add_argument("file", type=Path, help="file to write, such as keys/signature.key")
    vehicle = _command(keys, "vehicle", "make the certificate of a vehicle: a folder to give to it", _keys_vehicle)
    vehicle.add_argument("name", help="the vehicle's id")
    vehicle.add_argument(
        "--folder", type=Path, default=Path(), help="the node's folder, of cloudctl init (default: this one)"
    )
    revoke = _command(keys, "revoke", "withdraw a vehicle's certificate; then: cloudctl reload", _keys_revoke)
    revoke.add_argument("name", help="the vehicle's id")
    revoke.add_argument(
        "--folder", type=Path, default=Path(), help="the node's folder, of cloudctl init (default: this one)"
    )
    _codes_parsers(
        _command(commands, "codes", "intersection digital codes").add_subparsers(metavar="COMMAND", required=True)
    )
    _sim_parsers(
        _command(commands, "sim", "run SUMO scenarios through the loop").add_subparsers(
            metavar="COMMAND", required=True
        )
    )
    demo = _command(commands, "demo", "the whole loop on real traffic, in about a minute, with a report", _demo)
    demo.add_argument("--out", type=Path, default=Path("out/demo"))
    demo.add_argument("--seconds", type=float, default=12.0, help="real time over sockets, a scenario (default 12)")
    demo.add_argument(
        "--study", type=float, default=240.0, help="simulated seconds with and without advice, a seed (default 240)"
    )
    demo.add_argument("--seeds", type=int, default=1, help="seeds of the study with and without advice (default 1)")
    bench = _command(
        commands, "bench", "measure decode, fusion, plan, egress and the whole loop against their floors", _bench
    )
    bench.add_argument(
        "names",
        nargs="*",
        help="some of: decode fusion plan egress loop replay start codes (default: all these), peers (other trackers), lying (signals), round_trips (codes), fuzz, soak",
    )
    _eval_parser(commands)
    _command(commands, "doctor", "what is missing on this machine, and the command that fixes it", _doctor)
    return parser


def _command(
    parsers: Any, name: str, help: str, run: Callable[[argparse.Namespace], int | None] | None = None
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parsers.add_parser(name, help=help, description=help)
    if run:
        parser.set_defaults(run=run)
    return parser


def _codes_parsers(commands: Any) -> None:
    imported = _command(
        commands, "import", "digital codes from a file of another format, known by its content", _codes("import_")
    )
    imported.add_argument(
        "file", type=Path, help="SUMO network, Lanelet2 OSM, OpenDRIVE, MAP (UPER, hex, JSON), YD/T 3709 MAP (JSON)"
    )
    imported.add_argument(
        "--out", type=Path, default=Path("codes"), help="folder for one JSON file an intersection, and losses.jsonl"
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
        help="name of the map that the file is a version of (default: the file's name); what is gone from that map is taken out of the folder",
    )
    imported.add_argument(
        "--valid-from",
        help="when changed codes take effect, ISO 8601 with its zone: they are written beside those in force (default: in their place)",
    )
    export = _command(commands, "export", "a digital code in another format", _codes("export"))
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
    differ = _command(
        commands, "diff", "what differs between two revisions: exit 1 when anything does", _codes("difference")
    )
    differ.add_argument("before", type=Path)
    differ.add_argument("after", type=Path)
    differ.add_argument(
        "--fields", action="store_true", help="every field that differs, entity by entity, instead of words"
    )
    _command(commands, "schema", "the JSON Schema of a digital code", _codes("schema"))
    validate = _command(commands, "validate", "check digital codes: one line for each fault", _codes("check"))
    validate.add_argument("files", type=Path, nargs="+")
    calendar = _command(
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
    show = _command(commands, "show", "draw a digital code as SVG, or as an HTML page", _codes("show"))
    show.add_argument("file", type=Path)
    show.add_argument("--out", type=Path, help="file to write, .svg or .html (default: .svg beside the code)")


def _codes(name: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        from .codes import command

        return int(getattr(command, name)(args) or 0)

    return run


def _sim_parsers(commands: Any) -> None:
    run = _command(
        commands, "run", "run a SUMO scenario through the loop; in real time over sockets, or --in-process", _sim_run
    )
    run.add_argument("--sumocfg", type=Path, required=True)
    run.add_argument("--penetration", type=float, default=1.0, help="share of connected vehicles, 0..1 (default 1)")
    run.add_argument("--seed", type=int, default=1)
    run.add_argument("--advice", choices=("on", "off"), default="on")
    run.add_argument("--json", type=Path, help="file for the figures")
    run.add_argument("--in-process", action="store_true", help="no sockets, faster than real time")
    run.add_argument("--seconds", type=float, help="simulated seconds (default: the scenario's span)")
    run.add_argument("--warm-up", type=float, default=0.0, help="seconds of traffic before anything is observed")
    run.add_argument("--step", type=float, default=0.1, help="SUMO's step, s (default 0.1)")
    run.add_argument("--extra-delay", type=float, default=0.0, help="ms added to every sensor and advisory (default 0)")
    run.add_argument("--miss", type=float, help="share of missed detections (default 0.08)")
    run.add_argument(
        "--view",
        action="store_true",
        help="serve the live page while it runs, and print the address to open (over sockets only)",
    )
    run.add_argument("--record", type=Path, help="MCAP file for the run")
    run.add_argument(
        "--out",
        type=Path,
        default=Path("out/sim"),
        help="folder for keys, configuration and logs of a run over sockets",
    )
    _study_parser(commands)


STUDY = """examples:
  cloudctl sim study --sumocfg town.sumocfg --out out/town            5 seeds, all and 30 % connected, against SUMO's device
  cloudctl sim study --sumocfg corridor --seeds 1 --penetration 1.0 --seconds 600 --against none --out out/quick
  cloudctl sim study --sumocfg town.sumocfg --delay-ms 500 --miss 0.2 --out out/town-worse
Stopped half-way it goes on where it was: runs already in --out are not run again. docs/study.md says how to read it.
"""


def _study_parser(commands: Any) -> None:
    study = _command(
        commands, "study", "what the advice changes, against no advice and against SUMO's own GLOSA device", _sim_study
    )
    study.formatter_class, study.epilog = argparse.RawDescriptionHelpFormatter, STUDY
    study.add_argument("--sumocfg", required=True, help="a SUMO scenario, or `corridor`: ours, of five signals")
    study.add_argument("--seeds", default="1..5", help="such as 1..5 or 1,2,9 (default 1..5)")
    study.add_argument("--penetration", default="1.0,0.3", help="shares of connected vehicles (default 1.0,0.3)")
    study.add_argument(
        "--against",
        default="none,glosa-default,glosa-best",
        help="some of none, glosa-default, glosa-best, glosa-best-queue (default: the first three)",
    )
    study.add_argument(
        "--baselines",
        action="store_true",
        help="leave ours out: once, before tuning, for later studies to find in --out",
    )
    study.add_argument("--seconds", type=float, help="departures of so many seconds (default: the scenario's span)")
    study.add_argument("--step", type=float, default=0.1, help="SUMO's step, s (default 0.1)")
    study.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    study.add_argument(
        "--delay-ms",
        type=float,
        default=0.0,
        help="ms added between sensor and vehicle: half on the way to our node, half on the way from it",
    )
    study.add_argument("--miss", type=float, help="share of detections our roadside units miss (default 0.08)")
    study.add_argument("--out", type=Path, required=True, help="folder for runs, figures and plots")
    _warnings_parser(commands)
    _priority_parser(commands)


WARNINGS = """examples:
  cloudctl sim warnings --out out/warnings                                Braunschweig: cars, bicycles, pedestrians, some reckless
  cloudctl sim warnings --scenario corridor --seeds 11..15 --train 1..3 --out out/corridor
  cloudctl sim warnings --scenario town.sumocfg --seconds 1800 --out out/town
  cloudctl sim warnings --sensing perfect --out out/perfect               what better roadside units could gain at the most
  cloudctl sim warnings --signals actuated --violators 0.6 --out out/many signals that traffic drives, many who run reds
Nobody reacts to a warning here, so that what it warns of happens. docs/study.md says how to read it.
"""


def _warnings_parser(commands: Any) -> None:
    bench = _command(
        commands, "warnings", "how often warnings are right, how many conflicts they find, how early", _sim_warnings
    )
    bench.formatter_class, bench.epilog = argparse.RawDescriptionHelpFormatter, WARNINGS
    bench.add_argument(
        "--scenario",
        default="braunschweig",
        help="braunschweig, corridor, drt (Berlin), or a .sumocfg (default braunschweig)",
    )
    bench.add_argument("--train", default="1..2", help="seeds on which thresholds are chosen (default 1..2)")
    bench.add_argument("--seeds", default="11..14", help="seeds of which figures are shown (default 11..14)")
    bench.add_argument("--seconds", type=float, default=300.0, help="simulated seconds a seed (default 300)")
    bench.add_argument("--warm-up", type=float, default=150.0, help="seconds of traffic before (default 150)")
    bench.add_argument("--penetration", type=float, default=1.0, help="share of connected vehicles (default 1)")
    bench.add_argument(
        "--signals",
        default="fixed,actuated,delay_based",
        help="the scenario's own programmes (fixed), the same phases under SUMO's actuated or delay_based control, or nema where a network has it; "
        "several with commas between them (default fixed,actuated,delay_based)",
    )
    bench.add_argument("--violators", type=float, default=0.22, help="share of drivers that run reds (default 0.22)")
    bench.add_argument(
        "--sensing",
        choices=("noisy", "perfect"),
        default="noisy",
        help="roadside units as they are, or without noise, misses and delay (default noisy)",
    )
    bench.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    bench.add_argument("--out", type=Path, required=True, help="folder for runs, figures and plots")


PRIORITY = """examples:
  cloudctl sim priority --out out/priority                                our corridor: buses ask, its signals heed them
  cloudctl sim priority --sumocfg town.sumocfg --seeds 1,2 --seconds 1800 --out out/town
"""


def _priority_parser(commands: Any) -> None:
    bench = _command(commands, "priority", "what signal priority gives buses, and costs everybody else", _sim_priority)
    bench.formatter_class, bench.epilog = argparse.RawDescriptionHelpFormatter, PRIORITY
    bench.add_argument(
        "--sumocfg", default="corridor", help="a SUMO scenario, or `corridor`: ours, of five signals (default)"
    )
    bench.add_argument("--seeds", default="1..3", help="such as 1..5 or 1,2,9 (default 1..3)")
    bench.add_argument("--seconds", type=float, default=900.0, help="departures of so many seconds (default 900)")
    bench.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    bench.add_argument("--out", type=Path, required=True, help="folder for the figures")


EVAL_EXAMPLES = """examples:
  cloudctl eval                                      the made-up scenes, medians over seeds no parameter was chosen on
  cloudctl eval --scene crowd --seeds 1 2 3 --plot out/crowd.png
  cloudctl eval --ablate --scene one three           what each feature of the tracker is worth
  cloudctl eval --mcity FOLDER                       real roadside units against RTK; FOLDER holds dets/ and gts/
  cloudctl eval --recording run.mcap --truth run.truth.mcap
"""


def _eval_parser(commands: Any) -> None:
    score = _command(commands, "eval", "score tracks against truth: CLEAR MOT, IDF1, HOTA, GOSPA, OSPA(2), RMSE", _eval)
    score.formatter_class, score.epilog = argparse.RawDescriptionHelpFormatter, EVAL_EXAMPLES
    score.add_argument("--scene", nargs="+", metavar="NAME", help="made-up scenes, by name (default: all)")
    score.add_argument(
        "--ablate", action="store_true", help="the scenes again with each feature of the tracker left out"
    )
    score.add_argument("--seeds", type=int, nargs="+", help="seeds of the scenes (default: 101 .. 105)")
    score.add_argument("--mcity", type=Path, metavar="FOLDER", help="the folder of Mcity's trials")
    score.add_argument("--recording", type=Path, metavar="FILE", help="a recording of ours (MCAP)")
    score.add_argument("--truth", type=Path, metavar="FILE", help="the truth written beside it")
    score.add_argument("--plot", type=Path, metavar="PNG", help="draw tracks, truth and error over time")


def _eval(args: argparse.Namespace) -> None:
    from .sim.tracking import evaluate

    evaluate.run(args)


def _serve(args: argparse.Namespace) -> None:
    from .logs import LogFormat, set_up
    from .node import config, live

    set_up(LogFormat(args.log_format), args.log_level.upper())
    node = live.Node(config.load(args.config), file=args.config, debug=args.debug)
    places, address = len(node.engine.intersections), node.server.address

    def ready() -> None:
        print(f"serving {places} intersection(s) on {address}; Ctrl-C stops", flush=True)
        if node.page and node.web:
            print(f"live page: {node.page.address(node.web.address)}", flush=True)

    with _traced(args.debug):
        asyncio.run(node.run(ready=ready))


def _reload(args: argparse.Namespace) -> None:
    from .node.config import code_files, load
    from .node.pid_file import send_hangup

    code_files(load(args.config))  # a file that cannot be used is refused here, where its reader is
    number = send_hangup(args.config)
    print(f"the node (process {number}) reads {args.config} again; its log says what it takes over")


@contextlib.contextmanager
def _traced(debug: bool) -> Iterator[None]:
    """In debugging, end the program at an exception with its traceback, exit status 2."""
    from .io.recording.parts import RecordingError

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
    from .replay import Replay, replay

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
    for (place, cause), count in result.faults.items():
        print(
            f"fault of the node in {place}, {count} times: {cause}\n{result.tracebacks.get((place, cause), '')}".rstrip()
        )
    return int(bool(result.faults) or bool(args.compare and not result.identical))


def _show_recording(args: argparse.Namespace) -> int:
    from .view.playback import show_recording

    def ready(address: str) -> None:
        print(f"open {address}\nCtrl-C stops", flush=True)

    with _traced(args.debug):
        asyncio.run(show_recording(args.file, args.bind, ready, debug=args.debug))
    return 0


def _keys_new(args: argparse.Namespace) -> None:
    from .io.zeromq import write_keys

    keys = write_keys(args.name)
    print(
        f"wrote {args.name.with_suffix('.key')} (keep it secret) and {args.name.with_suffix('.pub')}\npublic key: {keys.public}"
    )


def _init(args: argparse.Namespace) -> None:
    from .node.init_folder import Ports, init_folder

    for line in init_folder(args.folder, args.map, args.host, Ports(args.port, args.mqtt_port), args.signed):
        print(line)


def _keys_signature(args: argparse.Namespace) -> None:
    from .io.signatures import new_signature_key

    public_key = new_signature_key(args.file)
    print(f"wrote {args.file} (keep it secret)\npublic key, for vehicles (node_signature_key): {public_key}")


def _keys_vehicle(args: argparse.Namespace) -> None:
    from .node.init_folder import add_vehicle

    folder = add_vehicle(args.folder, args.name)
    print(f"wrote {folder}: give it to the vehicle, over a way that nobody else can read")


def _keys_revoke(args: argparse.Namespace) -> None:
    from .node.init_folder import revoke_vehicle

    count = revoke_vehicle(args.folder, args.name)
    print(f"{args.name}: {count} certificate(s) revoked. A node that runs takes it over with: cloudctl reload")


def _sim_run(args: argparse.Namespace) -> None:
    from .sim import command

    command.run(args)


def _sim_study(args: argparse.Namespace) -> None:
    from .sim.study import bench

    bench.run(args)


def _sim_warnings(args: argparse.Namespace) -> None:
    from .sim.warnings import bench

    bench.run(args)


def _sim_priority(args: argparse.Namespace) -> None:
    from .sim.study import priority

    priority.run(args)


def _demo(args: argparse.Namespace) -> int:
    from .sim import demo

    return int(demo.run(args.out, args.seconds, args.study, args.seeds))


def _bench(args: argparse.Namespace) -> int:
    from .sim.command import bench

    return int(bench(args.names))


def _doctor(_: argparse.Namespace) -> int:
    from .node.doctor import examine

    faults = 0
    for item in examine():
        print(
            f"{'ok  ' if item.good else 'MISS'}  {item.name}: {item.found}"
            + ("" if item.good else f"\n      fix: {item.remedy}")
        )
        faults += item.needed and not item.good
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
