"""WGS-84 / CGCS2000 geodetic coordinates <-> local east-north metres.

The two datums agree to centimetres, below everything here. A local frame is the tangent plane at its origin, reached
with the meridian and prime-vertical radii of the ellipsoid: within 2 km the error is below 5 cm, within 500 m below 2 mm.
"""

from dataclasses import dataclass, field
from math import cos, isfinite, radians, sin, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

A = 6_378_137.0  # semi-major axis, m (WGS-84; CGCS2000 has the same)
E2 = 6.694379990141e-3  # first eccentricity squared

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Origin:
    """The origin of a local east-north frame, degrees."""

    lat: float
    lon: float
    m_per_deg_lat: float = field(init=False, repr=False, compare=False)
    m_per_deg_lon: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (isfinite(self.lat) and isfinite(self.lon) and abs(self.lat) < 88 and abs(self.lon) <= 180):
            raise ValueError(f"origin ({self.lat}, {self.lon}): latitude must be within 88 and longitude within 180 degrees")
        s = sin(radians(self.lat))
        n = A / sqrt(1 - E2 * s * s)
        m = n * (1 - E2) / (1 - E2 * s * s)
        object.__setattr__(self, "m_per_deg_lat", radians(m))
        object.__setattr__(self, "m_per_deg_lon", radians(n * cos(radians(self.lat))))

    def to_local(self, lat: ArrayLike, lon: ArrayLike) -> tuple[Floats, Floats]:
        """Return (east, north) in metres of degrees `lat`, `lon` (scalars or arrays)."""
        north = np.asarray(lat, float) - self.lat
        mid = self.lat + north / 2
        scale = self.m_per_deg_lon * np.cos(np.radians(mid)) / cos(radians(self.lat))
        return (np.asarray(lon, float) - self.lon) * scale, north * self.m_per_deg_lat

    def to_geodetic(self, east: ArrayLike, north: ArrayLike) -> tuple[Floats, Floats]:
        """Return (lat, lon) in degrees of metres `east`, `north`: the inverse of `to_local`."""
        lat = self.lat + np.asarray(north, float) / self.m_per_deg_lat
        mid = (self.lat + lat) / 2
        scale = self.m_per_deg_lon * np.cos(np.radians(mid)) / cos(radians(self.lat))
        return lat, self.lon + np.asarray(east, float) / scale
