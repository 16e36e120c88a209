"""What stands in the way of a node: the machine, its clock, and, where a file of a node is given, that node. Each says
what was found, what it must be, and the remedy.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import CloudctlError
from ..config import NodeConfig, load
from ..health_probe import ProbeError, ask
from ..pid_file import is_running_from
from .broker_probe import broker_findings
from .city import city_findings
from .clocks import clock_findings
from .files import certificate_findings, codes_finding, disk_findings, key_findings, limit_findings, port_findings
from .finding import Finding, Status
from .machine import machine_findings

__all__ = ["Finding", "Status", "examine"]


def examine(node_file: Path | None = None, vehicle: Path | None = None) -> Iterator[Finding]:
    """Yield every finding: of the machine, and of the node of `node_file` where one is given. `vehicle`: the folder of
    a vehicle that the broker's rights are tried with.
    """
    yield from machine_findings()
    yield from clock_findings()
    if node_file is None:
        return

    try:
        config = load(node_file)
    except (CloudctlError, OSError) as error:
        rule, remedy = "must be a configuration that can be used", "correct it: docs/operations.md explains every key"
        yield Finding(f"{node_file}", Status.FAIL, str(error), rule, remedy)
        return

    yield Finding(f"{node_file}", Status.OK, "can be used", "must be a configuration that can be used")
    folder = node_file.resolve().parent
    is_running = is_running_from(node_file)

    checks = {
        "digital codes": lambda: iter([codes_finding(config)]),
        "file handles": lambda: limit_findings(config),
        "disk for recordings": lambda: disk_findings(config),
        "key of the node": lambda: key_findings(config),
        "certificates": lambda: certificate_findings(config, folder),
        "ports": lambda: _running(config) if is_running else port_findings(config),
        "broker": lambda: broker_findings(config, folder, is_running, vehicle),
        "etcd": lambda: city_findings(config),
    }
    for name, check in checks.items():
        yield from _whole(name, check)


def _whole(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield a check's findings; where it fails itself, that it does: what it stumbled over must not hide the others."""
    try:
        yield from check()
    except (CloudctlError, OSError, ValueError) as error:
        yield Finding(name, Status.FAIL, "cannot be looked at", str(error), "correct what is named there")


def _running(config: NodeConfig) -> Iterator[Finding]:
    """Yield what a node that runs says of itself."""
    if config.http.bind is None:
        yield Finding("the node", Status.OK, "runs", "may run: its ports are its own")
        return

    rule = "must be ready"
    try:
        report = ask(config, "/ready").report
    except ProbeError as error:
        yield Finding("the node", Status.FAIL, str(error), rule, "see its log")
        return

    unmet = [check for check in report.get("checks", ()) if not check["ok"]]
    if not unmet:
        yield Finding("the node", Status.OK, "runs, and is ready", rule)

    for check in unmet:
        yield Finding("the node", Status.FAIL, f"runs, and is not ready: {check['name']}", rule, check["remedy"])
