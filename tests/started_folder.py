"""A node in a folder of `cloudctl init`, as its operator runs it: real ZeroMQ with CURVE, real mosquitto with TLS."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deadlines import PATIENCE, until

from cloudctl import maps
from cloudctl.io.ports import free_port
from cloudctl.node.init_folder import Ports, init_folder


def heed_interrupts() -> None:
    """Undo what a shell does to commands in the background: they and all they start ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class StartedFolder:
    """`cloudctl init` and `cloudctl serve` on ports that are free; `log` is what the node logged."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        map_name: str = "intersection.json",
        host: str = "127.0.0.1",
        inside: Sequence[str] = (),
    ) -> None:
        """`inside`: the words that begin every command, such as those that enter a network namespace."""
        self.folder, self.options, self.inside = folder, options, inside
        self.ports = Ports(*(free_port() for _ in range(3)))
        init_folder(folder, maps.path(map_name), host, self.ports)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "StartedFolder":
        with (self.folder / "node.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self.inside, sys.executable, "-m", "cloudctl", "serve", *self.options],
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        until(lambda: "connected to the MQTT broker" in self.log or self.process.poll() is not None, 240, "the node")
        assert self.process.poll() is None, self.log
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE)

    @property
    def log(self) -> str:
        return (self.folder / "node.log").read_text()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of cloudctl in the folder."""
        command = [*self.inside, sys.executable, "-m", "cloudctl", *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def script(self, name: str, *words: str) -> subprocess.Popen[str]:
        """Start one of the folder's scripts; what it prints and logs comes by `stdout`."""
        return subprocess.Popen(
            [*self.inside, sys.executable, "-u", name, *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=heed_interrupts,
        )

    def count(self, name: str) -> int:
        """Return a counter of status.json, over all sources."""
        try:
            counters = json.loads((self.folder / "status.json").read_text())["counters"]
        except FileNotFoundError:
            return 0
        return int(counters.get(name, 0))
