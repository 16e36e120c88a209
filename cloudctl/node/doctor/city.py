"""The etcd servers of a city, as a node's configuration names them."""

import asyncio
from collections.abc import Iterator

from ...city.control import etcd_servers
from ..config import NodeConfig
from .finding import Finding, Status

RULE = "must answer, and be 3.4.32, 3.5.14 or later"


def city_findings(config: NodeConfig) -> Iterator[Finding]:
    """Yield one finding for each etcd server; none where the node is alone. A server that is away is a warning while
    most of them answer."""
    if not config.city.etcd:
        return

    servers = asyncio.run(etcd_servers(config.city))
    away = [server for server in servers if not server.version]
    has_quorum = 2 * len(away) < len(servers)

    for server in servers:
        name = f"etcd at {server.address}"
        if server.trouble is None:
            yield Finding(name, Status.OK, server.version, RULE)
        elif server.version:
            remedy = "upgrade etcd, one server after another: docs/city.md, which etcd"
            yield Finding(name, Status.WARN, f"{server.version}: {server.trouble}", RULE, remedy)
        else:
            status = Status.WARN if has_quorum else Status.FAIL
            remedy = "start it, or correct [city] etcd; without most of them no node owns anything"
            yield Finding(name, status, server.trouble, RULE, remedy)
