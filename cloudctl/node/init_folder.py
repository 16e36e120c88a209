"""What `cloudctl init` writes: keys, certificates, a digital code, the node's file, the broker's, and two scripts.
All of it belongs together, and is closed.
"""

import contextlib
import importlib.util
import ipaddress
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .. import codes
from ..codes import IntersectionCode
from ..codes.formats.detect import read_any
from ..errors import CloudctlError
from ..io.addresses import ANY, bare, bound_for, bracketed, own_loopback
from ..io.broker import OPERATOR_NAME
from ..io.signatures import Signer, new_signature_key
from ..io.zeromq import read_keys, write_keys
from ..maps import path as shipped_map
from ..topics import wrong_vehicle_id
from .broker_files import write_broker_files
from .config import NodeConfig, code_files, load
from .credentials import (
    BROKER_NAME,
    NODE_NAME,
    Authority,
    check_vehicle_name,
    own_hosts,
)
from .example_scripts import GATEWAY_NAME, VEHICLE_NAME, example_scripts

DEFAULT_MAP = "intersection.json"
NODE_FILE = "node.toml"
IGNORE_FILE = ".gitignore"
GATEWAY_PORT, BROKER_PORT, HTTP_PORT = 7788, 8883, 8080  # TCP; 8883 is that of MQTT over TLS

NODE = """\
# Made by "cloudctl init". docs/operations.md explains every key; paths are taken from this file's folder.
[node]
bind = "tcp://{bound}:{port}"
key = "keys/node.key"
codes = ["codes/*.json"]
status = "status.json"

[broker]
embedded = true
host = "{broker_host}"
port = {mqtt_port}
public_host = "{host}"
folder = "broker"
tls_ca = "tls/ca.pem"
tls_cert = "tls/node.pem"
tls_key = "tls/node.key"
server_cert = "tls/broker.pem"
server_key = "tls/broker.key"
server_crl = "tls/crl.pem"

{http}{gateway}"""

GATEWAY = """\
[[gateway]]
name = "{name}"
key = "{key}"
rsus = {{ {rsus} }}
"""


HTTP = """\
[http]
bind = "{bound}:{port}"

"""


class InitError(CloudctlError, RuntimeError):
    """A folder that cannot be set up; the text says what to do."""


class Ports(NamedTuple):
    """The TCP ports of a node: for gateways, of its broker, and of its page in the browser."""

    gateways: int = GATEWAY_PORT
    broker: int = BROKER_PORT
    http: int = HTTP_PORT


def init_folder(folder: Path, map_file: Path | None, host: str, ports: Ports, is_signed: bool = False) -> list[str]:
    """Write all that a closed node needs into `folder`; return what was written, for people.

    `map_file`: a digital code, or a map of any format that can be imported (None: the intersection that ships);
    `host`: where gateways and
    vehicles reach the node; `is_signed`: with a key that advisories are signed with. Raises InitError where the
    folder holds a node already, CodeError for a map that cannot be used.
    """
    if (folder / NODE_FILE).exists():
        raise InitError(
            f"{folder / NODE_FILE} exists, and nothing of it is overwritten. Choose another folder, or remove it first"
        )

    host = checked_host(host)
    intersections = read_map(map_file or shipped_map(DEFAULT_MAP))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / IGNORE_FILE).write_text("*\n")  # first of all: nothing secret is ever added to a repository by mistake

    code_folder = folder / "codes"
    code_folder.mkdir(exist_ok=True)

    for number, code in enumerate(intersections):
        (code_folder / f"{number}.json").write_bytes(codes.dump(code))

    write_keys(folder / "keys" / "node")
    authority = Authority(folder / "tls")
    authority.create()
    authority.issue_server(BROKER_NAME, own_hosts(host))

    for name in (NODE_NAME, OPERATOR_NAME):
        authority.issue_client(name, folder / "tls" / f"{name}.pem")

    bindings = {f"rsu-{number + 1}": code.id for number, code in enumerate(intersections)}
    gateway_section = write_gateway(
        folder / "gateways" / GATEWAY_NAME,
        [f"tcp://{bracketed(host)}:{ports.gateways}"],
        folder / "keys" / "node.pub",
        bindings,
    )
    page = HTTP.format(bound=bracketed(own_loopback(host)), port=ports.http)

    text = NODE.format(
        bound=bracketed(bound_for(host)),
        broker_host=bound_for(host),
        http=page if importlib.util.find_spec("aiohttp") else "",
        host=host,
        port=ports.gateways,
        mqtt_port=ports.broker,
        gateway=gateway_section,
    )
    if is_signed:
        new_signature_key(folder / "keys" / "signature.key")
        text = text.replace("[node]\n", '[node]\nsignature_key = "keys/signature.key"\n')

    (folder / NODE_FILE).write_text(text)
    config = load(folder / NODE_FILE)
    add_vehicle(folder, VEHICLE_NAME)
    write_broker_files(config)

    scripts = example_scripts(intersections[0])

    for name, script in scripts.items():
        (folder / name).write_text(script)

    return _summary(folder, intersections, list(scripts))


