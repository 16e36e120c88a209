"""CPM of ETSI TS 103 324: what its fields say is what is sent, at the edges of their ranges too."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standard_objects import MS, T, cpm, cpm_object, its_ms, times

from cloudctl.codes.findings import CodeError
from cloudctl.perception.its_time import timestamp_of, utc_of, utc_of_delta
from cloudctl.perception.objects import PerceptionFrame
from cloudctl.perception.reading import Standard, read_perception
from cloudctl.schema import ObjectClass


def read(*messages: dict[str, Any], received: int = T) -> PerceptionFrame:
    return read_perception(Standard.CPM, messages, received)


def one(received: int = T, **fields: Any) -> dict[str, Any]:
    """Return the columns of a message with one object, and what was refused of it."""
    frame = read(cpm(T, [cpm_object(**fields)]), received=received)
    assert frame.columns is not None
    return {name: values[0] for name, values in frame.columns.items()} | {"t": frame.t, "refused": frame.refused}


@given(
    x=st.integers(-131_071, 131_070),
    y=st.integers(-131_071, 131_070),
    delta=st.integers(-2048, 2047),
    angle=st.integers(0, 3599),
    velocity=st.tuples(st.integers(-16_382, 16_381), st.integers(-16_382, 16_381)),
    size=st.tuples(st.integers(1, 254), st.integers(1, 254), st.integers(1, 254)),
    confidence=st.tuples(st.integers(1, 4094), st.integers(1, 4094)),
    correlation=st.integers(-99, 99),
    quality=st.integers(0, 15),
)
def test_an_object_is_what_its_fields_say(x, y, delta, angle, velocity, size, confidence, correlation, quality):
    seen = one(
        x=x,
        y=y,
        delta=delta,
        position={
            "xCoordinate": {"value": x, "confidence": confidence[0]},
            "yCoordinate": {"value": y, "confidence": confidence[1]},
        },
        velocity={
            "cartesianVelocity": {
                "xVelocity": {"value": velocity[0], "confidence": 10},
                "yVelocity": {"value": velocity[1], "confidence": 127},
            }
        },
        angles={"zAngle": {"value": angle, "confidence": 127}},
        objectDimensionX={"value": size[0], "confidence": 32},
        objectDimensionY={"value": size[1], "confidence": 32},
        objectDimensionZ={"value": size[2], "confidence": 32},
        lowerTriangularCorrelationMatrices=[
            {"componentsIncludedIntheMatrix": "1100000000000", "matrix": [[correlation]]}
        ],
        objectPerceptionQuality=quality,
    )
    assert seen["t"] == T + delta * MS
    assert (seen["x"] * 100, seen["y"] * 100) == pytest.approx((x, y))
    assert (seen["vx"] * 100, seen["vy"] * 100) == pytest.approx(velocity)
    assert math.cos(seen["heading"] - math.radians(angle / 10)) == pytest.approx(1.0)
    assert [seen[name] * 10 for name in ("length", "width", "height")] == pytest.approx(size)
    sigma_x, sigma_y = (value / 100 / 1.96 for value in confidence)
    assert (seen["var_x"], seen["var_y"]) == pytest.approx((sigma_x**2, sigma_y**2))
    assert seen["cov_xy"] == pytest.approx(correlation / 100 * sigma_x * sigma_y, abs=1e-9)
    assert seen["confidence"] == pytest.approx(quality / 15)
    assert seen["refused"] == ()


@given(speed=st.integers(0, 16_381), direction=st.integers(0, 3599))
def test_a_polar_velocity_runs_counter_clockwise_from_east(speed, direction):
    value = {
        "velocityMagnitude": {"speedValue": speed, "speedConfidence": 5},
        "velocityDirection": {"value": direction, "confidence": 5},
    }
    seen = one(velocity=("polarVelocity", value))  # as asn1tools and pycrate write a choice
    assert math.hypot(seen["vx"], seen["vy"]) * 100 == pytest.approx(speed)
    assert seen["vx"] * 100 == pytest.approx(speed * math.cos(math.radians(direction / 10)), abs=1e-6)
    assert seen["vy"] * 100 == pytest.approx(speed * math.sin(math.radians(direction / 10)), abs=1e-6)


def test_what_is_not_available_is_not_measured():
    seen = one(
        velocity={
            "cartesianVelocity": {
                "xVelocity": {"value": 16_383, "confidence": 127},
                "yVelocity": {"value": -16_383, "confidence": 127},
            }
        },
        angles={"zAngle": {"value": 3601, "confidence": 127}},
        objectDimensionX={"value": 256, "confidence": 32},
        objectDimensionY={"value": 255, "confidence": 32},
    )
    names = ("vx", "vy", "heading", "length", "width", "height", "var_x", "var_y", "cov_xy", "confidence")
    assert all(np.isnan(seen[name]) for name in names)
    assert seen["refused"] == ()


@pytest.mark.parametrize("value", [131_071, -131_072, 131_072, -131_073, None, "north", 1.5, True])
def test_an_object_without_a_place_is_refused_and_the_others_are_kept(value):
    wrong = cpm_object(8)
    wrong["position"]["xCoordinate"]["value"] = value
    frame = read(cpm(T, [cpm_object(7), wrong, cpm_object(9)]))
    assert frame.columns["id"].tolist() == [7, 9]
    assert frame.lost == 1
    (finding,) = frame.refused
    assert "object 8" in finding.entity
    assert finding.field == "position.xCoordinate"
    assert finding.rule
    assert finding.remedy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("angles", {"zAngle": {"value": 3602}}),
        ("angles", {"zAngle": {"value": 3600}}),
        ("velocity", {"fastVelocity": {}}),
        ("velocity", 3),
        ("objectDimensionX", {"value": 0}),
        ("objectPerceptionQuality", 16),
        ("classification", [{"objectClass": {"vehicleSubClass": 16}, "confidence": 1}]),
        ("classification", 5),
        ("lowerTriangularCorrelationMatrices", [{"componentsIncludedIntheMatrix": "11", "matrix": []}]),
    ],
)
def test_a_wrong_value_that_is_not_needed_costs_only_itself(field, value):
    seen = one(**{field: value})
    assert seen["x"] == pytest.approx(10.0)
    (finding,) = seen["refused"]
    assert field in finding.field


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([("vehicleSubClass", 5, 90)], ObjectClass.CAR),
        ([("vehicleSubClass", 5, 20), ("vehicleSubClass", 8, 70)], ObjectClass.TRUCK),
        ([("vehicleSubClass", 5, 20), ("vehicleSubClass", 8, 101)], ObjectClass.CAR),
        ([("vruSubClass", {"pedestrian": 1}, 50)], ObjectClass.PEDESTRIAN),
        ([("vruSubClass", {"bicyclistAndLightVruVehicle": 5}, 50)], ObjectClass.BICYCLE),
        ([("vruSubClass", {"motorcyclist": 0}, 50)], ObjectClass.MOTORCYCLE),
        ([("groupSubClass", {"clusterProfiles": "0100"}, 50)], ObjectClass.BICYCLE),
        ([("otherSubClass", 1, 50)], ObjectClass.STATIC),
        ([("otherSubClass", "unknown", 50)], ObjectClass.UNKNOWN),
        ([("vehicleSubClass", "bus", 50)], ObjectClass.BUS),
        ([], ObjectClass.UNKNOWN),
    ],
)
def test_the_most_likely_class_is_kept(classes, expected):
    classification = [{"objectClass": {name: value}, "confidence": share} for name, value, share in classes]
    assert one(classification=classification)["class"] == expected


def test_objects_of_several_times_are_moved_to_the_newest_by_their_own_velocity():
    moving = {
        "cartesianVelocity": {
            "xVelocity": {"value": 1000, "confidence": 98},
            "yVelocity": {"value": -500, "confidence": 49},
        }
    }
    accurate = {name: {"value": 0, "confidence": 98} for name in ("xCoordinate", "yCoordinate")}  # sigma 0.5 m
    objects = [
        cpm_object(1, delta=-200, velocity=moving, position=accurate),
        cpm_object(2, delta=-200, position=accurate),
        cpm_object(3, delta=-20),
    ]
    frame = read(cpm(T, objects))
    assert frame.t == T - 20 * MS
    assert frame.columns["x"].tolist() == pytest.approx([1.8, 0.0, 10.0])
    assert frame.columns["y"].tolist() == pytest.approx([-0.9, 0.0, -20.0])
    assert frame.columns["var_x"][:2].tolist() == pytest.approx([0.25 + (0.5 * 0.18) ** 2, 0.25 + (5.0 * 0.18) ** 2])


def test_an_object_measured_long_before_the_others_is_refused():
    frame = read(cpm(T, [cpm_object(1), cpm_object(2, delta=-1500), cpm_object(3, delta=-10)]))
    assert frame.columns["id"].tolist() == [1, 3]
    assert frame.lost == 1
    assert "object 2" in frame.refused[0].entity


def test_segments_are_one_frame_around_the_first_reference():
    first, second = cpm(T, [cpm_object(1, 100, 0)]), cpm(T, [cpm_object(2, 100, 0)])
    second["payload"]["managementContainer"]["referencePosition"]["latitude"] += 1000  # 1e-4 degrees north
    frame = read(first, second)
    assert frame.columns["id"].tolist() == [1, 2]
    assert frame.columns["y"].tolist() == pytest.approx([0.0, 11.1], abs=0.01)


@given(received=times, delay=st.integers(-32_000, 32_000))
def test_a_generation_delta_time_is_the_nearest_time_of_that_remainder(received, delay):
    generated = (received - delay) * MS
    assert utc_of_delta(its_ms(generated) % 65_536, received * MS) == generated


@given(times)
def test_timestamps_count_the_leap_seconds_since_2004(ms):
    assert timestamp_of(ms * MS) == its_ms(ms * MS)
    assert utc_of(its_ms(ms * MS)) == ms * MS


@pytest.mark.parametrize(
    ("year", "leaps"), [(1_104_537_600, 0), (1_136_073_600, 1), (1_341_100_799, 2), (1_341_100_800, 3)]
)
def test_a_leap_second_counts_from_the_day_it_was_put_in(year, leaps):
    assert timestamp_of(year * 1000 * MS) == (year - 1_072_915_200 + leaps) * 1000
    assert utc_of(timestamp_of(year * 1000 * MS)) == year * 1000 * MS


def test_a_message_may_have_a_generation_delta_time_in_place_of_its_reference_time():
    message = cpm(T, [cpm_object()])
    del message["payload"]["managementContainer"]["referenceTime"]
    message["payload"]["generationDeltaTime"] = its_ms(T) % 65_536
    assert read(message, received=T + 150 * MS).t == T


def test_a_message_without_the_container_of_objects_says_nothing_of_objects():
    message = cpm(T, [])
    message["payload"]["cpmContainers"] = message["payload"]["cpmContainers"][:1]
    assert read(message).columns is None
    assert len(read(cpm(T, [])).columns["x"]) == 0  # this one says that there are none


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"payload": 5},
        {"payload": {"managementContainer": {}}},
        cpm(T, [], referencePosition={"latitude": 900_000_001, "longitude": 0}),
        cpm(T, [], referenceTime=-1),
        cpm(T, [], referenceTime=2**42),
        cpm(T, [cpm_object(delta=2048)]),
        {"payload": cpm(T, [])["payload"] | {"cpmContainers": [{"containerId": 5, "containerData": b"\x00"}]}},
    ],
)
def test_what_cannot_be_used_at_all_is_an_error_that_says_why(message):
    with pytest.raises(CodeError) as error:
        read(message)
    assert all(finding.field and finding.rule and finding.remedy for finding in error.value.findings)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
def test_whatever_stands_in_a_field_the_other_objects_are_kept(data):
    wrong = cpm_object(
        2,
        velocity={"cartesianVelocity": {"xVelocity": {"value": 1}, "yVelocity": {"value": 1}}},
        angles={"zAngle": {"value": 5}},
        classification=[{"objectClass": {"vehicleSubClass": 5}, "confidence": 1}],
        lowerTriangularCorrelationMatrices=[{"componentsIncludedIntheMatrix": "1100000000000", "matrix": [[1]]}],
    )
    holder: Any = wrong
    path = []
    while isinstance(holder, dict | list) and len(holder):
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        path.append((holder, key))
        holder = holder[key]
    container, key = data.draw(st.sampled_from(path))
    container[key] = data.draw(junk)
    frame = read(cpm(T, [cpm_object(1), wrong, cpm_object(3)]))
    kept = dict(zip(frame.columns["id"].tolist(), frame.columns["x"].tolist(), strict=True))
    assert kept[1] == kept[3] == pytest.approx(10.0)


@given(age=st.integers(0, 10**9))
def test_a_message_that_saw_nothing_has_its_own_time_and_not_that_of_its_reception(age):
    frame = read(cpm(T - age * MS, []), received=T)
    assert frame.columns is not None
    assert len(frame.columns["x"]) == 0
    assert frame.t == T - age * MS


def test_segments_that_saw_nothing_have_the_time_of_the_newest():
    assert read(cpm(T - 30 * MS, []), cpm(T - 10 * MS, [])).t == T - 10 * MS


def test_a_container_whose_number_is_written_as_text_is_read():
    message = cpm(T, [cpm_object()])
    for container in message["payload"]["cpmContainers"]:
        container["containerId"] = str(container["containerId"])
    columns = read(message).columns
    assert columns is not None
    assert len(columns["x"]) == 1


@pytest.mark.parametrize("number", [None, "perceivedObjectContainer", 5.0, True, -5, 17])
def test_a_container_of_no_number_is_refused_and_not_passed_over(number):
    message = cpm(T, [cpm_object()])
    message["payload"]["cpmContainers"][1]["containerId"] = number
    with pytest.raises(CodeError, match="containerId"):
        read(message)


@given(x=st.integers(-131_071, 131_070), delta=st.integers(-2048, 2047))
def test_numbers_written_as_text_are_read_whatever_their_sign(x, delta):
    position = {"xCoordinate": {"value": str(x), "confidence": "40"}, "yCoordinate": {"value": "0", "confidence": "40"}}
    seen = one(measurementDeltaTime=str(delta), position=position)
    assert seen["x"] == pytest.approx(x / 100)
    assert seen["t"] == T + delta * MS
    assert seen["refused"] == ()


def test_the_angle_that_is_not_used_is_refused_as_text_too():
    seen = one(angles={"zAngle": {"value": "3600", "confidence": 1}})
    assert math.isnan(seen["heading"])
    assert len(seen["refused"]) == 1


@pytest.mark.parametrize("text", ["--4", "-", "4-", "-4.0", " -4", "- 4", "\u0664"])
def test_text_that_is_no_number_is_refused(text):
    with pytest.raises(CodeError, match="measurementDeltaTime"):
        one(measurementDeltaTime=text)
