"""A city on this machine, on real sockets: intersections without a drop at p99 <= 100 ms; one worker, and two.

Each intersection has three roadside units at 10 Hz of 30 objects, its signals at 10 Hz, and five connected vehicles
that report once a second. Gateways speak CURVE; the nodes are `cloudctl serve`; load generator, subscriber and
mosquitto run on the same machine, and their share of it is in the table. `CITY_SIZES=40,80` sets the sizes of the ramp,
`CITY_WORKERS` the numbers of workers, `CITY_SECONDS` what is measured of each.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from cloudctl.sim.common.terminal import table

from bench.bench_loop import subscribe
from bench.city_scene import FRAME_PERIOD, MAX_SHIFT, RSUS, City
from bench.node_under_test import Mosquitto, wait_for
from cloudctl import codes
from cloudctl.client import Gateway, VehicleState
from cloudctl.clock import MS, SECOND, WallClock, sleep_until, stopwatch
from cloudctl.codes.citycode import make, parse_code
from cloudctl.codes.grid import grid_encode
from cloudctl.io.broker import free_port
from cloudctl.io.private_files import write_private
from cloudctl.io.zeromq import KeyPair, new_keys
from cloudctl.schema import Group
from cloudctl.tiles import tile_of
from cloudctl.topics import MqttTopics

SIZES = tuple(int(size) for size in os.environ.get("CITY_SIZES", "40,80,120,160,240,320,440,600,880").split(","))
WORKERS = tuple(int(count) for count in os.environ.get("CITY_WORKERS", "1,2").split(","))
SECONDS = float(os.environ.get("CITY_SECONDS", "8"))
SETTLE = 4.0  # s after the first frame that are not measured
INTERSECTIONS_OF_A_GATEWAY = 10
MAX_P99 = 100.0  # ms, from the newest datum that an advisory rests on to its arrival at a subscriber
SLICE = 10 * MS  # the senders of a period are spread over slices of this length
MAX_LAG = 50 * MS  # of the load generator behind its own timetable: beyond it, it is what is measured
TICKS = os.sysconf("SC_CLK_TCK")


class Round(NamedTuple):
    """One size with one number of workers."""

    size: int
    workers: int
    p50: float  # ms
    p99: float
    advisories: int
    lost: dict[str, int]
    lag: float  # ms, of the load generator
    cores: dict[str, float]  # by process
    stages: dict[str, float]  # cores of a node, by stage

    @property
    def is_carried(self) -> bool:
        return not self.lost and self.p99 <= MAX_P99 and self.advisories > 0


class LiveCity(City):
    """The made-up city, as its gateways and vehicles send it now; each city code is of its own place."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for index, code in enumerate(self.codes):
            parts = parse_code(code.id)
            name = make(parts.adm, parts.kind, grid_encode(code.ref_lat_e7, code.ref_lon_e7), index + 1)
            self.codes[index] = msgspec.structs.replace(code, id=name)

    def send_frame(self, gateway: Gateway, number: int, unit: int, frame: int) -> None:
        """Send what a roadside unit sees, and with the first unit what the signals show."""
        code, kind = self.codes[number], number % len(self._scenes)
        block = self._blocks[kind][unit][self._frame(number, frame)]
        rsu = f"r{number}-{unit}"
        gateway.perception(rsu, "fused", code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7, msgspec.Raw(block))
        if unit == 0:
            gateway.signal(rsu, code.id, code.revision, self.groups(kind))

    def groups(self, kind: int) -> tuple[Group, ...]:
        """Return the signal groups of an intersection now; the same object as long as they show the same."""
        return self._groups(kind, WallClock().now())

    def states(self, number: int, frame: int) -> Iterator[tuple[str, VehicleState]]:
        """Yield the vehicles that report in a frame, and their states."""
        kind = number % len(self._scenes)
        for vehicle in range(self.connected):
            if (frame + vehicle + number) % (SECOND // FRAME_PERIOD) == 0:
                shifted = self._frame(number, frame)
                yield f"v{number}-{vehicle}", self._state(WallClock().now(), self.codes[number], kind, shifted, vehicle)

    def _frame(self, number: int, frame: int) -> int:
        count = len(self._blocks[0][0])
        return (frame + number // len(self._scenes) * 7 % MAX_SHIFT) % count


class Load(NamedTuple):
    """What a load generator needs."""

    size: int
    address: str
    mqtt: int
    node_key: str
    keys: tuple[KeyPair, ...]
    seconds: float


def produce(pipe: Connection, load: Load) -> None:
    """Send the whole city's messages on time; answer with the greatest lag (ns) and what was dropped or refused."""
    import paho.mqtt.client as paho

    city = LiveCity(size=load.size, seconds=6.0)
    gateways = [
        Gateway(
            load.address,
            [f"r{number}-{unit}" for number in numbers for unit in range(RSUS)],
            name=f"g{index}",
            key=load.keys[index],
            node_key=load.node_key,
            on_reject=lambda reject: refused.append(str(reject)),
        )
        for index, numbers in enumerate(gateway_numbers(load.size))
    ]
    refused: list[str] = []
    vehicles = paho.Client(paho.CallbackAPIVersion.VERSION2)
    vehicles.connect("127.0.0.1", load.mqtt)
    vehicles.loop_start()
    wait_for(lambda: [gateway.poll() for gateway in gateways] and all(g.state == "connected" for g in gateways), 60)
    pipe.send("connected")
    pipe.recv()

    slices = FRAME_PERIOD // SLICE
    senders = [(number, unit) for number in range(load.size) for unit in range(RSUS)]
    parts: list[list[tuple[int, int]]] = [senders[k::slices] for k in range(slices)]
    clock = WallClock()
    begin, lag, dropped = clock.now(), 0, 0
    for step in range(int((SETTLE + load.seconds) * SECOND) // SLICE):
        due = begin + step * SLICE
        sleep_until(due)
        if step * SLICE > SETTLE * SECOND:
            lag = max(lag, clock.now() - due)
        elif step * SLICE <= SETTLE * SECOND:
            dropped, refused[:] = sum(gateway.dropped for gateway in gateways), []
        frame = step // slices
        for number, unit in parts[step % slices]:
            city.send_frame(gateways[number // INTERSECTIONS_OF_A_GATEWAY], number, unit, frame)
            if unit == 0:
                for name, state in city.states(number, frame):
                    tile = tile_of(state.lat, state.lon)
                    topic = MqttTopics.tile_state(tile, name) if tile else MqttTopics.vehicle(name, "state")
                    vehicles.publish(topic, msgspec.json.encode(state))
        for gateway in gateways[step % slices :: slices]:
            gateway.poll()
    pipe.send((lag, sum(gateway.dropped for gateway in gateways) - dropped, refused[:5]))
    pipe.recv()
    vehicles.loop_stop()
    for gateway in gateways:
        gateway.close()


def gateway_numbers(size: int) -> list[range]:
    """Return the intersections of each gateway."""
    step = INTERSECTIONS_OF_A_GATEWAY
    return [range(first, min(first + step, size)) for first in range(0, size, step)]


def write_folder(folder: Path, size: int, workers: int, port: int, mqtt: int) -> tuple[KeyPair, tuple[KeyPair, ...]]:
    """Write the node's folder; return its keys and those of the gateways."""
    city = LiveCity(size=size, seconds=0.1)
    (folder / "codes").mkdir(parents=True)
    for number, code in enumerate(city.codes):
        (folder / "codes" / f"{number:04d}.json").write_bytes(codes.dump(code))
    node = new_keys()
    write_private(folder / "node.key", f'public = "{node.public}"\nsecret = "{node.secret}"\n'.encode())
    keys, sections = [], ""
    for index, numbers in enumerate(gateway_numbers(size)):
        keys.append(new_keys())
        rsus = ", ".join(
            f'"r{number}-{unit}" = "{city.codes[number].id}"' for number in numbers for unit in range(RSUS)
        )
        sections += f'[[gateway]]\nname = "g{index}"\nkey = "{keys[-1].public}"\nrsus = {{ {rsus} }}\n'
    (folder / "node.toml").write_text(
        f'[node]\nbind = "tcp://127.0.0.1:{port}"\nkey = "node.key"\ncodes = ["codes/*.json"]\nstatus = "status.json"\n'
        f"workers = {workers}\n[broker]\nopen = true\nport = {mqtt}\n{sections}"
    )
    return node, tuple(keys)


class Cpu:
    """CPU seconds of processes, by name."""

    def __init__(self, processes: dict[str, list[int]]) -> None:
        self._processes = processes

    def read(self) -> dict[str, float]:
        """Return the CPU seconds so far."""
        return {name: sum(map(_cpu_of, numbers)) for name, numbers in self._processes.items()}


def _cpu_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _statuses(folder: Path) -> list[dict[str, dict[str, dict[str, float]]]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("status*.json"))]


def _losses(folder: Path) -> dict[str, int]:
    """Return what the nodes have dropped or refused, by counter."""
    losses: dict[str, int] = {}
    for status in _statuses(folder):
        for name, count in status["counters"].items():
            is_loss = name.startswith(("drop", "reject", "egress.expired", "sequence.gap"))
            if is_loss and name != "drop.reply.broadcast":
                losses[name] = losses.get(name, 0) + int(count)
    return losses


def _stage_seconds(folder: Path) -> dict[str, float]:
    """Return the seconds that the nodes have spent in each stage of their steps, about: by count and median where the
    status has no totals."""
    spent: dict[str, float] = {}
    for status in _statuses(folder):
        for stage, summary in status["latency_us"].items():
            total = summary.get("total", summary["count"] * summary["p50"])
            spent[stage] = spent.get(stage, 0.0) + total / 1e6
    return spent


def once(folder: Path, size: int, workers: int) -> Round:
    """Run one size."""
    spawn = multiprocessing.get_context("spawn")
    mosquitto = Mosquitto(folder / "broker")
    port = free_port()
    node_keys, keys = write_folder(folder / "node", size, workers, port, mosquitto.port)
    command = [sys.executable, "-m", "cloudctl", "serve", str(folder / "node" / "node.toml")]
    with (folder / "err").open("wb") as log:
        node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    listen, listened = spawn.Pipe()
    subscriber = spawn.Process(target=subscribe, args=(listened, mosquitto.port))
    here, there = spawn.Pipe()
    load = Load(size, f"tcp://127.0.0.1:{port}", mosquitto.port, node_keys.public, keys, SECONDS)
    producer = spawn.Process(target=produce, args=(there, load))
    try:
        assert node.stdout is not None
        while "Ctrl-C" not in (line := node.stdout.readline()):
            if not line:
                raise RuntimeError(f"the node did not start: {(folder / 'err').read_text()[-1000:]}")
        subscriber.start()
        listen.recv()
        producer.start()
        here.recv()
        here.send("go")
        sleep_until(WallClock().now() + int((SETTLE + 0.5) * SECOND))

        pids = [int(path.read_text()) for path in (folder / "node").glob("node*.pid")]
        nodes = [pid for pid in pids if workers == 1 or pid != node.pid]
        processes = {f"worker {k}": [pid] for k, pid in enumerate(sorted(nodes), 1)}
        processes |= {
            "broker": [mosquitto.process.pid],
            "load": [producer.pid or 0],
            "subscriber": [subscriber.pid or 0],
        }
        cpu = Cpu(processes)
        begun, before, stages = stopwatch(), cpu.read(), _stage_seconds(folder / "node")
        losses = _losses(folder / "node")
        measured_from = WallClock().now()
        lag, dropped, refused = here.recv()
        span = (stopwatch() - begun) / SECOND
        cores = {name: (spent - before[name]) / span for name, spent in cpu.read().items()}
        listen.send("stop")
        arrival, t_sensor = np.array(listen.recv(), np.int64).reshape(-1, 2).T
        wait_for(lambda: False, 1.2)  # until each node has written its status once more
        lost = {
            name: n - losses.get(name, 0) for name, n in _losses(folder / "node").items() if n > losses.get(name, 0)
        }
        if dropped or refused:
            lost |= {"load generator": dropped, **dict.fromkeys(refused, 1)}
        spent = _stage_seconds(folder / "node")
        here.send("end")
        latency = (arrival - t_sensor)[arrival > measured_from] / MS
        p50, p99 = (float(np.quantile(latency, q)) if len(latency) else np.inf for q in (0.5, 0.99))
        shares = {stage: (seconds - stages.get(stage, 0.0)) / span for stage, seconds in spent.items()}
        return Round(size, workers, p50, p99, len(latency), lost, lag / MS, cores, shares)
    finally:
        for process in (producer, subscriber):
            if process.pid:
                process.join(5)
                process.kill()
        node.terminate()
        node.wait(30)
        mosquitto.stop()


def ramp(workers: int) -> list[Round]:
    """Return the rounds of one number of workers, up to the first that is not carried."""
    rounds: list[Round] = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as scratch:
            rounds.append(once(Path(scratch), size, workers))
        print(f"   {rounds[-1].workers} worker(s), {_row(rounds[-1])}", flush=True)
        if not rounds[-1].is_carried:
            break
    return rounds


def _row(one: Round) -> list[object]:
    cores = " ".join(f"{name} {cores:.2f}" for name, cores in one.cores.items())
    stages = " ".join(f"{stage} {cores:.2f}" for stage, cores in sorted(one.stages.items()) if cores >= 0.005)
    lost = ", ".join(f"{name} {n}" for name, n in list(one.lost.items())[:4]) or "none"
    return [one.size, one.p50, one.p99, one.advisories, lost, one.lag, cores, stages]


def run() -> str:
    text = ""
    carried: dict[int, int] = {}
    head = ["intersections", "p50 ms", "p99 ms", "advisories", "lost", "load lag ms", "cores by process", "by stage"]
    for workers in WORKERS:
        rounds = ramp(workers)
        carried[workers] = max((one.size for one in rounds if one.is_carried), default=0)
        text += table([f"{workers} worker(s): {head[0]}", *head[1:]], [_row(one) for one in rounds]) + "\n"
        if rounds[-1].lag > MAX_LAG / MS:
            text += f"the load generator was {rounds[-1].lag:.0f} ms behind: it, or the machine, is the limit\n"
    text += "; ".join(f"{count} worker(s) carry {size} intersections" for count, size in carried.items())
    return text + "; must: 440 on two cores, two workers >= 1.7 x one"


if __name__ == "__main__":
    print(run())
