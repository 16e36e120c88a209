"""RSM of YD/T 3709: what its fields say is what is sent, at the edges of their ranges and minutes too."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod
from standard_objects import MINUTE_MS, MS, REFERENCE, T, participant, rsm, times

from cloudctl.codes.findings import CodeError
from cloudctl.perception.objects import PerceptionFrame
from cloudctl.perception.reading import Standard, read_perception
from cloudctl.schema import ObjectClass

EARTH = Geod(ellps="WGS84")
OFFSETS = {"position-LL1": 12, "position-LL2": 14, "position-LL3": 16, "position-LL4": 18, "position-LL5": 22}


def read(*messages: dict[str, Any] | bytes, received: int = T) -> PerceptionFrame:
    return read_perception(Standard.RSM, messages, received)


def one(received: int = T, **fields: Any) -> dict[str, Any]:
    frame = read(rsm([participant(**fields)]), received=received)
    assert frame.columns is not None
    return {name: values[0] for name, values in frame.columns.items()} | {"t": frame.t, "refused": frame.refused}


@given(
    data=st.data(),
    form=st.sampled_from([*OFFSETS, "position-LatLon"]),
    speed=st.integers(0, 8190),
    heading=st.integers(0, 28_799),
    size=st.tuples(st.integers(1, 4095), st.integers(1, 1023), st.integers(1, 127)),
)
def test_a_participant_is_what_its_fields_say(data, form, speed, heading, size):
    limit = 1 << (OFFSETS.get(form, 18) - 1)
    limit = min(limit, 150_000)  # 1.7 km
    lon, lat = (data.draw(st.integers(-limit, limit - 1)) for _ in range(2))
    absolute = {"lon": 1_165_080_000 + lon, "lat": 397_955_000 + lat}
    seen = one(
        pos={"offsetLL": {form: absolute if form == "position-LatLon" else {"lon": lon, "lat": lat}}},
        speed=speed,
        heading=heading,
        size={"length": size[0], "width": size[1], "height": size[2]},
    )
    azimuth, _, distance = EARTH.inv(
        REFERENCE["lon"], REFERENCE["lat"], REFERENCE["lon"] + lon * 1e-7, REFERENCE["lat"] + lat * 1e-7
    )
    assert seen["x"] == pytest.approx(distance * math.sin(math.radians(azimuth)), abs=0.02)
    assert seen["y"] == pytest.approx(distance * math.cos(math.radians(azimuth)), abs=0.02)
    course = math.radians(heading * 0.0125)  # clockwise from north
    assert seen["vx"] == pytest.approx(speed * 0.02 * math.sin(course), abs=1e-6)
    assert seen["vy"] == pytest.approx(speed * 0.02 * math.cos(course), abs=1e-6)
    assert (math.cos(seen["heading"]), math.sin(seen["heading"])) == pytest.approx((math.sin(course), math.cos(course)))
    assert (seen["length"] * 100, seen["width"] * 100, seen["height"] * 20) == pytest.approx(size)
    assert seen["refused"] == ()


@pytest.mark.parametrize(
    ("heading", "expected"), [(0, math.pi / 2), (7200, 0.0), (14_400, -math.pi / 2), (28_799, math.pi / 2)]
)
def test_north_east_and_south_are_where_they_are(heading, expected):
    assert one(heading=heading)["heading"] == pytest.approx(expected, abs=3e-4)


@given(received=times, delay=st.integers(-29_000, 29_000))
def test_a_sec_mark_is_the_nearest_time_of_its_name_in_any_minute(received, delay):
    measured = received - delay
    assert one(received=received * MS, sec_mark=measured % MINUTE_MS)["t"] == measured * MS


@given(minute=st.integers(25_000_000, 36_000_000), age=st.integers(0, 900))
def test_a_message_just_after_a_full_minute_holds_objects_of_the_minute_before(minute, age):
    received = minute * MINUTE_MS + 50
    marks = ((received - age) % MINUTE_MS, received % MINUTE_MS)
    frame = read(rsm([participant(number, sec_mark=mark) for number, mark in enumerate(marks)]), received=received * MS)
    assert frame.t == received * MS
    assert frame.lost == 0


def test_what_is_not_available_is_not_measured():
    seen = one(size={"width": 0, "length": 0, "height": 0}, speed=8191, heading=28_800)
    assert all(np.isnan(seen[name]) for name in ("vx", "vy", "heading", "length", "width", "height", "var_x"))
    assert seen["refused"] == ()


@pytest.mark.parametrize("sec_mark", [65_535, 61_000, 65_534, 65_536, -1, None])
def test_a_participant_without_a_time_is_refused_and_the_others_are_kept(sec_mark):
    frame = read(rsm([participant(1), participant(2, sec_mark=sec_mark)]))
    assert frame.columns["id"].tolist() == [1]
    (finding,) = frame.refused
    assert finding.field == "secMark"


def test_the_second_of_a_leap_is_a_time():
    assert one(received=T, sec_mark=60_123)["t"] == T - 20_000 * MS  # the minute before, drawn out by a second


@pytest.mark.parametrize(
    ("confidence", "half_width"), [("a500m", 500.0), ("a1m", 1.0), ("a20cm", 0.2), (15, 0.01), ("11", 0.2)]
)
def test_a_position_confidence_is_a_half_width_of_95_percent(confidence, half_width):
    seen = one(posConfidence={"pos": confidence})
    assert seen["var_x"] == seen["var_y"] == pytest.approx((half_width / 1.96) ** 2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ptcType": "motor"}, ObjectClass.CAR),
        ({"ptcType": 2}, ObjectClass.BICYCLE),
        ({"ptcType": {"pedestrian": None}}, ObjectClass.PEDESTRIAN),
        ({"ptcType": "unknown"}, ObjectClass.UNKNOWN),
        ({"vehicleClass": {"classification": 25}}, ObjectClass.TRUCK),
        ({"vehicleClass": {"classification": 54}}, ObjectClass.BUS),
        ({"vehicleClass": {"classification": 43}}, ObjectClass.MOTORCYCLE),
        ({"vehicleClass": {"classification": 62}}, ObjectClass.CAR),
        ({"ptcType": "non-motor", "vehicleClass": {"classification": 0}}, ObjectClass.BICYCLE),
    ],
)
def test_the_class_is_kept(fields, expected):
    assert one(**fields)["class"] == expected


def test_the_roadside_unit_itself_is_no_object():
    frame = read(rsm([participant(0, ptcType="rsu"), participant(5)]))
    assert frame.columns["id"].tolist() == [5]
    assert len(read(rsm([participant(0, ptcType="rsu")])).columns["x"]) == 0


def test_several_messages_are_one_frame_where_a_message_holds_no_more_than_16():
    messages = [rsm([participant(16 * part + k) for k in range(16)]) for part in range(3)]
    assert read(*messages).columns["id"].tolist() == list(range(48))


def test_numbers_as_text_and_lists_under_a_name_are_read_as_converters_write_them():
    message = rsm([participant(1)])
    message["participants"] = {"ParticipantData": {**participant(4), "ptcId": "4", "speed": "500", "heading": "7200"}}
    frame = read({"rsmFrame": message})
    assert frame.columns["id"].tolist() == [4]
    assert frame.columns["vx"].tolist() == pytest.approx([10.0])


@pytest.mark.parametrize(
    "pos",
    [
        None,
        {},
        {"offsetLL": {"position-LL1": {"lon": 2048, "lat": 0}}},
        {"offsetLL": {"position-LL1": {"lon": -2049, "lat": 0}}},
        {"offsetLL": {"position-LL9": {"lon": 1, "lat": 0}}},
        {"offsetLL": {"position-LatLon": {"lon": 1_800_000_001, "lat": 0}}},
        {"offsetLL": {"position-LL1": {"lon": 1}}},
    ],
)
def test_a_participant_without_a_place_is_refused_and_the_others_are_kept(pos):
    frame = read(rsm([participant(1), participant(2, pos=pos)]))
    assert frame.columns["id"].tolist() == [1]
    assert frame.lost == 1


@pytest.mark.parametrize(
    "message", [b"{", b"[]", b"{}", b'{"refPos": 5}', rsm("none"), rsm([participant(speed=1)]) | {"refPos": {"lat": 1}}]
)
def test_what_cannot_be_used_at_all_is_an_error_that_says_why(message):
    with pytest.raises(CodeError) as error:
        read(message)
    assert all(finding.field and finding.rule and finding.remedy for finding in error.value.findings)


def test_a_frame_whose_objects_are_all_refused_is_not_taken_for_an_empty_one():
    with pytest.raises(CodeError, match="secMark"):
        read(rsm([participant(sec_mark=65_535)]))
