"""Commands about a node: init, serve, reload, health, replay, keys, broker, deploy, doctor."""

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
    _add_running(commands)
    _add_setup(commands)
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


def _add_running(commands: Any) -> None:
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
    reload = add_command(commands, "reload", "have a node that runs read its file again", _reload)
    reload.add_argument(
        "config",
        type=Path,
        nargs="?",
        default=Path("node.toml"),
        help="the file it was started from (default node.toml)",
    )
    health = add_command(commands, "health", "ask a node of this machine: exit 0 alive, 1 not", _health)
    health.add_argument(
        "config", type=Path, nargs="?", default=Path("node.toml"), help="the node's file (default node.toml)"
    )
    health.add_argument("--ready", action="store_true", help="ask whether it is ready to serve instead")
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


def _add_setup(commands: Any) -> None:
    init = add_command(
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
    init.add_argument("--http-port", type=int, default=8080, help="TCP port of the live page (default 8080)")
    init.add_argument(
        "--city", action="store_true", help="three nodes that share the intersections, with etcd, on this machine"
    )
    init.add_argument("--etcd-port", type=int, default=2379, help="with --city: the first port of etcd (default 2379)")
    init.add_argument(
        "--signed", action="store_true", help="sign every advisory with a key of the node; vehicles verify it"
    )
    broker = add_command(
        commands, "broker", "write a mosquitto configuration and its ACL, for a broker that runs elsewhere", _broker
    )
    broker.add_argument("out", type=Path, help="folder to write mosquitto.conf and acl into")
    broker.add_argument("--config", type=Path, default=Path("node.toml"), help="the node's file (default node.toml)")
    deploy = add_command(
        commands, "deploy", "write a systemd unit, a Dockerfile, Prometheus and Grafana files for a node", _deploy
    )
    deploy.add_argument("out", type=Path, help="folder to write into")
    deploy.add_argument("--config", type=Path, default=Path("node.toml"), help="the node's file (default node.toml)")
    keys = add_command(commands, "keys", "keys and certificates of gateways and vehicles").add_subparsers(
        metavar="COMMAND", required=True
    )
    new = add_command(keys, "new", "make a key pair: NAME.key (secret) and NAME.pub", _keys_new)
    new.add_argument("name", type=Path)
    signature = add_command(
        keys, "signature", "make a key that a node signs advisories with: [node] signature_key", _keys_signature
    )
    signature.add_argument("file", type=Path, help="file to write, such as keys/signature.key")
    vehicle = add_command(keys, "vehicle", "make the certificate of a vehicle: a folder to give to it", _keys_vehicle)
    vehicle.add_argument("name", help="the vehicle's id")
    vehicle.add_argument(
        "--folder", type=Path, default=Path(), help="the node's folder, of cloudctl init (default: this one)"
    )
    gateway = add_command(keys, "gateway", "make the keys of a gateway: a folder to give to it", _keys_gateway)
    gateway.add_argument("name", help="the gateway's name")
    gateway.add_argument(
        "--folder", type=Path, default=Path(), help="the node's folder, of cloudctl init (default: this one)"
    )
    gateway.add_argument(
        "--rsu",
        action="append",
        default=[],
        metavar="NAME=INTERSECTION",
        help=(
            "a roadside unit of it, and its intersection; may be repeated (default: one new unit, where the node has "
            "a single intersection)"
        ),
    )
    gateway.add_argument("--address", help="where it reaches the node, tcp://HOST:PORT (default: by the node's file)")
    edge = add_command(
        keys, "edge", "make the certificate of an edge's broker, at its region: a folder for it", _keys_edge
    )
    edge.add_argument("name", help="the edge's name: edge-1, edge-north, ...")
    edge.add_argument(
        "--folder",
        type=Path,
        default=Path(),
        help="the folder of the region's node, of cloudctl init (default: this one)",
    )
    revoke = add_command(keys, "revoke", "withdraw a vehicle's certificate; then: cloudctl reload", _keys_revoke)
    revoke.add_argument("name", help="the vehicle's id")
    revoke.add_argument(
        "--folder", type=Path, default=Path(), help="the node's folder, of cloudctl init (default: this one)"
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
    served, known, address = len(node.engine.intersections), len(node.share.intersections), node.server.address
    places = f"{served}" if served == known else f"{served} of {known}"

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
    supervisor = Supervisor(args.config, count, options, show=lambda line: print(line, flush=True))

    def ready(lines: Sequence[str]) -> None:
        for number, line in enumerate(lines, 1):
            print(f"worker {number}: {line}", flush=True)
        print(f"serving with {count} workers; Ctrl-C stops", flush=True)

    asyncio.run(supervisor.run(ready))


def _reload(args: argparse.Namespace) -> None:
    from ..node.config import code_files, load
    from ..node.pid_file import reload_node

    code_files(load(args.config))  # a file that cannot be used is refused here, where its reader is
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
    for (place, cause), count in result.faults.items():
        print(
            f"fault of the node in {place}, {count} times: {cause}\n{result.tracebacks.get((place, cause), '')}".rstrip()  # noqa: E501
        )
    return int(bool(result.faults) or bool(args.compare and not result.identical))


def _show_recording(args: argparse.Namespace) -> int:
    from ..view.playback import show_recording

    def ready(address: str) -> None:
        print(f"open {address}\nCtrl-C stops", flush=True)

    with _traced(args.debug):
        asyncio.run(show_recording(args.file, args.bind, ready, debug=args.debug))
    return 0


def _init(args: argparse.Namespace) -> None:
    from ..node.init_city import CityPorts, init_city
    from ..node.init_folder import Ports, init_folder

    ports = Ports(args.port, args.mqtt_port, args.http_port)
    if args.city:
        lines = init_city(args.folder, args.map, args.host, CityPorts(ports, args.etcd_port))
    else:
        lines = init_folder(args.folder, args.map, args.host, ports, args.signed)
    for line in lines:
        print(line)


def _broker(args: argparse.Namespace) -> None:
    from ..node.broker_files import write_external_broker
    from ..node.config import load

    path = write_external_broker(load(args.config), args.config.resolve().parent, args.out)
    print(f"wrote {path} and what it names beside it; paths of certificates in it are those of {args.config}")


def _keys_new(args: argparse.Namespace) -> None:
    from ..io.zeromq import write_keys

    keys = write_keys(args.name)
    print(
        f"wrote {args.name.with_suffix('.key')} (keep it secret) and {args.name.with_suffix('.pub')}\npublic "
        f"key: {keys.public}"
    )


def _keys_signature(args: argparse.Namespace) -> None:
    from ..io.signatures import new_signature_key

    public_key = new_signature_key(args.file)
    print(f"wrote {args.file} (keep it secret)\npublic key, for vehicles (node_signature_key): {public_key}")


def _keys_vehicle(args: argparse.Namespace) -> None:
    from ..node.init_folder import add_vehicle

    folder = add_vehicle(args.folder, args.name)
    print(f"wrote {folder}: give it to the vehicle, over a way that nobody else can read")
    print(
        f"next: Vehicle.from_folder connects with it; to try it, in {args.folder}: python vehicle.py"
        f" vehicles/{args.name}"
    )


def _keys_edge(args: argparse.Namespace) -> None:
    from ..node.init_city import add_edge

    folder = add_edge(args.folder, args.name)
    print(f"wrote {folder}: give it to the edge, over a way that nobody else can read")
    print("1. the region's broker lets it in after: cloudctl reload; one that runs elsewhere: cloudctl broker OUT")
    print(
        f'2. at the edge, under [broker]: bridge = "HOST:PORT", bridge_name = "{args.name}", bridge_ca = '
        '"region-ca.pem", bridge_cert = "edge.pem", bridge_key = "edge.key"'
    )


def _keys_gateway(args: argparse.Namespace) -> None:
    from ..node.init_folder import InitError, add_gateway

    rsus: dict[str, str] = {}
    for text in args.rsu:
        rsu, equals, intersection = text.partition("=")
        if not (rsu and equals and intersection) or rsu in rsus:
            raise InitError(
                f"--rsu {text!r} must be NAME=INTERSECTION, each name once, such as rsu-2=UST1.110115403..."
            )
        rsus[rsu] = intersection

    made = add_gateway(args.folder, args.name, rsus, args.address)
    print(f"wrote {made.folder}: give it to the gateway's engineers, over a way that nobody else can read")
    print(f"1. add to {args.folder / 'node.toml'}:\n\n{made.section}")
    print(f"2. where the node runs: cloudctl reload {args.folder / 'node.toml'}")
    print(f"3. the gateway connects with Gateway.from_folder; to try it: python gateway.py gateways/{args.name}")


def _keys_revoke(args: argparse.Namespace) -> None:
    from ..node.init_folder import revoke_vehicle

    count = revoke_vehicle(args.folder, args.name)
    print(f"{args.name}: {count} certificate(s) revoked. A node that runs takes it over with: cloudctl reload")


def _doctor(args: argparse.Namespace) -> int:
    import msgspec

    from ..node.doctor import Status, examine

    default = Path("node.toml")
    findings = []
    for found in examine(args.config or (default if default.exists() else None), args.vehicle):
        findings.append(found)
        if not args.json:
            print(f"{found.status:<4}  {found.name}: {found.value}", flush=True)
            if found.remedy:
                print(f"      {found.rule}\n      fix: {found.remedy}", flush=True)
    failed = any(found.status is Status.FAIL for found in findings)
    if args.json:
        print(msgspec.json.encode({"failed": failed, "findings": findings}).decode())
    return int(failed)


def _health(args: argparse.Namespace) -> int:
    from ..node.config import load
    from ..node.health_probe import ask

    reply = ask(load(args.config), "/ready" if args.ready else "/health")
    print(json.dumps(reply.report))
    return int(reply.status != 200)


def _deploy(args: argparse.Namespace) -> None:
    from ..node.config import load
    from ..node.deployment import UNIT, write_deployment

    load(args.config)  # a file that cannot be used is refused here, not by systemd
    for path in write_deployment(args.out, args.config):
        print(f"wrote {path}")
    print(f"next, as root: cp {args.out / UNIT} /etc/systemd/system/ && systemctl enable --now cloudctl")
    print("docs/deployment.md explains each, and what the user of the service needs")
