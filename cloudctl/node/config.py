"""A node's one TOML file, checked on load: every mistake is named with its key and what to write instead."""

import difflib
import glob
import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct, field

from ..errors import CloudctlError
from ..io.private_files import PrivateFileError
from ..io.zeromq import KEY_LENGTH, KeyPair, ZeroMqError, check_key, read_keys
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
from ..validation import Violation, violation_of
from .config_rules import binding_faults, faults
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
        if known is not None and (fault := next(binding_faults([known], gateway.name, gateway.rsus), None)):
            raise ConfigError(fault)
        rsus = dict(gateway.rsus) if known is None else {**known.rsus, **gateway.rsus}
        merged[gateway.name, gateway.key] = msgspec.structs.replace(gateway, rsus=rsus)

    return list(merged.values())


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
    """Raise ConfigError that names every fault of the settings, a line each."""
    if found := list(faults(config)):
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in found))
    for gateway in config.gateway:
        if gateway.key is not None:
            check_key(gateway.key, f"{path}: gateway {gateway.name}")


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