def checked_host(host: str) -> str:
    """Return where others reach a node, without brackets. Raises InitError for what nobody can reach."""
    host = bare(host.strip())
    remedy = "Give the address or the name that gateways and vehicles use, such as node.example.org"
    if host in ANY:
        raise InitError(f"--host {host!r} is every address of this machine, which nobody can connect to. {remedy}")

    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_link_local:
            rule = "is a link-local address, which means another machine on each link"
            raise InitError(f"--host {host!r} {rule}. {remedy}")

    return host


def add_vehicle(folder: Path, name: str) -> Path:
    """Make the credentials of a vehicle in a node's folder; return the folder that is given to the vehicle.

    Raises CredentialError, ConfigError, PrivateFileError.
    """
    check_vehicle_name(name)
    config = load(folder / NODE_FILE)
    authority = Authority(folder / "tls")

    if not authority.key_file.exists():
        raise InitError(
            f"{authority.key_file} does not exist: there is no authority that could sign. "
            "Run this in a folder of: cloudctl init FOLDER, or have your own authority issue a certificate of "
            "this common name"
        )

    target = folder / "vehicles" / name
    authority.issue_client(name, target / "vehicle.pem")
    (target / "ca.pem").write_bytes(authority.certificate_file.read_bytes())

    lines = [
        f'id = "{name}"',
        f'host = "{config.broker.public_host or config.broker.host}"',
        f"port = {config.broker.port}",
        'ca = "ca.pem"',
        'cert = "vehicle.pem"',
        'key = "vehicle.key"',
    ]
    if config.engine.shared:
        lines.append("tiles = true")

    if config.node.signature_key:
        lines.append(f'node_signature_key = "{Signer(Path(config.node.signature_key)).public_key}"')

    (target / "vehicle.toml").write_text("\n".join(lines) + "\n")
    return target


class NewGateway(NamedTuple):
    """The folder that is given to a gateway, and the lines that the node's file needs to let it in."""

    folder: Path
    section: str
    rsus: dict[str, str]  # roadside unit -> intersection


def add_gateway(folder: Path, name: str, rsus: Mapping[str, str], address: str | None = None) -> NewGateway:
    """Make the credentials of a gateway in a node's folder. `rsus`: the intersection of each of its roadside units,
    none: one new unit, where the node has a single intersection; `address`: where it reaches the node (None: as the
    node's file says).

    Raises InitError, ConfigError, ZeroMqError, CodeError.
    """
    if (rule := wrong_vehicle_id(name)) or name in (".", ".."):
        raise InitError(
            f"name = {name!r} {rule or 'is no name'}. Choose up to 64 letters, digits, '-', '_', '.' or ':' that no "
            "other gateway has"
        )

    config = load(folder / NODE_FILE)
    if any(gateway.name == name for gateway in config.gateway):
        raise InitError(f"gateway {name!r} stands in {folder / NODE_FILE} already. Choose another name")
    if config.node.key is None:
        raise InitError(f"{folder / NODE_FILE}: [node] key is missing. Run this in a folder of: cloudctl init FOLDER")

    bindings = _checked_bindings(config, rsus)
    target = folder / "gateways" / name
    node_key = Path(config.node.key).with_suffix(".pub")

    if not node_key.exists():
        node_key.write_text(f'public = "{read_keys(Path(config.node.key)).public}"\n')

    section = write_gateway(target, [address] if address else _gateway_addresses(config, folder), node_key, bindings)
    return NewGateway(target, section, bindings)


