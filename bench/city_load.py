"""The load of a city: its gateways and vehicles in one process that costs little, so that it is not what is measured.

Gateways introduce themselves as every gateway does, and learn from the nodes where each unit's messages go. Everything
after that was packed beforehand: of a message only its number and its time are written, and what is due in one slice of
time is sent in one burst.
"""

import gc
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from struct import Struct
from typing import NamedTuple

import msgspec

from bench.city_scene import BEGIN, FRAME_PERIOD, MAX_SHIFT, PHASE, RSUS, City
from bench.node_under_test import wait_for
from bench.plain_mqtt import PlainMqtt, publish_packet
from bench.scene import encode
from cloudctl.client import Gateway
from cloudctl.client.link import Link
from cloudctl.clock import MS, SECOND, WallClock, sleep_until
from cloudctl.codes.citycode import make, parse_code
from cloudctl.codes.grid import grid_encode
from cloudctl.io.zeromq import KeyPair
from cloudctl.schema import VERSION, Perception, Signal
from cloudctl.tiles import tile_of
from cloudctl.topics import TOPICS, MqttTopics

INTERSECTIONS_OF_A_GATEWAY = 40
SETTLE = 4.0  # s after the first frame that are not measured
SLICE = 10 * MS  # the senders of a period are spread over slices of this length
RAMP = 2.0  # s in which one intersection after the other begins: a city does not begin in one moment
RUN = 6.0  # s of traffic that is repeated
REPORTS_EVERY = SECOND // FRAME_PERIOD  # frames between two reports of a vehicle
SEQ, TIME, PLACE = 2**40 + 1, 2**60 + 1, 2**50 + 1  # that stand for what is written when a message is sent
NUMBER = Struct(">Q")  # as MessagePack writes such a number, after its first byte
PERCEPTION, SIGNAL = TOPICS["perception"].code, TOPICS["signal"].code
Write = Callable[[bytes, bytes], bool]


class Load(NamedTuple):
    """What a load generator needs."""

    size: int
    address: str
    mqtt: int
    node_key: str
    keys: tuple[KeyPair, ...]
    seconds: float


