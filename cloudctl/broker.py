"""Starting an MQTT broker: mosquitto where it is on PATH, else amqtt (pure Python, MQTT 3.1.1 only), as a child process."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .clock import SECOND, WallClock, sleep_until

# Who may do what, by name of the client's certificate. `node` is the node's own.
ACL = """user node
topic readwrite cloudctl/#
pattern read cloudctl/v1/codes/#
pattern read cloudctl/v1/signals/#
pattern read cloudctl/v1/intersections/#
pattern read cloudctl/v1/vehicles/%u/advisories
pattern read cloudctl/v1/vehicles/%u/rejects
pattern write cloudctl/v1/vehicles/%u/state
pattern write cloudctl/v1/vehicles/%u/requests
pattern write cloudctl/v1/vehicles/%u/acks
"""


class BrokerError(RuntimeError):
    """No broker could be started; the text says what to do."""


@dataclass(frozen=True)
class Tls:
    """What switches TLS and the per-vehicle ACL on: PEM files."""

    ca: Path
    cert: Path
    key: Path


@dataclass
class Broker:
    """A running broker."""

    name: str
    port: int
    version: int  # of MQTT: 5 or 4
    process: subprocess.Popen[bytes]
    note: str = ""

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """Return a TCP port that is free on the loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mosquitto() -> str | None:
    """Return the path of mosquitto, None where there is none."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


def start(
    folder: Path, port: int = 0, tls: Tls | None = None, prefer: str | None = None, host: str = "127.0.0.1"
) -> Broker:
    """Start a broker on `host`:`port` (0 picks one), its files in `folder`; `prefer` is "mosquitto" or "amqtt".

    Raises BrokerError when none can be started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    _refuse_taken(host, port)
    program = mosquitto()
    log = (folder / "broker.log").open("wb")
    if program and prefer != "amqtt":
        config = folder / "mosquitto.conf"
        config.write_text(mosquitto_config(folder, host, port, tls))
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
        broker = Broker("mosquitto", port, 5, process)
    elif tls is not None:
        raise BrokerError("TLS and per-vehicle ACL need mosquitto on PATH. Install it with: apt-get install mosquitto")
    else:
        process = subprocess.Popen([sys.executable, "-m", "cloudctl.broker", host, str(port)], stdout=log, stderr=log)
        broker = Broker(
            "amqtt",
            port,
            4,
            process,
            "amqtt is in use: MQTT 3.1.1 only, about 1,400 messages/s, no ACL; "
            "for more install mosquitto: apt-get install mosquitto",
        )
    log.close()
    _await(broker, host, folder)
    return broker


def mosquitto_config(folder: Path, host: str, port: int, tls: Tls | None) -> str:
    """Return a mosquitto configuration: no Nagle delay, bounded queues, TLS and ACL where certificates are given."""
    lines = [
        f"listener {port} {host}",
        "set_tcp_nodelay true",
        "max_queued_messages 1000",
        "persistence false",
        f"user {pwd.getpwuid(os.getuid()).pw_name}",
        "log_type error",
        "log_type warning",
        "log_dest stderr",
    ]
    if tls is None:
        lines.append("allow_anonymous true")
    else:
        acl = folder / "acl"
        acl.write_text(ACL)
        acl.chmod(0o600)
        lines += [
            f"cafile {tls.ca}",
            f"certfile {tls.cert}",
            f"keyfile {tls.key}",
            "require_certificate true",
            "use_identity_as_username true",
            f"acl_file {acl}",
        ]
    return "\n".join(lines) + "\n"


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BrokerError(
                f"cannot start a broker on {host}:{port}: {error.strerror}. "
                "Choose another [broker] port, or set embedded = false to use the one that runs there"
            ) from None


def _await(broker: Broker, host: str, folder: Path) -> None:
    clock = WallClock()
    deadline = clock.now() + 20 * SECOND
    while clock.now() < deadline and broker.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host, broker.port), 1):
            return
        sleep_until(clock.now() + SECOND // 20)
    said = (folder / "broker.log").read_text(errors="replace")[-500:]
    broker.stop()
    raise BrokerError(
        f"{broker.name} did not start on port {broker.port}: {said or 'it said nothing'}. "
        "Without mosquitto, the embedded broker needs: pip install 'cloudctl[sim]'"
    )


def _serve_amqtt(host: str, port: int) -> None:
    import asyncio

    from amqtt.broker import Broker as Amqtt

    async def serve() -> None:
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        server = Amqtt({"listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}}, "plugins": plugins})
        await server.start()
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        await server.shutdown()

    asyncio.run(serve())


if __name__ == "__main__":
    _serve_amqtt(sys.argv[1], int(sys.argv[2]))
