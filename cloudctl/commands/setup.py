"""Commands that write what a node needs before it runs: init, keys, broker, deploy."""

import argparse
from pathlib import Path
from typing import Any

from .parsers import add_command


def add_setup_commands(commands: Any) -> None:
    """Add them."""
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
    _add_keys(commands)


def _add_keys(commands: Any) -> None:
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

    gateway = add_gateway(args.folder, args.name, rsus, args.address)
    print(f"wrote {gateway.folder}: give it to the gateway's engineers, over a way that nobody else can read")
    print(f"1. add to {args.folder / 'node.toml'}:\n\n{gateway.section}")
    print(f"2. where the node runs: cloudctl reload {args.folder / 'node.toml'}")
    print(f"3. the gateway connects with Gateway.from_folder; to try it: python gateway.py gateways/{args.name}")


def _keys_revoke(args: argparse.Namespace) -> None:
    from ..node.init_folder import revoke_vehicle

    count = revoke_vehicle(args.folder, args.name)
    print(f"{args.name}: {count} certificate(s) revoked. A node that runs takes it over with: cloudctl reload")


def _deploy(args: argparse.Namespace) -> None:
    from ..node.config import load
    from ..node.deployment import DEFAULT_PAGE, UNIT, WORKER_UNIT, write_deployment
    from ..node.workers import pages

    # A file that cannot be used is refused here, not by systemd
    config = load(args.config)
    workers = config.node.workers
    for path in write_deployment(args.out, args.config, pages(config) or (DEFAULT_PAGE,)):
        print(f"wrote {path}")
    unit, services = UNIT, "cloudctl"
    if workers > 1:
        unit, services = WORKER_UNIT, " ".join(f"cloudctl@{number}" for number in range(1, workers + 1))
    print(f"next, as root: cp {args.out / unit} /etc/systemd/system/ && systemctl enable --now {services}")
    if workers > 1 and config.broker.embedded:
        print(
            "the broker is a service of its own then: cloudctl broker OUT writes its configuration; with it, "
            "[broker] embedded = false"
        )
    print("docs/deployment.md explains each, and what the user of the service needs")
