"""A city on this machine, on real sockets: intersections without a drop at p99 <= 100 ms; one worker, and two.

Each intersection has three roadside units at 10 Hz of 30 objects, its signals at 10 Hz, and five connected vehicles
that report once a second. Gateways speak CURVE; the nodes are `cloudctl serve`; load generator, subscriber and
mosquitto run on the same machine, and their share of it is in the table. The last line is of engines alone.
`CITY_SIZES=40,80` sets the sizes of the ramp, `CITY_WORKERS` the numbers of workers, `CITY_SECONDS` what is measured of
each.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from cloudctl.sim.common.terminal import table

from bench.city_engines import gain
from bench.city_load import SETTLE, LiveCity, Load, gateway_numbers, produce
from bench.city_scene import RSUS
from bench.node_under_test import Mosquitto, wait_for
from bench.plain_mqtt import PlainMqtt
from cloudctl import codes
from cloudctl.clock import MS, SECOND, WallClock, sleep_until, stopwatch
from cloudctl.io.ports import free_port
from cloudctl.io.private_files import write_private
from cloudctl.io.zeromq import KeyPair, new_keys
from cloudctl.schema import Advisory, AdvisoryKind
from cloudctl.topics import MqttTopics

SIZES = tuple(int(size) for size in os.environ.get("CITY_SIZES", "40,80,120,160,240,320,440,600,880").split(","))
WORKERS = tuple(int(count) for count in os.environ.get("CITY_WORKERS", "1,2").split(","))
SECONDS = float(os.environ.get("CITY_SECONDS", "8"))
MAX_P99 = 100.0  # ms, from the newest datum that an advisory rests on to its arrival at a subscriber
MAX_LAG = 50 * MS  # of the load generator behind its own timetable: beyond it, it is what is measured
STAGES = ("decoded", "fused", "planned", "published", "step")  # "step": all of a step, with its recording
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


def subscribe(pipe: Connection, port: int) -> None:
    """Collect every advisory for a vehicle until the pipe has a message; answer with (arrival, sensor time) of each
    that rests on a newer frame than the one before, ns."""
    broker = PlainMqtt(port, "subscriber")
    broker.collect(MqttTopics.vehicle("+", "advisories"))
    pipe.send("ready")
    pipe.recv()
    broker.close()

    arrivals: list[tuple[int, int]] = []
    newest: dict[str, int] = {}  # sensor time, by target
    decode = msgspec.json.Decoder(Advisory).decode
    for arrival in broker.arrivals():
        advisory = decode(arrival.payload)
        t_sensor = advisory.inputs.t_sensor
        if advisory.kind is AdvisoryKind.GLOSA and t_sensor > newest.get(advisory.target, 0):
            newest[advisory.target] = t_sensor
            arrivals.append((arrival.t, t_sensor))
    pipe.send(arrivals)


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
    """Return the seconds that the nodes have spent in each stage of their steps."""
    spent: dict[str, float] = {}
    for status in _statuses(folder):
        for stage, summary in status["latency_us"].items():
            if stage in STAGES:
                spent[stage] = spent.get(stage, 0.0) + summary["total"] / 1e6
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
    text += "; must: 440 on two cores\n"
    return text + (
        f"two engines on two cores, without sockets and load, carry {gain():.2f} x what one does; must: 1.7. The rows "
        "above share the two cores with load generator, broker and subscriber"
    )


if __name__ == "__main__":
    print(run())
