"""What `cloudctl init --city` writes: a closed city of three nodes on one machine, with a script that starts it.

Three etcd servers with TLS, where every client is known by its certificate and has the rights of its role; a mosquitto
where the three nodes have the rights of nodes; three nodes of one key pair. On several machines, the same files go
where each is used, with other addresses.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

from .. import codes
from ..io.addresses import bound_for, bracketed, own_loopback
from ..io.broker import OPERATOR_NAME, Tls, write_mosquitto_files
from ..io.zeromq import write_keys
from ..maps import path as shipped_map
from .broker_files import write_broker_files
from .config import load
from .credentials import BROKER_NAME, EDGE_NAMES, Authority, node_name, own_hosts
from .example_scripts import GATEWAY_NAME, VEHICLE_NAME, example_scripts
from .init_folder import (
    HTTP,
    IGNORE_FILE,
    NODE_FILE,
    InitError,
    Ports,
    add_vehicle,
    checked_host,
    read_map,
    write_gateway,
)
from .workers import numbered

COUNT = 3  # of nodes, and of etcd servers: two of three are a quorum
DEFAULT_MAP = "corridor.net.xml.gz"
ETCD_PORT = 2379  # TCP, of the first server's clients; its peers' is one further, the next server's two further
ETCD_NAME = "etcd.cloudctl"  # in the certificate of every server
ROOT_NAME = "root"  # the user that etcd gives every right

NODE = """\
# Made by "cloudctl init --city". docs/city.md explains it; paths are taken from this file's folder.
[node]
bind = "tcp://{bound}:{port}"
key = "keys/node.key"
codes = ["codes/*.json"]
status = "{status}"

[city]
node = "{name}"
address = "tcp://{host}:{port}"
etcd = [{servers}]
etcd_ca = "tls/ca.pem"
etcd_cert = "tls/{name}.pem"
etcd_key = "tls/{name}.key"

[broker]
host = "{broker_host}"
port = {mqtt_port}
public_host = "{public_host}"
tls_ca = "tls/ca.pem"
tls_cert = "tls/{name}.pem"
tls_key = "tls/{name}.key"

{http}{gateway}"""

START = """\
#!/bin/sh
# Starts the city on this machine: three etcd servers, a broker, three nodes. Ctrl-C stops all of them.
cd "$(dirname "$0")" || exit 1
PATH="$PATH:/usr/sbin"
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT INT TERM
mkdir -p etcd logs
{etcd}
mosquitto -c broker/mosquitto.conf > logs/broker.log 2>&1 &
echo "waiting for etcd"
until cloudctl city secure --config {node_file} 2> logs/secure.log; do sleep 1; done
{nodes}
echo "waiting for the nodes; on its first start on a machine, one of them compiles for about a minute"
until [ "$(cat logs/node*.log | grep -c '^serving')" -ge {count} ]; do
  sleep 1
  for process in $nodes; do kill -0 "$process" || {{ tail -n 3 logs/node*.log; exit 1; }}; done
done
echo "started; logs are in logs/; see: cloudctl city status"
wait
"""

ETCD = """\
etcd --name etcd-{number} --data-dir etcd/{number} --logger zap --grpc-keepalive-min-time 200ms \\
  --listen-client-urls {client} --advertise-client-urls {client} \\
  --listen-peer-urls {peer} --initial-advertise-peer-urls {peer} \\
  --initial-cluster {cluster} \\
  --client-cert-auth --trusted-ca-file tls/ca.pem --cert-file tls/etcd.pem --key-file tls/etcd.key \\
  --peer-client-cert-auth --peer-trusted-ca-file tls/ca.pem --peer-cert-file tls/etcd.pem \\
  --peer-key-file tls/etcd.key > logs/etcd-{number}.log 2>&1 &"""


class CityPorts(NamedTuple):
    """The first TCP ports: of the nodes for gateways, of the broker, of the nodes' pages, of the etcd servers."""

    node: Ports
    etcd: int = ETCD_PORT


