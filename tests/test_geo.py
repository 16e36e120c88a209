"""Local frames against pyproj's exact geodesics."""

import numpy as np
import pyproj
import pytest

from cloudctl.geo import Origin


@pytest.mark.parametrize(("lat", "lon"), [(39.7955, 116.508), (52.2773, 10.539), (-33.9, 151.2), (0.01, -179.9)])
@pytest.mark.parametrize(("reach", "error"), [(500.0, 0.001), (2000.0, 0.01)])
def test_distances_agree_with_the_ellipsoid(lat: float, lon: float, reach: float, error: float) -> None:
    origin, ellipsoid = Origin(lat, lon), pyproj.Geod(ellps="WGS84")
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    east, north = reach * np.cos(angles), reach * np.sin(angles)
    lats, lons = origin.to_geodetic(east, north)
    lons = (lons + 180) % 360 - 180
    azimuth, _, distance = ellipsoid.inv(np.full(16, lon), np.full(16, lat), lons, lats)
    assert (
        np.hypot(distance * np.sin(np.radians(azimuth)) - east, distance * np.cos(np.radians(azimuth)) - north).max()
        < error
    )


def test_there_and_back() -> None:
    origin = Origin(39.7955, 116.508)
    east, north = np.random.default_rng(1).uniform(-2000, 2000, (2, 1000))
    assert np.abs(np.array(origin.to_local(*origin.to_geodetic(east, north))) - (east, north)).max() < 1e-6


@pytest.mark.parametrize(("lat", "lon"), [(float("nan"), 0), (89, 0), (0, 181)])
def test_a_bad_origin_is_refused(lat: float, lon: float) -> None:
    with pytest.raises(ValueError, match="origin"):
        Origin(lat, lon)
