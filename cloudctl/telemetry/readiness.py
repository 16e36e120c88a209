"""Whether a node can do its work now: what a load balancer, an orchestrator or `systemd` waits for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct

Check = Callable[[], bool]

REMEDIES = {
    "sockets": "the node is starting or stopping; its log says why it does not bind",
    "broker": "start the MQTT broker, or see the node's log for why it cannot be reached",
    "codes": "put a digital code that is in force now under [node] codes",
    "kernels": "wait: the first start on a machine compiles for about a minute",
}


@dataclass
class Progress:
    """How far the start of a node has come."""

    is_listening: bool = False  # its sockets are bound, and it serves
    is_warm: bool = False  # compiled kernels are loaded


class CheckResult(Struct, frozen=True):
    """One condition of readiness, and what to do where it is not met."""

    name: str
    ok: bool
    remedy: str = ""


class ReadyReport(Struct, frozen=True):
    """All conditions; ready where each is met. Strangers learn no more than that."""

    ready: bool
    checks: tuple[CheckResult, ...]


class HealthReport(Struct, frozen=True):
    """Whether the event loop turns."""

    alive: bool
    loop_age_s: Annotated[float, Meta(description="s since it last did its rounds")]
    uptime_s: Annotated[float, Meta(description="s since the node began")]


def ready_report(checks: Mapping[str, Check]) -> ReadyReport:
    """Return what each check finds. `checks`: by a name of REMEDIES."""
    results = tuple(
        CheckResult(name, ok, "" if ok else REMEDIES[name])
        for name, ok in ((name, bool(ask())) for name, ask in checks.items())
    )
    return ReadyReport(all(result.ok for result in results), results)
