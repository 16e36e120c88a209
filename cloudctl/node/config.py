"""A node's one TOML file, checked on load: every mistake is named with its key and what to write instead."""

import difflib
import glob
import ipaddress
import string
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct, field

from ..errors import CloudctlError
from ..fusion import MAX_TRACKS
from ..io.private_files import PrivateFileError
from ..io.zeromq import KeyPair, ZeroMqError, check_key, read_keys
from ..planner.priority import LEVEL
from ..settings import (
    BrokerSection,
    CitySection,
    EngineConfig,
    GatewaySection,
    HttpSection,
    LiveSection,
    NodeSection,
    PlanSection,
    PrioritySettings,
    RecordSection,
)
from ..topics import wrong_vehicle_id
from ..validation import Violation, violation_of
from .exposure import check_secrets, http_faults, open_faults, tls_faults


class ConfigError(CloudctlError, ValueError):
    """A configuration that cannot be used; the text says what to do."""


class NodeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """All of a node."""

    node: NodeSection = field(default_factory=NodeSection)
    city: CitySection = field(default_factory=CitySection)
    broker: BrokerSection = field(default_factory=BrokerSection)
    http: HttpSection = field(default_factory=HttpSection)
    live: LiveSection = field(default_factory=LiveSection)
    record: RecordSection = field(default_factory=RecordSection)
    plan: PlanSection = field(default_factory=PlanSection)
    priority: PrioritySettings = field(default_factory=PrioritySettings)
    gateway: tuple[GatewaySection, ...] = ()

    @property
    def engine(self) -> EngineConfig:
        return EngineConfig(
            {g.name: dict(g.rsus) for g in self.gateway},
            self.plan.period_ms,
            self.plan.refresh,
            self.plan.max_tracks,
            self.priority,
            shared=self.node.workers > 1 or bool(self.city.etcd),
        )

    def allowed(self) -> dict[str, str]:
        """Return gateway name by public key."""
        return {g.key: g.name for g in self.gateway if g.key}

    def keys(self) -> KeyPair | None:
        """Return the node's key pair, None where CURVE is off."""
        if not self.node.curve:
            return None
        if self.node.key is None:
            raise ConfigError(
                '[node] key is missing: with CURVE on, the node needs a key pair. Make one with "cloudctl keys '
                'new node" '
                'and write key = "node.key", or write curve = false on a closed test bench'
            )
        return read_keys(Path(self.node.key))


def load(path: Path) -> NodeConfig:
    """Read a node's file; paths in it are taken from its own folder. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist. Make a node's folder with: cloudctl init FOLDER, and run this in it. An example is"
            " in docs/operations.md"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}. Write it as UTF-8 text; an example is in docs/operations.md"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    try:
        config = _with_added(msgspec.convert(table, NodeConfig), path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(violation_of(error))}") from None
    config = _with_keys_of_files(config, path)
    _check(config, path)
    config = _located(config, path.resolve().parent)
    _check_security(config, path)
    return config


def code_files(config: NodeConfig) -> list[Path]:
    """Return the digital codes that [node] codes names. Raises ConfigError for a pattern that matches nothing."""
    files: list[Path] = []
    own = {config.node.status, config.node.trace, config.node.calendar}  # none of these is a code
    for pattern in config.node.codes:
        found = [name for name in sorted(glob.glob(pattern)) if name not in own]
        if not found:
            raise ConfigError(
                f'[node] codes: nothing matches {pattern!r}. Write a file or a pattern such as codes = ["codes/*.json"]'
            )
        files += map(Path, found)
    if config.city.etcd:
        files += sorted(Path(config.city.added).glob("*.json"))
    return files


def _with_added(config: NodeConfig, path: Path) -> NodeConfig:
    """Return a configuration with the gateways of the intersections that were added to its city."""
    gateways = list(config.gateway)
    if config.city.etcd:
        for file in sorted((path.resolve().parent / config.city.added).glob("*.toml")):
            table = tomllib.loads(file.read_text("utf-8-sig"))
            gateways += msgspec.convert(table.get("gateway", []), list[GatewaySection])
        gateways = _merged(gateways)
    return msgspec.structs.replace(config, gateway=tuple(gateways))


def _merged(gateways: Iterable[GatewaySection]) -> list[GatewaySection]:
    """Return gateways with the units of those of the same name and key together: an intersection may be added to one
    that others are bound to already."""
    merged: dict[tuple[str, str | None], GatewaySection] = {}
    for gateway in gateways:
        known = merged.get((gateway.name, gateway.key))
        rsus = dict(gateway.rsus) if known is None else {**known.rsus, **gateway.rsus}
        merged[gateway.name, gateway.key] = msgspec.structs.replace(gateway, rsus=rsus)
    return list(merged.values())


class Bound(NamedTuple):
    """What a number of the node's file may be, and what it is."""

    section: str
    key: str
    low: float
    high: float
    unit: str


