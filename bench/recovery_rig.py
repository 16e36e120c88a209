"""What faults are injected into: a node, a broker, a gateway and a vehicle, over real sockets and processes."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench.scene import Scene, corridor
from cloudctl import codes
from cloudctl.client import Gateway, Vehicle
from cloudctl.clock import SECOND, WallClock, stopwatch
from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import new_keys, write_keys
from cloudctl.schema import AdvisoryKind

# At which node and vehicle reach the broker: links that can be cut one by one
NODE_ADDRESS, VEHICLE_ADDRESS = "127.0.0.3", "127.0.0.2"
CLOCK_PATCH = """import os, time
_real, _file = time.time_ns, os.environ["CLOCK_FILE"]
def _shifted():
    try:
        return _real() + int(open(_file).read() or 0)
    except OSError:
        return _real()
time.time_ns = _shifted
"""


class Rig:
    """A node, a broker, a gateway and a vehicle; `fresh` holds when the vehicle got advice (monotonic ns)."""

    def __init__(self, folder: Path, embedded: bool = False) -> None:
        self.folder, self.embedded = folder, embedded
        self.code = corridor()[0]
        self.scene = Scene(self.code, n=20)
        self.port, self.mqtt = free_port(), free_port()
        self.node_keys, self.keys = write_keys(folder / "node"), new_keys()
        self.fresh: list[int] = []
        self.delays: list[int] = []  # ns from the newest datum used to the vehicle
        self.lines: list[str] = []
        self.shift = 0  # ns of the gateway's clock
        self.clock_file = folder / "clock"
        (folder / "patch").mkdir()
        (folder / "patch" / "sitecustomize.py").write_text(CLOCK_PATCH)
        (folder / "code.json").write_bytes(codes.dump(self.code.code))
        (folder / "mosquitto.conf").write_text(
            f"listener {self.mqtt} 0.0.0.0\nallow_anonymous true\nset_tcp_nodelay true\nuser root\nlog_dest none\n"
        )

        (folder / "node.toml").write_text(
            f'[node]\nbind = "tcp://127.0.0.1:{self.port}"\nkey = "node.key"\ncodes = ["code.json"]\nstatus ='
            f' "status.json"\n[broker]\nopen = true\nhost = "{"127.0.0.1" if embedded else NODE_ADDRESS}"\nport ='
            f" {self.mqtt}\nembedded = {str(embedded).lower()}\n[plan]\nrefresh = 0.0\n[record]\npath ="
            f' "run.mcap"\n[[gateway]]\nname = "g"\nkey = "{self.keys.public}"\nrsus = {{ r0 = "{self.code.code.id}"'
            " }\n"
        )

    async def __aenter__(self) -> "Rig":
        self.broker = None if self.embedded else self.start_broker()
        self.node = self.start_node()
        self.gateway: Gateway | None = self.start_gateway()
        more: dict[str, Any] = {"on_trouble": self.lines.append} if hasattr(Vehicle, "_report") else {}
        self.vehicle = Vehicle("car", "127.0.0.1" if self.embedded else VEHICLE_ADDRESS, self.mqtt, **more)
        await self.vehicle.__aenter__()
        self.tasks = [asyncio.create_task(self.drive()), asyncio.create_task(self.listen())]
        await self.until(lambda: len(self.fresh) > 20, seconds=30)

        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await self.vehicle.__aexit__()
        if self.gateway:
            self.gateway.close()
        children = children_of(self.node)
        self.node.kill()
        self.node.wait()

        # Older versions leave their broker behind
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

        if self.broker:
            self.broker.kill()
            self.broker.wait()

    def start_broker(self) -> subprocess.Popen[bytes]:
        """Start mosquitto."""
        return subprocess.Popen(["mosquitto", "-c", str(self.folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)

    def start_node(self) -> subprocess.Popen[bytes]:
        """Start a node, its clock shifted by what `clock_file` holds (ns)."""
        environment = os.environ | {
            "PYTHONPATH": f"{self.folder / 'patch'}:{os.environ.get('PYTHONPATH', '')}",
            "CLOCK_FILE": str(self.clock_file),
        }
        with (self.folder / "node.err").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cloudctl", "serve", str(self.folder / "node.toml")],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
            )

    def start_gateway(self) -> Gateway:
        """Return a gateway that connects to the node."""
        wall = WallClock()
        return Gateway(
            f"tcp://127.0.0.1:{self.port}",
            ["r0"],
            name="g",
            key=self.keys,
            node_key=self.node_keys.public,
            on_reject=lambda reject: self.lines.append(f"reject: {reject.rule}"),
            now=lambda: wall.now() + self.shift,
        )

    async def drive(self) -> None:
        """Send a frame, signals and the vehicle's state at 10 Hz, until cancelled."""
        wall = WallClock()
        while True:
            time_ns, gateway = wall.now(), self.gateway
            seen_at = time_ns + self.shift
            if gateway:
                gateway.perception("r0", "cam", self.scene.lat, self.scene.lon, self.scene.columns(time_ns), seen_at)
                gateway.signal("r0", self.code.code.id, 1, self.scene.groups(seen_at), seen_at)
                gateway.poll()

            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(0.5):
                    await self.vehicle.report(msgspec.structs.replace(self.scene.state(time_ns), t=time_ns))

            await asyncio.sleep(0.1)

    async def listen(self) -> None:
        """Note when advisories come, and how old their newest input is, until cancelled."""
        async for advisory in self.vehicle.advisories():
            if advisory.kind != AdvisoryKind.DEGRADED:
                self.fresh.append(stopwatch())
                self.delays.append(WallClock().now() - advisory.inputs.t_rx)

    async def until(self, is_done: Callable[[], Any], seconds: float) -> None:
        """Wait until a condition holds, `seconds` at most."""
        deadline = stopwatch() + int(seconds * SECOND)
        while not is_done() and stopwatch() < deadline:
            await asyncio.sleep(0.01)

    def counted(self) -> dict[str, int]:
        """Return what the node has dropped and refused, by name."""
        with contextlib.suppress(OSError, ValueError):
            counters = json.loads((self.folder / "status.json").read_text())["counters"]
            return {name: count for name, count in counters.items() if name.startswith(("drop.", "reject."))}
        return {}

    def cut(self, address: str, port: int, cut: bool) -> None:
        """Drop every packet of one link, or let them pass again."""
        for end in (
            ["-d", address, "--dport"],
            ["-s", address, "--sport"],
            # On arrival: a drop on the way out would be noticed by the sender
        ):
            subprocess.run(
                ["iptables", "-A" if cut else "-D", "INPUT", "-p", "tcp", *end, str(port), "-j", "DROP"], check=True
            )


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
