"""Datums that are mistaken for WGS-84 / CGCS2000 in China: how far, and in which direction, they move a position.

GCJ-02 is what Chinese map services show, some 100 to 700 m off; BD-09 is GCJ-02 moved once more. Their formulas are
public and smooth: within a kilometre the shift is one vector, to a metre. Outside China nothing is moved.
"""

from math import atan2, cos, hypot, pi, sin, sqrt
from typing import NamedTuple

SEMI_MAJOR_AXIS = 6_378_245.0  # m, of the Krasovsky 1940 ellipsoid
ECCENTRICITY_SQUARED = 0.006_693_421_622_965_943  # of its first eccentricity
BD09_WAVE = 3000.0 * pi / 180.0  # rad per degree: the frequency of BD-09's wave
INVERSE_STEPS = 3  # of the fixed-point iteration that takes a shift off again: it converges to centimetres


class Box(NamedTuple):
    """A range of latitudes and longitudes, degrees."""

    min_lat: float
    max_lat: float
    min_lon: float
    max_lon: float


CHINA = Box(0.8293, 55.8271, 72.004, 137.8347)  # what GCJ-02 moves


def to_gcj02(lat: float, lon: float) -> tuple[float, float]:
    """Return the GCJ-02 position (degrees) of a WGS-84 one."""
    if not (CHINA.min_lat <= lat <= CHINA.max_lat and CHINA.min_lon <= lon <= CHINA.max_lon):
        return lat, lon

    # The shift in m: a polynomial about (35, 105) degrees, and waves of several lengths.
    x, y = lon - 105.0, lat - 35.0
    wave = 20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)
    north_wave = (
        wave + 20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi) + 160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)
    )
    east_wave = (
        wave + 20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi) + 150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)
    )
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x))
    north += north_wave * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x))
    east += east_wave * 2.0 / 3.0

    # In degrees, by the radii of curvature of the ellipsoid.
    root = 1.0 - ECCENTRICITY_SQUARED * sin(lat * pi / 180.0) ** 2
    meridian = SEMI_MAJOR_AXIS * (1.0 - ECCENTRICITY_SQUARED) / root**1.5
    parallel = SEMI_MAJOR_AXIS / sqrt(root) * cos(lat * pi / 180.0)

    return lat + north / meridian * 180.0 / pi, lon + east / parallel * 180.0 / pi


def to_bd09(lat: float, lon: float) -> tuple[float, float]:
    """Return the BD-09 position (degrees) of a WGS-84 one."""
    lat, lon = to_gcj02(lat, lon)
    radius = hypot(lat, lon) + 2e-5 * sin(lat * BD09_WAVE)
    angle = atan2(lat, lon) + 3e-6 * cos(lon * BD09_WAVE)
    return radius * sin(angle) + 0.006, radius * cos(angle) + 0.0065


MISTAKEN = {"GCJ-02": to_gcj02, "BD-09": to_bd09}


def undone(datum: str, lat: float, lon: float) -> tuple[float, float]:
    """Return the WGS-84 position (degrees, to centimetres) of one in another datum, a key of MISTAKEN."""
    shift = MISTAKEN[datum]
    wgs84 = lat, lon
    for _ in range(INVERSE_STEPS):
        shifted = shift(*wgs84)
        wgs84 = wgs84[0] - (shifted[0] - lat), wgs84[1] - (shifted[1] - lon)
    return wgs84