KEY_LENGTH = 40  # characters of a CURVE key as text (Z85)
MIN_TOKEN = 16  # characters: 96 bits and more where they are random
# What a WebSocket protocol's name may hold, and an address too.
TOKEN_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_")

BOUNDS = (
    Bound("node", "workers", 1, 256, "processes"),
    Bound("broker", "port", 1, 65_535, "a TCP port"),
    Bound("plan", "period_ms", 1, 10_000, "ms"),
    Bound("plan", "refresh", 0, 1, "a share of an advisory's validity"),
    Bound("plan", "max_tracks", 1, MAX_TRACKS, "tracks of one intersection"),
    Bound("record", "part_mb", 0.0625, 1_048_576, "MiB of one file"),
    Bound("record", "part_minutes", 0.01, 44_640, "minutes of one file"),
    Bound("record", "keep_mb", 0.125, 2**40, "MiB of the whole folder"),
    Bound("record", "keep_days", 0.0001, 36_500, "days"),
)


def _check_numbers(config: NodeConfig, path: Path) -> None:
    """Raise ConfigError for a number that cannot be meant."""
    for section, key, low, high, unit in BOUNDS:
        value = getattr(getattr(config, section), key)
        low = 0 if (section, key) == ("broker", "port") and config.broker.embedded else low  # 0 picks a free one
        if value is not None and not low <= value <= high:
            raise ConfigError(
                f"{path}: [{section}] {key} = {value} must be within {low:,g} .. {high:,g} ({unit}). Correct "
                "it, or leave it out"
            )
    record = config.record
    if record.keep_mb is not None and record.keep_mb < 2 * record.part_mb:
        raise ConfigError(
            f"{path}: [record] keep_mb = {record.keep_mb:g} must be at least twice part_mb = "
            f"{record.part_mb:g}: the file that is "
            f"written is never deleted. Write part_mb = {record.keep_mb / 4:g} or less"
        )


def _check_address(where: str, address: str, path: Path) -> None:
    """Raise ConfigError for a ZeroMQ or HTTP address whose port cannot be."""
    port = address.rpartition(":")[2]
    if address.startswith(("ipc:", "inproc:")) or port == "*":
        return
    if not (port.isascii() and port.isdecimal() and int(port) <= 65_535):
        raise ConfigError(
            f"{path}: {where} = {address!r}: {port!r} must be a TCP port, 0 .. 65,535. Write one that is free, "
            "such as 7788"
        )


def _with_keys_of_files(config: NodeConfig, path: Path) -> NodeConfig:
    """Return the configuration with each gateway's key as text, where a .pub file was named. Raises ConfigError."""
    gateways = []
    for gateway in config.gateway:
        key = gateway.key
        # a key as text may end in ".pub", too: it has 40 characters
        if key is not None and key.endswith(".pub") and (len(key) != KEY_LENGTH or (path.parent / key).is_file()):
            try:
                key = read_keys(path.resolve().parent / key).public
            except (ZeroMqError, PrivateFileError, OSError) as error:
                raise ConfigError(
                    f"{path}: gateway {gateway.name!r}: key = {gateway.key!r} is taken as a .pub file: {error}. A "
                    "gateway's folder is made by: cloudctl keys gateway NAME; or write the text after public = of its "
                    ".pub file"
                ) from None
        gateways.append(msgspec.structs.replace(gateway, key=key))
    return msgspec.structs.replace(config, gateway=tuple(gateways))


