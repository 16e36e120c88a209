"""The whole loop at 1,000 perception frames/s of 60 objects, beside the same sockets and broker with no work between.

Five intersections, three RSUs each, every frame planned and answered with an advisory. The floor is the node itself
with its step replaced: decode the frame, publish one ready advisory. Rounds are taken in turn; latency is from the
frame's own time in the producer to the advisory's arrival in a subscriber, each in a process of its own.
"""

import asyncio
import gc
import json
import multiprocessing
import socket
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from cloudctl.sim.common.terminal import table

from bench.scene import Scene, corridor, encode
from cloudctl import codes
from cloudctl.client.gateway import pack
from cloudctl.clock import MS, SECOND, WallClock, sleep_until
from cloudctl.engine import Output
from cloudctl.engine import encode as encode_advisory
from cloudctl.fusion import decode_batch
from cloudctl.io import broker
from cloudctl.io.private_files import write_private
from cloudctl.io.zeromq import Dealer, KeyPair, new_keys
from cloudctl.node import live
from cloudctl.node.config import BrokerSection, GatewaySection, NodeConfig, NodeSection, PlanSection
from cloudctl.schema import VERSION, Advisory, AdvisoryKind, Hello, Inputs, Perception, RawMessage
from cloudctl.topics import MqttTopics

RATE = 1000  # frames/s
OBJECTS = 60  # per frame
SECONDS = 6.0  # of a round
SETTLE = 2.0  # s at the start of a round that are not counted
ROUNDS = 3


class Floor(live.Node):
    """The node with no work in it: decode, and publish one ready advisory for each frame."""

    def step(self, batch: list[RawMessage]) -> Output:
        """Answer every frame at once, with an advisory that is always the same."""
        header = msgspec.msgpack.Decoder(Perception).decode
        for raw in batch:
            if raw.kind != "perception":
                continue

            frame = header(raw.body)
            decode_batch([bytes(frame.objects)])
            time_ns = self.clock.now()

            advisory = Advisory(
                id="floor",
                kind=AdvisoryKind.GLOSA,
                intersection="X",
                target="vehicle:car",
                severity=2,
                confidence=1.0,
                reason="group 1 turns green in 12 s, 0 ahead of you: pass in 14 s",
                t=time_ns,
                valid_until=time_ns + SECOND,
                inputs=Inputs(revision=1, signal_seq=1, tracks=(1,), t_sensor=frame.t, t_rx=time_ns),
                speed=8.0,
                distance=100.0,
            )

            self.egress.advise(advisory, encode_advisory(advisory))

        return Output()


def serve(pipe: Connection, config: NodeConfig, floor: bool) -> None:
    """Run one node until the pipe has a message."""

    async def main() -> None:
        node = (Floor if floor else live.Node)(config)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
        await node.run(stop, lambda: pipe.send(node.server.address))

    asyncio.run(main())


def leave_memory_alone() -> None:
    """Have no collection of garbage stop a process that measures: of 100,000 modules' objects it takes 50 ms."""
    gc.collect()
    gc.freeze()
    gc.disable()


def subscribe(pipe: Connection, port: int) -> None:
    """Collect (arrival, sensor time) of every advisory until the pipe has a message; answer with them, ns."""
    import paho.mqtt.client as paho

    clock = WallClock()
    arrivals: list[tuple[int, int]] = []
    newest: dict[str, int] = {}  # sensor time, by target
    decode = msgspec.json.Decoder(Advisory).decode

    def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        now = clock.now()
        advisory = decode(message.payload)
        t_sensor = advisory.inputs.t_sensor

        # a plan without a new frame answers none
        is_fresh = t_sensor > newest.get(advisory.target, 0) or advisory.id == "floor"
        if advisory.kind is AdvisoryKind.GLOSA and is_fresh:
            newest[advisory.target] = t_sensor
            arrivals.append((now, t_sensor))

    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe(MqttTopics.vehicle("+", "advisories"))
    client.on_subscribe = lambda *_: pipe.send("ready")
    client.connect("127.0.0.1", port)
    sock = client.socket()
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    leave_memory_alone()
    client.loop_start()
    pipe.recv()
    client.loop_stop()
    pipe.send(arrivals)