def init_city(folder: Path, map_file: Path | None, host: str, ports: CityPorts) -> list[str]:
    """Write all that a closed city needs into `folder`; return what was written, for people. Raises InitError where
    the folder holds a node already, CodeError for a map that cannot be used."""
    if (folder / NODE_FILE).exists():
        raise InitError(
            f"{folder / NODE_FILE} exists, and nothing of it is overwritten. Choose another folder, or remove it first"
        )

    host = checked_host(host)
    intersections = read_map(map_file or shipped_map(DEFAULT_MAP))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / IGNORE_FILE).write_text("*\n")  # first of all: nothing secret is ever added to a repository by mistake
    (folder / "codes").mkdir(exist_ok=True)

    for number, code in enumerate(intersections):
        (folder / "codes" / f"{number}.json").write_bytes(codes.dump(code))

    write_keys(folder / "keys" / "node")
    _issue_certificates(folder, host)
    bindings = {f"rsu-{number + 1}": code.id for number, code in enumerate(intersections)}
    addresses = [f"tcp://{bracketed(host)}:{ports.node.gateways + number}" for number in range(COUNT)]
    section = write_gateway(folder / "gateways" / GATEWAY_NAME, addresses, folder / "keys" / "node.pub", bindings)

    for number in range(1, COUNT + 1):
        text = _node_text(number, host, ports, section)
        node_file = folder / (numbered(NODE_FILE, number) or NODE_FILE) if number > 1 else folder / NODE_FILE
        node_file.write_text(text)
        load(node_file)

    add_vehicle(folder, VEHICLE_NAME)

    tls = Tls(
        ca=folder.resolve() / "tls" / "ca.pem",
        cert=folder.resolve() / "tls" / "broker.pem",
        key=folder.resolve() / "tls" / "broker.key",
        crl=folder.resolve() / "tls" / "crl.pem",
        nodes=tuple(map(node_name, range(1, COUNT + 1))),
    )

    write_mosquitto_files(folder.resolve() / "broker", bound_for(host), ports.node.broker, tls)
    start = folder / "start.sh"
    start.write_text(_start_text(ports))
    start.chmod(0o755)
    scripts = example_scripts(intersections[0])

    for name, script in scripts.items():
        (folder / name).write_text(script)

    return [
        f"{folder / NODE_FILE}, node-2.toml, node-3.toml: a closed city of {COUNT} nodes and {len(intersections)} "
        "intersections, on this machine",
        f"{folder / 'gateways' / GATEWAY_NAME}: for the gateway's engineers; it knows the addresses of all nodes",
        f"{folder / 'vehicles' / VEHICLE_NAME}: for a vehicle; further ones: cloudctl keys vehicle NAME",
        f"next, in {folder}, in three shells: ./start.sh; python gateway.py; python vehicle.py",
    ]


def add_edge(folder: Path, name: str) -> Path:
    """Make, in the folder of a region's node, the certificate by which an edge's broker passes on to the region's;
    return the folder that is given to the edge. Raises InitError for another kind of name, ConfigError."""
    if not EDGE_NAMES.fullmatch(name):
        raise InitError(
            f"name = {name!r}: an edge is called edge-1, edge-north, ...: edge- and up to 59 letters or digits"
        )

    config = load(folder / NODE_FILE)
    authority = Authority(folder / "tls")
    target = folder / "edges" / name
    authority.issue_client(name, target / "edge.pem")
    (target / "region-ca.pem").write_bytes(authority.certificate_file.read_bytes())
    write_broker_files(config)

    return target


def _issue_certificates(folder: Path, host: str) -> None:
    authority = Authority(folder / "tls")
    authority.create()
    authority.issue_server(BROKER_NAME, own_hosts(host))
    authority.issue_peer("etcd", [*own_hosts(host), ETCD_NAME])
    for name in (*map(node_name, range(1, COUNT + 1)), ROOT_NAME, OPERATOR_NAME):
        authority.issue_client(name, folder / "tls" / f"{name}.pem")


def _node_text(number: int, host: str, ports: CityPorts, gateway: str) -> str:
    servers = ", ".join(f'"127.0.0.1:{ports.etcd + 2 * server}"' for server in range(COUNT))
    has_http = importlib.util.find_spec("aiohttp") is not None

    return NODE.format(
        bound=bracketed(bound_for(host)),
        broker_host=own_loopback(host),
        host=bracketed(host),
        public_host=host,
        port=ports.node.gateways + number - 1,
        status=numbered("status.json", number),
        name=node_name(number),
        servers=servers,
        mqtt_port=ports.node.broker,
        http=HTTP.format(bound=bracketed(own_loopback(host)), port=ports.node.http + number - 1) if has_http else "",
        gateway=gateway,
    )


def _start_text(ports: CityPorts) -> str:
    clients = [f"https://127.0.0.1:{ports.etcd + 2 * server}" for server in range(COUNT)]
    peers = [f"https://127.0.0.1:{ports.etcd + 2 * server + 1}" for server in range(COUNT)]
    cluster = ",".join(f"etcd-{number}={peer}" for number, peer in enumerate(peers, 1))
    etcd = "\n".join(
        ETCD.format(number=number, client=client, peer=peer, cluster=cluster)
        for number, (client, peer) in enumerate(zip(clients, peers, strict=True), 1)
    )
    files = [NODE_FILE, *(numbered(NODE_FILE, number) for number in range(2, COUNT + 1))]
    nodes = "\n".join(
        f'cloudctl serve {file} > logs/{Path(str(file)).stem}.log 2>&1 & nodes="$nodes $!"' for file in files
    )

    return START.format(etcd=etcd, nodes=nodes, node_file=NODE_FILE, count=COUNT)