def _check(config: NodeConfig, path: Path) -> None:
    _check_numbers(config, path)
    _check_address("[node] bind", config.node.bind, path)
    names: set[str] = set()
    for gateway in config.gateway:
        if gateway.name in names:
            raise ConfigError(f"{path}: gateway {gateway.name!r} stands twice. Give each [[gateway]] a name of its own")
        names.add(gateway.name)
        if config.node.curve and gateway.key is None:
            raise ConfigError(
                f'{path}: gateway {gateway.name!r} has no key. Write key = "..." with the text after public = of its '
                ".pub file, or the path of that file; cloudctl keys gateway NAME makes one"
            )
        if gateway.key is not None:
            check_key(gateway.key, f"{path}: gateway {gateway.name}")
    _check_rsus(config, path)
    for vehicle, kind in config.priority.vehicles.items():
        if kind not in LEVEL:
            raise ConfigError(
                f"{path}: [priority] vehicles: {vehicle!r} is of class {kind!r}, which has no priority. "
                f"Classes: {', '.join(LEVEL)}"
            )
    bind = config.http.bind
    if bind is not None and not (":" in bind and bind.rpartition(":")[2].isdecimal()):
        raise ConfigError(f'{path}: [http] bind = {bind!r} is not "host:port", such as "0.0.0.0:8080"')
    if bind is not None:
        _check_address("[http] bind", bind, path)
    _check_page(config, path)
    _check_city(config.city, path)
    if config.live.foxglove and bind is None:
        raise ConfigError(
            f'{path}: [live] foxglove is served by [http], which is off. Write [http] bind = "127.0.0.1:8080"'
        )
    _check_bridge(config.broker, path)
    if config.broker.version not in (None, 4, 5):
        raise ConfigError(
            f"{path}: [broker] version = {config.broker.version}: MQTT has versions 4 (that is 3.1.1) and 5"
        )


def _check_page(config: NodeConfig, path: Path) -> None:
    """Raise ConfigError for a token of the live page that could be guessed or not be sent, and for an origin that no
    browser names so.
    """
    token = config.http.token
    if token is not None and not (len(token) >= MIN_TOKEN and set(token) <= TOKEN_CHARACTERS):
        raise ConfigError(
            f"{path}: [http] token must be {MIN_TOKEN} or more of the characters A-Z a-z 0-9 - _. Leave it out: "
            "then one is made "
            'at each start and printed; or make one: python -c "import secrets; print(secrets.token_urlsafe(18))"'
        )
    for origin in config.http.origins:
        if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
            raise ConfigError(
                f"{path}: [http] origins: {origin!r} is no origin. Write scheme, host and port alone: "
                '"https://console.example:8443"'
            )


def _check_bridge(section: BrokerSection, path: Path) -> None:
    """Raise ConfigError for a bridge that an edge's broker could not make."""
    if section.bridge is None:
        return
    host, _, port = section.bridge.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) <= 65_535):
        raise ConfigError(f'{path}: [broker] bridge = {section.bridge!r} must be "HOST:PORT" of the region\'s broker')
    if not section.embedded:
        raise ConfigError(f"{path}: [broker] bridge needs embedded = true: it is the embedded broker that passes on")
    if section.bridge_name is None or wrong_vehicle_id(section.bridge_name):
        raise ConfigError(
            f"{path}: [broker] bridge_name = {section.bridge_name!r} must be this edge's name at the region"
        )
    if (section.bridge_cert is None) != (section.bridge_key is None) or (section.bridge_cert and not section.bridge_ca):
        raise ConfigError(f"{path}: [broker] bridge_ca, bridge_cert and bridge_key belong together. Name all three")


