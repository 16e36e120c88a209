"""What the benches of the live page look at: intersections on a grid that are driven in real time, and pages that read
or do not.
"""

import asyncio
import json
import socket
from multiprocessing.connection import Connection
from typing import Any

import aiohttp  # noqa: TID251
import msgspec
import numpy as np

from bench.scene import Scene, encode
from cloudctl import codes, maps
from cloudctl.client.gateway import pack
from cloudctl.clock import MS, SECOND, WallClock, cpu, stopwatch
from cloudctl.codes import CompiledCode, IntersectionCode, compile_code
from cloudctl.codes.canon import parse
from cloudctl.codes.citycode import make
from cloudctl.engine import Engine
from cloudctl.geo import Origin
from cloudctl.io.http import Web
from cloudctl.schema import VERSION, Perception, RawMessage
from cloudctl.settings import EngineConfig
from cloudctl.view.observer import Observer
from cloudctl.view.routes import View, ViewRoutes

TOKEN = "token-of-the-bench"
APART = 400.0  # m between two intersections of the grid
BLOCKS = 40  # of objects, made beforehand, that each intersection's frames are of


def grid(count: int) -> list[IntersectionCode]:
    """Return the shipped intersection so many times, side by side."""
    tree = json.loads(codes.dump(codes.load(maps.path("intersection.json"))))
    origin = Origin(tree["ref_lat_e7"] / 1e7, tree["ref_lon_e7"] / 1e7)
    wide = int(np.ceil(np.sqrt(count * 1.4)))
    codes_made = []

    for index in range(count):
        lat, lon = origin.to_geodetic(index % wide * APART, index // wide * APART)
        shift = round((float(lat) - origin.lat) * 1e7), round((float(lon) - origin.lon) * 1e7)
        copy = moved(tree, *shift)
        copy["id"] = make(f"{110105:06}", "IX", *tree["id"].split(".")[3:4], index + 1)
        copy["name"] = f"X{index}"
        codes_made.append(parse(json.dumps(copy).encode(), f"X{index}"))

    return codes_made


def moved(value: Any, lat: int, lon: int, key: str = "") -> Any:
    """Return a code's JSON with everything shifted by so many 1e-7 degrees."""
    if isinstance(value, dict):
        return {name: moved(inner, lat, lon, name) for name, inner in value.items()}
    if key in ("points", "axis", "polygon"):
        return [[point[0] + lat, point[1] + lon] for point in value]
    if isinstance(value, list):
        return [moved(inner, lat, lon) for inner in value]
    if key in ("lat_e7", "ref_lat_e7"):
        return value + lat

    return value + lon if key in ("lon_e7", "ref_lon_e7") else value


class Driven:
    """An engine of intersections with `objects` road users each, whose frames come in turn, `hz` times a second."""

    def __init__(self, count: int, objects: int, hz: float) -> None:
        self.codes = [compile_code(code) for code in grid(count)]
        self.engine = Engine(
            [code.code for code in self.codes],
            EngineConfig({"g": {f"r{index}": code.code.id for index, code in enumerate(self.codes)}}),
        )
        self.observer = Observer(self.engine)
        self.slot = int(SECOND / hz / count)  # ns
        self.scene = Scene(self.codes[0], objects)
        self.blocks = [encode(pack(self.scene.columns(index * 100 * MS))) for index in range(BLOCKS)]
        self.origins = [(code.origin.lat, code.origin.lon) for code in self.codes]
        self.n = 0

    def batch(self, time_ns: int) -> list[RawMessage]:
        """Return the next intersection's frame and signals, stamped `time_ns`."""
        scene_index, turn = self.n % len(self.codes), self.n // len(self.codes)
        self.n += 1
        lat, lon = self.origins[scene_index]
        position = turn % (2 * BLOCKS - 2)  # Forwards and back again, so that no track jumps
        block = self.blocks[position if position < BLOCKS else 2 * BLOCKS - 2 - position]

        body = Perception(
            version=VERSION,
            rsu=f"r{scene_index}",
            sensor="fused",
            seq=turn,
            t=time_ns,
            lat=lat,
            lon=lon,
            objects=msgspec.Raw(block),
        )

        return [
            RawMessage("perception", "g", encode(body)),
            RawMessage("signal", "g", signal(self.codes[scene_index], f"r{scene_index}", turn, time_ns)),
        ]

    def step(self, time_ns: int, batch: list[RawMessage]) -> None:
        """Step the engine, and show the pages what came of it."""
        self.observer.observe(time_ns, batch, self.engine.step(time_ns, batch))


def signal(code: CompiledCode, rsu: str, seq: int, t: int) -> bytes:
    """Return a signal message of a code, all its groups red."""
    return Scene.signal(_Signals(code), rsu, seq, t)  # type: ignore[arg-type]


class _Signals:
    """As much of a scene as its signals are made of."""

    def __init__(self, code: CompiledCode) -> None:
        self.code = code


def serve(pipe: Connection, count: int, objects: int, hz: float) -> None:
    """Drive intersections and serve their page until a message comes; answer "lap" with the latencies (us) since
    the last one, and the processor time (ns) that the process has used."""

    async def main() -> None:
        driven, clock = Driven(count, objects, hz), WallClock()
        view = View(driven.observer, TOKEN)

        web = Web(
            bind="127.0.0.1:0",
            versions=driven.engine.versions,
            clock=clock,
            more_routes=lambda server: ViewRoutes(server, view).routes(),
        )

        time_ns = clock.now()

        for index in range(40):
            # Compiles what is compiled at its first use
            driven.step(time_ns + index, driven.batch(time_ns + index))

        await web.start()
        pipe.send(web.address)
        late: list[float] = []
        due = clock.now()

        while True:
            due += driven.slot
            batch = driven.batch(due)
            remaining = (due - clock.now()) / SECOND
            await asyncio.sleep(max(remaining, 0))
            driven.step(due, batch)
            late.append((clock.now() - due) / 1000)

            if len(late) % 20 == 0 and pipe.poll(0):
                if pipe.recv() != "lap":
                    break
                pipe.send((late, cpu()))
                late = []
                due = max(due, clock.now())

        await web.stop()

    asyncio.run(main())


def look(pipe: Connection, address: str, count: int, intersections: int) -> None:
    """Be so many pages that read all they get, until a message comes; answer with the bytes they got."""

    async def one(client: aiohttp.ClientSession, counts: list[int]) -> None:
        async with client.ws_connect(
            f"{address}/view/socket", headers={"Authorization": f"Bearer {TOKEN}"}, max_msg_size=0
        ) as stream:
            await stream.send_str(json.dumps({"watch": list(range(intersections))}))
            async for message in stream:
                counts[0] += len(message.data)

    async def main() -> None:
        stop, counts = asyncio.Event(), [0]
        asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)

        async with aiohttp.ClientSession() as client:
            pages = [asyncio.create_task(one(client, counts)) for _ in range(count)]
            pipe.send("ready")
            begin = stopwatch()
            await stop.wait()
            pipe.recv()
            pipe.send(counts[0] / ((stopwatch() - begin) / SECOND))
            for page in pages:
                page.cancel()

    asyncio.run(main())


def deaf(address: str, intersections: int) -> socket.socket:
    """Return the connection of a page that asked for everything and never reads."""
    host, port = address.removeprefix("http://").split(":")
    stream = socket.create_connection((host, int(port)))
    stream.sendall(
        f"GET /view/socket HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection:"
        f" Upgrade\r\nSec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer"
        f" {TOKEN}\r\n\r\n".encode()
    )

    text = json.dumps({"watch": list(range(intersections)), "zone": True}).encode()
    head = bytes([0x81, 0x80 | len(text)]) if len(text) < 126 else bytes([0x81, 0xFE]) + len(text).to_bytes(2, "big")
    stream.sendall(head + bytes(4) + text)
    return stream
