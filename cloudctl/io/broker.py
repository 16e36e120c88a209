"""Starting an MQTT broker: mosquitto where it is on PATH, else amqtt (pure Python, MQTT 3.1.1 only), as a child
process.

The child ends with its parent, however that ends (on Linux, by PR_SET_PDEATHSIG), and `keep` starts it again when it
dies.
"""

import asyncio
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..clock import SECOND, WallClock, sleep_until, stopwatch
from ..errors import CloudctlError
from .addresses import bare, reachable
from .bridge import UPWARD, Bridge, bridge_lines
from .ports import free_port
from .private_files import write_private

PR_SET_PDEATHSIG = 1  # prctl(2): the signal a process gets when its parent's thread ends
CHECK_INTERVAL = 0.1  # s between two looks at whether the broker still runs
# looks at a broker that was started again in which its death still stands as a trouble: reports are made once a second
# of the event loop, and the clock goes on while the machine stands still
TROUBLE_LOOKS = 20
FIRST_PAUSE, MAX_PAUSE = 0.5, 30.0  # s before a broker that died again is started again; the first time there is none
SETTLED = 60 * SECOND  # a broker that ran so long did not die of its start
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

# The rights of each name at the broker. `node` is the node's own, %u the name in the certificate of whoever is
# connected.
NODE_RIGHTS = """user {name}
topic readwrite cloudctl/#
"""
# An operator's commands, beside a node that runs: a name of their own, for a second client of the node's name would cut
# the node's connection
OPERATOR_NAME = "operator"
OPERATOR_RIGHTS = """user operator
topic read cloudctl/v1/nodes/+/status
topic readwrite cloudctl/v1/codes/+
"""
VEHICLE_RIGHTS = """pattern read cloudctl/v1/codes/#
pattern read cloudctl/v1/signals/#
pattern read cloudctl/v1/intersections/#
pattern read cloudctl/v1/vehicles/%u/advisories
pattern read cloudctl/v1/vehicles/%u/rejects
pattern write cloudctl/v1/vehicles/%u/state
pattern write cloudctl/v1/tiles/+/vehicles/%u/state
pattern write cloudctl/v1/vehicles/%u/requests
pattern write cloudctl/v1/vehicles/%u/acks
pattern write cloudctl/v1/vehicles/%u/hello
"""
MAX_MESSAGE = 1024 * 1024  # bytes of one MQTT message; a digital code in compact form has up to some 100 KiB

AMQTT_NOTE = (
    "amqtt is in use: MQTT 3.1.1 only, about 1,400 messages/s, no ACL; "
    "for more install mosquitto: apt-get install mosquitto"
)


class BrokerError(CloudctlError, RuntimeError):
    """No broker could be started; the text says what to do."""


@dataclass(frozen=True)
class Tls:
    """What switches TLS and the per-vehicle ACL on: PEM files, and the names that have lost their rights."""

    ca: Path
    cert: Path
    key: Path
    crl: Path | None = None
    revoked: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ("node",)  # names that have the rights of a node
    edges: tuple[str, ...] = ()  # names of edges whose brokers pass on to this one