def _check_city(section: CitySection, path: Path) -> None:
    """Raise ConfigError for a city that a node could not take part in."""
    if not section.etcd:
        if section != CitySection():
            raise ConfigError(
                f'{path}: [city] etcd is missing: write the servers, such as etcd = ["10.0.0.1:2379", "10.0.0.2:2379", '
                '"10.0.0.3:2379"], or leave [city] out'
            )
        return
    if rule := wrong_vehicle_id(section.node):
        raise ConfigError(f"{path}: [city] node = {section.node!r} {rule}. Write a name that no other node has")
    if not section.address.startswith("tcp://"):
        raise ConfigError(
            f'{path}: [city] address = {section.address!r} must be where gateways reach this node: "tcp://HOST:PORT"'
        )
    _check_address("[city] address", section.address, path)
    for server in section.etcd:
        host, _, port = server.rpartition(":")
        try:
            ipaddress.ip_address(host)
            is_address = port.isdecimal()
        except ValueError:
            is_address = False
        if not is_address:
            raise ConfigError(f'{path}: [city] etcd: {server!r} must be "ADDRESS:PORT", the address numeric')
    if (section.etcd_cert is None) != (section.etcd_key is None) or (section.etcd_cert and not section.etcd_ca):
        raise ConfigError(f"{path}: [city] etcd_ca, etcd_cert and etcd_key belong together. Name all three")


def _check_security(config: NodeConfig, path: Path) -> None:
    """Raise ConfigError for TLS settings that are incomplete, a broker that is open without saying so, and secrets
    that others can read.
    """
    for fault in (*tls_faults(config.broker), *open_faults(config.broker), *http_faults(config.http)):
        raise ConfigError(f"{path}: {fault}")
    try:
        check_secrets(config.broker, config.http, path)
    except PrivateFileError as error:
        raise ConfigError(f"{path}: {error}") from None


def _check_rsus(config: NodeConfig, path: Path) -> None:
    """An RSU that two gateways speak for stands at one intersection: sources are known by RSU."""
    known: dict[str, tuple[str, str]] = {}
    for gateway in config.gateway:
        for rsu, intersection in gateway.rsus.items():
            name, other = known.setdefault(rsu, (gateway.name, intersection))
            if other != intersection:
                raise ConfigError(
                    f"{path}: RSU {rsu!r} is at {other!r} for gateway {name!r} and at {intersection!r} for "
                    f"{gateway.name!r}. "
                    "Give each RSU an id of its own"
                )


CITY_FILES = ("added", "etcd_ca", "etcd_cert", "etcd_key")
BRIDGE_FILES = ("bridge_ca", "bridge_cert", "bridge_key")
BROKER_FILES = ("tls_ca", "tls_cert", "tls_key", "server_cert", "server_key", "server_crl", "folder", *BRIDGE_FILES)


def _located(config: NodeConfig, base: Path) -> NodeConfig:
    def at(name: str | None) -> str | None:
        return None if name is None else str(base / name)

    node, broker = config.node, config.broker
    node = msgspec.structs.replace(
        node,
        key=at(node.key),
        signature_key=at(node.signature_key),
        status=at(node.status),
        trace=at(node.trace),
        calendar=at(node.calendar),
        codes=tuple(str(base / c) for c in node.codes),
    )
    broker = msgspec.structs.replace(broker, **{key: at(getattr(broker, key)) for key in BROKER_FILES})
    http = msgspec.structs.replace(config.http, tls_cert=at(config.http.tls_cert), tls_key=at(config.http.tls_key))
    record = msgspec.structs.replace(config.record, path=at(config.record.path))
    city = msgspec.structs.replace(config.city, **{key: at(getattr(config.city, key)) for key in CITY_FILES})
    return msgspec.structs.replace(config, node=node, city=city, broker=broker, http=http, record=record)


SECTIONS = {
    "node": NodeSection,
    "city": CitySection,
    "broker": BrokerSection,
    "http": HttpSection,
    "live": LiveSection,
    "record": RecordSection,
    "plan": PlanSection,
    "priority": PrioritySettings,
    "gateway": GatewaySection,
}


def _explain(violation: Violation) -> str:
    """Return a sentence that names the key at fault, and for an unknown key the nearest known one."""
    where = violation.field
    section = SECTIONS.get(where.split("[")[0].split(".")[0])
    wrong = violation.unknown_key
    if wrong is not None:
        known = section.__struct_fields__ if section else tuple(SECTIONS)
        near = difflib.get_close_matches(wrong, known, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known there: {', '.join(known)}"
        return f"unknown key {wrong!r} in [{where or 'top level'}]. {hint}"
    return f"[{where}]: {violation.rule}"
