"""Which intersections a reported position lies in: the same as by the exact bounds of each, wherever it is, whatever
was asked before."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.city_scene import moved
from cloudctl import codes, maps
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.geo import Origin
from cloudctl.intersection_factory import make_intersection
from cloudctl.metrics import Metrics
from cloudctl.schema import VehicleState
from cloudctl.settings import EngineConfig
from cloudctl.vehicles import VehicleRegistry

T = 1_767_225_600_000_000_000  # ns
ORIGINS = ((0.0, 0.0), (-43.53, 172.63), (59.91, 10.75), (85.0, -179.0))
FIRST = codes.load(maps.path("corridor-1.json"))
OVERLAPPING = [compile_code(moved(FIRST, copies=0, number=number)) for number in range(2)]


def lies_in(code: CompiledCode, lat: float, lon: float) -> bool:
    x0, y0, x1, y1 = code.bounds
    x, y = code.origin.to_local_point(lat, lon)
    return x0 <= x <= x1 and y0 <= y <= y1


@pytest.mark.parametrize("origin", ORIGINS, ids=str)
@settings(max_examples=150)
@given(
    asked=st.lists(
        st.tuples(st.sampled_from([0, 1]), st.floats(0, 1), st.sampled_from([-2.0, -1e-6, 0.0, 1e-6, 2.0])),
        min_size=1,
        max_size=6,
    ),
    swapped=st.booleans(),
)
def test_a_position_lies_in_the_intersections_whose_bounds_it_is_within(
    origin: tuple[float, float], asked: list[tuple[int, float, float]], swapped: bool
) -> None:
    placed = [dataclasses.replace(code, origin=Origin(*origin)) for code in OVERLAPPING]
    registry = VehicleRegistry()
    registry.index([make_intersection(code, EngineConfig({}), Metrics()) for code in placed])

    # Positions along each side of the bounds, a little inside and outside, and through the middle.
    x0, y0, x1, y1 = placed[0].bounds
    for side, share, beyond in asked:
        x, y = (x0 + beyond, y0 + share * (y1 - y0)) if side else (x0 + share * (x1 - x0), y1 + beyond)
        if swapped:
            x, y = x0 + x1 - x, y0 + y1 - y
        lat, lon = (float(degrees) for degrees in placed[0].origin.to_geodetic(np.float64(x), np.float64(y)))
        expected = [code.code.id for code in placed if lies_in(code, lat, lon)]
        for _ in range(2):
            detections = registry.reported("car", VehicleState(T, lat, lon, speed=0.0, heading=0.0))
            assert [place.code.code.id for place, _ in detections] == expected
