"""The files of a mosquitto that belongs to a node: its configuration and ACL, with the certificates of the node's
folder."""

import re
from pathlib import Path

from msgspec.structs import replace

from ..io.addresses import bare, reachable
from ..io.bridge import Bridge
from ..io.broker import OPERATOR_NAME, Tls, write_mosquitto_files
from ..settings import BrokerSection
from .config import NodeConfig
from .credentials import BROKER_NAME, EDGE_NAMES, NODE_NAMES, Authority, CredentialError, node_name


def revoked_names(section: BrokerSection) -> tuple[str, ...]:
    """Return the vehicles whose certificates an embedded broker refuses, as its folder of certificates says."""
    return tuple(Authority(Path(section.server_crl).parent).revoked_names()) if section.server_crl else ()


def broker_tls(config: NodeConfig) -> Tls | None:
    """Return what an embedded broker is closed with, None where it is open."""
    section = config.broker
    if not (section.server_cert and section.server_key and section.tls_ca):
        return None

    return Tls(
        ca=Path(section.tls_ca),
        cert=Path(section.server_cert),
        key=Path(section.server_key),
        crl=Path(section.server_crl) if section.server_crl else None,
        revoked=revoked_names(section),
        nodes=_node_names(Authority(Path(section.tls_ca).parent), config.node.workers),
        edges=_issued(Authority(Path(section.tls_ca).parent), EDGE_NAMES),
    )


def operator_section(config: NodeConfig) -> BrokerSection:
    """Return how an operator's command reaches a node's broker, beside the node: at a closed broker by a certificate of
    its own, which is made where the authority's key is in the folder. Raises CredentialError where it cannot be."""
    section = replace(config.broker, host=reachable(config.broker.host), embedded=False)
    if section.tls_cert is None:
        return section

    certificate = Path(section.tls_cert).with_name(f"{OPERATOR_NAME}.pem")
    if not certificate.exists():
        authority = Authority(certificate.parent)
        if not authority.key_file.exists():
            raise CredentialError(
                f"{certificate} does not exist, and no authority beside it could make it. Copy {certificate.name} and "
                f"{OPERATOR_NAME}.key from the folder that cloudctl init wrote; or have your own authority issue them, "
                f"and give that name its rights at the broker: docs/security.md, another broker"
            )

        authority.issue_client(OPERATOR_NAME, certificate)

    return replace(section, tls_cert=str(certificate), tls_key=str(certificate.with_suffix(".key")))


def bridge_of(section: BrokerSection) -> Bridge | None:
    """Return the bridge of an embedded broker, None where it has none."""
    if section.bridge is None or section.bridge_name is None:
        return None
    files = (section.bridge_ca, section.bridge_cert, section.bridge_key)
    ca, cert, key = (None if file is None else Path(file) for file in files)
    return Bridge(name=section.bridge_name, address=section.bridge, ca=ca, cert=cert, key=key)


def write_external_broker(config: NodeConfig, config_folder: Path, out: Path) -> Path:
    """Write what a mosquitto that runs elsewhere needs to be closed: its configuration and ACL, with the certificates
    of the node's folder.

    Raises CredentialError where there are no certificates: an open broker needs no files of ours.
    """
    tls = broker_tls(config) or _folder_tls(config_folder)
    if tls is None:
        raise CredentialError(
            f"{config_folder / 'tls'} has no certificate of a broker. Make a folder with: cloudctl init FOLDER "
            "--host NAME, "
            "and name its files in the configuration of your broker"
        )

    return write_mosquitto_files(out, bare(config.broker.host), config.broker.port, tls)


def _folder_tls(folder: Path) -> Tls | None:
    authority = Authority(folder / "tls")
    cert, key = authority.folder / f"{BROKER_NAME}.pem", authority.folder / f"{BROKER_NAME}.key"
    if not (cert.exists() and key.exists()):
        return None

    return Tls(
        ca=authority.certificate_file,
        cert=cert,
        key=key,
        crl=authority.revocations_file,
        revoked=tuple(authority.revoked_names()),
        nodes=_node_names(authority, 1),
        edges=_issued(authority, EDGE_NAMES),
    )


def _node_names(authority: Authority, workers: int) -> tuple[str, ...]:
    """Return the names that have the rights of a node: of the workers, and of every node that has a certificate."""
    names = [node_name(worker) for worker in range(1, workers + 1)]
    return tuple(dict.fromkeys([*names, *_issued(authority, NODE_NAMES)]))


def _issued(authority: Authority, names: re.Pattern[str]) -> tuple[str, ...]:
    """Return the names of a kind that the authority has issued certificates of, and has not revoked."""
    revoked = authority.revoked_names()
    found = {issued.name for issued in authority.issued() if names.fullmatch(issued.name)}
    return tuple(sorted(found - set(revoked)))


def write_broker_files(config: NodeConfig, folder: Path | None = None, port: int | None = None) -> Path | None:
    """Write the broker's configuration and ACL into `folder` ([broker] folder where None); return the configuration,
    None where there is no folder.

    `port`: the one it listens on where [broker] port leaves it open.
    """
    section = config.broker
    target = folder or (Path(section.folder) if section.folder else None)
    if target is None:
        return None

    return write_mosquitto_files(
        target, bare(section.host), port or section.port, broker_tls(config), bridge_of(section)
    )
