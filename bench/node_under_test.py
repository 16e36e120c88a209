"""A node and a broker as processes of their own, for runs that do harm to them: started, watched, killed, started again
on the same ports."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.node_counters import counters_by_source
from cloudctl import codes
from cloudctl.clock import SECOND, WallClock, sleep_until
from cloudctl.codes import CompiledCode
from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import KeyPair, new_keys, write_keys

TOKEN = "token-of-the-bench"
# Messages that the broker keeps for a slow reader; what it drops is in its $SYS topics
QUEUE = 100_000


def wait_for(is_done: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return what `is_done` returns once that is true, or at the latest after `seconds`."""
    clock = WallClock()
    deadline = clock.now() + int(seconds * SECOND)
    while not (result := is_done()) and clock.now() < deadline:
        sleep_until(clock.now() + SECOND // 50)
    return result


class Mosquitto:
    """A real broker on one port of the loopback, that can be killed and started again there."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.port = port or free_port()
        self._program = broker.mosquitto()
        if self._program is None:
            raise RuntimeError("this bench needs mosquitto on PATH. Install it with: apt-get install mosquitto")

        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"

        lines = (
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "set_tcp_nodelay true",
            "persistence false",
            "log_dest stderr",
        )

        self._config.write_text(
            "\n".join((*lines, f"max_queued_messages {QUEUE}", "sys_interval 1", "log_type error")) + "\n"
        )
        self.start()

    def start(self) -> None:
        """Start the broker, and wait until it listens."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([str(self._program), "-c", str(self._config)], stdout=log, stderr=log)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop the broker, if it runs."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()


class NodeUnderTest:
    """`cloudctl serve` with CURVE. `gateways`: by name, the intersection of each of its roadside units."""

    def __init__(
        self,
        folder: Path,
        intersections: Sequence[CompiledCode],
        gateways: Mapping[str, Mapping[str, str]],
        mqtt: int,
        record: str = "runs/run.mcap",
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.node: KeyPair = write_keys(folder / "node")
        self.keys = {name: new_keys() for name in gateways}
        self.port = free_port()
        self.http_port = free_port()
        self.codes = folder / "codes"
        self.codes.mkdir()
        self.recordings = (folder / record).parent
        for number, code in enumerate(intersections):
            (self.codes / f"{number}.json").write_bytes(codes.dump(code.code))
        self.config = folder / "node.toml"
        lines = [
            f'[node]\nbind = "tcp://127.0.0.1:{self.port}"\nkey = "node.key"\ncodes = ["codes/*.json"]\nstatus '
            '= "status.json"'
        ]
        lines.append(f'[http]\nbind = "127.0.0.1:{self.http_port}"\ntoken = "{TOKEN}"\nview = false')
        lines.append(f'[broker]\nopen = true\nport = {mqtt}\n[record]\npath = "{record}"')

        for name, rsus in gateways.items():
            bound = ", ".join(f'"{rsu}" = "{intersection}"' for rsu, intersection in rsus.items())
            lines.append(f'[[gateway]]\nname = "{name}"\nkey = "{self.keys[name].public}"\nrsus = {{ {bound} }}')

        self.config.write_text("\n".join(lines) + "\n")
        self.config.chmod(0o600)  # it holds a secret
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The address of its gateway socket."""
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it and wait until it serves. Raises RuntimeError with what it wrote on standard error."""
        with (self.folder / "node.err").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cloudctl", "serve", str(self.config)], stdout=subprocess.PIPE, stderr=log
            )

        assert self.process.stdout is not None
        if b"serving" not in self.process.stdout.readline():
            raise RuntimeError(f"the node did not start: {self.stderr[-1000:]}")

    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int:
        """Stop it with SIGTERM and return its exit status; killed after 20 s (-9)."""
        assert self.process is not None
        self.process.terminate()

        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    @property
    def stderr(self) -> str:
        """What it wrote on standard error, over all starts."""
        return (self.folder / "node.err").read_text(errors="replace")

    def counters(self) -> dict[str, dict[str, int]]:
        """Return its counters by source; none while it does not answer."""
        return counters_by_source(self.http_port, TOKEN)

    def sample(self) -> tuple[float, int, int]:
        """Return resident memory (MB), file descriptors and threads."""
        base = Path(f"/proc/{self.pid}")
        status = dict(line.split(":", 1) for line in (base / "status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) / 1000, len(os.listdir(base / "fd")), int(status["Threads"])


def tracebacks(text: str) -> tuple[int, list[str]]:
    """Return how many tracebacks a standard error holds that nothing guarded, and the lines of those faults that
    were.
    """
    guarded = [line for line in text.splitlines() if " ERROR cloudctl.node: fault in " in line]
    first = [line for line in guarded if " again, " not in line]
    return max(text.count("Traceback (most recent call last)") - len(first), 0), first
