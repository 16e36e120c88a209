"""One vehicle is one track and one in the count, whatever its sensors take it for."""

import numpy as np
import pytest

from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.fusion import DETECTION, Fusion, SourceConfig
from cloudctl.schema import ObjectClass

T = 1_767_225_600 * SECOND
CAR, TRUCK, BUS = int(ObjectClass.CAR), int(ObjectClass.TRUCK), int(ObjectClass.BUS)
SIZE = {CAR: (4.6, 1.8), TRUCK: (8.5, 2.5), BUS: (12.0, 2.5)}


def seen(
    places: np.ndarray, kind: int, rng: np.random.Generator, noise: float, velocity: float | None, offset: float = 0.0
) -> np.ndarray:
    rows = np.zeros(len(places), DETECTION)
    for name in ("vx", "vy", "heading", "length", "width", "height", "var_x", "var_y", "cov_xy"):
        rows[name] = np.nan
    rows["x"] = places[:, 0] + offset + noise * rng.normal(size=len(places))
    rows["y"] = places[:, 1] + noise * rng.normal(size=len(places))
    rows["length"], rows["width"], rows["class"], rows["confidence"] = *SIZE[kind], kind, 0.9
    if velocity is not None:
        rows["vx"], rows["vy"] = velocity + 0.3 * rng.normal(size=len(places)), 0.3 * rng.normal(size=len(places))
    return rows


def flow(
    seed: int, takes: list[list[int]], velocity: bool, noise: float = 0.3, offset: float = 0.0, speed: float = 12.0
) -> tuple[int, int, int]:
    """Drive thirty vehicles past the origin; `takes`: of each sensor, the classes it reports each vehicle under.

    Returns the vehicles that passed, the tracks that did, and the most tracks at a time over the vehicles there then.
    """
    rng = np.random.default_rng(seed)
    fusion, before, passed, extra = Fusion(), dict[int, float](), set[int](), 0
    for k in range(len(takes)):
        fusion.add_source(k, SourceConfig(x=0.0, y=0.0, range_m=200.0))
    starts = np.column_stack([-60.0 - 25.0 * np.arange(30), 3.5 * (np.arange(30) % 2)])
    steps = int((60.0 + 25.0 * 30 + 40.0) / speed * 10)
    for k in range(steps):
        t = T + k * 100 * MS
        now = starts + np.array([speed * k / 10, 0.0])
        near = now[np.abs(now[:, 0]) < 60.0]
        for source, classes in enumerate(takes):
            late = np.array([speed * 0.03 * source, 0.0])
            scans = [
                seen(near + late, kind, rng, noise, speed if velocity else None, offset * j)
                for j, kind in enumerate(classes)
            ]
            fusion.update(t + source * 30 * MS, source, np.concatenate(scans))
        tracks = fusion.tracks(t + 60 * MS)
        inside = tracks[np.abs(tracks["x"]) < 50.0]
        extra = max(extra, len(inside) - np.count_nonzero(np.abs(now[:, 0]) < 55.0))
        for number, x in zip(tracks["id"].tolist(), tracks["x"].tolist(), strict=True):
            if before.get(number, x) < 0.0 <= x:
                passed.add(number)
            before[number] = x
    return np.count_nonzero(starts[:, 0] + speed * steps / 10 > 0), len(passed), extra


@pytest.mark.parametrize("velocity", [True, False])
@pytest.mark.parametrize(
    "takes",
    [
        [[CAR], [TRUCK]],
        [[CAR], [BUS]],
        [[CAR, TRUCK]],
        [[TRUCK, CAR]],
        [[BUS, CAR]],
        [[CAR, TRUCK], [CAR]],
        [[CAR, TRUCK], [TRUCK, BUS]],
        [[CAR], [TRUCK], [BUS]],
    ],
)
def test_a_vehicle_taken_for_a_car_and_a_truck_is_one_track_and_counted_once(
    takes: list[list[int]], velocity: bool
) -> None:
    for seed in range(3):
        vehicles, tracks, extra = flow(seed, takes, velocity)
        assert vehicles == 30
        assert abs(tracks - vehicles) <= 1, (seed, tracks)
        assert extra <= 1, (seed, extra)


def test_boxes_of_one_vehicle_that_lie_two_metres_apart_are_one(code: CompiledCode) -> None:
    """The box of a truck's cab, taken for a car, lies ahead of the whole truck's."""
    vehicles, tracks, extra = flow(1, [[TRUCK, CAR]], True, offset=2.0)
    assert abs(tracks - vehicles) <= 1
    assert extra <= 1


def test_vehicles_side_by_side_and_nose_to_tail_stay_as_many_as_they_are() -> None:
    rng = np.random.default_rng(5)
    fusion = Fusion()
    fusion.add_source(0, SourceConfig(range_m=200.0))
    places = np.array([(6.6 * column, 2.8 * row) for column in range(6) for row in range(3)])
    kinds = [CAR if k % 3 else TRUCK for k in range(len(places))]
    for k in range(60):
        speed = 3.0 * min(k / 20, 1.0)
        rows = np.concatenate(
            [
                seen(places[j : j + 1] + np.array([speed * k / 10, 0.0]), kinds[j], rng, 0.2, speed)
                for j in range(len(places))
            ]
        )
        rows["length"] = np.minimum(rows["length"], 4.6)
        fusion.update(T + k * 100 * MS, 0, rows)
    assert len(fusion.tracks(T + 6 * SECOND)) == len(places)


def test_a_cyclist_beside_a_bus_and_a_pedestrian_before_it_are_not_taken_for_it() -> None:
    rng = np.random.default_rng(6)
    fusion = Fusion()
    for k in range(40):
        bus = seen(np.array([[1.0 * k, 0.0]]), BUS, rng, 0.1, 10.0)
        others = seen(np.array([[1.0 * k, 1.9], [1.0 * k + 5.0, 0.4]]), CAR, rng, 0.1, 10.0)
        others["class"] = [ObjectClass.BICYCLE, ObjectClass.PEDESTRIAN]
        others["length"] = [1.8, 0.5]
        fusion.update(T + k * 100 * MS, 0, np.concatenate([bus, others]))
    assert sorted(fusion.tracks(T + 4 * SECOND)["class"].tolist()) == [BUS, ObjectClass.BICYCLE, ObjectClass.PEDESTRIAN]


def test_a_vehicle_does_not_outvote_the_sensors_on_what_it_is() -> None:
    rng = np.random.default_rng(7)
    fusion = Fusion()
    fusion.add_source(31, SourceConfig(kind="cooperative"))
    for k in range(60):
        place = np.array([[1.0 * k, 0.0]])
        own = seen(place, BUS, rng, 0.1, 10.0)
        own["vehicle"] = own["id"] = 9
        fusion.update(T + k * 100 * MS, 31, own)
        if k < 20:
            continue
        fusion.update(T + k * 100 * MS + 20 * MS, 0, seen(place + np.array([0.2, 0.0]), CAR, rng, 0.2, 10.0))
    (track,) = fusion.tracks(T + 6 * SECOND)
    assert (track["class"], track["vehicle"]) == (CAR, 9)
    assert track["class_p"] > 0.9