@dataclass(eq=False)
class Broker:
    """A running broker. It is stopped with its last reference, too: a start that fails further on leaves none
    behind.
    """

    name: str
    port: int
    version: int  # of MQTT: 5 or 4
    process: subprocess.Popen[bytes]
    note: str = ""
    host: str = "127.0.0.1"
    command: tuple[str, ...] = ()
    folder: Path | None = None
    trouble: str | None = None  # that it died, for the operator
    restarts: int = 0
    temporary: bool = False  # whether its folder goes with it
    _finalizer: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._guard()

    def stop(self) -> None:
        """Stop it; its temporary folder goes with it."""
        self._finalizer()

    async def keep(self, count: Callable[[str], None] = lambda _: None) -> None:
        """Start it again whenever it has died, after a pause that grows; `count` is called with "broker.restart" each
        time.
        """
        pause, begun, looks = 0.0, stopwatch(), 0
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            if self.process.poll() is None:
                looks += 1
                if looks > TROUBLE_LOOKS:
                    self.trouble = None
                continue

            if stopwatch() - begun > SETTLED:
                pause = 0.0

            if self.trouble is None:
                self.trouble = (
                    f"the embedded MQTT broker ({self.name}) ended with status {self.process.returncode}: "
                    f"{self.last_words()}. "
                    "It is started again, after a pause that grows up to half a minute"
                )

            await asyncio.sleep(pause)
            pause = min(max(2 * pause, FIRST_PAUSE), MAX_PAUSE)
            count("broker.restart")
            begun, looks = stopwatch(), 0
            self._finalizer.detach()
            self.process = _spawn(self.command, self.folder)
            self.restarts += 1
            self._guard()

    def reread(self) -> None:
        """Have it read its configuration, ACL, certificates and revoked certificates again; connections stay."""
        self.process.send_signal(signal.SIGHUP)

    def last_words(self) -> str:
        """Return the end of its log."""
        log = self.log_tail(500)
        if log is None:
            return "it left no log"
        return log.strip() or "it logged nothing"

    def log_tail(self, size: int) -> str | None:
        """Return the last `size` bytes of its log, None where it has none."""
        if self.folder is None:
            return None
        try:
            with (self.folder / "broker.log").open("rb") as log:
                log.seek(max(log.seek(0, 2) - size, 0))
                return log.read().decode(errors="replace")
        except OSError:
            return None

    def _guard(self) -> None:
        self._finalizer = weakref.finalize(self, _end, self.process, self.folder if self.temporary else None)


def _end(process: subprocess.Popen[bytes], folder: Path | None) -> None:
    """Terminate a broker and remove its folder; one that is stopped (SIGSTOP) cannot end in peace and is killed."""
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _spawn(command: tuple[str, ...], folder: Path | None) -> subprocess.Popen[bytes]:
    assert folder is not None
    with (folder / "broker.log").open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=dies_with_parent()
        )


def dies_with_parent() -> Callable[[], None]:
    """Return what a child process is to call first, so that it ends with this one, however that ends (on Linux)."""
    parent = os.getpid()

    def end_with_parent() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it ended in between
                os._exit(1)

    return end_with_parent


def _address(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Return the family and socket address of `host`. Raises BrokerError where it has none."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise BrokerError(
            f"[broker] host = {host!r} is no address of this machine ({error}). Write one such as 0.0.0.0, ::1 "
            "or its name"
        ) from None

    return found[0], found[4]


def mosquitto() -> str | None:
    """Return the path of mosquitto, None where there is none."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


def start(
    folder: Path | None,
    port: int = 0,
    tls: Tls | None = None,
    prefer: str | None = None,
    host: str = "127.0.0.1",
    bridge: Bridge | None = None,
) -> Broker:
    """Start a broker on `host`:`port` (0 picks one), its files in `folder` (None: a temporary one); `prefer` is
    "mosquitto" or "amqtt".

    Raises BrokerError when none can be started.
    """
    host = bare(host)
    _address(host, 0)
    port = port or free_port(host)
    _refuse_taken(host, port)
    program = None if prefer == "amqtt" else mosquitto()

    if (tls is not None or bridge is not None) and program is None:
        raise BrokerError(
            "TLS, per-vehicle ACL and a bridge need mosquitto on PATH. Install it with: apt-get install mosquitto"
        )

    temporary = folder is None
    folder = Path(tempfile.mkdtemp(prefix="cloudctl-broker-")) if folder is None else folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if program is not None:
            config = write_mosquitto_files(folder, host, port, tls, bridge)
            command: tuple[str, ...] = (program, "-c", str(config))
        else:
            command = (sys.executable, "-m", "cloudctl.io.broker", host, str(port))

        process = _spawn(command, folder)
    except OSError as error:
        raise BrokerError(
            f"cannot write the broker's files to {folder}: {error.strerror}. Give the node's user the right to "
            "write there, or choose another [record] path"
        ) from None

    name, version, note = ("mosquitto", 5, "") if program is not None else ("amqtt", 4, AMQTT_NOTE)
    broker = Broker(name, port, version, process, note, host, command, folder, temporary=temporary)
    _await(broker)

    return broker


def write_mosquitto_files(folder: Path, host: str, port: int, tls: Tls | None, bridge: Bridge | None = None) -> Path:
    """Write a mosquitto configuration and, with TLS, its ACL into `folder`; return the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config, acl = folder / "mosquitto.conf", folder / "acl"
    config.write_text(mosquitto_config(folder, host, port, tls, bridge))

    if tls is not None:
        write_private(
            acl, access_list(tls.revoked, tls.nodes, tls.edges).encode(), replace=True
        )  # mosquitto warns of one that others can read

    return config


