"""A city on paper: what so many intersections, roadside units and vehicles need, from unit costs.

Every unit cost stands here once, with the command that measures it and whether it was measured or is an estimate.
Measure them on the machines that are to be bought, and put them in place of these. Costs are linear in what they are
of: intersections share nothing.
"""

from math import ceil
from typing import NamedTuple

MICRO = 1e-6
KIB, MIB, GIB = 1024, 1024**2, 1024**3
DAY = 86_400  # s


class UnitCost(NamedTuple):
    """One cost: its value, the unit, the command that measures it, and whether the value is such a measurement."""

    value: float
    unit: str
    command: str
    is_measured: bool = False


ENGINE = "make bench BENCH=engine"
CITY = "make bench BENCH=city"

# On an AMD EPYC of two shared cores. What is not measured is an estimate, on the high side.
COSTS: dict[str, UnitCost] = {
    "engine, a frame": UnitCost(60.0, "CPU us, of 30 objects, its share of a plan included", ENGINE, is_measured=True),
    "engine, a connected vehicle": UnitCost(270.0, "CPU us per second, reporting at 1 Hz", ENGINE, is_measured=True),
    "sockets, a frame": UnitCost(110.0, "CPU us, with CURVE, beyond the engine", CITY),
    "recording, a frame": UnitCost(6.0, "CPU us", "make bench BENCH=replay"),
    "broker, a message": UnitCost(17.0, "CPU us, in and out, with the ACL", CITY),
    "memory, an intersection": UnitCost(310.0, "KiB", ENGINE, is_measured=True),
    "memory, a vehicle": UnitCost(30.0, "KiB, of which its TLS connection at the broker is nearly all", CITY),
    "memory, a process": UnitCost(260.0, "MiB, before the first intersection", ENGINE),
    "frame, beyond its objects": UnitCost(150.0, "bytes on the network", CITY),
    "object": UnitCost(57.0, "bytes in a block, docs/wire.md", "make bench BENCH=decode"),
    "recorded frame": UnitCost(0.75, "of its bytes, compressed (lz4)", "make bench BENCH=replay"),
    "broker": UnitCost(30_000.0, "messages a second that one mosquitto has passed on without a loss", CITY),
    "worker": UnitCost(0.7, "of a core that a worker may use, so that p99 stays below 100 ms", CITY),
}


class Demand(NamedTuple):
    """A city. Roadside units are of one intersection."""

    intersections: int
    rsus: int = 3
    vehicles: int = 0  # connected at once
    hz: float = 10.0  # of frames
    objects: int = 30  # of a frame
    report_hz: float = 1.0  # of a vehicle
    keep_days: float = 0.0  # of recordings; 0: nothing is recorded


class Machine(NamedTuple):
    """What is bought."""

    cores: int = 16
    memory: float = 64.0  # GiB


class Capacity(NamedTuple):
    """What a city needs. Cores are of CPU seconds a second, memory GiB, network Gbit/s, disk TiB."""

    frames: float  # a second
    node_cores: float
    broker_cores: float
    workers: int
    brokers: int
    memory: float
    network: float
    disk: float
    machines: int  # with one to spare, so that any may fail
    etcd: int


def plan_capacity(demand: Demand, machine: Machine) -> Capacity:
    """Return what a city needs."""
    frames = demand.intersections * demand.rsus * demand.hz
    frame_us = _cost("engine, a frame") + _cost("sockets, a frame")
    if demand.keep_days:
        frame_us += _cost("recording, a frame")

    vehicle_us = _cost("engine, a connected vehicle") * demand.report_hz
    node_cores = (frames * frame_us + demand.vehicles * vehicle_us) * MICRO
    workers = max(ceil(node_cores / _cost("worker")), 1) if demand.intersections else 0

    # a state in, about as many advisories and signal states out
    messages = demand.vehicles * (2 * demand.report_hz) + demand.intersections * demand.hz
    broker_cores = messages * _cost("broker, a message") * MICRO
    brokers = max(ceil(messages / _cost("broker")), 1) if messages else 0

    memory = demand.intersections * _cost("memory, an intersection") * KIB
    memory += demand.vehicles * _cost("memory, a vehicle") * KIB + workers * _cost("memory, a process") * MIB
    frame_bytes = demand.objects * _cost("object") + _cost("frame, beyond its objects")
    disk = frames * frame_bytes * _cost("recorded frame") * DAY * demand.keep_days
    by_cores = (workers + broker_cores / _cost("worker")) / machine.cores
    by_memory = memory / (machine.memory * GIB)

    return Capacity(
        frames=frames,
        node_cores=node_cores,
        broker_cores=broker_cores,
        workers=workers,
        brokers=brokers,
        memory=memory / GIB,
        network=frames * frame_bytes * 8 / 1e9,
        disk=disk / 1024**4,
        machines=ceil(max(by_cores, by_memory)) + 1 if demand.intersections else 0,
        etcd=3 if workers > machine.cores else 0,
    )


def _cost(name: str) -> float:
    return COSTS[name].value
