"""How soon service is back after each fault, over real sockets and processes, in a network namespace of its own: s
until a vehicle has fresh advice.

`PYTHONPATH=. python bench/bench_recovery.py [cause ...]` from another version's folder measures that version.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.scene import Scene, corridor
from cloudctl import codes
from cloudctl.client import Gateway, Vehicle
from cloudctl.clock import SECOND, WallClock, stopwatch
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.io.zeromq import new_keys, write_keys
from cloudctl.metrics import Metrics
from cloudctl.node.config import BrokerSection
from cloudctl.schema import Advisory, AdvisoryKind, Group, Inputs, SignalState

HANG = 60  # s
CUT = int(os.environ.get("RECOVERY_CUT", "15"))  # s
AFTERWARDS = 5  # s for which the delay of advice is measured when service is back
PATIENCE = 40  # s that service is waited for
HOUR = 3600 * SECOND
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


def run() -> str:
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "iptables", "mosquitto"))):
        return "not measured: it needs root, unshare, ip, iptables and mosquitto"

    process = subprocess.run(
        ["unshare", "-n", sys.executable, __file__, "--inside"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )

    return process.stdout.strip() or f"not measured: {process.stderr[-500:]}"


class Rig:
    """A node, a broker, a gateway and a vehicle; `fresh` holds when the vehicle got advice (monotonic ns)."""

    def __init__(self, folder: Path, embedded: bool = False) -> None:
        self.folder, self.embedded = folder, embedded
        self.code = corridor()[0]
        self.scene = Scene(self.code, n=20)
        self.port, self.mqtt = broker.free_port(), broker.free_port()
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
        children = _children(self.node)
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
        return subprocess.Popen(["mosquitto", "-c", str(self.folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)

    def start_node(self) -> subprocess.Popen[bytes]:
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
        wall = WallClock()
        while True:
            time_ns, gateway = wall.now(), self.gateway
            seen_at = time_ns + self.shift
            end = seen_at + 12 * SECOND

            groups = [
                Group(
                    group=int(group_id),
                    state=SignalState.RED,
                    min_end=end,
                    max_end=end,
                    likely_end=end,
                    confidence=1.0,
                    next_green=end,
                    next_duration=20 * SECOND,
                )
                for group_id in self.code.group_ids
            ]
            if gateway:
                gateway.perception("r0", "cam", self.scene.lat, self.scene.lon, self.scene.columns(time_ns), seen_at)
                gateway.signal("r0", self.code.code.id, 1, groups, seen_at)
                gateway.poll()

            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(0.5):
                    await self.vehicle.report(msgspec.structs.replace(self.scene.state(time_ns), t=time_ns))

            await asyncio.sleep(0.1)

    async def listen(self) -> None:
        async for advisory in self.vehicle.advisories():
            if advisory.kind != AdvisoryKind.DEGRADED:
                self.fresh.append(stopwatch())
                self.delays.append(WallClock().now() - advisory.inputs.t_rx)

    async def until(self, is_done: Callable[[], Any], seconds: float) -> None:
        deadline = stopwatch() + int(seconds * SECOND)
        while not is_done() and stopwatch() < deadline:
            await asyncio.sleep(0.01)

    def counted(self) -> dict[str, int]:
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


async def node_killed(rig: Rig) -> None:
    rig.node.kill()
    rig.node.wait()
    await asyncio.sleep(1)
    rig.node = rig.start_node()


async def broker_killed(rig: Rig) -> None:
    assert rig.broker
    rig.broker.kill()
    rig.broker.wait()
    await asyncio.sleep(3)
    rig.broker = rig.start_broker()


async def embedded_broker_killed(rig: Rig) -> None:
    os.kill(_children(rig.node)[0], signal.SIGKILL)


async def broker_hung(rig: Rig) -> None:
    assert rig.broker
    rig.broker.send_signal(signal.SIGSTOP)
    await asyncio.sleep(HANG)
    rig.broker.send_signal(signal.SIGCONT)


async def gateway_killed(rig: Rig) -> None:
    assert rig.gateway
    rig.gateway.close()
    rig.gateway = None
    await asyncio.sleep(3)
    rig.gateway = rig.start_gateway()


async def gateway_cut(rig: Rig) -> None:
    await _cut(rig, "127.0.0.1", rig.port)


async def node_cut(rig: Rig) -> None:
    await _cut(rig, NODE_ADDRESS, rig.mqtt)


async def vehicle_cut(rig: Rig) -> None:
    await _cut(rig, VEHICLE_ADDRESS, rig.mqtt)


async def _cut(rig: Rig, address: str, port: int) -> None:
    rig.cut(address, port, True)
    await asyncio.sleep(CUT)
    rig.cut(address, port, False)


async def gateway_forward(rig: Rig) -> None:
    rig.shift += HOUR


async def gateway_back(rig: Rig) -> None:
    rig.shift -= HOUR


async def node_forward(rig: Rig) -> None:
    rig.clock_file.write_text(str(HOUR))


async def node_back(rig: Rig) -> None:
    rig.clock_file.write_text(str(-HOUR))


CAUSES = {
    "node killed, started after 1 s": (node_killed, False),
    "broker killed, started after 3 s": (broker_killed, False),
    "embedded broker killed": (embedded_broker_killed, True),
    f"broker hung for {HANG} s": (broker_hung, False),
    "gateway killed, started after 3 s": (gateway_killed, False),
    f"link gateway to node cut for {CUT} s": (gateway_cut, False),
    f"link node to broker cut for {CUT} s": (node_cut, False),
    f"link vehicle to broker cut for {CUT} s": (vehicle_cut, False),
    "gateway's clock + 1 h": (gateway_forward, False),
    "gateway's clock - 1 h": (gateway_back, False),
    "node's clock + 1 h": (node_forward, False),
    "node's clock - 1 h": (node_back, False),
}


async def measure(name: str) -> list[str]:
    """Return a row: cause, s until advice is fresh again and comes steadily, what was dropped or refused, what was
    logged."""
    cause, embedded = CAUSES[name]
    with tempfile.TemporaryDirectory() as folder:
        async with Rig(Path(folder), embedded) as rig:
            log = Path(folder) / "node.err"
            before, line_count, read = rig.counted(), len(rig.lines), log.stat().st_size
            expired = rig.vehicle.expired
            await cause(rig)
            end = stopwatch()

            def steady() -> bool:
                """Advice of the last second comes at half the usual rate at least."""
                return sum(stopwatch() - arrival < SECOND for arrival in rig.fresh[-50:]) >= 5 and rig.fresh[-1] > end

            if name.endswith(" h"):
                # A clock that steps ends nothing: see whether service lasts
                await asyncio.sleep(2)

            await rig.until(steady, PATIENCE)
            after = _resumed([arrival for arrival in rig.fresh if arrival > end], end)
            usual, received = _median(rig.delays), len(rig.delays)
            await asyncio.sleep(AFTERWARDS)
            delay = f"{usual:.0f}, {_median(rig.delays[received:]):.0f}"
            dropped = {
                key: count - before.get(key, 0) for key, count in rig.counted().items() if count > before.get(key, 0)
            }

            with log.open("rb") as file:
                file.seek(read)
                logged = file.read().decode().splitlines() + rig.lines[line_count:]

            lost = ", ".join(f"{key} {count}" for key, count in sorted(dropped.items())) or "-"
            if rig.vehicle.expired > expired:
                lost += f"; expired at the vehicle {rig.vehicle.expired - expired}"
            return [
                name,
                after if steady() else f"not within {PATIENCE}",
                delay,
                lost,
                f"{len(logged)}: {logged[0][:150] if logged else '-'}",
            ]


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def _median(delays: list[int]) -> float:
    """Return the median in ms; clocks that were set are left out."""
    usable = [delay / 1e6 for delay in delays if 0 <= delay < HOUR // 2]
    return median(usable) if usable else float("nan")


def _resumed(fresh: list[int], end: int) -> str:
    """Return when advice came again after `end`, behind the last gap of more than a second."""
    begin = fresh[0] if fresh else end
    for earlier, later in zip([end, *fresh], fresh, strict=False):
        if later - earlier > SECOND:
            begin = later
    return f"{(begin - end) / SECOND:.1f}"


async def vehicle_back() -> list[str]:
    """Return the row of a vehicle that is away for 2 s, while an advisory that is valid for 10 s is published."""
    with tempfile.TemporaryDirectory() as folder:
        running = broker.start(Path(folder), prefer="mosquitto")
        egress = Egress(
            section=BrokerSection(port=running.port),
            clock=WallClock(),
            metrics=Metrics(),
            on_vehicle_message=lambda *_: None,
        )

        egress.start()
        await egress.connected.wait()
        async with Vehicle("car", port=running.port) as vehicle:
            await vehicle.connected.wait()
        await asyncio.sleep(1)
        time_ns = WallClock().now()

        advisory = Advisory(
            id="x",
            kind=AdvisoryKind.GLOSA,
            intersection="X",
            target="vehicle:car",
            severity=2,
            confidence=1.0,
            reason="why",
            t=time_ns,
            valid_until=time_ns + 10 * SECOND,
            inputs=Inputs(1),
        )

        egress.advise(advisory, msgspec.json.encode(advisory))
        await asyncio.sleep(1)
        begin = stopwatch()
        duration = "never"

        async with Vehicle("car", port=running.port) as vehicle:
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(5):
                    async for _ in vehicle.advisories():
                        duration = f"{(stopwatch() - begin) / SECOND:.1f}"
                        break

        await egress.stop()
        running.stop()

    return [
        "vehicle away for 2 s: what was valid meanwhile",
        duration,
        "-",
        "1 of 1" if duration == "never" else "-",
        "-",
    ]


def main(names: list[str]) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    rows = [
        [
            "cause",
            "service back after, s",
            "median delay before, after, ms",
            "dropped, refused",
            "logged: lines, the first",
        ]
    ]

    for name in CAUSES:
        if not names or any(wanted in name for wanted in names):
            rows.append(asyncio.run(measure(name)))
            print("\t".join(rows[-1]), file=sys.stderr, flush=True)

    if not names:
        rows.append(asyncio.run(vehicle_back()))
    print("\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows))


if __name__ == "__main__":
    if "--inside" in sys.argv:
        main([name for name in sys.argv[1:] if name != "--inside"])
    else:
        command = ["unshare", "-n", sys.executable, __file__, "--inside", *sys.argv[1:]]
        sys.exit(subprocess.call(command, env=os.environ | {"PYTHONPATH": os.getcwd()}))
