"""What `cloudctl init` writes: keys, certificates, a digital code, the node's file, the broker's, and two scripts. All of it belongs together, and is closed."""

from pathlib import Path
from typing import NamedTuple

from .. import codes
from ..codes import IntersectionCode
from ..codes.formats.detect import read_any
from ..errors import CloudctlError
from ..io.broker import Tls, write_mosquitto_files
from ..io.signatures import Signer, new_signature_key
from ..io.zeromq import write_keys
from ..maps import path as shipped_map
from .config import NodeConfig, load
from .credentials import BROKER_NAME, NODE_NAME, Authority, check_vehicle_name, own_hosts
from .example_scripts import example_scripts

DEFAULT_MAP = "intersection.json"
NODE_FILE = "node.toml"
GATEWAY_NAME, VEHICLE_NAME = "gateway-1", "car-1"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
GATEWAY_PORT, BROKER_PORT = 7788, 8883  # TCP; 8883 is that of MQTT over TLS

NODE = """\
# Made by "cloudctl init". docs/operations.md explains every key; paths are taken from this file's folder.
[node]
bind = "tcp://{bind}:{port}"
key = "keys/node.key"
codes = ["codes/*.json"]
status = "status.json"

[broker]
embedded = true
host = "{bind}"
port = {mqtt_port}
public_host = "{host}"
folder = "broker"
tls_ca = "tls/ca.pem"
tls_cert = "tls/node.pem"
tls_key = "tls/node.key"
server_cert = "tls/broker.pem"
server_key = "tls/broker.key"
server_crl = "tls/crl.pem"

[[gateway]]
name = "{gateway}"
key = "{gateway_key}"
rsus = {{ {rsus} }}
"""


class InitError(CloudctlError, RuntimeError):
    """A folder that cannot be set up; the text says what to do."""


class Ports(NamedTuple):
    """The TCP ports of a node: for gateways, and of its broker."""

    gateways: int = GATEWAY_PORT
    broker: int = BROKER_PORT


def init_folder(folder: Path, map_file: Path | None, host: str, ports: Ports, is_signed: bool = False) -> list[str]:
    """Write all that a closed node needs into `folder`; return what was written, for people.

    `map_file`: a digital code, or a map of any format that can be imported (None: the intersection that ships); `host`: where gateways and
    vehicles reach the node; `is_signed`: with a key that advisories are signed with. Raises InitError where the folder holds a node already, CodeError for a map that cannot be used.
    """
    if (folder / NODE_FILE).exists():
        raise InitError(
            f"{folder / NODE_FILE} exists, and nothing of it is overwritten. Choose another folder, or remove it first"
        )
    intersections = _read_map(map_file)
    folder.mkdir(parents=True, exist_ok=True)

    code_folder = folder / "codes"
    code_folder.mkdir(exist_ok=True)
    for number, code in enumerate(intersections):
        (code_folder / f"{number}.json").write_bytes(codes.dump(code))

    write_keys(folder / "keys" / "node")
    authority = Authority(folder / "tls")
    authority.create()
    authority.issue_server(BROKER_NAME, own_hosts(host))
    authority.issue_client(NODE_NAME, folder / "tls" / "node.pem")

    bindings = {f"rsu-{number + 1}": code.id for number, code in enumerate(intersections)}
    public_key = _write_gateway(folder, host, ports, list(bindings))
    bind = "127.0.0.1" if host in LOOPBACK else "0.0.0.0"
    text = NODE.format(
        bind=bind,
        host=host,
        port=ports.gateways,
        mqtt_port=ports.broker,
        gateway=GATEWAY_NAME,
        gateway_key=public_key,
        rsus=", ".join(f'"{rsu}" = "{intersection}"' for rsu, intersection in bindings.items()),
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
            "Run this in a folder of: cloudctl init FOLDER, or have your own authority issue a certificate of this common name"
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
    if config.node.signature_key:
        lines.append(f'node_signature_key = "{Signer(Path(config.node.signature_key)).public_key}"')
    (target / "vehicle.toml").write_text("\n".join(lines) + "\n")
    return target


def revoke_vehicle(folder: Path, name: str) -> int:
    """Revoke a vehicle's certificates; return how many. A node that runs takes it over when it is reloaded. Raises CredentialError."""
    count = Authority(folder / "tls").revoke(name)
    write_broker_files(load(folder / NODE_FILE))
    return count


def broker_tls(config: NodeConfig) -> Tls | None:
    """Return what an embedded broker is closed with, None where it is open."""
    section = config.broker
    if not (section.server_cert and section.server_key and section.tls_ca):
        return None
    revocations = Path(section.server_crl) if section.server_crl else None
    revoked = tuple(Authority(revocations.parent).revoked_names()) if revocations else ()
    return Tls(
        ca=Path(section.tls_ca),
        cert=Path(section.server_cert),
        key=Path(section.server_key),
        crl=revocations,
        revoked=revoked,
    )


def write_broker_files(config: NodeConfig, folder: Path | None = None, port: int | None = None) -> Path | None:
    """Write the broker's configuration and ACL into `folder` ([broker] folder where None); return the configuration, None where there is no folder.

    `port`: the one it listens on where [broker] port leaves it open.
    """
    section = config.broker
    target = folder or (Path(section.folder) if section.folder else None)
    if target is None:
        return None
    return write_mosquitto_files(target, section.host.strip("[]"), port or section.port, broker_tls(config))


def _read_map(map_file: Path | None) -> list[IntersectionCode]:
    source = map_file or shipped_map(DEFAULT_MAP)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InitError(
            f"--map {source} cannot be read: {error.strerror}. Give a digital code, or a map of a format that can be imported"
        ) from None
    return list(read_any(data, source.name))


def _write_gateway(folder: Path, host: str, ports: Ports, rsus: list[str]) -> str:
    """Write the credentials of the first gateway; return its public key."""
    target = folder / "gateways" / GATEWAY_NAME
    keys = write_keys(target / "gateway")
    (target / "node.pub").write_bytes((folder / "keys" / "node.pub").read_bytes())
    address = f"[{host}]" if ":" in host else host
    names = ", ".join(f'"{rsu}"' for rsu in rsus)
    lines = [
        f'name = "{GATEWAY_NAME}"',
        f'address = "tcp://{address}:{ports.gateways}"',
        f"rsus = [{names}]",
        'key = "gateway.key"',
        'node_key = "node.pub"',
    ]
    (target / "gateway.toml").write_text("\n".join(lines) + "\n")
    return keys.public


def _summary(folder: Path, intersections: list[IntersectionCode], scripts: list[str]) -> list[str]:
    lines = [
        f"{folder / NODE_FILE}: a closed node of {len(intersections)} intersection(s), {intersections[0].id}",
        f"{folder / 'gateways' / GATEWAY_NAME}: for the gateway's engineers",
        f"{folder / 'vehicles' / VEHICLE_NAME}: for a vehicle; further ones: cloudctl keys vehicle NAME --folder {folder}",
        f"{folder / 'tls' / 'ca.key'}: signs vehicles; whoever has it can make any vehicle",
    ]
    if not scripts:
        return [
            *lines,
            "no gateway.py and vehicle.py: the first intersection has no approach with a signal and 60 m of straight lane",
        ]
    return [*lines, f"next, in {folder}, in three shells: cloudctl serve; python gateway.py; python vehicle.py"]
