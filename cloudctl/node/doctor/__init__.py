"""What stands in the way of a node: the machine, its clock, and, where a file of a node is given, that node. Each says
what was found, what it must be, and the remedy.
"""

from collections.abc import Iterator
from pathlib import Path

from ...errors import CloudctlError
from ..config import NodeConfig, load
from ..health_probe import ProbeError, ask
from ..pid_file import is_running_from
from .broker_probe import broker_findings
from .clocks import clock_findings
from .files import certificate_findings, codes_finding, disk_findings, limit_findings, port_findings
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
    yield codes_finding(config)
    yield from limit_findings(config)
    yield from disk_findings(config)
    yield from certificate_findings(config, node_file.resolve().parent)
    is_running = is_running_from(node_file)
    if is_running:
        yield from _running(config)
    else:
        yield from port_findings(config)
    yield from broker_findings(config, node_file.resolve().parent, is_running, vehicle)


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
