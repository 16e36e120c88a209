"""How soon service is back after each fault, over real sockets and processes, in a network namespace of its own: s
until a vehicle has fresh advice.

`PYTHONPATH=. python bench/bench_recovery.py [cause ...]` from another version's folder measures that version.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import msgspec

from bench.recovery_rig import NODE_ADDRESS, VEHICLE_ADDRESS, Rig, children_of
from cloudctl.client import Vehicle
from cloudctl.clock import SECOND, WallClock, stopwatch
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.metrics import Metrics
from cloudctl.node.config import BrokerSection
from cloudctl.schema import Advisory, AdvisoryKind, Inputs

HANG = 60  # s
CUT = int(os.environ.get("RECOVERY_CUT", "15"))  # s
AFTERWARDS = 5  # s for which the delay of advice is measured when service is back
PATIENCE = 40  # s that service is waited for
HOUR = 3600 * SECOND


def run() -> str:
    """Return the report, or why it cannot be measured here."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "iptables", "mosquitto"))):
        return "not measured: it needs root, unshare, ip, iptables and mosquitto"

    process = subprocess.run(
        ["unshare", "-n", sys.executable, __file__, "--inside"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )

    return process.stdout.strip() or f"not measured: {process.stderr[-500:]}"


async def node_killed(rig: Rig) -> None:
    """Kill the node, and start it after 1 s."""
    rig.node.kill()
    rig.node.wait()
    await asyncio.sleep(1)
    rig.node = rig.start_node()


async def broker_killed(rig: Rig) -> None:
    """Kill the broker, and start it after 3 s."""
    assert rig.broker
    rig.broker.kill()
    rig.broker.wait()
    await asyncio.sleep(3)
    rig.broker = rig.start_broker()


async def embedded_broker_killed(rig: Rig) -> None:
    """Kill the broker that the node runs; the node starts it again."""
    os.kill(children_of(rig.node)[0], signal.SIGKILL)


async def broker_hung(rig: Rig) -> None:
    """Stop the broker's process for HANG s: its sockets stay open and answer nothing."""
    assert rig.broker
    rig.broker.send_signal(signal.SIGSTOP)
    await asyncio.sleep(HANG)
    rig.broker.send_signal(signal.SIGCONT)


async def gateway_killed(rig: Rig) -> None:
    """Close the gateway, and start another after 3 s."""
    assert rig.gateway
    rig.gateway.close()
    rig.gateway = None
    await asyncio.sleep(3)
    rig.gateway = rig.start_gateway()


async def gateway_cut(rig: Rig) -> None:
    """Cut the link between gateway and node for CUT s."""
    await _cut(rig, "127.0.0.1", rig.port)


async def node_cut(rig: Rig) -> None:
    """Cut the link between node and broker for CUT s."""
    await _cut(rig, NODE_ADDRESS, rig.mqtt)


async def vehicle_cut(rig: Rig) -> None:
    """Cut the link between vehicle and broker for CUT s."""
    await _cut(rig, VEHICLE_ADDRESS, rig.mqtt)


async def _cut(rig: Rig, address: str, port: int) -> None:
    rig.cut(address, port, True)
    await asyncio.sleep(CUT)
    rig.cut(address, port, False)


async def gateway_forward(rig: Rig) -> None:
    """Set the gateway's clock an hour ahead."""
    rig.shift += HOUR


async def gateway_back(rig: Rig) -> None:
    """Set the gateway's clock an hour back."""
    rig.shift -= HOUR


async def node_forward(rig: Rig) -> None:
    """Set the node's clock an hour ahead."""
    rig.clock_file.write_text(str(HOUR))


async def node_back(rig: Rig) -> None:
    """Set the node's clock an hour back."""
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
            is_back = steady()
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
                after if is_back else f"not within {PATIENCE}",
                delay,
                lost,
                f"{len(logged)}: {logged[0][:150] if logged else '-'}",
            ]


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
    """Measure the causes that are named, or all; print them as a table."""
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
