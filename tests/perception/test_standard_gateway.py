"""A gateway that speaks each standard to a node over a real socket with CURVE: objects become tracks."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from deadlines import Guard
from late_messages import unless_late
from node_process import NodeProcess
from standard_objects import MINUTE_MS, MS, cpm, cpm_object, detected, participant, rsm, sdsm

from cloudctl.client import Gateway
from cloudctl.clock import SECOND, WallClock, sleep_until
from cloudctl.codes import CompiledCode
from cloudctl.codes.findings import CodeError
from cloudctl.geo import Origin
from cloudctl.io.recording.reader import Recording
from cloudctl.replay import engine_of
from cloudctl.schema import ObjectClass, Reject

SPEED = 10.0  # m/s, due west
START = 60.0  # m east of the reference
NORTH = 8.2  # m
FRAMES = 20
REFERENCE = Origin(39.7955, 116.508)


def east_at(t: int, begin: int) -> float:
    return START - SPEED * (t - begin) / SECOND


def as_cpm(t: int, east: float) -> dict[str, Any]:
    velocity = {
        "xVelocity": {"value": round(-SPEED * 100), "confidence": 20},
        "yVelocity": {"value": 0, "confidence": 20},
    }
    return cpm(
        t + 40 * MS,  # the message is made 40 ms after the measurement
        [
            cpm_object(
                17,
                delta=-40,
                position={
                    "xCoordinate": {"value": round(east * 100), "confidence": 40},
                    "yCoordinate": {"value": round(NORTH * 100), "confidence": 40},
                },
                velocity={"cartesianVelocity": velocity},
                angles={"zAngle": {"value": 1800, "confidence": 10}},
                objectDimensionX={"value": 45, "confidence": 1},
                objectDimensionY={"value": 18, "confidence": 1},
                classification=[{"objectClass": {"vehicleSubClass": 5}, "confidence": 95}],
            )
        ],
    )


def as_rsm(t: int, east: float) -> dict[str, Any]:
    lat, lon = REFERENCE.to_geodetic(east, NORTH)
    offset = {"lon": round((float(lon) - REFERENCE.lon) * 1e7), "lat": round((float(lat) - REFERENCE.lat) * 1e7)}
    return rsm(
        [
            participant(0, ptcType="rsu"),
            participant(
                17,
                sec_mark=t // MS % MINUTE_MS,
                pos={"offsetLL": {"position-LL4": offset}},
                posConfidence={"pos": "a50cm"},
                speed=round(SPEED / 0.02),
                heading=21_600,
            ),
        ]
    )


def as_sdsm(t: int, east: float) -> dict[str, Any]:
    return sdsm(
        t + 40 * MS,
        [
            detected(
                17,
                first=round(NORTH * 10),
                second=round(east * 10),
                offset=-40,
                posConfidence={"pos": "a50cm"},
                speed=round(SPEED / 0.02),
                heading=21_600,
                detObjOptData={"detVeh": {"size": {"width": 180, "length": 450}, "vehicleClass": 10}},
            )
        ],
    )


def tracks_of(path: Path) -> np.ndarray:
    """Return the tracks that the recorded run ended with."""
    recording = Recording(path)
    engine = engine_of(recording)
    for step in recording.steps():
        engine.step(step.t, step.batch)
    (intersection,) = engine.intersections.values()
    assert intersection.latest is not None
    return intersection.latest.tracks


@pytest.mark.parametrize(
    ("rsu", "method", "write"), [("rsu-1", "cpm", as_cpm), ("rsu-2", "rsm", as_rsm), ("rsu-1", "sdsm", as_sdsm)]
)
def test_objects_of_a_standard_become_a_track_where_they_are(
    tmp_path: Path, code: CompiledCode, rsu: str, method: str, write: Callable[[int, float], dict[str, Any]]
) -> None:
    clock = WallClock()
    with NodeProcess(tmp_path, code, record="run.mcap") as node, node.gateway() as gateway:
        begin, guard = clock.now(), Guard()
        while node.count("accept.perception", rsu) < FRAMES:
            t = clock.now() // MS * MS
            assert not guard.is_over(), "the node did not take the frames"
            sent = getattr(gateway, method)(rsu, "sensor", msgspec.json.encode(write(t, east_at(t, begin))))
            assert sent == 1
            gateway.poll(0)
            sleep_until(clock.now() + 100 * MS)
        assert unless_late(node.rejects) == []
        assert (gateway.refused_objects, gateway.refused_messages) == (0, 0)

    (track,) = tracks_of(tmp_path / "run.mcap")
    at = code.origin.to_local(*REFERENCE.to_geodetic(east_at(int(track["t"]), begin), NORTH))
    assert math.hypot(track["x"] - at[0], track["y"] - at[1]) < 1.5
    assert (track["vx"], track["vy"]) == pytest.approx((-SPEED, 0.0), abs=0.5)
    assert track["class"] == ObjectClass.CAR


def test_what_is_wrong_is_counted_and_reported_once_and_the_rest_is_sent() -> None:
    rejects: list[Reject] = []
    with Gateway("tcp://127.0.0.1:9", ["r"], on_reject=rejects.append) as gateway:
        now = WallClock().now() // MS * MS
        message = msgspec.json.encode(cpm(now, [cpm_object(1), cpm_object(2, delta=5000), cpm_object(3, objectId=-1)]))
        assert [gateway.cpm("r", "s", message) for _ in range(4)] == [1] * 4
        assert gateway.refused_objects == 8
        assert [reject.kind for reject in rejects] == ["perception", "perception"]
        assert "perceivedObjects[1] (object 2): measurementDeltaTime" in str(rejects[0])
        assert rejects[0].value == "5000"

        with pytest.raises(CodeError, match="refPos"):
            gateway.rsm("r", "s", b"{}")
        with pytest.raises(CodeError, match=r"ASN\.1 modules"):
            gateway.sdsm("r", "s", b"\x00\x29\x05abcde")
        assert gateway.refused_messages == 2


def test_a_message_that_says_nothing_of_objects_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Gateway("tcp://127.0.0.1:9", ["r"]) as gateway:
        message = cpm(WallClock().now(), [])
        message["payload"]["cpmContainers"] = []
        assert gateway.cpm("r", "s", message) == 0
        assert gateway.dropped == gateway.sent == 0