def produce(address: str, port: int, keys: KeyPair, node_key: str) -> None:
    """Send frames at RATE for a while: three RSUs at each intersection; signals at 10 Hz; the connected vehicles at 2
    Hz."""
    import paho.mqtt.client as paho

    scenes = [Scene(code, OBJECTS, seed) for seed, code in enumerate(corridor())]
    blocks = [[encode(pack(scene.columns(step * 50 * MS))) for step in range(200)] for scene in scenes]
    vehicles = paho.Client(paho.CallbackAPIVersion.VERSION2)
    vehicles.connect("127.0.0.1", port)
    vehicles.loop_start()
    dealer = Dealer(connect=address, keys=keys, node_key=node_key)

    dealer.send(
        b"H",
        encode(
            Hello(
                version=VERSION,
                gateway="g",
                rsus=tuple(f"r{scene_index}-{step}" for scene_index in range(len(scenes)) for step in range(3)),
            )
        ),
    )

    leave_memory_alone()
    clock = WallClock()
    begin = clock.now()

    for index in range(int(SECONDS * RATE)):
        sleep_until(begin + index * SECOND // RATE)
        scene_index, step = index % len(scenes), index // len(scenes) % 3
        scene, time_ns = scenes[scene_index], clock.now()
        moved = (time_ns - begin) // (50 * MS) % 200

        body = Perception(
            version=VERSION,
            rsu=f"r{scene_index}-{step}",
            sensor="fused",
            seq=index,
            t=time_ns,
            lat=scene.lat,
            lon=scene.lon,
            objects=msgspec.Raw(blocks[scene_index][moved]),
        )

        dealer.send(b"P", encode(body))
        if index % 100 < len(scenes):
            dealer.send(b"S", scenes[index % 100].signal(f"r{index % 100}-0", index, time_ns))

        if index % 500 < len(scenes):
            state = scenes[index % 500].state(moved * 50 * MS)
            state = msgspec.structs.replace(state, t=time_ns)
            vehicles.publish(MqttTopics.vehicle(f"car-{index % 500}", "state"), msgspec.json.encode(state))

    vehicles.loop_stop()
    dealer.close()


def once(folder: Path, floor: bool, running: broker.Broker) -> np.ndarray:
    """Return the latencies of one round, us."""
    spawn = multiprocessing.get_context("spawn")
    codes_made, node, gateway = corridor(), new_keys(), new_keys()
    for index, code in enumerate(codes_made):
        (folder / f"{index}.json").write_bytes(codes.dump(code.code))
    rsus = {f"r{place}-{index}": code.code.id for place, code in enumerate(codes_made) for index in range(3)}
    write_private(folder / "node.key", f'public = "{node.public}"\nsecret = "{node.secret}"\n'.encode())

    config = NodeConfig(
        node=NodeSection(
            bind="tcp://127.0.0.1:*",
            key=str(folder / "node.key"),
            codes=(str(folder / "*.json"),),
            status=str(folder / "status.json"),
        ),
        broker=BrokerSection(port=running.port, version=running.version),
        plan=PlanSection(period_ms=0, refresh=0.0),
        gateway=(GatewaySection("g", rsus, gateway.public),),
    )

    parent_end, child_end = spawn.Pipe()
    server = spawn.Process(target=serve, args=(child_end, config, floor))
    server.start()
    # So that a node that fails to start ends `recv` with EOFError
    child_end.close()
    address = parent_end.recv()
    listen, listened = spawn.Pipe()
    subscriber = spawn.Process(target=subscribe, args=(listened, running.port))
    subscriber.start()
    listened.close()
    listen.recv()
    producer = spawn.Process(target=produce, args=(address, running.port, gateway, node.public))
    producer.start()
    producer.join()
    listen.send("stop")
    arrival, t_sensor = np.array(listen.recv(), np.int64).reshape(-1, 2).T
    parent_end.send("stop")
    for process in (subscriber, server):
        process.join()
    counted = t_sensor > t_sensor[0] + SETTLE * SECOND
    return (arrival[counted] - t_sensor[counted]) / 1000


def run() -> str:
    """Return the table: from a frame's stamp to the advisory at the vehicle, beside the floor of the sockets."""
    rows: dict[str, list[list[float]]] = {"floor": [], "loop": []}
    with tempfile.TemporaryDirectory() as scratch:
        running = broker.start(Path(scratch) / "broker")
        broker_name = running.name

        try:
            for number in range(ROUNDS):
                for kind in rows:
                    folder = Path(scratch) / f"{kind}{number}"
                    folder.mkdir()
                    us = once(folder, kind == "floor", running)
                    rate = len(us) / (SECONDS - SETTLE)
                    rows[kind].append([float(np.quantile(us, 0.5)), float(np.quantile(us, 0.99)), rate])
                    status = json.loads((folder / "status.json").read_text())["counters"]
                    drops = {
                        name: count
                        for name, count in status.items()
                        if name.startswith(("drop", "reject")) and name != "drop.reply.broadcast"
                    }
                    if drops:
                        print(f"   {kind} round {number}: {drops}", flush=True)
        finally:
            running.stop()

    medians = {kind: [median(column) for column in zip(*rounds, strict=True)] for kind, rounds in rows.items()}
    floor_p50, floor_p99, _ = medians["floor"]
    body = [[kind, p50, p99, rate, p50 / floor_p50, p99 / floor_p99] for kind, (p50, p99, rate) in medians.items()]

    head = [
        f"{RATE} frames/s x {OBJECTS}, {broker_name}",
        "p50 us",
        "p99 us",
        "advisories/s",
        "p50 x floor",
        "p99 x floor",
    ]

    return table(head, body) + f"\nmedians of {ROUNDS} rounds; must: p50 <= 2.5 x, p99 <= 3 x"