def _checked_bindings(config: NodeConfig, rsus: Mapping[str, str]) -> dict[str, str]:
    """Return the intersection of each roadside unit; raise InitError for one that the node would refuse."""
    intersections = sorted({code.id for code in codes.load_all(code_files(config))})
    taken = {rsu: place for gateway in config.gateway for rsu, place in gateway.rsus.items()}
    if not rsus:
        if len(intersections) != 1:
            raise InitError(
                f"the node has {len(intersections)} intersections: say at which the gateway's units are, with --rsu "
                f"NAME=INTERSECTION for each. Intersections: {', '.join(intersections)}"
            )

        number = next(number for number in range(1, len(taken) + 2) if f"rsu-{number}" not in taken)
        return {f"rsu-{number}": intersections[0]}

    for rsu, intersection in rsus.items():
        if intersection not in intersections:
            raise InitError(
                f"--rsu {rsu}={intersection}: the node has no such intersection. Take one of: "
                f"{', '.join(intersections)}"
            )

        if rsu in taken:
            raise InitError(
                f"--rsu {rsu}={intersection}: {rsu!r} is bound already, at {taken[rsu]!r}. Choose another id"
            )

    return dict(rsus)


def _gateway_addresses(config: NodeConfig, folder: Path) -> list[str]:
    """Return where gateways reach the node, or every node of its city whose file is in the folder."""
    if not config.city.etcd:
        return [_gateway_address(config)]
    files = sorted(folder.glob("node*.toml"))
    return [city.address for file in files if (city := load(file).city).etcd == config.city.etcd]


def _gateway_address(config: NodeConfig) -> str:
    """Return where gateways reach the node, by its file."""
    bind = config.node.bind
    if not bind.startswith("tcp://"):
        return bind

    bound, _, port = bind.removeprefix("tcp://").rpartition(":")
    host = config.broker.public_host or bound
    if bare(host) in ANY:
        raise InitError(
            f"[node] bind = {bind!r} does not say where gateways reach the node. Give --address tcp://HOST:{port}"
        )

    return f"tcp://{bracketed(host)}:{port}"


def revoke_vehicle(folder: Path, name: str) -> int:
    """Revoke a vehicle's certificates; return how many. A node that runs takes it over when it is reloaded. Raises
    CredentialError.
    """
    count = Authority(folder / "tls").revoke(name)
    write_broker_files(load(folder / NODE_FILE))
    return count


def read_map(source: Path) -> list[IntersectionCode]:
    """Return the digital codes of a file. Raises InitError, CodeError."""
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InitError(
            f"--map {source} cannot be read: {error.strerror}. Give a digital code, or a map of a format that "
            "can be imported"
        ) from None

    return list(read_any(data, source.name))


def write_gateway(target: Path, addresses: Sequence[str], node_key: Path, bindings: Mapping[str, str]) -> str:
    """Write the credentials of a gateway into a folder of its name; return its section of the node's file."""
    keys = write_keys(target / "gateway")
    (target / "node.pub").write_bytes(node_key.read_bytes())
    names = ", ".join(json.dumps(rsu) for rsu in bindings)

    lines = [
        f'name = "{target.name}"',
        f"address = {json.dumps(addresses[0] if len(addresses) == 1 else list(addresses))}",
        f"rsus = [{names}]",
        'key = "gateway.key"',
        'node_key = "node.pub"',
    ]
    (target / "gateway.toml").write_text("\n".join(lines) + "\n")

    rsus = ", ".join(f'{json.dumps(rsu)} = "{intersection}"' for rsu, intersection in bindings.items())

    return GATEWAY.format(name=target.name, key=keys.public, rsus=rsus)


def _summary(folder: Path, intersections: list[IntersectionCode], scripts: list[str]) -> list[str]:
    lines = [
        f"{folder / NODE_FILE}: a closed node of {len(intersections)} intersection(s), {intersections[0].id}",
        f"{folder / 'gateways' / GATEWAY_NAME}: for the gateway's engineers; further ones: cloudctl keys gateway NAME "
        f"--folder {folder}",
        f"{folder / 'vehicles' / VEHICLE_NAME}: for a vehicle; further ones: cloudctl keys vehicle NAME "
        f"--folder {folder}",
        f"{folder / 'tls' / 'ca.key'}: signs vehicles; whoever has it can make any vehicle",
        f"{folder / IGNORE_FILE}: keeps the whole folder out of git, for it holds secret keys",
    ]
    if not scripts:
        return [
            *lines,
            "no gateway.py and vehicle.py: the first intersection has no approach with a signal and 60 m of "
            "straight lane",
        ]

    return [*lines, f"next, in {folder}, in three shells: cloudctl serve; python gateway.py; python vehicle.py"]
