"""What a node says of itself when it begins to serve."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ..settings import BrokerSection
from .config import NodeConfig
from .exposure import exposures

log = logging.getLogger("cloudctl.node")
MAX_NAMED = 10  # codes or gateways that are named; more are counted


def log_start(
    config: NodeConfig,
    *,
    broker: BrokerSection,
    embedded: str | None,
    codes: Sequence[str],
    address: str,
    page: str | None,
    recording: Path | None,
) -> None:
    """Log what the node serves, with whom, and what of it is open to strangers. `page`: the address of its HTTP
    server."""
    for line in describe(config, broker, embedded, codes, address):
        log.info("%s", line)

    if page:
        log.info("HTTP: %s", page)

    if recording:
        log.info("recording: %s", recording)

    for line in exposures(config.node, config.broker, config.http):
        log.warning("%s", line)


def describe(
    config: NodeConfig, broker: BrokerSection, embedded: str | None, codes: Sequence[str], address: str
) -> list[str]:
    """Return lines on codes, gateways and broker. `embedded`: the program of an embedded broker; `address`: where
    gateways connect.
    """
    gateways = [gateway.name for gateway in config.gateway]
    curve = "CURVE" if config.node.curve else "in clear"
    program = f"{embedded}, embedded, " if embedded else ""
    tls = "TLS" if broker.tls_ca else "in clear"

    return [
        f"digital codes: {len(codes)}: {named(codes)}",
        f"gateways: {named(gateways)}; they connect to {address}, {curve}",
        f"MQTT broker: {program}{broker.host}:{broker.port}, {tls}",
    ]


def named(names: Sequence[str]) -> str:
    """Return names for people: the first MAX_NAMED, and how many more there are."""
    more = len(names) - MAX_NAMED
    listed = ", ".join(names[:MAX_NAMED]) or "none"
    return f"{listed} and {more} more" if more > 0 else listed