def access_list(revoked: Sequence[str] = (), nodes: Sequence[str] = ("node",), edges: Sequence[str] = ()) -> str:
    """Return the ACL in mosquitto's form: a node everything, a vehicle its own topics and what is for everyone,
    revoked names nothing.

    The lines of a name come before the patterns, and a `deny` before what is granted: an open connection loses its
    rights when the list is read again.
    """
    denials = "".join(f"user {name}\ntopic deny cloudctl/#\n" for name in revoked)
    trusted = "".join(NODE_RIGHTS.format(name=name) for name in nodes if name not in revoked)
    trusted += OPERATOR_RIGHTS if OPERATOR_NAME not in revoked else ""

    for name in edges:
        trusted += f"user {name}\n" + "".join(f"topic write {topic}\n" for topic in UPWARD)

    return trusted + denials + VEHICLE_RIGHTS


def mosquitto_config(folder: Path, host: str, port: int, tls: Tls | None, bridge: Bridge | None = None) -> str:
    """Return a mosquitto configuration: no Nagle delay, bounded queues; closed where certificates are given, else
    open to anyone.

    Closed: the name at the broker is that of the client's certificate, and so is its MQTT client id: nobody can take
    over another's session.
    """
    lines = [
        f"listener {port} {host}",
        "set_tcp_nodelay true",
        f"max_packet_size {MAX_MESSAGE}",
        *([] if bridge else ["max_queued_messages 1000", "persistence false"]),
        f"user {pwd.getpwuid(os.getuid()).pw_name}",
        "log_type error",
        "log_type warning",
        "log_dest stderr",
    ]
    bridge_part = bridge_lines(bridge, folder) if bridge else []
    if tls is None:
        lines.append("allow_anonymous true")
        return "\n".join([*lines, *bridge_part]) + "\n"

    lines += [
        "allow_anonymous false",
        f"cafile {tls.ca}",
        f"certfile {tls.cert}",
        f"keyfile {tls.key}",
        "tls_version tlsv1.2",  # the lowest that is accepted
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        f"acl_file {folder / 'acl'}",
    ]
    if tls.crl is not None:
        lines.append(f"crlfile {tls.crl}")

    return "\n".join([*lines, *bridge_part]) + "\n"


def _refuse_taken(host: str, port: int) -> None:
    family, address = _address(host, port)
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise BrokerError(
                f"cannot start a broker on {host}:{port}: {error.strerror}. "
                "Choose another [broker] port, or set embedded = false to use the one that runs there"
            ) from None


def _await(broker: Broker) -> None:
    clock = WallClock()
    deadline = stopwatch() + 20 * SECOND
    while stopwatch() < deadline and broker.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((reachable(broker.host), broker.port), 1):
            return
        sleep_until(clock.now() + SECOND // 20)

    logged = broker.last_words()
    broker.stop()
    raise BrokerError(
        f"{broker.name} did not start on {broker.host}:{broker.port}: {logged}. "
        "Without mosquitto, the embedded broker needs: pip install 'cloudctl[sim]'"
    )


def _serve_amqtt(host: str, port: int) -> None:
    from amqtt.broker import Broker as Amqtt

    async def serve() -> None:
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        server = Amqtt(
            {
                "listeners": {
                    "default": {"type": "tcp", "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"}
                },
                "plugins": plugins,
            }
        )

        await server.start()
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        await server.shutdown()

    asyncio.run(serve())


if __name__ == "__main__":
    _serve_amqtt(sys.argv[1], int(sys.argv[2]))
