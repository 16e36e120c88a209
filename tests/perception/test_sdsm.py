"""SDSM of SAE J3224: what its fields say is what is sent, at the edges of their ranges and days too."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standard_objects import MS, T, detected, sdsm, times

from cloudctl.codes.findings import CodeError
from cloudctl.perception.objects import PerceptionFrame
from cloudctl.perception.reading import Standard, read_perception
from cloudctl.perception.sdsm import SdsmAxes
from cloudctl.schema import ObjectClass


def read(*messages: dict[str, Any], received: int = T, axes: SdsmAxes = SdsmAxes.NORTH_EAST) -> PerceptionFrame:
    return read_perception(Standard.SDSM, messages, received, axes=axes)


def one(axes: SdsmAxes = SdsmAxes.NORTH_EAST, **fields: Any) -> dict[str, Any]:
    frame = read(sdsm(T, [detected(**fields)]), axes=axes)
    assert frame.columns is not None
    return {name: values[0] for name, values in frame.columns.items()} | {"t": frame.t, "refused": frame.refused}


@given(
    axes=st.sampled_from(SdsmAxes),
    first=st.integers(-32_767, 32_767),
    second=st.integers(-32_767, 32_767),
    offset=st.integers(-1500, 1500),
    speed=st.integers(0, 8190),
    heading=st.integers(0, 28_799),
    size=st.tuples(st.integers(1, 4095), st.integers(1, 1023), st.integers(1, 127)),
)
def test_an_object_is_what_its_fields_say(axes, first, second, offset, speed, heading, size):
    vehicle = {"size": {"length": size[0], "width": size[1]}, "height": size[2], "vehicleClass": 50}
    seen = one(
        axes,
        first=first,
        second=second,
        offset=offset,
        speed=speed,
        heading=heading,
        posConfidence={"pos": "a50cm"},
        detObjOptData={"detVeh": vehicle},
    )
    east, north = (first, second) if axes is SdsmAxes.EAST_NORTH else (second, first)
    assert seen["t"] == T + offset * MS
    assert (seen["x"] * 10, seen["y"] * 10) == pytest.approx((east, north))
    course = math.radians(heading * 0.0125)
    assert seen["vx"] == pytest.approx(speed * 0.02 * math.sin(course), abs=1e-6)
    assert seen["vy"] == pytest.approx(speed * 0.02 * math.cos(course), abs=1e-6)
    assert (seen["length"] * 100, seen["width"] * 100, seen["height"] * 20) == pytest.approx(size)
    assert seen["var_x"] == pytest.approx((0.5 / 1.96) ** 2)
    assert seen["class"] == ObjectClass.BUS
    assert seen["refused"] == ()


DATE = ("year", "month", "day", "hour", "minute")


@given(received=times, delay=st.integers(-29_000, 29_000), absent=st.integers(0, len(DATE)))
def test_what_a_time_leaves_out_is_that_of_the_nearest(received, delay, absent):
    measured = (received - delay) * MS
    message = sdsm(measured, [detected()], **dict.fromkeys(DATE[:absent]))
    assert read(message, received=received * MS).t == measured


@given(received=times, minutes=st.integers(-840, 840))
def test_a_local_time_is_told_by_its_offset_from_utc(received, minutes):
    message = sdsm(received * MS + minutes * 60_000 * MS, [detected()], offset=minutes)
    assert read(message, received=received * MS).t == received * MS


def test_the_numbers_for_not_available_leave_a_field_out():
    message = sdsm(T, [detected()], year=0, month=0, day=0, hour=31, minute=60)
    assert read(message, received=T + 100 * MS).t == T


@pytest.mark.parametrize(
    ("stamp", "field"),
    [
        ({"second": 65_535}, "second"),
        ({"second": None}, "second"),
        ({"month": 13}, "month"),
        ({"month": 2, "day": 30}, "date"),
        ({"hour": 24}, "date"),
    ],
)
def test_a_message_without_a_time_is_refused(stamp, field):
    with pytest.raises(CodeError) as error:
        read(sdsm(T, [detected()], **stamp))
    assert [finding.field for finding in error.value.findings] == [field]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"objType": "vehicle"}, ObjectClass.CAR),
        ({"objType": 2}, ObjectClass.PEDESTRIAN),
        ({"objType": "vru", "detObjOptData": {"detVRU": {"basicType": "aPEDALCYCLIST"}}}, ObjectClass.BICYCLE),
        ({"objType": "vru", "detObjOptData": ("detVRU", {"basicType": 1})}, ObjectClass.PEDESTRIAN),
        (
            {"objType": "unknown", "detObjOptData": {"detObst": {"obstSize": {"width": 5, "length": 8}}}},
            ObjectClass.STATIC,
        ),
        ({"objType": "animal"}, ObjectClass.UNKNOWN),
    ],
)
def test_the_class_is_kept(fields, expected):
    assert one(**fields)["class"] == expected


def test_what_is_not_available_is_not_measured():
    seen = one(detObjOptData={"detVeh": {"size": {"width": 0, "length": 0}, "height": 0}})
    assert all(np.isnan(seen[name]) for name in ("vx", "vy", "heading", "length", "width", "height", "var_x"))
    assert seen["refused"] == ()


@pytest.mark.parametrize(
    "fields",
    [{"measurementTime": 1501}, {"pos": {"offsetX": 32_768, "offsetY": 0}}, {"pos": {"offsetX": 1}}, {"objectID": -1}],
)
def test_an_object_that_cannot_be_placed_is_refused_and_the_others_are_kept(fields):
    frame = read(sdsm(T, [detected(1), detected(2, **fields), detected(3)]))
    assert frame.columns["id"].tolist() == [1, 3]
    assert frame.lost == 1
    assert frame.refused[0].rule
    assert frame.refused[0].remedy


def test_a_message_in_a_frame_is_opened():
    message = sdsm(T, [detected(6)])
    assert read({"messageId": 41, "value": {"SensorDataSharingMessage": message}}).columns["id"].tolist() == [6]
    assert read({"messageId": 41, "value": ("SensorDataSharingMessage", message)}).columns["id"].tolist() == [6]


def test_a_message_that_saw_nothing_has_its_own_time_and_not_that_of_its_reception():
    assert read(sdsm(T - 7000 * MS, []), received=T).t == T - 7000 * MS


@given(offset=st.integers(-840, 840))
def test_the_offset_of_a_local_time_is_read_as_a_number_and_as_text(offset):
    local = sdsm(T + offset * 60_000 * MS, [detected()])
    for written in (offset, str(offset)):
        frame = read({**local, "sDSMTimeStamp": local["sDSMTimeStamp"] | {"offset": written}})
        assert frame.t == T
        assert frame.refused == ()


@pytest.mark.parametrize("year", [1, 1969, 2263, 4095])
def test_a_year_that_the_wire_cannot_carry_is_refused(year):
    message = sdsm(T, [detected()])
    stamp = message["sDSMTimeStamp"] | {"year": year, "month": 6, "day": 1}
    with pytest.raises(CodeError, match="from 1970 to 2261"):
        read({**message, "sDSMTimeStamp": stamp})
