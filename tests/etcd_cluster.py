"""Three real etcd servers on the loopback, that can be killed, frozen and started again."""

import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
from deadlines import until

from cloudctl.io.broker import dies_with_parent
from cloudctl.io.ports import free_port

needs_etcd = pytest.mark.skipif(
    shutil.which("etcd") is None, reason="ownership by leases needs etcd: apt-get install etcd-server"
)


class Server:
    """One server of a cluster."""

    def __init__(self, name: str, folder: Path, host: str = "127.0.0.1") -> None:
        self.name, self.folder, self.host = name, folder, host
        self.client, self.peer = free_port(host), free_port(host)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.client}"

    def start(self, cluster: str) -> None:
        own, peer = f"http://{self.address}", f"http://{self.host}:{self.peer}"
        command = ["etcd", "--name", self.name, "--data-dir", str(self.folder / self.name), "--logger", "zap"]
        command += ["--listen-client-urls", own, "--advertise-client-urls", own]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        command += ["--initial-cluster", cluster, "--grpc-keepalive-min-time", "200ms"]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=dies_with_parent())

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def is_leader(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=2) as reply:
                return b"\netcd_server_is_leader 1" in reply.read()
        except OSError:
            return False


class Cluster:
    """The three servers."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.servers = [Server(f"etcd-{number}", folder) for number in range(count)]
        self._cluster = ",".join(f"{server.name}=http://{server.host}:{server.peer}" for server in self.servers)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(server.address for server in self.servers)

    def __enter__(self) -> "Cluster":
        for server in self.servers:
            self.start(server)
        until(self.leader, what="the election of a leader")
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.stop()

    def start(self, server: Server) -> None:
        server.start(self._cluster)

    def leader(self) -> Server | None:
        """Return the server that leads, None where none does."""
        return next((server for server in self.servers if server.is_leader()), None)
