"""A network namespace of a test's own: its addresses touch nothing else."""

import os
import shutil
import subprocess
from collections.abc import Sequence

import pytest

TOOLS = ("unshare", "nsenter", "ip")
needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, TOOLS)), reason=f"needs root, {', '.join(TOOLS)}"
)


class Namespace:
    """A network namespace with a loopback interface, while it is open; `inside` begins a command that runs there."""

    def __init__(self, *commands: str) -> None:
        """`commands`: of the shell, run inside before anything else is."""
        script = " && ".join(["ip link set lo up", *commands, "echo ready", "exec sleep infinity"])
        self._holder = subprocess.Popen(["unshare", "-n", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self.inside: Sequence[str] = ("nsenter", "-t", str(self._holder.pid), "-n")

    def __enter__(self) -> "Namespace":
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()
        self._holder.wait()


def without_ipv4() -> Namespace:
    """Return a namespace whose only addresses are IPv6: the loopback's, and 2001:db8::1."""
    return Namespace("ip -4 addr flush dev lo", "ip -6 addr add 2001:db8::1/128 dev lo")