class LiveCity(City):
    """The made-up city, with its messages packed; each city code is of its own place."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for index, code in enumerate(self.codes):
            parts = parse_code(code.id)
            name = make(parts.adm, parts.kind, grid_encode(code.ref_lat_e7, code.ref_lon_e7), index + 1)
            self.codes[index] = msgspec.structs.replace(code, id=name)

    def frame_index(self, number: int, frame: int) -> int:
        """Return which of the frames made beforehand an intersection's units send in a period."""
        return (frame + number // len(self._scenes) * 7 % MAX_SHIFT) % len(self._blocks[0][0])

    def block(self, number: int, unit: int, frame: int) -> bytes:
        """Return the objects that a unit sees in a period."""
        return self._blocks[number % len(self._scenes)][unit][self.frame_index(number, frame)]

    def perception_parts(self, number: int, unit: int) -> tuple[bytes, bytes, bytes, bytes]:
        """Return a unit's frame without its number, its time and its objects: what stands before and after each."""
        code = self.codes[number]
        lat, lon = code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7
        objects = msgspec.Raw(encode(PLACE))
        data = encode(Perception(VERSION, f"r{number}-{unit}", "fused", SEQ, TIME, lat, lon, objects))
        before, between, rest = split(data)
        after_time, after_objects = rest.split(encode(PLACE))
        return before, between, after_time, after_objects

    def signal_parts(self, number: int, t: int) -> tuple[bytes, bytes, bytes]:
        """Return an intersection's signal message at `t` ns without its number and its time."""
        code, groups = self.codes[number], self._groups(number % len(self._scenes), t)
        return split(encode(Signal(VERSION, f"r{number}-0", code.id, code.revision, SEQ, TIME, groups)))

    def reports(self, number: int, frame: int) -> Iterator[tuple[str, bytes, bytes]]:
        """Yield the vehicles' reports of one of the frames made beforehand: its topic, and its payload before and after
        the time."""
        kind = number % len(self._scenes)
        for vehicle in range(self.connected):
            if (frame + vehicle + number) % REPORTS_EVERY:
                continue
            state = self._state(TIME, self.codes[number], kind, self.frame_index(number, frame), vehicle)
            name, tile = f"v{number}-{vehicle}", tile_of(state.lat, state.lon)
            topic = MqttTopics.tile_state(tile, name) if tile else MqttTopics.vehicle(name, "state")
            before, after = msgspec.json.encode(state).split(str(TIME).encode())
            yield topic, before, after


def split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the parts of a message around its number and its time."""
    before, rest = data.split(NUMBER.pack(SEQ))
    between, after = rest.split(NUMBER.pack(TIME))
    return before, between, after


def gateway_numbers(size: int) -> list[range]:
    """Return the intersections of each gateway."""
    step = INTERSECTIONS_OF_A_GATEWAY
    return [range(first, min(first + step, size)) for first in range(0, size, step)]


class Generator:
    """Sends the messages of each slice of time. `dropped` counts those that a connection did not take."""

    def __init__(self, load: Load) -> None:
        self.city = LiveCity(size=load.size, seconds=RUN)
        self.refused: list[str] = []
        self.dropped = 0
        self.gateways = [self._gateway(load, index) for index in range(len(gateway_numbers(load.size)))]
        self._vehicles = PlainMqtt(load.mqtt, "load")
        self._slices = FRAME_PERIOD // SLICE
        senders = [(number, unit) for number in range(load.size) for unit in range(RSUS)]
        self._senders = [senders[first :: self._slices] for first in range(self._slices)]
        self._frames = {sender: self.city.perception_parts(*sender) for sender in senders}
        self._reports = [
            [list(self.city.reports(number, frame)) for frame in range(int(RUN * SECOND) // FRAME_PERIOD)]
            for number in range(load.size)
        ]
        self._signals: dict[int, tuple[bytes, bytes, bytes]] = {}
        self._phase = -1
        self._writers: dict[tuple[int, int], Write] = {}

    def connect(self) -> None:
        """Wait until every unit's gateway is connected to the node that serves it."""

        def is_connected() -> bool:
            for gateway in self.gateways:
                gateway.poll()
            return all(gateway.state == "connected" for gateway in self.gateways)

        wait_for(is_connected, 60)
        settled = WallClock().now() + 2 * SECOND  # nodes answer a hello with the owners of its units
        wait_for(lambda: is_connected() and WallClock().now() > settled, 60)
        for number, unit in self._frames:
            route = self.gateways[number // INTERSECTIONS_OF_A_GATEWAY]._routes.routes[f"r{number}-{unit}"]
            self._writers[number, unit] = _writer(route.link)

    def send(self, step: int, t: int) -> None:
        """Send what is due in a slice, the `step`-th, at `t` ns."""
        frame, part = divmod(step, self._slices)
        self._renew_signals(t)
        seq, now = NUMBER.pack(frame), NUMBER.pack(t)
        states, time_text = bytearray(), str(t).encode()
        block, active = self.city.block, self.city.size * min(step * SLICE / (RAMP * SECOND), 1.0)
        for sender in self._senders[part]:
            number, unit = sender
            if number >= active:
                continue
            write = self._writers[sender]
            before, between, after, end = self._frames[sender]
            objects = block(number, unit, frame)
            self.dropped += not write(PERCEPTION, before + seq + between + now + after + objects + end)
            if unit:
                continue
            before, between, after = self._signals[number]
            self.dropped += not write(SIGNAL, before + seq + between + now + after)
            reports = self._reports[number]
            for topic, head, tail in reports[frame % len(reports)]:
                states += publish_packet(topic, head + time_text + tail)
        if states:
            self._vehicles.send(bytes(states))
        for gateway in self.gateways[part :: self._slices]:
            gateway.poll()

    def close(self) -> None:
        self._vehicles.close()
        for gateway in self.gateways:
            gateway.close()

    def _gateway(self, load: Load, index: int) -> Gateway:
        numbers = gateway_numbers(load.size)[index]
        return Gateway(
            load.address,
            [f"r{number}-{unit}" for number in numbers for unit in range(RSUS)],
            name=f"g{index}",
            key=load.keys[index],
            node_key=load.node_key,
            on_reject=lambda reject: self.refused.append(str(reject)),
        )

    def _renew_signals(self, t: int) -> None:
        """Pack the signals anew where they show something else."""
        phase = (t - BEGIN) // PHASE
        if phase != self._phase:
            self._phase = phase
            self._signals = {number: self.city.signal_parts(number, t) for number in range(self.city.size)}


def produce(pipe: Connection, load: Load) -> None:
    """Send the whole city's messages on time; answer with the greatest lag (ns) and what was dropped or refused."""
    generator = Generator(load)
    generator.connect()
    gc.collect()
    gc.freeze()
    pipe.send("connected")
    pipe.recv()

    clock = WallClock()
    begin, lag, dropped = clock.now(), 0, 0
    for step in range(int((SETTLE + load.seconds) * SECOND) // SLICE):
        due = begin + step * SLICE
        sleep_until(due)
        now = clock.now()
        if step * SLICE > SETTLE * SECOND:
            lag = max(lag, now - due)
        else:
            dropped, generator.refused[:] = generator.dropped, []
        generator.send(step, now)
    pipe.send((lag, generator.dropped - dropped, generator.refused[:5]))
    pipe.recv()
    generator.close()


def _writer(link: Link) -> Write:
    """Return what sends a packed message over a gateway's connection."""
    return link._dealer.send
