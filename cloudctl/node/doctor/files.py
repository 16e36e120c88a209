"""What of a node's own file, limits, ports, certificates and disk stands in the way of its work."""

import errno
import resource
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from ... import codes
from ...errors import CloudctlError
from ...io.http_guard import MAX_CONNECTIONS
from ...io.zeromq import read_keys
from ..config import NodeConfig, code_files
from ..credentials import expires
from .finding import Finding, Status, finding
from .machine import MIN_FREE, disk_finding

OWN_FILES = 128  # file handles of a node besides its connections: files, sockets that listen, libraries
EXPECTED_VEHICLES = 1000  # at an embedded broker, which has the node's limits
FAR_OFF = timedelta(days=60)  # of a certificate's end, of which nobody need think yet
MB = 1e-3  # GB


class Port(NamedTuple):
    """A TCP port that a node binds."""

    name: str
    host: str
    number: int


def codes_finding(config: NodeConfig) -> Finding:
    """Return whether the node's digital codes can be loaded."""
    try:
        loaded = codes.load_all(code_files(config))
    except (CloudctlError, OSError) as error:
        return Finding("digital codes", Status.FAIL, "cannot be used", str(error), "correct them, or take them out")
    return finding("digital codes", bool(loaded), f"{len(loaded)}", "at least one", "cloudctl codes import MAP")


def key_findings(config: NodeConfig) -> Iterator[Finding]:
    """Yield whether the node's secret key, by which gateways know it, can be read, and is the one they were given."""
    if config.node.key is None or not config.node.curve:
        return

    rule, remedy = (
        "must be a secret key of CURVE",
        "take it from a backup; another key needs a new .pub at each gateway",
    )
    file = Path(config.node.key)
    try:
        keys = read_keys(file)
        published = read_keys(file.with_suffix(".pub")) if file.with_suffix(".pub").exists() else keys
    except (CloudctlError, OSError) as error:
        yield Finding("key of the node", Status.FAIL, str(error), rule, remedy)
        return

    yield finding("key of the node", bool(keys.secret), f"{file}", rule, remedy)
    if published.public != keys.public:
        value = f"{file.with_suffix('.pub')} is not the public part of {file}"
        yield Finding("public key of the node", Status.FAIL, value, "gateways trust the .pub file", remedy)


def limit_findings(config: NodeConfig) -> Iterator[Finding]:
    """Yield whether there are as many file handles as the node may have connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    vehicles = EXPECTED_VEHICLES if config.broker.embedded else 0
    needed = OWN_FILES + len(config.gateway) + (MAX_CONNECTIONS if config.http.bind else 0) + vehicles
    unlimited = soft == resource.RLIM_INFINITY

    yield finding(
        "file handles",
        unlimited or soft >= needed,
        "no limit" if unlimited else f"{soft} (may be raised to {hard})",
        f"at least {needed}: {len(config.gateway)} gateways, HTTP, {vehicles} vehicles at an embedded broker",
        f"ulimit -n {max(needed, 65536)}, or LimitNOFILE= of its systemd unit",
        Status.WARN,
    )


def disk_findings(config: NodeConfig) -> Iterator[Finding]:
    """Yield whether there is room for what is to be recorded."""
    record = config.record
    if record.path is None:
        return

    folder = Path(record.path).parent
    pattern = f"{Path(record.path).stem}*.mcap"
    used = sum(file.stat().st_size for file in folder.glob(pattern)) / 1e9 if folder.exists() else 0.0
    wanted = record.keep_mb * MB - used if record.keep_mb is not None else 2 * record.part_mb * MB
    yield disk_finding(f"disk for recordings, {folder}", folder, max(wanted, MIN_FREE))

    if record.keep_mb is None and record.keep_days is None:
        rule = "old recordings are deleted beyond a limit, or the disk fills up"
        yield Finding("limit of recordings", Status.WARN, "none", rule, "write [record] keep_mb or keep_days")


def port_findings(config: NodeConfig) -> Iterator[Finding]:
    """Yield whether each port that the node binds is free."""
    for port in ports_of(config):
        family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                connection.bind((port.host, port.number))
                reason = ""
            except OSError as error:
                reason = "in use" if error.errno == errno.EADDRINUSE else str(error.strerror)

        yield finding(
            f"port of {port.name}",
            not reason,
            f"{port.host}:{port.number} {reason or 'is free'}",
            "must be free for the node",
            f"end what has it (ss -ltnp sport = :{port.number}), or write another port",
        )


def ports_of(config: NodeConfig) -> list[Port]:
    """Return the fixed TCP ports of a node."""
    addresses = [("gateways", config.node.bind.removeprefix("tcp://"))]
    if config.http.bind is not None:
        addresses.append(("HTTP", config.http.bind))

    if config.broker.embedded:
        addresses.append(("the broker", f"{config.broker.host}:{config.broker.port}"))

    ports = []
    for name, address in addresses:
        host, _, number = address.rpartition(":")
        if number.isdecimal() and int(number):
            ports.append(
                Port(name, {"*": "0.0.0.0", "": "127.0.0.1"}.get(host.strip("[]"), host.strip("[]")), int(number))
            )

    return ports


def certificate_findings(config: NodeConfig, folder: Path) -> Iterator[Finding]:
    """Yield when each certificate ends: the node's, the broker's, the HTTP server's, and those of vehicles."""
    broker, http = config.broker, config.http
    named = [
        ("authority", broker.tls_ca),
        ("node", broker.tls_cert),
        ("broker", broker.server_cert),
        ("HTTP", http.tls_cert),
    ]

    files = [(name, Path(file)) for name, file in named if file is not None]
    files += [(f"vehicle {file.parent.name}", file) for file in sorted(folder.glob("vehicles/*/vehicle.pem"))]

    now = datetime.now(UTC)

    for name, file in files:
        remedy = f"have its authority issue another {file}, then: cloudctl reload"
        try:
            end = expires(file)
        except (OSError, ValueError) as error:
            value = f"{file} cannot be read: {getattr(error, 'strerror', None) or error}"
            yield Finding(f"certificate of {name}", Status.FAIL, value, "must be a PEM certificate", remedy)
            continue

        status = Status.FAIL if end <= now else Status.WARN if end - now < FAR_OFF else Status.OK
        value, rule = f"ends {end:%Y-%m-%d}", f"must not end within {FAR_OFF.days} days"
        yield Finding(f"certificate of {name}", status, value, rule, remedy if status is not Status.OK else "")
