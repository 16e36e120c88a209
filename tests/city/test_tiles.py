"""Vehicle states by tile: every position within an intersection is in one of its tiles, and a state under another tile
than its own is refused."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
from city_gateways import INTERSECTIONS, Fleet, write_node_folder
from deadlines import Guard, when
from hypothesis import given
from hypothesis import strategies as st
from late_messages import unless_late
from mqtt_client import MqttClient

from bench.scene import Scene
from cloudctl.client import Vehicle
from cloudctl.clock import WallClock
from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.node import config, live
from cloudctl.schema import Reject
from cloudctl.tiles import is_in_tile, tile_of, tiles_of
from cloudctl.topics import MqttTopics

SHARE = st.floats(0.0, 1.0)


@given(place=st.sampled_from(INTERSECTIONS), across=SHARE, along=SHARE)
def test_every_position_within_an_intersection_is_in_one_of_its_tiles(place, across: float, along: float) -> None:
    west, south, east, north = place.bounds
    lat, lon = place.origin.to_geodetic(
        np.array([west + across * (east - west)]), np.array([south + along * (north - south)])
    )
    assert tile_of(float(lat[0]), float(lon[0])) in tiles_of(place)


@given(st.floats(), st.floats())
def test_any_position_has_a_tile_or_none(lat: float, lon: float) -> None:
    tile = tile_of(lat, lon)
    state = msgspec.json.encode({"lat": lat, "lon": lon})
    if tile is not None:
        assert is_in_tile(tile, state)
        assert not is_in_tile("N50J1", state)


@given(st.binary(max_size=80))
def test_what_is_no_state_is_left_to_the_engine_to_refuse(body: bytes) -> None:
    assert is_in_tile("N50J1", body) in (True, False)


def forge(port: int, topic: str, payload: bytes) -> None:
    with MqttClient(port) as client:
        client.publish(topic, payload)


def test_a_vehicle_is_served_by_the_tile_of_its_position_and_refused_under_another(
    tmp_path: Path, mqtt: broker.Broker
) -> None:
    async def run() -> None:
        file = write_node_folder(tmp_path, free_port(), mqtt.port, Fleet())
        node = live.Node(config.load(file), file=file)
        running = asyncio.create_task(node.run())
        scene, rejects = Scene(INTERSECTIONS[0], 1), list[Reject]()
        count = node.metrics.counted

        async with Vehicle("car", port=mqtt.port, version=mqtt.version, tiles=True, on_reject=rejects.append) as car:
            await when(car.connected.is_set)
            await when(node.egress.connected.is_set)
            guard, reported = Guard(), 0
            while not count("accept.state", ""):
                assert not guard.is_over(), "no state was accepted"
                state = msgspec.structs.replace(scene.state(0), t=WallClock().now())
                reported += await car.report(state)
                await asyncio.sleep(0.1)
            assert unless_late(rejects) == []

            away = msgspec.structs.replace(state, lat=state.lat + 1.0, t=WallClock().now())
            tile = tile_of(state.lat, state.lon)
            assert tile is not None
            await asyncio.to_thread(forge, mqtt.port, MqttTopics.tile_state(tile, "car"), msgspec.json.encode(away))
            await when(lambda: count("reject.tile", "car") == 1)
            await when(lambda: [reject.field for reject in unless_late(rejects)] == ["tile"])
            assert count("accept.state", "") <= reported
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
