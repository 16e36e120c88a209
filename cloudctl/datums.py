"""Datums that are mistaken for WGS-84 / CGCS2000 in China: how far, and where to, they move a position.

GCJ-02 is what Chinese map services show, some 100 to 700 m off; BD-09 is GCJ-02 moved once more. Their formulas are public; they are smooth, so that
within a kilometre the shift is one vector, to a metre. Outside China nothing is moved.
"""

from math import atan2, cos, hypot, pi, sin, sqrt

AXIS, E2 = 6_378_245.0, 0.006_693_421_622_965_943  # of the Krasovsky 1940 ellipsoid: m, first eccentricity squared
CHINA = (0.8293, 55.8271, 72.004, 137.8347)  # least and greatest latitude and longitude that GCJ-02 moves
TURNS = 3000.0 * pi / 180.0  # of BD-09's wave, a degree


def to_gcj02(lat: float, lon: float) -> tuple[float, float]:
    """Return the GCJ-02 position (degrees) of a WGS-84 one."""
    if not (CHINA[0] <= lat <= CHINA[1] and CHINA[2] <= lon <= CHINA[3]):
        return lat, lon
    x, y = lon - 105.0, lat - 35.0
    wave = 20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x))
    north += (
        (wave + 20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi) + 160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0))
        * 2.0
        / 3.0
    )
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x))
    east += (
        (wave + 20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi) + 150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi))
        * 2.0
        / 3.0
    )
    root = 1.0 - E2 * sin(lat * pi / 180.0) ** 2
    meridian, parallel = AXIS * (1.0 - E2) / root**1.5, AXIS / sqrt(root) * cos(lat * pi / 180.0)
    return lat + north / meridian * 180.0 / pi, lon + east / parallel * 180.0 / pi


def to_bd09(lat: float, lon: float) -> tuple[float, float]:
    """Return the BD-09 position (degrees) of a WGS-84 one."""
    lat, lon = to_gcj02(lat, lon)
    far, angle = hypot(lat, lon) + 2e-5 * sin(lat * TURNS), atan2(lat, lon) + 3e-6 * cos(lon * TURNS)
    return far * sin(angle) + 0.006, far * cos(angle) + 0.0065


MISTAKEN = {"GCJ-02": to_gcj02, "BD-09": to_bd09}


def undone(datum: str, lat: float, lon: float) -> tuple[float, float]:
    """Return the WGS-84 position of one in another datum (a key of MISTAKEN), to centimetres: by taking the shift there off, twice."""
    move = MISTAKEN[datum]
    right = lat, lon
    for _ in range(3):
        shifted = move(*right)
        right = right[0] - (shifted[0] - lat), right[1] - (shifted[1] - lon)
    return right
